/* Options: file < environment < command line; every bad value gets one error that names it; the token leaves
 * argv. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/options.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

static struct options options;
static struct error err;
static char config_path[64];

static int begin(void **state)
{
    (void)state;
    options = (struct options){0};
    snprintf(config_path, sizeof config_path, "/tmp/shoal-options-%d", (int)getpid());
    for (char **e = environ; *e;) { /* what the caller's environment says must not matter */
        char name[64];
        size_t n = strcspn(*e, "=");
        if (strncmp(*e, "SHOAL_", 6) == 0 && n < sizeof name) {
            memcpy(name, *e, n);
            name[n] = '\0';
            unsetenv(name);
        } else {
            e++;
        }
    }
    return 0;
}

static int end(void **state)
{
    options_free(&options);
    unlink(config_path);
    return begin(state);
}

/* Splits at spaces; the arguments can be written to, as a program's can. */
static enum status read_line(const char *line)
{
    static char copy[8192];
    static char *argv[64];
    int argc = 0;
    options_free(&options);
    options = (struct options){0};
    err = (struct error){0};
    snprintf(copy, sizeof copy, "node %s", line);
    for (char *rest = copy, *word; (word = strsep(&rest, " "));)
        if (*word)
            argv[argc++] = word;
    argv[argc] = NULL;
    return options_read(&options, argc, argv, &err);
}

static void check_taken(const char *line)
{
    if (read_line(line))
        fail_msg("'%s': %s", line, err.text);
}

static void write_config(const char *text)
{
    FILE *file = fopen(config_path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* --- defaults and kinds --------------------------------------------------------------------------------------
 */

static void defaults_are_as_documented(void **state)
{
    (void)state;
    check_taken("");
    assert_int_equal(options.n_ctx, 4096);
    assert_int_equal(options.n_slots, 8);
    assert_int_equal(options.refresh_interval_s, 60);
    assert_int_equal(options.status_interval_s, 30);
    assert_int_equal(options.log_level, LOG_INFO);
    assert_true(!options.token && !options.cluster && !options.shards_dir && !options.http && !options.listen);
    assert_true(options.port == 0 && options.n_bootstraps == 0 && options.n_peers == 0 &&
                options.n_shard_ids == 0);
    assert_true(options.kv_type == KV_F16 && !options.no_fetch && !options.log_json && options.max_upload == 0);
}

static void values_arrive(void **state)
{
    (void)state;
    check_taken("--bootstrap a:1 --bootstrap=[2001:db8::1]:2 --bootstrap c --peer d:4 --cluster x --key k "
                "--shards 5,0-2 --total-shards 8 --shards-dir s --state-dir t --listen 127.0.0.1 --port 7401 "
                "--torrent-port 0 --advertise h:9 --http 127.0.0.1:8080 --threads 3 --memory 1.5G --ctx 64 "
                "--slots 2 --kv f32 --refresh-interval 1 --status-interval 86400 --no-fetch --max-upload 10M "
                "--log-level debug --log-json --ascii");
    assert_int_equal(options.n_bootstraps, 3);
    assert_string_equal(options.bootstraps[1].host, "2001:db8::1");
    assert_int_equal(options.bootstraps[1].port, 2);
    assert_int_equal(options.bootstraps[2].port, 7400); /* the entry's default */
    assert_true(options.n_peers == 1 && options.peers[0].port == 4);
    assert_int_equal(options.n_shard_ids, 4);
    assert_true(options.shard_ids[0] == 0 && options.shard_ids[2] == 2 && options.shard_ids[3] == 5);
    assert_int_equal(options.n_shards_expected, 8);
    assert_true(options.port == 7401 && options.torrent_port == 0 && options.n_threads == 3);
    assert_true(options.memory_bytes == 1610612736 && options.max_upload == 10485760);
    assert_true(options.n_ctx == 64 && options.n_slots == 2 && options.kv_type == KV_F32 && options.no_fetch);
    assert_true(options.refresh_interval_s == 1 && options.status_interval_s == 86400);
    assert_true(options.log_level == LOG_DEBUG && options.log_json && options.ascii);
    assert_string_equal(options.http, "127.0.0.1:8080");
    assert_string_equal(options.key_file, "k");
}

static void flags_may_be_switched_off(void **state)
{
    (void)state;
    setenv("SHOAL_NO_FETCH", "1", 1);
    check_taken("");
    assert_true(options.no_fetch);
    check_taken("--no-fetch=off");
    assert_false(options.no_fetch);
    setenv("SHOAL_NO_FETCH", "0", 1);
    check_taken("");
    assert_false(options.no_fetch);
}

/* --- the four places
 * ------------------------------------------------------------------------------------------ */

static void later_places_win(void **state)
{
    char line[200];
    (void)state;
    write_config(
        "# a comment\n\n ctx = 100 \nslots=3\nport = 1\nbootstrap = file:1\npeer = file:2\npeer=file:3\n"
        "cluster = from-file\nno-fetch = true\n");
    snprintf(line, sizeof line, "--config %s", config_path);
    check_taken(line);
    assert_true(options.n_ctx == 100 && options.n_slots == 3 && options.port == 1 && options.no_fetch);
    assert_true(options.n_peers == 2 && options.n_bootstraps == 1);
    assert_string_equal(options.cluster, "from-file");

    setenv("SHOAL_SLOTS", "4", 1);
    setenv("SHOAL_PORT", "2", 1);
    setenv("SHOAL_CLUSTER", "from-environment", 1);
    setenv("SHOAL_BOOTSTRAP", "environment:9", 1);
    check_taken(line);
    assert_true(options.n_ctx == 100 && options.n_slots == 4 && options.port == 2);
    assert_string_equal(options.cluster, "from-environment");
    assert_int_equal(options.n_bootstraps, 1); /* replaces the file's, is not added */
    assert_string_equal(options.bootstraps[0].host, "environment");
    assert_int_equal(options.n_peers, 2);

    snprintf(line, sizeof line, "--port=3 --config=%s --peer line:5 --bootstrap line:6", config_path);
    check_taken(line);
    assert_true(options.n_ctx == 100 && options.n_slots == 4 && options.port == 3);
    assert_true(options.n_peers == 1 && options.n_bootstraps == 1);
    assert_string_equal(options.peers[0].host, "line");
    assert_string_equal(options.bootstraps[0].host, "line");
}

static void a_file_named_by_the_environment_ranks_as_a_file(void **state)
{
    (void)state;
    write_config("slots = 3\nctx = 100\n");
    setenv("SHOAL_CONFIG", config_path, 1);
    setenv("SHOAL_SLOTS", "4", 1);
    check_taken("--ctx 200");
    assert_int_equal(options.n_slots, 4);
    assert_int_equal(options.n_ctx, 200);
    setenv("SHOAL_CONFIG", "/does/not/exist", 1); /* --config replaces it */
    char line[100];
    snprintf(line, sizeof line, "--config %s", config_path);
    check_taken(line);
    assert_int_equal(options.n_ctx, 100);
}

static void check_config_refused(const char *text, const char *says)
{
    char line[100];
    write_config(text);
    snprintf(line, sizeof line, "--config %s", config_path);
    assert_int_not_equal(read_line(line), STATUS_OK);
    if (!strstr(err.text, config_path) || !strstr(err.text, says))
        fail_msg("'%s': '%s' does not say '%s'", text, err.text, says);
}

static void a_bent_file_is_refused_with_its_line(void **state)
{
    char *large = mem_new(4001);
    (void)state;
    memset(large, 'x', 4000);
    check_config_refused("ctx = 64\nnonsense\n", ":2: NAME = VALUE");
    check_config_refused("\n\nunknown = 1\n", ":3: there is no option 'unknown'");
    check_config_refused("config = other\n", ":1: there is no option 'config'"); /* no file names a file */
    check_config_refused("ctx = many\n", "--ctx 'many'");
    check_config_refused(large, ":1: the line is longer");
    mem_free(large);
    assert_int_equal(read_line("--config /does/not/exist"), STATUS_IO);
    assert_non_null(strstr(err.text, "/does/not/exist"));
    assert_int_not_equal(read_line("--config /tmp"), STATUS_OK); /* a folder is no empty file */
    assert_int_equal(read_line("--config"), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "--config needs a value"));
}

static void the_environment_is_named_in_errors(void **state)
{
    (void)state;
    setenv("SHOAL_CTX", "many", 1);
    assert_int_equal(read_line(""), STATUS_BAD_USAGE);
    assert_true(strstr(err.text, "SHOAL_CTX") && strstr(err.text, "many"));
}

/* --- bad values
 * ----------------------------------------------------------------------------------------------- */

static void a_bad_value_gets_one_error_that_names_it(void **state)
{
    static const struct {
        const char *line, *says, *value;
    } rows[] = {
        {"--shard 1", "'--shard'; the nearest is --shard-id", "` tells the options"},
        {"-shards-dirs x", "'-shards-dirs'; the nearest is --shards-dir ", "` tells the options"},
        {"--zebra", "no option '--zebra' (`shoal help", "` tells the options"},
        {"--ctx 7", "--ctx '7'", "from 8 to"},
        {"--ctx 16777217", "--ctx", "16777217"},
        {"--ctx -1", "--ctx", "-1"},
        {"--ctx 4k", "--ctx", "4k"},
        {"--slots 0", "--slots", "from 1 to 1024"},
        {"--threads 1025", "--threads", "1025"},
        {"--threads 99999999999999999999", "--threads", "99999999999999999999"},
        {"--total-shards 0", "--total-shards", "from 1 to 4096"},
        {"--port 65536", "--port '65536'", "65535"},
        {"--port x", "--port", "x"},
        {"--torrent-port -1", "--torrent-port", "-1"},
        {"--memory lots", "--memory 'lots'", "512M"},
        {"--memory 1X", "--memory", "1X"},
        {"--memory 99999999T", "--memory", "99999999T"},
        {"--kv f64", "--kv 'f64'", "f16, f32 or q8_0"},
        {"--log-level loud", "--log-level 'loud'", "debug"},
        {"--bootstrap h:0", "--bootstrap", "h:0"},
        {"--bootstrap :1", "--bootstrap", ":1"},
        {"--bootstrap 0.0.0.0:7400", "--bootstrap", "listen on"},
        {"--bootstrap 2001:db8::1", "--bootstrap", "2001:db8::1"},
        {"--peer h", "--peer 'h'", "HOST:PORT"},
        {"--peer h:65536", "--peer", "h:65536"},
        {"--shards 3-1", "--shards", "'3-1'"},
        {"--shards 4096", "--shards", "4095"},
        {"--shard-id -1", "--shard-id", "-1"},
        {"--shards 1,,2", "--shards", "1,,2"},
        {"--status-interval 0", "--status-interval", "from 1 to"},
        {"--ctx", "--ctx needs a value", ""},
        {"--nonsense", "'--nonsense'", ""},
        {"--ct 5", "'--ct'", ""},
        {"-x", "'-x'", ""},
        {"one two", "more than one TOKEN", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (read_line(rows[i].line) != STATUS_BAD_USAGE)
            fail_msg("'%s' was taken", rows[i].line);
        if (!strstr(err.text, rows[i].says) || !strstr(err.text, rows[i].value) || strchr(err.text, '\n'))
            fail_msg("'%s': '%s'", rows[i].line, err.text);
    }
}

static void what_is_not_there_yet_is_said(void **state)
{
    (void)state;
    assert_int_equal(read_line("--store https://example.org/x"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--store"));
    assert_int_equal(read_line("--public-seed"), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--public-seed"));
}

static void more_than_sixteen_hosts_are_refused(void **state)
{
    char line[400] = "";
    (void)state;
    for (int i = 0; i < 17; i++)
        snprintf(line + strlen(line), sizeof line - strlen(line), "--peer h%d:1 ", i);
    assert_int_equal(read_line(line), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "16"));
}

static void the_token_leaves_argv(void **state)
{
    char name[] = "node", token[] = "shoal1:h:1/c/SECRET", option[] = "--ctx", value[] = "64";
    char *argv[] = {name, token, option, value, NULL};
    (void)state;
    assert_int_equal(options_read(&options, 4, argv, &err), STATUS_OK);
    assert_string_equal(options.token, "shoal1:h:1/c/SECRET");
    assert_null(strstr(token, "SECRET"));
    assert_int_equal(strspn(token, "*"), sizeof token - 1); /* as long as it was: argv is one block */
    assert_int_equal(options.n_ctx, 64);
}

/* --- the parsers
 * ---------------------------------------------------------------------------------------------- */

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes; /* 1: refused */
    } rows[] = {{"0", 0},
                {"12", 12},
                {"1K", 1024},
                {"1k", 1024},
                {"512M", 536870912},
                {"1.5G", 1610612736},
                {"2GiB", 2147483648},
                {"2GB", 2147483648},
                {"1T", 1099511627776},
                {"", 1},
                {"G", 1},
                {"-5", 1},
                {"+5", 1},
                {"5 G", 1},
                {" 5", 1},
                {"5GG", 1},
                {"0x10", 1},
                {"1e400", 1},
                {"nan", 1},
                {"inf", 1},
                {"5000000T", 1}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t v = 77;
        bool ok = size_parse(&v, rows[i].text);
        if (ok != (rows[i].bytes != 1) || (ok && v != rows[i].bytes) || (!ok && v != 77))
            fail_msg("'%s': %d, %llu", rows[i].text, ok, (unsigned long long)v);
    }
}

static void lists_of_shards(void **state)
{
    static const char *const bad[] = {"",
                                      ",",
                                      "1,",
                                      ",1",
                                      "1-",
                                      "-1",
                                      "1--2",
                                      "2-1",
                                      "1-2-3",
                                      "0-4096",
                                      "a",
                                      "1 2",
                                      " 1",
                                      "99999999999999999999",
                                      "0-4095,0-4095"};
    uint32_t *ids = NULL, n = 0;
    (void)state;
    assert_int_equal(shard_list_parse(&ids, &n, "7,0-2,1,7", &err), STATUS_OK);
    assert_int_equal(n, 4);
    assert_true(ids[0] == 0 && ids[1] == 1 && ids[2] == 2 && ids[3] == 7);
    mem_free(ids);
    assert_int_equal(shard_list_parse(&ids, &n, "0-4095", &err), STATUS_OK);
    assert_int_equal(n, OPTIONS_SHARDS_MAX);
    mem_free(ids);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (shard_list_parse(&ids, &n, bad[i], &err) != STATUS_BAD_USAGE)
            fail_msg("'%s' was taken", bad[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(defaults_are_as_documented),
        T(values_arrive),
        T(flags_may_be_switched_off),
        T(later_places_win),
        T(a_file_named_by_the_environment_ranks_as_a_file),
        T(a_bent_file_is_refused_with_its_line),
        T(the_environment_is_named_in_errors),
        T(a_bad_value_gets_one_error_that_names_it),
        T(what_is_not_there_yet_is_said),
        T(more_than_sixteen_hosts_are_refused),
        T(the_token_leaves_argv),
        T(sizes),
        T(lists_of_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
