#include "sim/fake_agent.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 500

struct fake_torrent *fake_agent_find(struct fake_agent *agent, const struct agent_key *id)
{
    for (size_t i = 0; i < FAKE_TORRENTS_MAX; i++)
        if (agent->torrents[i].used && memcmp(&agent->torrents[i].id, id, sizeof *id) == 0)
            return &agent->torrents[i];
    return NULL;
}

static struct fake_torrent *make(struct fake_agent *agent)
{
    for (size_t i = 0; i < FAKE_TORRENTS_MAX; i++)
        if (!agent->torrents[i].used) {
            agent->torrents[i] = (struct fake_torrent){.used = true};
            return &agent->torrents[i];
        }
    ASSERT(!"too many torrents for a fake");
    return NULL;
}

void fake_agent_seed(struct fake_agent *agent, const struct agent_key *id)
{
    make(agent)->id = *id;
}

static char *file_path(const struct fake_torrent *t)
{
    bool is_part = t->is_fetch && !t->renamed;
    return mem_format("%s/%s%s", t->dir, *t->file ? t->file : t->name, is_part ? ".part" : "");
}

/* --- statuses ----------------------------------------------------------------------------------------- */

static void tell(struct fake_agent *agent, const struct fake_torrent *t, uint32_t n_peers, uint64_t rate,
                 const char *error)
{
    struct agent_torrent_status status = {.id = t->id,
                                          .state = t->failed      ? AGENT_TORRENT_FAILED
                                                   : !t->is_fetch ? AGENT_TORRENT_SEEDING
                                                   : t->renamed   ? AGENT_TORRENT_SEEDING
                                                   : t->finished  ? AGENT_TORRENT_FINISHED
                                                                  : AGENT_TORRENT_FETCHING,
                                          .bytes_done = t->done,
                                          .bytes_total = t->bytes,
                                          .rate_down = rate,
                                          .n_peers = n_peers,
                                          .sys_errno = t->failed ? agent->disk_errno : 0,
                                          .error = error};
    agent->events->on_torrent(agent->ctx, &status);
}

static struct fake_agent *agent_at(struct fake_torrents *wire, const char *ip, uint16_t port)
{
    for (struct fake_agent *agent = wire->agents; agent; agent = agent->next)
        if (agent->port == port && strcmp(agent->ip, ip) == 0)
            return agent;
    return NULL;
}

static void tell_corrupt(struct fake_agent *agent, const struct fake_torrent *t, const char *ip, uint16_t port)
{
    struct agent_torrent_peer peer = {
        .id = t->id, .port = port, .fault = AGENT_PEER_CORRUPT, .piece = 1, .text = "piece 1 has a wrong hash"};
    snprintf(peer.ip, sizeof peer.ip, "%s", ip);
    agent->events->on_torrent_peer(agent->ctx, &peer);
}

static void finish(struct fake_agent *agent, struct fake_torrent *t, const struct fake_agent *giver)
{
    char *path = file_path(t);
    struct fake_content content = agent->content_of(agent->content_ctx, &t->id);
    if (giver && giver->has_lie)
        content = giver->lie;
    t->finished = true;
    fake_disk_put(agent->disk, path, &content);
    mem_free(path);
}

static void fetch(struct fake_agent *agent, struct fake_torrent *t)
{
    uint64_t got = 0;
    uint32_t n_peers = 0;
    const struct fake_agent *giver = NULL;
    for (uint32_t i = 0; i < t->n_peers; i++) {
        struct fake_agent *peer = agent_at(agent->wire, t->peers[i].ip, t->peers[i].port);
        const struct fake_torrent *theirs = peer ? fake_agent_find(peer, &t->id) : NULL;
        if (!theirs || peer->is_down || t->peers[i].banned ||
            (agent->reaches && !agent->reaches(agent->reach_ctx, peer)))
            continue;
        n_peers++;
        if (theirs->is_fetch && theirs->done <= t->done)
            continue;
        if (peer->is_corrupt) {
            t->peers[i].banned = true;
            tell_corrupt(agent, t, peer->ip, peer->port);
            continue;
        }
        giver = peer;
        got += peer->rate * TICK_MS / 1000;
    }
    if (agent->disk_errno && got) {
        t->failed = true;
        char *path = file_path(t);
        char *text = mem_format("writing '%s': %s", path, strerror(agent->disk_errno));
        tell(agent, t, n_peers, 0, text);
        mem_free(text);
        mem_free(path);
        return;
    }
    t->done = t->done + got < t->bytes ? t->done + got : t->bytes;
    if (t->done == t->bytes)
        finish(agent, t, giver);
    tell(agent, t, n_peers, got * 1000 / TICK_MS, "");
}

static void on_tick(void *arg)
{
    struct fake_agent *agent = arg;
    clock_timer_set(&agent->clock->clock, agent->timer, TICK_MS);
    for (size_t i = 0; i < FAKE_TORRENTS_MAX; i++) {
        struct fake_torrent *t = &agent->torrents[i];
        if (t->used && t->is_fetch && !t->finished && !t->failed)
            fetch(agent, t);
    }
}

/* --- operations --------------------------------------------------------------------------------------- */

struct refusal {
    struct fake_agent *agent;
    struct agent_key id;
    char text[200];
};

static void on_refusal(void *arg)
{
    struct refusal *refusal = arg;
    refusal->agent->n_refused++;
    refusal->agent->events->on_torrent_error(refusal->agent->ctx, &refusal->id, refusal->text);
    mem_free(refusal);
}

static void refuse(struct fake_agent *agent, const struct agent_key *id, const char *text)
{
    struct refusal *refusal = mem_new(sizeof *refusal);
    *refusal = (struct refusal){.agent = agent, .id = *id};
    snprintf(refusal->text, sizeof refusal->text, "%s", text);
    fake_clock_post(agent->clock, 1, on_refusal, refusal);
}

static void torrent_add(void *self, const struct agent_torrent *torrent)
{
    struct fake_agent *agent = self;
    if (fake_agent_find(agent, &torrent->id)) {
        refuse(agent, &torrent->id, "this torrent was added before; remove it first");
        return;
    }
    struct fake_torrent *t = make(agent);
    agent->n_added++;
    t->id = torrent->id;
    t->is_fetch = torrent->is_fetch;
    t->bytes = torrent->bytes;
    t->done = torrent->is_fetch ? 0 : torrent->bytes;
    snprintf(t->dir, sizeof t->dir, "%s", torrent->dir);
    snprintf(t->name, sizeof t->name, "%s", torrent->name);
    snprintf(t->file, sizeof t->file, "%s", torrent->file ? torrent->file : "");
    char *path = file_path(t);
    const struct fake_file *file = fake_disk_find(agent->disk, path);
    if (!t->is_fetch && (!file || file->content.bytes != t->bytes)) {
        t->used = false;
        refuse(agent, &torrent->id, "the file is not there in full");
    }
    mem_free(path);
}

static void torrent_remove(void *self, const struct agent_key *id, bool delete_part)
{
    struct fake_agent *agent = self;
    struct fake_torrent *t = fake_agent_find(agent, id);
    if (!t)
        return;
    agent->n_removed++;
    char *path = file_path(t);
    if (delete_part && t->is_fetch && !t->renamed && fake_disk_find(agent->disk, path))
        fake_disk_remove(agent->disk, path);
    mem_free(path);
    t->used = false;
}

static void torrent_peer(void *self, const struct agent_key *id, const char *ip, uint16_t port)
{
    struct fake_agent *agent = self;
    struct fake_torrent *t = fake_agent_find(agent, id);
    for (uint32_t i = 0; t && i < t->n_peers; i++)
        if (t->peers[i].port == port && strcmp(t->peers[i].ip, ip) == 0)
            return;
    if (!t || t->n_peers == FAKE_TORRENT_PEERS_MAX)
        return;
    snprintf(t->peers[t->n_peers].ip, sizeof t->peers[0].ip, "%s", ip);
    t->peers[t->n_peers++].port = port;
}

static void torrent_rename(void *self, const struct agent_key *id)
{
    struct fake_agent *agent = self;
    struct fake_torrent *t = fake_agent_find(agent, id);
    ASSERT(t && t->finished);
    agent->n_renamed++;
    t->renamed = true;
}

static void torrent_retry(void *self, const struct agent_key *id)
{
    struct fake_agent *agent = self;
    struct fake_torrent *t = fake_agent_find(agent, id);
    if (t)
        t->failed = false;
    agent->n_retried++;
}

static void bootstrap(void *self, const struct address *address)
{
    (void)self, (void)address;
}

static void announce(void *self, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    (void)self, (void)key, (void)value_id, (void)stored;
}

static void retract(void *self, const struct agent_key *key, uint64_t value_id)
{
    (void)self, (void)key, (void)value_id;
}

static void with_key(void *self, const struct agent_key *key)
{
    (void)self, (void)key;
}

static void torrent_members(void *self, const struct address *members, size_t n)
{
    (void)self, (void)members, (void)n;
}

static void limits(void *self, uint64_t upload_rate, uint64_t download_rate)
{
    (void)self, (void)upload_rate, (void)download_rate;
}

void fake_agent_init(struct fake_agent *agent, struct fake_clock *clock, struct fake_disk *disk,
                     struct fake_torrents *wire, const char *ip, uint16_t port)
{
    static const struct agent_ops ops = {.bootstrap = bootstrap,
                                         .announce = announce,
                                         .retract = retract,
                                         .listen = with_key,
                                         .unlisten = with_key,
                                         .get = with_key,
                                         .torrent_add = torrent_add,
                                         .torrent_remove = torrent_remove,
                                         .torrent_peer = torrent_peer,
                                         .torrent_members = torrent_members,
                                         .torrent_rename = torrent_rename,
                                         .torrent_retry = torrent_retry,
                                         .limits = limits};
    *agent = (struct fake_agent){
        .clock = clock, .disk = disk, .wire = wire, .port = port, .rate = 100000000, .next = wire->agents};
    agent->agent = (struct agent){.ops = &ops, .self = agent};
    snprintf(agent->ip, sizeof agent->ip, "%s", ip);
    wire->agents = agent;
    agent->timer = clock_timer_new(&clock->clock, on_tick, agent);
    clock_timer_set(&clock->clock, agent->timer, TICK_MS);
}

void fake_agent_free(struct fake_agent *agent)
{
    struct fake_agent **at = &agent->wire->agents;
    while (*at != agent)
        at = &(*at)->next;
    *at = agent->next;
    clock_timer_free(&agent->clock->clock, agent->timer);
}
