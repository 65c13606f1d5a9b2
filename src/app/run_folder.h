/* run_folder - where the processes of one user find each other on this machine: $XDG_RUNTIME_DIR/shoal, or
 * /tmp/shoal-UID, 0700; one file a process (ROLE-PID.json) with the URL of its API and its access token. Files
 * of processes that are gone are removed by whoever meets them. */
#ifndef APP_RUN_FOLDER_H
#define APP_RUN_FOLDER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define ACCESS_TOKEN_BYTES 65 /* 64 hex digits and a NUL */

struct run_entry {
    char url[128];
    char token[ACCESS_TOKEN_BYTES];
    char role[16]; /* "serve", "node", "entry", "seed" */
    int pid;
    uint16_t port; /* of links and the DHT; 0: not known */
};

/* Makes the folder, draws a token into entry->token and fills in the pid. REFUSED: the folder belongs to
 * somebody else. */
enum status run_folder_prepare(struct run_entry *entry, struct error *err);
/* Writes the file: the URL is known. */
enum status run_folder_publish(const struct run_entry *entry, struct error *err);
void run_folder_retract(const struct run_entry *entry);
/* A serve first, then a node, then any other; the lowest pid of those. NOT_FOUND: none runs here. */
enum status run_folder_find(struct run_entry *out, struct error *err);
/* All that run, in that order; how many. */
size_t run_folder_list(struct run_entry *out, size_t max);
/* The process here whose links or API have this port. The kernel does not tell: our processes keep their
 * secrets from others of the same user, their descriptors with them. */
bool run_folder_holder(struct run_entry *out, uint16_t port);

/* The folder's path, a block for mem_free; made if need be. REFUSED: it is not ours alone. */
enum status run_folder_open(char **out_path, struct error *err);

#endif
