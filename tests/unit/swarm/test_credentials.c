#include "base/file.h"
#include "base/mem.h"
#include "swarm/credentials.h"
#include "swarm/identity.h"
#include "swarm/secret_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/shoal-test-XXXXXX");
    setenv("XDG_CONFIG_HOME", mkdtemp(folder), 1);
    setenv("XDG_STATE_HOME", folder, 1);
    return crypto_start(NULL);
}

static int remove_folder(void **state)
{
    (void)state;
    char *command[] = {"rm", "-rf", folder, NULL};
    if (fork() == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    return 0;
}

static struct credentials sample(void)
{
    struct credentials c = {.cluster = "llama-cluster", .entry_host = "192.0.2.7", .entry_port = 7400};
    for (uint8_t i = 0; i < 32; i++) {
        c.swarm_key.bytes[i] = i;
        c.owner.bytes[i] = (uint8_t)(0xe0 + i);
    }
    return c;
}

/* base64url of 00 01 .. 1f e0 e1 .. ff, written down with another tool (python3 base64.urlsafe_b64encode). */
#define SAMPLE_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_g4eLj5OXm5-jp6uvs7e7v8PHy8_T19vf4-fr7_P3-_w"

static void test_the_token_has_its_documented_form(void **state)
{
    (void)state;
    struct credentials c = sample();
    char *token = credentials_token(&c);
    assert_string_equal(token, "shoal1:192.0.2.7:7400/llama-cluster/" SAMPLE_KEY);
    mem_free(token);
    snprintf(c.entry_host, sizeof c.entry_host, "2001:db8::1");
    token = credentials_token(&c);
    assert_string_equal(token, "shoal1:[2001:db8::1]:7400/llama-cluster/" SAMPLE_KEY);
    struct credentials back;
    assert_int_equal(credentials_parse_token(&back, token, NULL), STATUS_OK);
    assert_memory_equal(&back, &c, sizeof c);
    mem_free(token);
}

static void test_bad_tokens_are_named_without_their_key(void **state)
{
    (void)state;
    static const struct {
        const char *token, *says;
    } rows[] = {
        {"", "begins with"},
        {"shoal2:h:1/c/" SAMPLE_KEY, "begins with"},
        {"shoal1:h:1/c", "HOST:PORT/CLUSTER/KEY"},
        {"shoal1:h/c/" SAMPLE_KEY, "no HOST:PORT"},
        {"shoal1:h:/c/" SAMPLE_KEY, "no HOST:PORT"},
        {"shoal1:h:+1/c/" SAMPLE_KEY, "no HOST:PORT"},
        {"shoal1:h:0/c/" SAMPLE_KEY, "0 is no port"},
        {"shoal1:h:65536/c/" SAMPLE_KEY, "65536 is no port"},
        {"shoal1::7400/c/" SAMPLE_KEY, "host has 0 letters"},
        {"shoal1:h:1//" SAMPLE_KEY, "'' is no cluster name"},
        {"shoal1:h:1/../" SAMPLE_KEY, "'..' is no cluster name"},
        {"shoal1:h:1/a b/" SAMPLE_KEY, "'a b' is no cluster name"},
        {"shoal1:h:1/c/", "0 letters"},
        {"shoal1:h:1/c/" SAMPLE_KEY "A", "87 letters"},
        {"shoal1:h:1/c/=AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_g4eLj5OXm5-jp6uvs7e7v8PHy8_T19vf4-fr7_P3-_w",
         "86 letters or a wrong one"},
        {"@/no/such/file", "cannot open '/no/such/file'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct credentials c;
        struct error err;
        assert_int_not_equal(credentials_parse_token(&c, rows[i].token, &err), STATUS_OK);
        if (!strstr(err.text, rows[i].says))
            fail_msg("token %zu: '%s'", i, err.text);
        assert_null(strstr(err.text, "AAECAw"));
        assert_null(strstr(err.text, "AECAw"));
    }
}

static void test_a_token_in_a_file_may_end_its_line(void **state)
{
    (void)state;
    char *path = mem_format("%s/token", folder), *at = mem_format("@%s", path);
    assert_int_equal(
        file_write(path, bytes_of_text("  shoal1:h.example:7401/c-1/" SAMPLE_KEY " \r\nmore\n"), 0600, NULL),
        STATUS_OK);
    struct credentials c;
    assert_int_equal(credentials_parse_token(&c, at, NULL), STATUS_OK);
    assert_string_equal(c.entry_host, "h.example");
    assert_int_equal(c.entry_port, 7401);
    assert_string_equal(c.cluster, "c-1");
    mem_free(path);
    mem_free(at);
}

static void test_each_purpose_has_its_own_key(void **state)
{
    (void)state;
    struct credentials c = sample();
    struct swarm_keys a, b;
    credentials_derive(&a, &c);
    const struct shared_key *keys[] = {&a.link_psk, &a.dht_mac, &a.announce,
                                       &a.lookup,   &a.torrent, &c.swarm_key};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(keys[i], keys[j], sizeof *keys[i]);
    credentials_derive(&b, &c);
    assert_memory_equal(&a, &b, sizeof a);
    c.swarm_key.bytes[31] ^= 1;
    credentials_derive(&b, &c);
    assert_memory_not_equal(&a.link_psk, &b.link_psk, sizeof a.link_psk);
}

static void test_init_is_done_once_and_split_may_come_first(void **state)
{
    (void)state;
    struct key_pair owner, again;
    assert_int_equal(owner_pair_load_or_make(&owner, NULL), STATUS_OK);
    struct credentials first, second, loaded;
    assert_int_equal(credentials_init(&first, "c", "entry.example", 7500, NULL), STATUS_OK);
    assert_memory_equal(&first.owner, &owner.public_key, sizeof owner.public_key);
    assert_int_equal(credentials_init(&second, NULL, NULL, 0, NULL), STATUS_OK);
    assert_memory_equal(&second, &first, sizeof first);
    assert_int_equal(credentials_load(&loaded, NULL, NULL), STATUS_OK);
    assert_memory_equal(&loaded, &first, sizeof first);
    assert_int_equal(owner_pair_load_or_make(&again, NULL), STATUS_OK);
    assert_memory_equal(&again, &owner, sizeof owner);
    struct signature signature = signature_new(&again, bytes_of_text("x"));
    assert_true(crypto_verify(&owner.public_key, bytes_of_text("x"), &signature));

    struct stat info;
    char *path = mem_format("%s/shoal/swarm.key", folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    *strrchr(path, '/') = '\0';
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    mem_free(path);
}

/* SECURITY S10: each its own message. */
static void test_each_bad_key_file_has_its_own_message(void **state)
{
    (void)state;
    char *path = mem_format("%s/key", folder), *link = mem_format("%s/link", folder);
    struct credentials c;
    struct error err;
    static const struct {
        const char *content;
        mode_t mode;
        enum status status;
        const char *says;
    } rows[] = {
        {"{}", 0644, STATUS_REFUSED, "mode 0644"},
        {"{}", 0640, STATUS_REFUSED, "chmod 600"},
        {"", 0600, STATUS_BAD_DATA, "is empty"},
        {"0123456789012345678901234567890", 0600, STATUS_BAD_DATA, "31 bytes are not the JSON"},
        {"{}", 0600, STATUS_BAD_DATA, "no \"format\""},
        {"{\"format\": \"shoal-swarm-1\", \"key\": \"00\"}", 0600, STATUS_BAD_DATA, "is damaged"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unlink(path);
        assert_int_equal(file_write(path, bytes_of_text(rows[i].content), rows[i].mode, NULL), STATUS_OK);
        assert_int_equal(chmod(path, rows[i].mode), 0);
        assert_int_equal(credentials_load(&c, path, &err), rows[i].status);
        if (!strstr(err.text, rows[i].says) || !strstr(err.text, path))
            fail_msg("file %zu: '%s'", i, err.text);
    }
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(credentials_load(&c, link, &err), STATUS_REFUSED);
    assert_non_null(strstr(err.text, "symbolic link"));
    assert_int_equal(credentials_load(&c, folder, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "is a folder"));
    unlink(path);
    assert_int_equal(credentials_load(&c, path, &err), STATUS_NOT_FOUND);
    mem_free(path);
    mem_free(link);
}

/* --- identity ----------------------------------------------------------------------------------------------
 */

static void test_an_identity_survives_and_its_epoch_grows(void **state)
{
    (void)state;
    struct identity *identity;
    char *dir = mem_format("%s/state", folder);
    assert_int_equal(identity_open(&identity, dir, "c", NULL), STATUS_OK);
    struct node_id id = identity_id(identity);
    uint64_t epoch = identity_epoch(identity);
    assert_false(node_id_is_zero(&id));
    identity_close(identity);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(identity_open(&identity, dir, "c", NULL), STATUS_OK);
        struct node_id again = identity_id(identity);
        assert_true(node_id_equal(&id, &again));
        assert_true(identity_epoch(identity) > epoch);
        epoch = identity_epoch(identity);
        identity_close(identity);
    }
    /* A wall clock that was far ahead must not let the epoch go back. */
    char *path = mem_format("%s/epoch", dir);
    assert_int_equal(file_write(path, bytes_of_text("9000000000000\n"), 0600, NULL), STATUS_OK);
    assert_int_equal(identity_open(&identity, dir, "c", NULL), STATUS_OK);
    assert_true(identity_epoch(identity) == 9000000000001);
    identity_close(identity);
    /* Nor a damaged file: then the clock holds. (Opens within one millisecond had gone ahead of it.) */
    assert_int_equal(file_write(path, bytes_of_text("rubbish"), 0600, NULL), STATUS_OK);
    uint64_t now = (uint64_t)time(NULL) * 1000;
    assert_int_equal(identity_open(&identity, dir, "c", NULL), STATUS_OK);
    assert_true(identity_epoch(identity) >= now);
    identity_close(identity);
    mem_free(path);
    mem_free(dir);
}

static void test_two_processes_never_share_an_identity(void **state)
{
    (void)state;
    struct identity *first, *second, *third;
    struct error err;
    assert_int_equal(identity_open(&first, NULL, "c", NULL), STATUS_OK);
    assert_int_equal(identity_open(&second, NULL, "c", NULL), STATUS_OK);
    struct node_id a = identity_id(first), b = identity_id(second);
    assert_false(node_id_equal(&a, &b));
    char wanted[128];
    snprintf(wanted, sizeof wanted, "%s/shoal/c/1", folder);
    assert_string_equal(identity_dir(second), wanted);
    assert_int_equal(identity_open(&third, identity_dir(first), "c", &err), STATUS_BUSY);
    snprintf(wanted, sizeof wanted, "in use by process %d", getpid());
    assert_non_null(strstr(err.text, wanted));
    identity_close(first);
    assert_int_equal(identity_open(&third, NULL, "c", NULL), STATUS_OK); /* the freed one again */
    struct node_id c = identity_id(third);
    assert_true(node_id_equal(&a, &c));
    identity_close(second);
    identity_close(third);
}

static void test_a_state_folder_that_cannot_be_is_an_error_with_its_path(void **state)
{
    (void)state;
    struct identity *identity;
    struct error err;
    char *file = mem_format("%s/file", folder), *dir = mem_format("%s/file/state", folder);
    assert_int_equal(file_write(file, bytes_of_text("x"), 0600, NULL), STATUS_OK);
    assert_int_not_equal(identity_open(&identity, dir, "c", &err), STATUS_OK);
    assert_non_null(strstr(err.text, file));
    assert_int_not_equal(err.sys_errno, 0);
    mem_free(file);
    mem_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_token_has_its_documented_form),
        cmocka_unit_test(test_bad_tokens_are_named_without_their_key),
        cmocka_unit_test(test_a_token_in_a_file_may_end_its_line),
        cmocka_unit_test(test_each_purpose_has_its_own_key),
        cmocka_unit_test(test_init_is_done_once_and_split_may_come_first),
        cmocka_unit_test(test_each_bad_key_file_has_its_own_message),
        cmocka_unit_test(test_an_identity_survives_and_its_epoch_grows),
        cmocka_unit_test(test_two_processes_never_share_an_identity),
        cmocka_unit_test(test_a_state_folder_that_cannot_be_is_an_error_with_its_path),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
