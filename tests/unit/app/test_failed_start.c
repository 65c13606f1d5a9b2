/* Starts that failed: remembered, counted, bounded, settled by a good start; and what doctor makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/doctor_findings.h"
#include "app/failed_start.h"
#include "app/options.h"
#include "app/start.h"
#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char run_dir[] = "/tmp/shoal-failed-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(run_dir))
        return -1;
    return setenv("XDG_RUNTIME_DIR", run_dir, 1);
}

static int empty_dir(void **state)
{
    char folder[64];
    (void)state;
    snprintf(folder, sizeof folder, "%s/shoal", run_dir);
    DIR *dir = opendir(folder);
    for (struct dirent *row; dir && (row = readdir(dir));)
        unlinkat(dirfd(dir), row->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(folder);
    return 0;
}

static int remove_dir(void **state)
{
    empty_dir(state);
    return rmdir(run_dir);
}

static const uint32_t three[] = {3}, four[] = {4};

static struct failed_start node_three(void)
{
    return (struct failed_start){.code = FINDING_PORT_IN_USE,
                                 .role = "node",
                                 .cause = "port 7400 is in use by process 12 (python3)",
                                 .action = "shoal node --shard-id 3 --port 0",
                                 .command = "shoal node --shard-id 3 --port 7400",
                                 .state_dir = "/state/3",
                                 .shards_dir = "files",
                                 .port = 7400,
                                 .shard_ids = three,
                                 .n_shard_ids = 1};
}

static size_t n_remembered(void)
{
    struct jv *list = failed_starts_list();
    size_t n = jv_count(list);
    jv_free(list);
    return n;
}

static void same_fault_counts(void **state)
{
    (void)state;
    struct failed_start failed = node_three();
    failed_start_remember(&failed);
    failed_start_remember(&failed);
    failed_start_remember(&failed);
    struct jv *list = failed_starts_list(), *f = jv_at(list, 0);
    assert_int_equal(jv_count(list), 1);
    assert_string_equal(jv_get_text(f, "code", ""), "PORT_IN_USE");
    assert_int_equal(jv_get_int(f, "shard", -1), 3);
    assert_non_null(strstr(jv_get_text(f, "cause", ""), "process 12 (python3)"));
    assert_string_equal(jv_get_text(f, "action", ""), "shoal node --shard-id 3 --port 0");
    assert_int_equal(jv_get_int(jv_get(f, "evidence"), "times", 0), 3);
    assert_true(jv_get_real(f, "since_s", -1) >= 0);
    jv_free(list);
}

static void bounded(void **state)
{
    (void)state;
    char command[64];
    for (int i = 0; i < FAILED_STARTS_MAX + 9; i++) {
        struct failed_start failed = node_three();
        snprintf(command, sizeof command, "shoal node --port %d", 9000 + i);
        failed.command = command;
        failed_start_remember(&failed);
    }
    assert_int_equal(n_remembered(), FAILED_STARTS_MAX);
}

static void settled_by(const struct failed_start *good, size_t n_left)
{
    empty_dir(NULL);
    struct failed_start failed = node_three();
    failed_start_remember(&failed);
    failed_start_settle(good);
    assert_int_equal(n_remembered(), n_left);
}

static void good_start_settles(void **state)
{
    (void)state;
    struct failed_start other = {.role = "node",
                                 .state_dir = "/state/4",
                                 .shards_dir = "files",
                                 .shard_ids = four,
                                 .n_shard_ids = 1,
                                 .port = 7401};
    settled_by(&other, 1);
    struct failed_start good = other;
    good.state_dir = "/state/3";
    settled_by(&good, 0);
    good = other;
    good.port = 7400;
    settled_by(&good, 0);
    good = other;
    good.shard_ids = three; /* the same shards from the same folder */
    settled_by(&good, 0);
    good.role = "serve";
    settled_by(&good, 1);
    good = node_three();
    good.role = "entry";
    settled_by(&good, 1);
}

static void a_key_settles_for_all(void **state)
{
    (void)state;
    struct failed_start failed = {.code = FINDING_KEY_MISSING, .role = "node", .cause = "no key"};
    failed_start_remember(&failed);
    struct failed_start good = {.role = "serve", .key_file = "/another/key"};
    failed_start_settle(&good);
    assert_int_equal(n_remembered(), 1);
    good.key_file = NULL;
    failed_start_settle(&good);
    assert_int_equal(n_remembered(), 0);
}

static void damaged_and_old_go(void **state)
{
    (void)state;
    struct failed_start failed = node_three();
    failed_start_remember(&failed);
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"code\": \"PORT_IN_USE\"}",
        "{\"code\": \"NO_SUCH\", \"last_s\": 1}",
        "{\"code\": \"PORT_IN_USE\", \"last_s\": -90000, \"role\": \"node\"}",
        "{\"code\": \"PORT_IN_USE\", \"last_s\": 9000000000000, \"role\": \"node\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *path = mem_format("%s/shoal/failed-%zu.start", run_dir, i);
        assert_int_equal(file_write(path, bytes_of_text(texts[i]), 0600, NULL), STATUS_OK);
        mem_free(path);
    }
    assert_int_equal(n_remembered(), 1);
    char *path = mem_format("%s/shoal/failed-5.start", run_dir);
    assert_int_equal(access(path, F_OK), -1);
    mem_free(path);
}

/* --- in the verdict -------------------------------------------------------------------------------------- */

static struct jv *parsed(const char *text)
{
    struct jv *json;
    assert_int_equal(jv_parse(&json, bytes_of_text(text), NULL, NULL), STATUS_OK);
    return json;
}

static const char not_ready[] =
    "{\"ready\": false, \"stages\": [{\"stage\": \"key\", \"state\": \"ok\"}, {\"stage\": \"start\", "
    "\"state\": "
    "\"ok\"}, {\"stage\": \"discovered\", \"state\": \"blocked\"}, {\"stage\": \"file\", \"state\": "
    "\"blocked\"}], \"findings\": ["
    "{\"code\": \"SHARD_NOT_DISCOVERED\", \"severity\": \"blocker\", \"shard\": 3},"
    "{\"code\": \"SHARD_NOT_DISCOVERED\", \"severity\": \"blocker\", \"shard\": 5},"
    "{\"code\": \"NO_SOURCE\", \"severity\": \"blocker\", \"shard\": 2}]}";

static void check_finding(const struct jv *verdict, size_t at, const char *code, const char *severity,
                          int64_t shard, const char *caused_by)
{
    const struct jv *f = jv_at(jv_get(verdict, "findings"), at);
    assert_string_equal(jv_get_text(f, "code", ""), code);
    assert_string_equal(jv_get_text(f, "severity", ""), severity);
    assert_int_equal(jv_get_int(f, "shard", -1), shard);
    assert_string_equal(jv_get_text(f, "caused_by", ""), caused_by);
}

static void explains_its_shard_only(void **state)
{
    (void)state;
    struct failed_start failed = node_three();
    failed_start_remember(&failed);
    struct jv *starts = failed_starts_list(), *verdict = parsed(not_ready);
    doctor_add_starts(verdict, starts);
    check_finding(verdict, 0, "PORT_IN_USE", "blocker", 3, "");
    check_finding(verdict, 1, "SHARD_NOT_DISCOVERED", "blocker", 5, "");
    check_finding(verdict, 2, "NO_SOURCE", "blocker", 2, "");
    check_finding(verdict, 3, "SHARD_NOT_DISCOVERED", "info", 3, "PORT_IN_USE");
    const struct jv *stages = jv_get(verdict, "stages");
    assert_string_equal(jv_get_text(jv_at(stages, 0), "state", ""), "ok");
    assert_string_equal(jv_get_text(jv_at(stages, 1), "state", ""), "blocked");
    assert_int_equal(doctor_n_blockers(verdict), 3);
    jv_free(verdict);
    jv_free(starts);
}

static void blames_nothing_innocent(void **state)
{
    (void)state;
    struct failed_start failed = node_three();
    failed.role = "serve";
    failed.n_shard_ids = 0;
    failed_start_remember(&failed);
    struct jv *starts = failed_starts_list(), *verdict = parsed(not_ready);
    doctor_add_starts(verdict, starts);
    assert_int_equal(doctor_n_blockers(verdict), 3);
    check_finding(verdict, 3, "PORT_IN_USE", "warning", -1, "");
    jv_free(verdict);
    verdict = parsed("{\"ready\": true, \"findings\": []}");
    doctor_add_starts(verdict, starts);
    check_finding(verdict, 0, "PORT_IN_USE", "warning", -1, "");
    jv_free(verdict);
    verdict = doctor_verdict_of_none(starts);
    check_finding(verdict, 0, "PORT_IN_USE", "blocker", -1, "");
    assert_false(jv_get_bool(verdict, "running", true));
    jv_free(verdict);
    jv_free(starts);
}

/* --- codes and commands ---------------------------------------------------------------------------------- */

static void codes(void **state)
{
    static const struct {
        enum start_step step;
        enum status status;
        int sys_errno;
        enum finding_code code;
    } rows[] = {
        {START_OPTIONS, STATUS_UNSUPPORTED, 0, FINDING_NONE},
        {START_KEY, STATUS_BAD_USAGE, 0, FINDING_NONE},
        {START_KEY, STATUS_NOT_FOUND, 0, FINDING_KEY_MISSING},
        {START_STATE_DIR, STATUS_BUSY, 0, FINDING_STATE_DIR_UNWRITABLE},
        {START_STATE_DIR, STATUS_IO, EACCES, FINDING_STATE_DIR_UNWRITABLE},
        {START_DESCRIPTORS, STATUS_IO, 0, FINDING_DESCRIPTORS_SHORT},
        {START_SHARDS_DIR, STATUS_IO, ENOSPC, FINDING_DISK_FULL},
        {START_SHARDS_DIR, STATUS_IO, EACCES, FINDING_PERMISSION_DENIED},
        {START_LINKS, STATUS_BUSY, 0, FINDING_PORT_IN_USE},
        {START_LINKS, STATUS_NETWORK, EADDRNOTAVAIL, FINDING_START_FAILED},
        {START_LINKS, STATUS_BAD_USAGE, 0, FINDING_NONE},
        {START_API, STATUS_BUSY, 0, FINDING_PORT_IN_USE},
        {START_AGENT, STATUS_IO, ENOENT, FINDING_AGENT_CRASHED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = {.status = rows[i].status, .sys_errno = rows[i].sys_errno};
        assert_int_equal(start_fault(rows[i].step, &err), rows[i].code);
    }
}

static void commands_to_paste(void **state)
{
    static char *argv[] = {(char *)"node",     (char *)"shoal1:secret", (char *)"--port",
                           (char *)"7400",     (char *)"--no-fetch",    (char *)"--shards-dir",
                           (char *)"my files", (char *)"--peer=a:1"};
    static const struct {
        const char *option, *value, *expected;
    } rows[] = {
        {NULL, NULL, "shoal node --port 7400 --no-fetch --shards-dir 'my files' --peer=a:1"},
        {"port", "0", "shoal node --no-fetch --shards-dir 'my files' --peer=a:1 --port 0"},
        {"peer", NULL, "shoal node --port 7400 --no-fetch --shards-dir 'my files'"},
        {"state-dir", "it's",
         "shoal node --port 7400 --no-fetch --shards-dir 'my files' --peer=a:1 --state-dir "
         "'it'\\''s'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *command = options_command(8, argv, rows[i].option, rows[i].value);
        assert_string_equal(command, rows[i].expected);
        mem_free(command);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(same_fault_counts, empty_dir),
        cmocka_unit_test_teardown(bounded, empty_dir),
        cmocka_unit_test_teardown(good_start_settles, empty_dir),
        cmocka_unit_test_teardown(a_key_settles_for_all, empty_dir),
        cmocka_unit_test_teardown(damaged_and_old_go, empty_dir),
        cmocka_unit_test_teardown(explains_its_shard_only, empty_dir),
        cmocka_unit_test_teardown(blames_nothing_innocent, empty_dir),
        cmocka_unit_test(codes),
        cmocka_unit_test(commands_to_paste),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
