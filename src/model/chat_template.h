/* chat_template - messages to one prompt, in the form that the model was trained on.
 *
 * The known families are recognised from the model's own template text; nothing of that text is ever
 * executed. An unknown or absent one falls back to ChatML, and chat_template_is_known() says so.
 * Contents are never parsed for control tokens: the prompt's runs tell markers from contents.
 * BOS is not part of the prompt: chat_template_encode adds it where model or template want it.
 * Immutable. Thread: any. */
#ifndef MODEL_CHAT_TEMPLATE_H
#define MODEL_CHAT_TEMPLATE_H

#include "model/tokenizer.h"

struct chat_template;

#define CHAT_MESSAGES_MAX 4096

struct chat_message {
    const char *role;     /* "system", "user", "assistant", ... */
    struct bytes content; /* valid UTF-8; borrowed */
};

/* `template_text` is tokenizer.chat_template's value, NULL where the model has none. bos_text and eos_text are
 * what the template calls bos_token and eos_token; NULL: "<s>" and "</s>". Never fails for a template that it
 * does not know; BAD_DATA only for one that is not text (longer than 1 MiB). */
enum status chat_template_create(struct chat_template **out, const char *template_text, const char *bos_text,
                                 const char *eos_text, struct error *err);
/* The same from a model's header and its tokenizer. */
enum status chat_template_of_model(struct chat_template **out, const struct gguf *gguf,
                                   const struct tokenizer *t, struct error *err);
void chat_template_free(struct chat_template *tmpl); /* NULL is fine */

/* False: the model has no template or one we do not recognise, and ChatML is used (finding BAD_TEMPLATE). */
bool chat_template_is_known(const struct chat_template *tmpl);
const char *chat_template_family(const struct chat_template *tmpl); /* "chatml", "llama3", "plain", ... */
/* Why it is not known, for the finding; "" where it is. */
const char *chat_template_reason(const struct chat_template *tmpl);
/* What ends the assistant's turn in this family ("<|im_end|>"). Where the vocabulary has no such token it comes
 * as ordinary text, so a caller adds it to its stop texts. "" where the family ends with EOS. */
const char *chat_template_stop_text(const struct chat_template *tmpl);

/* One text and the runs that cover it. Zero-initialise; free with chat_prompt_free. */
struct chat_prompt {
    struct buffer text;
    struct tokenizer_run *runs;
    size_t n_runs, capacity;
};
void chat_prompt_free(struct chat_prompt *prompt);

/* Renders into a fresh prompt. BAD_USAGE, with the sentence that the template itself would raise, for a role
 * or an order of roles that the family does not know; nothing is rendered then. */
enum status chat_template_render(const struct chat_template *tmpl, const struct chat_message *messages,
                                 size_t n_messages, bool add_generation_prompt, struct chat_prompt *out,
                                 struct error *err);

/* Renders and tokenizes: the ids of a whole prompt, BOS included where it belongs. */
enum status chat_template_encode(const struct chat_template *tmpl, const struct tokenizer *t,
                                 const struct chat_message *messages, size_t n_messages,
                                 bool add_generation_prompt, struct tokenizer_ids *ids, struct error *err);

#endif
