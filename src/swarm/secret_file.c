#include "swarm/secret_file.h"

#include "base/crypto.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static enum status check(int fd, const char *path, struct error *err)
{
    struct stat info;
    if (fstat(fd, &info))
        return error_set_errno(err, STATUS_IO, errno, "'%s'", path);
    if (S_ISDIR(info.st_mode))
        return error_set(err, STATUS_BAD_DATA, "'%s' is a folder, not a key file", path);
    if (!S_ISREG(info.st_mode))
        return error_set(err, STATUS_BAD_DATA, "'%s' is not an ordinary file", path);
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return error_set(err, STATUS_REFUSED,
                         "'%s' belongs to user %u, we run as %u: chown it, or name another", path, info.st_uid,
                         geteuid());
    if (info.st_mode & 077)
        return error_set(err, STATUS_REFUSED, "'%s' has mode %04o, so others can read the key: chmod 600 '%s'",
                         path, info.st_mode & 07777, path);
    if (info.st_size == 0)
        return error_set(err, STATUS_BAD_DATA, "'%s' is empty", path);
    if (info.st_size > SECRET_FILE_BYTES_MAX)
        return error_set(err, STATUS_BAD_DATA, "'%s' has %lld bytes; a key file has at most %d", path,
                         (long long)info.st_size, SECRET_FILE_BYTES_MAX);
    return STATUS_OK;
}

enum status secret_file_read(struct buffer *out, const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return error_set(err, STATUS_NOT_FOUND, "there is no file '%s'", path);
    if (fd < 0 && errno == ELOOP)
        return error_set(err, STATUS_REFUSED, "'%s' is a symbolic link; name the key file itself", path);
    if (fd < 0)
        return error_set_errno(err, STATUS_REFUSED, errno, "cannot open '%s'", path);
    uint8_t raw[SECRET_FILE_BYTES_MAX];
    size_t got = 0;
    enum status status = check(fd, path, err);
    if (!status)
        status = file_read_at(fd, 0, raw, sizeof raw, &got, err);
    if (!status)
        buffer_bytes(out, raw, got);
    crypto_wipe(raw, sizeof raw);
    close(fd);
    return status;
}

enum status secret_file_write(const char *path, struct bytes content, struct error *err)
{
    return file_write(path, content, 0600, err);
}

enum status secret_folder_make(const char *path, struct error *err)
{
    struct stat info;
    if (file_make_folder(path, err))
        return err ? err->status : STATUS_IO;
    if (stat(path, &info) == 0 && info.st_uid == geteuid() && (info.st_mode & 077))
        chmod(path, 0700);
    return STATUS_OK;
}

void secret_buffer_free(struct buffer *buffer)
{
    if (buffer->data)
        crypto_wipe(buffer->data, buffer->capacity);
    buffer_free(buffer);
}
