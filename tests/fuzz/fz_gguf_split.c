/* links: model */
/* Any bytes as a set of split parts: refused, or one table in which names are unique and every tensor can be
 * read from its own part. Input: number of parts (1 to 4), the size of each but the last as u16, then the
 * parts. */
#include "base/crypto.h"
#include "model/gguf.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 4
#define READ_MAX  4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static size_t cut(struct bytes parts[PARTS_MAX], const uint8_t *data, size_t size)
{
    struct reader r = reader_over(bytes_of(data, size));
    size_t n = reader_u8(&r) % PARTS_MAX + 1, sizes[PARTS_MAX] = {0};
    for (size_t i = 0; i + 1 < n; i++)
        sizes[i] = reader_u16(&r);
    for (size_t i = 0; i < n; i++) {
        size_t left = reader_left(&r);
        parts[i] = reader_bytes(&r, i + 1 == n || sizes[i] > left ? left : sizes[i]);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    struct bytes parts[PARTS_MAX] = {{0}};
    struct error err = {0};
    struct gguf *gguf = NULL;
    uint8_t buf[READ_MAX];
    if (!started)
        check(crypto_start(&err) == STATUS_OK);
    started = true;
    size_t n = cut(parts, data, size);
    if (gguf_open_memory(&gguf, parts, n, &err)) {
        check(gguf == NULL && err.text[0] != '\0');
        return 0;
    }
    check(gguf_n_parts(gguf) == n);
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);
        size_t want = t->bytes < READ_MAX ? (size_t)t->bytes : READ_MAX;
        check(t->part < n && t->offset + t->bytes <= parts[t->part].size);
        check(gguf_find_tensor(gguf, t->name) == t);
        check(gguf_read_tensor(gguf, t, 0, buf, want, &err) == STATUS_OK);
        check(memcmp(buf, parts[t->part].data + t->offset, want) == 0);
    }
    if (n > 1)
        check(gguf_find(gguf, "split.count") == NULL);
    gguf_close(gguf);
    return 0;
}
