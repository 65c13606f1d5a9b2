/* shoal run - completes a text in this process alone. stdout: the completion only, as whole UTF-8. */
#include "app/commands.h"
#include "app/local_model.h"
#include "app/options.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/jv.h"
#include "base/mem.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "run"

struct run_options {
    const char *model, *prompt;
    uint32_t n_tokens;
    struct sample_params sample;
    bool has_seed, as_json;
    struct local_model_options open;
};

static const struct option long_options[] = {
    {"prompt", required_argument, NULL, 'p'},
    {"temp", required_argument, NULL, 't'},
    {"top-k", required_argument, NULL, 'k'},
    {"top-p", required_argument, NULL, 'P'},
    {"min-p", required_argument, NULL, 'm'},
    {"repeat-penalty", required_argument, NULL, 'r'},
    {"repeat-last-n", required_argument, NULL, 'l'},
    {"seed", required_argument, NULL, 's'},
    {"threads", required_argument, NULL, 'T'},
    {"ctx", required_argument, NULL, 'c'},
    {"kv", required_argument, NULL, 'K'},
    {"json", no_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

static enum status read_seed(struct run_options *options, const char *text, struct error *err)
{
    if (!number_parse(&options->sample.seed, text, UINT64_MAX))
        return error_set(err, STATUS_BAD_USAGE, "--seed is '%s'; it must be a number from 0 to %" PRIu64, text,
                         UINT64_MAX);
    options->has_seed = true;
    return STATUS_OK;
}

static enum status read_option(struct run_options *o, int letter, const char *text, char **argv,
                               struct error *err)
{
    switch (letter) {
    case 'p':
        o->prompt = text;
        return STATUS_OK;
    case 'n':
        return option_u32(&o->n_tokens, "-n", text, 0, UINT32_MAX, err);
    case 't':
        return option_float(&o->sample.temperature, "--temp", text, err);
    case 'k':
        return option_u32(&o->sample.top_k, "--top-k", text, 0, UINT32_MAX, err);
    case 'P':
        return option_float(&o->sample.top_p, "--top-p", text, err);
    case 'm':
        return option_float(&o->sample.min_p, "--min-p", text, err);
    case 'r':
        return option_float(&o->sample.repeat_penalty, "--repeat-penalty", text, err);
    case 'l':
        return option_u32(&o->sample.repeat_last_n, "--repeat-last-n", text, 0, SAMPLE_HISTORY_MAX, err);
    case 's':
        return read_seed(o, text, err);
    case 'T':
        return option_u32(&o->open.n_threads, "--threads", text, 1, 1024, err);
    case 'c':
        return option_u32(&o->open.n_ctx, "--ctx", text, 1, ENGINE_CTX_MAX, err);
    case 'K':
        return option_kv(&o->open.kv_type, text, err);
    case 'j':
        o->as_json = true;
        return STATUS_OK;
    default:
        return option_unknown(argv, err);
    }
}

static enum status read_options(struct run_options *out, int argc, char **argv, struct error *err)
{
    *out = (struct run_options){
        .n_tokens = 128, .sample = sample_params_default(), .open = {.wants_tokenizer = true}};
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "p:n:", long_options, NULL)) != -1;) {
        enum status status = read_option(out, letter, optarg, argv, err);
        if (status)
            return status;
    }
    if (optind + 1 != argc)
        return error_set(err, STATUS_BAD_USAGE, "give one MODEL: a GGUF file or a folder of shards");
    if (!out->prompt)
        return error_set(err, STATUS_BAD_USAGE, "no prompt; give it with -p TEXT");
    out->model = argv[optind];
    return sample_params_check(&out->sample, err);
}

/* --- the completion ----------------------------------------------------------------------------------------
 */

struct completion {
    struct tokenizer_ids prompt;
    struct tokenizer_stream stream;
    struct buffer text;
    bool streams;   /* to stdout, as it grows */
    uint32_t n_out; /* tokens given */
    const char *finish;
    uint64_t prompt_us, gen_us;
};

static enum status read_prompt(struct completion *c, const struct local_model *model, const char *prompt,
                               struct error *err)
{
    enum status status =
        tokenizer_encode(model->tokenizer, bytes_of_text(prompt), TOKENIZE_ADD_BOS, &c->prompt, err);
    if (status)
        return status;
    if (!c->prompt.n)
        return error_set(err, STATUS_BAD_USAGE, "the prompt is empty and the model has no BOS to start from");
    if (c->prompt.n > model->n_ctx)
        return error_set(
            err, STATUS_LIMIT,
            "the prompt has %zu tokens and the context %u (the model was trained for %u); shorten it "
            "or give a larger --ctx",
            c->prompt.n, model->n_ctx, local_model_hparams(model)->n_ctx_train);
    return STATUS_OK;
}

static void give_text(struct completion *c, size_t from)
{
    if (!c->streams)
        return;
    fwrite(c->text.data + from, 1, c->text.size - from, stdout);
    fflush(stdout);
}

static void give_token(struct completion *c, const struct local_model *model, uint32_t token)
{
    struct bytes bytes;
    size_t before = c->text.size;
    if (tokenizer_token_bytes(model->tokenizer, token, &bytes)) {
        bool is_first = c->n_out == 0 && tokenizer_kind(model->tokenizer) == TOKENIZER_SPM;
        if (is_first && bytes.size && bytes.data[0] == ' ') /* SPM's mark of a word, as in tokenizer_decode */
            bytes = bytes_of(bytes.data + 1, bytes.size - 1);
        tokenizer_stream_push(&c->stream, bytes, &c->text);
    }
    c->n_out++;
    give_text(c, before);
}

static enum status generate(struct completion *c, struct local_model *model, const struct run_options *options,
                            struct error *err)
{
    struct local_run run = {
        .sequence = 1, .n_tokens = (uint32_t)c->prompt.n, .tokens = c->prompt.ids, .sample = &options->sample};
    uint64_t start_us = clock_process_us();
    enum status status = local_model_run(model, &run, err);

    c->prompt_us = clock_process_us() - start_us;
    start_us += c->prompt_us;
    c->finish = "length";
    while (!status && c->n_out < options->n_tokens) {
        uint32_t token = run.sampled.token;
        if (tokenizer_is_end_of_generation(model->tokenizer, token)) {
            c->finish = "stop";
            break;
        }
        give_token(c, model, token);
        if (c->n_out == options->n_tokens)
            break;
        run.position += run.n_tokens;
        if (run.position >= model->n_ctx) {
            fprintf(stderr, "shoal run: the context of %u positions is full; --ctx makes it larger\n",
                    model->n_ctx);
            c->finish = "context";
            break;
        }
        run.n_tokens = 1;
        run.tokens = &token;
        status = local_model_run(model, &run, err);
    }
    size_t before = c->text.size;
    tokenizer_stream_finish(&c->stream, &c->text);
    give_text(c, before);
    if (c->streams && isatty(STDOUT_FILENO))
        putchar('\n');
    c->gen_us = clock_process_us() - start_us;
    return status;
}

static double per_second(uint64_t n, uint64_t us)
{
    return us ? (double)n * 1e6 / (double)us : 0;
}

static void print_json(const struct completion *c, const struct run_options *options)
{
    struct jv *doc = jv_object_new();
    jv_set(doc, "text", jv_text_new_n((const char *)c->text.data, c->text.size));
    jv_set_text(doc, "finish", c->finish);
    jv_set_int(doc, "prompt_tokens", (int64_t)c->prompt.n);
    jv_set_int(doc, "completion_tokens", c->n_out);
    if (options->sample.seed <= INT64_MAX)
        jv_set_int(doc, "seed", (int64_t)options->sample.seed);
    else
        jv_set_real(doc, "seed", (double)options->sample.seed);
    jv_set_real(doc, "prompt_tok_s", per_second(c->prompt.n, c->prompt_us));
    jv_set_real(doc, "gen_tok_s", per_second(c->n_out, c->gen_us));
    char *text = jv_print(doc, JV_COMPACT);
    puts(text);
    mem_free(text);
    jv_free(doc);
}

static int complete(struct local_model *model, const struct run_options *options)
{
    struct completion c = {.streams = !options->as_json};
    struct error err;

    buffer_init(&c.text, 0);
    enum status status = read_prompt(&c, model, options->prompt, &err);
    if (!status)
        status = generate(&c, model, options, &err);
    if (!status && options->as_json)
        print_json(&c, options);
    buffer_free(&c.text);
    tokenizer_ids_free(&c.prompt);
    return status ? command_failed(NAME, &err) : 0;
}

int cmd_run(int argc, char **argv)
{
    struct run_options options;
    struct local_model model;
    struct error err;

    if (read_options(&options, argc, argv, &err))
        return command_usage_error(NAME, "%s", err.text);
    if (!options.has_seed)
        options.sample.seed = crypto_random_u64() >> 11; /* a number that JSON keeps exactly */
    if (local_model_open(&model, options.model, &options.open, &err))
        return local_model_exit_code(NAME, &err);
    if (!options.has_seed && options.sample.temperature > 0.0F)
        fprintf(stderr, "seed: %" PRIu64 "\n", options.sample.seed);
    int code = complete(&model, &options);
    local_model_close(&model);
    return code;
}
