/* Whom we dial and when: one dialer for each wanted peer and each wanted host.
 *
 * A round tries the addresses in order, the next one as soon as one fails or after STAGGER_MS (so a black
 * hole costs little), until one is proved. When all have failed the dialer waits, from 0.1 s doubling to 5 s.
 */
#include "base/mem.h"
#include "swarm/links_private.h"

#include <stdio.h>
#include <string.h>

#define STAGGER_MS       250
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   5000
#define BACKOFF_SELF_MS  60000 /* an address that is our own may belong to another one day */
#define AT_ONCE_MS       20

static bool is_satisfied(const struct links_dialer *dialer)
{
    const struct links_peer *peer =
        node_id_is_zero(&dialer->id) ? NULL : links_peer_find(dialer->table, &dialer->id);
    return peer && (peer->control || peer->n_waiting);
}

static bool is_idle(const struct links_dialer *dialer)
{
    return !dialer->n_shaking && !dialer->resolve;
}

static void wait_for(struct links_dialer *dialer, uint64_t ms)
{
    clock_timer_set(dialer->table->clock, dialer->timer, ms);
}

/* The next pause, a quarter more or less so that nodes do not march in step. */
static uint64_t next_backoff(struct links_dialer *dialer)
{
    uint64_t ms = dialer->backoff_ms ? dialer->backoff_ms : BACKOFF_FIRST_MS;
    dialer->backoff_ms = ms * 2 < BACKOFF_MAX_MS ? ms * 2 : BACKOFF_MAX_MS;
    return ms - ms / 4 + rng_below(&dialer->table->rng, ms / 2 + 1);
}

static void dial_next(struct links_dialer *dialer)
{
    struct links_table *table = dialer->table;
    struct links_leg *leg = links_leg_new(table);
    const struct node_id *wanted = *dialer->host ? NULL : &dialer->id;
    leg->dialer = dialer;
    leg->counted = true;
    dialer->n_shaking++;
    leg->link = link_dial(&table->self, &dialer->addresses[dialer->next_address++], LINK_CONTROL, wanted, 0,
                          &links_leg_events, leg);
    if (dialer->next_address < dialer->n_addresses)
        wait_for(dialer, STAGGER_MS);
}

static void tell_unresolved(struct links_dialer *dialer, const char *text)
{
    struct links_table *table = dialer->table;
    struct link_attempt attempt = {.step = LINK_STEP_RESOLVE, .fault = LINK_FAULT_UNREACHABLE, .text = text};
    memcpy(attempt.host, dialer->host, sizeof attempt.host);
    attempt.address.port = dialer->port;
    attempt.n_attempts = dialer->n_rounds;
    attempt.retry_in_ms = next_backoff(dialer);
    wait_for(dialer, attempt.retry_in_ms);
    table->events->on_failed(table->ctx, &attempt);
}

static void on_resolved(void *arg, const struct endpoint *answers, size_t n, const char *text)
{
    struct links_dialer *dialer = arg;
    dialer->resolve = NULL;
    if (!n) {
        tell_unresolved(dialer, text);
        return;
    }
    dialer->n_addresses = n < LINKS_ADDRESSES_MAX ? n : LINKS_ADDRESSES_MAX;
    memcpy(dialer->addresses, answers, dialer->n_addresses * sizeof *answers);
    dialer->next_address = 0;
    if (!is_satisfied(dialer))
        dial_next(dialer);
}

static void begin_round(struct links_dialer *dialer)
{
    dialer->n_rounds++;
    if (*dialer->host) {
        dialer->resolve = resolve_start(dialer->table->loop, dialer->host, dialer->port, on_resolved, dialer);
    } else if (dialer->n_addresses) {
        dialer->next_address = 0;
        dial_next(dialer);
    }
}

static void on_timer(void *arg)
{
    struct links_dialer *dialer = arg;
    if (is_satisfied(dialer))
        return;
    if (dialer->next_address < dialer->n_addresses)
        dial_next(dialer);
    else if (is_idle(dialer))
        begin_round(dialer);
}

/* --- how an attempt goes --------------------------------------------------------------------------------- */

/* When the failed attempt will be followed by another. */
static uint64_t go_on(struct links_dialer *dialer, enum link_fault fault)
{
    uint64_t delay_ms = 1;
    if (is_satisfied(dialer))
        return delay_ms;
    if (dialer->next_address < dialer->n_addresses) {
        dial_next(dialer);
    } else if (!dialer->n_shaking) {
        delay_ms = fault == LINK_FAULT_SELF ? BACKOFF_SELF_MS : next_backoff(dialer);
        wait_for(dialer, delay_ms);
    }
    return delay_ms;
}

void links_dialer_leg_failed(struct links_leg *leg, enum link_step step, enum link_fault fault,
                             const char *text)
{
    struct links_dialer *dialer = leg->dialer;
    dialer->n_shaking -= leg->counted;
    leg->counted = false;
    uint64_t retry_in_ms = go_on(dialer, fault);
    if (fault != LINK_FAULT_NONE)
        links_tell_failed(leg->table, leg, step, fault, text, retry_in_ms);
    links_leg_close(leg, fault, text);
}

static void drop_shaking(struct links_dialer *dialer, const struct links_leg *but)
{
    struct links_leg *next;
    for (struct links_leg *leg = dialer->table->legs; leg; leg = next) {
        next = leg->next;
        if (leg->dialer != dialer || leg == but)
            continue;
        if (leg->counted) {
            dialer->n_shaking--;
            links_leg_drop(leg);
        }
    }
    dialer->next_address = dialer->n_addresses;
    clock_timer_stop(dialer->table->clock, dialer->timer);
}

void links_dialer_leg_proved(struct links_leg *leg)
{
    struct links_dialer *dialer = leg->dialer;
    dialer->id = link_peer(leg->link)->hello.id;
    dialer->n_shaking--;
    leg->counted = false;
    drop_shaking(dialer, leg);
}

void links_dialer_wake(struct links_table *table, const struct node_id *id, bool at_once)
{
    for (struct links_dialer *dialer = table->dialers; dialer; dialer = dialer->next) {
        if (!node_id_equal(&dialer->id, id) || is_satisfied(dialer) || !is_idle(dialer))
            continue;
        if (at_once)
            dialer->backoff_ms = 0;
        dialer->next_address = dialer->n_addresses; /* a new round */
        wait_for(dialer, at_once ? AT_ONCE_MS + rng_below(&table->rng, AT_ONCE_MS) : next_backoff(dialer));
    }
}

void links_dialer_rest(struct links_table *table, const struct node_id *id)
{
    for (struct links_dialer *dialer = table->dialers; dialer; dialer = dialer->next)
        if (node_id_equal(&dialer->id, id)) {
            dialer->backoff_ms = 0;
            dialer->n_rounds = 0;
            drop_shaking(dialer, NULL);
        }
}

/* --- what is wanted -------------------------------------------------------------------------------------- */

static struct links_dialer *dialer_new(struct links_table *table)
{
    struct links_dialer *dialer = mem_new(sizeof *dialer);
    dialer->table = table;
    dialer->timer = clock_timer_new(table->clock, on_timer, dialer);
    dialer->next = table->dialers;
    table->dialers = dialer;
    return dialer;
}

void links_dialer_free(struct links_dialer *dialer)
{
    struct links_table *table = dialer->table;
    drop_shaking(dialer, NULL);
    for (struct links_leg *leg = table->legs; leg; leg = leg->next)
        if (leg->dialer == dialer)
            leg->dialer = NULL;
    resolve_cancel(dialer->resolve);
    clock_timer_free(table->clock, dialer->timer);
    struct links_dialer **at = &table->dialers;
    while (*at != dialer)
        at = &(*at)->next;
    *at = dialer->next;
    mem_free(dialer);
}

static struct links_dialer *find_by_id(struct links_table *table, const struct node_id *id)
{
    struct links_dialer *dialer = table->dialers;
    while (dialer && (*dialer->host || !node_id_equal(&dialer->id, id)))
        dialer = dialer->next;
    return dialer;
}

/* True when there is an address that was not there before. */
static bool take_addresses(struct links_dialer *dialer, const struct address *addresses, size_t n)
{
    struct endpoint before[LINKS_ADDRESSES_MAX];
    size_t n_before = dialer->n_addresses;
    bool is_new = false;
    memcpy(before, dialer->addresses, sizeof before);
    dialer->n_addresses = 0;
    for (size_t i = 0; i < n && dialer->n_addresses < LINKS_ADDRESSES_MAX; i++) {
        if (!address_is_dialable(&addresses[i]))
            continue;
        struct endpoint *endpoint = &dialer->addresses[dialer->n_addresses++];
        link_endpoint_of(endpoint, &addresses[i]);
        bool known = false;
        for (size_t k = 0; k < n_before; k++)
            known |= before[k].port == endpoint->port && strcmp(before[k].ip, endpoint->ip) == 0;
        is_new |= !known;
    }
    return is_new;
}

void links_want(void *self, const struct node_id *id, const struct address *addresses, size_t n)
{
    struct links_table *table = self;
    if (node_id_equal(id, &table->self.hello.id) || node_id_is_zero(id))
        return;
    struct links_dialer *dialer = find_by_id(table, id);
    if (!dialer) {
        dialer = dialer_new(table);
        dialer->id = *id;
    }
    bool was_idle = is_idle(dialer), is_new = take_addresses(dialer, addresses, n);
    dialer->next_address = dialer->n_addresses; /* a round under way ends with what it tries now */
    if (is_new && was_idle && !is_satisfied(dialer)) {
        dialer->backoff_ms = 0;
        wait_for(dialer, 0);
    } else if (is_new && !was_idle) {
        dialer->next_address = 0;
    }
}

void links_want_host(void *self, const char *host, uint16_t port)
{
    struct links_table *table = self;
    for (const struct links_dialer *dialer = table->dialers; dialer; dialer = dialer->next)
        if (*host && strcmp(dialer->host, host) == 0 && dialer->port == port)
            return;
    struct links_dialer *dialer = dialer_new(table);
    snprintf(dialer->host, sizeof dialer->host, "%s", host);
    dialer->port = port;
    wait_for(dialer, 0);
}

void links_unwant(void *self, const struct node_id *id)
{
    struct links_dialer *dialer = find_by_id(self, id);
    if (dialer)
        links_dialer_free(dialer);
}
