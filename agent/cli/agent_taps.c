#include "cli/agent_taps.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void tap_close(struct tap *t)
{
	if (t->f)
		(void)fclose(t->f);
	t->f = NULL;
}

/* The file's name becomes FILE.1. */
static int keep(const char *path)
{
	_free_ char *kept = NULL;

	if (asprintf(&kept, "%s.1", path) < 0) {
		kept = NULL; /* asprintf leaves it undefined */
		return -ENOMEM;
	}
	return rename(path, kept) < 0 ? -errno : 0;
}

static void tap_begin(struct tap *t)
{
	struct stat st;
	int r;

	if (!t->f || fstat(fileno(t->f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	r = keep(t->path);
	if (r < 0)
		log_warn("%s: the stream before this one cannot be kept: %s", t->path,
			 strerror(-r));
	tap_close(t);
	t->f = fopen(t->path, "we");
	if (!t->f)
		(void)log_err(-errno, "%s: a copy of the stream ends here", t->path);
}

static void tap_write(struct tap *t, struct str bytes)
{
	if (!t->f || (fwrite(bytes.p, 1, bytes.n, t->f) == bytes.n && fflush(t->f) == 0))
		return;
	(void)log_err(-errno, "%s: a copy of the stream cannot be written and ends here", t->path);
	tap_close(t);
}

static void on_begin(void *ctx)
{
	struct taps *t = ctx;

	tap_begin(&t->wire);
	tap_begin(&t->plain);
}

static void on_wire(void *ctx, struct str bytes)
{
	tap_write(&((struct taps *)ctx)->wire, bytes);
}

static void on_plain(void *ctx, struct str message)
{
	tap_write(&((struct taps *)ctx)->plain, message);
}

const struct session_taps taps_ops = {.begin = on_begin, .wire = on_wire, .plain = on_plain};

/* Appending: what an earlier run left is kept by the first connection, not destroyed here. */
static int tap_open(const char *path, struct tap *t)
{
	if (!path)
		return 0;
	t->path = path;
	t->f = fopen(path, "ae");
	return t->f ? 0 : log_err(-errno, "%s", path);
}

int taps_open(struct taps *t, const char *wire, const char *plain)
{
	int r = tap_open(wire, &t->wire);

	return r < 0 ? r : tap_open(plain, &t->plain);
}

void taps_close(struct taps *t)
{
	tap_close(&t->wire);
	tap_close(&t->plain);
	*t = (struct taps){0};
}
