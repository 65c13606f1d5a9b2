/* links: node sim */
/* A sequence of frames, and of things that happen, against what a node has behind its links: roster, commands
 * and pipeline, over an engine that only says how a step ended. Input: operations, each a byte and its fields.
 * Frames come raw, and steps and tokens also built, since a random plan has never the hash that it says. */
#include "base/mem.h"
#include "node/commands.h"
#include "node/pipeline.h"
#include "sim/fake_links.h"
#include "swarm/roster.h"

#include <string.h>

#define N_PEERS   2
#define N_EMBD    4
#define STEPS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
    struct fake_clock clock;
    struct fake_net net;
    struct fake_links links[1 + N_PEERS]; /* the first is ours */
    struct key_pair pair;
    struct manifest *manifest;
    struct roster *roster;
    struct commands *commands;
    struct pipeline *pipeline;
    struct compute compute;
    struct engine_step *waiting[STEPS_MAX];
    uint32_t n_waiting;
    struct command_in *kept;
    uint32_t n_open, n_done; /* calls of ours, and their ends */
};

/* --- an engine without arithmetic ----------------------------------------------------------------------------
 */

static void submit(void *self, struct engine_step *step)
{
    struct session *s = self;
    ASSERT(step->n_tokens > 0 && step->n_tokens <= STEP_TOKENS_MAX && step->layer_first < step->layer_end);
    ASSERT((step->layer_first == 0) == (step->hidden_in == NULL));
    ASSERT(step->hidden_out || (!step->is_probe && step->layer_end == s->manifest->n_layers));
    volatile float sum = 0; /* all of what came is readable, all that goes is writable */
    for (uint32_t i = 0; step->hidden_in && i < step->n_tokens * N_EMBD; i++)
        sum = step->hidden_in[i];
    (void)sum;
    if (step->hidden_out)
        memset(step->hidden_out, 0, step->n_tokens * N_EMBD * sizeof(float));
    ASSERT(s->n_waiting < STEPS_MAX);
    s->waiting[s->n_waiting++] = step;
}

static void engine_done(struct session *s, enum step_result result)
{
    if (!s->n_waiting)
        return;
    struct engine_step *step = s->waiting[--s->n_waiting];
    step->result = result;
    step->sampled = (struct sampled){.token = 7};
    step->done(step);
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

static const struct compute_ops compute_ops = {.submit = submit, .forget = forget, .look = look};

/* --- the node
 * --------------------------------------------------------------------------------------------------- */

static void fill(void *ctx, struct node_record *own)
{
    (void)ctx;
    (void)own;
}

static void changed(void *ctx, const struct roster_entry *entry)
{
    (void)ctx;
    ASSERT(entry->record.n_shards <= RECORD_SHARDS_MAX);
}

static void on_tokens(void *ctx, const struct tokens_message *tokens)
{
    (void)ctx;
    ASSERT(tokens->n_top <= STEP_TOP_MAX);
}

static void on_fail(void *ctx, const struct step_fail_message *fail, const struct node_id *by)
{
    (void)ctx;
    (void)by;
    ASSERT(fail->failure < STEP_FAIL_END);
}

static void handle(void *ctx, struct command_in *in)
{
    struct session *s = ctx;
    if (s->kept)
        commands_answer(s->commands, in, STATUS_BUSY, NULL, "busy");
    else
        s->kept = in;
}

static void done(void *ctx, const struct command_answer *answer)
{
    struct session *s = ctx;
    ASSERT(answer->error && (unsigned)answer->status < STATUS_COUNT);
    s->n_done++;
}

static struct session *session_new(void)
{
    static const struct roster_events events = {.fill = fill, .changed = changed};
    struct session *s = mem_new(sizeof *s);
    fake_clock_init(&s->clock);
    fake_net_init(&s->net, &s->clock);
    key_pair_new(&s->pair);
    for (uint8_t i = 0; i <= N_PEERS; i++) {
        struct node_id id = {{i}};
        if (i == 0)
            memcpy(id.bytes, s->pair.public_key.bytes, sizeof id.bytes);
        fake_links_init(&s->links[i], &s->net, &id, NULL, NULL);
    }
    s->manifest = manifest_new(4);
    s->manifest->n_layers = s->manifest->n_shards = 4;
    for (uint32_t i = 0; i < 4; i++)
        s->manifest->shards[i].span = (struct span){.first_layer = i, .end_layer = i + 1};
    s->compute = (struct compute){.ops = &compute_ops, .self = s};
    s->roster = roster_new(&s->clock.clock, &s->links[0].links, &s->pair, 1, &events, s);
    s->commands = commands_new(&s->clock.clock, &s->links[0].links, &s->links[0].hello.id);
    commands_handle(s->commands, "A", handle, s);
    s->pipeline = pipeline_new(&s->clock.clock, &s->links[0].links, &s->compute, &s->pair, 1);
    pipeline_set_manifest(s->pipeline, s->manifest);
    return s;
}

static void session_free(struct session *s)
{
    fake_clock_run(&s->clock, 10);
    if (s->kept)
        commands_answer(s->commands, s->kept, STATUS_OK, NULL, NULL);
    commands_free(s->commands);
    ASSERT(s->n_done == s->n_open); /* every call ended once */
    pipeline_free(s->pipeline);
    roster_free(s->roster);
    fake_clock_run(&s->clock, 10); /* what is on its way lands */
    manifest_free(s->manifest);
    fake_clock_free(&s->clock);
    mem_free(s);
}

static void take_frame(struct session *s, const struct node_id *peer, unsigned kind, struct bytes payload)
{
    const struct frame_rule *rule = frame_rule(kind);
    struct error err = {0};
    enum status status = STATUS_OK;
    if (!rule || payload.size > rule->payload_bytes_max)
        return;
    if (kind >= FRAME_COMMAND && kind <= FRAME_RESPONSE)
        status = commands_on_frame(s->commands, peer, kind, payload, &err);
    else if (kind == FRAME_BLOB)
        status = commands_on_frame(s->commands, peer, kind, payload, &err);
    else if (kind >= FRAME_RECORD && kind <= FRAME_WANT)
        status = roster_on_frame(s->roster, peer, kind, payload, &err);
    else if (kind >= FRAME_STEP && kind <= FRAME_FORGET)
        status = pipeline_on_frame(s->pipeline, peer, kind, payload, &err);
    ASSERT(!status || err.text[0]);
}

static const struct node_id *any_node(const struct session *s, struct reader *r)
{
    return &s->links[reader_u8(r) % (1 + N_PEERS)].hello.id;
}

/* A step of a plan of one to three stages over four layers, with the hash that such a plan has. */
static void take_step(struct session *s, struct reader *r)
{
    struct step_message *m = mem_new(sizeof *m);
    static const float hidden[8 * N_EMBD];
    uint32_t n = reader_u8(r) % 3 + 1;
    m->plan.n_stages = n;
    for (uint32_t i = 0; i < n; i++)
        m->plan.stages[i] =
            (struct plan_stage){.node = *any_node(s, r), .layer_first = i, .layer_end = i + 1 == n ? 4 : i + 1};
    m->plan_hash = plan_hash(&m->plan, &s->manifest->fingerprint);
    m->sequence = reader_u8(r) % 4 + 1U;
    m->turn = reader_u8(r) % 4;
    m->origin = *any_node(s, r);
    m->flags = reader_u8(r) % 4;
    m->stage = reader_u8(r) % n;
    m->position = reader_u8(r) & 1 ? UINT32_MAX / 2 : reader_u8(r);
    m->n_tokens = reader_u8(r) % 8 + 1U;
    m->n_ahead = reader_u8(r);
    m->sampling = (struct step_sampling){.top_p = 1, .repeat_penalty = 1, .temperature = reader_f32(r)};
    m->n_embd = m->stage ? reader_u8(r) % 4 ? N_EMBD : N_EMBD - 1 : 0;
    m->hidden = bytes_of(hidden, (size_t)m->n_tokens * m->n_embd * sizeof(float));
    struct buffer b;
    buffer_init(&b, 0);
    step_encode(&b, m);
    if (s->n_waiting < STEPS_MAX / 2)
        take_frame(s, any_node(s, r), FRAME_STEP, buffer_view(&b));
    buffer_free(&b);
    mem_free(m);
}

static void take_tokens(struct session *s, struct reader *r)
{
    struct tokens_message m = {.sequence = reader_u8(r) % 4 + 1U};
    m.turn = reader_u8(r) % 4;
    m.flags = reader_u8(r) % 4;
    m.position = reader_u8(r);
    m.token = reader_u8(r);
    m.n_ahead = reader_u8(r);
    struct buffer b;
    buffer_init(&b, 0);
    tokens_encode(&b, &m);
    if (s->n_waiting < STEPS_MAX / 2)
        take_frame(s, any_node(s, r), FRAME_TOKENS, buffer_view(&b));
    buffer_free(&b);
}

static void change_link(struct session *s, uint8_t which)
{
    struct fake_links *peer = &s->links[1 + which % N_PEERS];
    if (which & 0x80) {
        fake_net_connect(&s->links[0], peer);
        roster_on_up(s->roster, &peer->hello.id);
    } else {
        struct link_info last = {.hello = peer->hello};
        fake_net_cut(&s->links[0], peer, LINK_FAULT_CLOSED);
        roster_on_down(s->roster, &last, LINK_FAULT_CLOSED);
        commands_on_down(s->commands, &peer->hello.id);
        pipeline_on_down(s->pipeline, &peer->hello.id);
    }
}

static void open_or_close(struct session *s, uint8_t which)
{
    static const struct pipeline_listener listener = {.on_tokens = on_tokens, .on_fail = on_fail};
    struct plan plan = {.n_stages = 1, .stages = {{.node = s->links[1].hello.id, .layer_end = 4}}};
    uint64_t sequence = which % 4 + 1U;
    if (which & 0x80)
        pipeline_open(s->pipeline, sequence, &listener);
    else
        pipeline_close(s->pipeline, sequence, &plan);
}

static void operate(struct session *s, struct reader *r)
{
    switch (reader_u8(r) % 9) {
    case 0: {
        const struct node_id *peer = any_node(s, r);
        unsigned kind = reader_u8(r);
        uint16_t size = reader_u16(r);
        take_frame(s, peer, kind, reader_bytes(r, size < reader_left(r) ? size : reader_left(r)));
        break;
    }
    case 1:
        take_step(s, r);
        break;
    case 2:
        engine_done(s, reader_u8(r) % (STEP_CANCELLED + 1));
        break;
    case 3:
        take_tokens(s, r);
        break;
    case 4:
        change_link(s, reader_u8(r));
        break;
    case 5:
        if (s->n_open++ - s->n_done < 32)
            commands_call(s->commands, any_node(s, r), "A", NULL, 100, done, s);
        else
            s->n_open--;
        break;
    case 6:
        fake_clock_run(&s->clock, reader_u8(r) * 10U);
        break;
    case 7:
        open_or_close(s, reader_u8(r));
        break;
    default:
        if (s->kept) {
            struct command_in *in = s->kept;
            s->kept = NULL;
            commands_answer(s->commands, in, STATUS_OK, NULL, NULL);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started)
        started = crypto_start(NULL) == STATUS_OK;
    if (size > 4096)
        return 0;
    struct session *s = session_new();
    struct reader r = reader_over(bytes_of(data, size));
    while (reader_left(&r) && !reader_failed(&r))
        operate(s, &r);
    while (s->n_waiting)
        engine_done(s, STEP_CANCELLED);
    session_free(s);
    return 0;
}
