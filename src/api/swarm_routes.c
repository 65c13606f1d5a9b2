/* The swarm's own routes: files, commands by hand, events, metrics. */
#include "api/api_private.h"
#include "api/examination.h"
#include "base/mem.h"
#include "model/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An answer that comes later: the exchange may go before it. */
struct waiting {
    struct http_exchange *exchange; /* NULL: the client left */
    bool streams;
};

static void on_waiting_left(void *arg)
{
    struct waiting *waiting = arg;
    waiting->exchange = NULL;
}

static struct waiting *wait_for(struct http_exchange *exchange)
{
    struct waiting *waiting = mem_new(sizeof *waiting);
    waiting->exchange = exchange;
    http_on_close(exchange, on_waiting_left, waiting);
    return waiting;
}

static void on_files(void *ctx, struct jv *files)
{
    struct waiting *waiting = ctx;
    if (waiting->exchange) {
        http_on_close(waiting->exchange, NULL, NULL);
        api_respond_json(waiting->exchange, 200, files);
    } else {
        jv_free(files);
    }
    mem_free(waiting);
}

void route_files(struct api *api, struct http_exchange *exchange)
{
    node_files(api->node, on_files, wait_for(exchange));
}

static void on_examined(void *ctx, const struct links_examination *result)
{
    struct waiting *waiting = ctx;
    if (waiting->exchange) {
        http_on_close(waiting->exchange, NULL, NULL);
        api_respond_json(waiting->exchange, 200, examination_to_json(result));
    }
    mem_free(waiting);
}

/* ?address=HOST:PORT */
void route_examine(struct api *api, struct http_exchange *exchange)
{
    const char *text = http_request_param(http_exchange_request(exchange), "address");
    const char *colon = text ? strrchr(text, ':') : NULL;
    char host[256];
    char *end = NULL;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (n > 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (!colon || *end || port == 0 || port > UINT16_MAX || n == 0 || n >= sizeof host) {
        api_respond_error(exchange, 400, "invalid_request_error", NULL, "address",
                          "address=HOST:PORT is needed");
        return;
    }
    memcpy(host, text, n);
    host[n] = '\0';
    links_examine(node_links(api->node), host, (uint16_t)port, on_examined, wait_for(exchange));
}

/* "stream": true: each step as an event "step", then the outcome as an event "outcome". */
static void on_step(void *ctx, const struct jv *step)
{
    struct waiting *waiting = ctx;
    if (!waiting->exchange || !waiting->streams)
        return;
    char *text = jv_print(step, JV_COMPACT);
    http_sse_send(waiting->exchange, "step", text);
    mem_free(text);
}

static void on_outcome(void *ctx, struct jv *outcome)
{
    struct waiting *waiting = ctx;
    if (waiting->exchange && waiting->streams) {
        char *text = jv_print(outcome, JV_COMPACT);
        http_on_close(waiting->exchange, NULL, NULL);
        http_sse_send(waiting->exchange, "outcome", text);
        http_stream_end(waiting->exchange);
        mem_free(text);
        jv_free(outcome);
    } else if (waiting->exchange) {
        http_on_close(waiting->exchange, NULL, NULL);
        api_respond_json(waiting->exchange, jv_get_bool(outcome, "ok", false) ? 200 : 409, outcome);
    } else {
        jv_free(outcome);
    }
    mem_free(waiting);
}

/* {"node": id?}; an empty body is an empty object. NULL with *out_json set: no node was named. */
static bool read_target(struct http_exchange *exchange, struct jv **out_json, const char **out_node)
{
    struct bytes body = http_exchange_request(exchange)->body;
    struct error err;
    *out_json = NULL;
    *out_node = NULL;
    if (body.size == 0)
        return true;
    if (jv_parse(out_json, body, NULL, &err) || !jv_is_object(*out_json)) {
        api_respond_error(exchange, 400, "invalid_request_error", NULL, NULL, "the body must be a JSON object");
        return false;
    }
    *out_node = jv_get_text(*out_json, "node", NULL);
    return true;
}

/* rest: "3/load" or "3/unload" */
void route_shard(struct api *api, struct http_exchange *exchange, const char *rest)
{
    char *end;
    unsigned long shard = strtoul(rest, &end, 10);
    bool load = strcmp(end, "/load") == 0, unload = strcmp(end, "/unload") == 0;
    if (end == rest || *rest < '0' || *rest > '9' || shard >= NODE_SHARDS_MAX || (!load && !unload)) {
        api_respond_error(exchange, 404, "invalid_request_error", "not_found", NULL,
                          "shards/ID/load and shards/ID/unload are here");
        return;
    }
    struct jv *json;
    const char *target;
    if (!read_target(exchange, &json, &target)) {
        jv_free(json);
        return;
    }
    struct waiting *waiting = wait_for(exchange);
    waiting->streams = jv_get_bool(json, "stream", false);
    if (waiting->streams)
        http_stream_begin(exchange, 200, "text/event-stream");
    if (load)
        node_load_shard(api->node, (uint32_t)shard, target, on_step, on_outcome, waiting);
    else
        node_unload_shard(api->node, (uint32_t)shard, target, on_step, on_outcome, waiting);
    jv_free(json);
}

/* rest: "ID/drain" */
void route_drain(struct api *api, struct http_exchange *exchange, const char *rest)
{
    const char *slash = strchr(rest, '/');
    if (!slash || strcmp(slash, "/drain") != 0) {
        api_respond_error(exchange, 404, "invalid_request_error", "not_found", NULL, "nodes/ID/drain is here");
        return;
    }
    char *id = mem_string_n(rest, (size_t)(slash - rest));
    node_drain(api->node, id, on_outcome, wait_for(exchange));
    mem_free(id);
}

/* --- events ---------------------------------------------------------------------------------------------- */

#define EVENT_QUEUE_BYTES_MAX ((size_t)1 << 20) /* a reader that falls behind further is let go */

struct event_stream {
    struct event_stream *next;
    struct api *api;
    struct http_exchange *exchange;
};

static void on_event(void *ctx, const char *type, const struct jv *event);

static void stream_free(struct event_stream *stream)
{
    node_unwatch(stream->api->node, on_event, stream);
    for (struct event_stream **at = &stream->api->streams; *at; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            break;
        }
    mem_free(stream);
}

static void on_stream_left(void *arg)
{
    stream_free(arg);
}

static void on_event(void *ctx, const char *type, const struct jv *event)
{
    struct event_stream *stream = ctx;
    if (http_stream_queued(stream->exchange) > EVENT_QUEUE_BYTES_MAX)
        return;
    char *text = jv_print(event, JV_COMPACT);
    http_sse_send(stream->exchange, type, text);
    mem_free(text);
}

void route_events(struct api *api, struct http_exchange *exchange)
{
    struct event_stream *stream = mem_new(sizeof *stream);
    stream->api = api;
    stream->exchange = exchange;
    if (!node_watch(api->node, on_event, stream)) {
        mem_free(stream);
        api_respond_error(exchange, 503, "rate_limit_error", "overloaded", NULL,
                          "too many event streams are open");
        return;
    }
    stream->next = api->streams;
    api->streams = stream;
    http_on_close(exchange, on_stream_left, stream);
    http_add_header(exchange, "Cache-Control", "no-store");
    http_stream_begin(exchange, 200, "text/event-stream");
    struct jv *verdict = node_verdict(api->node);
    on_event(stream, "verdict", verdict);
    jv_free(verdict);
}

void route_close_streams(struct api *api)
{
    while (api->streams) {
        struct event_stream *stream = api->streams;
        http_on_close(stream->exchange, NULL, NULL);
        http_stream_end(stream->exchange);
        stream_free(stream);
    }
}

/* --- metrics --------------------------------------------------------------------------------------------- */

static void metric(struct buffer *out, const char *name, const char *kind, const char *help, double value)
{
    buffer_format(out, "# HELP shoal_%s %s\n# TYPE shoal_%s %s\nshoal_%s %.17g\n", name, help, name, kind, name,
                  value);
}

void route_metrics(struct api *api, struct http_exchange *exchange)
{
    struct buffer out;
    buffer_init(&out, 0);
    struct jv *status = node_status(api->node), *verdict = node_verdict(api->node);
    struct http_counts http = http_server_counts(api->server);
    size_t n_blockers = 0;
    for (size_t i = 0; i < jv_count(jv_get(verdict, "findings")); i++)
        n_blockers +=
            strcmp(jv_get_text(jv_at(jv_get(verdict, "findings"), i), "severity", ""), "blocker") == 0;
    metric(&out, "ready", "gauge", "1 while a probe token proves the whole chain",
           jv_get_bool(status, "ready", false));
    metric(&out, "blockers", "gauge", "findings that block readiness", (double)n_blockers);
    metric(&out, "nodes", "gauge", "live nodes known here", (double)jv_count(jv_get(status, "nodes")));
    metric(&out, "shards_expected", "gauge", "shards of the model",
           (double)jv_get_int(status, "expected_shards", 0));
    metric(&out, "shards_discovered", "gauge", "shards that a live node claims",
           (double)jv_get_int(status, "discovered_shards", 0));
    metric(&out, "shards_loaded", "gauge", "shards loaded on a live node",
           (double)jv_get_int(status, "loaded_shards", 0));
    metric(&out, "http_requests_total", "counter", "requests", (double)http.n_requests);
    metric(&out, "http_refused_total", "counter", "requests refused for framing, size, deadline or number",
           (double)(http.n_bad_framing + http.n_too_large + http.n_deadline + http.n_over_connections));
    if (api->has_v1) {
        metric(&out, "v1_requests_total", "counter", "completions asked for", (double)api->n_v1_requests);
        metric(&out, "v1_refused_total", "counter", "completions refused", (double)api->n_v1_refused);
        metric(&out, "v1_running", "gauge", "completions under way", api->n_requests);
        metric(&out, "prompt_tokens_total", "counter", "tokens of prompts", (double)api->n_prompt_tokens);
        metric(&out, "generated_tokens_total", "counter", "tokens generated", (double)api->n_generated_tokens);
    }
    http_respond(exchange, 200, "text/plain; version=0.0.4", buffer_view(&out));
    buffer_free(&out);
    jv_free(status);
    jv_free(verdict);
}
