/* manifests - which manifest and tokenizer this node has, and how it gets them: from the shards folder, from
 * its state folder, from any peer (GET_MANIFEST, GET_TOKENIZER), each checked by signature, owner, hash
 * and arithmetic before it counts. Both are kept in the state folder, so that copying nothing but shard files
 * to a node is enough. Owner: the node. Thread: loop. */
#ifndef NODE_MANIFESTS_H
#define NODE_MANIFESTS_H

#include "node/commands.h"
#include "node/disk.h"
#include "swarm/roster.h"

#define TOKENIZER_BYTES_MAX ((size_t)64 << 20)

struct manifests;

struct manifests_config {
    const char *shards_dir, *state_dir; /* copied */
    const char *shards_place; /* shards_dir from the root on, for commands to paste; copied; NULL: as it is */
    struct public_key owner;  /* zero: any owner's is taken */
    uint32_t arithmetic;      /* ours: another's results would never be those of this machine */
};

struct manifests *manifests_new(const struct clock *clock, const struct disk *disk, struct commands *commands,
                                const struct roster *roster, const struct manifests_config *config,
                                void (*changed)(void *ctx), void *ctx);
void manifests_free(struct manifests *manifests);
void manifests_start(struct manifests *manifests);
/* The shards folder changed, or the roster: looks again, asks peers for what is missing. */
void manifests_look(struct manifests *manifests);
void manifests_consider(struct manifests *manifests);
/* True once the local folders have been read. */
bool manifests_settled(const struct manifests *manifests);

const struct manifest *manifests_current(const struct manifests *manifests); /* NULL: none */
const char *manifests_tokenizer_path(const struct manifests *manifests);     /* NULL: not here */
/* `like`: of a shard file that is here, whose model and split the right manifest has; NULL: none. */
void manifests_explain(const struct manifests *manifests, const struct shard_file *like,
                       struct finding_list *out); /* MANIFEST_INVALID */
/* The command that takes a manifest of our owner from wherever it lies on this machine; for mem_free. */
char *manifests_action(const struct manifests *manifests, const struct shard_file *like);

#endif
