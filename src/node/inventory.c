#include "node/inventory.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARD_NAMES_LOOKED_UP 64 /* without a manifest: damaged files are known by these names only */

struct inventory {
    struct disk_file *files; /* ascending names, whole files only */
    size_t n_files;
    struct disk_file *parts;
    size_t n_parts;
    uint64_t free_bytes;
    struct disk_room room;
    const struct manifest *manifest;
    struct inventory_found *found; /* [n] */
    uint32_t n;
};

static const struct inventory_found nothing = {.presence = INVENTORY_MISSING};

struct inventory *inventory_new(void)
{
    return mem_new(sizeof(struct inventory));
}

void inventory_free(struct inventory *inventory)
{
    if (!inventory)
        return;
    mem_free(inventory->files);
    mem_free(inventory->parts);
    mem_free(inventory->found);
    mem_free(inventory);
}

void inventory_name(char out[MANIFEST_FILE_NAME_MAX + 1], const struct manifest *manifest, uint32_t id)
{
    const struct manifest_shard *shard = manifest ? manifest_shard_at(manifest, id) : NULL;
    if (shard)
        memcpy(out, shard->file, MANIFEST_FILE_NAME_MAX + 1);
    else
        snprintf(out, MANIFEST_FILE_NAME_MAX + 1, "shard-%" PRIu32 ".gguf", id);
}

static int compare_name(const void *name, const void *file)
{
    return strcmp(name, ((const struct disk_file *)file)->name);
}

static struct disk_file *find_name(struct disk_file *files, size_t n, const char *name)
{
    return n ? bsearch(name, files, n, sizeof *files, compare_name) : NULL;
}

/* --- judging one file for one shard ------------------------------------------------------------------ */

static void set_fault(struct inventory_found *out, enum shard_fault fault)
{
    out->presence = fault == SHARD_FAULT_UNREADABLE ? INVENTORY_UNREADABLE : INVENTORY_INVALID;
    out->fault = fault;
}

/* The header against the manifest. */
static void judge_header(struct inventory_found *out, const struct disk_file *file,
                         const struct manifest *manifest, const struct manifest_shard *want)
{
    const struct shard_file *seen = &file->seen;
    char ours[2 * SHA256_BYTES + 1], theirs[2 * SHA256_BYTES + 1];
    if (!sha256_equal(&seen->fingerprint, &manifest->fingerprint)) {
        set_fault(out, SHARD_FAULT_MODEL);
        sha256_hex(ours, &manifest->fingerprint);
        sha256_hex(theirs, &seen->fingerprint);
        snprintf(out->note, sizeof out->note,
                 "'%s' is a shard of another model or cut: its fingerprint is %.12s, '%s' has %.12s",
                 file->name, theirs, manifest->name, ours);
    } else if (seen->id != want->id) {
        set_fault(out, SHARD_FAULT_SPAN);
        snprintf(out->note, sizeof out->note, "'%s' holds shard %" PRIu32 " of this model, not shard %" PRIu32,
                 file->name, seen->id, want->id);
    } else if (seen->count != manifest->n_shards || seen->span.first_layer != want->span.first_layer ||
               seen->span.end_layer != want->span.end_layer) {
        set_fault(out, SHARD_FAULT_SPAN);
        snprintf(out->note, sizeof out->note,
                 "'%s' holds layers [%" PRIu32 ", %" PRIu32 ") as shard %" PRIu32 " of %" PRIu32
                 "; the manifest says [%" PRIu32 ", %" PRIu32 ") of %" PRIu32,
                 file->name, seen->span.first_layer, seen->span.end_layer, seen->id, seen->count,
                 want->span.first_layer, want->span.end_layer, manifest->n_shards);
    } else if (file->bytes != want->bytes) {
        set_fault(out, SHARD_FAULT_SIZE);
        snprintf(out->note, sizeof out->note, "'%s' has %" PRIu64 " bytes, the manifest says %" PRIu64,
                 file->name, file->bytes, want->bytes);
    }
}

static void judge(struct inventory_found *out, const struct disk_file *file, const struct manifest *manifest,
                  uint32_t id)
{
    const struct manifest_shard *want = manifest ? manifest_shard_at(manifest, id) : NULL;
    *out = (struct inventory_found){.presence = INVENTORY_UNCHECKED, .file = file};
    if (!file->is_settled) {
        out->presence = INVENTORY_UNSETTLED;
    } else if (file->seen.fault) {
        set_fault(out, file->seen.fault);
        if (file->seen.why[0] == '\'') /* it names the file itself */
            snprintf(out->note, sizeof out->note, "%s", file->seen.why);
        else
            snprintf(out->note, sizeof out->note, "'%s': %s", file->name, file->seen.why);
        if (want && file->seen.fault == SHARD_FAULT_DAMAGED && file->bytes < want->bytes)
            snprintf(out->note, sizeof out->note,
                     "'%s' is cut short: it has %" PRIu64 " bytes, the manifest says %" PRIu64, file->name,
                     file->bytes, want->bytes);
    } else if (want) {
        judge_header(out, file, manifest, want);
        if (out->presence == INVENTORY_UNCHECKED && file->hash_known) {
            char expected[2 * SHA256_BYTES + 1], found[2 * SHA256_BYTES + 1];
            sha256_hex(expected, &want->sha256);
            sha256_hex(found, &file->sha256);
            if (sha256_equal(&want->sha256, &file->sha256)) {
                out->presence = INVENTORY_VERIFIED;
            } else {
                set_fault(out, SHARD_FAULT_HASH);
                snprintf(
                    out->note, sizeof out->note,
                    "'%s' has the right size but other content: SHA-256 %.16s..., the manifest says %.16s...",
                    file->name, found, expected);
            }
        }
    } else if (file->seen.id != id) {
        set_fault(out, SHARD_FAULT_SPAN);
        snprintf(out->note, sizeof out->note, "'%s' holds shard %" PRIu32 ", not shard %" PRIu32, file->name,
                 file->seen.id, id);
    }
}

/* --- all files for all shards ------------------------------------------------------------------------ */

static uint32_t count_ids(const struct inventory *inventory)
{
    if (inventory->manifest)
        return inventory->manifest->n_shards;
    uint32_t n = 0;
    for (size_t i = 0; i < inventory->n_files; i++) {
        const struct shard_file *seen = &inventory->files[i].seen;
        if (seen->is_shard && seen->id < MANIFEST_SHARDS_MAX && seen->id >= n)
            n = seen->id + 1;
    }
    for (uint32_t id = n; id < SHARD_NAMES_LOOKED_UP; id++) {
        char name[MANIFEST_FILE_NAME_MAX + 1];
        inventory_name(name, NULL, id);
        if (find_name(inventory->files, inventory->n_files, name))
            n = id + 1;
    }
    return n;
}

/* A file with a name of its own counts for the shard that its header claims, if it is of this model. */
static void consider_claim(struct inventory *inventory, const struct disk_file *file)
{
    const struct manifest *manifest = inventory->manifest;
    if (!file->seen.is_shard || file->seen.id >= inventory->n ||
        (manifest && !sha256_equal(&file->seen.fingerprint, &manifest->fingerprint)))
        return;
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, manifest, file->seen.id);
    struct inventory_found judged, *best = &inventory->found[file->seen.id];
    if (strcmp(name, file->name) == 0)
        return; /* judged by its name already */
    judge(&judged, file, manifest, file->seen.id);
    judged.other_name = true;
    if (judged.presence > best->presence)
        *best = judged;
}

static void recompute(struct inventory *inventory)
{
    uint32_t n = count_ids(inventory);
    mem_free(inventory->found);
    inventory->found = mem_array(n, sizeof *inventory->found);
    inventory->n = n;
    for (uint32_t id = 0; id < n; id++) {
        char name[MANIFEST_FILE_NAME_MAX + 1];
        inventory_name(name, inventory->manifest, id);
        const struct disk_file *file = find_name(inventory->files, inventory->n_files, name);
        if (file)
            judge(&inventory->found[id], file, inventory->manifest, id);
    }
    for (size_t i = 0; i < inventory->n_files; i++)
        consider_claim(inventory, &inventory->files[i]);
}

static bool is_same(const struct disk_file *a, const struct disk_file *b)
{
    return a->stamp == b->stamp && a->bytes == b->bytes && a->is_settled == b->is_settled &&
           a->sys_errno == b->sys_errno && strcmp(a->name, b->name) == 0;
}

bool inventory_set_listing(struct inventory *inventory, const struct disk_listing *listing)
{
    struct disk_file *files = mem_array(listing->n_files, sizeof *files);
    struct disk_file *parts = mem_array(listing->n_files, sizeof *parts);
    size_t n_files = 0, n_parts = 0;
    for (size_t i = 0; i < listing->n_files; i++)
        if (listing->files[i].is_part)
            parts[n_parts++] = listing->files[i];
        else
            files[n_files++] = listing->files[i];

    bool differs = n_files != inventory->n_files;
    for (size_t i = 0; i < n_files; i++) {
        const struct disk_file *old = find_name(inventory->files, inventory->n_files, files[i].name);
        if (!old || !is_same(old, &files[i])) {
            differs = true;
        } else if (old->hash_known && !files[i].hash_known) {
            files[i].hash_known = true;
            files[i].sha256 = old->sha256;
        } else {
            differs |= files[i].hash_known && !old->hash_known;
        }
    }
    mem_free(inventory->files);
    mem_free(inventory->parts);
    inventory->files = files;
    inventory->n_files = n_files;
    inventory->parts = parts;
    inventory->n_parts = n_parts;
    inventory->free_bytes = listing->free_bytes;
    inventory->room = listing->room;
    recompute(inventory); /* also when nothing differs: what was found points into the list */
    return differs;
}

void inventory_set_manifest(struct inventory *inventory, const struct manifest *manifest)
{
    inventory->manifest = manifest;
    recompute(inventory);
}

bool inventory_set_hash(struct inventory *inventory, const char *name, uint64_t stamp,
                        const struct sha256 *hash)
{
    struct disk_file *file = find_name(inventory->files, inventory->n_files, name);
    if (!file || file->stamp != stamp)
        return false;
    file->hash_known = true;
    file->sha256 = *hash;
    recompute(inventory);
    return true;
}

uint32_t inventory_n(const struct inventory *inventory)
{
    return inventory->n;
}

const struct inventory_found *inventory_find(const struct inventory *inventory, uint32_t id)
{
    return id < inventory->n ? &inventory->found[id] : &nothing;
}

uint64_t inventory_free_bytes(const struct inventory *inventory)
{
    return inventory->free_bytes;
}

const struct disk_room *inventory_room(const struct inventory *inventory)
{
    return &inventory->room;
}

uint64_t inventory_part_bytes(const struct inventory *inventory, const char *name)
{
    const struct disk_file *part = find_name(inventory->parts, inventory->n_parts, name);
    return part ? part->bytes : 0;
}
