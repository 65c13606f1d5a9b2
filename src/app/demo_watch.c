#include "app/demo_watch.h"

#include "app/run_folder.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READY_MS_MAX   45000
#define LOOK_MS        100
#define CALL_MS_MAX    2000
#define SHORT_ID_CHARS 8

void demo_watch_begin(struct demo_watch *watch, FILE *out)
{
    *watch = (struct demo_watch){.out = out, .began_us = clock_process_us(), .terminal = isatty(fileno(out))};
}

void demo_watch_end(struct demo_watch *watch)
{
    mem_free(watch->loaded_shown);
    watch->loaded_shown = NULL;
}

static double elapsed_s(const struct demo_watch *watch)
{
    return (double)(clock_process_us() - watch->began_us) / 1e6;
}

static void close_line(struct demo_watch *watch)
{
    if (watch->line_open)
        fputs("\r\033[K", watch->out);
    watch->line_open = false;
}

static void print_time(const struct demo_watch *watch)
{
    fprintf(watch->out, "%s%6.1f s%s  ", watch->terminal ? "\033[2m" : "", elapsed_s(watch),
            watch->terminal ? "\033[0m" : "");
}

void demo_watch_say(struct demo_watch *watch, const char *format, ...)
{
    va_list args;
    close_line(watch);
    print_time(watch);
    va_start(args, format);
    vfprintf(watch->out, format, args);
    va_end(args);
    fputc('\n', watch->out);
    fflush(watch->out);
}

/* --- what the serve says --------------------------------------------------------------------------------- */

static const struct jv *shard_holder(const struct jv *status, uint32_t shard)
{
    return jv_at(jv_get(jv_at(jv_get(status, "shards"), shard), "holders"), 0);
}

static void show_loaded(struct demo_watch *watch, const struct demo_box *box, const struct jv *status)
{
    uint32_t n_shown = 0;
    for (uint32_t i = 0; i < box->n_shards; i++)
        n_shown += watch->loaded_shown[i];
    for (uint32_t i = 0; i < box->n_shards; i++) {
        const struct jv *shard = jv_at(jv_get(status, "shards"), i);
        const struct jv *holder = shard_holder(status, i);
        if (!holder || watch->loaded_shown[i])
            continue;
        long long first = jv_get_int(shard, "first_layer", 0), end = jv_get_int(shard, "end_layer", 0);
        watch->loaded_shown[i] = true;
        if (end - first == 1)
            demo_watch_say(watch, "shard %u (layer %lld) loaded on node %.*s   %u/%u", i, first, SHORT_ID_CHARS,
                           jv_text(holder, "?"), ++n_shown, box->n_shards);
        else
            demo_watch_say(watch, "shard %u (layers %lld-%lld) loaded on node %.*s   %u/%u", i, first, end - 1,
                           SHORT_ID_CHARS, jv_text(holder, "?"), ++n_shown, box->n_shards);
    }
}

static void show_status(struct demo_watch *watch, const struct demo_box *box, const struct jv *status)
{
    const struct jv *nodes = jv_get(status, "nodes");
    uint32_t n_linked = 0;
    for (size_t i = 0; i < jv_count(nodes); i++)
        n_linked += strcmp(jv_get_text(jv_at(nodes, i), "role", ""), "node") == 0 &&
                    jv_get_bool(jv_at(nodes, i), "linked", false);
    if (n_linked == box->n_nodes && watch->n_linked_shown < n_linked)
        demo_watch_say(watch, "found and linked: %u/%u nodes", n_linked, box->n_nodes);
    if (n_linked > watch->n_linked_shown)
        watch->n_linked_shown = n_linked;
    show_loaded(watch, box, status);
    if (!watch->terminal)
        return;
    close_line(watch);
    print_time(watch);
    fprintf(watch->out, "nodes linked %u/%u, shards loaded %lld/%u", n_linked, box->n_nodes,
            (long long)jv_get_int(status, "loaded_shards", 0), box->n_shards);
    fflush(watch->out);
    watch->line_open = true;
}

/* Nodes are in the run folder sooner. */
static bool find_serve(struct client *out)
{
    struct run_entry entry;
    if (run_folder_find(&entry, NULL) || strcmp(entry.role, "serve") != 0)
        return false;
    return client_find(out, entry.url, NULL) == STATUS_OK;
}

/* The serve may not listen yet: no answer is no error. */
static bool look(struct demo_watch *watch, const struct demo_box *box, struct client *client)
{
    struct jv *status;
    int http;
    if (!client->url[0] && !find_serve(client))
        return false;
    if (client_call(client, "/api/v1/status", NULL, CALL_MS_MAX, &status, &http, NULL))
        return false;
    bool ready = http == 200 && jv_get_bool(status, "ready", false);
    if (http == 200)
        show_status(watch, box, status);
    jv_free(status);
    return ready;
}

/* --- when it does not come about ------------------------------------------------------------------------- */

static void explain(struct demo_watch *watch, const struct demo_children *children, const struct client *client)
{
    struct jv *verdict = NULL;
    int http;
    close_line(watch);
    if (!client->url[0] || client_call(client, "/api/v1/verdict", NULL, CALL_MS_MAX, &verdict, &http, NULL))
        verdict = NULL;
    const struct jv *first = jv_at(jv_get(verdict, "findings"), 0);
    const struct demo_child *child = demo_child_of_node(children, jv_get_text(first, "node", NULL));
    if (first)
        fprintf(stderr, "%s: %s\n  try: %s\n", jv_get_text(first, "code", "?"), jv_get_text(first, "cause", ""),
                jv_get_text(first, "action", "shoal doctor"));
    else
        fputs("the serve gives no verdict\n", stderr);
    demo_child_print_tail(child ? child : &children->items[children->n - 1], stderr);
    jv_free(verdict);
}

enum status demo_watch_until_ready(struct demo_watch *watch, const struct demo_box *box,
                                   struct demo_children *children, struct client *client, struct error *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000 * 1000};
    uint64_t from_us = clock_process_us();
    *client = (struct client){0};
    watch->loaded_shown = mem_array(box->n_shards, sizeof *watch->loaded_shown);
    while (!look(watch, box, client)) {
        const struct demo_child *ended = demo_children_look(children);
        char outcome[64];
        if (demo_is_stopped())
            return error_set(err, STATUS_CANCELLED, "stopped");
        if (ended) {
            demo_child_outcome(outcome, ended);
            close_line(watch);
            demo_child_print_tail(ended, stderr);
            return error_set(err, STATUS_IO, "%s ended with %s", ended->name, outcome);
        }
        if (clock_process_us() - from_us > (uint64_t)READY_MS_MAX * 1000) {
            explain(watch, children, client);
            return error_set(err, STATUS_TIMEOUT, "not ready after %d s", READY_MS_MAX / 1000);
        }
        nanosleep(&pause, NULL);
    }
    demo_watch_say(watch, "%sREADY%s: a probe token passed through all %u layers on %u nodes",
                   watch->terminal ? "\033[1;32m" : "", watch->terminal ? "\033[0m" : "", box->n_layers,
                   box->n_nodes);
    return STATUS_OK;
}
