/* Readiness: proved by a probe, and gone as soon as anything of its plan is. The engine is one that gives zeros
 * and the token 7, at once or not at all. */
#include "swarm_rig.h"

#include "node/pipeline.h"
#include "node/readiness.h"

#define N_SHARDS 2
#define N_EMBD   4
#define N_TOKENS 3
#define TOKEN    7

struct world {
    struct rig rig;
    struct compute compute;
    struct pipeline *pipeline;
    struct readiness *readiness;
    uint32_t n_changed, n_steps;
    bool is_silent;          /* steps never end */
    enum step_result result; /* how they end */
};

/* --- an engine
 * --------------------------------------------------------------------------------------------------- */

static void finish(void *arg)
{
    struct engine_step *step = arg;
    step->done(step);
}

static void submit(void *self, struct engine_step *step)
{
    struct world *w = self;
    w->n_steps++;
    assert_true(step->is_probe);
    assert_int_equal(step->n_tokens, N_TOKENS);
    memset(step->hidden_out, 0, N_TOKENS * N_EMBD * sizeof(float));
    step->sampled = (struct sampled){.token = TOKEN};
    step->result = w->result;
    if (!w->is_silent)
        fake_clock_post(&w->rig.clock, 1, finish, step);
}

static void forget(void *self, uint64_t sequence)
{
    (void)self;
    assert_true(sequence & PROBE_SEQUENCE_FLAG);
}

static struct engine_load look(void *self)
{
    (void)self;
    return (struct engine_load){.n_embd = N_EMBD};
}

static void changed(void *ctx)
{
    ((struct world *)ctx)->n_changed++;
}

static int begin(void **state)
{
    static const struct compute_ops ops = {.submit = submit, .forget = forget, .look = look};
    static const struct readiness_events events = {.changed = changed};
    static const float zeros[N_TOKENS * N_EMBD];
    struct world *w = mem_new(sizeof *w);
    rig_new(&w->rig, N_SHARDS);
    struct manifest *m = w->rig.manifest;
    m->n_probe_tokens = N_TOKENS;
    m->probe_next = TOKEN;
    for (uint32_t i = 0; i < N_SHARDS; i++)
        m->probe_states[i] = sha256_of(zeros, sizeof zeros);
    w->compute = (struct compute){.ops = &ops, .self = w};
    w->pipeline = pipeline_new(&w->rig.clock.clock, &w->rig.links[0].links, &w->compute, &w->rig.pairs[0], 1);
    pipeline_set_manifest(w->pipeline, m);
    w->readiness =
        readiness_new(&w->rig.clock.clock, &w->rig.links[0].links, w->rig.roster, w->pipeline, &events, w);
    readiness_set_manifest(w->readiness, m);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    readiness_free(w->readiness);
    pipeline_free(w->pipeline);
    rig_free(&w->rig);
    mem_free(w);
    return 0;
}

static void settle(struct world *w)
{
    readiness_consider(w->readiness);
    fake_clock_run(&w->rig.clock, 50);
}

static const struct finding *explain(struct world *w, struct finding_list *list)
{
    finding_list_free(list);
    readiness_explain(w->readiness, list);
    assert_true(list->n <= 1);
    return list->n ? &list->items[0] : NULL;
}

/* --- our own probe
 * ------------------------------------------------------------------------------------------------ */

static void nothing_is_probed_while_a_shard_lacks(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    rig_holder(&w->rig, 0, 0, 1);
    settle(w);
    fake_clock_run(&w->rig.clock, 60000);
    assert_int_equal(w->n_steps, 0);
    assert_false(readiness_is_ready(w->readiness));
    assert_null(readiness_plan(w->readiness));
    assert_null(explain(w, &list)); /* the shards' own findings say why */
}

static void a_right_probe_makes_ready(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    assert_false(readiness_is_ready(w->readiness)); /* loaded is not ready */
    settle(w);
    assert_true(readiness_is_ready(w->readiness));
    assert_int_equal(w->n_steps, N_SHARDS); /* one for each shard, each with its hash */
    assert_non_null(readiness_plan(w->readiness));
    assert_int_equal(readiness_plan(w->readiness)->n_stages, 1);
    assert_true(readiness_last(w->readiness)->right);
    assert_true(w->n_changed >= 1);
}

static void it_is_proved_again_from_time_to_time(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    w->n_steps = 0;
    fake_clock_run(&w->rig.clock, PROBE_REPEAT_MS - 1000);
    assert_int_equal(w->n_steps, 0);
    fake_clock_run(&w->rig.clock, 2000);
    assert_int_equal(w->n_steps, N_SHARDS);
    assert_true(readiness_is_ready(w->readiness));
}

static void a_wrong_state_names_its_node(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    w->rig.manifest->probe_states[1] = rig_hash("another");
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_false(readiness_is_ready(w->readiness));
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_PROBE_WRONG);
    assert_true(node_id_equal(&f->node, rig_id(&w->rig, 0)));
    assert_non_null(strstr(f->cause, "after shard 1"));
    finding_list_free(&list);
}

/* What an answer under way goes by. */
static void a_plan_holds_for_the_processes_that_were_proven(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    struct plan plan = *readiness_plan(w->readiness);
    uint64_t epochs[STEP_STAGES_MAX];
    memcpy(epochs, readiness_last(w->readiness)->epochs, sizeof epochs);
    assert_true(readiness_plan_holds(w->readiness, &plan, epochs));
    epochs[0]--; /* it was proven of the process before */
    assert_false(readiness_plan_holds(w->readiness, &plan, epochs));
    epochs[0]++;
    w->rig.manifest->probe_states[0] = rig_hash("another state");
    fake_clock_run(&w->rig.clock, PROBE_REPEAT_MS + 1000);
    assert_true(readiness_last(w->readiness)->is_wrong);
    assert_false(readiness_plan_holds(w->readiness, &plan, epochs)); /* nor after a probe that was wrong */
}

static void a_wrong_token_is_wrong_too(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    w->rig.manifest->probe_next = TOKEN + 1;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_false(readiness_is_ready(w->readiness));
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_PROBE_WRONG);
    assert_non_null(strstr(f->cause, "the token drawn is 7, the manifest says 8"));
    finding_list_free(&list);
}

static void a_step_that_cannot_run_is_told_and_tried_again(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    w->result = STEP_NO_MEMORY;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_PROBE_FAILED);
    assert_non_null(strstr(f->cause, "no_memory"));
    w->result = STEP_OK;
    fake_clock_run(&w->rig.clock, 1000);
    assert_true(readiness_is_ready(w->readiness));
    assert_null(explain(w, &list));
}

static void silence_ends_with_a_timeout(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    uint64_t since;
    w->is_silent = true;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_true(readiness_probe_running(w->readiness, &since));
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED); /* on its way */
    assert_int_equal(list.items[0].eta_s, 1);
    fake_clock_run(&w->rig.clock, PROBE_TIMEOUT_MS);
    assert_false(readiness_is_ready(w->readiness));
    assert_non_null(strstr(explain(w, &list)->cause, "did not come back: no answer within 5.0 s"));
    w->is_silent = false;
    fake_clock_run(&w->rig.clock, 1000);
    assert_true(readiness_is_ready(w->readiness));
    finding_list_free(&list);
}

static void a_probe_whose_nodes_are_lost_is_not_waited_for(void **state)
{
    struct world *w = *state;
    uint64_t since;
    w->is_silent = true;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_true(readiness_probe_running(w->readiness, &since));
    rig_shard(&w->rig, 0, 1, SHARD_UNLOADING);
    rig_publish(&w->rig, 0);
    settle(w);
    assert_false(readiness_probe_running(w->readiness, &since));
    w->is_silent = false;
    rig_shard(&w->rig, 0, 1, SHARD_LOADED);
    rig_publish(&w->rig, 0);
    settle(w); /* at once, not when the old one would have timed out */
    assert_true(readiness_is_ready(w->readiness));
}

/* --- withdrawn
 * ----------------------------------------------------------------------------------------------------- */

static void losing_a_shard_withdraws_it(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_true(readiness_is_ready(w->readiness));
    uint32_t n_changed = w->n_changed;
    rig_shard(&w->rig, 0, 1, SHARD_UNLOADING);
    rig_publish(&w->rig, 0);
    assert_false(readiness_is_ready(w->readiness)); /* at the next question, without a probe */
    readiness_consider(w->readiness);
    assert_int_equal(w->n_changed, n_changed + 1);
    rig_shard(&w->rig, 0, 1, SHARD_LOADED);
    rig_publish(&w->rig, 0);
    assert_true(readiness_is_ready(w->readiness)); /* never latched in either direction */
}

static void another_manifest_begins_anew(void **state)
{
    struct world *w = *state;
    rig_holder(&w->rig, 0, 0, N_SHARDS);
    settle(w);
    assert_true(readiness_is_ready(w->readiness));
    readiness_set_manifest(w->readiness, NULL);
    assert_false(readiness_is_ready(w->readiness));
    fake_clock_run(&w->rig.clock, 60000);
    assert_false(readiness_is_ready(w->readiness));
}

/* --- another's probe
 * ------------------------------------------------------------------------------------------------- */

/* Nodes 1 and 2 hold the model, node 3 is the serve that probes. */
static void three_nodes(struct world *w)
{
    rig_link(&w->rig, 1, 2, 100);
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 1, 2);
    w->rig.says[3].role = ROLE_SERVE;
    rig_link(&w->rig, 3, 1, 100);
    rig_link(&w->rig, 3, 2, 100);
    rig_up(&w->rig, 3);
    rig_publish(&w->rig, 3);
}

/* A result that is right in every part: each node of the plan has signed for what it ran. The test spoils it.
 */
static struct probe_result right_result(struct world *w, int prober, uint64_t epoch)
{
    struct probe_result r = {.number = ++w->n_steps, .token = TOKEN};
    r.sequence = r.number | PROBE_SEQUENCE_FLAG;
    const struct manifest *m = w->rig.manifest;
    uint32_t gap, first = 0;
    assert_true(plan_make(&r.plan, &gap, w->rig.roster, m));
    r.prober = *rig_id(&w->rig, prober);
    r.stop_stage = -1;
    r.n_states = m->n_shards;
    r.n_testimonies = r.plan.n_stages;
    memcpy(r.states, m->probe_states, m->n_shards * sizeof *r.states);
    for (uint32_t i = 0; i < r.plan.n_stages; i++) {
        uint32_t end = r.plan.stages[i].layer_end / 2; /* two layers a shard */
        struct probe_statement s = {.plan_hash = plan_hash(&r.plan, &m->fingerprint),
                                    .sequence = r.sequence,
                                    .epoch = epoch,
                                    .stage = i,
                                    .first_state = first,
                                    .end_state = end,
                                    .token = i + 1 == r.plan.n_stages ? TOKEN : 0};
        for (int k = 0; k < RIG_NODES; k++)
            if (node_id_equal(rig_id(&w->rig, k), &r.plan.stages[i].node))
                r.testimonies[i] = probe_sign(&w->rig.pairs[k], &s, r.states);
        r.epochs[i] = epoch;
        first = end;
    }
    return r;
}

static enum status tell_result(struct world *w, int from, const struct probe_result *result)
{
    struct error err;
    struct buffer b;
    buffer_init(&b, 0);
    probe_encode(&b, result);
    enum status status = readiness_on_frame(w->readiness, rig_id(&w->rig, from), buffer_view(&b), &err);
    buffer_free(&b);
    return status;
}

static enum status tell(struct world *w, int from, int prober, uint64_t epoch)
{
    struct probe_result result = right_result(w, prober, epoch);
    return tell_result(w, from, &result);
}

static void the_provers_result_counts(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct node_id prober;
    three_nodes(w);
    settle(w);
    prober = readiness_prober(w->readiness);
    assert_true(node_id_equal(&prober, rig_id(&w->rig, 3)));
    assert_int_equal(w->n_steps, 0); /* not our turn */
    assert_int_equal(tell(w, 3, 3, 1), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
    assert_int_equal(readiness_plan(w->readiness)->n_stages, 2);
    rig_down(&w->rig, 2);
    assert_true(readiness_is_ready(w->readiness)); /* node 1 still reaches it */
    w->rig.says[1].n_links = 0;
    rig_publish(&w->rig, 1);
    assert_false(readiness_is_ready(w->readiness));
    rig_link(&w->rig, 1, 2, 100);
    rig_publish(&w->rig, 1);
    assert_true(readiness_is_ready(w->readiness));
    w->rig.says[2].epoch = 2; /* another run of that process: nothing is proved of it */
    rig_publish(&w->rig, 2);
    assert_false(readiness_is_ready(w->readiness));
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED);
    finding_list_free(&list);
}

static void a_prober_that_was_started_again_is_heard(void **state)
{
    struct world *w = *state;
    three_nodes(w);
    struct probe_result first = right_result(w, 3, 1);
    assert_int_equal(tell_result(w, 3, &first), STATUS_OK);
    w->rig.says[2].epoch = 2; /* nodes 1 and 2 too */
    rig_publish(&w->rig, 2);
    w->rig.says[1].epoch = 2;
    rig_publish(&w->rig, 1);
    assert_false(readiness_is_ready(w->readiness));
    w->n_steps = 17;
    struct probe_result again = right_result(w, 3, 2);
    again.number = first.number; /* it counts from the beginning; the sequence is another */
    assert_int_equal(tell_result(w, 3, &again), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
}

/* Node 2 computes something else, and signs it. */
static struct probe_result wrong_result(struct world *w)
{
    struct sha256 truth = w->rig.manifest->probe_states[1];
    w->rig.manifest->probe_states[1] = rig_hash("what node 2 computes");
    struct probe_result result = right_result(w, 3, 1);
    w->rig.manifest->probe_states[1] = truth;
    return result;
}

static void a_wrong_result_names_the_node(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    three_nodes(w);
    struct probe_result result = wrong_result(w);
    assert_int_equal(tell_result(w, 3, &result), STATUS_OK);
    assert_false(readiness_is_ready(w->readiness));
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_PROBE_WRONG);
    assert_true(node_id_equal(&f->node, rig_id(&w->rig, 2)));
    finding_list_free(&list);
}

/* --- a prober that lies ---------------------------------------------------------------------------------- */

static void assert_not_believed(struct world *w, const struct probe_result *result)
{
    struct finding_list list = {0};
    assert_int_equal(tell_result(w, 3, result), STATUS_OK);
    assert_false(readiness_is_ready(w->readiness));
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED); /* and nobody is called wrong */
    finding_list_free(&list);
}

static void a_prober_cannot_say_right_for_others(void **state)
{
    struct world *w = *state;
    three_nodes(w);
    struct probe_result result = right_result(w, 3, 1);
    result.n_states = result.n_testimonies = 0; /* nothing at all to show */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    memset(&result.testimonies[1], 0,
           sizeof result.testimonies[1]); /* the states are the manifest's, known to all */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    result.testimonies[1] = result.testimonies[0]; /* another node's */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    result.sequence++; /* of another probe */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 9); /* of another run of those nodes, told as one of this */
    for (uint32_t i = 0; i < result.plan.n_stages; i++)
        result.epochs[i] = 1;
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    result.n_testimonies = 1; /* the last one lacks */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    result.plan.stages[0].layer_end = result.plan.stages[1].layer_first = 1; /* cut within a shard */
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1); /* and all as it should be */
    assert_int_equal(tell_result(w, 3, &result), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
}

static void a_prober_cannot_call_a_node_wrong(void **state)
{
    struct world *w = *state;
    three_nodes(w);
    struct probe_result result = right_result(w, 3, 1);
    result.states[1] = rig_hash("what node 2 never computed");
    assert_not_believed(w, &result);
    result = right_result(w, 3, 1);
    result.token = TOKEN + 1;
    assert_not_believed(w, &result);
}

static void only_the_prober_may_tell(void **state)
{
    struct world *w = *state;
    three_nodes(w);
    struct probe_result wrong = right_result(w, 3, 1);
    wrong.token = TOKEN + 1;
    assert_int_equal(tell_result(w, 2, &wrong), STATUS_OK); /* in another's name, and it proves nothing */
    assert_null(readiness_last(w->readiness));
    assert_int_equal(tell(w, 2, 2, 1), STATUS_OK); /* in its own, but it is not its turn */
    assert_false(readiness_is_ready(w->readiness));
    assert_int_equal(tell(w, 3, 3, 9), STATUS_OK); /* of other epochs */
    assert_false(readiness_is_ready(w->readiness));
    struct probe_result result = right_result(w, 3, 1);
    result.stop_stage = 2;
    assert_int_equal(tell_result(w, 3, &result), STATUS_BAD_DATA); /* a stage that the plan has not */
    assert_false(readiness_is_ready(w->readiness));
    assert_int_equal(tell(w, 3, 3, 1), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
}

static void a_proof_counts_whoever_brings_it(void **state)
{
    struct world *w = *state;
    three_nodes(w);
    assert_int_equal(tell(w, 2, 3, 1), STATUS_OK); /* the prober's, passed on by node 2 */
    assert_true(readiness_is_ready(w->readiness));
}

static void what_a_node_signed_wrongly_counts_whoever_brings_it(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    three_nodes(w);
    struct probe_result right = right_result(w, 3, 1), wrong = wrong_result(w);
    assert_int_equal(tell_result(w, 3, &right), STATUS_OK);
    assert_int_equal(tell_result(w, 1, &wrong), STATUS_OK); /* passed on by node 1 */
    assert_false(readiness_is_ready(w->readiness));
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_WRONG);
    finding_list_free(&list);
    assert_int_equal(tell_result(w, 1, &right), STATUS_OK); /* an older one, from a peer that has no newer */
    assert_false(readiness_is_ready(w->readiness));
    right = right_result(w, 3, 1);
    assert_int_equal(tell_result(w, 1, &right), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
    assert_int_equal(tell_result(w, 1, &wrong), STATUS_OK); /* older now */
    assert_true(readiness_is_ready(w->readiness));
}

static void a_node_that_was_started_again_is_not_called_wrong(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    three_nodes(w);
    struct probe_result wrong = wrong_result(w);
    w->rig.says[2].epoch = 2;
    rig_publish(&w->rig, 2);
    assert_int_equal(tell_result(w, 1, &wrong), STATUS_OK); /* of its run before */
    assert_null(readiness_last(w->readiness));
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED);
    finding_list_free(&list);
}

static void a_link_that_lacks_is_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    three_nodes(w);
    w->rig.says[1].n_links = 0; /* 1 and 2 are alive, without a link between them */
    rig_publish(&w->rig, 1);
    settle(w);
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED); /* they have only just come */
    fake_clock_run(&w->rig.clock, 3000);
    assert_int_equal(explain(w, &list)->code, FINDING_PEER_UNREACHABLE);
    assert_non_null(strstr(list.items[0].cause, "both are alive"));
    finding_list_free(&list);
}

/* Whoever is not the coordinator tells, too, that its probe has no way in. */
static void a_coordinator_without_a_link_to_the_plan_is_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    three_nodes(w);
    fake_clock_run(&w->rig.clock, 3000);
    settle(w);
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED); /* linked: it must only come */
    assert_int_equal(tell(w, 3, 3, 1), STATUS_OK);
    assert_true(readiness_is_ready(w->readiness));
    w->rig.says[3].n_links = 0;
    rig_publish(&w->rig, 3);
    assert_false(readiness_is_ready(w->readiness)); /* 1 and 2 are linked, but no prompt can come in */
    assert_int_equal(explain(w, &list)->code, FINDING_PEER_UNREACHABLE);
    finding_list_free(&list);
}

/* A front door whose own links are all there still waits for the coordinator's probe, and tells why. */
static void a_front_door_tells_of_a_coordinator_without_a_link(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct node_id prober;
    for (;;) { /* until node 3, not this one, has the lowest id of both serves */
        w->rig.says[0].role = ROLE_SERVE;
        roster_touch(w->rig.roster);
        fake_clock_run(&w->rig.clock, 500);
        three_nodes(w);
        prober = readiness_prober(w->readiness);
        if (node_id_equal(&prober, rig_id(&w->rig, 3)))
            break;
        end(state);
        begin(state);
        w = *state;
    }
    assert_int_equal(roster_self(w->rig.roster)->record.role, ROLE_SERVE);
    fake_clock_run(&w->rig.clock, 3000);
    settle(w);
    assert_int_equal(explain(w, &list)->code, FINDING_PROBE_FAILED); /* it must only come */
    w->rig.says[3].n_links = 0;
    rig_publish(&w->rig, 3);
    assert_int_equal(explain(w, &list)->code, FINDING_PEER_UNREACHABLE);
    assert_true(node_id_equal(&list.items[0].node, &prober));
    finding_list_free(&list);
}

static void without_a_serve_the_lowest_holder_of_the_first_shard_probes(void **state)
{
    struct world *w = *state;
    struct node_id prober = readiness_prober(w->readiness);
    assert_true(node_id_is_zero(&prober));
    rig_holder(&w->rig, 1, 0, 1);
    rig_holder(&w->rig, 2, 0, 2);
    rig_holder(&w->rig, 4, 1, 2);
    prober = readiness_prober(w->readiness);
    int lowest = node_id_compare(rig_id(&w->rig, 1), rig_id(&w->rig, 2)) < 0 ? 1 : 2;
    assert_true(node_id_equal(&prober, rig_id(&w->rig, lowest)));
    rig_down(&w->rig, lowest);
    prober = readiness_prober(w->readiness);
    assert_true(node_id_equal(&prober, rig_id(&w->rig, 3 - lowest)));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(nothing_is_probed_while_a_shard_lacks),
        T(a_right_probe_makes_ready),
        T(it_is_proved_again_from_time_to_time),
        T(a_wrong_state_names_its_node),
        T(a_plan_holds_for_the_processes_that_were_proven),
        T(a_wrong_token_is_wrong_too),
        T(a_step_that_cannot_run_is_told_and_tried_again),
        T(silence_ends_with_a_timeout),
        T(a_probe_whose_nodes_are_lost_is_not_waited_for),
        T(losing_a_shard_withdraws_it),
        T(another_manifest_begins_anew),
        T(the_provers_result_counts),
        T(a_prober_that_was_started_again_is_heard),
        T(a_wrong_result_names_the_node),
        T(a_prober_cannot_say_right_for_others),
        T(a_prober_cannot_call_a_node_wrong),
        T(only_the_prober_may_tell),
        T(a_proof_counts_whoever_brings_it),
        T(what_a_node_signed_wrongly_counts_whoever_brings_it),
        T(a_node_that_was_started_again_is_not_called_wrong),
        T(a_link_that_lacks_is_told),
        T(a_coordinator_without_a_link_to_the_plan_is_told),
        T(a_front_door_tells_of_a_coordinator_without_a_link),
        T(without_a_serve_the_lowest_holder_of_the_first_shard_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
