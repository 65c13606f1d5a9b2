/* Where credentials are kept: swarm.key and owner.key (credentials.h). */
#include "base/jv.h"
#include "base/mem.h"
#include "swarm/credentials.h"
#include "swarm/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define SWARM_FORMAT "shoal-swarm-1"
#define OWNER_FORMAT "shoal-owner-1"

char *credentials_folder(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config)
        return mem_format("%s/shoal", config);
    return mem_format("%s/.config/shoal", home ? home : ".");
}

static char *path_of(const char *name)
{
    char *folder = credentials_folder();
    char *path = mem_format("%s/%s", folder, name);
    mem_free(folder);
    return path;
}

/* The whole file as JSON of this format. */
static enum status read_json(struct jv **out, const char *path, const char *format, struct error *err)
{
    struct buffer text;
    buffer_init(&text, SECRET_FILE_BYTES_MAX);
    enum status status = secret_file_read(&text, path, err);
    size_t n_bytes = text.size;
    if (!status && jv_parse(out, buffer_view(&text), NULL, NULL))
        status = error_set(err, STATUS_BAD_DATA,
                           "'%s' is not a key file: its %zu bytes are not the JSON that `shoal init` writes",
                           path, n_bytes);
    secret_buffer_free(&text);
    if (!status && strcmp(jv_get_text(*out, "format", ""), format) != 0) {
        jv_free(*out);
        *out = NULL;
        status = error_set(err, STATUS_BAD_DATA, "'%s' has no \"format\": \"%s\"; it is not such a key file",
                           path, format);
    }
    return status;
}

static enum status write_json(const char *path, struct jv *json, struct error *err)
{
    char *folder = credentials_folder(), *text = jv_print(json, JV_INDENTED);
    enum status status = secret_folder_make(folder, err);
    if (!status)
        status = secret_file_write(path, bytes_of_text(text), err);
    crypto_wipe(text, strlen(text));
    mem_free(text);
    mem_free(folder);
    jv_free(json);
    return status;
}

/* --- swarm.key ---------------------------------------------------------------------------------------------
 */

static bool take_fields(struct credentials *out, const struct jv *json)
{
    const char *cluster = jv_get_text(json, "cluster", CLUSTER_DEFAULT), *host = jv_get_text(json, "host", "");
    int64_t port = jv_get_int(json, "port", ENTRY_PORT_DEFAULT);
    if (!jv_get_hex(json, "key", out->swarm_key.bytes, sizeof out->swarm_key.bytes) ||
        !cluster_name_is_valid(cluster) || strlen(host) >= sizeof out->entry_host || port < 1 ||
        port > UINT16_MAX)
        return false;
    if (jv_get(json, "owner") && !jv_get_hex(json, "owner", out->owner.bytes, sizeof out->owner.bytes))
        return false;
    snprintf(out->cluster, sizeof out->cluster, "%s", cluster);
    snprintf(out->entry_host, sizeof out->entry_host, "%s", host);
    out->entry_port = (uint16_t)port;
    return true;
}

enum status credentials_load(struct credentials *out, const char *file, struct error *err)
{
    struct credentials loaded = {0};
    struct jv *json = NULL;
    char *path = file ? mem_string(file) : path_of("swarm.key");
    enum status status = read_json(&json, path, SWARM_FORMAT, err);
    if (!status && !take_fields(&loaded, json))
        status = error_set(
            err, STATUS_BAD_DATA,
            "'%s' is damaged: key, owner (64 hex digits each), cluster, host or port is not what it must be",
            path);
    if (!status)
        *out = loaded;
    jv_free(json);
    credentials_wipe(&loaded);
    mem_free(path);
    return status;
}

enum status credentials_save(const struct credentials *credentials, struct error *err)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "format", SWARM_FORMAT);
    jv_set_hex(json, "key", credentials->swarm_key.bytes, sizeof credentials->swarm_key.bytes);
    jv_set_hex(json, "owner", credentials->owner.bytes, sizeof credentials->owner.bytes);
    jv_set_text(json, "cluster", credentials->cluster);
    jv_set_text(json, "host", credentials->entry_host);
    jv_set_int(json, "port", credentials->entry_port);
    char *path = path_of("swarm.key");
    enum status status = write_json(path, json, err);
    mem_free(path);
    return status;
}

/* --- owner.key ---------------------------------------------------------------------------------------------
 */

static enum status owner_load(struct key_pair *out, const char *path, struct error *err)
{
    struct jv *json = NULL;
    enum status status = read_json(&json, path, OWNER_FORMAT, err);
    if (status)
        return status;
    if (jv_get_hex(json, "secret", out->secret, sizeof out->secret))
        memcpy(out->public_key.bytes, out->secret + SECRET_KEY_BYTES - PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES);
    else
        status = error_set(err, STATUS_BAD_DATA, "'%s' is damaged: \"secret\" is not 128 hex digits", path);
    jv_free(json);
    return status;
}

static enum status owner_make(struct key_pair *out, const char *path, struct error *err)
{
    key_pair_new(out);
    struct jv *json = jv_object_new();
    jv_set_text(json, "format", OWNER_FORMAT);
    jv_set_hex(json, "secret", out->secret, sizeof out->secret);
    return write_json(path, json, err);
}

/* --- init --------------------------------------------------------------------------------------------------
 */

/* One init or split at a time, so that both see one key. -1 and an error where the folder cannot be used. */
static int lock_folder(struct error *err)
{
    char *folder = credentials_folder();
    int fd = -1;
    if (!secret_folder_make(folder, err)) {
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX))
            error_set_errno(err, STATUS_IO, errno, "locking the folder '%s'", folder);
    }
    mem_free(folder);
    return fd;
}

static enum status owner_take(struct key_pair *out, struct error *err)
{
    char *path = path_of("owner.key");
    enum status status = owner_load(out, path, err);
    if (status == STATUS_NOT_FOUND)
        status = owner_make(out, path, err);
    mem_free(path);
    return status;
}

enum status owner_pair_load_or_make(struct key_pair *out, struct error *err)
{
    int fd = lock_folder(err);
    if (fd < 0)
        return STATUS_IO;
    enum status status = owner_take(out, err);
    close(fd);
    return status;
}

static enum status fill_in(struct credentials *c, struct error *err)
{
    enum status status = credentials_load(c, NULL, err);
    if (status != STATUS_NOT_FOUND)
        return status;
    struct key_pair pair;
    status = owner_take(&pair, err);
    if (status)
        return status;
    crypto_random(c->swarm_key.bytes, sizeof c->swarm_key.bytes);
    c->owner = pair.public_key;
    crypto_wipe(&pair, sizeof pair);
    snprintf(c->cluster, sizeof c->cluster, "%s", CLUSTER_DEFAULT);
    snprintf(c->entry_host, sizeof c->entry_host, "127.0.0.1");
    c->entry_port = ENTRY_PORT_DEFAULT;
    return STATUS_OK;
}

enum status credentials_init(struct credentials *out, const char *cluster, const char *host, uint16_t port,
                             struct error *err)
{
    struct credentials c = {0};
    if (cluster && !cluster_name_is_valid(cluster))
        return error_set(err, STATUS_BAD_USAGE,
                         "'%.80s' is no cluster name (1 to %d letters, digits, '.', '_', '-')", cluster,
                         CLUSTER_NAME_MAX);
    if (host && (!*host || strlen(host) >= sizeof c.entry_host || strpbrk(host, "/ \t\n")))
        return error_set(err, STATUS_BAD_USAGE, "'%.80s' is no host name", host);
    int fd = lock_folder(err);
    if (fd < 0)
        return STATUS_IO;
    enum status status = fill_in(&c, err);
    if (!status) {
        if (cluster) {
            memset(c.cluster, 0, sizeof c.cluster);
            snprintf(c.cluster, sizeof c.cluster, "%s", cluster);
        }
        if (host) {
            memset(c.entry_host, 0, sizeof c.entry_host);
            snprintf(c.entry_host, sizeof c.entry_host, "%s", host);
            c.entry_port = port ? port : ENTRY_PORT_DEFAULT;
        }
        status = credentials_save(&c, err);
    }
    if (!status)
        *out = c;
    credentials_wipe(&c);
    close(fd);
    return status;
}
