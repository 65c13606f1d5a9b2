#include "node/verdict_log.h"

#include "base/mem.h"

struct verdict_log {
    struct finding_list told; /* as last seen; since_ms: when it was first told */
};

struct verdict_log *verdict_log_new(void)
{
    return mem_new(sizeof(struct verdict_log));
}

void verdict_log_free(struct verdict_log *log)
{
    if (!log)
        return;
    finding_list_free(&log->told);
    mem_free(log);
}

static const struct finding *find(const struct finding_list *list, const struct finding *f)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct finding *other = &list->items[i];
        if (other->severity != SEVERITY_INFO && other->code == f->code && other->shard == f->shard &&
            node_id_equal(&other->node, &f->node))
            return other;
    }
    return NULL;
}

bool verdict_log_note(struct verdict_log *log, const struct finding_list *findings, uint64_t now_ms,
                      verdict_log_change change, void *ctx)
{
    struct finding_list next = {0};
    bool any = false;
    for (uint32_t i = 0; i < log->told.n; i++) {
        const struct finding *was = &log->told.items[i];
        if (find(findings, was))
            continue;
        any = true;
        change(ctx, was, true, now_ms - was->since_ms);
    }
    for (uint32_t i = 0; i < findings->n; i++) {
        const struct finding *f = &findings->items[i], *was = find(&log->told, f);
        if (f->severity == SEVERITY_INFO || find(&next, f))
            continue;
        finding_list_append(&next, f);
        if (!next.n)
            continue;
        next.items[next.n - 1].since_ms = was ? was->since_ms : now_ms;
        if (!was) {
            any = true;
            change(ctx, f, false, 0);
        }
    }
    finding_list_free(&log->told);
    log->told = next;
    return any;
}
