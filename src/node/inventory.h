/* inventory - which file of the shards folder is which shard: bookkeeping over a listing, a manifest and
 * hashes, without a clock, a disk or a wish.
 *
 * A file is judged for the shard that its header claims, and for the shard whose name it bears. Right content
 * under a wrong name counts; a wrong file under a right name, or a damaged one of this model, is INVALID and
 * the note says what was expected and found. Another model's file under a name of its own is nobody's business.
 * Owner: shards. Thread: loop. */
#ifndef NODE_INVENTORY_H
#define NODE_INVENTORY_H

#include "model/manifest.h"
#include "node/disk.h"

enum inventory_presence { /* of several files the highest counts */
                          INVENTORY_MISSING,
                          INVENTORY_INVALID,
                          INVENTORY_UNREADABLE,
                          INVENTORY_UNSETTLED, /* it is being written */
                          INVENTORY_UNCHECKED, /* by its header it may be the shard; its hash is not known, or
                                                  there is no manifest */
                          INVENTORY_VERIFIED
};

struct inventory_found {
    enum inventory_presence presence;
    const struct disk_file *file; /* NULL: MISSING. Lent until the next inventory_set_* */
    bool other_name;              /* it is not called as the manifest says */
    enum shard_fault fault;       /* of INVALID and UNREADABLE */
    char note[640];               /* of INVALID and UNREADABLE: one sentence, with expected and found */
};

struct inventory;

struct inventory *inventory_new(void);
void inventory_free(struct inventory *inventory); /* NULL is fine */
/* Copies the listing. Hashes that were told stay with files of the same name and stamp. True: anything differs
 * from before but free space. */
bool inventory_set_listing(struct inventory *inventory, const struct disk_listing *listing);
void inventory_set_manifest(struct inventory *inventory, const struct manifest *manifest); /* borrowed; NULL */
/* Of the file of this name, unless it has another stamp by now (false). */
bool inventory_set_hash(struct inventory *inventory, const char *name, uint64_t stamp,
                        const struct sha256 *hash);
/* Ids from here on are MISSING. */
uint32_t inventory_n(const struct inventory *inventory);
const struct inventory_found *inventory_find(const struct inventory *inventory, uint32_t id); /* never NULL */
uint64_t inventory_free_bytes(const struct inventory *inventory);
const struct disk_room *inventory_room(const struct inventory *inventory); /* elsewhere */
/* What NAME.part takes on the disk; 0: there is none. */
uint64_t inventory_part_bytes(const struct inventory *inventory, const char *name);
/* The name that the manifest gives; without one "shard-ID.gguf". */
void inventory_name(char out[MANIFEST_FILE_NAME_MAX + 1], const struct manifest *manifest, uint32_t id);

#endif
