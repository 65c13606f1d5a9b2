/* verdict_log - tells each finding once when it comes and once when it is over: blockers and warnings; infos
 * are news only while they stand. A finding is the same one while code, shard and node are. Owner: the node. */
#ifndef NODE_VERDICT_LOG_H
#define NODE_VERDICT_LOG_H

#include "wire/finding.h"

struct verdict_log;

/* `finding` is lent; over: as it was last seen. */
typedef void (*verdict_log_change)(void *ctx, const struct finding *finding, bool is_over, uint64_t stood_ms);

struct verdict_log *verdict_log_new(void);
void verdict_log_free(struct verdict_log *log); /* NULL is fine */
/* True when there was a change. */
bool verdict_log_note(struct verdict_log *log, const struct finding_list *findings, uint64_t now_ms,
                      verdict_log_change change, void *ctx);

#endif
