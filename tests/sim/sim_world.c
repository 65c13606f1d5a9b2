#include "sim/sim_world.h"

#include "base/mem.h"
#include "sim/sim_crypto.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_MS 120000

static struct world *the_world; /* look_at_host has no argument */

/* --- the trace ------------------------------------------------------------------------------------------- */

uint64_t world_ms(const struct world *world)
{
    return world->clock.now_us / 1000;
}

/* The hash takes what happened, when and where; never bytes that were drawn at random. */
static void mix(struct sim_trace *trace, uint64_t value)
{
    trace->hash = rand_mix(trace->hash, value);
}

static char *new_line(struct world *world)
{
    struct sim_trace *trace = &world->trace;
    trace->n_lines++;
    return trace->lines[trace->next++ % (sizeof trace->lines / sizeof *trace->lines)];
}

void world_note(struct world *world, const char *format, ...)
{
    char *line = new_line(world);
    size_t size = sizeof world->trace.lines[0];
    int n = snprintf(line, size, "%9.3f  ", (double)(world->clock.now_us - 5000000) / 1e6);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, size - (size_t)n, format, args);
    va_end(args);
    for (const char *c = line; *c; c++)
        mix(&world->trace, (uint8_t)*c);
    if (world->trace.is_verbose)
        printf("%s\n", line);
}

static void note_net(void *ctx, uint32_t at, uint32_t from, const char *what, unsigned kind, size_t bytes)
{
    struct world *world = ctx;
    mix(&world->trace, world->clock.now_us << 16 | at << 8 | (from & 0xff));
    mix(&world->trace, (uint64_t)bytes << 8 | kind);
    bool is_frame = kind && from != UINT32_MAX;
    if (is_frame && kind != FRAME_STEP_FAIL)
        return; /* too many to be read */
    char *line = new_line(world);
    snprintf(line, sizeof world->trace.lines[0], "%9.3f  %s: %s%s%s",
             (double)(world->clock.now_us - 5000000) / 1e6, world->machines[at]->name, what,
             from == UINT32_MAX ? ""
             : is_frame         ? " from "
                                : " with ",
             from == UINT32_MAX ? "" : world->machines[from]->name);
    if (world->trace.is_verbose)
        printf("%s\n", line);
}

void world_fail(struct world *world, const char *invariant, const char *format, ...)
{
    va_list args;
    if (world->failed)
        return;
    world->failed = invariant;
    va_start(args, format);
    vsnprintf(world->why, sizeof world->why, format, args);
    va_end(args);
    world_note(world, "%s: %s", invariant, world->why);
}

/* --- machines -------------------------------------------------------------------------------------------- */

static void look_at_host(struct node_host *out)
{
    const struct fake_clock *current = the_world->clock.current;
    *out = (struct node_host){.n_cores = 4,
                              .ram_total = (uint64_t)16 << 30,
                              .ram_free = (uint64_t)12 << 30,
                              .memory_bandwidth = 20000000000};
    snprintf(out->cpu, sizeof out->cpu, "ref");
    for (uint32_t i = 0; i < the_world->n; i++)
        if (!current || current == &the_world->machines[i]->clock)
            snprintf(out->boot_id, sizeof out->boot_id, "boot-%u", i);
}

static struct fake_content content_of_torrent(void *ctx, const struct agent_key *id)
{
    const struct world *world = ctx;
    for (uint32_t k = 0; k < world->model.n_shards; k++)
        if (memcmp(world->model.contents[k].sha256.bytes, id->bytes, sizeof id->bytes) == 0)
            return world->model.contents[k];
    ASSERT(!"a torrent of no shard");
    return (struct fake_content){0};
}

static bool torrent_reaches(void *ctx, const struct fake_agent *peer)
{
    const struct machine *m = ctx;
    const struct sim_agent *other = (const struct sim_agent *)peer;
    const struct sim_net *net = &m->world->net;
    const struct sim_end *end = net->ends[other->machine];
    return end && !end->clock->is_stopped && !net->paths[m->index][other->machine].is_cut &&
           !net->paths[other->machine][m->index].is_cut;
}

struct machine *world_add(struct world *world, enum node_role role)
{
    struct machine *m = mem_new(sizeof *m);
    uint32_t i = world->n;
    ASSERT(i < SIM_ENDS_MAX);
    m->world = world;
    m->index = i;
    m->role = role;
    key_pair_new(&m->pair);
    memcpy(m->id.bytes, m->pair.public_key.bytes, sizeof m->id.bytes);
    snprintf(m->name, sizeof m->name, "%c%u", "ensd"[role], i);
    fake_clock_init_machine(&m->clock, &world->clock);
    fake_disk_init(&m->disk, &m->clock);
    m->fetch_allowed = m->knows_entry = true;
    m->memory_budget = (uint64_t)8 << 30;
    world->net.addresses[i] = (struct address){.family = 4, .ip = {10, 0, 0, (uint8_t)(1 + i)}, .port = 7400};
    world->machines[i] = m;
    world->n = world->net.n = i + 1;
    return m;
}

static char *shard_path(const struct machine *m, uint32_t id)
{
    return mem_format("%s/%s", SHARDS_DIR, m->world->model.manifest->shards[id].file);
}

void machine_put_shard(struct machine *m, uint32_t id, const struct fake_content *content)
{
    char *path = shard_path(m, id);
    fake_disk_put(&m->disk, path, content);
    mem_free(path);
}

bool machine_has_file(struct machine *m, uint32_t id)
{
    char *path = shard_path(m, id);
    bool has = fake_disk_find(&m->disk, path) != NULL;
    mem_free(path);
    return has;
}

void machine_remove_shard(struct machine *m, uint32_t id)
{
    char *path = shard_path(m, id);
    if (fake_disk_find(&m->disk, path))
        fake_disk_remove(&m->disk, path);
    mem_free(path);
}

void machine_put_manifest(struct machine *m)
{
    const struct sim_model *model = &m->world->model;
    fake_disk_write(&m->disk, SHARDS_DIR "/" MANIFEST_FILE, manifest_text(model->manifest));
    fake_disk_write(&m->disk, SHARDS_DIR "/" TOKENIZER_FILE, buffer_view(&model->tokenizer));
}

bool machine_is_assigned(const struct machine *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->n_shard_ids; i++)
        if (m->shard_ids[i] == id)
            return true;
    return false;
}

bool machine_computes(const struct machine *m, uint32_t id)
{
    return m->state != MACHINE_OFF && m->compute && m->compute->held[id].is_entered;
}

/* --- a run of its process -------------------------------------------------------------------------------- */

static void fill_config(struct machine *m, struct node_config *config)
{
    struct world *world = m->world;
    *config =
        (struct node_config){.role = m->role,
                             .credentials = m->has_wrong_key ? &world->wrong_credentials : &world->credentials,
                             .pair = &m->pair,
                             .epoch = m->epoch,
                             .addresses = {world->net.addresses[m->index]},
                             .n_addresses = 1,
                             .shard_ids = m->shard_ids,
                             .n_shard_ids = m->n_shard_ids,
                             .shards_dir = SHARDS_DIR,
                             .state_dir = STATE_DIR,
                             .fetch_allowed = m->fetch_allowed,
                             .n_threads = 4,
                             .n_ctx = 4096,
                             .n_slots = 8,
                             .arithmetic = 1,
                             .memory_budget = m->memory_budget,
                             .refresh_interval_s = 60,
                             .status_interval_s = 30};
    struct discovery_host first = {.host = "10.0.0.1", .port = 7400};
    if (m->index && m->knows_entry)
        config->entries[config->n_entries++] = first;
    if (m->index && m->knows_peer)
        config->peers[config->n_peers++] = first;
}

void machine_start(struct machine *m)
{
    struct world *world = m->world;
    struct node_config config;
    int64_t wall = clock_wall_ms(&m->clock.clock);
    ASSERT(m->state == MACHINE_OFF);
    /* As identity_open does it. */
    m->epoch = m->epoch >= (uint64_t)wall ? m->epoch + 1 : (uint64_t)wall;
    m->state = MACHINE_RUNS;
    m->started_ms = m->changed_ms = world_ms(world);
    m->false_ready_ms = 0;
    m->said[0] = '\0';
    world->net.is_off[m->index] = false;
    m->end = sim_end_new(&world->net, m->index, &m->clock, &m->id, m->role, m->epoch);
    m->end->swarm_key = m->has_wrong_key;
    m->end->events = node_links_events();
    if (m->role != ROLE_ENTRY) {
        m->compute = mem_new(sizeof *m->compute);
        fake_compute_init(m->compute, &m->clock, &m->disk);
        m->compute->step_ms = 2;
        m->compute->is_bad = m->is_bad;
        m->compute->n_wrong_tests = m->n_wrong_tests;
        m->compute->load_status = m->loads_badly ? STATUS_BAD_DATA : STATUS_OK;
    }
    m->agent = mem_new(sizeof *m->agent);
    sim_agent_init(m->agent, &world->dht, m->index, &m->clock, &m->disk, &world->wire, node_agent_events(),
                   NULL);
    m->agent->torrents.content_of = content_of_torrent;
    m->agent->torrents.content_ctx = world;
    m->agent->torrents.reaches = torrent_reaches;
    m->agent->torrents.reach_ctx = m;
    m->agent->highest = m->sequence_seen;
    fill_config(m, &config);
    struct node_ports ports = {.look_at_host = look_at_host,
                               .clock = &m->clock.clock,
                               .links = m->end->links,
                               .agent = &m->agent->torrents.agent,
                               .disk = &m->disk.disk,
                               .compute = m->compute ? &m->compute->compute : NULL};
    world->clock.current = &m->clock;
    m->node = node_new(&config, &ports);
    m->end->ctx = m->agent->torrents.ctx = m->node;
    node_start(m->node);
    world->clock.current = NULL;
    world_note(world, "%s starts, epoch %llu", m->name, (unsigned long long)m->epoch);
}

static void end_process(struct machine *m, bool power_loss)
{
    struct world *world = m->world;
    if (m->state == MACHINE_STOPPED)
        fake_clock_go_on(&m->clock);
    m->state = MACHINE_OFF;
    m->changed_ms = world_ms(world);
    m->sequence_seen = m->agent->highest;
    world->net.is_off[m->index] = power_loss;
    m->agent->is_over = true;
    sim_end_free(m->end);
    if (m->compute)
        fake_compute_stop(m->compute);
    node_free(m->node);
    if (m->compute)
        fake_compute_halt(m->compute);
    mem_free(m->compute);
    fake_disk_halt(&m->disk, power_loss);
    sim_agent_free(m->agent);
    world->dead_agents = mem_resize(world->dead_agents, world->n_dead_agents + 1, sizeof *world->dead_agents);
    world->dead_agents[world->n_dead_agents++] = m->agent;
    m->node = NULL;
    m->compute = NULL;
    m->agent = NULL;
    m->end = NULL;
}

void machine_kill(struct machine *m, bool power_loss)
{
    if (m->state == MACHINE_OFF)
        return;
    world_note(m->world, "%s %s", m->name, power_loss ? "loses power" : "is killed");
    end_process(m, power_loss);
}

static void on_left(void *arg)
{
    struct machine *m = arg;
    if (m->state != MACHINE_OFF && m->node->stopping)
        machine_kill(m, false);
}

static void on_stopped(void *ctx)
{
    struct machine *m = ctx;
    fake_clock_post(&m->world->clock, 1, on_left, m);
}

void machine_leave(struct machine *m)
{
    if (m->state != MACHINE_RUNS || m->node->stopping)
        return;
    world_note(m->world, "%s leaves", m->name);
    m->changed_ms = world_ms(m->world);
    node_stop(m->node, on_stopped, m);
}

void machine_stop(struct machine *m)
{
    if (m->state != MACHINE_RUNS)
        return;
    world_note(m->world, "%s is stopped", m->name);
    m->state = MACHINE_STOPPED;
    m->changed_ms = world_ms(m->world);
    fake_clock_stop(&m->clock);
}

void machine_go_on(struct machine *m)
{
    if (m->state != MACHINE_STOPPED)
        return;
    world_note(m->world, "%s goes on", m->name);
    m->state = MACHINE_RUNS;
    m->changed_ms = world_ms(m->world);
    m->false_ready_ms = 0;
    fake_clock_go_on(&m->clock);
}

/* --- the world ------------------------------------------------------------------------------------------- */

void world_init(struct world *world, uint64_t seed, uint32_t n_shards, bool verbose)
{
    *world = (struct world){.seed = seed, .rng = rng_seeded(rand_mix(seed, 1))};
    the_world = world;
    sim_crypto_seed(rand_mix(seed, 2));
    world->trace.is_verbose = verbose;
    fake_clock_init(&world->clock);
    sim_net_init(&world->net, &world->clock, rand_mix(seed, 3));
    world->net.note = note_net;
    world->net.note_ctx = world;
    sim_dht_init(&world->dht, &world->net, rand_mix(seed, 4));
    sim_model_init(&world->model, n_shards, &world->rng);
    crypto_random(&world->credentials.swarm_key, sizeof world->credentials.swarm_key);
    world->credentials.owner = world->model.owner.public_key;
    snprintf(world->credentials.cluster, sizeof world->credentials.cluster, "%s", CLUSTER_DEFAULT);
    world->wrong_credentials = world->credentials;
    world->wrong_credentials.swarm_key.bytes[0] ^= 1;
}

void world_free(struct world *world)
{
    world->clock.fired = NULL;
    world->net.note = NULL;
    for (uint32_t i = 0; i < world->n; i++)
        if (world->machines[i]->state != MACHINE_OFF)
            end_process(world->machines[i], false);
    fake_clock_run(&world->clock, DRAIN_MS);
    sim_net_free(&world->net);
    sim_dht_free(&world->dht);
    for (uint32_t i = 0; i < world->n_dead_agents; i++)
        mem_free(world->dead_agents[i]);
    mem_free(world->dead_agents);
    for (uint32_t i = 0; i < world->n; i++) {
        fake_disk_free(&world->machines[i]->disk);
        fake_clock_free(&world->machines[i]->clock);
        mem_free(world->machines[i]);
    }
    sim_model_free(&world->model);
    fake_clock_free(&world->clock);
}
