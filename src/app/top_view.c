#include "app/top_view.h"

#include "app/client.h"
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NODE_ROW_FIRST   7 /* under title, verdict, cause, action, shards, blank and heading */
#define ROWS_BELOW_NODES 3
#define RATE_OLD_US      5000000
#define WIDE_COLUMNS     112 /* from here on addresses are shown */
#define VERY_WIDE        150 /* and threads, sequences */

struct canvas {
    const struct top_view *view;
    void (*put)(void *ctx, int row, int column, enum top_style style, const char *text);
    void *ctx;
    int row, column;
};

/* --- text ------------------------------------------------------------------------------------------------ */

/* The next character of `text`: printable UTF-8 as it is, anything else as '?'. Returns its bytes. */
static size_t take_character(char out[5], const char *text, bool ascii)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t n = utf8_valid_length(at, strlen(text));
    bool control = *at < 0x20 || *at == 0x7f || (n == 2 && at[0] == 0xc2 && at[1] < 0xa0);
    if (n == 0 || control || (ascii && n > 1)) {
        memcpy(out, "?", 2);
        return n ? n : 1;
    }
    memcpy(out, text, n);
    out[n] = '\0';
    return n;
}

/* Writes at most `width` characters and moves on by what was written. */
static void write_text(struct canvas *c, int width, enum top_style style, const char *text)
{
    char line[4 * TOP_COLUMNS_MAX + 8];
    size_t used = 0;
    int n = 0, room = c->view->columns - c->column;
    width = width < room ? width : room;
    for (; *text && n < width && n < TOP_COLUMNS_MAX; n++) {
        char one[5];
        size_t taken = take_character(one, text, c->view->ascii);
        bool cut = n == width - 1 && text[taken];
        const char *shown = !cut ? one : c->view->ascii ? "~" : "…";
        memcpy(line + used, shown, strlen(shown) + 1);
        used += strlen(shown);
        text += taken;
    }
    if (n > 0)
        c->put(c->ctx, c->row, c->column, style, line);
    c->column += n;
}

static void put_format(struct canvas *c, enum top_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put_format(struct canvas *c, enum top_style style, const char *format, ...)
{
    char text[1500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_text(c, TOP_COLUMNS_MAX, style, text);
}

/* A column of the table: its text, then blanks up to its width and one more. */
static void put_cell(struct canvas *c, int width, enum top_style style, const char *text)
{
    int begin = c->column;
    write_text(c, width, style, text);
    c->column = begin + width + 1;
}

static void put_number(struct canvas *c, int width, const char *text)
{
    int n = (int)strlen(text), begin = c->column;
    c->column += n < width ? width - n : 0;
    write_text(c, width, TOP_PLAIN, text);
    c->column = begin + width + 1;
}

static void next_row(struct canvas *c)
{
    c->row++;
    c->column = 0;
}

static bool is_state(const struct jv *shard, const char *state)
{
    return strcmp(jv_get_text(shard, "state", ""), state) == 0;
}

/* --- shards as a bar ------------------------------------------------------------------------------------- */

enum cell { CELL_NONE, CELL_FILE, CELL_BUSY, CELL_LOADED, CELL_FAILED };

static enum cell cell_of(const struct jv *shard)
{
    if (is_state(shard, "LOADED"))
        return CELL_LOADED;
    if (is_state(shard, "FAILED"))
        return CELL_FAILED;
    if (is_state(shard, "PRESENT"))
        return CELL_FILE;
    return is_state(shard, "ABSENT") || !shard ? CELL_NONE : CELL_BUSY;
}

/* What one cell of the bar stands for when there are more shards than cells: the one most in need of a look. */
static enum cell cell_of_range(const struct jv *shards, int64_t first, int64_t end)
{
    static const int need[] = {
        [CELL_LOADED] = 0, [CELL_FILE] = 1, [CELL_NONE] = 2, [CELL_BUSY] = 3, [CELL_FAILED] = 4};
    bool is_seen = false;
    enum cell worst = CELL_NONE;
    int64_t n_seen = 0;
    for (size_t i = 0; i < jv_count(shards); i++) {
        int64_t id = jv_get_int(jv_at(shards, i), "id", -1);
        enum cell cell = cell_of(jv_at(shards, i));
        if (id < first || id >= end)
            continue;
        n_seen++;
        if (!is_seen || need[cell] > need[worst])
            worst = cell;
        is_seen = true;
    }
    return n_seen == end - first || worst == CELL_BUSY || worst == CELL_FAILED ? worst : CELL_NONE;
}

static void put_bar(struct canvas *c, const struct jv *shards, int64_t n_shards, int n_cells)
{
    static const char *const signs[] = {"·", "-", "▒", "█", "!"}, *const plain[] = {".", "-", "+", "#", "!"};
    static const enum top_style styles[] = {TOP_FAINT, TOP_FAINT, TOP_BUSY, TOP_GOOD, TOP_BAD};
    if (n_shards < n_cells)
        n_cells = (int)n_shards;
    for (int i = 0; i < n_cells && c->column < c->view->columns; i++) {
        enum cell cell = cell_of_range(shards, n_shards * i / n_cells, n_shards * (i + 1) / n_cells);
        c->put(c->ctx, c->row, c->column++, styles[cell], (c->view->ascii ? plain : signs)[cell]);
    }
}

/* --- rates ----------------------------------------------------------------------------------------------- */

static struct top_rate *rate_of(struct top_rates *rates, const char *id)
{
    for (uint32_t i = 0; i < rates->n; i++)
        if (strcmp(rates->nodes[i].id, id) == 0)
            return &rates->nodes[i];
    if (rates->n == TOP_NODES_MAX)
        return NULL;
    struct top_rate *rate = &rates->nodes[rates->n++];
    *rate = (struct top_rate){.tokens = -1};
    snprintf(rate->id, sizeof rate->id, "%s", id);
    return rate;
}

void top_rates_see(struct top_rates *rates, const struct jv *status, uint64_t now_us)
{
    const struct jv *nodes = jv_get(status, "nodes");
    for (size_t i = 0; i < jv_count(nodes); i++) {
        struct top_rate *rate = rate_of(rates, jv_get_text(jv_at(nodes, i), "id", ""));
        int64_t tokens = jv_get_int(jv_at(nodes, i), "tokens_done", 0);
        if (!rate)
            return;
        if (rate->tokens < 0 || tokens < rate->tokens) { /* new, or started again */
            *rate = (struct top_rate){.tokens = tokens, .changed_us = now_us, .rate = 0};
            snprintf(rate->id, sizeof rate->id, "%s", jv_get_text(jv_at(nodes, i), "id", ""));
        } else if (tokens > rate->tokens && now_us > rate->changed_us) {
            rate->rate = (double)(tokens - rate->tokens) * 1e6 / (double)(now_us - rate->changed_us);
            rate->tokens = tokens;
            rate->changed_us = now_us;
        } else if (now_us - rate->changed_us > RATE_OLD_US) {
            rate->rate = 0;
            rate->changed_us = now_us;
        }
    }
}

static double node_rate(const struct top_rates *rates, const char *id)
{
    for (uint32_t i = 0; rates && i < rates->n; i++)
        if (strcmp(rates->nodes[i].id, id) == 0)
            return rates->nodes[i].rate;
    return 0;
}

/* --- above the table ------------------------------------------------------------------------------------- */

static void draw_title(struct canvas *c)
{
    const struct jv *status = c->view->status;
    put_format(c, TOP_TITLE, "shoal top");
    if (status)
        put_format(c, TOP_PLAIN, "  %s  model %s  %zu processes  %lld of %lld shards loaded",
                   jv_get_text(status, "cluster", "?"), jv_get_text(status, "model", "none yet"),
                   jv_count(jv_get(status, "nodes")), (long long)jv_get_int(status, "loaded_shards", 0),
                   (long long)jv_get_int(status, "expected_shards", 0));
    next_row(c);
}

static size_t count_blockers(const struct jv *findings)
{
    size_t n = 0;
    while (n < jv_count(findings) && strcmp(jv_get_text(jv_at(findings, n), "severity", ""), "blocker") == 0)
        n++;
    return n;
}

/* "CODE  shard 5  node 829cbe9d", then the cause and the action in rows of their own. */
static void draw_finding(struct canvas *c, const struct jv *f, enum top_style style)
{
    put_format(c, style, "%s", jv_get_text(f, "code", "?"));
    if (jv_is_int(jv_get(f, "shard")))
        put_format(c, style, "  shard %lld", (long long)jv_get_int(f, "shard", 0));
    if (jv_is_text(jv_get(f, "node")))
        put_format(c, style, "  node %.8s", jv_get_text(f, "node", ""));
}

static void draw_cause(struct canvas *c, const struct jv *f)
{
    next_row(c);
    put_format(c, TOP_PLAIN, "%s", jv_get_text(f, "cause", ""));
    next_row(c);
    if (*jv_get_text(f, "action", ""))
        put_format(c, TOP_PLAIN, "do this: %s", jv_get_text(f, "action", ""));
    next_row(c);
}

static void draw_verdict(struct canvas *c)
{
    const struct jv *verdict = c->view->verdict, *findings = jv_get(verdict, "findings");
    const struct jv *first = jv_at(findings, 0);
    size_t n_blockers = count_blockers(findings);
    char since[32];
    if (c->view->trouble) {
        put_format(c, TOP_BAD, "NO ANSWER; what follows is what was known before");
        next_row(c);
        put_format(c, TOP_PLAIN, "%s", c->view->trouble);
        next_row(c);
        next_row(c);
        return;
    }
    if (!verdict) {
        put_format(c, TOP_FAINT, "asking ...");
    } else if (jv_get_bool(verdict, "ready", false)) {
        client_duration(since, jv_get_real(verdict, "since", 0));
        put_format(c, TOP_GOOD, "READY");
        put_format(c, TOP_PLAIN, " for %s: a probe token has passed through every layer   ", since);
        if (first && strcmp(jv_get_text(first, "severity", ""), "warning") == 0)
            draw_finding(c, first, TOP_BUSY);
        else
            first = NULL;
    } else if (n_blockers) {
        put_format(c, TOP_BAD, "NOT READY: ");
        draw_finding(c, first, TOP_BAD);
        if (n_blockers > 1)
            put_format(c, TOP_PLAIN, "   (and %zu more: shoal doctor)", n_blockers - 1);
    } else {
        put_format(c, TOP_BUSY, "NOT READY: nothing blocks, the probe token is on its way");
        first = NULL;
    }
    draw_cause(c, first);
}

static void draw_model(struct canvas *c)
{
    const struct jv *status = c->view->status;
    int64_t n_shards = jv_get_int(status, "expected_shards", 0);
    if (n_shards > 0) {
        put_format(c, TOP_PLAIN, "shards ");
        put_bar(c, jv_get(status, "shards"), n_shards, c->view->columns - 8);
    }
    next_row(c);
}

/* --- the table ------------------------------------------------------------------------------------------- */

struct layout {
    int bar, state;
    bool address, more;
};

static struct layout layout_of(const struct top_view *view)
{
    int64_t n_shards = jv_get_int(view->status, "expected_shards", 0);
    struct layout l = {.address = view->columns >= WIDE_COLUMNS, .more = view->columns >= VERY_WIDE};
    int fixed = 9 + 6 + 9 + 8 + 14 + (l.address ? 23 : 0) + (l.more ? 20 : 0);
    int left = view->columns - fixed - 2;
    int bar_max = left > 44 ? left - 28 : left > 30 ? 16 : 8;
    l.bar = n_shards < 6 ? 6 : n_shards < bar_max ? (int)n_shards : bar_max;
    l.state = left - l.bar > 34 ? 34 : left - l.bar > 10 ? left - l.bar : 10; /* what is too much is clipped */
    return l;
}

static void draw_heading(struct canvas *c, const struct layout *l)
{
    put_cell(c, 8, TOP_TITLE, "NODE");
    put_cell(c, 5, TOP_TITLE, "ROLE");
    if (l->address)
        put_cell(c, 22, TOP_TITLE, "ADDRESS");
    put_cell(c, l->bar, TOP_TITLE, "SHARDS");
    put_cell(c, l->state, TOP_TITLE, "STATE");
    put_cell(c, 8, TOP_TITLE, "     RTT");
    put_cell(c, 7, TOP_TITLE, "  TOK/S");
    put_cell(c, 13, TOP_TITLE, "       MEMORY");
    if (l->more)
        put_cell(c, 19, TOP_TITLE, "CPU");
    next_row(c);
}

/* The shard whose state says most of its node: failed, then on its way, then waiting. */
static const struct jv *telling_shard(const struct jv *shards)
{
    static const char *const order[] = {"FAILED", "FETCHING", "VERIFYING", "LOADING", "UNLOADING", "QUEUED"};
    for (size_t k = 0; k < sizeof order / sizeof *order; k++)
        for (size_t i = 0; i < jv_count(shards); i++)
            if (is_state(jv_at(shards, i), order[k]))
                return jv_at(shards, i);
    return NULL;
}

static enum top_style describe_state(char out[96], const struct jv *node)
{
    const struct jv *shards = jv_get(node, "shards"), *s = telling_shard(shards);
    size_t n_loaded = 0, n_assigned = 0;
    for (size_t i = 0; i < jv_count(shards); i++) {
        n_loaded += is_state(jv_at(shards, i), "LOADED");
        n_assigned += jv_get_bool(jv_at(shards, i), "assigned", false);
    }
    if (s && is_state(s, "FAILED")) {
        snprintf(out, 96, "%lld FAILED %.60s", (long long)jv_get_int(s, "id", 0),
                 jv_get_text(s, "failure", ""));
        return TOP_BAD;
    }
    if (s) {
        int64_t total = jv_get_int(s, "bytes_total", 0), rate = jv_get_int(s, "rate", 0);
        int n = snprintf(out, 96, "%lld %.20s", (long long)jv_get_int(s, "id", 0), jv_get_text(s, "state", ""));
        if (total > 0)
            n += snprintf(out + n, 96 - (size_t)n, " %d%%",
                          (int)(100 * jv_get_real(s, "bytes_done", 0) / (double)total));
        if (rate > 0) {
            char speed[32];
            client_size(speed, (double)rate);
            snprintf(out + n, 96 - (size_t)n, " %s/s", speed);
        }
        return TOP_BUSY;
    }
    if (n_loaded)
        snprintf(out, 96, "LOADED %zu", n_loaded);
    else if (n_assigned)
        snprintf(out, 96, "waits");
    else if (jv_count(shards))
        snprintf(out, 96, "idle, has %zu file%s", jv_count(shards), jv_count(shards) == 1 ? "" : "s");
    else
        snprintf(out, 96, "-");
    return n_loaded ? TOP_GOOD : n_assigned ? TOP_BUSY : TOP_FAINT;
}

static void put_memory(struct canvas *c, const struct jv *capabilities)
{
    char text[64], used[32], budget[32];
    client_size(used, jv_get_real(capabilities, "memory_used", 0));
    client_size(budget, jv_get_real(capabilities, "memory_budget", 0));
    used[strcspn(used, "B")] = budget[strcspn(budget, "B")] = '\0'; /* "117.2 M" */
    for (char *at; (at = strchr(used, ' ')) || (at = strchr(budget, ' '));)
        memmove(at, at + 1, strlen(at));
    snprintf(text, sizeof text, "%s/%s", used, budget);
    put_number(c, 13, jv_get_int(capabilities, "memory_budget", 0) > 0 ? text : "-");
}

static void draw_node(struct canvas *c, const struct layout *l, const struct jv *node)
{
    const struct jv *capabilities = jv_get(node, "capabilities");
    const char *id = jv_get_text(node, "id", "?");
    char state[96], text[64], short_id[9];
    int64_t rtt = jv_get_int(node, "rtt_us", 0);
    double rate = node_rate(c->view->rates, id);
    bool computes = jv_get_int(capabilities, "memory_budget", 0) > 0;
    snprintf(short_id, sizeof short_id, "%s", id);
    put_cell(c, 8, jv_get_bool(node, "self", false) ? TOP_TITLE : TOP_PLAIN, short_id);
    put_cell(c, 5, TOP_PLAIN, jv_get_text(node, "role", "?"));
    if (l->address)
        put_cell(c, 22, TOP_PLAIN, jv_get_text(node, "address", "?"));
    int begin = c->column;
    if (computes)
        put_bar(c, jv_get(node, "shards"), jv_get_int(c->view->status, "expected_shards", 0), l->bar);
    c->column = begin + l->bar + 1;
    enum top_style style = describe_state(state, node);
    put_cell(c, l->state, style, state);
    snprintf(text, sizeof text, "%.2f ms", (double)rtt / 1000);
    put_number(c, 8, jv_get_bool(node, "self", false) ? "asked" : rtt ? text : "-");
    snprintf(text, sizeof text, "%.0f", rate);
    put_number(c, 7, computes ? text : "-");
    put_memory(c, capabilities);
    if (l->more) {
        snprintf(text, sizeof text, "%.10s x %lld", jv_get_text(capabilities, "cpu", "?"),
                 (long long)jv_get_int(capabilities, "threads", 0));
        put_cell(c, 19, TOP_PLAIN, computes ? text : "-");
    }
    next_row(c);
}

static int node_rows(const struct top_view *view)
{
    int n = (int)jv_count(jv_get(view->status, "nodes")), room = view->rows - NODE_ROW_FIRST - ROWS_BELOW_NODES;
    return !view->rows || n < room ? n : room > 0 ? room : 0;
}

int top_view_scroll_max(const struct top_view *view)
{
    return (int)jv_count(jv_get(view->status, "nodes")) - node_rows(view);
}

/* A token passes through all nodes of the plan: the busiest one's figures are the swarm's. */
static void draw_requests(struct canvas *c)
{
    const struct jv *nodes = jv_get(c->view->status, "nodes");
    int64_t n_running = 0, n_queued = 0;
    double rate = 0;
    for (size_t i = 0; i < jv_count(nodes); i++) {
        const struct jv *node = jv_at(nodes, i);
        int64_t running = jv_get_int(node, "sequences", 0), queued = jv_get_int(node, "queued", 0);
        double one = node_rate(c->view->rates, jv_get_text(node, "id", ""));
        n_running = running > n_running ? running : n_running;
        n_queued = queued > n_queued ? queued : n_queued;
        rate = one > rate ? one : rate;
    }
    put_format(c, TOP_PLAIN, "requests: %lld running, %lld steps queued, %.0f tokens/s", (long long)n_running,
               (long long)n_queued, rate);
    next_row(c);
}

int top_view_draw(const struct top_view *view,
                  void (*put)(void *ctx, int row, int column, enum top_style style, const char *text),
                  void *ctx)
{
    struct canvas c = {.view = view, .put = put, .ctx = ctx};
    const struct jv *nodes = jv_get(view->status, "nodes");
    struct layout layout = layout_of(view);
    draw_title(&c);
    draw_verdict(&c);
    draw_model(&c);
    next_row(&c);
    draw_heading(&c, &layout);
    int n = node_rows(view), n_nodes = (int)jv_count(nodes);
    for (int i = 0; i < n; i++)
        draw_node(&c, &layout, jv_at(nodes, (size_t)(view->first_node + i)));
    next_row(&c);
    draw_requests(&c);
    if (view->rows) {
        c.row = view->rows - 1;
        put_format(&c, TOP_FAINT, "q quit");
        if (n < n_nodes)
            put_format(&c, TOP_FAINT, "   up/down: nodes %d to %d of %d", view->first_node + 1,
                       view->first_node + n, n_nodes);
        next_row(&c);
    }
    return c.row;
}
