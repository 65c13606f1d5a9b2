/* shoal verify - EXISTS, MISSING or INVALID for every shard of a folder, by content. */
#include "app/commands.h"
#include "app/progress.h"
#include "base/jv.h"
#include "base/mem.h"
#include "model/shards.h"
#include "model/verify.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "verify"

static const struct option long_options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static const char *word_of(const struct verify_shard *s)
{
    return s->presence == SHARD_FILE_MISSING   ? "MISSING"
           : s->presence == SHARD_FILE_INVALID ? "INVALID"
                                               : "EXISTS";
}

static void print_shard(const struct verify_report *report, const struct verify_shard *s)
{
    const char *expected = report->manifest ? report->manifest->shards[s->id].file : s->file;
    printf("Shard %" PRIu32 ": %s", s->id, word_of(s));
    if (s->presence == SHARD_FILE_UNCHECKED)
        printf(" (not checked%s%s)", s->note[0] ? "; " : "", s->note);
    else if (s->presence == SHARD_FILE_INVALID)
        printf(" (%s%s%s)", strcmp(s->file, expected) ? s->file : "", strcmp(s->file, expected) ? ": " : "",
               s->note);
    else if (s->note[0])
        printf(" (as %s: %s)", s->file, s->note);
    putchar('\n');
}

static void print_text(const struct verify_report *report, const char *dir)
{
    for (uint32_t i = 0; i < report->n_shards; i++)
        print_shard(report, &report->shards[i]);
    if (!report->manifest)
        printf("Manifest: MISSING (no %s in %s: files are not checked)\n", MANIFEST_FILE, dir);
    else if (report->manifest_note[0])
        printf("Manifest: INVALID (%s)\n", report->manifest_note);
    if (report->manifest && !report->tokenizer_ok)
        printf("Tokenizer: INVALID (%s)\n", report->tokenizer_note);
    for (uint32_t i = 0; i < report->n_near_misses; i++)
        printf("Beside them: %s\n", report->near_misses[i]);
}

static struct jv *shard_json(const struct verify_shard *s)
{
    struct jv *o = jv_object_new();
    jv_set_int(o, "id", s->id);
    jv_set_text(o, "status", word_of(s));
    jv_set_bool(o, "checked", s->presence != SHARD_FILE_UNCHECKED);
    jv_set_text(o, "file", s->file);
    jv_set_int(o, "bytes", (int64_t)s->seen.bytes);
    if (s->seen.hashed)
        jv_set_hex(o, "sha256", s->seen.sha256.bytes, SHA256_BYTES);
    if (s->seen.fault != SHARD_FAULT_NONE)
        jv_set_text(o, "fault", shard_fault_name(s->seen.fault));
    if (s->note[0])
        jv_set_text(o, "why", s->note);
    return o;
}

static void print_json(const struct verify_report *report, const char *dir, bool good)
{
    struct jv *root = jv_object_new(), *shards = jv_array_new(), *near = jv_array_new(),
              *tokenizer = jv_object_new();
    for (uint32_t i = 0; i < report->n_shards; i++)
        jv_append(shards, shard_json(&report->shards[i]));
    for (uint32_t i = 0; i < report->n_near_misses; i++)
        jv_append(near, jv_text_new(report->near_misses[i]));
    jv_set_text(tokenizer, "status", report->tokenizer_ok ? "EXISTS" : "INVALID");
    if (!report->tokenizer_ok)
        jv_set_text(tokenizer, "why", report->manifest ? report->tokenizer_note : "no manifest to check it by");
    jv_set_text(root, "dir", dir);
    jv_set_text(root, "model", report->manifest ? report->manifest->name : NULL);
    jv_set_bool(root, "good", good);
    if (report->manifest_note[0])
        jv_set_text(root, "manifest_error", report->manifest_note);
    jv_set(root, "shards", shards);
    jv_set(root, "tokenizer", tokenizer);
    jv_set(root, "near_misses", near);
    char *text = jv_print(root, JV_COMPACT);
    puts(text);
    mem_free(text);
    jv_free(root);
}

/* Without a manifest nothing can be checked; what is missing or no GGUF at all is a fault even so. */
static bool is_good(const struct verify_report *report)
{
    if (report->manifest)
        return verify_report_is_good(report);
    for (uint32_t i = 0; i < report->n_shards; i++)
        if (report->shards[i].presence != SHARD_FILE_UNCHECKED || report->shards[i].note[0])
            return false;
    return true;
}

static int tell_bad_manifest(const struct error *err, const char *dir, bool as_json)
{
    if (as_json) {
        struct jv *root = jv_object_new();
        jv_set_text(root, "dir", dir);
        jv_set_bool(root, "good", false);
        jv_set_text(root, "manifest_error", err->text);
        char *text = jv_print(root, JV_COMPACT);
        puts(text);
        mem_free(text);
        jv_free(root);
    } else {
        printf("Manifest: INVALID (%s)\n", err->text);
    }
    return 1;
}

int cmd_verify(int argc, char **argv)
{
    struct verify_report report;
    struct progress progress;
    struct error err;
    bool as_json = false;
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (letter != 'j')
            return command_usage_error(NAME, "'%s' is no option", argv[optind - 1]);
        as_json = true;
    }
    if (optind + 1 < argc)
        return command_usage_error(NAME, "give one folder at most");
    const char *dir = optind < argc ? argv[optind] : SHARDS_DIR_DEFAULT;
    progress_begin(&progress, "verifying");
    enum status status = verify_folder(&report, dir, &progress.callbacks, &err);
    progress_end(&progress);
    if (status == STATUS_BAD_DATA || status == STATUS_REFUSED || status == STATUS_UNSUPPORTED ||
        status == STATUS_LIMIT)
        return tell_bad_manifest(&err, dir, as_json);
    if (status)
        return command_failed(NAME, &err);
    bool good = is_good(&report);
    if (as_json)
        print_json(&report, dir, good);
    else
        print_text(&report, dir);
    verify_report_free(&report);
    return good ? 0 : 1;
}
