/* /v1: OpenAI's completions over the front door. */
#include "api/api_private.h"
#include "api/openai_request.h"
#include "api/stop_filter.h"
#include "base/mem.h"
#include "model/manifest.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct completion {
    struct completion *next;
    struct api *api;
    struct http_exchange *exchange; /* NULL once answered */
    struct generation *generation;
    struct openai_request request;
    char id[40];
    int64_t created;
    uint32_t n_prompt, n_generated;
    struct tokenizer_stream utf8;
    struct stop_filter filter;
    const char *stops[OPENAI_STOPS_MAX + 1];
    struct buffer text;  /* not streamed: the whole answer; streamed: what this token showed */
    struct jv *logprobs; /* array of entries */
    bool began, ended_by_text;
};

static const char *object_name(const struct completion *c)
{
    if (!c->request.is_chat)
        return "text_completion";
    return c->request.stream ? "chat.completion.chunk" : "chat.completion";
}

static struct jv *envelope(const struct completion *c)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "id", c->id);
    jv_set_text(json, "object", object_name(c));
    jv_set_int(json, "created", c->created);
    const struct manifest *manifest = node_manifest(c->api->node);
    jv_set_text(json, "model", manifest ? manifest->name : "");
    return json;
}

static struct jv *usage(const struct completion *c)
{
    struct jv *json = jv_object_new();
    jv_set_int(json, "prompt_tokens", c->n_prompt);
    jv_set_int(json, "completion_tokens", c->n_generated);
    jv_set_int(json, "total_tokens", (int64_t)c->n_prompt + c->n_generated);
    return json;
}

/* One entry of choices. `text` NULL: nothing new; finish NULL: not the last. */
static struct jv *choice(struct completion *c, const char *text, const char *finish, bool is_first)
{
    struct jv *json = jv_object_new();
    jv_set_int(json, "index", 0);
    if (!c->request.is_chat) {
        jv_set_text(json, "text", text ? text : "");
    } else {
        struct jv *message = jv_object_new();
        if (is_first || !c->request.stream)
            jv_set_text(message, "role", "assistant");
        if (text)
            jv_set_text(message, "content", text);
        jv_set(json, c->request.stream ? "delta" : "message", message);
    }
    if (c->request.want_logprobs && c->logprobs) {
        struct jv *logprobs = jv_object_new();
        jv_set(logprobs, "content", c->logprobs);
        c->logprobs = NULL;
        jv_set(json, "logprobs", logprobs);
    } else {
        jv_set(json, "logprobs", jv_null_new());
    }
    jv_set_text(json, "finish_reason", finish);
    return json;
}

static void send_chunk(struct completion *c, struct jv *json)
{
    char *text = jv_print(json, JV_COMPACT);
    http_sse_send(c->exchange, NULL, text);
    mem_free(text);
    jv_free(json);
}

static void send_choice_chunk(struct completion *c, const char *text, const char *finish, bool is_first)
{
    struct jv *json = envelope(c), *choices = jv_array_new();
    jv_append(choices, choice(c, text, finish, is_first));
    jv_set(json, "choices", choices);
    if (c->request.include_usage)
        jv_set(json, "usage", jv_null_new());
    send_chunk(c, json);
}

static void completion_free(struct completion *c)
{
    for (struct completion **at = &c->api->completions; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    c->api->n_requests--;
    openai_request_free(&c->request);
    stop_filter_free(&c->filter);
    buffer_free(&c->text);
    jv_free(c->logprobs);
    mem_free(c);
}

static void on_client_left(void *arg)
{
    struct completion *c = arg;
    c->exchange = NULL;
    if (c->generation)
        frontdoor_cancel(node_frontdoor(c->api->node), c->generation);
    completion_free(c);
}

static void begin_stream(struct completion *c)
{
    if (c->began)
        return;
    c->began = true;
    http_add_header(c->exchange, "Cache-Control", "no-store");
    http_add_header(c->exchange, "X-Accel-Buffering", "no");
    http_stream_begin(c->exchange, 200, "text/event-stream");
    if (c->request.is_chat)
        send_choice_chunk(c, "", NULL, true);
}

static struct jv *top_entry(struct completion *c, uint32_t token, float log_probability)
{
    struct jv *entry = jv_object_new();
    struct bytes bytes = {0};
    tokenizer_token_bytes(c->api->tokenizer, token, &bytes);
    jv_set(entry, "token", jv_text_new_n((const char *)bytes.data, bytes.size));
    jv_set_real(entry, "logprob", (double)log_probability);
    struct jv *raw = jv_array_new();
    for (size_t i = 0; i < bytes.size; i++)
        jv_append(raw, jv_int_new(bytes.data[i]));
    jv_set(entry, "bytes", raw);
    return entry;
}

static void note_logprobs(struct completion *c, const struct tokens_message *message)
{
    if (!c->request.want_logprobs)
        return;
    struct jv *entry = top_entry(c, message->token, message->log_probability), *top = jv_array_new();
    for (uint32_t i = 0; i < message->n_top; i++)
        jv_append(top, top_entry(c, message->top_tokens[i], message->top_log_probabilities[i]));
    jv_set(entry, "top_logprobs", top);
    if (!c->logprobs)
        c->logprobs = jv_array_new();
    jv_append(c->logprobs, entry);
}

static bool on_token(void *ctx, uint32_t token, const struct tokens_message *message)
{
    struct completion *c = ctx;
    c->n_generated++;
    c->api->n_generated_tokens++;
    if (tokenizer_is_end_of_generation(c->api->tokenizer, token)) {
        c->ended_by_text = true;
        return false;
    }
    struct bytes bytes = {0};
    tokenizer_token_bytes(c->api->tokenizer, token, &bytes);
    struct buffer whole;
    buffer_init(&whole, 0);
    tokenizer_stream_push(&c->utf8, bytes, &whole);
    note_logprobs(c, message);
    if (c->request.stream)
        buffer_clear(&c->text);
    c->ended_by_text = stop_filter_push(&c->filter, buffer_view(&whole), &c->text);
    buffer_free(&whole);
    if (c->request.stream) {
        begin_stream(c);
        if (c->text.size)
            send_choice_chunk(c, buffer_string(&c->text), NULL, false);
    }
    return !c->ended_by_text;
}

static void finish_stream(struct completion *c, const char *finish)
{
    begin_stream(c);
    if (c->text.size)
        send_choice_chunk(c, buffer_string(&c->text), NULL, false);
    send_choice_chunk(c, NULL, finish, false);
    if (c->request.include_usage) {
        struct jv *json = envelope(c);
        jv_set(json, "choices", jv_array_new());
        jv_set(json, "usage", usage(c));
        send_chunk(c, json);
    }
    http_sse_send(c->exchange, NULL, "[DONE]");
    http_stream_end(c->exchange);
}

static void finish_whole(struct completion *c, const char *finish)
{
    struct jv *json = envelope(c), *choices = jv_array_new();
    jv_append(choices, choice(c, buffer_string(&c->text), finish, false));
    jv_set(json, "choices", choices);
    jv_set(json, "usage", usage(c));
    api_respond_json(c->exchange, 200, json);
}

static void finish_failed(struct completion *c, const struct error *err)
{
    if (!c->began) {
        api_respond_error(c->exchange, 503, "swarm_error", status_name(err->status), NULL, err->text);
        return;
    }
    struct jv *json = jv_object_new(), *error = jv_object_new();
    jv_set_text(error, "type", "swarm_error");
    jv_set_text(error, "message", err->text);
    jv_set_text(error, "code", status_name(err->status));
    jv_set(json, "error", error);
    send_chunk(c, json);
    http_stream_end(c->exchange);
}

static void on_end(void *ctx, enum finish finish, const struct error *err)
{
    struct completion *c = ctx;
    c->generation = NULL;
    http_on_close(c->exchange, NULL, NULL);
    if (finish == FINISH_FAILED) {
        finish_failed(c, err);
    } else {
        const char *reason = finish == FINISH_STOPPED && c->ended_by_text ? "stop" : "length";
        struct buffer rest;
        buffer_init(&rest, 0);
        tokenizer_stream_finish(&c->utf8, &rest);
        if (c->request.stream)
            buffer_clear(&c->text);
        stop_filter_push(&c->filter, buffer_view(&rest), &c->text);
        stop_filter_finish(&c->filter, &c->text);
        buffer_free(&rest);
        if (c->request.stream)
            finish_stream(c, reason);
        else
            finish_whole(c, reason);
    }
    c->exchange = NULL;
    completion_free(c);
}

static enum status encode_prompt(struct api *api, const struct openai_request *request,
                                 struct tokenizer_ids *ids, struct error *err)
{
    if (request->is_chat)
        return chat_template_encode(api->chat_template, api->tokenizer, request->messages, request->n_messages,
                                    true, ids, err);
    if (!request->prompt_ids)
        return tokenizer_encode(api->tokenizer, request->prompt, TOKENIZE_ADD_BOS, ids, err);
    for (size_t i = 0; i < request->n_prompt_ids; i++)
        tokenizer_ids_append(ids, request->prompt_ids[i]);
    return STATUS_OK;
}

static void refuse(struct http_exchange *exchange, const char *param, const struct error *err)
{
    if (err->status == STATUS_BUSY)
        api_respond_error(exchange, 503, "swarm_not_ready", "not_ready", NULL, err->text);
    else if (err->status == STATUS_LIMIT) {
        http_add_header(exchange, "Retry-After", "1");
        api_respond_error(exchange, 429, "rate_limit_error", "overloaded", NULL, err->text);
    } else
        api_respond_error(exchange, 400, "invalid_request_error", NULL, param, err->text);
}

static struct completion *completion_new(struct api *api, struct http_exchange *exchange,
                                         struct openai_request *request)
{
    struct completion *c = mem_new(sizeof *c);
    uint8_t id[8];
    char hex[17];
    c->api = api;
    c->exchange = exchange;
    c->request = *request;
    c->created = (int64_t)time(NULL);
    crypto_random(id, sizeof id);
    hex_encode(hex, id, sizeof id);
    snprintf(c->id, sizeof c->id, "%s-%s", request->is_chat ? "chatcmpl" : "cmpl", hex);
    size_t n = 0;
    for (; n < request->n_stops; n++)
        c->stops[n] = request->stops[n];
    if (request->is_chat && chat_template_stop_text(api->chat_template)[0])
        c->stops[n++] = chat_template_stop_text(api->chat_template);
    stop_filter_init(&c->filter, c->stops, n);
    buffer_init(&c->text, 0);
    c->next = api->completions;
    api->completions = c;
    api->n_requests++;
    return c;
}

/* Checks the length in the user's words before the front door does. */
static enum status check_length(struct api *api, const struct openai_request *request, size_t n_prompt,
                                uint32_t *out_n_max, struct error *err)
{
    uint32_t n_ctx = node_context(api->node);
    if (n_prompt == 0)
        return error_set(err, STATUS_BAD_USAGE, "the prompt is empty; give at least one token");
    if (n_prompt >= n_ctx) {
        frontdoor_note_too_long(node_frontdoor(api->node), (uint32_t)n_prompt, n_ctx);
        return error_set(
            err, STATUS_BAD_USAGE,
            "the prompt has %zu tokens, the context of this swarm %u: shorten it, or start the nodes with a "
            "larger --ctx",
            n_prompt, n_ctx);
    }
    uint32_t room = n_ctx - (uint32_t)n_prompt;
    *out_n_max = request->n_max && request->n_max < room ? request->n_max : room;
    return STATUS_OK;
}

static void start(struct api *api, struct http_exchange *exchange, struct openai_request *request)
{
    struct error err;
    struct tokenizer_ids ids = {0};
    uint32_t n_max = 0;
    enum status status = encode_prompt(api, request, &ids, &err);
    if (!status)
        status = check_length(api, request, ids.n, &n_max, &err);
    if (status) {
        const char *param = request->is_chat ? "messages" : "prompt";
        refuse(exchange, param, &err);
        tokenizer_ids_free(&ids);
        openai_request_free(request);
        return;
    }
    if (!request->has_seed)
        request->sample.seed = crypto_random_u64();
    struct completion *c = completion_new(api, exchange, request);
    c->n_prompt = (uint32_t)ids.n;
    api->n_prompt_tokens += ids.n;
    struct generate_params params = {.prompt = ids.ids,
                                     .n_prompt = (uint32_t)ids.n,
                                     .n_max = n_max,
                                     .n_ctx = node_context(api->node),
                                     .sample = c->request.sample};
    static const struct generate_events events = {.on_token = on_token, .on_end = on_end};
    status = frontdoor_generate(node_frontdoor(api->node), &c->generation, &params, &events, c, &err);
    tokenizer_ids_free(&ids);
    if (status) {
        api->n_v1_refused++;
        refuse(exchange, NULL, &err);
        completion_free(c);
        return;
    }
    http_on_close(exchange, on_client_left, c);
}

void openai_completion(struct api *api, struct http_exchange *exchange, bool is_chat)
{
    struct error err;
    struct openai_request request;
    const char *param;
    if (!node_is_ready(api->node)) {
        api->n_v1_refused++;
        api_respond_not_ready(api, exchange);
        return;
    }
    if (!api_has_tokenizer(api)) {
        openai_wait(api, exchange, is_chat);
        return;
    }
    if (api->n_requests >= api->n_requests_max) {
        api->n_v1_refused++;
        http_add_header(exchange, "Retry-After", "1");
        api_respond_error(exchange, 429, "rate_limit_error", "overloaded", NULL,
                          "too many requests are under way; try again in a second");
        return;
    }
    if (openai_request_read(&request, http_exchange_request(exchange)->body, is_chat,
                            tokenizer_n_vocab(api->tokenizer), &param, &err)) {
        refuse(exchange, param, &err);
        return;
    }
    const char *name = node_manifest(api->node)->name;
    if (request.model[0] && strcmp(request.model, name) != 0) {
        char text[400];
        snprintf(text, sizeof text, "the model '%.128s' is not here; this swarm runs '%.128s'", request.model,
                 name);
        api_respond_error(exchange, 404, "invalid_request_error", "model_not_found", "model", text);
        openai_request_free(&request);
        return;
    }
    start(api, exchange, &request);
}

void openai_models(struct api *api, struct http_exchange *exchange)
{
    struct jv *json = jv_object_new(), *data = jv_array_new();
    const struct manifest *manifest = node_manifest(api->node);
    if (manifest) {
        struct jv *model = jv_object_new();
        jv_set_text(model, "id", manifest->name);
        jv_set_text(model, "object", "model");
        jv_set_int(model, "created", 0);
        jv_set_text(model, "owned_by", "shoal");
        jv_set_bool(model, "ready", node_is_ready(api->node));
        jv_append(data, model);
    }
    jv_set_text(json, "object", "list");
    jv_set(json, "data", data);
    api_respond_json(exchange, 200, json);
}

void openai_cancel_all(struct api *api, const char *why)
{
    struct error err;
    error_set(&err, STATUS_CANCELLED, "%s", why);
    while (api->completions) {
        struct completion *c = api->completions;
        http_on_close(c->exchange, NULL, NULL);
        if (c->generation)
            frontdoor_cancel(node_frontdoor(api->node), c->generation);
        finish_failed(c, &err);
        completion_free(c);
    }
}
