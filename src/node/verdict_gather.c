/* What others and this process tell, put together (verdict_private.h). */
#include "node/verdict_private.h"

#include "base/mem.h"

#include <string.h>

static const char *address_of(const struct finding *f)
{
    return f->evidence ? jv_get_text(f->evidence, "address", "") : "";
}

/* Another teller of the same fact. Findings without a node are told apart by the address that they are about.
 */
static struct finding *find_same(struct finding_list *list, const struct finding *f)
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct finding *other = &list->items[i];
        if (other->code == f->code && other->shard == f->shard && node_id_equal(&other->node, &f->node) &&
            (f->code == FINDING_PEER_UNREACHABLE || strcmp(address_of(other), address_of(f)) == 0))
            return other;
    }
    return NULL;
}

static void add_teller(struct finding *f, const struct node_id *by)
{
    struct jv *evidence = finding_evidence(f), *list = jv_get(evidence, "seen_by");
    char id[NODE_ID_TEXT_BYTES];
    node_id_text(id, by);
    if (!list) {
        list = jv_array_new();
        jv_set(evidence, "seen_by", list);
    }
    for (size_t i = 0; i < jv_count(list); i++)
        if (strcmp(jv_text(jv_at(list, i), ""), id) == 0)
            return;
    jv_append(list, jv_text_new(id));
}

/* Of two tellers the graver one is heard, and the one who has known it longer. */
static void merge(struct finding *have, const struct finding *f, const struct node_id *by)
{
    uint64_t since = f->since_ms && f->since_ms < have->since_ms ? f->since_ms : have->since_ms;
    if (f->severity < have->severity) {
        have->severity = f->severity;
        mem_free(have->cause);
        mem_free(have->action);
        have->cause = mem_string(f->cause);
        have->action = mem_string(f->action);
        have->eta_s = f->eta_s;
    }
    have->since_ms = since;
    add_teller(have, by);
}

void verdict_take(struct finding_list *out, const struct finding *f, const struct node_id *by,
                  uint64_t since_ms)
{
    struct finding told = *f, *have = find_same(out, f);
    told.since_ms = since_ms;
    if (have) {
        merge(have, &told, by);
        return;
    }
    uint32_t at = out->n;
    finding_list_append(out, &told);
    if (out->n > at && !node_id_equal(&f->node, by))
        add_teller(&out->items[at], by);
}

/* That its holder was lost says more than that nobody else may take it. */
static bool is_outdone(const struct verdict_view *view, const struct finding *f)
{
    return f->code == FINDING_NO_NODE_FOR_SHARD && f->shard >= 0 &&
           verdict_lost_holder(view->roster, (uint32_t)f->shard) != NULL;
}

static void take_record(struct finding_list *out, const struct verdict_view *view,
                        const struct roster_entry *entry)
{
    const struct node_record *r = &entry->record;
    for (uint32_t i = 0; i < r->findings.n; i++) {
        const struct finding *f = &r->findings.items[i];
        if (is_outdone(view, f) || (f->code == FINDING_ALONE_IN_CLUSTER && !entry->is_self))
            continue; /* whom we hear is not alone any more */
        /* Their clock to ours: the age when they wrote it, before when it came. */
        uint64_t age = r->now_ms > f->since_ms ? r->now_ms - f->since_ms : 0;
        uint64_t came = entry->is_self ? r->now_ms : entry->heard_ms;
        verdict_take(out, f, &r->id, came > age ? came - age : 0);
    }
}

static uint32_t n_tellers(const struct finding *f)
{
    size_t n = f->evidence ? jv_count(jv_get(f->evidence, "seen_by")) : 0;
    return n ? (uint32_t)n : 1;
}

static const struct finding *skew_of(const struct finding_list *list, const struct node_id *node)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].code == FINDING_CLOCK_SKEW && node_id_equal(&list->items[i].node, node))
            return &list->items[i];
    return NULL;
}

/* Whose clock is wrong is what most say: a node that many find wrong is no witness against others. */
static bool is_false_witness(const struct finding_list *list, const struct finding *f)
{
    const struct jv *tellers = f->evidence ? jv_get(f->evidence, "seen_by") : NULL;
    for (size_t i = 0; i < jv_count(tellers); i++) {
        struct node_id id;
        const struct finding *of_teller =
            node_id_parse(&id, jv_text(jv_at(tellers, i), "")) ? skew_of(list, &id) : NULL;
        if (!of_teller || n_tellers(of_teller) < n_tellers(f) ||
            (n_tellers(of_teller) == n_tellers(f) && node_id_compare(&id, &f->node) > 0))
            return false;
    }
    return jv_count(tellers) > 0;
}

static void drop_false_witnesses(struct finding_list *list)
{
    bool is_false[FINDINGS_MAX] = {false};
    for (uint32_t i = 0; i < list->n; i++)
        is_false[i] = list->items[i].code == FINDING_CLOCK_SKEW && is_false_witness(list, &list->items[i]);
    for (uint32_t i = list->n; i-- > 0;)
        if (is_false[i])
            finding_list_remove(list, i);
}

void verdict_gather(struct finding_list *out, const struct verdict_view *view)
{
    const struct node_id *self = &roster_self(view->roster)->record.id;
    for (uint32_t i = 0; view->local && i < view->local->n; i++)
        if (!is_outdone(view, &view->local->items[i]))
            verdict_take(out, &view->local->items[i], self, view->local->items[i].since_ms);
    for (uint32_t i = 0; view->placement && i < view->placement->n; i++)
        if (!is_outdone(view, &view->placement->items[i]))
            verdict_take(out, &view->placement->items[i], self, view->placement->items[i].since_ms);
    for (size_t k = 0; k < roster_count(view->roster); k++) {
        const struct roster_entry *entry = roster_at(view->roster, k);
        if (entry->alive && !(entry->is_self && view->local_is_all))
            take_record(out, view, entry);
    }
    drop_false_witnesses(out);
}
