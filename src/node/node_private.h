/* The inside of a node, shared by the files that make it: node.c (composition and life), node_events.c (who is
 * told of what), node_lines.c (what it prints), node_status.c (what it shows), node_findings.c (what it knows
 * of what is wrong, and the verdict), node_commands.c (what it is told). */
#ifndef NODE_NODE_PRIVATE_H
#define NODE_NODE_PRIVATE_H

#include "model/manifest.h"
#include "node/coordinator.h"
#include "node/manifests.h"
#include "node/node.h"
#include "node/shards.h"
#include "node/timeline.h"
#include "node/told.h"
#include "node/verdict.h"
#include "node/verdict_log.h"

#define NODE_TWIN_GONE_MS 7000 /* longer than the pause between two attempts to link */

struct node_own_finding { /* set from outside: node_set_finding */
    enum finding_code code;
    enum severity severity;
    char *cause, *action;
    uint64_t since_ms;
};
#define NODE_OWN_FINDINGS_MAX 16

struct node {
    struct node_config config;
    struct node_ports ports;
    struct swarm_keys keys;
    struct node_id self;
    struct node_host host;

    struct roster *roster;
    struct commands *commands;
    struct manifests *manifests;
    struct shards *shards; /* NULL for an entry */
    struct discovery *discovery;
    struct pipeline *pipeline;
    struct readiness *readiness;
    struct frontdoor *frontdoor;     /* serve only */
    struct coordinator *coordinator; /* serve only */
    struct told *told;
    struct timeline *timeline;
    struct verdict_memory *memory;
    struct verdict_log *log;

    const struct manifest *manifest; /* as the modules were told last */
    bool has_tokenizer;
    bool started, joined, stopping;
    uint64_t started_ms;
    /* Another process with our identity: the epoch of its record, and when we last felt that it lives. */
    uint64_t twin_epoch, twin_ms;
    uint16_t dht_port, torrent_port;
    uint64_t coordinator_heard_ms;
    struct timer *settle_timer, *report_timer, *host_timer, *join_timer, *stop_timer;
    bool settle_pending;
    void (*on_stopped)(void *ctx);
    void *stopped_ctx;

    struct verdict verdict; /* as of the last settling */
    bool verdict_known, was_ready, said_not_found, was_announced;
    char said_code[96];     /* the blocker that was logged last */
    uint64_t said_findings; /* a hash of those in our record */
    struct node_own_finding own_findings[NODE_OWN_FINDINGS_MAX];
    uint32_t n_own_findings;
    struct {
        node_watcher watcher;
        void *ctx;
    } watchers[NODE_WATCHERS_MAX];
    uint32_t n_watchers;
};

uint32_t node_n_expected(const struct node *node); /* shards; 0: unknown */
void node_changed(struct node *node);              /* settle soon */

/* node_findings.c */
void node_explain(const struct node *node, struct finding_list *out); /* all that this process knows */
void node_compute_verdict(struct node *node);
void node_note_verdict(struct node *node);           /* says what changed: lines, log, watchers */
bool node_findings_are_old(const struct node *node); /* those in our record name numbers that have changed */

/* node_events.c */
void node_on_roster_changed(void *ctx, const struct roster_entry *entry);
const struct shards_events *node_shards_events(void);

/* node_lines.c */
void node_print_report(struct node *node);
void node_print_readiness(struct node *node);

/* node_commands.c */
void node_handle_commands(struct node *node);

#endif
