/* manifest - the owner's signed list of a model's shards: names, sizes, hashes, spans, and the truth by which a
 * wrong shard, a wrong node and a wrong answer are provable. Format: manifest.json of the interface.
 *
 * A manifest that was parsed is whole: every field was checked, spans are contiguous from 0 to n_layers, ids
 * are 0..n_shards-1 in order, and the signature is that of `owner`. Whether that owner is the right one is the
 * caller's to ask (manifest_is_of). Plain data, owned by whoever made it. Thread: any, while nobody writes. */
#ifndef MODEL_MANIFEST_H
#define MODEL_MANIFEST_H

#include "base/crypto.h"
#include "base/hash.h"
#include "model/hparams.h"
#include "model/tensors.h"

#define MANIFEST_FORMAT           "shoal-manifest-1"
#define MANIFEST_FILE             "manifest.json"
#define TOKENIZER_FILE            "tokenizer.gguf"
#define MANIFEST_BYTES_MAX        ((size_t)16 << 20)
#define MANIFEST_SHARDS_MAX       4096
#define MANIFEST_PIECES_MAX       300000 /* of all shards */
#define MANIFEST_NAME_MAX         127
#define MANIFEST_FILE_NAME_MAX    63
#define MANIFEST_PROBE_TOKENS     8
#define MANIFEST_PROBE_TOKENS_MAX 64 /* that a parsed one may have */
#define MANIFEST_PIECE_BYTES_MIN  ((uint32_t)256 << 10)
#define MANIFEST_PIECE_BYTES_MAX  ((uint32_t)64 << 20)

struct manifest_piece {
    uint8_t sha1[SHA1_BYTES];
};

struct manifest_shard {
    uint32_t id;
    char file[MANIFEST_FILE_NAME_MAX + 1]; /* a plain name, no folder */
    uint64_t bytes;
    struct sha256 sha256;
    struct span span;
    uint32_t piece_bytes, n_pieces;
    struct manifest_piece *pieces; /* owned */
    struct sha256 self_test;
};

struct manifest {
    char name[MANIFEST_NAME_MAX + 1]; /* UTF-8, no control characters */
    char architecture[32];
    uint32_t n_layers, n_shards;
    struct sha256 fingerprint; /* of the model */
    uint32_t arithmetic;       /* version of the rules by which its hashes of results were computed */
    struct {
        char file[MANIFEST_FILE_NAME_MAX + 1];
        uint64_t bytes;
        struct sha256 sha256;
    } tokenizer;
    struct manifest_shard *shards; /* owned; [n_shards] */
    uint32_t probe_tokens[MANIFEST_PROBE_TOKENS_MAX], n_probe_tokens;
    struct sha256 *probe_states; /* owned; [n_shards]: after each shard's last layer */
    uint32_t probe_next;         /* the likeliest next token; ties go to the lower id */
    struct public_key owner;
    struct signature signature;
    char *text; /* owned; the JSON as it was parsed or signed, what nodes pass on. NULL before signing */
};

/* What the engine adds to a fresh split. Hashes are SHA-256 over f32 bytes, little-endian. */
struct shard_truth {
    uint32_t tokens[MANIFEST_PROBE_TOKENS];
    uint32_t n_shards;
    struct sha256 *states;     /* owned; of the hidden states [8][n_embd] after each shard's last layer */
    struct sha256 *self_tests; /* owned */
    uint32_t next;
};

/* The probe's tokens: a fixed function of the vocabulary's size. */
void manifest_probe_tokens(uint32_t out[MANIFEST_PROBE_TOKENS], uint32_t n_vocab);
void shard_truth_free(struct shard_truth *truth); /* empties it */

/* BAD_DATA names the field; REFUSED: the signature is not the owner's; LIMIT. */
enum status manifest_parse(struct manifest **out, struct bytes text, struct error *err);
/* NOT_FOUND: no such file. */
enum status manifest_load(struct manifest **out, const char *path, struct error *err);
/* UNSUPPORTED, with the way out: who computes by `arithmetic` would never get its results. Its shard files are
 * those of any version. */
enum status manifest_check_arithmetic(const struct manifest *manifest, uint32_t arithmetic, struct error *err);
void manifest_free(struct manifest *manifest); /* NULL is fine */

struct manifest *manifest_new(uint32_t n_shards); /* zeros, for split */
void manifest_set_truth(struct manifest *manifest, const struct shard_truth *truth);
/* Sets owner, signature and text. LIMIT: the text would pass MANIFEST_BYTES_MAX. */
enum status manifest_sign(struct manifest *manifest, const struct key_pair *owner, struct error *err);
/* Writes `text`: .part, fsync, rename, fsync of the folder. */
enum status manifest_save(const struct manifest *manifest, const char *path, struct error *err);

struct bytes manifest_text(const struct manifest *manifest);
bool manifest_is_of(const struct manifest *manifest, const struct public_key *owner);
const struct manifest_shard *manifest_shard_at(const struct manifest *manifest, uint32_t id); /* NULL: none */
/* The shard that holds this layer; NULL past the last. */
const struct manifest_shard *manifest_shard_of_layer(const struct manifest *manifest, uint32_t layer);
/* A hash over all shards' spans and contents, in order: two manifests with the same one may share a swarm, also
 * where the tokenizer or the signature differ. */
struct sha256 manifest_split(const struct manifest *manifest);
/* A power of two such that a file has at most 2,000 pieces, and all files of the model MANIFEST_PIECES_MAX. */
uint32_t manifest_piece_bytes(uint64_t file_bytes, uint32_t n_shards);

#endif
