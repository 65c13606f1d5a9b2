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
void kernels_init_avxvnni(struct kernels *k);
void kernels_init_avx512(struct kernels *k);
void kernels_init_amx(struct kernels *k);
void kernels_init_neon(struct kernels *k);

static inline uint32_t round_up(uint32_t n, uint32_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Where things are in a tile: heads one after the other, each with its keys transposed, [head_dim_k][64], then
 * its values by position, [64][head_dim_v rounded up to 16, padded with zeros]. Q8_0 has scales behind them,
 * f16: of the keys [blocks of head_dim_k][64], of the values [blocks of head_dim_v][64]. Offsets count
 * elements, of which a scale is two. */
static inline size_t kv_element_bytes(const struct kv_layout *l)
{
    return l->element == KV_ELEMENT_F16 ? 2 : l->element == KV_ELEMENT_F32 ? 4 : 1;
}
static inline size_t kv_v_stride(const struct kv_layout *l)
{
    return round_up(l->head_dim_v, 16);
}
static inline size_t kv_n_blocks(size_t head_dim)
{
    return (head_dim + KV_BLOCK - 1) / KV_BLOCK;
}
static inline size_t kv_head_elements(const struct kv_layout *l)
{
    size_t n_blocks = kv_n_blocks(l->head_dim_k) + kv_n_blocks(l->head_dim_v);
    return (l->head_dim_k + kv_v_stride(l) + (l->element == KV_ELEMENT_Q8_0 ? 2 * n_blocks : 0)) *
           KV_TILE_POSITIONS;
}
static inline size_t kv_k_at(const struct kv_layout *l, uint32_t kv_head)
{
    return kv_head * kv_head_elements(l);
}
static inline size_t kv_v_at(const struct kv_layout *l, uint32_t kv_head)
{
    return kv_k_at(l, kv_head) + (size_t)l->head_dim_k * KV_TILE_POSITIONS;
}
static inline size_t kv_k_scales_at(const struct kv_layout *l, uint32_t kv_head)
{
    return kv_v_at(l, kv_head) + kv_v_stride(l) * KV_TILE_POSITIONS;
}
static inline size_t kv_v_scales_at(const struct kv_layout *l, uint32_t kv_head)
{
    return kv_k_scales_at(l, kv_head) + 2 * kv_n_blocks(l->head_dim_k) * KV_TILE_POSITIONS;
}

/* kv_store of Q8_0, at every level. */
void kv_store_q8_0(const struct kv_layout *layout, void *tile, uint32_t slot, const float *k, const float *v);

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
