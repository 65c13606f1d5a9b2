/* kernels_private - how the levels fill their table. Internal to kernels. */
#ifndef KERNELS_KERNELS_PRIVATE_H
#define KERNELS_KERNELS_PRIVATE_H

#include "kernels/kernels.h"

/* Each fills the slots of its family: ref all of them, the others what they improve. */
void kernels_init_ref(struct kernels *k);
void kernels_init_ref_int8(struct kernels *k);
void kernels_init_ref_float(struct kernels *k);
void kernels_init_ref_vector(struct kernels *k);
void kernels_init_ref_gated(struct kernels *k);
void kernels_init_ref_attention(struct kernels *k);

void kernels_init_avx2(struct kernels *k);
void kernels_init_avx512(struct kernels *k);
void kernels_init_amx(struct kernels *k);

static inline uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Where things are in a tile: keys of one head transposed, [head_dim_k][64], then values of one head by
 * position, [64][head_dim_v rounded up to 16, padded with zeros]. Offsets count elements. */
static inline size_t kv_element_bytes(const struct kv_layout *l)
{
    return l->element == KV_ELEMENT_F16 ? 2 : 4;
}
static inline size_t kv_k_at(const struct kv_layout *l, uint32_t kv_head)
{
    return (size_t)kv_head * l->head_dim_k * KV_TILE_POSITIONS;
}
static inline size_t kv_v_stride(const struct kv_layout *l)
{
    return round_up(l->head_dim_v, 16);
}
static inline size_t kv_v_at(const struct kv_layout *l, uint32_t kv_head)
{
    return kv_k_at(l, l->n_kv_heads) + kv_head * kv_v_stride(l) * KV_TILE_POSITIONS;
}

/* Which slots of a tile a query at `position` sees: [*first, *end), false when none. */
static inline bool attention_visible(const struct attention *a, uint32_t tile_index, uint32_t position,
                                     uint32_t *first, uint32_t *end)
{
    uint64_t start = (uint64_t)tile_index * KV_TILE_POSITIONS, stop = (uint64_t)position + 1;
    uint64_t begin = a->window && stop > a->window ? stop - a->window : 0;
    if (stop <= start || begin >= start + KV_TILE_POSITIONS)
        return false;
    *first = begin > start ? (uint32_t)(begin - start) : 0;
    *end = stop - start < KV_TILE_POSITIONS ? (uint32_t)(stop - start) : KV_TILE_POSITIONS;
    return true;
}

#endif
