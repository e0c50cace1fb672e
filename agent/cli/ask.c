#include "cli/ask.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#define HEAD_MAX  16384
#define READ_SIZE 65536
#define IN_MAX	  (HEAD_MAX + READ_SIZE)
#define ERROR_MAX (1UL << 20)

static int refuse(struct buf *error, int r, const char *socket, const char *what)
{
	(void)buf_printf(error,
			 "%s %s: %s; is `kindred agent` running on this node, and may you open its "
			 "socket? --socket names another",
			 what, socket, strerror(-r));
	return r;
}

static int dial(const char *path, struct buf *error, int *ret_fd)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = ASK_PATIENCE_S};
	_close_ int fd = -1;

	if (strlen(path) >= sizeof(sun.sun_path))
		return refuse(error, -ENAMETOOLONG, path, "no agent answers at");
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return refuse(error, -errno, path, "no socket for");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		return refuse(error, -errno, path, "no agent answers at");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int send_all(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		s = str_from(s, n < 0 ? 0 : (size_t)n);
	}
	return 0;
}

/* Bytes read; 0 at the end. */
static int read_some(struct ask *a)
{
	ssize_t n;
	int r = buf_reserve(&a->in, READ_SIZE);

	if (r < 0)
		return r;
	do
		n = recv(a->fd, buf_tail(&a->in), READ_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
	buf_commit(&a->in, (size_t)n);
	return (int)n;
}

/* ---- the head -------------------------------------------------------------------------------- */

static int take_head(struct ask *a, struct str head)
{
	struct str line, name;
	unsigned long long n;
	char code[4];

	(void)str_split(&head, '\n', &line);
	if (!str_starts(line, STR("HTTP/1.")) || line.n < 12)
		return -EBADMSG;
	(void)snprintf(code, sizeof(code), "%.3s", line.p + 9);
	if (str_to_u64(str_of(code), &n) < 0)
		return -EBADMSG;
	a->status = (int)n;
	a->left = UINT64_MAX;
	while (head.n) {
		(void)str_split(&head, '\n', &line);
		(void)str_split(&line, ':', &name);
		line = str_trim(line);
		if (str_ieq(name, STR("Content-Length")) && str_to_u64(line, &n) == 0)
			a->left = n;
		else if (str_ieq(name, STR("Transfer-Encoding")))
			a->chunked = str_ieq(line, STR("chunked"));
	}
	if (a->chunked)
		a->left = 0;
	return 0;
}

static int read_head(struct ask *a)
{
	for (;;) {
		struct str s = buf_str(&a->in);
		const char *end = s.n ? memmem(s.p, s.n, "\r\n\r\n", 4) : NULL;
		int r;

		if (end) {
			size_t n = (size_t)(end - s.p);

			r = take_head(a, str_make(s.p, n));
			buf_consume(&a->in, n + 4);
			return r;
		}
		if (s.n > HEAD_MAX)
			return -EBADMSG;
		r = read_some(a);
		if (r <= 0)
			return r < 0 ? r : -ECONNRESET;
	}
}

int ask_open(const char *socket, const char *target, bool endless, struct ask *ret,
	     struct buf *ret_error)
{
	const struct timeval never = {0};
	_ask_ struct ask a = {.fd = -1, .in = {.max = IN_MAX}};
	_buf_ struct buf request = {.max = HEAD_MAX};
	int r = dial(socket, ret_error, &a.fd);

	if (r < 0)
		return r;
	r = buf_printf(&request, "GET %s HTTP/1.1\r\nHost: agent\r\n\r\n", target);
	if (r == 0)
		r = send_all(a.fd, buf_str(&request));
	if (r == 0 || r == -EPIPE) /* who is turned away is told so before the request was read */
		r = read_head(&a);
	if (r < 0)
		return refuse(ret_error, r, socket, "no answer from");
	if (endless)
		(void)setsockopt(a.fd, SOL_SOCKET, SO_RCVTIMEO, &never, sizeof(never));
	*ret = a;
	a.fd = -1;
	a.in = (struct buf){.max = IN_MAX};
	return 0;
}

void ask_close(struct ask *a)
{
	if (a->fd >= 0)
		(void)close(a->fd);
	a->fd = -1;
	buf_done(&a->in);
}

/* ---- the body -------------------------------------------------------------------------------- */

/* A chunk's size line, and the line end behind the chunk before. 0; -EAGAIN: not whole yet. */
static int take_size(struct ask *a)
{
	struct str s = buf_str(&a->in), line;
	char text[20];
	char *end;

	if (a->in_chunk) {
		if (s.n < 2)
			return -EAGAIN;
		if (!str_starts(s, STR("\r\n")))
			return -EBADMSG;
		buf_consume(&a->in, 2);
		a->in_chunk = false;
		s = buf_str(&a->in);
	}
	if (!str_split(&s, '\n', &line))
		return line.n > sizeof(text) ? -EBADMSG : -EAGAIN;
	buf_consume(&a->in, line.n + 1);
	line = str_trim(line);
	if (!line.n || line.n >= sizeof(text))
		return -EBADMSG;
	(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(line));
	a->left = strtoull(text, &end, 16);
	a->in_chunk = true;
	a->whole = !a->left;
	return *end ? -EBADMSG : 0;
}

static int take_body(struct ask *a, struct buf *body)
{
	struct str s;
	int r = 0;

	while (r == 0 && !a->whole) {
		if (a->chunked && !a->left && (r = take_size(a)) < 0)
			break;
		s = buf_str(&a->in);
		s.n = (size_t)MIN((uint64_t)s.n, a->left);
		if (!s.n)
			break;
		r = buf_append_str(body, s);
		if (r < 0)
			break;
		a->left -= a->left == UINT64_MAX ? 0 : s.n;
		buf_consume(&a->in, s.n);
		a->whole = !a->chunked && !a->left;
	}
	return r == -EAGAIN ? 0 : r;
}

int ask_read(struct ask *a, struct buf *body)
{
	size_t before = body->n;
	int r;

	a->whole = a->whole || (!a->chunked && !a->left);
	while ((r = take_body(a, body)) == 0 && !a->whole && body->n == before) {
		r = read_some(a);
		if (r == 0 && a->left == UINT64_MAX)
			return 0;
		if (r <= 0)
			return r < 0 ? r : -ECONNRESET;
	}
	return r < 0 ? r : !a->whole;
}

int ask_all(struct ask *a, struct buf *body)
{
	int r;

	while ((r = ask_read(a, body)) > 0)
		;
	return r;
}

/* ---- words ----------------------------------------------------------------------------------- */

int ask_param(struct buf *target, const char *name, const char *value)
{
	int r = buf_printf(
		target, "%c%s=", memchr(target->p + target->off, '?', target->n) ? '&' : '?', name);

	for (const char *p = value; *p && r == 0; p++) {
		bool plain = (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
			     (*p >= 'A' && *p <= 'Z') || strchr("-._~", *p);

		r = plain ? buf_append(target, p, 1)
			  : buf_printf(target, "%%%02X", (unsigned)(unsigned char)*p);
	}
	return r;
}

void ask_complain(const char *command, struct ask *a)
{
	_buf_ struct buf body = {.max = ERROR_MAX};
	int r = ask_all(a, &body);
	json_t *answer = json_loadb(body.p ? buf_str(&body).p : "", body.n, 0, NULL);
	const char *words = json_string_value(json_object_get(answer, "error"));

	if (words)
		fprintf(stderr, "%s: %s\n", command, words);
	else
		fprintf(stderr, "%s: the agent answers with %d%s%.*s\n", command, a->status,
			r == 0 && body.n ? ": " : "", STR_ARG(buf_str(&body)));
	json_decref(answer);
}
