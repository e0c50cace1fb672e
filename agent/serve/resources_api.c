/* Answers from the store; see resources_api.h. A list is made piece by piece, as it is taken. */
#include "serve/resources_api.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE_OBJECTS 64	   /* in one piece: about a millisecond */
#define PIECE_BYTES   (256U << 10) /* after so many the client has to take some first */
#define BODY_MAX      (16UL << 20)
#define KINDS_MAX     (4UL << 20)	  /* bytes of the list of kinds */
#define FOUND_MAX     100000		  /* ids that a look-up by an index gives */
#define BODY_PATIENCE (20 * NSEC_PER_SEC) /* for one body from the API server */

struct listing { /* one answer */
	struct serve *serve;
	struct web_client *client;
	struct listing *next, **at; /* among those that wait for a body; at NULL: does not wait */
	store_kind kind;
	char ns[FILTER_TEXT_MAX];
	bool indexed;
	store_id *found; /* by an index, or the only one */
	uint32_t n_found, at_found;
	store_id id;   /* passed last */
	store_id held; /* its body is waited for; 0: none */
	nsec_t since;
	uint64_t left; /* of the limit */
	struct buf piece;
};

/* ---- kinds ----------------------------------------------------------------------------------- */

static const char *sync_name(enum store_sync s)
{
	switch (s) {
	case STORE_NEVER:
		return "never";
	case STORE_LISTING:
		return "listing";
	case STORE_SYNCED:
		return "synced";
	}
	return "unknown";
}

static void put_kind(struct json_out *j, const struct store *st, store_kind k)
{
	struct store_kind_view v;
	struct store_stats stats = {0};

	if (!store_kind_get(st, k, &v))
		return;
	(void)store_kind_stats(st, k, &stats);
	json_open(j, NULL, '{');
	json_text(j, "name", v.plural);
	json_text(j, "group", v.group);
	json_text(j, "version", v.version);
	json_text(j, "kind", v.kind);
	json_bool(j, "namespaced", v.namespaced);
	json_bool(j, "metadata_only", v.metadata_only);
	json_text(j, "sync", str_of(sync_name(v.sync)));
	json_u64(j, "objects", v.objects);
	json_u64(j, "created", stats.created);
	json_u64(j, "modified", stats.modified);
	json_u64(j, "deleted", stats.deleted);
	json_u64(j, "unchanged", stats.unchanged);
	json_u64(j, "initial_created", stats.initial_created);
	json_u64(j, "fetches", stats.fetches);
	json_u64(j, "body_bytes", stats.body_bytes);
	json_close(j, '{');
}

static void reply_kinds(struct serve *s, struct web_client *c)
{
	_buf_ struct buf out = {.max = KINDS_MAX};
	struct json_out j = {.out = &out};
	struct store_stats stats;

	store_stats(s->o.store, &stats);
	json_open(&j, NULL, '{');
	json_u64(&j, "objects", stats.objects);
	json_u64(&j, "record_bytes", stats.record_bytes);
	json_u64(&j, "body_bytes", stats.body_bytes);
	json_open(&j, "kinds", '[');
	for (store_kind k = store_kind_next(s->o.store, 0); k; k = store_kind_next(s->o.store, k))
		put_kind(&j, s->o.store, k);
	json_close(&j, '[');
	serve_object(c, &j);
}

/* ---- waiting for a body ---------------------------------------------------------------------- */

static void wait_begin(struct listing *l)
{
	if (l->at)
		return;
	l->next = l->serve->listings;
	l->at = &l->serve->listings;
	if (l->next)
		l->next->at = &l->next;
	l->serve->listings = l;
}

static void wait_end(struct listing *l)
{
	if (!l->at)
		return;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	l->at = NULL;
}

void serve_resources_run(struct serve *s)
{
	for (struct listing *l = s->listings; l; l = l->next)
		web_stream_wake(l->client);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void listing_free(struct listing *l)
{
	wait_end(l);
	buf_done(&l->piece);
	free(l->found);
	free(l);
}

static store_id next_object(struct listing *l)
{
	struct store_view v;

	if (!l->indexed)
		return store_next(l->serve->o.store, l->kind, str_of(l->ns), l->id);
	while (l->at_found < l->n_found) {
		store_id id = l->found[l->at_found++];

		if (store_get(l->serve->o.store, id, &v) && !v.dead &&
		    (!l->ns[0] || str_eq(v.ns, str_of(l->ns))))
			return id;
	}
	return 0;
}

static int put_unread(struct listing *l, const struct store_view *v)
{
	struct json_out j = {.out = &l->piece};

	json_open(&j, NULL, '{');
	json_text(&j, "error", STR("it cannot be read from the API server just now"));
	json_some(&j, "namespace", v->ns);
	json_text(&j, "name", v->name);
	json_close(&j, '{');
	return j.r == -ENOMEM || buf_append(&l->piece, "\n", 1) == -ENOMEM ? -ENOMEM : 0;
}

/* A line of the object, or of why it is not there. 0, -EAGAIN: not yet, -ENOMEM. */
static int put_object(struct listing *l, store_id id)
{
	struct store *st = l->serve->o.store;
	nsec_t now = clock_mono();
	struct store_view v;
	size_t before = l->piece.n;
	int r = store_body(st, NULL, id, now, &l->piece);

	if (r == -EAGAIN && (!l->since || now - l->since < BODY_PATIENCE)) {
		l->since = l->since ? l->since : now;
		return r;
	}
	l->since = 0;
	if (r == 0)
		return buf_append(&l->piece, "\n", 1) < 0 ? -ENOMEM : 0;
	l->piece.n = before;
	if (r == -ENOMEM || !store_get(st, id, &v))
		return r == -ENOMEM ? r : 0;
	return put_unread(l, &v);
}

/* 1: there may be more; 0: that was all; -EAGAIN: a body is waited for; -ENOMEM. */
static int fill_piece(struct listing *l)
{
	for (int i = 0; i < PIECE_OBJECTS && l->piece.n < PIECE_BYTES; i++) {
		store_id id = l->held ? l->held : l->left ? next_object(l) : 0;
		int r;

		if (!id)
			return 0;
		r = put_object(l, id);
		l->held = r == -EAGAIN ? id : 0;
		if (r < 0)
			return r;
		l->id = id;
		l->left--;
	}
	return 1;
}

static int listing_more(void *ctx)
{
	struct listing *l = ctx;
	int r;

	buf_reset(&l->piece);
	r = fill_piece(l);
	if (r == -ENOMEM || web_stream_put(l->client, buf_str(&l->piece)) < 0)
		return -ENOMEM;
	if (r == -EAGAIN) {
		wait_begin(l);
		return 0;
	}
	wait_end(l);
	return r ? 1 : -ENODATA;
}

static void listing_gone(void *ctx)
{
	listing_free(ctx);
}

static const struct web_stream_ops listing_stream = {.more = listing_more, .gone = listing_gone};

/* ---- what is asked for ----------------------------------------------------------------------- */

static int on_found(void *ctx, store_id id)
{
	struct listing *l = ctx;
	store_id *more;

	if (l->n_found == FOUND_MAX)
		return -EMSGSIZE;
	if ((l->n_found & (l->n_found - 1)) == 0) { /* grows at powers of two */
		more = realloc(l->found, (l->n_found ? l->n_found * 2UL : 1UL) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->found = more;
	}
	l->found[l->n_found++] = id;
	return 0;
}

static int look_up(struct listing *l, struct str text, struct buf *words)
{
	struct str keys[STORE_MAX_INDEXES];
	uint32_t n = 0;
	bool more;
	int r;

	do {
		if (n == STORE_MAX_INDEXES) {
			(void)buf_printf(words, "an index has %d keys at most", STORE_MAX_INDEXES);
			return -EINVAL;
		}
		more = str_split(&text, ',', &keys[n++]);
	} while (more);
	l->indexed = true;
	r = l->kind ? store_lookup(l->serve->o.store, l->kind, keys, n, on_found, l) : -EINVAL;
	if (r == -EINVAL)
		(void)buf_printf(words, "this kind has no index of %u keys: see --index", n);
	return r;
}

static int take_query(struct listing *l, struct str query, struct buf *words)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	unsigned long long limit;
	int r;

	while ((r = query_next(&query, name, value)) > 0) {
		if (strcmp(name, "namespace") == 0) {
			(void)snprintf(l->ns, sizeof(l->ns), "%s", value);
		} else if (strcmp(name, "limit") == 0 && str_to_u64(str_of(value), &limit) == 0) {
			l->left = limit;
		} else if (strcmp(name, "index") == 0) {
			r = look_up(l, str_of(value), words);
			if (r < 0)
				return r;
		} else {
			(void)buf_printf(words,
					 "\"%s\" is not understood; there are namespace, index "
					 "and limit",
					 name);
			return -EINVAL;
		}
	}
	return r;
}

static store_kind kind_of_name(struct serve *s, struct str name, bool *ret_all)
{
	*ret_all = str_eq(name, STR("*"));
	return *ret_all ? 0 : store_kind_find(s->o.store, name);
}

/* KIND/NS/NAME */
static int take_one(struct listing *l, struct str path)
{
	struct str ns;
	store_id id;

	if (!str_split(&path, '/', &ns) || !path.n)
		return -ENOENT;
	if (str_eq(ns, STR("_cluster")))
		ns = (struct str){0};
	id = store_find(l->serve->o.store, l->kind, ns, path);
	l->indexed = true;
	return id ? on_found(l, id) : -ENOENT;
}

static int listing_new(struct serve *s, struct web_client *c, struct listing **ret)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->serve = s;
	l->client = c;
	l->left = UINT64_MAX;
	buf_init(&l->piece, PIECE_BYTES + BODY_MAX);
	*ret = l;
	return 0;
}

static void reply_objects(struct serve *s, struct web_client *c, struct str path, struct str query)
{
	_buf_ struct buf words = {.max = 4096};
	struct listing *l = NULL;
	struct str name;
	bool one, all;
	int r = listing_new(s, c, &l);

	if (r < 0) {
		serve_error(c, 503, STR("out of memory"));
		return;
	}
	one = str_split(&path, '/', &name);
	l->kind = kind_of_name(s, name, &all);
	if (!l->kind && !all) {
		(void)buf_printf(&words, "there is no kind \"%.*s\": " RESOURCES_PATH " lists them",
				 STR_ARG(name));
		r = -ENOENT;
	} else if (one) {
		r = take_one(l, path);
	} else {
		r = take_query(l, query, &words);
	}
	if (r == 0) {
		web_stream(c, one ? TYPE_JSON : TYPE_JSON_LINES, &listing_stream, l);
		return;
	}
	listing_free(l);
	serve_error(c,
		    r == -ENOENT   ? 404
		    : r == -ENOMEM ? 503
				   : 400,
		    words.n ? buf_str(&words) : STR("there is no such object"));
}

void serve_resources(struct serve *s, struct web_client *c, const struct web_request *r)
{
	struct str path = str_from(r->path, sizeof(RESOURCES_PATH) - 1);

	if (!s->o.store)
		serve_error(c, 503, STR("resources are off: see --resources"));
	else if (path.n < 2)
		reply_kinds(s, c);
	else
		reply_objects(s, c, str_from(path, 1), r->query);
}
