#include "wire/frame.h"

static const struct frame_rule rules[FRAME_KIND_END] = {
    [FRAME_HELLO] = {"hello", 4096, FRAME_ON_ANY},
    [FRAME_AUTH] = {"auth", 256, FRAME_ON_ANY},
    [FRAME_PING] = {"ping", 64, FRAME_ON_ANY},
    [FRAME_PONG] = {"pong", 64, FRAME_ON_ANY},
    [FRAME_ACCEPT] = {"accept", 0, FRAME_ON_CONTROL},
    [FRAME_READY] = {"ready", 0, FRAME_ON_CONTROL},
    [FRAME_BYE] = {"bye", 4096, FRAME_ON_ANY},
    [FRAME_COMMAND] = {"command", 65536, FRAME_ON_CONTROL},
    [FRAME_RESPONSE] = {"response", 65536, FRAME_ON_CONTROL},
    [FRAME_RECORD] = {"record", 65536, FRAME_ON_CONTROL},
    [FRAME_DIGEST] = {"digest", 65536, FRAME_ON_CONTROL},
    [FRAME_WANT] = {"want", 65536, FRAME_ON_CONTROL},
    [FRAME_PROBED] = {"probed", 65536, FRAME_ON_CONTROL},
    [FRAME_STEP] = {"step", 64U << 20, FRAME_ON_DATA},
    [FRAME_TOKENS] = {"tokens", 1U << 20, FRAME_ON_DATA},
    [FRAME_STEP_FAIL] = {"step fail", 65536, FRAME_ON_DATA},
    [FRAME_FORGET] = {"forget", 65536, FRAME_ON_DATA},
    [FRAME_BLOB] = {"blob", 1U << 20, FRAME_ON_DATA},
};

const struct frame_rule *frame_rule(unsigned kind)
{
    return kind < FRAME_KIND_END && rules[kind].name ? &rules[kind] : NULL;
}

enum status frame_decode(struct frame *out, size_t *out_used, struct bytes in, struct error *err)
{
    *out_used = 0;
    if (in.size < FRAME_HEAD_BYTES)
        return STATUS_OK;
    struct reader r = reader_over(in);
    uint32_t payload_bytes = reader_u32(&r);
    unsigned kind = reader_u8(&r);
    unsigned zero = reader_u8(&r);
    zero |= reader_u16(&r);
    const struct frame_rule *rule = frame_rule(kind);
    if (!rule)
        return error_set(err, STATUS_BAD_DATA, "frame of unknown kind %u (%u bytes)", kind, payload_bytes);
    if (zero)
        return error_set(err, STATUS_BAD_DATA, "frame '%s' with reserved bits 0x%x set", rule->name, zero);
    if (payload_bytes > rule->payload_bytes_max)
        return error_set(err, STATUS_BAD_DATA, "frame '%s' of %u bytes passes its limit of %u", rule->name,
                         payload_bytes, rule->payload_bytes_max);
    if (payload_bytes > reader_left(&r))
        return STATUS_OK;
    out->kind = (enum frame_kind)kind;
    out->payload = reader_bytes(&r, payload_bytes);
    *out_used = FRAME_HEAD_BYTES + (size_t)payload_bytes;
    return STATUS_OK;
}

void frame_encode(struct buffer *out, enum frame_kind kind, struct bytes payload)
{
    const struct frame_rule *rule = frame_rule(kind);
    ASSERT(rule && payload.size <= rule->payload_bytes_max);
    buffer_u32(out, (uint32_t)payload.size);
    buffer_u8(out, (uint8_t)kind);
    buffer_u8(out, 0);
    buffer_u16(out, 0);
    buffer_bytes(out, payload.data, payload.size);
}
