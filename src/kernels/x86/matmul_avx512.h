/* matmul_avx512 - what the families of quantised types share at AVX-512 with VNNI: 16 rows by up to 16 tokens.
 *
 * A family's file unpacks a block of 32 columns into eight vectors of unsigned codes and calls one of the
 * functions here for its tokens; or for none, and the block is kept open for AMX (tiles.h). Included by those
 * files only. */
#ifndef KERNELS_X86_MATMUL_AVX512_H
#define KERNELS_X86_MATMUL_AVX512_H

#include "kernels/kernels_private.h"
#include "kernels/x86/codes_avx512.h"
#include "kernels/x86/groups.h"
#include "kernels/x86/tiles.h"

/* Where a block goes: into the sums of n tokens, or, when n is KEEP_OPEN, to what is opened. */
struct block_to {
    __m512 *acc;
    struct opened *opened;
};
#define KEEP_OPEN 0

/* One block's activations of n tokens: pointers into the group's arrays. */
struct x_block {
    const int32_t *q, *minus_sum, *minus_half, *sum_pair;
    const float *scale, *scaled_sum;
};
static ALWAYS_INLINE struct x_block x_block_at(const struct group_int8 *x, size_t b, const uint32_t n)
{
    if (n == KEEP_OPEN)
        return (struct x_block){0};
    return (struct x_block){.q = x->q + b * n * 8,
                            .minus_sum = x->minus_sum + b * n,
                            .minus_half = x->minus_half + b * n * 2,
                            .sum_pair = x->sum_pair + b * n,
                            .scale = x->scale + b * n,
                            .scaled_sum = x->scaled_sum + b * n};
}

/* One token passes over weights faster than the machine brings them by itself, which stops at each page: asks
 * for what comes this much later. At one to two groups of tokens the reading is hidden. */
#define AHEAD_BYTES  6144
#define AHEAD_TOKENS 4
static ALWAYS_INLINE void read_ahead(const uint8_t *at, const size_t bytes, const uint32_t n)
{
    if (n == KEEP_OPEN || n > AHEAD_TOKENS)
        return;
    UNROLL(16)
    for (size_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)(uintptr_t)((uintptr_t)at + AHEAD_BYTES + i), _MM_HINT_T0);
}

/* start + dot products of four codes at a time: bytes [0, 4 * n) of the block at w, of token t. */
static ALWAYS_INLINE __m512i dots(__m512i start, const __m512i *w, const int32_t *q, const int n)
{
    UNROLL(8)
    for (int i = 0; i < n; i++)
        start = _mm512_dpbusd_epi32(start, w[i], _mm512_set1_epi32(q[i]));
    return start;
}

/* Keeps a block open; the halves' factors or the minima in more. */
static ALWAYS_INLINE void keep_open(struct opened *to, const __m512i w[8], const int bias, __m512 scale,
                                    __m512 more0, __m512 more1)
{
    size_t b = to->n_blocks++;
    __m512i middle = _mm512_set1_epi8((char)(bias < 0 ? 0 : 1 << (bias & 7)));
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        _mm512_store_si512(to->codes[b] + 64 * i, _mm512_sub_epi8(w[i], middle));
    _mm512_store_ps(to->scale[b], scale);
    _mm512_store_ps(to->more[b][0], more0);
    _mm512_store_ps(to->more[b][1], more1);
}

/* 32-wide blocks, code = value + 2^bias (bias < 0: code = value): acc = fma(isum, w_scale * x_scale, acc). */
static ALWAYS_INLINE void block_plain(struct block_to to, const uint32_t n, const __m512i w[8], const int bias,
                                      __m512 w_scale, struct x_block x)
{
    if (n == KEEP_OPEN)
        keep_open(to.opened, w, bias, w_scale, _mm512_setzero_ps(), _mm512_setzero_ps());
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        __m512i isum = bias < 0 ? _mm512_setzero_si512()
                                : _mm512_slli_epi32(_mm512_set1_epi32(x.minus_sum[t]), (unsigned)(bias & 31));
        isum = dots(isum, w, x.q + t * 8, 8);
        to.acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum),
                                    _mm512_mul_ps(w_scale, _mm512_set1_ps(x.scale[t])), to.acc[t]);
    }
}

/* The same with acc = fma(-w_min, x_scale * x_sum, acc) after it. */
static ALWAYS_INLINE void block_min(struct block_to to, const uint32_t n, const __m512i w[8], __m512 w_scale,
                                    __m512 w_min, struct x_block x)
{
    if (n == KEEP_OPEN)
        keep_open(to.opened, w, -1, w_scale, w_min, _mm512_setzero_ps());
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        __m512i isum = dots(_mm512_setzero_si512(), w, x.q + t * 8, 8);
        __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(isum),
                                     _mm512_mul_ps(w_scale, _mm512_set1_ps(x.scale[t])), to.acc[t]);
        to.acc[t] = _mm512_fnmadd_ps(w_min, _mm512_set1_ps(x.scaled_sum[t]), sum);
    }
}

/* Blocks of two halves with whole scales of their own. |half sum * scale| and their sum stay below 2^24, so
 * that f32 holds exactly what the rule's int32 does. */
static ALWAYS_INLINE void block_halves(struct block_to to, const uint32_t n, const __m512i w[8], const int bias,
                                       const __m512 sub_scale[2], __m512 w_scale, struct x_block x)
{
    if (n == KEEP_OPEN)
        keep_open(to.opened, w, bias, w_scale, sub_scale[0], sub_scale[1]);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++) {
        __m512i half0 = _mm512_slli_epi32(_mm512_set1_epi32(x.minus_half[t * 2]), (unsigned)bias);
        __m512i half1 = _mm512_slli_epi32(_mm512_set1_epi32(x.minus_half[t * 2 + 1]), (unsigned)bias);
        half0 = dots(half0, w, x.q + t * 8, 4);
        half1 = dots(half1, w + 4, x.q + t * 8 + 4, 4);
        __m512 isum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(half1), sub_scale[1],
                                      _mm512_mul_ps(_mm512_cvtepi32_ps(half0), sub_scale[0]));
        to.acc[t] = _mm512_fmadd_ps(isum, _mm512_mul_ps(w_scale, _mm512_set1_ps(x.scale[t])), to.acc[t]);
    }
}

static ALWAYS_INLINE void store_tile(const struct tile *tile, uint32_t panel, const __m512 *acc,
                                     const uint32_t n)
{
    uint32_t row = panel * PANEL_ROWS, n_left = tile->n_rows - row;
    __mmask16 lanes = (__mmask16)(n_left >= PANEL_ROWS ? 0xFFFFU : (1U << n_left) - 1);
    UNROLL(16)
    for (uint32_t t = 0; t < n; t++)
        _mm512_mask_storeu_ps(tile->out + t * tile->out_stride + row, lanes, acc[t]);
}

/* From panel_NAME(to, panel, n_cols, activations, n), one panel times n tokens, the functions for each n and
 * the slot matmul_NAME. */
#define MATMUL_TILE_512(name, n)                                                                               \
    static void tile_##name##_##n(const struct tile *tile)                                                     \
    {                                                                                                          \
        struct group_int8 x = group_int8_at(tile->activations, tile->n_cols / 32, tile->group);                \
        for (uint32_t p = 0; p < tile->n_panels; p++) {                                                        \
            __m512 acc[n];                                                                                     \
            UNROLL(16)                                                                                         \
            for (int t = 0; t < (n); t++)                                                                      \
                acc[t] = _mm512_setzero_ps();                                                                  \
            panel_##name((struct block_to){.acc = acc}, tile->panel + p * tile->panel_bytes, tile->n_cols, &x, \
                         n);                                                                                   \
            store_tile(tile, p, acc, n);                                                                       \
        }                                                                                                      \
    }
#define MATMUL_AVX512(name)                                                                                    \
    MATMUL_TILE_512(name, 1)                                                                                   \
    MATMUL_TILE_512(name, 2)                                                                                   \
    MATMUL_TILE_512(name, 4)                                                                                   \
    MATMUL_TILE_512(name, 8)                                                                                   \
    MATMUL_TILE_512(name, 16)                                                                                  \
    static void matmul_##name(const struct matmul *m, uint32_t row_first, uint32_t row_end)                    \
    {                                                                                                          \
        static tile_kernel *const kernels[] = {tile_##name##_1, tile_##name##_2, tile_##name##_4,              \
                                               tile_##name##_8, tile_##name##_16};                             \
        groups_matmul(m, row_first, row_end, panel_bytes_##name(m->n_cols), GROUP_MAX_AVX512, kernels);        \
    }

/* The same at AMX, for panels whose blocks can be opened; behind MATMUL_AVX512(name). */
#define MATMUL_AMX(name, block_kind)                                                                           \
    static void open_##name(struct opened *to, const uint8_t *panel, uint32_t n_cols)                          \
    {                                                                                                          \
        const struct group_int8 none = {0};                                                                    \
        panel_##name((struct block_to){.opened = to}, panel, n_cols, &none, KEEP_OPEN);                        \
    }                                                                                                          \
    static void matmul_##name##_amx(const struct matmul *m, uint32_t row_first, uint32_t row_end)              \
    {                                                                                                          \
        static const struct tiles_type type = {block_kind, open_##name, panel_bytes_##name, matmul_##name};    \
        tiles_matmul(m, row_first, row_end, &type);                                                            \
    }

#endif
