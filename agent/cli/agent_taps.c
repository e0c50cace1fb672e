#include "cli/agent_taps.h"

#include "base/log.h"

#include <errno.h>
#include <unistd.h>

static void tap_restart(FILE *f)
{
	if (!f)
		return;
	rewind(f);
	if (ftruncate(fileno(f), 0) < 0)
		log_warn("a copy of the stream cannot be begun anew: it holds several streams");
}

static void tap_write(FILE **f, struct str bytes)
{
	if (!*f || (fwrite(bytes.p, 1, bytes.n, *f) == bytes.n && fflush(*f) == 0))
		return;
	(void)log_err(-errno, "a copy of the stream cannot be written and ends here");
	(void)fclose(*f);
	*f = NULL;
}

static void on_begin(void *ctx)
{
	struct taps *t = ctx;

	tap_restart(t->wire);
	tap_restart(t->plain);
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

static int tap_open(const char *path, FILE **ret)
{
	if (!path)
		return 0;
	*ret = fopen(path, "we");
	return *ret ? 0 : log_err(-errno, "%s", path);
}

int taps_open(struct taps *t, const char *wire, const char *plain)
{
	int r = tap_open(wire, &t->wire);

	return r < 0 ? r : tap_open(plain, &t->plain);
}

void taps_close(struct taps *t)
{
	if (t->wire)
		(void)fclose(t->wire);
	if (t->plain)
		(void)fclose(t->plain);
	*t = (struct taps){0};
}
