#include "node/verdict.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

bool shard_is_claimed_by(const struct roster_entry *entry, uint32_t shard)
{
    const struct record_shard *s = record_shard_find(&entry->record, shard);
    return s && (s->assigned != ASSIGNED_NOT || s->state == SHARD_LOADED || s->state == SHARD_LOADING);
}

bool shard_is_discovered(const struct roster *roster, uint32_t shard)
{
    for (size_t i = 0; i < roster_count(roster); i++)
        if (roster_at(roster, i)->alive && shard_is_claimed_by(roster_at(roster, i), shard))
            return true;
    return false;
}

bool shard_is_loaded(const struct roster *roster, uint32_t shard)
{
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (entry->alive && s && s->state == SHARD_LOADED)
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

/* A node that a coordinator may give shards to: none were named for it and it has none yet. */
static const struct roster_entry *first_idle_node(const struct roster *roster)
{
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        bool has = false;
        for (uint32_t k = 0; k < entry->record.n_shards; k++)
            has |= entry->record.shards[k].assigned != ASSIGNED_NOT;
        if (entry->alive && entry->record.role == ROLE_NODE && !has && !entry->record.draining)
            return entry;
    }
    return NULL;
}

/* --- findings that this function makes itself ------------------------------------------------------------ */

static void explain_lost(struct finding_list *out, const struct verdict_view *view, uint32_t shard,
                         const struct roster_entry *lost)
{
    char id[NODE_ID_SHORT_BYTES], address[ADDRESS_TEXT_BYTES] = "address unknown";
    const struct node_record *r = &lost->record;
    node_id_short(id, &r->id);
    if (r->n_addresses)
        address_text(address, &r->addresses[0]);
    struct finding *f =
        finding_add(out, FINDING_SHARD_NOT_DISCOVERED, shard, &r->id,
                    "shard %u was held by node %s (%s), lost %.1f s ago; no other live node claims it", shard,
                    id, address, (double)(view->now_ms - lost->changed_ms) / 1000);
    if (!f)
        return;
    f->since_ms = lost->changed_ms;
    jv_set_text(finding_evidence(f), "address", address);
    finding_set_action(f, "shoal node --shard-id %u", shard);
}

/* Who claimed the shard and is gone; the last one. NULL: nobody ever did. */
static const struct roster_entry *lost_holder(const struct roster *roster, uint32_t shard)
{
    const struct roster_entry *lost = NULL;
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        if (!entry->alive && shard_is_claimed_by(entry, shard) &&
            (!lost || entry->changed_ms > lost->changed_ms))
            lost = entry;
    }
    return lost;
}

static void explain_unclaimed(struct finding_list *out, const struct verdict_view *view, uint32_t shard)
{
    const struct roster_entry *lost = lost_holder(view->roster, shard);
    const struct roster_entry *idle = first_idle_node(view->roster);
    const struct roster_entry *coordinator = roster_coordinator(view->roster);
    struct finding *f;
    if (lost && !(idle && coordinator)) {
        explain_lost(out, view, shard, lost);
    } else if (idle && !coordinator) {
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &idle->record.id);
        f = finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &idle->record.id,
                        "node %s has no shard and waits to be given one; no coordinator was seen", id);
        finding_set_action(f, "shoal load %u --node %s", shard, id);
    } else if (idle) {
        char id[NODE_ID_SHORT_BYTES], by[NODE_ID_SHORT_BYTES];
        node_id_short(id, &idle->record.id);
        node_id_short(by, &coordinator->record.id);
        f = finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &idle->record.id,
                        "node %s has no shard yet; coordinator %s is seen, its command has not come", id, by);
        finding_set_action(f, "shoal load %u --node %s", shard, id);
    } else {
        f = finding_add(out, FINDING_SHARD_NOT_DISCOVERED, shard, NULL,
                        "no live node claims shard %u (%u of %u discovered); it was never claimed", shard,
                        roster_n_discovered(view->roster, view->n_shards_expected), view->n_shards_expected);
        finding_set_action(f, "shoal node --shard-id %u", shard);
    }
}

static bool has_finding(const struct finding_list *list, enum finding_code code, int64_t shard)
{
    for (uint32_t i = 0; list && i < list->n; i++)
        if (list->items[i].code == code && (shard < 0 || list->items[i].shard == shard))
            return true;
    return false;
}

static bool has_shard_blocker(const struct finding_list *list, uint32_t shard)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].shard == (int32_t)shard && list->items[i].severity == SEVERITY_BLOCKER)
            return true;
    return false;
}

/* A claimed shard whose holder gave no finding of its own: its state says what it waits for. */
static void explain_claimed(struct finding_list *out, const struct verdict_view *view, uint32_t shard)
{
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        if (!entry->alive || !shard_is_claimed_by(entry, shard))
            continue;
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        char id[NODE_ID_SHORT_BYTES];
        node_id_short(id, &entry->record.id);
        struct finding *f;
        if (!entry->record.has_manifest)
            f = finding_add(out, FINDING_MANIFEST_MISSING, shard, &entry->record.id,
                            "node %s has shard %u %s and waits for the manifest to check it by", id, shard,
                            shard_state_name(s->state));
        else
            f = finding_add(out, FINDING_LOADING, shard, &entry->record.id, "shard %u on node %s is %s", shard,
                            id, shard_state_name(s->state));
        finding_set_action(f, "shoal status");
        if (f)
            f->eta_s = s->eta_s;
        return;
    }
}

static void explain_shards(struct finding_list *out, const struct verdict_view *view, bool root_above)
{
    for (uint32_t shard = 0; shard < view->n_shards_expected; shard++) {
        if (shard_is_loaded(view->roster, shard) || has_shard_blocker(out, shard))
            continue;
        uint32_t before = out->n;
        if (!shard_is_discovered(view->roster, shard)) {
            if (!has_finding(out, FINDING_NOT_ENOUGH_MEMORY, shard) &&
                !has_finding(out, FINDING_NO_NODE_FOR_SHARD, shard))
                explain_unclaimed(out, view, shard);
        } else {
            explain_claimed(out, view, shard);
        }
        for (uint32_t i = before; root_above && i < out->n; i++)
            out->items[i].severity = SEVERITY_INFO;
    }
}

static void explain_model(struct finding_list *out, const struct verdict_view *view)
{
    const struct roster_entry *self = roster_self(view->roster);
    if (!view->manifest) {
        uint32_t n_nodes = 0, n_files = 0;
        for (size_t i = 0; i < roster_count(view->roster); i++)
            if (roster_at(view->roster, i)->alive && roster_at(view->roster, i)->record.role != ROLE_ENTRY) {
                n_nodes++;
                n_files += roster_at(view->roster, i)->record.n_shards > 0;
            }
        struct finding *f =
            finding_add(out, FINDING_MANIFEST_MISSING, FINDING_NO_SHARD, NULL,
                        "none of the %u nodes seen has a manifest (%u have shard files)", n_nodes, n_files);
        finding_set_action(f, "shoal split MODEL.gguf");
        return;
    }
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct node_record *r = &roster_at(view->roster, i)->record;
        if (!roster_at(view->roster, i)->alive || !r->has_manifest || !self->record.has_manifest ||
            sha256_equal(&r->fingerprint, &self->record.fingerprint))
            continue;
        char id[NODE_ID_SHORT_BYTES], theirs[2 * SHA256_BYTES + 1], ours[2 * SHA256_BYTES + 1];
        node_id_short(id, &r->id);
        sha256_hex(theirs, &r->fingerprint);
        sha256_hex(ours, &self->record.fingerprint);
        struct finding *f =
            finding_add(out, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD, &r->id,
                        "node %s has the manifest of model '%s' (%.12s), this node that of '%s' (%.12s)", id,
                        r->model, theirs, view->manifest->name, ours);
        finding_set_action(f, "shoal verify");
    }
}

/* --- what others and this process know ------------------------------------------------------------------- */

/* A finding about a shard that some live node has LOADED blocks nothing. */
static void soften_covered(struct finding_list *out, const struct roster *roster)
{
    for (uint32_t i = 0; i < out->n; i++) {
        struct finding *f = &out->items[i];
        if (f->severity == SEVERITY_BLOCKER && f->shard >= 0 && finding_stage(f->code) < STAGE_TOLD &&
            shard_is_loaded(roster, (uint32_t)f->shard))
            f->severity = SEVERITY_WARNING;
    }
}

static void gather(struct finding_list *out, const struct verdict_view *view)
{
    for (uint32_t i = 0; view->local && i < view->local->n; i++)
        finding_list_append(out, &view->local->items[i]);
    for (uint32_t i = 0; view->placement && i < view->placement->n; i++) {
        const struct finding *f = &view->placement->items[i];
        /* That its holder was lost says more than that nobody else may take it. */
        bool is_lost = f->code == FINDING_NO_NODE_FOR_SHARD && lost_holder(view->roster, (uint32_t)f->shard);
        if (!is_lost)
            finding_list_append(out, f);
    }
    for (size_t k = 0; k < roster_count(view->roster); k++) {
        const struct roster_entry *entry = roster_at(view->roster, k);
        if (!entry->alive)
            continue;
        for (uint32_t i = 0; i < entry->record.findings.n; i++) {
            uint32_t at = out->n;
            finding_list_append(out, &entry->record.findings.items[i]);
            if (out->n == at)
                return;
            /* Their clock to ours: the age when they wrote it, before when it came. */
            uint64_t age = entry->record.now_ms > out->items[at].since_ms
                               ? entry->record.now_ms - out->items[at].since_ms
                               : 0;
            uint64_t came = entry->is_self ? entry->record.now_ms : entry->heard_ms;
            out->items[at].since_ms = came > age ? came - age : 0;
        }
    }
}

/* Nothing that comes after a missing key or a missing entry is a cause of its own, while we see nobody. */
static bool alone_behind_root(const struct finding_list *list, const struct roster *roster,
                              enum finding_code *out_root)
{
    for (size_t i = 0; i < roster_count(roster); i++)
        if (!roster_at(roster, i)->is_self && roster_at(roster, i)->alive)
            return false;
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].severity == SEVERITY_BLOCKER && finding_stage(list->items[i].code) <= STAGE_ENTRY) {
            *out_root = list->items[i].code;
            return true;
        }
    return false;
}

static bool is_same_cause(const struct finding *f, enum finding_code code)
{
    return f->code == code || finding_stage(f->code) <= STAGE_ENTRY;
}

static void attach_consequences(struct finding_list *out, enum finding_code root)
{
    for (uint32_t i = 0; i < out->n; i++) {
        struct finding *f = &out->items[i];
        if (f->severity != SEVERITY_BLOCKER || is_same_cause(f, root))
            continue;
        /* What this node's own files lack is no consequence of being alone. */
        if (finding_stage(f->code) == STAGE_VERIFIED || finding_stage(f->code) == STAGE_LOADED)
            continue;
        f->severity = SEVERITY_INFO;
        f->caused_by = root;
    }
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

void verdict_compute(struct verdict *out, const struct verdict_view *view)
{
    *out = (struct verdict){0};
    if (view->manifest)
        snprintf(out->model, sizeof out->model, "%s", view->manifest->name);
    gather(&out->findings, view);
    bool model_told = has_finding(&out->findings, FINDING_MANIFEST_INVALID, -1);
    if (!model_told)
        explain_model(&out->findings, view);
    soften_covered(&out->findings, view->roster);
    bool model_root = !view->manifest;
    explain_shards(&out->findings, view, model_root);
    for (uint32_t i = 0; model_root && i < out->findings.n; i++)
        if (out->findings.items[i].severity == SEVERITY_INFO && out->findings.items[i].shard >= 0)
            out->findings.items[i].caused_by = FINDING_MANIFEST_MISSING;

    bool all_loaded = view->n_shards_expected &&
                      roster_n_loaded(view->roster, view->n_shards_expected) == view->n_shards_expected;
    if (view->readiness && all_loaded)
        readiness_explain(view->readiness, &out->findings);

    enum finding_code root;
    if (alone_behind_root(&out->findings, view->roster, &root))
        attach_consequences(&out->findings, root);
    if (view->readiness && readiness_is_ready(view->readiness)) /* a token went through: nothing else blocks */
        for (uint32_t i = 0; i < out->findings.n; i++)
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
