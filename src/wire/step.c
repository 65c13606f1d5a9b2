#include "wire/step.h"

#include <string.h>

static const char *const failure_names[STEP_FAIL_END] = {
    [STEP_FAIL_KV_MISS] = "kv_miss",     [STEP_FAIL_NO_LAYERS] = "no_layers",
    [STEP_FAIL_NO_LINK] = "no_link",     [STEP_FAIL_FULL] = "context_full",
    [STEP_FAIL_NO_SLOT] = "no_slot",     [STEP_FAIL_BAD_INPUT] = "bad_input",
    [STEP_FAIL_NO_MEMORY] = "no_memory", [STEP_FAIL_STALE] = "stale",
};

const char *step_failure_name(enum step_failure failure)
{
    return (unsigned)failure < STEP_FAIL_END && failure_names[failure] ? failure_names[failure] : "unknown";
}

void plan_encode(struct buffer *out, const struct plan *plan)
{
    buffer_u16(out, (uint16_t)plan->n_stages);
    for (uint32_t i = 0; i < plan->n_stages; i++) {
        buffer_bytes(out, plan->stages[i].node.bytes, NODE_ID_BYTES);
        buffer_u32(out, plan->stages[i].layer_first);
        buffer_u32(out, plan->stages[i].layer_end);
    }
}

void plan_decode(struct plan *out, struct reader *r)
{
    uint32_t n = reader_u16(r), layer = 0;
    if (n == 0 || n > STEP_STAGES_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        struct plan_stage *stage = &out->stages[i];
        reader_copy(r, stage->node.bytes, NODE_ID_BYTES);
        stage->layer_first = reader_u32(r);
        stage->layer_end = reader_u32(r);
        if (stage->layer_first != layer || stage->layer_end <= layer)
            r->failed = true;
        layer = stage->layer_end;
    }
    out->n_stages = r->failed ? 0 : n;
}

uint64_t plan_hash(const struct plan *plan, const struct sha256 *fingerprint)
{
    struct buffer all;
    buffer_init(&all, 0);
    buffer_bytes(&all, fingerprint->bytes, sizeof fingerprint->bytes);
    plan_encode(&all, plan);
    struct sha256 hash = sha256_of(all.data, all.size);
    buffer_free(&all);
    struct reader r = reader_over(bytes_of(hash.bytes, 8));
    return reader_u64(&r);
}

static void sampling_write(struct buffer *out, const struct step_sampling *s)
{
    buffer_f32(out, s->temperature);
    buffer_f32(out, s->top_p);
    buffer_f32(out, s->min_p);
    buffer_f32(out, s->repeat_penalty);
    buffer_f32(out, s->frequency_penalty);
    buffer_f32(out, s->presence_penalty);
    buffer_u32(out, s->top_k);
    buffer_u32(out, s->repeat_last_n);
    buffer_u32(out, s->n_top);
    buffer_u64(out, s->seed);
    buffer_u16(out, (uint16_t)s->n_biases);
    for (uint32_t i = 0; i < s->n_biases; i++) {
        buffer_u32(out, s->biases[i].token);
        buffer_f32(out, s->biases[i].bias);
    }
}

static void sampling_read(struct step_sampling *s, struct reader *r)
{
    s->temperature = reader_f32(r);
    s->top_p = reader_f32(r);
    s->min_p = reader_f32(r);
    s->repeat_penalty = reader_f32(r);
    s->frequency_penalty = reader_f32(r);
    s->presence_penalty = reader_f32(r);
    s->top_k = reader_u32(r);
    s->repeat_last_n = reader_u32(r);
    s->n_top = reader_u32(r);
    s->seed = reader_u64(r);
    s->n_biases = reader_u16(r);
    if (s->n_biases > STEP_BIASES_MAX || s->n_top > STEP_TOP_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < s->n_biases && !r->failed; i++) {
        s->biases[i].token = reader_u32(r);
        s->biases[i].bias = reader_f32(r);
    }
    if (r->failed)
        s->n_biases = 0;
}

static void states_write(struct buffer *out, const struct sha256 *states, uint32_t n)
{
    buffer_u16(out, (uint16_t)n);
    for (uint32_t i = 0; i < n; i++)
        buffer_bytes(out, states[i].bytes, SHA256_BYTES);
}

static uint32_t states_read(struct sha256 *states, struct reader *r)
{
    uint32_t n = reader_u16(r);
    if (n > STEP_STAGES_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++)
        reader_copy(r, states[i].bytes, SHA256_BYTES);
    return r->failed ? 0 : n;
}

static void testimonies_write(struct buffer *out, const struct signature *testimonies, uint32_t n)
{
    buffer_u16(out, (uint16_t)n);
    for (uint32_t i = 0; i < n; i++)
        buffer_bytes(out, testimonies[i].bytes, SIGNATURE_BYTES);
}

static uint32_t testimonies_read(struct signature *testimonies, struct reader *r)
{
    uint32_t n = reader_u16(r);
    if (n > STEP_STAGES_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++)
        reader_copy(r, testimonies[i].bytes, SIGNATURE_BYTES);
    return r->failed ? 0 : n;
}

static void hops_write(struct buffer *out, const struct step_hop *hops, uint32_t n)
{
    buffer_u16(out, (uint16_t)n);
    for (uint32_t i = 0; i < n; i++) {
        buffer_u32(out, hops[i].queue_us);
        buffer_u32(out, hops[i].compute_us);
    }
}

static uint32_t hops_read(struct step_hop *hops, struct reader *r)
{
    uint32_t n = reader_u16(r);
    if (n > STEP_STAGES_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < n && !r->failed; i++) {
        hops[i].queue_us = reader_u32(r);
        hops[i].compute_us = reader_u32(r);
    }
    return r->failed ? 0 : n;
}

void step_encode(struct buffer *out, const struct step_message *m)
{
    buffer_u64(out, m->sequence);
    buffer_u64(out, m->plan_hash);
    buffer_u64(out, m->turn);
    buffer_bytes(out, m->origin.bytes, NODE_ID_BYTES);
    buffer_u32(out, m->flags);
    buffer_u32(out, m->stage);
    buffer_u32(out, m->position);
    buffer_u32(out, m->n_tokens);
    buffer_u32(out, m->n_ahead);
    plan_encode(out, &m->plan);
    if (m->flags & STEP_SAMPLE)
        sampling_write(out, &m->sampling);
    for (uint32_t i = 0; i < m->n_tokens; i++)
        buffer_u32(out, m->tokens[i]);
    states_write(out, m->states, m->n_states);
    testimonies_write(out, m->testimonies, m->n_testimonies);
    hops_write(out, m->hops, m->n_hops);
    buffer_u32(out, m->n_embd);
    buffer_bytes(out, m->hidden.data, m->hidden.size);
}

enum status step_decode(struct step_message *out, struct bytes in, struct error *err)
{
    struct reader r = reader_over(in);
    out->sequence = reader_u64(&r);
    out->plan_hash = reader_u64(&r);
    out->turn = reader_u64(&r);
    reader_copy(&r, out->origin.bytes, NODE_ID_BYTES);
    out->flags = reader_u32(&r);
    out->stage = reader_u32(&r);
    out->position = reader_u32(&r);
    out->n_tokens = reader_u32(&r);
    out->n_ahead = reader_u32(&r);
    plan_decode(&out->plan, &r);
    if (r.failed || out->flags & ~(uint32_t)(STEP_SAMPLE | STEP_PROBE))
        return error_set(err, STATUS_BAD_DATA, "step: bad head or plan in %zu bytes", in.size);
    if (out->sequence == 0 || out->n_tokens == 0 || out->n_tokens > STEP_TOKENS_MAX ||
        out->stage >= out->plan.n_stages || out->position > UINT32_MAX / 2)
        return error_set(err, STATUS_BAD_DATA, "step: %u tokens at position %u for stage %u of %u",
                         out->n_tokens, out->position, out->stage, out->plan.n_stages);
    out->sampling = (struct step_sampling){0};
    if (out->flags & STEP_SAMPLE)
        sampling_read(&out->sampling, &r);
    for (uint32_t i = 0; i < out->n_tokens; i++)
        out->tokens[i] = reader_u32(&r);
    out->n_states = states_read(out->states, &r);
    out->n_testimonies = testimonies_read(out->testimonies, &r);
    out->n_hops = hops_read(out->hops, &r);
    out->n_embd = reader_u32(&r);
    if (r.failed || out->n_embd > STEP_EMBD_MAX || (out->stage == 0) != (out->n_embd == 0))
        return error_set(err, STATUS_BAD_DATA, "step: hidden states of %u values at stage %u", out->n_embd,
                         out->stage);
    out->hidden = reader_bytes(&r, (uint64_t)out->n_tokens * out->n_embd * sizeof(float));
    if (!reader_done(&r))
        return error_set(err, STATUS_BAD_DATA, "step: bad length %zu for %u tokens of %u values", in.size,
                         out->n_tokens, out->n_embd);
    return STATUS_OK;
}

void tokens_encode(struct buffer *out, const struct tokens_message *m)
{
    buffer_u64(out, m->sequence);
    buffer_u64(out, m->plan_hash);
    buffer_u64(out, m->turn);
    buffer_u32(out, m->flags);
    buffer_u32(out, m->position);
    buffer_u32(out, m->token);
    buffer_f32(out, m->log_probability);
    buffer_u32(out, m->n_top);
    for (uint32_t i = 0; i < m->n_top; i++) {
        buffer_u32(out, m->top_tokens[i]);
        buffer_f32(out, m->top_log_probabilities[i]);
    }
    buffer_u32(out, m->n_ahead);
    states_write(out, m->states, m->n_states);
    testimonies_write(out, m->testimonies, m->n_testimonies);
    hops_write(out, m->hops, m->n_hops);
}

enum status tokens_decode(struct tokens_message *out, struct bytes in, struct error *err)
{
    struct reader r = reader_over(in);
    out->sequence = reader_u64(&r);
    out->plan_hash = reader_u64(&r);
    out->turn = reader_u64(&r);
    out->flags = reader_u32(&r);
    out->position = reader_u32(&r);
    out->token = reader_u32(&r);
    out->log_probability = reader_f32(&r);
    out->n_top = reader_u32(&r);
    if (out->n_top > STEP_TOP_MAX)
        return error_set(err, STATUS_BAD_DATA, "tokens: %u log-probabilities, at most %d", out->n_top,
                         STEP_TOP_MAX);
    for (uint32_t i = 0; i < out->n_top; i++) {
        out->top_tokens[i] = reader_u32(&r);
        out->top_log_probabilities[i] = reader_f32(&r);
    }
    out->n_ahead = reader_u32(&r);
    out->n_states = states_read(out->states, &r);
    out->n_testimonies = testimonies_read(out->testimonies, &r);
    out->n_hops = hops_read(out->hops, &r);
    if (!reader_done(&r))
        return error_set(err, STATUS_BAD_DATA, "tokens: bad length %zu", in.size);
    return STATUS_OK;
}

void step_fail_encode(struct buffer *out, const struct step_fail_message *m)
{
    buffer_u64(out, m->sequence);
    buffer_u64(out, m->plan_hash);
    buffer_u64(out, m->turn);
    buffer_u32(out, m->position);
    buffer_u32(out, m->stage);
    buffer_u32(out, m->have_position);
    buffer_u8(out, (uint8_t)m->failure);
    buffer_u8(out, (uint8_t)strnlen(m->text, 255));
    buffer_bytes(out, m->text, strnlen(m->text, 255));
}

enum status step_fail_decode(struct step_fail_message *out, struct bytes in, struct error *err)
{
    struct reader r = reader_over(in);
    *out = (struct step_fail_message){0};
    out->sequence = reader_u64(&r);
    out->plan_hash = reader_u64(&r);
    out->turn = reader_u64(&r);
    out->position = reader_u32(&r);
    out->stage = reader_u32(&r);
    out->have_position = reader_u32(&r);
    unsigned failure = reader_u8(&r);
    struct bytes text = reader_bytes(&r, reader_u8(&r));
    if (!reader_done(&r) || failure == 0 || failure >= STEP_FAIL_END)
        return error_set(err, STATUS_BAD_DATA, "step fail: bad length %zu or cause %u", in.size, failure);
    out->failure = (enum step_failure)failure;
    if (text.size)
        memcpy(out->text, text.data, utf8_valid_prefix(text.data, text.size));
    return STATUS_OK;
}

void forget_encode(struct buffer *out, const uint64_t *sequences, size_t n)
{
    ASSERT(n <= FORGET_MAX);
    for (size_t i = 0; i < n; i++)
        buffer_u64(out, sequences[i]);
}

enum status forget_decode(uint64_t *out, size_t *out_n, struct bytes in, struct error *err)
{
    size_t n = in.size / 8;
    if (in.size % 8 || n > FORGET_MAX)
        return error_set(err, STATUS_BAD_DATA, "forget: bad length %zu", in.size);
    struct reader r = reader_over(in);
    for (size_t i = 0; i < n; i++)
        out[i] = reader_u64(&r);
    *out_n = n;
    return STATUS_OK;
}
