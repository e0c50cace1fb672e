#include "cli/search_table.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/text.h"
#include "sink/sqlite/words.h"

#include <errno.h>
#include <stdio.h>

#define GAP	  2
#define SCORE	  5 /* "0.123" */
#define KIND_MAX  24
#define NAME_MAX  48
#define TEXT_MIN  20
#define TEXT_WIDE 100 /* where no terminal says how much room there is */
#define ENDING	  3   /* letters by which two forms of a word may differ: mount, mounted */

struct columns {
	unsigned kind, name, text;
};

static int name_of(const json_t *hit, struct buf *out)
{
	struct str ns = json_in_member(hit, "namespace");
	int r = buf_append_str(out, ns);

	if (r == 0 && ns.n)
		r = buf_append_str(out, STR("/"));
	return r < 0 ? r : buf_append_str(out, json_in_member(hit, "name"));
}

/* ---- words ----------------------------------------------------------------------------------- */

static bool alike(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);

	return str_ieq(a, b) || (n >= 4 && MAX(a.n, b.n) - n <= ENDING &&
				 str_ieq(str_make(a.p, n), str_make(b.p, n)));
}

/* The number of the question's word that it is like, from 1; 0: none. */
static unsigned asked_for(struct str question, struct str w)
{
	struct str one;

	for (unsigned i = 1; words_next(&question, &one); i++)
		if (!words_say_nothing(one) && alike(one, w))
			return i;
	return 0;
}

/* How many of the question's words stand in the text, each once. */
static unsigned count_asked(struct str question, struct str text)
{
	uint64_t seen = 0;
	struct str w;

	while (words_next(&text, &w))
		seen |= 1ULL << (asked_for(question, w) & 63);
	return (unsigned)__builtin_popcountll(seen >> 1);
}

/* Where to begin, so that most of them are within `room` bytes: at a part of the text (parts are
 * joined by " | "), the first one that will do. */
static struct str best_stretch(struct str question, struct str text, size_t room)
{
	struct str best = text, rest = text;
	unsigned most = 0;

	while (rest.n) {
		const char *bar = memmem(rest.p, rest.n, " | ", 3);
		unsigned n = count_asked(question, str_make(rest.p, MIN(rest.n, room)));

		if (n > most) {
			most = n;
			best = rest;
		}
		if (!bar)
			break;
		rest = str_from(rest, (size_t)(bar - rest.p) + 3);
	}
	return best;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* `s` has passed text_put already: nothing in it moves a cursor. */
static int put_marked(struct str s, const struct search_look *look, struct buf *out)
{
	struct str rest = s, w;
	int r = 0;

	while (look->bold && r == 0 && words_next(&rest, &w)) {
		if (!asked_for(look->question, w))
			continue;
		r = buf_append(out, s.p, (size_t)(w.p - s.p));
		r = r < 0 ? r : buf_printf(out, "\033[1m%.*s\033[0m", STR_ARG(w));
		s = rest;
	}
	return r < 0 ? r : buf_append_str(out, s);
}

static int put_text(const json_t *hit, const struct columns *c, const struct search_look *look,
		    struct buf *out)
{
	_buf_ struct buf line = {.max = 65536};
	struct str text = json_in_member(hit, "text");
	struct str from = look->wide ? text : best_stretch(look->question, text, c->text);
	bool cut = from.p != text.p;
	int r = cut ? buf_append_str(&line, STR("\xe2\x80\xa6 ")) : 0;

	r = r < 0 ? r : text_put(&line, from, look->wide ? 0 : c->text - (cut ? 2 : 0), 0);
	r = r < 0 ? r : put_marked(buf_str(&line), look, out);
	return r < 0 ? r : buf_append_str(out, STR("\n"));
}

static int put_hit(const json_t *hit, const struct columns *c, const struct search_look *look,
		   struct buf *out)
{
	_buf_ struct buf name = {.max = 4096};
	int r = name_of(hit, &name);

	r = r < 0 ? r
		  : buf_printf(out, "%*.3f  ", SCORE,
			       json_number_value(json_object_get(hit, "score")));
	r = r < 0 ? r : text_put(out, json_in_member(hit, "kind"), c->kind, c->kind + GAP);
	r = r < 0 ? r : text_put(out, buf_str(&name), c->name, c->name + GAP);
	return r < 0 ? r : put_text(hit, c, look, out);
}

/* As wide as what stands in them; the text has what is left. */
static int measure(const json_t *hits, unsigned width, struct columns *ret)
{
	struct columns c = {.kind = 4, .name = 14, .text = TEXT_WIDE};
	unsigned taken;
	json_t *hit;
	size_t i;

	json_array_foreach(hits, i, hit)
	{
		_buf_ struct buf name = {.max = 4096};

		if (!json_is_object(hit) || name_of(hit, &name) < 0)
			return -EBADMSG;
		c.kind =
			MAX(c.kind, (unsigned)MIN(json_in_member(hit, "kind").n, (size_t)KIND_MAX));
		c.name = MAX(c.name, (unsigned)MIN(name.n, (size_t)NAME_MAX));
	}
	taken = SCORE + c.kind + c.name + 3 * GAP;
	if (width)
		c.text = width > taken + TEXT_MIN ? width - taken : TEXT_MIN;
	*ret = c;
	return 0;
}

int search_table(const json_t *hits, const struct search_look *look, struct buf *out)
{
	struct columns c = {0};
	int r = measure(hits, look->width, &c);
	json_t *hit;
	size_t i;

	r = r < 0 ? r : buf_append_str(out, STR("SCORE  "));
	r = r < 0 ? r : text_put(out, STR("KIND"), 0, c.kind + GAP);
	r = r < 0 ? r : text_put(out, STR("NAMESPACE/NAME"), 0, c.name + GAP);
	r = r < 0 ? r : buf_append_str(out, STR("TEXT\n"));
	json_array_foreach(hits, i, hit)
	{
		r = r < 0 ? r : put_hit(hit, &c, look, out);
	}
	return r;
}
