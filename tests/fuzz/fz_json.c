/* links: base */
/* Any bytes as JSON: refused with a reason, or printed and read again the same in each form, within the limits.
 */
#include "base/jv.h"
#include "base/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Depth without recursion would need a list; the limit keeps this at 64 calls. */
static size_t depth(const struct jv *v)
{
    size_t deepest = 0;
    for (size_t i = 0; jv_is_array(v) && i < jv_count(v); i++) {
        size_t d = depth(jv_at(v, i));
        deepest = d > deepest ? d : deepest;
    }
    for (void *i = jv_is_object(v) ? jv_first(v) : NULL; i; i = jv_next(v, i)) {
        size_t d = depth(jv_iter_value(i));
        ASSERT(jv_get(v, jv_iter_key(i)) == jv_iter_value(i));
        deepest = d > deepest ? d : deepest;
    }
    return deepest + (jv_is_array(v) || jv_is_object(v));
}

static void check_form(const struct jv *v, enum jv_form form)
{
    struct jv *again = NULL;
    struct error err;
    char *first = jv_print(v, form);
    enum status status = jv_parse(&again, bytes_of_text(first), NULL, &err);
    ASSERT(status == STATUS_OK);
    char *second = jv_print(again, form);
    ASSERT(strcmp(first, second) == 0);
    mem_free(first);
    mem_free(second);
    jv_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jv *v = NULL;
    struct error err = {0};
    if (jv_parse(&v, bytes_of(data, size), NULL, &err)) {
        ASSERT(!v && err.text[0] && (err.status == STATUS_BAD_DATA || err.status == STATUS_LIMIT));
        return 0;
    }
    ASSERT(depth(v) <= JV_DEPTH_MAX);
    check_form(v, JV_COMPACT);
    check_form(v, JV_COMPACT_SORTED);
    check_form(v, JV_INDENTED);
    struct jv *copy = jv_copy(v);
    char *a = jv_print(v, JV_COMPACT), *b = jv_print(copy, JV_COMPACT);
    ASSERT(strcmp(a, b) == 0);
    mem_free(a);
    mem_free(b);
    jv_free(copy);
    jv_free(v);
    return 0;
}
