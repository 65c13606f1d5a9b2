/* What may be named while faults are active: the codes that each can lead to, at whom. */
#include "sim/sim_scenario.h"

struct list {
    struct expected *items;
    uint32_t n;
};

static void add(struct list *list, enum finding_code code, int32_t shard, int32_t machine)
{
    if (list->n < SIM_EXPECTED_MAX)
        list->items[list->n++] = (struct expected){.code = code, .shard = shard, .machine = machine};
}

static bool has_source(const struct scenario *s, const struct machine *gone, uint32_t shard)
{
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct machine *m = s->world.machines[i];
        if (m != gone && m->state == MACHINE_RUNS && machine_has_file(m, shard))
            return true;
    }
    return false;
}

/* What others lack and only this one has cannot be fetched while it is away. */
static void add_lost_source(struct list *list, const struct scenario *s, struct machine *gone)
{
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct machine *m = s->world.machines[i];
        for (uint32_t k = 0; m != gone && k < m->n_shard_ids; k++) {
            uint32_t shard = m->shard_ids[k];
            if (machine_has_file(m, shard) || !machine_has_file(gone, shard) || has_source(s, gone, shard))
                continue;
            add(list, FINDING_NO_SOURCE, (int32_t)shard, (int32_t)i);
            add(list, FINDING_DOWNLOAD_STALLED, (int32_t)shard, (int32_t)i);
        }
    }
}

/* A shard's holder is away: so it is told, unless somebody else is to take it. */
static void add_lost(struct list *list, const struct scenario *s, struct machine *m)
{
    for (uint32_t i = 0; i < m->n_shard_ids; i++)
        add(list, FINDING_SHARD_NOT_DISCOVERED, (int32_t)m->shard_ids[i], -1);
    add_lost_source(list, s, m);
    if (!s->has_serve)
        return;
    static const enum finding_code codes[] = {FINDING_SHARD_NOT_DISCOVERED,
                                              FINDING_NO_NODE_FOR_SHARD,
                                              FINDING_WAITING_FOR_LOAD_SHARD,
                                              FINDING_NO_SOURCE,
                                              FINDING_DOWNLOADING,
                                              FINDING_DOWNLOAD_STALLED,
                                              FINDING_LOADING,
                                              FINDING_NOT_ENOUGH_MEMORY,
                                              FINDING_SHARD_FILE_MISSING};
    for (size_t i = 0; m->role != ROLE_ENTRY && i < sizeof codes / sizeof *codes; i++)
        add(list, codes[i], -1, -1);
}

static void add_alone(struct list *list)
{
    add(list, FINDING_BOOTSTRAP_UNREACHABLE, -1, -1);
    add(list, FINDING_ALONE_IN_CLUSTER, -1, -1);
    add(list, FINDING_SHARD_NOT_DISCOVERED, -1, -1);
    add(list, FINDING_NO_NODE_FOR_SHARD, -1, -1);
    add(list, FINDING_WAITING_FOR_LOAD_SHARD, -1, -1);
    add(list, FINDING_MANIFEST_MISSING, -1, -1);
    add(list, FINDING_NO_SOURCE, -1, -1);
}

/* Its file is not what it should be; whether it can be fetched decides what is told. */
static void add_file(struct list *list, const struct fault *f, enum finding_code code)
{
    int32_t shard = (int32_t)f->shard, machine = (int32_t)f->a;
    add(list, code, shard, machine);
    add(list, FINDING_NO_SOURCE, shard, machine);
    add(list, FINDING_SHARD_FILE_MISSING, shard, machine);
    add(list, FINDING_DOWNLOADING, shard, machine);
    add(list, FINDING_DOWNLOAD_STALLED, shard, machine);
    add(list, FINDING_LOADING, shard, machine);
}

static bool has_had_another(const struct scenario *s, const struct fault *f)
{
    for (uint32_t i = 0; i < s->n_faults; i++) {
        const struct fault *other = &s->faults[i];
        if (other != f && other->a == f->a && (other->is_active || other->is_over))
            return true;
    }
    return false;
}

/* No other process runs here but entries, or none that could be the way to others. */
static bool is_left_alone(const struct scenario *s, const struct machine *observer)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->world.n; i++) {
        const struct machine *m = s->world.machines[i];
        n += m != observer && m->role != ROLE_ENTRY && m->state == MACHINE_RUNS;
    }
    return n == 0;
}

static void add_of_fault(struct list *list, const struct scenario *s, const struct fault *f,
                         const struct machine *observer)
{
    struct machine *m = s->world.machines[f->a];
    int32_t shard = (int32_t)f->shard, machine = (int32_t)f->a;
    switch (f->kind) {
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_LEAVE:
    case FAULT_STOP:
        add_lost(list, s, m);
        if (is_left_alone(s, observer))
            add_alone(list);
        break;
    case FAULT_WRONG_KEY:
        add_lost(list, s, m);
        add(list, FINDING_KEY_MISMATCH, -1, -1);
        add(list, FINDING_MANIFEST_MISSING, -1, -1);   /* it may have the only one */
        if (observer == m || !f->a || s->world.n <= 3) /* entry, it, and one that sees nobody else */
            add_alone(list);
        break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_PAIR:
        add(list, FINDING_PEER_UNREACHABLE, -1, -1);
        if (s->world.n == 2 || observer->index == f->a || observer->index == f->b)
            add_alone(list);
        if ((!f->a || !f->b) && s->world.n <= 3) /* who cannot reach the entry is met by nobody */
            add_alone(list);
        break;
    case FAULT_ISOLATE:
        add_lost(list, s, m);
        add(list, FINDING_MANIFEST_MISSING, -1, -1); /* it may have the only one */
        if (observer == m || !f->a || s->world.n == 2)
            add_alone(list);
        break;
    case FAULT_SPLIT:
        add_alone(list);
        for (uint32_t i = 0; i < s->world.n; i++)
            add_lost(list, s, s->world.machines[i]);
        break;
    case FAULT_FILE_WRONG:
    case FAULT_FILE_CUT:
        add_file(list, f, FINDING_SHARD_FILE_INVALID);
        break;
    case FAULT_FILE_GONE:
        add_file(list, f, FINDING_SHARD_FILE_MISSING);
        break;
    case FAULT_FILE_GONE_RUNNING: /* blocks nothing, unless something else made it unload */
        if (has_had_another(s, f))
            add_file(list, f, FINDING_SHARD_FILE_MISSING);
        break;
    case FAULT_DISK_FULL:
        add_file(list, f, FINDING_DISK_FULL);
        add(list, FINDING_DISK_FULL, -1, machine); /* other shards that it lacked from the start */
        break;
    case FAULT_SOURCE_CORRUPT:
        add_file(list, f, FINDING_SOURCE_CORRUPT);
        for (uint32_t i = 0; i < s->world.n; i++) /* whoever fetches meanwhile */
            add(list, FINDING_SOURCE_CORRUPT, -1, (int32_t)i);
        break;
    case FAULT_LOAD_FAILS:
        add(list, FINDING_LOAD_FAILED, -1, machine);
        break;
    case FAULT_TEST_WRONG:
        add(list, FINDING_SELF_TEST_FAILED, -1, machine);
        break;
    case FAULT_BAD_ARITHMETIC:
        add(list, FINDING_PROBE_WRONG, -1, machine);
        break;
    case FAULT_NO_MEMORY:
        add(list, FINDING_NOT_ENOUGH_MEMORY, -1, machine);
        add(list, FINDING_NOT_ENOUGH_MEMORY, -1, -1);
        break;
    case FAULT_NO_MANIFEST:
        add(list, FINDING_MANIFEST_MISSING, -1, -1);
        break;
    default: /* the others block nothing */
        (void)shard;
        break;
    }
}

uint32_t scenario_expected(const struct scenario *s, const struct machine *observer,
                           struct expected out[SIM_EXPECTED_MAX])
{
    struct list list = {.items = out};
    for (uint32_t i = 0; i < s->n_faults; i++)
        if (s->faults[i].is_active)
            add_of_fault(&list, s, &s->faults[i], observer);
    return list.n;
}
