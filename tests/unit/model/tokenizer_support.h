/* tokenizer_support - small vocabularies and reference data for the tests of the tokenizer. */
#ifndef TEST_TOKENIZER_SUPPORT_H
#define TEST_TOKENIZER_SUPPORT_H

#include "base/crypto.h"
#include "base/mem.h"
#include "base/rand.h"
#include "model/gguf.h"
#include "model/tokenizer.h"
#include "model/vocab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The folder of reference data: a block for mem_free; NULL, and it says so, where it is absent. */
static inline char *shared_path(const char *name)
{
    const char *root = getenv("SHOAL_SHARED");
    char *path = mem_format("%s/%s", root ? root : "../shared", name);
    if (access(path, R_OK) == 0)
        return path;
    print_message("skipped: %s is absent (SHOAL_SHARED names its folder)\n", path);
    mem_free(path);
    return NULL;
}

/* NULL where the file is absent. */
static inline struct tokenizer *shared_tokenizer(const char *name)
{
    char *path = shared_path(name);
    if (!path)
        return NULL;
    struct gguf *gguf;
    struct tokenizer *t;
    struct error err;
    if (gguf_open(&gguf, path, &err) || tokenizer_create(&t, gguf, &err))
        fail_msg("%s: %s", path, err.text);
    gguf_close(gguf);
    mem_free(path);
    return t;
}

/* A vocabulary under construction. Texts are copied. */
struct made_vocab {
    struct bytes tokens[4096], merges[4096];
    float scores[4096];
    int32_t types[4096];
    uint32_t n, n_merges;
    struct vocab_source source;
};

static inline uint32_t made_token(struct made_vocab *m, const char *text, int32_t type, float score)
{
    m->tokens[m->n] = bytes_of(mem_string(text), strlen(text));
    m->types[m->n] = type;
    m->scores[m->n] = score;
    return m->n++;
}

static inline void made_merge(struct made_vocab *m, const char *line)
{
    m->merges[m->n_merges++] = bytes_of(mem_string(line), strlen(line));
}

static inline void made_free(struct made_vocab *m)
{
    for (uint32_t i = 0; i < m->n; i++)
        mem_free((void *)(uintptr_t)m->tokens[i].data);
    for (uint32_t i = 0; i < m->n_merges; i++)
        mem_free((void *)(uintptr_t)m->merges[i].data);
    mem_free(m);
}

static inline struct vocab_source *made_source(struct made_vocab *m)
{
    m->source.tokens = m->tokens;
    m->source.n_tokens = m->n;
    m->source.types = m->types;
    m->source.n_types = m->n;
    if (bytes_equal(m->source.model, bytes_of_text("llama"))) {
        m->source.scores = m->scores;
        m->source.n_scores = m->n;
    } else {
        m->source.merges = m->merges;
        m->source.n_merges = m->n_merges;
    }
    return &m->source;
}

static inline struct made_vocab *made_new(const char *model, const char *pre)
{
    struct made_vocab *m = mem_new(sizeof *m);
    m->source.model = bytes_of_text(model);
    if (pre)
        m->source.pre = bytes_of_text(pre);
    m->source.adds_bos = m->source.adds_eos = m->source.adds_sep = m->source.adds_space_prefix = -1;
    for (int i = 0; i < VOCAB_ID_COUNT; i++)
        m->source.ids[i] = -1;
    return m;
}

/* BPE: ids 0 to 255 are the bytes. */
static inline struct made_vocab *made_bpe(const char *pre)
{
    struct made_vocab *m = made_new("gpt2", pre);
    for (unsigned b = 0; b < 256; b++) {
        uint32_t sign = vocab_sign_of((uint8_t)b);
        char text[3] = {(char)sign, 0, 0};
        if (sign >= 0x80) {
            text[0] = (char)(0xc0 | sign >> 6);
            text[1] = (char)(0x80 | (sign & 0x3f));
        }
        made_token(m, text, VOCAB_NORMAL, 0);
    }
    return m;
}

/* SPM: 0 <unk>, 1 <s>, 2 </s>, 3 to 258 the bytes. */
static inline struct made_vocab *made_spm(void)
{
    struct made_vocab *m = made_new("llama", NULL);
    made_token(m, "<unk>", VOCAB_UNKNOWN, 0);
    made_token(m, "<s>", VOCAB_CONTROL, 0);
    made_token(m, "</s>", VOCAB_CONTROL, 0);
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        made_token(m, text, VOCAB_BYTE, 0);
    }
    return m;
}

static inline struct tokenizer *made_tokenizer(struct made_vocab *m)
{
    struct tokenizer *t;
    struct error err;
    if (vocab_tokenizer(&t, made_source(m), &err))
        fail_msg("%s", err.text);
    return t;
}

static inline struct tokenizer_ids encoded(const struct tokenizer *t, const void *text, size_t n,
                                           unsigned flags)
{
    struct tokenizer_ids ids = {0};
    struct error err;
    if (tokenizer_encode(t, bytes_of(text, n), flags, &ids, &err))
        fail_msg("%s", err.text);
    return ids;
}

/* The ids as "1 2 3", in a static buffer. */
static inline const char *ids_text(const struct tokenizer_ids *ids)
{
    static char out[4096];
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < ids->n && n + 16 < sizeof out; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, i ? " %u" : "%u", ids->ids[i]);
    return out;
}

static inline void assert_encodes(const struct tokenizer *t, const char *text, unsigned flags, const char *want)
{
    struct tokenizer_ids ids = encoded(t, text, strlen(text), flags);
    if (strcmp(ids_text(&ids), want) != 0)
        fail_msg("'%s' gives %s, want %s", text, ids_text(&ids), want);
    tokenizer_ids_free(&ids);
}

#endif
