/* team: every part of every operation runs exactly once, operations follow each other, late members skip. */
#include "engine/team.h"

#include "base/mem.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#define N_OPERATIONS 200
#define N_PARTS_MAX  37

struct board {
    _Atomic uint32_t taken[N_OPERATIONS][N_PARTS_MAX];
    uint64_t sums[N_OPERATIONS]; /* of operation i, from that of i - 1: wrong when operations overlap */
    uint32_t n_threads;
    _Atomic uint32_t n_bad_worker;
};

struct place {
    struct board *board;
    uint32_t operation;
};

static uint32_t n_parts_of(uint32_t operation)
{
    return 1 + (operation * 7919U) % N_PARTS_MAX;
}

static void take_part(void *arg, uint32_t index, uint32_t worker)
{
    struct place *place = arg;
    atomic_fetch_add(&place->board->taken[place->operation][index], 1);
    if (worker >= place->board->n_threads)
        atomic_fetch_add(&place->board->n_bad_worker, 1);
    if (index % 5 == 3)
        sched_yield();
}

static void add_up(void *arg, uint32_t index, uint32_t worker)
{
    struct place *place = arg;
    uint64_t sum = place->operation >= 2 ? place->board->sums[place->operation - 2] : 1;
    (void)index;
    (void)worker;
    for (uint32_t i = 0; place->operation >= 1 && i < N_PARTS_MAX; i++)
        sum = sum * 3 + place->board->taken[place->operation - 1][i];
    place->board->sums[place->operation] = sum;
}

static void walk(struct crew *crew, void *arg)
{
    for (uint32_t i = 0; i < N_OPERATIONS; i++) {
        struct place place = {.board = arg, .operation = i};
        if (i % 2)
            crew_share(crew, 1, add_up, &place);
        else
            crew_share(crew, n_parts_of(i), take_part, &place);
    }
}

static void check_board(struct team *team, bool alone)
{
    struct board *board = mem_new(sizeof *board);
    uint64_t sum = 1;

    board->n_threads = team_n_threads(team);
    team_run(team, walk, board, alone);
    for (uint32_t i = 0; i < N_OPERATIONS; i += 2) {
        for (uint32_t part = 0; part < N_PARTS_MAX; part++) {
            assert_int_equal(board->taken[i][part], part < n_parts_of(i));
            sum = sum * 3 + (part < n_parts_of(i));
        }
        assert_true(board->sums[i + 1] == sum);
    }
    assert_int_equal(board->n_bad_worker, 0);
    mem_free(board);
}

static void every_part_runs_once(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 7};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct team *team = team_new(counts[i], NULL);
        for (int run = 0; run < 100; run++)
            check_board(team, run % 10 == 9);
        team_free(team);
    }
}

/* Operations so short that members meet at their borders all the time. */
struct relay {
    uint32_t at; /* written by whoever has the one part of an operation */
    uint32_t n_wrong;
};

struct relay_leg {
    struct relay *relay;
    uint32_t leg;
};

static void run_leg(void *arg, uint32_t index, uint32_t worker)
{
    struct relay_leg *leg = arg;
    (void)index;
    (void)worker;
    leg->relay->n_wrong += leg->relay->at != leg->leg;
    leg->relay->at = leg->leg + 1;
}

static void run_relay(struct crew *crew, void *arg)
{
    for (uint32_t i = 0; i < 30; i++) {
        struct relay_leg leg = {.relay = arg, .leg = i};
        crew_share(crew, 1, run_leg, &leg);
    }
}

static void operations_keep_their_order(void **state)
{
    struct team *team = team_new(5, NULL);
    (void)state;
    for (int run = 0; run < 5000; run++) {
        struct relay relay = {.at = 0};
        team_run(team, run_relay, &relay, run % 7 == 6);
        assert_int_equal(relay.at, 30);
        assert_int_equal(relay.n_wrong, 0);
    }
    team_free(team);
}

static void teams_end_without_a_job(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        team_free(team_new(4, NULL));
    team_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_runs_once),
        cmocka_unit_test(operations_keep_their_order),
        cmocka_unit_test(teams_end_without_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
