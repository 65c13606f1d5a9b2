#include "base/mem.h"
#include "node/pipeline_private.h"

#define SEQUENCES_MAX 4096

struct sequence_entry *pipeline_find(const struct pipeline *pipeline, uint64_t sequence)
{
    for (struct sequence_entry *s = pipeline->sequences; s; s = s->next)
        if (s->sequence == sequence)
            return s;
    return NULL;
}

void pipeline_drop(struct pipeline *pipeline, uint64_t sequence)
{
    for (struct sequence_entry **at = &pipeline->sequences; *at; at = &(*at)->next) {
        struct sequence_entry *s = *at;
        if (s->sequence != sequence)
            continue;
        *at = s->next;
        pipeline->n_sequences--;
        compute_forget(pipeline->compute, sequence);
        mem_free(s->ahead);
        mem_free(s);
        return;
    }
}

void pipeline_end(struct pipeline *pipeline, uint64_t sequence)
{
    pipeline->forgotten[pipeline->n_forgotten++ % FORGOTTEN_MAX] = sequence;
    pipeline_drop(pipeline, sequence);
}

bool pipeline_has_ended(const struct pipeline *pipeline, uint64_t sequence)
{
    for (uint32_t i = 0; i < FORGOTTEN_MAX; i++)
        if (pipeline->forgotten[i] == sequence)
            return true;
    return false;
}

struct sequence_entry *pipeline_find_or_make(struct pipeline *pipeline, uint64_t sequence,
                                             const struct node_id *origin)
{
    struct sequence_entry *s = pipeline_find(pipeline, sequence);
    if (s)
        return s;
    if (pipeline->n_sequences == SEQUENCES_MAX) { /* the oldest without a listener goes */
        uint64_t oldest = 0;
        for (s = pipeline->sequences; s; s = s->next)
            if (!s->has_listener)
                oldest = s->sequence;
        if (!oldest)
            return NULL;
        pipeline_drop(pipeline, oldest);
    }
    s = mem_new(sizeof *s);
    s->sequence = sequence;
    s->origin = *origin;
    s->next = pipeline->sequences;
    pipeline->sequences = s;
    pipeline->n_sequences++;
    return s;
}
