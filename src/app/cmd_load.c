/* shoal load, unload: commands to a node by hand, with each step and the outcome. */
#include "app/client.h"
#include "app/commands.h"
#include "app/options.h"
#include "app/progress.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct watching {
    const char *verb; /* "load" */
    bool as_json, on_terminal, drawn, told_end;
    struct jv *outcome; /* NULL: not there yet */
};

static void wipe_bar(struct watching *w)
{
    if (w->drawn)
        fputs("\r\033[K", stderr);
    w->drawn = false;
}

/* How far it is: a bar on a terminal, nothing elsewhere (the states are told as lines). */
static void draw_bar(struct watching *w, const struct jv *step)
{
    char label[64], line[200];
    int64_t total = jv_get_int(step, "bytes_total", 0);
    if (!w->on_terminal || total <= 0)
        return;
    snprintf(label, sizeof label, "  shard %lld %s", (long long)jv_get_int(step, "shard", 0),
             jv_get_text(step, "state", ""));
    progress_line(line, sizeof line, label, (uint64_t)jv_get_int(step, "bytes_done", 0), (uint64_t)total,
                  jv_get_real(step, "rate", 0));
    fprintf(stderr, "\r%s\033[K", line);
    w->drawn = true;
}

static void print_step(struct watching *w, const struct jv *step)
{
    bool is_progress = strcmp(jv_get_text(step, "step", ""), "PROGRESS") == 0;
    if (is_progress) {
        draw_bar(w, step);
        return;
    }
    wipe_bar(w);
    puts(jv_get_text(step, "text", ""));
    w->told_end = strcmp(jv_get_text(step, "state", ""), "LOADED") == 0;
    draw_bar(w, step);
}

/* {"step": ...} or, as the last one, {"ok": ...}. */
static bool on_data(void *arg, const char *data)
{
    struct watching *w = arg;
    struct jv *json;
    if (jv_parse(&json, bytes_of_text(data), NULL, NULL))
        return true;
    if (w->as_json)
        puts(data);
    if (jv_is_bool(jv_get(json, "ok"))) {
        wipe_bar(w);
        w->outcome = json;
        return false;
    }
    if (!w->as_json)
        print_step(w, json);
    jv_free(json);
    return true;
}

/* Returns the exit code. */
static int tell_outcome(const struct watching *w, uint64_t shard, bool load)
{
    const struct jv *outcome = w->outcome;
    bool ok = jv_get_bool(outcome, "ok", false);
    if (w->as_json)
        return ok ? 0 : 1;
    if (ok) {
        if (!load || !w->told_end)
            printf("shard %llu is %s on node %.8s\n", (unsigned long long)shard, load ? "LOADED" : "unloaded",
                   jv_get_text(outcome, "node", "?"));
        return 0;
    }
    const char *code = jv_get_text(outcome, "code", NULL), *action = jv_get_text(outcome, "action", "");
    fprintf(stderr, "shoal %s: %s%s%s\n", w->verb, code ? code : "", code ? ": " : "",
            jv_get_text(outcome, "error", "it failed"));
    if (*action)
        fprintf(stderr, "  do this: %s\n", action);
    return 1;
}

static int watch_command(const char *verb, const char *api, const char *node, uint64_t shard, bool load,
                         bool as_json)
{
    struct watching w = {.verb = verb, .as_json = as_json, .on_terminal = isatty(STDERR_FILENO) == 1};
    struct client client;
    struct error err;
    struct jv *refusal = NULL, *body = jv_object_new();
    char path[64];
    int http = 0, code;
    if (node)
        jv_set_text(body, "node", node);
    jv_set_bool(body, "stream", true);
    snprintf(path, sizeof path, "/api/v1/shards/%llu/%s", (unsigned long long)shard, load ? "load" : "unload");
    enum status status = client_find(&client, api, &err);
    if (!status)
        status = client_stream(&client, path, body, on_data, &w, &refusal, &http, &err);
    jv_free(body);
    if (!status && !w.outcome && !refusal)
        status = error_set(&err, STATUS_NETWORK, "%s ended before the outcome came", client.url);
    if (!status && refusal)
        status =
            error_set(&err, STATUS_NETWORK, "%s answered %d: %s", client.url, http, client_error_text(refusal));
    code = status ? command_failed(verb, &err) : tell_outcome(&w, shard, load);
    jv_free(refusal);
    jv_free(w.outcome);
    return code;
}

static int command_by_hand(int argc, char **argv, bool load)
{
    static const struct option options[] = {{"api", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"node", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    const char *api = NULL, *node = NULL;
    bool as_json = false;
    uint64_t shard;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'a')
            api = optarg;
        else if (c == 'j')
            as_json = true;
        else if (c == 'n')
            node = optarg;
        else
            return command_usage_error(argv[0], "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
    }
    if (optind != argc - 1)
        return command_usage_error(argv[0], "one SHARD is needed");
    if (!number_parse(&shard, argv[optind], OPTIONS_SHARDS_MAX - 1))
        return command_usage_error(argv[0], "'%s' is no shard id", argv[optind]);

    return watch_command(argv[0], api, node, shard, load, as_json);
}

int cmd_load(int argc, char **argv)
{
    return command_by_hand(argc, argv, true);
}

int cmd_unload(int argc, char **argv)
{
    return command_by_hand(argc, argv, false);
}
