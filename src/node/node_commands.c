/* What a node does when it is told something, and what it tells others for the operator. */
#include "base/log.h"
#include "base/mem.h"
#include "node/node_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILES_TIMEOUT_MS 5000

/* --- what comes ------------------------------------------------------------------------------------------ */

struct load_wait {
    struct node *node;
    struct command_in *in;
};

static bool read_shard_id(struct node *node, struct command_in *in, uint32_t *out)
{
    int64_t id = jv_get_int(in->params, "shard_id", -1);
    uint32_t n = node_n_expected(node), end = n ? n : NODE_SHARDS_MAX;
    char text[160];
    if (!node->shards) {
        commands_answer(node->commands, in, STATUS_UNSUPPORTED, NULL,
                        "this process is an entry and holds no shards");
        return false;
    }
    /* One past the last may have been given by hand, before the manifest was here; it can be taken away. */
    if (id < 0 || (id >= end && (id >= NODE_SHARDS_MAX || !shards_is_assigned(node->shards, (uint32_t)id)))) {
        snprintf(text, sizeof text, "shard_id %" PRId64 " is outside 0 to %u", id, end - 1);
        commands_answer(node->commands, in, STATUS_BAD_USAGE, NULL, text);
        return false;
    }
    *out = (uint32_t)id;
    return true;
}

static struct jv *shard_result(const struct node *node, uint32_t id)
{
    struct record_shard shard;
    struct jv *json = jv_object_new();
    jv_set_int(json, "shard_id", id);
    bool known = shards_state(node->shards, id, &shard);
    jv_set_text(json, "state", shard_state_name(known ? shard.state : SHARD_ABSENT));
    return json;
}

static void on_load_done(void *ctx, uint32_t id, enum status status, const char *text)
{
    struct load_wait *wait = ctx;
    commands_answer(wait->node->commands, wait->in, status, shard_result(wait->node, id), text);
    mem_free(wait);
}

static void hear_coordinator(struct node *node, const struct node_id *from)
{
    const struct roster_entry *entry = roster_find(node->roster, from);
    if (entry && entry->record.role == ROLE_SERVE)
        node->coordinator_heard_ms = clock_ms(node->ports.clock);
}

static void handle_load(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    uint32_t id;
    hear_coordinator(node, &in->from);
    if (!read_shard_id(node, in, &id))
        return;
    if (!jv_get_bool(in->params, "wait", true)) {
        shards_assign(node->shards, id, ASSIGNED_BY_COMMAND, NULL, NULL);
        commands_answer(node->commands, in, STATUS_OK, shard_result(node, id), "");
        return;
    }
    struct load_wait *wait = mem_new(sizeof *wait);
    *wait = (struct load_wait){.node = node, .in = in};
    shards_assign(node->shards, id, ASSIGNED_BY_COMMAND, on_load_done, wait);
}

static void handle_unload(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    uint32_t id;
    if (!read_shard_id(node, in, &id))
        return;
    struct load_wait *wait = mem_new(sizeof *wait);
    *wait = (struct load_wait){.node = node, .in = in};
    shards_unload(node->shards, id, on_load_done, wait);
}

/* The news itself travels in the record; the answer is what the sender waits for. */
static void handle_loaded(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    const struct roster_entry *entry = roster_find(node->roster, &in->from);
    struct jv *result = jv_object_new();
    jv_set_int(result, "version", entry ? (int64_t)entry->record.version : 0);
    commands_answer(node->commands, in, STATUS_OK, result, "");
    node_changed(node);
}

static void handle_verdict(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    commands_answer(node->commands, in, STATUS_OK, node_verdict(node), "");
}

static void handle_status(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    struct jv *status = node_status(node);
    char *text = jv_print(status, JV_COMPACT);
    bool fits = strlen(text) < frame_rule(FRAME_RESPONSE)->payload_bytes_max - 1024;
    mem_free(text);
    if (fits) {
        commands_answer(node->commands, in, STATUS_OK, status, "");
    } else {
        jv_free(status);
        commands_answer(node->commands, in, STATUS_LIMIT, NULL,
                        "the status of this swarm passes 64 KiB; ask GET /api/v1/status");
    }
}

static void handle_node_status(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    commands_answer(node->commands, in, STATUS_OK, record_to_json(&roster_self(node->roster)->record), "");
}

static void handle_ready(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    struct jv *result = jv_object_new();
    jv_set_bool(result, "ready", readiness_is_ready(node->readiness));
    commands_answer(node->commands, in, STATUS_OK, result, "");
}

static void handle_files(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    struct jv *result = jv_object_new();
    jv_set(result, "files", node->shards ? shards_files(node->shards) : jv_array_new());
    commands_answer(node->commands, in, STATUS_OK, result, "");
}

static void handle_drain(void *ctx, struct command_in *in)
{
    struct node *node = ctx;
    commands_answer(node->commands, in, STATUS_UNSUPPORTED, NULL, "DRAIN is not in this version");
}

void node_handle_commands(struct node *node)
{
    static const struct {
        const char *name;
        command_handler handler;
    } handlers[] = {
        {"LOAD_SHARD", handle_load},
        {"UNLOAD_SHARD", handle_unload},
        {"SHARD_LOADED", handle_loaded},
        {"SWARM_READY", handle_ready},
        {"SWARM_STATUS", handle_status},
        {"GET_NODE_STATUS", handle_node_status},
        {"GET_CAPABILITIES", handle_node_status},
        {"LIST_FILES", handle_files},
        {"DRAIN", handle_drain},
        {"GET_VERDICT", handle_verdict},
    };
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
        commands_handle(node->commands, handlers[i].name, handlers[i].handler, node);
}

/* --- files of all nodes ---------------------------------------------------------------------------------- */

struct files_asked {
    struct node *node;
    struct jv *answer, *nodes;
    uint32_t n_open;
    void (*done)(void *ctx, struct jv *files);
    void *ctx;
};

struct files_call {
    struct files_asked *asked;
    struct jv *row; /* of the answer; lent */
};

/* Who could supply a shard: every node that has it verified. */
static void add_suppliers(const struct node *node, struct jv *files)
{
    for (size_t i = 0; i < jv_count(files); i++) {
        struct jv *file = jv_at(files, i), *suppliers = jv_array_new();
        int64_t shard = jv_get_int(file, "id", -1);
        for (size_t k = 0; shard >= 0 && k < roster_count(node->roster); k++) {
            const struct roster_entry *entry = roster_at(node->roster, k);
            const struct record_shard *s = record_shard_find(&entry->record, (uint32_t)shard);
            char id[NODE_ID_TEXT_BYTES];
            node_id_text(id, &entry->record.id);
            if (entry->alive && s && s->verified)
                jv_append(suppliers, jv_text_new(id));
        }
        jv_set(file, "suppliers", suppliers);
    }
}

static void on_files(void *ctx, const struct command_answer *answer)
{
    struct files_call *call = ctx;
    struct files_asked *asked = call->asked;
    if (answer->status) {
        jv_set_text(call->row, "error", answer->error);
    } else {
        struct jv *files = jv_copy(jv_get(answer->result, "files"));
        if (asked->node)
            add_suppliers(asked->node, files);
        jv_set(call->row, "files", files);
    }
    mem_free(call);
    if (--asked->n_open)
        return;
    asked->done(asked->ctx, asked->answer);
    mem_free(asked);
}

void node_files(struct node *node, void (*done)(void *ctx, struct jv *files), void *ctx)
{
    struct files_asked *asked = mem_new(sizeof *asked);
    *asked = (struct files_asked){.node = node, .done = done, .ctx = ctx, .n_open = 1};
    asked->answer = jv_object_new();
    asked->nodes = jv_array_new();
    jv_set(asked->answer, "nodes", asked->nodes);
    for (size_t i = 0; i < roster_count(node->roster); i++) {
        const struct roster_entry *entry = roster_at(node->roster, i);
        if (!entry->alive || entry->record.role == ROLE_ENTRY || !entry->record.version)
            continue;
        char address[ADDRESS_TEXT_BYTES] = "";
        if (entry->record.n_addresses)
            address_text(address, &entry->record.addresses[0]);
        struct files_call *call = mem_new(sizeof *call);
        call->asked = asked;
        call->row = jv_object_new();
        jv_set_hex(call->row, "node", entry->record.id.bytes, NODE_ID_BYTES);
        jv_set_text(call->row, "role", node_role_name((enum node_role)entry->record.role));
        jv_set_text(call->row, "address", address);
        jv_append(asked->nodes, call->row);
        asked->n_open++;
        commands_call(node->commands, &entry->record.id, "LIST_FILES", NULL, FILES_TIMEOUT_MS, on_files, call);
    }
    if (--asked->n_open == 0) {
        done(ctx, asked->answer);
        mem_free(asked);
    }
}
