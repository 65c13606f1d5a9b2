#include "app/process.h"

#include "api/api.h"
#include "app/commands.h"
#include "app/host.h"
#include "app/options.h"
#include "app/run_folder.h"
#include "app/start.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "net/loop.h"
#include "net/port.h"
#include "node/node.h"
#include "swarm/identity.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define BACKGROUND_THREADS      4 /* a hash, a load, and looks at folders beside them */
#define SHARDS_DIR_DEFAULT_PATH "models_cache/shards"

struct process {
    enum node_role role;
    enum start_step step; /* what the start is at */
    struct options options;
    struct credentials credentials;
    struct swarm_keys keys;
    struct identity *identity;
    struct loop *loop;
    struct pool *pool;
    struct links *links;
    struct agent *agent;
    struct disk *disk;
    struct compute *compute;
    struct node *node;
    struct api *api;
    struct run_entry run_entry;
    char shards_place[PATH_MAX]; /* the shards folder from the root on */
    struct signal_watch *signals[2];
};

/* --- credentials ----------------------------------------------------------------------------------------- */

static enum status find_credentials(struct process *p, struct error *err)
{
    const struct options *o = &p->options;
    enum status status;
    if (o->token) {
        status = credentials_parse_token(&p->credentials, o->token, err);
        if (!status)
            status = credentials_save(&p->credentials, err);
    } else {
        status = credentials_load(&p->credentials, o->key_file, err);
        if (status == STATUS_NOT_FOUND && o->key_file)
            return error_set(err, STATUS_NOT_FOUND,
                             "--key '%s': there is no such file; `shoal init` makes one (swarm.key in "
                             "$XDG_CONFIG_HOME/shoal "
                             "or ~/.config/shoal)",
                             o->key_file);
        if (status == STATUS_NOT_FOUND)
            return error_set(
                err, STATUS_NOT_FOUND,
                "this machine has no swarm key; `shoal init` makes one, or give the join token that "
                "it printed on the first machine");
    }
    if (status)
        return status;
    if (o->cluster) {
        if (!cluster_name_is_valid(o->cluster))
            return error_set(err, STATUS_BAD_USAGE,
                             "--cluster '%s': up to 63 letters, digits, '.', '_' and '-' are allowed",
                             o->cluster);
        snprintf(p->credentials.cluster, sizeof p->credentials.cluster, "%s", o->cluster);
    }
    credentials_derive(&p->keys, &p->credentials);
    return STATUS_OK;
}

/* --- events that come before there is a node are dropped; afterwards they are the node's ----------------- */

static void on_up(void *ctx, const struct link_info *info)
{
    struct process *p = ctx;
    if (p->node)
        node_links_events()->on_up(p->node, info);
}
static void on_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    struct process *p = ctx;
    if (p->node)
        node_links_events()->on_down(p->node, last, fault, text);
}
static void on_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    struct process *p = ctx;
    if (p->node)
        node_links_events()->on_frame(p->node, peer, kind, payload);
}
static void on_failed(void *ctx, const struct link_attempt *attempt)
{
    struct process *p = ctx;
    if (p->node)
        node_links_events()->on_failed(p->node, attempt);
}

/* --- ports ----------------------------------------------------------------------------------------------- */

static uint16_t links_port_wanted(const struct process *p)
{
    return p->options.port || p->role != ROLE_ENTRY ? p->options.port : ENTRY_PORT_DEFAULT;
}

static enum status make_links(struct process *p, struct error *err)
{
    static const struct links_events events = {
        .on_up = on_up, .on_down = on_down, .on_frame = on_frame, .on_failed = on_failed};
    const struct options *o = &p->options;
    struct links_config config = {.identity = p->identity,
                                  .psk = p->keys.link_psk,
                                  .role = p->role,
                                  .cluster = p->credentials.cluster,
                                  .listen_ip = o->listen ? o->listen : "",
                                  .port = links_port_wanted(p),
                                  .arithmetic = ARITHMETIC_VERSION};
    enum status status = links_new(&p->links, p->loop, &config, &events, p, err);
    /* The DHT has the same port over UDP; the agent opens it later and could only fail. */
    if (!status && !port_is_free(config.listen_ip, links_port(p->links), true))
        status = port_in_use(err, "the DHT", config.listen_ip, links_port(p->links), true);
    return status;
}

static enum status make_compute(struct process *p, struct error *err)
{
    const struct options *o = &p->options;
    struct engine_config config = {.n_threads = o->n_threads ? o->n_threads : host_n_cores(),
                                   .n_ctx = o->n_ctx,
                                   .n_slots = o->n_slots,
                                   .kv_type = o->kv_type};
    if (p->role == ROLE_ENTRY)
        return STATUS_OK;
    return compute_real_new(&p->compute, p->loop, p->pool, &config, err);
}

/* The agent's events, the same way. */
#define FORWARD(name, parameters, ...)                                                                         \
    static void name parameters                                                                                \
    {                                                                                                          \
        struct process *p = ctx;                                                                               \
        if (p->node && node_agent_events()->name)                                                              \
            node_agent_events()->name(p->node, __VA_ARGS__);                                                   \
    }
FORWARD(on_ready, (void *ctx, uint16_t dht_port, uint16_t torrent_port), dht_port, torrent_port)
FORWARD(on_value, (void *ctx, const struct agent_key *key, uint64_t value_id, struct bytes stored), key,
        value_id, stored)
FORWARD(on_announced, (void *ctx, const struct agent_key *key, uint64_t value_id, bool ok, uint32_t n_acked),
        key, value_id, ok, n_acked)
FORWARD(on_dht, (void *ctx, const struct agent_dht *dht), dht)
FORWARD(on_torrent, (void *ctx, const struct agent_torrent_status *status), status)
FORWARD(on_torrent_peer, (void *ctx, const struct agent_torrent_peer *peer), peer)
FORWARD(on_torrent_error, (void *ctx, const struct agent_key *id, const char *text), id, text)
FORWARD(on_crashed, (void *ctx, const char *why, uint32_t restart_in_ms, uint32_t n_crashes), why,
        restart_in_ms, n_crashes)
FORWARD(on_error, (void *ctx, const char *about, const char *text), about, text)

static const char *shards_dir(const struct process *p)
{
    return p->options.shards_dir ? p->options.shards_dir : SHARDS_DIR_DEFAULT_PATH;
}

static enum status make_agent(struct process *p, struct error *err)
{
    static const struct agent_events events = {.on_ready = on_ready,
                                               .on_value = on_value,
                                               .on_announced = on_announced,
                                               .on_dht = on_dht,
                                               .on_torrent = on_torrent,
                                               .on_torrent_peer = on_torrent_peer,
                                               .on_torrent_error = on_torrent_error,
                                               .on_crashed = on_crashed,
                                               .on_error = on_error};
    const struct options *o = &p->options;
    const char *dirs[1] = {shards_dir(p)};
    uint16_t port = links_port(p->links);
    struct agent_config config = {.mac_key = p->keys.dht_mac,
                                  .network = p->credentials.cluster,
                                  .listen_ip = o->listen ? o->listen : "",
                                  .dht_port = port,
                                  .torrent_port = o->torrent_port ? o->torrent_port : (uint16_t)(port + 1),
                                  .torrent_port_fixed = o->torrent_port != 0,
                                  .dirs = dirs,
                                  .n_dirs = p->role == ROLE_ENTRY ? 0 : 1,
                                  .upload_rate = o->max_upload};
    struct node_id self = identity_id(p->identity);
    struct shared_key derived =
        crypto_derive(&p->keys.dht_mac, "dht node", bytes_of(self.bytes, sizeof self.bytes));
    memcpy(config.node_id.bytes, derived.bytes, sizeof config.node_id.bytes);
    return agent_real_new(&p->agent, p->loop, &config, &events, p, err);
}

/* The shards folder, made if need be: the agent may write there and nowhere else. */
static enum status make_shards_dir(const struct process *p, struct error *err)
{
    enum status status = file_make_folder(shards_dir(p), err);
    return status ? error_wrap(err, status, "the shards folder (--shards-dir)") : STATUS_OK;
}

static enum status make_ports(struct process *p, struct error *err)
{
    enum status status;
    p->step = START_DESCRIPTORS;
    if ((status = loop_new(&p->loop, err)) || (status = start_check_descriptors(err)))
        return status;
    p->step = START_SHARDS_DIR;
    p->pool = pool_new(BACKGROUND_THREADS, "shoal-back");
    p->disk = disk_real_new(p->loop, p->pool, identity_dir(p->identity));
    if (p->role != ROLE_ENTRY && (status = make_shards_dir(p, err)))
        return status;
    p->step = START_LINKS;
    if ((status = make_links(p, err)))
        return status;
    p->step = START_OTHER;
    if ((status = make_compute(p, err)))
        return status;
    p->step = START_AGENT;
    return make_agent(p, err);
}

/* --- the node -------------------------------------------------------------------------------------------- */

/* --advertise ADDR or ADDR:PORT; --listen ADDR; else every address of this machine. */
static enum status find_addresses(const struct process *p, struct node_config *config, struct error *err)
{
    const struct options *o = &p->options;
    uint16_t port = links_port(p->links);
    struct host_port given;
    if (o->advertise) {
        if (!host_port_parse(&given, o->advertise, port) ||
            !address_parse_ip(&config->addresses[0], given.host, given.port) ||
            !address_is_dialable(&config->addresses[0]))
            return error_set(
                err, STATUS_BAD_USAGE,
                "--advertise '%s': a numeric address that peers can dial is needed, with or without a port",
                o->advertise);
        config->n_addresses = 1;
    } else if (o->listen && address_parse_ip(&config->addresses[0], o->listen, port) &&
               address_is_dialable(&config->addresses[0])) {
        config->n_addresses = 1;
    } else {
        config->n_addresses = host_addresses(config->addresses, DISCOVERY_ADDRESSES_MAX, port);
    }
    return STATUS_OK;
}

static void fill_hosts(const struct process *p, struct node_config *config)
{
    const struct options *o = &p->options;
    for (uint32_t i = 0; i < o->n_peers && i < NODE_ENTRIES_MAX; i++) {
        snprintf(config->peers[i].host, sizeof config->peers[i].host, "%s", o->peers[i].host);
        config->peers[i].port = o->peers[i].port;
        config->n_peers++;
    }
    for (uint32_t i = 0; i < o->n_bootstraps && i < NODE_ENTRIES_MAX; i++) {
        snprintf(config->entries[i].host, sizeof config->entries[i].host, "%s", o->bootstraps[i].host);
        config->entries[i].port = o->bootstraps[i].port;
        config->n_entries++;
    }
    if (config->n_entries || p->role == ROLE_ENTRY || config->n_peers)
        return;
    bool has = p->credentials.entry_host[0] != '\0';
    snprintf(config->entries[0].host, sizeof config->entries[0].host, "%s",
             has ? p->credentials.entry_host : "127.0.0.1");
    config->entries[0].port = has ? p->credentials.entry_port : ENTRY_PORT_DEFAULT;
    config->n_entries = 1;
}

static enum status make_node(struct process *p, struct error *err)
{
    const struct options *o = &p->options;
    struct node_config config = {.role = p->role,
                                 .credentials = &p->credentials,
                                 .pair = identity_pair(p->identity),
                                 .epoch = identity_epoch(p->identity),
                                 .shard_ids = o->shard_ids,
                                 .n_shard_ids = o->n_shard_ids,
                                 .n_shards_expected = o->n_shards_expected,
                                 .shards_dir = shards_dir(p),
                                 .shards_place = p->shards_place,
                                 .state_dir = identity_dir(p->identity),
                                 .fetch_allowed = !o->no_fetch,
                                 .n_threads = o->n_threads ? o->n_threads : host_n_cores(),
                                 .n_ctx = o->n_ctx,
                                 .n_slots = o->n_slots,
                                 .kv = kv_type_name(o->kv_type),
                                 .arithmetic = ARITHMETIC_VERSION,
                                 .memory_budget = o->memory_bytes,
                                 .max_upload = o->max_upload,
                                 .refresh_interval_s = o->refresh_interval_s,
                                 .status_interval_s = o->status_interval_s,
                                 .print_lines = p->role != ROLE_ENTRY};
    enum status status = find_addresses(p, &config, err);
    if (status)
        return status;
    if (!realpath(shards_dir(p), p->shards_place)) /* an entry has none */
        snprintf(p->shards_place, sizeof p->shards_place, "%s", shards_dir(p));
    fill_hosts(p, &config);
    struct node_ports ports = {.look_at_host = host_look,
                               .clock = loop_clock(p->loop),
                               .links = *p->links,
                               .agent = p->agent,
                               .disk = p->disk,
                               .compute = p->compute};
    p->node = node_new(&config, &ports);
    return STATUS_OK;
}

static const char *http_listen(const struct process *p)
{
    const char *given = p->options.http;
    return given ? given : p->role == ROLE_SERVE ? "127.0.0.1:8080" : "127.0.0.1:0";
}

static enum status make_api(struct process *p, struct error *err)
{
    const char *listen = http_listen(p);
    snprintf(p->run_entry.role, sizeof p->run_entry.role, "%s", node_role_name(p->role));
    /* The token is drawn with the entry; the URL is known after the port is. */
    enum status status = run_folder_prepare(&p->run_entry, err);
    if (status)
        return status;
    struct api_config config = {.listen = listen, .has_v1 = p->role == ROLE_SERVE, .token = p->run_entry.token};
    status = api_new(&p->api, p->loop, p->node, &config, err);
    if (status)
        return status;
    p->run_entry.port = links_port(p->links);
    snprintf(p->run_entry.url, sizeof p->run_entry.url, "http://%s", api_address(p->api));
    node_set_api(p->node, p->run_entry.url);
    return run_folder_publish(&p->run_entry, err);
}

/* --- life ------------------------------------------------------------------------------------------------ */

static void on_stopped(void *ctx)
{
    struct process *p = ctx;
    loop_stop(p->loop);
}

static void on_signal(void *arg)
{
    struct process *p = arg;
    node_stop(p->node, on_stopped, p);
}

static void say_start(const struct process *p)
{
    char id[NODE_ID_SHORT_BYTES];
    struct node_id self = identity_id(p->identity);
    node_id_short(id, &self);
    say("[START] %s %s in cluster %s listens on port %u; API %s", node_role_name(p->role), id,
        p->credentials.cluster, links_port(p->links), p->run_entry.url);
}

static enum status make_all(struct process *p, struct error *err)
{
    enum status status;
    p->step = START_KEY;
    if ((status = find_credentials(p, err)))
        return status;
    p->step = START_STATE_DIR;
    if ((status = identity_open(&p->identity, p->options.state_dir, p->credentials.cluster, err)) ||
        (status = make_ports(p, err)))
        return status;
    p->step = START_OTHER;
    if ((status = make_node(p, err)))
        return status;
    p->step = START_API;
    return make_api(p, err);
}

static struct start_attempt attempt_of(const struct process *p, int argc, char **argv)
{
    return (struct start_attempt){.role = node_role_name(p->role),
                                  .step = p->step,
                                  .argc = argc,
                                  .argv = argv,
                                  .options = &p->options,
                                  .state_dir = p->identity ? identity_dir(p->identity) : p->options.state_dir,
                                  .shards_dir = shards_dir(p),
                                  .port = links_port_wanted(p),
                                  .http = http_listen(p)};
}

static void go(struct process *p)
{
    p->signals[0] = loop_on_signal(p->loop, SIGINT, on_signal, p);
    p->signals[1] = loop_on_signal(p->loop, SIGTERM, on_signal, p);
    say_start(p);
    start_warn_descriptors(p->node);
    node_start(p->node);
    loop_run(p->loop);
}

static void finish(struct process *p)
{
    run_folder_retract(&p->run_entry);
    loop_off_signal(p->signals[0]);
    loop_off_signal(p->signals[1]);
    api_free(p->api);
    compute_real_stop(p->compute);
    links_free(p->links);
    agent_real_free(p->agent);
    node_free(p->node);
    p->node = NULL;
    compute_real_free(p->compute);
    disk_real_free(p->disk);
    pool_free(p->pool);
    if (p->loop)
        loop_free(p->loop);
    identity_close(p->identity);
    credentials_wipe(&p->credentials);
    crypto_wipe(&p->keys, sizeof p->keys);
    crypto_wipe(&p->run_entry, sizeof p->run_entry);
    options_free(&p->options);
}

/* Keys are in memory: no core files, no ptrace by others of this user. (The leak checker of sanitizers needs
 * ptrace.) */
static void protect_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

int process_run(enum node_role role, int argc, char **argv)
{
    struct process *p = mem_new(sizeof *p);
    struct error err;
    p->role = role;
    enum status status = options_read(&p->options, argc, argv, &err);
    if (!status) {
        log_configure(p->options.log_level, p->options.log_json);
        say_ascii(p->options.ascii);
        protect_memory();
        status = make_all(p, &err);
    }
    int code = 0;
    struct start_attempt attempt = attempt_of(p, argc, argv);
    if (status) {
        code = start_failed(&attempt, &err);
    } else {
        start_succeeded(&attempt);
        go(p);
    }
    finish(p);
    mem_free(p);
    return code;
}
