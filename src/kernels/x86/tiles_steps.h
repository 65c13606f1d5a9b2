/* tiles_steps - the inner loop of tiles_amx.c: products of some blocks while the sums of those before are added
 * to their chains. Included by it only.
 *
 * While tiles are multiplied, only one of the processor's two ports multiplies vectors; so the time of a tile
 * is that of its 32 vector multiplications, and products, loads and stores are done meanwhile if they are near
 * in the program. What is stored is read a step later: a tile's store forwards nothing to loads. Two panels
 * share the activations' tile and the scales that are spread to all rows. */
#ifndef KERNELS_X86_TILES_STEPS_H
#define KERNELS_X86_TILES_STEPS_H

#include "kernels/x86/tiles.h"
#include "kernels/x86/tiles_unit.h"

#define STEP_PANELS     2
#define CHAINS_OF_PANEL ((size_t)LOT_TOKENS * PANEL_ROWS)
#define SUMS_OF_STEP    (STEP_PANELS * STEP_BLOCKS * SUMS_OF_TILE)

/* Some blocks of two panels by one group of tokens. */
struct step {
    const uint16_t *x;            /* [block][token][32] */
    const float *x_scale, *x_sum; /* [block][token] */
    const struct opened *opened;  /* of each panel */
    size_t block;                 /* of these, the first */
    float *chains;                /* [token][row]; the second panel's CHAINS_OF_PANEL behind */
    float *sums;                  /* [block][panel][token][row] */
};

/* --- products -------------------------------------------------------------------------------------------- */

/* Product i of a step: tiles 0..3 are sums, 4 and 5 activations, 6 and 7 codes. Activations pass through and
 * are not to push out the rest of the first level cache. */
#define MULTIPLY(i, sum_tile, x_tile, w_tile)                                                                  \
    do {                                                                                                       \
        if ((i) % 2 == 0)                                                                                      \
            TILE_LOAD("tileloaddt1", x_tile, to.x, (i) / 2 * GROUP_BF16_BLOCK * 2);                            \
        TILE_LOAD("tileloadd", w_tile, to.opened->codes[to.block],                                             \
                  (i) % 2 * sizeof(struct opened) + (i) / 2 * sizeof to.opened->codes[0]);                     \
        _tile_zero(sum_tile);                                                                                  \
        _tile_dpbf16ps(sum_tile, x_tile, w_tile);                                                              \
    } while (0)

/* --- chains ---------------------------------------------------------------------------------------------- */

/* Half of a group's tokens: their chains of both panels fill half of the registers. */
#define HALF        (GROUP / 2)
#define HALF_CHAINS (STEP_PANELS * HALF)

static ALWAYS_INLINE void load_chains(__m512 acc[HALF_CHAINS], const struct step of, const size_t half)
{
    UNROLL(16)
    for (size_t i = 0; i < HALF_CHAINS; i++)
        acc[i] = _mm512_load_ps(of.chains + i / HALF * CHAINS_OF_PANEL + (half * HALF + i % HALF) * PANEL_ROWS);
}

static ALWAYS_INLINE void store_chains(const __m512 acc[HALF_CHAINS], const struct step of, const size_t half)
{
    UNROLL(16)
    for (size_t i = 0; i < HALF_CHAINS; i++)
        _mm512_store_ps(of.chains + i / HALF * CHAINS_OF_PANEL + (half * HALF + i % HALF) * PANEL_ROWS, acc[i]);
}

static ALWAYS_INLINE void add_half_block(__m512 acc[HALF_CHAINS], const struct step of, const size_t b,
                                         const size_t half, const enum block_kind kind)
{
    __m512 scale[STEP_PANELS];
    UNROLL(2)
    for (size_t p = 0; p < STEP_PANELS; p++)
        scale[p] = _mm512_load_ps(of.opened[p].scale[of.block + b]);
    UNROLL(8)
    for (size_t i = 0; i < HALF; i++) {
        size_t t = half * HALF + i;
        __m512 x_scale = _mm512_set1_ps(of.x_scale[b * GROUP + t]);
        UNROLL(2)
        for (size_t p = 0; p < STEP_PANELS; p++) {
            __m512 *to = &acc[p * HALF + i];
            __m512 isum = _mm512_load_ps(of.sums + (b * STEP_PANELS + p) * SUMS_OF_TILE + t * PANEL_ROWS);
            *to = _mm512_fmadd_ps(isum, _mm512_mul_ps(scale[p], x_scale), *to);
            if (kind == BLOCK_MIN)
                *to = _mm512_fnmadd_ps(_mm512_load_ps(of.opened[p].min[of.block + b]),
                                       _mm512_set1_ps(of.x_sum[b * GROUP + t]), *to);
        }
    }
}

/* --- both ------------------------------------------------------------------------------------------------ */

/* The i-th eighth of a step: one product, the store of that two before, an eighth of the sums before. */
#define SLOT(i, sum_tile, x_tile, w_tile, stored_tile)                                                         \
    do {                                                                                                       \
        const size_t half = (i) / STEP_BLOCKS, b = (i) % STEP_BLOCKS;                                          \
        if (adds && (i) < 2)                                                                                   \
            TILE_STORE(from.sums, (i) + 6, stored_tile);                                                       \
        if (multiplies && (i) >= 2)                                                                            \
            TILE_STORE(to.sums, (i)-2, stored_tile);                                                           \
        if (multiplies)                                                                                        \
            MULTIPLY(i, sum_tile, x_tile, w_tile);                                                             \
        if (adds) {                                                                                            \
            if (b == 0)                                                                                        \
                load_chains(acc, from, half);                                                                  \
            add_half_block(acc, from, b, half, kind);                                                          \
            if (b == STEP_BLOCKS - 1)                                                                          \
                store_chains(acc, from, half);                                                                 \
        }                                                                                                      \
    } while (0)

/* Multiplies a step and adds the one that was multiplied before. The pointers have to be registers: what is
 * read behind stored tiles waits for them. */
static ALWAYS_INLINE void run_step(const struct step to, const struct step from, const enum block_kind kind,
                                   const bool multiplies, const bool adds)
{
    __m512 acc[HALF_CHAINS];

    SLOT(0, 0, 4, 6, 2);
    SLOT(1, 1, 4, 7, 3);
    SLOT(2, 2, 5, 6, 0);
    SLOT(3, 3, 5, 7, 1);
    SLOT(4, 0, 4, 6, 2);
    SLOT(5, 1, 4, 7, 3);
    SLOT(6, 2, 5, 6, 0);
    SLOT(7, 3, 5, 7, 1);
}

/* One block alone, of one panel: what is left where blocks are no multiple of a step's. */
static ALWAYS_INLINE void run_block(const struct step to, const size_t panel, const size_t b,
                                    const enum block_kind kind)
{
    const struct opened *opened = &to.opened[panel];
    __m512 scale = _mm512_load_ps(opened->scale[to.block + b]), min = _mm512_load_ps(opened->min[to.block + b]);

    _tile_loadd(4, to.x + b * GROUP_BF16_BLOCK, 64);
    _tile_loadd(6, opened->codes[to.block + b], 64);
    _tile_zero(0);
    _tile_dpbf16ps(0, 4, 6);
    TILE_STORE(to.sums, 0, 0);
    for (size_t t = 0; t < GROUP; t++) {
        float *chain = to.chains + panel * CHAINS_OF_PANEL + t * PANEL_ROWS;
        __m512 x_scale = _mm512_set1_ps(to.x_scale[b * GROUP + t]), acc = _mm512_load_ps(chain);
        acc = _mm512_fmadd_ps(_mm512_load_ps(to.sums + t * PANEL_ROWS), _mm512_mul_ps(scale, x_scale), acc);
        if (kind == BLOCK_MIN)
            acc = _mm512_fnmadd_ps(min, _mm512_set1_ps(to.x_sum[b * GROUP + t]), acc);
        _mm512_store_ps(chain, acc);
    }
}

#endif
