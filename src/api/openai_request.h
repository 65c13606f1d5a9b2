/* openai_request - the body of POST /v1/chat/completions and /v1/completions, checked field by field into plain
 * data. Pure; every error names the field, its value and what is allowed. Unknown fields are ignored, as
 * OpenAI's are; fields that ask for something this version does not do (tools, n > 1, ...) are refused by name.
 */
#ifndef API_OPENAI_REQUEST_H
#define API_OPENAI_REQUEST_H

#include "base/jv.h"
#include "engine/sampler.h"
#include "model/chat_template.h"

#define OPENAI_STOPS_MAX      4
#define OPENAI_STOP_BYTES_MAX 256

struct openai_request {
    bool is_chat;
    const char *model;             /* "" when absent */
    struct chat_message *messages; /* owned array, borrowed texts */
    struct buffer *contents;       /* owned: contents joined from parts */
    size_t n_messages;
    struct bytes prompt;  /* completions: text ... */
    uint32_t *prompt_ids; /* ... or ids; owned */
    size_t n_prompt_ids;
    uint32_t n_max; /* 0: as much as fits */
    struct sample_params sample;
    struct token_bias *biases; /* owned; sample.biases points here */
    bool has_seed, stream, include_usage, want_logprobs, echo;
    const char *stops[OPENAI_STOPS_MAX];
    size_t n_stops;
    struct jv *body; /* owned: all borrowed texts live in it */
};

/* BAD_USAGE (HTTP 400); *out_param names the field for OpenAI's error object (a static string or NULL).
 * `n_vocab` bounds ids. */
enum status openai_request_read(struct openai_request *out, struct bytes body, bool is_chat, uint32_t n_vocab,
                                const char **out_param, struct error *err);
void openai_request_free(struct openai_request *request);

#endif
