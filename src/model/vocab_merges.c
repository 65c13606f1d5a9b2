#include "base/mem.h"
#include "model/vocab.h"

#include <inttypes.h>
#include <string.h>

#define MERGES_BYTES_MAX ((size_t)2 << 30)

static uint32_t slot_of(const struct vocab *v, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 32 | right; /* splitmix64's finish: ids are no attacker's hash input */
    key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9U;
    key = (key ^ key >> 27) * 0x94d049bb133111ebU;
    return (uint32_t)(key ^ key >> 31) & v->merges_mask;
}

static struct vocab_merge *slot_for(const struct vocab *v, uint32_t left, uint32_t right)
{
    uint32_t at = slot_of(v, left, right);
    while (v->merges[at].left != TOKENIZER_NO_ID &&
           (v->merges[at].left != left || v->merges[at].right != right))
        at = (at + 1) & v->merges_mask;
    return &v->merges[at];
}

const struct vocab_merge *vocab_merge_of(const struct vocab *v, uint32_t left, uint32_t right)
{
    const struct vocab_merge *merge = slot_for(v, left, right);
    return merge->left == TOKENIZER_NO_ID ? NULL : merge;
}

static enum status bad_merge(uint32_t rank, struct bytes line, const char *what, struct error *err)
{
    int n = line.size > 40 ? 40 : (int)line.size;
    return error_set(err, STATUS_BAD_DATA,
                     "tokenizer.ggml.merges: entry %" PRIu32
                     " '%.*s'%s: %s; the file is damaged, or wrongly converted",
                     rank, n, (const char *)line.data, line.size > 40 ? "..." : "", what);
}

/* One line is two parts with one space between them; a part never is a space, whose sign is another. */
static enum status add_merge(struct vocab *v, uint32_t rank, struct bytes line, struct buffer *joined,
                             struct error *err)
{
    const uint8_t *space = line.size > 2 ? memchr(line.data + 1, ' ', line.size - 2) : NULL;
    if (!space)
        return bad_merge(rank, line, "not two parts with a space between them", err);
    struct bytes left = bytes_of(line.data, (size_t)(space - line.data));
    struct bytes right = bytes_of(space + 1, line.size - left.size - 1);
    struct vocab_merge merge = {vocab_find(v, left), vocab_find(v, right), rank, 0};
    if (merge.left == TOKENIZER_NO_ID || merge.right == TOKENIZER_NO_ID)
        return bad_merge(rank, line, "a part is no token", err);
    buffer_clear(joined);
    buffer_bytes(joined, left.data, left.size);
    buffer_bytes(joined, right.data, right.size);
    merge.id = vocab_find(v, buffer_view(joined));
    if (merge.id == TOKENIZER_NO_ID)
        return bad_merge(rank, line, "what it gives is no token", err);
    if (!vocab_is_plain(v, merge.left) || !vocab_is_plain(v, merge.right) || !vocab_is_plain(v, merge.id))
        return STATUS_OK; /* text never becomes a control token, not by merging either */
    struct vocab_merge *slot = slot_for(v, merge.left, merge.right);
    if (slot->left == TOKENIZER_NO_ID) /* of equal pairs the first counts */
        *slot = merge;
    return STATUS_OK;
}

enum status vocab_merges_build(struct vocab *v, const struct vocab_source *source, struct error *err)
{
    if (!source->merges)
        return error_set(err, STATUS_BAD_DATA,
                         "tokenizer.ggml.merges is missing, which a '%.*s' vocabulary needs",
                         (int)source->model.size, (const char *)source->model.data);
    if (source->n_merges > VOCAB_MERGES_MAX)
        return error_set(err, STATUS_LIMIT, "tokenizer.ggml.merges has %" PRIu64 " entries, at most %u",
                         source->n_merges, VOCAB_MERGES_MAX);
    size_t n_slots = 16;
    while (n_slots < 2 * source->n_merges)
        n_slots *= 2;
    v->merges = mem_try_array(n_slots, sizeof *v->merges, MERGES_BYTES_MAX);
    if (!v->merges)
        return error_set(err, STATUS_NO_MEMORY, "no memory for %" PRIu64 " merges", source->n_merges);
    for (size_t i = 0; i < n_slots; i++)
        v->merges[i].left = TOKENIZER_NO_ID;
    v->merges_mask = (uint32_t)(n_slots - 1);

    struct buffer joined;
    buffer_init(&joined, 0);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < source->n_merges && !status; i++)
        status = add_merge(v, i, source->merges[i], &joined, err);
    buffer_free(&joined);
    return status;
}
