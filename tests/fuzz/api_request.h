/* api_request - what every request's body has to come to, for fuzz targets: refused with the field's name, or
 * plain data within every limit. */
#ifndef FUZZ_API_REQUEST_H
#define FUZZ_API_REQUEST_H

#include "api/openai_request.h"

#include <math.h>
#include <string.h>

#define N_VOCAB 100

static inline bool is_within(float v, float min, float max)
{
    return v >= min && v <= max; /* false for NaN */
}

static inline void check_sampling(const struct sample_params *s)
{
    ASSERT(is_within(s->temperature, 0, 2) && is_within(s->top_p, 0, 1) && s->top_p > 0);
    ASSERT(is_within(s->min_p, 0, 1) && is_within(s->repeat_penalty, 0.009F, 10));
    ASSERT(is_within(s->frequency_penalty, -2, 2) && is_within(s->presence_penalty, -2, 2));
    ASSERT(s->n_biases <= SAMPLE_BIASES_MAX && s->n_top <= SAMPLE_TOP_MAX);
    ASSERT(s->repeat_last_n <= SAMPLE_HISTORY_MAX && s->top_k <= INT32_MAX);
    for (uint32_t i = 0; i < s->n_biases; i++)
        ASSERT(s->biases[i].token < N_VOCAB && is_within(s->biases[i].bias, -100, 100));
}

static inline void check_request(struct bytes json, bool is_chat)
{
    struct openai_request r;
    const char *param = "";
    struct error err = {0};
    enum status status = openai_request_read(&r, json, is_chat, N_VOCAB, &param, &err);
    if (status) {
        ASSERT(err.status == status && err.text[0] && (!param || strstr(err.text, param)));
        return;
    }
    check_sampling(&r.sample);
    ASSERT(r.is_chat == is_chat && r.n_max <= INT32_MAX && r.n_stops <= OPENAI_STOPS_MAX);
    for (size_t i = 0; i < r.n_stops; i++)
        ASSERT(strlen(r.stops[i]) >= 1 && strlen(r.stops[i]) <= OPENAI_STOP_BYTES_MAX);
    for (size_t i = 0; i < r.n_prompt_ids; i++)
        ASSERT(r.prompt_ids[i] < N_VOCAB);
    for (size_t i = 0; i < r.n_messages; i++) {
        struct bytes content = r.messages[i].content;
        ASSERT(r.messages[i].role && utf8_valid_prefix(content.data, content.size) == content.size);
    }
    if (is_chat)
        ASSERT(r.n_messages > 0 && r.n_messages <= CHAT_MESSAGES_MAX);
    else
        ASSERT(r.n_messages == 0 && r.n_max > 0);
    openai_request_free(&r);
}

#endif
