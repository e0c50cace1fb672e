#include "base/log.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048 /* a longer message is cut */
#define WINDOW	       (60 * NSEC_PER_SEC)
#define PLACES	       64  /* that have a bound at a time; those beyond have none */
#define LAST_BYTES     256 /* kept of a line that was left out */

struct place {
	const char *fmt; /* NULL: free */
	nsec_t since;
	enum log_level level;
	unsigned lines, left_out;
	char last[LAST_BYTES];
};

static enum log_level log_level = LOG_INFO;
static bool log_json;
static unsigned log_most; /* lines a place and WINDOW; 0: no bound */
static struct place places[PLACES];
static const char *const names[_LOG_LEVEL_MAX] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, bool json)
{
	log_level = level;
	log_json = json;
}

bool log_enabled(enum log_level level)
{
	return level <= log_level;
}

/* Names come from the cluster: control characters must not reach a terminal or break a line (C0,
 * DEL, and C1, which has one-character escape sequences), and a JSON line must be UTF-8. */
static size_t log_escape(char *out, size_t cap, struct str in)
{
	size_t n = 0;

	while (in.n && n + 7 < cap) {
		size_t len = str_utf8(in);
		unsigned int c = (unsigned char)in.p[0];

		if (len == 2 && c == 0xc2)
			c = (unsigned char)in.p[1]; /* U+0080 to U+00BF */
		if (log_json && (c == '"' || c == '\\'))
			out[n++] = '\\';
		if (len == 0) {
			memcpy(out + n, "\xef\xbf\xbd", 3); /* U+FFFD */
			n += 3;
		} else if (len < 3 && (c < 0x20 || (c >= 0x7f && c < 0xa0))) {
			n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
		} else {
			memcpy(out + n, in.p, len);
			n += len;
		}
		in = str_from(in, MAX(len, (size_t)1));
	}
	out[n] = '\0';
	return n;
}

static void log_line(enum log_level level, const char *msg)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 128], when[32];
	nsec_t now = clock_wall();
	time_t sec = (time_t)(now / NSEC_PER_SEC);
	struct tm tm;
	int n;

	(void)log_escape(text, sizeof(text), str_of(msg));
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", gmtime_r(&sec, &tm));
	n = snprintf(line, sizeof(line),
		     log_json ? "{\"time\":\"%s.%03uZ\",\"level\":\"%s\",\"msg\":\"%s\"}\n"
			      : "%s.%03uZ %-5s %s\n",
		     when, (unsigned int)(now / NSEC_PER_MSEC % 1000), names[level], text);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere left to say so */
}

/* ---- places that say much -------------------------------------------------------------------- */

/* Its minute is over: the place is free again. */
static void place_end(struct place *p)
{
	char msg[LINE_MAX_BYTES];

	if (p->left_out) {
		(void)snprintf(msg, sizeof(msg), "%u more lines like this were left out: %s",
			       p->left_out, p->last);
		log_line(p->level, msg);
	}
	p->fmt = NULL;
}

void log_bound(unsigned lines)
{
	for (size_t i = 0; i < PLACES; i++)
		if (places[i].fmt)
			place_end(&places[i]);
	log_most = lines;
}

/* The place's, or a free one; NULL: there is none. */
static struct place *place_of(const char *fmt, nsec_t now)
{
	struct place *found = NULL;

	for (size_t i = 0; i < PLACES; i++) {
		struct place *p = &places[i];

		if (p->fmt && now - p->since >= WINDOW)
			place_end(p);
		if (p->fmt == fmt)
			return p;
		if (!p->fmt && !found)
			found = p;
	}
	if (found)
		*found = (struct place){.fmt = fmt, .since = now};
	return found;
}

/* The line, unless its place has said enough. */
static void say(enum log_level level, const char *fmt, const char *msg)
{
	struct place *p = log_most && level != LOG_DEBUG ? place_of(fmt, clock_mono()) : NULL;

	if (!p || p->lines < log_most) {
		log_line(level, msg);
		if (p)
			p->lines++;
		return;
	}
	p->left_out++;
	p->level = level;
	(void)snprintf(p->last, sizeof(p->last), "%s", msg);
}

/* ---- what others call ------------------------------------------------------------------------ */

void log_write(enum log_level level, const char *fmt, ...)
{
	char msg[LINE_MAX_BYTES];
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	say(level, fmt, msg);
}

int log_code(enum log_level level, int r, const char *fmt, ...)
{
	char msg[LINE_MAX_BYTES];
	va_list ap;
	int n;

	if (!log_enabled(level))
		return r;
	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(msg))
		(void)snprintf(msg + n, sizeof(msg) - (size_t)n, ": %s", strerror(-r));
	say(level, fmt, msg);
	return r;
}
