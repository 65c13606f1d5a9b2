#include "base/mem.h"
#include "base/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What a shell makes of the word. */
static void check_comes_back(const char *text)
{
    char *word = shell_word(text), *command = mem_format("printf %%s %s", word), got[256] = "";
    FILE *out = popen(command, "r");
    assert_non_null(out);
    size_t n = fread(got, 1, sizeof got - 1, out);
    assert_int_equal(pclose(out), 0);
    got[n] = '\0';
    assert_string_equal(got, text);
    mem_free(command);
    mem_free(word);
}

static void words_come_back_as_they_were(void **state)
{
    static const char *const texts[] = {
        "shard-0.gguf",        "/a b/c",         "it's",   "'", "",   "$HOME `id` \"x\"",
        "a\\b;c&d|e>f<g(h)#i", "line\nand\ttab", "*?[a]~", "!", "=x", "g\xc3\xbcnstig"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_comes_back(texts[i]);
}

static void plain_words_stay_plain(void **state)
{
    (void)state;
    char *word = shell_path("models_cache/shards", "shard-0.gguf"), *dir = shell_path("/x", NULL);
    assert_string_equal(word, "models_cache/shards/shard-0.gguf");
    assert_string_equal(dir, "/x");
    mem_free(word);
    mem_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(words_come_back_as_they_were),
                                       cmocka_unit_test(plain_words_stay_plain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
