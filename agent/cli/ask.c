#include "cli/ask.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask_dial.h"
#include "cli/cmd_help.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX  16384
#define READ_SIZE 65536
#define IN_MAX	  (HEAD_MAX + READ_SIZE)
#define ERROR_MAX (1UL << 20)
#define TOKEN_MAX 8192
#define JSON_MAX  ((size_t)64 << 20)
#define PATH_MAX_ 16384 /* of a target */

/* Bytes read; 0 at the end. */
static int read_some(struct ask *a)
{
	int r = buf_reserve(&a->in, READ_SIZE);

	if (r == 0)
		r = ask_receive(a, buf_tail(&a->in), READ_SIZE);
	if (r > 0)
		buf_commit(&a->in, (size_t)r);
	return r;
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

/* The token's file may end with a newline. */
static int put_token(const char *file, struct buf *request, struct buf *error)
{
	char token[TOKEN_MAX];
	FILE *f = fopen(file, "re");
	size_t n = f ? fread(token, 1, sizeof(token), f) : 0;
	struct str text = str_trim(str_make(token, n));
	int r = !f ? -errno : !text.n || n == sizeof(token) ? -EINVAL : 0;

	if (f)
		(void)fclose(f);
	if (r < 0)
		(void)buf_printf(error, "--token-file %s: %s", file,
				 r == -EINVAL ? "holds no token" : strerror(-r));
	return r < 0 ? r : buf_printf(request, "Authorization: Bearer %.*s\r\n", STR_ARG(text));
}

static int make_request(const struct ask_where *w, const char *target, struct buf *request,
			struct buf *error)
{
	struct ask_server s = {.host = "agent"};
	int r = w->server ? ask_server_parse(w->server, &s, error) : 0;

	r = r
		    ?: buf_printf(request, "GET %.*s%s HTTP/1.1\r\nHost: %s%s%s\r\n",
				  STR_ARG(s.prefix), target, s.host, s.port[0] ? ":" : "", s.port);
	r = r ?: w->token_file && w->server ? put_token(w->token_file, request, error) : 0;
	return r ?: buf_append_str(request, STR("\r\n"));
}

int ask_open(const struct ask_where *w, const char *target, bool endless, struct ask *ret,
	     struct buf *ret_error)
{
	_ask_ struct ask a = {.fd = -1, .stop = w->stop, .in = {.max = IN_MAX}};
	_buf_ struct buf request = {.max = HEAD_MAX};
	int r = make_request(w, target, &request, ret_error);

	progress_begin(&a.progress);
	r = r < 0 ? r : ask_dial(w, &a, ret_error);
	if (r < 0)
		return r;
	r = ask_send(&a, buf_str(&request));
	if (r == 0 || r == -EPIPE) /* who is turned away is told so before the request was read */
		r = read_head(&a);
	if (r < 0)
		return ask_refuse(ret_error, r, w, "no answer from");
	if (endless)
		ask_endless(&a);
	*ret = a;
	a.fd = -1;
	a.tls = NULL;
	a.in = (struct buf){.max = IN_MAX};
	a.progress.shown = false;
	return 0;
}

void ask_close(struct ask *a)
{
	progress_end(&a->progress);
	ask_hang_up(a);
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

static int read_piece(struct ask *a, struct buf *body)
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

/* What is printed next may go to the same terminal. */
int ask_read(struct ask *a, struct buf *body)
{
	int r = read_piece(a, body);

	if (isatty(STDOUT_FILENO))
		progress_end(&a->progress);
	return r;
}

int ask_all(struct ask *a, struct buf *body)
{
	int r;

	while ((r = read_piece(a, body)) > 0)
		;
	progress_end(&a->progress);
	return r;
}

/* ---- words ----------------------------------------------------------------------------------- */

int ask_param(struct buf *target, const char *name, const char *value)
{
	const char sign = memchr(buf_str(target).p, '?', target->n) ? '&' : '?';
	int r = value ? buf_printf(target, "%c%s=", sign, name) : 0;

	for (const char *p = value; p && *p && r == 0; p++) {
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
	_json_ json_t *answer = json_in_parse(buf_str(&body), 0);
	const char *words = json_string_value(json_object_get(answer, "error"));

	if (words)
		fprintf(stderr, "%s: %s\n", command, words);
	else
		fprintf(stderr, "%s: the agent answers with %d%s%.*s\n", command, a->status,
			r == 0 && body.n ? ": " : "", STR_ARG(buf_str(&body)));
}

/* ---- for commands ---------------------------------------------------------------------------- */

int ask_cannot(const char *command, int r)
{
	fprintf(stderr, "%s: %s\n", command,
		r == -EMSGSIZE ? "the question is too long" : strerror(-r));
	return EXIT_USAGE;
}

int ask_begin(const char *command, const struct ask_where *w, struct str target, bool endless,
	      struct ask *ret)
{
	_buf_ struct buf error = {.max = 4096}, path = {.max = PATH_MAX_};
	int r = buf_append_str(&path, target);

	r = r ?: buf_append(&path, "", 1); /* for use as a C string */
	r = r ?: ask_open(w, buf_str(&path).p, endless, ret, &error);
	if (r == 0)
		return EXIT_OK;
	fprintf(stderr, "%s: %.*s\n", command,
		STR_ARG(error.n ? buf_str(&error) : str_of(strerror(-r))));
	return r == -EINVAL ? EXIT_USAGE : EXIT_ABSENT;
}

int ask_good(const char *command, const struct ask_where *w, struct str target, bool endless,
	     struct ask *ret)
{
	int r = ask_begin(command, w, target, endless, ret), status = ret->status;

	if (r != EXIT_OK || status == 200)
		return r;
	ask_complain(command, ret);
	ask_close(ret);
	return status == 400 ? EXIT_USAGE : EXIT_FAILED;
}

int ask_body(const char *command, const struct ask_where *w, struct str target, struct buf *body)
{
	_ask_ struct ask a = {.fd = -1};
	int code = ask_good(command, w, target, false, &a), r;

	if (code != EXIT_OK)
		return code;
	r = ask_all(&a, body);
	if (r < 0)
		fprintf(stderr, "%s: the answer cannot be read: %s\n", command, strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int ask_json(const char *command, const struct ask_where *w, struct str target, json_t **ret)
{
	_buf_ struct buf body = {.max = JSON_MAX};
	int code = ask_body(command, w, target, &body);
	json_error_t error;

	if (code != EXIT_OK)
		return code;
	*ret = json_loadb(body.p ? buf_str(&body).p : "", body.n, 0, &error);
	if (!*ret)
		fprintf(stderr, "%s: the answer cannot be read: %s\n", command, error.text);
	return *ret ? EXIT_OK : EXIT_FAILED;
}
