/* shoal doctor: why the swarm is not ready, the first blocker first. (--node: examine.c)
 */
#include "app/client.h"
#include "app/commands.h"
#include "app/doctor_findings.h"
#include "app/examine.h"
#include "app/failed_start.h"
#include "app/run_folder.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX    64
#define EVIDENCE_COLUMNS 100
#define ASK_TIMEOUT_MS   4000

static const char *paint(const char *code)
{
    return isatty(STDOUT_FILENO) ? code : "";
}

/* As many facts in a line as fit. */
static void print_evidence(const struct jv *evidence)
{
    size_t column = 0;
    for (void *i = jv_first(evidence); i; i = jv_next(evidence, i)) {
        const struct jv *value = jv_iter_value(i);
        char *text = jv_is_text(value) ? NULL : jv_print(value, JV_COMPACT);
        size_t n = strlen(jv_iter_key(i)) + 5 + strlen(text ? text : jv_text(value, ""));
        if (column && column + n < EVIDENCE_COLUMNS)
            fputs(", ", stdout);
        else
            column = (size_t)printf("%s  %-9s ", column ? "\n" : "", "evidence");
        printf("%s = %s", jv_iter_key(i), text ? text : jv_text(value, ""));
        column += n;
        mem_free(text);
    }
    if (column)
        putchar('\n');
}

/* What a blocker brings with it, under its root: "SHARD_NOT_DISCOVERED (shards 3, 4)". */
static void print_consequences(const struct jv *findings, const char *root)
{
    for (size_t i = 0; i < jv_count(findings); i++) {
        const struct jv *f = jv_at(findings, i);
        const char *code = jv_get_text(f, "code", "");
        bool told = false; /* a line for each code: the first of it prints all */
        for (size_t k = 0; k < i; k++)
            told |= strcmp(jv_get_text(jv_at(findings, k), "caused_by", ""), root) == 0 &&
                    strcmp(jv_get_text(jv_at(findings, k), "code", ""), code) == 0;
        if (told || strcmp(jv_get_text(f, "caused_by", ""), root) != 0)
            continue;
        printf("  %-9s %s", "leads to", code);
        size_t n_shards = 0;
        for (size_t k = i; k < jv_count(findings); k++) {
            const struct jv *other = jv_at(findings, k);
            if (strcmp(jv_get_text(other, "caused_by", ""), root) == 0 &&
                strcmp(jv_get_text(other, "code", ""), code) == 0 && jv_is_int(jv_get(other, "shard")))
                printf("%s%lld", n_shards++ ? ", " : " of shard ", (long long)jv_get_int(other, "shard", 0));
        }
        putchar('\n');
    }
}

static void print_finding(const struct jv *f, const struct jv *all)
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
    printf("  %-9s %s ago", "since", since);
    if (jv_is_int(jv_get(f, "eta_s")))
        printf(", about %lld s left", (long long)jv_get_int(f, "eta_s", 0));
    putchar('\n');
    if (jv_is_text(jv_get(f, "caused_by")))
        printf("  %-9s %s\n", "because", jv_get_text(f, "caused_by", ""));
    print_consequences(all, jv_get_text(f, "code", "?"));
    if (*jv_get_text(f, "action", ""))
        printf("  %-9s %s%s%s\n", "action", paint("\033[1m"), jv_get_text(f, "action", ""), paint("\033[0m"));
    putchar('\n');
}

/* Many blockers are often one: the node that all of them are of is named at once. */
static void print_not_ready(const struct jv *findings, size_t n_blockers)
{
    const char *node = jv_get_text(jv_at(findings, 0), "node", NULL);
    for (size_t i = 1; node && i < n_blockers; i++)
        if (strcmp(jv_get_text(jv_at(findings, i), "node", ""), node) != 0)
            node = NULL;
    printf("%sNOT READY%s: %zu blocker%s", paint("\033[1;31m"), paint("\033[0m"), n_blockers,
           n_blockers == 1 ? "" : "s");
    if (node && n_blockers > 1)
        printf(", all of node %.8s", node);
    puts(n_blockers ? ".\n" : ": what is done has not been proved yet, ask again in a second.\n");
}

static void print_verdict(const struct jv *verdict)
{
    const struct jv *findings = jv_get(verdict, "findings");
    bool ready = jv_get_bool(verdict, "ready", false);
    size_t n_blockers = doctor_n_blockers(verdict);
    if (!jv_get_bool(verdict, "running", true))
        printf("%sNOT RUNNING%s: %zu start%s failed lately.\n\n", paint("\033[1;31m"), paint("\033[0m"),
               n_blockers, n_blockers == 1 ? "" : "s");
    else if (ready)
        printf("%sREADY%s: a probe token has passed through every layer of %s.\n\n", paint("\033[1;32m"),
               paint("\033[0m"), jv_get_text(verdict, "model", "the model"));
    else
        print_not_ready(findings, n_blockers);
    for (size_t i = 0; i < jv_count(findings); i++) {
        bool is_info = strcmp(jv_get_text(jv_at(findings, i), "severity", ""), "info") == 0;
        if (!is_info)
            print_finding(jv_at(findings, i), findings);
    }
}

/* --- the verdict ----------------------------------------------------------------------------------------- */

/* A process that was stopped answers nothing, and cannot say so itself. */
static bool is_stopped(int pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    const char *name_end = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file)
        fclose(file);
    return name_end && (name_end[2] == 'T' || name_end[2] == 't');
}

static bool tell_if_stopped(const struct run_entry *entry)
{
    if (!is_stopped(entry->pid))
        return false;
    fprintf(stderr, "shoal doctor: process %d (%s, port %u) is stopped and answers nothing: kill -CONT %d\n",
            entry->pid, entry->role, entry->port, entry->pid);
    return true;
}

/* Asks the processes of this machine one after the other until one answers; those that do not are told on
 * stderr. NOT_FOUND: none runs. */
static enum status ask_any(struct jv **out, struct error *err)
{
    struct run_entry *entries = mem_array(PROCESSES_MAX, sizeof *entries);
    size_t n = run_folder_list(entries, PROCESSES_MAX);
    enum status status = STATUS_NOT_FOUND;
    for (size_t i = 0; i < n; i++) {
        struct client client = {0};
        int http;
        if (!status) { /* one has answered; of the others only what they cannot say themselves */
            tell_if_stopped(&entries[i]);
            continue;
        }
        snprintf(client.url, sizeof client.url, "%s", entries[i].url);
        status = client_call(&client, "/api/v1/verdict", NULL, ASK_TIMEOUT_MS, out, &http, err);
        if (status && !tell_if_stopped(&entries[i]))
            fprintf(stderr, "shoal doctor: process %d (%s) does not answer: %s\n", entries[i].pid,
                    entries[i].role, err->text);
    }
    if (n == 0) {
        struct run_entry none;
        status = run_folder_find(&none, err); /* says where it looked */
    } else if (status) {
        error_set(err, STATUS_NETWORK, "none of the %zu shoal processes of this machine answers", n);
    }
    mem_free(entries);
    return status;
}

static enum status ask_api(struct jv **out, const char *api, struct error *err)
{
    struct client client;
    int http;
    enum status status = client_find(&client, api, err);
    return status ? status : client_call(&client, "/api/v1/verdict", NULL, 10000, out, &http, err);
}

static int diagnose(const char *api, bool as_json)
{
    struct error err;
    struct jv *verdict, *starts = failed_starts_list();
    int code = 0;
    enum status status = api ? ask_api(&verdict, api, &err) : ask_any(&verdict, &err);
    if (status) {
        code = command_failed("doctor", &err);
        verdict = doctor_verdict_of_none(starts);
    } else if (!api) {
        doctor_add_starts(verdict, starts);
    }
    if (as_json && (!status || !api)) {
        char *text = jv_print(verdict, JV_INDENTED);
        puts(text);
        mem_free(text);
    } else if (!status || (!api && jv_count(starts))) {
        print_verdict(verdict);
    }
    if (!status)
        code = jv_get_bool(verdict, "ready", false) ? 0 : 1;
    jv_free(verdict);
    jv_free(starts);
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
    if (node)
        return examine_link(api, node, as_json);
    return diagnose(api, as_json);
}
