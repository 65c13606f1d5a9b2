#include "node/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- what a node signs ----------------------------------------------------------------------------------- */

static void statement_write(struct buffer *out, const struct probe_statement *s, const struct sha256 *states)
{
    buffer_text(out, "shoal probe 1");
    buffer_u64(out, s->plan_hash);
    buffer_u64(out, s->sequence);
    buffer_u64(out, s->epoch);
    buffer_u32(out, s->stage);
    buffer_u32(out, s->first_state);
    buffer_u32(out, s->end_state);
    buffer_u32(out, s->token);
    for (uint32_t i = s->first_state; i < s->end_state; i++)
        buffer_bytes(out, states[i].bytes, SHA256_BYTES);
}

struct signature probe_sign(const struct key_pair *pair, const struct probe_statement *statement,
                            const struct sha256 *states)
{
    struct buffer text;
    buffer_init(&text, 0);
    statement_write(&text, statement, states);
    struct signature signature = signature_new(pair, buffer_view(&text));
    buffer_free(&text);
    return signature;
}

static bool has_signed(const struct probe_result *result, const struct probe_statement *statement)
{
    struct public_key key;
    struct buffer text;
    memcpy(key.bytes, result->plan.stages[statement->stage].node.bytes, sizeof key.bytes);
    buffer_init(&text, 0);
    statement_write(&text, statement, result->states);
    bool is_so = crypto_verify(&key, buffer_view(&text), &result->testimonies[statement->stage]);
    buffer_free(&text);
    return is_so;
}

/* --- the judgement --------------------------------------------------------------------------------------- */

static void blame(struct probe_result *result, uint32_t stage, bool is_wrong, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void blame(struct probe_result *result, uint32_t stage, bool is_wrong, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(result->text, sizeof result->text, format, args);
    va_end(args);
    result->right = false;
    result->is_wrong = is_wrong;
    result->wrong_stage = (int32_t)stage;
}

/* The shard that ends with the stage's last layer, plus one; 0: the plan is not cut between shards there. */
static uint32_t shards_until(const struct manifest *manifest, uint32_t layer_end)
{
    for (uint32_t i = 0; i < manifest->n_shards; i++)
        if (manifest->shards[i].span.end_layer == layer_end)
            return i + 1;
    return 0;
}

/* false: this stage is to blame. */
static bool judge_stage(struct probe_result *result, const struct manifest *manifest, uint32_t stage,
                        uint32_t first)
{
    bool is_last = stage + 1 == result->plan.n_stages;
    struct probe_statement statement = {.plan_hash = result->plan_hash,
                                        .sequence = result->sequence,
                                        .epoch = result->epochs[stage],
                                        .stage = stage,
                                        .first_state = first,
                                        .end_state =
                                            shards_until(manifest, result->plan.stages[stage].layer_end),
                                        .token = is_last ? result->token : 0};
    if (statement.end_state <= first || statement.end_state > result->n_states ||
        !has_signed(result, &statement)) {
        blame(result, stage, false, "no signature of its present run stands under its part of the probe");
        return false;
    }
    for (uint32_t i = first; i < statement.end_state; i++) {
        char expected[2 * SHA256_BYTES + 1], found[2 * SHA256_BYTES + 1];
        if (sha256_equal(&result->states[i], &manifest->probe_states[i]))
            continue;
        sha256_hex(expected, &manifest->probe_states[i]);
        sha256_hex(found, &result->states[i]);
        blame(result, stage, true, "after shard %u the hidden states are %.12s, the manifest says %.12s", i,
              found, expected);
        return false;
    }
    if (is_last && result->token != manifest->probe_next) {
        blame(result, stage, true, "the token drawn is %u, the manifest says %u", result->token,
              manifest->probe_next);
        return false;
    }
    return true;
}

void probe_judge(struct probe_result *result, const struct manifest *manifest)
{
    const struct plan *plan = &result->plan;
    result->plan_hash = plan_hash(plan, &manifest->fingerprint);
    result->right = result->is_wrong = false;
    result->wrong_stage = result->stop_stage;
    if (result->n_testimonies == 0)
        return; /* it did not come back; result->text says why */
    if (result->n_testimonies != plan->n_stages || result->n_states != manifest->n_shards ||
        plan->stages[plan->n_stages - 1].layer_end != manifest->n_layers) {
        blame(result, 0, false, "%u states and %u signatures came back for %u shards on %u nodes",
              result->n_states, result->n_testimonies, manifest->n_shards, plan->n_stages);
        return;
    }
    for (uint32_t i = 0, first = 0; i < plan->n_stages; i++) {
        if (!judge_stage(result, manifest, i, first))
            return;
        first = shards_until(manifest, plan->stages[i].layer_end);
    }
    result->right = true;
    result->wrong_stage = -1;
    result->text[0] = '\0';
}

/* --- bytes ----------------------------------------------------------------------------------------------- */

void probe_encode(struct buffer *out, const struct probe_result *result)
{
    size_t text_bytes = strnlen(result->text, UINT8_MAX);
    plan_encode(out, &result->plan);
    for (uint32_t i = 0; i < result->plan.n_stages; i++)
        buffer_u64(out, result->epochs[i]);
    buffer_bytes(out, result->prober.bytes, NODE_ID_BYTES);
    buffer_u64(out, result->sequence);
    buffer_u64(out, result->number);
    buffer_u64(out, result->took_us);
    buffer_u32(out, result->token);
    buffer_u32(out, (uint32_t)result->stop_stage);
    buffer_u8(out, result->timed_out);
    buffer_u16(out, (uint16_t)result->n_states);
    for (uint32_t i = 0; i < result->n_states; i++)
        buffer_bytes(out, result->states[i].bytes, SHA256_BYTES);
    buffer_u16(out, (uint16_t)result->n_testimonies);
    for (uint32_t i = 0; i < result->n_testimonies; i++)
        buffer_bytes(out, result->testimonies[i].bytes, SIGNATURE_BYTES);
    buffer_u8(out, (uint8_t)text_bytes);
    buffer_bytes(out, result->text, text_bytes);
}

static uint32_t read_count(struct reader *r)
{
    uint32_t n = reader_u16(r);
    if (n > STEP_STAGES_MAX)
        r->failed = true;
    return r->failed ? 0 : n;
}

enum status probe_decode(struct probe_result *out, struct bytes in, struct error *err)
{
    struct reader r = reader_over(in);
    memset(out, 0, sizeof *out);
    plan_decode(&out->plan, &r);
    for (uint32_t i = 0; i < out->plan.n_stages; i++)
        out->epochs[i] = reader_u64(&r);
    reader_copy(&r, out->prober.bytes, NODE_ID_BYTES);
    out->sequence = reader_u64(&r);
    out->number = reader_u64(&r);
    out->took_us = reader_u64(&r);
    out->token = reader_u32(&r);
    out->stop_stage = (int32_t)reader_u32(&r);
    out->timed_out = reader_u8(&r) != 0;
    out->n_states = read_count(&r);
    for (uint32_t i = 0; i < out->n_states; i++)
        reader_copy(&r, out->states[i].bytes, SHA256_BYTES);
    out->n_testimonies = read_count(&r);
    for (uint32_t i = 0; i < out->n_testimonies; i++)
        reader_copy(&r, out->testimonies[i].bytes, SIGNATURE_BYTES);
    struct bytes text = reader_bytes(&r, reader_u8(&r));
    if (!reader_done(&r) || out->stop_stage < -1 || out->stop_stage >= (int32_t)out->plan.n_stages)
        return error_set(err, STATUS_BAD_DATA, "probe result: bad length %zu or stage %d", in.size,
                         out->stop_stage);
    if (text.size)
        memcpy(out->text, text.data, utf8_valid_prefix(text.data, text.size));
    out->wrong_stage = out->stop_stage;
    return STATUS_OK;
}
