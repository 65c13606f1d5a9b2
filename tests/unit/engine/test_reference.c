/* The engine against llama.cpp's answers and exact ones, from the reference folder (README there: how close is
 * close). SHOAL_SHARED names that folder's parent, else ../shared beside the repository; skipped where absent.
 */
#include "rig.h"

#include "base/jv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_GREEDY   96
#define N_TEXT_MAX 512
#define FILE_MAX   ((size_t)1 << 20)

static const char *shared_dir(void)
{
    const char *dir = getenv("SHOAL_SHARED");
    return dir ? dir : "../shared";
}

static bool is_absent(void)
{
    char *path = mem_format("%s/reference/README.md", shared_dir());
    bool absent = access(path, R_OK) != 0;
    if (absent)
        print_message("no reference data at %s: skipped\n", path);
    mem_free(path);
    return absent;
}

/* --- lines of JSON -----------------------------------------------------------------------------------------
 */

struct lines {
    struct jv *at[128];
    uint32_t n;
};

static struct lines lines_read(const char *name)
{
    struct lines lines = {.n = 0};
    char *path = mem_format("%s/reference/%s", shared_dir(), name), *text = mem_new(FILE_MAX), *line = text;
    FILE *file = fopen(path, "r");
    struct error err;

    assert_non_null(file);
    size_t n = fread(text, 1, FILE_MAX - 1, file);
    fclose(file);
    assert_true(n < FILE_MAX - 1);
    for (char *end; *line && (end = strchr(line, '\n')); line = end + 1) {
        assert_true(lines.n < 128);
        rig_must(jv_parse(&lines.at[lines.n++], bytes_of(line, (size_t)(end - line)), NULL, &err), &err);
    }
    mem_free(text);
    mem_free(path);
    assert_true(lines.n > 0);
    return lines;
}

static void lines_free(struct lines *lines)
{
    for (uint32_t i = 0; i < lines->n; i++)
        jv_free(lines->at[i]);
}

/* --- our answers -------------------------------------------------------------------------------------------
 */

static struct rig rig_of(const char *file, enum kv_type kv_type, char **path)
{
    *path = mem_format("%s/%s", shared_dir(), file);
    return rig_new(&(struct rig_options){
        .path = *path, .level = rig_fastest(), .n_threads = 2, .n_ctx = N_TEXT_MAX, .kv_type = kv_type});
}

/* Log-probabilities at every position of the lines' tokens: [lines][n_vocab]. */
static double *log_probabilities(const struct rig *rig, const struct lines *lines)
{
    uint32_t n_vocab = rig->hp->n_vocab, ids[128];
    size_t n = (size_t)lines->n * n_vocab;
    float *logits = mem_array(n, sizeof *logits);
    double *out = mem_array(n, sizeof *out);

    for (uint32_t i = 0; i < lines->n; i++)
        ids[i] = (uint32_t)jv_get_int(lines->at[i], "token", -1);
    struct engine_step step = {.sequence = 1,
                               .n_tokens = lines->n,
                               .tokens = ids,
                               .layer_end = rig->hp->n_layers,
                               .logits_out = logits};
    assert_int_equal(engine_run(rig->engine, &step), STEP_OK);
    for (uint32_t i = 0; i < lines->n; i++) {
        double sum = 0;
        for (uint32_t t = 0; t < n_vocab; t++)
            sum += exp((double)logits[i * n_vocab + t]);
        for (uint32_t t = 0; t < n_vocab; t++)
            out[i * n_vocab + t] = (double)logits[i * n_vocab + t] - log(sum);
    }
    mem_free(logits);
    return out;
}

struct distance {
    double largest, rms;
    uint32_t n_other_best; /* positions where the likeliest token differs although its lead is clear */
};

/* `are_logs`: the lines hold log-probabilities, else probabilities. */
static struct distance distance_from(const char *model, const char *answers, enum kv_type kv_type,
                                     bool are_logs, double clear_lead)
{
    char *path;
    struct rig rig = rig_of(model, kv_type, &path);
    struct lines lines = lines_read(answers);
    double *ours = log_probabilities(&rig, &lines), squares = 0;
    struct distance distance = {.largest = 0};
    uint32_t n = 0;

    for (uint32_t i = 0; i < lines.n; i++) {
        const struct jv *top = jv_get(lines.at[i], "top");
        const double *row = ours + (size_t)i * rig.hp->n_vocab;
        double best[2] = {0};
        uint32_t first = 0;
        assert_int_equal(jv_count(top), 20);
        for (uint32_t k = 0; k < 20; k++, n++) {
            uint32_t token = (uint32_t)jv_int(jv_at(jv_at(top, k), 0), -1);
            double value = jv_real(jv_at(jv_at(top, k), 1), NAN);
            value = are_logs ? value : log(value);
            double off = fabs(row[token] - value);
            squares += off * off;
            distance.largest = off > distance.largest ? off : distance.largest;
            if (k < 2)
                best[k] = value;
            first = k ? first : token;
        }
        for (uint32_t t = 0; best[0] - best[1] > clear_lead && t < rig.hp->n_vocab; t++)
            distance.n_other_best += row[t] > row[first];
    }
    distance.rms = sqrt(squares / n);
    lines_free(&lines);
    mem_free(ours);
    rig_free(&rig);
    mem_free(path);
    return distance;
}

/* --- greedy text -------------------------------------------------------------------------------------------
 */

static uint32_t ids_of(const struct jv *array, uint32_t *out, uint32_t max)
{
    uint32_t n = (uint32_t)jv_count(array);
    assert_true(n > 0 && n <= max);
    for (uint32_t i = 0; i < n; i++)
        out[i] = (uint32_t)jv_int(jv_at(array, i), -1);
    return n;
}

static void check_greedy(const struct rig *rig, const struct jv *line)
{
    struct sample_params greedy = {.repeat_penalty = 1};
    uint32_t ids[N_TEXT_MAX], want[N_GREEDY], position = 0;
    uint32_t end = ids_of(jv_get(line, "prompt_ids"), ids, N_TEXT_MAX - N_GREEDY);

    assert_int_equal(ids_of(jv_get(jv_get(line, "greedy"), "ids"), want, N_GREEDY), N_GREEDY);
    for (uint32_t i = 0; i < N_GREEDY; i++) {
        struct engine_step step = {.sequence = 1,
                                   .position = position,
                                   .n_tokens = end - position,
                                   .tokens = ids + position,
                                   .layer_end = rig->hp->n_layers,
                                   .sample = &greedy};
        assert_int_equal(engine_run(rig->engine, &step), STEP_OK);
        assert_int_equal(step.sampled.token, want[i]);
        position = end;
        ids[end++] = step.sampled.token;
    }
}

static void greedy_text_is_the_same(void **state)
{
    char *path;
    (void)state;
    if (is_absent())
        skip();
    struct rig rig = rig_of("models/stories260K.gguf", KV_F32, &path);
    struct lines lines = lines_read("stories260K.greedy.jsonl");
    for (uint32_t i = 0; i < lines.n; i++)
        check_greedy(&rig, lines.at[i]);
    lines_free(&lines);
    rig_free(&rig);
    mem_free(path);
}

/* --- F32 models --------------------------------------------------------------------------------------------
 */

static void f32_models_are_close(void **state)
{
    /* Rounding llama3's keys and values to f16 and nothing else, in double precision, moves its
     * log-probabilities by up to 0.0244 (its tied random embedding gives logits of 40): the bound there.
     * llama.cpp takes gemma's GELU from a table of f16: a gate on the border of two of them moves
     * log-probabilities by 2e-4, and all else in double precision is 2.14e-4 from its answer for gemma3. */
    static const struct {
        const char *model, *answers;
        double f32_max, f16_max;
    } table[] = {{"models/stories260K.gguf", "stories260K.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/llama.gguf", "arch/llama.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/llama3.gguf", "arch/llama3.probs.jsonl", 1e-4, 2.5e-2},
                 {"reference/arch/qwen2.gguf", "arch/qwen2.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/qwen3.gguf", "arch/qwen3.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/mixtral.gguf", "arch/mixtral.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/qwen3moe.gguf", "arch/qwen3moe.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/gemma2.gguf", "arch/gemma2.probs.jsonl", 1e-4, 2e-2},
                 {"reference/arch/gemma3.gguf", "arch/gemma3.probs.jsonl", 3e-4, 2e-2},
                 {"reference/arch/phi3.gguf", "arch/phi3.probs.jsonl", 1e-4, 2e-2}};
    (void)state;
    if (is_absent())
        skip();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct distance f32 = distance_from(table[i].model, table[i].answers, KV_F32, false, 0.05);
        struct distance f16 = distance_from(table[i].model, table[i].answers, KV_F16, false, 0.05);
        print_message("%-28s largest difference %.2e with f32 keys and values, %.2e with f16\n", table[i].model,
                      f32.largest, f16.largest);
        assert_true(f32.largest < table[i].f32_max);
        assert_true(f16.largest < table[i].f16_max);
        assert_int_equal(f32.n_other_best, 0);
        assert_int_equal(f16.n_other_best, 0);
    }
}

/* --- quantised models --------------------------------------------------------------------------------------
 */

static void quantised_models_are_as_exact_as_llama_cpp(void **state)
{
    static const struct {
        const char *type;
        double llama_cpp_rms;
    } table[] = {
        /* clang-format off */
        {"F16", 0.0008},
        {"BF16", 0.0058},
        {"Q8_0", 0.0207},
        {"Q4_0", 0.0196},
        {"Q4_1", 0.0226},
        {"Q5_0", 0.0208},
        {"Q5_1", 0.0224},
        {"Q2_K", 0.0308},
        {"Q3_K_M", 0.0282},
        {"Q4_K_M", 0.0295},
        {"Q5_K_M", 0.0305},
        {"Q6_K", 0.0292},
        {"IQ4_NL", 0.0206},
        {"IQ4_XS", 0.0307},
        {"IQ3_S", 0.0297},
        {"IQ3_XXS", 0.0321},
        {"TQ1_0", 0.0310},
        {"TQ2_0", 0.0310},
        /* clang-format on */
    };
    double ratios = 0;
    size_t n = sizeof table / sizeof *table;
    (void)state;
    if (is_absent())
        skip();
    for (size_t i = 0; i < n; i++) {
        char *model = mem_format("reference/quant/%s.gguf", table[i].type);
        char *answers = mem_format("quant/%s.exact.jsonl", table[i].type);
        struct distance d = distance_from(model, answers, KV_F32, true, 0.2);
        double ratio = d.rms / table[i].llama_cpp_rms;
        print_message("%-8s rms %.4f, largest %.3f, %.3f of llama.cpp's rms\n", table[i].type, d.rms, d.largest,
                      ratio);
        assert_true(ratio <= 1.15);
        assert_int_equal(d.n_other_best, 0);
        ratios += ratio;
        mem_free(model);
        mem_free(answers);
    }
    assert_true(ratios / (double)n <= 1.05);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_the_same),
        cmocka_unit_test(f32_models_are_close),
        cmocka_unit_test(quantised_models_are_as_exact_as_llama_cpp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
