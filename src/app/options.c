#include "app/options.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/shell.h"

#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool number_parse(uint64_t *out, const char *text, uint64_t max)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*end || errno || v > max)
        return false;
    *out = v;
    return true;
}

bool size_parse(uint64_t *out, const char *text)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    double v = strtod(text, &end), unit = 1;
    if (end != text + strspn(text, "0123456789.")) /* strtod takes 0x10 and 1e9, too */
        return false;
    switch (toupper((unsigned char)*end)) {
    case 'T':
        unit *= 1024;
        __attribute__((fallthrough));
    case 'G':
        unit *= 1024;
        __attribute__((fallthrough));
    case 'M':
        unit *= 1024;
        __attribute__((fallthrough));
    case 'K':
        unit *= 1024;
        end++;
        break;
    default:
        break;
    }
    if (*end == 'i')
        end++;
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end || !(v >= 0) || v * unit > 0x1p62)
        return false;
    *out = (uint64_t)(v * unit);
    return true;
}

bool host_port_parse(struct host_port *out, const char *text, uint16_t port_default)
{
    const char *host = text, *end, *port_text = NULL;
    if (text[0] == '[') {
        host = text + 1;
        end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        port_text = end[1] ? end + 2 : NULL;
    } else {
        end = strrchr(text, ':');
        if (end && memchr(text, ':', (size_t)(end - text)))
            return false; /* IPv6 without brackets */
        port_text = end ? end + 1 : NULL;
        end = end ? end : text + strlen(text);
    }
    uint64_t port = port_default;
    size_t n = (size_t)(end - host);
    if (n == 0 || n >= sizeof out->host || (port_text && !number_parse(&port, port_text, UINT16_MAX)) ||
        port == 0)
        return false;
    memcpy(out->host, host, n);
    out->host[n] = '\0';
    out->port = (uint16_t)port;
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum status shard_list_parse(uint32_t **out, uint32_t *out_n, const char *text, struct error *err)
{
    uint32_t *ids = mem_array(OPTIONS_SHARDS_MAX, sizeof *ids), n = 0;
    char *copy = mem_string(text), *rest = copy;
    bool ok = text[0] != '\0';
    for (char *item; ok && (item = strsep(&rest, ","));) {
        char *dash = strchr(item, '-');
        uint64_t first, last;
        if (dash)
            *dash = '\0';
        ok = number_parse(&first, item, OPTIONS_SHARDS_MAX - 1) &&
             (!dash || number_parse(&last, dash + 1, OPTIONS_SHARDS_MAX - 1));
        last = ok && dash ? last : first;
        ok = ok && first <= last && n + (last - first) < OPTIONS_SHARDS_MAX;
        for (uint64_t id = first; ok && id <= last; id++)
            ids[n++] = (uint32_t)id;
    }
    mem_free(copy);
    if (!ok) {
        mem_free(ids);
        return error_set(err, STATUS_BAD_USAGE,
                         "'%s' is no list of shards; ids from 0 to %d such as 3 or 0-3,5 are", text,
                         OPTIONS_SHARDS_MAX - 1);
    }
    qsort(ids, n, sizeof *ids, compare_ids);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            ids[kept++] = ids[i];
    *out = ids;
    *out_n = kept;
    return STATUS_OK;
}

/* --- the table of options -------------------------------------------------------------------------------- */

enum kind { TEXT, FLAG, NUMBER, PORT, SIZE, HOSTS, SHARDS, KV, LEVEL, CONFIG };

struct option_row {
    const char *name; /* without the dashes */
    enum kind kind;
    size_t at; /* offset in struct options */
    uint64_t min, max;
};
#define AT(field) offsetof(struct options, field)

static const struct option_row rows[] = {
    {"bootstrap", HOSTS, AT(bootstraps), 0, 0},
    {"peer", HOSTS, AT(peers), 0, 0},
    {"cluster", TEXT, AT(cluster), 0, 0},
    {"key", TEXT, AT(key_file), 0, 0},
    {"shard-id", SHARDS, 0, 0, 0},
    {"shards", SHARDS, 0, 0, 0},
    {"total-shards", NUMBER, AT(n_shards_expected), 1, OPTIONS_SHARDS_MAX},
    {"shards-dir", TEXT, AT(shards_dir), 0, 0},
    {"state-dir", TEXT, AT(state_dir), 0, 0},
    {"listen", TEXT, AT(listen), 0, 0},
    {"port", PORT, AT(port), 0, 0},
    {"torrent-port", PORT, AT(torrent_port), 0, 0},
    {"advertise", TEXT, AT(advertise), 0, 0},
    {"http", TEXT, AT(http), 0, 0},
    {"threads", NUMBER, AT(n_threads), 1, 1024},
    {"memory", SIZE, AT(memory_bytes), 0, 0},
    {"ctx", NUMBER, AT(n_ctx), 8, 1U << 24},
    {"slots", NUMBER, AT(n_slots), 1, 1024},
    {"kv", KV, AT(kv_type), 0, 0},
    {"refresh-interval", NUMBER, AT(refresh_interval_s), 1, 86400},
    {"status-interval", NUMBER, AT(status_interval_s), 1, 86400},
    {"store", TEXT, AT(store), 0, 0},
    {"no-fetch", FLAG, AT(no_fetch), 0, 0},
    {"max-upload", SIZE, AT(max_upload), 0, 0},
    {"public-seed", FLAG, AT(public_seed), 0, 0},
    {"log-level", LEVEL, AT(log_level), 0, 0},
    {"log-json", FLAG, AT(log_json), 0, 0},
    {"ascii", FLAG, AT(ascii), 0, 0},
    {"config", CONFIG, 0, 0, 0},
};
#define N_ROWS (sizeof rows / sizeof *rows)

static const struct option_row *find_row(const char *name, size_t n)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

static enum status bad_value(const struct option_row *row, const char *value, const char *wanted,
                             struct error *err)
{
    return error_set(err, STATUS_BAD_USAGE, "--%s '%s': %s", row->name, value, wanted);
}

static enum status set_shards(struct options *o, const struct option_row *row, const char *value,
                              struct error *err)
{
    uint32_t *ids, n;
    enum status status = shard_list_parse(&ids, &n, value, err);
    if (status)
        return error_wrap(err, status, "--%s", row->name);
    mem_free(o->shard_ids);
    o->shard_ids = ids;
    o->n_shard_ids = n;
    return STATUS_OK;
}

static enum status set_host(struct options *o, const struct option_row *row, const char *value,
                            struct error *err)
{
    bool is_bootstrap = row->at == AT(bootstraps);
    struct host_port *hosts = is_bootstrap ? o->bootstraps : o->peers;
    uint32_t *n = is_bootstrap ? &o->n_bootstraps : &o->n_peers;
    if (*n == OPTIONS_HOSTS_MAX)
        return bad_value(row, value, "at most 16 may be given", err);
    if (!host_port_parse(&hosts[*n], value, is_bootstrap ? 7400 : 0))
        return bad_value(row, value, "HOST:PORT is needed, for instance 192.0.2.1:7400", err);
    if (strcmp(hosts[*n].host, "0.0.0.0") == 0)
        return bad_value(row, value,
                         "0.0.0.0 is an address to listen on, not one to reach; give the machine's own", err);
    (*n)++;
    return STATUS_OK;
}

static enum status set_number(struct options *o, const struct option_row *row, const char *value,
                              struct error *err)
{
    uint64_t v;
    char wanted[80];
    snprintf(wanted, sizeof wanted, "a whole number from %llu to %llu is needed", (unsigned long long)row->min,
             (unsigned long long)row->max);
    if (!number_parse(&v, value, row->max) || v < row->min)
        return bad_value(row, value, wanted, err);
    *(uint32_t *)((char *)o + row->at) = (uint32_t)v;
    return STATUS_OK;
}

static enum status set_option(struct options *o, const struct option_row *row, const char *value,
                              struct error *err)
{
    char *field = (char *)o + row->at;
    uint64_t v;
    switch (row->kind) {
    case TEXT:
        mem_free(*(char **)field);
        *(char **)field = mem_string(value);
        return STATUS_OK;
    case FLAG:
        *(bool *)field = strcmp(value, "0") != 0 && strcmp(value, "false") != 0 && strcmp(value, "off") != 0;
        return STATUS_OK;
    case NUMBER:
        return set_number(o, row, value, err);
    case PORT:
        if (!number_parse(&v, value, UINT16_MAX))
            return bad_value(row, value, "a port from 0 (any free) to 65535 is needed", err);
        *(uint16_t *)field = (uint16_t)v;
        return STATUS_OK;
    case SIZE:
        if (!size_parse((uint64_t *)field, value))
            return bad_value(row, value, "a size such as 512M or 1.5G is needed", err);
        return STATUS_OK;
    case HOSTS:
        return set_host(o, row, value, err);
    case SHARDS:
        return set_shards(o, row, value, err);
    case KV:
        if (!kv_type_from_name((enum kv_type *)field, value))
            return bad_value(row, value, KV_TYPE_NAMES " is needed", err);
        return STATUS_OK;
    case LEVEL:
        if (!log_level_parse(&o->log_level, value))
            return bad_value(row, value, "error, warn, info or debug is needed", err);
        return STATUS_OK;
    case CONFIG: /* was read before all others */
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* --- the four places ------------------------------------------------------------------------------------- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return text;
}

static enum status set_config(struct options *o, const char *path, struct error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return error_set_errno(err, STATUS_IO, errno, "--config '%s'", path);
    char line[2048];
    enum status status = STATUS_OK;
    for (unsigned number = 1; !status && fgets(line, sizeof line, file); number++) {
        bool cut = strlen(line) == sizeof line - 1 && line[sizeof line - 2] != '\n';
        char *name = trim(line), *value = strchr(name, '=');
        if (cut) {
            status = error_set(err, STATUS_BAD_USAGE, "%s:%u: the line is longer than %zu bytes", path, number,
                               sizeof line - 2);
            break;
        }
        if (*name == '\0' || *name == '#')
            continue;
        if (!value) {
            status = error_set(err, STATUS_BAD_USAGE, "%s:%u: NAME = VALUE is needed", path, number);
            break;
        }
        *value++ = '\0';
        name = trim(name);
        const struct option_row *row = find_row(name, strlen(name));
        if (!row || row->kind == CONFIG)
            status = error_set(err, STATUS_BAD_USAGE, "%s:%u: there is no option '%s'", path, number, name);
        else if ((status = set_option(o, row, trim(value), err)))
            error_wrap(err, status, "%s:%u", path, number);
    }
    if (!status && ferror(file))
        status = error_set_errno(err, STATUS_IO, errno, "--config '%s'", path);
    fclose(file);
    return status;
}

static enum status read_environment(struct options *o, struct error *err)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        char name[64] = "SHOAL_";
        size_t n = strlen(name);
        for (const char *c = rows[i].name; *c; c++)
            name[n++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        name[n] = '\0';
        const char *value = getenv(name);
        if (!value || !*value || rows[i].kind == CONFIG) /* the file was read before */
            continue;
        if (rows[i].kind == HOSTS) /* replaces the file's list */
            *(rows[i].at == AT(bootstraps) ? &o->n_bootstraps : &o->n_peers) = 0;
        enum status status = set_option(o, &rows[i], value, err);
        if (status)
            return error_wrap(err, status, "environment %s", name);
    }
    return STATUS_OK;
}

/* The option whose name begins most like this one; NULL: none has three letters of it. */
static const struct option_row *nearest_row(const char *name)
{
    const struct option_row *best = NULL;
    size_t most = 2;
    for (size_t i = 0; i < N_ROWS; i++) {
        size_t n = 0;
        while (name[n] && name[n] == rows[i].name[n])
            n++;
        if (n > most) {
            most = n;
            best = &rows[i];
        }
    }
    return best;
}

static enum status no_option(const char *arg, const char *command, struct error *err)
{
    const struct option_row *near = nearest_row(arg + strspn(arg, "-"));
    return error_set(err, STATUS_BAD_USAGE,
                     "there is no option '%.200s'%s%s (`shoal help %s` tells the options)", arg,
                     near ? "; the nearest is --" : "", near ? near->name : "", command);
}

static enum status read_argument(struct options *o, int argc, char **argv, int *at, struct error *err)
{
    char *arg = argv[*at];
    if (strncmp(arg, "--", 2) != 0) {
        if (arg[0] == '-' && arg[1])
            return no_option(arg, argv[0], err);
        if (o->token)
            return error_set(err, STATUS_BAD_USAGE, "more than one TOKEN was given");
        o->token = mem_string(arg);
        memset(arg, '*', strlen(arg)); /* not for everybody who can list processes */
        return STATUS_OK;
    }
    const char *name = arg + 2, *equals = strchr(name, '=');
    const struct option_row *row = find_row(name, equals ? (size_t)(equals - name) : strlen(name));
    if (!row)
        return no_option(arg, argv[0], err);
    if (row->kind == FLAG && !equals)
        return set_option(o, row, "1", err);
    const char *value = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (!value)
        return error_set(err, STATUS_BAD_USAGE, "--%s needs a value", row->name);
    return set_option(o, row, value, err);
}

static void set_defaults(struct options *o)
{
    *o = (struct options){
        .n_ctx = 4096, .n_slots = 8, .refresh_interval_s = 60, .status_interval_s = 30, .log_level = LOG_INFO};
    setlocale(LC_CTYPE, "");
    o->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
}

enum status options_read(struct options *out, int argc, char **argv, struct error *err)
{
    struct options o;
    set_defaults(&o);
    enum status status = STATUS_OK;
    /* The file's place is among the arguments, its rank is below the environment. */
    const char *config = getenv("SHOAL_CONFIG");
    for (int i = 1; !status && i < argc; i++)
        if (strncmp(argv[i], "--config=", 9) == 0)
            config = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            config = argv[++i];
        else if (strcmp(argv[i], "--config") == 0)
            status = error_set(err, STATUS_BAD_USAGE, "--config needs a value");
    if (!status && config && *config)
        status = set_config(&o, config, err);
    if (!status)
        status = read_environment(&o, err);
    uint32_t n_bootstraps = o.n_bootstraps, n_peers = o.n_peers;
    o.n_bootstraps = o.n_peers = 0; /* the command line's list replaces the others' */
    for (int i = 1; !status && i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0)
            i++;
        else if (strncmp(argv[i], "--config=", 9) != 0)
            status = read_argument(&o, argc, argv, &i, err);
    }
    if (!o.n_bootstraps)
        o.n_bootstraps = n_bootstraps;
    if (!o.n_peers)
        o.n_peers = n_peers;
    if (!status && (o.store || o.public_seed))
        status = error_set(err, STATUS_UNSUPPORTED, "--%s is not in this version (%s)",
                           o.store ? "store" : "public-seed", SHOAL_VERSION);
    if (status) {
        options_free(&o);
        return status;
    }
    *out = o;
    return STATUS_OK;
}

/* --- a command to paste ---------------------------------------------------------------------------------- */

static void add_word(struct buffer *out, const char *text)
{
    char *word = shell_word(text);
    buffer_format(out, " %s", word);
    mem_free(word);
}

static bool is_option(const char *arg, const char *option, const struct option_row **out_row)
{
    const char *equals = strchr(arg, '=');
    size_t n = equals ? (size_t)(equals - arg - 2) : strlen(arg) - 2;
    *out_row = find_row(arg + 2, n);
    return *out_row && option && strcmp((*out_row)->name, option) == 0;
}

char *options_command(int argc, char **argv, const char *option, const char *value)
{
    struct buffer out;
    buffer_init(&out, 0);
    buffer_format(&out, "shoal %s", argv[0]);
    for (int i = 1; i < argc; i++) {
        const struct option_row *row;
        if (strncmp(argv[i], "--", 2) != 0)
            continue; /* the token */
        bool dropped = is_option(argv[i], option, &row);
        if (!dropped)
            add_word(&out, argv[i]);
        if (!row || row->kind == FLAG || strchr(argv[i], '=') || i + 1 == argc)
            continue;
        i++;
        if (!dropped)
            add_word(&out, argv[i]);
    }
    if (option && value) {
        buffer_format(&out, " --%s", option);
        add_word(&out, value);
    }
    return buffer_take_string(&out);
}

void options_free(struct options *options)
{
    if (options->token)
        crypto_wipe(options->token, strlen(options->token));
    mem_free(options->token);
    mem_free(options->cluster);
    mem_free(options->key_file);
    mem_free(options->shard_ids);
    mem_free(options->shards_dir);
    mem_free(options->state_dir);
    mem_free(options->listen);
    mem_free(options->advertise);
    mem_free(options->http);
    mem_free(options->store);
}
