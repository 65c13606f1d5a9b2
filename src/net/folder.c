/* Watched folders: one inotify instance, many watches (loop.h). */
#include "base/mem.h"
#include "net/loop_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHED                                                                                                \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_MODIFY | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

struct folder_watch {
    struct folders *folders;
    int descriptor; /* inotify's; two watches of one folder share it */
    char *path;
    void (*fn)(void *arg, const char *name, enum folder_change change);
    void *arg;
    struct folder_watch *next;
};

struct folders {
    struct loop *loop;
    int fd;
    struct watch *watch;
    struct folder_watch *first;
};

/* A link made to a file that exists elsewhere gets no IN_CLOSE_WRITE: it is whole when it appears. */
static bool is_whole_already(const struct folder_watch *watch, const char *name)
{
    struct stat info;
    char *path = mem_format("%s/%s", watch->path, name);
    bool whole = lstat(path, &info) == 0 && (info.st_nlink > 1 || S_ISLNK(info.st_mode));
    mem_free(path);
    return whole;
}

static enum folder_change change_of(const struct folder_watch *watch, const struct inotify_event *event)
{
    if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO))
        return FOLDER_APPEARED;
    if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        return FOLDER_GONE;
    if (event->mask & IN_CREATE)
        return is_whole_already(watch, event->name) ? FOLDER_APPEARED : FOLDER_CHANGED;
    if (event->mask & (IN_MODIFY | IN_ATTRIB))
        return FOLDER_CHANGED;
    return FOLDER_RESCAN;
}

static void tell(struct folders *folders, const struct inotify_event *event)
{
    bool all = event->mask & IN_Q_OVERFLOW;
    struct folder_watch *next;
    for (struct folder_watch *watch = folders->first; watch; watch = next) {
        if (watch->fn && (all || watch->descriptor == event->wd)) {
            enum folder_change change = change_of(watch, event);
            watch->fn(watch->arg, change == FOLDER_RESCAN || !event->len ? "" : event->name, change);
        }
        next = watch->next; /* watches dropped meanwhile are freed by the loop's reap step */
    }
}

static void on_events(void *arg, unsigned events)
{
    (void)events;
    struct folders *folders = arg;
    _Alignas(struct inotify_event) char raw[16384];
    ssize_t n = read(folders->fd, raw, sizeof raw);
    if (n <= 0)
        return;
    const struct inotify_event *before = NULL;
    for (const char *at = raw; at < raw + n;) {
        const struct inotify_event *event = (const void *)at;
        at += sizeof *event + event->len;
        if (event->mask & IN_IGNORED) /* the end of a watch; what caused it was told before */
            continue;
        bool repeated = before && event->mask == IN_MODIFY && before->mask == IN_MODIFY &&
                        before->wd == event->wd && strcmp(before->name, event->name) == 0;
        if (!repeated)
            tell(folders, event);
        before = event->len ? event : NULL;
    }
}

static enum status folders_start(struct folders **slot, struct loop *loop, struct error *err)
{
    if (*slot)
        return STATUS_OK;
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, STATUS_IO, errno,
                               "watching folders (the kernel allows fs.inotify.max_user_instances of them)");
    struct folders *folders = mem_new(sizeof *folders);
    *folders = (struct folders){.loop = loop, .fd = fd};
    folders->watch = loop_watch(loop, fd, LOOP_READ, on_events, folders);
    *slot = folders;
    return STATUS_OK;
}

enum status loop_watch_folder(struct folder_watch **out, struct loop *loop, const char *path,
                              void (*fn)(void *arg, const char *name, enum folder_change change), void *arg,
                              struct error *err)
{
    struct folders **slot = loop_folders(loop);
    enum status status = folders_start(slot, loop, err);
    if (status)
        return status;
    int descriptor = inotify_add_watch((*slot)->fd, path, WATCHED);
    if (descriptor < 0) {
        status = errno == ENOENT ? STATUS_NOT_FOUND : errno == EACCES ? STATUS_REFUSED : STATUS_IO;
        return error_set_errno(err, status, errno, "watching the folder '%s'", path);
    }
    struct folder_watch *watch = mem_new(sizeof *watch);
    *watch = (struct folder_watch){
        .folders = *slot, .descriptor = descriptor, .path = mem_string(path), .fn = fn, .arg = arg};
    watch->next = (*slot)->first;
    (*slot)->first = watch;
    *out = watch;
    return STATUS_OK;
}

static void free_watch(void *arg)
{
    struct folder_watch *watch = arg;
    mem_free(watch->path);
    mem_free(watch);
}

void loop_unwatch_folder(struct folder_watch *watch)
{
    if (!watch)
        return;
    struct folders *folders = watch->folders;
    bool shared = false;
    for (struct folder_watch **at = &folders->first; *at;) {
        if (*at == watch) {
            *at = watch->next;
            continue;
        }
        shared |= (*at)->descriptor == watch->descriptor;
        at = &(*at)->next;
    }
    if (!shared)
        inotify_rm_watch(folders->fd, watch->descriptor);
    watch->fn = NULL;
    loop_defer(folders->loop, free_watch, watch);
}

void folders_free(struct folders *folders)
{
    if (!folders)
        return;
    loop_unwatch(folders->watch);
    close(folders->fd);
    mem_free(folders);
}
