/* The inside of the verdict, shared by verdict.c (the order of things, JSON), verdict_gather.c (what others and
 * this process tell), verdict_explain.c (what the roster shows) and verdict_causes.c (which finding follows
 * from which). All pure functions of the view. */
#ifndef NODE_VERDICT_PRIVATE_H
#define NODE_VERDICT_PRIVATE_H

#include "node/verdict.h"

/* verdict_gather.c: each fact once, whoever tells it; evidence "seen_by" lists those who do when they are many.
 */
void verdict_gather(struct finding_list *out, const struct verdict_view *view);
void verdict_take(struct finding_list *out, const struct finding *finding, const struct node_id *by,
                  uint64_t since_ms);

/* verdict_explain.c */
void verdict_explain_model(struct finding_list *out, const struct verdict_view *view);
/* A shard that is LOADED on no live node and that no blocker is about. */
void verdict_explain_shards(struct finding_list *out, const struct verdict_view *view, bool is_consequence);
void verdict_explain_duplicates(struct finding_list *out, const struct verdict_view *view);
void verdict_explain_links(struct finding_list *out, const struct verdict_view *view);
/* Who claimed the shard and is gone; the last one. NULL: nobody ever did. */
const struct roster_entry *verdict_lost_holder(const struct roster *roster, uint32_t shard);
bool verdict_has(const struct finding_list *list, enum finding_code code, int64_t shard); /* shard < 0: any */

/* verdict_causes.c: consequences get caused_by and are infos. */
void verdict_soften_covered(struct finding_list *out, const struct verdict_view *view);
void verdict_attach_causes(struct finding_list *out, const struct verdict_view *view);

#endif
