/* verify - is this file the shard that the manifest means? Cheaply by its header, surely by its hash.
 *
 * Identity is content: a file counts by its hash, whatever it is called. Thread: any; verify_hash_file reads
 * the whole file, with progress and cancel. */
#ifndef MODEL_VERIFY_H
#define MODEL_VERIFY_H

#include "model/manifest.h"
#include "model/progress.h"

enum shard_fault {
    SHARD_FAULT_NONE,
    SHARD_FAULT_MISSING,
    SHARD_FAULT_UNREADABLE, /* permission, a folder, an I/O error */
    SHARD_FAULT_NOT_GGUF,
    SHARD_FAULT_DAMAGED,  /* begins like GGUF, but header or data are cut or broken */
    SHARD_FAULT_NO_SHARD, /* a GGUF file without shoal.shard.*: a whole model, perhaps */
    SHARD_FAULT_MODEL,    /* another model's shard, or another cut's */
    SHARD_FAULT_SPAN,     /* its layers or count are not the manifest's */
    SHARD_FAULT_SIZE,
    SHARD_FAULT_HASH,
    SHARD_FAULT_COUNT
};
const char *shard_fault_name(enum shard_fault fault); /* "size", "hash", ... for evidence */

/* What a file says of itself and how that compares. */
struct shard_file {
    enum shard_fault fault;
    char why[320];  /* one sentence with expected and found; "" without fault */
    uint64_t bytes; /* of the file */
    bool is_shard;  /* the next five are valid */
    uint32_t id;    /* that the header claims */
    uint32_t count;
    struct span span;
    struct sha256 fingerprint;
    bool hashed; /* sha256 is valid */
    struct sha256 sha256;
};

/* Reads the header only (milliseconds). Without a manifest (NULL) it is compared with nothing. */
void shard_file_examine(struct shard_file *out, const char *path, const struct manifest *manifest);
/* Examines, then hashes and compares with the manifest's shard of the id that the header claims. CANCELLED or
 * IO only; a wrong file is STATUS_OK with out->fault. */
enum status shard_file_check(struct shard_file *out, const char *path, const struct manifest *manifest,
                             const struct model_progress *progress, struct error *err);
/* SHA-256 of a whole file. */
enum status verify_hash_file(struct sha256 *out, uint64_t *out_bytes, const char *path,
                             const struct model_progress *progress, struct error *err);

/* A folder against its manifest: one entry per id, and near misses. */
enum shard_presence { SHARD_FILE_EXISTS, SHARD_FILE_UNCHECKED, SHARD_FILE_MISSING, SHARD_FILE_INVALID };

struct verify_shard {
    uint32_t id;
    enum shard_presence presence;
    char file[256]; /* the name it has (may differ from the manifest's); the expected one when missing */
    char note[320]; /* why INVALID; or "right content under another name" */
    struct shard_file seen; /* of the file at the expected name, or of the one found by content */
};

struct verify_report {
    struct manifest *manifest; /* owned; NULL: none in the folder */
    uint32_t n_shards;
    struct verify_shard *shards;        /* owned */
    char manifest_note[ERROR_TEXT_MAX]; /* why it serves no swarm of this version; "": it does */
    bool tokenizer_ok;
    char tokenizer_note[320];
    char (*near_misses)[400]; /* owned: sentences on files that nearly are shards */
    uint32_t n_near_misses;
};

/* NOT_FOUND or IO: the folder. A manifest that does not parse is an error; none is not. */
enum status verify_folder(struct verify_report *out, const char *dir, const struct model_progress *progress,
                          struct error *err);
void verify_report_free(struct verify_report *report);          /* empties it */
bool verify_report_is_good(const struct verify_report *report); /* all EXISTS, tokenizer and manifest too */

#endif
