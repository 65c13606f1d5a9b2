/* What the files of net share about the loop. */
#ifndef NET_LOOP_PRIVATE_H
#define NET_LOOP_PRIVATE_H

#include "net/loop.h"

struct folders; /* the process's inotify instance and its watches */
struct folders **loop_folders(struct loop *loop);
void folders_free(struct folders *folders);

/* Something that outlives its owner for a while; loop_free makes what is left leave. */
struct loop_guest {
    void (*leave)(struct loop_guest *guest); /* removes and frees it */
    struct loop_guest *next, **before;
};
void loop_guest_add(struct loop *loop, struct loop_guest *guest);
void loop_guest_remove(struct loop_guest *guest); /* not added: fine */

#endif
