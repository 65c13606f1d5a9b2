#include "sim/sim_scenario.h"

#include "wire/announcement.h"

#include <stdio.h>
#include <string.h>

#define WARM_UP_MS 12000

const char *fault_name(enum fault_kind kind)
{
    static const char *const names[] = {
#define X(kind, name) name,
        FAULT_KINDS(X)
#undef X
    };
    return names[kind];
}

const char *family_name(enum family family)
{
    static const char *const names[] = {
#define X(family, name) name,
        FAMILIES(X)
#undef X
    };
    return names[family];
}

enum family family_of_seed(uint64_t seed)
{
    static const uint8_t shares[FAMILY_LARGE] = {10, 25, 25, 15, 13, 12};
    if (seed % 500 == 499)
        return FAMILY_LARGE;
    uint64_t draw = rand_mix(seed, 5) % 100;
    for (int f = 0; f < FAMILY_LARGE; f++) {
        if (draw < shares[f])
            return (enum family)f;
        draw -= shares[f];
    }
    return FAMILY_START;
}

static uint32_t below(struct scenario *s, uint32_t end)
{
    return (uint32_t)rng_below(&s->world.rng, end);
}

static uint32_t between(struct scenario *s, uint32_t first, uint32_t last)
{
    return first + below(s, last - first + 1);
}

static bool chance(struct scenario *s, uint32_t percent)
{
    return below(s, 100) < percent;
}

/* --- the swarm ------------------------------------------------------------------------------------------- */

static void give_files(struct machine *m)
{
    for (uint32_t i = 0; i < m->n_shard_ids; i++)
        machine_put_shard(m, m->shard_ids[i], &m->world->model.contents[m->shard_ids[i]]);
}

/* Nodes with contiguous runs of all shards between them. */
static void add_explicit(struct scenario *s, uint32_t n_nodes)
{
    uint32_t n_shards = s->world.model.n_shards, first = 0;
    for (uint32_t k = 0; k < n_nodes; k++) {
        uint32_t end = (uint32_t)((uint64_t)n_shards * (k + 1) / n_nodes);
        struct machine *m = world_add(&s->world, ROLE_NODE);
        for (uint32_t id = first; id < end; id++)
            m->shard_ids[m->n_shard_ids++] = id;
        first = end;
    }
}

/* Who holds each file at the start. Somebody does, of every one. */
static void place_files(struct scenario *s)
{
    struct world *w = &s->world;
    bool need_seed = s->family == FAMILY_COORDINATOR || chance(s, 25);
    uint32_t missing = s->family == FAMILY_START || chance(s, 60) ? 0 : 30;
    for (uint32_t i = 0; i < w->n; i++)
        give_files(w->machines[i]);
    if (need_seed) {
        struct machine *seed = world_add(w, ROLE_SEED);
        for (uint32_t id = 0; id < w->model.n_shards; id++)
            machine_put_shard(seed, id, &w->model.contents[id]);
        for (uint32_t i = 0; i + 1 < w->n; i++)
            for (uint32_t k = 0; k < w->machines[i]->n_shard_ids; k++)
                if (chance(s, missing))
                    machine_remove_shard(w->machines[i], w->machines[i]->shard_ids[k]);
    }
}

static void place_manifest(struct scenario *s)
{
    struct world *w = &s->world;
    bool everywhere = chance(s, 50), any = false;
    for (uint32_t i = 0; i < w->n; i++) {
        struct machine *m = w->machines[i];
        if (m->role == ROLE_ENTRY || (any && !everywhere))
            continue;
        machine_put_manifest(m);
        any = true;
    }
}

static void draw_swarm(struct scenario *s)
{
    struct world *w = &s->world;
    bool is_large = s->family == FAMILY_LARGE;
    uint32_t n_shards = w->model.n_shards;
    uint32_t n_nodes = is_large ? between(s, 16, 56) : between(s, 1, n_shards < 6 ? n_shards : 6);
    bool with_serve = s->family == FAMILY_COORDINATOR || s->family == FAMILY_REQUESTS || chance(s, 25);
    if (is_large || chance(s, 80) || n_nodes < 2)
        world_add(w, ROLE_ENTRY);
    if (s->family == FAMILY_COORDINATOR) {
        for (uint32_t k = 0; k < (n_nodes < 2 ? 2 : n_nodes); k++)
            world_add(w, ROLE_NODE);
        if (chance(s, 30))
            add_explicit(s, 1);
    } else if (is_large) {
        add_explicit(s, n_shards);
        for (uint32_t k = n_shards; k < n_nodes; k++) { /* replicas */
            struct machine *m = world_add(w, ROLE_NODE);
            m->shard_ids[m->n_shard_ids++] = below(s, n_shards);
        }
    } else {
        add_explicit(s, n_nodes);
        if (chance(s, 30))
            add_explicit(s, between(s, 1, n_nodes)); /* replicas of all */
    }
    for (uint32_t k = 0; with_serve && k < (chance(s, 20) ? 2U : 1U); k++)
        world_add(w, ROLE_SERVE);
    s->has_serve = with_serve;
    place_files(s);
    place_manifest(s);
    for (uint32_t i = 0; i < w->n; i++) {
        struct machine *m = w->machines[i];
        m->knows_peer = w->machines[0]->role != ROLE_ENTRY && chance(s, 50);
        m->fetch_allowed = s->family == FAMILY_COORDINATOR || chance(s, 80);
        for (uint32_t k = 0; k < m->n_shard_ids; k++)
            m->fetch_allowed |= !machine_has_file(m, m->shard_ids[k]);
        s->starts_ms[i] = s->begin_ms + below(s, chance(s, 20) ? 8000 : 800);
    }
    s->plain = (struct sim_path){.delay_ms = between(s, 0, 10), .jitter_ms = between(s, 0, 5)};
    for (uint32_t a = 0; a < w->n; a++)
        for (uint32_t b = 0; b < w->n; b++)
            w->net.paths[a][b] = s->plain;
}

/* --- faults ---------------------------------------------------------------------------------------------- */

static bool may_be_cold(enum fault_kind kind)
{
    return kind >= FAULT_FILE_WRONG && kind != FAULT_FILE_GONE_RUNNING;
}

static bool needs_shards(enum fault_kind kind)
{
    return kind >= FAULT_FILE_WRONG && kind != FAULT_WRONG_KEY && kind != FAULT_NO_MANIFEST;
}

static bool draw_target(struct scenario *s, struct fault *f)
{
    struct world *w = &s->world;
    for (int tries = 0; tries < 20; tries++) {
        f->a = below(s, w->n);
        f->b = below(s, w->n);
        const struct machine *m = w->machines[f->a];
        if (f->a == f->b && w->n > 1)
            continue;
        if (needs_shards(f->kind) && !m->n_shard_ids)
            continue;
        if (f->kind == FAULT_WRONG_KEY && (f->a == 0 || m->role != ROLE_NODE))
            continue;
        if (m->n_shard_ids)
            f->shard = m->shard_ids[below(s, m->n_shard_ids)];
        return w->n > 1;
    }
    return false;
}

static void draw_fault(struct scenario *s, struct fault *f, uint64_t start_ms)
{
    do
        f->kind = (enum fault_kind)below(s, FAULT_KIND_COUNT);
    while (s->family == FAMILY_COLD ? !may_be_cold(f->kind) : f->kind == FAULT_NO_MANIFEST);
    f->start_ms = start_ms;
    f->end_ms = start_ms + (s->family == FAMILY_ONE || s->family == FAMILY_COLD ? between(s, 16000, 30000)
                            : chance(s, 50)                                     ? between(s, 100, 4000)
                                                                                : between(s, 4000, 25000));
    f->step_ms = (int64_t)between(s, 1, 60) * 60000 * (chance(s, 50) ? 1 : -1);
    f->is_skipped = !draw_target(s, f);
}

static void draw_faults(struct scenario *s)
{
    uint32_t n = 0;
    uint64_t warm = s->begin_ms + WARM_UP_MS;
    switch (s->family) {
    case FAMILY_START:
        break;
    case FAMILY_ONE:
    case FAMILY_COLD:
        n = 1;
        break;
    case FAMILY_LARGE:
        n = between(s, 1, 3);
        break;
    default:
        n = between(s, 2, 6);
    }
    for (uint32_t i = 0; i < n; i++)
        draw_fault(s, &s->faults[i],
                   s->family == FAMILY_COLD ? s->begin_ms
                   : s->family == FAMILY_ONE
                       ? warm
                       : warm + below(s, 25000) - (chance(s, 20) ? WARM_UP_MS - 1000 : 0));
    s->n_faults = n;
}

/* --- what a fault does ----------------------------------------------------------------------------------- */

static bool is_about_process(enum fault_kind kind)
{
    return kind == FAULT_KILL || kind == FAULT_POWER || kind == FAULT_LEAVE || kind == FAULT_STOP ||
           kind == FAULT_NOTICE_LOST || (kind >= FAULT_FILE_WRONG && kind != FAULT_FILE_GONE_RUNNING);
}

static bool is_about_paths(enum fault_kind kind)
{
    return kind == FAULT_CUT_ONE_WAY || kind == FAULT_CUT_PAIR || kind == FAULT_ISOLATE || kind == FAULT_SPLIT;
}

/* Two faults of a kind that would undo each other do not overlap. */
static bool collides(const struct scenario *s, const struct fault *f)
{
    for (uint32_t i = 0; i < s->n_faults; i++) {
        const struct fault *g = &s->faults[i];
        if (g == f || !g->is_active)
            continue;
        if ((is_about_process(f->kind) && is_about_process(g->kind) && f->a == g->a) ||
            (is_about_paths(f->kind) && is_about_paths(g->kind)) || f->kind == g->kind)
            return true;
    }
    return false;
}

static bool crosses(const struct scenario *s, const struct fault *f, uint32_t from, uint32_t to)
{
    switch (f->kind) {
    case FAULT_CUT_ONE_WAY:
        return from == f->a && to == f->b;
    case FAULT_CUT_PAIR:
        return (from == f->a && to == f->b) || (from == f->b && to == f->a);
    case FAULT_ISOLATE:
        return from == f->a || to == f->a;
    default:
        return (rand_mix(s->world.seed + f->a, from) & 1) != (rand_mix(s->world.seed + f->a, to) & 1);
    }
}

static void set_cut(struct scenario *s, const struct fault *f, bool cut)
{
    for (uint32_t from = 0; from < s->world.n; from++)
        for (uint32_t to = 0; to < s->world.n; to++)
            if (from != to && crosses(s, f, from, to))
                sim_net_cut(&s->world.net, from, to, cut);
}

static void set_slow(struct scenario *s, const struct fault *f, bool slow)
{
    struct sim_path path = slow ? (struct sim_path){.delay_ms = 250, .jitter_ms = 100} : s->plain;
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct sim_path *there = &s->world.net.paths[f->a][i], *back = &s->world.net.paths[i][f->a];
        there->delay_ms = back->delay_ms = path.delay_ms;
        there->jitter_ms = back->jitter_ms = path.jitter_ms;
    }
}

static void lie(struct scenario *s, const struct fault *f)
{
    struct world *w = &s->world;
    struct swarm_keys keys;
    struct agent_key key;
    credentials_derive(&keys, &w->credentials);
    announcement_member_key(key.bytes, &keys.lookup, w->credentials.cluster);
    for (uint32_t i = 0; i < 4; i++) {
        struct key_pair pair;
        struct buffer out;
        key_pair_new(&pair);
        struct announcement a = {.epoch = 1,
                                 .sequence = UINT64_MAX - i,
                                 .issued_ms = clock_wall_ms(&w->clock.clock),
                                 .expires_ms = clock_wall_ms(&w->clock.clock) + 600000,
                                 .role = ROLE_NODE,
                                 .n_addresses = 1};
        memcpy(a.id.bytes, pair.public_key.bytes, sizeof a.id.bytes);
        memcpy(a.cluster, w->credentials.cluster, sizeof a.cluster);
        /* It claims the address of another, or one that nobody has. */
        a.addresses[0] = w->net.addresses[f->b];
        if (i & 1)
            a.addresses[0].ip[1] = 99;
        buffer_init(&out, 0);
        announcement_seal(&out, &a, &pair, &keys.announce);
        if (i == 3)
            out.data[20] ^= 1; /* and one that is not even sealed */
        sim_dht_put(&w->dht, &key, announcement_value_id(&a.id), buffer_view(&out));
        buffer_free(&out);
        s->n_lies++;
    }
}

static void reset_links(struct scenario *s, const struct fault *f)
{
    for (uint32_t i = 0; i < s->world.n; i++)
        if (i != f->a && (i == f->b || f->shard & 1))
            sim_net_reset(&s->world.net, f->a, i);
}

/* What is changed on a machine whose process is down, before it starts again. */
static void harm(struct scenario *s, struct machine *m, const struct fault *f)
{
    struct fake_content content = sim_model_wrong(&s->world.model, f->shard);
    switch (f->kind) {
    case FAULT_FILE_WRONG:
        machine_put_shard(m, f->shard, &content);
        break;
    case FAULT_FILE_CUT:
        machine_put_shard(m, f->shard, &s->world.model.contents[f->shard]);
        content.bytes /= 2;
        content.header = (struct shard_file){.fault = SHARD_FAULT_DAMAGED, .bytes = content.bytes};
        snprintf(content.header.why, sizeof content.header.why, "its data are cut");
        machine_put_shard(m, f->shard, &content);
        break;
    case FAULT_DISK_FULL:
        m->disk.free_bytes = 1000000;
        machine_remove_shard(m, f->shard);
        break;
    case FAULT_FILE_GONE:
    case FAULT_SOURCE_CORRUPT:
        machine_remove_shard(m, f->shard);
        break;
    case FAULT_LOAD_FAILS:
        m->loads_badly = true;
        break;
    case FAULT_TEST_WRONG:
        m->n_wrong_tests = UINT32_MAX;
        break;
    case FAULT_BAD_ARITHMETIC:
        m->is_bad = true;
        break;
    case FAULT_NO_MEMORY:
        m->memory_budget = 1000000;
        break;
    case FAULT_WRONG_KEY:
        m->has_wrong_key = true;
        break;
    default:
        break;
    }
}

static void set_corrupt(struct scenario *s, const struct fault *f, bool corrupt)
{
    for (uint32_t i = 0; i < s->world.n; i++)
        if (i != f->a && s->world.machines[i]->agent)
            s->world.machines[i]->agent->torrents.is_corrupt = corrupt;
}

static void remove_manifests(struct scenario *s)
{
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct fake_disk *disk = &s->world.machines[i]->disk;
        if (fake_disk_find(disk, SHARDS_DIR "/" MANIFEST_FILE))
            fake_disk_remove(disk, SHARDS_DIR "/" MANIFEST_FILE);
    }
}

static void inject(struct scenario *s, struct fault *f)
{
    struct world *w = &s->world;
    struct machine *m = w->machines[f->a];
    bool was_up = m->state == MACHINE_RUNS;
    switch (f->kind) {
    case FAULT_KILL:
    case FAULT_POWER:
        machine_kill(m, f->kind == FAULT_POWER);
        break;
    case FAULT_LEAVE:
        machine_leave(m);
        break;
    case FAULT_STOP:
        machine_stop(m);
        break;
    case FAULT_RESET:
        reset_links(s, f);
        break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_PAIR:
    case FAULT_ISOLATE:
    case FAULT_SPLIT:
        set_cut(s, f, true);
        break;
    case FAULT_SLOW:
        set_slow(s, f, true);
        break;
    case FAULT_CLOCK_STEP:
        m->clock.wall_offset_ms += f->step_ms;
        break;
    case FAULT_DHT_STALE:
        w->dht.stale_percent = 80;
        w->dht.keeps_dead = true;
        break;
    case FAULT_DHT_LOSS:
        w->dht.lost_percent = 90;
        break;
    case FAULT_DHT_CUT:
        if (m->agent)
            m->agent->is_cut = true;
        break;
    case FAULT_LIES:
        lie(s, f);
        break;
    case FAULT_FILE_GONE_RUNNING:
        machine_remove_shard(m, f->shard);
        break;
    case FAULT_NO_MANIFEST:
        remove_manifests(s);
        break;
    default:
        if (was_up)
            machine_kill(m, false);
        harm(s, m, f);
        if (was_up)
            machine_start(m);
        if (f->kind == FAULT_SOURCE_CORRUPT)
            set_corrupt(s, f, true);
        if (f->kind == FAULT_NOTICE_LOST && m->end)
            m->end->loses = "\"SHARD_LOADED\"";
    }
}

static void restart(struct scenario *s, struct machine *m)
{
    machine_kill(m, false);
    if (world_ms(&s->world) >= s->starts_ms[m->index])
        machine_start(m);
}

static void undo_harm(struct scenario *s, struct machine *m, const struct fault *f)
{
    const struct fake_content *right = &s->world.model.contents[f->shard];
    switch (f->kind) {
    case FAULT_FILE_WRONG:
    case FAULT_FILE_CUT:
    case FAULT_FILE_GONE:
    case FAULT_FILE_GONE_RUNNING:
    case FAULT_SOURCE_CORRUPT:
        set_corrupt(s, f, false);
        machine_put_shard(m, f->shard, right);
        break;
    case FAULT_DISK_FULL: /* it fetches by itself where it may, and where there is a source */
        m->disk.free_bytes = 1000000000000;
        machine_put_shard(m, f->shard, right);
        break;
    case FAULT_LOAD_FAILS:
        m->loads_badly = false;
        if (m->compute)
            m->compute->load_status = STATUS_OK;
        break;
    case FAULT_TEST_WRONG:
        m->n_wrong_tests = 0;
        if (m->compute)
            m->compute->n_wrong_tests = 0;
        break;
    case FAULT_BAD_ARITHMETIC:
        m->is_bad = false;
        if (m->compute)
            m->compute->is_bad = false;
        break;
    case FAULT_NO_MEMORY:
        m->memory_budget = (uint64_t)8 << 30;
        if (m->node)
            m->node->config.memory_budget = m->memory_budget;
        break;
    case FAULT_WRONG_KEY:
        m->has_wrong_key = false;
        restart(s, m);
        break;
    default:
        break;
    }
}

static void heal(struct scenario *s, struct fault *f)
{
    struct world *w = &s->world;
    struct machine *m = w->machines[f->a];
    switch (f->kind) {
    case FAULT_KILL:
    case FAULT_POWER:
    case FAULT_LEAVE:
        if (m->state != MACHINE_OFF)
            machine_kill(m, false); /* it was still saying goodbye */
        if (world_ms(w) >= s->starts_ms[f->a])
            machine_start(m);
        break;
    case FAULT_STOP:
        machine_go_on(m);
        break;
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_PAIR:
    case FAULT_ISOLATE:
    case FAULT_SPLIT:
        set_cut(s, f, false);
        break;
    case FAULT_SLOW:
        set_slow(s, f, false);
        break;
    case FAULT_CLOCK_STEP:
        m->clock.wall_offset_ms -= f->step_ms;
        break;
    case FAULT_DHT_STALE:
        w->dht.stale_percent = 0;
        w->dht.keeps_dead = false;
        break;
    case FAULT_DHT_LOSS:
        w->dht.lost_percent = 0;
        break;
    case FAULT_DHT_CUT:
        if (m->agent)
            m->agent->is_cut = false;
        break;
    case FAULT_NOTICE_LOST:
        if (m->end)
            m->end->loses = NULL;
        break;
    case FAULT_NO_MANIFEST:
        machine_put_manifest(w->machines[w->n - 1]);
        break;
    default:
        undo_harm(s, m, f);
    }
}

static void note_fault(struct scenario *s, const struct fault *f, const char *what)
{
    world_note(&s->world, "fault '%s' %s: %s, %s, shard %u", fault_name(f->kind), what,
               s->world.machines[f->a]->name, s->world.machines[f->b]->name, f->shard);
    s->changed_ms = world_ms(&s->world);
}

static void consider_fault(struct scenario *s, struct fault *f)
{
    uint64_t now = world_ms(&s->world);
    if (f->is_skipped || f->is_over)
        return;
    if (!f->is_active && now >= f->start_ms) {
        const struct machine *m = s->world.machines[f->a];
        bool is_cold = s->family == FAMILY_COLD;
        if (collides(s, f) ||
            (is_about_process(f->kind) && !is_cold && (m->state != MACHINE_RUNS || m->node->stopping))) {
            f->is_skipped = true;
            return;
        }
        note_fault(s, f, "begins");
        inject(s, f);
        f->is_active = true;
    } else if (f->is_active && now >= f->end_ms) {
        note_fault(s, f, "ends");
        f->is_active = false;
        f->is_over = true;
        heal(s, f);
    }
}

void scenario_advance(struct scenario *s)
{
    uint64_t now = world_ms(&s->world);
    bool open = false;
    for (uint32_t i = 0; i < s->n_faults; i++)
        consider_fault(s, &s->faults[i]);
    for (uint32_t i = 0; i < s->world.n; i++) {
        struct machine *m = s->world.machines[i];
        bool held_down = false;
        for (uint32_t k = 0; k < s->n_faults; k++)
            held_down |= s->faults[k].is_active && s->faults[k].a == i && (s->faults[k].kind <= FAULT_LEAVE);
        if (m->state == MACHINE_OFF && now >= s->starts_ms[i] && !held_down)
            machine_start(m);
        open |= m->state != MACHINE_RUNS;
    }
    for (uint32_t i = 0; i < s->n_faults; i++)
        open |= !s->faults[i].is_skipped && !s->faults[i].is_over;
    if (!open && !s->healed_ms) {
        s->healed_ms = now;
        s->changed_ms = now;
        world_note(&s->world, "all faults are over");
    }
}

/* --- life ------------------------------------------------------------------------------------------------ */

void scenario_draw(struct scenario *s, uint64_t seed, enum family family, bool verbose)
{
    struct rng rng = rng_seeded(rand_mix(seed, 6));
    uint32_t n_shards =
        family == FAMILY_LARGE ? 4 + (uint32_t)rng_below(&rng, 13) : 1 + (uint32_t)rng_below(&rng, 8);
    *s = (struct scenario){.family = family};
    world_init(&s->world, seed, n_shards, verbose);
    s->begin_ms = s->changed_ms = world_ms(&s->world);
    draw_swarm(s);
    draw_faults(s);
}

void scenario_free(struct scenario *s)
{
    world_free(&s->world);
}
