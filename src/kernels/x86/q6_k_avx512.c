#include "kernels/x86/levels.h"
#include "kernels/x86/matmul_avx512.h"

/* Low nibbles and the two bits above them, 0..63. */
static ALWAYS_INLINE void codes_of(__m512i w[8], const uint8_t *codes)
{
    const __m512i top2 = _mm512_set1_epi8(0x30);
    nibbles(w, codes);
    UNROLL(2)
    for (int half = 0; half < 2; half++) {
        __m512i high = _mm512_loadu_si512(codes + PANEL_Q4_BLOCK + 64 * half), *to = w + 4 * half;
        to[0] = _mm512_or_si512(to[0], _mm512_and_si512(_mm512_slli_epi16(high, 4), top2));
        to[1] = _mm512_or_si512(to[1], _mm512_and_si512(_mm512_slli_epi16(high, 2), top2));
        to[2] = _mm512_or_si512(to[2], _mm512_and_si512(high, top2));
        to[3] = _mm512_or_si512(to[3], _mm512_and_si512(_mm512_srli_epi16(high, 2), top2));
    }
}

static ALWAYS_INLINE void panel_q6_k(struct block_to to, const uint8_t *panel, uint32_t n_cols,
                                     const struct group_int8 *x, const uint32_t n)
{
    for (size_t s = 0; s < n_cols / 256; s++) {
        const uint8_t *super = panel + pair_codes_at(s, PANEL_Q6K_BYTES);
        __m512 d = f16_scales(panel + pair_scales_at(s, PANEL_Q6K_BYTES));
        read_pair_ahead(panel, s, PANEL_Q6K_BYTES, PANEL_Q6K_CODES, n);
        for (size_t j = 0; j < 8; j++) {
            __m512i w[8];
            __m512 sub_scale[2] = {signed_bytes(super + j * 32), signed_bytes(super + j * 32 + 16)};
            read_ahead(super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK, PANEL_Q6K_BLOCK, n);
            codes_of(w, super + PANEL_Q6K_CODES + j * PANEL_Q6K_BLOCK);
            block_halves(to, n, w, sub_scale, d, x_block_at(x, s * 8 + j, n));
        }
    }
}
MATMUL_AVX512(q6_k)
MATMUL_AMX(q6_k, BLOCK_SCALED)

void kernels_init_q6_k_avx512(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K].matmul = matmul_q6_k;
}

void kernels_init_q6_k_amx(struct kernels *k)
{
    k->types[TENSOR_TYPE_Q6_K].matmul = matmul_q6_k_amx;
}
