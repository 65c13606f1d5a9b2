#include "app/progress.h"

#include "app/client.h"
#include "base/clock.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS      20
#define REDRAW_US      100000
#define RATE_WINDOW_US 3000000

void progress_line(char *out, size_t out_bytes, const char *label, uint64_t done, uint64_t total, double rate)
{
    char bar[BAR_CELLS + 1], tail[96] = "", speed[32], left[32];
    double share = total ? (double)done / (double)total : 0;
    if (share > 1)
        share = 1;
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = share * BAR_CELLS >= i + 1 ? '#' : '-';
    bar[BAR_CELLS] = '\0';
    if (rate > 0) {
        client_size(speed, rate);
        client_duration(left, total > done ? (double)(total - done) / rate : 0);
        snprintf(tail, sizeof tail, " %s/s ETA %s", speed, left);
    }
    bool is_large = total >= 1000000000;
    double unit = is_large ? 1e9 : 1e6;
    snprintf(out, out_bytes, "%s: [%s] %d%% %.1f/%.1f %s%s", label, bar, (int)(share * 100),
             (double)done / unit, (double)total / unit, is_large ? "GB" : "MB", tail);
}

static void draw(void *arg, uint64_t done, uint64_t total)
{
    struct progress *p = arg;
    char line[200];
    uint64_t now = clock_process_us();
    if (now - p->mark_us >= RATE_WINDOW_US || (p->rate == 0 && now - p->mark_us >= RATE_WINDOW_US / 6)) {
        p->rate = (double)(done - p->mark_bytes) * 1e6 / (double)(now - p->mark_us);
        p->mark_us = now;
        p->mark_bytes = done;
    }
    if (p->drawn && now - p->drawn_us < REDRAW_US && done < total)
        return;
    progress_line(line, sizeof line, p->label, done, total, p->rate);
    fprintf(stderr, "\r%s\033[K", line);
    p->drawn = true;
    p->drawn_us = now;
}

void progress_begin(struct progress *progress, const char *label)
{
    *progress = (struct progress){.label = label, .on_terminal = isatty(STDERR_FILENO) == 1};
    progress->mark_us = clock_process_us();
    progress->callbacks.cancel = progress_catch_interrupts();
    if (progress->on_terminal) {
        progress->callbacks.report = draw;
        progress->callbacks.arg = progress;
    }
}

void progress_end(struct progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}

static bool interrupted;

static void on_signal(int number)
{
    if (__atomic_exchange_n(&interrupted, true, __ATOMIC_RELAXED)) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

const bool *progress_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}
