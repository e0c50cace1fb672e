/*
 * Questions for what is connected with what (asked.h): the words that are left name a
 * thing, which the ranking by words finds; its edges of the kind that the verb means are
 * followed one step, and what stands at their other ends comes before everything else,
 * workloads before the pods that they make. The edges are those of the graph where it is
 * kept in the same file, else what the documents themselves say (relate_text.c).
 */
#include "base/mem.h"
#include "sink/sqlite/asked.h"
#include "sink/sqlite/search_parts.h"
#include "sink/sqlite/words.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#define LOOK_AT	  60 /* hits among which the thing is looked for */
#define TRIES	  8  /* things whose edges are looked at, the likeliest first */
#define MATCH_MAX 4096

struct thing {
	int64_t doc;
	double likely;
};

struct relating {
	struct search *f;
	const struct asked *q;
	struct thing things[TRIES]; /* the likeliest first */
	uint32_t n_things;
	bool any_kind;	 /* whatever kind was asked for, there is none of it */
	uint32_t n;	 /* answers */
	uint32_t looked; /* objects whose documents were looked up */
};

/* ---- answers --------------------------------------------------------------------------------- */

static bool passes(const struct docs_query *q, struct str kind, struct str ns)
{
	return (!q->kind.n || str_ieq(q->kind, kind)) && (!q->ns.n || str_eq(q->ns, ns));
}

static bool is_asked_for(const struct relating *r, struct str kind)
{
	if (r->any_kind || (!r->q->kinds && !r->q->kind[0]))
		return true;
	return r->q->kinds ? asked_kind(r->q->kinds, kind) : asked_is_called(r->q->kind, kind);
}

/* Whole numbers above every ranking, whose scores reach up to 1: of those alike the better ranked
 * one comes first. */
static int answer(struct relating *r, int64_t doc, struct str id, unsigned score)
{
	struct found *known = search_among(r->f, r->f->n, doc);

	r->n++;
	if (!known)
		return search_add(r->f, doc, score, id, true);
	if (known->score <= 1)
		known->score /= 2;
	if (known->score < score)
		known->score += score - floor(known->score);
	return 0;
}

static int take_named(struct relating *r, const struct docs_object *o, bool mounted, bool lift);

/* The pod's own owner, whom people mean. */
static int take_owner(struct relating *r, struct sqlite3_stmt *s, bool mounted)
{
	_buf_ struct buf copy = {.max = 4096};
	struct str kind = db_text(s, 2), name = db_text(s, 3), ns = db_text(s, 4);
	struct docs_object o;
	int e = buf_printf(&copy, "%.*s%.*s%.*s", STR_ARG(kind), STR_ARG(name), STR_ARG(ns));

	if (e < 0 || !kind.n)
		return e;
	o = (struct docs_object){.kind = str_make(copy.p, kind.n),
				 .name = str_make(copy.p + kind.n, name.n),
				 .ns = str_make(copy.p + kind.n + name.n, ns.n)};
	(void)sqlite3_reset(s);
	return take_named(r, &o, mounted, false);
}

static int take_row(struct relating *r, struct sqlite3_stmt *s, const struct docs_object *o,
		    bool mounted, bool lift)
{
	const bool owned = db_text(s, 2).n > 0;
	const unsigned score = 2 + 4 * !owned + 2 * (mounted && r->q->mounted);
	int e = 0;

	if (is_asked_for(r, o->kind) && passes(r->f->q, o->kind, db_text(s, 4)))
		e = answer(r, sqlite3_column_int64(s, 0), db_text(s, 1), score);
	return e == 0 && lift && str_eq(o->kind, STR("Pod")) ? take_owner(r, s, mounted) : e;
}

/* The document of an object, whose name is looked up by the index of words. One without a namespace
 * may be named from within one. 1: there were enough. */
static int take_named(struct relating *r, const struct docs_object *o, bool mounted, bool lift)
{
	_buf_ struct buf match = {.max = MATCH_MAX};
	struct docs *d = r->f->d;
	struct sqlite3_stmt *s;
	int e;

	if (r->looked++ >= SEARCH_RELATED)
		return 1;
	e = relate_phrase(&match, "name", o->name);
	if (e < 0)
		return e == -ENOMEM ? e : 0; /* no document has such a name */
	e = docs_prepare(d,
			 "SELECT doc, id, owner_kind, owner_name, document.namespace "
			 "FROM document_fts CROSS JOIN document ON doc = document_fts.rowid "
			 "WHERE document_fts MATCH ?1 AND document_fts.rowid >= ?2 AND "
			 "document_fts.rowid < ?3 AND document.kind = ?4 AND document.name = ?5 "
			 "AND (document.namespace IS ?6 OR document.namespace IS NULL) "
			 "AND (?7 IS NULL OR cluster = ?7)",
			 &d->read.named, r->f->error);
	if (e < 0)
		return e;
	s = d->read.named;
	db_bind_text(s, 1, buf_str(&match));
	(void)sqlite3_bind_int64(s, 2, docs_first(d));
	(void)sqlite3_bind_int64(s, 3, docs_end(d));
	db_bind_text(s, 4, o->kind);
	db_bind_text(s, 5, o->name);
	db_bind_text(s, 6, o->ns);
	db_bind_text(s, 7, o->cluster);
	e = db_step(s, r->f->error);
	e = e > 0 ? take_row(r, s, o, mounted, lift) : e;
	(void)sqlite3_reset(s);
	return e;
}

static int on_link(void *ctx, const struct docs_link *l)
{
	struct relating *r = ctx;

	return asked_edge(r->q, l->type) ? take_named(r, &l->other, l->mounted, true) : 0;
}

/* ---- the thing ------------------------------------------------------------------------------- */

static double share_of(const char *names, struct str text)
{
	struct str rest = str_of(names), word;
	unsigned n = 0, found = 0;

	for (; words_next(&rest, &word); n++)
		found += asked_says(text, word);
	return n ? (double)found / n : 0;
}

/* How likely the row that the statement stands at is meant; 0: it is not. */
static double likely(const struct asked *q, struct sqlite3_stmt *s, double ranked)
{
	const double name = share_of(q->names, db_text(s, 2 + DOC_NAME)),
		     place = share_of(q->names, db_text(s, 2 + DOC_NAMESPACE)),
		     text = share_of(q->names, db_text(s, 1));

	/* "Who may read secrets" names none; a preposition alone is too little for a guess. */
	if (text == 0 || (!q->verb && name == 0))
		return 0;
	return ranked + name + place / 2 + text + asked_kind(q->told, db_text(s, 2 + DOC_KIND));
}

static void put_thing(struct relating *r, struct thing t)
{
	uint32_t at = r->n_things;

	while (at && r->things[at - 1].likely < t.likely)
		at--;
	if (at == TRIES)
		return;
	r->n_things = MIN(r->n_things + 1, (uint32_t)TRIES);
	memmove(&r->things[at + 1], &r->things[at], (r->n_things - at - 1) * sizeof(t));
	r->things[at] = t;
}

/* A workload whose image all the names are part of; images have no documents of their own. */
static int try_image(struct relating *r, int64_t doc, struct sqlite3_stmt *s)
{
	const bool any = asked_kind(r->q->kinds, STR("Image"));

	if (!asked_edge(r->q, STR("RUNS_IMAGE")) ||
	    share_of(r->q->names, db_text(s, 2 + DOC_IMAGES)) < 1 ||
	    (!any && !is_asked_for(r, db_text(s, 2 + DOC_KIND))) ||
	    !passes(r->f->q, db_text(s, 2 + DOC_KIND), db_text(s, 2 + DOC_NAMESPACE)))
		return 0;
	return answer(r, doc, db_text(s, 0), 2 + 4 * !db_text(s, 2 + DOC_OWNER_KIND).n);
}

static int each_hit(struct relating *r, const struct search *any, bool images)
{
	struct sqlite3_stmt *s = r->f->d->read.whole;
	int e = 0;

	for (uint32_t i = 0; i < MIN(any->n, (uint32_t)LOOK_AT) && e >= 0; i++) {
		(void)sqlite3_bind_int64(s, 1, any->v[i].doc);
		e = db_step(s, r->f->error);
		if (e > 0 && images) {
			e = try_image(r, any->v[i].doc, s);
		} else if (e > 0 && (!db_text(s, 2 + DOC_OWNER_KIND).n ||
				     asked_kind(r->q->told, db_text(s, 2 + DOC_KIND)))) {
			struct thing t = {.doc = any->v[i].doc};

			t.likely = likely(r->q, s, any->v[i].score / any->v[0].score);
			if (t.likely > 0)
				put_thing(r, t);
		}
		(void)sqlite3_reset(s);
	}
	return MIN(e, 0);
}

/* ---- its edges ------------------------------------------------------------------------------- */

static int walk(struct relating *r, const struct docs_object *o, struct str text, bool in)
{
	const docs_links links = r->f->q->links;
	int e = links ? links(r->f->d->db, o, in, on_link, r, r->f->error) : 0;

	if (e == 0)
		e = relate_text(r->f, r->q, o, text, in, on_link, r);
	return MIN(e, 0);
}

/* Where a kind was asked for, it says which way to go. */
static int walk_ways(struct relating *r, const struct docs_object *o, struct str text)
{
	const bool either = !r->any_kind && (r->q->kinds || r->q->kind[0]);
	int e = either || !r->q->out ? walk(r, o, text, true) : 0;

	return e == 0 && (either || r->q->out) ? walk(r, o, text, false) : e;
}

static int follow(struct relating *r, const struct thing *t)
{
	_buf_ struct buf copy = {.max = 1UL << 20};
	struct sqlite3_stmt *s = r->f->d->read.whole;
	struct str parts[6];
	const int columns[] = {2 + DOC_CLUSTER,	  2 + DOC_API_GROUP, 2 + DOC_KIND,
			       2 + DOC_NAMESPACE, 2 + DOC_NAME,	     1};
	int e;

	(void)sqlite3_bind_int64(s, 1, t->doc);
	e = db_step(s, r->f->error);
	for (size_t i = 0; i < ARRAY_SIZE(parts) && e > 0; i++) {
		parts[i] = db_text(s, columns[i]);
		e = buf_append_str(&copy, parts[i]) < 0 ? -ENOMEM : e;
	}
	(void)sqlite3_reset(s);
	if (e <= 0)
		return e;
	for (size_t i = 0, at = 0; i < ARRAY_SIZE(parts); at += parts[i++].n)
		parts[i].p = copy.p + at;
	return walk_ways(r,
			 &(struct docs_object){.cluster = parts[0],
					       .group = parts[1],
					       .kind = parts[2],
					       .ns = parts[3],
					       .name = parts[4]},
			 parts[5]);
}

static int follow_things(struct relating *r)
{
	int e = 0;

	for (uint32_t i = 0; i < r->n_things && !r->n && e == 0; i++) {
		e = follow(r, &r->things[i]);
		if (r->n && r->q->out) { /* and the thing itself behind what it needs */
			struct found *itself = search_among(r->f, r->f->n, r->things[i].doc);

			if (itself && itself->score <= 1)
				itself->score = 1.5;
		}
	}
	return e;
}

int relate(struct search *f)
{
	struct asked q;
	struct relating r = {.f = f, .q = &q};
	struct docs_query words = {.rank = DOCS_BM25, .n = LOOK_AT};
	struct search any = {.d = f->d,
			     .q = &words,
			     .error = f->error,
			     .ids = {.max = SEARCH_IDS_MAX},
			     .best = f->best};
	int e;

	if (!asked_read(f->q->words, &q))
		return 0;
	words.words = str_of(q.rest);
	e = search_rank(&any);
	if (e == 0 && !q.image)
		e = each_hit(&r, &any, false);
	e = e < 0 ? e : follow_things(&r);
	if (e == 0 && !r.n)
		e = each_hit(&r, &any, true);
	if (e == 0 && !r.n && q.verb && !q.kinds && q.kind[0]) {
		r.any_kind = true;
		e = follow_things(&r);
	}
	buf_done(&any.ids);
	search_sort(f, 0);
	return e;
}
