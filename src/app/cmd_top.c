/* shoal top: the swarm on one screen, drawn anew at every event. */
#include "app/client.h"
#include "app/commands.h"
#include "app/top_view.h"
#include "base/clock.h"
#include "base/mem.h"

#include <curses.h>
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REFRESH_MS       2000 /* without an event */
#define REDRAW_LEAST_US  200000
#define ASK_TIMEOUT_MS   1500 /* keys wait for it */
#define SNAPSHOT_COLUMNS 120
#define COLUMNS_LEAST    40
#define RECONNECT_S      1

struct top {
    struct client client;
    struct top_view view;
    struct top_rates *rates;
    struct jv *status, *verdict;
    struct error trouble;
    int wake[2]; /* the listening thread writes a byte for each event */
};

/* --- asking ---------------------------------------------------------------------------------------------- */

static enum status ask_one(struct top *top, const char *path, struct jv **value)
{
    struct jv *fresh;
    int http;
    enum status status = client_call(&top->client, path, NULL, ASK_TIMEOUT_MS, &fresh, &http, &top->trouble);
    if (!status && http != 200) {
        status = error_set(&top->trouble, STATUS_NETWORK, "%s%s answered %d", top->client.url, path, http);
        jv_free(fresh);
    } else if (!status) {
        jv_free(*value);
        *value = fresh;
    }
    return status;
}

static enum status ask(struct top *top)
{
    enum status status = ask_one(top, "/api/v1/status", &top->status);
    if (!status)
        status = ask_one(top, "/api/v1/verdict", &top->verdict);
    if (!status)
        top_rates_see(top->rates, top->status, clock_process_us());
    top->view.status = top->status;
    top->view.verdict = top->verdict;
    top->view.trouble = status ? top->trouble.text : NULL;
    return status;
}

static bool on_event(void *arg, const char *data)
{
    const struct top *top = arg;
    (void)data;
    return write(top->wake[1], "e", 1) == 1 || errno == EAGAIN;
}

/* Thread: its own; uses nothing of top but the client and the pipe, and ends with the process. */
static void *listen_to_events(void *arg)
{
    struct top *top = arg;
    for (;;) {
        struct jv *refusal = NULL;
        int http;
        (void)client_stream(&top->client, "/api/v1/events", NULL, on_event, top, &refusal, &http, NULL);
        jv_free(refusal);
        sleep(RECONNECT_S);
    }
    return NULL;
}

/* --- one snapshot ---------------------------------------------------------------------------------------- */

struct page {
    int row, column;
};

static void put_plain(void *ctx, int row, int column, enum top_style style, const char *text)
{
    struct page *page = ctx;
    (void)style;
    for (; page->row < row; page->row++, page->column = 0)
        putchar('\n');
    for (; page->column < column; page->column++)
        putchar(' ');
    for (const char *c = text; *c; c++)
        page->column += ((unsigned char)*c & 0xc0) != 0x80;
    fputs(text, stdout);
}

static int print_snapshot(struct top *top)
{
    struct page page = {0};
    if (ask(top))
        return command_failed("top", &top->trouble);
    top->view.columns = SNAPSHOT_COLUMNS;
    top_view_draw(&top->view, put_plain, &page);
    putchar('\n');
    return jv_get_bool(top->verdict, "ready", false) ? 0 : 1;
}

/* --- the screen ------------------------------------------------------------------------------------------ */

static void put_curses(void *ctx, int row, int column, enum top_style style, const char *text)
{
    static const attr_t attributes[] = {[TOP_PLAIN] = A_NORMAL,
                                        [TOP_TITLE] = A_BOLD,
                                        [TOP_GOOD] = A_BOLD | COLOR_PAIR(1),
                                        [TOP_BUSY] = COLOR_PAIR(2),
                                        [TOP_BAD] = A_BOLD | COLOR_PAIR(3),
                                        [TOP_FAINT] = A_DIM};
    (void)ctx;
    (void)attr_set(0, 0, NULL);
    attron((int)attributes[style]);
    mvaddstr(row, column, text);
}

static void begin_screen(void)
{
    initscr();
    cbreak();
    noecho();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    if (has_colors()) {
        start_color();
        use_default_colors();
        init_pair(1, COLOR_GREEN, -1);
        init_pair(2, COLOR_YELLOW, -1);
        init_pair(3, COLOR_RED, -1);
    }
}

static void redraw(struct top *top)
{
    int max;
    top->view.columns = COLS < TOP_COLUMNS_MAX ? COLS : TOP_COLUMNS_MAX;
    top->view.rows = LINES;
    max = top_view_scroll_max(&top->view);
    top->view.first_node = top->view.first_node < max ? top->view.first_node : max;
    top->view.first_node = top->view.first_node > 0 ? top->view.first_node : 0;
    erase();
    if (COLS < COLUMNS_LEAST || LINES < 10)
        mvaddstr(0, 0, "too small");
    else
        top_view_draw(&top->view, put_curses, NULL);
    refresh();
}

/* False: quit. */
static bool take_keys(struct top *top)
{
    for (int key; (key = getch()) != ERR;) {
        if (key == 'q' || key == 'Q' || key == 27)
            return false;
        if (key == KEY_DOWN || key == 'j')
            top->view.first_node++;
        else if (key == KEY_UP || key == 'k')
            top->view.first_node--;
        else if (key == KEY_NPAGE)
            top->view.first_node += LINES / 2;
        else if (key == KEY_PPAGE)
            top->view.first_node -= LINES / 2;
    }
    return true;
}

static void run_screen(struct top *top)
{
    uint64_t asked_us = 0;
    bool is_due = true;
    for (;;) {
        uint64_t now = clock_process_us(), since = now - asked_us;
        if (is_due && (!asked_us || since >= REDRAW_LEAST_US)) {
            (void)ask(top);
            asked_us = clock_process_us();
            since = 0;
            is_due = false;
        }
        redraw(top);
        int wait_ms = is_due ? (int)((REDRAW_LEAST_US - since) / 1000) + 1 : REFRESH_MS;
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = top->wake[0], .events = POLLIN}};
        int n = poll(fds, 2, wait_ms);
        char events[256];
        if (n == 0)
            is_due = true;
        if (n > 0 && (fds[1].revents & POLLIN))
            is_due = read(top->wake[0], events, sizeof events) > 0;
        /* The terminal went, or a signal (a new size) came: getch takes both. */
        if ((n > 0 && (fds[0].revents & (POLLHUP | POLLERR))) || !take_keys(top))
            return;
    }
}

static int show_screen(struct top *top)
{
    pthread_t thread;
    (void)ask(top); /* what cannot be asked now is asked again; before there are two threads */
    if (pipe(top->wake) != 0 || pthread_create(&thread, NULL, listen_to_events, top) != 0) {
        perror("shoal top");
        return 3;
    }
    pthread_detach(thread);
    begin_screen();
    run_screen(top);
    endwin();
    return 0;
}

int cmd_top(int argc, char **argv)
{
    static const struct option options[] = {
        {"api", required_argument, NULL, 'a'}, {"ascii", no_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
    static struct top top; /* outlives this function: the listening thread has it */
    const char *api = NULL;
    struct error err;
    setlocale(LC_ALL, "");
    setlocale(LC_NUMERIC, "C");
    top.view.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'a')
            api = optarg;
        else if (c == 'p')
            top.view.ascii = true;
        else
            return command_usage_error("top", "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
    }
    if (optind < argc)
        return command_usage_error("top", "'%s' is too much", argv[optind]);
    if (client_find(&top.client, api, &err))
        return command_failed("top", &err);
    top.rates = mem_new(sizeof *top.rates);
    top.view.rates = top.rates;
    bool is_screen = isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1 && getenv("TERM");
    return is_screen ? show_screen(&top) : print_snapshot(&top);
}
