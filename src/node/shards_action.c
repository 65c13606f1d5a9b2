/* What to do about a shard that is not loaded: one command that mends it when it is pasted on the node's
 * machine (node/shards). Who pastes it may be anywhere on that machine, so paths are told from the root on. */
#include "base/mem.h"
#include "base/shell.h"
#include "node/shards_private.h"

#include <inttypes.h>
#include <stdio.h>

#define MB(bytes) ((double)(bytes) / 1e6)
#define GB(bytes) ((double)(bytes) / 1e9)

/* What else helps, where the file is not on this machine. */
static void other_way(char *out, size_t n, const struct shard *s)
{
    const struct shards *shards = s->owner;
    if (s->n_sources && !shards->fetch_allowed)
        snprintf(out, n, "%" PRIu32 " nodes have it: started without --no-fetch this one fetches it",
                 s->n_sources);
    else
        snprintf(out, n, "not on this machine? copy it from where the model was split");
}

/* Takes the file from wherever it lies on this machine: by name and size, and not the one that is no good. */
static void set_copy(struct finding *f, const struct shard *s)
{
    const struct shards *shards = s->owner;
    const struct manifest_shard *want = shard_wanted(s);
    char name[MANIFEST_FILE_NAME_MAX + 1], size[48] = "", hint[120];
    inventory_name(name, shards->manifest, s->id);
    bool is_there = inventory_find(shards->inventory, s->id)->file != NULL;
    char *word = shell_word(name), *path = shell_path(shards->place, name);
    char *but = is_there ? mem_format(" ! -samefile %s", path) : mem_string("");
    if (want)
        snprintf(size, sizeof size, " -size %" PRIu64 "c", want->bytes);
    other_way(hint, sizeof hint, s);
    finding_set_action(f, "cp \"$(find / -name %s%s%s 2>/dev/null | head -n 1)\" %s # %s", word, size, but,
                       path, hint);
    mem_free(word);
    mem_free(path);
    mem_free(but);
}

/* Another node for the shard on a disk that has room; without one, what takes the room. */
static void set_room(struct finding *f, const struct shard *s)
{
    const struct shards *shards = s->owner;
    const struct disk_room *room = inventory_room(shards->inventory);
    uint64_t needed = shard_disk_needed(s), free_bytes = inventory_free_bytes(shards->inventory);
    uint64_t lacking = needed > free_bytes ? needed - free_bytes : needed;
    char *dir = shell_word(shards->place), *other = shell_path(room->dir, "shoal-shards");
    if (room->bytes > needed)
        finding_set_action(f,
                           "shoal node --shard-id %" PRIu32
                           " --shards-dir %s # %.1f GB are free there; or free %.1f MB "
                           "in %s, and it goes on by itself",
                           s->id, other, GB(room->bytes), MB(lacking), dir);
    else
        finding_set_action(
            f,
            "du -ah %s | sort -rh | head -n 20 # remove %.1f MB of what is not needed on this disk: it "
            "goes on by itself",
            dir, MB(lacking));
    mem_free(dir);
    mem_free(other);
}

/* Of the file where one was refused, else of the folder. Of another user: `chmod` says so itself. */
static void set_permission(struct finding *f, const struct shards *shards, const char *file)
{
    char *path = shell_path(shards->place, file);
    finding_set_action(f, "chmod u+%s %s", file ? "r" : "rwx", path);
    mem_free(path);
}

void shards_set_folder_action(struct finding *f, const struct shards *shards)
{
    char *dir = shell_word(shards->place);
    if (f->code == FINDING_PERMISSION_DENIED)
        set_permission(f, shards, NULL);
    else
        finding_set_action(f, "ls -ld %s", dir);
    mem_free(dir);
}

static void set_path_action(struct finding *f, const struct shard *s, const char *form)
{
    const struct disk_file *file = inventory_find(s->owner->inventory, s->id)->file;
    char name[MANIFEST_FILE_NAME_MAX + 1];
    inventory_name(name, s->owner->manifest, s->id);
    char *path = shell_path(s->owner->place, file ? file->name : name);
    char *action = mem_format("%s %s", form, path);
    finding_set_action(f, "%s", action);
    mem_free(action);
    mem_free(path);
}

/* Somebody else may compute it: here by the slow and exact kernels, elsewhere by whatever is there. */
static void set_reference(struct finding *f, const struct shard *s)
{
    char *dir = shell_word(s->owner->place);
    finding_set_action(f,
                       "SHOAL_CPU=ref shoal node --shard-id %" PRIu32
                       " --shards-dir %s # slower, by no special "
                       "instructions; or on another machine",
                       s->id, dir);
    mem_free(dir);
}

void shard_set_action(struct finding *f, const struct shard *s)
{
    const struct shards *shards = s->owner;
    const struct inventory_found *found = inventory_find(shards->inventory, s->id);
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &shards->self);
    switch (f->code) {
    case FINDING_SHARD_FILE_MISSING:
        if (found->presence == INVENTORY_UNSETTLED)
            finding_set_action(f, "shoal files # somebody writes the file: wait until it is whole");
        else
            set_copy(f, s);
        break;
    case FINDING_SHARD_FILE_INVALID:
    case FINDING_NO_SOURCE:
    case FINDING_DOWNLOAD_STALLED:
    case FINDING_SOURCE_CORRUPT:
        set_copy(f, s);
        break;
    case FINDING_DISK_FULL:
        set_room(f, s);
        break;
    case FINDING_PERMISSION_DENIED:
        set_permission(f, shards,
                       found->presence == INVENTORY_UNREADABLE && !shards->scan_failure.code ? found->file->name
                                                                                             : NULL);
        break;
    case FINDING_SHARD_COUNT_MISMATCH:
        finding_set_action(f, "shoal unload %" PRIu32 " --node %s", s->id, id);
        break;
    case FINDING_SELF_TEST_FAILED:
        set_reference(f, s);
        break;
    case FINDING_LOAD_FAILED:
    case FINDING_UNSUPPORTED_MODEL:
        set_path_action(f, s, "shoal inspect");
        break;
    case FINDING_NOT_ENOUGH_MEMORY:
        finding_set_action(f, "shoal node --shard-id %" PRIu32 " # on a machine with %.1f MB to spare", s->id,
                           MB(s->need));
        break;
    default:
        finding_set_action(f, "shoal status");
    }
}
