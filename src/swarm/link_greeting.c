/* The hello as it travels, and the names of steps, faults and roles. */
#include "base/jv.h"
#include "base/mem.h"
#include "swarm/link.h"

#include <stdio.h>
#include <string.h>

static const char *const steps[] = {"resolve", "connect", "handshake", "identity", "protocol", "up"};
static const char *const roles[ROLE_COUNT] = {"entry", "node", "serve", "seed"};
static const char *const channels[LINK_CHANNEL_COUNT] = {"control", "data", "probe"};
static const char *const faults[] = {
    [LINK_FAULT_NONE] = "none",
    [LINK_FAULT_UNREACHABLE] = "unreachable",
    [LINK_FAULT_WRONG_KEY] = "wrong_key",
    [LINK_FAULT_NOT_SWARM] = "not_swarm",
    [LINK_FAULT_IDENTITY] = "identity",
    [LINK_FAULT_SELF] = "self",
    [LINK_FAULT_VERSION] = "version",
    [LINK_FAULT_CLUSTER] = "cluster",
    [LINK_FAULT_DUPLICATE] = "duplicate",
    [LINK_FAULT_SILENT] = "silent",
    [LINK_FAULT_CLOSED] = "closed",
    [LINK_FAULT_BROKE_RULES] = "broke_rules",
    [LINK_FAULT_QUEUE_FULL] = "queue_full",
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static bool index_of(size_t *out, const char *const *table, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(table[i], name) == 0) {
            *out = i;
            return true;
        }
    return false;
}

const char *link_step_name(enum link_step step)
{
    return (size_t)step < COUNT(steps) ? steps[step] : "?";
}

const char *link_fault_name(enum link_fault fault)
{
    return (size_t)fault < COUNT(faults) ? faults[fault] : "?";
}

enum link_fault link_fault_parse(const char *name)
{
    size_t index = LINK_FAULT_CLOSED;
    index_of(&index, faults, COUNT(faults), name);
    return (enum link_fault)index;
}

const char *node_role_name(enum node_role role)
{
    return (size_t)role < COUNT(roles) ? roles[role] : "?";
}

static void set_u64(struct jv *json, const char *key, uint64_t v)
{
    uint8_t raw[8];
    for (int i = 0; i < 8; i++)
        raw[i] = (uint8_t)(v >> (56 - 8 * i));
    jv_set_hex(json, key, raw, sizeof raw);
}

static bool get_u64(const struct jv *json, const char *key, uint64_t *out)
{
    uint8_t raw[8];
    if (!jv_get_hex(json, key, raw, sizeof raw))
        return false;
    *out = 0;
    for (int i = 0; i < 8; i++)
        *out = *out << 8 | raw[i];
    return true;
}

char *link_greeting_print(const struct link_greeting *greeting)
{
    const struct link_hello *hello = &greeting->hello;
    char advertised[ADDRESS_TEXT_BYTES];
    struct jv *json = jv_object_new();
    jv_set_int(json, "protocol", hello->protocol);
    jv_set_int(json, "arithmetic", hello->arithmetic);
    jv_set_hex(json, "id", hello->id.bytes, sizeof hello->id.bytes);
    jv_set_text(json, "role", node_role_name(hello->role));
    jv_set_text(json, "cluster", hello->cluster);
    set_u64(json, "epoch", hello->epoch);
    set_u64(json, "run", greeting->run);
    jv_set_int(json, "port", hello->port);
    jv_set_int(json, "wall_ms", hello->wall_ms);
    jv_set_text(json, "channel", channels[greeting->channel]);
    if (greeting->channel == LINK_DATA)
        set_u64(json, "pair", greeting->pair);
    if (hello->advertised.family) {
        address_text(advertised, &hello->advertised);
        jv_set_text(json, "advertised", advertised);
    }
    char *text = jv_print(json, JV_COMPACT);
    jv_free(json);
    return text;
}

static bool take_fields(struct link_greeting *out, const struct jv *json)
{
    struct link_hello *hello = &out->hello;
    const char *cluster = jv_get_text(json, "cluster", ""), *advertised = jv_get_text(json, "advertised", "");
    int64_t port = jv_get_int(json, "port", -1), arithmetic = jv_get_int(json, "arithmetic", -1);
    size_t role = 0, channel = 0;
    if (!jv_get_hex(json, "id", hello->id.bytes, sizeof hello->id.bytes) || node_id_is_zero(&hello->id) ||
        !index_of(&role, roles, ROLE_COUNT, jv_get_text(json, "role", "")) ||
        !index_of(&channel, channels, LINK_CHANNEL_COUNT, jv_get_text(json, "channel", "")) || !*cluster ||
        strlen(cluster) >= sizeof hello->cluster || port < 0 || port > UINT16_MAX || arithmetic < 0 ||
        arithmetic > UINT32_MAX || !get_u64(json, "epoch", &hello->epoch) || !get_u64(json, "run", &out->run) ||
        (channel == LINK_DATA && !get_u64(json, "pair", &out->pair)) ||
        (*advertised && !address_parse(&hello->advertised, advertised)))
        return false;
    hello->role = (enum node_role)role;
    hello->port = (uint16_t)port;
    hello->arithmetic = (uint32_t)arithmetic;
    hello->wall_ms = jv_get_int(json, "wall_ms", 0);
    snprintf(hello->cluster, sizeof hello->cluster, "%s", cluster);
    out->channel = (enum link_channel)channel;
    return true;
}

enum status link_greeting_parse(struct link_greeting *out, uint32_t *out_protocol, struct bytes text,
                                struct error *err)
{
    static const struct jv_limits limits = {.bytes_max = 4096, .depth_max = 4, .values_max = 64};
    struct link_greeting greeting = {0};
    struct jv *json = NULL;
    *out_protocol = 0;
    enum status status = jv_parse(&json, text, &limits, err);
    if (status)
        return error_wrap(err, status, "hello");
    int64_t protocol = jv_get_int(json, "protocol", 0);
    *out_protocol = protocol > 0 && protocol <= UINT32_MAX ? (uint32_t)protocol : 0;
    greeting.hello.protocol = *out_protocol;
    if (!take_fields(&greeting, json))
        status = error_set(err, STATUS_BAD_DATA, "hello: a field is missing or not what protocol %u says",
                           *out_protocol);
    else
        *out = greeting;
    jv_free(json);
    return status;
}

void link_address_of(struct address *out, const struct endpoint *endpoint)
{
    if (!address_parse_ip(out, endpoint->ip, endpoint->port))
        *out = (struct address){0};
}

void link_endpoint_of(struct endpoint *out, const struct address *address)
{
    char ip[ADDRESS_TEXT_BYTES];
    address_ip_text(ip, address);
    snprintf(out->ip, sizeof out->ip, "%.45s", ip);
    out->port = address->port;
}
