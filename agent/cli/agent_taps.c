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

	t->begun = true;
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
	if (!t->f || !t->begun ||
	    (fwrite(bytes.p, 1, bytes.n, t->f) == bytes.n && fflush(t->f) == 0))
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

static void tap_done(struct tap *t)
{
	tap_close(t);
	free(t->path);
	*t = (struct tap){0};
}

/* Appending: what an earlier run left is kept by the first connection, not destroyed here. */
static int tap_open(const char *path, struct tap *t)
{
	int r;

	if (!path)
		return 0;
	t->path = str_dup(str_of(path));
	if (!t->path)
		return -ENOMEM;
	t->f = fopen(path, "ae");
	if (t->f)
		return 0;
	r = log_err(-errno, "%s", path);
	tap_done(t);
	return r;
}

static int tap_change(const char *path, struct tap *t)
{
	if (str_eq(str_of(path), str_of(t->path)))
		return 0;
	tap_done(t);
	return tap_open(path, t);
}

int taps_open(struct taps *t, const char *wire, const char *plain)
{
	int r = tap_open(wire, &t->wire);

	return r < 0 ? r : tap_open(plain, &t->plain);
}

int taps_change(struct taps *t, const char *wire, const char *plain)
{
	int r = tap_change(wire, &t->wire), r2 = tap_change(plain, &t->plain);

	return r < 0 ? r : r2;
}

void taps_close(struct taps *t)
{
	tap_done(&t->wire);
	tap_done(&t->plain);
}
