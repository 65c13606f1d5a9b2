/* shoal load, unload: commands to a node by hand, with each step and the outcome. */
#include "app/client.h"
#include "app/commands.h"
#include "app/options.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define LOAD_TIMEOUT_MS                                                                                        \
    (3600 * 1000) /* a shard may be large and come over a slow line; Ctrl-C stops waiting                      \
                   */

static void print_outcome(const struct jv *answer, const char *verb, unsigned long long shard)
{
    const struct jv *steps = jv_get(answer, "steps");
    for (size_t i = 0; i < jv_count(steps); i++)
        printf("  %s\n", jv_text(jv_at(steps, i), ""));
    if (jv_get_bool(answer, "ok", false))
        printf("shard %llu is %s on node %.8s\n", shard, verb, jv_get_text(answer, "node", "?"));
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

    struct client client;
    struct error err;
    struct jv *answer, *body = jv_object_new();
    char path[64];
    int http;
    if (node)
        jv_set_text(body, "node", node);
    snprintf(path, sizeof path, "/api/v1/shards/%llu/%s", (unsigned long long)shard, load ? "load" : "unload");
    enum status status = client_find(&client, api, &err);
    if (!status)
        status = client_call(&client, path, body, LOAD_TIMEOUT_MS, &answer, &http, &err);
    jv_free(body);
    if (status)
        return command_failed(argv[0], &err);
    bool ok = http == 200 && jv_get_bool(answer, "ok", false);
    if (as_json) {
        char *text = jv_print(answer, JV_INDENTED);
        puts(text);
        mem_free(text);
    } else {
        print_outcome(answer, load ? "LOADED" : "unloaded", (unsigned long long)shard);
    }
    if (!ok && !as_json)
        fprintf(stderr, "shoal %s: %s\n", argv[0], client_error_text(answer));
    jv_free(answer);
    return ok ? 0 : 1;
}

int cmd_load(int argc, char **argv)
{
    return command_by_hand(argc, argv, true);
}

int cmd_unload(int argc, char **argv)
{
    return command_by_hand(argc, argv, false);
}
