#include "model/tokenizer_merge.h"

#include "base/mem.h"
#include "model/tokenizer.h"

bool tokenizer_merge_reserve(struct tokenizer_merge *m, size_t n)
{
    m->n_symbols = m->n_heap = 0;
    if (n <= m->capacity)
        return true;
    size_t capacity = m->capacity ? m->capacity : 64;
    while (capacity < n)
        capacity *= 2;
    tokenizer_merge_free(m);
    /* A merge takes one pair out and puts at most two in: never more than twice the symbols. */
    m->symbols = mem_try_array(capacity, sizeof *m->symbols, SIZE_MAX / 2);
    m->heap = capacity < UINT32_MAX / 4 ? mem_try_array(2 * capacity, sizeof *m->heap, SIZE_MAX / 2) : NULL;
    if (!m->symbols || !m->heap) {
        tokenizer_merge_free(m);
        return false;
    }
    m->capacity = (uint32_t)capacity;
    return true;
}

void tokenizer_merge_free(struct tokenizer_merge *m)
{
    mem_free(m->symbols);
    mem_free(m->heap);
    *m = (struct tokenizer_merge){0};
}

void tokenizer_merge_add(struct tokenizer_merge *m, uint32_t n_bytes, uint32_t id)
{
    uint32_t i = m->n_symbols++;
    struct merge_symbol *s = &m->symbols[i];
    *s = (struct merge_symbol){
        .start = 0, .n_bytes = n_bytes, .id = id, .before = TOKENIZER_NO_ID, .after = TOKENIZER_NO_ID};
    if (i == 0)
        return;
    s->start = s[-1].start + s[-1].n_bytes;
    s->before = i - 1;
    s[-1].after = i;
}

static void heap_push(struct tokenizer_merge *m, struct merge_pair pair)
{
    uint32_t at = m->n_heap++;
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;
        if (pair.order >= m->heap[parent].order)
            break;
        m->heap[at] = m->heap[parent];
        at = parent;
    }
    m->heap[at] = pair;
}

static uint32_t least_child(const struct tokenizer_merge *m, uint32_t first)
{
    uint32_t end = m->n_heap - first > 4 ? first + 4 : m->n_heap, least = first;
    for (uint32_t i = first + 1; i < end; i++)
        if (m->heap[i].order < m->heap[least].order)
            least = i;
    return least;
}

static struct merge_pair heap_pop(struct tokenizer_merge *m)
{
    struct merge_pair top = m->heap[0], last = m->heap[--m->n_heap];
    uint32_t at = 0;
    for (uint32_t first = 1; first < m->n_heap; first = 4 * at + 1) {
        uint32_t child = least_child(m, first);
        if (m->heap[child].order >= last.order)
            break;
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = last;
    return top;
}

struct ranking {
    merge_rank rank;
    const void *vocab;
    const uint8_t *word;
};

static void consider(struct tokenizer_merge *m, const struct ranking *r, uint32_t left)
{
    if (left == TOKENIZER_NO_ID || m->symbols[left].after == TOKENIZER_NO_ID)
        return;
    const struct merge_symbol *a = &m->symbols[left], *b = &m->symbols[a->after];
    struct merge_pair pair = {.n_bytes = a->n_bytes + b->n_bytes};
    uint32_t key;
    if (!r->rank(r->vocab, r->word, a, b, &key, &pair.id))
        return;
    pair.order = (uint64_t)key << 32 | left;
    heap_push(m, pair);
}

void tokenizer_merge_run(struct tokenizer_merge *m, const uint8_t *word, merge_rank rank, const void *vocab)
{
    const struct ranking r = {rank, vocab, word};
    for (uint32_t i = 0; i + 1 < m->n_symbols; i++)
        consider(m, &r, i);
    while (m->n_heap > 0) {
        struct merge_pair pair = heap_pop(m);
        uint32_t left_index = (uint32_t)pair.order;
        struct merge_symbol *left = &m->symbols[left_index];
        if (left->n_bytes == 0 || left->after == TOKENIZER_NO_ID)
            continue;
        struct merge_symbol *right = &m->symbols[left->after];
        if (left->n_bytes + right->n_bytes != pair.n_bytes) /* one of them has grown since */
            continue;
        left->n_bytes = pair.n_bytes;
        left->id = pair.id;
        left->after = right->after;
        if (right->after != TOKENIZER_NO_ID)
            m->symbols[right->after].before = left_index;
        right->n_bytes = 0;
        consider(m, &r, left->before);
        consider(m, &r, left_index);
    }
}
