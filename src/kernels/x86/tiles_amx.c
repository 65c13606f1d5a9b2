#include "kernels/x86/tiles.h"

#include "kernels/unroll.h"
#include "kernels/x86/groups.h"

#include <immintrin.h>
#include <string.h>

#define GROUP         GROUP_MAX_AVX512 /* tokens of a tile */
#define SUMS_TILES    16               /* of a lot: 16 KiB, so that they stay in the first level cache */
#define SUMS_OF_TILE  (GROUP * PANEL_ROWS)
#define BLOCK_Q_WORDS (GROUP * 8) /* of a group's activations: four values each */

/* To compilers the tile instructions read nothing but an address: what lies there has to be written before. */
static ALWAYS_INLINE void published(const void *memory)
{
    __asm__ volatile("" ::"r"(memory) : "memory");
}

/* Tiles 0..3 are sums, 4 and 5 activations, 6 and 7 codes. A half has 16 columns. */
static void configure(enum block_kind kind)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    uint16_t columns = kind == BLOCK_HALVES ? 16 : 32;

    for (int i = 0; i < 8; i++) {
        config.rows[i] = (uint8_t)(i < 6 ? GROUP : columns / 4);
        config.row_bytes[i] = i == 4 || i == 5 ? columns : 64;
    }
    published(&config);
    _tile_loadconfig(&config);
}

/* --- products -------------------------------------------------------------------------------------------- */

struct products {
    const int32_t *q;    /* the first block's */
    const int8_t *codes; /* the first block's */
    int32_t *sums;       /* [tile][token][row] */
};

/* The unit multiplies while it stores what it multiplied two tiles ago: alone each takes as long as both. */
#define MULTIPLY(i, sum, a, b)                                                                                 \
    do {                                                                                                       \
        _tile_loadd(a, p->q + q_at((i), halves), 32);                                                          \
        _tile_loadd(b, p->codes + (size_t)(i) * (halves ? 256 : 512), 64);                                     \
        _tile_zero(sum);                                                                                       \
        _tile_dpbssd(sum, a, b);                                                                               \
    } while (0)
#define STORE(i, sum) _tile_stored(sum, p->sums + (size_t)(i)*SUMS_OF_TILE, 64)

static ALWAYS_INLINE size_t q_at(size_t tile, const int halves)
{
    return halves ? tile / 2 * BLOCK_Q_WORDS + tile % 2 * 4 : tile * BLOCK_Q_WORDS;
}

static ALWAYS_INLINE void multiply_tiles(const struct products *p, size_t n, const int halves)
{
    size_t i = 0;

    published(p->codes);
    for (; i + 4 <= n; i += 4) {
        MULTIPLY(i, 0, 4, 6);
        if (i)
            STORE(i - 2, 2);
        MULTIPLY(i + 1, 1, 5, 7);
        if (i)
            STORE(i - 1, 3);
        MULTIPLY(i + 2, 2, 4, 6);
        STORE(i, 0);
        MULTIPLY(i + 3, 3, 5, 7);
        STORE(i + 1, 1);
    }
    if (i) {
        STORE(i - 2, 2);
        STORE(i - 1, 3);
    }
    for (; i < n; i++) {
        MULTIPLY(i, 0, 4, 6);
        STORE(i, 0);
    }
}

/* --- chains ---------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE __m512 sums_of(const int32_t *sums, size_t tile, size_t token)
{
    return _mm512_cvtepi32_ps(_mm512_load_si512(sums + tile * SUMS_OF_TILE + token * PANEL_ROWS));
}

/* Adds blocks [first, end) of what is opened to chains [token][row]; x: the activations of its first block. */
static ALWAYS_INLINE void add_blocks(float *chains, const struct opened *w, size_t first, size_t end,
                                     const int32_t *sums, const struct group_int8 *x,
                                     const enum block_kind kind)
{
    __m512 acc[GROUP];

    UNROLL(16)
    for (size_t t = 0; t < GROUP; t++)
        acc[t] = _mm512_load_ps(chains + t * PANEL_ROWS);
    for (size_t b = first; b < end; b++) {
        __m512 scale = _mm512_load_ps(w->scale[b]), more0 = _mm512_load_ps(w->more[b][0]),
               more1 = _mm512_load_ps(w->more[b][1]);
        UNROLL(16)
        for (size_t t = 0; t < GROUP; t++) {
            size_t at = b * GROUP + t, tile = kind == BLOCK_HALVES ? 2 * (b - first) : b - first;
            __m512 isum = sums_of(sums, tile, t);
            if (kind == BLOCK_HALVES)
                isum = _mm512_fmadd_ps(sums_of(sums, tile + 1, t), more1, _mm512_mul_ps(isum, more0));
            acc[t] = _mm512_fmadd_ps(isum, _mm512_mul_ps(scale, _mm512_set1_ps(x->scale[at])), acc[t]);
            if (kind == BLOCK_MIN)
                acc[t] = _mm512_fnmadd_ps(more0, _mm512_set1_ps(x->scaled_sum[at]), acc[t]);
        }
    }
    UNROLL(16)
    for (size_t t = 0; t < GROUP; t++)
        _mm512_store_ps(chains + t * PANEL_ROWS, acc[t]);
}

static ALWAYS_INLINE void run_blocks(float *chains, const struct opened *w, const struct group_int8 *x,
                                     const enum block_kind kind)
{
    const int halves = kind == BLOCK_HALVES;
    size_t lot = halves ? SUMS_TILES / 2 : SUMS_TILES;
    _Alignas(64) int32_t sums[SUMS_TILES * SUMS_OF_TILE];

    for (size_t b = 0; b < w->n_blocks; b += lot) {
        size_t end = b + lot < w->n_blocks ? b + lot : w->n_blocks;
        struct products p = {.q = x->q + b * BLOCK_Q_WORDS, .codes = w->codes[b], .sums = sums};
        multiply_tiles(&p, (end - b) << halves, halves);
        add_blocks(chains, w, b, end, sums, x, kind);
    }
}

/* A panel's opened blocks times one group. */
static void run_group(float *chains, const struct opened *w, const struct group_int8 *x, enum block_kind kind)
{
    if (kind == BLOCK_PLAIN)
        run_blocks(chains, w, x, BLOCK_PLAIN);
    else if (kind == BLOCK_MIN)
        run_blocks(chains, w, x, BLOCK_MIN);
    else
        run_blocks(chains, w, x, BLOCK_HALVES);
}

/* --- the walk -------------------------------------------------------------------------------------------- */

/* Some panels times some tokens: 512 columns of the activations and the chains stay in the second level cache
 * while all these panels pass. The chains lie together; in the output, whose rows are far apart, they would
 * push each other out. */
#define LOT_PANELS 4
#define LOT_TOKENS 512
struct lot {
    const struct matmul *m;
    const struct tiles_type *type;
    uint32_t row, row_end;     /* of LOT_PANELS panels at most */
    uint32_t token, token_end; /* of LOT_TOKENS at most, whole groups */
    _Alignas(64) float chains[LOT_PANELS][LOT_TOKENS][PANEL_ROWS];
};

static void run_columns(struct lot *lot, uint32_t column)
{
    const struct matmul *m = lot->m;
    uint32_t n_left = m->n_cols - column, n_cols = n_left < OPENED_COLUMNS ? n_left : OPENED_COLUMNS;
    uint32_t n_panels = (lot->row_end - lot->row + PANEL_ROWS - 1) / PANEL_ROWS;
    size_t panel_bytes = lot->type->panel_bytes(m->n_cols), first_block = column / 32;
    const uint8_t *panel = (const uint8_t *)m->weights + lot->row / PANEL_ROWS * panel_bytes;
    struct opened opened;

    for (uint32_t p = 0; p < n_panels; p++) {
        opened.n_blocks = 0;
        lot->type->open(&opened, panel + p * panel_bytes + lot->type->panel_bytes(column), n_cols);
        for (uint32_t t = lot->token; t < lot->token_end; t += GROUP) {
            struct group_int8 x =
                group_int8_at(m->activations, m->n_cols / 32, (struct group){.first = t, .size = GROUP});
            x.q += first_block * BLOCK_Q_WORDS;
            x.scale += first_block * GROUP;
            x.scaled_sum += first_block * GROUP;
            run_group(lot->chains[p][t - lot->token], &opened, &x, lot->type->kind);
        }
    }
}

static void store_chains(const struct lot *lot)
{
    for (uint32_t t = lot->token; t < lot->token_end; t++)
        for (uint32_t row = lot->row, p = 0; row < lot->row_end; row += PANEL_ROWS, p++) {
            uint32_t n = lot->row_end - row;
            __mmask16 lanes = (__mmask16)(n >= PANEL_ROWS ? 0xFFFFU : (1U << n) - 1);
            _mm512_mask_storeu_ps(lot->m->out + t * lot->m->out_stride + row, lanes,
                                  _mm512_load_ps(lot->chains[p][t - lot->token]));
        }
}

static void run_lot(struct lot *lot)
{
    for (uint32_t p = 0; p < LOT_PANELS; p++)
        memset(lot->chains[p], 0, (lot->token_end - lot->token) * sizeof lot->chains[p][0]);
    for (uint32_t column = 0; column < lot->m->n_cols; column += OPENED_COLUMNS)
        run_columns(lot, column);
    store_chains(lot);
}

static void run_lots(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                     const struct tiles_type *type, uint32_t n_tokens)
{
    struct lot lot = {.m = m, .type = type};

    for (lot.token = 0; lot.token < n_tokens; lot.token = lot.token_end) {
        lot.token_end = n_tokens - lot.token < LOT_TOKENS ? n_tokens : lot.token + LOT_TOKENS;
        for (lot.row = row_first; lot.row < row_end; lot.row = lot.row_end) {
            lot.row_end =
                row_end - lot.row < LOT_PANELS * PANEL_ROWS ? row_end : lot.row + LOT_PANELS * PANEL_ROWS;
            run_lot(&lot);
        }
    }
}

/* A group's place does not depend on what comes behind it, so the last tokens are a buffer of their own. */
static void run_rest(const struct matmul *m, uint32_t row_first, uint32_t row_end,
                     const struct tiles_type *type, uint32_t n_done)
{
    struct matmul rest = *m;
    rest.activations = group_int8_at(m->activations, m->n_cols / 32, (struct group){.first = n_done}).q;
    rest.n_tokens -= n_done;
    rest.out += n_done * m->out_stride;
    type->rest(&rest, row_first, row_end);
}

void tiles_matmul(const struct matmul *m, uint32_t row_first, uint32_t row_end, const struct tiles_type *type)
{
    uint32_t n_tiled = m->n_tokens / GROUP * GROUP;

    if (n_tiled) {
        configure(type->kind);
        run_lots(m, row_first, row_end, type, n_tiled);
        _tile_release();
    }
    if (n_tiled < m->n_tokens)
        run_rest(m, row_first, row_end, type, n_tiled);
}
