/* Since when a finding stands: most findings are computed anew each time, so the first sight is remembered
 * here. */
#include "base/mem.h"
#include "node/verdict.h"

#include <string.h>

struct remembered {
    enum finding_code code;
    int32_t shard;
    struct node_id node;
    uint64_t since_ms;
    bool seen;
};

struct verdict_memory {
    struct remembered items[FINDINGS_MAX];
    uint32_t n;
    bool ready, known;
    uint64_t ready_since_ms;
};

struct verdict_memory *verdict_memory_new(void)
{
    return mem_new(sizeof(struct verdict_memory));
}

void verdict_memory_free(struct verdict_memory *memory)
{
    mem_free(memory);
}

static struct remembered *recall(struct verdict_memory *memory, const struct finding *f)
{
    for (uint32_t i = 0; i < memory->n; i++) {
        struct remembered *r = &memory->items[i];
        if (r->code == f->code && r->shard == f->shard && node_id_equal(&r->node, &f->node))
            return r;
    }
    return NULL;
}

void verdict_remember(struct verdict_memory *memory, struct verdict *verdict, uint64_t now_ms)
{
    if (!memory->known || memory->ready != verdict->ready) {
        memory->known = true;
        memory->ready = verdict->ready;
        memory->ready_since_ms = now_ms;
    }
    verdict->since_ms = memory->ready_since_ms;
    for (uint32_t i = 0; i < memory->n; i++)
        memory->items[i].seen = false;
    for (uint32_t i = 0; i < verdict->findings.n; i++) {
        struct finding *f = &verdict->findings.items[i];
        struct remembered *r = recall(memory, f);
        if (!r && memory->n < FINDINGS_MAX) {
            r = &memory->items[memory->n++];
            *r = (struct remembered){.code = f->code, .shard = f->shard, .node = f->node, .since_ms = now_ms};
        }
        if (!r)
            continue;
        r->seen = true;
        if (!f->since_ms || r->since_ms < f->since_ms)
            f->since_ms = r->since_ms;
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < memory->n; i++)
        if (memory->items[i].seen)
            memory->items[kept++] = memory->items[i];
    memory->n = kept;
}
