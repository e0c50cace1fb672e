/*
 * A small file that may change under us: a token, a certificate. Read whole,
 * read again when what stands at its path is another file or a changed one.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/stat.h>

#define WATCHED_FILE_MAX (1024 * 1024) /* bytes; a larger file is an error */

struct watched_file {
	char *path;
	char *bytes; /* heap, NUL behind */
	size_t n;
	struct stat seen; /* of what was read */
};

/* Copies the path and reads nothing. 0 or -ENOMEM. */
int watched_file_init(struct watched_file *f, const char *path);
/* Wipes the bytes. */
void watched_file_done(struct watched_file *f);
/* Is there something else at the path than what was read? Cheap: one stat. A path with nothing
 * there counts as unchanged. */
bool watched_file_changed(const struct watched_file *f);
/*
 * Reads it. 0, -ENOMEM, -EFBIG, -EINVAL (empty, or no regular file) or what
 * open/read say; on failure what was read before stays and ret_error gets a
 * line that begins with `what` and names the path.
 */
int watched_file_read(struct watched_file *f, const char *what, struct buf *ret_error);
struct str watched_file_str(const struct watched_file *f);
