#include "app/examine.h"

#include "api/examination.h"
#include "app/client.h"
#include "app/commands.h"
#include "app/options.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/manifest.h"
#include "net/loop.h"
#include "swarm/credentials.h"
#include "swarm/identity.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 30000 /* the examination itself ends after 15 s */

static const char *paint(const char *code)
{
    return isatty(STDOUT_FILENO) ? code : "";
}

static void print_step(const struct jv *step)
{
    const char *outcome = jv_get_text(step, "outcome", jv_get_bool(step, "ok", false) ? "ok" : "failed");
    const char *name = jv_get_text(step, "step", "?"), *text = jv_get_text(step, "text", "");
    if (strcmp(outcome, "not tried") == 0)
        printf("%-11s -         not tried\n", name);
    else if (strcmp(outcome, "ok") == 0)
        printf("%-11s %sok%s     %8.2f ms  %s\n", name, paint("\033[32m"), paint("\033[0m"),
               jv_get_real(step, "ms", 0), text);
    else
        printf("%-11s %sFAILED%s %8.2f ms  %s\n", name, paint("\033[1;31m"), paint("\033[0m"),
               jv_get_real(step, "ms", 0), text);
}

static void print_examination(const struct jv *answer)
{
    const struct jv *steps = jv_get(answer, "steps");
    for (size_t i = 0; i < jv_count(steps); i++)
        print_step(jv_at(steps, i));
    if (jv_get_bool(answer, "ok", false))
        return;
    printf("\n%s%s%s\n  %-9s %s\n", paint("\033[1;31m"), jv_get_text(answer, "code", "?"), paint("\033[0m"),
           "cause", jv_get_text(answer, "cause", "?"));
    if (*jv_get_text(answer, "action", ""))
        printf("  %-9s %s\n", "action", jv_get_text(answer, "action", ""));
}

/* --- without a process ----------------------------------------------------------------------------------- */

struct own {
    struct jv *answer;
};

static void on_examined(void *ctx, const struct links_examination *result)
{
    struct own *own = ctx;
    own->answer = examination_to_json(result);
}

static bool has_answer(void *ctx)
{
    return ((struct own *)ctx)->answer != NULL;
}

/* Nobody is expected, and whoever comes is not ours to talk to. */
static void ignore_up(void *ctx, const struct link_info *info)
{
    (void)ctx;
    (void)info;
}
static void ignore_down(void *ctx, const struct link_info *last, enum link_fault fault, const char *text)
{
    (void)ctx;
    (void)last;
    (void)fault;
    (void)text;
}
static void ignore_frame(void *ctx, const struct node_id *peer, enum frame_kind kind, struct bytes payload)
{
    (void)ctx;
    (void)peer;
    (void)kind;
    (void)payload;
}
static void ignore_failed(void *ctx, const struct link_attempt *attempt)
{
    (void)ctx;
    (void)attempt;
}

static enum status examine_by_ourselves(struct jv **out, const struct host_port *to, struct error *err)
{
    static const struct links_events events = {
        .on_up = ignore_up, .on_down = ignore_down, .on_frame = ignore_frame, .on_failed = ignore_failed};
    struct credentials credentials;
    struct swarm_keys keys;
    struct loop *loop;
    struct links *links = NULL;
    struct own own = {0};
    enum status status = credentials_load(&credentials, NULL, err);
    if (status)
        return status;
    credentials_derive(&keys, &credentials);
    struct identity *identity = identity_new_in_memory(NULL, 1);
    struct links_config config = {.identity = identity,
                                  .psk = keys.link_psk,
                                  .role = ROLE_NODE,
                                  .cluster = credentials.cluster,
                                  .listen_ip = "127.0.0.1",
                                  .arithmetic = ARITHMETIC_VERSION};
    if (!(status = loop_new(&loop, err))) {
        if (!(status = links_new(&links, loop, &config, &events, NULL, err))) {
            links_examine(links, to->host, to->port, on_examined, &own);
            if (!loop_run_until(loop, has_answer, &own, ANSWER_MS))
                status = error_set(err, STATUS_TIMEOUT, "the examination of %s:%u did not end within %d s",
                                   to->host, to->port, ANSWER_MS / 1000);
        }
        links_free(links);
        loop_free(loop);
    }
    identity_close(identity);
    credentials_wipe(&credentials);
    crypto_wipe(&keys, sizeof keys);
    *out = own.answer;
    return status;
}

/* --- the command ----------------------------------------------------------------------------------------- */

static enum status ask(struct jv **out, const struct client *client, const struct host_port *to,
                       struct error *err)
{
    char path[400];
    int http;
    bool is_v6 = strchr(to->host, ':') != NULL;
    snprintf(path, sizeof path, "/api/v1/examine?address=%s%s%s:%u", is_v6 ? "[" : "", to->host,
             is_v6 ? "]" : "", to->port);
    enum status status = client_call(client, path, NULL, ANSWER_MS, out, &http, err);
    if (status || http == 200)
        return status;
    error_set(err, STATUS_NETWORK, "%s answered %d: %s", client->url, http, client_error_text(*out));
    jv_free(*out);
    return STATUS_NETWORK;
}

static bool is_host_name(const char *host)
{
    return host[strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-_")] == '\0';
}

int examine_link(const char *api, const char *node, bool as_json)
{
    struct host_port to;
    struct client client;
    struct error err;
    struct jv *answer;
    if (!host_port_parse(&to, node, 0) || !is_host_name(to.host))
        return command_usage_error("doctor", "--node '%s': ADDR:PORT is needed, for instance 192.0.2.1:7400",
                                   node);
    enum status status = client_find(&client, api, &err);
    if (!status) {
        status = ask(&answer, &client, &to, &err);
        if (!status && !api && strcmp(jv_get_text(answer, "fault", ""), "self") == 0) {
            jv_free(answer); /* the process that was asked is the one to examine */
            status = examine_by_ourselves(&answer, &to, &err);
        }
    } else if (status == STATUS_NOT_FOUND && !api) {
        fprintf(stderr, "shoal doctor: no shoal process runs here; this command tries with the stored key\n");
        status = examine_by_ourselves(&answer, &to, &err);
    }
    if (status)
        return command_failed("doctor", &err);
    if (as_json) {
        char *text = jv_print(answer, JV_INDENTED);
        puts(text);
        mem_free(text);
    } else {
        print_examination(answer);
    }
    int code = jv_get_bool(answer, "ok", false) ? 0 : 1;
    jv_free(answer);
    return code;
}
