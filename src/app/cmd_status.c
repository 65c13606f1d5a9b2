/* shoal status, files, timeline: what the swarm says of itself, as tables. */
#include "app/client.h"
#include "app/commands.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct view_options {
    const char *api;
    bool as_json;
};

/* Returns 0, or the exit code of a usage error. */
static int read_options(struct view_options *out, int argc, char **argv)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    *out = (struct view_options){0};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'a')
            out->api = optarg;
        else if (c == 'j')
            out->as_json = true;
        else
            return command_usage_error(argv[0], "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
    }
    if (optind < argc)
        return command_usage_error(argv[0], "'%s' is too much", argv[optind]);
    return 0;
}

static void short_id(char out[9], const char *id)
{
    snprintf(out, 9, "%.8s", id);
}

static void print_holders(const struct jv *holders)
{
    for (size_t i = 0; i < jv_count(holders); i++)
        printf("%s%.8s", i ? " " : "", jv_text(jv_at(holders, i), ""));
    if (jv_count(holders) == 0)
        fputs("nobody", stdout);
}

static void print_shards(const struct jv *status)
{
    const struct jv *shards = jv_get(status, "shards");
    printf("%-6s %-9s %-11s %9s  %s\n", "shard", "layers", "state", "size", "holders");
    for (size_t i = 0; i < jv_count(shards); i++) {
        const struct jv *s = jv_at(shards, i);
        char layers[32] = "?", size[32] = "?";
        int64_t end = jv_get_int(s, "end_layer", 0);
        if (end) {
            snprintf(layers, sizeof layers, "%lld-%lld", (long long)jv_get_int(s, "first_layer", 0),
                     (long long)end - 1);
            client_size(size, jv_get_real(s, "bytes", 0));
        }
        printf("%-6lld %-9s %-11s %9s  ", (long long)jv_get_int(s, "id", 0), layers,
               jv_get_text(s, "state", "?"), size);
        print_holders(jv_get(s, "holders"));
        putchar('\n');
    }
}

static void print_nodes(const struct jv *status)
{
    const struct jv *nodes = jv_get(status, "nodes");
    printf("\n%-9s %-6s %-22s %-14s %-19s %s\n", "node", "role", "address", "shards", "memory", "round trip");
    for (size_t i = 0; i < jv_count(nodes); i++) {
        const struct jv *n = jv_at(nodes, i), *c = jv_get(n, "capabilities"), *held = jv_get(n, "shards");
        char id[9], used[32], budget[32], shards[64] = "";
        short_id(id, jv_get_text(n, "id", ""));
        client_size(used, jv_get_real(c, "memory_used", 0));
        client_size(budget, jv_get_real(c, "memory_budget", 0));
        for (size_t k = 0; k < jv_count(held) && strlen(shards) < 48; k++) {
            const struct jv *s = jv_at(held, k);
            bool loaded = strcmp(jv_get_text(s, "state", ""), "LOADED") == 0;
            size_t used_text = strlen(shards);
            snprintf(shards + used_text, sizeof shards - used_text, "%s%lld%s", used_text ? "," : "",
                     (long long)jv_get_int(s, "id", 0), loaded ? "" : "?");
        }
        char memory[80];
        snprintf(memory, sizeof memory, "%s of %s", used, budget);
        printf("%-9s %-6s %-22s %-14s %-19s ", id, jv_get_text(n, "role", "?"), jv_get_text(n, "address", "?"),
               shards[0] ? shards : "-", memory);
        int64_t rtt = jv_get_int(n, "rtt_us", 0);
        if (jv_get_bool(n, "self", false))
            puts("(this process)");
        else if (rtt)
            printf("%.2f ms\n", (double)rtt / 1000);
        else
            puts("-");
    }
}

static void print_status(const struct jv *status)
{
    bool ready = jv_get_bool(status, "ready", false);
    printf("%s: %s, %s\n\n", jv_get_text(status, "cluster", "?"), jv_get_text(status, "model", "no model yet"),
           ready ? "READY" : "NOT READY (`shoal doctor` says why)");
    print_shards(status);
    print_nodes(status);
    const struct jv *plan = jv_get(status, "plan");
    if (jv_count(plan)) {
        fputs("\nplan: ", stdout);
        for (size_t i = 0; i < jv_count(plan); i++) {
            const struct jv *stage = jv_at(plan, i);
            printf("%s%.8s (layers %lld-%lld)", i ? " -> " : "", jv_get_text(stage, "node", ""),
                   (long long)jv_get_int(stage, "first_layer", 0),
                   (long long)jv_get_int(stage, "end_layer", 1) - 1);
        }
        putchar('\n');
    }
}

static void print_json(const struct jv *json)
{
    char *text = jv_print(json, JV_INDENTED);
    puts(text);
    mem_free(text);
}

/* Asks one route and prints it. Returns the exit code; *out is the answer when that is 0. */
static int ask_route(int argc, char **argv, const char *path, struct view_options *options, struct jv **out)
{
    struct client client;
    struct error err;
    int http, code = read_options(options, argc, argv);
    if (code)
        return code;
    if (client_find(&client, options->api, &err) || client_call(&client, path, NULL, 20000, out, &http, &err))
        return command_failed(argv[0], &err);
    if (http != 200) {
        error_set(&err, STATUS_NETWORK, "%s answered %d: %s", client.url, http, client_error_text(*out));
        jv_free(*out);
        return command_failed(argv[0], &err);
    }
    return 0;
}

int cmd_status(int argc, char **argv)
{
    struct view_options options;
    struct jv *status;
    int code = ask_route(argc, argv, "/api/v1/status", &options, &status);
    if (code)
        return code;
    if (options.as_json)
        print_json(status);
    else
        print_status(status);
    code = jv_get_bool(status, "ready", false) ? 0 : 1;
    jv_free(status);
    return code;
}

static void print_node_files(const struct jv *node)
{
    printf("node %.8s (%s)\n", jv_get_text(node, "node", "?"), jv_get_text(node, "address", "?"));
    const char *error = jv_get_text(node, "error", NULL);
    if (error) {
        printf("  no answer: %s\n", error);
        return;
    }
    const struct jv *files = jv_get(node, "files");
    for (size_t i = 0; i < jv_count(files); i++) {
        const struct jv *f = jv_at(files, i);
        char size[32] = "";
        if (jv_get_int(f, "bytes", 0))
            client_size(size, jv_get_real(f, "bytes", 0));
        printf("  Shard %lld: %-8s %9s  %-14s %s", (long long)jv_get_int(f, "id", 0),
               jv_get_text(f, "state", "?"), size, jv_get_text(f, "hash", ""), jv_get_text(f, "path", ""));
        const char *why = jv_get_text(f, "note", "");
        printf("%s%s%s", *why ? "  (" : "", why, *why ? ")" : "");
        const struct jv *suppliers = jv_get(f, "suppliers");
        if (suppliers && strcmp(jv_get_text(f, "state", ""), "EXISTS") != 0) {
            fputs("  from: ", stdout);
            print_holders(suppliers);
        }
        putchar('\n');
    }
}

static bool is_somewhere(const struct jv *nodes, int64_t shard)
{
    for (size_t i = 0; i < jv_count(nodes); i++) {
        const struct jv *files = jv_get(jv_at(nodes, i), "files");
        for (size_t k = 0; k < jv_count(files); k++)
            if (jv_get_int(jv_at(files, k), "id", -1) == shard &&
                strcmp(jv_get_text(jv_at(files, k), "state", ""), "EXISTS") == 0)
                return true;
    }
    return false;
}

/* What matters of it: is there a shard that no node can give to another? */
static void print_lacking(const struct jv *nodes)
{
    int64_t n_shards = 0;
    size_t n_lacking = 0;
    for (size_t i = 0; i < jv_count(nodes); i++) {
        int64_t n = (int64_t)jv_count(jv_get(jv_at(nodes, i), "files"));
        n_shards = n > n_shards ? n : n_shards;
    }
    for (int64_t shard = 0; shard < n_shards; shard++)
        if (!is_somewhere(nodes, shard))
            printf("%s %lld", n_lacking++ ? "," : "\nno node has a good file of shard", (long long)shard);
    if (n_lacking)
        puts(": copy it into the folder of any node");
    else if (n_shards)
        printf("\nevery shard is on at least one of %zu nodes\n", jv_count(nodes));
}

int cmd_files(int argc, char **argv)
{
    struct view_options options;
    struct jv *files;
    int code = ask_route(argc, argv, "/api/v1/files", &options, &files);
    if (code)
        return code;
    const struct jv *nodes = jv_get(files, "nodes");
    for (size_t i = 0; !options.as_json && i < jv_count(nodes); i++)
        print_node_files(jv_at(nodes, i));
    if (options.as_json)
        print_json(files);
    else
        print_lacking(nodes);
    jv_free(files);
    return 0;
}

static void print_place(const struct jv *row)
{
    char shard[24] = "";
    if (jv_is_int(jv_get(row, "shard")))
        snprintf(shard, sizeof shard, "shard %lld", (long long)jv_get_int(row, "shard", 0));
    printf("%8.3f s  node %.8s  %-10s", jv_get_real(row, "at_s", 0), jv_get_text(row, "node", "?"), shard);
}

/* "0.8 s", or "-" */
static void print_seconds(const struct jv *value, int width)
{
    char text[32] = "-";
    if (jv_is_number(value))
        snprintf(text, sizeof text, "%.1f s", jv_real(value, 0));
    printf(" %*s", width, text);
}

static void print_stages(const struct jv *timeline)
{
    const struct jv *rows = jv_get(timeline, "stages"), *start = jv_get(timeline, "start"),
                    *slowest = jv_get(start, "slowest");
    printf("\n%10s  %-13s  %-10s %-11s %9s %9s\n", "at", "node", "shard", "stage", "took", "expected");
    for (size_t i = 0; i < jv_count(rows); i++) {
        const struct jv *row = jv_at(rows, i);
        print_place(row);
        printf(" %-11s", jv_get_text(row, "stage", "?"));
        print_seconds(jv_get(row, "took_s"), 9);
        print_seconds(jv_get(row, "expected_s"), 9);
        puts(jv_get_bool(row, "slow", false) ? "  slower than expected" : "");
    }
    if (jv_is_number(jv_get(start, "took_s")))
        printf("\nthe last start took %.1f s", jv_get_real(start, "took_s", 0));
    else
        printf("\nthe last start began %.1f s after the process and is not over",
               jv_get_real(start, "began_s", 0));
    if (!jv_is_object(slowest)) {
        putchar('\n');
        return;
    }
    printf("; its slowest stage: %s", jv_get_text(slowest, "stage", "?"));
    if (jv_is_int(jv_get(slowest, "shard")))
        printf(" of shard %lld", (long long)jv_get_int(slowest, "shard", 0));
    printf(" on node %.8s, %.1f s", jv_get_text(slowest, "node", "?"), jv_get_real(slowest, "took_s", 0));
    if (jv_is_number(jv_get(slowest, "expected_s")))
        printf(" (%.1f s expected)", jv_get_real(slowest, "expected_s", 0));
    putchar('\n');
}

int cmd_timeline(int argc, char **argv)
{
    struct view_options options;
    struct jv *timeline;
    int code = ask_route(argc, argv, "/api/v1/timeline", &options, &timeline);
    if (code)
        return code;
    const struct jv *rows = jv_get(timeline, "events");
    if (options.as_json)
        print_json(timeline);
    for (size_t i = 0; !options.as_json && i < jv_count(rows); i++) {
        print_place(jv_at(rows, i));
        printf(" %s\n", jv_get_text(jv_at(rows, i), "what", ""));
    }
    if (!options.as_json)
        print_stages(timeline);
    jv_free(timeline);
    return 0;
}
