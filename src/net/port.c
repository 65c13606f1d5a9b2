#include "net/port.h"

#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_TRIES 5

/* The inode of the socket that holds the port, 0 where the table has none. Lines of /proc/net/tcp:
 * "sl local:port remote:port state tx:rx tr:when retrnsmt uid timeout inode ..." */
static unsigned long inode_in(const char *table, uint16_t port, bool udp)
{
    FILE *file = fopen(table, "re");
    char line[512];
    unsigned long inode = 0;
    while (file && !inode && fgets(line, sizeof line, file)) {
        char *fields[10], *rest = line;
        size_t n = 0;
        for (char *field; n < 10 && (field = strsep(&rest, " \n"));)
            if (*field)
                fields[n++] = field;
        char *colon = n == 10 ? strchr(fields[1], ':') : NULL;
        bool holds = colon && strtoul(colon + 1, NULL, 16) == port && (udp || strcmp(fields[3], "0A") == 0);
        if (holds)
            inode = strtoul(fields[9], NULL, 10);
    }
    if (file)
        fclose(file);
    return inode;
}

static bool process_has(const char *pid, const char *link_wanted)
{
    char path[320], link[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    DIR *folder = opendir(path);
    bool has = false;
    for (struct dirent *entry; folder && !has && (entry = readdir(folder));) {
        snprintf(path, sizeof path, "/proc/%.16s/fd/%s", pid, entry->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        link[n > 0 ? n : 0] = '\0';
        has = strcmp(link, link_wanted) == 0;
    }
    if (folder)
        closedir(folder);
    return has;
}

/* "process 1234 (name)", or "another process". */
static void holder_text(char *out, size_t out_bytes, uint16_t port, bool udp)
{
    snprintf(out, out_bytes, "another process");
    unsigned long inode = 0;
    for (int i = 0; i < TABLE_TRIES && !inode;
         i++) { /* a table that changes while it is read may lack a line */
        inode = inode_in(udp ? "/proc/net/udp" : "/proc/net/tcp", port, udp);
        if (!inode)
            inode = inode_in(udp ? "/proc/net/udp6" : "/proc/net/tcp6", port, udp);
    }
    char wanted[64], path[64], name[32] = "?";
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *folder = inode ? opendir("/proc") : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !process_has(entry->d_name, wanted))
            continue;
        snprintf(path, sizeof path, "/proc/%.16s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file) {
            if (fgets(name, sizeof name, file))
                name[strcspn(name, "\n")] = '\0';
            fclose(file);
        }
        snprintf(out, out_bytes, "process %.16s (%s)", entry->d_name, name);
        break;
    }
    if (folder)
        closedir(folder);
}

enum status port_in_use(struct error *err, const char *what, const char *ip, uint16_t port, bool udp)
{
    char holder[80];
    holder_text(holder, sizeof holder, port, udp);
    return error_set(err, STATUS_BUSY, "%s: %s port %u%s%s is in use by %s; stop it or choose another port",
                     what, udp ? "UDP" : "TCP", port, *ip ? " of " : "", ip, holder);
}
