#include "core/core.h"

#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>

#define REFUSED_FOR (10 * NSEC_PER_SEC) /* of uninterrupted 403: then pods wait no longer */
#define FAILING_FOR \
	(120 * NSEC_PER_SEC) /* the same for every other failure: nobody hides for good */
#define FULL_PAUSE  (30 * NSEC_PER_SEC) /* a full inventory stops the pods' socket so long */
#define CHAIN_STEPS 64 /* owners of one chain that one event asks for; a later event goes on */

struct watch {
	struct core_watch pub;
	struct core *core;
	uint16_t source;
	bool listed; /* to its end, once at least */
};

struct core {
	struct core_opts opts;
	struct inventory *inventory;
	struct session *session;
	struct owners *owners;
	struct watchset set;
	struct watch *watches;
	uint32_t n_watches;
	bool no_streaming; /* the server has refused a streaming list */
	bool full;	   /* over max_bytes: paused first, then new pods are refused */
	nsec_t paused;	   /* when the pause ends; 0: not paused */
	struct core_counters counters;
};

static nsec_t core_now(const struct core *c)
{
	return c->opts.clock(c->opts.clock_ctx);
}

static bool node_scope(const struct core *c)
{
	return c->opts.scope.node_name != NULL;
}

static void changed(const struct core *c)
{
	if (c->opts.ops && c->opts.ops->changed)
		c->opts.ops->changed(c->opts.ctx);
}

/* ---- owners that are not watched ------------------------------------------------------------- */

static bool watched(const struct core *c, enum kind kind)
{
	return !node_scope(c) && (kind == KIND_REPLICASET || kind == KIND_JOB);
}

/* Asks for the owners from `id` upward that have to be read one by one. */
static void want_chain(struct core *c, owner_id id)
{
	const struct match_policy *policy = &c->opts.session.policy;
	uint32_t queued = owners_queued(c->owners);
	struct inv_owner_view o;

	if (!node_scope(c) && !policy->follow_all && !policy->n_follow)
		return;
	for (int i = 0; i < CHAIN_STEPS && inventory_owner(c->inventory, id, &o); i++) {
		struct owner_ref ref = {.api_version = o.api_version,
					.kind = o.kind_text,
					.name = o.name,
					.uid = str_of(o.uid),
					.controller = true};

		if (!match_climbs(policy, o.kind, o.api_version, o.kind_text))
			break;
		if (!watched(c, o.kind))
			(void)owners_want(c->owners, core_now(c), &ref, o.ns);
		id = o.parent;
	}
	if (owners_queued(c->owners) != queued && c->opts.ops && c->opts.ops->owner_wanted)
		c->opts.ops->owner_wanted(c->opts.ctx);
}

/* An object that is not kept: counted, and said with its name. */
static void refuse(struct core *c, const struct core_watch *w, int r, struct str name)
{
	c->counters.refused_objects++;
	if (c->opts.ops && c->opts.ops->object_refused)
		c->opts.ops->object_refused(c->opts.ctx, w, r, name);
}

static void owner_read(void *ctx, struct str uid, const struct object *o)
{
	struct core *c = ctx;
	int r = inventory_apply_owner(c->inventory, 0, core_now(c), o);

	(void)uid;
	if (r < 0)
		refuse(c, NULL, r, o->meta.name);
	else
		want_chain(c, inventory_owner_by_uid(c->inventory, o->meta.uid));
	changed(c);
}

static void owner_gone(void *ctx, struct str uid)
{
	struct core *c = ctx;

	inventory_delete_owner(c->inventory, uid, core_now(c)); /* known: stays true of its pods */
	inventory_refuse_owner(c->inventory, uid);		/* never seen: chains end at it */
	changed(c);
}

static void owner_refused(void *ctx, struct str uid, const char *text)
{
	struct core *c = ctx;

	inventory_refuse_owner(c->inventory, uid);
	if (c->opts.ops && c->opts.ops->owner_refused)
		c->opts.ops->owner_refused(c->opts.ctx, text);
	changed(c);
}

static void owner_unauthorized(void *ctx)
{
	struct core *c = ctx;

	if (c->opts.ops && c->opts.ops->unauthorized)
		c->opts.ops->unauthorized(c->opts.ctx);
}

static const struct owners_ops owners_ops = {.owner = owner_read,
					     .gone = owner_gone,
					     .refused = owner_refused,
					     .unauthorized = owner_unauthorized};

static void owner_freed(void *ctx, struct str uid)
{
	struct core *c = ctx;

	if (c->owners)
		owners_forget(c->owners, uid);
}

/* ---- a full inventory ------------------------------------------------------------------------ */

static void pause_pods(struct core *c, nsec_t now, bool paused)
{
	for (uint32_t i = 0; i < c->n_watches; i++)
		if (c->watches[i].pub.kind == KIND_POD)
			reflector_pause(c->watches[i].pub.reflector, now, paused);
	c->paused = paused ? now + FULL_PAUSE : 0;
	if (c->opts.ops && c->opts.ops->watches_asked)
		c->opts.ops->watches_asked(c->opts.ctx);
}

static void set_full(struct core *c, nsec_t now, bool full)
{
	c->full = full;
	c->counters.full += full;
	pause_pods(c, now, full);
	if (c->opts.ops && c->opts.ops->full)
		c->opts.ops->full(c->opts.ctx, full);
	for (uint32_t i = 0; !full && i < c->n_watches; i++) /* what was refused is listed now */
		if (c->watches[i].pub.kind == KIND_POD)
			reflector_relist(c->watches[i].pub.reflector, now);
}

/* Over the limit the pods' sockets stop, which gives sinks time to let dead pods go. If that does
 * not help, pods that are not known yet are refused, and listed again when there is room. */
static void note_full(struct core *c, nsec_t now)
{
	if (!c->full && c->opts.max_bytes && inventory_used(c->inventory) > c->opts.max_bytes)
		set_full(c, now, true);
}

static void check_full(struct core *c, nsec_t now)
{
	note_full(c, now);
	if (c->full && inventory_used(c->inventory) < c->opts.max_bytes - c->opts.max_bytes / 20)
		set_full(c, now, false);
	if (c->paused && now >= c->paused)
		pause_pods(c, now, false);
}

/* ---- what reflectors say --------------------------------------------------------------------- */

static const struct core_tap *tap(const struct watch *w)
{
	return w->core->opts.tap;
}

static void on_list_begin(void *ctx)
{
	struct watch *w = ctx;

	inventory_list_begin(w->core->inventory, w->source);
	if (w->pub.tapped)
		tap(w)->list_begin(w->core->opts.tap_ctx, &w->pub);
}

static int apply_pod(struct watch *w, enum event_type type, const struct object *o, nsec_t now)
{
	struct core *c = w->core;
	struct inv_pod_view pod;
	int r;

	if (c->full && !inventory_by_uid(c->inventory, o->meta.uid)) {
		c->counters.refused_objects++; /* the shell was told once that all of them are */
		return 0;
	}
	/* DELETED carries the last state: a pod that came and went has its address only there. */
	r = inventory_apply_pod(c->inventory, w->source, now, o);
	if (type == EVENT_DELETED)
		inventory_delete_pod(c->inventory, o->meta.uid, now);
	else if (r == 0 &&
		 inventory_pod(c->inventory, inventory_by_uid(c->inventory, o->meta.uid), &pod))
		want_chain(c, pod.owner);
	return r;
}

static int apply_owner(struct watch *w, enum event_type type, const struct object *o, nsec_t now)
{
	struct core *c = w->core;
	int r = inventory_apply_owner(c->inventory, w->source, now, o);
	if (type == EVENT_DELETED)
		inventory_delete_owner(c->inventory, o->meta.uid, now);
	else if (r == 0)
		want_chain(c, inventory_owner_by_uid(c->inventory, o->meta.uid));
	return r;
}

static bool is_place(enum kind kind)
{
	return kind == KIND_SERVICE || kind == KIND_NODE;
}

/* Services and Nodes: names for flows, nothing that a pod waits for. */
static int apply_place(struct watch *w, enum event_type type, const struct object *o, nsec_t now)
{
	struct inventory *v = w->core->inventory;
	int r = inventory_apply_place(v, w->source, now, w->pub.kind, o);

	if (type == EVENT_DELETED)
		inventory_delete_place(v, o->meta.uid, now);
	return r;
}

static int apply(struct watch *w, enum event_type type, const struct object *o, nsec_t now)
{
	if (w->pub.kind == KIND_POD)
		return apply_pod(w, type, o, now);
	return is_place(w->pub.kind) ? apply_place(w, type, o, now) : apply_owner(w, type, o, now);
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct watch *w = ctx;
	nsec_t now = core_now(w->core);
	int r = apply(w, type, o, now);

	note_full(w->core, now);
	changed(w->core);
	if (r == -ENOMEM)
		return r; /* the reflector tries this one again */
	if (r < 0)
		refuse(w->core, &w->pub, r, o->meta.name);
	if (w->pub.tapped)
		tap(w)->object(w->core->opts.tap_ctx, &w->pub, type, o);
	return 0;
}

/* Pods wait for what is watched here. */
static bool owns_pods(const struct watch *w)
{
	return w->pub.kind != KIND_POD && !is_place(w->pub.kind);
}

static void on_list_end(void *ctx)
{
	struct watch *w = ctx;
	struct core *c = w->core;
	nsec_t now = core_now(c);
	bool again = w->listed;

	w->listed = true;
	inventory_list_end(c->inventory, w->source, now);
	if (owns_pods(w))
		(void)session_kind_state(c->session, w->pub.kind, w->pub.ns, now);
	else if (w->pub.kind == KIND_POD && c->opts.resync_on_relist && again)
		session_resync(c->session);
	if (w->pub.tapped)
		tap(w)->list_end(c->opts.tap_ctx, &w->pub);
	changed(c);
}

static void on_state(void *ctx, const struct reflector_status *s)
{
	struct watch *w = ctx;
	struct core *c = w->core;
	nsec_t ready = NSEC_NEVER;

	if (s->health == REFLECTOR_FORBIDDEN)
		ready = s->since + REFUSED_FOR;
	else if (s->health == REFLECTOR_FAILING)
		ready = s->since + FAILING_FOR;

	/* What had synced once stays readable: a later refusal takes no knowledge away. */
	if (owns_pods(w) && !s->ever_synced)
		(void)session_kind_state(c->session, w->pub.kind, w->pub.ns, ready);
	changed(c);
	if (w->pub.tapped)
		tap(w)->state(c->opts.tap_ctx, &w->pub, s);
	if (c->opts.ops && c->opts.ops->state)
		c->opts.ops->state(c->opts.ctx, &w->pub, s);
}

static void on_unauthorized(void *ctx)
{
	owner_unauthorized(((struct watch *)ctx)->core);
}

static void on_bad_object(void *ctx, enum decode_bad why, struct str name)
{
	const struct watch *w = ctx;
	const struct core_opts *o = &w->core->opts;

	if (w->pub.tapped)
		tap(w)->bad_object(o->tap_ctx, &w->pub, why, name);
	if (o->ops && o->ops->bad_object)
		o->ops->bad_object(o->ctx, &w->pub, why, name);
}

static const struct reflector_ops watch_ops = {.list_begin = on_list_begin,
					       .object = on_object,
					       .list_end = on_list_end,
					       .state = on_state,
					       .unauthorized = on_unauthorized,
					       .bad_object = on_bad_object};

/* ---- making ---------------------------------------------------------------------------------- */

static int watch_init(struct core *c, struct watch *w, const struct watch_spec *spec)
{
	struct reflector_opts o = c->opts.watch;
	bool whole = false;
	int r;

	*w = (struct watch){.core = c,
			    .pub = {.kind = spec->kind,
				    .ns = str_of(spec->ns),
				    .path = str_of(spec->path),
				    .index = (uint32_t)(w - c->watches)}};
	o.path = str_of(spec->path);
	o.shape = spec->shape;
	o.api_version = str_of(spec->api_version);
	o.kind = str_of(kind_name(spec->kind));
	if (c->opts.tap)
		w->pub.tapped = c->opts.tap->wants(c->opts.tap_ctx, spec->kind, &whole);
	o.raw = w->pub.tapped;
	o.metadata_only = spec->metadata_only && !whole;
	o.list_from_cache = spec->list_from_cache;
	o.field_selector = str_of(spec->field_selector);
	o.label_selector = str_of(spec->label_selector);
	o.no_streaming_shared = &c->no_streaming;
	o.seed += (uint64_t)(w - c->watches) * 0x9e3779b97f4a7c15ULL; /* each its own jitter */
	o.ops = &watch_ops;
	o.ctx = w;
	if (owns_pods(w)) {
		r = session_kind_state(c->session, spec->kind, w->pub.ns, NSEC_NEVER);
		if (r < 0)
			return r;
	}
	r = inventory_source_add(c->inventory, &w->source);
	return r < 0 ? r : reflector_new(&o, &w->pub.reflector);
}

static int make_watches(struct core *c)
{
	int r = watchset_make(&c->opts.scope, &c->set);

	if (r < 0)
		return r;
	c->watches = calloc(c->set.n, sizeof(*c->watches));
	if (!c->watches)
		return -ENOMEM;
	while (r == 0 && c->n_watches < c->set.n) {
		r = watch_init(c, &c->watches[c->n_watches], &c->set.specs[c->n_watches]);
		c->n_watches++;
	}
	return r;
}

static int core_init(struct core *c)
{
	int r;

	c->opts.inventory.keep_idle_owners = !node_scope(c);
	c->opts.inventory.owner_freed = owner_freed;
	c->opts.inventory.ctx = c;
	c->opts.owners.ops = &owners_ops;
	c->opts.owners.ctx = c;
	r = inventory_new(&c->opts.inventory, &c->inventory);
	if (r < 0)
		return r;
	c->opts.session.inventory = c->inventory;
	r = session_new(&c->opts.session, &c->session);
	if (r == 0)
		r = owners_new(&c->opts.owners, &c->owners);
	return r < 0 ? r : make_watches(c);
}

int core_new(const struct core_opts *o, struct core **ret)
{
	struct core *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->opts = *o;
	r = core_init(c);
	if (r < 0) {
		core_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void core_free(struct core **cp)
{
	struct core *c = *cp;

	if (!c)
		return;
	for (uint32_t i = 0; i < c->n_watches; i++)
		reflector_free(&c->watches[i].pub.reflector);
	free(c->watches);
	watchset_done(&c->set);
	session_free(&c->session);
	owners_free(&c->owners);
	inventory_free(&c->inventory);
	free(c);
	*cp = NULL;
}

uint32_t core_n_watches(const struct core *c)
{
	return c->n_watches;
}

struct core_watch *core_watch(struct core *c, uint32_t i)
{
	return &c->watches[i].pub;
}

struct owners *core_owners(struct core *c)
{
	return c->owners;
}

struct session *core_session(struct core *c)
{
	return c->session;
}

struct inventory *core_inventory(struct core *c)
{
	return c->inventory;
}

void core_tune(struct core *c, const struct core_tuning *t)
{
	for (uint32_t i = 0; i < c->n_watches; i++)
		reflector_tune(c->watches[i].pub.reflector, &t->watch);
	if (c->owners)
		owners_tune(c->owners, t->owner_refresh);
	session_tune(c->session, &t->waiting, t->heartbeat);
	if (c->opts.max_bytes && t->max_bytes)
		c->opts.max_bytes = t->max_bytes;
	c->opts.resync_on_relist = t->resync_on_relist;
}

nsec_t core_tick(struct core *c, nsec_t now)
{
	nsec_t next = inventory_expire(c->inventory, now);

	check_full(c, now);
	if (c->opts.max_bytes)
		next = MIN(next, now + NSEC_PER_SEC);
	return next;
}

bool core_synced(const struct core *c)
{
	for (uint32_t i = 0; i < c->n_watches; i++)
		if (!is_place(c->watches[i].pub.kind) &&
		    !reflector_status(c->watches[i].pub.reflector).ever_synced)
			return false;
	return true;
}

const struct core_counters *core_counters(const struct core *c)
{
	return &c->counters;
}
