/* A folder against its manifest. Files count by content; names only help to say what is wrong. */
#include "model/verify.h"

#include "base/mem.h"
#include "kernels/kernels.h"
#include "model/folder.h"
#include "model/shards.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHARDS_WITHOUT_MANIFEST 8
#define NEAR_MISSES_MAX         256

struct candidate {
    const char *name; /* in the list */
    struct shard_file seen;
    bool used; /* it is a shard that exists, or was spoken of */
};

struct walk {
    struct verify_report *report;
    const char *dir;
    struct folder_list list;
    struct candidate *candidates;
    size_t n_candidates;
    uint64_t bytes_done, bytes_total;
    const struct model_progress *progress;
    struct error *err;
};

static void near_miss(struct walk *w, const char *file, const char *text)
{
    struct verify_report *r = w->report;
    if (r->n_near_misses == NEAR_MISSES_MAX)
        return;
    if (!r->near_misses)
        r->near_misses = mem_array(NEAR_MISSES_MAX, sizeof *r->near_misses);
    snprintf(r->near_misses[r->n_near_misses++], sizeof *r->near_misses, "'%.60s': %.320s", file, text);
}

static void report_file(void *arg, uint64_t done, uint64_t total)
{
    struct walk *w = arg;
    (void)total;
    model_progress_report(w->progress, w->bytes_done + done, w->bytes_total);
}

/* Reads the whole file; with what earlier files took the progress counts on. */
static enum status check_candidate(struct walk *w, struct candidate *c)
{
    const struct model_progress progress = {
        .report = report_file, .arg = w, .cancel = w->progress ? w->progress->cancel : NULL};
    char *path = shards_path(w->dir, c->name);
    enum status status = shard_file_check(&c->seen, path, w->report->manifest, &progress, w->err);
    w->bytes_done += c->seen.bytes;
    mem_free(path);
    return status;
}

static struct candidate *find_name(struct walk *w, const char *name)
{
    for (size_t i = 0; i < w->n_candidates; i++)
        if (strcmp(w->candidates[i].name, name) == 0)
            return &w->candidates[i];
    return NULL;
}

/* A file that claims to be shard `id` and whose header agrees with the manifest; the expected name first. */
static struct candidate *next_claimant(struct walk *w, uint32_t id, const char *expected)
{
    struct candidate *found = NULL;
    for (size_t i = 0; i < w->n_candidates; i++) {
        struct candidate *c = &w->candidates[i];
        if (c->seen.fault != SHARD_FAULT_NONE || c->seen.hashed || c->seen.id != id)
            continue;
        if (strcmp(c->name, expected) == 0)
            return c;
        if (!found)
            found = c;
    }
    return found;
}

static void set_exists(struct verify_shard *out, struct candidate *c, const char *expected)
{
    out->presence = SHARD_FILE_EXISTS;
    out->seen = c->seen;
    c->used = true;
    snprintf(out->file, sizeof out->file, "%s", c->name);
    if (strcmp(c->name, expected) != 0)
        snprintf(out->note, sizeof out->note, "the right content under another name than %.80s", expected);
}

/* No file has this shard's content: what comes nearest says why. */
static void set_absent(struct walk *w, struct verify_shard *out, const char *expected)
{
    struct candidate *named = find_name(w, expected), *wrong = NULL;
    snprintf(out->file, sizeof out->file, "%s", expected);
    for (size_t i = 0; i < w->n_candidates && !wrong; i++)
        if (w->candidates[i].seen.fault == SHARD_FAULT_HASH && w->candidates[i].seen.id == out->id)
            wrong = &w->candidates[i];
    if (wrong && (!named || wrong == named || named->seen.fault == SHARD_FAULT_NONE))
        named = wrong;
    if (!named) {
        out->presence = SHARD_FILE_MISSING;
        return;
    }
    out->presence = SHARD_FILE_INVALID;
    out->seen = named->seen;
    named->used = true;
    snprintf(out->file, sizeof out->file, "%s", named->name);
    if (named->seen.fault == SHARD_FAULT_NONE)
        snprintf(out->note, sizeof out->note, "it holds shard %" PRIu32, named->seen.id);
    else if (named->seen.fault == SHARD_FAULT_NO_SHARD || named->seen.fault == SHARD_FAULT_MODEL)
        snprintf(out->note, sizeof out->note, "%.220s; expected %" PRIu64 " bytes of this model",
                 named->seen.why, w->report->manifest->shards[out->id].bytes);
    else
        snprintf(out->note, sizeof out->note, "%s", named->seen.why);
}

static enum status judge_shard(struct walk *w, uint32_t id)
{
    struct verify_shard *out = &w->report->shards[id];
    const char *expected = w->report->manifest->shards[id].file;
    struct candidate *c;
    out->id = id;
    while ((c = next_claimant(w, id, expected)) != NULL) {
        enum status status = check_candidate(w, c);
        if (status)
            return status;
        if (c->seen.fault == SHARD_FAULT_NONE) {
            set_exists(out, c, expected);
            return STATUS_OK;
        }
    }
    set_absent(w, out, expected);
    return STATUS_OK;
}

/* The tokenizer counts by content, too. */
static enum status judge_tokenizer(struct walk *w)
{
    struct verify_report *r = w->report;
    bool there = false;
    for (size_t i = 0; i < w->n_candidates && !r->tokenizer_ok; i++) {
        struct candidate *c = &w->candidates[i];
        struct sha256 hash;
        bool named = strcmp(c->name, r->manifest->tokenizer.file) == 0;
        there |= named;
        c->used |= named;
        if (c->seen.bytes != r->manifest->tokenizer.bytes || c->seen.is_shard)
            continue;
        char *path = shards_path(w->dir, c->name);
        enum status status = verify_hash_file(&hash, NULL, path, NULL, w->err);
        mem_free(path);
        if (status)
            return status;
        r->tokenizer_ok = sha256_equal(&hash, &r->manifest->tokenizer.sha256);
        c->used |= r->tokenizer_ok;
    }
    if (!r->tokenizer_ok)
        snprintf(r->tokenizer_note, sizeof r->tokenizer_note, "%s %s", r->manifest->tokenizer.file,
                 there ? "is not the manifest's: another size or SHA-256" : "is missing");
    return STATUS_OK;
}

static void tell_near_misses(struct walk *w)
{
    for (size_t i = 0; i < w->n_candidates; i++) {
        const struct candidate *c = &w->candidates[i];
        char text[160];
        if (c->used)
            continue;
        if (c->seen.fault != SHARD_FAULT_NONE) {
            near_miss(w, c->name, c->seen.why);
            continue;
        }
        snprintf(text, sizeof text, "another copy of shard %" PRIu32, c->seen.id);
        near_miss(w, c->name, text);
    }
}

static enum status walk_manifest(struct walk *w)
{
    struct verify_report *r = w->report;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < w->list.n; i++) {
        bool named = strcmp(w->list.names[i], r->manifest->tokenizer.file) == 0;
        for (uint32_t id = 0; id < r->n_shards && !named; id++)
            named = strcmp(w->list.names[i], r->manifest->shards[id].file) == 0;
        if (!named && !folder_name_ends(w->list.names[i], ".gguf"))
            continue;
        struct candidate *c = &w->candidates[w->n_candidates++];
        char *path = shards_path(w->dir, w->list.names[i]);
        c->name = w->list.names[i];
        shard_file_examine(&c->seen, path, r->manifest);
        mem_free(path);
        if (c->seen.fault == SHARD_FAULT_NONE)
            w->bytes_total += c->seen.bytes;
    }
    for (uint32_t id = 0; !status && id < r->n_shards; id++)
        status = judge_shard(w, id);
    if (!status)
        status = judge_tokenizer(w);
    if (!status)
        tell_near_misses(w);
    return status;
}

static void walk_names(struct walk *w)
{
    struct verify_report *r = w->report;
    for (uint32_t id = 0; id < r->n_shards; id++) {
        struct verify_shard *out = &r->shards[id];
        out->id = id;
        snprintf(out->file, sizeof out->file, "shard-%" PRIu32 ".gguf", id);
        char *path = shards_path(w->dir, out->file);
        shard_file_examine(&out->seen, path, NULL);
        out->presence = out->seen.fault == SHARD_FAULT_MISSING ? SHARD_FILE_MISSING : SHARD_FILE_UNCHECKED;
        if (out->seen.fault != SHARD_FAULT_NONE && out->presence == SHARD_FILE_UNCHECKED)
            snprintf(out->note, sizeof out->note, "%s", out->seen.why);
        mem_free(path);
    }
}

enum status verify_folder(struct verify_report *out, const char *dir, const struct model_progress *progress,
                          struct error *err)
{
    struct verify_report report = {.n_shards = SHARDS_WITHOUT_MANIFEST};
    struct walk w = {.report = &report, .dir = dir, .progress = progress, .err = err};
    enum status status = folder_list_read(&w.list, dir, err);
    if (status)
        return status;
    char *path = shards_path(dir, MANIFEST_FILE);
    status = manifest_load(&report.manifest, path, err);
    mem_free(path);
    if (status == STATUS_NOT_FOUND)
        status = STATUS_OK;
    if (report.manifest) {
        struct error note;
        report.n_shards = report.manifest->n_shards;
        if (manifest_check_arithmetic(report.manifest, ARITHMETIC_VERSION, &note))
            snprintf(report.manifest_note, sizeof report.manifest_note, "%s", note.text);
    }
    report.shards = mem_array(report.n_shards, sizeof *report.shards);
    w.candidates = mem_array(w.list.n, sizeof *w.candidates);
    if (!status && report.manifest)
        status = walk_manifest(&w);
    else if (!status)
        walk_names(&w);
    mem_free(w.candidates);
    folder_list_free(&w.list);
    if (status) {
        verify_report_free(&report);
        return status;
    }
    *out = report;
    return STATUS_OK;
}

void verify_report_free(struct verify_report *report)
{
    manifest_free(report->manifest);
    mem_free(report->shards);
    mem_free(report->near_misses);
    *report = (struct verify_report){0};
}

bool verify_report_is_good(const struct verify_report *report)
{
    if (!report->manifest || report->manifest_note[0] || !report->tokenizer_ok)
        return false;
    for (uint32_t i = 0; i < report->n_shards; i++)
        if (report->shards[i].presence != SHARD_FILE_EXISTS)
            return false;
    return true;
}
