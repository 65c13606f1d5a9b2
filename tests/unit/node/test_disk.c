/* The real disk, in a folder of its own under /tmp. */
#include "base/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "net/loop.h"
#include "node/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct rig {
    struct loop *loop;
    struct pool *pool;
    struct disk *disk;
    char dir[64], shards[96], state[96];
    /* the last answer */
    uint32_t n_done, n_changed, n_progress;
    enum status status;
    struct error err;
    struct disk_file files[16];
    size_t n_files;
    uint64_t free_bytes;
    struct disk_hashed hashed;
    char content[256];
    size_t content_bytes;
};

static void open_disk(struct rig *rig)
{
    rig->pool = pool_new(4, "test");
    rig->disk = disk_real_new(rig->loop, rig->pool, rig->state);
}

static void close_disk(struct rig *rig)
{
    disk_real_free(rig->disk);
    pool_free(rig->pool);
}

static struct rig *rig_new(void)
{
    struct rig *rig = mem_new(sizeof *rig);
    snprintf(rig->dir, sizeof rig->dir, "/tmp/shoal-test-disk-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->shards, sizeof rig->shards, "%s/shards", rig->dir);
    snprintf(rig->state, sizeof rig->state, "%s/state", rig->dir);
    assert_int_equal(mkdir(rig->state, 0700), 0);
    assert_int_equal(loop_new(&rig->loop, NULL), STATUS_OK);
    open_disk(rig);
    return rig;
}

static void remove_tree(const char *dir)
{
    char *command[] = {"rm", "-rf", (char *)(uintptr_t)dir, NULL};
    pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    waitpid(child, NULL, 0);
}

static void rig_free(struct rig *rig)
{
    close_disk(rig);
    loop_free(rig->loop);
    remove_tree(rig->dir);
    mem_free(rig);
}

static bool is_done(void *arg)
{
    return ((struct rig *)arg)->n_done > 0;
}

static enum status wait_done(struct rig *rig)
{
    assert_true(loop_run_until(rig->loop, is_done, rig, 10000));
    assert_int_equal(rig->n_done, 1);
    rig->n_done = 0;
    return rig->status;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void pass(struct rig *rig, uint64_t ms)
{
    loop_run_until(rig->loop, never, NULL, ms);
}

static void on_done(void *ctx, enum status status, const struct error *err)
{
    struct rig *rig = ctx;
    rig->n_done++;
    rig->status = status;
    rig->err = *err;
}

static void on_scanned(void *ctx, enum status status, const struct disk_listing *listing,
                       const struct error *err)
{
    struct rig *rig = ctx;
    on_done(ctx, status, err);
    rig->n_files = listing->n_files;
    rig->free_bytes = listing->free_bytes;
    assert_true(listing->n_files <= 16);
    if (listing->n_files)
        memcpy(rig->files, listing->files, listing->n_files * sizeof *listing->files);
}

static void on_hashed(void *ctx, enum status status, const struct disk_hashed *hashed, const struct error *err)
{
    on_done(ctx, status, err);
    ((struct rig *)ctx)->hashed = *hashed;
}

static void on_read(void *ctx, enum status status, struct bytes content, const struct error *err)
{
    struct rig *rig = ctx;
    on_done(ctx, status, err);
    rig->content_bytes = content.size;
    if (content.size && content.size <= sizeof rig->content)
        memcpy(rig->content, content.data, content.size);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    assert_true(done <= total);
    ((struct rig *)ctx)->n_progress++;
}

static void on_changed(void *ctx)
{
    ((struct rig *)ctx)->n_changed++;
}

static enum status scan(struct rig *rig, bool make)
{
    rig->disk->ops->scan(rig->disk->self, rig->shards, make, on_scanned, rig);
    assert_int_equal(rig->n_done, 0); /* never from within */
    return wait_done(rig);
}

static enum status hash(struct rig *rig, const char *name)
{
    char *path = mem_format("%s/%s", rig->shards, name);
    rig->disk->ops->hash(rig->disk->self, path, true, on_progress, on_hashed, rig);
    mem_free(path);
    return wait_done(rig);
}

static void write_text(struct rig *rig, const char *name, const char *text)
{
    char *path = mem_format("%s/%s", rig->shards, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text), NULL), STATUS_OK);
    close(fd);
    mem_free(path);
}

/* As if written long ago. */
static void make_old(struct rig *rig, const char *name)
{
    char *path = mem_format("%s/%s", rig->shards, name);
    struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    mem_free(path);
}

static const struct disk_file *listed(struct rig *rig, const char *name)
{
    for (size_t i = 0; i < rig->n_files; i++)
        if (strcmp(rig->files[i].name, name) == 0)
            return &rig->files[i];
    return NULL;
}

static void test_scan(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, false), STATUS_NOT_FOUND);
    assert_non_null(strstr(rig->err.text, rig->shards));
    assert_int_equal(rig->err.sys_errno, ENOENT);
    assert_int_equal(scan(rig, true), STATUS_OK);
    assert_int_equal(rig->n_files, 0);
    assert_true(rig->free_bytes > 0);
    write_text(rig, "b.gguf", "not a model");
    write_text(rig, "a.gguf", "GGUF but short");
    write_text(rig, "c.gguf.part", "12345");
    write_text(rig, "readme.txt", "no");
    write_text(rig, ".hidden.gguf", "no");
    write_text(rig, "d.gguf.invalid", "no");
    char *pipe_path = mem_format("%s/pipe.gguf", rig->shards);
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    mem_free(pipe_path);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_int_equal(rig->n_files, 4);
    for (size_t i = 1; i < rig->n_files; i++)
        assert_true(strcmp(rig->files[i - 1].name, rig->files[i].name) < 0);
    assert_int_equal(listed(rig, "a.gguf")->seen.fault, SHARD_FAULT_DAMAGED);
    assert_int_equal(listed(rig, "b.gguf")->seen.fault, SHARD_FAULT_NOT_GGUF);
    assert_int_equal(listed(rig, "b.gguf")->bytes, strlen("not a model"));
    assert_int_equal(listed(rig, "pipe.gguf")->seen.fault, SHARD_FAULT_UNREADABLE);
    assert_true(listed(rig, "c.gguf")->is_part);
    assert_true(listed(rig, "a.gguf")->is_settled);
    uint64_t before = listed(rig, "a.gguf")->stamp;
    write_text(rig, "a.gguf", "GGUF another");
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_true(listed(rig, "a.gguf")->stamp != before);
    rig_free(rig);
}

static void test_hash_is_kept_between_runs(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    assert_int_equal(hash(rig, "a.gguf"), STATUS_NOT_FOUND);
    write_text(rig, "a.gguf", "abc");
    make_old(rig, "a.gguf");
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_false(listed(rig, "a.gguf")->hash_known);
    assert_int_equal(hash(rig, "a.gguf"), STATUS_OK);
    char hex[2 * SHA256_BYTES + 1];
    sha256_hex(hex, &rig->hashed.sha256); /* FIPS 180-4, example B.1 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(rig->hashed.bytes, 3);
    assert_int_equal(rig->hashed.stamp, listed(rig, "a.gguf")->stamp);
    close_disk(rig); /* the next run of the program */
    open_disk(rig);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_true(listed(rig, "a.gguf")->hash_known);
    assert_true(sha256_equal(&listed(rig, "a.gguf")->sha256, &rig->hashed.sha256));
    write_text(rig, "a.gguf", "abd"); /* same size, same mtime: the ctime tells */
    make_old(rig, "a.gguf");
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_false(listed(rig, "a.gguf")->hash_known);
    rig_free(rig);
}

static void test_damaged_cache_is_an_empty_one(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    write_text(rig, "a.gguf", "abc");
    make_old(rig, "a.gguf");
    assert_int_equal(hash(rig, "a.gguf"), STATUS_OK);
    close_disk(rig);
    char *path = mem_format("%s/hashes.json", rig->state);
    struct buffer text;
    buffer_init(&text, 0);
    assert_int_equal(file_read(&text, path, 65536, NULL), STATUS_OK);
    char *digit = strstr((char *)(uintptr_t)buffer_string(&text), "ba7816bf");
    assert_non_null(digit);
    digit[0] = 'c'; /* somebody's, or the disk's, other hash */
    assert_int_equal(file_write(path, buffer_view(&text), 0600, NULL), STATUS_OK);
    buffer_free(&text);
    open_disk(rig);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_false(listed(rig, "a.gguf")->hash_known);
    assert_int_equal(hash(rig, "a.gguf"), STATUS_OK);
    mem_free(path);
    rig_free(rig);
}

static void test_hash_of_a_large_file_reports_and_can_be_cancelled(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    char *path = mem_format("%s/big.gguf", rig->shards);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)4 << 30), 0); /* a hole: nothing is written */
    close(fd);
    uint64_t began = clock_process_us();
    struct disk_job *job = rig->disk->ops->hash(rig->disk->self, path, false, on_progress, on_hashed, rig);
    for (int i = 0; i < 50 && !rig->n_progress; i++)
        pass(rig, 100);
    assert_true(rig->n_progress > 0);
    disk_cancel(rig->disk, &job);
    assert_null(job);
    uint32_t before = rig->n_progress;
    pass(rig, 500);
    assert_int_equal(rig->n_done, 0);
    assert_int_equal(rig->n_progress, before);
    mem_free(path);
    rig_free(rig); /* does not wait for the whole */
    assert_true(clock_process_us() - began < 10000000);
}

static void test_publish(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    char *part = mem_format("%s/a.gguf.part", rig->shards), *path = mem_format("%s/a.gguf", rig->shards);
    rig->disk->ops->publish(rig->disk->self, part, path, on_done, rig);
    assert_int_equal(wait_done(rig), STATUS_NOT_FOUND);
    write_text(rig, "a.gguf.part", "new");
    make_old(rig, "a.gguf.part");
    write_text(rig, "a.gguf", "somebody's");
    assert_int_equal(hash(rig, "a.gguf.part"), STATUS_OK);
    rig->disk->ops->publish(rig->disk->self, part, path, on_done, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    rig->disk->ops->read(rig->disk->self, path, 256, on_read, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    assert_memory_equal(rig->content, "new", 3);
    char *aside = mem_format("%s.invalid", path);
    rig->disk->ops->read(rig->disk->self, aside, 256, on_read, rig);
    assert_int_equal(wait_done(rig), STATUS_OK); /* nothing of a person's is lost */
    assert_memory_equal(rig->content, "somebody's", 10);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_int_equal(rig->n_files, 1);
    assert_true(listed(rig, "a.gguf")->hash_known); /* the hash went with the content */
    write_text(rig, "a.gguf.part", "newer");
    rig->disk->ops->publish(rig->disk->self, part, path, on_done, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    mem_free(aside);
    aside = mem_format("%s.invalid.1", path);
    assert_int_equal(access(aside, F_OK), 0);
    rig->disk->ops->publish(rig->disk->self, path, path, on_done, rig); /* only made durable */
    assert_int_equal(wait_done(rig), STATUS_OK);
    assert_int_equal(access(path, F_OK), 0);
    mem_free(aside);
    mem_free(part);
    mem_free(path);
    rig_free(rig);
}

static void test_small_files(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    char *path = mem_format("%s/deep/er/file.json", rig->dir);
    rig->disk->ops->read(rig->disk->self, path, 100, on_read, rig);
    assert_int_equal(wait_done(rig), STATUS_NOT_FOUND);
    rig->disk->ops->write(rig->disk->self, path, bytes_of_text("{\"a\": 1}"), on_done, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    rig->disk->ops->read(rig->disk->self, path, 8, on_read, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    assert_int_equal(rig->content_bytes, 8);
    assert_memory_equal(rig->content, "{\"a\": 1}", 8);
    rig->disk->ops->read(rig->disk->self, path, 7, on_read, rig);
    assert_int_equal(wait_done(rig), STATUS_LIMIT);
    rig->disk->ops->remove(rig->disk->self, path, on_done, rig);
    assert_int_equal(wait_done(rig), STATUS_OK);
    rig->disk->ops->remove(rig->disk->self, path, on_done, rig); /* none there: fine */
    assert_int_equal(wait_done(rig), STATUS_OK);
    rig->disk->ops->write(rig->disk->self, "/proc/no/such", bytes_of_text("x"), on_done, rig);
    assert_int_not_equal(wait_done(rig), STATUS_OK);
    assert_int_not_equal(rig->err.sys_errno, 0);
    mem_free(path);
    rig_free(rig);
}

static bool has_changed(void *arg)
{
    return ((struct rig *)arg)->n_changed > 0;
}

static uint64_t changed_after_ms(struct rig *rig, uint64_t at_most_ms)
{
    uint64_t began = clock_process_us();
    assert_true(loop_run_until(rig->loop, has_changed, rig, at_most_ms));
    return (clock_process_us() - began) / 1000;
}

static void settle(struct rig *rig)
{
    pass(rig, 800);
    rig->n_changed = 0;
}

static void test_watch(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    struct disk_watch *watch = rig->disk->ops->watch(rig->disk->self, rig->shards, on_changed, rig);
    settle(rig);
    write_text(rig, "a.gguf", "one"); /* copied in: told within a second, and whole */
    assert_true(changed_after_ms(rig, 1000) < 1000);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_true(listed(rig, "a.gguf")->is_settled);
    settle(rig);

    char *path = mem_format("%s/b.gguf", rig->shards);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    for (int i = 0; i < 8; i++) { /* a slow writer */
        assert_int_equal(file_write_all(fd, "xxxx", 4, NULL), STATUS_OK);
        pass(rig, 100);
    }
    assert_true(rig->n_changed >= 1 && rig->n_changed <= 4); /* at most four a second */
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_false(listed(rig, "b.gguf")->is_settled);
    rig->n_changed = 0;
    close(fd);
    assert_true(changed_after_ms(rig, 1000) < 1000);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_true(listed(rig, "b.gguf")->is_settled);
    settle(rig);

    write_text(rig, "c.gguf.part", "ours"); /* nobody's business */
    write_text(rig, "notes.txt", "no");
    pass(rig, 600);
    assert_int_equal(rig->n_changed, 0);
    assert_int_equal(unlink(path), 0);
    changed_after_ms(rig, 1000);
    mem_free(path);
    rig->disk->ops->unwatch(rig->disk->self, watch);
    rig->n_changed = 0;
    write_text(rig, "d.gguf", "x");
    pass(rig, 600);
    assert_int_equal(rig->n_changed, 0);
    rig_free(rig);
}

static void test_a_file_that_nobody_closes_settles(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    rig->disk->ops->watch(rig->disk->self, rig->shards, on_changed, rig);
    settle(rig);
    char *path = mem_format("%s/a.gguf", rig->shards);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(file_write_all(fd, "all of it", 9, NULL), STATUS_OK);
    pass(rig, 1000);
    assert_int_equal(scan(rig, false), STATUS_OK);
    assert_true(listed(rig, "a.gguf")->is_settled);
    assert_true(rig->n_changed >= 2); /* when it came, and when it had settled */
    close(fd);
    mem_free(path);
    rig_free(rig);
}

static void test_folder_goes_and_comes_back(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    rig->disk->ops->watch(rig->disk->self, rig->shards, on_changed, rig);
    settle(rig);
    assert_int_equal(rmdir(rig->shards), 0);
    changed_after_ms(rig, 1000);
    assert_int_equal(scan(rig, false), STATUS_NOT_FOUND);
    pass(rig, 1500);
    assert_int_equal(scan(rig, true), STATUS_OK);
    pass(rig, 1500); /* watched again */
    rig->n_changed = 0;
    write_text(rig, "a.gguf", "x");
    assert_true(changed_after_ms(rig, 1000) < 1000);
    rig_free(rig);
}

/* Whatever disks this machine has: never the same one, and told with what is free there. */
static void test_room_is_on_another_disk(void **state)
{
    (void)state;
    static const char *const dirs[] = {"/tmp", "/proc", "/no/such/folder"};
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        struct disk_room room = disk_find_room(dirs[i]);
        struct stat here = {.st_dev = 0}, there;
        (void)stat(dirs[i], &here);
        assert_true((room.dir[0] != '\0') == (room.bytes > 0));
        if (room.bytes) {
            assert_int_equal(stat(room.dir, &there), 0);
            assert_true(there.st_dev != here.st_dev && access(room.dir, W_OK) == 0);
        }
    }
    struct disk_room any = disk_find_room("/proc"); /* what is no disk: /var/tmp at least has room */
    assert_true(any.bytes > 0);
}

static void test_freed_with_work_under_way(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    assert_int_equal(scan(rig, true), STATUS_OK);
    write_text(rig, "a.gguf", "x");
    char *path = mem_format("%s/a.gguf", rig->shards);
    for (int i = 0; i < 200; i++) {
        rig->disk->ops->scan(rig->disk->self, rig->shards, false, on_scanned, rig);
        rig->disk->ops->hash(rig->disk->self, path, false, NULL, on_hashed, rig);
    }
    mem_free(path);
    close_disk(rig);
    pass(rig, 100);
    assert_int_equal(rig->n_done, 0);
    open_disk(rig);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_hash_is_kept_between_runs),
        cmocka_unit_test(test_damaged_cache_is_an_empty_one),
        cmocka_unit_test(test_hash_of_a_large_file_reports_and_can_be_cancelled),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_small_files),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_a_file_that_nobody_closes_settles),
        cmocka_unit_test(test_folder_goes_and_comes_back),
        cmocka_unit_test(test_room_is_on_another_disk),
        cmocka_unit_test(test_freed_with_work_under_way),
    };
    if (crypto_start(NULL))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
