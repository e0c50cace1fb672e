#include "tests/lib/fixture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include <zlib.h>

/* The first of ./, ../, ../../ ... that holds the fixtures. */
static int find_folder(char *ret, size_t n)
{
	const char *env = getenv("KINDRED_FIXTURES");
	struct stat st;
	char up[64] = "";

	if (env && *env) {
		(void)snprintf(ret, n, "%s", env);
		return 0;
	}
	for (int i = 0; i < 8; i++) {
		(void)snprintf(ret, n, "%stests/fixtures", up);
		if (stat(ret, &st) == 0)
			return 0;
		(void)snprintf(up + strlen(up), sizeof(up) - strlen(up), "../");
	}
	return -ENOENT;
}

/* zlib reads plain files too. */
static int read_gz(gzFile f, struct buf *ret)
{
	int r, n;

	for (;;) {
		r = buf_reserve(ret, 1 << 16);
		if (r < 0)
			return r;
		n = gzread(f, buf_tail(ret), 1 << 16);
		if (n <= 0)
			return n < 0 ? -EBADMSG : 0;
		buf_commit(ret, (size_t)n);
	}
}

int fixture_read_file(const char *path, struct buf *ret)
{
	char folder[256], full[PATH_MAX];
	gzFile f;
	int r = find_folder(folder, sizeof(folder));

	buf_init(ret, FIXTURE_MAX);
	if (r < 0)
		return r;
	(void)snprintf(full, sizeof(full), "%s/%s", folder, path);
	f = gzopen(full, "rb");
	if (!f)
		return -ENOENT;
	r = read_gz(f, ret);
	(void)gzclose(f);
	if (r < 0)
		buf_done(ret);
	return r;
}

/* Undoes the chunked coding of an answer's body in place: its head says so. */
static int unchunk(struct buf *b, size_t body)
{
	char *out = b->p + b->off, *in = out + body, *end = out + b->n;
	unsigned long n;
	char *rest;

	for (;;) {
		n = strtoul(in, &rest, 16);
		rest = memchr(rest, '\n', (size_t)(end - rest));
		if (!rest || n > (size_t)(end - rest - 1))
			return -EBADMSG;
		if (!n)
			break;
		memmove(out, rest + 1, n);
		out += n;
		in = rest + 1 + n + 2;
		if (in >= end)
			return -EBADMSG;
	}
	b->n = (size_t)(out - (b->p + b->off));
	return 0;
}

/* Drops the head of a recorded answer. */
static int strip_head(struct buf *b)
{
	char *end, *chunked;

	if (buf_append(b, "", 1) < 0)
		return -ENOMEM;
	b->n--; /* the NUL is there, but not counted */
	end = strstr(buf_tail(b) - b->n, "\r\n\r\n");
	if (!end)
		return -EBADMSG;
	*end = 0;
	chunked = strcasestr(b->p + b->off, "Transfer-Encoding: chunked");
	if (chunked)
		return unchunk(b, (size_t)(end + 4 - (b->p + b->off)));
	buf_consume(b, (size_t)(end + 4 - (b->p + b->off)));
	return 0;
}

int fixture_read(const char *name, struct buf *ret)
{
	char path[256];
	int r;

	(void)snprintf(path, sizeof(path), "recorded/%s.body.gz", name);
	r = fixture_read_file(path, ret);
	if (r != -ENOENT)
		return r;
	(void)snprintf(path, sizeof(path), "recorded/%s.http", name);
	r = fixture_read_file(path, ret);
	if (r < 0)
		return r;
	r = strip_head(ret);
	if (r < 0)
		buf_done(ret);
	return r;
}
