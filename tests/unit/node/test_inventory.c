/* Which file is which shard: a table of folders and what they mean. */
#include "base/mem.h"
#include "node/inventory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define N 3

static struct sha256 hash_of(const char *text)
{
    return sha256_of(text, strlen(text));
}

static struct manifest *make_manifest(void)
{
    struct manifest *m = manifest_new(N);
    snprintf(m->name, sizeof m->name, "tiny");
    m->fingerprint = hash_of("model");
    for (uint32_t id = 0; id < N; id++) {
        char content[] = "content 0";
        content[8] = (char)('0' + id);
        m->shards[id].id = id;
        snprintf(m->shards[id].file, sizeof m->shards[id].file, "shard-%u.gguf", id);
        m->shards[id].bytes = 100 + id;
        m->shards[id].sha256 = hash_of(content);
        m->shards[id].span = (struct span){.first_layer = id, .end_layer = id + 1};
    }
    return m;
}

/* A good file of shard `id`, not hashed. */
static struct disk_file good(const char *name, uint32_t id)
{
    struct disk_file file = {.bytes = 100 + id, .stamp = 7 + id, .is_settled = true};
    snprintf(file.name, sizeof file.name, "%s", name);
    file.seen = (struct shard_file){.is_shard = true,
                                    .id = id,
                                    .count = N,
                                    .span = {.first_layer = id, .end_layer = id + 1},
                                    .fingerprint = hash_of("model")};
    return file;
}

static struct disk_file hashed(const char *name, uint32_t id, const char *content)
{
    struct disk_file file = good(name, id);
    file.hash_known = true;
    file.sha256 = hash_of(content);
    return file;
}

static struct disk_file faulty(const char *name, enum shard_fault fault)
{
    struct disk_file file = {.bytes = 5, .is_settled = true, .seen = {.fault = fault}};
    snprintf(file.name, sizeof file.name, "%s", name);
    snprintf(file.seen.why, sizeof file.seen.why, "because");
    return file;
}

static bool list(struct inventory *inventory, const struct disk_file *files, size_t n)
{
    return inventory_set_listing(inventory,
                                 &(struct disk_listing){.files = files, .n_files = n, .free_bytes = 1000});
}

static void check(const struct inventory *inventory, uint32_t id, enum inventory_presence presence,
                  const char *name, const char *note)
{
    const struct inventory_found *found = inventory_find(inventory, id);
    assert_int_equal(found->presence, presence);
    if (name)
        assert_string_equal(found->file->name, name);
    else
        assert_null(found->file);
    if (note && !strstr(found->note, note))
        fail_msg("'%s' is not in: %s", note, found->note);
}

static void test_each_kind_of_file(void **state)
{
    (void)state;
    struct inventory *inventory = inventory_new();
    struct manifest *manifest = make_manifest();
    inventory_set_manifest(inventory, manifest);
    check(inventory, 0, INVENTORY_MISSING, NULL, NULL);
    assert_int_equal(inventory_n(inventory), N);

    struct disk_file file = good("shard-0.gguf", 0);
    assert_true(list(inventory, &file, 1));
    check(inventory, 0, INVENTORY_UNCHECKED, "shard-0.gguf", NULL);
    assert_false(list(inventory, &file, 1));

    struct sha256 right = hash_of("content 0"), wrong = hash_of("other");
    assert_false(inventory_set_hash(inventory, "shard-0.gguf", 99, &right)); /* of an older file */
    check(inventory, 0, INVENTORY_UNCHECKED, "shard-0.gguf", NULL);
    assert_true(inventory_set_hash(inventory, "shard-0.gguf", file.stamp, &right));
    check(inventory, 0, INVENTORY_VERIFIED, "shard-0.gguf", NULL);
    assert_false(list(inventory, &file, 1)); /* the hash stays with the stamp */
    check(inventory, 0, INVENTORY_VERIFIED, "shard-0.gguf", NULL);
    file.stamp++;
    assert_true(list(inventory, &file, 1));
    check(inventory, 0, INVENTORY_UNCHECKED, "shard-0.gguf", NULL);
    inventory_set_hash(inventory, "shard-0.gguf", file.stamp, &wrong);
    check(inventory, 0, INVENTORY_INVALID, "shard-0.gguf", "right size but other content");
    assert_int_equal(inventory_find(inventory, 0)->fault, SHARD_FAULT_HASH);

    file.is_settled = false;
    list(inventory, &file, 1);
    check(inventory, 0, INVENTORY_UNSETTLED, "shard-0.gguf", NULL);
    file = faulty("shard-0.gguf", SHARD_FAULT_UNREADABLE);
    file.sys_errno = EACCES;
    list(inventory, &file, 1);
    check(inventory, 0, INVENTORY_UNREADABLE, "shard-0.gguf", "because");
    file = faulty("shard-0.gguf", SHARD_FAULT_NO_SHARD);
    list(inventory, &file, 1);
    check(inventory, 0, INVENTORY_INVALID, "shard-0.gguf", "because");
    assert_true(list(inventory, NULL, 0));
    check(inventory, 0, INVENTORY_MISSING, NULL, NULL);
    check(inventory, 4000000000u, INVENTORY_MISSING, NULL, NULL);
    inventory_free(inventory);
    manifest_free(manifest);
}

static void test_the_best_of_several_counts(void **state)
{
    (void)state;
    struct inventory *inventory = inventory_new();
    struct manifest *manifest = make_manifest();
    inventory_set_manifest(inventory, manifest);
    struct disk_file files[] = {
        hashed("copy.gguf", 0, "content 0"),
        faulty("damaged.gguf", SHARD_FAULT_DAMAGED), /* of nobody knows which: nobody's business */
        good("foreign.gguf", 2),                     /* of another model, under a name of its own */
        good("shard-0.gguf", 1),                     /* holds shard 1 */
        hashed("shard-1.gguf", 1, "garbage"),
    };
    files[2].seen.fingerprint = hash_of("another model");
    list(inventory, files, 5);
    check(inventory, 0, INVENTORY_VERIFIED, "copy.gguf", NULL);
    assert_true(inventory_find(inventory, 0)->other_name);
    check(inventory, 1, INVENTORY_UNCHECKED, "shard-0.gguf", NULL);
    check(inventory, 2, INVENTORY_MISSING, NULL, NULL);
    struct sha256 right = hash_of("content 1");
    inventory_set_hash(inventory, "shard-0.gguf", files[3].stamp, &right);
    check(inventory, 1, INVENTORY_VERIFIED, "shard-0.gguf", NULL);
    files[1] = hashed("copy2.gguf", 1, "garbage"); /* this model's, damaged, under another name: a near miss */
    files[3] = good("shard-0.gguf", 0);
    files[3].bytes = 50;
    list(inventory, files, 4);
    check(inventory, 0, INVENTORY_VERIFIED, "copy.gguf", NULL);
    check(inventory, 1, INVENTORY_INVALID, "copy2.gguf", "other content");
    inventory_free(inventory);
    manifest_free(manifest);
}

static void test_without_a_manifest(void **state)
{
    (void)state;
    struct inventory *inventory = inventory_new();
    struct disk_file files[] = {good("a.gguf", 5), faulty("shard-2.gguf", SHARD_FAULT_NOT_GGUF),
                                hashed("shard-7.gguf", 7, "x")};
    list(inventory, files, 3);
    assert_int_equal(inventory_n(inventory), 8);
    check(inventory, 5, INVENTORY_UNCHECKED, "a.gguf", NULL);
    check(inventory, 2, INVENTORY_INVALID, "shard-2.gguf", "because");
    check(inventory, 7, INVENTORY_UNCHECKED, "shard-7.gguf", NULL); /* never verified */
    check(inventory, 0, INVENTORY_MISSING, NULL, NULL);
    struct manifest *manifest = make_manifest();
    inventory_set_manifest(inventory, manifest);
    assert_int_equal(inventory_n(inventory), N);
    check(inventory, 2, INVENTORY_INVALID, "shard-2.gguf", NULL);
    inventory_set_manifest(inventory, NULL);
    check(inventory, 5, INVENTORY_UNCHECKED, "a.gguf", NULL);
    inventory_free(inventory);
    manifest_free(manifest);
}

static void test_parts_are_only_counted(void **state)
{
    (void)state;
    struct inventory *inventory = inventory_new();
    struct disk_file part = good("shard-0.gguf", 0);
    part.is_part = true;
    part.bytes = 4096;
    list(inventory, &part, 1);
    check(inventory, 0, INVENTORY_MISSING, NULL, NULL);
    assert_int_equal(inventory_part_bytes(inventory, "shard-0.gguf"), 4096);
    assert_int_equal(inventory_part_bytes(inventory, "shard-1.gguf"), 0);
    assert_int_equal(inventory_free_bytes(inventory), 1000);
    inventory_free(inventory);
}

/* 4,096 shards and 20,000 files are looked at in one pass. */
static void test_a_large_folder(void **state)
{
    (void)state;
    struct inventory *inventory = inventory_new();
    struct manifest *manifest = manifest_new(MANIFEST_SHARDS_MAX);
    size_t n = 20000;
    struct disk_file *files = mem_array(n, sizeof *files);
    for (uint32_t id = 0; id < MANIFEST_SHARDS_MAX; id++) {
        manifest->shards[id].id = id;
        snprintf(manifest->shards[id].file, sizeof manifest->shards[id].file, "f%08u.gguf", id);
        manifest->shards[id].bytes = 100 + id;
    }
    for (uint32_t i = 0; i < n; i++) {
        files[i] = good("", i);
        snprintf(files[i].name, sizeof files[i].name, "f%08u.gguf", i);
        files[i].seen.count = MANIFEST_SHARDS_MAX;
        files[i].seen.span = (struct span){0};
        files[i].seen.fingerprint = (struct sha256){{0}};
    }
    inventory_set_manifest(inventory, manifest);
    assert_true(list(inventory, files, n));
    check(inventory, 4095, INVENTORY_UNCHECKED, "f00004095.gguf", NULL);
    mem_free(files);
    inventory_free(inventory);
    manifest_free(manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_kind_of_file),  cmocka_unit_test(test_the_best_of_several_counts),
        cmocka_unit_test(test_without_a_manifest), cmocka_unit_test(test_parts_are_only_counted),
        cmocka_unit_test(test_a_large_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
