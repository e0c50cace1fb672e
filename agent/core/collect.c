/* The collector's life and its clock; see collect.h. */
#include "core/collect_parts.h"

#include "base/mem.h"
#include "tree/path.h"

#include <assert.h>
#include <errno.h>

const char *collect_state_name(enum collect_state s)
{
	static const char *const names[_COLLECT_STATE_MAX] = {
		[COLLECT_SYNCING] = "syncing",
		[COLLECT_SYNCED] = "synced",
		[COLLECT_FAILING] = "failing",
		[COLLECT_FORBIDDEN] = "forbidden",
	};
	return s < _COLLECT_STATE_MAX ? names[s] : "?";
}

const char *collect_bad_name(unsigned why)
{
	if (why < _DECODE_BAD_MAX)
		return decode_bad_name((enum decode_bad)why);
	switch ((enum collect_bad)why) {
	case COLLECT_BAD_JSON:
		return "no usable JSON";
	case COLLECT_BAD_OBJECT:
		return "no name or uid";
	case COLLECT_BAD_FULL:
		return "the store is full";
	case COLLECT_BAD_MEMORY:
		return "out of memory";
	case _COLLECT_BAD_MAX:
		break;
	}
	return "?";
}

nsec_t collect_now(const struct collect *c)
{
	return c->o.clock(c->o.clock_ctx);
}

void collect_due(const struct collect *c)
{
	c->o.ops->due(c->o.ctx);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

bool collect_name_is(struct str name, struct str group, struct str plural)
{
	struct str rest = name, head;

	if (str_eq(name, STR("*")) || str_ieq(name, plural))
		return true;
	return str_split(&rest, '.', &head) && group.n && str_ieq(head, plural) &&
	       str_ieq(rest, group);
}

bool collect_names_have(const struct collect_names *n, struct str group, struct str plural)
{
	for (uint32_t i = 0; i < n->n; i++)
		if (collect_name_is(n->v[i], group, plural))
			return true;
	return false;
}

bool collect_wants(const struct collect *c, struct str group, struct str plural, bool namespaced)
{
	if (c->o.resources.n)
		return collect_names_have(&c->o.resources, group, plural);
	if (collect_names_have(&c->o.excluded, group, plural))
		return false;
	/* Whoever names namespaces may have Roles there and nothing else. */
	return namespaced || !c->o.namespaces.n;
}

/* ---- the core's watches ---------------------------------------------------------------------- */

static const struct {
	enum kind kind;
	struct kind_says says;
} core_kinds[] = {
	{KIND_POD, {STR(""), STR("v1"), STR("Pod"), STR("pods"), true, true}},
	{KIND_REPLICASET,
	 {STR("apps"), STR("v1"), STR("ReplicaSet"), STR("replicasets"), true, true}},
	{KIND_JOB, {STR("batch"), STR("v1"), STR("Job"), STR("jobs"), true, true}},
	{KIND_SERVICE, {STR(""), STR("v1"), STR("Service"), STR("services"), true, true}},
	{KIND_NODE, {STR(""), STR("v1"), STR("Node"), STR("nodes"), false, true}},
};

static const struct kind_says *core_kind(enum kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(core_kinds); i++)
		if (core_kinds[i].kind == kind)
			return &core_kinds[i].says;
	return NULL;
}

static bool tap_wants(void *ctx, enum kind kind, bool *ret_whole)
{
	const struct collect *c = ctx;
	const struct kind_says *s = core_kind(kind);

	if (!s || (kind == KIND_POD && c->o.core_selects) ||
	    !collect_wants(c, s->group, s->plural, s->namespaced))
		return false;
	*ret_whole = !collect_names_have(&c->o.metadata_only, s->group, s->plural) ||
		     collect_names_have(&c->o.whole, s->group, s->plural);
	return true;
}

static struct cwatch *tapped(void *ctx, const struct core_watch *w)
{
	return ((struct collect *)ctx)->taps[w->index];
}

static void tap_list_begin(void *ctx, const struct core_watch *w)
{
	collect_watch_ops.list_begin(tapped(ctx, w));
}

static void tap_object(void *ctx, const struct core_watch *w, enum event_type type,
		       const struct object *o)
{
	(void)collect_watch_ops.object(tapped(ctx, w), type, o);
}

static void tap_list_end(void *ctx, const struct core_watch *w)
{
	collect_watch_ops.list_end(tapped(ctx, w));
}

static void tap_state(void *ctx, const struct core_watch *w, const struct reflector_status *s)
{
	collect_watch_ops.state(tapped(ctx, w), s);
}

static void tap_bad_object(void *ctx, const struct core_watch *w, enum decode_bad why,
			   struct str name)
{
	collect_watch_ops.bad_object(tapped(ctx, w), why, name);
}

const struct core_tap collect_tap = {.wants = tap_wants,
				     .list_begin = tap_list_begin,
				     .object = tap_object,
				     .list_end = tap_list_end,
				     .state = tap_state,
				     .bad_object = tap_bad_object};

static int join_one(struct collect *c, const struct core_watch *w, struct buf *ret_error)
{
	const struct kind_says *s = core_kind(w->kind);
	struct ckind *k = s ? plan_find(c, s->group, s->plural) : NULL;
	int r = 0;

	assert(s); /* no other was wanted */
	if (!k)
		r = plan_add_kind(c, s, ROLE_NONE, &k, ret_error);
	if (r < 0)
		return r;
	k->tapped = k->pinned = true;
	return plan_add_watch(k, w->ns, w->reflector, &c->taps[w->index]);
}

int collect_join(struct collect *c, struct core *core, nsec_t now, struct buf *ret_error)
{
	static const struct kind_says ns = {STR(""),	       STR("v1"), STR("Namespace"),
					    STR("namespaces"), false,	  true};
	struct ckind *k;
	int r = 0;

	c->n_taps = core ? core_n_watches(core) : 0;
	c->taps = calloc(c->n_taps + 1, sizeof(struct cwatch *));
	if (!c->taps)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < c->n_taps; i++)
		if (core_watch(core, i)->tapped)
			r = join_one(c, core_watch(core, i), ret_error);
	if (r == 0 && c->o.each_namespace) {
		r = plan_add_kind(c, &ns, ROLE_NAMESPACES, &k, ret_error);
		if (r == 0)
			k->pinned = true;
	}
	c->plan_due = true;
	c->resync_at = c->o.resync_every ? now + c->o.resync_every : NSEC_NEVER;
	return r;
}

void collect_tune(struct collect *c, const struct reflector_opts *watch, nsec_t resync_every,
		  nsec_t now)
{
	reflector_opts_tune(&c->o.watch, watch);
	for (uint32_t i = 0; i < c->n_kinds; i++)
		for (uint32_t j = 0; !c->kinds[i]->tapped && j < c->kinds[i]->n; j++)
			reflector_tune(c->kinds[i]->watches[j]->reflector, watch);
	if (c->o.resync_every == resync_every)
		return;
	c->o.resync_every = resync_every;
	c->resync_at = resync_every ? now + resync_every : NSEC_NEVER;
	collect_due(c);
}

/* ---- time ------------------------------------------------------------------------------------ */

void collect_relist_at(struct collect *c, struct cwatch *w, nsec_t at)
{
	if (!w->relist_at || at < w->relist_at)
		w->relist_at = at;
	c->relist_at = MIN(c->relist_at, at);
	collect_due(c);
}

static void relist_due(struct collect *c, nsec_t now)
{
	bool asked = false;

	if (now < c->relist_at)
		return;
	c->relist_at = NSEC_NEVER;
	for (uint32_t i = 0; i < c->n_kinds; i++)
		for (uint32_t j = 0; j < c->kinds[i]->n; j++) {
			struct cwatch *w = c->kinds[i]->watches[j];

			if (w->relist_at && w->relist_at <= now) {
				w->relist_at = 0;
				reflector_relist(w->reflector, now);
				asked = true;
			} else if (w->relist_at) {
				c->relist_at = MIN(c->relist_at, w->relist_at);
			}
		}
	if (asked)
		c->o.ops->watches_asked(c->o.ctx);
}

void collect_resync(struct collect *c, nsec_t now, nsec_t spread)
{
	for (uint32_t i = 0; i < c->n_kinds; i++)
		for (uint32_t j = 0; j < c->kinds[i]->n; j++)
			collect_relist_at(c, c->kinds[i]->watches[j],
					  now + rng_below(&c->rng, spread + 1));
}

/* The core's watches told of namespaces that were not wanted then, or are not any more: a new list
 * names what is wanted now. */
static void relist_taps(struct collect *c, nsec_t now)
{
	c->taps_stale = false;
	for (uint32_t i = 0; i < c->n_taps; i++)
		if (c->taps[i] && c->taps[i]->kind->pub.namespaced)
			collect_relist_at(c, c->taps[i], now);
}

static void resync_due(struct collect *c, nsec_t now)
{
	if (now < c->resync_at)
		return;
	c->resync_at = now + c->o.resync_every;
	collect_resync(c, now, c->o.resync_every / 20);
}

nsec_t collect_tick(struct collect *c, nsec_t now)
{
	bool changed = false;
	nsec_t next = discover_tick(c, now, &changed);

	if (changed)
		plan_kinds(c, now);
	if (c->plan_due || now >= c->plan_again)
		plan_watches(c, now);
	if (c->taps_stale)
		relist_taps(c, now);
	resync_due(c, now);
	relist_due(c, now);
	next = MIN(next, watch_tell(c, now));
	next = MIN(next, MIN(c->plan_again, c->relist_at));
	return MIN(next, c->resync_at);
}

/* ---- birth and death ------------------------------------------------------------------------- */

static int check_index(const struct collect_index *x, struct buf *ret_error)
{
	int r = 0;

	if (x->n > STORE_MAX_INDEXES) {
		r = buf_printf(ret_error, "an index has at most %d expressions, %.*s has %u",
			       STORE_MAX_INDEXES, STR_ARG(x->resource), x->n);
		return r < 0 ? r : -EINVAL;
	}
	for (uint32_t i = 0; r == 0 && i < x->n; i++) {
		_buf_ struct buf words = {.max = 4096};
		struct path *p = NULL;

		r = path_new(x->paths[i], &p, &words);
		if (r < 0 && words.n)
			(void)buf_printf(ret_error, "--index %.*s: %.*s", STR_ARG(x->resource),
					 STR_ARG(buf_str(&words)));
		path_free(&p);
	}
	return r;
}

static int make_fields(struct collect *c, struct buf *ret_error)
{
	const struct collect_names *from = &c->o.field_selectors;
	int r = 0;

	if (!from->n)
		return 0;
	c->fields = calloc(from->n, sizeof(struct field_selector *));
	if (!c->fields)
		return -ENOMEM;
	for (; r == 0 && c->n_fields < from->n; c->n_fields += r == 0) {
		_buf_ struct buf words = {.max = 4096};

		r = field_selector_new(from->v[c->n_fields], &c->fields[c->n_fields], &words);
		if (r < 0 && words.n)
			(void)buf_printf(ret_error, "--field-selector %.*s",
					 STR_ARG(buf_str(&words)));
	}
	return r;
}

static int make_parts(struct collect *c, struct buf *ret_error)
{
	int r = catalog_new(&c->catalog);

	if (r == 0 && c->o.resource_selector.n)
		r = selector_new(c->o.resource_selector, &c->resource_selector, ret_error);
	if (r == 0 && c->o.namespace_selector.n)
		r = selector_new(c->o.namespace_selector, &c->namespace_selector, ret_error);
	if (r == 0)
		r = make_fields(c, ret_error);
	for (uint32_t i = 0; r == 0 && i < c->o.n_indexes; i++)
		r = check_index(&c->o.indexes[i], ret_error);
	return r;
}

int collect_new(const struct collect_opts *o, struct collect **ret, struct buf *ret_error)
{
	struct collect *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->o = *o;
	c->o.each_namespace |= o->namespace_selector.n > 0;
	c->o.discover_every = o->discover_every ? o->discover_every : 600 * NSEC_PER_SEC;
	arena_init(&c->arena, COLLECT_MAX_OBJECT);
	rng_seed(&c->rng, o->seed);
	backoff_init(&c->discover.backoff);
	c->discover.trigger_at = NSEC_NEVER;
	c->plan_again = c->tell_at = c->resync_at = c->relist_at = NSEC_NEVER;
	r = make_parts(c, ret_error);
	if (r < 0) {
		collect_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void collect_free(struct collect **cp)
{
	struct collect *c = *cp;

	if (!c)
		return;
	for (uint32_t i = 0; i < c->n_kinds; i++)
		plan_free_kind(c->kinds[i]);
	for (uint32_t i = 0; i < c->n_namespaces; i++)
		free(c->namespaces[i].name);
	free(c->kinds);
	free(c->taps);
	free(c->namespaces);
	catalog_free(&c->catalog);
	for (uint32_t i = 0; i < c->n_fields; i++)
		field_selector_free(&c->fields[i]);
	free(c->fields);
	selector_free(&c->resource_selector);
	selector_free(&c->namespace_selector);
	arena_done(&c->arena);
	free(c);
	*cp = NULL;
}

/* ---- looking in ------------------------------------------------------------------------------ */

uint32_t collect_n_kinds(const struct collect *c)
{
	return c->n_kinds;
}

struct collect_kind collect_kind(const struct collect *c, uint32_t i)
{
	return c->kinds[i]->pub;
}

void collect_add_traffic(const struct reflector *r, struct collect_traffic *t)
{
	const struct reflector_counters *n = reflector_counters(r);

	t->bytes += n->bytes;
	t->errors += n->errors;
	t->restarts += n->relists + n->restarts;
}

struct collect_traffic collect_traffic(const struct collect *c, uint32_t i)
{
	const struct ckind *k = c->kinds[i];
	struct collect_traffic t = k->ended;

	t.heard = NSEC_NEVER;
	for (uint32_t w = 0; w < k->n; w++) {
		const struct reflector *r = k->watches[w]->reflector;

		if (!r)
			continue;
		collect_add_traffic(r, &t);
		t.held += sizeof(struct cwatch) + reflector_bytes(r);
		t.heard = MIN(t.heard, reflector_status(r).heard);
	}
	t.heard = k->n ? t.heard : 0;
	t.held += sizeof(*k);
	return t;
}

bool collect_synced(const struct collect *c)
{
	for (uint32_t i = 0; i < c->n_kinds; i++)
		if (c->kinds[i]->pub.state == COLLECT_SYNCING)
			return false;
	return catalog_n(c->catalog) > 0;
}

struct collect_counters collect_counters(const struct collect *c)
{
	struct collect_counters n = c->counters;

	for (uint32_t i = 0; i < c->n_kinds; i++)
		n.watches += c->kinds[i]->n;
	for (uint32_t i = 0; i < c->n_namespaces; i++)
		n.namespaces += c->namespaces[i].allowed;
	return n;
}
