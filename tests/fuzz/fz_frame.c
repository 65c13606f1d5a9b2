/* links: wire */
/* A stream of frames from a peer, whole and in two pieces: what is taken is within its kind's limit, views stay
 * inside the input, the cut does not matter, and what is encoded again is the same bytes. */
#include "wire/frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How many bytes decode; *out_frames counts. */
static size_t take_all(struct bytes in, size_t *out_frames)
{
    size_t taken = 0, used = 0;
    struct frame frame;
    *out_frames = 0;
    while (!frame_decode(&frame, &used, bytes_of(in.data + taken, in.size - taken), NULL) && used) {
        const struct frame_rule *rule = frame_rule(frame.kind);
        ASSERT(rule && frame.payload.size <= rule->payload_bytes_max);
        ASSERT(used == FRAME_HEAD_BYTES + frame.payload.size && used <= in.size - taken);
        ASSERT(frame.payload.data == in.data + taken + FRAME_HEAD_BYTES);
        struct buffer again;
        buffer_init(&again, 0);
        frame_encode(&again, frame.kind, frame.payload);
        ASSERT(again.size == used && memcmp(again.data, in.data + taken, used) == 0);
        buffer_free(&again);
        taken += used;
        (*out_frames)++;
    }
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    size_t cut = data[0] % size, n_all, n_first, n_rest;
    struct bytes in = bytes_of(data + 1, size - 1);
    size_t taken = take_all(in, &n_all);
    if (cut > in.size)
        cut = in.size;
    size_t first = take_all(bytes_of(in.data, cut), &n_first);
    size_t rest = take_all(bytes_of(in.data + first, in.size - first), &n_rest);
    ASSERT(first + rest == taken && n_first + n_rest == n_all);
    return 0;
}
