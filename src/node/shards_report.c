/* What others are told of this node's shards: the record's entries, and the list of files (node/shards). */
#include "base/mem.h"
#include "node/shards_private.h"

#include <stdio.h>
#include <string.h>

bool shards_is_loaded(const struct shards *shards, uint32_t id)
{
    const struct shard *s = shards_at(shards, id);
    return s && s->is_loaded && sha256_equal(&s->sha256, &s->loaded_sha);
}

bool shards_is_assigned(const struct shards *shards, uint32_t id)
{
    const struct shard *s = shards_at(shards, id);
    return s && s->assigned != ASSIGNED_NOT;
}

const struct shard_file *shards_any_header(const struct shards *shards)
{
    for (uint32_t id = 0; id < inventory_n(shards->inventory); id++) {
        const struct disk_file *file = inventory_find(shards->inventory, id)->file;
        if (file && file->seen.is_shard)
            return &file->seen;
    }
    return NULL;
}

uint64_t shards_disk_free(const struct shards *shards)
{
    return inventory_free_bytes(shards->inventory);
}

const char *shards_file_path(const struct shards *shards, uint32_t id)
{
    const struct shard *s = shards_at(shards, id);
    bool is_good = s && inventory_find(shards->inventory, id)->presence == INVENTORY_VERIFIED;
    return is_good && s->is_loaded ? s->path : NULL;
}

bool shards_settled(const struct shards *shards)
{
    if (!shards->scanned)
        return false;
    for (uint32_t id = 0; id < shards->n; id++) {
        const struct shard *s = shards->items[id];
        bool can_load = shards->manifest && shard_wanted(s) && s->assigned && !s->is_loaded;
        enum inventory_presence presence = inventory_find(shards->inventory, id)->presence;
        if (can_load && s->state != SHARD_FAILED &&
            (presence == INVENTORY_UNCHECKED || presence == INVENTORY_VERIFIED))
            return false;
    }
    return true;
}

static bool is_seeded(const struct shard *s)
{
    return inventory_find(s->owner->inventory, s->id)->presence == INVENTORY_VERIFIED &&
           (!s->owner->agent || s->torrent == TORRENT_SEED);
}

static enum finding_code failure_of(const struct shard *s)
{
    char text[640];
    return s->state != SHARD_FAILED ? FINDING_NONE : shard_cause(s, text, sizeof text);
}

static void describe(struct record_shard *out, const struct shard *s)
{
    bool loaded = shards_is_loaded(s->owner, s->id);
    *out = (struct record_shard){.id = s->id,
                                 .state = s->state == SHARD_LOADED && !loaded ? SHARD_UNLOADING : s->state,
                                 .assigned = s->assigned,
                                 .verified = is_seeded(s),
                                 .bytes_done = s->bytes_done,
                                 .bytes_total = s->bytes_total,
                                 .rate = s->rate,
                                 .n_sources = s->state == SHARD_FETCHING ? s->n_peers : s->n_sources,
                                 .eta_s = -1,
                                 .since_ms = s->since_ms,
                                 .failure = failure_of(s)};
    if (s->rate && s->bytes_done < s->bytes_total) {
        uint64_t eta = (s->bytes_total - s->bytes_done + s->rate - 1) / s->rate;
        out->eta_s = eta > INT32_MAX ? INT32_MAX : (int32_t)eta;
    }
}

bool shards_state(const struct shards *shards, uint32_t id, struct record_shard *out)
{
    const struct shard *s = shards_at(shards, id);
    if (!s || (s->state == SHARD_ABSENT && s->assigned == ASSIGNED_NOT))
        return false;
    describe(out, s);
    return true;
}

void shards_report(const struct shards *shards, struct node_record *out)
{
    mem_free(out->shards);
    out->shards = mem_array(shards->n, sizeof *out->shards);
    out->n_shards = 0;
    for (uint32_t id = 0; id < shards->n; id++)
        if (shards_state(shards, id, &out->shards[out->n_shards]))
            out->n_shards++;
}

/* --- the list of files -------------------------------------------------------------------------------- */

static const char *hash_state(const struct shards *shards, uint32_t id, const struct inventory_found *found)
{
    if (shards->hashing && shards->hashing->id == id)
        return "checking";
    if (found->presence == INVENTORY_VERIFIED)
        return "verified";
    return found->fault == SHARD_FAULT_HASH ? "wrong" : "not checked";
}

static struct jv *describe_file(const struct shards *shards, uint32_t id)
{
    const struct inventory_found *found = inventory_find(shards->inventory, id);
    const struct manifest_shard *want = shards->manifest ? manifest_shard_at(shards->manifest, id) : NULL;
    bool exists = found->presence == INVENTORY_VERIFIED || found->presence == INVENTORY_UNCHECKED;
    bool missing = found->presence == INVENTORY_MISSING || found->presence == INVENTORY_UNSETTLED;
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, shards->manifest, id);
    const char *file = found->file ? found->file->name : name;

    struct jv *out = jv_object_new();
    jv_set_int(out, "id", id);
    jv_set_text(out, "state", exists ? "EXISTS" : missing ? "MISSING" : "INVALID");
    jv_set_int(out, "bytes", found->file ? (int64_t)found->file->bytes : 0);
    if (want)
        jv_set_int(out, "expected_bytes", (int64_t)want->bytes);
    if (found->file)
        jv_set_text(out, "hash", hash_state(shards, id, found));
    jv_set_text(out, "file", file);
    char *path = mem_format("%s/%s", shards->dir, file);
    jv_set_text(out, "path", path);
    mem_free(path);
    char note[800];
    snprintf(note, sizeof note, "%s", found->note);
    if (found->presence == INVENTORY_UNSETTLED)
        snprintf(note, sizeof note, "'%s' is being written", file);
    else if (exists && found->other_name)
        snprintf(note, sizeof note, "under another name than '%s'", name);
    if (*note)
        jv_set_text(out, "note", note);
    return out;
}

struct jv *shards_files(const struct shards *shards)
{
    uint32_t n = shards->manifest ? shards->manifest->n_shards : shards->n_expected;
    if (!n)
        n = SHARDS_EXPECTED_WITHOUT_MANIFEST;
    if (!shards->manifest && inventory_n(shards->inventory) > n)
        n = inventory_n(shards->inventory);
    struct jv *list = jv_array_new();
    for (uint32_t id = 0; id < n; id++)
        jv_append(list, describe_file(shards, id));
    return list;
}
