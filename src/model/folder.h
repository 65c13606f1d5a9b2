/* folder - the names in a folder, sorted. Thread: any. */
#ifndef MODEL_FOLDER_H
#define MODEL_FOLDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FOLDER_NAMES_MAX 65536

struct folder_list {
    char **names; /* owned */
    size_t n;
};

/* Without names that begin with a dot. NOT_FOUND or IO: the folder; LIMIT: more than FOLDER_NAMES_MAX. */
enum status folder_list_read(struct folder_list *out, const char *path, struct error *err);
void folder_list_free(struct folder_list *list);
bool folder_name_ends(const char *name, const char *ending);

/* Sets and returns NOT_FOUND: no file or folder is at `path`, and which models lie where it should be. */
enum status folder_lacks(const char *path, struct error *err);

#endif
