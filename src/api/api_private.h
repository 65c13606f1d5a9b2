/* What the route files share: the api itself, and answers in the forms that clients expect. */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include "api/api.h"
#include "base/pool.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

struct completion;
struct event_stream;
struct openai_wait;
struct tokenizer_job;

struct api {
    struct loop *loop;
    struct node *node;
    struct http_server *server;
    struct pool *pool; /* one thread: reads the tokenizer */
    bool has_v1;
    struct tokenizer_job *tokenizer_job; /* NULL: none under way */
    struct openai_wait *waits;           /* requests that came while it is */
    char *token;
    uint32_t n_requests_max, n_requests;
    struct tokenizer *tokenizer; /* of the manifest whose fingerprint this is: */
    struct chat_template *chat_template;
    struct sha256 tokenizer_of;
    struct completion *completions; /* under way */
    struct event_stream *streams;   /* SSE clients */
    uint64_t n_v1_requests, n_v1_refused, n_prompt_tokens, n_generated_tokens;
};

/* Takes `json`. */
void api_respond_json(struct http_exchange *exchange, int status, struct jv *json);
/* OpenAI's error object; param and code may be NULL. */
void api_respond_error(struct http_exchange *exchange, int status, const char *type, const char *code,
                       const char *param, const char *message);
/* 503 with the verdict, and Retry-After where an end is expected. */
void api_respond_not_ready(struct api *api, struct http_exchange *exchange);
/* Reads the tokenizer in the background when the node has one and we don't; true once it is here. */
bool api_has_tokenizer(struct api *api);

/* openai.c */
void openai_completion(struct api *api, struct http_exchange *exchange, bool is_chat);
/* The swarm is ready and the vocabulary still being read: a request waits for it, some seconds at most. */
void openai_wait(struct api *api, struct http_exchange *exchange, bool is_chat);
void openai_wait_end(struct api *api, bool readable); /* runs those that wait, or refuses them */
void openai_models(struct api *api, struct http_exchange *exchange);
void openai_cancel_all(struct api *api, const char *why); /* each gets an error with this text */

/* swarm_routes.c */
void route_ready(struct api *api, struct http_exchange *exchange);
void route_shard(struct api *api, struct http_exchange *exchange, const char *rest);
void route_drain(struct api *api, struct http_exchange *exchange, const char *rest);
void route_examine(struct api *api, struct http_exchange *exchange);
void route_files(struct api *api, struct http_exchange *exchange);
void route_metrics(struct api *api, struct http_exchange *exchange);
void route_events(struct api *api, struct http_exchange *exchange);
void route_close_streams(struct api *api);

/* console.c: GET / and its files; false when there is none of that name. */
bool console_respond(struct http_exchange *exchange, const char *path);

#endif
