/* The inside of the HTTP server, between http.c (connections, requests) and http_answer.c. */
#ifndef NET_HTTP_PRIVATE_H
#define NET_HTTP_PRIVATE_H

#include "net/conn.h"
#include "net/http.h"
#include "net/http_parse.h"

enum http_phase {
    HTTP_IDLE,    /* between requests */
    HTTP_HEAD,    /* a head has begun */
    HTTP_BODY,    /* its body is awaited */
    HTTP_HANDLED, /* the exchange is with the handler */
};

struct http_client { /* one connection */
    struct http_server *server;
    struct conn *conn;
    enum http_phase phase;
    size_t scanned;
    uint64_t body_left;
    struct http_chunks chunks;
    struct http_exchange *exchange; /* from BODY on */
    bool taking;                    /* inside on_input: a finished answer goes on there */
    bool gone;                      /* given up; freed by the loop's reap step */
    struct http_client *next, **before;
};

struct http_pair {
    char *name, *value;
};

struct http_exchange {
    struct http_request request; /* first: http_request_header finds the exchange by it */
    struct http_client *client;
    char method[16], *path, *query;
    struct http_pair *fields, *params; /* as text; params are made at the first question */
    size_t n_fields, n_params;
    bool params_made;
    struct buffer body;
    struct buffer head; /* the answer's extra headers */
    bool keep_alive, is_head, is_http_10, chunked;
    bool answering, answered; /* its head is sent; it is whole */
    void (*on_close)(void *arg);
    void *on_close_arg;
};

/* http_request.c */
/* From a parsed head; NULL where the target is bad. */
struct http_exchange *http_exchange_new(struct http_client *client, const struct http_head *head);
void http_exchange_free(struct http_exchange *exchange); /* NULL is fine */

/* http.c */
/* The answer is whole: the exchange ends, the connection goes on or closes. */
void http_client_answered(struct http_client *client);

#endif
