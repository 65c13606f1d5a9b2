/* node_id - who a node is: its Ed25519 public key. Its text form is 64 hex digits; people see the
 * first 8 (node_id_short) and may type any unique prefix of at least 4. Ids order as byte strings. */
#ifndef WIRE_NODE_ID_H
#define WIRE_NODE_ID_H

#include "base/crypto.h"

#define NODE_ID_BYTES       PUBLIC_KEY_BYTES
#define NODE_ID_TEXT_BYTES  (2 * NODE_ID_BYTES + 1)
#define NODE_ID_SHORT_BYTES 9

struct node_id {
    uint8_t bytes[NODE_ID_BYTES];
};

int node_id_compare(const struct node_id *a, const struct node_id *b);
bool node_id_equal(const struct node_id *a, const struct node_id *b);
bool node_id_is_zero(const struct node_id *id); /* zero: nobody */
void node_id_text(char out[NODE_ID_TEXT_BYTES], const struct node_id *id);
void node_id_short(char out[NODE_ID_SHORT_BYTES], const struct node_id *id);
bool node_id_parse(struct node_id *out, const char *text);             /* all 64 digits */
bool node_id_has_prefix(const struct node_id *id, const char *digits); /* lower-case hex, at least 4 */

#endif
