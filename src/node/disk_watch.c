/* Watched folders of the real disk: the loop's events made into "look again", not too often, and never lost. */
#include "base/mem.h"
#include "model/manifest.h"
#include "net/loop.h"
#include "node/disk_private.h"

#include <string.h>

#define TELL_MS       250   /* between two calls */
#define FIRST_MS      10    /* what comes in one go is told once */
#define SETTLE_MS     500   /* a file nobody closed counts as whole after so long without a write */
#define REWATCH_MS    1000  /* the folder went, or cannot be watched */
#define SLOW_LOOK_MS  30000 /* some network file systems tell nothing */
#define UNSETTLED_MAX 1024

struct unsettled {
    char name[DISK_NAME_BYTES_MAX + 1];
    uint64_t written_ms;
};

struct disk_watch {
    struct loop *loop;
    const struct clock *clock;
    char *dir;
    struct folder_watch *folder; /* NULL: not watched now */
    void (*changed)(void *ctx);
    void *ctx;
    struct timer *timer;
    bool is_due; /* a change is to be told */
    uint64_t told_ms, rewatch_ms;
    struct unsettled *files;
    size_t n_files;
    struct disk_watch *next;
};

static void plan(struct disk_watch *watch)
{
    uint64_t now = clock_ms(watch->clock), at = watch->told_ms + SLOW_LOOK_MS;
    if (watch->is_due)
        at = watch->told_ms + TELL_MS > now + FIRST_MS ? watch->told_ms + TELL_MS : now + FIRST_MS;
    for (size_t i = 0; i < watch->n_files; i++)
        if (watch->files[i].written_ms + SETTLE_MS < at)
            at = watch->files[i].written_ms + SETTLE_MS;
    if (!watch->folder && watch->rewatch_ms < at)
        at = watch->rewatch_ms;
    clock_timer_set(watch->clock, watch->timer, at > now ? at - now : 0);
}

static struct unsettled *find(struct disk_watch *watch, const char *name)
{
    for (size_t i = 0; i < watch->n_files; i++)
        if (strcmp(watch->files[i].name, name) == 0)
            return &watch->files[i];
    return NULL;
}

static void settle(struct disk_watch *watch, struct unsettled *file)
{
    *file = watch->files[--watch->n_files];
}

static void mark_unsettled(struct disk_watch *watch, const char *name)
{
    struct unsettled *file = find(watch, name);
    if (!file) {
        if (watch->n_files == UNSETTLED_MAX)
            return; /* then it counts as whole, and its hash decides */
        watch->files = mem_resize(watch->files, watch->n_files + 1, sizeof *watch->files);
        file = &watch->files[watch->n_files++];
        strncpy(file->name, name, sizeof file->name - 1);
        file->name[sizeof file->name - 1] = '\0';
    }
    file->written_ms = clock_ms(watch->clock);
}

/* Shards, the tokenizer, the manifest. */
static bool is_of_a_model(const char *name)
{
    size_t n = strlen(name);
    return strcmp(name, MANIFEST_FILE) == 0 ||
           (n > 5 && n <= DISK_NAME_BYTES_MAX && strcmp(name + n - 5, ".gguf") == 0);
}

static void on_event(void *arg, const char *name, enum folder_change change)
{
    struct disk_watch *watch = arg;
    if (change == FOLDER_RESCAN) { /* perhaps the folder itself went: watch it anew */
        loop_unwatch_folder(watch->folder);
        watch->folder = NULL;
        watch->rewatch_ms = 0;
    } else if (!is_of_a_model(name)) {
        return;
    } else if (change == FOLDER_CHANGED) {
        mark_unsettled(watch, name);
    } else {
        struct unsettled *file = find(watch, name);
        if (file)
            settle(watch, file);
    }
    watch->is_due = true;
    plan(watch);
}

static void try_to_watch(struct disk_watch *watch)
{
    uint64_t now = clock_ms(watch->clock);
    if (watch->folder || now < watch->rewatch_ms)
        return;
    watch->rewatch_ms = now + REWATCH_MS;
    watch->is_due = true; /* seen or not, somebody may have to make the folder */
    if (loop_watch_folder(&watch->folder, watch->loop, watch->dir, on_event, watch, NULL))
        watch->folder = NULL;
}

static void on_time(void *arg)
{
    struct disk_watch *watch = arg;
    uint64_t now = clock_ms(watch->clock);
    try_to_watch(watch);
    for (size_t i = watch->n_files; i-- > 0;)
        if (now >= watch->files[i].written_ms + SETTLE_MS) {
            settle(watch, &watch->files[i]);
            watch->is_due = true;
        }
    bool tell = (watch->is_due && now >= watch->told_ms + TELL_MS) || now >= watch->told_ms + SLOW_LOOK_MS;
    if (tell) {
        watch->is_due = false;
        watch->told_ms = now;
    }
    plan(watch);
    if (tell)
        watch->changed(watch->ctx); /* last: it may free the watch */
}

struct disk_watch *disk_watch_new(struct loop *loop, const char *dir, void (*changed)(void *ctx), void *ctx,
                                  struct disk_watch *next)
{
    struct disk_watch *watch = mem_new(sizeof *watch);
    watch->loop = loop;
    watch->clock = loop_clock(loop);
    watch->dir = mem_string(dir);
    watch->changed = changed;
    watch->ctx = ctx;
    watch->next = next;
    watch->timer = clock_timer_new(watch->clock, on_time, watch);
    try_to_watch(watch);
    plan(watch);
    return watch;
}

void disk_watch_free(struct disk_watch *watch)
{
    loop_unwatch_folder(watch->folder);
    clock_timer_free(watch->clock, watch->timer);
    mem_free(watch->files);
    mem_free(watch->dir);
    mem_free(watch);
}

struct disk_watch *disk_watch_next(const struct disk_watch *watch)
{
    return watch->next;
}

struct disk_watch *disk_watch_remove(struct disk_watch *list, struct disk_watch *watch)
{
    struct disk_watch **at = &list;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    return list;
}

void disk_watch_unsettled(const struct disk_watch *watch, const char *dir, struct disk_work *work)
{
    if (strcmp(watch->dir, dir) != 0 || !watch->n_files)
        return;
    work->unsettled = mem_resize(work->unsettled, work->n_unsettled + watch->n_files, sizeof *work->unsettled);
    for (size_t i = 0; i < watch->n_files; i++)
        memcpy(work->unsettled[work->n_unsettled++], watch->files[i].name, sizeof watch->files[i].name);
}
