#include "sink/jsonl/out.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define MAX_DEFAULT (1U << 20)
#define RETRY_S	    5
#define FULL_MS	    50	       /* how long to wait for what libevent cannot wait for */
#define STOP_MS	    200	       /* how long the last lines may wait for their reader */
#define TURN_MAX    (1U << 18) /* bytes written in one go */

struct out {
	struct out_opts o;
	char *path;
	int fd;		/* -1: closed after an error */
	bool is_stdout; /* the path is "-" */
	bool may_block; /* fd could not be made non-blocking: polled, written in small pieces */
	bool is_socket, is_pipe;
	bool half;	 /* the first line in `wait` is written in part */
	bool told_error; /* this failure was logged */
	bool wants_room;
	struct buf wait;
	struct event *writable, *later;
	struct out_stats stats;
};

static void on_ready(evutil_socket_t fd, short what, void *ctx);

/*
 * Standard output is shared with whoever started us: O_NONBLOCK on it would hit them, and our
 * standard error. A pipe or terminal is therefore opened anew. A regular file is not: a second
 * opening would begin at its start.
 */
static int open_stdout(struct out *o)
{
	struct stat st;
	int fd = -1;

	if (fstat(STDOUT_FILENO, &st) < 0)
		return -errno;
	o->is_socket = S_ISSOCK(st.st_mode);
	o->may_block = false;
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		o->may_block = fd < 0;
	}
	if (fd < 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static const char *place(const struct out *o)
{
	return o->is_stdout ? "standard output" : o->path;
}

static int open_path(struct out *o)
{
	int fd;

	if (o->is_stdout)
		return open_stdout(o);
	fd = open(o->path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
	return fd < 0 ? -errno : fd;
}

static void close_fd(struct out *o)
{
	if (o->writable)
		event_free(o->writable);
	o->writable = NULL;
	if (o->fd >= 0)
		(void)close(o->fd);
	o->fd = -1;
}

/* A regular file is not for epoll (EPERM): then the timer alone is used. */
static int open_out(struct out *o)
{
	int fd = open_path(o);
	struct stat st;

	if (fd < 0)
		return fd;
	o->fd = fd;
	o->is_pipe = fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
	o->writable = event_new(o->o.base, fd, EV_WRITE, on_ready, o);
	if (o->writable)
		return 0;
	close_fd(o);
	return -ENOMEM;
}

/* A pipe takes up to PIPE_BUF bytes whole or not at all (pipe(7)): as many whole lines as that.
 * Only a longer one may be left half written. */
static struct str whole_lines(struct str s)
{
	const size_t most = MIN(s.n, (size_t)PIPE_BUF);
	const char *end = memrchr(s.p, '\n', most);

	if (!end)
		end = memchr(s.p + most, '\n', s.n - most);
	return end ? str_make(s.p, (size_t)(end + 1 - s.p)) : s;
}

static ssize_t write_some(struct out *o, struct str s)
{
	struct pollfd p = {.fd = o->fd, .events = POLLOUT};
	ssize_t n;

	if (o->is_pipe)
		s = whole_lines(s);
	if (o->is_socket)
		n = send(o->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	else if (o->may_block && poll(&p, 1, 0) == 0)
		return -EAGAIN;
	else /* a pipe that is ready takes PIPE_BUF bytes without waiting (pipe(7)) */
		n = write(o->fd, s.p, o->may_block ? MIN(s.n, (size_t)PIPE_BUF) : s.n);
	return n < 0 ? -errno : n;
}

static void taken(struct out *o, size_t n)
{
	struct str s = buf_str(&o->wait);

	for (const char *p = s.p, *end = s.p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		o->stats.lines++;
	o->half = s.p[n - 1] != '\n';
	o->stats.bytes += n;
	buf_consume(&o->wait, n);
}

static void wait_for(struct out *o, struct timeval tv, bool writable)
{
	if (writable && !o->may_block && o->writable && event_add(o->writable, NULL) == 0)
		return;
	(void)evtimer_add(o->later, &tv);
}

static void failed(struct out *o, int r)
{
	o->stats.errors++;
	if (!o->told_error)
		(void)log_err(r, "lines cannot be written to %s; trying again every %d s", place(o),
			      RETRY_S);
	o->told_error = true;
	if (!o->is_stdout)
		close_fd(o);
	wait_for(o, (struct timeval){.tv_sec = RETRY_S}, false);
}

/* 0, or what stopped it. */
static int write_all(struct out *o, size_t most)
{
	while (o->wait.n && most) {
		struct str s = buf_str(&o->wait);
		ssize_t n = write_some(o, str_make(s.p, MIN(s.n, most)));

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		taken(o, (size_t)n);
		most -= (size_t)n;
		if (o->told_error)
			log_info("lines are written to %s again", place(o));
		o->told_error = false;
	}
	return 0;
}

void out_flush(struct out *o)
{
	int r;

	if (evtimer_pending(o->later, NULL)) /* it waits for its time */
		return;
	r = o->fd < 0 ? open_out(o) : 0;
	if (r == 0)
		r = write_all(o, TURN_MAX);
	if (r == -EAGAIN || (r == 0 && o->wait.n))
		wait_for(o, (struct timeval){.tv_usec = r ? FULL_MS * 1000 : 0}, r != 0);
	else if (r < 0)
		failed(o, r);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct out *o = ctx;

	(void)fd;
	(void)what;
	out_flush(o);
	if (o->wants_room && o->wait.n < o->wait.max / 2) {
		o->wants_room = false;
		if (o->o.room)
			o->o.room(o->o.ctx);
	}
}

/* The rest of a line whose beginning the file has; without it the next one would join it. */
static void drop_half(struct out *o)
{
	struct str s = buf_str(&o->wait);
	const char *end = s.n && o->half ? memchr(s.p, '\n', s.n) : NULL;

	if (end) {
		buf_consume(&o->wait, (size_t)(end + 1 - s.p));
		o->stats.cut++;
	}
	o->half = false;
}

/* No line is in two files. */
static void leave_file(struct out *o)
{
	struct str s = buf_str(&o->wait);
	const char *end = s.n && o->half ? memchr(s.p, '\n', s.n) : NULL;

	if (end && o->fd >= 0)
		(void)write_all(o, (size_t)(end + 1 - s.p));
	drop_half(o);
	close_fd(o);
	(void)evtimer_del(o->later);
}

void out_reopen(struct out *o)
{
	if (o->is_stdout)
		return;
	leave_file(o);
	out_flush(o);
}

static int set_path(struct out *o, const char *path)
{
	char *copy = str_dup(str_of(path));

	if (!copy)
		return -ENOMEM;
	free(o->path);
	o->path = copy;
	o->is_stdout = strcmp(path, "-") == 0;
	o->may_block = o->is_socket = o->told_error = false;
	return 0;
}

int out_redirect(struct out *o, const char *path)
{
	int r;

	if (strcmp(o->path, path) == 0)
		return 0;
	leave_file(o);
	r = set_path(o, path);
	out_flush(o);
	return r;
}

uint64_t out_stop(struct out *o)
{
	const nsec_t until = clock_mono() + STOP_MS * NSEC_PER_MSEC;
	struct pollfd p = {.fd = o->fd, .events = POLLOUT};
	struct str s;
	uint64_t left = 0;
	nsec_t now;

	while (o->fd >= 0 && o->wait.n && write_all(o, SIZE_MAX) == -EAGAIN &&
	       (now = clock_mono()) < until)
		(void)poll(&p, 1, (int)((until - now) / NSEC_PER_MSEC) + 1);
	s = buf_str(&o->wait);
	for (const char *at = s.p, *end = s.p + s.n;
	     s.n && (at = memchr(at, '\n', (size_t)(end - at))); at++)
		left++;
	if (o->half)
		log_warn("the last line is cut: %s took no more of it", place(o));
	o->stats.cut += o->half;
	buf_reset(&o->wait);
	return left;
}

void out_drop(struct out *o)
{
	o->stats.cut += o->half;
	o->half = false;
	buf_reset(&o->wait);
}

int out_put(struct out *o, struct str line)
{
	int r = buf_append_str(&o->wait, line);

	if (r == -EMSGSIZE) {
		out_flush(o);
		r = buf_append_str(&o->wait, line);
	}
	if (r == -EMSGSIZE) /* something waits still, so that on_ready will come */
		o->wants_room = true;
	return r;
}

int out_new(const struct out_opts *opts, struct out **ret)
{
	struct out *o = calloc(1, sizeof(*o));
	int r = -ENOMEM;

	if (!o)
		return -ENOMEM;
	(void)signal(SIGPIPE, SIG_IGN);
	o->o = *opts;
	o->fd = -1;
	buf_init(&o->wait, opts->max ? opts->max : MAX_DEFAULT);
	o->later = evtimer_new(opts->base, on_ready, o);
	if (set_path(o, opts->path) == 0 && o->later)
		r = open_out(o);
	if (r == -ENXIO) { /* a FIFO that nobody reads yet: later */
		failed(o, r);
		r = 0;
	}
	if (r < 0)
		out_free(&o);
	else
		*ret = o;
	return r;
}

void out_free(struct out **po)
{
	struct out *o = *po;

	*po = NULL;
	if (!o)
		return;
	if (o->fd >= 0)
		(void)write_all(o, SIZE_MAX);
	close_fd(o);
	if (o->later)
		event_free(o->later);
	buf_done(&o->wait);
	free(o->path);
	free(o);
}

void out_stats(const struct out *o, struct out_stats *ret)
{
	*ret = o->stats;
	ret->waiting = o->wait.n;
}
