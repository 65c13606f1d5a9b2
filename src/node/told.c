#include "node/told.h"

#include "base/log.h"
#include "base/mem.h"

#include <string.h>

struct notice { /* one shard to one peer, not yet acknowledged */
    struct notice *next;
    struct told *told;
    uint32_t shard;
    struct node_id peer;
    uint64_t since_ms, again_ms;
    bool asked, dropped; /* a call is open; dropped: nobody cares any more */
};

struct loaded {
    uint32_t shard, n_peers;
    bool announced;    /* the line was printed */
    uint64_t since_ms; /* the first notice of it */
};

struct told {
    const struct clock *clock;
    struct commands *commands;
    const struct roster *roster;
    bool print_lines;
    struct notice *notices;
    struct loaded *loaded;
    uint32_t n_loaded;
    struct timer *timer;
};

static void send(struct notice *notice);

static void unlink_notice(struct notice *notice)
{
    for (struct notice **at = &notice->told->notices; *at; at = &(*at)->next)
        if (*at == notice) {
            *at = notice->next;
            break;
        }
}

static void drop(struct notice *notice)
{
    unlink_notice(notice);
    if (notice->asked)
        notice->dropped = true; /* freed by its answer */
    else
        mem_free(notice);
}

static struct loaded *find_loaded(struct told *told, uint32_t shard)
{
    for (uint32_t i = 0; i < told->n_loaded; i++)
        if (told->loaded[i].shard == shard)
            return &told->loaded[i];
    return NULL;
}

static void on_answer(void *ctx, const struct command_answer *answer)
{
    struct notice *notice = ctx;
    notice->asked = false;
    if (notice->dropped) {
        mem_free(notice);
        return;
    }
    struct told *told = notice->told;
    if (answer->status == STATUS_CANCELLED || answer->status == STATUS_OK) {
        struct loaded *loaded = find_loaded(told, notice->shard);
        if (answer->status == STATUS_OK && loaded && !loaded->announced) {
            loaded->announced = true;
            if (told->print_lines)
                say("[SHARD_LOADED] 📢 Broadcasting shard %u loaded to %u peers...", loaded->shard,
                    loaded->n_peers);
        }
        drop(notice);
        return;
    }
    notice->again_ms = clock_ms(told->clock) + TOLD_AGAIN_MS;
    clock_timer_set(told->clock, told->timer, TOLD_AGAIN_MS);
}

static void send(struct notice *notice)
{
    struct jv *params = jv_object_new();
    jv_set_int(params, "shard_id", notice->shard);
    jv_set_int(params, "version", (int64_t)roster_self(notice->told->roster)->record.version);
    notice->asked = true;
    commands_call(notice->told->commands, &notice->peer, "SHARD_LOADED", params, TOLD_AGAIN_MS, on_answer,
                  notice);
}

static void on_timer(void *arg)
{
    struct told *told = arg;
    uint64_t now = clock_ms(told->clock), next = UINT64_MAX;
    for (struct notice *notice = told->notices; notice; notice = notice->next) {
        if (!notice->asked && notice->again_ms <= now)
            send(notice);
        else if (!notice->asked && notice->again_ms < next)
            next = notice->again_ms;
    }
    if (next != UINT64_MAX)
        clock_timer_set(told->clock, told->timer, next - now);
}

static void add(struct told *told, uint32_t shard, const struct node_id *peer)
{
    for (struct notice *n = told->notices; n; n = n->next)
        if (n->shard == shard && node_id_equal(&n->peer, peer))
            return;
    struct notice *notice = mem_new(sizeof *notice);
    notice->told = told;
    notice->shard = shard;
    notice->peer = *peer;
    notice->since_ms = clock_ms(told->clock);
    struct loaded *loaded = find_loaded(told, shard);
    if (loaded && !loaded->since_ms)
        loaded->since_ms = notice->since_ms;
    notice->next = told->notices;
    told->notices = notice;
    send(notice);
}

struct told *told_new(const struct clock *clock, struct commands *commands, const struct roster *roster,
                      bool print_lines)
{
    struct told *told = mem_new(sizeof *told);
    told->clock = clock;
    told->commands = commands;
    told->roster = roster;
    told->print_lines = print_lines;
    told->timer = clock_timer_new(clock, on_timer, told);
    return told;
}

/* After commands_free, which ends all open calls. */
void told_free(struct told *told)
{
    if (!told)
        return;
    while (told->notices)
        drop(told->notices);
    clock_timer_free(told->clock, told->timer);
    mem_free(told->loaded);
    mem_free(told);
}

static uint32_t n_linked(const struct told *told)
{
    uint32_t n = 0;
    for (size_t i = 0; i < roster_count(told->roster); i++)
        n += roster_at(told->roster, i)->linked;
    return n;
}

void told_loaded(struct told *told, uint32_t shard)
{
    if (!find_loaded(told, shard)) {
        told->loaded = mem_resize(told->loaded, told->n_loaded + 1, sizeof *told->loaded);
        told->loaded[told->n_loaded++] = (struct loaded){.shard = shard};
    }
    find_loaded(told, shard)->n_peers = n_linked(told);
    find_loaded(told, shard)->announced = false;
    for (size_t i = 0; i < roster_count(told->roster); i++)
        if (roster_at(told->roster, i)->linked)
            add(told, shard, &roster_at(told->roster, i)->record.id);
}

void told_unloaded(struct told *told, uint32_t shard)
{
    struct loaded *loaded = find_loaded(told, shard);
    if (loaded)
        *loaded = told->loaded[--told->n_loaded];
    for (struct notice *notice = told->notices, *next; notice; notice = next) {
        next = notice->next;
        if (notice->shard == shard)
            drop(notice);
    }
}

void told_on_up(struct told *told, const struct node_id *peer)
{
    for (uint32_t i = 0; i < told->n_loaded; i++) {
        if (told->loaded[i].n_peers < n_linked(told))
            told->loaded[i].n_peers = n_linked(told);
        add(told, told->loaded[i].shard, peer);
    }
}

void told_on_down(struct told *told, const struct node_id *peer)
{
    for (struct notice *notice = told->notices, *next; notice; notice = next) {
        next = notice->next;
        if (node_id_equal(&notice->peer, peer))
            drop(notice);
    }
}

bool told_is_known(const struct told *told, uint32_t shard, uint64_t *out_since_ms)
{
    const struct loaded *loaded = NULL;
    for (uint32_t i = 0; i < told->n_loaded; i++)
        if (told->loaded[i].shard == shard)
            loaded = &told->loaded[i];
    for (const struct notice *n = told->notices; n && loaded; n = n->next)
        if (n->shard == shard)
            return false;
    if (!loaded || !loaded->announced)
        return false;
    *out_since_ms = loaded->since_ms;
    return true;
}

/* The link to the peer that does not answer, step by step. */
static void set_walk(struct finding *f, const struct told *told, const struct node_id *peer)
{
    const struct roster_entry *entry = roster_find(told->roster, peer);
    char address[ADDRESS_TEXT_BYTES];
    if (!entry || !entry->record.n_addresses) {
        finding_set_action(f, "shoal status");
        return;
    }
    address_text(address, &entry->record.addresses[0]);
    finding_set_action(f, "shoal doctor --node %s", address);
}

void told_explain(const struct told *told, struct finding_list *out)
{
    uint64_t now = clock_ms(told->clock);
    char self[NODE_ID_SHORT_BYTES];
    node_id_short(self, &roster_self(told->roster)->record.id);
    for (uint32_t i = 0; i < told->n_loaded; i++) {
        uint32_t n_late = 0;
        uint64_t since = now;
        const struct node_id *first = NULL;
        struct jv *late = jv_array_new();
        for (const struct notice *n = told->notices; n; n = n->next) {
            if (n->shard != told->loaded[i].shard || now - n->since_ms < TOLD_LATE_MS)
                continue;
            char id[NODE_ID_TEXT_BYTES];
            node_id_text(id, &n->peer);
            jv_append(late, jv_text_new(id));
            since = n->since_ms < since ? n->since_ms : since;
            first = n_late++ ? first : &n->peer;
        }
        struct finding *f = NULL;
        if (n_late)
            f = finding_add(
                out, FINDING_LOADED_NOT_PROPAGATED, told->loaded[i].shard,
                &roster_self(told->roster)->record.id,
                "node %s has loaded shard %u; %u of its peers have not acknowledged that for %.1f s", self,
                told->loaded[i].shard, n_late, (double)(now - since) / 1000);
        if (f) {
            f->severity = SEVERITY_WARNING; /* records and digests carry the same news */
            f->since_ms = since;
            jv_set(finding_evidence(f), "peers", late);
            set_walk(f, told, first);
        } else {
            jv_free(late);
        }
    }
}
