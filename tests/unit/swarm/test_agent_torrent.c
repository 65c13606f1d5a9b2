/* BitTorrent through real agents: one to two, a liar among the sources, a child killed in the middle, disks. */
#include "agent_rig.h"

#include <errno.h>
#include <sys/mount.h>

struct file {
    uint8_t *data, *pieces;
    size_t size, piece_bytes, n_pieces;
    struct agent_key id;
};

static struct file file_new(size_t size, size_t piece_bytes, uint64_t seed)
{
    struct file f = {
        .size = size, .piece_bytes = piece_bytes, .n_pieces = (size + piece_bytes - 1) / piece_bytes};
    struct rng rng = rng_seeded(seed);
    f.data = mem_new(size);
    f.pieces = mem_array(f.n_pieces, SHA1_BYTES);
    for (size_t i = 0; i < size; i++)
        f.data[i] = (uint8_t)rng_u64(&rng);
    for (size_t i = 0; i < f.n_pieces; i++) {
        size_t at = i * piece_bytes, left = size - at;
        sha1_of(f.pieces + i * SHA1_BYTES, f.data + at, left < piece_bytes ? left : piece_bytes);
    }
    sha1_of(f.id.bytes, f.data, size);
    return f;
}

static void file_free(struct file *f)
{
    mem_free(f->data);
    mem_free(f->pieces);
}

static void write_at(const char *dir, const char *name, const uint8_t *data, size_t size, size_t at, bool cut)
{
    char *path = mem_format("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (cut ? O_TRUNC : 0), 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, (off_t)at), (ssize_t)size);
    close(fd);
    mem_free(path);
}

static bool file_is(const char *dir, const char *name, const struct file *f)
{
    char *path = mem_format("%s/%s", dir, name);
    uint8_t *data = mem_new(f->size + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool same =
        fd >= 0 && read(fd, data, f->size + 1) == (ssize_t)f->size && memcmp(data, f->data, f->size) == 0;
    if (fd >= 0)
        close(fd);
    mem_free(data);
    mem_free(path);
    return same;
}

static void add(struct rig_agent *a, const struct file *f, const char *name, const char *file, bool fetch)
{
    struct agent_torrent torrent = {.id = f->id,
                                    .dir = a->dir,
                                    .name = name,
                                    .file = file,
                                    .bytes = f->size,
                                    .piece_bytes = (uint32_t)f->piece_bytes,
                                    .n_pieces = (uint32_t)f->n_pieces,
                                    .pieces = f->pieces,
                                    .salt = (const uint8_t *)"a salt of this test",
                                    .salt_bytes = 19,
                                    .is_fetch = fetch};
    agent_torrent_add(a->agent, &torrent);
}

static void tell_peer(struct rig_agent *a, const struct file *f, const struct rig_agent *of)
{
    agent_torrent_peer(a->agent, &f->id, "127.0.0.1", of->torrent_port);
}

static struct rig *agents(struct rig_agent **out, size_t n)
{
    struct rig *rig = rig_new();
    struct address member = rig_address(1);
    for (size_t i = 0; i < n; i++) {
        out[i] = rig_add(rig, 7);
        agent_torrent_members(out[i]->agent, &member, 1);
    }
    for (size_t i = 0; i < n; i++)
        rig_wait(rig, rig_is_ready, out[i], 5000, "ready");
    return rig;
}

static bool is_finished(void *arg)
{
    struct rig_agent *a = arg;
    return a->torrent.state == AGENT_TORRENT_FINISHED;
}

static bool is_seeding(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_statuses && a->torrent.state == AGENT_TORRENT_SEEDING;
}

static bool has_failed(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_statuses && a->torrent.state == AGENT_TORRENT_FAILED;
}

static bool was_refused(void *arg)
{
    struct rig_agent *a = arg;
    return a->n_torrent_errors > 0;
}

static bool has_a_third(void *arg)
{
    struct rig_agent *a = arg;
    return a->torrent.bytes_done > a->torrent.bytes_total / 3 && a->torrent.bytes_total;
}

static void test_one_to_two(void **state)
{
    struct rig_agent *a[3];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(600 * 1000, 65536, 1);
    struct rig *rig = agents(a, 3);
    write_at(a[0]->dir, "other.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", "other.gguf", false); /* right content, another name on disk */
    rig_wait(rig, is_seeding, a[0], 3000, "the seeder seeds");

    add(a[1], &f, "s.gguf", NULL, true);
    add(a[2], &f, "s.gguf", NULL, true);
    uint64_t began_us = clock_process_us();
    tell_peer(a[1], &f, a[0]);
    tell_peer(a[2], &f, a[0]);
    tell_peer(a[1], &f, a[2]);
    tell_peer(a[2], &f, a[1]);
    rig_wait(rig, is_finished, a[1], 3000, "the second has it");
    rig_wait(rig, is_finished, a[2], 3000, "the third has it");
    print_message("# 600 KB from one to two: %u ms\n", (unsigned)((clock_process_us() - began_us) / 1000));
    assert_true(file_is(a[1]->dir, "s.gguf.part", &f));
    assert_true(file_is(a[2]->dir, "s.gguf.part", &f));
    assert_int_equal(a[1]->n_faults + a[2]->n_faults, 0);

    /* Renamed by us first, and by the agent: seeding goes on from there either way. */
    char *part = mem_format("%s/s.gguf.part", a[1]->dir), *whole = mem_format("%s/s.gguf", a[1]->dir);
    assert_int_equal(rename(part, whole), 0);
    mem_free(part);
    mem_free(whole);
    agent_torrent_rename(a[1]->agent, &f.id);
    agent_torrent_rename(a[2]->agent, &f.id);
    rig_wait(rig, is_seeding, a[1], 3000, "the second seeds NAME");
    rig_wait(rig, is_seeding, a[2], 3000, "the third seeds NAME");
    assert_true(file_is(a[2]->dir, "s.gguf", &f));

    agent_torrent_remove(a[0]->agent, &f.id, false);
    struct rig_agent *late = rig_add(rig, 7);
    struct address member = rig_address(1);
    agent_torrent_members(late->agent, &member, 1);
    rig_wait(rig, rig_is_ready, late, 5000, "ready");
    add(late, &f, "s.gguf", NULL, true);
    tell_peer(late, &f, a[1]);
    tell_peer(late, &f, a[2]);
    rig_wait(rig, is_finished, late, 4000, "a fourth has it from those two");
    assert_true(file_is(late->dir, "s.gguf.part", &f));
    rig_free(rig);
    file_free(&f);
}

static bool fault_named(const struct rig_agent *a, uint16_t port)
{
    for (size_t i = 0; i < a->n_faults; i++)
        if (a->faults[i].port == port && a->faults[i].fault != AGENT_PEER_STALLED)
            return true;
    return false;
}

static void test_liar(void **state)
{
    struct rig_agent *a[3];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(3 << 20, 32768, 2);
    struct rig *rig = agents(a, 3);
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_wait(rig, is_finished, a[1], 5000, "an honest copy");

    /* The first has answered for every piece once and does not look again. Now it lies about each. */
    uint8_t *lies = mem_copy(f.data, f.size);
    for (size_t i = 0; i < f.size; i += 1000)
        lies[i] ^= 0x40;
    write_at(a[0]->dir, "s.gguf", lies, f.size, 0, false);
    mem_free(lies);

    add(a[2], &f, "s.gguf", NULL, true);
    tell_peer(a[2], &f, a[0]);
    tell_peer(a[2], &f, a[1]);
    rig_wait(rig, is_finished, a[2], 20000, "the transfer ends from the honest one");
    assert_true(file_is(a[2]->dir, "s.gguf.part", &f));
    assert_true(fault_named(a[2], a[0]->torrent_port));
    assert_true(a[2]->torrent.n_hash_failures > 0);
    bool banned = false, honest_banned = false;
    for (size_t i = 0; i < a[2]->n_faults; i++) {
        banned |= a[2]->faults[i].fault == AGENT_PEER_BANNED && a[2]->faults[i].port == a[0]->torrent_port;
        honest_banned |=
            a[2]->faults[i].fault == AGENT_PEER_BANNED && a[2]->faults[i].port == a[1]->torrent_port;
    }
    assert_true(banned);
    assert_false(honest_banned);
    rig_free(rig);
    file_free(&f);
}

static void test_killed_in_the_middle(void **state)
{
    struct rig_agent *a[2];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(4 << 20, 65536, 3);
    struct rig *rig = agents(a, 2);
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    agent_limits(a[0]->agent, 2 << 20, 0);
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_wait(rig, has_a_third, a[1], 10000, "a third of it");
    assert_int_not_equal(a[1]->torrent.state, AGENT_TORRENT_FINISHED);

    kill(agent_real_pid(a[1]->agent), SIGKILL);
    rig_wait(rig, is_finished, a[1], 15000, "it comes back, and the transfer ends");
    assert_int_equal(a[1]->n_crashes, 1);
    assert_true(file_is(a[1]->dir, "s.gguf.part", &f));
    assert_true(a[1]->seen_after_crash && a[1]->first_bytes_after_crash > f.size / 5);
    /* What was there was not fetched again: at most the pieces that were under way. */
    rig_sleep(rig, 1000);
    assert_in_range(a[0]->torrent.uploaded, f.size, f.size + f.size / 3);
    rig_free(rig);
    file_free(&f);
}

static void test_refusals(void **state)
{
    struct rig_agent *a[1];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(100 * 1000, 32768, 4);
    struct rig *rig = agents(a, 1);

    add(a[0], &f, "s.gguf", NULL, false); /* there is no such file */
    rig_wait(rig, was_refused, a[0], 3000, "refused");
    assert_non_null(strstr(a[0]->error, "No such file"));

    write_at(a[0]->dir, "s.gguf", f.data, f.size - 1, 0, true);
    a[0]->n_torrent_errors = 0;
    add(a[0], &f, "s.gguf", NULL, false);
    rig_wait(rig, was_refused, a[0], 3000, "refused");
    assert_non_null(strstr(a[0]->error, "99999 bytes, not 100000"));

    a[0]->n_torrent_errors = 0;
    add(a[0], &f, "../s.gguf", NULL, true);
    rig_wait(rig, was_refused, a[0], 3000, "refused");
    assert_non_null(strstr(a[0]->error, "not a plain file name"));

    a[0]->n_torrent_errors = 0;
    char *dir = a[0]->dir;
    a[0]->dir = mem_string("/etc");
    add(a[0], &f, "s.gguf", NULL, true);
    mem_free(a[0]->dir);
    a[0]->dir = dir;
    rig_wait(rig, was_refused, a[0], 3000, "refused");
    assert_non_null(strstr(a[0]->error, "not one of the folders"));

    a[0]->n_torrent_errors = 0;
    f.n_pieces--;
    add(a[0], &f, "s.gguf", NULL, true);
    rig_wait(rig, was_refused, a[0], 3000, "refused");
    assert_non_null(strstr(a[0]->error, "pieces"));
    assert_int_equal(a[0]->n_crashes, 0);
    rig_free(rig);
    file_free(&f);
}

static void test_strangers_and_members(void **state)
{
    struct rig_agent *a[2];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(200 * 1000, 32768, 5);
    struct rig *rig = agents(a, 2);
    struct address nobody;
    assert_true(address_parse_ip(&nobody, "192.0.2.1", 1));
    agent_torrent_members(a[0]->agent, &nobody, 1); /* not 127.0.0.1 */
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_sleep(rig, 2000);
    assert_int_equal(a[1]->torrent.bytes_done, 0);

    struct address member = rig_address(1);
    agent_torrent_members(a[0]->agent, &member, 1);
    rig_wait(rig, is_finished, a[1], 12000, "a member gets it");
    assert_true(file_is(a[1]->dir, "s.gguf.part", &f));
    rig_free(rig);
    file_free(&f);
}

/* A file system of 1 MiB is full after a third of the file. */
static void test_full_disk(void **state)
{
    struct rig_agent *a[2];
    (void)state;
    rig_skip_without_program();
    struct rig *rig = rig_new();
    struct address member = rig_address(1);
    struct file f = file_new(3 << 20, 65536, 6);
    a[0] = rig_add(rig, 7);
    a[1] = rig_add(rig, 7);
    if (mount("none", a[1]->dir, "tmpfs", 0, "size=1m") != 0) {
        print_message("skipped: cannot mount a small file system: %s\n", strerror(errno));
        rig_free(rig);
        file_free(&f);
        skip();
    }
    /* The agent was started before the mount: this is another folder, which a new child is started for. */
    for (int i = 0; i < 2; i++) {
        agent_torrent_members(a[i]->agent, &member, 1);
        rig_wait(rig, rig_is_ready, a[i], 5000, "ready");
    }
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_wait(rig, has_failed, a[1], 8000, "the full disk is told");
    print_message("# %s\n", a[1]->error);
    assert_int_equal(a[1]->torrent.sys_errno, ENOSPC);
    assert_non_null(strstr(a[1]->error, "No space left"));
    assert_int_equal(a[1]->n_crashes, 0);

    assert_int_equal(mount("none", a[1]->dir, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    agent_torrent_retry(a[1]->agent, &f.id);
    rig_wait(rig, is_finished, a[1], 4000, "with room it goes on");
    assert_true(file_is(a[1]->dir, "s.gguf.part", &f));
    agent_real_free(a[1]->agent);
    a[1]->agent = NULL;
    umount2(a[1]->dir, MNT_DETACH);
    rig_free(rig);
    file_free(&f);
}

static void test_remove_deletes_the_part(void **state)
{
    struct rig_agent *a[2];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(300 * 1000, 32768, 7);
    struct rig *rig = agents(a, 2);
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_wait(rig, is_finished, a[1], 4000, "fetched");
    agent_torrent_remove(a[1]->agent, &f.id, true);
    agent_torrent_remove(a[0]->agent, &f.id, true); /* a seed's file stays */
    rig_sleep(rig, 1000);
    assert_false(file_is(a[1]->dir, "s.gguf.part", &f));
    assert_true(file_is(a[0]->dir, "s.gguf", &f));
    rig_free(rig);
    file_free(&f);
}

/* A source that stops in the middle, its connections open: the others carry on, it is named, nothing waits. */
static void test_stuck_source(void **state)
{
    struct rig_agent *a[3];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(6 << 20, 65536, 8);
    struct rig *rig = agents(a, 3);
    for (int i = 0; i < 2; i++) {
        write_at(a[i]->dir, "s.gguf", f.data, f.size, 0, true);
        add(a[i], &f, "s.gguf", NULL, false);
        agent_limits(a[i]->agent, 512 << 10, 0);
    }
    add(a[2], &f, "s.gguf", NULL, true);
    tell_peer(a[2], &f, a[0]);
    tell_peer(a[2], &f, a[1]);
    rig_wait(rig, has_a_third, a[2], 10000, "a third of it");
    kill(agent_real_pid(a[0]->agent), SIGSTOP);
    agent_limits(a[1]->agent, 1 << 20, 0);
    uint64_t began_us = clock_process_us();
    rig_wait(rig, is_finished, a[2], 15000, "it ends from the other");
    print_message("# 4 MiB left at 1 MiB/s, one source stuck: %u ms\n",
                  (unsigned)((clock_process_us() - began_us) / 1000));
    assert_true(clock_process_us() - began_us < 14 * 1000 * 1000);
    assert_true(file_is(a[2]->dir, "s.gguf.part", &f));
    rig_free(rig);
    file_free(&f);
}

/* What is not BitTorrent, and not encrypted under a known info-hash, does no harm. */
static void test_garbage_streams(void **state)
{
    static const char *const STARTS[] = {"",
                                         "\x13"
                                         "BitTorrent protocol",
                                         "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"};
    struct rig_agent *a[2];
    struct rng rng = rng_seeded(0xb8);
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(200 * 1000, 32768, 9);
    struct rig *rig = agents(a, 2);
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    for (size_t i = 0; i < 6; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(a[0]->torrent_port)};
        uint8_t block[4096] = {0};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        send(fd, STARTS[i / 2], strlen(STARTS[i / 2]), MSG_NOSIGNAL);
        for (int n = 0; n < 256; n++) {
            for (size_t k = 0; k < sizeof block && i % 2; k++)
                block[k] = (uint8_t)rng_u64(&rng);
            if (send(fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN)
                break;
        }
        rig_sleep(rig, 50);
        close(fd);
    }
    add(a[1], &f, "s.gguf", NULL, true);
    tell_peer(a[1], &f, a[0]);
    rig_wait(rig, is_finished, a[1], 4000, "it still serves");
    assert_int_equal(a[0]->n_crashes, 0);
    rig_free(rig);
    file_free(&f);
}

/* Eight that fetch together help each other: the one source sends little more than one copy. */
static void test_eight_share(void **state)
{
    struct rig_agent *a[9];
    (void)state;
    rig_skip_without_program();
    struct file f = file_new(4 << 20, 65536, 10);
    struct rig *rig = agents(a, 9);
    write_at(a[0]->dir, "s.gguf", f.data, f.size, 0, true);
    add(a[0], &f, "s.gguf", NULL, false);
    agent_limits(a[0]->agent, 2 << 20, 0);
    for (int i = 1; i < 9; i++)
        add(a[i], &f, "s.gguf", NULL, true);
    for (int i = 1; i < 9; i++)
        for (int of = 0; of < 9; of++)
            if (of != i)
                tell_peer(a[i], &f, a[of]);
    for (int i = 1; i < 9; i++)
        rig_wait(rig, is_finished, a[i], 20000, "all eight have it");
    for (int i = 1; i < 9; i++)
        assert_true(file_is(a[i]->dir, "s.gguf.part", &f));
    rig_sleep(rig, 1200);
    print_message("# the source of eight sent %.2f copies\n", (double)a[0]->torrent.uploaded / (double)f.size);
    assert_true(a[0]->torrent.uploaded < 5 * f.size); /* alone it would be 8 */
    rig_free(rig);
    file_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_to_two),
        cmocka_unit_test(test_liar),
        cmocka_unit_test(test_killed_in_the_middle),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_strangers_and_members),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_remove_deletes_the_part),
        cmocka_unit_test(test_stuck_source),
        cmocka_unit_test(test_garbage_streams),
        cmocka_unit_test(test_eight_share),
    };
    if (getenv("ONLY"))
        cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
