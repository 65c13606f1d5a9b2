/* loop - the one event loop of the process: descriptors, timers, signals, watched folders, and work
 * posted from other threads. The only door to libevent.
 *
 * Everything runs on the thread that calls loop_run, and everything here is for that thread only,
 * except loop_post and loop_stop. Callbacks may free any object of the loop, their own included.
 * From the first loop_new on SIGPIPE is ignored and the soft limit of descriptors raised. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/clock.h"
#include "base/error.h"

#include <stdint.h>

struct loop;
struct watch;
struct signal_watch;
struct folder_watch;

enum status loop_new(struct loop **out, struct error *err);
/* Runs what was posted or deferred, then frees. Watches and timers must be gone by then. */
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* any thread; callbacks that are due still run */
/* Runs until `done(arg)` is true or timeout_ms have passed; tells whether it was. For tests and
 * programs that wait for one thing. */
bool loop_run_until(struct loop *loop, bool (*done)(void *arg), void *arg, uint64_t timeout_ms);

/* Real time (base/clock.h), read anew at each call. Lives as long as the loop. */
struct clock *loop_clock(struct loop *loop);

/* Runs fn(arg) on the loop's thread, in the order posted. Thread: any. */
void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg);
/* The same from the loop's own thread: runs after the callbacks that are under way have returned. What
 * a callback wants to free is freed here. */
void loop_defer(struct loop *loop, void (*fn)(void *arg), void *arg);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Calls fn while the descriptor is readable or writable (level-triggered). The descriptor stays the
 * caller's: unwatch first, then close. */
struct watch *loop_watch(struct loop *loop, int fd, unsigned events, void (*fn)(void *arg, unsigned events),
                         void *arg);
void loop_watch_set(struct watch *watch, unsigned events); /* 0: pause */
void loop_unwatch(struct watch *watch);                    /* NULL is fine */

struct signal_watch *loop_on_signal(struct loop *loop, int signo, void (*fn)(void *arg), void *arg);
void loop_off_signal(struct signal_watch *watch); /* NULL is fine */

enum folder_change {
    FOLDER_APPEARED, /* written and closed, moved in, or linked in */
    FOLDER_GONE,     /* deleted or moved out */
    FOLDER_CHANGED,  /* is being written, truncated, or its mode changed */
    FOLDER_RESCAN,   /* events were lost or the folder itself went: look at everything; name is "" */
};

/* Tells of changes to the entries directly in a folder. All watches share one inotify instance (the
 * kernel allows 128 a user). NOT_FOUND, REFUSED or IO with the path and errno. */
enum status loop_watch_folder(struct folder_watch **out, struct loop *loop, const char *path,
                              void (*fn)(void *arg, const char *name, enum folder_change change), void *arg,
                              struct error *err);
void loop_unwatch_folder(struct folder_watch *watch); /* NULL is fine */

#endif
