#include "base/mem.h"
#include "model/tokenizer_private.h"

#include <string.h>

/* All specials of one length, found in one pass over the text. */
struct pass {
    const struct vocab *v;
    size_t n_bytes;
    bool first_bytes[256], last_bytes[256]; /* of any of them: what fails these is no special */
};

struct cutter {
    const struct tokenizer_run *runs;
    size_t n_runs;
    size_t run, run_start; /* the run that holds the position looked at last */
};

/* Positions only grow within one fragment list, but each pass starts anew. */
static bool is_special_range(struct cutter *c, size_t start, size_t end)
{
    if (start < c->run_start)
        c->run = c->run_start = 0;
    while (c->run < c->n_runs && start >= c->run_start + c->runs[c->run].n_bytes)
        c->run_start += c->runs[c->run++].n_bytes;
    size_t at = c->run_start;
    for (size_t run = c->run; run < c->n_runs && at < end; run++) {
        if (!c->runs[run].is_special)
            return false;
        at += c->runs[run].n_bytes;
    }
    return at >= end;
}

static uint32_t special_at(const struct pass *p, struct cutter *c, struct bytes text, size_t at)
{
    if (!p->first_bytes[text.data[at]] || !p->last_bytes[text.data[at + p->n_bytes - 1]])
        return TOKENIZER_NO_ID;
    uint32_t id = vocab_find(p->v, bytes_of(text.data + at, p->n_bytes));
    if (id == TOKENIZER_NO_ID)
        return id;
    if (p->v->types[id] == VOCAB_USER_DEFINED)
        return id;
    bool special = p->v->types[id] == VOCAB_CONTROL || p->v->types[id] == VOCAB_UNKNOWN;
    return special && is_special_range(c, at, at + p->n_bytes) ? id : TOKENIZER_NO_ID;
}

static bool fragment_add(struct fragments *f, size_t start, size_t end, uint32_t id)
{
    if (start == end)
        return true;
    if (f->n == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 16;
        struct fragment *list = mem_try_array(capacity, sizeof *list, SIZE_MAX / 2);
        if (!list)
            return false;
        if (f->n)
            memcpy(list, f->list, f->n * sizeof *list);
        mem_free(f->list);
        f->list = list;
        f->capacity = capacity;
    }
    f->list[f->n++] = (struct fragment){start, end, id};
    return true;
}

static size_t skip_white(struct bytes text, size_t at, size_t end)
{
    while (at < end && (text.data[at] == ' ' || (text.data[at] >= '\t' && text.data[at] <= '\r')))
        at++;
    return at;
}

/* Tokens after which white space goes: all control tokens of a phi-3 vocabulary but two. */
static bool strips_after(const struct vocab *v, uint32_t id)
{
    struct bytes text = vocab_text(v, id);
    return v->strips_after_special && v->types[id] == VOCAB_CONTROL &&
           !bytes_equal(text, bytes_of_text("<s>")) && !bytes_equal(text, bytes_of_text("<|endoftext|>"));
}

static bool cut_one(struct fragments *out, const struct pass *p, struct cutter *c, struct bytes text,
                    struct fragment plain)
{
    size_t start = plain.start, at = plain.start;
    while (at + p->n_bytes <= plain.end) {
        uint32_t id = special_at(p, c, text, at);
        if (id == TOKENIZER_NO_ID) {
            at++;
            continue;
        }
        if (!fragment_add(out, start, at, TOKENIZER_NO_ID) || !fragment_add(out, at, at + p->n_bytes, id))
            return false;
        at += p->n_bytes;
        if (strips_after(p->v, id))
            at = skip_white(text, at, plain.end);
        start = at;
    }
    return fragment_add(out, start, plain.end, TOKENIZER_NO_ID);
}

static bool has_any(const struct fragments *f, const struct pass *p, struct bytes text)
{
    if (p->n_bytes > text.size)
        return false;
    for (size_t i = 0; i < f->n; i++)
        for (size_t at = f->list[i].start; f->list[i].id == TOKENIZER_NO_ID && at < f->list[i].end; at++)
            if (p->first_bytes[text.data[at]])
                return true;
    return false;
}

static bool run_pass(struct fragments *f, const struct pass *p, struct cutter *c, struct bytes text)
{
    if (!has_any(f, p, text))
        return true;
    struct fragments cut = {0};
    bool ok = true;
    for (size_t i = 0; i < f->n && ok; i++) {
        struct fragment old = f->list[i];
        ok = old.id == TOKENIZER_NO_ID ? cut_one(&cut, p, c, text, old)
                                       : fragment_add(&cut, old.start, old.end, old.id);
    }
    mem_free(f->list);
    *f = cut;
    return ok;
}

enum status tokenizer_cut(struct fragments *out, const struct vocab *v, struct bytes text,
                          const struct tokenizer_run *runs, size_t n_runs, struct error *err)
{
    struct cutter c = {.runs = runs, .n_runs = n_runs};
    bool any_special = false;
    for (size_t i = 0; i < n_runs; i++)
        any_special |= runs[i].is_special && runs[i].n_bytes;
    bool ok = fragment_add(out, 0, text.size, TOKENIZER_NO_ID);
    for (uint32_t i = 0; i < v->n_specials && ok;) {
        struct pass p = {.v = v, .n_bytes = vocab_text(v, v->specials[i]).size};
        bool wanted = false;
        for (; i < v->n_specials && vocab_text(v, v->specials[i]).size == p.n_bytes; i++) {
            if (!any_special && v->types[v->specials[i]] != VOCAB_USER_DEFINED)
                continue;
            const uint8_t *name = vocab_text(v, v->specials[i]).data;
            p.first_bytes[name[0]] = p.last_bytes[name[p.n_bytes - 1]] = wanted = true;
        }
        if (wanted)
            ok = run_pass(out, &p, &c, text);
    }
    return ok ? STATUS_OK : error_set(err, STATUS_NO_MEMORY, "no memory to tokenize %zu bytes", text.size);
}
