#include "node/probe.h"

#include <inttypes.h>
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

/* --- JSON ------------------------------------------------------------------------------------------------ */

struct jv *probe_to_json(const struct probe_result *result)
{
    struct jv *json = jv_object_new(), *epochs = jv_array_new();
    char sequence[24];
    snprintf(sequence, sizeof sequence, "%016" PRIx64, result->sequence);
    for (uint32_t i = 0; i < result->plan.n_stages; i++)
        jv_append(epochs, jv_int_new((int64_t)result->epochs[i]));
    jv_set(json, "plan", plan_to_json(&result->plan));
    jv_set_text(json, "sequence", sequence);
    jv_set_int(json, "number", (int64_t)result->number);
    jv_set(json, "epochs", epochs);
    jv_set_hex(json, "prober", result->prober.bytes, NODE_ID_BYTES);
    jv_set_hex(json, "states", result->states[0].bytes, (size_t)result->n_states * SHA256_BYTES);
    jv_set_hex(json, "testimonies", result->testimonies[0].bytes,
               (size_t)result->n_testimonies * SIGNATURE_BYTES);
    jv_set_int(json, "token", result->token);
    jv_set_int(json, "stop_stage", result->stop_stage);
    jv_set_bool(json, "timed_out", result->timed_out);
    jv_set_text(json, "text", result->text);
    jv_set_int(json, "took_us", (int64_t)result->took_us);
    return json;
}

/* So many things of `size` bytes in one text of hex digits; false unless it is whole things, at most
 * STEP_STAGES_MAX. */
static bool read_hex_array(const struct jv *json, const char *key, uint8_t *out, size_t size, uint32_t *out_n)
{
    size_t n_digits = strlen(jv_get_text(json, key, "?")), n = n_digits / (2 * size);
    if (n_digits % (2 * size) || n > STEP_STAGES_MAX || !jv_get_hex(json, key, out, n * size))
        return false;
    *out_n = (uint32_t)n;
    return true;
}

enum status probe_from_json(struct probe_result *out, const struct jv *json, struct error *err)
{
    memset(out, 0, sizeof *out);
    enum status status = plan_from_json(&out->plan, jv_get(json, "plan"), err);
    if (status)
        return status;
    const struct jv *epochs = jv_get(json, "epochs");
    uint8_t sequence[8];
    int64_t stop_stage = jv_get_int(json, "stop_stage", -1), token = jv_get_int(json, "token", -1);
    if (jv_count(epochs) != out->plan.n_stages || stop_stage < -1 ||
        stop_stage >= (int64_t)out->plan.n_stages || token < 0 || token > UINT32_MAX ||
        !jv_get_hex(json, "prober", out->prober.bytes, NODE_ID_BYTES) ||
        !jv_get_hex(json, "sequence", sequence, sizeof sequence) ||
        !read_hex_array(json, "states", out->states[0].bytes, SHA256_BYTES, &out->n_states) ||
        !read_hex_array(json, "testimonies", out->testimonies[0].bytes, SIGNATURE_BYTES, &out->n_testimonies))
        return error_set(err, STATUS_BAD_DATA, "probe result: bad epochs, stage, prober, states or signatures");
    for (uint32_t i = 0; i < out->plan.n_stages; i++)
        out->epochs[i] = (uint64_t)jv_int(jv_at(epochs, i), 0);
    for (size_t i = 0; i < sizeof sequence; i++)
        out->sequence = out->sequence << 8 | sequence[i];
    out->number = (uint64_t)jv_get_int(json, "number", 0);
    out->token = (uint32_t)token;
    out->stop_stage = out->wrong_stage = (int32_t)stop_stage;
    out->timed_out = jv_get_bool(json, "timed_out", false);
    out->took_us = (uint64_t)jv_get_int(json, "took_us", 0);
    snprintf(out->text, sizeof out->text, "%s", jv_get_text(json, "text", ""));
    return STATUS_OK;
}
