/*
 * What documents say of each other, where no graph is kept: the texts of document_text.h
 * write every connection as the same few words before a name. Both ways are read by one
 * table; who says that it needs an object is looked up by the phrase.
 */
#include "base/mem.h"
#include "sink/sqlite/asked.h"
#include "sink/sqlite/search_parts.h"
#include "sink/sqlite/words.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define SAYING_MAX 200 /* documents that say a phrase; those behind them are left out */
#define MATCH_MAX  4096

/* %k, %s and %n stand for the other's kind, namespace and name; without %k it is of `kind`, NULL:
 * of any. `before` stands right before it, as the end of a word where it begins with no blank or
 * bar. */
static const struct saying {
	const char *type, *kind, *before, *words;
} sayings[] = {
	{"USES_SECRET", "Secret", " ", "secret %n"},
	{"USES_SECRET", "Secret", " ", "secretName %n"},
	{"USES_CONFIGMAP", "ConfigMap", " ", "config map %n"},
	{"USES_CLAIM", "PersistentVolumeClaim", " ", "persistent volume claim %n"},
	{"USES_CLASS", "StorageClass", " ", "storage class %n"},
	{"USES_CLASS", "PriorityClass", " ", "priority class %n"},
	{"USES_CLASS", "RuntimeClass", " ", "runtime class %n"},
	{"USES_CLASS", "IngressClass", "| ", "class %n"},
	{"RUNS_AS", "ServiceAccount", " ", "service account %n"},
	{"RUNS_ON", "Node", "| ", "node %n"},
	{"ROUTES_TO", "Service", " ", "to service %n"},
	{"SCALES", NULL, "| ", "scales %k %n"},
	{"BOUND_TO", "PersistentVolume", "| ", "bound to volume %n"},
	{"GRANTS", NULL, "| ", "grants %k %n"},
	{"GRANTS_TO", "ServiceAccount", " ", "ServiceAccount %s %n"},
	{"GOVERNED_BY", "Service", "| ", "governing service %n"},
	{"CALLS", "Service", " ", "service %s %n"},
	{"CALLS", "Service", "| ", "served by %s %n"},
	{"REFERS_TO", NULL, "Ref ", "name %n"},
};

/* Before "k v, k v" of a selector. */
static const char *const selecting[] = {"selects pods with ", "applies to pods with ",
					"protects pods with "};

/* ---- phrases --------------------------------------------------------------------------------- */

int relate_phrase(struct buf *out, const char *column, struct str text)
{
	struct str word;
	int r = buf_printf(out, "%s%s : \"", out->n ? " AND " : "", column), n = 0;

	for (; r == 0 && words_next(&text, &word); n++)
		r = buf_printf(out, "%s%.*s", n ? " " : "", STR_ARG(word));
	if (r == 0 && !n)
		return -ENOENT;
	return r < 0 ? r : buf_append_str(out, STR("\""));
}

/* Up to the next blank, comma or bar. */
static struct str next_word(struct str *text)
{
	struct str word = {.p = text->p};

	while (word.n < text->n && !strchr(" ,|", text->p[word.n]))
		word.n++;
	*text = str_from(*text, word.n);
	return word;
}

/* Whether the text begins so. What the marks stand for goes to `ret`. */
static bool begins(struct str text, const char *words, struct docs_object *ret)
{
	for (; *words; words++) {
		if (*words != '%') {
			if (!text.n || text.p[0] != *words)
				return false;
			text = str_from(text, 1);
			continue;
		}
		words++;
		*(*words == 'k'	  ? &ret->kind
		  : *words == 's' ? &ret->ns
				  : &ret->name) = next_word(&text);
	}
	return ret->name.n > 0;
}

/* The next place where the text says so. */
static bool find(struct str *text, const struct saying *say, struct docs_object *ret)
{
	const struct str before = str_of(say->before);

	while (text->n > before.n) {
		const char *at = memmem(text->p, text->n, before.p, before.n);

		if (!at)
			return false;
		*text = str_from(*text, (size_t)(at - text->p) + before.n);
		*ret = (struct docs_object){.kind = str_of(say->kind)};
		if (begins(*text, say->words, ret))
			return true;
	}
	return false;
}

/* Whether the place is in the part that says what is mounted. */
static bool is_mounted(struct str text, const char *at)
{
	static const char label[] = " | mounts ";
	const char *begin = memmem(text.p, text.n, label, sizeof(label) - 1), *end;

	if (!begin || at < begin)
		return false;
	begin += sizeof(label) - 1;
	end = memmem(begin, text.n - (size_t)(begin - text.p), " | ", 3);
	return !end || at < end;
}

/* ---- who says so ----------------------------------------------------------------------------- */

enum { TEXT = 5, LABELS, OWNER_KIND, OWNER_NAME };

/* Documents that match; each row has its object and its text. */
static int saying(struct search *f, const struct buf *match, struct sqlite3_stmt **ret)
{
	struct docs *d = f->d;
	int r = docs_prepare(
		d,
		"SELECT kind, namespace, name, api_group, cluster, text, labels, owner_kind, "
		"owner_name FROM (SELECT rowid AS hit FROM document_fts WHERE document_fts MATCH "
		"?1 "
		"AND rowid >= ?2 AND rowid < ?3 LIMIT ?4) CROSS JOIN document ON doc = hit",
		&d->read.saying, f->error);

	if (r < 0)
		return r;
	*ret = d->read.saying;
	(void)sqlite3_reset(*ret);
	db_bind_text(*ret, 1, buf_str(match));
	(void)sqlite3_bind_int64(*ret, 2, docs_first(d));
	(void)sqlite3_bind_int64(*ret, 3, docs_end(d));
	(void)sqlite3_bind_int(*ret, 4, SAYING_MAX);
	return 0;
}

static struct docs_object object_of(struct sqlite3_stmt *s)
{
	return (struct docs_object){.kind = db_text(s, 0),
				    .ns = db_text(s, 1),
				    .name = db_text(s, 2),
				    .group = db_text(s, 3),
				    .cluster = db_text(s, 4)};
}

/* Whether what the document of `by` says is meant for the object. */
static bool is_meant(const struct docs_object *said, const struct docs_object *by,
		     const struct docs_object *o)
{
	return str_eq(said->name, o->name) && (!said->kind.n || str_eq(said->kind, o->kind)) &&
	       (!o->ns.n || str_eq(said->ns.n ? said->ns : by->ns, o->ns)) &&
	       str_eq(by->cluster, o->cluster);
}

struct telling {
	int (*link)(void *ctx, const struct docs_link *l);
	void *ctx;
};

static int tell_in(struct sqlite3_stmt *s, const struct saying *say, const struct docs_object *o,
		   const struct telling *t)
{
	struct docs_link l = {.type = str_of(say->type), .other = object_of(s)};
	struct str text = db_text(s, TEXT), rest = text;
	struct docs_object said;

	while (find(&rest, say, &said)) {
		if (!is_meant(&said, &l.other, o))
			continue;
		l.mounted = is_mounted(text, said.name.p);
		return t->link(t->ctx, &l);
	}
	return 0;
}

/* The words of the saying about this object. */
static int put_saying(const struct saying *say, const struct docs_object *o, struct buf *out)
{
	int r = 0;

	for (const char *p = say->words; *p && r == 0; p++) {
		if (*p != '%') {
			r = buf_append(out, p, 1);
			continue;
		}
		p++;
		r = buf_append_str(out, *p == 'k' ? o->kind : *p == 's' ? o->ns : o->name);
	}
	return r;
}

static int who_says(struct search *f, const struct saying *say, const struct docs_object *o,
		    const struct telling *t)
{
	_buf_ struct buf words = {.max = MATCH_MAX}, match = {.max = MATCH_MAX};
	struct sqlite3_stmt *s;
	int r;

	if (say->kind && !str_eq(str_of(say->kind), o->kind))
		return 0;
	r = put_saying(say, o, &words);
	r = r < 0 ? r : relate_phrase(&match, "text", buf_str(&words));
	r = r < 0 ? r : saying(f, &match, &s);
	if (r < 0)
		return r;
	while ((r = db_step(s, f->error)) > 0 && (r = tell_in(s, say, o, t)) == 0)
		;
	(void)sqlite3_reset(s);
	return r;
}

static int what_it_says(const struct saying *say, const struct docs_object *o, struct str text,
			const struct telling *t)
{
	struct docs_link l = {.type = str_of(say->type)};
	struct str rest = text;
	int r = 0;

	while (r == 0 && find(&rest, say, &l.other)) {
		l.other.cluster = o->cluster;
		if (!l.other.ns.n)
			l.other.ns = o->ns;
		l.mounted = is_mounted(text, l.other.name.p);
		r = l.other.kind.n ? t->link(t->ctx, &l) : 0;
	}
	return r;
}

/* ---- selectors ------------------------------------------------------------------------------- */

/* The pairs behind "pods with", up to the end of the part; empty: it selects nothing by labels. */
static struct str pairs_of(struct str text)
{
	for (size_t i = 0; i < ARRAY_SIZE(selecting) && text.n; i++) {
		const char *at = memmem(text.p, text.n, selecting[i], strlen(selecting[i])), *end;
		struct str pairs;

		if (!at)
			continue;
		pairs = str_from(text, (size_t)(at - text.p) + strlen(selecting[i]));
		end = memmem(pairs.p, pairs.n, " | ", 3);
		return end ? str_make(pairs.p, (size_t)(end - pairs.p)) : pairs;
	}
	return (struct str){0};
}

/* "app web, tier front" among ",app=web,app.kubernetes.io/part-of=shop,". */
static bool selects(struct str pairs, struct str labels)
{
	char label[1024];
	struct str pair;
	bool more = pairs.n && labels.n;

	if (!more)
		return false;
	while (more) {
		struct str key;
		const char *at;
		int n;

		more = str_split(&pairs, ',', &pair);
		pair = str_trim(pair);
		(void)str_split(&pair, ' ', &key);
		n = snprintf(label, sizeof(label), "%.*s=%.*s,", STR_ARG(key), STR_ARG(pair));
		at = n > 0 && (size_t)n < sizeof(label)
			     ? memmem(labels.p, labels.n, label, (size_t)n)
			     : NULL;
		if (!at || at == labels.p || !strchr(",/", at[-1]))
			return false;
	}
	return true;
}

static bool same_place(const struct docs_object *a, const struct docs_object *b)
{
	return str_eq(a->ns, b->ns) && str_eq(a->cluster, b->cluster);
}

/* Labels of a pod of this workload, or of the pod itself. */
static int labels_of(struct search *f, const struct docs_object *o, struct buf *ret)
{
	_buf_ struct buf match = {.max = MATCH_MAX};
	struct sqlite3_stmt *s;
	int r = relate_phrase(&match, "kind", STR("pod"));

	r = r < 0 ? r : relate_phrase(&match, "name", o->name);
	r = r < 0 ? r : saying(f, &match, &s);
	if (r < 0)
		return r;
	while (!ret->n && r == 0 && (r = db_step(s, f->error)) > 0) {
		const struct docs_object p = object_of(s);
		bool itself = str_eq(o->kind, STR("Pod")) && str_eq(p.name, o->name);
		bool its = str_eq(db_text(s, OWNER_KIND), o->kind) &&
			   str_eq(db_text(s, OWNER_NAME), o->name);

		r = same_place(&p, o) && (itself || its) ? buf_append_str(ret, db_text(s, LABELS))
							 : 0;
	}
	(void)sqlite3_reset(s);
	return r;
}

/* Of those that match: who selects these labels, or whom these pairs select; the other is empty. */
static int tell_selected(struct search *f, const struct buf *match, const struct docs_object *o,
			 struct str labels, struct str pairs, const struct telling *t)
{
	struct docs_link l = {.type = STR("SELECTS")};
	struct sqlite3_stmt *s;
	int r = saying(f, match, &s);

	if (r < 0)
		return r;
	while (r == 0 && (r = db_step(s, f->error)) > 0) {
		bool it = selects(pairs.n ? pairs : pairs_of(db_text(s, TEXT)),
				  pairs.n ? db_text(s, LABELS) : labels);

		l.other = object_of(s);
		r = it && same_place(&l.other, o) ? t->link(t->ctx, &l) : 0;
	}
	(void)sqlite3_reset(s);
	return r;
}

static int who_selects(struct search *f, const struct docs_object *o, const struct telling *t)
{
	_buf_ struct buf labels = {.max = 1UL << 16}, match = {.max = MATCH_MAX};
	int r = labels_of(f, o, &labels);

	if (r < 0 || !labels.n)
		return r;
	r = relate_phrase(&match, "namespace", o->ns);
	r = r < 0 ? r : relate_phrase(&match, "text", STR("pods with"));
	return r < 0 ? r : tell_selected(f, &match, o, buf_str(&labels), (struct str){0}, t);
}

static int what_it_selects(struct search *f, const struct docs_object *o, struct str text,
			   const struct telling *t)
{
	_buf_ struct buf match = {.max = MATCH_MAX};
	const struct str pairs = pairs_of(text);
	struct str rest = pairs, first;
	int r;

	if (!pairs.n)
		return 0;
	(void)str_split(&rest, ',', &first);
	r = relate_phrase(&match, "kind", STR("pod"));
	r = r < 0 ? r : relate_phrase(&match, "namespace", o->ns);
	r = r < 0 ? r : relate_phrase(&match, "text", first);
	return r < 0 ? r : tell_selected(f, &match, o, (struct str){0}, pairs, t);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* What cannot be asked for (a name without words, or far too long) is said by nobody. */
static int settle(int r)
{
	return r == -ENOENT || r == -EMSGSIZE ? 0 : r;
}

int relate_text(struct search *f, const struct asked *q, const struct docs_object *o,
		struct str text, bool in, int (*link)(void *ctx, const struct docs_link *l),
		void *ctx)
{
	const struct telling t = {.link = link, .ctx = ctx};
	int r = 0;

	if (asked_edge(q, STR("SELECTS")))
		r = settle(in ? who_selects(f, o, &t) : what_it_selects(f, o, text, &t));
	for (size_t i = 0; i < ARRAY_SIZE(sayings) && r == 0; i++)
		if (asked_edge(q, str_of(sayings[i].type)))
			r = settle(in ? who_says(f, &sayings[i], o, &t)
				      : what_it_says(&sayings[i], o, text, &t));
	return r;
}
