/* shoal ask and chat: prompts through the API of a swarm, answers as they stream. */
#include "app/client.h"
#include "app/commands.h"
#include "app/options.h"
#include "base/mem.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES_MAX 65536

struct ask_options {
    const char *api;
    double temperature; /* < 0: the server's default */
    bool has_seed, raw, as_json;
    uint64_t seed, n_max;
};

static int read_options(struct ask_options *out, int argc, char **argv)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'},  {"json", no_argument, NULL, 'j'},
        {"temp", required_argument, NULL, 't'}, {"seed", required_argument, NULL, 's'},
        {"raw", no_argument, NULL, 'r'},        {NULL, 0, NULL, 0}};
    *out = (struct ask_options){.temperature = -1, .n_max = 256};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "n:", options, NULL)) != -1;) {
        char *end = NULL;
        switch (c) {
        case 'a':
            out->api = optarg;
            break;
        case 'j':
            out->as_json = true;
            break;
        case 'r':
            out->raw = true;
            break;
        case 't':
            out->temperature = strtod(optarg, &end);
            if (end == optarg || *end || !(out->temperature >= 0 && out->temperature <= 2))
                return command_usage_error(argv[0], "--temp '%s': a number from 0 to 2 is needed", optarg);
            break;
        case 's':
            out->has_seed = number_parse(&out->seed, optarg, INT64_MAX);
            if (!out->has_seed)
                return command_usage_error(argv[0], "--seed '%s': a whole number is needed", optarg);
            break;
        case 'n':
            if (!number_parse(&out->n_max, optarg, INT32_MAX) || out->n_max == 0)
                return command_usage_error(argv[0], "-n '%s': a whole number above 0 is needed", optarg);
            break;
        default:
            return command_usage_error(argv[0], "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
        }
    }
    return 0;
}

struct answer {
    struct buffer text;
    char *error; /* the stream's own */
    bool as_json;
    bool is_chat;
};

static bool on_data(void *arg, const char *data)
{
    struct answer *answer = arg;
    struct jv *json;
    if (strcmp(data, "[DONE]") == 0)
        return false;
    if (jv_parse(&json, bytes_of_text(data), NULL, NULL))
        return true;
    if (jv_get(json, "error"))
        answer->error = mem_string(client_error_text(json));
    const struct jv *choice = jv_at(jv_get(json, "choices"), 0);
    const char *piece =
        answer->is_chat ? jv_get_text(jv_get(choice, "delta"), "content", "") : jv_get_text(choice, "text", "");
    buffer_text(&answer->text, piece);
    if (!answer->as_json) {
        fputs(piece, stdout);
        fflush(stdout);
    }
    jv_free(json);
    return true;
}

static void say_not_ready(const struct jv *error)
{
    const struct jv *finding = jv_at(jv_get(jv_get(jv_get(error, "error"), "verdict"), "findings"), 0);
    fprintf(stderr, "shoal: %s\n", client_error_text(error));
    if (*jv_get_text(finding, "action", ""))
        fprintf(stderr, "  try: %s\n  or:  shoal doctor\n", jv_get_text(finding, "action", ""));
}

/* One exchange; `body` has prompt or messages. Returns the exit code; the answer's text is in answer->text. */
static int exchange(const struct client *client, const struct ask_options *options, struct jv *body,
                    struct answer *answer)
{
    struct error err;
    struct jv *error;
    int http;
    jv_set_bool(body, "stream", true);
    jv_set_int(body, "max_tokens", (int64_t)options->n_max);
    if (options->temperature >= 0)
        jv_set_real(body, "temperature", options->temperature);
    if (options->has_seed)
        jv_set_int(body, "seed", (int64_t)options->seed);
    const char *path = answer->is_chat ? "/v1/chat/completions" : "/v1/completions";
    if (client_stream(client, path, body, on_data, answer, &error, &http, &err))
        return command_failed("ask", &err);
    int code = 0;
    if (http / 100 != 2) {
        say_not_ready(error);
        code = http == 503 ? 1 : http == 400 ? 2 : 3;
    } else if (answer->error) {
        fprintf(stderr, "\nshoal: the answer broke off: %s\n", answer->error);
        code = 1;
    }
    jv_free(error);
    return code;
}

static struct jv *message_new(const char *role, const char *content)
{
    struct jv *message = jv_object_new();
    jv_set_text(message, "role", role);
    jv_set_text(message, "content", content);
    return message;
}

int cmd_ask(int argc, char **argv)
{
    struct ask_options options;
    struct client client;
    struct error err;
    int code = read_options(&options, argc, argv);
    if (code)
        return code;
    if (optind != argc - 1)
        return command_usage_error("ask", "one TEXT is needed; put it in quotes");
    if (client_find(&client, options.api, &err))
        return command_failed("ask", &err);
    struct answer answer = {.as_json = options.as_json, .is_chat = !options.raw};
    struct jv *body = jv_object_new();
    buffer_init(&answer.text, 0);
    if (options.raw) {
        jv_set_text(body, "prompt", argv[optind]);
    } else {
        struct jv *messages = jv_array_new();
        jv_append(messages, message_new("user", argv[optind]));
        jv_set(body, "messages", messages);
    }
    code = exchange(&client, &options, body, &answer);
    if (options.as_json) {
        struct jv *json = jv_object_new();
        jv_set_text(json, "text", buffer_string(&answer.text));
        jv_set_text(json, "error", answer.error);
        char *text = jv_print(json, JV_INDENTED);
        puts(text);
        mem_free(text);
        jv_free(json);
    } else if (!code) {
        putchar('\n');
    }
    jv_free(body);
    buffer_free(&answer.text);
    mem_free(answer.error);
    return code;
}

int cmd_chat(int argc, char **argv)
{
    struct ask_options options;
    struct client client;
    struct error err;
    int code = read_options(&options, argc, argv);
    if (code)
        return code;
    if (optind != argc)
        return command_usage_error("chat", "'%s' is too much", argv[optind]);
    if (client_find(&client, options.api, &err))
        return command_failed("chat", &err);
    struct jv *messages = jv_array_new();
    char *line = mem_new(LINE_BYTES_MAX);
    bool terminal = isatty(STDIN_FILENO);
    if (terminal)
        fprintf(stderr, "Talking to %s; an empty line or Ctrl-D ends it.\n", client.url);
    while (!code) {
        if (terminal)
            fputs("> ", stderr);
        if (!fgets(line, LINE_BYTES_MAX, stdin) || line[0] == '\n')
            break;
        line[strcspn(line, "\n")] = '\0';
        jv_append(messages, message_new("user", line));
        struct jv *body = jv_object_new();
        jv_set(body, "messages", jv_share(messages));
        struct answer answer = {.is_chat = true};
        buffer_init(&answer.text, 0);
        code = exchange(&client, &options, body, &answer);
        putchar('\n');
        jv_append(messages, message_new("assistant", buffer_string(&answer.text)));
        jv_free(body);
        buffer_free(&answer.text);
        mem_free(answer.error);
    }
    mem_free(line);
    jv_free(messages);
    return code;
}
