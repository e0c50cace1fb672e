#include "sink/sqlite/words.h"

#include <errno.h>

/* Beyond ASCII everything counts as a letter here; FTS5 knows better, and cuts once more. */
static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c & 0x80);
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

bool words_next(struct str *s, struct str *ret)
{
	size_t from = 0, to;

	while (from < s->n && !is_word(s->p[from]))
		from++;
	for (to = from; to < s->n && is_word(s->p[to]);)
		to++;
	*ret = str_make(s->p + from, to - from);
	*s = str_from(*s, to);
	return ret->n;
}

/* ---- camel case ------------------------------------------------------------------------------ */

/* Where the part that begins the word ends: "config|Map", "HTTP|Route", "volume|Claim". */
static size_t part_end(struct str w)
{
	for (size_t i = 1; i < w.n; i++)
		if (is_upper(w.p[i]) &&
		    (!is_upper(w.p[i - 1]) || (i + 1 < w.n && is_lower(w.p[i + 1]))))
			return i;
	return w.n;
}

static bool has_word(struct str words, struct str w)
{
	struct str one;

	while (words_next(&words, &one))
		if (str_ieq(one, w))
			return true;
	return false;
}

/* All parts of the word, or none of it: a word cut short would match what it is not. */
static bool put_parts(struct str w, struct buf *out)
{
	size_t before = out->n;

	while (w.n) {
		struct str part = str_make(w.p, part_end(w));

		w = str_from(w, part.n);
		if (has_word(buf_str(out), part))
			continue;
		if ((out->n && buf_append_str(out, STR(" ")) < 0) ||
		    buf_append_str(out, part) < 0) {
			out->n = before;
			return false;
		}
	}
	return true;
}

/* Most texts have not one such word: a capital behind a letter or digit is looked for first. */
static bool has_camels(struct str text)
{
	for (size_t i = 1; i < text.n; i++)
		if (is_upper(text.p[i]) && is_word(text.p[i - 1]))
			return true;
	return false;
}

static bool put_camels(struct str text, struct buf *out)
{
	struct str w;

	if (!has_camels(text))
		return true;
	while (words_next(&text, &w))
		if (part_end(w) < w.n && !put_parts(w, out))
			return false;
	return true;
}

void words_of_document(struct str kind, struct str text, struct buf *out)
{
	(void)(put_camels(kind, out) && put_camels(text, out));
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Verbs that stand in roles (get, list, watch, use) are not among them. */
static const char *const nothing[] = {
	"a",	"all",	 "an",	 "and",	 "any",	 "are",	 "as",	  "at",	  "be",	   "been",  "by",
	"can",	"did",	 "do",	 "does", "find", "for",	 "from",  "give", "has",   "have",  "how",
	"i",	"in",	 "into", "is",	 "it",	 "its",	 "many",  "me",	  "my",	   "of",    "on",
	"or",	"our",	 "show", "tell", "that", "the",	 "their", "them", "there", "these", "they",
	"this", "those", "to",	 "was",	 "we",	 "were", "what",  "when", "where", "which", "who",
	"whom", "whose", "why",	 "will", "with", "you",	 "your",
};

bool words_say_nothing(struct str w)
{
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		if (str_ieq(w, str_of(nothing[i])))
			return true;
	return false;
}

struct question {
	struct buf *out;
	size_t from; /* where its terms begin */
	uint32_t terms;
	bool stops; /* with those that say nothing */
};

/* The words of `s`, in lower case, as one phrase. */
static int put_phrase(struct str s, struct buf *out)
{
	struct str w;
	int n = 0, r = buf_append_str(out, STR("\""));

	while (r == 0 && words_next(&s, &w)) {
		r = n++ ? buf_append_str(out, STR(" ")) : 0;
		for (size_t i = 0; i < w.n && r == 0; i++) {
			char c = (char)(is_upper(w.p[i]) ? w.p[i] | 0x20 : w.p[i]);

			r = buf_append(out, &c, 1);
		}
	}
	return r < 0 ? r : buf_append_str(out, STR("\""));
}

/* A term once: what it adds is compared with what stands there, quotes included. */
static int put_term(struct question *q, struct str s)
{
	size_t before = q->out->n, term;
	struct str all, new;
	int r;

	if (q->terms == WORDS_TERMS)
		return 0;
	r = q->terms ? buf_append_str(q->out, STR(" OR ")) : 0;
	term = q->out->n;
	r = r < 0 ? r : put_phrase(s, q->out);
	if (r < 0)
		return r;
	all = buf_str(q->out);
	new = str_from(all, term);
	if (memmem(all.p + q->from, before - q->from, new.p, new.n))
		q->out->n = before;
	else
		q->terms++;
	return 0;
}

/* A word and, when it is written in camel case, its parts. */
static int put_word(struct question *q, struct str w)
{
	int r = put_term(q, w);

	if (part_end(w) == w.n)
		return r;
	while (r == 0 && w.n) {
		struct str part = str_make(w.p, part_end(w));

		r = put_term(q, part);
		w = str_from(w, part.n);
	}
	return r;
}

/* What stands between blanks: its words, and all of them in this order. */
static int put_compound(struct question *q, struct str c)
{
	struct str rest = c, w;
	int n = 0, r = 0;

	while (r == 0 && words_next(&rest, &w)) {
		n++;
		if (q->stops || !words_say_nothing(w))
			r = put_word(q, w);
	}
	return r == 0 && n > 1 ? put_term(q, c) : r;
}

static int put_question(struct question *q, struct str s)
{
	struct str rest = s, part;
	int r = 0;

	while (r == 0 && rest.n) {
		size_t i = 0;

		while (i < rest.n && (unsigned char)rest.p[i] > ' ')
			i++;
		part = str_make(rest.p, i);
		rest = str_from(rest, i + 1);
		r = put_compound(q, part);
	}
	return r;
}

int words_match(struct str question, struct buf *out)
{
	struct question q = {.out = out, .from = out->n};
	int r = put_question(&q, question);

	if (r == 0 && !q.terms) {
		q.stops = true;
		r = put_question(&q, question);
	}
	return r == 0 && !q.terms ? -ENOENT : r;
}
