#include "app/demo_box.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/manifest.h"
#include "net/port.h"
#include "swarm/credentials.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL_FILE      "shoal-demo.gguf"
#define CLUSTER         "demo"
#define SHARDS_DEFAULT  8
#define HTTP_PORT       8080
#define PORT_FIRST      20000 /* below the kernel's range for outgoing connections */
#define PORT_END        32000
#define PORT_TRIES      200
#define CONTEXT_TOKENS  "512"
#define SEQUENCES       "4"
#define STATUS_INTERVAL "5"

/* --- the model ------------------------------------------------------------------------------------------- */

/* The folder of this program's file, without a slash; a block for mem_free. */
static char *program_folder(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return mem_string(path);
}

enum status demo_box_find_model(struct demo_box *box, const char *given, struct error *err)
{
    if (given) {
        box->model_path = access(given, R_OK) == 0 ? mem_string(given) : NULL;
        if (!box->model_path)
            return error_set_errno(err, STATUS_BAD_DATA, errno, "--model '%s'",
                                   given); /* as other commands do */
        return STATUS_OK;
    }
    char *beside = program_folder();
    char *places[] = {mem_format("%s/../models/" MODEL_FILE, beside),
                      mem_format("%s/../share/shoal/" MODEL_FILE, beside), mem_string("models/" MODEL_FILE)};
    const size_t n = sizeof places / sizeof *places;
    for (size_t i = 0; i < n && !box->model_path; i++)
        if (access(places[i], R_OK) == 0)
            box->model_path = mem_string(places[i]);
    if (!box->model_path)
        error_set(err, STATUS_NOT_FOUND,
                  "the model in the box is not there (looked for %s, %s and %s); give one with --model FILE",
                  places[0], places[1], places[2]);
    for (size_t i = 0; i < n; i++)
        mem_free(places[i]);
    mem_free(beside);
    return box->model_path ? STATUS_OK : STATUS_NOT_FOUND;
}

/* --- the folder ------------------------------------------------------------------------------------------ */

static enum status make_folder(const char *path, struct error *err)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set_errno(err, STATUS_IO, errno, "the folder '%s' cannot be made", path);
    return STATUS_OK;
}

/* Settings that are meant for other swarms of this user. */
static void clear_settings(void)
{
    extern char **environ;
    for (char **at = environ; *at;) {
        size_t n = strcspn(*at, "=");
        bool ours = strncmp(*at, "SHOAL_", 6) == 0 && strncmp(*at, "SHOAL_CPU=", 10) != 0 &&
                    strncmp(*at, "SHOAL_AGENT=", 12) != 0;
        char name[64];
        if (ours && n < sizeof name) {
            memcpy(name, *at, n);
            name[n] = '\0';
            unsetenv(name);
            at = environ; /* the array moved */
        } else {
            at++;
        }
    }
}

static enum status point_environment(const char *folder, struct error *err)
{
    static const char *const names[] = {"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"};
    static const char *const ends[] = {"config", "state", "run"};
    enum status status = STATUS_OK;
    for (size_t i = 0; !status && i < sizeof names / sizeof *names; i++) {
        char *path = mem_format("%s/%s", folder, ends[i]);
        status = make_folder(path, err);
        setenv(names[i], path, 1);
        mem_free(path);
    }
    clear_settings();
    return status;
}

/* A port that is free for TCP and UDP now. It is not held: who takes it first has it. */
static uint16_t free_port(void)
{
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t random;
        crypto_random(&random, sizeof random);
        uint16_t port = (uint16_t)(PORT_FIRST + random % (PORT_END - PORT_FIRST));
        if (port_is_free("127.0.0.1", port, false) && port_is_free("127.0.0.1", port, true))
            return port;
    }
    return 0;
}

enum status demo_box_make(struct demo_box *box, struct error *err)
{
    const char *temp = getenv("TMPDIR");
    char *folder = mem_format("%s/shoal-demo-XXXXXX", temp && *temp ? temp : "/tmp");
    if (!mkdtemp(folder)) {
        enum status status =
            error_set_errno(err, STATUS_IO, errno, "a folder like '%s' cannot be made", folder);
        mem_free(folder);
        return status;
    }
    box->folder = folder;
    enum status status = point_environment(folder, err);
    box->entry_port = free_port();
    if (!status && !box->entry_port)
        status = error_set(err, STATUS_IO, "no free port from %d to %d on 127.0.0.1", PORT_FIRST, PORT_END - 1);
    if (status)
        return status;
    box->http_port = port_is_free("127.0.0.1", HTTP_PORT, false) ? HTTP_PORT : 0;
    struct credentials credentials;
    status = credentials_init(&credentials, CLUSTER, "127.0.0.1", box->entry_port, err);
    if (!status)
        credentials_wipe(&credentials);
    return status;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

void demo_box_remove(struct demo_box *box)
{
    if (box->folder)
        (void)nftw(box->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    mem_free(box->folder);
    mem_free(box->model_path);
    *box = (struct demo_box){0};
}

/* --- shards ---------------------------------------------------------------------------------------------- */

void demo_box_shards_of(const struct demo_box *box, uint32_t node, uint32_t *first, uint32_t *end)
{
    *first = node * box->n_shards / box->n_nodes;
    *end = (node + 1) * box->n_shards / box->n_nodes;
}

/* A second name for the file: no byte is copied. */
static enum status give(const struct demo_box *box, const char *name, const char *to_folder, struct error *err)
{
    char *from = mem_format("%s/split/%s", box->folder, name), *to = mem_format("%s/%s", to_folder, name);
    enum status status = STATUS_OK;
    if (link(from, to) != 0)
        status = error_set_errno(err, STATUS_IO, errno, "giving '%s' to '%s'", from, to_folder);
    mem_free(from);
    mem_free(to);
    return status;
}

/* The node's own shard files, and the manifest that says what they should be. */
static enum status fill_node(const struct demo_box *box, uint32_t node, struct error *err)
{
    char *folder = mem_format("%s/node-%u", box->folder, node);
    uint32_t first, end;
    enum status status = make_folder(folder, err);
    demo_box_shards_of(box, node, &first, &end);
    for (uint32_t id = first; !status && id < end; id++) {
        char name[32];
        snprintf(name, sizeof name, "shard-%u.gguf", id);
        status = give(box, name, folder, err);
    }
    if (!status)
        status = give(box, MANIFEST_FILE, folder, err);
    mem_free(folder);
    return status;
}

static enum status fill_serve(const struct demo_box *box, struct error *err)
{
    char *folder = mem_format("%s/serve", box->folder);
    enum status status = make_folder(folder, err);
    if (!status)
        status = give(box, MANIFEST_FILE, folder, err);
    if (!status)
        status = give(box, "tokenizer.gguf", folder, err);
    mem_free(folder);
    return status;
}

static enum status read_manifest(struct demo_box *box, const char *folder, struct error *err)
{
    struct manifest *manifest;
    char *path = mem_format("%s/" MANIFEST_FILE, folder);
    enum status status = manifest_load(&manifest, path, err);
    if (!status) {
        box->n_shards = manifest->n_shards;
        box->n_layers = manifest->n_layers;
        snprintf(box->model_name, sizeof box->model_name, "%.*s", (int)sizeof box->model_name - 1,
                 manifest->name);
        manifest_free(manifest);
    }
    mem_free(path);
    return status;
}

enum status demo_box_split(struct demo_box *box, struct demo_children *children, uint32_t n_nodes_wanted,
                           struct error *err)
{
    char *folder = mem_format("%s/split", box->folder), *log = mem_format("%s/split.log", box->folder);
    char n_shards[16];
    snprintf(n_shards, sizeof n_shards, "%u",
             n_nodes_wanted > SHARDS_DEFAULT ? n_nodes_wanted : SHARDS_DEFAULT);
    const char *argv[] = {"split", box->model_path, "--shards", n_shards, "--out", folder, NULL};
    enum status status = demo_child_run(children, "split", log, argv, err);
    if (!status)
        status = read_manifest(box, folder, err);
    box->n_nodes = n_nodes_wanted < box->n_shards ? n_nodes_wanted : box->n_shards;
    for (uint32_t i = 0; !status && i < box->n_nodes; i++)
        status = fill_node(box, i, err);
    if (!status)
        status = fill_serve(box, err);
    mem_free(folder);
    mem_free(log);
    return status;
}

/* --- processes ------------------------------------------------------------------------------------------- */

/* What all processes of the demo are told. */
#define COMMON                                                                                                 \
    "--listen", "127.0.0.1", "--state-dir", state, "--threads", "1", "--ctx", CONTEXT_TOKENS, "--slots",       \
        SEQUENCES, "--status-interval", STATUS_INTERVAL

static enum status start_node(const struct demo_box *box, struct demo_children *children, uint32_t node,
                              struct error *err)
{
    char name[16], ids[32];
    uint32_t first, end;
    demo_box_shards_of(box, node, &first, &end);
    snprintf(name, sizeof name, "node %u", node);
    snprintf(ids, sizeof ids, "%u-%u", first, end - 1);
    char *shards = mem_format("%s/node-%u", box->folder, node),
         *state = mem_format("%s/state/node-%u", box->folder, node),
         *log = mem_format("%s/node-%u.log", box->folder, node);
    const char *argv[] = {"node", "--shards", ids, "--shards-dir", shards, COMMON, NULL};
    enum status status = demo_child_start(children, name, log, argv, err);
    mem_free(shards);
    mem_free(state);
    mem_free(log);
    return status;
}

static enum status start_entry(const struct demo_box *box, struct demo_children *children, struct error *err)
{
    char port[8];
    snprintf(port, sizeof port, "%u", box->entry_port);
    char *state = mem_format("%s/state/entry", box->folder), *log = mem_format("%s/entry.log", box->folder);
    const char *argv[] = {"bootstrap", "--port", port, "--listen", "127.0.0.1", "--state-dir", state, NULL};
    enum status status = demo_child_start(children, "entry", log, argv, err);
    mem_free(state);
    mem_free(log);
    return status;
}

static enum status start_serve(const struct demo_box *box, struct demo_children *children, struct error *err)
{
    char http[32];
    snprintf(http, sizeof http, "127.0.0.1:%u", box->http_port);
    char *shards = mem_format("%s/serve", box->folder), *state = mem_format("%s/state/serve", box->folder),
         *log = mem_format("%s/serve.log", box->folder);
    const char *argv[] = {"serve", "--http", http, "--shards-dir", shards, COMMON, NULL};
    enum status status = demo_child_start(children, "serve", log, argv, err);
    mem_free(shards);
    mem_free(state);
    mem_free(log);
    return status;
}

enum status demo_box_start(const struct demo_box *box, struct demo_children *children, struct error *err)
{
    enum status status = start_entry(box, children, err);
    for (uint32_t i = 0; !status && i < box->n_nodes; i++)
        status = start_node(box, children, i, err);
    return status ? status : start_serve(box, children, err);
}
