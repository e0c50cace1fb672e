#include "read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <zlib.h>

#define READ_STEP 65536

/* zlib reads plain files as they are, so one path serves both. */
static int read_gz(const char *path, struct buf *b)
{
	gzFile f = gzopen(path, "rb");
	int n = 0;
	int r;

	if (!f)
		return -EIO;
	do {
		r = buf_reserve(b, READ_STEP);
		if (r < 0)
			break;
		n = gzread(f, buf_tail(b), READ_STEP);
		if (n > 0)
			buf_commit(b, (size_t)n);
	} while (n > 0);
	if (n < 0)
		r = -EIO;
	(void)gzclose(f);
	return r;
}

int read_recorded(const char *dir, const char *name, const char *suffix, struct buf *b)
{
	static const char *const ends[] = {".gz", ""};
	char path[4096];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(path, sizeof(path), "%s/%s%s%s", dir, name, suffix, ends[i]);
		if (stat(path, &st) == 0)
			return read_gz(path, b);
	}
	return -ENOENT;
}

static void check(int r)
{
	if (r < 0) {
		fprintf(stderr, "kube-replay: out of memory\n");
		abort();
	}
}

void put(struct buf *b, const void *p, size_t n)
{
	check(buf_append(b, p, n));
}

void put_str(struct buf *b, struct str s)
{
	put(b, s.p, s.n);
}

void put_z(struct buf *b, const char *z)
{
	put(b, z, strlen(z));
}

void put_f(struct buf *b, const char *fmt, ...)
{
	_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	check(vasprintf(&text, fmt, ap));
	va_end(ap);
	put_z(b, text);
}

void *must_calloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	check(p ? 0 : -ENOMEM);
	return p;
}

void *must_realloc(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	check(p ? 0 : -ENOMEM);
	return p;
}
