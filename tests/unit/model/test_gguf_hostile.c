/* The hostile headers of the security notes, G1 to G23: each is refused with an error that names the field. */
#include "gguf_raw.h"

#include <sys/resource.h>

struct hostile {
    const char *id;
    void (*build)(struct buffer *b, uint64_t v);
    uint64_t v;
    const char *says;
    enum status status; /* 0: BAD_DATA */
};

static void magic_only(struct buffer *b, uint64_t n)
{
    raw_head(b, 3, 0, 0);
    b->size = n;
}

static void other_magic(struct buffer *b, uint64_t v)
{
    (void)v;
    buffer_text(b, "GGML");
    raw_zeros(b, 64);
}

static void version(struct buffer *b, uint64_t v)
{
    raw_head(b, (uint32_t)v, 0, 0);
    raw_zeros(b, 64);
}

static void n_tensors(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, v, 0);
    raw_zeros(b, 64);
}

static void n_keys(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, v);
    raw_zeros(b, 64);
}

static void key_length(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, 1);
    buffer_u64(b, v);
    raw_zeros(b, 32);
}

static void key_of_bytes(struct buffer *b, uint64_t n)
{
    raw_head(b, 3, 0, 1);
    buffer_u64(b, n);
    for (uint64_t i = 0; i < n; i++)
        buffer_u8(b, 'k');
    buffer_u32(b, GGUF_U32);
    buffer_u32(b, 1);
}

static void key_with_nul(struct buffer *b, uint64_t v)
{
    (void)v;
    raw_head(b, 3, 0, 1);
    buffer_u64(b, 3);
    buffer_bytes(b, "a\0b", 3);
    buffer_u32(b, GGUF_U8);
    buffer_u8(b, 1);
}

static void key_twice(struct buffer *b, uint64_t v)
{
    (void)v;
    raw_head(b, 3, 0, 2);
    raw_key_u32(b, "same", 1);
    raw_key_u32(b, "same", 1);
}

static void string_length(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, 1);
    raw_key(b, "text", GGUF_STRING);
    buffer_u64(b, v);
    raw_zeros(b, 32);
}

static void value_type(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, 1);
    raw_key(b, "key", (uint32_t)v);
    raw_zeros(b, 32);
}

static void array_of(struct buffer *b, uint32_t element, uint64_t n)
{
    raw_head(b, 3, 0, 1);
    raw_key_array(b, "list", element, n);
    raw_zeros(b, 64);
}

static void array_u64(struct buffer *b, uint64_t n)
{
    array_of(b, GGUF_U64, n);
}

static void array_strings(struct buffer *b, uint64_t n)
{
    array_of(b, GGUF_STRING, n);
}

static void array_u8(struct buffer *b, uint64_t n)
{
    array_of(b, GGUF_U8, n);
}

static void array_element(struct buffer *b, uint64_t type)
{
    array_of(b, (uint32_t)type, 1);
}

static void array_string_length(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, 1);
    raw_key_array(b, "list", GGUF_STRING, 2);
    raw_text(b, "good");
    buffer_u64(b, v);
    raw_zeros(b, 32);
}

static void deep_arrays(struct buffer *b, uint64_t depth)
{
    raw_head(b, 3, 0, 1);
    raw_key(b, "list", GGUF_ARRAY);
    for (uint64_t i = 0; i < depth; i++) {
        buffer_u32(b, GGUF_ARRAY);
        buffer_u64(b, 1);
    }
}

static void alignment_of_type(struct buffer *b, uint64_t type)
{
    raw_head(b, 3, 0, 1);
    raw_key(b, "general.alignment", (uint32_t)type);
    raw_zeros(b, 64);
}

static void alignment_twice(struct buffer *b, uint64_t v)
{
    (void)v;
    raw_head(b, 3, 0, 2);
    raw_key_u32(b, "general.alignment", 32);
    raw_key_u32(b, "general.alignment", 64);
}

static void alignment(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 0, 1);
    raw_key_u32(b, "general.alignment", (uint32_t)v);
    raw_zeros(b, 64);
}

static void tensor_name_length(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    buffer_u64(b, v);
    for (int i = 0; i < 100; i++)
        buffer_u8(b, 'n');
}

static void n_dims(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_text(b, "t");
    buffer_u32(b, (uint32_t)v);
    for (int i = 0; i < 8; i++)
        buffer_u64(b, 1);
    raw_zeros(b, 64);
}

static void tensor_type(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "t", (uint32_t)v, 0, 256);
    raw_pad(b, 32);
    raw_zeros(b, 4096);
}

static void one_dim(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "t", 0, 0, v);
    raw_zeros(b, 64);
}

static void zero_second_dim(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    if (v == 2)
        raw_tensor(b, "t", 0, 0, 2, (const uint64_t[]){32, 0});
    else
        raw_tensor(b, "t", 0, 0, 4, (const uint64_t[]){1, 1, 0, 1});
    raw_zeros(b, 64);
}

static void many_elements(struct buffer *b, uint64_t v)
{
    uint64_t most = (uint64_t)1 << 31;
    (void)v;
    raw_head(b, 3, 1, 0);
    raw_tensor(b, "t", 0, 0, 4, (const uint64_t[]){most, most, most, most});
    raw_zeros(b, 64);
}

static void part_of_block(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "t", 12, 0, v); /* Q4_K: 256 a block */
    raw_zeros(b, 4096);
}

/* G8: two tensors whose padded sum wraps. G10: a size that pads to 0, and a small tensor at the same place. */
static void wrapping_pair(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 2, 0);
    raw_tensor_1d(b, "one", 24, 0, v);
    raw_tensor_1d(b, "two", 24, v, v);
    raw_zeros(b, 256);
}

static void padding_wrap(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 2, 0);
    raw_tensor_1d(b, "one", 0, 0, v);
    raw_tensor_1d(b, "two", 0, 0, 4);
    raw_zeros(b, 256);
}

/* G16: a tensor that ends `v` bytes behind the file. */
static void past_the_end(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "t", 24, 0, 32 + v);
    raw_pad(b, 32);
    raw_zeros(b, 32);
}

static void data_offset(struct buffer *b, uint64_t v)
{
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "t", 24, v, 32);
    raw_pad(b, 32);
    raw_zeros(b, 64);
}

static void two_tensors(struct buffer *b, const char *second, uint64_t first_at, uint64_t second_at)
{
    raw_head(b, 3, 2, 0);
    raw_tensor_1d(b, "first", 24, first_at, 64);
    raw_tensor_1d(b, second, 24, second_at, 64);
    raw_pad(b, 32);
    raw_zeros(b, 256);
}

static void same_name(struct buffer *b, uint64_t v)
{
    (void)v;
    two_tensors(b, "first", 0, 64);
}

static void overlap(struct buffer *b, uint64_t v)
{
    two_tensors(b, "second", 0, v);
}

static void going_back(struct buffer *b, uint64_t v)
{
    (void)v;
    two_tensors(b, "second", 64, 0);
}

static void empty_tensor_name(struct buffer *b, uint64_t v)
{
    (void)v;
    raw_head(b, 3, 1, 0);
    raw_tensor_1d(b, "", 0, 0, 1);
    raw_zeros(b, 64);
}

static void many_keys(struct buffer *b, uint64_t n)
{
    raw_head(b, 3, 0, n);
    for (uint64_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "%llu", (unsigned long long)i);
        raw_key(b, name, GGUF_U8);
        buffer_u8(b, 1);
    }
}

#define TOP    UINT64_MAX
#define BIT(n) ((uint64_t)1 << (n))

static const struct hostile cases[] = {
    {"G1 n_tensors 2^64-1", n_tensors, TOP, "byte 8: number of tensors is 18446744073709551615; 65536 at most",
     0},
    {"G1 n_tensors 2^63", n_tensors, BIT(63), "number of tensors", 0},
    {"G1 n_tensors 2^40", n_tensors, BIT(40), "number of tensors", 0},
    {"G1 n_tensors over sizeof", n_tensors, TOP / sizeof(struct gguf_tensor) + 1, "number of tensors", 0},
    {"G1 n_tensors over what is left", n_tensors, 1000, "the file has only", 0},
    {"G2 n_keys 2^64-1", n_keys, TOP, "byte 16: number of keys is 18446744073709551615; 65536 at most", 0},
    {"G2 n_keys 2^63", n_keys, BIT(63), "number of keys", 0},
    {"G2 n_keys over sizeof", n_keys, TOP / sizeof(struct gguf_value) + 1, "number of keys", 0},
    {"G2 n_keys over what is left", n_keys, 1000, "the file has only", 0},
    {"G3 key length", key_length, TOP, "byte 24: key 0: name has a length", 0},
    {"G3 key length, within limits", key_length, 60000, "needs 60000 bytes", 0},
    {"G3 string length", string_length, TOP, "key 0 'text': string has a length", 0},
    {"G3 string in array", array_string_length, TOP, "string of an array has a length", 0},
    {"G3 tensor name", tensor_name_length, TOP, "tensor 0: name has a length", 0},
    {"G4 n_dims 5", n_dims, 5, "5 dimensions; 1 to 4", 0},
    {"G4 n_dims 2^32-1", n_dims, UINT32_MAX, "4294967295 dimensions", 0},
    {"G4 n_dims 0", n_dims, 0, "0 dimensions", 0},
    {"G5 u64 array", array_u64, BIT(61), "an array of 2305843009213693952 elements", 0},
    {"G5 string array", array_strings, BIT(60), "an array of", 0},
    {"G5 u8 array", array_u8, BIT(40), "an array of", 0},
    {"G7 4 bytes", magic_only, 4, "version needs 4 bytes", 0},
    {"G7 7 bytes", magic_only, 7, "version", 0},
    {"G7 8 bytes", magic_only, 8, "number of tensors", 0},
    {"G7 23 bytes", magic_only, 23, "number of keys", 0},
    {"G7 0 bytes", magic_only, 0, "0 bytes is no GGUF file", 0},
    {"G7 other magic", other_magic, 0, "begins with 'GGML'", 0},
    {"G8 wrapping pair", wrapping_pair, 0x7FFFFFFFFFFFFFC0, "dimension 0 is", 0},
    {"G9 F32", one_dim, BIT(62) + 8, "dimension 0 is", 0},
    {"G9 largest dimension, no data", one_dim, BIT(31), "end past the file", 0},
    {"G10 padding wrap", padding_wrap, BIT(62) - 1, "dimension 0 is", 0},
    {"G11 ne 0", one_dim, 0, "dimension 0 is 0; 1 to", 0},
    {"G11 32 x 0", zero_second_dim, 2, "dimension 1 is 0", 0},
    {"G11 1 1 0 1", zero_second_dim, 4, "dimension 2 is 0", 0},
    {"product of dims", many_elements, 0, "more than 17592186044416 elements", 0},
    {"G12 alignment i32", alignment_of_type, GGUF_I32, "general.alignment is of type i32; it must be u32", 0},
    {"G12 alignment u64", alignment_of_type, GGUF_U64, "of type u64", 0},
    {"G12 alignment string", alignment_of_type, GGUF_STRING, "of type string", 0},
    {"G12 alignment array", alignment_of_type, GGUF_ARRAY, "of type array", 0},
    {"G12 alignment twice", alignment_twice, 0, "key 'general.alignment' is there twice", 0},
    {"G13 alignment 0", alignment, 0, "general.alignment is 0; it must be a power of two in 8..65536", 0},
    {"G13 alignment 13", alignment, 13, "general.alignment is 13", 0},
    {"G13 alignment 3", alignment, 3, "general.alignment is 3", 0},
    {"G13 alignment 4", alignment, 4, "general.alignment is 4", 0},
    {"G13 alignment 2^17", alignment, BIT(17), "general.alignment is 131072", 0},
    {"G13 alignment 2^31", alignment, BIT(31), "general.alignment is 2147483648", 0},
    {"G13 alignment 2^32-1", alignment, UINT32_MAX, "general.alignment is 4294967295", 0},
    {"G15 string 2^62", string_length, BIT(62), "67108864 at most", 0},
    {"G15 string over 64 MiB", string_length, ((uint64_t)64 << 20) + 1, "67108864 at most", 0},
    {"G15 string of 64 MiB that is not there", string_length, (uint64_t)64 << 20, "the file has", 0},
    {"G15 2^30 strings", array_strings, BIT(30), "an array of 1073741824 elements", 0},
    {"G16 end + 1", past_the_end, 1, "(truncated? fetch it again)", 0},
    {"G16 end + 4 KiB", past_the_end, 4096, "end past the file", 0},
    {"G16 end + 2^30", past_the_end, BIT(30), "end past the file", 0},
    {"G16 offset 2^40", data_offset, BIT(40), "end past the file", 0},
    {"G16 offset 2^64-32", data_offset, TOP - 31, "end past the file", 0},
    {"G17 type 4", tensor_type, 4, "tensor type 4 is none that exists", 0},
    {"G17 type 5", tensor_type, 5, "tensor type 5", 0},
    {"G17 type 36", tensor_type, 36, "tensor type 36", 0},
    {"G17 type 40", tensor_type, 40, "tensor type 40", 0},
    {"G17 type 41", tensor_type, 41, "tensor type 41", 0},
    {"G17 type 999", tensor_type, 999, "tensor type 999", 0},
    {"G17 type -1", tensor_type, UINT32_MAX, "tensor type 4294967295", 0},
    {"G17 type 2^31", tensor_type, BIT(31), "tensor type 2147483648", 0},
    {"part of a block", part_of_block, 255, "not whole blocks of Q4_K", 0},
    {"G19 nested arrays", deep_arrays, 20000, "an array of arrays", 0},
    {"G20 200,000 keys", many_keys, 200000, "number of keys is 200000; 65536 at most", 0},
    {"G20 100,000 tensors", n_tensors, 100000, "number of tensors is 100000; 65536 at most", 0},
    {"G21 key twice", key_twice, 0, "byte 44: key 'same' is there twice", 0},
    {"G21 empty key", key_length, 0, "its name is empty", 0},
    {"G21 key with NUL", key_with_nul, 0, "a NUL byte", 0},
    {"G21 key of 65,536 bytes", key_of_bytes, 65536, "65535 at most", 0},
    {"G21 name of 64 bytes", tensor_name_length, 64, "63 at most", 0},
    {"G21 name of 2^63 bytes", tensor_name_length, BIT(63), "63 at most", 0},
    {"G21 empty tensor name", empty_tensor_name, 0, "its name is empty", 0},
    {"G21 tensor twice", same_name, 0, "tensor 'first' is there twice", 0},
    {"G21 same range", overlap, 0, "where the tensor before it, 'first', ends", 0},
    {"G21 overlapping ranges", overlap, 32, "lies before byte 64", 0},
    {"G21 not monotonic", going_back, 0, "lies before", 0},
    {"G21 unaligned", data_offset, 33, "not a multiple of the alignment, 32", 0},
    {"G22 version 0", version, 0, "GGUF version 0; 2 and 3 are read", STATUS_UNSUPPORTED},
    {"G22 version 1", version, 1, "GGUF version 1", STATUS_UNSUPPORTED},
    {"G22 version 4", version, 4, "GGUF version 4", STATUS_UNSUPPORTED},
    {"G22 big-endian", version, 0x03000000, "big-endian file", STATUS_UNSUPPORTED},
    {"G23 value type 13", value_type, 13, "value type 13 is not one of 0..12", 0},
    {"G23 value type 2^32-1", value_type, UINT32_MAX, "value type 4294967295", 0},
    {"G23 element type 13", array_element, 13, "element type 13", 0},
    {"G23 element type 2^32-1", array_element, UINT32_MAX, "element type 4294967295", 0},
};

static void try_case(const struct hostile *c, struct buffer *b)
{
    struct gguf *gguf = NULL;
    struct error err = {0};
    c->build(b, c->v);
    uint8_t *copy = mem_copy(b->data, b->size); /* its own block: a byte too far is seen */
    struct bytes file = bytes_of(copy, b->size);
    enum status status = gguf_open_memory(&gguf, &file, 1, &err),
                want = c->status ? c->status : STATUS_BAD_DATA;
    if (status != want)
        fail_msg("%s: status '%s', not '%s' (%s)", c->id, status_name(status), status_name(want), err.text);
    if (!strstr(err.text, c->says))
        fail_msg("%s: the error is \"%s\", without \"%s\"", c->id, err.text, c->says);
    assert_null(gguf);
    mem_free(copy);
}

static void test_all_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer b;
        buffer_init(&b, 0);
        try_case(&cases[i], &b);
        buffer_free(&b);
    }
}

/* G15: files of some dozen bytes must not make memory grow; G5 and G1 likewise. */
static void test_memory_stays_small(void **state)
{
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (int round = 0; round < 20; round++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct buffer b;
            if (cases[i].build == many_keys || cases[i].build == deep_arrays)
                continue;
            buffer_init(&b, 0);
            try_case(&cases[i], &b);
            buffer_free(&b);
        }
    getrusage(RUSAGE_SELF, &after);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these keep what was freed */
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 * 1024);
#endif
    assert_true(after.ru_maxrss > 0);
}

/* A key that is as long as it may be is no attack. */
static void test_limits_themselves_are_allowed(void **state)
{
    (void)state;
    struct buffer b;
    struct gguf *gguf = NULL;
    struct error err = {0};
    buffer_init(&b, 0);
    key_of_bytes(&b, 65535);
    struct bytes file = buffer_view(&b);
    assert_int_equal(gguf_open_memory(&gguf, &file, 1, &err), STATUS_OK);
    assert_int_equal(gguf_key_at(gguf, 0)->key.size, 65535);
    gguf_close(gguf);
    buffer_clear(&b);
    alignment(&b, 65536);
    file = buffer_view(&b);
    assert_int_equal(gguf_open_memory(&gguf, &file, 1, &err), STATUS_OK);
    assert_int_equal(gguf_alignment(gguf), 65536);
    gguf_close(gguf);
    buffer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_refused),
        cmocka_unit_test(test_memory_stays_small),
        cmocka_unit_test(test_limits_themselves_are_allowed),
    };
    return cmocka_run_group_tests(tests, raw_start, NULL);
}
