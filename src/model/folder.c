#include "model/folder.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MODELS_TOLD_MAX 3

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void append(struct folder_list *list, size_t *capacity, const char *name)
{
    if (list->n == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 32;
        list->names = mem_resize(list->names, *capacity, sizeof *list->names);
    }
    list->names[list->n++] = mem_string(name);
}

enum status folder_list_read(struct folder_list *out, const char *path, struct error *err)
{
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT && err)
        return folder_lacks(path, err);
    if (!dir)
        return error_set_errno(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "the folder '%s'",
                               path);
    struct folder_list list = {0};
    size_t capacity = 0;
    const struct dirent *entry;
    while (list.n < FOLDER_NAMES_MAX && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            append(&list, &capacity, entry->d_name);
    closedir(dir);
    if (list.n == FOLDER_NAMES_MAX) {
        folder_list_free(&list);
        return error_set(err, STATUS_LIMIT, "the folder '%s' has more than %d files", path, FOLDER_NAMES_MAX);
    }
    if (list.n)
        qsort(list.names, list.n, sizeof *list.names, by_name);
    *out = list;
    return STATUS_OK;
}

void folder_list_free(struct folder_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        mem_free(list->names[i]);
    mem_free(list->names);
    *list = (struct folder_list){0};
}

bool folder_name_ends(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

/* The first names that end in .gguf, and how many more there are; "": none. For mem_free. */
static char *models_of(const struct folder_list *list)
{
    struct buffer out;
    size_t n = 0;
    buffer_init(&out, 0);
    for (size_t i = 0; i < list->n; i++)
        if (folder_name_ends(list->names[i], ".gguf") && n++ < MODELS_TOLD_MAX)
            buffer_format(&out, n > 1 ? ", '%.100s'" : "'%.100s'", list->names[i]);
    if (n > MODELS_TOLD_MAX)
        buffer_format(&out, " and %zu more", n - MODELS_TOLD_MAX);
    return buffer_take_string(&out);
}

enum status folder_lacks(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == path ? mem_string("/")
                : slash       ? mem_format("%.*s", (int)(slash - path), path)
                              : mem_string(".");
    struct folder_list list = {0};
    bool has_dir = folder_list_read(&list, dir, NULL) == STATUS_OK;
    char *models = models_of(&list);
    const char *form =
        !has_dir  ? "the folder '%s' is not there either%s"
        : *models ? "the folder '%s' has %s"
                  : "the folder '%s' has no .gguf file%s; give the path of a model or of a folder of shards";
    char *remedy = mem_format(form, dir, models);
    (void)error_set(err, STATUS_NOT_FOUND, "opening '%.200s': %s; %s", path, strerror(ENOENT), remedy);
    mem_free(remedy);
    folder_list_free(&list);
    mem_free(models);
    mem_free(dir);
    return STATUS_NOT_FOUND;
}
