/* address - a numeric IP address and a port. Names are resolved elsewhere (net). Text forms:
 * "192.0.2.1:7400", "[2001:db8::1]:7400". */
#ifndef WIRE_ADDRESS_H
#define WIRE_ADDRESS_H

#include "base/bytes.h"

#define ADDRESS_TEXT_BYTES 56

struct address {
    uint8_t family; /* 4, 6; 0: none */
    uint8_t ip[16]; /* network order; the first 4 bytes for family 4 */
    uint16_t port;  /* host order */
};

bool address_parse(struct address *out, const char *text); /* numeric only, port needed */
bool address_parse_ip(struct address *out, const char *ip, uint16_t port);
void address_text(char out[ADDRESS_TEXT_BYTES], const struct address *address);
void address_ip_text(char out[ADDRESS_TEXT_BYTES], const struct address *address);
bool address_equal(const struct address *a, const struct address *b);
bool address_is_loopback(const struct address *address);
/* Whether a peer may tell us to dial it: not 0.0.0.0, multicast or broadcast, port not 0. */
bool address_is_dialable(const struct address *address);
void address_write(struct buffer *out, const struct address *address); /* 1 + 4 or 16 + 2 bytes */
bool address_read(struct address *out, struct reader *r);

#endif
