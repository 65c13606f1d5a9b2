/* Large blocks: what they take is what is said, and little of it for nothing. */
#include "base/mem.h"
#include "base/rand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_large_blocks_take_little_more_than_asked(void **state)
{
    struct rng rng = rng_seeded(7);
    (void)state;

    for (int i = 0; i < 20000; i++) {
        size_t bytes = rng_u64(&rng) >> (24 + rng_u64(&rng) % 36), takes = mem_large_bytes(bytes);
        assert_true(takes >= bytes && takes % 4096 == 0);
        assert_true(takes - bytes < 4096 || takes - bytes <= bytes / 16);
    }
}

static size_t resident_pages(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return resident;
}

/* 2.4 MB on huge pages alone would be 4. */
static void test_large_blocks_are_as_large_as_said(void **state)
{
    const size_t bytes = 2400 * 1000;
    void *blocks[16];
    size_t before = resident_pages(), page = (size_t)sysconf(_SC_PAGESIZE);
    (void)state;

    for (size_t i = 0; i < 16; i++) {
        blocks[i] = mem_try_large(bytes);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], 1, bytes);
    }
    size_t taken = (resident_pages() - before) * page;
    for (size_t i = 0; i < 16; i++)
        mem_free(blocks[i]);
    assert_in_range(taken, 16 * bytes, 16 * bytes / 10 * 13); /* of a sanitizer's shadow an eighth */
    assert_in_range(16 * mem_large_bytes(bytes), taken / 10 * 7, taken);
}

static void test_what_is_not_there_is_not_given(void **state)
{
    (void)state;
    assert_null(mem_try_large(SIZE_MAX));
    assert_null(mem_try_large(SIZE_MAX - 4096));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_blocks_take_little_more_than_asked),
        cmocka_unit_test(test_large_blocks_are_as_large_as_said),
        cmocka_unit_test(test_what_is_not_there_is_not_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
