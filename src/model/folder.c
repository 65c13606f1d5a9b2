#include "model/folder.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
