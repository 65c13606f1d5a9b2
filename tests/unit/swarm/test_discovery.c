/* Discovery: whom it dials and announces to, and what it believes. */
#include "swarm/announced.h"
#include "swarm/discovery_rig.h"

/* --- joining
 * ---------------------------------------------------------------------------------------------------- */

static void nothing_happens_before_joining(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {1};
    const char *const addresses[] = {"192.0.2.5:7405"};
    discovery_on_agent_ready(w->discovery);
    discovery_set_shards(w->discovery, NULL, 0, 4);
    discovery_set_shards(w->discovery, shards, 1, 4);
    hear(w, "test", addresses, 1, 0);
    fake_clock_run(&w->clock, 10000);
    assert_int_equal(w->self.n_wanted, 0);
    assert_int_equal(w->n_puts + w->n_listens + w->n_gets, 0);
}

static void joining_dials_announces_and_listens(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {2, 3};
    uint8_t key[ANNOUNCEMENT_KEY_BYTES];
    discovery_set_shards(w->discovery, shards, 2, 4);
    join(w);
    assert_int_equal(w->self.n_wanted, 2);
    assert_string_equal(w->self.wanted[0].host, "entry.example");
    assert_int_equal(w->self.wanted[0].port, 7400);
    assert_string_equal(w->self.wanted[1].host, "192.0.2.3");
    assert_true(w->n_listens >= 1);
    announcement_member_key(key, &w->config.keys.lookup, "test");
    assert_true(has_key(w, key));
    for (uint32_t i = 2; i <= 3; i++) {
        announcement_shard_key(key, &w->config.keys.lookup, "test", i);
        assert_true(has_key(w, key));
    }
    announcement_shard_key(key, &w->config.keys.lookup, "test", 1);
    assert_false(has_key(w, key));
    struct announcement a;
    assert_int_equal(announcement_open(&a, bytes_of(w->puts[0].stored, w->puts[0].n), &w->config.keys.announce,
                                       clock_wall_ms(&w->clock.clock), NULL),
                     STATUS_OK);
    assert_true(node_id_equal(&a.id, &w->self.hello.id) &&
                address_equal(&a.addresses[0], &w->config.addresses[0]));
    assert_string_equal(a.cluster, "test");
}

static void announcements_are_renewed_with_a_higher_sequence(void **state)
{
    struct world *w = *state;
    struct announcement first, second;
    join(w);
    struct put before = w->puts[0];
    w->n_puts = 0;
    w->clock.wall_offset_ms -= 3600000; /* the wall clock goes back an hour */
    fake_clock_run(&w->clock, 60100);
    assert_int_equal(w->n_puts, 1);
    int64_t wall = clock_wall_ms(&w->clock.clock);
    assert_int_equal(announcement_open(&second, bytes_of(w->puts[0].stored, w->puts[0].n),
                                       &w->config.keys.announce, wall, NULL),
                     STATUS_OK);
    assert_int_equal(announcement_open(&first, bytes_of(before.stored, before.n), &w->config.keys.announce,
                                       wall + 3600000, NULL),
                     STATUS_OK);
    assert_true(second.sequence > first.sequence);
}

static void new_shards_are_announced_at_once(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {5};
    uint8_t key[ANNOUNCEMENT_KEY_BYTES];
    join(w);
    w->n_puts = 0;
    discovery_set_shards(w->discovery, shards, 1, 8);
    announcement_shard_key(key, &w->config.keys.lookup, "test", 5);
    assert_true(has_key(w, key));
    w->n_puts = 0;
    discovery_set_shards(w->discovery, shards, 1, 8); /* no news */
    assert_int_equal(w->n_puts, 0);
}

static void it_asks_often_until_complete(void **state)
{
    struct world *w = *state;
    join(w);
    fake_clock_run(&w->clock, 20000);
    assert_in_range(w->n_gets, 9, 12); /* each 2 s */
    discovery_set_complete(w->discovery, true);
    fake_clock_run(&w->clock, DISCOVERY_ASK_MS);
    w->n_gets = 0;
    fake_clock_run(&w->clock, 60000);
    assert_in_range(w->n_gets, 5, 7); /* each 10 s */
}

static void leaving_retracts_and_is_silent(void **state)
{
    struct world *w = *state;
    const uint32_t shards[] = {2, 3};
    const char *const addresses[] = {"192.0.2.5:7405"};
    discovery_set_shards(w->discovery, shards, 2, 4);
    join(w);
    discovery_leave(w->discovery);
    assert_int_equal(w->n_retracts, 3);
    w->n_gets = w->n_puts = 0;
    fake_clock_run(&w->clock, 200000);
    hear(w, "test", addresses, 1, 0);
    assert_int_equal(w->n_gets + w->n_puts, 0);
    assert_null(other_wanted(w));
}

/* --- believing
 * -------------------------------------------------------------------------------------------------- */

static void an_announced_node_is_dialed(void **state)
{
    struct world *w = *state;
    const char *const addresses[] = {"192.0.2.5:7405", "[2001:db8::5]:7405"};
    join(w);
    hear(w, "test", addresses, 2, 0);
    assert_non_null(other_wanted(w));
    assert_int_equal(other_wanted(w)->n, 2);
    assert_int_equal(other_wanted(w)->addresses[0].port, 7405);
}

static void what_is_not_for_us_is_not_believed(void **state)
{
    struct world *w = *state;
    const char *const addresses[] = {"192.0.2.5:7405"};
    struct buffer b;
    join(w);
    hear(w, "another", addresses, 1, 0);            /* another cluster */
    hear(w, "test", addresses, 1, 600000 + 121000); /* expired */
    hear(w, "test", addresses, 1, -121000);         /* of the future */
    other_announces(w, &b, "test", addresses, 1, 0);
    b.data[b.size / 2] ^= 1; /* bent */
    discovery_on_value(w->discovery, buffer_view(&b));
    b.data[b.size / 2] ^= 1;
    b.data[0] ^= 1; /* a higher sequence outside than inside */
    discovery_on_value(w->discovery, buffer_view(&b));
    discovery_on_value(w->discovery, (struct bytes){0});
    buffer_free(&b);
    assert_null(other_wanted(w));
    discovery_on_value(w->discovery, bytes_of(w->puts[0].stored, w->puts[0].n)); /* our own */
    assert_null(fake_links_wanted(&w->self, &w->self.hello.id));
}

static void addresses_that_nobody_can_dial_are_left_out(void **state)
{
    struct world *w = *state;
    const char *const none[] = {"0.0.0.0:7405", "224.0.0.1:7405", "255.255.255.255:7405",
                                "192.0.2.5:0",  "[::]:7405",      "[ff02::1]:7405"};
    const char *const mixed[] = {"127.0.0.1:7405", "0.0.0.0:1", "192.0.2.5:7405"};
    join(w);
    hear(w, "test", none, 6, 0);
    assert_null(other_wanted(w));
    struct buffer b;
    seal_of(w, &b, &w->other_pair, 8, "test", mixed, 3, 0);
    discovery_on_value(w->discovery,
                       buffer_view(&b)); /* we do not listen on loopback, so that one is another machine's */
    buffer_free(&b);
    assert_non_null(other_wanted(w));
    assert_int_equal(other_wanted(w)->n, 1);
    assert_int_equal(other_wanted(w)->addresses[0].ip[0], 192);
}

static void linked_peers_are_a_way_into_the_dht(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 10);
    assert_int_equal(w->n_bootstraps, 1);
    discovery_on_agent_ready(w->discovery); /* the agent was started again and knows nobody */
    assert_int_equal(w->n_bootstraps, 2);
}

/* --- known peers
 * ------------------------------------------------------------------------------------------------ */

static void known_peers_survive_a_restart(void **state)
{
    struct world *w = *state;
    join(w);
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 10);
    char *text = discovery_known_text(w->discovery);
    discovery_free(w->discovery);
    w->self.n_wanted = 0;
    w->discovery = discovery_new(&w->clock.clock, &w->self.links, &w->agent, w->roster, &w->config, changed, w);
    discovery_take_known(w->discovery, bytes_of_text(text));
    assert_null(other_wanted(w)); /* not before joining */
    discovery_join(w->discovery);
    assert_non_null(other_wanted(w));
    assert_true(address_equal(&other_wanted(w)->addresses[0], &w->other.address));
    mem_free(text);
}

static void a_damaged_list_of_known_peers_is_only_a_lost_hint(void **state)
{
    static const char *const texts[] = {
        "", "{", "5", "[]", "[5]", "[{\"id\":\"xy\",\"addresses\":[\"192.0.2.1:1\"]}]", "[{\"addresses\":{}}]"};
    struct world *w = *state;
    discovery_join(w->discovery);
    w->self.n_wanted = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        discovery_take_known(w->discovery, bytes_of_text(texts[i]));
    assert_int_equal(w->self.n_wanted, 0);
}

/* --- replay, rollback, floods ---
 */

static void a_lower_sequence_is_not_believed(void **state)
{
    struct world *w = *state;
    join(w);
    hear_of(w, &w->other_pair, 7, "192.0.2.5:7405");
    hear_of(w, &w->other_pair, 9, "192.0.2.6:7406");
    assert_int_equal(other_wanted(w)->addresses[0].port, 7406);
    hear_of(w, &w->other_pair, 7, "192.0.2.5:7405"); /* replayed */
    hear_of(w, &w->other_pair, 8, "192.0.2.5:7405"); /* rolled back */
    assert_int_equal(other_wanted(w)->addresses[0].port, 7406);
    /* Also when nothing else remembers that node any more. */
    fake_clock_run(&w->clock, 2 * ROSTER_FORGET_MS);
    w->self.n_wanted = 0;
    hear_of(w, &w->other_pair, 8, "192.0.2.5:7405");
    assert_null(other_wanted(w));
    hear_of(w, &w->other_pair, 10, "192.0.2.6:7406");
    assert_non_null(other_wanted(w));
    assert_null(says(w, FINDING_SECURITY_REFUSED)); /* a holder that missed the news is no attack */
}

static void two_contents_of_one_sequence_are_told(void **state)
{
    struct world *w = *state;
    join(w);
    hear_of(w, &w->other_pair, 7, "192.0.2.5:7405");
    hear_of(w, &w->other_pair, 7, "192.0.2.5:7405");
    assert_null(says(w, FINDING_SECURITY_REFUSED));
    hear_of(w, &w->other_pair, 7, "192.0.2.66:6666");
    assert_int_equal(other_wanted(w)->addresses[0].port, 7405); /* the first one counts */
    const struct finding *f = says(w, FINDING_SECURITY_REFUSED);
    assert_non_null(f);
    assert_true(node_id_equal(&f->node, &w->other.hello.id));
    assert_int_equal(f->severity, SEVERITY_WARNING);
    assert_non_null(strstr(f->cause, "(7)"));
}

static void an_announcement_of_the_future_is_told(void **state)
{
    struct world *w = *state;
    const char *const addresses[] = {"192.0.2.5:7405"};
    join(w);
    hear(w, "test", addresses, 1, -119000);
    assert_non_null(other_wanted(w));
    w->self.n_wanted = 0;
    assert_null(says(w, FINDING_CLOCK_SKEW));
    hear(w, "test", addresses, 1, -300000);
    assert_null(other_wanted(w));
    const struct finding *f = says(w, FINDING_CLOCK_SKEW);
    assert_non_null(f);
    assert_true(node_id_equal(&f->node, &w->other.hello.id));
    assert_non_null(strstr(f->cause, "300 s in the future"));
    fake_clock_run(&w->clock, 61000);
    assert_null(says(w, FINDING_CLOCK_SKEW));
}

#define N_LIARS 20

static void throw_away_identities_do_not_displace_who_is_linked(void **state)
{
    struct world *w = *state;
    struct key_pair liar;
    join(w);
    hear_of(w, &w->other_pair, 7, "192.0.2.5:7405");
    fake_net_connect(&w->self, &w->other);
    fake_clock_run(&w->clock, 10);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N_LIARS; i++) { /* new ones each time, at the address of the real one */
            key_pair_new(&liar);
            hear_of(w, &liar, 1000000, "192.0.2.5:7405");
            fake_clock_run(&w->clock, 400);
            assert_true(w->self.n_wanted <= 2 + 1 + ANNOUNCED_PER_IP_MAX);
        }
    assert_non_null(other_wanted(w));
    hear_of(w, &w->other_pair, 8, "192.0.2.7:7407"); /* it moves, and is believed at once */
    assert_int_equal(other_wanted(w)->addresses[0].port, 7407);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(nothing_happens_before_joining),
        T(joining_dials_announces_and_listens),
        T(announcements_are_renewed_with_a_higher_sequence),
        T(new_shards_are_announced_at_once),
        T(it_asks_often_until_complete),
        T(leaving_retracts_and_is_silent),
        T(an_announced_node_is_dialed),
        T(what_is_not_for_us_is_not_believed),
        T(addresses_that_nobody_can_dial_are_left_out),
        T(linked_peers_are_a_way_into_the_dht),
        T(known_peers_survive_a_restart),
        T(a_damaged_list_of_known_peers_is_only_a_lost_hint),
        T(a_lower_sequence_is_not_believed),
        T(two_contents_of_one_sequence_are_told),
        T(an_announcement_of_the_future_is_told),
        T(throw_away_identities_do_not_displace_who_is_linked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
