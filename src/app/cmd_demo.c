/* shoal demo: an entry, eight nodes and a serve on this machine, each a process of its own, become a swarm and
 * continue a text. */
#include "app/commands.h"
#include "app/demo_talk.h"
#include "app/demo_watch.h"
#include "app/options.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME           "demo"
#define NODES_DEFAULT  8
#define ONCE_TOKENS    64
#define TALK_TOKENS    100
#define BUSY_TRIES     20 /* ready, but the serve still reads the vocabulary */
#define BUSY_PAUSE_MS  100
#define LINE_BYTES_MAX 4096
#define LOOK_MS        500
#define PROMPT         "Once upon a time"
#define TALK_SEED      1
#define TALK_HEAT      0.7
#define PROMPT_MARK    "> "
#define NOT_READY_EXIT 1

struct demo_options {
    const char *once, *model;
    uint32_t n_nodes;
};

struct demo {
    struct demo_options options;
    struct demo_box box;
    struct demo_children children;
    struct demo_watch watch;
    struct client client;
    FILE *out; /* what is not the answer */
};

static int read_options(struct demo_options *out, int argc, char **argv)
{
    static const struct option options[] = {{"once", required_argument, NULL, 'o'},
                                            {"nodes", required_argument, NULL, 'n'},
                                            {"model", required_argument, NULL, 'm'},
                                            {NULL, 0, NULL, 0}};
    uint64_t n;
    *out = (struct demo_options){.n_nodes = NODES_DEFAULT};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'o':
            out->once = optarg;
            break;
        case 'm':
            out->model = optarg;
            break;
        case 'n':
            if (!number_parse(&n, optarg, DEMO_NODES_MAX) || n == 0)
                return command_usage_error(NAME, "--nodes '%s': a whole number from 1 to %d is needed", optarg,
                                           DEMO_NODES_MAX);
            out->n_nodes = (uint32_t)n;
            break;
        default:
            return command_usage_error(NAME, "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
        }
    }
    if (optind < argc)
        return command_usage_error(NAME, "'%s' is too much; a prompt goes behind --once", argv[optind]);
    if (out->once && !*out->once)
        return command_usage_error(NAME, "--once needs a prompt of at least one character");
    return 0;
}

/* --- the swarm ------------------------------------------------------------------------------------------- */

static void say_shares(struct demo *d)
{
    const struct demo_box *box = &d->box;
    demo_watch_say(&d->watch, "%s: %u layers cut into %u shards, given to %u node%s", box->model_name,
                   box->n_layers, box->n_shards, box->n_nodes, box->n_nodes == 1 ? "" : "s");
    if (box->n_nodes < d->options.n_nodes)
        demo_watch_say(&d->watch, "(at most one shard a layer, so %u nodes and not %u)", box->n_nodes,
                       d->options.n_nodes);
}

static enum status raise_swarm(struct demo *d, struct error *err)
{
    enum status status;
    if ((status = demo_box_find_model(&d->box, d->options.model, err)) ||
        (status = demo_box_make(&d->box, err)) ||
        (status = demo_box_split(&d->box, &d->children, d->options.n_nodes, err)))
        return status;
    say_shares(d);
    if (d->options.once)
        d->box.http_port = 0;
    status = demo_box_start(&d->box, &d->children, err);
    if (status)
        return status;
    demo_watch_say(&d->watch, "started %u processes: entry, %u node%s, serve", d->box.n_nodes + 2,
                   d->box.n_nodes, d->box.n_nodes == 1 ? "" : "s");
    return demo_watch_until_ready(&d->watch, &d->box, &d->children, &d->client, err);
}

/* --- prompts --------------------------------------------------------------------------------------------- */

static enum status talk(struct demo *d, struct demo_talk *out, const char *prompt, uint32_t n_tokens,
                        double temperature, struct error *err)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000 * 1000};
    enum status status = STATUS_BUSY;
    for (int i = 0; status == STATUS_BUSY && i < BUSY_TRIES; i++) {
        if (i)
            nanosleep(&pause, NULL);
        status = demo_talk_once(out, &d->client, prompt, n_tokens, temperature, TALK_SEED, err);
    }
    return status;
}

static void print_speed(const struct demo *d, const struct demo_talk *talked)
{
    bool terminal = isatty(fileno(d->out));
    double rate = talked->rest_s > 0 ? (talked->n_generated - 1) / talked->rest_s : 0;
    fprintf(d->out, "%s%u tokens, first after %.0f ms, then %.1f tokens/s through %u node%s%s\n",
            terminal ? "\033[2m" : "", talked->n_generated, talked->first_s * 1000, rate, d->box.n_nodes,
            d->box.n_nodes == 1 ? "" : "s", terminal ? "\033[0m" : "");
}

static enum status answer_once(struct demo *d, struct error *err)
{
    struct demo_talk talked;
    enum status status = talk(d, &talked, d->options.once, ONCE_TOKENS, 0, err);
    if (status)
        return status;
    putchar('\n');
    fflush(stdout);
    print_speed(d, &talked);
    return STATUS_OK;
}

static enum status answer_shown(struct demo *d, const char *prompt, struct error *err)
{
    struct demo_talk talked;
    bool terminal = isatty(STDOUT_FILENO);
    printf("%s%s%s", terminal ? "\033[1m" : "", prompt, terminal ? "\033[0m" : "");
    fflush(stdout);
    enum status status = talk(d, &talked, prompt, TALK_TOKENS, TALK_HEAT, err);
    putchar('\n');
    if (!status)
        print_speed(d, &talked);
    return status;
}

/* How to call this program from here, so that what is printed can be pasted. */
static void program_name(char *out, size_t size)
{
    char path[4096], folder[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    bool here = getcwd(folder, sizeof folder) != NULL && strncmp(path, folder, strlen(folder)) == 0 &&
                path[strlen(folder)] == '/';
    snprintf(out, size, "%s", here ? path + strlen(folder) + 1 : n > 0 ? path : "shoal");
}

static void print_places(const struct demo *d)
{
    char program[4096];
    const char *url = d->client.url;
    program_name(program, sizeof program);
    fprintf(d->out,
            "\nask        %s ask \"TEXT\" --api %s\n"
            "look       %s status --api %s\n"
            "why not    %s doctor --api %s\n"
            "logs       %s/*.log\n"
            "nodes     ",
            program, url, program, url, program, url, d->box.folder);
    for (uint32_t i = 0; i < d->children.n; i++)
        if (strncmp(d->children.items[i].name, "node", 4) == 0)
            fprintf(d->out, " %d", (int)d->children.items[i].pid);
    fputs("   (process ids: kill one and ask the doctor)\n\n", d->out);
}

static void say_ended(struct demo *d)
{
    const struct demo_child *ended = demo_children_look(&d->children);
    char outcome[64];
    if (!ended)
        return;
    demo_child_outcome(outcome, ended);
    fprintf(d->out, "%s ended with %s; what follows: shoal doctor --api %s\n", ended->name, outcome,
            d->client.url);
}

/* False: the input has ended. `line` keeps what came of a line until it is whole. */
static bool read_line(char *line, size_t *size)
{
    ssize_t n = read(STDIN_FILENO, line + *size, LINE_BYTES_MAX - 1 - *size);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        return false;
    *size += n > 0 ? (size_t)n : 0;
    line[*size] = '\0';
    return true;
}

static void prompt_for_more(void)
{
    if (isatty(STDOUT_FILENO)) {
        fputs(PROMPT_MARK, stdout);
        fflush(stdout);
    }
}

static void answer_line(struct demo *d, char *line, size_t *size)
{
    struct error err;
    char *end = strchr(line, '\n');
    bool is_full = *size == LINE_BYTES_MAX - 1;
    if (!end && !is_full)
        return;
    if (end)
        *end = '\0';
    if (*line && answer_shown(d, line, &err) && !demo_is_stopped())
        fprintf(stderr, "shoal demo: %s\n", err.text);
    *size = 0;
    line[0] = '\0';
    if (!demo_is_stopped())
        prompt_for_more();
}

/* Until a signal. Lines from a terminal are prompts. Without a terminal on either side nobody could end it by a
 * key: then it ends by itself. */
static void stay(struct demo *d)
{
    bool listens = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (!isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO))
        return;
    char line[LINE_BYTES_MAX] = "";
    size_t size = 0;
    print_places(d);
    fputs(listens ? "Type the beginning of a text and the swarm goes on with it. Ctrl-C ends the demo.\n"
                  : "Ctrl-C ends the demo.\n",
          d->out);
    if (listens)
        prompt_for_more();
    while (!demo_is_stopped()) {
        struct pollfd input = {.fd = listens ? STDIN_FILENO : -1, .events = POLLIN};
        int n = poll(&input, 1, LOOK_MS);
        if (n > 0 && !read_line(line, &size))
            break; /* Ctrl-D */
        if (n > 0)
            answer_line(d, line, &size);
        say_ended(d);
    }
    fputc('\n', d->out);
}

/* --- all of it ------------------------------------------------------------------------------------------- */

static enum status run_demo(struct demo *d, struct error *err)
{
    enum status status = raise_swarm(d, err);
    if (status)
        return status;
    if (d->options.once)
        return answer_once(d, err);
    demo_watch_say(&d->watch, "API %s/v1 (OpenAI's), console %s/", d->client.url, d->client.url);
    fputc('\n', d->out);
    status = answer_shown(d, PROMPT, err);
    if (!status)
        stay(d);
    return status == STATUS_CANCELLED ? STATUS_OK : status;
}

int cmd_demo(int argc, char **argv)
{
    static struct demo demo; /* large */
    struct error err;
    int code = read_options(&demo.options, argc, argv);
    if (code)
        return code;
    demo.out = demo.options.once ? stderr : stdout;
    demo_children_begin();
    demo_watch_begin(&demo.watch, demo.out);
    enum status status = run_demo(&demo, &err);
    demo_children_end(&demo.children);
    demo_watch_end(&demo.watch);
    demo_box_remove(&demo.box);
    if (!status)
        return 0;
    command_failed(NAME, &err);
    bool not_ready = status == STATUS_TIMEOUT || status == STATUS_BUSY || status == STATUS_CANCELLED;
    return not_ready ? NOT_READY_EXIT : status_exit_code(status);
}
