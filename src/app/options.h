/* options - what bootstrap, node, serve (and seed) are told, from four places: defaults, a file (--config),
 * the environment (SHOAL_NAME), the command line; later ones win. Names and defaults: INTERFACE section 1.
 * Owns its texts; options_free wipes the token. */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "base/error.h"
#include "base/log.h"
#include "engine/engine.h"

#include <stdint.h>

#define OPTIONS_HOSTS_MAX  16
#define OPTIONS_SHARDS_MAX 4096

struct host_port {
    char host[256];
    uint16_t port;
};

struct options {
    char *token; /* NULL: none given */
    struct host_port bootstraps[OPTIONS_HOSTS_MAX], peers[OPTIONS_HOSTS_MAX];
    uint32_t n_bootstraps, n_peers;
    char *cluster, *key_file; /* NULL: the token's, the stored one's */
    uint32_t *shard_ids;      /* ascending, unique */
    uint32_t n_shard_ids, n_shards_expected;
    char *shards_dir, *state_dir, *listen, *advertise, *http; /* NULL: the default */
    uint16_t port, torrent_port;
    uint32_t n_threads, n_ctx, n_slots;
    uint64_t memory_bytes, max_upload; /* 0: default, no limit */
    enum kv_type kv_type;
    bool no_fetch, public_seed, ascii, log_json;
    uint32_t refresh_interval_s, status_interval_s;
    char *store; /* first --store */
    enum log_level log_level;
};

/* argv[0] is the command's name. The token's place in argv is overwritten. BAD_USAGE names option and value. */
enum status options_read(struct options *out, int argc, char **argv, struct error *err);
void options_free(struct options *options);
/* "shoal NAME ..." as it was typed, to paste into a shell: without the token and without `option` (NULL: none
 * is taken out), with "--option value" at its end unless `value` is NULL. A block for mem_free. */
char *options_command(int argc, char **argv, const char *option, const char *value);

/* "HOST:PORT", "[IPV6]:PORT"; a missing port takes `port_default` unless that is 0. */
bool host_port_parse(struct host_port *out, const char *text, uint16_t port_default);
/* "12", "1.5G", "512M": bytes; K, M, G, T are powers of 1024. */
bool size_parse(uint64_t *out, const char *text);
/* "0-3,5": ascending, unique; a block for mem_free. */
enum status shard_list_parse(uint32_t **out, uint32_t *out_n, const char *text, struct error *err);
bool number_parse(uint64_t *out, const char *text, uint64_t max);

#endif
