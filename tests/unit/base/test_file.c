/* Whole files: limits, publication, folders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/shoal-test-file-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void test_write_then_read(void **state)
{
    (void)state;
    struct error err;
    char path[96], part[104];
    snprintf(path, sizeof path, "%s/a", dir);
    snprintf(part, sizeof part, "%s.part", path);
    assert_int_equal(file_write(path, bytes_of_text("first"), 0600, &err), STATUS_OK);
    assert_int_equal(file_write(path, bytes_of_text("second one"), 0600, &err), STATUS_OK);
    assert_int_equal(access(part, F_OK), -1);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(file_read(&b, path, 10, &err), STATUS_OK);
    assert_string_equal(buffer_string(&b), "second one");
    buffer_clear(&b);
    assert_int_equal(file_read(&b, path, 9, &err), STATUS_LIMIT);
    buffer_free(&b);
    assert_int_equal(unlink(path), 0);
}

static void test_large_file_comes_whole(void **state)
{
    (void)state;
    struct error err;
    char path[96];
    const size_t n = 65536 * 3; /* a multiple of the step that reads */
    uint8_t *data = mem_new(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (uint8_t)(i * 31 + i / 256);
    snprintf(path, sizeof path, "%s/big", dir);
    assert_int_equal(file_write(path, bytes_of(data, n), 0644, &err), STATUS_OK);
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(file_read(&b, path, n, &err), STATUS_OK);
    assert_int_equal(b.size, n);
    assert_memory_equal(b.data, data, n);
    buffer_free(&b);
    mem_free(data);
    assert_int_equal(unlink(path), 0);
}

static void test_errors_name_the_path(void **state)
{
    (void)state;
    struct error err;
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(file_read(&b, "/nonexistent/file", 10, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/file"));
    assert_int_equal(file_write("/nonexistent/file", bytes_of_text("x"), 0600, &err), STATUS_IO);
    assert_non_null(strstr(err.text, "/nonexistent/file"));
    buffer_free(&b);
}

/* Processes that start together write the same files: none fails, what stays is whole, nothing is left over. */
static void test_several_processes_write_one_file(void **state)
{
    (void)state;
    char path[96];
    pid_t children[4];
    snprintf(path, sizeof path, "%s/shared", dir);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] != 0)
            continue;
        char text[5000];
        memset(text, 'a' + i, sizeof text);
        for (int k = 0; k < 100; k++)
            if (file_write(path, bytes_of(text, sizeof text), 0600, NULL))
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        int how = -1;
        assert_int_equal(waitpid(children[i], &how, 0), children[i]);
        assert_int_equal(how, 0);
    }
    struct buffer b;
    buffer_init(&b, 0);
    assert_int_equal(file_read(&b, path, 5000, NULL), STATUS_OK);
    assert_int_equal(b.size, 5000);
    for (size_t i = 1; i < b.size; i++)
        assert_int_equal(b.data[i], b.data[0]);
    buffer_free(&b);
    assert_int_equal(unlink(path), 0); /* the folder is empty now, or removing it fails */
}

static void test_leftovers_are_swept(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_old, goes;
    } files[] = {{"a.json.123-0.part", true, true},
                 {"a.json.123-0.part2", true, false},
                 {"b.json.77-12.part", false, false},
                 {"shard-3.gguf.part", true, false},
                 {".5-5.part", true, false},
                 {"x.-5.part", true, false},
                 {"a.json", true, false}};
    size_t n = sizeof files / sizeof *files;
    char path[128];
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        struct timespec old[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
        if (files[i].is_old)
            assert_int_equal(futimens(fd, old), 0);
        close(fd);
    }
    file_sweep(dir);
    file_sweep("/no/such/folder");
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i].name);
        assert_int_equal(unlink(path), files[i].goes ? -1 : 0);
    }
}

static void test_make_folder(void **state)
{
    (void)state;
    struct error err;
    char path[128], file[96];
    snprintf(path, sizeof path, "%s/one/two//three", dir);
    assert_int_equal(file_make_folder(path, &err), STATUS_OK);
    assert_int_equal(file_make_folder(path, &err), STATUS_OK);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/one/two", dir);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/one", dir);
    assert_int_equal(rmdir(path), 0);
    snprintf(file, sizeof file, "%s/f", dir);
    assert_int_equal(file_write(file, bytes_of_text("x"), 0600, &err), STATUS_OK);
    snprintf(path, sizeof path, "%s/f/g", dir);
    assert_int_equal(file_make_folder(path, &err), STATUS_IO);
    assert_int_equal(unlink(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_then_read),      cmocka_unit_test(test_large_file_comes_whole),
        cmocka_unit_test(test_errors_name_the_path), cmocka_unit_test(test_several_processes_write_one_file),
        cmocka_unit_test(test_leftovers_are_swept),  cmocka_unit_test(test_make_folder),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
