/* shoal logits - log-probabilities of the likeliest next tokens at every position of a list of ids. */
#include "app/commands.h"
#include "app/local_model.h"
#include "app/options.h"
#include "base/mem.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>

#define NAME             "logits"
#define LOGITS_BYTES_MAX ((size_t)64 << 20) /* of one step */

struct logits_options {
    const char *model, *ids_text;
    uint32_t n_top;
    struct local_model_options open;
};

static const struct option long_options[] = {
    {"top", required_argument, NULL, 'n'},
    {"kv", required_argument, NULL, 'K'},
    {"threads", required_argument, NULL, 'T'},
    {"chunk", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'}, /* it always is */
    {NULL, 0, NULL, 0},
};

static enum status read_options(struct logits_options *out, uint32_t *chunk, int argc, char **argv,
                                struct error *err)
{
    enum status status = STATUS_OK;

    *out = (struct logits_options){.n_top = 20};
    optind = 1;
    opterr = 0;
    for (int letter; !status && (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (letter == 'n')
            status = option_u32(&out->n_top, "--top", optarg, 1, MODEL_VOCAB_MAX, err);
        else if (letter == 'K')
            status = option_kv(&out->open.kv_type, optarg, err);
        else if (letter == 'T')
            status = option_u32(&out->open.n_threads, "--threads", optarg, 1, 1024, err);
        else if (letter == 'c')
            status = option_u32(chunk, "--chunk", optarg, 1, ENGINE_STEP_TOKENS_MAX, err);
        else if (letter != 'j')
            status = option_unknown(argv, err);
    }
    if (!status && optind + 2 != argc)
        status =
            error_set(err, STATUS_BAD_USAGE,
                      "give MODEL (a GGUF file or a folder of shards) and IDS (numbers with commas between)");
    if (!status) {
        out->model = argv[optind];
        out->ids_text = argv[optind + 1];
    }
    return status;
}

static const char *skip_space(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* "1,403,407" or "[1, 403, 407]". */
static enum status parse_ids(struct tokenizer_ids *out, const char *text, struct error *err)
{
    const char *at = skip_space(text);
    bool bracket = *at == '[';

    for (at = skip_space(at + bracket);; at = skip_space(at + 1)) {
        uint64_t id = 0;
        const char *digits = at;
        for (; isdigit((unsigned char)*at) && id <= UINT32_MAX; at++)
            id = id * 10 + (uint64_t)(*at - '0');
        if (at == digits || id > UINT32_MAX)
            return error_set(err, STATUS_BAD_USAGE, "no token id at byte %td of IDS, '%.20s'", digits - text,
                             digits);
        tokenizer_ids_append(out, (uint32_t)id);
        at = skip_space(at);
        if (*at != ',')
            break;
    }
    if (bracket)
        at = *at == ']' ? skip_space(at + 1) : "?";
    if (*at)
        return error_set(err, STATUS_BAD_USAGE, "IDS are not a list of numbers with commas between: '%.40s'",
                         text);
    return STATUS_OK;
}

struct printer {
    const struct kernels *kernels;
    const uint32_t *ids;
    uint32_t n_vocab, n_top;
    uint32_t *top;
    float *log_probabilities;
};

static void print_positions(void *arg, uint32_t position, uint32_t n_tokens, const float *logits)
{
    struct printer *p = arg;
    for (uint32_t i = 0; i < n_tokens; i++) {
        sampler_top(p->kernels, logits + (size_t)i * p->n_vocab, p->n_vocab, p->n_top, p->top,
                    p->log_probabilities);
        printf("{\"pos\": %u, \"token\": %u, \"top\": [", position + i, p->ids[position + i]);
        for (uint32_t k = 0; k < p->n_top; k++)
            printf("%s[%u, %.9g]", k ? ", " : "", p->top[k], (double)p->log_probabilities[k]);
        fputs("]}\n", stdout);
    }
}

static enum status print_logits(struct local_model *model, const struct logits_options *options,
                                const struct tokenizer_ids *ids, uint32_t chunk, struct error *err)
{
    uint32_t n_vocab = local_model_hparams(model)->n_vocab;
    uint32_t fits = (uint32_t)(LOGITS_BYTES_MAX / sizeof(float) / n_vocab) + 1;
    struct printer printer = {.kernels = engine_kernels(model->engine), .ids = ids->ids, .n_vocab = n_vocab};

    for (size_t i = 0; i < ids->n; i++)
        if (ids->ids[i] >= n_vocab)
            return error_set(err, STATUS_BAD_USAGE, "id %u at place %zu is not below the vocabulary's size %u",
                             ids->ids[i], i, n_vocab);
    if (!chunk || chunk > fits)
        chunk = fits < ENGINE_STEP_TOKENS_MAX ? fits : ENGINE_STEP_TOKENS_MAX;
    printer.n_top = options->n_top < n_vocab ? options->n_top : n_vocab;
    printer.top = mem_array(printer.n_top, sizeof *printer.top);
    printer.log_probabilities = mem_array(printer.n_top, sizeof *printer.log_probabilities);
    struct local_run run = {.sequence = 1,
                            .n_tokens = (uint32_t)ids->n,
                            .tokens = ids->ids,
                            .chunk = chunk,
                            .logits = mem_array((size_t)chunk * n_vocab, sizeof(float)),
                            .on_logits = print_positions,
                            .arg = &printer};
    enum status status = local_model_run(model, &run, err);
    mem_free(run.logits);
    mem_free(printer.top);
    mem_free(printer.log_probabilities);
    return status;
}

int cmd_logits(int argc, char **argv)
{
    struct logits_options options;
    struct local_model model;
    struct tokenizer_ids ids = {.ids = NULL};
    struct error err;
    uint32_t chunk = 0;
    int code = 0;

    if (read_options(&options, &chunk, argc, argv, &err))
        return command_usage_error(NAME, "%s", err.text);
    if (parse_ids(&ids, options.ids_text, &err)) {
        tokenizer_ids_free(&ids);
        return command_usage_error(NAME, "%s", err.text);
    }
    if (ids.n > ENGINE_CTX_MAX) {
        error_set(&err, STATUS_LIMIT, "%zu ids; at most %u are possible", ids.n, ENGINE_CTX_MAX);
        code = command_failed(NAME, &err);
    } else {
        options.open.n_ctx = (uint32_t)ids.n;
        if (local_model_open(&model, options.model, &options.open, &err)) {
            code = local_model_exit_code(NAME, &err);
        } else {
            if (print_logits(&model, &options, &ids, chunk, &err))
                code = command_failed(NAME, &err);
            local_model_close(&model);
        }
    }
    tokenizer_ids_free(&ids);
    return code;
}
