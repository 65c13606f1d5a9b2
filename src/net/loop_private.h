/* What loop.c and folder.c share. */
#ifndef NET_LOOP_PRIVATE_H
#define NET_LOOP_PRIVATE_H

#include "net/loop.h"

struct folders; /* the process's inotify instance and its watches */
struct folders **loop_folders(struct loop *loop);
void folders_free(struct folders *folders);

#endif
