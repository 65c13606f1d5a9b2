#include "swarm/identity.h"

#include "base/file.h"
#include "base/jv.h"
#include "base/mem.h"
#include "swarm/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct identity {
    struct key_pair pair;
    uint64_t epoch;
    char *dir;
    int lock_fd; /* -1: none */
};

static char *state_root(const char *cluster)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && *state)
        return mem_format("%s/shoal/%s", state, cluster);
    return mem_format("%s/.local/state/shoal/%s", home ? home : ".", cluster);
}

/* --- the lock ------------------------------------------------------------------------------------------ */

static enum status locked_by(int fd, const char *dir, struct error *err)
{
    char pid[16] = "";
    ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
    pid[n > 0 ? n : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    return error_set(err, STATUS_BUSY,
                     "the state folder '%s' is in use by process %s; give this one its own --state-dir", dir,
                     *pid ? pid : "?");
}

static enum status lock(struct identity *identity, struct error *err)
{
    enum status status = secret_folder_make(identity->dir, err);
    if (status)
        return status;
    char *path = mem_format("%s/lock", identity->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        status = error_set_errno(err, STATUS_IO, errno, "cannot write the state folder: '%s'", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB)) {
        status = locked_by(fd, identity->dir, err);
        close(fd);
    } else {
        char pid[16];
        int n = snprintf(pid, sizeof pid, "%d\n", getpid());
        if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
            status = error_set_errno(err, STATUS_IO, errno, "cannot write '%s'", path);
        identity->lock_fd = fd;
    }
    mem_free(path);
    return status;
}

/* --- the pair and the epoch ---------------------------------------------------------------------------- */

static enum status make_pair(struct identity *identity, const char *path, struct error *err)
{
    key_pair_new(&identity->pair);
    struct jv *json = jv_object_new();
    jv_set_text(json, "format", "shoal-identity-1");
    jv_set_hex(json, "secret", identity->pair.secret, sizeof identity->pair.secret);
    char *text = jv_print(json, JV_COMPACT);
    enum status status = secret_file_write(path, bytes_of_text(text), err);
    crypto_wipe(text, strlen(text));
    mem_free(text);
    jv_free(json);
    return status;
}

static enum status load_pair(struct identity *identity, const char *path, struct error *err)
{
    struct buffer text;
    struct jv *json = NULL;
    buffer_init(&text, SECRET_FILE_BYTES_MAX);
    enum status status = secret_file_read(&text, path, err);
    if (!status && (jv_parse(&json, buffer_view(&text), NULL, err) ||
                    strcmp(jv_get_text(json, "format", ""), "shoal-identity-1") != 0 ||
                    !jv_get_hex(json, "secret", identity->pair.secret, sizeof identity->pair.secret)))
        status = error_set(err, STATUS_BAD_DATA, "'%s' is damaged; remove it to get a new identity", path);
    /* libsodium's secret is the seed followed by the public key. */
    memcpy(identity->pair.public_key.bytes, identity->pair.secret + SECRET_KEY_BYTES - PUBLIC_KEY_BYTES,
           PUBLIC_KEY_BYTES);
    jv_free(json);
    secret_buffer_free(&text);
    return status;
}

static enum status take_pair(struct identity *identity, struct error *err)
{
    char *path = mem_format("%s/identity.key", identity->dir);
    enum status status = load_pair(identity, path, err);
    if (status == STATUS_NOT_FOUND)
        status = make_pair(identity, path, err);
    mem_free(path);
    return status;
}

static uint64_t wall_ms_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Above the one on disk and, lest a lost or damaged file throw it back, not below the wall clock. On disk
 * before anybody hears of it. */
static enum status next_epoch(struct identity *identity, struct error *err)
{
    char *path = mem_format("%s/epoch", identity->dir);
    struct buffer text;
    struct error unread;
    buffer_init(&text, 0);
    uint64_t before = file_read(&text, path, 64, &unread) ? 0 : strtoull(buffer_string(&text), NULL, 10);
    uint64_t now = wall_ms_now();
    identity->epoch = before < UINT64_MAX / 2 && before >= now ? before + 1 : now;
    buffer_clear(&text);
    buffer_format(&text, "%llu\n", (unsigned long long)identity->epoch);
    enum status status = file_write(path, buffer_view(&text), 0600, err);
    buffer_free(&text);
    mem_free(path);
    return status;
}

/* --- life ---------------------------------------------------------------------------------------------- */

static enum status open_in(struct identity **out, const char *dir, struct error *err)
{
    struct identity *identity = mem_new(sizeof *identity);
    identity->lock_fd = -1;
    identity->dir = mem_string(dir);
    enum status status = lock(identity, err);
    if (!status)
        status = take_pair(identity, err);
    if (!status)
        status = next_epoch(identity, err);
    if (status)
        identity_close(identity);
    else
        *out = identity;
    return status;
}

enum status identity_open(struct identity **out, const char *state_dir, const char *cluster, struct error *err)
{
    if (state_dir)
        return open_in(out, state_dir, err);
    char *root = state_root(cluster);
    enum status status = STATUS_BUSY;
    for (int k = 0; status == STATUS_BUSY && k < IDENTITY_FOLDERS_MAX; k++) {
        char *dir = mem_format("%s/%d", root, k);
        status = open_in(out, dir, err);
        mem_free(dir);
    }
    mem_free(root);
    return status;
}

struct identity *identity_new_in_memory(const struct key_pair *pair, uint64_t epoch)
{
    struct identity *identity = mem_new(sizeof *identity);
    identity->lock_fd = -1;
    identity->dir = mem_string("");
    identity->epoch = epoch;
    if (pair)
        identity->pair = *pair;
    else
        key_pair_new(&identity->pair);
    return identity;
}

void identity_close(struct identity *identity)
{
    if (!identity)
        return;
    if (identity->lock_fd >= 0)
        close(identity->lock_fd);
    crypto_wipe(&identity->pair, sizeof identity->pair);
    mem_free(identity->dir);
    mem_free(identity);
}

struct node_id identity_id(const struct identity *identity)
{
    struct node_id id;
    memcpy(id.bytes, identity->pair.public_key.bytes, sizeof id.bytes);
    return id;
}

const struct key_pair *identity_pair(const struct identity *identity)
{
    return &identity->pair;
}

uint64_t identity_epoch(const struct identity *identity)
{
    return identity->epoch;
}

const char *identity_dir(const struct identity *identity)
{
    return identity->dir;
}
