/* Which finding follows from which (verdict_private.h). */
#include "base/mem.h"
#include "base/shell.h"
#include "node/verdict_private.h"

#include <string.h>

/* A finding about a shard that some live node has LOADED blocks nothing. */
void verdict_soften_covered(struct finding_list *out, const struct verdict_view *view)
{
    for (uint32_t i = 0; i < out->n; i++) {
        struct finding *f = &out->items[i];
        if (f->severity == SEVERITY_BLOCKER && f->shard >= 0 && finding_stage(f->code) < STAGE_TOLD &&
            f->code != FINDING_DUPLICATE_SHARD_ID && shard_is_loaded(view->roster, (uint32_t)f->shard))
            f->severity = SEVERITY_WARNING;
    }
}

static void follows(struct finding *f, enum finding_code cause)
{
    f->severity = SEVERITY_INFO;
    f->caused_by = cause;
}

static struct finding *first_blocker(struct finding_list *list, enum finding_code code)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->items[i].code == code && list->items[i].severity == SEVERITY_BLOCKER)
            return &list->items[i];
    return NULL;
}

/* --- nobody is here -------------------------------------------------------------------------------------- */

static bool sees_anybody(const struct roster *roster, bool but_entries)
{
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        bool counts = !but_entries || (entry->record.version && entry->record.role != ROLE_ENTRY);
        if (!entry->is_self && entry->alive && counts)
            return true;
    }
    return false;
}

/* Nothing that comes after a missing key or a missing entry is a cause of its own, while we see nobody: but
 * what this node's own files lack. */
static void attach_to_entry(struct finding_list *out, const struct verdict_view *view)
{
    const struct finding *root = NULL;
    for (uint32_t i = 0; i < out->n; i++) {
        const struct finding *f = &out->items[i];
        if (f->severity == SEVERITY_BLOCKER && finding_stage(f->code) <= STAGE_ENTRY &&
            f->code != FINDING_ALONE_IN_CLUSTER && (!root || f->code < root->code))
            root = f;
    }
    if (!root || sees_anybody(view->roster, false))
        return;
    enum finding_code cause = root->code;
    for (uint32_t i = 0; i < out->n; i++) {
        struct finding *f = &out->items[i];
        enum stage stage = finding_stage(f->code);
        bool own_fault = stage <= STAGE_ENTRY || stage == STAGE_VERIFIED || stage == STAGE_LOADED;
        if (f->severity == SEVERITY_BLOCKER && (f->code == FINDING_ALONE_IN_CLUSTER || !own_fault))
            follows(f, cause);
    }
}

/* The names of other clusters that came by, for who is alone in this one. */
static struct jv *other_clusters(const struct finding_list *list)
{
    struct jv *names = jv_array_new();
    for (uint32_t i = 0; i < list->n; i++) {
        const struct finding *f = &list->items[i];
        const char *name =
            f->code == FINDING_CLUSTER_MISMATCH && f->evidence ? jv_get_text(f->evidence, "cluster", "") : "";
        bool known = !*name;
        for (size_t k = 0; k < jv_count(names) && !known; k++)
            known = strcmp(jv_text(jv_at(names, k), ""), name) == 0;
        if (!known)
            jv_append(names, jv_text_new(name));
    }
    return names;
}

static bool is_of_being_alone(const struct finding *f, const struct verdict_view *view)
{
    if (f->code == FINDING_MANIFEST_MISSING)
        return roster_self(view->roster)->record.role == ROLE_ENTRY;
    return f->code == FINDING_SHARD_NOT_DISCOVERED || f->code == FINDING_NO_SOURCE;
}

/* Who is alone while another cluster is here is most likely to be of that one. */
static void set_cluster(struct finding *alone, const char *name, uint32_t role)
{
    if (!name)
        return;
    char *word = shell_word(name);
    finding_set_action(alone, "shoal %s --cluster %s # in place of this process, if that cluster is meant",
                       role == ROLE_ENTRY   ? "bootstrap"
                       : role == ROLE_SERVE ? "serve"
                                            : "node",
                       word);
    mem_free(word);
}

static bool is_turned_away(const struct finding *f)
{
    return f->severity != SEVERITY_INFO && node_id_is_zero(&f->node) &&
           (f->code == FINDING_KEY_MISMATCH || f->code == FINDING_IDENTITY_CONFLICT ||
            f->code == FINDING_PROTOCOL_VERSION_MISMATCH || f->code == FINDING_CLUSTER_MISMATCH);
}

/* Whoever came with our key and of our cluster and is of another version would be here, were it of ours. */
static bool other_version_blocks(struct finding_list *list)
{
    bool any = false;
    for (uint32_t i = 0; i < list->n; i++) {
        struct finding *f = &list->items[i];
        if (f->code != FINDING_PROTOCOL_VERSION_MISMATCH || !is_turned_away(f))
            continue;
        f->severity = SEVERITY_BLOCKER;
        any = true;
    }
    return any;
}

/* Being alone blocks where something lacks that others would bring; else it is only news. */
static void attach_to_alone(struct finding_list *out, const struct verdict_view *view)
{
    struct finding *alone = first_blocker(out, FINDING_ALONE_IN_CLUSTER);
    if (!alone)
        return;
    struct jv *names = other_clusters(out);
    bool explains = jv_count(names) > 0;
    jv_set(finding_evidence(alone), "other_clusters", names);
    set_cluster(alone, jv_text(jv_at(names, 0), NULL), roster_self(view->roster)->record.role);
    for (uint32_t i = 0; i < out->n; i++)
        explains |= out->items[i].severity == SEVERITY_BLOCKER && is_of_being_alone(&out->items[i], view);
    if (!explains || sees_anybody(view->roster, true)) {
        alone->severity = SEVERITY_INFO;
        return;
    }
    enum finding_code cause = FINDING_ALONE_IN_CLUSTER;
    if (other_version_blocks(out)) {
        cause = FINDING_PROTOCOL_VERSION_MISMATCH;
        follows(alone, cause);
    }
    for (uint32_t i = 0; i < out->n; i++)
        if (out->items[i].severity == SEVERITY_BLOCKER && is_of_being_alone(&out->items[i], view))
            follows(&out->items[i], cause);
}

/* --- somebody was turned away, and a shard lacks --------------------------------------------------------- */

/* Who knocks and may not come in is the likely cause of a shard that nobody claims. With as many knocking as
 * shards lack the shards follow from that; with fewer both are told. */
static void attach_to_turned_away(struct finding_list *out)
{
    uint32_t n_away = 0, n_lack = 0;
    enum finding_code cause = FINDING_NONE;
    for (uint32_t i = 0; i < out->n; i++) {
        const struct finding *f = &out->items[i];
        n_lack += f->severity == SEVERITY_BLOCKER && f->code == FINDING_SHARD_NOT_DISCOVERED;
        if (!is_turned_away(f))
            continue;
        n_away++;
        cause = cause == FINDING_NONE || f->code < cause ? f->code : cause;
    }
    for (uint32_t i = 0; i < out->n && n_away && n_lack; i++) {
        struct finding *f = &out->items[i];
        if (is_turned_away(f))
            f->severity = SEVERITY_BLOCKER;
        else if (n_lack <= n_away && f->severity == SEVERITY_BLOCKER && f->code == FINDING_SHARD_NOT_DISCOVERED)
            follows(f, cause);
    }
}

/* --- nodes whose shards are other ones ------------------------------------------------------------------- */

static bool shares_our_split(const struct verdict_view *view)
{
    const struct node_record *self = &roster_self(view->roster)->record;
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        if (!entry->is_self && entry->alive && entry->record.has_manifest && entry->record.role == ROLE_NODE &&
            record_same_split(self, &entry->record))
            return true;
    }
    return false;
}

static bool blocks_by(const struct finding *f, enum finding_code code)
{
    return f->severity == SEVERITY_BLOCKER && f->code == code;
}

/* A node that has another manifest does not hold what it was to hold: as many such nodes as shards lack explain
 * them; where everybody else has another one, all of them. Where other nodes have all of the shards, and one of
 * those is not loaded, it is in nobody's way. */
static void attach_to_other_models(struct finding_list *out, const struct verdict_view *view)
{
    uint32_t n_other = 0, n_lack = 0, n_shards = 0;
    for (uint32_t i = 0; i < out->n; i++) {
        n_other += blocks_by(&out->items[i], FINDING_MODEL_MISMATCH);
        n_lack += blocks_by(&out->items[i], FINDING_SHARD_NOT_DISCOVERED);
        n_shards += out->items[i].severity == SEVERITY_BLOCKER && out->items[i].shard >= 0;
    }
    bool explains = n_lack && (n_lack <= n_other || !shares_our_split(view));
    for (uint32_t i = 0; n_other && i < out->n; i++) {
        struct finding *f = &out->items[i];
        if (explains && blocks_by(f, FINDING_SHARD_NOT_DISCOVERED))
            follows(f, FINDING_MODEL_MISMATCH);
        else if (!n_lack && n_shards && blocks_by(f, FINDING_MODEL_MISMATCH))
            f->severity = SEVERITY_WARNING;
    }
}

/* --- the rest -------------------------------------------------------------------------------------------- */

static void attach_to_duplicates(struct finding_list *out)
{
    for (uint32_t i = 0; i < out->n; i++) {
        const struct finding *dup = &out->items[i];
        if (dup->code != FINDING_DUPLICATE_SHARD_ID || dup->severity != SEVERITY_BLOCKER)
            continue;
        int64_t missing = jv_get_int(dup->evidence, "missing", -1);
        for (uint32_t k = 0; k < out->n; k++)
            if (out->items[k].code == FINDING_SHARD_NOT_DISCOVERED && out->items[k].shard == missing)
                follows(&out->items[k], FINDING_DUPLICATE_SHARD_ID);
    }
}

/* A probe that does not come back because a node or a link of its way is known to be at fault. */
static void attach_probe(struct finding_list *out)
{
    static const enum finding_code roots[] = {FINDING_PEER_UNREACHABLE, FINDING_NODE_STALLED};
    for (size_t r = 0; r < sizeof roots / sizeof *roots; r++) {
        if (!first_blocker(out, roots[r]))
            continue;
        for (uint32_t i = 0; i < out->n; i++)
            if (out->items[i].severity == SEVERITY_BLOCKER && out->items[i].code == FINDING_PROBE_FAILED)
                follows(&out->items[i], roots[r]);
    }
}

/* Nothing can be done for a shard before the manifest is here. */
static void attach_to_manifest(struct finding_list *out, const struct verdict_view *view)
{
    for (uint32_t i = 0; !view->manifest && i < out->n; i++)
        if (out->items[i].severity == SEVERITY_INFO && out->items[i].shard >= 0)
            out->items[i].caused_by = FINDING_MANIFEST_MISSING;
}

void verdict_attach_causes(struct finding_list *out, const struct verdict_view *view)
{
    attach_to_manifest(out, view);
    attach_to_duplicates(out);
    attach_to_entry(out, view);
    attach_to_alone(out, view);
    attach_to_turned_away(out);
    attach_to_other_models(out, view);
    attach_probe(out);
}
