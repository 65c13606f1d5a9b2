/* What a handler asks of a request. */
#include "base/mem.h"
#include "net/http_private.h"

#include <string.h>
#include <strings.h>

#define PARAMS_MAX 64

static struct http_pair *find(struct http_pair *pairs, size_t n, const char *name, bool any_case)
{
    for (size_t i = 0; i < n; i++)
        if (any_case ? strcasecmp(pairs[i].name, name) == 0 : strcmp(pairs[i].name, name) == 0)
            return &pairs[i];
    return NULL;
}

static void free_pairs(struct http_pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(pairs[i].name);
        mem_free(pairs[i].value);
    }
    mem_free(pairs);
}

static void add_field(struct http_exchange *exchange, const struct http_field *field)
{
    char *name = mem_string_n((const char *)field->name.data, field->name.size);
    char *value = mem_string_n((const char *)field->value.data, field->value.size);
    struct http_pair *known = find(exchange->fields, exchange->n_fields, name, true);
    if (!known) {
        exchange->fields[exchange->n_fields++] = (struct http_pair){.name = name, .value = value};
        return;
    }
    char *joined = mem_format("%s, %s", known->value, value);
    mem_free(known->value);
    mem_free(name);
    mem_free(value);
    known->value = joined;
}

struct http_exchange *http_exchange_new(struct http_client *client, const struct http_head *head)
{
    struct http_exchange *exchange = mem_new(sizeof *exchange);
    if (!http_split_target(head->target, &exchange->path, &exchange->query)) {
        mem_free(exchange);
        return NULL;
    }
    exchange->client = client;
    ASSERT(head->method.size < sizeof exchange->method); /* it is one of those we know */
    memcpy(exchange->method, head->method.data, head->method.size);
    exchange->keep_alive = head->keep_alive;
    exchange->chunked = head->chunked;
    exchange->is_http_10 = head->is_http_10;
    exchange->is_head = strcmp(exchange->method, "HEAD") == 0;
    exchange->fields = mem_array(head->n_fields, sizeof *exchange->fields);
    for (size_t i = 0; i < head->n_fields; i++)
        add_field(exchange, &head->fields[i]);
    buffer_init(&exchange->body, 0);
    buffer_init(&exchange->head, 16384);
    const struct endpoint *remote = conn_remote(client->conn);
    exchange->request = (struct http_request){.method = exchange->method,
                                              .path = exchange->path,
                                              .query = exchange->query,
                                              .remote_ip = remote->ip,
                                              .remote_port = remote->port,
                                              .over_loopback = endpoint_is_loopback(remote)};
    return exchange;
}

void http_exchange_free(struct http_exchange *exchange)
{
    if (!exchange)
        return;
    free_pairs(exchange->fields, exchange->n_fields);
    free_pairs(exchange->params, exchange->n_params);
    mem_free(exchange->path);
    mem_free(exchange->query);
    buffer_free(&exchange->body);
    buffer_free(&exchange->head);
    mem_free(exchange);
}

/* A request is the first member of its exchange; what is made at the first question belongs to that. */
static struct http_exchange *exchange_of(const struct http_request *request)
{
    return (struct http_exchange *)(uintptr_t)request;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    struct http_exchange *exchange = exchange_of(request);
    const struct http_pair *pair = find(exchange->fields, exchange->n_fields, name, true);
    return pair ? pair->value : NULL;
}

static void add_param(struct http_exchange *exchange, const char *text, size_t n)
{
    const char *equals = memchr(text, '=', n);
    size_t n_name = equals ? (size_t)(equals - text) : n;
    char *name = http_decode_value(bytes_of(text, n_name));
    char *value = equals ? http_decode_value(bytes_of(equals + 1, n - n_name - 1)) : mem_string("");
    if (name && value && exchange->n_params < PARAMS_MAX) {
        exchange->params[exchange->n_params++] = (struct http_pair){.name = name, .value = value};
        return;
    }
    mem_free(name);
    mem_free(value);
}

const char *http_request_param(const struct http_request *request, const char *name)
{
    struct http_exchange *exchange = exchange_of(request);
    if (!exchange->params_made) {
        exchange->params_made = true;
        exchange->params = mem_array(PARAMS_MAX, sizeof *exchange->params);
        for (const char *at = exchange->query; *at; at += strcspn(at, "&"), at += *at == '&')
            add_param(exchange, at, strcspn(at, "&"));
    }
    const struct http_pair *pair = find(exchange->params, exchange->n_params, name, false);
    return pair ? pair->value : NULL;
}
