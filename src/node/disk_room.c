/* Another disk with room, for who has none left (disk.h). */
#include "node/disk.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void consider(struct disk_room *room, dev_t not_on, const char *dir)
{
    struct stat info;
    struct statvfs space;
    if (!dir || dir[0] != '/' || strlen(dir) >= sizeof room->dir || stat(dir, &info) != 0 ||
        !S_ISDIR(info.st_mode) || info.st_dev == not_on || access(dir, W_OK | X_OK) != 0 ||
        statvfs(dir, &space) != 0)
        return;
    uint64_t bytes = (uint64_t)space.f_bavail * space.f_frsize;
    if (bytes <= room->bytes)
        return;
    room->bytes = bytes;
    snprintf(room->dir, sizeof room->dir, "%s", dir);
}

/* Disks of the machine: not what lies in memory or behind a network. */
static void consider_mounts(struct disk_room *room, dev_t not_on)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    char text[4096];
    struct mntent entry;
    while (mounts && getmntent_r(mounts, &entry, text, sizeof text))
        if (strncmp(entry.mnt_fsname, "/dev/", 5) == 0)
            consider(room, not_on, entry.mnt_dir);
    if (mounts)
        endmntent(mounts);
}

struct disk_room disk_find_room(const char *dir)
{
    struct disk_room room = {.bytes = 0};
    struct stat info;
    if (stat(dir, &info) != 0) /* not made yet */
        info.st_dev = 0;
    consider(&room, info.st_dev, getenv("HOME")); /* first: of several folders on one disk */
    consider(&room, info.st_dev, "/var/tmp");
    consider_mounts(&room, info.st_dev);
    return room;
}
