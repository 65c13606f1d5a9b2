/* file - whole files: read within a limit, written so that they appear whole or not at all, and loops around
 * read and write that survive EINTR and short counts. Thread: any. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Appends the file to `out`. NOT_FOUND; LIMIT: it has more than `max` bytes; IO. */
enum status file_read(struct buffer *out, const char *path, size_t max, struct error *err);
/* A .part beside it, fsync, rename, fsync of the folder. Several may write one path at a time: the last stays.
 */
enum status file_write(const char *path, struct bytes content, mode_t mode, struct error *err);
/* Removes what writes that were cut off (a kill, a power loss) left in a folder. */
void file_sweep(const char *folder);
/* Exactly n bytes at `offset`: *got tells how many there were before the file's end. IO only. */
enum status file_read_at(int fd, uint64_t offset, void *buf, size_t n, size_t *got, struct error *err);
enum status file_write_all(int fd, const void *data, size_t n, struct error *err);
/* Flushes `fd`, renames part_path to path and flushes the folder. */
enum status file_publish(int fd, const char *part_path, const char *path, struct error *err);
/* mkdir -p. */
enum status file_make_folder(const char *path, struct error *err);

#endif
