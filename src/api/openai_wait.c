/* Requests that come between ready and the vocabulary: the chain stands, the front door's own reading of the
 * tokenizer takes a moment more. They wait instead of being refused. */
#include "api/api_private.h"
#include "base/clock.h"
#include "base/mem.h"

#define WAIT_MS   10000
#define WAITS_MAX 64

struct openai_wait {
    struct openai_wait *next;
    struct api *api;
    struct http_exchange *exchange;
    struct timer *timer;
    bool is_chat;
};

static void take_out(struct openai_wait *wait)
{
    for (struct openai_wait **at = &wait->api->waits; *at; at = &(*at)->next)
        if (*at == wait) {
            *at = wait->next;
            break;
        }
    clock_timer_free(loop_clock(wait->api->loop), wait->timer);
}

static void on_left(void *arg)
{
    take_out(arg);
    mem_free(arg);
}

static void refuse(struct api *api, struct http_exchange *exchange)
{
    api->n_v1_refused++;
    api_respond_not_ready(api, exchange);
}

static void on_timeout(void *arg)
{
    struct openai_wait *wait = arg;
    take_out(wait);
    http_on_close(wait->exchange, NULL, NULL);
    refuse(wait->api, wait->exchange);
    mem_free(wait);
}

void openai_wait(struct api *api, struct http_exchange *exchange, bool is_chat)
{
    uint32_t n = 0;
    for (const struct openai_wait *w = api->waits; w; w = w->next)
        n++;
    if (n == WAITS_MAX) {
        refuse(api, exchange);
        return;
    }
    struct openai_wait *wait = mem_new(sizeof *wait);
    *wait = (struct openai_wait){.next = api->waits, .api = api, .exchange = exchange, .is_chat = is_chat};
    wait->timer = clock_timer_new(loop_clock(api->loop), on_timeout, wait);
    clock_timer_set(loop_clock(api->loop), wait->timer, WAIT_MS);
    api->waits = wait;
    http_on_close(exchange, on_left, wait);
}

void openai_wait_end(struct api *api, bool readable)
{
    struct openai_wait *all = api->waits;
    api->waits = NULL;
    while (all) {
        struct openai_wait *wait = all;
        all = wait->next;
        clock_timer_free(loop_clock(api->loop), wait->timer);
        http_on_close(wait->exchange, NULL, NULL);
        if (readable)
            openai_completion(api, wait->exchange, wait->is_chat);
        else
            refuse(api, wait->exchange);
        mem_free(wait);
    }
}
