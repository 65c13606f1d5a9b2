/* Steps: what is refused and why, places of sequences, parts that come and go, probes, cancelling. */
#include "rig.h"

#include <float.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_CTX 96

static char *path;
static uint32_t *tokens;

static struct rig small_rig(uint32_t n_slots)
{
    return rig_new(&(struct rig_options){
        .path = path, .level = rig_fastest(), .n_threads = 2, .n_ctx = N_CTX, .n_slots = n_slots});
}

static struct engine_step step_at(const struct rig *rig, uint64_t sequence, uint32_t position, uint32_t n)
{
    return (struct engine_step){.sequence = sequence,
                                .position = position,
                                .n_tokens = n,
                                .tokens = tokens,
                                .layer_end = rig->hp->n_layers};
}

static enum step_result run_at(const struct rig *rig, uint64_t sequence, uint32_t position, uint32_t n)
{
    struct engine_step step = step_at(rig, sequence, position, n);
    return engine_run(rig->engine, &step);
}

/* --- what is refused ---------------------------------------------------------------------------------------
 */

static void fields_out_of_bounds_are_refused(void **state)
{
    struct rig rig = small_rig(2);
    uint32_t n = rig.hp->n_layers, bad_tokens[] = {1, rig.hp->n_vocab}, worse_tokens[] = {UINT32_MAX, 0};
    struct sample_params nan = {.temperature = NAN, .repeat_penalty = 1};
    float *hidden = mem_array((size_t)N_CTX * rig.hp->n_embd, sizeof *hidden);
    const struct {
        struct engine_step step;
        enum step_result want;
    } table[] = {
        {{.sequence = 0, .n_tokens = 1, .tokens = tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 0, .tokens = tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 513, .tokens = tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = UINT32_MAX, .tokens = tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = NULL, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 2, .tokens = bad_tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 2, .tokens = worse_tokens, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_end = 0}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_first = 2, .layer_end = 1}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_first = n, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_end = n + 1}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_end = UINT32_MAX}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_first = 1, .layer_end = n}, STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_end = 1, .logits_out = hidden},
         STEP_BAD_INPUT},
        {{.sequence = 1, .n_tokens = 1, .tokens = tokens, .layer_end = n, .sample = &nan}, STEP_BAD_INPUT},
        {{.sequence = 1, .position = 0, .n_tokens = N_CTX + 1, .tokens = tokens, .layer_end = n}, STEP_FULL},
        {{.sequence = 1, .position = N_CTX, .n_tokens = 1, .tokens = tokens, .layer_end = n}, STEP_FULL},
        {{.sequence = 1, .position = UINT32_MAX, .n_tokens = 1, .tokens = tokens, .layer_end = n}, STEP_FULL},
        {{.sequence = 1, .position = UINT32_MAX - 3, .n_tokens = 5, .tokens = tokens, .layer_end = n},
         STEP_FULL},
        {{.sequence = 1, .position = 1, .n_tokens = 1, .tokens = tokens, .layer_end = n}, STEP_KV_MISS},
        {{.sequence = 1, .n_tokens = N_CTX, .tokens = tokens, .layer_end = n}, STEP_OK},
    };
    (void)state;

    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct engine_step step = table[i].step;
        enum step_result got = engine_run(rig.engine, &step);
        if (got != table[i].want)
            fail_msg("row %zu: %s, expected %s", i, step_result_name(got), step_result_name(table[i].want));
    }
    mem_free(hidden);
    rig_free(&rig);
}

static enum step_result run_hidden(const struct rig *rig, float *hidden, uint32_t n)
{
    struct engine_step step = step_at(rig, 5, 0, n);
    step.layer_first = 1;
    step.hidden_in = hidden;
    return engine_run(rig->engine, &step);
}

static void hidden_states_that_are_not_finite_are_refused(void **state)
{
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    struct rig rig = small_rig(2);
    size_t n = 10 * (size_t)rig.hp->n_embd;
    float *hidden = mem_array(n, sizeof *hidden);
    const size_t places[] = {0, 1, n / 2, n - 1};
    (void)state;

    assert_int_equal(run_hidden(&rig, hidden, 10), STEP_OK);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            hidden[places[k]] = bad[i];
            assert_int_equal(run_hidden(&rig, hidden, 10), STEP_BAD_INPUT);
            hidden[places[k]] = 0.5F;
        }
    assert_int_equal(run_hidden(&rig, hidden, 10), STEP_OK);
    for (size_t i = 0; i < n; i++)
        hidden[i] = FLT_MAX; /* finite, but nothing that a model would give: the result is not */
    enum step_result result = run_hidden(&rig, hidden, 10);
    assert_true(result == STEP_BAD_INPUT || result == STEP_OK);
    mem_free(hidden);
    rig_free(&rig);
}

/* --- positions ---------------------------------------------------------------------------------------------
 */

static void a_gap_is_a_miss_with_what_is_there(void **state)
{
    struct rig rig = small_rig(2);
    struct engine_step step;
    (void)state;

    assert_int_equal(run_at(&rig, 1, 0, 20), STEP_OK);
    step = step_at(&rig, 1, 21, 1);
    assert_int_equal(engine_run(rig.engine, &step), STEP_KV_MISS);
    assert_int_equal(step.have_position, 20);
    assert_int_equal(run_at(&rig, 1, 20, 1), STEP_OK);
    assert_int_equal(run_at(&rig, 1, 5, 1), STEP_OK); /* rolls back */
    step = step_at(&rig, 1, 7, 1);
    assert_int_equal(engine_run(rig.engine, &step), STEP_KV_MISS);
    assert_int_equal(step.have_position, 6);
    engine_forget(rig.engine, 1);
    step = step_at(&rig, 1, 6, 1);
    assert_int_equal(engine_run(rig.engine, &step), STEP_KV_MISS);
    assert_int_equal(step.have_position, 0);
    rig_free(&rig);
}

static void layers_are_counted_apart(void **state)
{
    struct rig rig = small_rig(2);
    struct engine_step step = step_at(&rig, 1, 0, 8);
    (void)state;

    step.layer_end = 1;
    assert_int_equal(engine_run(rig.engine, &step), STEP_OK);
    step = step_at(&rig, 1, 8, 1);
    assert_int_equal(engine_run(rig.engine, &step), STEP_KV_MISS); /* layers from 1 on have nothing */
    assert_int_equal(step.have_position, 0);
    step = step_at(&rig, 1, 8, 1);
    step.layer_end = 1;
    assert_int_equal(engine_run(rig.engine, &step), STEP_OK);
    rig_free(&rig);
}

/* --- places ------------------------------------------------------------------------------------------------
 */

static void the_oldest_idle_sequence_makes_room(void **state)
{
    struct rig rig = small_rig(2);
    (void)state;

    assert_int_equal(run_at(&rig, 1, 0, 4), STEP_OK);
    assert_int_equal(run_at(&rig, 2, 0, 4), STEP_OK);
    assert_int_equal(run_at(&rig, 1, 4, 1), STEP_OK);
    assert_int_equal(run_at(&rig, 3, 0, 4), STEP_OK); /* takes the place of 2 */
    assert_int_equal(run_at(&rig, 1, 5, 1), STEP_OK);
    assert_int_equal(run_at(&rig, 2, 4, 1), STEP_KV_MISS);
    assert_int_equal(run_at(&rig, 3, 4, 1), STEP_OK);
    assert_int_equal(engine_load(rig.engine).n_sequences, 2);
    engine_forget(rig.engine, 3);
    assert_int_equal(run_at(&rig, 2, 0, 4), STEP_OK);
    assert_int_equal(run_at(&rig, 1, 6, 1), STEP_OK); /* was not dropped: 3's place was free */
    rig_free(&rig);
}

static void probes_have_places_of_their_own(void **state)
{
    struct rig rig = small_rig(1);
    struct engine_step probe = step_at(&rig, 1, 0, 8);
    (void)state;

    assert_int_equal(run_at(&rig, 1, 0, 4), STEP_OK);
    probe.is_probe = true;
    assert_int_equal(engine_run(rig.engine, &probe), STEP_OK);
    assert_int_equal(run_at(&rig, 1, 4, 1), STEP_OK); /* same name, another timeline */
    assert_int_equal(engine_load(rig.engine).n_sequences, 1);
    rig_free(&rig);
}

static void check_probe(enum kv_type kv_type)
{
    struct rig f16 = rig_new(&(struct rig_options){.path = path, .n_threads = 1, .kv_type = KV_F16});
    struct rig other = rig_new(&(struct rig_options){.path = path, .n_threads = 1, .kv_type = kv_type});
    size_t n = 8 * (size_t)f16.hp->n_embd;
    float *a = mem_array(n, sizeof *a), *b = mem_array(n, sizeof *b), *c = mem_array(n, sizeof *c);
    struct engine_step step = step_at(&f16, 1, 0, 8);

    step.hidden_out = a;
    step.is_probe = true;
    assert_int_equal(engine_run(f16.engine, &step), STEP_OK);
    step.hidden_out = b;
    assert_int_equal(engine_run(other.engine, &step), STEP_OK);
    assert_memory_equal(a, b, n * sizeof *a);
    step.hidden_out = c;
    step.is_probe = false;
    assert_int_equal(engine_run(other.engine, &step), STEP_OK);
    assert_memory_not_equal(a, c, n * sizeof *a);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    rig_free(&f16);
    rig_free(&other);
}

static void probes_ignore_the_kind_of_keys_and_values(void **state)
{
    (void)state;
    check_probe(KV_F32);
    check_probe(KV_Q8_0);
}

/* --- parts -------------------------------------------------------------------------------------------------
 */

static void weights_come_and_go(void **state)
{
    struct rig rig = small_rig(2);
    struct error err;
    (void)state;

    assert_int_equal(engine_add(rig.engine, rig.weights, &err), STATUS_EXISTS);
    assert_int_equal(run_at(&rig, 1, 0, 4), STEP_OK);
    assert_true(engine_load(rig.engine).kv_bytes > 0);
    engine_remove(rig.engine, rig.weights);
    assert_int_equal(run_at(&rig, 1, 4, 1), STEP_NO_LAYERS);
    assert_int_equal(engine_add(rig.engine, rig.weights, &err), STATUS_OK);
    assert_int_equal(run_at(&rig, 1, 4, 1), STEP_KV_MISS);
    assert_int_equal(run_at(&rig, 1, 0, 4), STEP_OK);
    engine_remove(rig.engine, rig.weights);
    engine_remove(rig.engine, rig.weights); /* not here: nothing happens */
    rig_free(&rig);
}

static void other_models_are_refused(void **state)
{
    struct tiny_model other = tiny_model_default();
    other.n_ff = 768;
    char *other_path = tiny_file(&other);
    struct rig rig = small_rig(2);
    struct weights *weights = NULL;
    struct error err;
    (void)state;

    assert_int_equal(weights_load(&weights, other_path, engine_kernels(rig.engine), 1, NULL, &err), STATUS_OK);
    assert_int_equal(engine_add(rig.engine, weights, &err), STATUS_BAD_DATA);
    engine_remove(rig.engine, rig.weights);
    assert_int_equal(engine_add(rig.engine, weights, &err), STATUS_OK);
    assert_int_equal(run_at(&rig, 1, 0, 4), STEP_OK); /* scratch memory fits the new one */
    engine_remove(rig.engine, weights);
    weights_free(weights);
    tiny_file_remove(other_path);
    rig_free(&rig);
}

/* --- the queue ---------------------------------------------------------------------------------------------
 */

#define N_QUEUED 40

struct counter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint32_t n_done, n_cancelled, n_ok, order[N_QUEUED];
};

static void count(struct engine_step *step)
{
    struct counter *counter = step->owner;
    pthread_mutex_lock(&counter->lock);
    counter->order[counter->n_done++] = step->position;
    counter->n_cancelled += step->result == STEP_CANCELLED;
    counter->n_ok += step->result == STEP_OK;
    pthread_cond_signal(&counter->wake);
    pthread_mutex_unlock(&counter->lock);
}

static void submit_all(const struct rig *rig, struct engine_step *steps, struct counter *counter)
{
    for (uint32_t i = 0; i < N_QUEUED; i++) {
        steps[i] = step_at(rig, 1, 2 * i, 2);
        steps[i].done = count;
        steps[i].owner = counter;
        engine_submit(rig->engine, &steps[i]);
    }
}

static void steps_of_a_sequence_keep_their_order(void **state)
{
    struct counter counter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .n_done = 0};
    struct engine_step steps[N_QUEUED];
    struct rig rig = small_rig(2);
    (void)state;

    submit_all(&rig, steps, &counter);
    pthread_mutex_lock(&counter.lock);
    while (counter.n_done < N_QUEUED)
        pthread_cond_wait(&counter.wake, &counter.lock);
    pthread_mutex_unlock(&counter.lock);
    assert_int_equal(counter.n_ok, N_QUEUED);
    for (uint32_t i = 0; i < N_QUEUED; i++)
        assert_int_equal(counter.order[i], 2 * i);
    assert_int_equal(engine_load(rig.engine).tokens_done, 2 * N_QUEUED);
    rig_free(&rig);
}

static void closing_ends_every_step(void **state)
{
    struct counter counter = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .n_done = 0};
    struct engine_step steps[N_QUEUED];
    struct rig rig = small_rig(2);
    (void)state;

    submit_all(&rig, steps, &counter);
    engine_destroy(rig.engine);
    assert_int_equal(counter.n_done, N_QUEUED);
    assert_int_equal(counter.n_ok + counter.n_cancelled, N_QUEUED);
    weights_free(rig.weights);
}

static void needs_are_known_before(void **state)
{
    struct rig rig = small_rig(2);
    struct engine_config config = {.n_threads = 2, .n_ctx = N_CTX, .n_slots = 2};
    size_t one = engine_bytes_needed(&config, rig.hp, 0, 1), all = engine_bytes_needed(&config, rig.hp, 0, 3);
    (void)state;

    assert_int_equal(run_at(&rig, 1, 0, N_CTX), STEP_OK);
    assert_int_equal(run_at(&rig, 2, 0, N_CTX), STEP_OK);
    assert_true(engine_load(rig.engine).kv_bytes <= all);
    assert_true(one < all);
    rig_free(&rig);
}

int main(void)
{
    struct tiny_model model = tiny_model_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_out_of_bounds_are_refused),
        cmocka_unit_test(hidden_states_that_are_not_finite_are_refused),
        cmocka_unit_test(a_gap_is_a_miss_with_what_is_there),
        cmocka_unit_test(layers_are_counted_apart),
        cmocka_unit_test(the_oldest_idle_sequence_makes_room),
        cmocka_unit_test(probes_have_places_of_their_own),
        cmocka_unit_test(probes_ignore_the_kind_of_keys_and_values),
        cmocka_unit_test(weights_come_and_go),
        cmocka_unit_test(other_models_are_refused),
        cmocka_unit_test(steps_of_a_sequence_keep_their_order),
        cmocka_unit_test(closing_ends_every_step),
        cmocka_unit_test(needs_are_known_before),
    };
    path = tiny_file(&model);
    tokens = rig_tokens(600, model.n_vocab, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tiny_file_remove(path);
    mem_free(tokens);
    return failed;
}
