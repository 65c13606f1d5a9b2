/* roster - what this process knows of all nodes: their records, how fresh, and who is alive.
 *
 * Every node owns one record. A change is pushed to all linked peers at once, who pass it on at once to those
 * of theirs that have no link with its owner; every 2 s digests are exchanged and what is missing is asked for,
 * so a lost push heals by itself. Records are signed and passed on unchanged, so a node is known also to those
 * it has no link with. Age is measured by our own monotonic clock.
 *
 * Anybody with the swarm key can make identities, so records are bounded by who brought them: when the roster
 * is full, one of a peer that brought more gives way to one of a peer that brought fewer, the dead first; a
 * peer with a link to us and ourselves never give way.
 *
 * alive: ourselves; a peer whose link is up, unless what we have of it is of another process (outlived); a node
 * that a linked peer, its witness, lists among its links. Of a node whose link with us ended, a witness must
 * know more than we do: shortly after, that is anybody who is not silent himself; later, who heard it after we
 * last did, by the node's own clock (record_link.clock_ms), so that slow links and stopped processes cannot
 * pass for life. Whoever hears that a peer lost one whom he has says anew what he knows. Owner: the node.
 * Thread: loop. */
#ifndef SWARM_ROSTER_H
#define SWARM_ROSTER_H

#include "base/clock.h"
#include "swarm/links.h"
#include "wire/record.h"

#define ROSTER_NODES_MAX     1024
#define ROSTER_DIGEST_MS     2000
#define ROSTER_PUSH_MS       10    /* changes within this time travel together */
#define ROSTER_RTT_CHANGE_US 5000  /* and by half: a round trip is told anew */
#define ROSTER_RTT_QUICK_US  20000 /* more than this is told of a link only ... */
#define ROSTER_RTT_YOUNG_MS  3000  /* ... that is so old */
#define ROSTER_GRACE_MS      1500  /* so long after our own link to a node closed ... */
#define ROSTER_GRACE_DUMB_MS 400   /* ... or fell silent, seconds after the last word ... */
#define ROSTER_WITNESS_MS    1200  /* ... a witness counts who was heard within this, and then ... */
#define ROSTER_NEWS_MS       600   /* ... one who heard it so much later than we did: a heartbeat more */
#define ROSTER_TESTIFY_MS    1200  /* a witness tells at once, and again after this: a heartbeat and that */
#define ROSTER_FORGET_MS     (10 * 60 * 1000) /* a dead node's record is dropped after this */

struct roster_entry {
    struct node_record record;
    struct buffer signed_form; /* as it came */
    bool is_self, linked, alive;
    bool outlived; /* linked, but the record is of a later process with its identity, which has gone */
    uint64_t
        linked_epoch;    /* of the process at the other end of our link: its hello\'s, or what it said since */
    uint64_t heard_ms;   /* when a newer record last came, our clock */
    uint64_t changed_ms; /* when `alive` last changed */
    uint64_t lost_ms;    /* when our own link to this process of it ended; 0: there was none */
    uint64_t grace_ms;   /* after that */
    uint64_t lost_clock_ms; /* what its own clock said when we heard it last */
    struct node_id via;     /* the peer that brought its first record; zero: a link with itself */
};

struct roster_events {
    /* Fills in our own record (all but id, epoch, version, now_ms, wall_ms, links) before it is published. */
    void (*fill)(void *ctx, struct node_record *own);
    /* A record came that is newer, or somebody lives or died. */
    void (*changed)(void *ctx, const struct roster_entry *entry);
};

struct roster;

struct roster *roster_new(const struct clock *clock, const struct links *links, const struct key_pair *pair,
                          uint64_t epoch, const struct roster_events *events, void *ctx);
void roster_free(struct roster *roster);

void roster_touch(struct roster *roster); /* our own record changed; published within ROSTER_PUSH_MS */
void roster_on_up(struct roster *roster, const struct node_id *peer);
void roster_on_down(struct roster *roster, const struct link_info *last, enum link_fault fault);
/* FRAME_RECORD, FRAME_DIGEST, FRAME_WANT. BAD_DATA or REFUSED: the peer broke the rules. */
enum status roster_on_frame(struct roster *roster, const struct node_id *peer, enum frame_kind kind,
                            struct bytes payload, struct error *err);

size_t roster_count(const struct roster *roster);                                /* ourselves included */
const struct roster_entry *roster_at(const struct roster *roster, size_t index); /* ascending ids */
const struct roster_entry *roster_find(const struct roster *roster,
                                       const struct node_id *id); /* NULL: unknown */
const struct roster_entry *roster_self(const struct roster *roster);
/* The only node whose id begins with these digits; NOT_FOUND or BAD_USAGE (several) name them. */
enum status roster_find_prefix(const struct roster *roster, const char *digits, const struct roster_entry **out,
                               struct error *err);
/* Whether two nodes have a link, as far as we know: one of them is us, or one of their records says so. */
bool roster_linked(const struct roster *roster, const struct node_id *a, const struct node_id *b);

/* The epoch of a record of ours, signed with our key, that passes our present one: another process had this
 * identity after we started. 0: none was seen. While it lives, peers refuse us (LINK_FAULT_DUPLICATE); what it
 * left keeps them from believing us. */
uint64_t roster_outdone_epoch(const struct roster *roster);
/* From now on our record has this epoch, which is higher than before. */
void roster_renew(struct roster *roster, uint64_t epoch);

/* For tests of diagnosis: pushes are held back (see `--fault`); digests still heal. */
void roster_hold_pushes(struct roster *roster, bool hold);

#endif
