/* The lines that people are told to look for: INTERFACE section 2. */
#include "base/log.h"
#include "node/node_private.h"

#include <stdio.h>

static bool is_own(const struct node *node, uint32_t shard)
{
    return node->shards && (shards_is_assigned(node->shards, shard) || shards_is_loaded(node->shards, shard));
}

static void print_shards(const struct node *node, uint32_t n)
{
    say("[STATUS] Shard Online Status:");
    for (uint32_t i = 0; i < n; i++)
        say("[STATUS]   Shard %u: %s", i,
            is_own(node, i)                        ? "★ LOCAL"
            : shard_is_discovered(node->roster, i) ? "✓ ONLINE"
                                                   : "✗ OFFLINE");
    say("[STATUS] Shard Loaded Status:");
    for (uint32_t i = 0; i < n; i++)
        say("[STATUS]   Shard %u: %s", i, shard_is_loaded(node->roster, i) ? "✓ YES" : "✗ NO");
}

/* All discovered, and the nodes that hold them linked to each other as far as we know. */
static bool is_complete(const struct node *node, uint32_t n)
{
    struct plan plan;
    uint32_t gap, stage;
    struct node_id nobody = {0};
    if (!n || roster_n_discovered(node->roster, n) < n)
        return false;
    if (!node->manifest || !plan_make(&plan, &gap, node->roster, node->manifest))
        return true; /* nobody's order is known before they are loaded */
    return plan_holds(&plan, NULL, &nobody, node->roster, node->manifest, &stage);
}

static bool own_loaded(const struct node *node, uint32_t n)
{
    bool any = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!is_own(node, i))
            continue;
        any = true;
        if (!shards_is_loaded(node->shards, i))
            return false;
    }
    return any;
}

void node_print_report(struct node *node)
{
    uint32_t n = node_n_expected(node);
    if (!node->config.print_lines)
        return;
    node_compute_verdict(node);
    const struct finding *first = verdict_first(&node->verdict);
    say("[STATUS] Cluster Discovery:");
    if (n)
        say("[STATUS]   Expected Shards: %u", n);
    else
        say("[STATUS]   Expected Shards: ?");
    if (n)
        say("[STATUS]   Discovered Shards: %u / %u", roster_n_discovered(node->roster, n), n);
    else
        say("[STATUS]   Discovered Shards: 0 / ?");
    say("[STATUS]   Pipeline Complete: %s", is_complete(node, n) ? "✓ YES" : "✗ NO");
    print_shards(node, n);
    if (node->shards && node->config.role == ROLE_NODE)
        say("[STATUS] Shard Loaded: %s", own_loaded(node, n) ? "✓ YES" : "✗ NO");
    if (node->verdict.ready)
        say("[STATUS] Swarm Ready: ✓ YES");
    else
        say("[STATUS] Swarm Ready: ✗ NO (%s)", first ? first->cause : "the probe has not come back yet");
}

void node_print_readiness(struct node *node)
{
    const struct finding *first = verdict_first(&node->verdict);
    if (!node->config.print_lines)
        return;
    if (node->verdict.ready)
        say("[SWARM] ✓✓✓ SWARM READY FOR INFERENCE ✓✓✓");
    else if (first)
        say("[SWARM] ✗ SWARM NOT READY: %s: %s", finding_code_name(first->code), first->cause);
}
