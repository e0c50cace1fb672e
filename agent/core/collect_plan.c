/* Kinds and namespaces into watches; see collect_parts.h. */
#include "core/collect_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define AGAIN	 (30 * NSEC_PER_SEC) /* until what could not be made is tried again */
#define MAX_PATH 1024

/* ---- kinds ----------------------------------------------------------------------------------- */

static void end_watch(struct cwatch *w, nsec_t now, bool source_too)
{
	struct collect *c = w->kind->collect;

	if (w->reflector)
		collect_add_traffic(w->reflector, &w->kind->ended);
	if (w->reflector && !w->kind->tapped)
		c->o.ops->watch_remove(c->o.ctx, w->reflector);
	if (w->source && source_too)
		store_source_remove(c->o.store, w->source, now);
}

static void free_watch(struct cwatch *w)
{
	if (!w->kind->tapped)
		reflector_free(&w->reflector);
	free(w->ns);
	free(w->text);
	free(w);
}

void plan_free_kind(struct ckind *k)
{
	for (uint32_t i = 0; i < k->n; i++)
		free_watch(k->watches[i]);
	free(k->watches);
	free(k->name);
	free(k->group);
	free(k->version);
	free(k->kind);
	free(k->plural);
	free(k->api_version);
	free(k);
}

struct ckind *plan_find(const struct collect *c, struct str group, struct str plural)
{
	for (uint32_t i = 0; i < c->n_kinds; i++)
		if (str_eq(c->kinds[i]->pub.plural, plural) &&
		    str_eq(c->kinds[i]->pub.group, group))
			return c->kinds[i];
	return NULL;
}

static int name_kind(struct ckind *k, const struct kind_says *s)
{
	k->group = str_dup(s->group);
	k->version = str_dup(s->version);
	k->kind = str_dup(s->kind);
	k->plural = str_dup(s->plural);
	if (asprintf(&k->name, "%.*s%s%.*s", STR_ARG(s->plural), s->group.n ? "." : "",
		     STR_ARG(s->group)) < 0)
		k->name = NULL;
	if (asprintf(&k->api_version, "%.*s%s%.*s", STR_ARG(s->group), s->group.n ? "/" : "",
		     STR_ARG(s->version)) < 0)
		k->api_version = NULL;
	if (!k->group || !k->version || !k->kind || !k->plural || !k->name || !k->api_version)
		return -ENOMEM;
	k->pub.name = str_of(k->name);
	k->pub.group = str_of(k->group);
	k->pub.version = str_of(k->version);
	k->pub.kind = str_of(k->kind);
	k->pub.plural = str_of(k->plural);
	return 0;
}

static int add_to_store(struct ckind *k, struct buf *ret_error)
{
	const struct collect_opts *o = &k->collect->o;
	struct store_kind_opts s = {
		.group = k->pub.group,
		.version = k->pub.version,
		.kind = k->pub.kind,
		.plural = k->pub.plural,
		.namespaced = k->pub.namespaced,
		.metadata_only = k->pub.metadata_only,
		/* What cannot be read again has to be kept. */
		.keep = k->can_get && collect_names_have(&o->cached, k->pub.group, k->pub.plural)
				? STORE_CACHE
				: STORE_MEMORY,
	};

	for (uint32_t i = 0; i < o->n_indexes && !s.n_indexes; i++) {
		const struct collect_names one = {.v = &o->indexes[i].resource, .n = 1};

		if (!collect_names_have(&one, k->pub.group, k->pub.plural))
			continue;
		s.indexes = o->indexes[i].paths;
		s.n_indexes = o->indexes[i].n;
	}
	return store_kind_add(o->store, &s, &k->pub.store, ret_error);
}

static int room_for_kind(struct collect *c)
{
	struct ckind **v;

	if (c->n_kinds & (c->n_kinds - 1)) /* there is room up to the next power of two */
		return 0;
	v = realloc(c->kinds, (c->n_kinds ? 2 * (size_t)c->n_kinds : 1) * sizeof(struct ckind *));
	if (!v)
		return -ENOMEM;
	c->kinds = v;
	return 0;
}

int plan_add_kind(struct collect *c, const struct kind_says *says, enum role role,
		  struct ckind **ret, struct buf *ret_error)
{
	struct ckind *k = calloc(1, sizeof(*k));
	int r = k ? room_for_kind(c) : -ENOMEM;
	bool kept = collect_wants(c, says->group, says->plural, says->namespaced);

	if (!k)
		return r;
	k->collect = c;
	k->role = role;
	k->can_get = says->can_get;
	k->told = _COLLECT_STATE_MAX;
	k->pub.namespaced = says->namespaced;
	k->pub.text = k->text;
	k->pub.since = collect_now(c);
	k->pub.metadata_only =
		!kept || (collect_names_have(&c->o.metadata_only, says->group, says->plural) &&
			  !collect_names_have(&c->o.whole, says->group, says->plural));
	if (r == 0)
		r = name_kind(k, says);
	if (r == 0 && kept)
		r = add_to_store(k, ret_error);
	if (r < 0) {
		plan_free_kind(k);
		return r;
	}
	c->kinds[c->n_kinds++] = k;
	*ret = k;
	return 0;
}

static void remove_kind(struct collect *c, uint32_t at, nsec_t now)
{
	struct ckind *k = c->kinds[at];

	for (uint32_t i = 0; i < k->n; i++)
		end_watch(k->watches[i], now, false);
	if (k->pub.store)
		store_kind_remove(c->o.store, k->pub.store, now);
	plan_free_kind(k);
	c->kinds[at] = c->kinds[--c->n_kinds];
	c->counters.kinds_removed++;
}

/* ---- from the catalogue to kinds ------------------------------------------------------------- */

static enum role role_of(const struct catalog_entry *e)
{
	return str_eq(e->group, STR("apiextensions.k8s.io")) &&
			       str_eq(e->plural, STR("customresourcedefinitions"))
		       ? ROLE_CRDS
		       : ROLE_NONE;
}

static bool wanted(const struct collect *c, const struct catalog_entry *e)
{
	return role_of(e) != ROLE_NONE || collect_wants(c, e->group, e->plural, e->namespaced);
}

static bool same(const struct ckind *k, const struct catalog_entry *e)
{
	return k->pinned || (str_eq(k->pub.version, e->version) && str_eq(k->pub.kind, e->kind) &&
			     k->pub.namespaced == e->namespaced);
}

static void let_go(struct collect *c, nsec_t now)
{
	for (uint32_t i = 0; i < c->n_kinds; i++)
		c->kinds[i]->named = c->kinds[i]->pinned;
	for (size_t i = 0; i < catalog_n(c->catalog); i++) {
		const struct catalog_entry e = catalog_entry(c->catalog, i);
		struct ckind *k = plan_find(c, e.group, e.plural);

		if (k && same(k, &e))
			k->named = true;
	}
	for (uint32_t i = c->n_kinds; i-- > 0;)
		if (!c->kinds[i]->named)
			remove_kind(c, i, now);
}

void plan_kinds(struct collect *c, nsec_t now)
{
	let_go(c, now);
	for (size_t i = 0; i < catalog_n(c->catalog); i++) {
		const struct catalog_entry e = catalog_entry(c->catalog, i);
		const struct kind_says s = {.group = e.group,
					    .version = e.version,
					    .kind = e.kind,
					    .plural = e.plural,
					    .namespaced = e.namespaced,
					    .can_get = e.can_get};
		_buf_ struct buf why = {.max = 1024};
		struct ckind *k;

		if (!wanted(c, &e) || plan_find(c, e.group, e.plural))
			continue;
		if (plan_add_kind(c, &s, role_of(&e), &k, &why) < 0) {
			c->counters.left_out++;
			c->plan_again = MIN(c->plan_again, now + AGAIN);
		}
	}
	c->plan_due = true;
}

/* ---- watches --------------------------------------------------------------------------------- */

static int by_ns(const void *a, const void *b)
{
	const struct cwatch *const *x = a, *const *y = b;

	return strcmp((*x)->ns, (*y)->ns);
}

static struct cwatch *find_watch(const struct ckind *k, const char *ns)
{
	struct cwatch key = {.ns = (char *)(uintptr_t)ns}, *p = &key;
	struct cwatch **at = k->n ? bsearch(&p, k->watches, k->n, sizeof(p), by_ns) : NULL;

	return at ? *at : NULL;
}

static int make_reflector(struct cwatch *w)
{
	struct ckind *k = w->kind;
	struct collect *c = k->collect;
	struct reflector_opts o = c->o.watch;
	char path[MAX_PATH];
	int n = snprintf(path, sizeof(path), "%s%s/%s%s%s/%s", k->group[0] ? "/apis/" : "/api",
			 k->group, k->version, w->ns[0] ? "/namespaces/" : "", w->ns, k->plural);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -EINVAL;
	o.path = str_of(path);
	o.shape = SHAPE_META;
	o.raw = o.no_protobuf = true;
	o.metadata_only = k->pub.metadata_only;
	o.api_version = str_of(k->api_version);
	o.kind = str_of(k->kind);
	/* The agent itself needs them all; then the store's are picked here. */
	o.label_selector = k->role == ROLE_NONE ? c->o.resource_selector : (struct str){0};
	o.seed = rng_next(&c->rng);
	o.ops = &collect_watch_ops;
	o.ctx = w;
	return reflector_new(&o, &w->reflector);
}

static int start_watch(struct cwatch *w)
{
	struct collect *c = w->kind->collect;
	int r = 0;

	if (!w->kind->tapped)
		r = make_reflector(w);
	if (r == 0 && w->kind->pub.store)
		r = store_source_add(c->o.store, w->kind->pub.store, str_of(w->ns), &w->source);
	if (r == 0 && !w->kind->tapped)
		r = c->o.ops->watch_add(c->o.ctx, w->reflector);
	if (r < 0 && w->source)
		store_source_remove(c->o.store, w->source, collect_now(c));
	return r;
}

static int room_for_watch(struct ckind *k)
{
	struct cwatch **v;

	if (k->n & (k->n - 1))
		return 0;
	v = realloc(k->watches, (k->n ? 2 * (size_t)k->n : 1) * sizeof(struct cwatch *));
	if (!v)
		return -ENOMEM;
	k->watches = v;
	return 0;
}

int plan_add_watch(struct ckind *k, struct str ns, struct reflector *core_reflector,
		   struct cwatch **ret)
{
	struct cwatch *w = calloc(1, sizeof(*w));
	int r = w ? room_for_watch(k) : -ENOMEM;

	if (!w)
		return r;
	w->kind = k;
	w->reflector = core_reflector;
	w->wanted = true;
	w->ns = str_dup(ns);
	if (r == 0)
		r = w->ns ? start_watch(w) : -ENOMEM;
	if (r < 0) {
		free_watch(w);
		return r;
	}
	k->watches[k->n++] = w;
	k->pub.watches = k->n;
	qsort(k->watches, k->n, sizeof(struct cwatch *), by_ns);
	if (ret)
		*ret = w;
	return 0;
}

static uint32_t all_watches(const struct collect *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_kinds; i++)
		n += c->kinds[i]->n;
	return n;
}

static void want_watch(struct ckind *k, const char *ns, nsec_t now)
{
	struct collect *c = k->collect;
	struct cwatch *w = find_watch(k, ns);

	if (w) {
		w->wanted = true;
		return;
	}
	if (all_watches(c) < COLLECT_MAX_WATCHES && plan_add_watch(k, str_of(ns), NULL, NULL) == 0)
		return;
	c->counters.left_out++;
	c->plan_again = MIN(c->plan_again, now + AGAIN);
}

static void sweep(struct ckind *k, nsec_t now)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < k->n; i++) {
		struct cwatch *w = k->watches[i];

		if (w->wanted) {
			k->watches[n++] = w;
			continue;
		}
		end_watch(w, now, true);
		free_watch(w);
	}
	k->n = k->pub.watches = n;
}

static void plan_kind(struct ckind *k, nsec_t now)
{
	struct collect *c = k->collect;

	for (uint32_t i = 0; i < k->n; i++)
		k->watches[i]->wanted = false;
	if (!k->pub.namespaced || !(c->o.namespaces.n || c->o.each_namespace))
		want_watch(k, "", now);
	for (uint32_t i = 0; k->pub.namespaced && i < c->o.namespaces.n; i++) {
		_free_ char *ns = str_dup(c->o.namespaces.v[i]);

		if (ns)
			want_watch(k, ns, now);
	}
	for (uint32_t i = 0; k->pub.namespaced && !c->o.namespaces.n && i < c->n_namespaces; i++)
		if (c->o.each_namespace && c->namespaces[i].allowed)
			want_watch(k, c->namespaces[i].name, now);
	sweep(k, now);
	watch_settle(k, now);
}

void plan_watches(struct collect *c, nsec_t now)
{
	if (c->plan_again <= now) {
		c->plan_again = NSEC_NEVER;
		plan_kinds(c, now); /* kinds may be among what could not be made */
	}
	for (uint32_t i = 0; i < c->n_kinds; i++)
		if (!c->kinds[i]->tapped)
			plan_kind(c->kinds[i], now);
	c->plan_due = false;
}
