/* jv - JSON values. The only door to jansson; `struct jv` is its value under our name.
 *
 * Reference counts: jv_*_new and jv_parse give a value to the caller, jv_free drops it (NULL is
 * fine). jv_set and jv_append take over the value they are given, jv_get and jv_at lend.
 * Text must be UTF-8; jv_text_new of other bytes replaces the bad ones with U+FFFD.
 * Thread: one at a time per value. */
#ifndef BASE_JV_H
#define BASE_JV_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct jv;

/* What is refused before anything is built. Zeros mean the defaults: 4 MiB, depth 64, 100,000 values. */
struct jv_limits {
    size_t bytes_max, depth_max, values_max;
};
#define JV_BYTES_MAX  ((size_t)4 << 20)
#define JV_DEPTH_MAX  64
#define JV_VALUES_MAX 100000

/* Whole input, one value, no trailing bytes, no duplicate keys. */
enum status jv_parse(struct jv **out, struct bytes text, const struct jv_limits *limits, struct error *err);

struct jv *jv_object_new(void);
struct jv *jv_array_new(void);
struct jv *jv_text_new(const char *text);
struct jv *jv_text_new_n(const char *text, size_t n_bytes);
struct jv *jv_int_new(int64_t v);
struct jv *jv_real_new(double v); /* not finite: null */
struct jv *jv_bool_new(bool v);
struct jv *jv_null_new(void);
struct jv *jv_share(const struct jv *value); /* one more reference */
struct jv *jv_copy(const struct jv *value);  /* deep */
void jv_free(struct jv *value);

void jv_set(struct jv *object, const char *key, struct jv *value);
void jv_set_text(struct jv *object, const char *key, const char *text); /* NULL: null */
void jv_set_int(struct jv *object, const char *key, int64_t v);
void jv_set_real(struct jv *object, const char *key, double v);
void jv_set_bool(struct jv *object, const char *key, bool v);
void jv_set_hex(struct jv *object, const char *key, const uint8_t *data, size_t n);
void jv_remove(struct jv *object, const char *key);
void jv_append(struct jv *array, struct jv *value);

/* Lent; NULL where there is none or the container is of another kind (NULL is a valid container). */
struct jv *jv_get(const struct jv *object, const char *key);
struct jv *jv_at(const struct jv *array, size_t index);
size_t jv_count(const struct jv *container); /* array or object; 0 for anything else */

bool jv_is_object(const struct jv *v);
bool jv_is_array(const struct jv *v);
bool jv_is_text(const struct jv *v);
bool jv_is_int(const struct jv *v);
bool jv_is_number(const struct jv *v);
bool jv_is_bool(const struct jv *v);
bool jv_is_null(const struct jv *v); /* also for a NULL pointer */

/* Lent until the value goes. The fallback where the value is absent or of another kind. */
const char *jv_text(const struct jv *v, const char *fallback);
struct bytes jv_bytes(const struct jv *v); /* the whole text: "\u0000" may stand in it; empty for others */
int64_t jv_int(const struct jv *v, int64_t fallback);
double jv_real(const struct jv *v, double fallback); /* takes integers too */
bool jv_bool(const struct jv *v, bool fallback);
const char *jv_get_text(const struct jv *object, const char *key, const char *fallback);
int64_t jv_get_int(const struct jv *object, const char *key, int64_t fallback);
double jv_get_real(const struct jv *object, const char *key, double fallback);
bool jv_get_bool(const struct jv *object, const char *key, bool fallback);
/* False unless the value is text of exactly 2 * n lower-case hex digits. */
bool jv_get_hex(const struct jv *object, const char *key, uint8_t *out, size_t n);

/* Walks an object: `for (void *i = jv_first(o); i; i = jv_next(o, i))`. */
void *jv_first(const struct jv *object);
void *jv_next(const struct jv *object, void *iter);
const char *jv_iter_key(void *iter);
struct jv *jv_iter_value(void *iter);

enum jv_form {
    JV_COMPACT,        /* insertion order, one line */
    JV_COMPACT_SORTED, /* sorted keys, one line: what signatures cover */
    JV_INDENTED,
};
/* A block for mem_free. Reals are printed with 17 significant digits. */
char *jv_print(const struct jv *v, enum jv_form form);

#endif
