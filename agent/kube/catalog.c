/* Rounds of discovery and the list that comes of them; see catalog.h. */
#include "kube/catalog_parts.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* ---- texts ----------------------------------------------------------------------------------- */

/* Names go into paths and metric labels: what the API allows in them needs no escapes. */
bool catalog_good_name(struct str s, bool upper)
{
	if (s.n == 0 || s.n > CATALOG_MAX_TEXT)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
		      (upper && c >= 'A' && c <= 'Z')))
			return false;
	}
	return true;
}

/* ---- group versions -------------------------------------------------------------------------- */

void catalog_items_unref(struct catalog_items **ip)
{
	struct catalog_items *items = *ip;

	*ip = NULL;
	if (!items || --items->refs)
		return;
	for (size_t i = 0; i < items->n; i++) {
		free(items->v[i].kind);
		free(items->v[i].plural);
	}
	free(items);
}

static void gvs_clear(struct catalog_gvs *s)
{
	for (size_t i = 0; i < s->n; i++) {
		catalog_items_unref(&s->v[i].items);
		free(s->v[i].group);
		free(s->v[i].version);
	}
	free(s->v);
	*s = (struct catalog_gvs){0};
}

static struct catalog_gv *gv_find(const struct catalog_gvs *s, struct str group, struct str version)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(str_of(s->v[i].group), group) &&
		    str_eq(str_of(s->v[i].version), version))
			return &s->v[i];
	return NULL;
}

struct catalog_gv *catalog_add_gv(struct catalog *c, struct str group, struct str version,
				  unsigned rank, bool *ret_full)
{
	struct catalog_gvs *s = &c->round;
	struct catalog_gv *v;

	*ret_full = s->n == CATALOG_MAX_VERSIONS || gv_find(s, group, version) ||
		    !catalog_good_name(version, false) ||
		    (group.n && !catalog_good_name(group, false));
	if (*ret_full) {
		c->counters.left_out++;
		return NULL;
	}
	if ((s->n & (s->n - 1)) == 0) { /* room for twice as many at each power of two */
		v = realloc(s->v, (s->n ? 2 * s->n : 1) * sizeof(*v));
		if (!v)
			return NULL;
		s->v = v;
	}
	v = &s->v[s->n];
	*v = (struct catalog_gv){
		.group = str_dup(group), .version = str_dup(version), .rank = rank};
	if (!v->group || !v->version) {
		free(v->group);
		free(v->version);
		return NULL;
	}
	s->n++;
	return v;
}

bool catalog_keep(struct catalog *c, struct catalog_gv *gv)
{
	const struct catalog_gv *old = gv_find(&c->known, str_of(gv->group), str_of(gv->version));

	if (!old || !old->items)
		return false;
	catalog_items_unref(&gv->items);
	gv->items = old->items;
	gv->items->refs++;
	return true;
}

/* All that was known of the core group, or of all others. */
static int keep_all(struct catalog *c, bool core)
{
	for (size_t i = 0; i < c->known.n; i++) {
		const struct catalog_gv *old = &c->known.v[i];
		struct catalog_gv *gv;
		bool full;

		if ((old->group[0] == 0) != core)
			continue;
		gv = catalog_add_gv(c, str_of(old->group), str_of(old->version), old->rank, &full);
		if (!gv && !full)
			return -ENOMEM;
		if (gv)
			(void)catalog_keep(c, gv);
	}
	return 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void asks_clear(struct catalog *c)
{
	for (size_t i = 0; i < c->n_asks; i++)
		free(c->asks[i].path);
	free(c->asks);
	c->asks = NULL;
	c->n_asks = 0;
}

int catalog_add_ask(struct catalog *c, enum ask_about about, const char *path, size_t gv)
{
	if ((c->n_asks & (c->n_asks - 1)) == 0) {
		struct catalog_ask *v =
			realloc(c->asks, (c->n_asks ? 2 * c->n_asks : 1) * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->asks = v;
	}
	struct catalog_ask *a = &c->asks[c->n_asks];
	*a = (struct catalog_ask){.about = about, .path = str_dup(str_of(path)), .gv = gv};
	if (!a->path)
		return -ENOMEM;
	c->n_asks++;
	return 0;
}

int catalog_begin(struct catalog *c)
{
	int r;

	asks_clear(c);
	gvs_clear(&c->round);
	r = catalog_add_ask(c, ASK_CORE, "/api", 0);
	if (r == 0)
		r = catalog_add_ask(c, ASK_GROUPS, "/apis", 0);
	if (r < 0)
		asks_clear(c);
	return r;
}

const char *catalog_next(struct catalog *c)
{
	for (size_t i = 0; i < c->n_asks; i++)
		if (!c->asks[i].named) {
			c->asks[i].named = true;
			return c->asks[i].path;
		}
	return NULL;
}

/* What it was about stays as it was. A version that the server says it has not is gone. */
static int failed(struct catalog *c, const struct catalog_ask *a, int status)
{
	c->counters.failed++;
	if (a->about != ASK_VERSION)
		return keep_all(c, a->about == ASK_CORE);
	if (status != 404)
		(void)catalog_keep(c, &c->round.v[a->gv]);
	return 0;
}

static int take(struct catalog *c, const struct catalog_ask *a, int status, struct str body)
{
	_json_ json_t *root = NULL;
	int r = -EBADMSG;

	if (status == 200 && body.n <= CATALOG_MAX_BODY)
		root = json_in_parse(body, JSON_REJECT_DUPLICATES);
	if (root)
		r = catalog_parse(c, a, root);
	if (r == -EBADMSG && failed(c, a, status) < 0)
		r = -ENOMEM;
	return r;
}

int catalog_answer(struct catalog *c, const char *path, int status, struct str body)
{
	size_t i = 0;

	while (i < c->n_asks &&
	       (c->asks[i].answered || !c->asks[i].named || strcmp(c->asks[i].path, path) != 0))
		i++;
	if (i == c->n_asks)
		return 0;
	c->asks[i].answered = true;
	struct catalog_ask a = c->asks[i]; /* answers bring new asks: the array may move */
	int r = take(c, &a, status, body);
	if (r == -ENOMEM)
		asks_clear(c); /* half a list is none: the round never becomes complete */
	return r;
}

bool catalog_complete(const struct catalog *c)
{
	for (size_t i = 0; i < c->n_asks; i++)
		if (!c->asks[i].answered)
			return false;
	return c->n_asks > 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct catalog_entry *x = a, *y = b;
	int r = str_cmp(x->group, y->group);

	return r ? r : str_cmp(x->plural, y->plural);
}

struct list {
	struct catalog_entry *v;
	size_t n;
};

/* Up to 1.21 the same Ingresses are served under extensions and under networking.k8s.io. */
static bool is_extensions(struct str group)
{
	return str_eq(group, STR("extensions"));
}

static bool listed(const struct list *l, struct str group, struct str plural)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->v[i].plural, plural) &&
		    (is_extensions(group) || str_eq(l->v[i].group, group)))
			return true;
	return false;
}

static void list_add(struct catalog *c, struct list *l, const struct catalog_gv *gv)
{
	const struct str group = str_of(gv->group);

	for (size_t i = 0; gv->items && i < gv->items->n; i++) {
		const struct catalog_item *it = &gv->items->v[i];
		const struct str plural = str_of(it->plural);

		if (!it->can_list || !it->can_watch || listed(l, group, plural))
			continue;
		if (l->n == CATALOG_MAX_RESOURCES) {
			c->counters.left_out++;
			continue;
		}
		l->v[l->n++] = (struct catalog_entry){.group = group,
						      .version = str_of(gv->version),
						      .kind = str_of(it->kind),
						      .plural = plural,
						      .namespaced = it->namespaced,
						      .can_get = it->can_get};
	}
}

static int by_rank(const void *a, const void *b)
{
	const struct catalog_gv *x = a, *y = b;
	int r = strcmp(x->group, y->group);

	return r ? r : (x->rank > y->rank) - (x->rank < y->rank);
}

static bool same_list(const struct catalog *c, const struct list *l)
{
	if (l->n != c->n_list)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		const struct catalog_entry *x = &l->v[i], *y = &c->list[i];

		if (by_name(x, y) != 0 || !str_eq(x->version, y->version) ||
		    !str_eq(x->kind, y->kind) || x->namespaced != y->namespaced ||
		    x->can_get != y->can_get)
			return false;
	}
	return true;
}

int catalog_finish(struct catalog *c)
{
	struct list l = {.v = calloc(CATALOG_MAX_RESOURCES, sizeof(*l.v))};
	int changed;

	if (!l.v)
		return -ENOMEM;
	if (c->round.n)
		qsort(c->round.v, c->round.n, sizeof(*c->round.v), by_rank);
	for (int last = 0; last < 2; last++)
		for (size_t i = 0; i < c->round.n; i++)
			if (is_extensions(str_of(c->round.v[i].group)) == last)
				list_add(c, &l, &c->round.v[i]);
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	changed = !same_list(c, &l);
	free(c->list);
	c->list = l.v;
	c->n_list = l.n;
	gvs_clear(&c->known);
	c->known = c->round;
	c->round = (struct catalog_gvs){0};
	asks_clear(c);
	c->counters.rounds++;
	return changed;
}

size_t catalog_n(const struct catalog *c)
{
	return c->n_list;
}

struct catalog_entry catalog_entry(const struct catalog *c, size_t i)
{
	return c->list[i];
}

const struct catalog_counters *catalog_counters(const struct catalog *c)
{
	return &c->counters;
}

/* ---- birth and death ------------------------------------------------------------------------- */

int catalog_new(struct catalog **ret)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*ret = c;
	return 0;
}

void catalog_free(struct catalog **cp)
{
	struct catalog *c = *cp;

	if (!c)
		return;
	asks_clear(c);
	gvs_clear(&c->known);
	gvs_clear(&c->round);
	free(c->list);
	free(c);
	*cp = NULL;
}
