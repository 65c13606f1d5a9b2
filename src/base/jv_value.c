/* Questions to JSON values, walking, and printing. */
#include "base/jv.h"
#include "base/mem.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *raw(const struct jv *v)
{
    return (json_t *)(uintptr_t)v;
}

static bool has_type(const struct jv *v, json_type type)
{
    return v && json_typeof(raw(v)) == type;
}

bool jv_is_object(const struct jv *v)
{
    return has_type(v, JSON_OBJECT);
}

bool jv_is_array(const struct jv *v)
{
    return has_type(v, JSON_ARRAY);
}

bool jv_is_text(const struct jv *v)
{
    return has_type(v, JSON_STRING);
}

bool jv_is_int(const struct jv *v)
{
    return has_type(v, JSON_INTEGER);
}

bool jv_is_number(const struct jv *v)
{
    return has_type(v, JSON_INTEGER) || has_type(v, JSON_REAL);
}

bool jv_is_bool(const struct jv *v)
{
    return has_type(v, JSON_TRUE) || has_type(v, JSON_FALSE);
}

bool jv_is_null(const struct jv *v)
{
    return !v || has_type(v, JSON_NULL);
}

const char *jv_text(const struct jv *v, const char *fallback)
{
    return jv_is_text(v) ? json_string_value(raw(v)) : fallback;
}

struct bytes jv_bytes(const struct jv *v)
{
    return jv_is_text(v) ? bytes_of(json_string_value(raw(v)), json_string_length(raw(v))) : (struct bytes){0};
}

int64_t jv_int(const struct jv *v, int64_t fallback)
{
    return jv_is_int(v) ? json_integer_value(raw(v)) : fallback;
}

double jv_real(const struct jv *v, double fallback)
{
    return jv_is_number(v) ? json_number_value(raw(v)) : fallback;
}

bool jv_bool(const struct jv *v, bool fallback)
{
    return jv_is_bool(v) ? has_type(v, JSON_TRUE) : fallback;
}

const char *jv_get_text(const struct jv *object, const char *key, const char *fallback)
{
    return jv_text(jv_get(object, key), fallback);
}

int64_t jv_get_int(const struct jv *object, const char *key, int64_t fallback)
{
    return jv_int(jv_get(object, key), fallback);
}

double jv_get_real(const struct jv *object, const char *key, double fallback)
{
    return jv_real(jv_get(object, key), fallback);
}

bool jv_get_bool(const struct jv *object, const char *key, bool fallback)
{
    return jv_bool(jv_get(object, key), fallback);
}

bool jv_get_hex(const struct jv *object, const char *key, uint8_t *out, size_t n)
{
    const char *text = jv_get_text(object, key, NULL);
    return text && hex_decode(out, n, text);
}

void *jv_first(const struct jv *object)
{
    return json_object_iter(raw(object));
}

void *jv_next(const struct jv *object, void *iter)
{
    return json_object_iter_next(raw(object), iter);
}

const char *jv_iter_key(void *iter)
{
    return json_object_iter_key(iter);
}

struct jv *jv_iter_value(void *iter)
{
    return (struct jv *)json_object_iter_value(iter);
}

char *jv_print(const struct jv *v, enum jv_form form)
{
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
    if (form == JV_INDENTED)
        flags |= JSON_INDENT(2);
    else
        flags |= JSON_COMPACT;
    if (form == JV_COMPACT_SORTED)
        flags |= JSON_SORT_KEYS;
    char *text = json_dumps(raw(v), flags);
    ASSERT(text != NULL);
    return text;
}
