/* top_view - the screen of `shoal top` as a pure function of what a process says (GET /api/v1/status and
 * verdict): model, verdict, the model's shards, one row a node, what runs. Draws through a function that is
 * given, so that ncurses, plain text and tests show the same.
 * Texts come from other nodes: what is no printable UTF-8 is replaced. */
#ifndef APP_TOP_VIEW_H
#define APP_TOP_VIEW_H

#include "base/jv.h"

#define TOP_NODES_MAX   1024
#define TOP_COLUMNS_MAX 400

enum top_style { TOP_PLAIN, TOP_TITLE, TOP_GOOD, TOP_BUSY, TOP_BAD, TOP_FAINT };

/* Tokens a second of each node, from the counters of its record at two times. */
struct top_rates {
    struct top_rate {
        char id[72];
        int64_t tokens;
        uint64_t changed_us;
        double rate;
    } nodes[TOP_NODES_MAX];
    uint32_t n;
};
void top_rates_see(struct top_rates *rates, const struct jv *status, uint64_t now_us);

struct top_view {
    const struct jv *status, *verdict; /* NULL: nothing came yet */
    const struct top_rates *rates;
    const char *trouble; /* why what is shown is old; NULL: it is not */
    int columns, rows;   /* rows 0: as many as needed */
    int first_node;      /* scrolled so far */
    bool ascii;
};

/* Returns the number of rows drawn. `put`: `text` is clipped already. */
int top_view_draw(const struct top_view *view,
                  void (*put)(void *ctx, int row, int column, enum top_style style, const char *text),
                  void *ctx);
/* How far first_node may go. */
int top_view_scroll_max(const struct top_view *view);

#endif
