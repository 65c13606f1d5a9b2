/* Which layers go into which shard: the largest shard is as small as it can be, and below that the shards are
 * as even as they can be. */
#include "model/shards.h"

#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* The bytes that each layer brings; the first carries the embedding, the last norm and head. */
static uint64_t *layer_bytes(const struct gguf *gguf, const struct hparams *hparams)
{
    uint64_t *bytes = mem_array(hparams->n_layers, sizeof *bytes);
    bool tied = !gguf_find_tensor(gguf, "output.weight");
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);
        enum tensor_role role;
        uint32_t layer;
        if (!tensor_role_of(t->name, &role, &layer))
            continue;
        if (layer != TENSOR_NO_LAYER) {
            if (layer < hparams->n_layers)
                bytes[layer] += t->bytes;
        } else if (role == TENSOR_TOKEN_EMBD) {
            bytes[0] += t->bytes;
            if (tied)
                bytes[hparams->n_layers - 1] += t->bytes;
        } else if (role == TENSOR_OUTPUT || role == TENSOR_OUTPUT_NORM) {
            bytes[hparams->n_layers - 1] += t->bytes;
        }
    }
    return bytes;
}

/* need[i]: how many shards of at most `most` bytes the layers from i on need. */
static void count_needed(uint32_t *need, const uint64_t *bytes, uint32_t n_layers, uint64_t most)
{
    uint64_t sum = 0;
    need[n_layers] = 0;
    for (uint32_t i = n_layers, end = n_layers; i-- > 0;) {
        sum += bytes[i];
        while (sum > most && end > i + 1)
            sum -= bytes[--end];
        need[i] = 1 + need[end];
    }
}

/* The smallest size that the largest of n shards can have. */
static uint64_t smallest_largest(uint32_t *need, const uint64_t *bytes, uint32_t n_layers, uint32_t n)
{
    uint64_t low = 0, high = 0;
    for (uint32_t i = 0; i < n_layers; i++) {
        low = bytes[i] > low ? bytes[i] : low;
        high += bytes[i];
    }
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        count_needed(need, bytes, n_layers, middle);
        if (need[0] <= n)
            high = middle;
        else
            low = middle + 1;
    }
    count_needed(need, bytes, n_layers, low);
    return low;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Where the shard that begins at `first` ends: nearest to an even share, such that the rest still fits. */
static uint32_t choose_end(const uint64_t *bytes, const uint32_t *need, uint32_t n_layers, uint32_t first,
                           uint32_t n_left, uint64_t most, uint64_t bytes_left)
{
    uint64_t share = bytes_left / n_left, sum = 0, best = UINT64_MAX;
    uint32_t chosen = first + 1;
    for (uint32_t end = first + 1; n_layers - end >= n_left - 1; end++) {
        sum += bytes[end - 1];
        if (sum > most)
            break;
        if (need[end] <= n_left - 1 && distance(sum, share) < best) {
            best = distance(sum, share);
            chosen = end;
        }
        if (end == n_layers)
            break;
    }
    return n_left == 1 ? n_layers : chosen;
}

enum status shards_plan(struct span *out, uint32_t *out_n, uint32_t n_shards, const struct gguf *gguf,
                        const struct hparams *hparams, struct error *err)
{
    uint32_t n_layers = hparams->n_layers, n = n_shards > n_layers ? n_layers : n_shards, first = 0;
    if (n_shards < 1)
        return error_set(err, STATUS_BAD_USAGE, "%" PRIu32 " shards; at least 1", n_shards);
    uint64_t *bytes = layer_bytes(gguf, hparams), left = 0;
    uint32_t *need = mem_array((size_t)n_layers + 1, sizeof *need);
    uint64_t most = smallest_largest(need, bytes, n_layers, n);
    for (uint32_t i = 0; i < n_layers; i++)
        left += bytes[i];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t end = choose_end(bytes, need, n_layers, first, n - i, most, left);
        out[i] = (struct span){
            .first_layer = first, .end_layer = end, .embedding = first == 0, .output = end == n_layers};
        for (; first < end; first++)
            left -= bytes[first];
    }
    *out_n = n;
    mem_free(bytes);
    mem_free(need);
    return STATUS_OK;
}
