/* secret_file - files that only their owner may read: swarm.key, owner.key, a node's identity. Each way in
 * which one can be wrong has a message of its own, and no message has a byte of the content. Thread: any. */
#ifndef SWARM_SECRET_FILE_H
#define SWARM_SECRET_FILE_H

#include "base/bytes.h"

#define SECRET_FILE_BYTES_MAX 16384

/* Appends the file. NOT_FOUND; REFUSED: a link, somebody else's, readable by others, not readable by us;
 * BAD_DATA: no file, empty or too large. */
enum status secret_file_read(struct buffer *out, const char *path, struct error *err);
/* Whole or not at all, mode 0600. */
enum status secret_file_write(const char *path, struct bytes content, struct error *err);
/* mkdir -p; the last folder gets mode 0700. */
enum status secret_folder_make(const char *path, struct error *err);
void secret_buffer_free(struct buffer *buffer); /* wipes first */

#endif
