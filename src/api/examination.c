#include "api/examination.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STEP_TEXT_BYTES 1000

/* What a step that went well has shown. */
static void describe_step(char out[STEP_TEXT_BYTES], const struct links_examination *r, enum link_step step)
{
    char text[ADDRESS_TEXT_BYTES] = "?", id[NODE_ID_SHORT_BYTES];
    address_text(text, &r->address);
    node_id_short(id, &r->hello.id);
    out[0] = '\0';
    switch (step) {
    case LINK_STEP_RESOLVE:
        address_ip_text(text, &r->address);
        if (strcmp(text, r->host) == 0)
            snprintf(out, STEP_TEXT_BYTES, "%s is a numeric address", r->host);
        else
            snprintf(out, STEP_TEXT_BYTES, "%s is %s", r->host, text);
        break;
    case LINK_STEP_CONNECT:
        snprintf(out, STEP_TEXT_BYTES, "%s accepts connections", text);
        break;
    case LINK_STEP_HANDSHAKE:
        snprintf(out, STEP_TEXT_BYTES, "TLS 1.3, and it has this swarm's key");
        break;
    case LINK_STEP_IDENTITY:
        snprintf(out, STEP_TEXT_BYTES, "it proved to be %s %s", node_role_name(r->hello.role), id);
        break;
    case LINK_STEP_PROTOCOL:
        snprintf(out, STEP_TEXT_BYTES, "protocol %" PRIu32 ", arithmetic %" PRIu32 ", cluster %s",
                 r->hello.protocol, r->hello.arithmetic, r->hello.cluster);
        break;
    case LINK_STEP_UP:
        snprintf(out, STEP_TEXT_BYTES, "a ping came back");
        break;
    }
}

static enum finding_code code_of(enum link_fault fault)
{
    switch (fault) {
    case LINK_FAULT_NONE:
        return FINDING_NONE;
    case LINK_FAULT_WRONG_KEY:
        return FINDING_KEY_MISMATCH;
    case LINK_FAULT_IDENTITY:
    case LINK_FAULT_DUPLICATE:
        return FINDING_IDENTITY_CONFLICT;
    case LINK_FAULT_VERSION:
        return FINDING_PROTOCOL_VERSION_MISMATCH;
    case LINK_FAULT_CLUSTER:
        return FINDING_CLUSTER_MISMATCH;
    default:
        return FINDING_PEER_UNREACHABLE;
    }
}

static enum link_step failed_step(const struct links_examination *r)
{
    int step = LINK_STEP_RESOLVE;
    while (step < LINK_STEP_UP && r->steps[step].outcome == EXAMINED_OK)
        step++;
    return (enum link_step)step;
}

/* A command; what is behind its # says where to run it. */
static void find_action(char out[STEP_TEXT_BYTES], const struct links_examination *r)
{
    enum link_step step = failed_step(r);
    char ip[ADDRESS_TEXT_BYTES] = "?";
    address_ip_text(ip, &r->address);
    out[0] = '\0';
    if (r->fault == LINK_FAULT_WRONG_KEY)
        snprintf(out, STEP_TEXT_BYTES,
                 "shoal init # prints the join token of this swarm; start the other process again with it");
    else if (r->fault == LINK_FAULT_VERSION)
        snprintf(out, STEP_TEXT_BYTES, "shoal --version # on both machines; they must be alike");
    else if (r->fault == LINK_FAULT_CLUSTER && r->hello.cluster[0])
        snprintf(out, STEP_TEXT_BYTES, "shoal node --cluster %s", r->hello.cluster);
    else if (r->fault == LINK_FAULT_SELF)
        snprintf(out, STEP_TEXT_BYTES, "shoal status # the addresses of the other nodes");
    else if (step == LINK_STEP_RESOLVE)
        snprintf(out, STEP_TEXT_BYTES, "getent hosts '%.200s'", r->host);
    else if (step == LINK_STEP_CONNECT && !strstr(r->text, "refused"))
        snprintf(out, STEP_TEXT_BYTES, "ping -c 3 %s", ip);
    else if (r->fault)
        snprintf(out, STEP_TEXT_BYTES, "ss -ltnp 'sport = :%u' # on %s: which program listens there", r->port,
                 ip);
}

static void find_cause(char out[STEP_TEXT_BYTES], const struct links_examination *r)
{
    static const char *const doing[] = {"finding the address of", "connecting to", "the handshake with",
                                        "proving identity with",  "agreeing with", "a ping to"};
    enum link_step step = failed_step(r);
    bool nobody = step == LINK_STEP_CONNECT && strstr(r->text, "refused");
    snprintf(out, STEP_TEXT_BYTES, "%s %s:%u failed after %.1f ms: %.400s%s", doing[step], r->host, r->port,
             r->steps[step].ms, r->text, nobody ? " (the machine is there, nothing listens on that port)" : "");
}

struct jv *examination_to_json(const struct links_examination *r)
{
    static const char *const outcomes[] = {"not tried", "ok", "failed"};
    struct jv *json = jv_object_new(), *steps = jv_array_new();
    char text[STEP_TEXT_BYTES], address[ADDRESS_TEXT_BYTES] = "";
    if (r->address.family)
        address_text(address, &r->address);
    jv_set_bool(json, "ok", r->fault == LINK_FAULT_NONE);
    jv_set_text(json, "host", r->host);
    jv_set_int(json, "port", r->port);
    jv_set_text(json, "address", address[0] ? address : NULL);
    jv_set(json, "node", jv_null_new());
    if (r->steps[LINK_STEP_IDENTITY].outcome == EXAMINED_OK)
        jv_set_hex(json, "node", r->hello.id.bytes, NODE_ID_BYTES);
    jv_set_text(json, "fault", r->fault ? link_fault_name(r->fault) : NULL);
    jv_set_text(json, "code", r->fault ? finding_code_name(code_of(r->fault)) : NULL);
    find_cause(text, r);
    jv_set_text(json, "cause", r->fault ? text : NULL);
    find_action(text, r);
    jv_set_text(json, "action", text);
    for (int i = LINK_STEP_RESOLVE; i <= LINK_STEP_UP; i++) {
        struct jv *step = jv_object_new();
        bool ok = r->steps[i].outcome == EXAMINED_OK, failed = r->steps[i].outcome == EXAMINED_FAILED;
        text[0] = '\0';
        if (ok)
            describe_step(text, r, (enum link_step)i);
        jv_set_text(step, "step", i == LINK_STEP_UP ? "round trip" : link_step_name((enum link_step)i));
        jv_set_bool(step, "ok", ok);
        jv_set_text(step, "outcome", outcomes[r->steps[i].outcome]);
        jv_set_real(step, "ms", r->steps[i].ms);
        jv_set_text(step, "text", failed ? r->text : text);
        jv_append(steps, step);
    }
    jv_set(json, "steps", steps);
    return json;
}
