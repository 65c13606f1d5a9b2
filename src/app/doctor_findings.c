#include "app/doctor_findings.h"

#include "wire/finding.h"

#include <string.h>

static bool has_text(const struct jv *object, const char *key, const char *text)
{
    return strcmp(jv_get_text(object, key, ""), text) == 0;
}

static bool blocks(const struct jv *finding)
{
    return has_text(finding, "severity", "blocker");
}

static enum finding_code code_of(const struct jv *finding)
{
    enum finding_code code;
    return finding_code_parse(&code, jv_get_text(finding, "code", "")) ? code : FINDING_NONE;
}

/* Blockers, warnings, infos; within each by stage, then shard. What this program does not know comes last. */
static int64_t place_of(const struct jv *finding)
{
    enum finding_code code = code_of(finding);
    int64_t severity = blocks(finding) ? 0 : has_text(finding, "severity", "warning") ? 1 : 2;
    int64_t stage = code ? (int64_t)finding_stage(code) : STAGE_COUNT;
    return (severity * (STAGE_COUNT + 1) + stage) * ((int64_t)INT32_MAX + 2) +
           jv_get_int(finding, "shard", FINDING_NO_SHARD) + 1;
}

static void put_in_order(struct jv *verdict)
{
    const struct jv *from = jv_get(verdict, "findings");
    size_t n = jv_count(from);
    struct jv *to = jv_array_new();
    int64_t done = INT64_MIN;
    while (jv_count(to) < n) { /* by selection: there are few, and equals keep their order */
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < n; i++) {
            int64_t place = place_of(jv_at(from, i));
            next = place > done && place < next ? place : next;
        }
        for (size_t i = 0; i < n; i++)
            if (place_of(jv_at(from, i)) == next)
                jv_append(to, jv_share(jv_at(from, i)));
        done = next;
    }
    jv_set(verdict, "findings", to);
}

static bool blocked_at(const struct jv *verdict, const char *stage)
{
    const struct jv *findings = jv_get(verdict, "findings");
    for (size_t i = 0; i < jv_count(findings); i++)
        if (blocks(jv_at(findings, i)) &&
            strcmp(stage_name(finding_stage(code_of(jv_at(findings, i)))), stage) == 0)
            return true;
    return false;
}

static void mark_stages(struct jv *verdict)
{
    const struct jv *stages = jv_get(verdict, "stages");
    bool below = false;
    for (size_t i = 0; i < jv_count(stages); i++) {
        struct jv *stage = jv_at(stages, i);
        bool here = blocked_at(verdict, jv_get_text(stage, "stage", ""));
        if (here || below)
            jv_set_text(stage, "state", here ? "blocked" : "unknown");
        below |= here;
    }
}

/* --- what a failed start explains ------------------------------------------------------------------------ */

static bool was_to_hold(const struct jv *start, int64_t shard)
{
    const struct jv *shards = jv_get(jv_get(start, "evidence"), "shards");
    for (size_t i = 0; i < jv_count(shards); i++)
        if (jv_int(jv_at(shards, i), -1) == shard)
            return true;
    return false;
}

static bool explains(const struct jv *start, const struct jv *finding)
{
    const char *role = jv_get_text(jv_get(start, "evidence"), "role", "");
    bool is_node = strcmp(role, "node") == 0;
    int64_t shard = jv_get_int(finding, "shard", FINDING_NO_SHARD);
    switch (code_of(finding)) {
    case FINDING_SHARD_NOT_DISCOVERED:
        return is_node && was_to_hold(start, shard);
    case FINDING_NO_NODE_FOR_SHARD: /* a node without shards of its own would have taken it */
        return is_node && (was_to_hold(start, shard) || !jv_get(jv_get(start, "evidence"), "shards"));
    case FINDING_BOOTSTRAP_UNREACHABLE:
    case FINDING_BOOTSTRAP_NOT_A_SWARM_NODE:
        return strcmp(role, "entry") == 0;
    default:
        return false;
    }
}

/* How many blockers became consequences of the start. */
static size_t take_consequences(struct jv *verdict, const struct jv *start)
{
    const struct jv *findings = jv_get(verdict, "findings");
    size_t n = 0;
    for (size_t i = 0; i < jv_count(findings); i++) {
        struct jv *f = jv_at(findings, i);
        if (!blocks(f) || !explains(start, f))
            continue;
        jv_set_text(f, "severity", severity_name(SEVERITY_INFO));
        jv_set_text(f, "caused_by", jv_get_text(start, "code", ""));
        n++;
    }
    return n;
}

void doctor_add_starts(struct jv *verdict, const struct jv *starts)
{
    bool ready = jv_get_bool(verdict, "ready", false);
    struct jv *findings = jv_get(verdict, "findings");
    if (!jv_is_array(findings) || !jv_count(starts))
        return;
    size_t n_consequences[64] = {0}, n = jv_count(starts) < 64 ? jv_count(starts) : 64;
    for (size_t i = 0; !ready && i < n; i++)
        n_consequences[i] = take_consequences(verdict, jv_at(starts, i));
    for (size_t i = 0; i < n; i++) {
        struct jv *copy = jv_copy(jv_at(starts, i));
        jv_set_text(copy, "severity", severity_name(n_consequences[i] ? SEVERITY_BLOCKER : SEVERITY_WARNING));
        jv_append(findings, copy);
    }
    put_in_order(verdict);
    mark_stages(verdict);
}

struct jv *doctor_verdict_of_none(const struct jv *starts)
{
    struct jv *verdict = jv_object_new(), *stages = jv_array_new();
    jv_set_bool(verdict, "ready", false);
    jv_set_bool(verdict, "running", false);
    jv_set_real(verdict, "since", 0);
    jv_set_text(verdict, "model", NULL);
    for (int s = 0; s < STAGE_COUNT; s++) {
        struct jv *stage = jv_object_new();
        jv_set_text(stage, "stage", stage_name((enum stage)s));
        jv_set_text(stage, "state", "unknown");
        jv_append(stages, stage);
    }
    jv_set(verdict, "stages", stages);
    jv_set(verdict, "findings", jv_copy(starts));
    put_in_order(verdict);
    mark_stages(verdict);
    return verdict;
}

size_t doctor_n_blockers(const struct jv *verdict)
{
    const struct jv *findings = jv_get(verdict, "findings");
    size_t n = 0;
    for (size_t i = 0; i < jv_count(findings); i++)
        n += blocks(jv_at(findings, i));
    return n;
}
