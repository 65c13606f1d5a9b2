#include "swarm/credentials.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PREFIX    "shoal1:"
#define TOKEN_BYTES_MAX 512
#define KEY_PART_BYTES  (SHARED_KEY_BYTES + PUBLIC_KEY_BYTES)

void credentials_derive(struct swarm_keys *out, const struct credentials *credentials)
{
    const struct shared_key *key = &credentials->swarm_key;
    const struct bytes none = {0};
    out->link_psk = crypto_derive(key, "shoal link psk 1", none);
    out->dht_mac = crypto_derive(key, "shoal dht mac 1", none);
    out->announce = crypto_derive(key, "shoal announce 1", none);
    out->lookup = crypto_derive(key, "shoal lookup 1", none);
    out->torrent = crypto_derive(key, "shoal torrent 1", none);
}

void credentials_wipe(struct credentials *credentials)
{
    crypto_wipe(credentials, sizeof *credentials);
}

bool cluster_name_is_valid(const char *name)
{
    size_t n = strlen(name);
    return n >= 1 && n <= CLUSTER_NAME_MAX && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* --- the token ------------------------------------------------------------------------------------------- */

char *credentials_token(const struct credentials *credentials)
{
    uint8_t raw[KEY_PART_BYTES];
    memcpy(raw, credentials->swarm_key.bytes, SHARED_KEY_BYTES);
    memcpy(raw + SHARED_KEY_BYTES, credentials->owner.bytes, PUBLIC_KEY_BYTES);
    char *key = base64url_encode(raw, sizeof raw);
    bool v6 = strchr(credentials->entry_host, ':');
    char *token = mem_format(v6 ? TOKEN_PREFIX "[%s]:%u/%s/%s" : TOKEN_PREFIX "%s:%u/%s/%s",
                             credentials->entry_host, credentials->entry_port, credentials->cluster, key);
    crypto_wipe(raw, sizeof raw);
    crypto_wipe(key, strlen(key));
    mem_free(key);
    return token;
}

static enum status parse_entry(struct credentials *out, const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');
    size_t n_digits = colon ? strlen(colon + 1) : 0;
    if (!colon || n_digits < 1 || n_digits > 5 || strspn(colon + 1, "0123456789") != n_digits)
        return error_set(err, STATUS_BAD_USAGE, "join token: no HOST:PORT before the first '/' (found '%.80s')",
                         text);
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port < 1 || port > UINT16_MAX)
        return error_set(err, STATUS_BAD_USAGE, "join token: %lu is no port", port);
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']')
        text++, n -= 2;
    if (n < 1 || n >= sizeof out->entry_host)
        return error_set(err, STATUS_BAD_USAGE, "join token: the host has %zu letters; 1 to %zu are possible",
                         n, sizeof out->entry_host - 1);
    memcpy(out->entry_host, text, n);
    out->entry_host[n] = '\0';
    out->entry_port = (uint16_t)port;
    return STATUS_OK;
}

static enum status parse_key(struct credentials *out, const char *text, struct error *err)
{
    uint8_t raw[KEY_PART_BYTES];
    if (!base64url_decode(raw, sizeof raw, text))
        return error_set(
            err, STATUS_BAD_USAGE,
            "join token: the key at its end has %zu letters or a wrong one; it must be the 86 that "
            "`shoal init` printed",
            strlen(text));
    memcpy(out->swarm_key.bytes, raw, SHARED_KEY_BYTES);
    memcpy(out->owner.bytes, raw + SHARED_KEY_BYTES, PUBLIC_KEY_BYTES);
    crypto_wipe(raw, sizeof raw);
    return STATUS_OK;
}

/* `text` is changed: the slashes become ends. */
static enum status parse_line(struct credentials *out, char *text, struct error *err)
{
    struct credentials parsed = {0};
    text[strcspn(text, "\r\n")] = '\0';
    text += strspn(text, " \t");
    for (size_t n = strlen(text); n && (text[n - 1] == ' ' || text[n - 1] == '\t'); n--)
        text[n - 1] = '\0';
    if (strncmp(text, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) != 0)
        return error_set(err, STATUS_BAD_USAGE,
                         "a join token begins with '" TOKEN_PREFIX "' (`shoal init` prints it)");
    text += strlen(TOKEN_PREFIX);
    char *cluster = strchr(text, '/'), *key = cluster ? strchr(cluster + 1, '/') : NULL;
    if (!key)
        return error_set(err, STATUS_BAD_USAGE, "join token: it must be " TOKEN_PREFIX "HOST:PORT/CLUSTER/KEY");
    *cluster++ = '\0';
    *key++ = '\0';
    if (!cluster_name_is_valid(cluster))
        return error_set(err, STATUS_BAD_USAGE,
                         "join token: '%.80s' is no cluster name (1 to %d letters, digits, '.', '_', '-')",
                         cluster, CLUSTER_NAME_MAX);
    memcpy(parsed.cluster, cluster, strlen(cluster) + 1);
    enum status status = parse_entry(&parsed, text, err);
    if (!status)
        status = parse_key(&parsed, key, err);
    if (!status)
        *out = parsed;
    credentials_wipe(&parsed);
    return status;
}

static enum status read_line(char line[TOKEN_BYTES_MAX], FILE *from, const char *what, struct error *err)
{
    if (!from)
        return error_set(err, STATUS_NOT_FOUND, "join token: cannot open '%s'", what);
    enum status status = STATUS_OK;
    if (!fgets(line, TOKEN_BYTES_MAX, from))
        status = error_set(err, STATUS_BAD_USAGE, "join token: %s has no line", what);
    if (from != stdin)
        fclose(from);
    return status;
}

enum status credentials_parse_token(struct credentials *out, const char *text, struct error *err)
{
    char line[TOKEN_BYTES_MAX] = "";
    enum status status = STATUS_OK;
    if (strcmp(text, "-") == 0)
        status = read_line(line, stdin, "standard input", err);
    else if (text[0] == '@')
        status = read_line(line, fopen(text + 1, "re"), text + 1, err);
    else if (strlen(text) >= sizeof line)
        status = error_set(err, STATUS_BAD_USAGE, "a join token has at most %zu letters, this has %zu",
                           sizeof line - 1, strlen(text));
    else
        memcpy(line, text, strlen(text) + 1);
    if (!status)
        status = parse_line(out, line, err);
    crypto_wipe(line, sizeof line);
    return status;
}
