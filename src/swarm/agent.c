/* The real agent: operations are kept (agent_state.c) and said to the child (agent_process.c). */
#include "swarm/agent.h"

#include "base/hash.h"
#include "base/mem.h"
#include "net/loop.h"
#include "swarm/agent_private.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(struct agent_real *agent, struct jv *command)
{
    agent_process_say(agent, command);
}

/* --- the DHT --------------------------------------------------------------------------------------------- */

static void bootstrap(void *self, const struct address *address)
{
    struct agent_real *agent = self;
    if (agent_state_bootstrap(&agent->state, address))
        say(agent, agent_say_bootstrap(address));
}

static void announce(void *self, const struct agent_key *key, uint64_t value_id, struct bytes stored)
{
    struct agent_real *agent = self;
    struct agent_announced announced = {
        .key = *key, .value_id = value_id, .data = (uint8_t *)stored.data, .size = stored.size};
    ASSERT(stored.size >= AGENT_VALUE_BYTES_MIN && stored.size <= AGENT_VALUE_BYTES_MAX);
    if (agent_state_announce(&agent->state, key, value_id, stored))
        say(agent, agent_say_announce(&announced));
}

static void retract(void *self, const struct agent_key *key, uint64_t value_id)
{
    struct agent_real *agent = self;
    if (!agent_state_retract(&agent->state, key, value_id))
        return;
    struct agent_announced announced = {.key = *key, .value_id = value_id};
    struct jv *command = agent_say_announce(&announced);
    jv_set_text(command, AGENT_DO, AGENT_DO_RETRACT);
    jv_remove(command, "data");
    say(agent, command);
}

static void listen_to(void *self, const struct agent_key *key)
{
    struct agent_real *agent = self;
    if (agent_state_listen(&agent->state, key))
        say(agent, agent_say_key(AGENT_DO_LISTEN, "key", key));
}

static void unlisten(void *self, const struct agent_key *key)
{
    struct agent_real *agent = self;
    if (agent_state_unlisten(&agent->state, key))
        say(agent, agent_say_key(AGENT_DO_UNLISTEN, "key", key));
}

static void get(void *self, const struct agent_key *key)
{
    say(self, agent_say_key(AGENT_DO_GET, "key", key));
}

static void network_changed(void *self)
{
    say(self, agent_say(AGENT_DO_NETWORK_CHANGED));
}

/* --- torrents -------------------------------------------------------------------------------------------- */

/* The child's rights are to the folders that stood there when it was started. One that was made anew under the
 * same name is another folder; only a new child may write into it. */
static void follow_folders(struct agent_real *agent)
{
    for (size_t i = 0; i < agent->n_folders; i++) {
        struct agent_folder *folder = &agent->folders[i];
        struct stat at;
        if (stat(folder->absolute, &at) == 0 &&
            ((uint64_t)at.st_dev != folder->device || (uint64_t)at.st_ino != folder->inode)) {
            agent_process_restart(agent);
            return;
        }
    }
}

static const char *absolute_dir(const struct agent_real *agent, const char *dir)
{
    for (size_t i = 0; i < agent->n_folders; i++)
        if (strcmp(agent->folders[i].given, dir) == 0)
            return agent->folders[i].absolute;
    return dir; /* the child will refuse it by name */
}

static void torrent_add(void *self, const struct agent_torrent *torrent)
{
    struct agent_real *agent = self;
    follow_folders(agent);
    agent_state_torrent_remove(&agent->state, &torrent->id);
    const struct agent_kept_torrent *kept =
        agent_state_torrent_add(&agent->state, torrent, absolute_dir(agent, torrent->dir));
    if (kept)
        say(agent, agent_say_torrent(kept));
}

static void torrent_remove(void *self, const struct agent_key *id, bool delete_part)
{
    struct agent_real *agent = self;
    struct agent_kept_torrent *t = agent_state_torrent(&agent->state, id);
    if (!t)
        return;
    struct jv *command = agent_say_key(AGENT_DO_TORRENT_REMOVE, "id", id);
    jv_set_bool(command, "delete_part", delete_part);
    if (!agent->pid && delete_part && t->is_fetch) { /* nobody else would do it */
        char *path = mem_format("%s/%s%s", t->dir, t->name, AGENT_PART_SUFFIX);
        unlink(path);
        mem_free(path);
    }
    agent_state_torrent_remove(&agent->state, id);
    say(agent, command);
}

static void torrent_peer(void *self, const struct agent_key *id, const char *ip, uint16_t port)
{
    struct agent_real *agent = self;
    struct agent_kept_torrent *t = agent_state_torrent(&agent->state, id);
    struct address peer;
    if (t && port && address_parse_ip(&peer, ip, port) && agent_state_torrent_peer(t, &peer))
        say(agent, agent_say_torrent_peer(id, &peer));
}

static void torrent_members(void *self, const struct address *members, size_t n)
{
    struct agent_real *agent = self;
    if (agent->state.has_members && agent->state.n_members == n &&
        (n == 0 || memcmp(agent->state.members, members, n * sizeof *members) == 0))
        return;
    agent_state_members(&agent->state, members, n);
    say(agent, agent_say_members(&agent->state));
}

static void torrent_rename(void *self, const struct agent_key *id)
{
    struct agent_real *agent = self;
    struct agent_kept_torrent *t = agent_state_torrent(&agent->state, id);
    if (!t || !t->is_fetch)
        return;
    t->is_fetch = false; /* a new child seeds NAME */
    say(agent, agent_say_key(AGENT_DO_TORRENT_RENAME, "id", id));
}

static void torrent_pause(void *self, const struct agent_key *id, bool paused)
{
    struct agent_real *agent = self;
    struct agent_kept_torrent *t = agent_state_torrent(&agent->state, id);
    if (!t)
        return;
    t->paused = paused;
    struct jv *command = agent_say_key(AGENT_DO_TORRENT_PAUSE, "id", id);
    jv_set_bool(command, "paused", paused);
    say(agent, command);
}

static void torrent_retry(void *self, const struct agent_key *id)
{
    struct agent_real *agent = self;
    if (!agent_state_torrent(&agent->state, id))
        return;
    follow_folders(agent);
    say(agent, agent_say_key(AGENT_DO_TORRENT_RETRY, "id", id));
}

static void limits(void *self, uint64_t upload_rate, uint64_t download_rate)
{
    struct agent_real *agent = self;
    agent->state.upload_rate = upload_rate;
    agent->state.download_rate = download_rate;
    say(agent, agent_say_limits(&agent->state));
}

static const struct agent_ops OPS = {.bootstrap = bootstrap,
                                     .announce = announce,
                                     .retract = retract,
                                     .listen = listen_to,
                                     .unlisten = unlisten,
                                     .get = get,
                                     .torrent_add = torrent_add,
                                     .torrent_remove = torrent_remove,
                                     .torrent_peer = torrent_peer,
                                     .torrent_members = torrent_members,
                                     .torrent_rename = torrent_rename,
                                     .torrent_retry = torrent_retry,
                                     .torrent_pause = torrent_pause,
                                     .network_changed = network_changed,
                                     .limits = limits};

/* --- life ------------------------------------------------------------------------------------------------ */

static char *program_beside_us(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return mem_string("shoal-agent");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    return mem_format("%.*s/shoal-agent", (int)(slash - path), path);
}

static enum status take_folders(struct agent_real *agent, const struct agent_config *config, struct error *err)
{
    if (config->n_dirs > AGENT_DIRS_MAX)
        return error_set(err, STATUS_LIMIT, "%zu folders for shards; the limit is %d", config->n_dirs,
                         AGENT_DIRS_MAX);
    agent->folders = mem_array(config->n_dirs, sizeof *agent->folders);
    for (size_t i = 0; i < config->n_dirs; i++) {
        char absolute[PATH_MAX];
        if (!realpath(config->dirs[i], absolute))
            return error_set_errno(err, STATUS_IO, errno, "cannot use the folder '%s' for shards",
                                   config->dirs[i]);
        agent->folders[i].given = mem_string(config->dirs[i]);
        agent->folders[i].absolute = mem_string(absolute);
        agent->n_folders++;
    }
    return STATUS_OK;
}

static void take_config(struct agent_real *agent, const struct agent_config *config)
{
    uint8_t digest[SHA1_BYTES];
    const char *network = config->network ? config->network : "";
    const char *ip = config->listen_ip ? config->listen_ip : "";

    sha1_of(digest, network, strlen(network));
    agent->network =
        (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3] | 1;
    agent->program = config->program ? mem_string(config->program) : program_beside_us();
    agent->mac_key = config->mac_key;
    agent->node_id = config->node_id;
    if (!strchr(ip, ':'))
        agent->bind4 = mem_string(ip[0] ? ip : "0.0.0.0");
    if (!ip[0] || strchr(ip, ':'))
        agent->bind6 = mem_string(ip[0] ? ip : "::");
    agent->dht_port = config->dht_port;
    agent->torrent_port = config->torrent_port;
    agent->dht_port_any = config->dht_port == 0;
    agent->torrent_port_any = config->torrent_port == 0;
    agent->torrent_port_fixed = config->torrent_port_fixed;
    agent->value_ttl_s = config->value_ttl_s ? config->value_ttl_s : AGENT_VALUE_TTL_S;
    agent->state.upload_rate = config->upload_rate;
}

enum status agent_real_new(struct agent **out, struct loop *loop, const struct agent_config *config,
                           const struct agent_events *events, void *ctx, struct error *err)
{
    struct agent_real *agent = mem_new(sizeof *agent);
    agent->base = (struct agent){.ops = &OPS, .self = agent};
    agent->loop = loop;
    agent->events = events;
    agent->ctx = ctx;
    agent->fd = -1;
    agent->restart_timer = agent_process_timer(agent);
    take_config(agent, config);
    enum status status = take_folders(agent, config, err);
    if (!status)
        status = agent_process_start(agent, err);
    if (status) {
        agent_real_free(&agent->base);
        return error_wrap(err, status, "the agent for DHT and BitTorrent");
    }
    *out = &agent->base;
    return STATUS_OK;
}

void agent_real_free(struct agent *base)
{
    if (!base)
        return;
    struct agent_real *agent = base->self;
    agent_process_stop(agent);
    agent_state_clear(&agent->state);
    for (size_t i = 0; i < agent->n_folders; i++) {
        mem_free(agent->folders[i].given);
        mem_free(agent->folders[i].absolute);
    }
    mem_free(agent->folders);
    mem_free(agent->program);
    mem_free(agent->bind4);
    mem_free(agent->bind6);
    crypto_wipe(&agent->mac_key, sizeof agent->mac_key);
    mem_free(agent);
}

int32_t agent_real_pid(const struct agent *base)
{
    const struct agent_real *agent = base->self;
    return agent->pid;
}
