#include "node/commands.h"

#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HANDLERS_MAX 32
#define REPLAY_MAX   256

struct call {
    struct call *next;
    struct node_id to;
    uint8_t request_id[COMMAND_ID_BYTES];
    char name[32];
    uint64_t deadline_ms;
    uint32_t timeout_ms;
    command_done done;
    void *ctx;
    enum status early;   /* set when it cannot be sent; told from the timer, never from within the call */
    bool too_many;       /* why early is LIMIT */
    struct jv *response; /* came before its blob was whole */
    struct buffer blob;
    uint64_t blob_bytes;
    bool has_blob;
};

struct replay {
    uint8_t request_id[COMMAND_ID_BYTES];
    struct node_id from;
    char *response; /* its JSON; NULL: still being worked on */
};

struct local { /* a command to ourselves on its way */
    struct local *next;
    struct command_in *in;
};

struct commands {
    const struct clock *clock;
    const struct links *links;
    struct node_id self;
    struct call *calls;
    uint32_t n_calls;
    struct local *locals, **locals_end;
    struct timer *timer;
    struct {
        char name[32];
        command_handler handler;
        void *ctx;
    } handlers[HANDLERS_MAX];
    uint32_t n_handlers;
    struct replay replays[REPLAY_MAX];
    uint32_t replay_next;
};

static void finish(struct commands *commands, struct call *call, enum status status, const char *error)
{
    for (struct call **at = &commands->calls; *at; at = &(*at)->next)
        if (*at == call) {
            *at = call->next;
            commands->n_calls--;
            break;
        }
    struct command_answer answer = {.status = status, .error = status ? error : ""};
    if (call->response) {
        answer.result = jv_get(call->response, "result");
        if (!status)
            answer.blob = buffer_view(&call->blob);
    }
    if (call->done)
        call->done(call->ctx, &answer);
    jv_free(call->response);
    buffer_free(&call->blob);
    mem_free(call);
}

static void arm(struct commands *commands)
{
    uint64_t now = clock_ms(commands->clock), first = UINT64_MAX;
    for (const struct call *call = commands->calls; call; call = call->next)
        if (call->deadline_ms < first)
            first = call->deadline_ms;
    if (commands->locals)
        first = now;
    if (first != UINT64_MAX)
        clock_timer_set(commands->clock, commands->timer, first > now ? first - now : 0);
}

static void dispatch(struct commands *commands, struct command_in *in)
{
    for (uint32_t i = 0; i < commands->n_handlers; i++)
        if (strcmp(commands->handlers[i].name, in->name) == 0) {
            commands->handlers[i].handler(commands->handlers[i].ctx, in);
            return;
        }
    char text[96];
    snprintf(text, sizeof text, "this node has no command '%s'", in->name);
    commands_answer(commands, in, STATUS_UNSUPPORTED, NULL, text);
}

/* Why a call ends without an answer. */
static void explain_end(char *out, size_t size, const struct call *call)
{
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &call->to);
    if (call->early == STATUS_NETWORK)
        snprintf(out, size, "%s: no link to node %s", call->name, id);
    else if (call->early)
        snprintf(out, size, "%s for node %s could not be sent: %s", call->name, id,
                 call->too_many ? "too many commands wait for answers" : "it is too large");
    else
        snprintf(out, size, "%s: node %s did not answer within %.1f s", call->name, id,
                 (double)call->timeout_ms / 1000);
}

static void on_timer(void *arg)
{
    struct commands *commands = arg;
    while (commands->locals) {
        struct local *local = commands->locals;
        commands->locals = local->next;
        if (!commands->locals)
            commands->locals_end = &commands->locals;
        dispatch(commands, local->in);
        mem_free(local);
    }
    uint64_t now = clock_ms(commands->clock);
    for (struct call *call = commands->calls; call;) {
        if (call->deadline_ms > now) {
            call = call->next;
            continue;
        }
        char text[160];
        explain_end(text, sizeof text, call);
        finish(commands, call, call->early ? call->early : STATUS_TIMEOUT, text);
        call = commands->calls; /* `done` may have changed the list */
    }
    arm(commands);
}

struct commands *commands_new(const struct clock *clock, const struct links *links, const struct node_id *self)
{
    struct commands *commands = mem_new(sizeof *commands);
    commands->clock = clock;
    commands->links = links;
    commands->self = *self;
    commands->locals_end = &commands->locals;
    commands->timer = clock_timer_new(clock, on_timer, commands);
    return commands;
}

static void command_in_free(struct command_in *in)
{
    jv_free(in->params_owned);
    mem_free(in);
}

void commands_free(struct commands *commands)
{
    if (!commands)
        return;
    while (commands->calls)
        finish(commands, commands->calls, STATUS_CANCELLED, "this node is stopping");
    while (commands->locals) {
        struct local *local = commands->locals;
        commands->locals = local->next;
        command_in_free(local->in);
        mem_free(local);
    }
    for (uint32_t i = 0; i < REPLAY_MAX; i++)
        mem_free(commands->replays[i].response);
    clock_timer_free(commands->clock, commands->timer);
    mem_free(commands);
}

void commands_handle(struct commands *commands, const char *name, command_handler handler, void *ctx)
{
    ASSERT(commands->n_handlers < HANDLERS_MAX && strlen(name) < sizeof commands->handlers[0].name);
    uint32_t i = commands->n_handlers++;
    memcpy(commands->handlers[i].name, name, strlen(name) + 1);
    commands->handlers[i].handler = handler;
    commands->handlers[i].ctx = ctx;
}

static struct jv *envelope(struct commands *commands, const struct call *call, struct jv *params)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "command", call->name);
    jv_set_hex(json, "request_id", call->request_id, COMMAND_ID_BYTES);
    jv_set_hex(json, "from", commands->self.bytes, NODE_ID_BYTES);
    jv_set_hex(json, "to", call->to.bytes, NODE_ID_BYTES);
    jv_set_int(json, "timestamp", clock_wall_ms(commands->clock));
    jv_set(json, "params", params ? params : jv_object_new());
    return json;
}

static struct command_in *command_in_new(const struct jv *json, const struct node_id *from)
{
    const char *name = jv_get_text(json, "command", "");
    struct command_in *in = mem_new(sizeof *in);
    if (strlen(name) == 0 || strlen(name) >= sizeof in->name ||
        !jv_get_hex(json, "request_id", in->request_id, COMMAND_ID_BYTES)) {
        mem_free(in);
        return NULL;
    }
    memcpy(in->name, name, strlen(name) + 1);
    in->from = *from;
    in->params_owned =
        jv_is_object(jv_get(json, "params")) ? jv_share(jv_get(json, "params")) : jv_object_new();
    in->params = in->params_owned;
    return in;
}

static enum status send_json(struct commands *commands, const struct node_id *to, enum frame_kind kind,
                             const struct jv *json)
{
    char *text = jv_print(json, JV_COMPACT);
    enum status status = STATUS_LIMIT;
    if (strlen(text) <= frame_rule(kind)->payload_bytes_max)
        status = links_send(commands->links, to, kind, bytes_of_text(text));
    mem_free(text);
    return status;
}

void commands_call(struct commands *commands, const struct node_id *to, const char *name, struct jv *params,
                   uint32_t timeout_ms, command_done done, void *ctx)
{
    struct call *call = mem_new(sizeof *call);
    call->to = *to;
    ASSERT(strlen(name) < sizeof call->name);
    memcpy(call->name, name, strlen(name) + 1);
    crypto_random(call->request_id, sizeof call->request_id);
    call->timeout_ms = timeout_ms;
    call->deadline_ms = clock_ms(commands->clock) + timeout_ms;
    call->done = done;
    call->ctx = ctx;
    buffer_init(&call->blob, COMMAND_BLOB_BYTES_MAX);
    call->next = commands->calls;
    commands->calls = call;
    commands->n_calls++;

    struct jv *json = envelope(commands, call, params);
    if (commands->n_calls > COMMAND_OPEN_MAX) {
        call->early = STATUS_LIMIT;
        call->too_many = true;
    } else if (node_id_equal(to, &commands->self)) {
        struct local *local = mem_new(sizeof *local);
        local->in = command_in_new(json, to);
        ASSERT(local->in);
        *commands->locals_end = local;
        commands->locals_end = &local->next;
    } else {
        enum status status = send_json(commands, to, FRAME_COMMAND, json);
        call->early = status && status != STATUS_LIMIT ? STATUS_NETWORK : status;
    }
    if (call->early)
        call->deadline_ms = clock_ms(commands->clock);
    jv_free(json);
    arm(commands);
}

static struct call *find_call(struct commands *commands, const uint8_t *request_id, const struct node_id *from)
{
    for (struct call *call = commands->calls; call; call = call->next)
        if (memcmp(call->request_id, request_id, COMMAND_ID_BYTES) == 0 && node_id_equal(&call->to, from))
            return call;
    return NULL;
}

static enum status status_parse(const char *name)
{
    for (int i = STATUS_OK; i < STATUS_COUNT; i++)
        if (strcmp(status_name((enum status)i), name) == 0)
            return (enum status)i;
    return STATUS_BAD_DATA;
}

static void try_finish(struct commands *commands, struct call *call)
{
    if (!call->response || (call->has_blob && call->blob.size < call->blob_bytes))
        return;
    char error[512];
    snprintf(error, sizeof error, "%s", jv_get_text(call->response, "error", ""));
    finish(commands, call, status_parse(jv_get_text(call->response, "status", "")), error);
}

static enum status take_response(struct commands *commands, const struct node_id *peer, const struct jv *json,
                                 struct error *err)
{
    uint8_t request_id[COMMAND_ID_BYTES];
    if (!jv_get_hex(json, "request_id", request_id, sizeof request_id))
        return error_set(err, STATUS_BAD_DATA, "response without a request id");
    struct call *call = find_call(commands, request_id, peer);
    if (!call || call->response)
        return STATUS_OK; /* timed out meanwhile, or sent twice */
    int64_t blob_bytes = jv_get_int(json, "blob_bytes", -1);
    if (blob_bytes > (int64_t)COMMAND_BLOB_BYTES_MAX)
        return error_set(err, STATUS_BAD_DATA,
                         "%s: a blob of %" PRId64 " bytes was announced, at most %zu may be", call->name,
                         blob_bytes, COMMAND_BLOB_BYTES_MAX);
    call->has_blob = blob_bytes >= 0;
    call->blob_bytes = blob_bytes > 0 ? (uint64_t)blob_bytes : 0;
    call->response = jv_share(json);
    try_finish(commands, call);
    return STATUS_OK;
}

static struct replay *find_replay(struct commands *commands, const struct command_in *in)
{
    for (uint32_t i = 0; i < REPLAY_MAX; i++)
        if (memcmp(commands->replays[i].request_id, in->request_id, COMMAND_ID_BYTES) == 0 &&
            node_id_equal(&commands->replays[i].from, &in->from))
            return &commands->replays[i];
    return NULL;
}

static enum status take_command(struct commands *commands, const struct node_id *peer, const struct jv *json,
                                struct error *err)
{
    struct command_in *in = command_in_new(json, peer);
    if (!in)
        return error_set(err, STATUS_BAD_DATA, "command without a name or a request id");
    struct replay *seen = find_replay(commands, in);
    if (seen) {
        if (seen->response)
            (void)links_send(commands->links, peer, FRAME_RESPONSE, bytes_of_text(seen->response));
        command_in_free(in);
        return STATUS_OK;
    }
    struct replay *slot = &commands->replays[commands->replay_next++ % REPLAY_MAX];
    mem_free(slot->response);
    *slot = (struct replay){.from = *peer};
    memcpy(slot->request_id, in->request_id, COMMAND_ID_BYTES);
    dispatch(commands, in);
    return STATUS_OK;
}

static bool fits(const struct jv *response)
{
    char *text = jv_print(response, JV_COMPACT);
    bool ok = strlen(text) <= frame_rule(FRAME_RESPONSE)->payload_bytes_max;
    mem_free(text);
    return ok;
}

/* Delivers an answer to ourselves or over the link. */
static void deliver(struct commands *commands, struct command_in *in, const struct jv *json, struct bytes blob)
{
    if (node_id_equal(&in->from, &commands->self)) {
        struct call *call = find_call(commands, in->request_id, &commands->self);
        if (!call)
            return;
        buffer_bytes(&call->blob, blob.data, blob.size);
        (void)take_response(commands, &commands->self, json, NULL);
        return;
    }
    for (size_t at = 0; at < blob.size; at += COMMAND_BLOB_PIECE) {
        size_t n = blob.size - at < COMMAND_BLOB_PIECE ? blob.size - at : COMMAND_BLOB_PIECE;
        struct buffer piece;
        buffer_init(&piece, 0);
        buffer_bytes(&piece, in->request_id, COMMAND_ID_BYTES);
        buffer_u64(&piece, at);
        buffer_bytes(&piece, blob.data + at, n);
        (void)links_send(commands->links, &in->from, FRAME_BLOB, buffer_view(&piece));
        buffer_free(&piece);
    }
    (void)send_json(commands, &in->from, FRAME_RESPONSE, json);
    struct replay *slot = find_replay(commands, in);
    if (slot && !blob.size) {
        mem_free(slot->response);
        slot->response = jv_print(json, JV_COMPACT);
    } else if (slot) {
        *slot = (struct replay){0}; /* a repeated request is served again */
    }
}

static struct jv *response_new(const struct command_in *in, enum status status, struct jv *result,
                               const char *error)
{
    struct jv *json = jv_object_new();
    jv_set_hex(json, "request_id", in->request_id, COMMAND_ID_BYTES);
    jv_set_text(json, "command", in->name);
    jv_set_text(json, "status", status_name(status));
    jv_set(json, "result", result ? result : jv_object_new());
    jv_set_text(json, "error", status ? error : "");
    return json;
}

static void answer(struct commands *commands, struct command_in *in, enum status status, struct jv *result,
                   const char *error, const struct bytes *blob)
{
    struct jv *json = response_new(in, status, result, error);
    if (blob)
        jv_set_int(json, "blob_bytes", (int64_t)blob->size);
    if (!fits(json)) { /* whoever asked must hear something, or it waits for its timeout */
        jv_free(json);
        json = response_new(in, STATUS_LIMIT, NULL, "the answer is larger than an answer may be");
        blob = NULL;
    }
    deliver(commands, in, json, blob ? *blob : (struct bytes){0});
    jv_free(json);
    command_in_free(in);
}

void commands_answer(struct commands *commands, struct command_in *in, enum status status, struct jv *result,
                     const char *error)
{
    answer(commands, in, status, result, error, NULL);
}

void commands_answer_blob(struct commands *commands, struct command_in *in, struct jv *result,
                          struct bytes blob)
{
    answer(commands, in, STATUS_OK, result, "", &blob);
}

static enum status take_blob(struct commands *commands, const struct node_id *peer, struct bytes payload,
                             struct error *err)
{
    struct reader r = reader_over(payload);
    uint8_t request_id[COMMAND_ID_BYTES];
    reader_copy(&r, request_id, sizeof request_id);
    uint64_t offset = reader_u64(&r);
    struct bytes piece = reader_bytes(&r, reader_left(&r));
    if (reader_failed(&r))
        return error_set(err, STATUS_BAD_DATA, "blob of %zu bytes", payload.size);
    struct call *call = find_call(commands, request_id, peer);
    if (!call)
        return STATUS_OK;
    if (offset != call->blob.size)
        return error_set(err, STATUS_BAD_DATA, "%s: blob piece at %" PRIu64 ", expected at %zu", call->name,
                         offset, call->blob.size);
    buffer_bytes(&call->blob, piece.data, piece.size);
    if (call->blob.failed)
        return error_set(err, STATUS_BAD_DATA, "%s: more than %zu bytes of blob", call->name,
                         COMMAND_BLOB_BYTES_MAX);
    call->deadline_ms = clock_ms(commands->clock) + call->timeout_ms; /* it moves */
    try_finish(commands, call);
    return STATUS_OK;
}

enum status commands_on_frame(struct commands *commands, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload, struct error *err)
{
    if (kind == FRAME_BLOB)
        return take_blob(commands, peer, payload, err);
    struct jv *json;
    enum status status = jv_parse(&json, payload, NULL, err);
    if (status)
        return error_wrap(err, STATUS_BAD_DATA, "%s", frame_rule(kind)->name);
    status = kind == FRAME_COMMAND ? take_command(commands, peer, json, err)
                                   : take_response(commands, peer, json, err);
    jv_free(json);
    return status;
}

void commands_on_down(struct commands *commands, const struct node_id *peer)
{
    bool any = false;
    for (struct call *call = commands->calls; call; call = call->next)
        if (node_id_equal(&call->to, peer) && !call->early) {
            call->early = STATUS_NETWORK;
            call->deadline_ms = clock_ms(commands->clock);
            any = true;
        }
    if (any)
        arm(commands);
}
