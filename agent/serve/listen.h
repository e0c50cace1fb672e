/*
 * Sockets that wait for questions.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct listen_file { /* which file is ours, for the end */
	char path[108];
	dev_t dev;
	ino_t ino;
};

/*
 * A listening unix socket, mode 0660. The folder is made when missing (not its parents). The
 * socket of an agent that is dead is replaced, one that somebody answers at is not: -EADDRINUSE.
 * What is no socket is not touched: -EEXIST. Other errors are the system's; `ret_error` has the
 * whole sentence.
 */
int listen_unix(const char *path, struct listen_file *ret_file, int *ret_fd, struct buf *ret_error);
/* Removes the file, if it still is ours. */
void listen_unix_end(struct listen_file *f);

/*
 * `host` "" is any address, of both families where the kernel has them. `here`: only an
 * address of this machine alone will do, else -EPERM. As above.
 */
int listen_tcp(const char *host, uint16_t port, bool here, int *ret_fd, struct buf *ret_error);
/* Whether only this machine can reach it. */
bool listen_is_here(int fd);
/* "127.0.0.1:9901" of a socket, and its port; -errno. */
int listen_name(int fd, struct buf *out, uint16_t *ret_port);
