/* demo_box - the private folder of a demo: a swarm key of its own, the model cut into shards, and for each node
 * a folder with its own shard files and nothing of the others'. Everything a process of the demo keeps (key,
 * identities, run folder) is inside, and goes with it. */
#ifndef APP_DEMO_BOX_H
#define APP_DEMO_BOX_H

#include "app/demo_children.h"

#define DEMO_NODES_MAX 64

struct demo_box {
    char *folder; /* NULL: not made */
    char *model_path;
    char model_name[128];
    uint32_t n_layers, n_shards, n_nodes;
    uint16_t entry_port, http_port; /* http_port 0: any free */
};

/* The file given, else the model in the box: beside this program's repository, or where it was installed. */
enum status demo_box_find_model(struct demo_box *box, const char *given, struct error *err);
/* Makes the folder (0700) and points this process's XDG_ variables into it; clears other SHOAL_ settings. */
enum status demo_box_make(struct demo_box *box, struct error *err);
/* Splits the model in a child process and gives each node its shards. */
enum status demo_box_split(struct demo_box *box, struct demo_children *children, uint32_t n_nodes_wanted,
                           struct error *err);
/* Starts entry, nodes and serve. */
enum status demo_box_start(const struct demo_box *box, struct demo_children *children, struct error *err);
/* [*first, *end): the shards of a node. */
void demo_box_shards_of(const struct demo_box *box, uint32_t node, uint32_t *first, uint32_t *end);
/* Removes the folder. */
void demo_box_remove(struct demo_box *box);

#endif
