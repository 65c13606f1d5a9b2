/* commands - named requests between nodes, each answered or timed out with a cause.
 *
 * A command is a JSON object {command, request_id, from, to, timestamp, params}, its answer {request_id,
 * status, result, error}: "status" is "ok" or a status name, "error" one sentence. Results too large for an
 * answer (a manifest, a tokenizer) follow as pieces on the data connection (FRAME_BLOB: 16 bytes request id,
 * u64 offset, bytes). Handlers are a table by name. Commands to ourselves take the same way, without a link.
 * Commands are idempotent: a request id seen before is answered from memory of the last 256.
 *
 * Owner: the node. Thread: loop. Callbacks never come from within commands_call. */
#ifndef NODE_COMMANDS_H
#define NODE_COMMANDS_H

#include "base/clock.h"
#include "base/jv.h"
#include "swarm/links.h"

#define COMMAND_OPEN_MAX       1024
#define COMMAND_ID_BYTES       16
#define COMMAND_BLOB_BYTES_MAX ((size_t)64 << 20)
#define COMMAND_BLOB_PIECE     ((size_t)256 << 10)

struct commands;

struct command_in { /* a command that came; lives until it was answered */
    struct node_id from;
    char name[32];
    uint8_t request_id[COMMAND_ID_BYTES];
    const struct jv *params; /* owned by the command */
    struct jv *params_owned;
};

struct command_answer {
    enum status status;
    const char *error;       /* one sentence, "" when ok */
    const struct jv *result; /* lent, may be NULL */
    struct bytes blob;       /* lent; empty when none was announced */
};

/* Takes the command; must call commands_answer for it, now or later. */
typedef void (*command_handler)(void *ctx, struct command_in *in);
typedef void (*command_done)(void *ctx, const struct command_answer *answer);

struct commands *commands_new(const struct clock *clock, const struct links *links, const struct node_id *self);
/* Ends open calls with STATUS_CANCELLED. */
void commands_free(struct commands *commands);

void commands_handle(struct commands *commands, const char *name, command_handler handler, void *ctx);

/* Takes `params` (NULL: none). `done` comes exactly once: with the answer, TIMEOUT after timeout_ms, or NETWORK
 * as soon as the link is down or was never up. NULL `done`: nobody waits. */
void commands_call(struct commands *commands, const struct node_id *to, const char *name, struct jv *params,
                   uint32_t timeout_ms, command_done done, void *ctx);

/* Takes `result` (NULL: none) and ends `in`. `error` is ignored when status is STATUS_OK. */
void commands_answer(struct commands *commands, struct command_in *in, enum status status, struct jv *result,
                     const char *error);
/* The same with a blob, copied into frames at once. */
void commands_answer_blob(struct commands *commands, struct command_in *in, struct jv *result,
                          struct bytes blob);

/* From the link's events. BAD_DATA: the peer broke the rules. */
enum status commands_on_frame(struct commands *commands, const struct node_id *peer, enum frame_kind kind,
                              struct bytes payload, struct error *err);
void commands_on_down(struct commands *commands, const struct node_id *peer);

#endif
