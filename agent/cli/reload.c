/* See reload.h. */
#include "cli/reload.h"

#include "base/log.h"
#include "base/mem.h"
#include "cli/agent_check.h"

#include <errno.h>
#include <string.h>

#define WORDS_MAX 4096
#define TEXT_MAX  ((size_t)2 << 20)

struct reload {
	struct reload_opts o;
	struct options *now;  /* taken last; NULL: those of the start */
	char *text;	      /* of the file, as seen last; NULL: none */
	char *map, *map_name; /* of the ConfigMap; NULL: none */
	int unreadable;	      /* told last: -errno of the file, or 0 */
	struct reload_stats stats;
};

int reload_new(const struct reload_opts *o, struct reload **ret)
{
	_buf_ struct buf text = {0};
	struct reload *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->stats.good = true;
	if (options_read_file(o->start, &text) == 0) /* what the agent runs with is nothing new */
		r->text = str_dup(buf_str(&text));
	*ret = r;
	return 0;
}

void reload_free(struct reload **rp)
{
	struct reload *r = *rp;

	if (!r)
		return;
	options_free(&r->now);
	free(r->text);
	free(r->map);
	free(r->map_name);
	free(r);
	*rp = NULL;
}

struct reload_stats reload_stats(const struct reload *r)
{
	return r->stats;
}

/* ---- what differs ---------------------------------------------------------------------------- */

/* Names of what differs and is live, or is not; returns how many. */
static unsigned put_changes(const struct options *a, const struct options *b, bool live,
			    struct buf *names)
{
	const struct option_desc *d;
	unsigned n = 0;
	size_t at = 0;

	while ((d = options_next_change(a, b, &at))) {
		if (!(d->flags & OPTION_LIVE) != !live)
			continue;
		(void)buf_printf(names, "%s%s", n ? ", " : "", d->flag + 2);
		n++;
	}
	return n;
}

static void say_changes(const char *name, const struct buf *live, const struct buf *waits)
{
	log_info("configuration: %s: in effect now: %.*s; only after a restart: %.*s", name,
		 STR_ARG(live->n ? buf_str(live) : STR("nothing")),
		 STR_ARG(waits->n ? buf_str(waits) : STR("nothing")));
}

/* ---- one text -------------------------------------------------------------------------------- */

static void refuse(struct reload *r, const char *name, struct str lines)
{
	struct str line;

	r->stats.refused++;
	r->stats.good = false;
	while (lines.n) {
		(void)str_split(&lines, '\n', &line);
		log_warn("configuration: %s is not taken, all stays as it was: %.*s", name,
			 STR_ARG(line));
	}
}

/* The first word first: at another level this may not be said any more. */
static void adopt(struct reload *r, const char *name, struct options *now, bool loud)
{
	const struct options *before = r->now ? r->now : r->o.start;
	_buf_ struct buf live = {.max = WORDS_MAX}, waits = {.max = WORDS_MAX};
	const unsigned n = put_changes(before, now, true, &live);
	const unsigned waiting = put_changes(r->o.start, now, false, &waits);

	if (n || waiting != r->stats.waiting || loud)
		say_changes(name, &live, &waits);
	r->stats.taken++;
	r->stats.good = true;
	r->stats.waiting = waiting;
	options_adopt(now, r->o.running);
	options_free(&r->now); /* nothing in `running` is of it any more */
	r->now = now;
	if (n)
		r->o.apply(r->o.ctx);
}

static void take(struct reload *r, const char *name, struct str text, bool loud)
{
	struct agent_config *c = calloc(1, sizeof(*c));
	_options_ struct options *now = NULL;
	int e = c ? options_new(&agent_option_table, c, &now) : -ENOMEM;

	if (e == 0)
		e = agent_config_load_again(r->o.start, name, text, now, c);
	if (e == 0)
		e = agent_check(now, c, AGENT_CHECK_FILES);
	if (e == 0)
		adopt(r, name, TAKE_PTR(now), loud);
	else
		refuse(r, name,
		       now && options_errors(now).n ? options_errors(now) : str_of(strerror(-e)));
	free(c); /* `now` keeps the texts, and `running` the values */
}

/* ---- where it comes from --------------------------------------------------------------------- */

/* Whether it is another text than the one seen last. One that cannot be read is told once. */
static bool read_file(struct reload *r)
{
	_buf_ struct buf text = {0};
	int e = options_read_file(r->o.start, &text);
	const char *name = options_file(r->o.start);
	char *copy;

	if (e < 0) {
		if (e != r->unreadable)
			refuse(r, name, str_of(strerror(-e)));
		r->unreadable = e;
		return false;
	}
	r->unreadable = 0;
	if (r->text && str_eq(str_of(r->text), buf_str(&text)))
		return false;
	copy = str_dup(buf_str(&text));
	if (!copy)
		return false; /* it will be new again */
	free(r->text);
	r->text = copy;
	return true;
}

void reload_look(struct reload *r)
{
	if (read_file(r) && !r->map)
		take(r, options_file(r->o.start), str_of(r->text), false);
}

void reload_now(struct reload *r, const char *why)
{
	const char *file = options_file(r->o.start);

	r->unreadable = 0;
	if (file && !r->map)
		(void)read_file(r);
	if (r->map)
		log_info("%s: %s stands for the configuration file", why, r->map_name);
	else if (!file)
		log_info("%s: there is no configuration file (--config)", why);
	else if (!r->unreadable)
		take(r, file, str_of(r->text), true);
}

void reload_map_gone(struct reload *r)
{
	free(r->map);
	free(r->map_name);
	r->map = r->map_name = NULL;
}

void reload_map(struct reload *r, const char *name, struct str text)
{
	char *copy = str_dup(text), *copy_of_name = str_dup(str_of(name));
	const bool first = !r->map;

	if (!copy || !copy_of_name) {
		free(copy);
		free(copy_of_name);
		return refuse(r, name, str_of(strerror(ENOMEM)));
	}
	reload_map_gone(r);
	r->map = copy;
	r->map_name = copy_of_name;
	take(r, r->map_name, str_of(r->map), first);
}
