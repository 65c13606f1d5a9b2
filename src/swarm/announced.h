/* announced - who was heard of by announcement: refuses what is older than the highest sequence seen of a node,
 * also while the roster has forgotten it, tells two announcements with one sequence apart, and bounds how many
 * identities that nobody here has ever linked with may have themselves dialed.
 *
 * Anybody with the swarm key can make identities, so those that never proved themselves share
 * ANNOUNCED_DIALED_MAX places, ANNOUNCED_PER_IP_MAX of them at one address, for ANNOUNCED_TURN_MS each; who was
 * linked once keeps its place. Owner: discovery. Thread: loop. */
#ifndef SWARM_ANNOUNCED_H
#define SWARM_ANNOUNCED_H

#include "wire/announcement.h"

#define ANNOUNCED_MAX        2048 /* identities remembered; the oldest that was never linked gives way */
#define ANNOUNCED_DIALED_MAX 128
#define ANNOUNCED_PER_IP_MAX 16
#define ANNOUNCED_TURN_MS    5000 /* LINK_HANDSHAKE_MS: long enough for an honest one to prove itself */

enum announced_judgement {
    ANNOUNCED_FRESH,     /* a higher sequence than any seen of that node */
    ANNOUNCED_AGAIN,     /* the same one */
    ANNOUNCED_OLD,       /* lower: replayed, or a holder that missed the news */
    ANNOUNCED_EQUIVOCAL, /* the node signed two different ones with one sequence; the first counts */
};

struct announced;

struct announced *announced_new(void);
void announced_free(struct announced *announced); /* NULL is fine */
enum announced_judgement announced_judge(struct announced *announced, const struct announcement *announcement,
                                         uint64_t now_ms);
/* Whether the node, judged just now, may be dialed. *out_dropped is another that gave its place to it, to be
 * dialed no more; zero: none. */
bool announced_may_dial(struct announced *announced, const struct node_id *id, uint64_t now_ms,
                        struct node_id *out_dropped);
void announced_proved(struct announced *announced, const struct node_id *id); /* a link with it is up */
uint32_t announced_n(const struct announced *announced);
uint32_t announced_n_dialed(const struct announced *announced); /* of those never linked */

#endif
