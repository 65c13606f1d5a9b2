#include "app/failed_start.h"

#include "app/run_folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BYTES_MAX 16384
#define RECORD_PREFIX    "failed-"
#define RECORD_SUFFIX    ".start"

/* Seconds since the machine started: the same in all processes, and no clock step moves it. */
static int64_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

static void set_path(struct jv *json, const char *key, const char *path)
{
    char absolute[PATH_MAX];
    const char *given = path ? path : "";
    jv_set_text(json, key, *given && realpath(given, absolute) ? absolute : given);
}

static struct jv *describe(const struct failed_start *start)
{
    struct jv *json = jv_object_new(), *shards = jv_array_new();
    jv_set_text(json, "code", finding_code_name(start->code));
    jv_set_text(json, "role", start->role);
    jv_set_text(json, "cause", start->cause ? start->cause : "");
    jv_set_text(json, "action", start->action ? start->action : "");
    jv_set_text(json, "command", start->command ? start->command : "");
    set_path(json, "state_dir", start->state_dir);
    set_path(json, "shards_dir", start->shards_dir);
    set_path(json, "key_file", start->key_file);
    jv_set_int(json, "port", start->port);
    for (uint32_t i = 0; i < start->n_shard_ids; i++)
        jv_append(shards, jv_int_new(start->shard_ids[i]));
    jv_set(json, "shards", shards);
    return json;
}

static bool same_text(const struct jv *a, const struct jv *b, const char *key)
{
    return strcmp(jv_get_text(a, key, ""), jv_get_text(b, key, "")) == 0;
}

static bool same_shards(const struct jv *a, const struct jv *b)
{
    const struct jv *x = jv_get(a, "shards"), *y = jv_get(b, "shards");
    if (jv_count(x) != jv_count(y))
        return false;
    for (size_t i = 0; i < jv_count(x); i++)
        if (jv_int(jv_at(x, i), -1) != jv_int(jv_at(y, i), -2))
            return false;
    return same_text(a, b, "shards_dir");
}

/* Whether the process of `record` may be taken to run now, seeing that `good` started. */
static bool is_settled_by(const struct jv *record, const struct jv *good)
{
    if (strcmp(jv_get_text(record, "code", ""), finding_code_name(FINDING_KEY_MISSING)) == 0 &&
        same_text(record, good, "key_file"))
        return true;
    if (!same_text(record, good, "role"))
        return false;
    bool many_alike = strcmp(jv_get_text(good, "role", ""), "node") == 0 && !jv_count(jv_get(good, "shards"));
    return (*jv_get_text(record, "state_dir", "") && same_text(record, good, "state_dir")) ||
           (jv_get_int(record, "port", 0) && jv_get_int(record, "port", 0) == jv_get_int(good, "port", 0)) ||
           (!many_alike && same_shards(record, good));
}

/* --- files ----------------------------------------------------------------------------------------------- */

static bool is_record_name(const char *name)
{
    size_t n = strlen(name), n_suffix = strlen(RECORD_SUFFIX);
    return strncmp(name, RECORD_PREFIX, strlen(RECORD_PREFIX)) == 0 && n > n_suffix &&
           strcmp(name + n - n_suffix, RECORD_SUFFIX) == 0;
}

/* NULL: there is none, it is damaged, or its time is over (it is then removed). */
static struct jv *read_record(const char *path)
{
    struct buffer text;
    struct jv *json = NULL;
    buffer_init(&text, 0);
    enum finding_code code;
    if (file_read(&text, path, RECORD_BYTES_MAX, NULL) == STATUS_NOT_FOUND) {
        buffer_free(&text);
        return NULL;
    }
    bool ok = jv_parse(&json, buffer_view(&text), NULL, NULL) == STATUS_OK && jv_is_object(json);
    int64_t age_s = now_s() - jv_get_int(json, "last_s", INT64_MIN / 2);
    ok = ok && finding_code_parse(&code, jv_get_text(json, "code", "")) && age_s >= 0 &&
         age_s <= FAILED_START_KEPT_S;
    buffer_free(&text);
    if (ok)
        return json;
    unlink(path);
    jv_free(json);
    return NULL;
}

/* Calls fn for each record; true from it removes the file. */
static void each_record(const char *folder, bool (*fn)(void *arg, const char *path, struct jv *record),
                        void *arg)
{
    DIR *dir = opendir(folder);
    for (struct dirent *row; dir && (row = readdir(dir));) {
        if (!is_record_name(row->d_name))
            continue;
        char *path = mem_format("%s/%s", folder, row->d_name);
        struct jv *record = read_record(path);
        if (record && fn(arg, path, record))
            unlink(path);
        jv_free(record);
        mem_free(path);
    }
    if (dir)
        closedir(dir);
}

/* --- remembering ----------------------------------------------------------------------------------------- */

struct oldest {
    char *path;
    int64_t last_s;
    uint32_t n;
};

static bool find_oldest(void *arg, const char *path, struct jv *record)
{
    struct oldest *oldest = arg;
    int64_t last_s = jv_get_int(record, "last_s", 0);
    if (!oldest->n++ || last_s < oldest->last_s) {
        mem_free(oldest->path);
        oldest->path = mem_string(path);
        oldest->last_s = last_s;
    }
    return false;
}

static void make_room(const char *folder)
{
    struct oldest oldest = {0};
    each_record(folder, find_oldest, &oldest);
    if (oldest.n >= FAILED_STARTS_MAX)
        unlink(oldest.path);
    mem_free(oldest.path);
}

/* The same fault of the same process has the same name. */
static char *record_path(const char *folder, const struct jv *record)
{
    char *text = mem_format("%s|%s|%s|%s", jv_get_text(record, "code", ""), jv_get_text(record, "role", ""),
                            jv_get_text(record, "command", ""), jv_get_text(record, "state_dir", ""));
    struct sha256 hash = sha256_of(text, strlen(text));
    char hex[2 * SHA256_BYTES + 1];
    sha256_hex(hex, &hash);
    mem_free(text);
    return mem_format("%s/" RECORD_PREFIX "%.16s" RECORD_SUFFIX, folder, hex);
}

void failed_start_remember(const struct failed_start *failed)
{
    char *folder;
    if (run_folder_open(&folder, NULL))
        return;
    struct jv *json = describe(failed);
    char *path = record_path(folder, json);
    struct jv *before = read_record(path);
    if (!before)
        make_room(folder);
    jv_set_int(json, "pid", getpid());
    jv_set_int(json, "last_s", now_s());
    jv_set_int(json, "first_s", jv_get_int(before, "first_s", now_s()));
    jv_set_int(json, "times", jv_get_int(before, "times", 0) + 1);
    char *text = jv_print(json, JV_INDENTED);
    (void)file_write(path, bytes_of_text(text), 0600, NULL);
    mem_free(text);
    jv_free(before);
    jv_free(json);
    mem_free(path);
    mem_free(folder);
}

static bool drop_settled(void *arg, const char *path, struct jv *record)
{
    (void)path;
    return is_settled_by(record, arg);
}

void failed_start_settle(const struct failed_start *good)
{
    char *folder;
    if (run_folder_open(&folder, NULL))
        return;
    struct jv *json = describe(good);
    each_record(folder, drop_settled, json);
    jv_free(json);
    mem_free(folder);
}

/* --- telling --------------------------------------------------------------------------------------------- */

static const char *whom(const char *role)
{
    return strcmp(role, "node") == 0    ? "a node"
           : strcmp(role, "entry") == 0 ? "the entry"
           : strcmp(role, "serve") == 0 ? "the serve"
                                        : "a process";
}

static bool add_finding(void *arg, const char *path, struct jv *record)
{
    struct finding_list *list = arg;
    enum finding_code code;
    (void)path;
    if (!finding_code_parse(&code, jv_get_text(record, "code", "")))
        return true;
    const struct jv *shards = jv_get(record, "shards");
    int64_t times = jv_get_int(record, "times", 1), shard = FINDING_NO_SHARD;
    if (jv_count(shards) == 1)
        shard = jv_int(jv_at(shards, 0), FINDING_NO_SHARD);
    struct finding *f = finding_add(list, code, shard, NULL, "%s on this machine could not start: %s",
                                    whom(jv_get_text(record, "role", "")), jv_get_text(record, "cause", ""));
    if (!f)
        return false;
    f->since_ms = (uint64_t)jv_get_int(record, "first_s", 0) * 1000;
    finding_set_action(f, "%s", jv_get_text(record, "action", ""));
    struct jv *evidence = finding_evidence(f);
    jv_set_text(evidence, "role", jv_get_text(record, "role", ""));
    if (*jv_get_text(record, "command", ""))
        jv_set_text(evidence, "command", jv_get_text(record, "command", ""));
    if (jv_count(shards))
        jv_set(evidence, "shards", jv_copy(shards));
    jv_set_int(evidence, "times", times);
    jv_set_int(evidence, "pid", jv_get_int(record, "pid", 0));
    return false;
}

struct jv *failed_starts_list(void)
{
    char *folder;
    struct jv *array = jv_array_new();
    if (run_folder_open(&folder, NULL))
        return array;
    struct finding_list list = {0};
    each_record(folder, add_finding, &list);
    finding_list_sort(&list);
    for (uint32_t i = 0; i < list.n; i++)
        jv_append(array, finding_to_json(&list.items[i], (uint64_t)now_s() * 1000));
    finding_list_free(&list);
    mem_free(folder);
    return array;
}
