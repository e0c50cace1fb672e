/*
 * What watches say: their own reflectors', and the core's through collect_tap. A
 * kind is as well as the worst of its watches; a state is told when it has lasted,
 * for a server that has just started forbids everything for a moment, and a
 * connection that broke is there again soon.
 */
#include "core/collect_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define FORBIDDEN_FOR (5 * NSEC_PER_SEC)
#define FAILING_FOR   (30 * NSEC_PER_SEC)
#define MEMORY_PAUSE                                                                \
	(30 * NSEC_PER_SEC) /* until an object that found no memory is listed again \
			     */
/* A watch that fails may be of a resource that is no more; not asked again and again. */
#define FAILED_SPACING (60 * NSEC_PER_SEC)

/* ---- states ---------------------------------------------------------------------------------- */

/* From best to worst. */
static int rank(enum collect_state s)
{
	switch (s) {
	case COLLECT_SYNCED:
		return 0;
	case COLLECT_SYNCING:
		return 1;
	case COLLECT_FAILING:
		return 2;
	case COLLECT_FORBIDDEN:
		return 3;
	case _COLLECT_STATE_MAX:
		break;
	}
	return 4;
}

static bool waits_for_namespaces(const struct ckind *k)
{
	const struct collect *c = k->collect;

	return k->pub.namespaced && !k->tapped && c->o.each_namespace && !c->namespaces_listed;
}

static nsec_t lasts(enum collect_state s)
{
	switch (s) {
	case COLLECT_FORBIDDEN:
		return FORBIDDEN_FOR;
	case COLLECT_FAILING:
		return FAILING_FOR;
	case COLLECT_SYNCING:
	case COLLECT_SYNCED:
	case _COLLECT_STATE_MAX:
		break;
	}
	return 0;
}

void watch_settle(struct ckind *k, nsec_t now)
{
	struct collect *c = k->collect;
	enum collect_state worst =
		!k->n || waits_for_namespaces(k) ? COLLECT_SYNCING : COLLECT_SYNCED;
	const char *text = "";

	if (k->n == 0 && !k->tapped && c->namespaces_listed && k->pub.namespaced)
		worst = COLLECT_SYNCED; /* there is no namespace to watch it in */
	for (uint32_t i = 0; i < k->n; i++)
		if (rank(k->watches[i]->state) > rank(worst)) {
			worst = k->watches[i]->state;
			text = k->watches[i]->text ? k->watches[i]->text : "";
		}
	(void)snprintf(k->text, sizeof(k->text), "%s", text);
	if (worst == k->pub.state)
		return;
	k->pub.state = worst;
	k->pub.since = now;
	c->tell_at = MIN(c->tell_at, now + lasts(worst));
	collect_due(c);
}

nsec_t watch_tell(struct collect *c, nsec_t now)
{
	if (now < c->tell_at)
		return c->tell_at;
	c->tell_at = NSEC_NEVER;
	for (uint32_t i = 0; i < c->n_kinds; i++) {
		struct ckind *k = c->kinds[i];
		const nsec_t at = k->pub.since + lasts(k->pub.state);

		const enum collect_state before = k->told;

		/* One that begins anew after a failure is well again only when it is complete. */
		if (before == k->pub.state ||
		    (k->pub.state == COLLECT_SYNCING && before != _COLLECT_STATE_MAX))
			continue;
		if (now < at) {
			c->tell_at = MIN(c->tell_at, at);
			continue;
		}
		k->told = k->pub.state;
		if (c->o.ops->state)
			c->o.ops->state(c->o.ctx, &k->pub, before);
	}
	return c->tell_at;
}

static enum collect_state state_of(const struct cwatch *w, const struct reflector_status *s)
{
	switch (s->health) {
	case REFLECTOR_FAILING:
		return COLLECT_FAILING;
	case REFLECTOR_FORBIDDEN:
		return COLLECT_FORBIDDEN;
	case REFLECTOR_SYNCING:
	case REFLECTOR_SYNCED:
	case _REFLECTOR_HEALTH_MAX:
		break;
	}
	return w->listed ? COLLECT_SYNCED : COLLECT_SYNCING;
}

static void on_state(void *ctx, const struct reflector_status *s)
{
	struct cwatch *w = ctx;
	struct collect *c = w->kind->collect;
	const nsec_t now = collect_now(c);
	const enum collect_state before = w->state;

	w->state = state_of(w, s);
	free(w->text);
	w->text = s->text[0] ? str_dup(str_of(s->text)) : NULL;
	watch_settle(w->kind, now);
	if (w->state == COLLECT_FAILING && before != COLLECT_FAILING && !w->kind->pinned &&
	    now >= c->discover.ended + FAILED_SPACING)
		discover_wanted(c, now, 0);
}

/* ---- lists and objects ----------------------------------------------------------------------- */

static void on_list_begin(void *ctx)
{
	struct cwatch *w = ctx;
	struct collect *c = w->kind->collect;

	if (w->source)
		store_list_begin(c->o.store, w->source);
	if (w->kind->role == ROLE_NAMESPACES)
		spaces_list_begin(c);
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct cwatch *w = ctx;
	struct collect *c = w->kind->collect;
	const nsec_t now = collect_now(c);
	int r;

	w->kind->pub.objects++;
	r = object_take(w, type, o, now);
	if (r < 0 && w->kind->tapped) { /* the core goes on; this object comes again */
		object_bad(w->kind, COLLECT_BAD_MEMORY, o->meta.name);
		collect_relist_at(c, w, now + MEMORY_PAUSE);
		return 0;
	}
	return r;
}

static void on_list_end(void *ctx)
{
	struct cwatch *w = ctx;
	struct collect *c = w->kind->collect;
	const nsec_t now = collect_now(c);
	const bool again = w->listed;

	w->listed = true;
	w->state = COLLECT_SYNCED;
	if (w->source)
		store_list_end(c->o.store, w->source, now);
	if (w->kind->role == ROLE_NAMESPACES)
		spaces_list_end(c);
	else if (w->kind->role == ROLE_CRDS && again)
		discover_wanted(c, now, 0); /* what was missed between the lists is not told */
	watch_settle(w->kind, now);
}

static void on_unauthorized(void *ctx)
{
	const struct collect *c = ((struct cwatch *)ctx)->kind->collect;

	if (c->o.ops->unauthorized)
		c->o.ops->unauthorized(c->o.ctx);
}

static void on_bad_object(void *ctx, enum decode_bad why, struct str name)
{
	/* One with too many parts for the fixed model is delivered all the same, and whole. */
	if (why != BAD_TOO_MANY)
		object_bad(((struct cwatch *)ctx)->kind, why, name);
}

const struct reflector_ops collect_watch_ops = {.list_begin = on_list_begin,
						.object = on_object,
						.list_end = on_list_end,
						.state = on_state,
						.unauthorized = on_unauthorized,
						.bad_object = on_bad_object};
