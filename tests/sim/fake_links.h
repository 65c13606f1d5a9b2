/* fake_links - the links of several nodes without sockets: frames arrive in order after a delay, links come up
 * and go down as a test says. All of a swarm hang on one fake_net. */
#ifndef SIM_FAKE_LINKS_H
#define SIM_FAKE_LINKS_H

#include "sim/fake_clock.h"
#include "swarm/links.h"

#define FAKE_LINKS_MAX   32
#define FAKE_WANTED_MAX  32
#define FAKE_WANTED_ADDR 8

struct fake_net {
    struct fake_clock *clock;
    uint32_t delay_ms;
    struct fake_links *all[FAKE_LINKS_MAX];
    uint32_t n;
    bool up[FAKE_LINKS_MAX][FAKE_LINKS_MAX];
};

struct fake_wanted {
    struct node_id id; /* zero: a host */
    char host[256];
    uint16_t port;
    struct address addresses[FAKE_WANTED_ADDR];
    size_t n;
};

struct fake_links {
    struct links links;
    struct fake_net *net;
    uint32_t index; /* in net->all */
    struct link_hello hello;
    struct address address;
    const struct links_events *events; /* NULL: nobody listens here */
    void *ctx;
    /* what it is like */
    uint32_t n_lose;    /* so many of the next frames of lose_kind vanish */
    unsigned lose_kind; /* 0: of any kind */
    uint32_t rtt_us;
    int64_t skew_ms;
    uint64_t quiet_since_ms; /* nobody hears it since; 0: all do */
    /* what it did */
    uint64_t linked_ms; /* when it was connected last */
    uint32_t n_sent[FRAME_KIND_END], n_drops;
    enum link_fault drop_fault;
    struct fake_wanted wanted[FAKE_WANTED_MAX];
    size_t n_wanted;
};

void fake_net_init(struct fake_net *net, struct fake_clock *clock);
void fake_links_init(struct fake_links *links, struct fake_net *net, const struct node_id *id,
                     const struct links_events *events, void *ctx);
/* on_up and on_down come from the clock. */
void fake_net_connect(struct fake_links *a, struct fake_links *b);
void fake_net_cut(struct fake_links *a, struct fake_links *b, enum link_fault fault);
/* NULL: it is not wanted. */
const struct fake_wanted *fake_links_wanted(const struct fake_links *links, const struct node_id *id);

#endif
