/* gpt-oss: the engine against llama.cpp's answers (gptoss.llama_cpp.jsonl) and against the same model computed
 * here in double precision, straight from the file's tensors, in the plainest way.
 *
 * The answers are made anew so, in a folder with node-llama-cpp:
 *   SHOAL_WRITE_MODEL=/tmp/gptoss.gguf build/tests/engine/test_gptoss
 *   SHOAL_REF_KV=f32 node ../shared/tools/llama-reference.mjs probs /tmp/gptoss.gguf IDS 8
 * with the ids of `sequence`. SHOAL_WRITE_MXFP4 names a file for the one with experts in MXFP4. */
#include "rig.h"

#include "base/jv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ANSWERS "tests/unit/engine/gptoss.llama_cpp.jsonl"
#define N_TOP   8

static const uint32_t sequence[] = {1,   403, 407, 261, 378, 300, 12,  99,  400, 410, 420,
                                    430, 440, 450, 460, 470, 480, 490, 500, 501, 502, 503,
                                    504, 77,  88,  99,  311, 312, 313, 314, 315, 316};
#define N_TOKENS (sizeof sequence / sizeof *sequence)

static struct tiny_model plain(void)
{
    struct tiny_model model = tiny_model_gptoss();
    model.has_vocabulary = true;
    return model;
}

static struct tiny_model with_mxfp4(void)
{
    struct tiny_model model = plain();
    model.expert_type = TENSOR_TYPE_MXFP4;
    return model;
}

/* --- in double precision -----------------------------------------------------------------------------------
 */

struct exact {
    struct tiny_model model;
    struct gguf *gguf;
    uint32_t head_dim;
    double *x;     /* [N_TOKENS][n_embd] */
    double *k, *v; /* [N_TOKENS][kv heads], of one layer */
};

/* Of a matrix: dims[1] rows a matrix, matrices one after the other. */
static double *tensor(const struct exact *e, const char *name, uint32_t layer)
{
    static const double e2m1[] = {0, .5, 1, 1.5, 2, 3, 4, 6, 0, -.5, -1, -1.5, -2, -3, -4, -6};
    char full[GGUF_NAME_BYTES_MAX + 1];
    struct error err;
    if (layer == TENSOR_NO_LAYER)
        snprintf(full, sizeof full, "%s", name);
    else
        snprintf(full, sizeof full, "blk.%u.%s", layer, name);
    const struct gguf_tensor *t = gguf_find_tensor(e->gguf, full);
    assert_non_null(t);
    size_t n = t->dims[0] * t->dims[1] * t->dims[2];
    uint8_t *raw = mem_array(t->bytes, 1);
    double *out = mem_array(n, sizeof *out);

    rig_must(gguf_read_tensor(e->gguf, t, 0, raw, t->bytes, &err), &err);
    for (size_t i = 0; i < n; i++) {
        float value;
        if (t->type == TENSOR_TYPE_MXFP4) { /* an exponent, then sixteen low nibbles and their high ones */
            const uint8_t *block = raw + i / 32 * 17;
            uint8_t pair = block[1 + i % 16];
            out[i] = ldexp(e2m1[i % 32 < 16 ? pair & 15 : pair >> 4], block[0] - 127);
        } else {
            memcpy(&value, raw + 4 * i, sizeof value);
            out[i] = (double)value;
        }
    }
    mem_free(raw);
    return out;
}

static void norm(double *out, const double *x, const double *weight, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (uint32_t i = 0; i < n; i++)
        out[i] = x[i] / sqrt(sum / n + (double)1e-5F) * weight[i];
}

static void multiply(double *out, const double *w, const double *bias, const double *x, uint32_t n_rows,
                     uint32_t n_cols)
{
    for (uint32_t r = 0; r < n_rows; r++) {
        out[r] = bias ? bias[r] : 0;
        for (uint32_t c = 0; c < n_cols; c++)
            out[r] += w[(size_t)r * n_cols + c] * x[c];
    }
}

/* The same from tensors "blk.N.NAME.weight" and ".bias". */
static void multiply_by(const struct exact *e, const char *name, uint32_t layer, double *out, const double *x,
                        uint32_t n_rows, uint32_t n_cols)
{
    char *names[] = {mem_format("%s.weight", name), mem_format("%s.bias", name)};
    double *w = tensor(e, names[0], layer), *bias = tensor(e, names[1], layer);
    multiply(out, w, bias, x, n_rows, n_cols);
    mem_free(w);
    mem_free(bias);
    mem_free(names[0]);
    mem_free(names[1]);
}

/* YaRN as its paper has it: base 10000, factor 32, of 16 positions; ramp between 32 turns and 1. */
static void turn(double *heads, uint32_t n_heads, uint32_t d, uint32_t position)
{
    double low = floor(d * log(16 / (32 * 2 * M_PI)) / (2 * log(10000)));
    double high = ceil(d * log(16 / (2 * M_PI)) / (2 * log(10000)));
    low = fmax(low, 0);
    high = fmin(high, d - 1);
    for (uint32_t i = 0; i < d / 2; i++) {
        double behind = fmin(1, fmax(0, (i - low) / fmax(high - low, 0.001)));
        double frequency = pow(10000, -2.0 * i / d), angle = position * frequency * (behind / 32 + 1 - behind);
        double c = cos(angle) * (1 + 0.1 * log(32)), s = sin(angle) * (1 + 0.1 * log(32));
        for (uint32_t h = 0; h < n_heads; h++) {
            double *a = heads + h * d + i, *b = a + d / 2, was = *a;
            *a = was * c - *b * s;
            *b = *b * c + was * s;
        }
    }
}

static void attend_head(const struct exact *e, double *out, const double *q, double sink, uint32_t kv_head,
                        uint32_t position, uint32_t window)
{
    uint32_t d = e->head_dim, stride = e->model.n_kv_heads * d, first = 0;
    double sum = exp(sink);
    memset(out, 0, d * sizeof *out);
    if (window && position + 1 > window)
        first = position + 1 - window;
    for (uint32_t p = first; p <= position; p++) {
        double score = 0;
        for (uint32_t i = 0; i < d; i++)
            score += q[i] * e->k[p * stride + kv_head * d + i];
        double weight = exp(score / sqrt(d));
        sum += weight;
        for (uint32_t i = 0; i < d; i++)
            out[i] += weight * e->v[p * stride + kv_head * d + i];
    }
    for (uint32_t i = 0; i < d; i++)
        out[i] /= sum;
}

static void attention(struct exact *e, uint32_t layer)
{
    uint32_t n_embd = e->model.n_embd, d = e->head_dim, n_q = e->model.n_heads * d,
             n_k = e->model.n_kv_heads * d;
    double *weight = tensor(e, "attn_norm.weight", layer), *sinks = tensor(e, "attn_sinks.weight", layer);
    double *in = mem_array(n_embd, sizeof *in), *q = mem_array(n_q, sizeof *q),
           *out = mem_array(n_q, sizeof *out);

    for (uint32_t t = 0; t < N_TOKENS; t++) {
        norm(in, e->x + t * n_embd, weight, n_embd);
        multiply_by(e, "attn_q", layer, q, in, n_q, n_embd);
        multiply_by(e, "attn_k", layer, e->k + t * n_k, in, n_k, n_embd);
        multiply_by(e, "attn_v", layer, e->v + t * n_k, in, n_k, n_embd);
        turn(q, e->model.n_heads, d, t);
        turn(e->k + t * n_k, e->model.n_kv_heads, d, t);
        for (uint32_t h = 0; h < e->model.n_heads; h++)
            attend_head(e, out + h * d, q + h * d, sinks[h], h / (e->model.n_heads / e->model.n_kv_heads), t,
                        layer % 2 ? 0 : 16);
        multiply_by(e, "attn_output", layer, in, out, n_embd, n_q);
        for (uint32_t i = 0; i < n_embd; i++)
            e->x[t * n_embd + i] += in[i];
    }
    double *used[] = {weight, sinks, in, q, out};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        mem_free(used[i]);
}

struct experts {
    double *gate, *gate_bias, *up, *up_bias, *down, *down_bias;
};

/* x += share * the expert of `in`. */
static void add_expert(const struct exact *e, const struct experts *w, uint32_t id, double share, double *x,
                       const double *in)
{
    uint32_t n_embd = e->model.n_embd, n_ff = e->model.n_ff;
    size_t at = (size_t)id * n_ff * n_embd;
    double gate[128], up[128], out[256];

    multiply(gate, w->gate + at, w->gate_bias + id * n_ff, in, n_ff, n_embd);
    multiply(up, w->up + at, w->up_bias + id * n_ff, in, n_ff, n_embd);
    for (uint32_t i = 0; i < n_ff; i++) {
        double g = fmin(gate[i], 7), u = fmax(-7, fmin(up[i], 7));
        gate[i] = g / (1 + exp(-1.702 * g)) * (u + 1);
    }
    multiply(out, w->down + at, w->down_bias + id * n_embd, gate, n_embd, n_ff);
    for (uint32_t i = 0; i < n_embd; i++)
        x[i] += share * out[i];
}

static void add_experts(const struct exact *e, const struct experts *w, double *scores, double *x,
                        const double *in)
{
    uint32_t taken[8];
    double sum = 0, shares[8];
    for (uint32_t i = 0; i < e->model.n_experts_used; i++) {
        taken[i] = 0;
        for (uint32_t id = 1; id < e->model.n_experts; id++)
            taken[i] = scores[id] > scores[taken[i]] ? id : taken[i];
        sum += shares[i] = exp(scores[taken[i]]);
        scores[taken[i]] = -HUGE_VAL;
    }
    for (uint32_t i = 0; i < e->model.n_experts_used; i++)
        add_expert(e, w, taken[i], shares[i] / sum, x, in);
}

static void feed_forward(struct exact *e, uint32_t layer)
{
    uint32_t n_embd = e->model.n_embd;
    struct experts w = {tensor(e, "ffn_gate_exps.weight", layer), tensor(e, "ffn_gate_exps.bias", layer),
                        tensor(e, "ffn_up_exps.weight", layer),   tensor(e, "ffn_up_exps.bias", layer),
                        tensor(e, "ffn_down_exps.weight", layer), tensor(e, "ffn_down_exps.bias", layer)};
    double *weight = tensor(e, "post_attention_norm.weight", layer), in[256], scores[16];

    for (uint32_t t = 0; t < N_TOKENS; t++) {
        norm(in, e->x + t * n_embd, weight, n_embd);
        multiply_by(e, "ffn_gate_inp", layer, scores, in, e->model.n_experts, n_embd);
        add_experts(e, &w, scores, e->x + t * n_embd, in);
    }
    double *used[] = {w.gate, w.gate_bias, w.up, w.up_bias, w.down, w.down_bias, weight};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        mem_free(used[i]);
}

static void to_log_probabilities(double *row, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += exp(row[i]);
    for (uint32_t i = 0; i < n; i++)
        row[i] -= log(sum);
}

/* [N_TOKENS][n_vocab] */
static double *exact_answer(const struct tiny_model *model, const char *path)
{
    struct exact e = {.model = *model, .head_dim = tiny_head_dim(model)};
    uint32_t n_embd = model->n_embd, n_vocab = model->n_vocab;
    double *out = mem_array(N_TOKENS * n_vocab, sizeof *out), in[256];
    struct error err;

    rig_must(gguf_open(&e.gguf, path, &err), &err);
    double *embedding = tensor(&e, "token_embd.weight", TENSOR_NO_LAYER);
    double *weight = tensor(&e, "output_norm.weight", TENSOR_NO_LAYER);
    double *output = tensor(&e, "output.weight", TENSOR_NO_LAYER);
    e.x = mem_array(N_TOKENS * n_embd, sizeof *e.x);
    e.k = mem_array(N_TOKENS * model->n_kv_heads * e.head_dim, sizeof *e.k);
    e.v = mem_array(N_TOKENS * model->n_kv_heads * e.head_dim, sizeof *e.v);
    for (uint32_t t = 0; t < N_TOKENS; t++)
        memcpy(e.x + t * n_embd, embedding + (size_t)sequence[t] * n_embd, n_embd * sizeof *e.x);
    for (uint32_t layer = 0; layer < model->n_layers; layer++) {
        attention(&e, layer);
        feed_forward(&e, layer);
    }
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        norm(in, e.x + t * n_embd, weight, n_embd);
        multiply(out + t * n_vocab, output, NULL, in, n_vocab, n_embd);
        to_log_probabilities(out + t * n_vocab, n_vocab);
    }
    double *used[] = {embedding, weight, output, e.x, e.k, e.v};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++)
        mem_free(used[i]);
    gguf_close(e.gguf);
    return out;
}

/* --- ours --------------------------------------------------------------------------------------------------
 */

static double *our_answer(const char *path, enum kv_type kv_type)
{
    struct rig rig = rig_new(&(struct rig_options){
        .path = path, .level = rig_fastest(), .n_threads = 2, .n_ctx = 64, .n_slots = 1, .kv_type = kv_type});
    uint32_t n_vocab = rig.hp->n_vocab;
    float *logits = mem_array(N_TOKENS * n_vocab, sizeof *logits);
    double *out = mem_array(N_TOKENS * n_vocab, sizeof *out);
    struct engine_step step = {.sequence = 1,
                               .n_tokens = N_TOKENS,
                               .tokens = sequence,
                               .layer_end = rig.hp->n_layers,
                               .logits_out = logits};

    assert_int_equal(engine_run(rig.engine, &step), STEP_OK);
    for (size_t i = 0; i < N_TOKENS * n_vocab; i++)
        out[i] = (double)logits[i];
    for (uint32_t t = 0; t < N_TOKENS; t++)
        to_log_probabilities(out + t * n_vocab, n_vocab);
    mem_free(logits);
    rig_free(&rig);
    return out;
}

static double largest_difference(const double *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(a[i] - b[i]));
    return largest;
}

static void equal_to_double_precision(void **state)
{
    struct tiny_model model = plain();
    char *path = tiny_file(&model);
    double *want = exact_answer(&model, path);
    double *f32 = our_answer(path, KV_F32), *f16 = our_answer(path, KV_F16);
    double far = largest_difference(f32, want, N_TOKENS * model.n_vocab),
           farther = largest_difference(f16, want, N_TOKENS * model.n_vocab);

    (void)state;
    print_message("largest difference %.2e with f32 keys and values, %.2e with f16\n", far, farther);
    assert_true(far < 1e-5);
    assert_true(farther < 2e-3);
    mem_free(want);
    mem_free(f32);
    mem_free(f16);
    tiny_file_remove(path);
}

/* Largest difference of log-probabilities from a line of llama.cpp's. */
static double difference_from_line(const double *ours, const char *text, size_t n_bytes, uint32_t position)
{
    struct jv *line;
    struct error err;
    double largest = 0;

    rig_must(jv_parse(&line, bytes_of(text, n_bytes), NULL, &err), &err);
    const struct jv *top = jv_get(line, "top");
    assert_int_equal(jv_get_int(line, "token", -1), sequence[position]);
    assert_int_equal(jv_count(top), N_TOP);
    for (uint32_t i = 0; i < N_TOP; i++) {
        double p = jv_real(jv_at(jv_at(top, i), 1), NAN);
        largest = fmax(largest, fabs(log(p) - ours[jv_int(jv_at(jv_at(top, i), 0), -1)]));
    }
    jv_free(line);
    return largest;
}

static void equal_to_llama_cpp(void **state)
{
    struct tiny_model model = plain();
    char text[4096], *path;
    FILE *file = fopen(ANSWERS, "r");
    double largest = 0;
    uint32_t n = 0;

    (void)state;
    if (!file) {
        print_message("skipped: " ANSWERS " is not below the current folder\n");
        skip();
    }
    path = tiny_file(&model);
    double *f32 = our_answer(path, KV_F32);
    for (; fgets(text, sizeof text, file); n++) {
        assert_true(n < N_TOKENS);
        largest = fmax(largest, difference_from_line(f32 + n * model.n_vocab, text, strlen(text), n));
    }
    print_message("largest difference from llama.cpp %.2e\n", largest);
    assert_int_equal(n, N_TOKENS);
    assert_true(largest < 1e-4);
    fclose(file);
    mem_free(f32);
    tiny_file_remove(path);
}

static void assert_refused(const char *path, enum status want, const char *says)
{
    struct weights *weights;
    const struct kernels *kernels;
    struct error err = {0};
    rig_must(kernels_select_level(&kernels, "ref", &err), &err);
    enum status status = weights_load(&weights, path, kernels, 1, NULL, &err);
    if (status != want || !strstr(err.text, says))
        fail_msg("'%s': \"%s\", without \"%s\"", status_name(status), err.text, says);
}

static void a_missing_tensor_is_named(void **state)
{
    const struct hparams hp = {.arch = ARCH_GPTOSS, .n_experts = 7};
    uint32_t n = 0;

    (void)state;
    for (int role = TENSOR_ROLE_LAYER_FIRST; role < TENSOR_ROLE_COUNT; role++) {
        struct tiny_model model = plain();
        char name[GGUF_NAME_BYTES_MAX + 1], *says;
        model.without = (enum tensor_role)role;
        if (tensor_need_of(&hp, model.without) != TENSOR_NEEDED)
            continue;
        tensor_name(name, model.without, 0);
        says = mem_format("the tensor '%s' is missing", name);
        char *path = tiny_file(&model);
        assert_refused(path, STATUS_BAD_DATA, says);
        tiny_file_remove(path);
        mem_free(says);
        n++;
    }
    assert_int_equal(n, 19); /* as many as a layer has */
}

/* The second experts' bias, all else as it was. */
static void biases_of_another_type_are_refused(void **state)
{
    static const char name[] = "blk.1.ffn_up_exps.bias";
    struct tiny_model model = plain();
    const uint32_t type = TENSOR_TYPE_I32;
    char *path = tiny_file(&model), head[65536];
    FILE *file = fopen(path, "r+b");
    size_t n = sizeof name - 1, at = 0;

    (void)state;
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    while (at + n < sizeof head && memcmp(head + at, name, n) != 0)
        at++;
    assert_int_equal(fseek(file, (long)(at + n) + 4 + 2 * 8, SEEK_SET), 0); /* behind the dimensions */
    assert_int_equal(fwrite(&type, sizeof type, 1, file), 1);
    fclose(file);
    assert_refused(path, STATUS_UNSUPPORTED, "'blk.1.ffn_up_exps.bias' is of type I32; a vector must be F32");
    tiny_file_remove(path);
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Root mean square of the differences at each position, their median: at some, rounded activations make the
 * router take another expert, for us at these and for llama.cpp at others. llama.cpp's median is 0.0076. */
static void mxfp4_experts_are_as_exact_as_llama_cpp(void **state)
{
    struct tiny_model model = with_mxfp4();
    char *path = tiny_file(&model);
    double *want = exact_answer(&model, path), *ours = our_answer(path, KV_F32), rms[N_TOKENS];

    (void)state;
    for (uint32_t t = 0; t < N_TOKENS; t++) {
        double sum = 0;
        for (size_t i = t * model.n_vocab; i < (t + 1) * model.n_vocab; i++)
            sum += (ours[i] - want[i]) * (ours[i] - want[i]);
        rms[t] = sqrt(sum / model.n_vocab);
    }
    qsort(rms, N_TOKENS, sizeof *rms, by_size);
    print_message("experts in MXFP4: rms %.4f\n", rms[N_TOKENS / 2]);
    assert_true(rms[N_TOKENS / 2] < 1.15 * 0.0076);
    mem_free(want);
    mem_free(ours);
    tiny_file_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_double_precision),
        cmocka_unit_test(equal_to_llama_cpp),
        cmocka_unit_test(a_missing_tensor_is_named),
        cmocka_unit_test(biases_of_another_type_are_refused),
        cmocka_unit_test(mxfp4_experts_are_as_exact_as_llama_cpp),
    };
    struct tiny_model models[] = {plain(), with_mxfp4()};
    const char *paths[] = {getenv("SHOAL_WRITE_MODEL"), getenv("SHOAL_WRITE_MXFP4")};
    for (int i = 0; i < 2; i++)
        if (paths[i])
            tiny_model_write(&models[i], paths[i]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
