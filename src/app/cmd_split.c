/* shoal split - cuts a model into shards, computes the truth by which they are proved, and signs the list. */
#include "app/client.h"
#include "app/commands.h"
#include "app/local_model.h"
#include "app/progress.h"
#include "base/jv.h"
#include "base/mem.h"
#include "engine/truth.h"
#include "model/shards.h"
#include "swarm/credentials.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME "split"

struct split_command {
    struct split_options split;
    uint32_t n_threads;
    bool as_json;
};

static const struct option long_options[] = {
    {"shards", required_argument, NULL, 's'},  {"out", required_argument, NULL, 'o'},
    {"name", required_argument, NULL, 'n'},    {"json", no_argument, NULL, 'j'},
    {"threads", required_argument, NULL, 't'}, {NULL, 0, NULL, 0},
};

/* 0, or the exit code after it has said why. */
static int read_options(struct split_command *out, int argc, char **argv)
{
    struct error err;
    *out = (struct split_command){.split = {.out_dir = SHARDS_DIR_DEFAULT, .n_shards = SHARDS_DEFAULT}};
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        enum status status = STATUS_OK;
        if (letter == 's')
            status = option_u32(&out->split.n_shards, "--shards", optarg, 1, MANIFEST_SHARDS_MAX, &err);
        else if (letter == 't')
            status = option_u32(&out->n_threads, "--threads", optarg, 1, 1024, &err);
        else if (letter == 'o')
            out->split.out_dir = optarg;
        else if (letter == 'n')
            out->split.name = optarg;
        else if (letter == 'j')
            out->as_json = true;
        else
            return command_usage_error(NAME, "'%s' is no option, or lacks its value", argv[optind - 1]);
        if (status)
            return command_failed(NAME, &err);
    }
    if (optind + 1 != argc)
        return command_usage_error(NAME, optind == argc ? "give the model's file" : "give one model's file");
    out->split.model = argv[optind];
    return 0;
}

static void print_table(const struct split_command *c, const struct manifest *m)
{
    char hex[2 * SHA256_BYTES + 1], size[32];
    sha256_hex(hex, &m->fingerprint);
    printf("%s: %s, %" PRIu32 " layers, %" PRIu32 " shards in %s\n", m->name, m->architecture, m->n_layers,
           m->n_shards, c->split.out_dir);
    if (c->split.n_shards > m->n_shards)
        printf("The model has %" PRIu32 " layers, so there are %" PRIu32
               " shards, one for each layer, not %" PRIu32 ".\n",
               m->n_layers, m->n_shards, c->split.n_shards);
    printf("fingerprint %s\n\n", hex);
    printf("%5s  %-16s %-11s %10s  %s\n", "shard", "file", "layers", "size", "SHA-256");
    for (uint32_t i = 0; i < m->n_shards; i++) {
        const struct manifest_shard *s = &m->shards[i];
        char layers[32];
        snprintf(layers, sizeof layers, "[%" PRIu32 ", %" PRIu32 ")", s->span.first_layer, s->span.end_layer);
        sha256_hex(hex, &s->sha256);
        client_size(size, (double)s->bytes);
        printf("%5" PRIu32 "  %-16s %-11s %10s  %.16s%s%s\n", s->id, s->file, layers, size, hex,
               s->span.embedding ? "  embedding" : "", s->span.output ? "  output" : "");
    }
    client_size(size, (double)m->tokenizer.bytes);
    sha256_hex(hex, &m->tokenizer.sha256);
    printf("%5s  %-16s %-11s %10s  %.16s\n", "", m->tokenizer.file, "", size, hex);
    printf("%5s  %-16s\n", "", MANIFEST_FILE);
}

static void print_json(const struct split_command *c, const struct manifest *m)
{
    struct jv *root = NULL;
    /* The manifest itself without the long lists, and where it lies. */
    enum status status =
        jv_parse(&root, manifest_text(m), &(struct jv_limits){MANIFEST_BYTES_MAX, 0, 1000000}, NULL);
    ASSERT(!status);
    for (size_t i = 0; i < m->n_shards; i++)
        jv_remove(jv_at(jv_get(root, "shards"), i), "pieces");
    jv_set_text(root, "dir", c->split.out_dir);
    jv_set_int(root, "shards_asked_for", c->split.n_shards);
    char *text = jv_print(root, JV_COMPACT);
    puts(text);
    mem_free(text);
    jv_free(root);
}

/* What the engine makes of the shards, so that any node can prove its own. */
static enum status prove(const struct split_command *c, struct manifest *m, struct error *err)
{
    struct shard_truth truth = {0};
    struct progress progress;
    progress_begin(&progress, "computing the probe");
    enum status status =
        truth_compute(&truth, m, c->split.out_dir, NULL, c->n_threads, &progress.callbacks, err);
    progress_end(&progress);
    if (status)
        return error_wrap(err, status, "computing the probe of the new shards");
    manifest_set_truth(m, &truth);
    shard_truth_free(&truth);
    return STATUS_OK;
}

static enum status sign_and_save(const struct split_command *c, struct manifest *m,
                                 const struct key_pair *owner, struct error *err)
{
    enum status status = manifest_sign(m, owner, err);
    char *path = shards_path(c->split.out_dir, MANIFEST_FILE);
    if (!status)
        status = manifest_save(m, path, err);
    mem_free(path);
    return status;
}

/* A model that is not there is a bad input file; a folder that cannot be made is not. */
static int failed(const struct error *err)
{
    int code = command_failed(NAME, err);
    return err->status == STATUS_NOT_FOUND ? status_exit_code(STATUS_BAD_DATA) : code;
}

int cmd_split(int argc, char **argv)
{
    struct split_command c;
    struct key_pair owner;
    struct manifest *m = NULL;
    struct error err;
    struct progress progress;
    int code = read_options(&c, argc, argv);
    if (code)
        return code;
    enum status status = owner_pair_load_or_make(&owner, &err); /* before the long work */
    if (!status) {
        progress_begin(&progress, "splitting");
        c.split.progress = &progress.callbacks;
        status = shards_split(&m, &c.split, &err);
        progress_end(&progress);
    }
    if (!status)
        status = prove(&c, m, &err);
    if (!status)
        status = sign_and_save(&c, m, &owner, &err);
    crypto_wipe(&owner, sizeof owner);
    if (status)
        code = failed(&err);
    else if (c.as_json)
        print_json(&c, m);
    else
        print_table(&c, m);
    manifest_free(m);
    return code;
}
