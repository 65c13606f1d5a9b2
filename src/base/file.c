#include "base/file.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PART_SUFFIX ".part"
#define LEFTOVER_S  600 /* nobody writes a small file for so long */

enum status file_read_at(int fd, uint64_t offset, void *buf, size_t n, size_t *got, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = pread(fd, (char *)buf + done, n - done, (off_t)(offset + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set_errno(err, STATUS_IO, errno, "reading %zu bytes at byte %llu", n,
                                   (unsigned long long)offset);
        if (r == 0)
            break;
        done += (size_t)r;
    }
    *got = done;
    return STATUS_OK;
}

enum status file_write_all(int fd, const void *data, size_t n, struct error *err)
{
    size_t done = 0;
    while (done < n) {
        ssize_t r = write(fd, (const char *)data + done, n - done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return error_set_errno(err, STATUS_IO, errno, "writing %zu bytes", n - done);
        done += (size_t)r;
    }
    return STATUS_OK;
}

enum status file_read(struct buffer *out, const char *path, size_t max, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set_errno(err, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "'%s'", path);
    const size_t step = 65536;
    size_t total = 0, got = step;
    enum status status = STATUS_OK;
    while (!status && got == step) {
        uint8_t *room = buffer_room(out, step);
        if (!room) {
            status = error_set(err, STATUS_LIMIT, "'%s' is too large to read", path);
            break;
        }
        status = file_read_at(fd, total, room, step, &got, err);
        if (status)
            break;
        out->size += got;
        total += got;
        if (total > max)
            status = error_set(err, STATUS_LIMIT, "'%s' has more than %zu bytes", path, max);
    }
    close(fd);
    return status ? error_wrap(err, status, "reading '%s'", path) : STATUS_OK;
}

/* The folder of a path: a block for mem_free. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_string(".");
    return slash == path ? mem_string("/") : mem_string_n(path, (size_t)(slash - path));
}

enum status file_publish(int fd, const char *part_path, const char *path, struct error *err)
{
    if (fsync(fd) != 0)
        return error_set_errno(err, STATUS_IO, errno, "flushing '%s'", part_path);
    if (rename(part_path, path) != 0)
        return error_set_errno(err, STATUS_IO, errno, "renaming '%s' to '%s'", part_path, path);
    char *folder = folder_of(path);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum status status = STATUS_OK;
    /* EINVAL: a file system whose folders cannot be flushed. */
    if (dir < 0 || (fsync(dir) != 0 && errno != EINVAL))
        status = error_set_errno(err, STATUS_IO, errno, "flushing the folder '%s'", folder);
    if (dir >= 0)
        close(dir);
    mem_free(folder);
    return status;
}

enum status file_write(const char *path, struct bytes content, mode_t mode, struct error *err)
{
    /* A name of our own: several processes may write one file (the swarm key) at a time; the last one stays. */
    static uint32_t n_written;
    uint32_t number = __atomic_fetch_add(&n_written, 1, __ATOMIC_RELAXED);
    char *part = mem_format("%s.%d-%u" PART_SUFFIX, path, (int)getpid(), number);
    enum status status = STATUS_OK;
    unlink(part); /* a leftover of an earlier process of this id */
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        status = error_set_errno(err, STATUS_IO, errno, "creating '%s'", part);
    if (!status)
        status = file_write_all(fd, content.data, content.size, err);
    if (!status)
        status = file_publish(fd, part, path, err);
    if (fd >= 0)
        close(fd);
    if (status) {
        unlink(part);
        error_wrap(err, status, "writing '%s'", path);
    }
    mem_free(part);
    return status;
}

/* NAME.PID-NUMBER.part, as file_write makes them. */
static bool is_unfinished(const char *name)
{
    size_t n = strlen(name), n_suffix = strlen(PART_SUFFIX);
    if (n <= n_suffix || strcmp(name + n - n_suffix, PART_SUFFIX) != 0)
        return false;
    n -= n_suffix;
    size_t end = n;
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    if (n == end || !n || name[--n] != '-')
        return false;
    end = n;
    while (n && name[n - 1] >= '0' && name[n - 1] <= '9')
        n--;
    return n != end && n > 1 && name[n - 1] == '.';
}

void file_sweep(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    time_t now = time(NULL);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        struct stat info;
        if (is_unfinished(entry->d_name) &&
            fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode) &&
            info.st_mtime < now - LEFTOVER_S)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

enum status file_make_folder(const char *path, struct error *err)
{
    char *text = mem_string(path);
    enum status status = STATUS_OK;
    for (char *at = text + (*text == '/'); !status && *text; at++) {
        bool last = *at == '\0';
        if (!last && *at != '/')
            continue;
        *at = '\0';
        if (mkdir(text, 0777) != 0 && errno != EEXIST)
            status = error_set_errno(err, STATUS_IO, errno, "making the folder '%s'", text);
        if (last)
            break;
        *at = '/';
    }
    struct stat info;
    if (!status && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
        status = error_set(err, STATUS_IO, "'%s' is not a folder", path);
    mem_free(text);
    return status;
}
