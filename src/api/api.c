/* The server: routes, who may call them, and the forms of answers. */
#include "api/api.h"

#include "api/api_private.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/shell.h"
#include "model/gguf.h"
#include "model/manifest.h"

#include <stdio.h>
#include <string.h>

void api_respond_json(struct http_exchange *exchange, int status, struct jv *json)
{
    char *text = jv_print(json, JV_COMPACT);
    http_respond_text(exchange, status, "application/json", text);
    mem_free(text);
    jv_free(json);
}

void api_respond_error(struct http_exchange *exchange, int status, const char *type, const char *code,
                       const char *param, const char *message)
{
    struct jv *json = jv_object_new(), *error = jv_object_new();
    jv_set_text(error, "message", message);
    jv_set_text(error, "type", type);
    jv_set_text(error, "param", param);
    jv_set_text(error, "code", code);
    jv_set(json, "error", error);
    api_respond_json(exchange, status, json);
}

static void add_retry_after(struct api *api, struct http_exchange *exchange)
{
    char seconds[16];
    int32_t eta = node_ready_eta_s(api->node);
    if (eta < 0)
        return;
    snprintf(seconds, sizeof seconds, "%d", eta > 0 ? (int)eta : 1);
    http_add_header(exchange, "Retry-After", seconds);
}

static const char *first_cause(const struct jv *verdict, const char **out_code)
{
    const struct jv *first = jv_at(jv_get(verdict, "findings"), 0);
    *out_code = jv_get_text(first, "code", "NOT_READY");
    return jv_get_text(first, "cause", "the model's vocabulary is still being read");
}

void api_respond_not_ready(struct api *api, struct http_exchange *exchange)
{
    struct jv *verdict = node_verdict(api->node), *json = jv_object_new(), *error = jv_object_new();
    const char *code, *cause = first_cause(verdict, &code);
    char *message = mem_format("the swarm is not ready: %s: %s", code, cause);
    jv_set_text(error, "message", message);
    jv_set_text(error, "type", "swarm_not_ready");
    jv_set_text(error, "param", NULL);
    jv_set_text(error, "code", code);
    jv_set(error, "verdict", verdict);
    jv_set(json, "error", error);
    mem_free(message);
    add_retry_after(api, exchange);
    api_respond_json(exchange, 503, json);
}

void route_ready(struct api *api, struct http_exchange *exchange)
{
    bool ready = node_is_ready(api->node);
    if (!ready)
        add_retry_after(api, exchange);
    api_respond_json(exchange, ready ? 200 : 503, node_verdict(api->node));
}

/* --- the tokenizer, read off the loop -------------------------------------------------------------------- */

struct tokenizer_job {
    struct api *api; /* for the loop only; NULL: gone */
    struct loop *loop;
    char *path;
    struct sha256 of;
    struct tokenizer *tokenizer;
    struct chat_template *chat_template;
    struct error err;
    enum status status;
};

static void drop_tokenizer_job(void *arg)
{
    struct tokenizer_job *job = arg;
    tokenizer_free(job->tokenizer);
    chat_template_free(job->chat_template);
    mem_free(job->path);
    mem_free(job);
}

/* What to do is to look at the file; `hint` is a comment behind that command. */
static void set_finding_of_file(const struct tokenizer_job *job, enum finding_code code, enum severity severity,
                                const char *cause, const char *hint)
{
    char *path = shell_word(job->path), *action = mem_format("shoal inspect %s # %s", path, hint);
    node_set_finding(job->api->node, code, severity, cause, action);
    mem_free(action);
    mem_free(path);
}

static void deliver_tokenizer(void *arg)
{
    struct tokenizer_job *job = arg;
    struct api *api = job->api;
    if (!api) { /* it went while the file was read */
        drop_tokenizer_job(job);
        return;
    }
    api->tokenizer_job = NULL;
    if (job->status) {
        log_warn("the tokenizer cannot be used: %s", job->err.text);
        set_finding_of_file(job, FINDING_UNSUPPORTED_MODEL, SEVERITY_BLOCKER, job->err.text,
                            "this version has no such tokenizer");
    } else {
        openai_cancel_all(api, "the model was replaced by another while the answer was made");
        tokenizer_free(api->tokenizer);
        chat_template_free(api->chat_template);
        api->tokenizer = job->tokenizer;
        api->chat_template = job->chat_template;
        job->tokenizer = NULL;
        job->chat_template = NULL;
        api->tokenizer_of = job->of;
        if (chat_template_is_known(api->chat_template))
            node_clear_finding(api->node, FINDING_BAD_TEMPLATE);
        else
            set_finding_of_file(job, FINDING_BAD_TEMPLATE, SEVERITY_WARNING,
                                chat_template_reason(api->chat_template),
                                "plain completions work; chat needs its tokenizer.chat_template");
    }
    openai_wait_end(api, job->status == STATUS_OK);
    drop_tokenizer_job(job);
}

/* Thread: the api's pool. */
static void read_tokenizer(void *arg)
{
    struct tokenizer_job *job = arg;
    struct gguf *gguf = NULL;
    job->status = gguf_open(&gguf, job->path, &job->err);
    if (!job->status)
        job->status = tokenizer_create(&job->tokenizer, gguf, &job->err);
    if (!job->status)
        job->status = chat_template_of_model(&job->chat_template, gguf, job->tokenizer, &job->err);
    if (job->status) {
        tokenizer_free(job->tokenizer);
        job->tokenizer = NULL;
    }
    gguf_close(gguf);
    loop_post(job->loop, deliver_tokenizer, job);
}

bool api_has_tokenizer(struct api *api)
{
    const struct manifest *manifest = node_manifest(api->node);
    const char *path = node_tokenizer_path(api->node);
    if (!manifest || !path)
        return false;
    if (api->tokenizer && sha256_equal(&api->tokenizer_of, &manifest->tokenizer.sha256))
        return true;
    if (!api->tokenizer_job) {
        struct tokenizer_job *job = mem_new(sizeof *job);
        job->api = api;
        job->loop = api->loop;
        job->path = mem_string(path);
        job->of = manifest->tokenizer.sha256;
        if (pool_submit(api->pool, read_tokenizer, drop_tokenizer_job, job))
            drop_tokenizer_job(job);
        else
            api->tokenizer_job = job;
    }
    return false;
}

/* As soon as the node has a tokenizer, not at the first request. */
static void on_node_event(void *ctx, const char *type, const struct jv *event)
{
    (void)type;
    (void)event;
    (void)api_has_tokenizer(ctx);
}

/* --- who may --------------------------------------------------------------------------------------------- */

/* A page from elsewhere that reaches this server by a name of its own (DNS rebinding) is refused. */
static bool host_is_ours(const struct http_request *request)
{
    const char *host = http_request_header(request, "Host");
    if (!host || !request->over_loopback)
        return true;
    size_t n = strlen(host);
    const char *colon = strrchr(host, ':');
    if (colon && strchr(colon, ']') == NULL)
        n = (size_t)(colon - host);
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && strncasecmp(host, names[i], n) == 0)
            return true;
    return false;
}

static bool origin_is_ours(const struct http_request *request)
{
    const char *origin = http_request_header(request, "Origin"), *host = http_request_header(request, "Host");
    if (!origin)
        return true;
    return host && strncmp(origin, "http://", 7) == 0 && strcmp(origin + 7, host) == 0;
}

/* The console's own pages may change things from this machine; programs show the access token. */
static bool may_change(const struct api *api, const struct http_request *request)
{
    const char *given = http_request_header(request, "Authorization");
    if (!given || strncmp(given, "Bearer ", 7) != 0 || !api->token)
        return false;
    struct sha256 ours = sha256_of(api->token, strlen(api->token));
    struct sha256 theirs = sha256_of(given + 7, strlen(given + 7));
    return crypto_equal(ours.bytes, theirs.bytes, sizeof ours.bytes);
}

/* --- routes --------------------------------------------------------------------------------------------------
 */

enum route_need { OPEN, V1, CHANGES };

struct route {
    const char *method, *path; /* path ends with '*': the rest is the argument */
    enum route_need need;
    void (*run)(struct api *api, struct http_exchange *exchange, const char *rest);
};

static void run_chat(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    api->n_v1_requests++;
    openai_completion(api, e, true);
}
static void run_completions(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    api->n_v1_requests++;
    openai_completion(api, e, false);
}
static void run_embeddings(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)api;
    (void)rest;
    api_respond_error(e, 501, "invalid_request_error", "not_supported", NULL,
                      "embeddings are not in this version (" SHOAL_VERSION ")");
}
static void run_models(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    openai_models(api, e);
}
static void run_health(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    struct jv *json = jv_object_new();
    jv_set_text(json, "status", "ok");
    jv_set_bool(json, "ready", node_is_ready(api->node));
    api_respond_json(e, 200, json);
}
static void run_ready(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    route_ready(api, e);
}
static void run_verdict(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    api_respond_json(e, 200, node_verdict(api->node));
}
static void run_status(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    api_respond_json(e, 200, node_status(api->node));
}
static void run_timeline(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    api_respond_json(e, 200, node_timeline(api->node));
}
static void run_files(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    route_files(api, e);
}
static void run_events(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    route_events(api, e);
}
static void run_metrics(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    route_metrics(api, e);
}

static void run_examine(struct api *api, struct http_exchange *e, const char *rest)
{
    (void)rest;
    route_examine(api, e);
}

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", V1, run_chat},
    {"POST", "/v1/completions", V1, run_completions},
    {"POST", "/v1/embeddings", V1, run_embeddings},
    {"GET", "/v1/models", V1, run_models},
    {"GET", "/health", OPEN, run_health},
    {"GET", "/ready", OPEN, run_ready},
    {"GET", "/api/v1/verdict", OPEN, run_verdict},
    {"GET", "/api/v1/status", OPEN, run_status},
    {"GET", "/api/v1/timeline", OPEN, run_timeline},
    {"GET", "/api/v1/files", OPEN, run_files},
    {"GET", "/api/v1/events", OPEN, run_events},
    {"GET", "/api/v1/examine", OPEN, run_examine},
    {"GET", "/metrics", OPEN, run_metrics},
    {"POST", "/api/v1/shards/*", CHANGES, route_shard},
    {"POST", "/api/v1/nodes/*", CHANGES, route_drain},
};

static const char *match(const struct route *route, const char *path)
{
    size_t n = strlen(route->path);
    if (route->path[n - 1] == '*')
        return strncmp(path, route->path, n - 1) == 0 ? path + n - 1 : NULL;
    return strcmp(path, route->path) == 0 ? "" : NULL;
}

static bool is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void run_route(struct api *api, struct http_exchange *exchange, const struct http_request *request,
                      const struct route *route, const char *rest)
{
    if (route->need == V1 && !api->has_v1)
        api_respond_error(exchange, 404, "invalid_request_error", "not_found", NULL,
                          "/v1 is answered by a serve; this is a node's own API");
    else if (route->need == CHANGES && !origin_is_ours(request))
        api_respond_error(exchange, 403, "invalid_request_error", "forbidden", NULL,
                          "this page's origin may not change the swarm");
    else if (route->need == CHANGES && !may_change(api, request))
        api_respond_error(
            exchange, 401, "invalid_request_error", "unauthorized", NULL,
            "changing routes need the access token of the run folder: Authorization: Bearer TOKEN");
    else
        route->run(api, exchange, rest);
}

static void handle(void *ctx, struct http_exchange *exchange, const struct http_request *request)
{
    struct api *api = ctx;
    bool path_known = false;
    if (!host_is_ours(request)) {
        api_respond_error(exchange, 403, "invalid_request_error", "forbidden", NULL,
                          "the Host header names another host than this one");
        return;
    }
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const char *rest = match(&routes[i], request->path);
        if (!rest)
            continue;
        path_known = true;
        if (strcmp(request->method, routes[i].method) == 0 ||
            (is_get(request->method) && is_get(routes[i].method))) {
            run_route(api, exchange, request, &routes[i], rest);
            return;
        }
    }
    if (!path_known && is_get(request->method) && console_respond(exchange, request->path))
        return;
    if (path_known)
        api_respond_error(exchange, 405, "invalid_request_error", "method_not_allowed", NULL,
                          "this route has another method");
    else
        api_respond_error(exchange, 404, "invalid_request_error", "not_found", NULL, "there is no such route");
}

enum status api_new(struct api **out, struct loop *loop, struct node *node, const struct api_config *config,
                    struct error *err)
{
    struct api *api = mem_new(sizeof *api);
    api->loop = loop;
    api->node = node;
    api->has_v1 = config->has_v1;
    api->token = config->token ? mem_string(config->token) : NULL;
    api->n_requests_max = config->n_requests_max ? config->n_requests_max : 256;
    struct http_config http = {.listen = config->listen};
    enum status status = http_server_new(&api->server, loop, &http, handle, api, err);
    if (status) {
        api_free(api);
        return status;
    }
    api->pool = pool_new(1, "shoal-api");
    if (api->has_v1)
        (void)node_watch(node, on_node_event, api);
    *out = api;
    return STATUS_OK;
}

void api_free(struct api *api)
{
    if (!api)
        return;
    node_unwatch(api->node, on_node_event, api);
    openai_wait_end(api, false);
    openai_cancel_all(api, "this process is stopping");
    route_close_streams(api);
    if (api->server)
        http_server_free(api->server);
    if (api->tokenizer_job) /* one that runs delivers when we are gone */
        api->tokenizer_job->api = NULL;
    pool_free(api->pool);
    tokenizer_free(api->tokenizer);
    chat_template_free(api->chat_template);
    mem_free(api->token);
    mem_free(api);
}

const char *api_address(const struct api *api)
{
    return http_server_address(api->server);
}
