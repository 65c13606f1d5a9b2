/* host - what this machine is and has: cores, memory, boot id, addresses. Thread: any. */
#ifndef APP_HOST_H
#define APP_HOST_H

#include "node/node.h"

void host_look(struct node_host *out);
/* CPUs that this process may run on. */
uint32_t host_n_cores(void);
/* Addresses of this machine that peers may dial, IPv4 before IPv6, others before loopback; loopback only when
 * there is no other. Link-local ones are left out. Ports are set to `port`. */
uint32_t host_addresses(struct address *out, uint32_t max, uint16_t port);

#endif
