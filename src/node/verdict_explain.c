/* What the roster shows (verdict_private.h): shards that nobody claims, models that differ, ids claimed twice,
 * slow links. */
#include "base/mem.h"
#include "node/verdict_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_LINKS_LOOKED_AT 4096
#define SLOW_LINKS_AMONG_MIN 3 /* fewer say nothing about what is usual */
#define SLOW_LINKS_TOLD_MAX  8
#define WAITING_GIVEN_MAX    16 /* shards that one command line gives out */

/* A node that a coordinator may give shards to: none were named for it and it has none yet. */
static bool is_idle(const struct roster_entry *entry)
{
    for (uint32_t k = 0; k < entry->record.n_shards; k++)
        if (entry->record.shards[k].assigned != ASSIGNED_NOT)
            return false;
    return entry->alive && entry->record.role == ROLE_NODE && !entry->record.draining;
}

static uint32_t count_idle(const struct roster *roster)
{
    uint32_t n = 0;
    for (size_t i = 0; i < roster_count(roster); i++)
        n += is_idle(roster_at(roster, i));
    return n;
}

/* They take turns: that of the shard that lacks as the `turn`-th. NULL: there is none. */
static const struct roster_entry *idle_node(const struct roster *roster, uint32_t turn)
{
    uint32_t n = count_idle(roster), at = n ? turn % n : 0;
    for (size_t i = 0; i < roster_count(roster); i++)
        if (is_idle(roster_at(roster, i)) && !at--)
            return roster_at(roster, i);
    return NULL;
}

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
const struct roster_entry *verdict_lost_holder(const struct roster *roster, uint32_t shard)
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

/* Nodes wait and shards lack: one for each shard, by turns. */
static void explain_waiting(struct finding_list *out, const struct verdict_view *view, uint32_t shard,
                            uint32_t turn)
{
    const struct roster_entry *idle = idle_node(view->roster, turn);
    const struct roster_entry *coordinator = roster_coordinator(view->roster);
    char id[NODE_ID_SHORT_BYTES], by[NODE_ID_SHORT_BYTES];
    node_id_short(id, &idle->record.id);
    if (coordinator)
        node_id_short(by, &coordinator->record.id);
    struct finding *f =
        coordinator
            ? finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &idle->record.id,
                          "node %s has no shard yet; coordinator %s is seen, its command has not come", id, by)
            : finding_add(out, FINDING_WAITING_FOR_LOAD_SHARD, shard, &idle->record.id,
                          "node %s has no shard and waits to be given one; no coordinator was seen", id);
    finding_set_action(f, "shoal load %u --node %s", shard, id);
}

static void explain_unclaimed(struct finding_list *out, const struct verdict_view *view, uint32_t shard,
                              uint32_t turn)
{
    const struct roster_entry *lost = verdict_lost_holder(view->roster, shard);
    bool any_idle = count_idle(view->roster) > 0;
    if (lost && !(any_idle && roster_coordinator(view->roster))) {
        explain_lost(out, view, shard, lost);
    } else if (any_idle) {
        explain_waiting(out, view, shard, turn);
    } else {
        struct finding *f =
            finding_add(out, FINDING_SHARD_NOT_DISCOVERED, shard, NULL,
                        "no live node claims shard %u (%u of %u discovered); it was never claimed", shard,
                        roster_n_discovered(view->roster, view->n_shards_expected), view->n_shards_expected);
        finding_set_action(f, "shoal node --shard-id %u", shard);
    }
}

/* Of several shards that wait for one and the same thing the first tells it for all, and its action gives out
 * all of them; the others follow from it. `from`: the first finding of this pass. */
static void merge_waiting(struct finding_list *out, const struct verdict_view *view, uint32_t from)
{
    uint32_t n = 0, first = 0;
    struct buffer shards, action;
    buffer_init(&shards, 0);
    buffer_init(&action, 0);
    for (uint32_t i = from; i < out->n; i++) {
        struct finding *f = &out->items[i];
        if (f->code != FINDING_WAITING_FOR_LOAD_SHARD)
            continue;
        first = n ? first : i;
        buffer_format(&shards, n ? ", %d" : "%d", f->shard);
        if (n < WAITING_GIVEN_MAX)
            buffer_format(&action, n ? " && %s" : "%s", f->action);
        if (n++) {
            f->severity = SEVERITY_INFO;
            f->caused_by = FINDING_WAITING_FOR_LOAD_SHARD;
        }
    }
    char *list = buffer_take_string(&shards), *give = buffer_take_string(&action);
    const struct roster_entry *coordinator = roster_coordinator(view->roster);
    if (n > 1) {
        struct finding *f = &out->items[first];
        uint32_t n_idle = count_idle(view->roster);
        mem_free(f->cause);
        f->cause = mem_format("%u node%s without a shard wait%s to be given shards %s; %s", n_idle,
                              n_idle == 1 ? "" : "s", n_idle == 1 ? "s" : "", list,
                              coordinator ? "a coordinator is seen, its commands have not come"
                                          : "no coordinator was seen");
        finding_set_action(
            f, coordinator ? "%s" : "%s # or start a coordinator, which gives them out: shoal serve", give);
    }
    mem_free(list);
    mem_free(give);
}

bool verdict_has(const struct finding_list *list, enum finding_code code, int64_t shard)
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

void verdict_explain_shards(struct finding_list *out, const struct verdict_view *view, bool is_consequence)
{
    uint32_t first = out->n, n_unclaimed = 0;
    for (uint32_t shard = 0; shard < view->n_shards_expected; shard++) {
        if (shard_is_loaded(view->roster, shard) || has_shard_blocker(out, shard))
            continue;
        if (shard_is_discovered(view->roster, shard))
            explain_claimed(out, view, shard);
        else if (!verdict_has(out, FINDING_NOT_ENOUGH_MEMORY, shard) &&
                 !verdict_has(out, FINDING_NO_NODE_FOR_SHARD, shard))
            explain_unclaimed(out, view, shard, n_unclaimed++);
    }
    for (uint32_t i = first; is_consequence && i < out->n; i++)
        out->items[i].severity = SEVERITY_INFO;
    if (!is_consequence)
        merge_waiting(out, view, first);
}

/* --- nodes with another manifest ------------------------------------------------------------------------- */

static bool has_other_manifest(const struct node_record *a, const struct node_record *b)
{
    return a->has_manifest && b->has_manifest &&
           !(sha256_equal(&a->fingerprint, &b->fingerprint) && record_same_split(a, b));
}

/* `odd` has another manifest than `other`, whose words are "node X" or "the N others". */
static void add_mismatch(struct finding_list *out, const struct verdict_view *view,
                         const struct node_record *odd, const struct node_record *other, const char *of)
{
    uint32_t lacking = 0;
    char id[NODE_ID_SHORT_BYTES], odds[2 * SHA256_BYTES + 1], others[2 * SHA256_BYTES + 1];
    bool same_model = sha256_equal(&odd->fingerprint, &other->fingerprint);
    node_id_short(id, &odd->id);
    sha256_hex(odds, same_model ? &odd->split : &odd->fingerprint);
    sha256_hex(others, same_model ? &other->split : &other->fingerprint);
    struct finding *f =
        same_model
            ? finding_add(out, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD, &odd->id,
                          "node %s has the manifest of another split of model '%s' (%.12s) than %s (%.12s): "
                          "its shards are other layers",
                          id, odd->model, odds, of, others)
            : finding_add(out, FINDING_MODEL_MISMATCH, FINDING_NO_SHARD, &odd->id,
                          "node %s has the manifest of model '%s' (%.12s), %s that of '%s' (%.12s)", id,
                          odd->model, odds, of, other->model, others);
    while (lacking < view->n_shards_expected && shard_is_discovered(view->roster, lacking))
        lacking++;
    if (odd != &roster_self(view->roster)->record && lacking < view->n_shards_expected)
        finding_set_action(f, "shoal node --shard-id %u # with a --shards-dir that has not that manifest",
                           lacking);
    else
        finding_set_action(
            f, "shoal verify # with the shards folder of node %s: its manifest.json is not the others'", id);
}

/* The odd one out is named, everywhere alike: ourselves, when more others agree than agree with us. */
static void explain_other_manifests(struct finding_list *out, const struct verdict_view *view)
{
    const struct node_record *self = &roster_self(view->roster)->record, *last = NULL;
    uint32_t n_ours = 0, n_others = 0;
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        if (!entry->alive || !entry->record.has_manifest)
            continue;
        bool is_other = has_other_manifest(self, &entry->record);
        n_ours += !is_other;
        n_others += is_other;
        last = is_other ? &entry->record : last;
    }
    if (n_others > n_ours) {
        char of[40];
        snprintf(of, sizeof of, n_others == 1 ? "the other node" : "%u others", n_others);
        add_mismatch(out, view, self, last, of);
        return;
    }
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        if (entry->alive && has_other_manifest(&entry->record, self))
            add_mismatch(out, view, &entry->record, self, "this node");
    }
}

void verdict_explain_model(struct finding_list *out, const struct verdict_view *view)
{
    if (view->manifest) {
        explain_other_manifests(out, view);
        return;
    }
    uint32_t n_nodes = 0, n_files = 0;
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        bool is_node = entry->alive && entry->record.role != ROLE_ENTRY;
        n_nodes += is_node;
        n_files += is_node && entry->record.n_shards > 0;
    }
    struct finding *f =
        finding_add(out, FINDING_MANIFEST_MISSING, FINDING_NO_SHARD, NULL,
                    "none of the %u nodes seen has a manifest (%u have shard files)", n_nodes, n_files);
    finding_set_action(f, "%s",
                       view->find_manifest
                           ? view->find_manifest
                           : "shoal split MODEL.gguf # where the owner's key is; then a node there");
}

/* --- ids claimed twice ----------------------------------------------------------------------------------- */

static uint32_t n_explicit(const struct roster *roster, uint32_t shard, const struct roster_entry **out_last)
{
    uint32_t n = 0;
    for (size_t i = 0; i < roster_count(roster); i++) {
        const struct roster_entry *entry = roster_at(roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        if (!entry->alive || !s || s->assigned != ASSIGNED_EXPLICIT)
            continue;
        n++;
        *out_last = entry;
    }
    return n;
}

/* The next shard from `from` on that nobody ever claimed; n_shards_expected: none. */
static uint32_t next_unclaimed(const struct verdict_view *view, uint32_t from)
{
    while (from < view->n_shards_expected &&
           (shard_is_discovered(view->roster, from) || verdict_lost_holder(view->roster, from)))
        from++;
    return from;
}

static void add_duplicate(struct finding_list *out, const struct verdict_view *view, uint32_t shard, uint32_t n,
                          const struct roster_entry *last, uint32_t unclaimed)
{
    bool lacks = unclaimed < view->n_shards_expected;
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &last->record.id);
    struct finding *f =
        lacks ? finding_add(out, FINDING_DUPLICATE_SHARD_ID, shard, &last->record.id,
                            "%u nodes were started with --shard-id %u, the last of them %s, and none with %u",
                            n, shard, id, unclaimed)
              : finding_add(
                    out, FINDING_DUPLICATE_SHARD_ID, shard, &last->record.id,
                    "%u nodes were started with --shard-id %u: replicas; every other shard has a node, too", n,
                    shard);
    if (!f)
        return;
    f->severity = lacks ? SEVERITY_BLOCKER : SEVERITY_INFO;
    struct jv *evidence = finding_evidence(f), *nodes = jv_array_new();
    for (size_t i = 0; i < roster_count(view->roster); i++) {
        const struct roster_entry *entry = roster_at(view->roster, i);
        const struct record_shard *s = record_shard_find(&entry->record, shard);
        char text[NODE_ID_TEXT_BYTES];
        node_id_text(text, &entry->record.id);
        if (entry->alive && s && s->assigned == ASSIGNED_EXPLICIT)
            jv_append(nodes, jv_text_new(text));
    }
    jv_set(evidence, "nodes", nodes);
    if (lacks)
        jv_set_int(evidence, "missing", unclaimed);
    if (lacks)
        finding_set_action(f, "shoal node --shard-id %u # on node %s, instead of %u", unclaimed, id, shard);
    else
        finding_set_action(f, "shoal status");
}

/* One id too often and another never is the usual mistake; replicas while all are covered are fine. Each node
 * too many explains one shard that lacks. */
void verdict_explain_duplicates(struct finding_list *out, const struct verdict_view *view)
{
    bool will_be_given = count_idle(view->roster) > 0;
    uint32_t unclaimed = will_be_given ? view->n_shards_expected : next_unclaimed(view, 0);
    for (uint32_t shard = 0; shard < view->n_shards_expected; shard++) {
        const struct roster_entry *last = NULL;
        uint32_t n = n_explicit(view->roster, shard, &last);
        if (n < 2)
            continue;
        add_duplicate(out, view, shard, n, last, unclaimed);
        for (uint32_t i = 1; i < n; i++)
            unclaimed = next_unclaimed(view, unclaimed + (unclaimed < view->n_shards_expected));
    }
}

/* --- slow links ------------------------------------------------------------------------------------------ */

struct measured {
    const struct roster_entry *a, *b;
    uint32_t rtt_us;
};

static uint32_t rtt_between(const struct roster_entry *a, const struct roster_entry *b)
{
    for (uint32_t i = 0; i < a->record.n_links; i++)
        if (node_id_equal(&a->record.links[i].peer, &b->record.id))
            return a->record.links[i].rtt_us;
    return 0;
}

/* Every pair of live nodes once, by the smaller of what its two ends measured. */
static uint32_t measure(struct measured out[SLOW_LINKS_LOOKED_AT], const struct roster *roster)
{
    uint32_t n = 0;
    for (size_t i = 0; i < roster_count(roster); i++)
        for (size_t k = i + 1; k < roster_count(roster) && n < SLOW_LINKS_LOOKED_AT; k++) {
            const struct roster_entry *a = roster_at(roster, i), *b = roster_at(roster, k);
            if (!a->alive || !b->alive)
                continue;
            uint32_t x = rtt_between(a, b), y = rtt_between(b, a), rtt = !x || (y && y < x) ? y : x;
            if (rtt)
                out[n++] = (struct measured){.a = a, .b = b, .rtt_us = rtt};
        }
    return n;
}

static int compare_rtt(const void *a, const void *b)
{
    const struct measured *x = a, *y = b;
    return x->rtt_us < y->rtt_us ? -1 : x->rtt_us > y->rtt_us;
}

/* How many of the links of `entry` are slow, and of how many; the quickest of the slow ones. */
static uint32_t count_slow(const struct measured *links, uint32_t n, uint32_t first_slow,
                           const struct roster_entry *entry, uint32_t *out_all, uint32_t *out_rtt_us)
{
    uint32_t n_slow = 0;
    *out_all = *out_rtt_us = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (links[i].a != entry && links[i].b != entry)
            continue;
        ++*out_all;
        if (i < first_slow)
            continue;
        if (!n_slow++)
            *out_rtt_us = links[i].rtt_us;
    }
    return n_slow;
}

static void add_slow(struct finding_list *out, const struct roster_entry *node, const struct roster_entry *to,
                     uint32_t rtt_us, uint32_t median_us, uint32_t n_slow)
{
    char id[NODE_ID_SHORT_BYTES], other[NODE_ID_SHORT_BYTES] = "", address[ADDRESS_TEXT_BYTES] = "";
    node_id_short(id, &node->record.id);
    if (to)
        node_id_short(other, &to->record.id);
    struct finding *f =
        to ? finding_add(
                 out, FINDING_LINK_SLOW, FINDING_NO_SHARD, &node->record.id,
                 "a round trip between nodes %s and %s takes %.1f ms, half of all links in the swarm take less "
                 "than %.1f ms",
                 id, other, rtt_us / 1e3, median_us / 1e3)
           : finding_add(
                 out, FINDING_LINK_SLOW, FINDING_NO_SHARD, &node->record.id,
                 "a round trip to node %s takes at least %.1f ms from %u nodes, half of all links in the swarm "
                 "take less than %.1f ms",
                 id, rtt_us / 1e3, n_slow, median_us / 1e3);
    if (!f)
        return;
    f->severity = SEVERITY_WARNING;
    jv_set_real(finding_evidence(f), "rtt_ms", rtt_us / 1e3);
    jv_set_real(finding_evidence(f), "median_ms", median_us / 1e3);
    if (to)
        jv_set_hex(finding_evidence(f), "peer", to->record.id.bytes, NODE_ID_BYTES);
    if (node->record.n_addresses) {
        address_text(address, &node->record.addresses[0]);
        finding_set_action(f, "shoal doctor --node %s", address);
    } else {
        finding_set_action(f, "shoal status");
    }
}

/* Far beyond the others': a node most of whose links are slow is told once, else the link. */
void verdict_explain_links(struct finding_list *out, const struct verdict_view *view)
{
    static struct measured links[SLOW_LINKS_LOOKED_AT]; /* loop thread only */
    uint32_t n = measure(links, view->roster), first_slow = n, n_told = 0;
    if (n < SLOW_LINKS_AMONG_MIN)
        return;
    qsort(links, n, sizeof *links, compare_rtt);
    uint32_t median = links[n / 2].rtt_us;
    while (first_slow > 0 && links[first_slow - 1].rtt_us >= VERDICT_SLOW_RTT_US &&
           links[first_slow - 1].rtt_us / VERDICT_SLOW_TIMES >= median)
        first_slow--;
    for (uint32_t i = first_slow; i < n && n_told < SLOW_LINKS_TOLD_MAX; i++) {
        uint32_t all_a, all_b, rtt_a, rtt_b;
        uint32_t slow_a = count_slow(links, n, first_slow, links[i].a, &all_a, &rtt_a);
        uint32_t slow_b = count_slow(links, n, first_slow, links[i].b, &all_b, &rtt_b);
        bool a = slow_a > 1 && 2 * slow_a > all_a, b = slow_b > 1 && 2 * slow_b > all_b;
        const struct roster_entry *node = b ? links[i].b : links[i].a;
        bool told = false;
        for (uint32_t k = 0; k < out->n; k++)
            told |=
                out->items[k].code == FINDING_LINK_SLOW && node_id_equal(&out->items[k].node, &node->record.id);
        if (told)
            continue;
        n_told++;
        add_slow(out, node, a || b ? NULL : links[i].b,
                 b   ? rtt_b
                 : a ? rtt_a
                     : links[i].rtt_us,
                 median, b ? slow_b : slow_a);
    }
}
