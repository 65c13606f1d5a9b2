/* shoal bench - how fast this machine reads a prompt and gives tokens with a model. */
#include "app/commands.h"
#include "app/local_model.h"
#include "base/clock.h"
#include "base/jv.h"
#include "base/mem.h"
#include "kernels/kernels.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME            "bench"
#define BENCH_RUNS_MAX  100
#define BENCH_COUNT_MAX 65536

struct bench_options {
    const char *model;
    uint32_t n_prompt, n_gen, n_runs;
    bool as_json;
    struct local_model_options open;
};

struct bench_result {
    double prompt_tok_s[BENCH_RUNS_MAX], gen_tok_s[BENCH_RUNS_MAX];
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},
    {"threads", required_argument, NULL, 't'},
    {"kv", required_argument, NULL, 'K'},
    {NULL, 0, NULL, 0},
};

static enum status read_option(struct bench_options *o, int letter, const char *text, char **argv,
                               struct error *err)
{
    switch (letter) {
    case 'p':
        return option_u32(&o->n_prompt, "-p", text, 0, BENCH_COUNT_MAX, err);
    case 'n':
        return option_u32(&o->n_gen, "-n", text, 0, BENCH_COUNT_MAX, err);
    case 't':
        return option_u32(&o->open.n_threads, "-t", text, 1, 1024, err);
    case 'r':
        return option_u32(&o->n_runs, "-r", text, 1, BENCH_RUNS_MAX, err);
    case 'K':
        return option_kv(&o->open.kv_type, text, err);
    case 'j':
        o->as_json = true;
        return STATUS_OK;
    default:
        return option_unknown(argv, err);
    }
}

static enum status read_options(struct bench_options *out, int argc, char **argv, struct error *err)
{
    *out = (struct bench_options){.n_prompt = 512, .n_gen = 128, .n_runs = 3};
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "p:n:t:r:", long_options, NULL)) != -1;) {
        enum status status = read_option(out, letter, optarg, argv, err);
        if (status)
            return status;
    }
    if (optind + 1 != argc)
        return error_set(err, STATUS_BAD_USAGE, "give one MODEL: a GGUF file or a folder of shards");
    if (!out->n_prompt && !out->n_gen)
        return error_set(err, STATUS_BAD_USAGE, "-p 0 and -n 0 leave nothing to measure");
    out->model = argv[optind];
    out->open.n_ctx = out->n_prompt + out->n_gen + 1;
    return STATUS_OK;
}

/* The same tokens that the comparison with llama.cpp takes. */
static uint32_t bench_token(uint32_t i, uint32_t factor, uint32_t n_vocab)
{
    return n_vocab > 3 ? 3 + (uint32_t)((uint64_t)i * factor % (n_vocab - 3)) : 0;
}

static enum status run_once(struct local_model *model, const struct bench_options *o, double *prompt_tok_s,
                            double *gen_tok_s, struct error *err)
{
    uint32_t n_vocab = local_model_hparams(model)->n_vocab;
    uint32_t *prompt = mem_array(o->n_prompt, sizeof *prompt);
    struct local_run run = {.sequence = 1, .n_tokens = o->n_prompt, .tokens = prompt};
    enum status status = STATUS_OK;

    for (uint32_t i = 0; i < o->n_prompt; i++)
        prompt[i] = bench_token(i, 7919, n_vocab);
    uint64_t start_us = clock_process_us();
    if (o->n_prompt)
        status = local_model_run(model, &run, err);
    uint64_t middle_us = clock_process_us();
    for (uint32_t i = 0; !status && i < o->n_gen; i++) {
        struct sample_params greedy = {.top_p = 1.0F, .repeat_penalty = 1.0F};
        uint32_t token = bench_token(i, 31, n_vocab);
        struct local_run one = {
            .sequence = 1, .position = o->n_prompt + i, .n_tokens = 1, .tokens = &token, .sample = &greedy};
        status = local_model_run(model, &one, err);
    }
    uint64_t end_us = clock_process_us();
    *prompt_tok_s = o->n_prompt * 1e6 / (double)(middle_us - start_us + !o->n_prompt);
    *gen_tok_s = o->n_gen * 1e6 / (double)(end_us - middle_us + !o->n_gen);
    mem_free(prompt);
    return status;
}

/* Pages, clocks and caches need no more than this to be as they will be. */
#define WARM_PROMPT_MAX 1024
static enum status warm_up(struct local_model *model, struct bench_options options, struct error *err)
{
    double unused;
    if (options.n_prompt > WARM_PROMPT_MAX)
        options.n_prompt = WARM_PROMPT_MAX;
    return run_once(model, &options, &unused, &unused, err);
}

static uint64_t rss_bytes(void)
{
    unsigned long long n_pages = 0;
    char line[128] = "";
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fgets(line, sizeof line, file)) {
        char *resident = strchr(line, ' ');
        n_pages = resident ? strtoull(resident, NULL, 10) : 0;
    }
    fclose(file);
    return n_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* The processor's name, or where the system does not tell it, the machine's kind. */
static void cpu_name(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%s", colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static void print_json(const struct local_model *model, const struct bench_options *o,
                       const struct bench_result *result)
{
    struct jv *doc = jv_object_new(), *prompt = jv_array_new(), *gen = jv_array_new();
    char cpu[256];

    cpu_name(cpu, sizeof cpu);
    for (uint32_t i = 0; i < o->n_runs; i++) {
        jv_append(prompt, jv_real_new(result->prompt_tok_s[i]));
        jv_append(gen, jv_real_new(result->gen_tok_s[i]));
    }
    jv_set_text(doc, "model", o->model);
    jv_set_int(doc, "threads", engine_n_threads(model->engine));
    jv_set_text(doc, "cpu", cpu);
    jv_set_text(doc, "level", engine_kernels(model->engine)->level);
    jv_set_int(doc, "n_prompt", o->n_prompt);
    jv_set_int(doc, "n_gen", o->n_gen);
    jv_set(doc, "prompt_tok_s", prompt);
    jv_set(doc, "gen_tok_s", gen);
    jv_set_real(doc, "load_s", (double)model->load_us / 1e6);
    jv_set_int(doc, "rss_bytes", (int64_t)rss_bytes());
    uint64_t bytes_per_token = 0;
    for (uint32_t i = 0; i < model->n_weights; i++)
        bytes_per_token += weights_bytes_per_token(model->weights[i]);
    jv_set_int(doc, "bytes_per_token", (int64_t)bytes_per_token);
    char *text = jv_print(doc, JV_COMPACT);
    puts(text);
    mem_free(text);
    jv_free(doc);
}

static void print_table(const struct local_model *model, const struct bench_options *o,
                        const struct bench_result *result)
{
    printf("%s: %u threads, %s, loaded in %.2f s, %.1f MB resident\n", o->model,
           engine_n_threads(model->engine), engine_kernels(model->engine)->level, (double)model->load_us / 1e6,
           (double)rss_bytes() / 1e6);
    for (uint32_t i = 0; i < o->n_runs; i++)
        printf("prompt of %u: %8.2f tokens/s    %u generated: %8.2f tokens/s\n", o->n_prompt,
               result->prompt_tok_s[i], o->n_gen, result->gen_tok_s[i]);
}

int cmd_bench(int argc, char **argv)
{
    struct bench_options options;
    struct bench_result result;
    struct local_model model;
    struct error err;
    enum status status = STATUS_OK;

    if (read_options(&options, argc, argv, &err))
        return command_usage_error(NAME, "%s", err.text);
    if (local_model_open(&model, options.model, &options.open, &err))
        return local_model_exit_code(NAME, &err);
    status = warm_up(&model, options, &err);
    for (uint32_t i = 0; !status && i < options.n_runs; i++)
        status = run_once(&model, &options, &result.prompt_tok_s[i], &result.gen_tok_s[i], &err);
    if (!status)
        (options.as_json ? print_json : print_table)(&model, &options, &result);
    local_model_close(&model);
    return status ? command_failed(NAME, &err) : 0;
}
