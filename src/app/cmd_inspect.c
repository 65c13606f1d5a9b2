/* shoal inspect - what a GGUF file says: header, keys, tensors; and the memory that it would need. */
#include "app/client.h"
#include "app/commands.h"
#include "app/local_model.h"
#include "base/jv.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "kernels/kernels.h"
#include "kernels/types.h"
#include "model/gguf.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#define NAME        "inspect"
#define TEXT_SHOWN  100 /* bytes of a string in the table */
#define ITEMS_SHOWN 4   /* elements of an array */

struct inspect {
    const char *path;
    bool as_json, wants_plan;
    struct engine_config config;
};

static const struct option long_options[] = {
    {"json", no_argument, NULL, 'j'},      {"plan", no_argument, NULL, 'p'},
    {"ctx", required_argument, NULL, 'c'}, {"slots", required_argument, NULL, 's'},
    {"kv", required_argument, NULL, 'k'},  {NULL, 0, NULL, 0},
};

static int read_options(struct inspect *out, int argc, char **argv)
{
    struct error err;
    *out = (struct inspect){.config = {.n_ctx = 4096, .n_slots = 8, .kv_type = KV_F16}};
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        enum status status = STATUS_OK;
        if (letter == 'j')
            out->as_json = true;
        else if (letter == 'p')
            out->wants_plan = true;
        else if (letter == 'c')
            status = option_u32(&out->config.n_ctx, "--ctx", optarg, 1, MODEL_CTX_MAX, &err);
        else if (letter == 's')
            status = option_u32(&out->config.n_slots, "--slots", optarg, 1, ENGINE_SLOTS_MAX, &err);
        else if (letter == 'k')
            status = option_kv(&out->config.kv_type, optarg, &err);
        else
            return command_usage_error(NAME, "'%s' is no option, or lacks its value", argv[optind - 1]);
        if (status)
            return command_failed(NAME, &err);
    }
    if (optind + 1 != argc)
        return command_usage_error(NAME, "give one GGUF file");
    out->path = argv[optind];
    return 0;
}

/* --- values --------------------------------------------------------------------------------------------- */

/* One element of a scalar type, from the reader. Integers beyond int64 come as reals. */
static struct jv *scalar_json(enum gguf_type type, struct reader *r)
{
    uint64_t u64;
    switch (type) {
    case GGUF_U8:
        return jv_int_new(reader_u8(r));
    case GGUF_I8:
        return jv_int_new((int8_t)reader_u8(r));
    case GGUF_U16:
        return jv_int_new(reader_u16(r));
    case GGUF_I16:
        return jv_int_new((int16_t)reader_u16(r));
    case GGUF_U32:
        return jv_int_new(reader_u32(r));
    case GGUF_I32:
        return jv_int_new((int32_t)reader_u32(r));
    case GGUF_F32:
        return jv_real_new((double)reader_f32(r));
    case GGUF_BOOL:
        return jv_bool_new(reader_u8(r) != 0);
    case GGUF_U64:
        u64 = reader_u64(r);
        return u64 <= INT64_MAX ? jv_int_new((int64_t)u64) : jv_real_new((double)u64);
    case GGUF_I64:
        return jv_int_new((int64_t)reader_u64(r));
    case GGUF_F64:
        return jv_real_new(reader_f64(r));
    default:
        return jv_null_new();
    }
}

/* Arrays are cut to `n_max` elements. */
static struct jv *value_json(const struct gguf_value *v, uint64_t n_max)
{
    struct reader r = reader_over(v->data);
    if (v->type == GGUF_STRING)
        return jv_text_new_n((const char *)v->data.data, v->data.size);
    if (v->type != GGUF_ARRAY)
        return scalar_json(v->type, &r);
    struct jv *list = jv_array_new();
    for (uint64_t i = 0; i < v->count && i < n_max; i++) {
        if (v->element == GGUF_STRING) {
            struct bytes text = gguf_array_string(v, i);
            jv_append(list, jv_text_new_n((const char *)text.data, text.size));
        } else {
            jv_append(list, scalar_json(v->element, &r));
        }
    }
    return list;
}

/* A value on one line, without control characters (JSON escapes them), cut. */
static void print_value(const struct gguf_value *v)
{
    struct jv *json = NULL;
    if (v->type == GGUF_STRING && v->data.size > TEXT_SHOWN)
        json = jv_text_new_n((const char *)v->data.data, TEXT_SHOWN);
    else
        json = value_json(v, ITEMS_SHOWN);
    char *text = jv_print(json, JV_COMPACT);
    printf("%.400s%s", text, v->type == GGUF_STRING && v->data.size > TEXT_SHOWN ? "..." : "");
    if (v->type == GGUF_ARRAY)
        printf("  (%" PRIu64 " of %s)", v->count, gguf_type_name(v->element));
    putchar('\n');
    mem_free(text);
    jv_free(json);
}

static char *name_of(struct bytes name)
{
    struct jv *json = jv_text_new_n((const char *)name.data, name.size);
    char *text = jv_print(json, JV_COMPACT);
    jv_free(json);
    return text; /* quoted, escaped */
}

/* --- the memory it would need --------------------------------------------------------------------------- */

/* The program and its libraries, and the vocabulary, whose tables take about five times what the header does
 * (measured: 4.7 to 7 for 32 to 152 thousand tokens). */
#define PROGRAM_BYTES  (10U << 20)
#define VOCAB_A_HEADER 5

struct plan {
    struct weights_size weights;
    size_t other_bytes;   /* keys and values of all slots, scratch */
    size_t program_bytes; /* and vocabulary */
};

static size_t plan_bytes(const struct plan *p)
{
    return p->weights.bytes + p->other_bytes + p->program_bytes;
}

static enum status make_plan(struct plan *out, const struct inspect *c, const struct gguf *gguf,
                             struct error *err)
{
    struct engine_config config = c->config;
    enum status status = kernels_select(&config.kernels, err);
    if (!status)
        status = weights_measure(&out->weights, c->path, config.kernels, err);
    if (status)
        return status;
    out->other_bytes =
        engine_bytes_needed(&config, &out->weights.hparams, out->weights.first_layer, out->weights.end_layer);
    out->program_bytes = PROGRAM_BYTES + VOCAB_A_HEADER * (size_t)gguf_data_offset(gguf);
    return STATUS_OK;
}

static void print_plan(const struct plan *p, const struct inspect *c)
{
    char weights[32], other[32], program[32], all[32];
    client_size(weights, (double)p->weights.bytes);
    client_size(other, (double)p->other_bytes);
    client_size(program, (double)p->program_bytes);
    client_size(all, (double)plan_bytes(p));
    printf("\nmemory for layers [%" PRIu32 ", %" PRIu32 "): %s\n", p->weights.first_layer, p->weights.end_layer,
           all);
    printf("  weights                    %s\n", weights);
    printf("  keys, values and scratch   %s  (%" PRIu32 " slots of %" PRIu32 " positions, %s)\n", other,
           c->config.n_slots, c->config.n_ctx, kv_type_name(c->config.kv_type));
    printf("  program and vocabulary     %s\n", program);
}

static struct jv *plan_json(const struct plan *p, const struct inspect *c)
{
    struct jv *o = jv_object_new();
    jv_set_int(o, "first_layer", p->weights.first_layer);
    jv_set_int(o, "end_layer", p->weights.end_layer);
    jv_set_int(o, "weights_bytes", (int64_t)p->weights.bytes);
    jv_set_int(o, "other_bytes", (int64_t)p->other_bytes);
    jv_set_int(o, "program_bytes", (int64_t)p->program_bytes);
    jv_set_int(o, "total_bytes", (int64_t)plan_bytes(p));
    jv_set_int(o, "n_ctx", c->config.n_ctx);
    jv_set_int(o, "n_slots", c->config.n_slots);
    jv_set_text(o, "kv", kv_type_name(c->config.kv_type));
    return o;
}

/* --- output --------------------------------------------------------------------------------------------- */

static void print_text(const struct gguf *gguf)
{
    char size[32];
    client_size(size, (double)gguf_file_bytes(gguf));
    printf("%s: GGUF v%" PRIu32 ", %s", gguf_path(gguf), gguf_version(gguf), size);
    if (gguf_n_parts(gguf) > 1)
        printf(" in %" PRIu32 " parts", gguf_n_parts(gguf));
    printf(", %zu keys, %zu tensors, alignment %" PRIu64 "\n\n", gguf_n_keys(gguf), gguf_n_tensors(gguf),
           gguf_alignment(gguf));
    for (size_t i = 0; i < gguf_n_keys(gguf); i++) {
        const struct gguf_value *v = gguf_key_at(gguf, i);
        char *name = name_of(v->key);
        printf("%-48s %-7s ", name, gguf_type_name(v->type));
        print_value(v);
        mem_free(name);
    }
    putchar('\n');
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(gguf, i);
        char dims[96], *name = name_of(bytes_of_text(t->name));
        int n = snprintf(dims, sizeof dims, "%" PRIu64, t->dims[0]);
        for (uint32_t d = 1; d < t->n_dims; d++)
            n += snprintf(dims + n, sizeof dims - (size_t)n, " x %" PRIu64, t->dims[d]);
        printf("%-48s %-7s %-20s %12" PRIu64 " bytes at %" PRIu64 "\n", name, tensor_type_info(t->type)->name,
               dims, t->bytes, t->offset);
        mem_free(name);
    }
}

static struct jv *tensor_json(const struct gguf_tensor *t)
{
    struct jv *o = jv_object_new(), *dims = jv_array_new();
    for (uint32_t d = 0; d < t->n_dims; d++)
        jv_append(dims, jv_int_new((int64_t)t->dims[d]));
    jv_set_text(o, "name", t->name);
    jv_set_text(o, "type", tensor_type_info(t->type)->name);
    jv_set(o, "dims", dims);
    jv_set_int(o, "bytes", (int64_t)t->bytes);
    jv_set_int(o, "offset", (int64_t)t->offset);
    if (t->part)
        jv_set_int(o, "part", t->part);
    return o;
}

static void print_json(const struct gguf *gguf, const struct inspect *c, const struct plan *plan)
{
    struct jv *root = jv_object_new(), *keys = jv_array_new(), *tensors = jv_array_new();
    for (size_t i = 0; i < gguf_n_keys(gguf); i++) {
        const struct gguf_value *v = gguf_key_at(gguf, i);
        struct jv *o = jv_object_new();
        jv_set(o, "key", jv_text_new_n((const char *)v->key.data, v->key.size));
        jv_set_text(o, "type", gguf_type_name(v->type));
        if (v->type == GGUF_ARRAY) {
            jv_set_text(o, "element", gguf_type_name(v->element));
            jv_set_int(o, "count", (int64_t)v->count);
        }
        jv_set(o, v->type == GGUF_ARRAY ? "first" : "value", value_json(v, ITEMS_SHOWN));
        jv_append(keys, o);
    }
    for (size_t i = 0; i < gguf_n_tensors(gguf); i++)
        jv_append(tensors, tensor_json(gguf_tensor_at(gguf, i)));
    jv_set_text(root, "file", gguf_path(gguf));
    jv_set_int(root, "version", gguf_version(gguf));
    jv_set_int(root, "parts", gguf_n_parts(gguf));
    jv_set_int(root, "bytes", (int64_t)gguf_file_bytes(gguf));
    jv_set_int(root, "alignment", (int64_t)gguf_alignment(gguf));
    jv_set(root, "keys", keys);
    jv_set(root, "tensors", tensors);
    if (plan)
        jv_set(root, "plan", plan_json(plan, c));
    char *text = jv_print(root, JV_COMPACT);
    puts(text);
    mem_free(text);
    jv_free(root);
}

int cmd_inspect(int argc, char **argv)
{
    struct inspect c;
    struct plan plan;
    struct gguf *gguf = NULL;
    struct error err;
    int code = read_options(&c, argc, argv);
    if (code)
        return code;
    enum status status = gguf_open(&gguf, c.path, &err);
    if (!status && c.wants_plan)
        status = make_plan(&plan, &c, gguf, &err);
    if (status) {
        code = local_model_exit_code(NAME, &err);
    } else if (c.as_json) {
        print_json(gguf, &c, c.wants_plan ? &plan : NULL);
    } else {
        print_text(gguf);
        if (c.wants_plan)
            print_plan(&plan, &c);
    }
    gguf_close(gguf);
    return code;
}
