#include "app/demo_talk.h"

#include "app/demo_children.h"
#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

struct stream {
    struct demo_talk *talk;
    uint64_t began_us, first_us, last_us;
    char *failure; /* the API's own words, in mid-stream */
};

static bool on_data(void *arg, const char *data)
{
    struct stream *stream = arg;
    struct jv *json;
    if (demo_is_stopped() || strcmp(data, "[DONE]") == 0)
        return false;
    if (jv_parse(&json, bytes_of_text(data), NULL, NULL))
        return true;
    const struct jv *usage = jv_get(json, "usage");
    const char *piece = jv_get_text(jv_at(jv_get(json, "choices"), 0), "text", "");
    if (jv_get(json, "error")) {
        mem_free(stream->failure);
        stream->failure = mem_string(client_error_text(json));
    }
    if (*piece) {
        stream->last_us = clock_process_us();
        if (!stream->first_us)
            stream->first_us = stream->last_us;
        fputs(piece, stdout);
        fflush(stdout);
    }
    if (jv_is_object(usage)) {
        stream->talk->n_prompt = (uint32_t)jv_get_int(usage, "prompt_tokens", 0);
        stream->talk->n_generated = (uint32_t)jv_get_int(usage, "completion_tokens", 0);
    }
    jv_free(json);
    return true;
}

static struct jv *request(const char *prompt, uint32_t n_tokens, double temperature, uint64_t seed)
{
    struct jv *body = jv_object_new(), *options = jv_object_new();
    jv_set_text(body, "prompt", prompt);
    jv_set_int(body, "max_tokens", n_tokens);
    jv_set_real(body, "temperature", temperature);
    jv_set_int(body, "seed", (int64_t)seed);
    jv_set_bool(body, "stream", true);
    jv_set_bool(options, "include_usage", true);
    jv_set(body, "stream_options", options);
    return body;
}

enum status demo_talk_once(struct demo_talk *out, const struct client *client, const char *prompt,
                           uint32_t n_tokens, double temperature, uint64_t seed, struct error *err)
{
    struct jv *body = request(prompt, n_tokens, temperature, seed), *error;
    *out = (struct demo_talk){0};
    struct stream stream = {.talk = out, .began_us = clock_process_us()};
    int http;
    enum status status = client_stream(client, "/v1/completions", body, on_data, &stream, &error, &http, err);
    jv_free(body);
    if (demo_is_stopped())
        status = error_set(err, STATUS_CANCELLED, "stopped");
    else if (!status && http / 100 != 2)
        status = error_set(err,
                           http == 503   ? STATUS_BUSY
                           : http == 400 ? STATUS_BAD_USAGE
                                         : STATUS_NETWORK,
                           "%s", client_error_text(error));
    else if (!status && stream.failure)
        status = error_set(err, STATUS_NETWORK, "the answer broke off: %s", stream.failure);
    if (!status && stream.first_us) {
        out->first_s = (double)(stream.first_us - stream.began_us) / 1e6;
        out->rest_s = (double)(stream.last_us - stream.first_us) / 1e6;
    }
    jv_free(error);
    mem_free(stream.failure);
    return status;
}
