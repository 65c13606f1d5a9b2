#include "base/mem.h"
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop_made(void)
{
    struct loop *loop;
    struct error err;
    assert_int_equal(loop_new(&loop, &err), STATUS_OK);
    return loop;
}

static bool is_set(void *arg)
{
    return *(bool *)arg;
}

/* --- timers ------------------------------------------------------------------------------------------ */

struct fired {
    char order[8];
    size_t n;
};
struct named {
    struct fired *fired;
    char name;
    struct timer *timer;
    const struct clock *clock;
};

static void note(void *arg)
{
    struct named *named = arg;
    named->fired->order[named->fired->n++] = named->name;
    clock_timer_free(named->clock, named->timer); /* allowed inside its own callback */
}

static bool three_fired(void *arg)
{
    return ((struct fired *)arg)->n == 3;
}

static void test_timers_fire_in_order_of_time(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    const struct clock *clock = loop_clock(loop);
    struct fired fired = {0};
    struct named named[3] = {
        {&fired, 'c', NULL, clock}, {&fired, 'a', NULL, clock}, {&fired, 'b', NULL, clock}};
    const uint64_t delays[3] = {40, 5, 20};
    uint64_t start = clock_us(clock);
    for (int i = 0; i < 3; i++) {
        named[i].timer = clock_timer_new(clock, note, &named[i]);
        clock_timer_set(clock, named[i].timer, 1000);
        clock_timer_set(clock, named[i].timer, delays[i]); /* replaces */
    }
    assert_true(loop_run_until(loop, three_fired, &fired, 5000));
    assert_string_equal(fired.order, "abc");
    uint64_t took_us = clock_us(clock) - start;
    assert_in_range(took_us, 40000, 500000);
    loop_free(loop);
}

static void test_a_stopped_timer_does_not_fire(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    const struct clock *clock = loop_clock(loop);
    struct fired fired = {0};
    struct named named = {&fired, 'x', NULL, clock};
    named.timer = clock_timer_new(clock, note, &named);
    clock_timer_set(clock, named.timer, 1);
    clock_timer_stop(clock, named.timer);
    assert_false(loop_run_until(loop, three_fired, &fired, 20));
    assert_int_equal(fired.n, 0);
    clock_timer_free(clock, named.timer);
    loop_free(loop);
}

/* A callback that blocks must not make the time it then reads, or the delay it then sets, stale. */
struct slow {
    struct loop *loop;
    uint64_t set_at_us, fired_at_us;
    struct timer *timer;
    bool done;
};

static void second_fire(void *arg)
{
    struct slow *slow = arg;
    slow->fired_at_us = clock_us(loop_clock(slow->loop));
    slow->done = true;
}

static void block_then_set(void *arg)
{
    struct slow *slow = arg;
    usleep(30000);
    slow->set_at_us = clock_us(loop_clock(slow->loop));
    slow->timer = clock_timer_new(loop_clock(slow->loop), second_fire, slow);
    clock_timer_set(loop_clock(slow->loop), slow->timer, 20);
}

static void test_delays_count_from_the_call(void **state)
{
    (void)state;
    struct slow slow = {.loop = loop_made()};
    loop_defer(slow.loop, block_then_set, &slow);
    assert_true(loop_run_until(slow.loop, is_set, &slow.done, 5000));
    assert_true(slow.fired_at_us - slow.set_at_us >= 19900);
    clock_timer_free(loop_clock(slow.loop), slow.timer);
    loop_free(slow.loop);
}

/* --- posts ------------------------------------------------------------------------------------------- */

#define N_THREADS 4
#define N_POSTS   500

struct posts {
    struct loop *loop;
    uint32_t next[N_THREADS]; /* what each thread must deliver next */
    uint32_t n_out_of_order, n_all;
};
struct post {
    struct posts *posts;
    uint32_t thread, number;
};

static void take_post(void *arg)
{
    struct post *post = arg;
    post->posts->n_out_of_order += post->posts->next[post->thread]++ != post->number;
    post->posts->n_all++;
    mem_free(post);
}

static void *post_all(void *arg)
{
    struct post *first = arg;
    for (uint32_t i = 0; i < N_POSTS; i++) {
        struct post *post = mem_copy(first, sizeof *first);
        post->number = i;
        loop_post(first->posts->loop, take_post, post);
    }
    return NULL;
}

static bool all_posted(void *arg)
{
    return ((struct posts *)arg)->n_all == N_THREADS * N_POSTS;
}

static void test_posts_from_threads_keep_their_order(void **state)
{
    (void)state;
    struct posts posts = {.loop = loop_made()};
    pthread_t threads[N_THREADS];
    struct post firsts[N_THREADS];
    for (uint32_t i = 0; i < N_THREADS; i++) {
        firsts[i] = (struct post){.posts = &posts, .thread = i};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &firsts[i]), 0);
    }
    assert_true(loop_run_until(posts.loop, all_posted, &posts, 10000));
    for (uint32_t i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(posts.n_out_of_order, 0);
    loop_free(posts.loop);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void test_what_was_posted_runs_before_free(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    bool posted = false, deferred = false;
    loop_post(loop, set_flag, &posted);
    loop_defer(loop, set_flag, &deferred);
    loop_free(loop);
    assert_true(posted && deferred);
}

/* --- descriptors and signals --------------------------------------------------------------------------- */

struct pipe_end {
    struct loop *loop;
    int fd;
    struct watch *watch;
    bool got;
};

static void on_readable(void *arg, unsigned events)
{
    struct pipe_end *end = arg;
    char c;
    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(end->fd, &c, 1), 1);
    end->got = true;
    loop_unwatch(end->watch); /* its own */
    end->watch = NULL;
}

static void test_a_watch_can_be_paused_and_freed_inside(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    struct pipe_end end = {.loop = loop_made(), .fd = fds[0]};
    end.watch = loop_watch(end.loop, fds[0], LOOP_READ, on_readable, &end);
    loop_watch_set(end.watch, 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_false(loop_run_until(end.loop, is_set, &end.got, 20));
    loop_watch_set(end.watch, LOOP_READ);
    assert_true(loop_run_until(end.loop, is_set, &end.got, 5000));
    close(fds[0]);
    close(fds[1]);
    loop_free(end.loop);
}

static void test_signals_come_on_the_loop_and_sigpipe_does_not_kill(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    bool got = false;
    struct signal_watch *watch = loop_on_signal(loop, SIGUSR1, set_flag, &got);
    kill(getpid(), SIGUSR1);
    assert_true(loop_run_until(loop, is_set, &got, 5000));
    loop_off_signal(watch);
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
    loop_free(loop);
}

/* --- folders ------------------------------------------------------------------------------------------- */

struct seen {
    char text[4096];
    const char *wanted;
};

static void note_change(void *arg, const char *name, enum folder_change change)
{
    static const char *const names[] = {"+", "-", "~", "?"};
    struct seen *seen = arg;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof seen->text - used, "%s%s ", names[change], name);
}

static bool has_wanted(void *arg)
{
    const struct seen *seen = arg;
    return strstr(seen->text, seen->wanted);
}

static void write_file(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
}

static void test_folder_changes_are_told(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    char folder[] = "/tmp/shoal-test-XXXXXX", from[64], to[64];
    assert_non_null(mkdtemp(folder));
    struct seen seen = {0}, second = {0};
    struct folder_watch *watch, *other;
    assert_int_equal(loop_watch_folder(&watch, loop, folder, note_change, &seen, NULL), STATUS_OK);
    assert_int_equal(loop_watch_folder(&other, loop, folder, note_change, &second, NULL), STATUS_OK);
    loop_unwatch_folder(other); /* the first goes on */

    write_file(folder, "a.part");
    seen.wanted = "+a.part ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    snprintf(from, sizeof from, "%s/a.part", folder);
    snprintf(to, sizeof to, "%s/a", folder);
    assert_int_equal(rename(from, to), 0);
    seen.wanted = "-a.part +a ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    assert_int_equal(link(to, from), 0);
    seen.wanted = "+a.part ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    assert_int_equal(truncate(to, 1), 0);
    seen.wanted = "~a ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    unlink(from);
    unlink(to);
    seen.wanted = "-a ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    rmdir(folder);
    seen.wanted = "? ";
    assert_true(loop_run_until(loop, has_wanted, &seen, 2000));
    assert_string_equal(second.text, "");
    loop_unwatch_folder(watch);
    loop_free(loop);
}

static void test_a_missing_folder_is_an_error_with_its_path(void **state)
{
    (void)state;
    struct loop *loop = loop_made();
    struct folder_watch *watch;
    struct error err;
    assert_int_equal(loop_watch_folder(&watch, loop, "/nowhere/at all", note_change, NULL, &err),
                     STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/at all"));
    assert_int_equal(err.sys_errno, ENOENT);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_fire_in_order_of_time),
        cmocka_unit_test(test_a_stopped_timer_does_not_fire),
        cmocka_unit_test(test_delays_count_from_the_call),
        cmocka_unit_test(test_posts_from_threads_keep_their_order),
        cmocka_unit_test(test_what_was_posted_runs_before_free),
        cmocka_unit_test(test_a_watch_can_be_paused_and_freed_inside),
        cmocka_unit_test(test_signals_come_on_the_loop_and_sigpipe_does_not_kill),
        cmocka_unit_test(test_folder_changes_are_told),
        cmocka_unit_test(test_a_missing_folder_is_an_error_with_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
