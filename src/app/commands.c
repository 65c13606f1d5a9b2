#include "app/commands.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROCESS_HELP                                                                                           \
    "  TOKEN                     join token; - reads it from stdin, @FILE from a file; kept after first use\n" \
    "  --bootstrap HOST:PORT     entry to the DHT; may be repeated (the token's, else 127.0.0.1:7400)\n"       \
    "  --peer HOST:PORT          a node to link with, no DHT needed; may be repeated\n"                        \
    "  --cluster NAME            a namespace under the key (the token's, else llama-cluster)\n"                \
    "  --key FILE                swarm key file (the stored one)\n"                                            \
    "  --listen ADDR             address to listen on (all)\n"                                                 \
    "  --port N                  TCP for links and UDP for the DHT (any free)\n"                               \
    "  --torrent-port N          BitTorrent (port + 1)\n"                                                      \
    "  --advertise ADDR[:PORT]   address that peers should dial (the one they see)\n"                          \
    "  --state-dir DIR           identity, known peers, resume data\n"                                         \
    "  --http ADDR:PORT          local API (127.0.0.1:0; serve: 127.0.0.1:8080)\n"                             \
    "  --status-interval S       seconds between [STATUS] reports (30)\n"                                      \
    "  --refresh-interval S      seconds between announcements (60)\n"                                         \
    "  --log-level LEVEL         error, warn, info, debug (info)\n"                                            \
    "  --log-json                log lines as JSON\n"                                                          \
    "  --ascii                   lines without signs\n"                                                        \
    "  --config FILE             options from a file, one NAME = VALUE a line; SHOAL_NAME in the "             \
    "environment\n"
#define SHARD_HELP                                                                                             \
    "  --shard-id N              hold this shard                     --shards 0-3,5   hold these\n"            \
    "  --total-shards N          how many there are (from the manifest)\n"                                     \
    "  --shards-dir DIR          shard files (models_cache/shards)\n"                                          \
    "  --no-fetch                never download\n"                                                             \
    "  --max-upload RATE         bytes a second given to others, K M G (no limit)\n"                           \
    "  --threads N               threads that compute (cores)\n"                                               \
    "  --memory SIZE             memory for weights, keys and values (90 % of free RAM)\n"                     \
    "  --ctx N                   positions of a sequence (4096)\n"                                             \
    "  --slots N                 sequences at one time (8)\n"                                                  \
    "  --kv f16|f32|q8_0         keys and values (f16)\n"
#define CLIENT_HELP                                                                                            \
    "  --api URL                 the API to ask (else the run folder's: a serve first, then a node)\n"         \
    "  --json                    one JSON document\n"

static const struct command table[] = {
    {"demo", cmd_demo, "[--once \"PROMPT\"] [--nodes 8]", "eight nodes on this machine answer a prompt",
     "  --once PROMPT             answer greedily with 64 tokens on stdout, nothing else there, and exit\n"
     "  --nodes N                 how many nodes (8)\n"
     "  --model FILE              another model than the one in the box\n"},
    {"init", cmd_init, "[--cluster NAME] [--advertise HOST:PORT]",
     "makes a swarm key and prints the join token",
     "  --cluster NAME            namespace (llama-cluster)\n"
     "  --advertise HOST:PORT     where the entry will be reached (this machine's address, port 7400)\n"},
    {"bootstrap", cmd_bootstrap, "[TOKEN] [OPTIONS]", "the entry: where nodes find each other", PROCESS_HELP},
    {"node", cmd_node, "[TOKEN] [OPTIONS]", "holds and runs shards", SHARD_HELP PROCESS_HELP},
    {"serve", cmd_serve, "[TOKEN] [OPTIONS]", "coordinator, OpenAI-compatible API, console",
     SHARD_HELP PROCESS_HELP},
    {"status", cmd_status, "[--json]", "the swarm: nodes, shards, plan", CLIENT_HELP},
    {"doctor", cmd_doctor, "[--json] [--node ADDR:PORT]", "why it is not ready: the blockers, first one first",
     CLIENT_HELP "  --node ADDR:PORT          examine a link step by step\n"},
    {"top", cmd_top, "[--ascii]", "the swarm on one screen, live; q quits; without a terminal one snapshot",
     "  --api URL                 the API to ask (else the run folder's: a serve first, then a node)\n"
     "  --ascii                   no signs beyond ASCII (the locale's choice)\n"},
    {"files", cmd_files, "[--json]", "EXISTS, MISSING or INVALID for each shard on every node", CLIENT_HELP},
    {"timeline", cmd_timeline, "[--json]", "when each stage was reached, per node and shard", CLIENT_HELP},
    {"load", cmd_load, "SHARD [--node ID]", "tells a node to load a shard, with the outcome",
     CLIENT_HELP "  --node ID                 which node (the one assigned, else the best one)\n"},
    {"unload", cmd_unload, "SHARD [--node ID]", "tells a node to unload a shard",
     CLIENT_HELP "  --node ID                 which node (the only one that has it)\n"},
    {"ask", cmd_ask, "TEXT [-n N] [--temp T] [--seed S]", "one question to the swarm, answer on stdout",
     CLIENT_HELP "  -n N                      tokens at most (256)      --temp T, --seed S   sampling\n"
                 "  --raw                     continue the text, without the chat template\n"},
    {"chat", cmd_chat, "[--temp T]", "a conversation with the swarm", CLIENT_HELP},
    {"split", cmd_split, "MODEL.gguf [--shards 8] [--out DIR] [--name NAME]", "cuts a model into shards",
     "  --shards N                how many (8, at most one a layer)\n"
     "  --out DIR                 where to (models_cache/shards)\n"
     "  --name NAME               the model's name in the manifest (from the file)\n"
     "  --threads N               threads that compute the probe (cores)\n"
     "  --json                    the manifest without its pieces, as JSON\n"},
    {"merge", cmd_merge, "DIR -o MODEL.gguf", "puts shards together again, bit for bit",
     "  -o FILE                   the model to write\n"
     "  --json                    file and size as JSON\n"},
    {"inspect", cmd_inspect, "FILE.gguf [--plan] [--json]", "header and tensors of a GGUF file",
     "  --plan                    the memory that it would need\n"
     "  --ctx N, --slots N        with --plan: positions of a sequence (4096), sequences (8)\n"
     "  --kv f16|f32|q8_0         with --plan: keys and values (f16)\n"
     "  --json                    as JSON, arrays cut to their first elements\n"},
    {"verify", cmd_verify, "[DIR] [--json]", "EXISTS, MISSING or INVALID for each shard file",
     "  DIR                       models_cache/shards\n  --json                    as JSON\n"},
    {"run", cmd_run, "MODEL -p TEXT [OPTIONS]", "one process, no network: completes a text",
     "  -p TEXT                   the prompt              -n N              tokens (128)\n"
     "  --temp T                  0 is greedy (0.8)       --top-k K         (40)\n"
     "  --top-p P                 (0.95)                  --min-p P         (0.05)\n"
     "  --repeat-penalty R        (1)                     --seed S          (random, printed)\n"
     "  --threads T               (cores)                 --ctx N           (4096)\n"
     "  --kv f16|f32|q8_0         keys and values (f16)\n"},
    {"tokenize", cmd_tokenize, "MODEL TEXT [--bos]", "text to ids (- reads stdin)",
     "  --bos                     with the model's BOS\n"},
    {"detokenize", cmd_detokenize, "MODEL IDS", "ids to text", ""},
    {"logits", cmd_logits, "MODEL IDS [--top 20] [--kv f16|f32|q8_0]", "log-probabilities at every position",
     "  --top N                   how many (20)\n  --kv f16|f32|q8_0         keys and values (f16)\n"},
    {"bench", cmd_bench, "MODEL [-p 512] [-n 128] [-t THREADS] [-r 3] --json",
     "speed of this machine with a model",
     "  -p N                      prompt tokens (512)     -n N              generated tokens (128)\n"
     "  -t N                      threads (cores)         -r N              repeats (3)\n"},
    {NULL, NULL, NULL, NULL, NULL},
};

/* Named in INTERFACE section 1, not in this version. */
static const char *const absent[] = {"seed", "drain", "pull"};

const struct command *command_table(void)
{
    return table;
}

const struct command *command_find(const char *name)
{
    for (const struct command *c = table; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int command_help(const char *name)
{
    const struct command *c = command_find(name);
    for (size_t i = 0; !c && i < sizeof absent / sizeof *absent; i++)
        if (strcmp(absent[i], name) == 0) {
            fprintf(stderr, "shoal: the command '%s' is not in this version (%s)\n", name, SHOAL_VERSION);
            return 2;
        }
    if (!c) {
        fprintf(stderr, "shoal: there is no command '%s'; `shoal help` lists them\n", name);
        return 2;
    }
    printf("usage: shoal %s %s\n\n%s.\n", c->name, c->usage, c->summary);
    if (c->help[0])
        printf("\n%s", c->help);
    return 0;
}

int command_usage_error(const char *name, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "shoal %s: ", name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, " (`shoal help %s` tells the options)\n", name);
    return 2;
}

int command_failed(const char *name, const struct error *err)
{
    fprintf(stderr, "shoal %s: %s\n", name, err->text);
    return status_exit_code(err->status);
}
