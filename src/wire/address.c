#include "wire/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

bool address_parse_ip(struct address *out, const char *ip, uint16_t port)
{
    struct address parsed = {.port = port};
    if (inet_pton(AF_INET, ip, parsed.ip) == 1)
        parsed.family = 4;
    else if (inet_pton(AF_INET6, ip, parsed.ip) == 1)
        parsed.family = 6;
    else
        return false;
    *out = parsed;
    return true;
}

static bool parse_port(uint16_t *out, const char *text)
{
    uint32_t port = 0;
    size_t n = strlen(text);
    if (n == 0 || n > 5)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        port = port * 10 + (uint32_t)(*text - '0');
    }
    *out = (uint16_t)port;
    return port <= UINT16_MAX;
}

bool address_parse(struct address *out, const char *text)
{
    char ip[ADDRESS_TEXT_BYTES];
    const char *colon = strrchr(text, ':');
    uint16_t port;
    if (!colon || !parse_port(&port, colon + 1))
        return false;
    size_t n = (size_t)(colon - text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    } else if (memchr(text, ':', n)) {
        return false; /* IPv6 needs its brackets */
    }
    if (n >= sizeof ip)
        return false;
    memcpy(ip, text, n);
    ip[n] = '\0';
    return address_parse_ip(out, ip, port);
}

void address_ip_text(char out[ADDRESS_TEXT_BYTES], const struct address *address)
{
    out[0] = '\0';
    if (address->family)
        inet_ntop(address->family == 4 ? AF_INET : AF_INET6, address->ip, out, ADDRESS_TEXT_BYTES);
}

void address_text(char out[ADDRESS_TEXT_BYTES], const struct address *address)
{
    char ip[ADDRESS_TEXT_BYTES];
    address_ip_text(ip, address);
    snprintf(out, ADDRESS_TEXT_BYTES, address->family == 6 ? "[%.45s]:%u" : "%.45s:%u", ip, address->port);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) == 0;
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    return address->family == 4 ? address->ip[0] == 127 : memcmp(address->ip, loopback6, 16) == 0;
}

bool address_is_dialable(const struct address *address)
{
    static const uint8_t zero[16];
    if (address->port == 0)
        return false;
    if (address->family == 4)
        return address->ip[0] != 0 && address->ip[0] < 224;
    return address->family == 6 && memcmp(address->ip, zero, 16) != 0 && address->ip[0] != 0xff;
}

void address_write(struct buffer *out, const struct address *address)
{
    buffer_u8(out, address->family);
    buffer_bytes(out, address->ip, address->family == 4 ? 4 : 16);
    buffer_u16(out, address->port);
}

bool address_read(struct address *out, struct reader *r)
{
    struct address read = {0};
    read.family = reader_u8(r);
    if (read.family != 4 && read.family != 6) {
        r->failed = true;
        return false;
    }
    reader_copy(r, read.ip, read.family == 4 ? 4 : 16);
    read.port = reader_u16(r);
    if (!reader_failed(r))
        *out = read;
    return !reader_failed(r);
}
