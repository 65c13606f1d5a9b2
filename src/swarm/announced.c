#include "swarm/announced.h"

#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

struct item {
    struct node_id id;
    uint64_t sequence;
    struct sha256 content;
    uint8_t family, ip[16]; /* of its first address */
    bool proved, dialed;
    uint32_t n_turns;
    uint64_t heard_ms, dialed_ms;
};

struct announced {
    struct item *items; /* [ANNOUNCED_MAX] */
    uint32_t n;
};

struct announced *announced_new(void)
{
    struct announced *announced = mem_new(sizeof *announced);
    announced->items = mem_array(ANNOUNCED_MAX, sizeof *announced->items);
    return announced;
}

void announced_free(struct announced *announced)
{
    if (!announced)
        return;
    mem_free(announced->items);
    mem_free(announced);
}

static struct item *find(const struct announced *announced, const struct node_id *id)
{
    for (uint32_t i = 0; i < announced->n; i++)
        if (node_id_equal(&announced->items[i].id, id))
            return &announced->items[i];
    return NULL;
}

/* A new place, or that of the one heard longest ago: of those never linked while there are such. */
static struct item *place(struct announced *announced)
{
    if (announced->n < ANNOUNCED_MAX)
        return &announced->items[announced->n++];
    struct item *oldest = NULL;
    for (uint32_t i = 0; i < announced->n; i++) {
        struct item *item = &announced->items[i];
        if (!oldest || (oldest->proved && !item->proved) ||
            (oldest->proved == item->proved && item->heard_ms < oldest->heard_ms))
            oldest = item;
    }
    return oldest;
}

enum announced_judgement announced_judge(struct announced *announced, const struct announcement *a,
                                         uint64_t now_ms)
{
    struct item *item = find(announced, &a->id);
    struct sha256 content = announcement_content(a);
    if (item && a->sequence < item->sequence)
        return ANNOUNCED_OLD;
    if (item && a->sequence == item->sequence && !sha256_equal(&content, &item->content))
        return ANNOUNCED_EQUIVOCAL;
    bool again = item && a->sequence == item->sequence;
    if (!item) {
        item = place(announced);
        *item = (struct item){.id = a->id};
    }
    item->sequence = a->sequence;
    item->content = content;
    item->heard_ms = now_ms;
    item->family = a->n_addresses ? a->addresses[0].family : 0;
    memcpy(item->ip, a->addresses[0].ip, sizeof item->ip);
    return again ? ANNOUNCED_AGAIN : ANNOUNCED_FRESH;
}

static bool same_ip(const struct item *a, const struct item *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* Who has had its turn, and not fewer turns than the newcomer: of that address, or (NULL) of any. */
static struct item *give_way(struct announced *announced, const struct item *newcomer, bool same_address,
                             uint64_t now_ms)
{
    struct item *longest = NULL;
    for (uint32_t i = 0; i < announced->n; i++) {
        struct item *item = &announced->items[i];
        if (!item->dialed || item->proved || now_ms - item->dialed_ms < ANNOUNCED_TURN_MS ||
            item->n_turns < newcomer->n_turns || (same_address && !same_ip(item, newcomer)))
            continue;
        if (!longest || item->dialed_ms < longest->dialed_ms)
            longest = item;
    }
    return longest;
}

bool announced_may_dial(struct announced *announced, const struct node_id *id, uint64_t now_ms,
                        struct node_id *out_dropped)
{
    struct item *item = find(announced, id), *leaves = NULL;
    memset(out_dropped, 0, sizeof *out_dropped);
    if (!item)
        return false;
    if (item->proved || item->dialed)
        return true;
    uint32_t n = 0, n_here = 0;
    for (uint32_t i = 0; i < announced->n; i++) {
        const struct item *other = &announced->items[i];
        bool counts = other->dialed && !other->proved;
        n += counts;
        n_here += counts && same_ip(other, item);
    }
    bool is_full_here = n_here >= ANNOUNCED_PER_IP_MAX;
    if (is_full_here || n >= ANNOUNCED_DIALED_MAX) {
        leaves = give_way(announced, item, is_full_here, now_ms);
        if (!leaves)
            return false;
        leaves->dialed = false;
        *out_dropped = leaves->id;
    }
    item->dialed = true;
    item->dialed_ms = now_ms;
    item->n_turns++;
    return true;
}

void announced_proved(struct announced *announced, const struct node_id *id)
{
    struct item *item = find(announced, id);
    if (item)
        item->proved = true;
}

uint32_t announced_n(const struct announced *announced)
{
    return announced->n;
}

uint32_t announced_n_dialed(const struct announced *announced)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < announced->n; i++)
        n += announced->items[i].dialed && !announced->items[i].proved;
    return n;
}
