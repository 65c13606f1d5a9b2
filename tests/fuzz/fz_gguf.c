/* links: model */
/* Any bytes as a GGUF file: refused, or every view lies inside what was read, every tensor can be read whole,
 * and hyper-parameters and spans agree or say why not. */
#include "base/crypto.h"
#include "base/mem.h"
#include "model/shards.h"

#include <stdlib.h>
#include <string.h>

#define READ_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void walk_keys(const struct gguf *gguf)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_n_keys(gguf); i++) {
        const struct gguf_value *v = gguf_key_at(gguf, i);
        check(v->key.size > 0 && v->record.size >= v->key.size + v->data.size);
        for (size_t b = 0; b < v->record.size; b++)
            sum += v->record.data[b];
        for (uint64_t e = 0; v->type == GGUF_ARRAY && v->element == GGUF_STRING && e < v->count; e++) {
            struct bytes text = gguf_array_string(v, e);
            check(text.data >= v->data.data && text.data + text.size <= v->data.data + v->data.size);
        }
        char *key = mem_string_n((const char *)v->key.data, v->key.size);
        check(gguf_find(gguf, key) == v);
        mem_free(key);
    }
    check(sum != UINT64_MAX);
}

static void walk_tensors(const struct gguf *gguf, uint8_t *buf)
{
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);
        size_t n = t->bytes < READ_MAX ? (size_t)t->bytes : READ_MAX;
        check(gguf_find_tensor(gguf, t->name) == t);
        check(gguf_read_tensor(gguf, t, 0, buf, n, NULL) == STATUS_OK);
        check(gguf_read_tensor(gguf, t, t->bytes - n, buf, n, NULL) == STATUS_OK);
    }
}

static void bind_model(const struct gguf *gguf, struct error *err)
{
    struct hparams h;
    struct span span;
    struct tensor_table *table;
    if (hparams_read(&h, gguf, err) || span_read(&span, NULL, NULL, gguf, &h, err) ||
        tensor_table_bind(&table, gguf, &h, &span, err)) {
        check(err->text[0] != '\0' && err->status != STATUS_OK);
        return;
    }
    check(!span.output || tensor_table_get(table, TENSOR_OUTPUT, TENSOR_NO_LAYER));
    for (int r = TENSOR_ROLE_LAYER_FIRST; r < TENSOR_ROLE_COUNT; r++)
        check(tensor_need_of(&h, (enum tensor_role)r) != TENSOR_NEEDED ||
              tensor_table_get(table, (enum tensor_role)r, span.end_layer - 1));
    if (span.embedding && span.output) {
        struct span *spans = mem_array(h.n_layers, sizeof *spans);
        uint32_t n;
        check(shards_plan(spans, &n, 3, gguf, &h, err) == STATUS_OK);
        check(spans[0].first_layer == 0 && spans[n - 1].end_layer == h.n_layers);
        mem_free(spans);
    }
    tensor_table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    static uint8_t buf[READ_MAX];
    struct error err = {0};
    struct gguf *gguf = NULL;
    struct bytes file = bytes_of(data, size);
    if (!started)
        check(crypto_start(&err) == STATUS_OK);
    started = true;
    if (gguf_open_memory(&gguf, &file, 1, &err)) {
        check(gguf == NULL && err.text[0] != '\0');
        return 0;
    }
    walk_keys(gguf);
    walk_tensors(gguf, buf);
    bind_model(gguf, &err);
    gguf_close(gguf);
    return 0;
}
