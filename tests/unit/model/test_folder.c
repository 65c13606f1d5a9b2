/* What is said where a model is not: with what lies beside it. */
#include "model/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/shoal-test-folder-XXXXXX";

static void make(const char *name)
{
    char *path = mem_format("%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    mem_free(path);
}

static void assert_told(const char *name, const char *expected)
{
    struct error err;
    char *path = mem_format("%s/%s", dir, name),
         *text = mem_format("opening '%s': No such file or directory; %s", path, expected);
    assert_int_equal(folder_lacks(path, &err), STATUS_NOT_FOUND);
    assert_int_equal(err.status, STATUS_NOT_FOUND);
    assert_string_equal(err.text, text);
    mem_free(text);
    mem_free(path);
}

static void what_is_not_there_is_told_with_what_is(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    char *none = mem_format(
             "the folder '%s' has no .gguf file; give the path of a model or of a folder of shards", dir),
         *one = mem_format("the folder '%s' has 'b.gguf'", dir),
         *many = mem_format("the folder '%s' has 'a.gguf', 'b.gguf', 'c.gguf' and 1 more", dir),
         *lost = mem_format("the folder '%s/no' is not there either", dir);
    make("text");
    assert_told("x.gguf", none);
    make("b.gguf");
    assert_told("x.gguf", one);
    make("d.gguf");
    make("a.gguf");
    make("c.gguf");
    assert_told("x.gguf", many);
    assert_told("no/x.gguf", lost);
    char *names[] = {none, one, many, lost};
    for (size_t i = 0; i < 4; i++)
        mem_free(names[i]);
}

static void long_paths_fit(void **state)
{
    struct error err;
    char path[5000];
    (void)state;
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(folder_lacks(path, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "No such file"));
}

static int clean(void **state)
{
    (void)state;
    char *command = mem_format("rm -rf %s", dir);
    int rc = system(command); /* NOLINT: the name is ours */
    mem_free(command);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_not_there_is_told_with_what_is),
                                       cmocka_unit_test(long_paths_fit)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
