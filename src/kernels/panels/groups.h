/* groups - how activations lie in memory, and the walk over panels and groups of tokens.
 *
 * Tokens are taken in groups of group_max and at the end of smaller powers of two; a group is what one kernel
 * holds in registers. Values of a group's tokens lie side by side for each column or block. Internal to
 * kernels. */
#ifndef KERNELS_PANELS_GROUPS_H
#define KERNELS_PANELS_GROUPS_H

#include "kernels/panels/panels.h"
#include "kernels/unroll.h"

/* The group that token t is in. */
struct group {
    uint32_t first, size;
};
static inline struct group group_of(uint32_t token, uint32_t n_tokens, uint32_t group_max)
{
    struct group g = {token / group_max * group_max, group_max};
    while (n_tokens - g.first < g.size || token >= g.first + g.size) {
        if (n_tokens - g.first >= g.size)
            g.first += g.size;
        g.size /= 2;
    }
    return g;
}

/* Rule 2's: [column][t]. */
static inline const float *group_f32_at(const void *prepared, uint32_t n_cols, struct group g)
{
    return (const float *)prepared + (size_t)g.first * n_cols;
}

size_t groups_f32_bytes(uint32_t n_cols, uint32_t n_tokens);
/* As activation_kernels.prepare, at a level of groups of group_max. */
void groups_f32_prepare(void *prepared, const float *x, size_t x_stride, const struct activation_part *part,
                        uint32_t group_max);

/* Some panels times one group. */
struct tile {
    const uint8_t *panel; /* the first */
    size_t panel_bytes;
    uint32_t n_panels, n_cols;
    const void *activations;
    struct group group;
    float *out; /* the group's first token, the first panel's first row */
    size_t out_stride;
    uint32_t n_rows; /* in these panels, without padding */
};

/* By log2 of the group's size. */
typedef void tile_kernel(const struct tile *tile);

/* Few tokens pass over weights faster than the machine brings them by itself, which stops at each page: asks
 * for what comes later, first into the second level cache and then, when it has come near, into the first. The
 * first's few buffers alone would be held all the time that memory takes: with them a Xeon reached 80 % of its
 * read bandwidth on Q4_K instead of 90. More tokens hide the reading behind their products. A Zen 4 reads as
 * fast as its memory by itself and a third slower when asked. */
extern bool groups_ask_ahead; /* written once, before the first level is handed out */
#define AHEAD_FAR    12288
#define AHEAD_NEAR   3072
#define AHEAD_TOKENS 4
static ALWAYS_INLINE bool tokens_are_few(const uint32_t n_tokens)
{
    return n_tokens && n_tokens <= AHEAD_TOKENS; /* none: a block is opened for AMX */
}

static ALWAYS_INLINE void read_ahead(const uint8_t *at, const size_t bytes, const uint32_t n_tokens)
{
    if (!tokens_are_few(n_tokens) || !groups_ask_ahead)
        return;
    UNROLL(16)
    for (size_t i = 0; i < bytes; i += 64) {
        __builtin_prefetch((const void *)((uintptr_t)at + AHEAD_FAR + i), 0, 2);
        __builtin_prefetch((const void *)((uintptr_t)at + AHEAD_NEAR + i));
    }
}

/* The first `bytes` of a unit that lies in pairs (panels.h); with the even one's the scales of both. */
static ALWAYS_INLINE void read_pair_ahead(const uint8_t *panel, size_t unit, const size_t unit_bytes,
                                          const size_t bytes, const uint32_t n_tokens)
{
    if (unit % 2)
        read_ahead(panel + pair_codes_at(unit, unit_bytes), bytes, n_tokens);
    else
        read_ahead(panel + pair_scales_at(unit, unit_bytes), 64 + bytes, n_tokens);
}

/* Panels are taken in lots that stay in the second level cache while all groups pass over them. */
void groups_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, size_t panel_bytes,
                   uint32_t group_max, tile_kernel *const kernels[]);

#endif
