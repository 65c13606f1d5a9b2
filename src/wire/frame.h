/* frame - the envelope of everything that travels on a link, after TLS is up.
 *
 *   u32 payload bytes (little-endian) | u8 kind | u8 0 | u16 0 | payload
 *
 * Each kind has a largest payload, checked before anything is allocated, and the connection it
 * travels on: control (small, never behind a prompt) or data. docs/PROTOCOL.md lists the payloads. */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include "base/bytes.h"

#define FRAME_HEAD_BYTES 8
#define PROTOCOL_VERSION 1

enum frame_kind {
    FRAME_HELLO = 1, /* link: who, role, channel, versions (JSON) */
    FRAME_AUTH,      /* link: signature over the exporter */
    FRAME_PING,      /* link: u64 sender's clock */
    FRAME_PONG,      /* link: the same back, i64 answerer's wall clock in ms */
    FRAME_ACCEPT,    /* link: the lower id takes this control connection (empty) */
    FRAME_READY,     /* link: both connections are proved on this side; others may follow (empty) */
    FRAME_BYE,       /* link: why it closes (JSON {code, text}) */
    FRAME_COMMAND,   /* JSON, DESIGN section 6 */
    FRAME_RESPONSE,  /* JSON */
    FRAME_RECORD,    /* one signed roster record */
    FRAME_DIGEST,    /* (node id, version) of all records known */
    FRAME_WANT,      /* node ids whose records are asked for */
    FRAME_PROBED,    /* the result of a probe: plan, epochs, states, signatures */
    FRAME_STEP,      /* data: one step of a plan: token ids, positions, hidden states */
    FRAME_TOKENS,    /* data: sampled tokens from the last node */
    FRAME_STEP_FAIL, /* data: a step that could not be run: kv_miss, no such plan, ... */
    FRAME_FORGET,    /* data: sequences that may be dropped */
    FRAME_BLOB,      /* data: a piece of a manifest or tokenizer that a command asked for */
    FRAME_KIND_END
};

enum frame_channel { FRAME_ON_CONTROL, FRAME_ON_DATA, FRAME_ON_ANY };

struct frame_rule {
    const char *name; /* NULL: no such kind */
    uint32_t payload_bytes_max;
    enum frame_channel channel;
};
/* NULL for a kind that does not exist. */
const struct frame_rule *frame_rule(unsigned kind);

struct frame {
    enum frame_kind kind;
    struct bytes payload; /* a view into the input */
};

/* Takes one frame from the front of `in`. *out_used is 0 when more bytes are needed. BAD_DATA names the
 * kind and the size. */
enum status frame_decode(struct frame *out, size_t *out_used, struct bytes in, struct error *err);
/* Writes head and payload; the payload's size must be within the kind's limit (a bug otherwise). */
void frame_encode(struct buffer *out, enum frame_kind kind, struct bytes payload);

#endif
