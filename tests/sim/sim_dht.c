#include "sim/sim_dht.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define READY_MS   30
#define REFRESH_MS 15000
#define ASK_MS     60

static uint64_t now_ms(const struct sim_dht *dht)
{
    return dht->net->clock->now_us / 1000;
}

static uint64_t sequence_of(const uint8_t *stored)
{
    struct reader r = reader_over(bytes_of(stored, 8));
    return reader_u64(&r);
}

/* --- the store ------------------------------------------------------------------------------------------- */

static struct sim_value *find(struct sim_dht *dht, const struct agent_key *key, uint64_t value_id)
{
    for (uint32_t i = 0; i < dht->n_values; i++)
        if (dht->values[i].value_id == value_id && memcmp(&dht->values[i].key, key, sizeof *key) == 0)
            return &dht->values[i];
    return NULL;
}

static void forget_expired(struct sim_dht *dht)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < dht->n_values; i++)
        if (dht->keeps_dead || dht->values[i].expires_ms > now_ms(dht))
            dht->values[kept++] = dht->values[i];
    dht->n_values = kept;
}

struct answer { /* one value on its way to one agent */
    struct sim_agent *agent;
    struct agent_key key;
    uint64_t value_id;
    size_t size;
    uint8_t stored[SIM_VALUE_BYTES];
};

static void on_answer(void *arg)
{
    struct answer *a = arg;
    const struct fake_agent *port = &a->agent->torrents;
    if (!a->agent->is_over && a->agent->is_connected)
        port->events->on_value(port->ctx, &a->key, a->value_id, bytes_of(a->stored, a->size));
    mem_free(a);
}

static void give(struct sim_agent *agent, const struct sim_value *value)
{
    struct sim_dht *dht = agent->dht;
    struct answer *a = mem_new(sizeof *a);
    bool is_old = value->old_size && rng_below(&dht->rng, 100) < dht->stale_percent;
    *a = (struct answer){.agent = agent, .key = value->key, .value_id = value->value_id};
    a->size = is_old ? value->old_size : value->size;
    memcpy(a->stored, is_old ? value->old : value->stored, a->size);
    dht->n_answers++;
    dht->n_stale += is_old;
    fake_clock_post(agent->clock, 10 + rng_below(&dht->rng, ASK_MS), on_answer, a);
}

static bool listens(const struct sim_agent *agent, const struct agent_key *key)
{
    for (uint32_t i = 0; i < agent->n_listened; i++)
        if (memcmp(&agent->listened[i], key, sizeof *key) == 0)
            return true;
    return false;
}

void sim_dht_put(struct sim_dht *dht, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct sim_value *value = find(dht, key, value_id);
    ASSERT(stored.size >= 8 && stored.size <= SIM_VALUE_BYTES);
    dht->n_puts++;
    forget_expired(dht);
    value = find(dht, key, value_id);
    if (value && sequence_of(value->stored) > sequence_of(stored.data))
        return; /* higher stays */
    if (!value) {
        ASSERT(dht->n_values < SIM_DHT_VALUES_MAX);
        value = &dht->values[dht->n_values++];
        *value = (struct sim_value){.key = *key, .value_id = value_id};
    } else if (value->size != stored.size || memcmp(value->stored, stored.data, stored.size) != 0) {
        memcpy(value->old, value->stored, value->size);
        value->old_size = value->size;
    }
    value->size = stored.size;
    memcpy(value->stored, stored.data, stored.size);
    value->expires_ms = now_ms(dht) + dht->ttl_ms;
    for (struct sim_agent *agent = dht->agents; agent; agent = agent->next)
        if (agent->is_connected && listens(agent, key))
            give(agent, value);
}

/* --- an agent -------------------------------------------------------------------------------------------- */

/* Somebody whom it was told of answers, and is not cut off itself. */
static bool can_reach(const struct sim_agent *agent)
{
    const struct sim_net *net = agent->dht->net;
    if (agent->is_cut)
        return false;
    for (uint32_t e = 0; e < agent->n_entries; e++)
        for (uint32_t i = 0; i < net->n; i++)
            if (i != agent->machine && net->ends[i] && !net->ends[i]->clock->is_stopped &&
                !net->paths[agent->machine][i].is_cut && !net->paths[i][agent->machine].is_cut &&
                address_equal(&net->addresses[i], &agent->entries[e]))
                return true;
    return false;
}

struct put { /* on its way, or its acknowledgement */
    struct sim_agent *agent;
    struct agent_key key;
    uint64_t value_id;
    bool is_done;
    size_t size;
    uint8_t stored[SIM_VALUE_BYTES];
};

static void on_put(void *arg)
{
    struct put *p = arg;
    struct sim_agent *agent = p->agent;
    const struct fake_agent *port = &agent->torrents;
    if (agent->is_over) {
        mem_free(p);
        return;
    }
    bool ok = agent->is_connected && can_reach(agent);
    bool lost = ok && rng_below(&agent->dht->rng, 100) < agent->dht->lost_percent;
    agent->dht->n_lost += lost;
    if (ok && !lost)
        sim_dht_put(agent->dht, &p->key, p->value_id, bytes_of(p->stored, p->size));
    port->events->on_announced(port->ctx, &p->key, p->value_id, ok, ok && !lost ? 3 : 0);
    mem_free(p);
}

static void put_one(struct sim_agent *agent, uint32_t i)
{
    struct put *p = mem_new(sizeof *p);
    *p = (struct put){.agent = agent,
                      .key = agent->announced[i].key,
                      .value_id = agent->announced[i].value_id,
                      .size = agent->announced[i].size};
    memcpy(p->stored, agent->announced[i].stored, p->size);
    fake_clock_post(agent->clock, 20 + rng_below(&agent->dht->rng, 100), on_put, p);
}

static void answer_all(struct sim_agent *agent, const struct agent_key *key)
{
    struct sim_dht *dht = agent->dht;
    if (!agent->is_connected || !can_reach(agent))
        return;
    forget_expired(dht);
    for (uint32_t i = 0; i < dht->n_values; i++)
        if (memcmp(&dht->values[i].key, key, sizeof *key) == 0)
            give(agent, &dht->values[i]);
}

/* Looks whether it is connected; puts what it keeps, and hears what it listens for, when it newly is. */
static void look(struct sim_agent *agent, bool refresh)
{
    bool was = agent->is_connected;
    agent->is_connected = can_reach(agent);
    if (!agent->is_connected || (was && !refresh))
        return;
    for (uint32_t i = 0; i < agent->n_announced; i++)
        put_one(agent, i);
    for (uint32_t i = 0; i < agent->n_listened && !was; i++)
        answer_all(agent, &agent->listened[i]);
}

static void on_time(void *arg)
{
    struct sim_agent *agent = arg;
    look(agent, true);
    clock_timer_set(&agent->clock->clock, agent->timer, agent->is_connected ? REFRESH_MS : 1000);
}

static void on_ready_time(void *arg)
{
    struct sim_agent *agent = arg;
    const struct fake_agent *port = &agent->torrents;
    if (!agent->is_over)
        port->events->on_ready(port->ctx, port->port, port->port);
}

/* --- operations ------------------------------------------------------------------------------------------ */

static void bootstrap(void *self, const struct address *address)
{
    struct sim_agent *agent = self;
    for (uint32_t i = 0; i < agent->n_entries; i++)
        if (address_equal(&agent->entries[i], address))
            return;
    uint32_t i = agent->n_entries < 8 ? agent->n_entries++ : (uint32_t)rng_below(&agent->dht->rng, 8);
    agent->entries[i] = *address;
    if (!agent->is_over)
        clock_timer_set(&agent->clock->clock, agent->timer, 10);
}

static void announce(void *self, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct sim_agent *agent = self;
    uint32_t i = 0;
    if (agent->is_over)
        return;
    ASSERT(stored.size <= SIM_VALUE_BYTES);
    while (i < agent->n_announced && memcmp(&agent->announced[i].key, key, sizeof *key) != 0)
        i++;
    ASSERT(i < SIM_KEYS_MAX);
    uint64_t sequence = sequence_of(stored.data);
    agent->went_back |= sequence < agent->highest;
    agent->highest = sequence > agent->highest ? sequence : agent->highest;
    agent->n_announced += i == agent->n_announced;
    agent->announced[i].key = *key;
    agent->announced[i].value_id = value_id;
    agent->announced[i].size = stored.size;
    memcpy(agent->announced[i].stored, stored.data, stored.size);
    put_one(agent, i);
}

static void retract(void *self, const struct agent_key *key, uint64_t value_id)
{
    struct sim_agent *agent = self;
    (void)value_id;
    for (uint32_t i = 0; i < agent->n_announced; i++)
        if (memcmp(&agent->announced[i].key, key, sizeof *key) == 0) {
            agent->announced[i] = agent->announced[--agent->n_announced];
            return; /* what others hold of it expires */
        }
}

static void listen(void *self, const struct agent_key *key)
{
    struct sim_agent *agent = self;
    if (listens(agent, key))
        return;
    ASSERT(agent->n_listened < 4);
    agent->listened[agent->n_listened++] = *key;
    answer_all(agent, key);
}

static void unlisten(void *self, const struct agent_key *key)
{
    struct sim_agent *agent = self;
    for (uint32_t i = 0; i < agent->n_listened; i++)
        if (memcmp(&agent->listened[i], key, sizeof *key) == 0)
            agent->listened[i--] = agent->listened[--agent->n_listened];
}

static void get(void *self, const struct agent_key *key)
{
    answer_all(self, key);
}

/* --- life ------------------------------------------------------------------------------------------------ */

void sim_dht_init(struct sim_dht *dht, struct sim_net *net, uint64_t seed)
{
    *dht = (struct sim_dht){.net = net, .rng = rng_seeded(seed), .ttl_ms = 60000};
    dht->values = mem_array(SIM_DHT_VALUES_MAX, sizeof *dht->values);
}

void sim_dht_free(struct sim_dht *dht)
{
    mem_free(dht->values);
}

void sim_agent_init(struct sim_agent *agent, struct sim_dht *dht, uint32_t machine, struct fake_clock *clock,
                    struct fake_disk *disk, struct fake_torrents *wire, const struct agent_events *events,
                    void *ctx)
{
    static struct agent_ops ops;
    char ip[ADDRESS_TEXT_BYTES];
    memset(agent, 0, sizeof *agent);
    address_ip_text(ip, &dht->net->addresses[machine]);
    fake_agent_init(&agent->torrents, clock, disk, wire, ip, (uint16_t)(dht->net->addresses[machine].port + 1));
    ops = *agent->torrents.agent.ops;
    ops.bootstrap = bootstrap;
    ops.announce = announce;
    ops.retract = retract;
    ops.listen = listen;
    ops.unlisten = unlisten;
    ops.get = get;
    agent->torrents.agent = (struct agent){.ops = &ops, .self = agent};
    agent->torrents.events = events;
    agent->torrents.ctx = ctx;
    agent->dht = dht;
    agent->machine = machine;
    agent->clock = clock;
    agent->timer = clock_timer_new(&clock->clock, on_time, agent);
    agent->next = dht->agents;
    dht->agents = agent;
    fake_clock_post(clock, READY_MS, on_ready_time, agent);
}

static void silent_torrent(void *ctx, const struct agent_torrent_status *status)
{
    (void)ctx, (void)status;
}

static void silent_peer(void *ctx, const struct agent_torrent_peer *peer)
{
    (void)ctx, (void)peer;
}

static void silent_error(void *ctx, const struct agent_key *id, const char *text)
{
    (void)ctx, (void)id, (void)text;
}

void sim_agent_free(struct sim_agent *agent)
{
    static const struct agent_events silent = {
        .on_torrent = silent_torrent, .on_torrent_peer = silent_peer, .on_torrent_error = silent_error};
    agent->torrents.events = &silent; /* what was posted may still come */
    struct sim_agent **at = &agent->dht->agents;
    while (*at != agent)
        at = &(*at)->next;
    *at = agent->next;
    agent->is_over = true;
    fake_agent_free(&agent->torrents);
    clock_timer_free(&agent->clock->clock, agent->timer);
}
