/* Who may say what in a sequence: steps of another origin, tokens and failures of a node that the plan does not
 * have there change nothing. The engine keeps its steps until the test ends them. */
#include "swarm_rig.h"

#include "node/pipeline.h"

#define N_SHARDS 2
#define N_EMBD   4
#define SEQUENCE 4242

struct world {
    struct rig rig;
    struct compute compute;
    struct pipeline *pipeline;
    struct engine_step *under_way;
    uint32_t n_submitted, n_tokens, n_fails;
    struct step_message step;
};

static void submit(void *self, struct engine_step *step)
{
    struct world *w = self;
    w->under_way = step;
    w->n_submitted++;
}

static void forget(void *self, uint64_t sequence)
{
    (void)self;
    (void)sequence;
}

static struct engine_load look(void *self)
{
    (void)self;
    return (struct engine_load){.n_embd = N_EMBD};
}

static void on_tokens(void *ctx, const struct tokens_message *tokens)
{
    ((struct world *)ctx)->n_tokens += tokens->n_top == 0;
}

static void on_fail(void *ctx, const struct step_fail_message *fail, const struct node_id *by)
{
    (void)fail;
    (void)by;
    ((struct world *)ctx)->n_fails++;
}

/* A plan over nodes a and b, a step of `origin` at its first stage. */
static void plan_over(struct world *w, int a, int b, int origin)
{
    struct step_message *m = &w->step;
    memset(m, 0, sizeof *m);
    m->plan.n_stages = 2;
    m->plan.stages[0] = (struct plan_stage){.node = *rig_id(&w->rig, a), .layer_first = 0, .layer_end = 2};
    m->plan.stages[1] = (struct plan_stage){.node = *rig_id(&w->rig, b), .layer_first = 2, .layer_end = 4};
    m->plan_hash = plan_hash(&m->plan, &w->rig.manifest->fingerprint);
    m->origin = *rig_id(&w->rig, origin);
    m->sequence = SEQUENCE;
    m->turn = 1;
    m->flags = STEP_SAMPLE;
    m->sampling = (struct step_sampling){.top_p = 1, .repeat_penalty = 1};
    m->n_tokens = 1;
}

static int begin(void **state)
{
    static const struct compute_ops ops = {.submit = submit, .forget = forget, .look = look};
    struct world *w = mem_new(sizeof *w);
    rig_new(&w->rig, N_SHARDS);
    w->compute = (struct compute){.ops = &ops, .self = w};
    w->pipeline = pipeline_new(&w->rig.clock.clock, &w->rig.links[0].links, &w->compute, &w->rig.pairs[0], 1);
    pipeline_set_manifest(w->pipeline, w->rig.manifest);
    for (int i = 1; i < RIG_NODES; i++)
        rig_up(&w->rig, i);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    pipeline_free(w->pipeline);
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

static enum status frame(struct world *w, int from, enum frame_kind kind, struct buffer *b)
{
    struct error err;
    enum status status = pipeline_on_frame(w->pipeline, rig_id(&w->rig, from), kind, buffer_view(b), &err);
    buffer_free(b);
    return status;
}

static enum status tokens_from(struct world *w, int from, uint64_t turn)
{
    struct buffer b;
    struct tokens_message tokens = {.sequence = SEQUENCE,
                                    .plan_hash = w->step.plan_hash,
                                    .turn = turn,
                                    .flags = STEP_SAMPLE,
                                    .position = 1,
                                    .token = 5};
    buffer_init(&b, 0);
    tokens_encode(&b, &tokens);
    return frame(w, from, FRAME_TOKENS, &b);
}

static enum status fail_from(struct world *w, int from, uint32_t stage)
{
    struct buffer b;
    struct step_fail_message fail = {.sequence = SEQUENCE,
                                     .plan_hash = w->step.plan_hash,
                                     .turn = 1,
                                     .stage = stage,
                                     .failure = STEP_FAIL_NO_SLOT};
    buffer_init(&b, 0);
    step_fail_encode(&b, &fail);
    return frame(w, from, FRAME_STEP_FAIL, &b);
}

static enum status step_from(struct world *w, int from)
{
    struct buffer b;
    buffer_init(&b, 0);
    step_encode(&b, &w->step);
    return frame(w, from, FRAME_STEP, &b);
}

/* --- the origin's side ----------------------------------------------------------------------------------- */

static void begin_here(struct world *w)
{
    struct error err;
    struct pipeline_listener listener = {.on_tokens = on_tokens, .on_fail = on_fail, .ctx = w};
    plan_over(w, 1, 2, 0);
    pipeline_open(w->pipeline, SEQUENCE, &listener);
    assert_int_equal(pipeline_send(w->pipeline, &w->step, &err), STATUS_OK);
}

static void only_the_last_node_draws(void **state)
{
    struct world *w = *state;
    begin_here(w);
    assert_int_equal(tokens_from(w, 3, 1), STATUS_BAD_DATA); /* not in the plan */
    assert_int_equal(tokens_from(w, 1, 1), STATUS_BAD_DATA); /* its first node */
    assert_int_equal(w->n_tokens, 0);
    assert_int_equal(tokens_from(w, 2, 1), STATUS_OK);
    assert_int_equal(w->n_tokens, 1);
    assert_int_equal(tokens_from(w, 3, 7), STATUS_OK); /* a turn that is not under way: late, or nothing */
    assert_int_equal(w->n_tokens, 1);
}

static void only_a_stages_own_node_fails_it(void **state)
{
    struct world *w = *state;
    begin_here(w);
    assert_int_equal(fail_from(w, 3, 0), STATUS_BAD_DATA);
    assert_int_equal(fail_from(w, 2, 0), STATUS_BAD_DATA);
    assert_int_equal(fail_from(w, 1, 9), STATUS_BAD_DATA);
    assert_int_equal(w->n_fails, 0);
    assert_int_equal(fail_from(w, 1, 0), STATUS_OK);
    assert_int_equal(fail_from(w, 2, 1), STATUS_OK);
    assert_int_equal(w->n_fails, 2);
}

static void an_ended_sequence_hears_nothing(void **state)
{
    struct world *w = *state;
    begin_here(w);
    pipeline_close(w->pipeline, SEQUENCE, &w->step.plan);
    assert_int_equal(tokens_from(w, 2, 1), STATUS_OK);
    assert_int_equal(fail_from(w, 1, 0), STATUS_OK);
    assert_int_equal(w->n_tokens + w->n_fails, 0);
}

/* --- a node of the plan ---------------------------------------------------------------------------------- */

static void anothers_step_does_not_reach_into_a_sequence(void **state)
{
    struct world *w = *state;
    plan_over(w, 0, 2, 1);
    w->step.n_ahead = 3;
    assert_int_equal(step_from(w, 1), STATUS_OK);
    assert_int_equal(w->n_submitted, 1);
    plan_over(w, 0, 2, 3); /* the same sequence, begun by node 3, in a turn that would end all others */
    w->step.turn = UINT64_MAX;
    assert_int_equal(step_from(w, 3), STATUS_OK);
    assert_int_equal(w->n_submitted, 1);
    plan_over(w, 0, 2, 1); /* its own origin goes on */
    w->step.turn = 2;
    assert_int_equal(step_from(w, 1), STATUS_OK);
    assert_int_equal(w->n_submitted, 2);
    assert_int_equal(step_from(w, 3), STATUS_BAD_DATA); /* in the origin's name */
}

/* --- a step that does not come back ---------------------------------------------------------------------- */

static uint32_t n_stalled(struct world *w, enum severity severity)
{
    struct finding_list list = {0};
    pipeline_explain(w->pipeline, &list);
    uint32_t n = list.n;
    if (n) {
        assert_int_equal(list.items[0].code, FINDING_NODE_STALLED);
        assert_int_equal(list.items[0].severity, severity);
        assert_true(node_id_equal(&list.items[0].node, rig_id(&w->rig, 0)));
    }
    finding_list_free(&list);
    return n;
}

static void a_step_that_does_not_come_back_is_told(void **state)
{
    struct world *w = *state;
    assert_int_equal(n_stalled(w, SEVERITY_WARNING), 0);
    fake_clock_run(&w->rig.clock, 60000); /* nothing under way is no stall */
    assert_int_equal(n_stalled(w, SEVERITY_WARNING), 0);
    plan_over(w, 0, 2, 1);
    assert_int_equal(step_from(w, 1), STATUS_OK);
    assert_int_equal(w->n_submitted, 1);
    fake_clock_run(&w->rig.clock, PIPELINE_STALLED_MS - 100);
    assert_int_equal(n_stalled(w, SEVERITY_WARNING), 0);
    fake_clock_run(&w->rig.clock, 200);
    assert_int_equal(n_stalled(w, SEVERITY_WARNING), 1);
    w->under_way->result = STEP_OK;
    w->under_way->done(w->under_way);
    assert_int_equal(n_stalled(w, SEVERITY_WARNING), 0);
}

static void a_probe_that_does_not_come_back_blocks_sooner(void **state)
{
    struct world *w = *state;
    plan_over(w, 0, 2, 1);
    w->step.flags |= STEP_PROBE;
    assert_int_equal(step_from(w, 1), STATUS_OK);
    assert_int_equal(w->n_submitted, 1);
    fake_clock_run(&w->rig.clock, PIPELINE_PROBE_STALLED_MS + 100);
    assert_int_equal(n_stalled(w, SEVERITY_BLOCKER), 1);
}

static void only_the_last_node_starts_the_next_step(void **state)
{
    struct world *w = *state;
    plan_over(w, 0, 2, 1);
    w->step.n_ahead = 3;
    assert_int_equal(step_from(w, 1), STATUS_OK);
    w->under_way->result = STEP_OK;
    w->under_way->done(w->under_way);
    struct buffer b;
    struct tokens_message tokens = {.sequence = SEQUENCE,
                                    .plan_hash = w->step.plan_hash,
                                    .turn = 1,
                                    .flags = STEP_SAMPLE,
                                    .position = 1,
                                    .token = 5,
                                    .n_ahead = 3};
    buffer_init(&b, 0);
    tokens_encode(&b, &tokens);
    assert_int_equal(frame(w, 3, FRAME_TOKENS, &b), STATUS_BAD_DATA);
    assert_int_equal(w->n_submitted, 1);
    buffer_init(&b, 0);
    tokens_encode(&b, &tokens);
    assert_int_equal(frame(w, 2, FRAME_TOKENS, &b), STATUS_OK);
    assert_int_equal(w->n_submitted, 2);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(only_the_last_node_draws),
        T(only_a_stages_own_node_fails_it),
        T(an_ended_sequence_hears_nothing),
        T(anothers_step_does_not_reach_into_a_sequence),
        T(a_step_that_does_not_come_back_is_told),
        T(a_probe_that_does_not_come_back_blocks_sooner),
        T(only_the_last_node_starts_the_next_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
