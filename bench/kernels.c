/* kernels - how fast each kernel of each level runs on one thread, beside the machine's limits measured first.
 *
 * usage: kernels [--level NAME] [--type NAME] [--ms N] [--mb N]      prints one JSON object
 * Each figure is the best of several rounds of about N milliseconds (default 60): a shared machine only slows
 * down. Products count a multiply-add as two operations. */
#include "kernels/kernels.h"
#include "base/jv.h"
#include "base/mem.h"
#include "base/rand.h"
#include "kernels/f16.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 5

struct options {
    const char *level; /* NULL: all */
    const char *type;
    double seconds, decode_mb;
};

static double now_s(void) /* of this thread: others on the machine count less */
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of one call: the best of ROUNDS rounds. */
static double time_of(void (*run)(void *arg), void *arg, double seconds)
{
    double best = 1e9;
    uint64_t n = 1;

    run(arg);
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_s(), took;
        for (uint64_t i = 0; i < n; i++)
            run(arg);
        took = now_s() - start;
        best = took / (double)n < best ? took / (double)n : best;
        double wanted = seconds / best;
        n = wanted < 1 ? 1 : wanted > 1e6 ? 1000000 : (uint64_t)wanted;
    }
    return best;
}

/* --- the machine's limits ------------------------------------------------------------------------------- */

#define READ_BYTES ((size_t)256 << 20)

struct read_job {
    const uint64_t *data;
    volatile uint64_t sum;
};

#if defined __x86_64__
#include <immintrin.h>

#define READ_AHEAD_FAR  12288
#define READ_AHEAD_NEAR 3072

__attribute__((target("avx2"))) static void read_all(void *arg)
{
    struct read_job *job = arg;
    const __m256i *at = (const __m256i *)(const void *)job->data, *end = at + READ_BYTES / sizeof *at;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (; at < end; at += 4) { /* asks ahead, as kernels do: by itself the machine stops at each page */
        for (int i = 0; i < 2; i++) {
            _mm_prefetch((const char *)at + READ_AHEAD_FAR + 64 * i, _MM_HINT_T1);
            _mm_prefetch((const char *)at + READ_AHEAD_NEAR + 64 * i, _MM_HINT_T0);
        }
        a = _mm256_xor_si256(a, _mm256_load_si256(at));
        b = _mm256_xor_si256(b, _mm256_load_si256(at + 1));
        c = _mm256_xor_si256(c, _mm256_load_si256(at + 2));
        d = _mm256_xor_si256(d, _mm256_load_si256(at + 3));
    }
    a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
    job->sum = (uint64_t)_mm256_extract_epi64(a, 0);
}

#define CHAINS   16
#define PER_CALL 100000

/* Independent chains, so that throughput counts and not latency. */
__attribute__((target("avx512f,avx512vnni"))) static void dot_512(void *arg)
{
    __m512i acc[CHAINS], w = _mm512_set1_epi32(*(volatile int *)arg), x = _mm512_set1_epi32(3);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_epi32(i);
    for (int n = 0; n < PER_CALL / CHAINS; n++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_dpbusd_epi32(acc[i], w, x);
        __asm__ volatile("" : "+v"(w), "+v"(x));
    }
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    *(volatile int *)arg = _mm512_reduce_add_epi32(acc[0]) & 1;
}

__attribute__((target("avx512f"))) static void fma_512(void *arg)
{
    __m512 acc[CHAINS], w = _mm512_set1_ps((float)*(volatile int *)arg), x = _mm512_set1_ps(1e-3F);
    for (int i = 0; i < CHAINS; i++)
        acc[i] = _mm512_set1_ps((float)i);
    for (int n = 0; n < PER_CALL / CHAINS; n++) {
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; i++)
            acc[i] = _mm512_fmadd_ps(w, x, acc[i]);
        __asm__ volatile("" : "+v"(w), "+v"(x));
    }
    for (int i = 1; i < CHAINS; i++)
        acc[0] = _mm512_add_ps(acc[0], acc[i]);
    *(volatile int *)arg = _mm512_reduce_add_ps(acc[0]) > 1e30F;
}

__attribute__((target("avx2,fma"))) static void fma_256(void *arg)
{
    __m256 acc[12], w = _mm256_set1_ps((float)*(volatile int *)arg), x = _mm256_set1_ps(1e-3F);
    for (int i = 0; i < 12; i++)
        acc[i] = _mm256_set1_ps((float)i);
    for (int n = 0; n < PER_CALL / 12; n++) {
#pragma GCC unroll 16
        for (int i = 0; i < 12; i++)
            acc[i] = _mm256_fmadd_ps(w, x, acc[i]);
        __asm__ volatile("" : "+x"(w), "+x"(x));
    }
    for (int i = 1; i < 12; i++)
        acc[0] = _mm256_add_ps(acc[0], acc[i]);
    *(volatile int *)arg = _mm256_cvtss_f32(acc[0]) > 1e30F;
}

/* Blocks of 32 columns as rule 1 cuts them, into four tiles of sums. Permission was asked for by
 * kernels_levels.
 */
__attribute__((target("amx-tile,amx-int8"))) static void dot_tiles(void *arg)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1, .row_bytes = {64, 64, 64, 64, 32, 0, 64}, .rows = {16, 16, 16, 16, 16, 0, 8}};
    __asm__ volatile("" ::"r"(&config), "r"(arg) : "memory");
    _tile_loadconfig(&config);
    for (int n = 0; n < PER_CALL / CHAINS; n++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 6);
        _tile_dpbssd(2, 4, 6);
        _tile_dpbssd(3, 4, 6);
    }
    _tile_release();
}

static void add_peaks(struct jv *limits, double seconds)
{
    const struct kernels *tiles;
    int seed = 0;
    if (!kernels_select_level(&tiles, "amx", NULL))
        jv_set_real(limits, "int8_tdpbssd_gops",
                    PER_CALL / CHAINS * 4.0 * 2 * 16 * 16 * 32 / time_of(dot_tiles, &seed, seconds) * 1e-9);
    if (__builtin_cpu_supports("avx512vnni"))
        jv_set_real(limits, "int8_vpdpbusd_gops", PER_CALL * 128 / time_of(dot_512, &seed, seconds) * 1e-9);
    if (__builtin_cpu_supports("avx512f"))
        jv_set_real(limits, "f32_fma_512_gops", PER_CALL * 32 / time_of(fma_512, &seed, seconds) * 1e-9);
    if (__builtin_cpu_supports("avx2"))
        jv_set_real(limits, "f32_fma_256_gops",
                    PER_CALL / 12 * 12 * 16 / time_of(fma_256, &seed, seconds) * 1e-9);
}
#else
static void read_all(void *arg)
{
    struct read_job *job = arg;
    uint64_t sums[4] = {0};
    for (size_t i = 0; i < READ_BYTES / 8; i += 4)
        for (int j = 0; j < 4; j++)
            sums[j] ^= job->data[i + (size_t)j];
    job->sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

static void add_peaks(struct jv *limits, double seconds)
{
    (void)limits;
    (void)seconds;
}
#endif

static struct jv *measure_limits(const struct options *o)
{
    struct jv *limits = jv_object_new();
    uint64_t *data = mem_try_large(READ_BYTES);
    struct read_job job = {.data = data};

    if (data) {
        for (size_t i = 0; i < READ_BYTES / 8; i++)
            data[i] = i;
        jv_set_real(limits, "read_gbps", READ_BYTES / time_of(read_all, &job, o->seconds) * 1e-9);
        mem_free(data);
    }
    add_peaks(limits, o->seconds);
    return limits;
}

/* --- matrices ------------------------------------------------------------------------------------------- */

struct product {
    const struct type_kernels *type;
    struct matmul m;
    const float *x;
    const uint8_t *rows;
    size_t row_bytes;
};

static void run_matmul(void *arg)
{
    struct product *p = arg;
    p->type->matmul(&p->m, 0, p->m.n_rows);
}

static void run_prepare(void *arg)
{
    struct product *p = arg;
    struct activation_part all = activation_tokens(p->m.n_cols, p->m.n_tokens, 0, p->m.n_tokens);
    p->type->activation->prepare((void *)(uintptr_t)p->m.activations, p->x, p->m.n_cols, &all);
}

static void run_pack(void *arg)
{
    struct product *p = arg;
    p->type->pack((void *)(uintptr_t)p->m.weights, p->m.n_rows, p->m.n_cols, 0, p->m.n_rows, p->rows);
}

/* The high bytes of the f16 in blocks that do not begin with the only one. */
static const uint8_t scales_high[TENSOR_TYPE_COUNT][2] = {
    /* clang-format off */
    [TENSOR_TYPE_Q4_1] = {1, 3},
    [TENSOR_TYPE_Q5_1] = {1, 3},
    [TENSOR_TYPE_Q2_K] = {81, 83},
    [TENSOR_TYPE_Q3_K] = {109, 109},
    [TENSOR_TYPE_Q4_K] = {1, 3},
    [TENSOR_TYPE_Q5_K] = {1, 3},
    [TENSOR_TYPE_Q6_K] = {209, 209},
    [TENSOR_TYPE_TQ1_0] = {53, 53},
    [TENSOR_TYPE_TQ2_0] = {65, 65},
    /* clang-format on */
};

/* Random bytes with every f16 that could be a scale made small. */
static void fill_rows(uint8_t *rows, size_t bytes, enum tensor_type type)
{
    struct rng rng = rng_seeded(type + 1U);
    for (size_t i = 0; i + 8 <= bytes; i += 8) {
        uint64_t v = rng_u64(&rng);
        memcpy(rows + i, &v, 8);
    }
    uint32_t block = tensor_type_info(type)->block_bytes;
    for (size_t i = 0; i + block <= bytes && block > 4; i += block) {
        rows[i + (scales_high[type][0] ? scales_high[type][0] : 1)] = 0x20;
        rows[i + (scales_high[type][1] ? scales_high[type][1] : 1)] = 0x20;
    }
    for (size_t i = 0; type == TENSOR_TYPE_MXFP4 && i + block <= bytes; i += block)
        rows[i] = 120;
    for (size_t i = 0; block <= 4 && i + block <= bytes; i += block)
        rows[i + block - 1] = 0x30;
}

static struct jv *entry(const struct kernels *k, const char *kernel, const char *type, double seconds)
{
    struct jv *e = jv_object_new();
    jv_set_text(e, "level", k->level);
    jv_set_text(e, "kernel", kernel);
    if (type)
        jv_set_text(e, "type", type);
    jv_set_real(e, "ns", seconds * 1e9);
    return e;
}

static void measure_one(struct jv *all, const struct kernels *k, enum tensor_type type, struct product *p,
                        const char *kernel, const struct options *o)
{
    size_t weight_bytes = p->row_bytes * p->m.n_rows;
    double ops = 2.0 * p->m.n_rows * p->m.n_cols * p->m.n_tokens;
    double seconds = time_of(run_matmul, p, o->seconds);
    struct jv *e = entry(k, kernel, tensor_type_info(type)->name, seconds);

    jv_set_int(e, "rows", p->m.n_rows);
    jv_set_int(e, "cols", p->m.n_cols);
    jv_set_int(e, "tokens", p->m.n_tokens);
    jv_set_real(e, "weights_gbps", (double)weight_bytes / seconds * 1e-9);
    jv_set_real(e, "gops", ops / seconds * 1e-9);
    jv_append(all, e);
}

static void measure_pack(struct jv *all, const struct kernels *k, enum tensor_type type, struct product *p,
                         const struct options *o)
{
    double seconds = time_of(run_pack, p, o->seconds);
    struct jv *e = entry(k, "pack", tensor_type_info(type)->name, seconds);
    jv_set_real(e, "weights_gbps", (double)(p->row_bytes * p->m.n_rows) / seconds * 1e-9);
    jv_append(all, e);
    seconds = time_of(run_prepare, p, o->seconds);
    e = entry(k, "prepare", tensor_type_info(type)->name, seconds);
    jv_set_real(e, "gbps", 4.0 * p->m.n_cols * p->m.n_tokens / seconds * 1e-9);
    jv_append(all, e);
}

static void measure_product(struct jv *all, const struct kernels *k, enum tensor_type type, const char *kernel,
                            uint32_t n_rows, uint32_t n_cols, uint32_t n_tokens, const struct options *o)
{
    const struct type_kernels *t = &k->types[type];
    uint64_t row_bytes = 0;
    bool row_is_whole = tensor_type_row_bytes(&row_bytes, type, n_cols);
    uint8_t *rows = mem_try_large(n_rows * row_bytes);
    void *weights = mem_try_large(t->packed_bytes(n_rows, n_cols));
    void *activations = mem_try_aligned(t->activation->bytes(n_cols, n_tokens));
    float *x = mem_try_aligned((size_t)n_cols * n_tokens * 4),
          *out = mem_try_aligned((size_t)n_rows * n_tokens * 4);

    if (row_is_whole && rows && weights && activations && x && out) {
        struct product p = {
            t, {weights, n_rows, n_cols, activations, n_tokens, out, n_rows}, x, rows, row_bytes};
        fill_rows(rows, n_rows * row_bytes, type);
        for (size_t i = 0; i < (size_t)n_cols * n_tokens; i++)
            x[i] = (float)(i % 251) - 125;
        run_pack(&p);
        run_prepare(&p);
        measure_one(all, k, type, &p, kernel, o);
        if (n_tokens > 1)
            measure_pack(all, k, type, &p, o);
    }
    mem_free(rows);
    mem_free(weights);
    mem_free(activations);
    mem_free(x);
    mem_free(out);
}

/* Rows of 2048 columns that take this much memory: decode reads weights that no cache holds. */
static uint32_t decode_rows(const struct tensor_type_info *info, const struct options *o)
{
    double n = o->decode_mb * 1048576 * info->block_elements / info->block_bytes / 2048;
    return n < 64 ? 64 : (uint32_t)n / 64 * 64;
}

static void measure_types(struct jv *all, const struct kernels *k, const struct options *o)
{
    bool is_ref = !strcmp(k->level, "ref");

    for (uint32_t type = 0; type < TENSOR_TYPE_COUNT; type++) {
        const struct tensor_type_info *info = tensor_type_info(type);
        if (!info || !info->can_compute || (o->type && strcmp(info->name, o->type) != 0))
            continue;
        if (is_ref) { /* slow, and the same for each token */
            measure_product(all, k, type, "matmul", 64, 2048, 4, o);
            continue;
        }
        measure_product(all, k, type, "matmul decode", decode_rows(info, o), 2048, 1, o);
        measure_product(all, k, type, "matmul batch 8", 2048, 2048, 8, o);
        measure_product(all, k, type, "matmul prefill", 1024, 2048, 512, o);
    }
}

/* --- attention and vectors ------------------------------------------------------------------------------ */

#define VECTOR_N     8192
#define ATTEND_TILES 32

struct vectors {
    const struct kernels *k;
    float *a, *b, *out;
    struct attention attention;
    void *tiles[ATTEND_TILES];
    struct attention_queries queries;
    uint32_t positions[16];
};

static void run_rms_norm(void *arg)
{
    struct vectors *v = arg;
    v->k->rms_norm(v->out, v->a, v->b, VECTOR_N, 1e-5F);
}

static void run_swiglu(void *arg)
{
    struct vectors *v = arg;
    v->k->swiglu(v->out, v->a, v->b, VECTOR_N);
}

static void run_add(void *arg)
{
    struct vectors *v = arg;
    v->k->add(v->out, v->a, v->b, VECTOR_N);
}

static void run_attend(void *arg)
{
    struct vectors *v = arg;
    kernels_attend(v->k, &v->attention, v->tiles, 0, &v->queries, v->out, VECTOR_N / 16, v->out + 2 * VECTOR_N);
}

static void measure_vectors(struct jv *all, const struct kernels *k, const struct options *o)
{
    static const struct {
        const char *name;
        void (*run)(void *arg);
    } runs[] = {{"rms_norm", run_rms_norm}, {"swiglu", run_swiglu}, {"add", run_add}};
    struct vectors v = {.k = k};

    v.a = mem_array(VECTOR_N, sizeof(float));
    v.b = mem_array(VECTOR_N, sizeof(float));
    v.out = mem_try_aligned((size_t)VECTOR_N * 8 * sizeof(float));
    for (uint32_t i = 0; i < VECTOR_N; i++)
        v.a[i] = v.b[i] = (float)(i % 17) * 0.1F - 0.8F;
    for (size_t i = 0; v.out && i < sizeof runs / sizeof *runs; i++) {
        double seconds = time_of(runs[i].run, &v, o->seconds);
        struct jv *e = entry(k, runs[i].name, NULL, seconds);
        jv_set_real(e, "ns_per_value", seconds * 1e9 / VECTOR_N);
        jv_append(all, e);
    }
    mem_free(v.a);
    mem_free(v.b);
    mem_free(v.out);
}

/* One kv head of 2048 positions, four heads to a group: one token, and sixteen at once. */
static void measure_attention(struct jv *all, const struct kernels *k, const struct options *o)
{
    struct vectors v = {.k = k};
    float *values = mem_array(128, sizeof(float));

    v.out = mem_try_aligned((size_t)VECTOR_N * 8 * sizeof(float));
    v.attention = (struct attention){.layout = {1, 64, 64, KV_ELEMENT_F16}, .n_heads = 4, .scale = 0.125F};
    for (uint32_t i = 0; i < 128; i++)
        values[i] = (float)(i % 7) * 0.2F - 0.5F;
    for (uint32_t i = 0; i < ATTEND_TILES; i++) {
        v.tiles[i] = mem_try_aligned(kv_tile_bytes(&v.attention.layout));
        for (uint32_t slot = 0; slot < KV_TILE_POSITIONS && v.tiles[i]; slot++)
            k->kv_store(&v.attention.layout, v.tiles[i], slot, values, values);
    }
    v.a = mem_array((size_t)16 * 256, sizeof(float));
    for (uint32_t i = 0; i < 16; i++)
        v.positions[i] = ATTEND_TILES * KV_TILE_POSITIONS - 16 + i;
    for (uint32_t n = 1; n <= 16; n += 15) {
        v.queries = (struct attention_queries){v.a, 256, v.positions + 16 - n, n};
        double seconds = time_of(run_attend, &v, o->seconds);
        struct jv *e = entry(k, n == 1 ? "attend decode" : "attend 16 tokens", "F16", seconds);
        jv_set_int(e, "positions", ATTEND_TILES * KV_TILE_POSITIONS);
        jv_set_real(e, "gops", 2.0 * 2 * 4 * 64 * ATTEND_TILES * KV_TILE_POSITIONS * n / seconds * 1e-9);
        jv_append(all, e);
    }
    for (uint32_t i = 0; i < ATTEND_TILES; i++)
        mem_free(v.tiles[i]);
    mem_free(v.a);
    mem_free(v.out);
    mem_free(values);
}

/* --- the whole ------------------------------------------------------------------------------------------ */

/* How many times faster than ref: by operations where they are counted, else by time. */
static void add_ratios(struct jv *all)
{
    for (size_t i = 0; i < jv_count(all); i++) {
        struct jv *e = jv_at(all, i);
        for (size_t j = 0; j < jv_count(all); j++) {
            struct jv *r = jv_at(all, j);
            const char *kernel = jv_get_text(e, "kernel", ""), *of_ref = jv_get_text(r, "kernel", "");
            bool both_matmul = !strncmp(kernel, "matmul", 6) && !strncmp(of_ref, "matmul", 6);
            if (strcmp(jv_get_text(r, "level", ""), "ref") != 0 ||
                (!both_matmul && strcmp(kernel, of_ref) != 0) ||
                strcmp(jv_get_text(e, "type", ""), jv_get_text(r, "type", "")) != 0)
                continue;
            double ratio = both_matmul ? jv_get_real(e, "gops", 0) / jv_get_real(r, "gops", 1)
                                       : jv_get_real(r, "ns", 0) / jv_get_real(e, "ns", 1);
            if (both_matmul || !strstr("pack prepare", kernel))
                jv_set_real(e, "times_ref", ratio);
        }
    }
}

static bool options_read(struct options *o, int argc, char **argv)
{
    *o = (struct options){.seconds = 0.06, .decode_mb = 96};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--level"))
            o->level = argv[i + 1];
        else if (!strcmp(argv[i], "--type"))
            o->type = argv[i + 1];
        else if (!strcmp(argv[i], "--ms"))
            o->seconds = strtod(argv[i + 1], NULL) * 1e-3;
        else if (!strcmp(argv[i], "--mb"))
            o->decode_mb = strtod(argv[i + 1], NULL);
        else
            return false;
    }
    return argc % 2 == 1 && o->seconds > 0;
}

int main(int argc, char **argv)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    uint32_t n_levels = kernels_levels(levels);
    struct options o;

    if (!options_read(&o, argc, argv)) {
        fprintf(stderr, "usage: kernels [--level NAME] [--type NAME] [--ms N] [--mb N]\n");
        return 2;
    }
    kernels_thread_start();
    struct jv *whole = jv_object_new(), *all = jv_array_new();
    jv_set(whole, "limits_one_thread", measure_limits(&o));
    for (uint32_t l = 0; l < n_levels; l++) {
        if (o.level && strcmp(o.level, levels[l]->level) != 0)
            continue;
        measure_types(all, levels[l], &o);
        if (!o.type) {
            measure_vectors(all, levels[l], &o);
            measure_attention(all, levels[l], &o);
        }
    }
    add_ratios(all);
    jv_set(whole, "kernels", all);
    char *text = jv_print(whole, JV_INDENTED);
    puts(text);
    mem_free(text);
    jv_free(whole);
    return 0;
}
