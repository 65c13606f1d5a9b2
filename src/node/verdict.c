#include "node/verdict_private.h"

#include <stdio.h>

bool shard_is_claimed_by(const struct roster_entry *entry, uint32_t shard)
{
    const struct record_shard *s = record_shard_find(&entry->record, shard);
    return s && (s->assigned != ASSIGNED_NOT || s->state == SHARD_LOADED || s->state == SHARD_LOADING);
}

/* Its ids of shards are ours. */
static bool counts(const struct roster *roster, const struct roster_entry *entry)
{
    return entry->alive && record_same_split(&entry->record, &roster_self(roster)->record);
}

bool shard_is_discovered(const struct roster *roster, uint32_t shard)
{
    for (size_t i = 0; i < roster_count(roster); i++)
        if (counts(roster, roster_at(roster, i)) && shard_is_claimed_by(roster_at(roster, i), shard))
            return true;
    return false;
}

bool shard_is_loaded(const struct roster *roster, uint32_t shard)
{
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (counts(roster, entry) && s && s->state == SHARD_LOADED)
            return true;
    }
    return false;
}

uint32_t roster_n_discovered(const struct roster *roster, uint32_t n_shards)
{
    uint32_t n = 0;
    for (uint32_t shard = 0; shard < n_shards; shard++)
        n += shard_is_discovered(roster, shard);
    return n;
}

uint32_t roster_n_loaded(const struct roster *roster, uint32_t n_shards)
{
    uint32_t n = 0;
    for (uint32_t shard = 0; shard < n_shards; shard++)
        n += shard_is_loaded(roster, shard);
    return n;
}

const struct roster_entry *roster_coordinator(const struct roster *roster)
{
    for (size_t i = 0; i < roster_count(roster); i++)
        if (roster_at(roster, i)->alive && roster_at(roster, i)->record.role == ROLE_SERVE)
            return roster_at(roster, i);
    return NULL;
}

static void fill_stages(struct verdict *out, const struct verdict_view *view)
{
    bool blocked = false;
    for (int s = 0; s < STAGE_COUNT; s++) {
        bool here = false;
        for (uint32_t i = 0; i < out->findings.n; i++)
            here |= out->findings.items[i].severity == SEVERITY_BLOCKER &&
                    finding_stage(out->findings.items[i].code) == (enum stage)s;
        out->stages[s] = here ? STAGE_BLOCKED : blocked ? STAGE_UNKNOWN : STAGE_OK;
        blocked |= here;
    }
    out->ready = !blocked && view->readiness && readiness_is_ready(view->readiness);
}

static void explain_readiness(struct finding_list *out, const struct verdict_view *view)
{
    struct finding_list list = {0};
    readiness_explain(view->readiness, &list);
    for (uint32_t i = 0; i < list.n; i++)
        verdict_take(out, &list.items[i], &roster_self(view->roster)->record.id, list.items[i].since_ms);
    finding_list_free(&list);
}

void verdict_compute(struct verdict *out, const struct verdict_view *view)
{
    bool is_ready = view->readiness && readiness_is_ready(view->readiness);
    *out = (struct verdict){0};
    if (view->manifest)
        snprintf(out->model, sizeof out->model, "%s", view->manifest->name);
    verdict_gather(&out->findings, view);
    if (!verdict_has(&out->findings, FINDING_MANIFEST_INVALID, -1))
        verdict_explain_model(&out->findings, view);
    verdict_soften_covered(&out->findings, view);
    verdict_explain_shards(&out->findings, view, !view->manifest);
    verdict_explain_duplicates(&out->findings, view);
    verdict_explain_links(&out->findings, view);

    bool all_loaded = view->n_shards_expected &&
                      roster_n_loaded(view->roster, view->n_shards_expected) == view->n_shards_expected;
    if (view->readiness && all_loaded)
        explain_readiness(&out->findings, view);
    verdict_attach_causes(&out->findings, view);
    for (uint32_t i = 0; is_ready && i < out->findings.n; i++) /* a token went through: nothing else blocks */
        if (out->findings.items[i].severity == SEVERITY_BLOCKER)
            out->findings.items[i].severity = SEVERITY_WARNING;
    finding_list_sort(&out->findings);
    fill_stages(out, view);
}

void verdict_free(struct verdict *verdict)
{
    finding_list_free(&verdict->findings);
}

const struct finding *verdict_first(const struct verdict *verdict)
{
    return verdict->findings.n && verdict->findings.items[0].severity == SEVERITY_BLOCKER
               ? &verdict->findings.items[0]
               : NULL;
}

int32_t verdict_eta_s(const struct verdict *verdict)
{
    int32_t eta = -1;
    for (uint32_t i = 0; i < verdict->findings.n; i++) {
        const struct finding *f = &verdict->findings.items[i];
        if (f->severity != SEVERITY_BLOCKER)
            continue;
        if (f->eta_s < 0)
            return -1;
        eta = f->eta_s > eta ? f->eta_s : eta; /* all must end: the last to end counts */
    }
    return eta;
}

struct jv *verdict_to_json(const struct verdict *verdict, uint64_t now_ms)
{
    static const char *const states[] = {"ok", "blocked", "unknown"};
    struct jv *json = jv_object_new();
    jv_set_bool(json, "ready", verdict->ready);
    jv_set_real(json, "since", (double)(now_ms - verdict->since_ms) / 1000);
    jv_set_text(json, "model", verdict->model[0] ? verdict->model : NULL);
    struct jv *stages = jv_array_new();
    for (int s = 0; s < STAGE_COUNT; s++) {
        struct jv *stage = jv_object_new();
        jv_set_text(stage, "stage", stage_name((enum stage)s));
        jv_set_text(stage, "state", states[verdict->stages[s]]);
        jv_append(stages, stage);
    }
    jv_set(json, "stages", stages);
    struct jv *findings = jv_array_new();
    for (uint32_t i = 0; i < verdict->findings.n; i++)
        jv_append(findings, finding_to_json(&verdict->findings.items[i], now_ms));
    jv_set(json, "findings", findings);
    return json;
}
