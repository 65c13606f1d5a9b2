/* credentials - what makes a process a member of a swarm: the 32-byte swarm key, the owner's public
 * key, and the cluster's name; and how they are made (init), kept and carried (join token).
 *
 * Token: shoal1:HOST:PORT/CLUSTER/KEY, KEY = base64url of swarm key and owner's public key (64 bytes).
 * Files in $XDG_CONFIG_HOME/shoal/ (0700): swarm.key (JSON: key, owner, cluster, host, port), owner.key
 * (the owner's pair); both 0600, owner checked. The struct is secret: wipe with credentials_wipe. */
#ifndef SWARM_CREDENTIALS_H
#define SWARM_CREDENTIALS_H

#include "base/crypto.h"

#define CLUSTER_NAME_MAX   63 /* letters, digits, '.', '_', '-' */
#define CLUSTER_DEFAULT    "llama-cluster"
#define ENTRY_PORT_DEFAULT 7400

struct credentials {
    struct shared_key swarm_key;
    struct public_key owner; /* zero: the owner is not known */
    char cluster[CLUSTER_NAME_MAX + 1];
    char entry_host[256]; /* "" : none */
    uint16_t entry_port;
};

/* Keys derived from the swarm key, one for each purpose (SECURITY section 1). */
struct swarm_keys {
    struct shared_key link_psk; /* TLS 1.3 external PSK */
    struct shared_key dht_mac;  /* datagrams */
    struct shared_key announce; /* sealing of announcements */
    struct shared_key lookup;   /* DHT keys: keyed hash of cluster and shard */
    struct shared_key torrent;  /* salt of info dictionaries */
};
void credentials_derive(struct swarm_keys *out, const struct credentials *credentials);

/* `text` is a token, "-" (one line of stdin) or "@FILE". Errors name the part that is wrong, never the key. */
enum status credentials_parse_token(struct credentials *out, const char *text, struct error *err);
char *credentials_token(const struct credentials *credentials); /* a block for mem_free, to be wiped */
bool cluster_name_is_valid(const char *name);

/* The folder $XDG_CONFIG_HOME/shoal or ~/.config/shoal; a block for mem_free. */
char *credentials_folder(void);
/* Reads swarm.key (or the file named). NOT_FOUND: none yet; REFUSED: mode or owner of the file. */
enum status credentials_load(struct credentials *out, const char *file, struct error *err);
/* Writes swarm.key atomically with mode 0600; makes the folder. */
enum status credentials_save(const struct credentials *credentials, struct error *err);
/* `init`: makes what is missing (swarm key, owner pair), keeps what is there. cluster and host NULL: as
 * stored, else the defaults; given ones replace what is stored, never the key. */
enum status credentials_init(struct credentials *out, const char *cluster, const char *host, uint16_t port,
                             struct error *err);
/* The owner's pair; makes it when there is none yet (`split` may come before `init`). */
enum status owner_pair_load_or_make(struct key_pair *out, struct error *err);
void credentials_wipe(struct credentials *credentials);

#endif
