/* What this process knows of what is wrong, the verdict, and who is told when it changes. */
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "node/node_private.h"

#include <stdio.h>
#include <string.h>

#define FINDINGS_OLD_MS 5000

void node_set_finding(struct node *node, enum finding_code code, enum severity severity, const char *cause,
                      const char *action)
{
    node_clear_finding(node, code);
    if (node->n_own_findings == NODE_OWN_FINDINGS_MAX)
        return;
    node->own_findings[node->n_own_findings++] =
        (struct node_own_finding){.code = code,
                                  .severity = severity,
                                  .cause = mem_string(cause),
                                  .action = mem_string(action),
                                  .since_ms = clock_ms(node->ports.clock)};
    roster_touch(node->roster);
}

void node_clear_finding(struct node *node, enum finding_code code)
{
    for (uint32_t i = 0; i < node->n_own_findings; i++)
        if (node->own_findings[i].code == code) {
            mem_free(node->own_findings[i].cause);
            mem_free(node->own_findings[i].action);
            node->own_findings[i] = node->own_findings[--node->n_own_findings];
            roster_touch(node->roster);
            return;
        }
}

/* --- what we know ---------------------------------------------------------------------------------------- */

static void explain_own(const struct node *node, struct finding_list *out)
{
    for (uint32_t i = 0; i < node->n_own_findings; i++) {
        const struct node_own_finding *own = &node->own_findings[i];
        struct finding *f = finding_add(out, own->code, FINDING_NO_SHARD, &node->self, "%s", own->cause);
        if (!f)
            return;
        f->severity = own->severity;
        f->since_ms = own->since_ms;
        finding_set_action(f, "%s", own->action);
    }
}

void node_explain(const struct node *node, struct finding_list *out)
{
    discovery_explain(node->discovery, out);
    if (node->coordinator)
        coordinator_explain(node->coordinator, out);
    if (node->shards)
        shards_explain(node->shards, out);
    manifests_explain(node->manifests, node->shards ? shards_any_header(node->shards) : NULL, out);
    told_explain(node->told, out);
    pipeline_explain(node->pipeline, out);
    if (node->frontdoor)
        frontdoor_explain(node->frontdoor, out);
    explain_own(node, out);
}

/* Of what the findings are about; not of their numbers, which change all the time. */
static uint64_t hash_of(const struct finding_list *list)
{
    uint64_t hash = rand_mix(1, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct finding *f = &list->items[i];
        uint64_t node;
        memcpy(&node, f->node.bytes, sizeof node);
        hash = rand_mix(hash, ((uint64_t)f->code << 40) ^ ((uint64_t)f->severity << 36) ^ (uint32_t)f->shard);
        hash = rand_mix(hash, node ^ f->caused_by);
    }
    return hash;
}

bool node_findings_are_old(const struct node *node)
{
    const struct node_record *said = &roster_self(node->roster)->record;
    return said->findings.n && clock_ms(node->ports.clock) - said->now_ms >= FINDINGS_OLD_MS;
}

/* --- the verdict ----------------------------------------------------------------------------------------- */

void node_compute_verdict(struct node *node)
{
    struct finding_list local = {0};
    uint64_t now = clock_ms(node->ports.clock);
    node_explain(node, &local);
    uint64_t hash = hash_of(&local);
    if (hash != node->said_findings) /* everybody is to know within a moment */
        roster_touch(node->roster);
    node->said_findings = hash;
    char *find_manifest =
        node->shards ? manifests_action(node->manifests, shards_any_header(node->shards)) : NULL;
    struct verdict_view view = {.now_ms = now,
                                .roster = node->roster,
                                .manifest = node->manifest,
                                .readiness = node->readiness,
                                .local = &local,
                                .local_is_all = true,
                                .n_shards_expected = node_n_expected(node),
                                .find_manifest = find_manifest};
    verdict_free(&node->verdict);
    verdict_compute(&node->verdict, &view);
    verdict_remember(node->memory, &node->verdict, now);
    finding_list_free(&local);
    mem_free(find_manifest);
}

/* What a person is to know of goes to the log of the node that it is about; others have it in their verdict. */
static void on_change(void *ctx, const struct finding *f, bool is_over, uint64_t stood_ms)
{
    struct node *node = ctx;
    char id[NODE_ID_SHORT_BYTES] = "";
    bool is_own = node_id_equal(&f->node, &node->self) && f->severity == SEVERITY_WARNING;
    void (*log)(const char *, ...) = is_over && is_own ? log_info : is_own ? log_warn : log_debug;
    if (!node_id_is_zero(&f->node))
        node_id_short(id, &f->node);
    if (is_over)
        log("%s is over after %.1f s (shard %d, node %s)", finding_code_name(f->code), (double)stood_ms / 1000,
            f->shard, *id ? id : "-");
    else
        log("%s: %s%s%s", finding_code_name(f->code), f->cause, *f->action ? "; do: " : "", f->action);
    struct jv *event = jv_object_new();
    jv_set_text(event, "change", is_over ? "over" : "new");
    jv_set(event, "finding", finding_to_json(f, clock_ms(node->ports.clock)));
    node_emit(node, "finding", event);
    jv_free(event);
}

static void emit_verdict(struct node *node)
{
    struct jv *json = verdict_to_json(&node->verdict, clock_ms(node->ports.clock));
    node_emit(node, "verdict", json);
    jv_free(json);
}

void node_note_verdict(struct node *node)
{
    const struct finding *first = verdict_first(&node->verdict);
    uint64_t now = clock_ms(node->ports.clock);
    char code[sizeof node->said_code] = "";
    if (!node->joined)
        return;
    if (first) {
        char id[NODE_ID_TEXT_BYTES];
        node_id_text(id, &first->node);
        snprintf(code, sizeof code, "%s %d %.16s", finding_code_name(first->code), first->shard, id);
    }
    bool ready_changed = node->verdict.ready != node->was_ready;
    bool first_changed = ready_changed || strcmp(code, node->said_code) != 0;
    if (ready_changed)
        timeline_add(node->timeline, now, &node->self, -1, node->verdict.ready ? "ready" : "not ready");
    node->was_ready = node->verdict.ready;
    memcpy(node->said_code, code, sizeof code);
    if (first_changed)
        node_print_readiness(node);
    if (ready_changed)
        node_print_report(node);
    bool changed = verdict_log_note(node->log, &node->verdict.findings, now, on_change, node);
    if (changed || first_changed)
        emit_verdict(node);
}
