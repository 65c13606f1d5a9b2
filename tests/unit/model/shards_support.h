/* A model, a folder of its shards, and what several tests do with them. */
#ifndef TEST_SHARDS_SUPPORT_H
#define TEST_SHARDS_SUPPORT_H

#include "gguf_raw.h"

#include "base/file.h"
#include "model/folder.h"
#include "model/shards.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/shoal-test-shards-XXXXXX";
static char model_path[128], out_dir[128], merged_path[128];
static struct key_pair owner;

static inline int start(void **state)
{
    if (raw_start(state) || !mkdtemp(dir))
        return -1;
    key_pair_new(&owner);
    snprintf(model_path, sizeof model_path, "%s/model.gguf", dir);
    snprintf(out_dir, sizeof out_dir, "%s/shards", dir);
    snprintf(merged_path, sizeof merged_path, "%s/merged.gguf", dir);
    return 0;
}

static inline void empty_folder(const char *path)
{
    struct folder_list list;
    if (folder_list_read(&list, path, NULL))
        return;
    for (size_t i = 0; i < list.n; i++) {
        char *file = shards_path(path, list.names[i]);
        unlink(file);
        mem_free(file);
    }
    folder_list_free(&list);
}

static inline int stop(void **state)
{
    (void)state;
    empty_folder(out_dir);
    rmdir(out_dir);
    empty_folder(dir);
    return rmdir(dir);
}

static inline void read_whole(struct buffer *b, const char *path)
{
    struct error err;
    buffer_init(b, 0);
    if (file_read(b, path, BUFFER_MAX_DEFAULT / 2, &err))
        fail_msg("%s", err.text);
}

static inline void write_model(const struct raw_model *m)
{
    struct buffer b;
    buffer_init(&b, 0);
    raw_model_build(&b, m);
    assert_int_equal(file_write(model_path, buffer_view(&b), 0644, NULL), STATUS_OK);
    buffer_free(&b);
}

/* Splits into a clean folder and signs, with hashes in place of the engine's truth. */
static inline struct manifest *split_signed(const char *model, uint32_t n_shards)
{
    struct split_options options = {.model = model, .out_dir = out_dir, .n_shards = n_shards};
    struct manifest *m = NULL;
    struct error err = {0};
    empty_folder(out_dir);
    if (shards_split(&m, &options, &err))
        fail_msg("splitting '%s': %s", model, err.text);
    struct shard_truth truth = {.n_shards = m->n_shards};
    truth.states = mem_array(m->n_shards, sizeof *truth.states);
    truth.self_tests = mem_array(m->n_shards, sizeof *truth.self_tests);
    manifest_set_truth(m, &truth);
    shard_truth_free(&truth);
    assert_int_equal(manifest_sign(m, &owner, &err), STATUS_OK);
    char *path = shards_path(out_dir, MANIFEST_FILE);
    assert_int_equal(manifest_save(m, path, &err), STATUS_OK);
    mem_free(path);
    return m;
}

static inline void check_same_files(const char *a, const char *b)
{
    struct buffer one, two;
    read_whole(&one, a);
    read_whole(&two, b);
    assert_int_equal(one.size, two.size);
    for (size_t i = 0; i < one.size; i++)
        if (one.data[i] != two.data[i])
            fail_msg("'%s' and '%s' differ at byte %zu", a, b, i);
    buffer_free(&one);
    buffer_free(&two);
}

static inline void path_of(char out[200], const char *file)
{
    snprintf(out, 200, "%s/%s", out_dir, file);
}

static inline void fresh_shards(void)
{
    struct raw_model m = raw_model_small();
    write_model(&m);
    manifest_free(split_signed(model_path, 4));
}

#endif
