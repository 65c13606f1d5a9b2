#include "wire/node_id.h"

#include <string.h>

int node_id_compare(const struct node_id *a, const struct node_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

bool node_id_equal(const struct node_id *a, const struct node_id *b)
{
    return node_id_compare(a, b) == 0;
}

bool node_id_is_zero(const struct node_id *id)
{
    static const struct node_id zero;
    return node_id_equal(id, &zero);
}

void node_id_text(char out[NODE_ID_TEXT_BYTES], const struct node_id *id)
{
    hex_encode(out, id->bytes, sizeof id->bytes);
}

void node_id_short(char out[NODE_ID_SHORT_BYTES], const struct node_id *id)
{
    hex_encode(out, id->bytes, (NODE_ID_SHORT_BYTES - 1) / 2);
}

bool node_id_parse(struct node_id *out, const char *text)
{
    return hex_decode(out->bytes, sizeof out->bytes, text);
}

bool node_id_has_prefix(const struct node_id *id, const char *digits)
{
    char text[NODE_ID_TEXT_BYTES];
    size_t n = strlen(digits);
    node_id_text(text, id);
    return n >= 4 && n < sizeof text && memcmp(text, digits, n) == 0;
}
