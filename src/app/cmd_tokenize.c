/* shoal tokenize, shoal detokenize - text to token ids and back, with a model's own vocabulary. */
#include "app/commands.h"
#include "app/local_model.h"
#include "base/jv.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/manifest.h"
#include "model/shards.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tokenize_options {
    const char *name, *model, *input;
    bool adds_bos, as_json;
};

static const struct option long_options[] = {
    {"bos", no_argument, NULL, 'b'},
    {"json", no_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

/* False, and it has said why, when the command cannot go on. */
static bool read_options(struct tokenize_options *out, const char *name, const char *what, int argc,
                         char **argv)
{
    *out = (struct tokenize_options){.name = name};
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (letter == 'b') {
            out->adds_bos = true;
        } else if (letter == 'j') {
            out->as_json = true;
        } else {
            command_usage_error(name, "no option '%s'; behind -- %s may begin with a dash", argv[optind - 1],
                                what);
            return false;
        }
    }
    if (optind + 2 != argc) {
        command_usage_error(name, "give MODEL (a GGUF file or a folder of shards) and %s", what);
        return false;
    }
    out->model = argv[optind];
    out->input = argv[optind + 1];
    return true;
}

/* A folder's vocabulary is where its manifest says, else in tokenizer.gguf. A block for mem_free. */
static char *vocabulary_path(const char *model)
{
    struct stat info;
    struct manifest *manifest;
    if (stat(model, &info) != 0 || !S_ISDIR(info.st_mode))
        return mem_string(model);
    char *path = shards_path(model, MANIFEST_FILE);
    char *file = NULL;
    if (manifest_load(&manifest, path, NULL) == STATUS_OK) {
        file = shards_path(model, manifest->tokenizer.file);
        manifest_free(manifest);
    }
    mem_free(path);
    return file ? file : shards_path(model, TOKENIZER_FILE);
}

static enum status open_tokenizer(struct tokenizer **out, const char *model, struct error *err)
{
    char *path = vocabulary_path(model);
    struct gguf *gguf;
    enum status status = gguf_open(&gguf, path, err);
    if (!status) {
        status = tokenizer_create(out, gguf, err);
        if (status)
            error_wrap(err, status, "'%s'", path);
        gguf_close(gguf);
    }
    mem_free(path);
    return status;
}

/* The argument's bytes, or all of stdin for "-". */
static enum status read_input(struct buffer *out, const char *input, struct error *err)
{
    buffer_init(out, TOKENIZER_TEXT_MAX + 1);
    if (strcmp(input, "-") != 0) {
        buffer_text(out, input);
    } else {
        size_t n;
        do {
            uint8_t block[65536];
            n = fread(block, 1, sizeof block, stdin);
            buffer_bytes(out, block, n);
        } while (n > 0 && !out->failed);
        if (ferror(stdin))
            return error_set_errno(err, STATUS_IO, errno, "reading stdin");
    }
    if (out->failed || out->size > TOKENIZER_TEXT_MAX)
        return error_set(err, STATUS_LIMIT, "the input passes %zu bytes: give it in parts", TOKENIZER_TEXT_MAX);
    return STATUS_OK;
}

static void print_ids(const struct tokenizer_ids *ids)
{
    putchar('[');
    for (size_t i = 0; i < ids->n; i++)
        printf(i ? ",%" PRIu32 : "%" PRIu32, ids->ids[i]);
    puts("]");
}

int cmd_tokenize(int argc, char **argv)
{
    struct tokenize_options o;
    struct error err;
    struct tokenizer *t;
    struct buffer text;
    struct tokenizer_ids ids = {0};
    if (!read_options(&o, "tokenize", "TEXT (- reads stdin)", argc, argv))
        return 2;
    if (open_tokenizer(&t, o.model, &err))
        return local_model_exit_code(o.name, &err);
    enum status status = read_input(&text, o.input, &err);
    if (!status && o.adds_bos && tokenizer_bos(t) == TOKENIZER_NO_ID)
        status = error_set(&err, STATUS_BAD_USAGE, "the model has no BOS token: leave --bos out");
    if (!status && o.adds_bos)
        tokenizer_ids_append(&ids, tokenizer_bos(t));
    if (!status)
        status = tokenizer_encode(t, buffer_view(&text), 0, &ids, &err);
    if (!status)
        print_ids(&ids);
    tokenizer_ids_free(&ids);
    buffer_free(&text);
    tokenizer_free(t);
    return status ? command_failed(o.name, &err) : 0;
}

static const char *skip_space(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static enum status parse_id(uint32_t *out, const char **at, const char *text, struct error *err)
{
    const char *digits = *at;
    uint64_t id = 0;
    while (isdigit((unsigned char)**at) && id <= UINT32_MAX)
        id = id * 10 + (uint64_t)(*(*at)++ - '0');
    if (*at == digits || id > UINT32_MAX)
        return error_set(err, STATUS_BAD_USAGE,
                         "IDS: '%.20s' at byte %td is no token id; want whole numbers with commas between",
                         digits, digits - text);
    *out = (uint32_t)id;
    return STATUS_OK;
}

/* "1,403,407" or "[1, 403, 407]", perhaps empty. */
static enum status parse_ids(struct tokenizer_ids *out, const char *text, struct error *err)
{
    const char *at = skip_space(text);
    bool bracket = *at == '[';
    at = skip_space(at + bracket);
    while (*at && *at != ']') {
        uint32_t id = 0;
        if (parse_id(&id, &at, text, err))
            return STATUS_BAD_USAGE;
        tokenizer_ids_append(out, id);
        at = skip_space(at);
        if (*at == ',' && *skip_space(at + 1) != ']' && *skip_space(at + 1))
            at = skip_space(at + 1);
        else
            break;
    }
    if (bracket && !*at)
        return error_set(err, STATUS_BAD_USAGE, "IDS: the list that begins with [ does not end with ]");
    const char *end = bracket && *at == ']' ? skip_space(at + 1) : at;
    if (*end)
        return error_set(
            err, STATUS_BAD_USAGE,
            "IDS: unexpected '%.20s' at byte %td; want whole numbers with commas between, as 1,403,407", end,
            end - text);
    return STATUS_OK;
}

static void print_text(const struct buffer *text, bool as_json)
{
    if (as_json) {
        struct jv *value = jv_object_new();
        jv_set(value, "text", jv_text_new_n((const char *)text->data, text->size));
        char *line = jv_print(value, JV_COMPACT);
        puts(line);
        mem_free(line);
        jv_free(value);
        return;
    }
    if (text->size)
        fwrite(text->data, 1, text->size, stdout); /* exactly, so that a pipe gets what was tokenized */
    if (isatty(STDOUT_FILENO))
        putchar('\n');
}

int cmd_detokenize(int argc, char **argv)
{
    struct tokenize_options o;
    struct error err;
    struct tokenizer *t;
    struct buffer input, text;
    struct tokenizer_ids ids = {0};
    if (!read_options(&o, "detokenize", "IDS (1,403,407 or a JSON array; - reads stdin)", argc, argv))
        return 2;
    if (open_tokenizer(&t, o.model, &err))
        return local_model_exit_code(o.name, &err);
    buffer_init(&text, 0);
    enum status status = read_input(&input, o.input, &err);
    if (!status)
        status = parse_ids(&ids, buffer_string(&input), &err);
    if (!status)
        status = tokenizer_decode(t, ids.ids, ids.n, 0, &text, &err);
    if (!status)
        print_text(&text, o.as_json);
    tokenizer_ids_free(&ids);
    buffer_free(&input);
    buffer_free(&text);
    tokenizer_free(t);
    return status ? command_failed(o.name, &err) : 0;
}
