/* What the agent was asked for: kept, so that a new child can be told all of it. */
#include "base/mem.h"
#include "swarm/agent_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool key_equal(const struct agent_key *a, const struct agent_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static void torrent_free(struct agent_kept_torrent *t)
{
    mem_free(t->dir);
    mem_free(t->name);
    mem_free(t->file);
    mem_free(t->pieces);
    mem_free(t->salt);
    mem_free(t->peers);
    mem_free(t);
}

void agent_state_clear(struct agent_state *state)
{
    for (uint32_t i = 0; i < state->n_announced; i++)
        mem_free(state->announced[i].data);
    for (uint32_t i = 0; i < state->n_torrents; i++)
        torrent_free(state->torrents[i]);
    mem_free(state->bootstraps);
    mem_free(state->announced);
    mem_free(state->listens);
    mem_free(state->torrents);
    mem_free(state->members);
    *state = (struct agent_state){0};
}

static bool has_address(const struct address *list, uint32_t n, const struct address *address)
{
    for (uint32_t i = 0; i < n; i++)
        if (address_equal(&list[i], address))
            return true;
    return false;
}

bool agent_state_bootstrap(struct agent_state *state, const struct address *address)
{
    if (has_address(state->bootstraps, state->n_bootstraps, address))
        return true; /* asked for again: the child asks it at once */
    if (state->n_bootstraps >= AGENT_BOOTSTRAPS_MAX)
        return false;
    state->bootstraps = mem_resize(state->bootstraps, state->n_bootstraps + 1, sizeof *state->bootstraps);
    state->bootstraps[state->n_bootstraps++] = *address;
    return true;
}

static struct agent_announced *find_announced(const struct agent_state *state, const struct agent_key *key,
                                              uint64_t value_id)
{
    for (uint32_t i = 0; i < state->n_announced; i++)
        if (state->announced[i].value_id == value_id && key_equal(&state->announced[i].key, key))
            return &state->announced[i];
    return NULL;
}

bool agent_state_announce(struct agent_state *state, const struct agent_key *key, uint64_t value_id,
                          struct bytes stored)
{
    struct agent_announced *a = find_announced(state, key, value_id);
    if (stored.size < AGENT_VALUE_BYTES_MIN || stored.size > AGENT_VALUE_BYTES_MAX)
        return false;
    if (!a) {
        if (state->n_announced >= AGENT_ANNOUNCEMENTS_MAX)
            return false;
        state->announced = mem_resize(state->announced, state->n_announced + 1, sizeof *state->announced);
        a = &state->announced[state->n_announced++];
        *a = (struct agent_announced){.key = *key, .value_id = value_id};
    }
    mem_free(a->data);
    a->data = mem_copy(stored.data, stored.size);
    a->size = stored.size;
    return true;
}

bool agent_state_retract(struct agent_state *state, const struct agent_key *key, uint64_t value_id)
{
    struct agent_announced *a = find_announced(state, key, value_id);
    if (!a)
        return false;
    mem_free(a->data);
    *a = state->announced[--state->n_announced];
    return true;
}

static struct agent_key *find_listen(const struct agent_state *state, const struct agent_key *key)
{
    for (uint32_t i = 0; i < state->n_listens; i++)
        if (key_equal(&state->listens[i], key))
            return &state->listens[i];
    return NULL;
}

bool agent_state_listen(struct agent_state *state, const struct agent_key *key)
{
    if (find_listen(state, key) || state->n_listens >= AGENT_LISTENS_MAX)
        return false;
    state->listens = mem_resize(state->listens, state->n_listens + 1, sizeof *state->listens);
    state->listens[state->n_listens++] = *key;
    return true;
}

bool agent_state_unlisten(struct agent_state *state, const struct agent_key *key)
{
    struct agent_key *found = find_listen(state, key);
    if (!found)
        return false;
    *found = state->listens[--state->n_listens];
    return true;
}

void agent_state_members(struct agent_state *state, const struct address *members, size_t n)
{
    mem_free(state->members);
    state->members = mem_copy(members, n * sizeof *members);
    state->n_members = (uint32_t)n;
    state->has_members = true;
}

struct agent_kept_torrent *agent_state_torrent(const struct agent_state *state, const struct agent_key *id)
{
    for (uint32_t i = 0; i < state->n_torrents; i++)
        if (key_equal(&state->torrents[i]->id, id))
            return state->torrents[i];
    return NULL;
}

struct agent_kept_torrent *agent_state_torrent_add(struct agent_state *state,
                                                   const struct agent_torrent *torrent, const char *dir)
{
    if (state->n_torrents >= AGENT_TORRENTS_MAX)
        return NULL;
    struct agent_kept_torrent *t = mem_new(sizeof *t);
    t->id = torrent->id;
    t->dir = mem_string(dir);
    t->name = mem_string(torrent->name);
    t->file = torrent->file ? mem_string(torrent->file) : NULL;
    t->bytes = torrent->bytes;
    t->piece_bytes = torrent->piece_bytes;
    t->pieces_bytes = (size_t)torrent->n_pieces * 20;
    t->pieces = mem_copy(torrent->pieces, t->pieces_bytes);
    t->salt_bytes = torrent->salt_bytes;
    t->salt = mem_copy(torrent->salt, t->salt_bytes);
    t->is_fetch = torrent->is_fetch;
    state->torrents = mem_resize(state->torrents, state->n_torrents + 1, sizeof *state->torrents);
    state->torrents[state->n_torrents++] = t;
    return t;
}

void agent_state_torrent_remove(struct agent_state *state, const struct agent_key *id)
{
    for (uint32_t i = 0; i < state->n_torrents; i++) {
        if (!key_equal(&state->torrents[i]->id, id))
            continue;
        torrent_free(state->torrents[i]);
        state->torrents[i] = state->torrents[--state->n_torrents];
        return;
    }
}

bool agent_state_torrent_peer(struct agent_kept_torrent *torrent, const struct address *peer)
{
    if (has_address(torrent->peers, torrent->n_peers, peer))
        return true;
    if (torrent->n_peers >= AGENT_TORRENT_PEERS_MAX)
        return false;
    torrent->peers = mem_resize(torrent->peers, torrent->n_peers + 1, sizeof *torrent->peers);
    torrent->peers[torrent->n_peers++] = *peer;
    return true;
}

/* --- commands -------------------------------------------------------------------------------------------- */

struct jv *agent_say(const char *what)
{
    struct jv *command = jv_object_new();
    jv_set_text(command, AGENT_DO, what);
    return command;
}

struct jv *agent_say_key(const char *what, const char *field, const struct agent_key *key)
{
    struct jv *command = agent_say(what);
    jv_set_hex(command, field, key->bytes, sizeof key->bytes);
    return command;
}

static void set_address(struct jv *command, const struct address *address)
{
    char ip[ADDRESS_TEXT_BYTES];
    address_ip_text(ip, address);
    jv_set_text(command, "ip", ip);
    jv_set_int(command, "port", address->port);
}

static void set_data(struct jv *command, const char *field, const uint8_t *data, size_t size)
{
    char *text = base64url_encode(data, size);
    jv_set_text(command, field, text);
    mem_free(text);
}

struct jv *agent_say_bootstrap(const struct address *address)
{
    struct jv *command = agent_say(AGENT_DO_BOOTSTRAP);
    set_address(command, address);
    return command;
}

struct jv *agent_say_announce(const struct agent_announced *announced)
{
    struct jv *command = agent_say_key(AGENT_DO_ANNOUNCE, "key", &announced->key);
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, announced->value_id);
    jv_set_text(command, "value_id", id);
    set_data(command, "data", announced->data, announced->size);
    return command;
}

struct jv *agent_say_torrent(const struct agent_kept_torrent *t)
{
    struct jv *command = agent_say_key(AGENT_DO_TORRENT_ADD, "id", &t->id);
    jv_set_text(command, "dir", t->dir);
    jv_set_text(command, "name", t->name);
    if (t->file && !t->is_fetch)
        jv_set_text(command, "file", t->file);
    jv_set_int(command, "bytes", (int64_t)t->bytes);
    jv_set_int(command, "piece_bytes", t->piece_bytes);
    /* More would not fit into a line; without them the child refuses the torrent and says why. */
    set_data(command, "pieces", t->pieces, t->pieces_bytes <= AGENT_PIECES_MAX * 20 ? t->pieces_bytes : 0);
    jv_set_hex(command, "salt", t->salt, t->salt_bytes);
    jv_set_text(command, "mode", t->is_fetch ? "fetch" : "seed");
    return command;
}

struct jv *agent_say_torrent_peer(const struct agent_key *id, const struct address *peer)
{
    struct jv *command = agent_say_key(AGENT_DO_TORRENT_PEER, "id", id);
    set_address(command, peer);
    return command;
}

struct jv *agent_say_members(const struct agent_state *state)
{
    struct jv *command = agent_say(AGENT_DO_TORRENT_MEMBERS), *ips = jv_array_new();
    char ip[ADDRESS_TEXT_BYTES];
    for (uint32_t i = 0; i < state->n_members && jv_count(ips) < AGENT_MEMBERS_MAX; i++) {
        if (!state->members[i].family)
            continue;
        address_ip_text(ip, &state->members[i]);
        jv_append(ips, jv_text_new(ip));
    }
    jv_set(command, "ips", ips);
    return command;
}

struct jv *agent_say_limits(const struct agent_state *state)
{
    struct jv *command = agent_say(AGENT_DO_LIMITS);
    jv_set_int(command, "upload_rate", (int64_t)state->upload_rate);
    jv_set_int(command, "download_rate", (int64_t)state->download_rate);
    return command;
}

static void replay_torrent(const struct agent_kept_torrent *t, void (*say)(void *ctx, struct jv *command),
                           void *ctx)
{
    say(ctx, agent_say_torrent(t));
    if (t->paused) {
        struct jv *command = agent_say_key(AGENT_DO_TORRENT_PAUSE, "id", &t->id);
        jv_set_bool(command, "paused", true);
        say(ctx, command);
    }
    for (uint32_t i = 0; i < t->n_peers; i++)
        say(ctx, agent_say_torrent_peer(&t->id, &t->peers[i]));
}

void agent_state_replay(const struct agent_state *state, void (*say)(void *ctx, struct jv *command), void *ctx)
{
    for (uint32_t i = 0; i < state->n_bootstraps; i++)
        say(ctx, agent_say_bootstrap(&state->bootstraps[i]));
    for (uint32_t i = 0; i < state->n_listens; i++)
        say(ctx, agent_say_key(AGENT_DO_LISTEN, "key", &state->listens[i]));
    for (uint32_t i = 0; i < state->n_announced; i++)
        say(ctx, agent_say_announce(&state->announced[i]));
    if (state->has_members)
        say(ctx, agent_say_members(state));
    for (uint32_t i = 0; i < state->n_torrents; i++)
        replay_torrent(state->torrents[i], say, ctx);
}
