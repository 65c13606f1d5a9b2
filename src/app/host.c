#include "app/host.h"

#include "kernels/kernels.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint32_t host_n_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

static size_t read_text(char *out, size_t size, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
    if (fd >= 0)
        close(fd);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* A line of /proc/meminfo, in bytes; 0 when it is not there. */
static uint64_t meminfo(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) * 1024 : 0;
}

void host_look(struct node_host *out)
{
    char text[4096];
    const struct kernels *kernels;
    *out = (struct node_host){.n_cores = host_n_cores()};
    read_text(text, sizeof text, "/proc/meminfo");
    out->ram_total = meminfo(text, "MemTotal:");
    out->ram_free = meminfo(text, "MemAvailable:");
    read_text(out->boot_id, sizeof out->boot_id, "/proc/sys/kernel/random/boot_id");
    out->boot_id[strcspn(out->boot_id, "\n")] = '\0';
    if (!kernels_select(&kernels, NULL))
        snprintf(out->cpu, sizeof out->cpu, "%s", kernels->level);
}

static bool take(struct address *out, const struct ifaddrs *row, uint16_t port)
{
    if (!row->ifa_addr || !(row->ifa_flags & IFF_UP))
        return false;
    *out = (struct address){.port = port};
    if (row->ifa_addr->sa_family == AF_INET) {
        out->family = 4;
        memcpy(out->ip, &((const struct sockaddr_in *)(const void *)row->ifa_addr)->sin_addr, 4);
        return !(out->ip[0] == 169 && out->ip[1] == 254);
    }
    if (row->ifa_addr->sa_family == AF_INET6) {
        out->family = 6;
        memcpy(out->ip, &((const struct sockaddr_in6 *)(const void *)row->ifa_addr)->sin6_addr, 16);
        return !(out->ip[0] == 0xfe && (out->ip[1] & 0xc0) == 0x80);
    }
    return false;
}

uint32_t host_addresses(struct address *out, uint32_t max, uint16_t port)
{
    struct ifaddrs *all;
    uint32_t n = 0;
    if (getifaddrs(&all) != 0)
        all = NULL;
    for (int pass = 0; pass < 3; pass++) { /* IPv4, IPv6, then loopback when nothing else is there */
        if (pass == 2 && n)
            break;
        for (const struct ifaddrs *row = all; row && n < max; row = row->ifa_next) {
            struct address address;
            if (!take(&address, row, port))
                continue;
            bool loopback = address_is_loopback(&address);
            if ((pass < 2 && !loopback && address.family == (pass == 0 ? 4 : 6)) ||
                (pass == 2 && loopback && address.family == 4))
                out[n++] = address;
        }
    }
    if (all)
        freeifaddrs(all);
    return n;
}
