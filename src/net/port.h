/* port - who holds a TCP or UDP port of this machine, as far as /proc tells: for the error that a taken
 * port gets. Thread: any. */
#ifndef NET_PORT_H
#define NET_PORT_H

#include "base/error.h"

#include <stdint.h>

/* STATUS_BUSY: "port 7400 is in use by process 1234 (shoal) ...", or without the process where it
 * belongs to another user. `what` says what it was for ("HTTP", "links"). */
enum status port_in_use(struct error *err, const char *what, const char *ip, uint16_t port, bool udp);

/* Whether the port could be bound now. ip "": on all addresses. */
bool port_is_free(const char *ip, uint16_t port, bool udp);

#endif
