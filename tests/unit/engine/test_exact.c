/* The arithmetic is exact: the same bits whatever the number of threads, the chunks of the prompt, the cut into
 * layers, the company in a batch, the replays and the level of instruction set. */
#include "rig.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define N_TOKENS 130 /* three tiles of positions, the last one in part */

static char *path;
static uint32_t *tokens;

struct answer {
    float *hidden, *logits; /* [N_TOKENS][n_embd], [N_TOKENS][n_vocab] */
    size_t hidden_bytes, logits_bytes;
};

struct how {
    uint32_t chunk;
    const uint32_t *cuts; /* layers where the model is cut, ends with n_layers; NULL: nowhere */
    uint64_t sequence;
    const uint32_t *tokens; /* NULL: the common ones */
    uint32_t n_unread;      /* nothing is read of chunks that end by there */
};

static struct answer answer_new(const struct rig *rig)
{
    struct answer a = {.hidden_bytes = sizeof(float) * N_TOKENS * rig->hp->n_embd,
                       .logits_bytes = sizeof(float) * N_TOKENS * rig->hp->n_vocab};
    a.hidden = mem_new(a.hidden_bytes);
    a.logits = mem_new(a.logits_bytes);
    return a;
}

static void answer_free(struct answer *a)
{
    mem_free(a->hidden);
    mem_free(a->logits);
}

/* One chunk through all layers, cut by cut; the hidden states are passed on by hand. */
static void run_chunk(const struct rig *rig, const struct how *how, uint32_t position, uint32_t n,
                      struct answer *out)
{
    const uint32_t whole[] = {rig->hp->n_layers}, *cut = how->cuts ? how->cuts : whole;
    float *hidden = out->hidden + (size_t)position * rig->hp->n_embd;

    for (uint32_t first = 0; first < rig->hp->n_layers; first = *cut++) {
        struct engine_step step = {.sequence = how->sequence ? how->sequence : 1,
                                   .position = position,
                                   .n_tokens = n,
                                   .tokens = (how->tokens ? how->tokens : tokens) + position,
                                   .layer_first = first,
                                   .layer_end = *cut,
                                   .hidden_in = hidden,
                                   .hidden_out = hidden};
        if (*cut == rig->hp->n_layers && position + n <= how->n_unread)
            step.hidden_out = NULL;
        else if (*cut == rig->hp->n_layers)
            step.logits_out = out->logits + (size_t)position * rig->hp->n_vocab;
        assert_int_equal(engine_run(rig->engine, &step), STEP_OK);
    }
}

static void run_from(const struct rig *rig, const struct how *how, uint32_t position, struct answer *out)
{
    for (uint32_t n; position < N_TOKENS; position += n) {
        n = how->chunk && how->chunk < N_TOKENS - position ? how->chunk : N_TOKENS - position;
        run_chunk(rig, how, position, n, out);
    }
}

static struct answer answer_of(const struct rig *rig, const struct how *how)
{
    struct answer a = answer_new(rig);
    run_from(rig, how, 0, &a);
    return a;
}

/* From position `first` on. */
static void check_same_from(uint32_t first, const struct answer *got, const struct answer *want,
                            const char *what)
{
    size_t n = want->hidden_bytes / sizeof(float), at = n / N_TOKENS * first,
           skipped = want->logits_bytes / N_TOKENS * first / sizeof(float);
    while (at < n && !memcmp(&got->hidden[at], &want->hidden[at], sizeof(float)))
        at++;
    if (at < n)
        fail_msg("%s: position %zu of the hidden states has other bits", what, at / (n / N_TOKENS));
    if (memcmp(got->logits + skipped, want->logits + skipped, want->logits_bytes - skipped * sizeof(float)))
        fail_msg("%s: the logits have other bits", what);
}

static void check_same(const struct answer *got, const struct answer *want, const char *what)
{
    check_same_from(0, got, want, what);
}

/* ref, one thread, the whole prompt at once. */
static struct answer expected(enum kv_type kv_type)
{
    struct rig rig = rig_new(&(struct rig_options){.path = path, .n_threads = 1, .kv_type = kv_type});
    struct answer a = answer_of(&rig, &(struct how){.chunk = 0});
    rig_free(&rig);
    return a;
}

/* --- threads, chunks, cuts, levels -------------------------------------------------------------------------
 */

static const uint32_t chunks[] = {1, 7, 64, 0};
static const uint32_t cut_in_two[] = {2, 3}, cut_everywhere[] = {1, 2, 3};

static void check_way(const struct rig *rig, const struct answer *want, const char *what, uint32_t chunk,
                      const uint32_t *cuts)
{
    char text[128];
    struct answer got = answer_of(rig, &(struct how){.chunk = chunk, .cuts = cuts});
    snprintf(text, sizeof text, "%s, chunks of %u, %s", what, chunk,
             !cuts                ? "uncut"
             : cuts == cut_in_two ? "cut in two"
                                  : "cut everywhere");
    check_same(&got, want, text);
    answer_free(&got);
}

/* Rows that nobody reads are left out of the last layer, but for their keys and values. */
static void check_unread(const struct rig *rig, const struct answer *want, const char *what, uint32_t chunk)
{
    char text[128];
    struct how how = {.chunk = chunk, .cuts = chunk % 2 ? cut_in_two : NULL, .n_unread = N_TOKENS - 1};
    struct answer got = answer_of(rig, &how);
    snprintf(text, sizeof text, "%s, chunks of %u, only the last read", what, chunk);
    check_same_from(N_TOKENS - N_TOKENS % chunk, &got, want, text);
    answer_free(&got);
}

static void check_all_ways(const char *level, uint32_t n_threads, enum kv_type kv_type)
{
    struct answer want = expected(kv_type);
    struct rig rig = rig_new(
        &(struct rig_options){.path = path, .level = level, .n_threads = n_threads, .kv_type = kv_type});
    char what[64];

    snprintf(what, sizeof what, "%s, %u threads, kv %s", level, n_threads, kv_type_name(kv_type));
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        check_way(&rig, &want, what, chunks[i], NULL);
        check_way(&rig, &want, what, chunks[i], cut_in_two);
    }
    check_way(&rig, &want, what, 0, cut_everywhere);
    check_unread(&rig, &want, what, 43);
    check_unread(&rig, &want, what, 64);
    rig_free(&rig);
    answer_free(&want);
}

/* ref is slow: fewer ways. */
static void threads_chunks_and_cuts_change_nothing(void **state)
{
    struct answer want = expected(KV_F16);
    (void)state;
    for (uint32_t n_threads = 2; n_threads <= 3; n_threads++) {
        struct rig rig = rig_new(&(struct rig_options){.path = path, .n_threads = n_threads});
        check_way(&rig, &want, n_threads == 2 ? "ref, 2 threads" : "ref, 3 threads", 0, cut_in_two);
        check_way(&rig, &want, n_threads == 2 ? "ref, 2 threads" : "ref, 3 threads", 1, NULL);
        rig_free(&rig);
    }
    answer_free(&want);
}

static void levels_change_nothing(void **state)
{
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    uint32_t n_levels = kernels_levels(levels);
    (void)state;
    if (n_levels == 1)
        skip(); /* this machine has ref only */
    for (uint32_t i = 1; i < n_levels; i++)
        for (uint32_t n_threads = 1; n_threads <= 3; n_threads++)
            for (enum kv_type kv_type = 0; kv_type < KV_TYPE_COUNT; kv_type++)
                if (n_threads == 2 || kv_type == KV_Q8_0) /* each with threads, the newest in every way */
                    check_all_ways(levels[i]->level, n_threads, kv_type);
}

/* --- company -----------------------------------------------------------------------------------------------
 */

#define N_COMPANY 5
#define N_UNREAD  100 /* of every other guest, whose rows the last layer leaves out */

struct guest {
    const struct rig *rig;
    uint64_t sequence;
    uint32_t chunk, n_unread;
    uint32_t *tokens;
    struct answer got;
};

static void *visit(void *arg)
{
    struct guest *guest = arg;
    struct how how = {.chunk = guest->chunk,
                      .sequence = guest->sequence,
                      .tokens = guest->tokens,
                      .n_unread = guest->n_unread};
    run_from(guest->rig, &how, 0, &guest->got);
    return NULL;
}

static void company_changes_nothing(void **state)
{
    struct rig rig = rig_new(&(struct rig_options){.path = path, .level = rig_fastest(), .n_threads = 2});
    struct guest guests[N_COMPANY];
    pthread_t threads[N_COMPANY];
    (void)state;

    for (uint32_t i = 0; i < N_COMPANY; i++) {
        guests[i] =
            (struct guest){.rig = &rig, .sequence = 10 + i, .chunk = chunks[i % 3], .got = answer_new(&rig)};
        guests[i].n_unread = i % 2 ? N_UNREAD : 0;
        guests[i].tokens = rig_tokens(N_TOKENS, rig.hp->n_vocab, 100 + i);
    }
    for (uint32_t i = 0; i < N_COMPANY; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visit, &guests[i]), 0);
    for (uint32_t i = 0; i < N_COMPANY; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < N_COMPANY; i++) {
        struct answer alone = answer_of(&rig, &(struct how){.sequence = 1, .tokens = guests[i].tokens});
        check_same_from(guests[i].n_unread, &guests[i].got, &alone, "several sequences at once");
        answer_free(&alone);
        answer_free(&guests[i].got);
        mem_free(guests[i].tokens);
    }
    rig_free(&rig);
}

/* --- replay ------------------------------------------------------------------------------------------------
 */

static void replays_change_nothing(void **state)
{
    static const uint32_t points[] = {0, 1, 63, 64, 65, 100, 129};
    struct rig rig = rig_new(&(struct rig_options){.path = path, .level = rig_fastest(), .n_threads = 2});
    struct answer want = expected(KV_F16), got = answer_of(&rig, &(struct how){.chunk = 9});
    uint32_t *others = rig_tokens(N_TOKENS, rig.hp->n_vocab, 7);
    struct how draft = {.chunk = 4, .tokens = others}, again = {.chunk = 5};
    (void)state;

    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        run_from(&rig, &draft, points[i], &got); /* a draft that is rolled back */
        assert_memory_not_equal(got.logits + (size_t)points[i] * rig.hp->n_vocab,
                                want.logits + (size_t)points[i] * rig.hp->n_vocab,
                                rig.hp->n_vocab * sizeof(float));
        run_from(&rig, &again, points[i], &got);
        check_same(&got, &want, "after a replay");
    }
    mem_free(others);
    answer_free(&got);
    answer_free(&want);
    rig_free(&rig);
}

/* --- drawn tokens ------------------------------------------------------------------------------------------
 */

#define N_DRAWN 40

static void generate(const struct rig *rig, const struct sample_params *sample, uint32_t chunk, uint32_t *out)
{
    uint32_t position = 0, n_prompt = 30, *all = mem_array(n_prompt + N_DRAWN, sizeof *all);

    memcpy(all, tokens, n_prompt * sizeof *all);
    for (uint32_t end = n_prompt; end < n_prompt + N_DRAWN; end++)
        while (position < end) {
            uint32_t n = end - position < chunk ? end - position : chunk;
            struct engine_step step = {.sequence = 3,
                                       .position = position,
                                       .n_tokens = n,
                                       .tokens = all + position,
                                       .layer_end = rig->hp->n_layers,
                                       .sample = position + n == end ? sample : NULL};
            assert_int_equal(engine_run(rig->engine, &step), STEP_OK);
            position += n;
            all[position] = position == end ? step.sampled.token : all[position];
            if (position == end && end + 1 == n_prompt + N_DRAWN)
                break;
        }
    memcpy(out, all + n_prompt, (N_DRAWN - 1) * sizeof *out);
    mem_free(all);
}

static void drawn_tokens_are_the_same(void **state)
{
    struct sample_params sample = sample_params_default();
    uint32_t want[N_DRAWN], got[N_DRAWN], n_distinct = 0;
    struct rig one = rig_new(&(struct rig_options){.path = path, .n_threads = 1}); /* ref */
    struct rig two = rig_new(&(struct rig_options){.path = path, .level = rig_fastest(), .n_threads = 2});
    (void)state;

    sample.temperature = 1.5F;
    sample.repeat_penalty = 1.1F;
    for (sample.seed = 1; sample.seed <= 3; sample.seed++) {
        generate(&one, &sample, 8, want);
        generate(&two, &sample, 30, got);
        assert_memory_equal(got, want, (N_DRAWN - 1) * sizeof *want);
        for (uint32_t i = 1; i < N_DRAWN - 1; i++)
            n_distinct += want[i] != want[i - 1];
    }
    assert_true(n_distinct > N_DRAWN); /* it does draw */
    rig_free(&one);
    rig_free(&two);
}

int main(void)
{
    struct tiny_model model = tiny_model_default();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_chunks_and_cuts_change_nothing),
        cmocka_unit_test(levels_change_nothing),
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(replays_change_nothing),
        cmocka_unit_test(drawn_tokens_are_the_same),
    };
    path = tiny_file(&model);
    tokens = rig_tokens(N_TOKENS, model.n_vocab, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tiny_file_remove(path);
    mem_free(tokens);
    return failed;
}
