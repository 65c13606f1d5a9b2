/* examination - what links_examine found, as the object of GET /api/v1/examine: {"ok", "host", "port",
 * "address", "node", "fault", "code", "cause", "action", "steps": [{"step", "ok", "outcome": "ok" | "failed" |
 * "not tried", "ms", "text"}]}. `shoal doctor --node` prints it. A pure function. */
#ifndef API_EXAMINATION_H
#define API_EXAMINATION_H

#include "node/node.h"

struct jv *examination_to_json(const struct links_examination *result);

#endif
