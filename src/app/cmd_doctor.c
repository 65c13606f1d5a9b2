/* shoal doctor: why the swarm is not ready, the first blocker first; and --node, a link examined step by step.
 */
#include "app/client.h"
#include "app/commands.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *paint(const char *code)
{
    return isatty(STDOUT_FILENO) ? code : "";
}

static void print_evidence(const struct jv *evidence)
{
    for (void *i = jv_first(evidence); i; i = jv_next(evidence, i)) {
        const struct jv *value = jv_iter_value(i);
        char *text = jv_is_text(value) ? NULL : jv_print(value, JV_COMPACT);
        printf("  %-9s %s = %s\n", "evidence", jv_iter_key(i), text ? text : jv_text(value, ""));
        mem_free(text);
    }
}

static void print_finding(const struct jv *f)
{
    char since[32];
    bool blocks = strcmp(jv_get_text(f, "severity", ""), "blocker") == 0;
    printf("%s%s%s", paint(blocks ? "\033[1;31m" : "\033[33m"), jv_get_text(f, "code", "?"), paint("\033[0m"));
    if (jv_is_int(jv_get(f, "shard")))
        printf("  shard %lld", (long long)jv_get_int(f, "shard", 0));
    if (jv_is_text(jv_get(f, "node")))
        printf("  node %.8s", jv_get_text(f, "node", ""));
    if (!blocks)
        printf("  (%s)", jv_get_text(f, "severity", ""));
    printf("\n  %-9s %s\n", "cause", jv_get_text(f, "cause", ""));
    print_evidence(jv_get(f, "evidence"));
    client_duration(since, jv_get_real(f, "since_s", 0));
    printf("  %-9s %s", "since", since);
    if (jv_is_int(jv_get(f, "eta_s")))
        printf(", about %lld s left", (long long)jv_get_int(f, "eta_s", 0));
    putchar('\n');
    if (jv_is_text(jv_get(f, "caused_by")))
        printf("  %-9s %s\n", "because", jv_get_text(f, "caused_by", ""));
    if (*jv_get_text(f, "action", ""))
        printf("  %-9s %s%s%s\n", "action", paint("\033[1m"), jv_get_text(f, "action", ""), paint("\033[0m"));
    putchar('\n');
}

static void print_verdict(const struct jv *verdict)
{
    const struct jv *findings = jv_get(verdict, "findings");
    bool ready = jv_get_bool(verdict, "ready", false);
    size_t n_blockers = 0;
    for (size_t i = 0; i < jv_count(findings); i++)
        n_blockers += strcmp(jv_get_text(jv_at(findings, i), "severity", ""), "blocker") == 0;
    if (ready)
        printf("%sREADY%s: a probe token has passed through every layer of %s.\n\n", paint("\033[1;32m"),
               paint("\033[0m"), jv_get_text(verdict, "model", "the model"));
    else
        printf("%sNOT READY%s: %zu blocker%s.\n\n", paint("\033[1;31m"), paint("\033[0m"), n_blockers,
               n_blockers == 1 ? "" : "s");
    for (size_t i = 0; i < jv_count(findings); i++) {
        bool is_info = strcmp(jv_get_text(jv_at(findings, i), "severity", ""), "info") == 0;
        if (!is_info)
            print_finding(jv_at(findings, i));
    }
}

static void print_examination(const struct jv *answer)
{
    const struct jv *steps = jv_get(answer, "steps");
    for (size_t i = 0; i < jv_count(steps); i++) {
        const struct jv *step = jv_at(steps, i);
        printf("%-11s %s%-6s%s %8.2f ms  %s\n", jv_get_text(step, "step", "?"),
               paint(jv_get_bool(step, "ok", false) ? "\033[32m" : "\033[31m"),
               jv_get_bool(step, "ok", false) ? "ok" : "FAILED", paint("\033[0m"), jv_get_real(step, "ms", 0),
               jv_get_text(step, "text", ""));
    }
}

static int examine(const struct client *client, const char *node, bool as_json)
{
    struct error err;
    struct jv *answer;
    int http;
    char path[320];
    for (const char *c = node; *c; c++)
        if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_[]", *c))
            return command_usage_error("doctor", "--node '%s': ADDR:PORT is needed", node);
    snprintf(path, sizeof path, "/api/v1/examine?address=%.250s", node);
    if (client_call(client, path, NULL, 30000, &answer, &http, &err))
        return command_failed("doctor", &err);
    int code = http == 200 && jv_get_bool(answer, "ok", false) ? 0 : http == 200 ? 1 : 2;
    if (as_json) {
        char *text = jv_print(answer, JV_INDENTED);
        puts(text);
        mem_free(text);
    } else if (http == 200) {
        print_examination(answer);
    } else {
        fprintf(stderr, "shoal doctor: %s\n", client_error_text(answer));
    }
    jv_free(answer);
    return code;
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"api", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"node", required_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    const char *api = NULL, *node = NULL;
    bool as_json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'a')
            api = optarg;
        else if (c == 'j')
            as_json = true;
        else if (c == 'n')
            node = optarg;
        else
            return command_usage_error("doctor", "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
    }
    if (optind < argc)
        return command_usage_error("doctor", "'%s' is too much", argv[optind]);
    struct client client;
    struct error err;
    struct jv *verdict;
    int http;
    if (client_find(&client, api, &err))
        return command_failed("doctor", &err);
    if (node)
        return examine(&client, node, as_json);
    if (client_call(&client, "/api/v1/verdict", NULL, 10000, &verdict, &http, &err))
        return command_failed("doctor", &err);
    if (as_json) {
        char *text = jv_print(verdict, JV_INDENTED);
        puts(text);
        mem_free(text);
    } else {
        print_verdict(verdict);
    }
    int code = jv_get_bool(verdict, "ready", false) ? 0 : 1;
    jv_free(verdict);
    return code;
}
