#include "base/jv.h"

#include "base/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static json_t *raw(const struct jv *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct jv *ours(json_t *v)
{
    ASSERT(v != NULL);
    return (struct jv *)v;
}

/* Depth and number of values, counted over the bytes before the parser builds anything
 * (SECURITY section 1: attacker D). Counts every '{', '[', ',' and ':' outside strings. */
static enum status check_limits(struct bytes text, size_t depth_max, size_t values_max, struct error *err)
{
    size_t depth = 0, n_values = 1;
    bool in_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            n_values++;
            if (++depth > depth_max)
                return error_set(err, STATUS_LIMIT, "JSON nests deeper than %zu at byte %zu", depth_max, i);
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else if (c == ',' || c == ':') {
            n_values++;
        }
        if (n_values > values_max)
            return error_set(err, STATUS_LIMIT, "JSON holds more than %zu values (byte %zu)", values_max, i);
    }
    return STATUS_OK;
}

enum status jv_parse(struct jv **out, struct bytes text, const struct jv_limits *limits, struct error *err)
{
    struct jv_limits l = limits ? *limits : (struct jv_limits){0};
    size_t bytes_max = l.bytes_max ? l.bytes_max : JV_BYTES_MAX;
    if (text.size > bytes_max)
        return error_set(err, STATUS_LIMIT, "JSON of %zu bytes passes the limit of %zu", text.size, bytes_max);
    enum status status = check_limits(text, l.depth_max ? l.depth_max : JV_DEPTH_MAX,
                                      l.values_max ? l.values_max : JV_VALUES_MAX, err);
    if (status)
        return status;
    json_error_t why;
    json_t *value = json_loadb(text.size ? (const char *)text.data : "", text.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!value)
        return error_set(err, STATUS_BAD_DATA, "not JSON: %s (line %d, column %d)", why.text, why.line,
                         why.column);
    *out = ours(value);
    return STATUS_OK;
}

struct jv *jv_object_new(void)
{
    return ours(json_object());
}

struct jv *jv_array_new(void)
{
    return ours(json_array());
}

struct jv *jv_text_new_n(const char *text, size_t n_bytes)
{
    json_t *value = json_stringn(text, n_bytes);
    if (value)
        return ours(value);
    struct buffer clean;
    buffer_init(&clean, 3 * n_bytes + 1);
    const uint8_t *data = (const uint8_t *)text;
    for (size_t i = 0; i < n_bytes;) {
        size_t length = utf8_valid_length(data + i, n_bytes - i);
        if (length)
            buffer_bytes(&clean, data + i, length);
        else
            buffer_text(&clean, "\xef\xbf\xbd");
        i += length ? length : 1;
    }
    value = json_stringn(buffer_string(&clean), clean.size);
    buffer_free(&clean);
    return ours(value);
}

struct jv *jv_text_new(const char *text)
{
    return jv_text_new_n(text, strlen(text));
}

struct jv *jv_int_new(int64_t v)
{
    return ours(json_integer(v));
}

struct jv *jv_real_new(double v)
{
    return ours(isfinite(v) ? json_real(v) : json_null());
}

struct jv *jv_bool_new(bool v)
{
    return ours(json_boolean(v));
}

struct jv *jv_null_new(void)
{
    return ours(json_null());
}

struct jv *jv_share(const struct jv *value)
{
    return ours(json_incref(raw(value)));
}

struct jv *jv_copy(const struct jv *value)
{
    return ours(json_deep_copy(raw(value)));
}

void jv_free(struct jv *value)
{
    json_decref(raw(value));
}

void jv_set(struct jv *object, const char *key, struct jv *value)
{
    int failed = json_object_set_new(raw(object), key, raw(value));
    ASSERT(!failed);
}

void jv_set_text(struct jv *object, const char *key, const char *text)
{
    jv_set(object, key, text ? jv_text_new(text) : jv_null_new());
}

void jv_set_int(struct jv *object, const char *key, int64_t v)
{
    jv_set(object, key, jv_int_new(v));
}

void jv_set_real(struct jv *object, const char *key, double v)
{
    jv_set(object, key, jv_real_new(v));
}

void jv_set_bool(struct jv *object, const char *key, bool v)
{
    jv_set(object, key, jv_bool_new(v));
}

void jv_set_hex(struct jv *object, const char *key, const uint8_t *data, size_t n)
{
    char *text = mem_new(2 * n + 1);
    hex_encode(text, data, n);
    jv_set_text(object, key, text);
    mem_free(text);
}

void jv_remove(struct jv *object, const char *key)
{
    json_object_del(raw(object), key);
}

void jv_append(struct jv *array, struct jv *value)
{
    int failed = json_array_append_new(raw(array), raw(value));
    ASSERT(!failed);
}

struct jv *jv_get(const struct jv *object, const char *key)
{
    return (struct jv *)json_object_get(raw(object), key);
}

struct jv *jv_at(const struct jv *array, size_t index)
{
    return (struct jv *)json_array_get(raw(array), index);
}

size_t jv_count(const struct jv *container)
{
    return jv_is_array(container) ? json_array_size(raw(container)) : json_object_size(raw(container));
}
