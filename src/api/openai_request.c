#include "api/openai_request.h"

#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct read {
    struct openai_request *out;
    const struct jv *body;
    uint32_t n_vocab;
    const char *param;
    struct error *err;
};

static enum status refuse(struct read *r, const char *param, const char *what)
{
    r->param = param;
    return error_set(r->err, STATUS_BAD_USAGE, "'%s': %s", param, what);
}

/* Absent and null mean the default. */
static const struct jv *field(const struct read *r, const char *name)
{
    const struct jv *value = jv_get(r->body, name);
    return jv_is_null(value) ? NULL : value;
}

static enum status read_real(struct read *r, const char *name, double min, double max, float *out)
{
    const struct jv *value = field(r, name);
    if (!value)
        return STATUS_OK;
    double v = jv_real(value, NAN);
    if (jv_is_number(value) && v >= min && v <= max) {
        *out = (float)v;
        return STATUS_OK;
    }
    r->param = name;
    return error_set(r->err, STATUS_BAD_USAGE, "'%s': a number from %g to %g is needed", name, min, max);
}

static enum status read_count(struct read *r, const char *name, int64_t min, int64_t max, uint32_t *out)
{
    const struct jv *value = field(r, name);
    if (!value)
        return STATUS_OK;
    int64_t v = jv_int(value, INT64_MIN);
    if (jv_is_int(value) && v >= min && v <= max) {
        *out = (uint32_t)v;
        return STATUS_OK;
    }
    r->param = name;
    return error_set(r->err, STATUS_BAD_USAGE, "'%s': a whole number from %" PRId64 " to %" PRId64 " is needed",
                     name, min, max);
}

static enum status read_flag(struct read *r, const char *name, bool *out)
{
    const struct jv *value = field(r, name);
    if (!value)
        return STATUS_OK;
    if (!jv_is_bool(value))
        return refuse(r, name, "true or false is needed");
    *out = jv_bool(value, false);
    return STATUS_OK;
}

static enum status read_stops(struct read *r)
{
    const struct jv *stop = field(r, "stop");
    if (!stop)
        return STATUS_OK;
    size_t n = jv_is_array(stop) ? jv_count(stop) : 1;
    if (n > OPENAI_STOPS_MAX)
        return refuse(r, "stop", "at most 4 texts may be given");
    for (size_t i = 0; i < n; i++) {
        const struct jv *entry = jv_is_array(stop) ? jv_at(stop, i) : stop;
        const char *text = jv_text(entry, NULL);
        if (!text || !*text || strlen(text) > OPENAI_STOP_BYTES_MAX || strlen(text) != jv_bytes(entry).size)
            return refuse(r, "stop", "texts of 1 to 256 bytes without NUL are needed");
        r->out->stops[r->out->n_stops++] = text;
    }
    return STATUS_OK;
}

static enum status read_biases(struct read *r)
{
    const struct jv *biases = field(r, "logit_bias");
    if (!biases)
        return STATUS_OK;
    if (!jv_is_object(biases) || jv_count(biases) > SAMPLE_BIASES_MAX)
        return refuse(r, "logit_bias", "an object of at most 300 ids is needed");
    r->out->biases = mem_array(jv_count(biases), sizeof *r->out->biases);
    for (void *i = jv_first(biases); i; i = jv_next(biases, i)) {
        char *end;
        const char *key = jv_iter_key(i);
        unsigned long id = strtoul(key, &end, 10);
        double bias = jv_real(jv_iter_value(i), NAN);
        if (!isdigit((unsigned char)*key) || *end || id >= r->n_vocab) /* strtoul takes spaces and signs */
            return refuse(r, "logit_bias", "an id is not in the vocabulary");
        if (!(bias >= -100 && bias <= 100))
            return refuse(r, "logit_bias", "biases from -100 to 100 are needed");
        r->out->biases[r->out->sample.n_biases++] =
            (struct token_bias){.token = (uint32_t)id, .bias = (float)bias};
    }
    r->out->sample.biases = r->out->biases;
    return STATUS_OK;
}

static enum status read_seed(struct read *r)
{
    const struct jv *seed = field(r, "seed");
    if (!seed)
        return STATUS_OK;
    if (!jv_is_int(seed))
        return refuse(r, "seed", "a whole number is needed");
    r->out->has_seed = true;
    r->out->sample.seed = (uint64_t)jv_int(seed, 0);
    return STATUS_OK;
}

static enum status read_sampling(struct read *r)
{
    struct sample_params *s = &r->out->sample;
    *s = sample_params_default();
    s->temperature = 1; /* OpenAI's defaults, where it has one */
    s->top_k = 0;
    s->top_p = 1;
    s->min_p = 0;
    enum status status = STATUS_OK;
    if ((status = read_real(r, "temperature", 0, 2, &s->temperature)) ||
        (status = read_real(r, "top_p", 0, 1, &s->top_p)) ||
        (status = read_real(r, "min_p", 0, 1, &s->min_p)) ||
        (status = read_real(r, "frequency_penalty", -2, 2, &s->frequency_penalty)) ||
        (status = read_real(r, "presence_penalty", -2, 2, &s->presence_penalty)) ||
        (status = read_real(r, "repeat_penalty", 0.01, 10, &s->repeat_penalty)) ||
        (status = read_count(r, "top_k", 0, INT32_MAX, &s->top_k)) ||
        (status = read_count(r, "repeat_last_n", 0, SAMPLE_HISTORY_MAX, &s->repeat_last_n)) ||
        (status = read_seed(r)) || (status = read_biases(r)))
        return status;
    if (s->top_p == 0)
        return refuse(r, "top_p", "a number above 0 is needed");
    return STATUS_OK;
}

/* Chat: logprobs true and top_logprobs n; completions: logprobs n. */
static enum status read_logprobs(struct read *r)
{
    enum status status;
    if (r->out->is_chat) {
        status = read_flag(r, "logprobs", &r->out->want_logprobs);
        if (!status)
            status = read_count(r, "top_logprobs", 0, SAMPLE_TOP_MAX, &r->out->sample.n_top);
        return status;
    }
    status = read_count(r, "logprobs", 0, 5, &r->out->sample.n_top);
    r->out->want_logprobs = field(r, "logprobs") != NULL;
    return status;
}

/* Content as text, or as an array of {type: "text", text}. */
static enum status read_content(struct read *r, const struct jv *content, size_t index)
{
    struct openai_request *out = r->out;
    struct buffer *joined = &out->contents[index];
    buffer_init(joined, JV_BYTES_MAX);
    if (jv_is_text(content)) {
        buffer_bytes(joined, jv_bytes(content).data, jv_bytes(content).size);
    } else if (jv_is_array(content)) {
        for (size_t i = 0; i < jv_count(content); i++) {
            const struct jv *part = jv_at(content, i);
            if (strcmp(jv_get_text(part, "type", ""), "text") != 0 || !jv_is_text(jv_get(part, "text")))
                return refuse(r, "messages", "only parts of type 'text' are understood by this model");
            struct bytes text = jv_bytes(jv_get(part, "text"));
            buffer_bytes(joined, text.data, text.size);
        }
    } else if (!jv_is_null(content)) {
        return refuse(r, "messages", "'content' must be text or an array of parts");
    }
    out->messages[index].content = buffer_view(joined);
    return STATUS_OK;
}

static enum status read_messages(struct read *r)
{
    const struct jv *messages = field(r, "messages");
    size_t n = jv_count(messages);
    if (!jv_is_array(messages) || n == 0 || n > CHAT_MESSAGES_MAX)
        return refuse(r, "messages", "an array of 1 to 4096 messages is needed");
    struct openai_request *out = r->out;
    out->messages = mem_array(n, sizeof *out->messages);
    out->contents = mem_array(n, sizeof *out->contents);
    for (size_t i = 0; i < n; i++) {
        const struct jv *message = jv_at(messages, i);
        out->messages[i].role = jv_get_text(message, "role", NULL);
        out->n_messages = i + 1;
        if (!out->messages[i].role)
            return refuse(r, "messages", "each message needs a 'role'");
        enum status status = read_content(r, jv_get(message, "content"), i);
        if (status)
            return status;
    }
    return STATUS_OK;
}

static enum status read_prompt_ids(struct read *r, const struct jv *ids)
{
    struct openai_request *out = r->out;
    out->n_prompt_ids = jv_count(ids);
    out->prompt_ids = mem_array(out->n_prompt_ids, sizeof *out->prompt_ids);
    for (size_t i = 0; i < out->n_prompt_ids; i++) {
        int64_t id = jv_int(jv_at(ids, i), -1);
        if (id < 0 || id >= r->n_vocab) {
            r->param = "prompt";
            return error_set(r->err, STATUS_BAD_USAGE,
                             "'prompt': entry %zu is no id of the vocabulary (0 to %" PRIu32 ")", i,
                             r->n_vocab - 1);
        }
        out->prompt_ids[i] = (uint32_t)id;
    }
    return STATUS_OK;
}

static enum status read_prompt(struct read *r)
{
    const struct jv *prompt = field(r, "prompt");
    if (jv_is_array(prompt) && jv_count(prompt) == 1 && jv_is_text(jv_at(prompt, 0)))
        prompt = jv_at(prompt, 0);
    if (jv_is_text(prompt)) {
        r->out->prompt = jv_bytes(prompt);
        return STATUS_OK;
    }
    if (jv_is_array(prompt) && jv_count(prompt) && jv_is_int(jv_at(prompt, 0)))
        return read_prompt_ids(r, prompt);
    return refuse(r, "prompt", "one text or one array of ids is needed");
}

static enum status refuse_absent_features(struct read *r)
{
    static const char *const absent[] = {"tools", "functions", "response_format", "suffix", "audio"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        const struct jv *value = field(r, absent[i]);
        bool is_plain_text = strcmp(jv_get_text(value, "type", ""), "text") == 0;
        if (value && !is_plain_text && !(jv_is_array(value) && jv_count(value) == 0))
            return refuse(r, absent[i], "this version of shoal does not do this");
    }
    uint32_t n = 1, best_of = 1;
    enum status status = read_count(r, "n", 1, 128, &n);
    if (!status)
        status = read_count(r, "best_of", 1, 20, &best_of);
    if (!status && (n != 1 || best_of != 1))
        return refuse(r, n != 1 ? "n" : "best_of", "this version of shoal gives one answer a request");
    return status;
}

static enum status read_all(struct read *r)
{
    enum status status;
    struct openai_request *out = r->out;
    if (!jv_is_object(r->body))
        return refuse(r, "body", "a JSON object is needed");
    const struct jv *model = field(r, "model");
    if (model && !jv_is_text(model))
        return refuse(r, "model", "a text is needed");
    out->model = jv_text(model, "");
    const struct jv *options = field(r, "stream_options");
    if (options && !jv_is_object(options))
        return refuse(r, "stream_options", "an object is needed");
    out->include_usage = jv_get_bool(options, "include_usage", false);
    if ((status = refuse_absent_features(r)) || (status = out->is_chat ? read_messages(r) : read_prompt(r)) ||
        (status = read_count(r, "max_tokens", 1, INT32_MAX, &out->n_max)) ||
        (status = read_count(r, "max_completion_tokens", 1, INT32_MAX, &out->n_max)) ||
        (status = read_sampling(r)) || (status = read_logprobs(r)) || (status = read_stops(r)) ||
        (status = read_flag(r, "stream", &out->stream)) || (status = read_flag(r, "echo", &out->echo)))
        return status;
    if (!out->is_chat && !out->n_max)
        out->n_max = 16; /* OpenAI's default for completions */
    return STATUS_OK;
}

enum status openai_request_read(struct openai_request *out, struct bytes body, bool is_chat, uint32_t n_vocab,
                                const char **out_param, struct error *err)
{
    struct openai_request request = {.is_chat = is_chat};
    *out_param = NULL;
    enum status status = jv_parse(&request.body, body, NULL, err);
    if (status)
        return error_wrap(err, STATUS_BAD_USAGE, "request body");
    struct read r = {.out = &request, .body = request.body, .n_vocab = n_vocab, .err = err};
    status = read_all(&r);
    if (status) {
        *out_param = r.param;
        openai_request_free(&request);
        return status;
    }
    *out = request;
    return STATUS_OK;
}

void openai_request_free(struct openai_request *request)
{
    for (size_t i = 0; i < request->n_messages; i++)
        buffer_free(&request->contents[i]);
    mem_free(request->messages);
    mem_free(request->contents);
    mem_free(request->prompt_ids);
    mem_free(request->biases);
    jv_free(request->body);
    *request = (struct openai_request){0};
}
