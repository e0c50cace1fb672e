#include "serve/listen.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define BACKLOG	   16
#define LOCK_TRIES 50 /* of 10 ms: two agents that start at once */

static int say(struct buf *error, int r, const char *what, const char *path)
{
	(void)buf_printf(error, "%s %s: %s", what, path, strerror(-r));
	return r;
}

/* The folder, made when it is missing, opened and locked: whoever looks for a dead agent's socket
 * and replaces it is alone. */
static int open_folder(const char *path, struct buf *error, int *ret_fd)
{
	char folder[sizeof(((struct listen_file *)NULL)->path)];
	const char *slash = strrchr(path, '/');
	_close_ int fd = -1;
	const struct timespec tick = {.tv_nsec = 10 * NSEC_PER_MSEC};

	(void)snprintf(folder, sizeof(folder), "%.*s",
		       slash && slash > path ? (int)(slash - path) : 1, slash ? path : ".");
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return say(error, -errno, "cannot make", folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return say(error, -errno, "cannot open", folder);
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == LOCK_TRIES || errno != EWOULDBLOCK)
			return say(error, -errno, "cannot lock", folder);
		(void)nanosleep(&tick, NULL);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int make_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

/* Takes away what a dead agent left. 0: the place is free. */
static int clear_place(const struct sockaddr_un *sun, struct buf *error)
{
	_close_ int fd = -1;
	struct stat st;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : say(error, -errno, "cannot look at", sun->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return say(error, -EEXIST, "not a socket, and left alone:", sun->sun_path);
	fd = make_socket();
	if (fd < 0)
		return say(error, fd, "cannot make a socket for", sun->sun_path);
	if (connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 || errno != ECONNREFUSED)
		return say(error, -EADDRINUSE, "another agent answers at", sun->sun_path);
	return unlink(sun->sun_path) < 0 ? say(error, -errno, "cannot remove", sun->sun_path) : 0;
}

/* The mode is right from the file's first moment on: bind makes it under the umask. */
static int bind_unix(int fd, const struct sockaddr_un *sun)
{
	mode_t before = umask(0117);
	int r = bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 ? -errno : 0;

	(void)umask(before);
	return r == 0 && listen(fd, BACKLOG) < 0 ? -errno : r;
}

int listen_unix(const char *path, struct listen_file *ret_file, int *ret_fd, struct buf *ret_error)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	_close_ int folder = -1, fd = -1;
	struct stat st;
	int r;

	if (strlen(path) >= sizeof(sun.sun_path))
		return say(ret_error, -ENAMETOOLONG, "cannot listen at", path);
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	r = open_folder(path, ret_error, &folder);
	if (r == 0)
		r = clear_place(&sun, ret_error);
	if (r < 0)
		return r;
	fd = make_socket();
	r = fd < 0 ? fd : bind_unix(fd, &sun);
	if (r == 0 && lstat(path, &st) < 0)
		r = -errno;
	if (r < 0)
		return say(ret_error, r, "cannot listen at", path);
	*ret_file = (struct listen_file){.dev = st.st_dev, .ino = st.st_ino};
	(void)snprintf(ret_file->path, sizeof(ret_file->path), "%s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void listen_unix_end(struct listen_file *f)
{
	struct stat st;

	if (f->path[0] && lstat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
		(void)unlink(f->path);
	f->path[0] = '\0';
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool is_here(const struct sockaddr *sa)
{
	struct sockaddr_in four;

	if (sa->sa_family == AF_INET) {
		memcpy(&four, sa, sizeof(four));
		return ntohl(four.sin_addr.s_addr) >> 24 == 127;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 six;

		memcpy(&six, sa, sizeof(six));
		return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
	}
	return false;
}

bool listen_is_here(int fd)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);

	return getsockname(fd, (struct sockaddr *)&sa, &n) == 0 &&
	       is_here((const struct sockaddr *)&sa);
}

int listen_name(int fd, struct buf *out, uint16_t *ret_port)
{
	struct sockaddr_storage sa = {0};
	socklen_t n = sizeof(sa);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	unsigned long long number = 0;
	int r;

	if (getsockname(fd, (struct sockaddr *)&sa, &n) < 0)
		return -errno;
	if (getnameinfo((const struct sockaddr *)&sa, n, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EINVAL;
	r = str_to_u64(str_of(port), &number);
	if (r == 0)
		r = buf_printf(out, sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	if (r == 0)
		*ret_port = (uint16_t)number;
	return r;
}

static int bind_tcp(const struct addrinfo *a, bool any)
{
	_close_ int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int on = 1, off = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (any && a->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* One that can be had, of those that may be. */
static int bind_one(const struct addrinfo *list, bool any, bool here)
{
	int fd = -EADDRNOTAVAIL;

	for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = here && !is_here(a->ai_addr) ? -EPERM : bind_tcp(a, any);
	return fd;
}

static int listen_family(const char *host, uint16_t port, int family, bool here,
			 struct buf *ret_error)
{
	const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				       .ai_family = family,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	char text[8];
	int r, fd;

	(void)snprintf(text, sizeof(text), "%u", port);
	r = getaddrinfo(host[0] ? host : NULL, text, &hints, &list);
	if (r != 0) {
		(void)buf_printf(ret_error, "cannot listen at %s: %s", host, gai_strerror(r));
		return -EINVAL;
	}
	fd = bind_one(list, !host[0], here);
	freeaddrinfo(list);
	if (fd == -EPERM && here)
		(void)buf_printf(ret_error, "%s is no address of this machine alone", host);
	else if (fd < 0)
		(void)buf_printf(ret_error, "cannot listen at %s port %u: %s",
				 host[0] ? host : "any address", port, strerror(-fd));
	return fd;
}

int listen_tcp(const char *host, uint16_t port, bool here, int *ret_fd, struct buf *ret_error)
{
	_buf_ struct buf ignored = {.max = 1024};
	int fd = -1;

	if (!host[0]) /* takes IPv4, too, where there is IPv6 at all */
		fd = listen_family(host, port, AF_INET6, here, &ignored);
	if (fd < 0)
		fd = listen_family(host, port, host[0] ? AF_UNSPEC : AF_INET, here, ret_error);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}
