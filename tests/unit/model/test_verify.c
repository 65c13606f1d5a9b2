/* Verify: files count by content, and what is wrong with the others is said. */
#include "shards_support.h"

#include "model/verify.h"

static void flip_byte(const char *file, long at)
{
    char path[200];
    path_of(path, file);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    assert_int_not_equal(fputc(c ^ 1, f), EOF);
    assert_int_equal(fclose(f), 0);
}

static void rename_shard(const char *from, const char *to)
{
    char a[200], b[200];
    path_of(a, from);
    path_of(b, to);
    assert_int_equal(rename(a, b), 0);
}

static struct verify_report verified(void)
{
    struct verify_report r;
    struct error err = {0};
    if (verify_folder(&r, out_dir, NULL, &err))
        fail_msg("%s", err.text);
    return r;
}

static void test_verify_good_folder(void **state)
{
    (void)state;
    fresh_shards();
    struct verify_report r = verified();
    assert_int_equal(r.n_shards, 4);
    assert_true(verify_report_is_good(&r));
    assert_int_equal(r.n_near_misses, 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(r.shards[i].presence, SHARD_FILE_EXISTS);
        assert_true(r.shards[i].seen.hashed);
        assert_string_equal(r.shards[i].note, "");
    }
    verify_report_free(&r);
}

static void test_verify_names_what_is_wrong(void **state)
{
    (void)state;
    char path[200];
    fresh_shards();
    flip_byte("shard-0.gguf", -40); /* same size, other content */
    path_of(path, "shard-1.gguf");
    assert_int_equal(truncate(path, 3000), 0);
    path_of(path, "shard-2.gguf");
    assert_int_equal(unlink(path), 0);
    path_of(path, "shard-3.gguf");
    assert_int_equal(file_write(path, bytes_of_text("not a model at all"), 0644, NULL), STATUS_OK);
    struct verify_report r = verified();
    assert_false(verify_report_is_good(&r));
    assert_int_equal(r.shards[0].presence, SHARD_FILE_INVALID);
    assert_int_equal(r.shards[0].seen.fault, SHARD_FAULT_HASH);
    assert_non_null(strstr(r.shards[0].note, "SHA-256"));
    assert_int_equal(r.shards[1].presence, SHARD_FILE_INVALID);
    assert_int_equal(r.shards[1].seen.fault, SHARD_FAULT_DAMAGED);
    assert_int_equal(r.shards[2].presence, SHARD_FILE_MISSING);
    assert_int_equal(r.shards[3].presence, SHARD_FILE_INVALID);
    assert_int_equal(r.shards[3].seen.fault, SHARD_FAULT_NOT_GGUF);
    assert_true(r.tokenizer_ok);
    verify_report_free(&r);
}

static void test_verify_by_content(void **state)
{
    (void)state;
    fresh_shards();
    rename_shard("shard-0.gguf", "x"); /* 0 and 1 swapped, 2 under another name */
    rename_shard("shard-1.gguf", "shard-0.gguf");
    rename_shard("x", "shard-1.gguf");
    rename_shard("shard-2.gguf", "shard-v2-2.gguf");
    struct verify_report r = verified();
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(r.shards[i].presence, SHARD_FILE_EXISTS);
    assert_string_equal(r.shards[0].file, "shard-1.gguf");
    assert_string_equal(r.shards[2].file, "shard-v2-2.gguf");
    assert_non_null(strstr(r.shards[2].note, "right content under another name than shard-2.gguf"));
    assert_string_equal(r.shards[3].note, "");
    verify_report_free(&r);
    struct error err = {0};
    assert_int_equal(shards_merge(out_dir, merged_path, NULL, &err), STATUS_OK);
    check_same_files(model_path, merged_path);
}

static void test_verify_other_models(void **state)
{
    (void)state;
    struct raw_model other = raw_model_small();
    char a[200], kept[128];
    struct buffer file;
    fresh_shards(); /* a shard of another model with the same shape */
    other.seed = 2;
    write_model(&other);
    path_of(a, "shard-1.gguf");
    snprintf(kept, sizeof kept, "%s/kept", dir);
    struct manifest *m = split_signed(model_path, 4);
    manifest_free(m);
    assert_int_equal(rename(a, kept), 0);
    fresh_shards();
    assert_int_equal(rename(kept, a), 0);
    read_whole(&file, model_path); /* and a whole model in place of shard 0 */
    path_of(a, "shard-0.gguf");
    assert_int_equal(file_write(a, buffer_view(&file), 0644, NULL), STATUS_OK);
    path_of(a, "stray.gguf");
    assert_int_equal(file_write(a, buffer_view(&file), 0644, NULL), STATUS_OK);
    buffer_free(&file);
    struct verify_report r = verified();
    assert_int_equal(r.shards[0].presence, SHARD_FILE_INVALID);
    assert_int_equal(r.shards[0].seen.fault, SHARD_FAULT_NO_SHARD);
    assert_non_null(strstr(r.shards[0].note, "a whole model"));
    assert_int_equal(r.shards[1].presence, SHARD_FILE_INVALID);
    assert_int_equal(r.shards[1].seen.fault, SHARD_FAULT_MODEL);
    assert_int_equal(r.shards[2].presence, SHARD_FILE_EXISTS);
    assert_int_equal(r.n_near_misses, 1);
    assert_non_null(strstr(r.near_misses[0], "'stray.gguf'"));
    verify_report_free(&r);
    struct error err = {0};
    assert_int_equal(shards_merge(out_dir, merged_path, NULL, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "shard 0 of 4"));
}

static void test_verify_other_cut(void **state)
{
    (void)state;
    char a[200], kept[128];
    fresh_shards();
    path_of(a, "shard-1.gguf");
    snprintf(kept, sizeof kept, "%s/kept", dir);
    manifest_free(split_signed(model_path, 2));
    assert_int_equal(rename(a, kept), 0);
    fresh_shards();
    assert_int_equal(rename(kept, a), 0);
    struct verify_report r = verified();
    assert_int_equal(r.shards[1].seen.fault, SHARD_FAULT_SPAN);
    assert_non_null(strstr(r.shards[1].note, "another cut"));
    verify_report_free(&r);
}

/* The shards of an older version are right, its manifest is not. */
static void test_verify_other_arithmetic(void **state)
{
    (void)state;
    char path[200];
    fresh_shards();
    struct manifest *m = split_signed(model_path, 4);
    m->arithmetic--;
    assert_int_equal(manifest_sign(m, &owner, NULL), STATUS_OK);
    path_of(path, MANIFEST_FILE);
    assert_int_equal(file_write(path, manifest_text(m), 0644, NULL), STATUS_OK);
    struct verify_report r = verified();
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(r.shards[i].presence, SHARD_FILE_EXISTS);
    assert_true(r.tokenizer_ok);
    assert_non_null(strstr(r.manifest_note, "arithmetic"));
    assert_false(verify_report_is_good(&r));
    verify_report_free(&r);
    manifest_free(m);
}

static void test_verify_without_manifest(void **state)
{
    (void)state;
    char path[200];
    fresh_shards();
    path_of(path, MANIFEST_FILE);
    assert_int_equal(unlink(path), 0);
    struct verify_report r = verified();
    assert_int_equal(r.n_shards, 8);
    assert_null(r.manifest);
    assert_int_equal(r.shards[3].presence, SHARD_FILE_UNCHECKED);
    assert_int_equal(r.shards[4].presence, SHARD_FILE_MISSING);
    assert_false(verify_report_is_good(&r));
    verify_report_free(&r);
    struct error err;
    assert_int_equal(verify_folder(&r, "/nonexistent", NULL, &err), STATUS_NOT_FOUND);
}

static void test_merge_finds_damage(void **state)
{
    (void)state;
    struct error err = {0};
    fresh_shards();
    unlink(merged_path);
    flip_byte("shard-2.gguf", -40);
    assert_int_equal(shards_merge(out_dir, merged_path, NULL, &err), STATUS_BAD_DATA);
    assert_non_null(strstr(err.text, "shoal verify"));
    assert_int_equal(access(merged_path, F_OK), -1); /* nothing appears */
    fresh_shards();                                  /* a damaged copy beside the good one does no harm */
    char good[200], copy[200];
    struct buffer shard_2;
    path_of(good, "shard-2.gguf");
    path_of(copy, "a-copy.gguf");
    read_whole(&shard_2, good);
    assert_int_equal(file_write(copy, buffer_view(&shard_2), 0644, NULL), STATUS_OK);
    buffer_free(&shard_2);
    flip_byte("a-copy.gguf", -40);
    assert_int_equal(shards_merge(out_dir, merged_path, NULL, &err), STATUS_OK);
    check_same_files(model_path, merged_path);
    unlink(merged_path);
    char part[140], shard[200];
    snprintf(part, sizeof part, "%s.part", merged_path);
    assert_int_equal(access(part, F_OK), -1);
    fresh_shards();
    path_of(shard, "shard-1.gguf");
    assert_int_equal(shards_merge(out_dir, shard, NULL, &err), STATUS_BAD_USAGE);
    path_of(shard, TOKENIZER_FILE);
    assert_int_equal(unlink(shard), 0);
    assert_int_equal(shards_merge(out_dir, merged_path, NULL, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, TOKENIZER_FILE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_good_folder),      cmocka_unit_test(test_verify_names_what_is_wrong),
        cmocka_unit_test(test_verify_by_content),       cmocka_unit_test(test_verify_other_models),
        cmocka_unit_test(test_verify_other_arithmetic), cmocka_unit_test(test_verify_other_cut),
        cmocka_unit_test(test_verify_without_manifest), cmocka_unit_test(test_merge_finds_damage),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
