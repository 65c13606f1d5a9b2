/* What a good file gives, and that no prefix of one is taken for one. */
#include "gguf_raw.h"

#include <time.h>

static void every_value(struct buffer *b)
{
    raw_head(b, 3, 2, 15);
    raw_key(b, "a.u8", GGUF_U8);
    buffer_u8(b, 200);
    raw_key(b, "a.i8", GGUF_I8);
    buffer_u8(b, 0xff);
    raw_key_u16(b, "a.u16", 65535);
    raw_key(b, "a.i16", GGUF_I16);
    buffer_u16(b, 7);
    raw_key_u32(b, "a.u32", 4000000000U);
    raw_key(b, "a.i32", GGUF_I32);
    buffer_u32(b, 5);
    raw_key_f32(b, "a.f32", 1.5F);
    raw_key(b, "a.bool", GGUF_BOOL);
    buffer_u8(b, 1);
    raw_key_text(b, "a.string", "h\xc3\xa9llo");
    raw_key(b, "a.u64", GGUF_U64);
    buffer_u64(b, (uint64_t)1 << 60);
    raw_key(b, "a.f64", GGUF_F64);
    buffer_f64(b, 2.5);
    raw_key_array(b, "a.strings", GGUF_STRING, 3);
    raw_text(b, "one");
    raw_text(b, "");
    raw_text(b, "three");
    raw_key_array(b, "a.floats", GGUF_F32, 2);
    buffer_f32(b, -0.25F);
    buffer_f32(b, 8.0F);
    raw_key_array(b, "a.ints", GGUF_I32, 2);
    buffer_u32(b, 3);
    buffer_u32(b, (uint32_t)-4);
    raw_key_array(b, "a.none", GGUF_U8, 0);
    raw_tensor(b, "one.weight", 0, 0, 2, (const uint64_t[]){4, 3});
    raw_tensor_1d(b, "two.weight", 8, 64, 64); /* Q8_0: two blocks of 34 bytes */
    raw_pad(b, 32);
    for (unsigned i = 0; i < 64 + 68; i++)
        buffer_u8(b, (uint8_t)i);
    raw_pad(b, 32);
}

static struct gguf *open_good(const struct buffer *b)
{
    struct gguf *gguf = NULL;
    struct error err = {0};
    struct bytes file = buffer_view(b);
    if (gguf_open_memory(&gguf, &file, 1, &err))
        fail_msg("%s", err.text);
    return gguf;
}

static void test_values(void **state)
{
    (void)state;
    struct buffer b;
    struct error err;
    buffer_init(&b, 0);
    every_value(&b);
    struct gguf *g = open_good(&b);
    uint32_t u32 = 0;
    uint64_t integer = 0;
    float f32 = 0;
    bool flag = false;
    struct bytes text;
    const struct gguf_value *array;
    assert_int_equal(gguf_n_keys(g), 15);
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 32);
    assert_int_equal(gguf_get_u32(g, "a.u32", &u32, &err), STATUS_OK);
    assert_int_equal(u32, 4000000000U);
    assert_int_equal(gguf_get_f32(g, "a.f32", &f32, &err), STATUS_OK);
    assert_true(f32 == 1.5F);
    assert_int_equal(gguf_get_bool(g, "a.bool", &flag, &err), STATUS_OK);
    assert_true(flag);
    assert_int_equal(gguf_get_string(g, "a.string", &text, &err), STATUS_OK);
    assert_true(bytes_equal(text, bytes_of_text("h\xc3\xa9llo")));
    assert_int_equal(gguf_get_integer(g, "a.u8", &integer, &err), STATUS_OK);
    assert_int_equal(integer, 200);
    assert_int_equal(gguf_get_integer(g, "a.i16", &integer, &err), STATUS_OK);
    assert_int_equal(integer, 7);
    assert_int_equal(gguf_get_integer(g, "a.u64", &integer, &err), STATUS_OK);
    assert_true(integer == (uint64_t)1 << 60);
    assert_int_equal(gguf_get_array(g, "a.strings", GGUF_STRING, &array, &err), STATUS_OK);
    assert_int_equal(array->count, 3);
    assert_true(bytes_equal(gguf_array_string(array, 0), bytes_of_text("one")));
    assert_int_equal(gguf_array_string(array, 1).size, 0);
    assert_true(bytes_equal(gguf_array_string(array, 2), bytes_of_text("three")));
    assert_int_equal(gguf_get_array(g, "a.floats", GGUF_F32, &array, &err), STATUS_OK);
    assert_true(gguf_array_f32(array, 0) == -0.25F && gguf_array_f32(array, 1) == 8.0F);
    assert_int_equal(gguf_get_array(g, "a.ints", GGUF_I32, &array, &err), STATUS_OK);
    assert_int_equal(gguf_array_i32(array, 1), -4);
    assert_int_equal(gguf_get_array(g, "a.none", GGUF_U8, &array, &err), STATUS_OK);
    assert_int_equal(array->count, 0);
    gguf_close(g);
    buffer_free(&b);
}

static void test_wrong_questions(void **state)
{
    (void)state;
    struct buffer b;
    struct error err;
    buffer_init(&b, 0);
    every_value(&b);
    struct gguf *g = open_good(&b);
    uint32_t u32 = 77;
    uint64_t integer = 77;
    const struct gguf_value *array = NULL;
    assert_null(gguf_find(g, "a.missing"));
    assert_int_equal(gguf_get_u32(g, "a.missing", &u32, &err), STATUS_NOT_FOUND);
    assert_int_equal(gguf_get_u32(g, "a.i32", &u32, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "'a.i32' is of type i32; it must be u32"));
    assert_int_equal(gguf_get_integer(g, "a.i8", &integer, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "negative"));
    assert_int_equal(gguf_get_integer(g, "a.bool", &integer, &err), STATUS_BAD_DATA);
    assert_int_equal(gguf_get_array(g, "a.ints", GGUF_U32, &array, &err), STATUS_BAD_DATA);
    assert_int_equal(u32, 77);
    assert_int_equal(integer, 77);
    assert_null(array);
    gguf_close(g);
    buffer_free(&b);
}

static void test_tensors(void **state)
{
    (void)state;
    struct buffer b;
    struct error err;
    uint8_t data[68];
    buffer_init(&b, 0);
    every_value(&b);
    struct gguf *g = open_good(&b);
    const struct gguf_tensor *one = gguf_find_tensor(g, "one.weight"), *two = gguf_find_tensor(g, "two.weight");
    assert_int_equal(gguf_n_tensors(g), 2);
    assert_null(gguf_find_tensor(g, "three.weight"));
    assert_non_null(one);
    assert_non_null(two);
    assert_ptr_equal(one, gguf_tensor_at(g, 0));
    assert_int_equal(one->bytes, 48);
    assert_int_equal(one->dims[0], 4);
    assert_int_equal(one->dims[1], 3);
    assert_int_equal(one->dims[2], 1);
    assert_int_equal(two->bytes, 68);
    assert_int_equal(gguf_tensor_bytes(g), 48 + 68);
    assert_int_equal(gguf_read_tensor(g, two, 0, data, sizeof data, &err), STATUS_OK);
    for (unsigned i = 0; i < sizeof data; i++)
        assert_int_equal(data[i], 64 + i);
    assert_int_equal(gguf_read_tensor(g, one, 40, data, 8, &err), STATUS_OK);
    assert_int_equal(data[0], 40);
    gguf_close(g);
    buffer_free(&b);
}

/* G6: no byte of the file may be missing, and no prefix may crash, leak or be taken. */
static void test_every_prefix_is_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    every_value(&b);
    size_t end = b.size - (32 - (64 + 68) % 32); /* without the padding behind the last tensor */
    for (size_t n = 0; n < end; n++) {
        uint8_t *copy = mem_copy(b.data, n); /* its own block, so that a byte too far is seen */
        struct bytes file = bytes_of(copy, n);
        struct gguf *gguf = NULL;
        struct error err = {0};
        assert_int_equal(gguf_open_memory(&gguf, &file, 1, &err), STATUS_BAD_DATA);
        assert_null(gguf);
        assert_true(strlen(err.text) > 10);
        mem_free(copy);
    }
    buffer_free(&b);
}

/* G20: time grows with the size, not with its square. The bound is a hundred times what it takes. */
static void test_many_names_take_no_time(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    raw_head(&b, 3, GGUF_TENSORS_MAX, GGUF_KEYS_MAX);
    for (unsigned i = 0; i < GGUF_KEYS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "key.%u", i);
        raw_key_u32(&b, name, i);
    }
    for (unsigned i = 0; i < GGUF_TENSORS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "tensor.%u", i);
        raw_tensor_1d(&b, name, 24, 32 * (uint64_t)i, 1);
    }
    raw_pad(&b, 32);
    raw_zeros(&b, (size_t)32 * GGUF_TENSORS_MAX);
    clock_t began = clock();
    struct gguf *g = open_good(&b);
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    uint32_t v = 0;
    assert_int_equal(gguf_get_u32(g, "key.65535", &v, NULL), STATUS_OK);
    assert_int_equal(v, 65535);
    assert_non_null(gguf_find_tensor(g, "tensor.40000"));
    assert_true(seconds < 4);
    gguf_close(g);
    buffer_free(&b);
}

static void test_a_long_string_is_whole(void **state)
{
    (void)state;
    const size_t n = 300000; /* over several steps of reading */
    struct buffer b;
    struct bytes text;
    buffer_init(&b, 0);
    raw_head(&b, 2, 0, 2);
    raw_key(&b, "long", GGUF_STRING);
    buffer_u64(&b, n);
    for (size_t i = 0; i < n; i++)
        buffer_u8(&b, (uint8_t)(i * 7));
    raw_key_u32(&b, "after", 9);
    struct gguf *g = open_good(&b);
    uint32_t v = 0;
    assert_int_equal(gguf_get_string(g, "long", &text, NULL), STATUS_OK);
    assert_int_equal(text.size, n);
    for (size_t i = 0; i < n; i++)
        if (text.data[i] != (uint8_t)(i * 7))
            fail_msg("byte %zu differs", i);
    assert_int_equal(gguf_get_u32(g, "after", &v, NULL), STATUS_OK);
    assert_int_equal(v, 9);
    gguf_close(g);
    buffer_free(&b);
}

static void test_paths(void **state)
{
    (void)state;
    struct gguf *gguf = NULL;
    struct error err;
    assert_int_equal(gguf_open(&gguf, "/nonexistent/model.gguf", &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "/nonexistent/model.gguf"));
    assert_int_equal(gguf_open(&gguf, "/tmp", &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "not a regular file"));
    assert_int_equal(gguf_open(&gguf, "/dev/zero", &err), STATUS_BAD_DATA);
    assert_null(gguf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_wrong_questions),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_many_names_take_no_time),
        cmocka_unit_test(test_a_long_string_is_whole),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, raw_start, NULL);
}
