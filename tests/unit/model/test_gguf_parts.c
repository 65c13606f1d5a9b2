/* llama.cpp's split parts as one file, and the lies that a set can tell (G24). */
#include "gguf_raw.h"

#include "base/file.h"

#include <stdlib.h>
#include <unistd.h>

#define PARTS 3

struct part {
    uint16_t number, count;
    uint32_t n_total;    /* split.tensors.count; 0: no key */
    const char *tensor;  /* its only one */
    const char *general; /* a key beside split.*; NULL: none */
};

static void build_part(struct buffer *b, const struct part *p)
{
    buffer_init(b, 0);
    raw_head(b, 3, 1, 2U + (p->n_total != 0) + (p->general != NULL));
    if (p->general)
        raw_key_text(b, "general.name", p->general);
    raw_key_u16(b, "split.no", p->number);
    raw_key_u16(b, "split.count", p->count);
    if (p->n_total)
        raw_key_u32(b, "split.tensors.count", p->n_total);
    raw_tensor_1d(b, p->tensor, 24, 0, 32);
    raw_pad(b, 32);
    for (int i = 0; i < 32; i++)
        buffer_u8(b, (uint8_t)(p->tensor[0] + i));
}

static enum status open_set(const struct part *parts, size_t n, struct gguf **gguf, struct error *err)
{
    struct buffer files[PARTS];
    struct bytes views[PARTS] = {{0}};
    for (size_t i = 0; i < n; i++) {
        build_part(&files[i], &parts[i]);
        views[i] = buffer_view(&files[i]);
    }
    enum status status = gguf_open_memory(gguf, views, n, err);
    if (!status) { /* the data must come from the part that has it */
        uint8_t data[32];
        for (size_t i = 0; i < gguf_n_tensors(*gguf); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(*gguf, i);
            assert_int_equal(gguf_read_tensor(*gguf, t, 0, data, 32, err), STATUS_OK);
            assert_int_equal(data[5], t->name[0] + 5);
        }
    }
    for (size_t i = 0; i < n; i++)
        buffer_free(&files[i]);
    return status;
}

static const struct part good[PARTS] = {
    {0, 3, 3, "a.weight", "the model"}, {1, 3, 3, "b.weight", NULL}, {2, 3, 3, "c.weight", NULL}};

static void test_a_set_looks_like_one_file(void **state)
{
    (void)state;
    struct gguf *g = NULL;
    struct error err = {0};
    assert_int_equal(open_set(good, PARTS, &g, &err), STATUS_OK);
    assert_int_equal(gguf_n_parts(g), 3);
    assert_int_equal(gguf_n_tensors(g), 3);
    assert_int_equal(gguf_n_keys(g), 1); /* split.* is not the model's */
    assert_null(gguf_find(g, "split.count"));
    assert_non_null(gguf_find(g, "general.name"));
    assert_string_equal(gguf_tensor_at(g, 2)->name, "c.weight");
    assert_int_equal(gguf_find_tensor(g, "b.weight")->part, 1);
    gguf_close(g);
}

static void test_lies(void **state)
{
    (void)state;
    const struct {
        struct part parts[PARTS];
        size_t n;
        const char *says;
    } lies[] = {
        {{{0, 3, 3, "a", NULL}, {1, 3, 3, "b", NULL}, {1, 3, 3, "c", NULL}}, 3, "split.no is 1; it must be 2"},
        {{{0, 3, 3, "a", NULL}, {1, 3, 3, "b", NULL}, {2, 3, 3, "b", NULL}}, 3, "'b' is in an earlier part"},
        {{{0, 3, 4, "a", NULL}, {1, 3, 4, "b", NULL}, {2, 3, 4, "c", NULL}}, 3, "the parts have 3 tensors"},
        {{{0, 3, 2, "a", NULL}, {1, 3, 2, "b", NULL}, {2, 3, 2, "c", NULL}}, 3, "the parts have 3 tensors"},
        {{{0, 3, 3, "a", "one"}, {1, 3, 3, "b", "other"}, {2, 3, 3, "c", NULL}}, 3, "part of another model"},
        {{{0, 3, 3, "a", NULL}, {1, 3, 3, "b", "new"}, {2, 3, 3, "c", NULL}}, 3, "part of another model"},
        {{{0, 3, 3, "a", NULL}, {1, 3, 9, "b", NULL}, {2, 3, 3, "c", NULL}}, 3, "part of another model"},
        {{{0, 3, 3, "a", NULL}, {1, 2, 3, "b", NULL}, {2, 3, 3, "c", NULL}}, 3, "split.count is 2"},
        {{{0, 3, 3, "a", NULL}, {1, 3, 3, "b", NULL}}, 2, "2 parts were given"},
        {{{0, 3, 0, "a", NULL}, {1, 3, 3, "b", NULL}, {2, 3, 3, "c", NULL}},
         3,
         "needs the key split.tensors.count"},
        {{{3, 3, 3, "a", NULL}, {1, 3, 3, "b", NULL}, {2, 3, 3, "c", NULL}},
         3,
         "split.no is 3, but split.count"},
        {{{0, 65535, 3, "a", NULL}}, 1, "split.count is 65535; 1 to 512"},
        {{{0, 1, 1, "a", NULL}, {0, 1, 1, "b", NULL}}, 2, "2 parts were given"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        struct gguf *g = NULL;
        struct error err = {0};
        if (open_set(lies[i].parts, lies[i].n, &g, &err) != STATUS_BAD_DATA)
            fail_msg("lie %zu: status '%s' (%s)", i, status_name(err.status), err.text);
        if (!strstr(err.text, lies[i].says))
            fail_msg("lie %zu: the error is \"%s\", without \"%s\"", i, err.text, lies[i].says);
        assert_null(g);
    }
}

static void test_a_later_part_names_the_first(void **state)
{
    (void)state;
    struct gguf *g = NULL;
    struct error err = {0};
    assert_int_equal(open_set(&good[1], 1, &g, &err), STATUS_BAD_USAGE);
    assert_non_null(strstr(err.text, "part 2 of 3; name the first, ...-00001-of-00003.gguf"));
}

static void test_merged_marker_is_one_file(void **state)
{
    (void)state;
    struct part merged = {0, 0, 1, "a", "the model"};
    struct gguf *g = NULL;
    struct error err = {0};
    assert_int_equal(open_set(&merged, 1, &g, &err), STATUS_OK);
    assert_non_null(gguf_find(g, "split.count")); /* an ordinary key of an ordinary file */
    gguf_close(g);
}

static void test_files(void **state)
{
    (void)state;
    char dir[] = "/tmp/shoal-test-parts-XXXXXX", paths[PARTS][96], other[96];
    struct gguf *g = NULL;
    struct error err = {0};
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < PARTS; i++) {
        struct buffer b;
        build_part(&b, &good[i]);
        snprintf(paths[i], sizeof paths[i], "%s/m-%05zu-of-00003.gguf", dir, i + 1);
        assert_int_equal(file_write(paths[i], buffer_view(&b), 0644, &err), STATUS_OK);
        buffer_free(&b);
    }
    assert_int_equal(gguf_open(&g, paths[0], &err), STATUS_OK);
    uint8_t data[32];
    assert_int_equal(gguf_read_tensor(g, gguf_find_tensor(g, "c.weight"), 0, data, 32, &err), STATUS_OK);
    assert_int_equal(data[0], 'c');
    assert_true(gguf_is_file(g, paths[2]));
    assert_false(gguf_is_file(g, "/etc/passwd"));
    gguf_close(g);
    g = NULL;

    assert_int_equal(unlink(paths[2]), 0);
    assert_int_equal(gguf_open(&g, paths[0], &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "part 3 of 3"));
    assert_non_null(strstr(err.text, "m-00003-of-00003.gguf"));
    snprintf(other, sizeof other, "%s/renamed.gguf", dir);
    assert_int_equal(rename(paths[0], other), 0);
    assert_int_equal(gguf_open(&g, other, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "NAME-00001-of-00003.gguf"));
    assert_int_equal(unlink(other), 0);
    assert_int_equal(unlink(paths[1]), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_set_looks_like_one_file),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_a_later_part_names_the_first),
        cmocka_unit_test(test_merged_marker_is_one_file),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, raw_start, NULL);
}
