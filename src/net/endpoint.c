#include "net/conn.h"
#include "net/conn_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void endpoint_text(char out[ENDPOINT_TEXT_BYTES], const struct endpoint *endpoint)
{
    bool v6 = strchr(endpoint->ip, ':');
    snprintf(out, ENDPOINT_TEXT_BYTES, v6 ? "[%s]:%u" : "%s:%u", endpoint->ip, endpoint->port);
}

bool endpoint_parse(struct endpoint *out, const char *text)
{
    struct endpoint parsed = {0};
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    size_t n = (size_t)(colon - text), n_digits = strlen(colon + 1);
    if (n_digits == 0 || n_digits > 5 || strspn(colon + 1, "0123456789") != n_digits)
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    bool v6 = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (v6)
        text++, n -= 2;
    if (port > UINT16_MAX || n >= sizeof parsed.ip)
        return false;
    memcpy(parsed.ip, text, n);
    parsed.port = (uint16_t)port;
    uint8_t raw[16];
    if (inet_pton(v6 ? AF_INET6 : AF_INET, parsed.ip, raw) != 1)
        return false;
    *out = parsed;
    return true;
}

bool endpoint_is_loopback(const struct endpoint *endpoint)
{
    return strncmp(endpoint->ip, "127.", 4) == 0 || strcmp(endpoint->ip, "::1") == 0;
}

socklen_t endpoint_to_socket(const struct endpoint *endpoint, struct sockaddr_storage *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, endpoint->ip, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    if (inet_pton(AF_INET6, endpoint->ip, &v6.sin6_addr) == 1) {
        memcpy(out, &v6, sizeof v6);
        return sizeof v6;
    }
    return 0;
}

/* IPv4 in IPv6's clothes, as a socket for both families shows it, becomes IPv4. */
void endpoint_of_socket(struct endpoint *out, const struct sockaddr_storage *from)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    *out = (struct endpoint){0};
    if (from->ss_family == AF_INET) {
        memcpy(&v4, from, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, out->ip, sizeof out->ip);
        out->port = ntohs(v4.sin_port);
    } else if (from->ss_family == AF_INET6) {
        memcpy(&v6, from, sizeof v6);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], out->ip, sizeof out->ip);
        else
            inet_ntop(AF_INET6, &v6.sin6_addr, out->ip, sizeof out->ip);
        out->port = ntohs(v6.sin6_port);
    }
}
