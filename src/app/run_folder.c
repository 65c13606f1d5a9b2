#include "app/run_folder.h"

#include "base/crypto.h"
#include "base/jv.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *folder_path(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && *runtime)
        return mem_format("%s/shoal", runtime);
    return mem_format("/tmp/shoal-%u", (unsigned)getuid());
}

enum status run_folder_open(char **out_path, struct error *err)
{
    char *path = folder_path();
    struct stat st;
    enum status status = STATUS_OK;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        status = error_set_errno(err, STATUS_IO, errno, "the run folder '%s' cannot be made", path);
    else if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        status = error_set(err, STATUS_REFUSED, "the run folder '%s' is no folder", path);
    else if (st.st_uid != getuid() || (st.st_mode & 077))
        status = error_set(err, STATUS_REFUSED,
                           "the run folder '%s' is not ours alone (owner %u, mode %03o); remove it, or set "
                           "XDG_RUNTIME_DIR",
                           path, (unsigned)st.st_uid, (unsigned)st.st_mode & 0777);
    if (status) {
        mem_free(path);
        return status;
    }
    *out_path = path;
    return STATUS_OK;
}

static enum status write_entry(const char *path, const struct run_entry *entry, struct error *err)
{
    struct jv *json = jv_object_new();
    jv_set_text(json, "role", entry->role);
    jv_set_int(json, "pid", entry->pid);
    jv_set_text(json, "url", entry->url);
    jv_set_text(json, "token", entry->token);
    jv_set_int(json, "port", entry->port);
    char *text = jv_print(json, JV_INDENTED), *part = mem_format("%s.part", path);
    enum status status = STATUS_OK;
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t n = strlen(text);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n || close(fd) != 0 || rename(part, path) != 0)
        status = error_set_errno(err, STATUS_IO, errno, "writing '%s'", path);
    crypto_wipe(text, n);
    mem_free(text);
    mem_free(part);
    jv_free(json);
    return status;
}

enum status run_folder_prepare(struct run_entry *entry, struct error *err)
{
    uint8_t token[(ACCESS_TOKEN_BYTES - 1) / 2];
    char *folder;
    enum status status = run_folder_open(&folder, err);
    if (status)
        return status;
    mem_free(folder);
    crypto_random(token, sizeof token);
    hex_encode(entry->token, token, sizeof token);
    entry->pid = (int)getpid();
    return STATUS_OK;
}

enum status run_folder_publish(const struct run_entry *entry, struct error *err)
{
    char *folder;
    enum status status = run_folder_open(&folder, err);
    if (status)
        return status;
    char *path = mem_format("%s/%s-%d.json", folder, entry->role, entry->pid);
    status = write_entry(path, entry, err);
    mem_free(path);
    mem_free(folder);
    return status;
}

void run_folder_retract(const struct run_entry *entry)
{
    char *folder = folder_path(), *path = mem_format("%s/%s-%d.json", folder, entry->role, entry->pid);
    if (entry->pid == (int)getpid())
        unlink(path);
    mem_free(path);
    mem_free(folder);
}

static bool copy_text(char *out, size_t size, const struct jv *json, const char *key)
{
    const char *text = jv_get_text(json, key, NULL);
    if (!text || strlen(text) >= size)
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_entry(struct run_entry *out, const char *path)
{
    uint8_t data[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, data, sizeof data);
    close(fd);
    struct jv *json;
    if (n <= 0 || jv_parse(&json, bytes_of(data, (size_t)n), NULL, NULL))
        return false;
    int64_t pid = jv_get_int(json, "pid", 0);
    bool ok = pid > 0 && pid < INT32_MAX && copy_text(out->url, sizeof out->url, json, "url") &&
              copy_text(out->token, sizeof out->token, json, "token") &&
              copy_text(out->role, sizeof out->role, json, "role");
    int64_t port = jv_get_int(json, "port", 0);
    out->pid = (int)pid;
    out->port = port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
    jv_free(json);
    return ok;
}

static int rank(const struct run_entry *entry)
{
    return strcmp(entry->role, "serve") == 0 ? 0 : strcmp(entry->role, "node") == 0 ? 1 : 2;
}

/* Calls fn for the entries of live processes until it returns false; removes those of others. */
static void each_entry(const char *folder, bool (*fn)(void *arg, const struct run_entry *entry), void *arg)
{
    DIR *dir = opendir(folder);
    bool goes_on = true;
    for (struct dirent *row; dir && goes_on && (row = readdir(dir));) {
        struct run_entry entry;
        size_t n = strlen(row->d_name);
        if (n < 6 || strcmp(row->d_name + n - 5, ".json") != 0)
            continue;
        char *path = mem_format("%s/%s", folder, row->d_name);
        if (!read_entry(&entry, path) || (kill(entry.pid, 0) != 0 && errno == ESRCH))
            unlink(path);
        else
            goes_on = fn(arg, &entry);
        mem_free(path);
    }
    if (dir)
        closedir(dir);
}

struct search {
    struct run_entry *out;
    uint16_t port;
    bool found;
};

static bool take_better(void *arg, const struct run_entry *entry)
{
    struct search *search = arg;
    int difference = search->found ? rank(entry) - rank(search->out) : -1;
    if (difference < 0 || (difference == 0 && entry->pid < search->out->pid))
        *search->out = *entry;
    search->found = true;
    return true;
}

enum status run_folder_find(struct run_entry *out, struct error *err)
{
    char *folder;
    enum status status = run_folder_open(&folder, err);
    if (status)
        return status;
    struct search search = {.out = out};
    each_entry(folder, take_better, &search);
    if (!search.found)
        status = error_set(
            err, STATUS_NOT_FOUND,
            "no shoal process of this user runs on this machine (looked in %s); start one with `shoal node` "
            "or `shoal demo`, or give --api URL",
            folder);
    mem_free(folder);
    return status;
}

struct listing {
    struct run_entry *out;
    size_t n, max;
};

static bool take_in_order(void *arg, const struct run_entry *entry)
{
    struct listing *l = arg;
    size_t at = l->n;
    while (at && (rank(entry) < rank(&l->out[at - 1]) ||
                  (rank(entry) == rank(&l->out[at - 1]) && entry->pid < l->out[at - 1].pid)))
        at--;
    if (l->n < l->max)
        l->n++;
    else if (at == l->max)
        return true;
    memmove(&l->out[at + 1], &l->out[at], (l->n - at - 1) * sizeof *l->out);
    l->out[at] = *entry;
    return true;
}

size_t run_folder_list(struct run_entry *out, size_t max)
{
    char *folder;
    if (run_folder_open(&folder, NULL))
        return 0;
    struct listing listing = {.out = out, .max = max};
    each_entry(folder, take_in_order, &listing);
    mem_free(folder);
    return listing.n;
}

static bool take_holder(void *arg, const struct run_entry *entry)
{
    struct search *search = arg;
    const char *colon = strrchr(entry->url, ':');
    search->found = entry->port == search->port || (colon && strtoul(colon + 1, NULL, 10) == search->port);
    if (search->found)
        *search->out = *entry;
    return !search->found;
}

bool run_folder_holder(struct run_entry *out, uint16_t port)
{
    char *folder;
    if (run_folder_open(&folder, NULL))
        return false;
    struct search search = {.out = out, .port = port};
    each_entry(folder, take_holder, &search);
    mem_free(folder);
    return search.found;
}
