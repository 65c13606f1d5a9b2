/* The web console: files of web/, inside the program. */
#include "api/api_private.h"

#include "web_assets.h"

#include <string.h>

bool console_respond(struct http_exchange *exchange, const char *path)
{
    for (size_t i = 0; i < sizeof web_assets / sizeof *web_assets; i++) {
        if (strcmp(web_assets[i].path, path) != 0)
            continue;
        http_add_header(exchange, "Content-Security-Policy",
                        "default-src 'self'; base-uri 'none'; frame-ancestors 'none'");
        http_add_header(exchange, "X-Content-Type-Options", "nosniff");
        http_add_header(exchange, "Referrer-Policy", "no-referrer");
        http_add_header(exchange, "Cache-Control", "no-cache");
        http_respond(exchange, 200, web_assets[i].type, bytes_of(web_assets[i].data, web_assets[i].size));
        return true;
    }
    return false;
}
