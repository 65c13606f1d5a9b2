#include "wire/finding.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const stage_names[STAGE_COUNT] = {
    "key",  "start",    "entry",  "announced", "discovered", "assigned", "model",
    "file", "verified", "loaded", "told",      "linked",     "probed",   "serving",
};

struct code_row {
    const char *name;
    enum stage stage;
};
static const struct code_row codes[FINDING_CODE_END] = {[FINDING_NONE] = {"NONE", STAGE_KEY},
#define X(code, stage) [FINDING_##code] = {#code, STAGE_##stage},
                                                        FINDING_CODES(X)
#undef X
};

const char *stage_name(enum stage stage)
{
    return (unsigned)stage < STAGE_COUNT ? stage_names[stage] : "unknown";
}

const char *finding_code_name(enum finding_code code)
{
    return (unsigned)code < FINDING_CODE_END ? codes[code].name : "UNKNOWN";
}

bool finding_code_parse(enum finding_code *out, const char *name)
{
    for (unsigned i = 0; i < FINDING_CODE_END; i++)
        if (strcmp(codes[i].name, name) == 0) {
            *out = (enum finding_code)i;
            return true;
        }
    return false;
}

enum stage finding_stage(enum finding_code code)
{
    return (unsigned)code < FINDING_CODE_END ? codes[code].stage : STAGE_KEY;
}

const char *severity_name(enum severity severity)
{
    static const char *const names[] = {"blocker", "warning", "info"};
    return names[severity];
}

static void finding_release(struct finding *finding)
{
    mem_free(finding->cause);
    mem_free(finding->action);
    jv_free(finding->evidence);
}

void finding_list_free(struct finding_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        finding_release(&list->items[i]);
    mem_free(list->items);
    *list = (struct finding_list){0};
}

static struct finding *append_slot(struct finding_list *list)
{
    if (list->n == FINDINGS_MAX)
        return NULL;
    if (list->n == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 8;
        list->items = mem_resize(list->items, list->capacity, sizeof *list->items);
    }
    struct finding *slot = &list->items[list->n++];
    *slot = (struct finding){.shard = FINDING_NO_SHARD, .eta_s = -1};
    return slot;
}

struct finding *finding_add(struct finding_list *list, enum finding_code code, int64_t shard,
                            const struct node_id *node, const char *cause, ...)
{
    struct finding *finding = append_slot(list);
    if (!finding)
        return NULL;
    char text[1024];
    va_list args;
    va_start(args, cause);
    vsnprintf(text, sizeof text, cause, args);
    va_end(args);
    finding->code = code;
    finding->shard = (int32_t)shard;
    if (node)
        finding->node = *node;
    finding->cause = mem_string(text);
    finding->action = mem_string("");
    return finding;
}

void finding_set_action(struct finding *finding, const char *format, ...)
{
    if (!finding)
        return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = mem_array((size_t)n + 1, 1); /* whole: a command that is cut off may do harm */
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    mem_free(finding->action);
    finding->action = text;
}

struct jv *finding_evidence(struct finding *finding)
{
    if (!finding->evidence)
        finding->evidence = jv_object_new();
    return finding->evidence;
}

void finding_list_append(struct finding_list *to, const struct finding *finding)
{
    struct finding *slot = append_slot(to);
    if (!slot)
        return;
    *slot = *finding;
    slot->cause = mem_string(finding->cause);
    slot->action = mem_string(finding->action);
    slot->evidence = finding->evidence ? jv_copy(finding->evidence) : NULL;
}

void finding_list_remove(struct finding_list *list, uint32_t index)
{
    ASSERT(index < list->n);
    finding_release(&list->items[index]);
    list->n--;
    memmove(&list->items[index], &list->items[index + 1], (list->n - index) * sizeof *list->items);
}

static int compare(const void *a, const void *b)
{
    const struct finding *x = a, *y = b;
    if (x->severity != y->severity)
        return x->severity < y->severity ? -1 : 1;
    enum stage sx = finding_stage(x->code), sy = finding_stage(y->code);
    if (sx != sy)
        return sx < sy ? -1 : 1;
    if (x->shard != y->shard)
        return x->shard < y->shard ? -1 : 1;
    if (x->code != y->code)
        return x->code < y->code ? -1 : 1;
    return node_id_compare(&x->node, &y->node);
}

void finding_list_sort(struct finding_list *list)
{
    if (list->n)
        qsort(list->items, list->n, sizeof *list->items, compare);
}

void finding_list_cut(struct finding_list *list, uint32_t n)
{
    if (list->n <= n)
        return;
    finding_list_sort(list);
    while (list->n > n)
        finding_release(&list->items[--list->n]);
}

struct jv *finding_to_json(const struct finding *finding, uint64_t now_ms)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "code", finding_code_name(finding->code));
    jv_set_text(json, "severity", severity_name(finding->severity));
    jv_set(json, "shard", finding->shard < 0 ? jv_null_new() : jv_int_new(finding->shard));
    if (node_id_is_zero(&finding->node))
        jv_set(json, "node", jv_null_new());
    else
        jv_set_hex(json, "node", finding->node.bytes, sizeof finding->node.bytes);
    jv_set_text(json, "cause", finding->cause);
    jv_set(json, "evidence", finding->evidence ? jv_copy(finding->evidence) : jv_object_new());
    uint64_t age_ms = now_ms > finding->since_ms ? now_ms - finding->since_ms : 0;
    jv_set_real(json, "since_s", (double)age_ms / 1000);
    jv_set(json, "eta_s", finding->eta_s < 0 ? jv_null_new() : jv_int_new(finding->eta_s));
    jv_set_text(json, "action", finding->action);
    jv_set_text(json, "caused_by", finding->caused_by ? finding_code_name(finding->caused_by) : NULL);
    return json;
}

static bool severity_parse(enum severity *out, const char *name)
{
    for (int i = SEVERITY_BLOCKER; i <= SEVERITY_INFO; i++)
        if (strcmp(severity_name((enum severity)i), name) == 0) {
            *out = (enum severity)i;
            return true;
        }
    return false;
}

enum status finding_from_json(struct finding_list *to, const struct jv *json, uint64_t now_ms,
                              struct error *err)
{
    enum finding_code code;
    enum severity severity;
    struct node_id node = {0};
    if (!finding_code_parse(&code, jv_get_text(json, "code", "")))
        return error_set(err, STATUS_BAD_DATA, "finding: unknown code '%.40s'", jv_get_text(json, "code", ""));
    if (!severity_parse(&severity, jv_get_text(json, "severity", "")))
        return error_set(err, STATUS_BAD_DATA, "finding %s: bad severity", finding_code_name(code));
    if (!jv_is_null(jv_get(json, "node")) && !jv_get_hex(json, "node", node.bytes, sizeof node.bytes))
        return error_set(err, STATUS_BAD_DATA, "finding %s: bad node id", finding_code_name(code));
    int64_t shard = jv_get_int(json, "shard", FINDING_NO_SHARD);
    if (shard < FINDING_NO_SHARD || shard > INT32_MAX)
        return error_set(err, STATUS_BAD_DATA, "finding %s: bad shard", finding_code_name(code));
    struct finding *finding = finding_add(to, code, shard, &node, "%s", jv_get_text(json, "cause", ""));
    if (!finding)
        return error_set(err, STATUS_LIMIT, "more than %d findings", FINDINGS_MAX);
    finding->severity = severity;
    double since_s = jv_get_real(json, "since_s", 0);
    uint64_t age_ms = since_s > 0 && since_s < 1e12 ? (uint64_t)(since_s * 1000) : 0;
    finding->since_ms = now_ms > age_ms ? now_ms - age_ms : 0;
    int64_t eta = jv_get_int(json, "eta_s", -1);
    finding->eta_s = eta >= 0 && eta <= INT32_MAX ? (int32_t)eta : -1;
    finding_set_action(finding, "%s", jv_get_text(json, "action", ""));
    if (jv_is_object(jv_get(json, "evidence")))
        finding->evidence = jv_copy(jv_get(json, "evidence"));
    const char *caused_by = jv_get_text(json, "caused_by", NULL);
    if (caused_by && !finding_code_parse(&finding->caused_by, caused_by))
        finding->caused_by = FINDING_NONE;
    return STATUS_OK;
}
