/* doctor_findings - the verdict of a process together with the starts that failed on this machine: what `shoal
 * doctor` shows. Pure functions over the JSON of GET /api/v1/verdict and of failed_starts_list. */
#ifndef APP_DOCTOR_FINDINGS_H
#define APP_DOCTOR_FINDINGS_H

#include "base/jv.h"

/* A failed start that explains blockers (a shard that its node was to hold, an entry that nobody reaches)
 * blocks, and they become its consequences; any other is a warning. Findings keep the ladder's order, stages
 * follow them. Changes `verdict`. */
void doctor_add_starts(struct jv *verdict, const struct jv *starts);
/* Where no process runs: not ready, and every failed start blocks. A new value. */
struct jv *doctor_verdict_of_none(const struct jv *starts);
size_t doctor_n_blockers(const struct jv *verdict);

#endif
