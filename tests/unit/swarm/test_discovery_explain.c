/* Discovery: what it says when something fails. */
#include "swarm/discovery_rig.h"

/* --- what it says
 * ------------------------------------------------------------------------------------------------ */

static struct link_attempt attempt_at(const char *to, uint16_t port, enum link_step step, enum link_fault fault)
{
    struct link_attempt a = {
        .step = step, .fault = fault, .text = "it failed", .n_attempts = 3, .retry_in_ms = 1000};
    snprintf(a.host, sizeof a.host, "%s", to);
    assert_true(address_parse_ip(&a.address, "192.0.2.77", port));
    return a;
}

/* The first finding, or NULL; `list` is emptied before. */
static const struct finding *explain(const struct world *w, struct finding_list *list)
{
    finding_list_free(list);
    discovery_explain(w->discovery, list);
    return list->n ? &list->items[0] : NULL;
}

static void failures_are_findings(void **state)
{
    static const struct {
        const char *host;
        enum link_step step;
        enum link_fault fault;
        enum finding_code code; /* NONE: nothing to say */
    } rows[] = {
        {"entry.example", LINK_STEP_RESOLVE, LINK_FAULT_UNREACHABLE, FINDING_BOOTSTRAP_UNREACHABLE},
        {"entry.example", LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE, FINDING_BOOTSTRAP_UNREACHABLE},
        {"entry.example", LINK_STEP_HANDSHAKE, LINK_FAULT_NOT_SWARM, FINDING_BOOTSTRAP_NOT_A_SWARM_NODE},
        {"entry.example", LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY, FINDING_KEY_MISMATCH},
        {"entry.example", LINK_STEP_PROTOCOL, LINK_FAULT_VERSION, FINDING_PROTOCOL_VERSION_MISMATCH},
        {"entry.example", LINK_STEP_PROTOCOL, LINK_FAULT_CLUSTER, FINDING_CLUSTER_MISMATCH},
        {"peer.example", LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY, FINDING_KEY_MISMATCH},
        {"peer.example", LINK_STEP_IDENTITY, LINK_FAULT_DUPLICATE, FINDING_IDENTITY_CONFLICT},
        {"entry.example", LINK_STEP_IDENTITY, LINK_FAULT_SELF, FINDING_NONE},
    };
    struct world *w = *state;
    struct finding_list list = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct link_attempt a = attempt_at(rows[i].host, 7400, rows[i].step, rows[i].fault);
        discovery_on_failed(w->discovery, &a);
        const struct finding *f = explain(w, &list);
        if (rows[i].code == FINDING_NONE) {
            if (f)
                fail_msg("row %zu: %s", i, f->cause);
        } else {
            assert_non_null(f);
            assert_string_equal(finding_code_name(f->code), finding_code_name(rows[i].code));
            assert_int_equal(f->severity, SEVERITY_BLOCKER); /* we are alone */
            assert_true(strstr(f->cause, rows[i].host) && strstr(f->cause, "it failed") &&
                        strstr(f->cause, "3 attempts") && f->action[0]);
            assert_string_equal(jv_get_text(f->evidence, "step", ""), link_step_name(rows[i].step));
        }
        fake_clock_run(&w->clock, 60000); /* it grows stale */
        assert_null(explain(w, &list));
    }
    finding_list_free(&list);
}

static void seen_by_others_it_is_a_warning(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("entry.example", 7400, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    discovery_on_failed(w->discovery, &a);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_BOOTSTRAP_UNREACHABLE);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    finding_list_free(&list);
}

static void who_knocks_with_a_wrong_key_is_told_by_address(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("", 50000, LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY);
    a.inbound = true;
    for (uint16_t i = 0; i < 3; i++) { /* from another port each time: one finding */
        a.address.port = (uint16_t)(50000 + i);
        discovery_on_failed(w->discovery, &a);
    }
    const struct finding *f = explain(w, &list);
    assert_int_equal(list.n, 1);
    assert_int_equal(f->code, FINDING_KEY_MISMATCH);
    assert_true(node_id_is_zero(&f->node));
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_non_null(strstr(f->cause, "192.0.2.77"));
    assert_null(strstr(f->cause, "5000"));
    fake_clock_run(&w->clock, 11000);
    assert_non_null(explain(w, &list));
    fake_clock_run(&w->clock, 2000); /* whoever still wants in would have come again */
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void a_link_that_comes_up_ends_its_failure(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    struct link_attempt a = attempt_at("entry.example", 7400, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    a.address = w->other.address;
    discovery_on_failed(w->discovery, &a);
    assert_non_null(explain(w, &list));
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void failures_of_a_thousand_addresses_stay_bounded(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        struct link_attempt a = attempt_at("", 7400, LINK_STEP_HANDSHAKE, LINK_FAULT_WRONG_KEY);
        a.inbound = true;
        a.address.ip[2] = (uint8_t)(i >> 8);
        a.address.ip[3] = (uint8_t)i;
        discovery_on_failed(w->discovery, &a);
        fake_clock_run(&w->clock, 1);
    }
    explain(w, &list);
    assert_in_range(list.n, 1, 64);
    bool has_last = false;
    for (uint32_t i = 0; i < list.n; i++)
        has_last |= strstr(list.items[i].cause, "192.0.3.231") != NULL;
    assert_true(has_last);
    finding_list_free(&list);
}

static void the_agents_end_is_a_warning(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    join(w);
    discovery_on_crashed(w->discovery, "signal 11 (Segmentation fault)", 4000, 2);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_AGENT_CRASHED);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_true(strstr(f->cause, "signal 11") && strstr(f->cause, "2 times") && strstr(f->cause, "4.0 s"));
    assert_in_range(f->eta_s, 4, 5);
    discovery_on_agent_ready(w->discovery); /* mended: that is told for a minute */
    f = explain(w, &list);
    assert_int_equal(f->code, FINDING_AGENT_CRASHED);
    assert_int_equal(f->severity, SEVERITY_INFO);
    assert_non_null(strstr(f->cause, "started again and runs"));
    assert_int_equal(jv_count(jv_get(f->evidence, "history")), 1);
    fake_clock_run(&w->clock, 61000);
    assert_null(says(w, FINDING_AGENT_CRASHED));
    finding_list_free(&list);
}

static void an_announcement_that_nobody_holds_is_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    join(w);
    discovery_on_announced(w->discovery, true, 0);
    fake_clock_run(&w->clock, 6000);
    assert_null(says(w, FINDING_ANNOUNCE_UNACKNOWLEDGED)); /* alone, nobody could */
    fake_net_connect(&w->self, &w->other);
    uint32_t n_puts = w->n_puts;
    fake_clock_run(&w->clock, 9000);
    assert_int_equal(w->n_puts, n_puts + 1); /* at once, now that somebody could hold it */
    const struct finding *f = says(w, FINDING_ANNOUNCE_UNACKNOWLEDGED);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_WARNING);
    fake_clock_run(&w->clock, 120000);
    assert_in_range(w->n_puts, n_puts + 4, n_puts + 7); /* after 10, 20, 40 s .. */
    discovery_on_announced(w->discovery, true, 3);
    assert_null(says(w, FINDING_ANNOUNCE_UNACKNOWLEDGED));
    n_puts = w->n_puts;
    fake_clock_run(&w->clock, 180000);
    assert_in_range(w->n_puts - n_puts, 2, 7);
    finding_list_free(&list);
}

/* --- alone ---
 */

static void other_is(struct world *w, enum node_role role)
{
    struct node_record r = {.id = w->other.hello.id, .epoch = 1, .version = 1, .role = role};
    struct buffer b;
    struct error err;
    buffer_init(&b, 0);
    record_sign(&b, &r, &w->other_pair);
    w->other.hello.role = role;
    assert_int_equal(roster_on_frame(w->roster, &w->other.hello.id, FRAME_RECORD, buffer_view(&b), &err),
                     STATUS_OK);
    buffer_free(&b);
}

static void who_reached_nobody_says_so(void **state)
{
    struct world *w = *state;
    join(w);
    assert_null(says(w, FINDING_ALONE_IN_CLUSTER));
    fake_clock_run(&w->clock, DISCOVERY_ALONE_MS + 100);
    const struct finding *f = says(w, FINDING_ALONE_IN_CLUSTER);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_BLOCKER);
    assert_true(strstr(f->cause, "'test'") && strstr(f->cause, "1 entries") && f->action[0]);
    discovery_set_complete(w->discovery, true); /* it needs nobody */
    assert_null(says(w, FINDING_ALONE_IN_CLUSTER));
}

static void the_entry_alone_is_no_company(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, DISCOVERY_ALONE_MS + 100);
    other_is(w, ROLE_ENTRY);
    const struct finding *f = says(w, FINDING_ALONE_IN_CLUSTER);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_BLOCKER);
    assert_non_null(strstr(f->cause, "the entry is reached"));
    assert_string_equal(f->action, "shoal node --cluster 'test'");
}

static void who_is_cut_off_says_whom_it_last_knew(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, DISCOVERY_ALONE_MS + 100);
    other_is(w, ROLE_NODE);
    assert_null(says(w, FINDING_ALONE_IN_CLUSTER));
    fake_net_cut(&w->self, &w->other, LINK_FAULT_SILENT);
    fake_clock_run(&w->clock, 2500);
    const struct finding *f = says(w, FINDING_ALONE_IN_CLUSTER);
    assert_non_null(f);
    assert_int_equal(f->severity, SEVERITY_BLOCKER);
    char id[NODE_ID_SHORT_BYTES];
    node_id_short(id, &w->other.hello.id);
    assert_true(strstr(f->cause, id) && strstr(f->cause, "2.5 s ago") && strstr(f->cause, "cut off"));
    assert_int_equal(jv_count(jv_get(f->evidence, "last_seen")), 1);
    assert_non_null(strstr(f->action, "entry.example:7400"));
}

/* --- repair ---
 */

static void a_peer_that_does_not_answer_is_told_and_given_up(void **state)
{
    struct world *w = *state;
    join(w);
    hear_of(w, &w->other_pair, 7, "192.0.2.77:7405");
    struct link_attempt a = attempt_at("", 7405, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    a.id = w->other.hello.id;
    for (a.n_attempts = 1; a.n_attempts <= DISCOVERY_ATTEMPTS_MAX; a.n_attempts++) {
        discovery_on_failed(w->discovery, &a);
        fake_clock_run(&w->clock, 5000);
        const struct finding *f = says(w, FINDING_PEER_UNREACHABLE);
        assert_non_null(f);
        assert_int_equal(f->severity, SEVERITY_INFO); /* nobody says that it lives */
        assert_int_equal(jv_get_int(f->evidence, "attempts", 0), a.n_attempts);
    }
    assert_null(other_wanted(w));
    assert_non_null(strstr(says(w, FINDING_PEER_UNREACHABLE)->cause, "given up"));
    hear_of(w, &w->other_pair, 8, "192.0.2.77:7405");
    assert_non_null(other_wanted(w));
}

static void a_peer_of_the_command_line_blocks_after_a_few_attempts(void **state)
{
    struct world *w = *state;
    join(w);
    struct link_attempt a = attempt_at("192.0.2.3", 7403, LINK_STEP_CONNECT, LINK_FAULT_UNREACHABLE);
    for (a.n_attempts = 1; a.n_attempts < DISCOVERY_ATTEMPTS_TOLD; a.n_attempts++) {
        discovery_on_failed(w->discovery, &a);
        assert_int_equal(says(w, FINDING_PEER_UNREACHABLE)->severity, SEVERITY_INFO);
    }
    discovery_on_failed(w->discovery, &a);
    assert_int_equal(says(w, FINDING_PEER_UNREACHABLE)->severity, SEVERITY_BLOCKER);
}

static void clocks_that_differ_are_told(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    w->other.skew_ms = 61000;
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 100);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_CLOCK_SKEW);
    assert_true(node_id_equal(&f->node, &w->other.hello.id));
    assert_non_null(strstr(f->cause, "61 s ahead of that of node"));
    w->other.skew_ms = -90000;
    assert_non_null(strstr(explain(w, &list)->cause, "90 s behind that of node"));
    w->other.skew_ms = 59000;
    assert_null(explain(w, &list));
    finding_list_free(&list);
}

static void refused_datagrams_are_counted(void **state)
{
    struct world *w = *state;
    struct finding_list list = {0};
    discovery_on_dht(w->discovery, 3, 17);
    const struct finding *f = explain(w, &list);
    assert_int_equal(f->code, FINDING_SECURITY_REFUSED);
    assert_int_equal(f->severity, SEVERITY_INFO);
    assert_int_equal(jv_get_int(f->evidence, "datagrams", 0), 17);
    finding_list_free(&list);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(failures_are_findings),
        T(seen_by_others_it_is_a_warning),
        T(who_knocks_with_a_wrong_key_is_told_by_address),
        T(a_link_that_comes_up_ends_its_failure),
        T(failures_of_a_thousand_addresses_stay_bounded),
        T(the_agents_end_is_a_warning),
        T(an_announcement_that_nobody_holds_is_told),
        T(clocks_that_differ_are_told),
        T(refused_datagrams_are_counted),
        T(who_reached_nobody_says_so),
        T(the_entry_alone_is_no_company),
        T(who_is_cut_off_says_whom_it_last_knew),
        T(a_peer_that_does_not_answer_is_told_and_given_up),
        T(a_peer_of_the_command_line_blocks_after_a_few_attempts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
