/* The line between shoal and shoal-agent, from both ends: what a raw parent may say, and what a raw child. */
#include "agent_rig.h"

#include "base/jv.h"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>

/* --- a raw parent ---------------------------------------------------------------------------------------- */

struct raw {
    pid_t pid;
    int fd;
    struct buffer in;
    char *dir;
};

static struct raw raw_start(const char *first_line)
{
    struct raw raw = {0};
    char dir[] = "/tmp/shoal-agent-test-XXXXXX";
    int pair[2];
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)"shoal-agent", NULL}, *envp[] = {NULL};
    assert_non_null(mkdtemp(dir));
    raw.dir = mem_string(dir);
    buffer_init(&raw.in, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pair[1], AGENT_FD);
    assert_int_equal(posix_spawn(&raw.pid, rig_program(), &actions, NULL, argv, envp), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(pair[1]);
    raw.fd = pair[0];
    char *line = first_line ? mem_string(first_line)
                            : mem_format("{\"do\":\"start\",\"version\":1,\"mac_key\":\"%064d\",\"network\":1,"
                                         "\"node_id\":\"%040d\",\"bind4\":\"127.0.0.1\",\"dht_port\":0,"
                                         "\"torrent_port\":0,\"torrent_port_fixed\":false,\"value_ttl_s\":60,"
                                         "\"upload_rate\":0,\"download_rate\":0,\"dirs\":[\"%s\"]}\n",
                                         5, 6, raw.dir);
    assert_int_equal(write(raw.fd, line, strlen(line)), (ssize_t)strlen(line));
    mem_free(line);
    return raw;
}

/* The next event of this name (others are skipped); NULL: the child closed, or said nothing for 10 s. */
static struct jv *raw_event(struct raw *raw, const char *name)
{
    for (;;) {
        const uint8_t *end = raw->in.size ? memchr(raw->in.data, '\n', raw->in.size) : NULL;
        if (end) {
            struct jv *line;
            size_t size = (size_t)(end - raw->in.data);
            struct error err;
            assert_true(size < AGENT_LINE_BYTES_MAX);
            assert_int_equal(jv_parse(&line, bytes_of(raw->in.data, size), NULL, &err), STATUS_OK);
            buffer_consume(&raw->in, size + 1);
            if (strcmp(jv_get_text(line, AGENT_EVENT, ""), name) == 0)
                return line;
            jv_free(line);
            continue;
        }
        struct pollfd wait = {.fd = raw->fd, .events = POLLIN};
        uint8_t chunk[4096];
        if (poll(&wait, 1, 10000) <= 0)
            return NULL;
        ssize_t n = read(raw->fd, chunk, sizeof chunk);
        if (n <= 0)
            return NULL;
        buffer_bytes(&raw->in, chunk, (size_t)n);
    }
}

static void raw_say(struct raw *raw, const char *text)
{
    assert_int_equal(write(raw->fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect_error(struct raw *raw, const char *about, const char *part)
{
    struct jv *error = raw_event(raw, AGENT_EVENT_ERROR);
    assert_non_null(error);
    assert_string_equal(jv_get_text(error, "about", ""), about);
    if (!strstr(jv_get_text(error, "text", ""), part))
        fail_msg("'%s' is not in '%s'", part, jv_get_text(error, "text", ""));
    jv_free(error);
}

static int raw_end(struct raw *raw)
{
    int how = -1;
    close(raw->fd);
    for (int i = 0; i < 500 && waitpid(raw->pid, &how, WNOHANG) == 0; i++)
        usleep(10000);
    rmdir(raw->dir);
    mem_free(raw->dir);
    buffer_free(&raw->in);
    return how;
}

static void test_sandbox_is_told(void **state)
{
    (void)state;
    rig_skip_without_program();
    struct raw raw = raw_start(NULL);
    struct jv *hello = raw_event(&raw, AGENT_EVENT_HELLO);
    assert_non_null(hello);
    assert_int_equal(jv_get_int(hello, "version", 0), AGENT_PROTOCOL_VERSION);
    const struct jv *in_force = jv_get(hello, "sandbox");
    assert_true(jv_is_array(in_force));
    bool landlock = false, seccomp = false;
    for (size_t i = 0; i < jv_count(in_force); i++) {
        landlock |= strcmp(jv_text(jv_at(in_force, i), ""), "landlock") == 0;
        seccomp |= strcmp(jv_text(jv_at(in_force, i), ""), "seccomp") == 0;
    }
    jv_free(hello);
    jv_free(raw_event(&raw, AGENT_EVENT_READY));

    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", raw.pid);
    FILE *file = fopen(path, "re");
    bool has_filter = false, no_new_privileges = false;
    while (file && fgets(line, sizeof line, file)) {
        has_filter |= strncmp(line, "Seccomp:\t2", 10) == 0;
        no_new_privileges |= strncmp(line, "NoNewPrivs:\t1", 13) == 0;
    }
    if (file)
        fclose(file);
    assert_int_equal(has_filter, seccomp);
    assert_true(no_new_privileges);
    print_message("# in force here: landlock %d, seccomp %d\n", landlock, seccomp);
    assert_int_equal(raw_end(&raw), 0); /* ends in order when its parent goes */
}

static void test_bad_lines(void **state)
{
    (void)state;
    rig_skip_without_program();
    struct raw raw = raw_start(NULL);
    jv_free(raw_event(&raw, AGENT_EVENT_READY));

    raw_say(&raw, "garbage\n");
    expect_error(&raw, "line", "not JSON");
    raw_say(&raw, "[1,2]\n");
    expect_error(&raw, "line", "not an object");
    raw_say(&raw, "{\"do\":\"fly\"}\n");
    expect_error(&raw, "fly", "unknown command");
    raw_say(&raw, "{\"no\":1}\n");
    expect_error(&raw, "?", "'do'");
    raw_say(&raw, "{\"do\":\"get\",\"key\":\"xyz\"}\n");
    expect_error(&raw, "get", "hex digits");
    raw_say(&raw, "{\"do\":\"bootstrap\",\"ip\":\"localhost\",\"port\":1}\n");
    expect_error(&raw, "bootstrap", "numeric");
    raw_say(&raw, "{\"do\":\"bootstrap\",\"ip\":\"127.0.0.1\",\"port\":65536}\n");
    expect_error(&raw, "bootstrap", "65536");
    raw_say(&raw, "{\"do\":\"torrent_retry\",\"id\":\"0000000000000000000000000000000000000001\"}\n");
    expect_error(&raw, "torrent_retry", "no torrent has this id");

    char *large = mem_new(AGENT_LINE_BYTES_MAX + 100);
    memset(large, ' ', AGENT_LINE_BYTES_MAX + 98);
    large[AGENT_LINE_BYTES_MAX + 98] = '\n';
    raw_say(&raw, large);
    mem_free(large);
    expect_error(&raw, "line", "262144");

    raw_say(&raw, "{\"do\":\"get\",\"key\":\"00000000000000000000000000000000000000aa\"}\n"); /* still well */
    struct jv *got = raw_event(&raw, AGENT_EVENT_GOT);
    assert_non_null(got);
    jv_free(got);
    assert_int_equal(raw_end(&raw), 0);
}

static void test_bad_start(void **state)
{
    (void)state;
    rig_skip_without_program();
    struct raw raw = raw_start("{\"do\":\"listen\"}\n");
    expect_error(&raw, "start", "first line");
    raw_end(&raw);
    raw = raw_start("{\"do\":\"start\",\"version\":99}\n");
    expect_error(&raw, "start", "version 1");
    raw_end(&raw);
    raw = raw_start("no json at all\n");
    assert_null(raw_event(&raw, AGENT_EVENT_HELLO));
    assert_int_not_equal(raw_end(&raw), 0);
}

/* --- a raw child ----------------------------------------------------------------------------------------- */

struct child_case {
    const char *script; /* of a shell that has the socket as descriptor 3 */
    const char *why;    /* part of what is told */
};

static bool has_crashed(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_crashes > 0;
}

static bool has_crashed_thrice(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_crashes >= 3;
}

static struct rig_agent *with_child(struct rig *rig, const char *script, char *program, struct error *err)
{
    struct rig_agent *a = &rig->agents[rig->n_agents++];
    int fd = mkstemp(program);
    assert_true(fd >= 0);
    dprintf(fd, "#!/bin/sh\n%s\n", script);
    fchmod(fd, 0700);
    close(fd);
    struct agent_config config = {.mac_key = rig_key(1), .program = program, .listen_ip = "127.0.0.1"};
    assert_int_equal(agent_real_new(&a->agent, rig->loop, &config, &RIG_EVENTS, a, err), STATUS_OK);
    return a;
}

static void test_misbehaving_children(void **state)
{
    static const struct child_case CASES[] = {
        {"exit 3", "code 3"},
        {"kill -SEGV $$", "signal 11"},
        {"echo garbage >&3; sleep 5", "not JSON"},
        {"echo '{\"event\":\"surprise\"}' >&3; sleep 5", "unknown event 'surprise'"},
        {"echo '{\"event\":\"value\",\"key\":\"00\"}' >&3; sleep 5", "malformed 'value'"},
        {"echo '{\"event\":\"hello\",\"version\":9}' >&3; sleep 5", "version 9"},
        {"echo '{\"event\":\"error\",\"about\":\"start\",\"text\":\"no port\"}' >&3; exit 1", "no port"},
        {"head -c 400000 /dev/zero | tr '\\0' ' ' >&3; sleep 5", "a line of more than"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct rig *rig = rig_new();
        struct error err;
        char program[] = "/tmp/shoal-agent-child-XXXXXX";
        struct rig_agent *a = with_child(rig, CASES[i].script, program, &err);
        rig_wait(rig, has_crashed, a, 5000, CASES[i].script);
        if (!strstr(a->why, CASES[i].why))
            fail_msg("'%s' is not in '%s'", CASES[i].why, a->why);
        rig_free(rig);
        unlink(program);
    }
}

static void test_back_off(void **state)
{
    struct error err;
    char program[] = "/tmp/shoal-agent-child-XXXXXX";
    (void)state;
    struct rig *rig = rig_new();
    struct rig_agent *a = with_child(rig, "exit 1", program, &err);
    struct agent_key key = rig_dht_key("k");
    uint64_t began_us = clock_process_us();
    agent_listen(a->agent, &key); /* said while it is dying, or dead: kept, no event from within */
    assert_int_equal(a->n_crashes, 0);
    rig_wait(rig, has_crashed_thrice, a, 5000, "three crashes");
    assert_int_equal(a->restart_in_ms, 800); /* 200, 400, 800 */
    assert_true(clock_process_us() - began_us >= 600 * 1000);
    rig_free(rig);
    unlink(program);
}

static void test_no_program(void **state)
{
    struct error err;
    struct agent *agent;
    struct agent_config config = {.mac_key = rig_key(1), .program = "/nowhere/shoal-agent"};
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(agent_real_new(&agent, rig->loop, &config, &RIG_EVENTS, NULL, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nowhere/shoal-agent"));
    const char *dirs[] = {"/nowhere/shards"};
    config.dirs = dirs;
    config.n_dirs = 1;
    assert_int_equal(agent_real_new(&agent, rig->loop, &config, &RIG_EVENTS, NULL, &err), STATUS_IO);
    assert_non_null(strstr(err.text, "/nowhere/shards"));
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox_is_told), cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_bad_start),       cmocka_unit_test(test_misbehaving_children),
        cmocka_unit_test(test_back_off),        cmocka_unit_test(test_no_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
