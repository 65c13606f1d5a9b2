/* tiles_supers_steps - the inner loop of tiles_supers_amx.c: two panels' blocks of 256 columns by a group of
 * tokens, while sums of earlier steps are added to their chains. Included by it only.
 *
 * What is multiplied in one step is stored in the next and read in the one after it: a tile's store forwards
 * nothing to loads. */
#ifndef KERNELS_X86_TILES_SUPERS_STEPS_H
#define KERNELS_X86_TILES_SUPERS_STEPS_H

#include "kernels/x86/tiles_supers.h"
#include "kernels/x86/tiles_unit.h"

#define STEP_PANELS     ((size_t)2)
#define STEP_SUM_TILES  6 /* parts 0 and 1 of each panel, minima of each panel */
#define CHAINS_OF_PANEL ((size_t)(LOT_TOKENS + GROUP) * PANEL_ROWS)

struct step {
    const int8_t *x;                   /* struct group_super_tile, as it lies */
    const struct opened_super *opened; /* of each panel */
    float *chains;                     /* [token][row]; the second panel's CHAINS_OF_PANEL behind */
    int32_t *sums;                     /* [STEP_SUM_TILES][token][row]; of minima f32 */
};

static ALWAYS_INLINE bool has_min(const enum super_kind kind)
{
    return kind == SUPER_ONE_MIN || kind == SUPER_TWO_3;
}
static ALWAYS_INLINE bool has_two(const enum super_kind kind)
{
    return kind == SUPER_TWO_3 || kind == SUPER_TWO_8;
}

/* --- products -------------------------------------------------------------------------------------------- */

/* Of two parts each is multiplied with all columns; one part alone is taken in two halves, which are the sums
 * of other tiles: so that no product waits for the one before. i: of four products for each 64 columns (or two
 * times 64), of part i % 2 (or half) of panel i % 4 / 2. */
#define CODES_AT(kind, i)                                                                                      \
    ((i) % 4 / 2 * sizeof(struct opened_super) +                                                               \
     (has_two(kind) ? (i) % 2 * sizeof to.opened->codes[0] + (i) / 4 * 1024 : ((i) / 4 + (i) % 2 * 2) * 1024))
#define X_AT(kind, i) (has_two(kind) ? (i) / 4 * 1024 : ((i) / 4 + (i) % 2 * 2) * 1024)

/* Product i: tiles 0 to 3 are sums (parts of the first panel, of the second), 4 activations, 6 and 7 codes, 5
 * sums of minima. Beside two parts there is no room for activations in the first level cache. */
#define PRODUCT(i, sum_tile, w_tile)                                                                           \
    do {                                                                                                       \
        TILE_LOAD("tileloadd", w_tile, to.opened->codes, CODES_AT(kind, i));                                   \
        if (has_two(kind) && (i) % 4 == 0)                                                                     \
            TILE_LOAD("tileloaddt1", 4, to.x, X_AT(kind, i));                                                  \
        if (!has_two(kind))                                                                                    \
            TILE_LOAD("tileloadd", 4, to.x, X_AT(kind, i));                                                    \
        if ((i) < 4)                                                                                           \
            _tile_zero(sum_tile);                                                                              \
        if (kind == SUPER_TWO_3 || (kind == SUPER_TWO_8 && (i) % 2 == 0))                                      \
            _tile_dpbsud(sum_tile, 4, w_tile);                                                                 \
        else                                                                                                   \
            _tile_dpbssd(sum_tile, 4, w_tile);                                                                 \
    } while (0)

/* A panel's minima: of the first before the last four products, of the second behind them. */
#define MIN_PRODUCT(panel)                                                                                     \
    do {                                                                                                       \
        TILE_LOAD("tileloaddt1", 4, to.x, GROUP_SUPER_TILE_SUM);                                               \
        TILE_LOAD("tileloadd", 6, to.opened->min, (panel) * sizeof(struct opened_super));                      \
        _tile_zero(5);                                                                                         \
        _tile_dpbf16ps(5, 4, 6);                                                                               \
    } while (0)

/* --- chains ---------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE __m512i isum_of(const struct step of, size_t at, const enum super_kind kind)
{
    const int32_t *sums = of.sums + at;
    __m512i first = _mm512_load_si512(sums), second = _mm512_load_si512(sums + SUMS_OF_TILE);
    if (kind == SUPER_TWO_3)
        second = _mm512_slli_epi32(second, 3);
    if (kind == SUPER_TWO_8)
        second = _mm512_slli_epi32(second, 8);
    return _mm512_add_epi32(first, second);
}

/* A token's sums by both panels. */
static ALWAYS_INLINE void add_token(const struct step of, const size_t t, const __m512 *scale,
                                    const __m512 *min_scale, const enum super_kind kind)
{
    const float *x_scale = (const float *)(const void *)(of.x + GROUP_SUPER_TILE_SCALE);
    __m512 xs = _mm512_set1_ps(x_scale[t]);

    UNROLL(2)
    for (size_t p = 0; p < STEP_PANELS; p++) {
        float *chain = of.chains + p * CHAINS_OF_PANEL + t * PANEL_ROWS;
        __m512i isum = isum_of(of, p * 2 * SUMS_OF_TILE + t * PANEL_ROWS, kind);
        __m512 acc =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum), _mm512_mul_ps(scale[p], xs), _mm512_load_ps(chain));
        if (has_min(kind)) {
            __m512 x_sum = _mm512_load_ps(of.sums + (4 + p) * SUMS_OF_TILE + t * PANEL_ROWS);
            acc = _mm512_fnmadd_ps(min_scale[p], _mm512_mul_ps(xs, x_sum), acc);
        }
        _mm512_store_ps(chain, acc);
    }
}

/* What is added beside product `slot`. */
static ALWAYS_INLINE void add_tokens(const struct step of, const size_t slot, const __m512 *scale,
                                     const __m512 *min_scale, const enum super_kind kind)
{
    const size_t n = has_two(kind) ? GROUP / 16 : GROUP / 8;
    UNROLL(2)
    for (size_t i = 0; i < n; i++)
        add_token(of, slot * n + i, scale, min_scale, kind);
}

/* --- both ------------------------------------------------------------------------------------------------ */

/* Product i, the store of what the step before had in its place, and some rows of the sums of the one before
 * that. */
#define SLOT(i, sum_tile, w_tile)                                                                              \
    do {                                                                                                       \
        if ((i) < 4)                                                                                           \
            TILE_STORE(before.sums, i, sum_tile);                                                              \
        if (multiplies) {                                                                                      \
            PRODUCT(i, sum_tile, w_tile);                                                                      \
        }                                                                                                      \
        add_tokens(old, i, scale, min_scale, kind);                                                            \
    } while (0)
#define FOUR_SLOTS(i)                                                                                          \
    do {                                                                                                       \
        SLOT((i) + 0, 0, 6);                                                                                   \
        SLOT((i) + 1, 1, 7);                                                                                   \
        SLOT((i) + 2, 2, 6);                                                                                   \
        SLOT((i) + 3, 3, 7);                                                                                   \
    } while (0)

static ALWAYS_INLINE void run_step(const struct step to, const struct step before, const struct step old,
                                   const enum super_kind kind, const bool multiplies)
{
    __m512 scale[STEP_PANELS], min_scale[STEP_PANELS];

    UNROLL(2)
    for (size_t p = 0; p < STEP_PANELS; p++) {
        scale[p] = _mm512_load_ps(old.opened[p].scale);
        min_scale[p] = _mm512_load_ps(old.opened[p].min_scale);
    }
    FOUR_SLOTS(0);
    if (has_min(kind))
        TILE_STORE(before.sums, 5, 5);
    if (has_two(kind)) {
        FOUR_SLOTS(4);
        FOUR_SLOTS(8);
    }
    if (multiplies && has_min(kind))
        MIN_PRODUCT(0);
    if (has_two(kind))
        FOUR_SLOTS(12);
    else
        FOUR_SLOTS(4);
    if (multiplies && has_min(kind)) {
        TILE_STORE(to.sums, 4, 5);
        MIN_PRODUCT(1);
    }
}

#endif
