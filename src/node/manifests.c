#include "node/manifests.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/shell.h"
#include "model/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ASK_TIMEOUT_MS 10000
#define ASK_AGAIN_MS   1000

enum place { IN_SHARDS, IN_STATE, N_PLACES };

struct manifests {
    const struct clock *clock;
    const struct disk *disk;
    struct commands *commands;
    const struct roster *roster;
    char *dirs[N_PLACES], *shards_place;
    struct public_key owner;
    uint32_t arithmetic;
    void (*changed)(void *ctx);
    void *ctx;

    struct manifest *current;
    char *tokenizer_path;
    struct disk_job *reads[N_PLACES], *tokenizer_job, *write_job, *serve_job;
    bool settled[N_PLACES];
    bool asking_manifest, asking_tokenizer;
    uint64_t ask_ms; /* not before */
    struct timer *timer;
    struct disk_watch *watch;
    struct manifest *retired[8]; /* others may still look at them; freed at the end */
    uint32_t n_retired;
    int tokenizer_place; /* next place to look at: 0 shards, 1 state, 2 peers */
    bool writing_tokenizer;
    char *invalid; /* why what was found does not count */
    char *invalid_where;
    uint64_t invalid_since_ms;
};

static void look_for_tokenizer(struct manifests *m);
static void read_place(struct manifests *m, enum place place);

static char *path_in(const struct manifests *m, enum place place)
{
    return mem_format("%s/%s", m->dirs[place], MANIFEST_FILE);
}

static bool is_in(const struct manifests *m, enum place place, const char *where)
{
    char *path = path_in(m, place);
    bool same = strcmp(path, where) == 0;
    mem_free(path);
    return same;
}

/* Our copy follows what a person mends elsewhere, and is told only where nothing else is. */
static void set_invalid(struct manifests *m, const char *where, const char *why)
{
    if (m->invalid && is_in(m, IN_STATE, where))
        return;
    mem_free(m->invalid);
    mem_free(m->invalid_where);
    m->invalid = mem_string(why);
    m->invalid_where = mem_string(where);
    m->invalid_since_ms = clock_ms(m->clock);
    m->changed(m->ctx);
}

static void clear_invalid(struct manifests *m, const char *where)
{
    if (!m->invalid || strcmp(m->invalid_where, where) != 0)
        return;
    mem_free(m->invalid);
    mem_free(m->invalid_where);
    m->invalid = m->invalid_where = NULL;
}

static void on_written(void *ctx, enum status status, const struct error *err)
{
    struct manifests *m = ctx;
    m->write_job = NULL;
    if (status)
        log_warn("a copy of the manifest cannot be kept: %s", err->text);
    else if (m->invalid && is_in(m, IN_STATE, m->invalid_where)) {
        clear_invalid(m, m->invalid_where);
        m->changed(m->ctx);
    }
}

static void keep(struct manifests *m)
{
    char *path = path_in(m, IN_STATE);
    disk_cancel(m->disk, &m->write_job);
    m->write_job = m->disk->ops->write(m->disk->self, path, manifest_text(m->current), on_written, m);
    mem_free(path);
}

/* Takes over `manifest` when it is new. `where` is told in findings. */
static void adopt(struct manifests *m, struct manifest *manifest, bool keep_copy)
{
    if (m->current && bytes_equal(manifest_text(m->current), manifest_text(manifest))) {
        manifest_free(manifest);
        return;
    }
    if (m->current) {
        if (m->n_retired == sizeof m->retired / sizeof *m->retired) {
            log_warn("the manifest changed too often; restart the node to take another one");
            manifest_free(manifest);
            return;
        }
        m->retired[m->n_retired++] = m->current;
    }
    m->current = manifest;
    mem_free(m->tokenizer_path);
    m->tokenizer_path = NULL;
    m->tokenizer_place = 0;
    if (keep_copy)
        keep(m);
    m->changed(m->ctx);
    look_for_tokenizer(m);
}

/* Parses and checks the owner. NULL with the reason noted. */
static struct manifest *accept_text(struct manifests *m, struct bytes text, const char *where)
{
    static const struct public_key nobody;
    struct manifest *manifest;
    struct error err;
    if (manifest_parse(&manifest, text, &err)) {
        set_invalid(m, where, err.text);
        return NULL;
    }
    if (memcmp(&m->owner, &nobody, sizeof nobody) != 0 && !manifest_is_of(manifest, &m->owner)) {
        char theirs[2 * PUBLIC_KEY_BYTES + 1], ours[2 * PUBLIC_KEY_BYTES + 1], why[200];
        hex_encode(theirs, manifest->owner.bytes, PUBLIC_KEY_BYTES);
        hex_encode(ours, m->owner.bytes, PUBLIC_KEY_BYTES);
        snprintf(why, sizeof why, "it is signed by owner %.12s, the join token names %.12s", theirs, ours);
        set_invalid(m, where, why);
        manifest_free(manifest);
        return NULL;
    }
    if (manifest_check_arithmetic(manifest, m->arithmetic, &err)) {
        set_invalid(m, where, err.text);
        manifest_free(manifest);
        return NULL;
    }
    clear_invalid(m, where);
    return manifest;
}

static void on_read(struct manifests *m, enum place place, enum status status, struct bytes content,
                    const struct error *err)
{
    m->reads[place] = NULL;
    bool first = !m->settled[place];
    m->settled[place] = true;
    char *path = path_in(m, place);
    /* What stands in the state folder is a copy: it never replaces what was found elsewhere. */
    bool counts = place == IN_SHARDS || !m->current;
    if (!status && counts) {
        struct manifest *manifest = accept_text(m, content, path);
        if (manifest)
            adopt(m, manifest, place == IN_SHARDS);
    } else if (status && status != STATUS_NOT_FOUND) {
        set_invalid(m, path, err->text);
    }
    mem_free(path);
    if (first && place == IN_SHARDS)
        read_place(m, IN_STATE);
    else if (first)
        m->changed(m->ctx);
    manifests_consider(m);
}

static void on_read_shards(void *ctx, enum status status, struct bytes content, const struct error *err)
{
    on_read(ctx, IN_SHARDS, status, content, err);
}

static void on_read_state(void *ctx, enum status status, struct bytes content, const struct error *err)
{
    on_read(ctx, IN_STATE, status, content, err);
}

static void read_place(struct manifests *m, enum place place)
{
    char *path = path_in(m, place);
    if (!m->reads[place])
        m->reads[place] = m->disk->ops->read(m->disk->self, path, MANIFEST_BYTES_MAX,
                                             place == IN_SHARDS ? on_read_shards : on_read_state, m);
    mem_free(path);
}

/* --- the tokenizer --------------------------------------------------------------------------------------- */

static char *tokenizer_file(const struct manifests *m, int place)
{
    if (place == IN_SHARDS)
        return mem_format("%s/%s", m->dirs[IN_SHARDS], m->current->tokenizer.file);
    char hash[2 * SHA256_BYTES + 1];
    sha256_hex(hash, &m->current->tokenizer.sha256);
    return mem_format("%s/tokenizer-%.16s.gguf", m->dirs[IN_STATE], hash);
}

static void on_hashed(void *ctx, enum status status, const struct disk_hashed *hashed, const struct error *err)
{
    struct manifests *m = ctx;
    (void)err;
    m->tokenizer_job = NULL;
    if (!m->current)
        return;
    if (!status && sha256_equal(&hashed->sha256, &m->current->tokenizer.sha256)) {
        m->tokenizer_path = tokenizer_file(m, m->tokenizer_place);
        m->changed(m->ctx);
        return;
    }
    m->tokenizer_place++;
    look_for_tokenizer(m);
}

static void look_for_tokenizer(struct manifests *m)
{
    if (!m->current || m->tokenizer_path || m->tokenizer_job)
        return;
    if (m->tokenizer_place >= N_PLACES) {
        manifests_consider(m); /* peers */
        return;
    }
    char *path = tokenizer_file(m, m->tokenizer_place);
    m->tokenizer_job = m->disk->ops->hash(m->disk->self, path, true, NULL, on_hashed, m);
    mem_free(path);
}

static void on_tokenizer_written(void *ctx, enum status status, const struct error *err)
{
    struct manifests *m = ctx;
    m->tokenizer_job = NULL;
    m->writing_tokenizer = false;
    if (status)
        log_warn("the tokenizer cannot be kept: %s", err->text);
    m->tokenizer_place = IN_STATE;
    look_for_tokenizer(m);
}

static void on_tokenizer(void *ctx, const struct command_answer *answer)
{
    struct manifests *m = ctx;
    m->asking_tokenizer = false;
    if (!answer->status && m->current && !m->tokenizer_path) {
        struct sha256 hash = sha256_of(answer->blob.data, answer->blob.size);
        if (sha256_equal(&hash, &m->current->tokenizer.sha256)) {
            char *path = tokenizer_file(m, IN_STATE);
            m->writing_tokenizer = true;
            disk_cancel(m->disk, &m->tokenizer_job);
            m->tokenizer_job = m->disk->ops->write(m->disk->self, path, answer->blob, on_tokenizer_written, m);
            mem_free(path);
            return;
        }
        log_warn("a peer sent a tokenizer of %zu bytes whose hash is not the manifest's", answer->blob.size);
    }
    clock_timer_set(m->clock, m->timer, ASK_AGAIN_MS);
}

/* --- peers ----------------------------------------------------------------------------------------------- */

static void on_manifest(void *ctx, const struct command_answer *answer)
{
    struct manifests *m = ctx;
    m->asking_manifest = false;
    if (!answer->status && !m->current) {
        struct manifest *manifest = accept_text(m, answer->blob, "a peer's GET_MANIFEST");
        if (manifest)
            adopt(m, manifest, true);
    }
    if (!m->current)
        clock_timer_set(m->clock, m->timer, ASK_AGAIN_MS);
}

/* A linked peer that has what we lack; they take turns. */
static const struct roster_entry *find_peer(const struct manifests *m, bool tokenizer)
{
    size_t n = roster_count(m->roster), start = n ? (size_t)(clock_ms(m->clock) / ASK_AGAIN_MS) % n : 0;
    for (size_t i = 0; i < n; i++) {
        const struct roster_entry *entry = roster_at(m->roster, (start + i) % n);
        const struct node_record *r = &entry->record;
        if (!entry->is_self && entry->linked &&
            (tokenizer ? r->has_tokenizer && sha256_equal(&r->fingerprint, &m->current->fingerprint)
                       : r->has_manifest))
            return entry;
    }
    return NULL;
}

static void ask_again(void *arg)
{
    struct manifests *m = arg;
    m->ask_ms = 0;
    manifests_consider(m);
}

void manifests_consider(struct manifests *m)
{
    if (!m->settled[IN_SHARDS] || !m->settled[IN_STATE] || clock_ms(m->clock) < m->ask_ms)
        return;
    const struct roster_entry *peer;
    if (!m->current && !m->asking_manifest && (peer = find_peer(m, false))) {
        m->asking_manifest = true;
        m->ask_ms = clock_ms(m->clock) + ASK_AGAIN_MS / 4;
        commands_call(m->commands, &peer->record.id, "GET_MANIFEST", NULL, ASK_TIMEOUT_MS, on_manifest, m);
    }
    if (m->current && !m->tokenizer_path && m->tokenizer_place >= N_PLACES && !m->asking_tokenizer &&
        !m->writing_tokenizer && (peer = find_peer(m, true))) {
        m->asking_tokenizer = true;
        m->ask_ms = clock_ms(m->clock) + ASK_AGAIN_MS / 4;
        commands_call(m->commands, &peer->record.id, "GET_TOKENIZER", NULL, ASK_TIMEOUT_MS, on_tokenizer, m);
    }
}

static void handle_get_manifest(void *ctx, struct command_in *in)
{
    struct manifests *m = ctx;
    if (m->current)
        commands_answer_blob(m->commands, in, NULL, manifest_text(m->current));
    else
        commands_answer(m->commands, in, STATUS_NOT_FOUND, NULL, "this node has no manifest");
}

struct serving {
    struct manifests *manifests;
    struct command_in *in;
};

static void on_tokenizer_read(void *ctx, enum status status, struct bytes content, const struct error *err)
{
    struct serving *serving = ctx;
    struct manifests *m = serving->manifests;
    if (status)
        commands_answer(m->commands, serving->in, status, NULL, err->text);
    else
        commands_answer_blob(m->commands, serving->in, NULL, content);
    mem_free(serving);
}

static void handle_get_tokenizer(void *ctx, struct command_in *in)
{
    struct manifests *m = ctx;
    if (!m->tokenizer_path) {
        commands_answer(m->commands, in, STATUS_NOT_FOUND, NULL, "this node has no tokenizer");
        return;
    }
    struct serving *serving = mem_new(sizeof *serving);
    serving->manifests = m;
    serving->in = in;
    (void)m->disk->ops->read(m->disk->self, m->tokenizer_path, TOKENIZER_BYTES_MAX, on_tokenizer_read, serving);
}

/* --- interface ------------------------------------------------------------------------------------------- */

struct manifests *manifests_new(const struct clock *clock, const struct disk *disk, struct commands *commands,
                                const struct roster *roster, const struct manifests_config *config,
                                void (*changed)(void *ctx), void *ctx)
{
    struct manifests *m = mem_new(sizeof *m);
    m->clock = clock;
    m->disk = disk;
    m->commands = commands;
    m->roster = roster;
    m->dirs[IN_SHARDS] = mem_string(config->shards_dir);
    m->dirs[IN_STATE] = mem_string(config->state_dir);
    m->shards_place = mem_string(config->shards_place ? config->shards_place : config->shards_dir);
    m->owner = config->owner;
    m->arithmetic = config->arithmetic;
    m->changed = changed;
    m->ctx = ctx;
    m->timer = clock_timer_new(clock, ask_again, m);
    commands_handle(commands, "GET_MANIFEST", handle_get_manifest, m);
    commands_handle(commands, "GET_TOKENIZER", handle_get_tokenizer, m);
    return m;
}

void manifests_free(struct manifests *m)
{
    if (!m)
        return;
    for (int i = 0; i < N_PLACES; i++) {
        disk_cancel(m->disk, &m->reads[i]);
        mem_free(m->dirs[i]);
    }
    if (m->watch)
        m->disk->ops->unwatch(m->disk->self, m->watch);
    disk_cancel(m->disk, &m->tokenizer_job);
    disk_cancel(m->disk, &m->write_job);
    clock_timer_free(m->clock, m->timer);
    manifest_free(m->current);
    for (uint32_t i = 0; i < m->n_retired; i++)
        manifest_free(m->retired[i]);
    mem_free(m->shards_place);
    mem_free(m->tokenizer_path);
    mem_free(m->invalid);
    mem_free(m->invalid_where);
    mem_free(m);
}

static void on_folder_changed(void *ctx)
{
    manifests_look(ctx);
}

void manifests_start(struct manifests *m)
{
    m->watch = m->disk->ops->watch(m->disk->self, m->dirs[IN_SHARDS], on_folder_changed, m);
    read_place(m, IN_SHARDS);
}

void manifests_look(struct manifests *m)
{
    if (m->settled[IN_SHARDS])
        read_place(m, IN_SHARDS);
    if (m->current && !m->tokenizer_path && !m->tokenizer_job && m->tokenizer_place >= N_PLACES) {
        m->tokenizer_place = 0;
        look_for_tokenizer(m);
    }
}

bool manifests_settled(const struct manifests *m)
{
    return m->settled[IN_SHARDS] && m->settled[IN_STATE];
}

const struct manifest *manifests_current(const struct manifests *m)
{
    return m->current;
}

const char *manifests_tokenizer_path(const struct manifests *m)
{
    return m->tokenizer_path;
}

/* Tests of find(1) that only the right manifest passes: of our owner and arithmetic, and of the model and split
 * that is here. */
static char *tests_of(const struct manifests *m, const struct shard_file *like)
{
    static const struct public_key nobody;
    struct buffer out;
    char hex[2 * SHA256_BYTES + 1];
    buffer_init(&out, 0);
    if (memcmp(&m->owner, &nobody, sizeof nobody) != 0) {
        hex_encode(hex, m->owner.bytes, PUBLIC_KEY_BYTES);
        buffer_format(&out, "-exec grep -q %.16s {} \\; ", hex);
    }
    if (like) {
        sha256_hex(hex, &like->fingerprint);
        buffer_format(&out, "-exec grep -q %.16s {} \\; -exec grep -q '\"n_shards\": %" PRIu32 ",' {} \\; ",
                      hex, like->count);
    }
    buffer_format(&out, "-exec grep -q '\"arithmetic\": %" PRIu32 ",' {} \\; ", m->arithmetic);
    buffer_text(&out, "-exec grep -l shoal-manifest-1 {} +");
    return buffer_take_string(&out);
}

char *manifests_action(const struct manifests *m, const struct shard_file *like)
{
    char *tests = tests_of(m, like), *path = shell_path(m->shards_place, MANIFEST_FILE);
    bool is_there = m->invalid && is_in(m, IN_SHARDS, m->invalid_where);
    char *action =
        mem_format("cp \"$(find / -name %s%s%s %s 2>/dev/null | head -n 1)\" %s # not on this machine? copy it "
                   "from where the model was split, or split it: shoal split",
                   MANIFEST_FILE, is_there ? " ! -samefile " : "", is_there ? path : "", tests, path);
    mem_free(tests);
    mem_free(path);
    return action;
}

void manifests_explain(const struct manifests *m, const struct shard_file *like, struct finding_list *out)
{
    if (!m->invalid)
        return;
    struct finding *f =
        finding_add(out, FINDING_MANIFEST_INVALID, FINDING_NO_SHARD, &roster_self(m->roster)->record.id,
                    "the manifest from %s does not count: %s", m->invalid_where, m->invalid);
    if (!f)
        return;
    f->severity = m->current ? SEVERITY_WARNING : SEVERITY_BLOCKER;
    f->since_ms = m->invalid_since_ms;
    jv_set_text(finding_evidence(f), "from", m->invalid_where);
    char *action = manifests_action(m, like);
    finding_set_action(f, "%s", action);
    mem_free(action);
}
