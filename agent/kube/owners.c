/*
 * What of owners is wanted and forgotten, and the owner reader's poll; see
 * owners.h for the whole, owners_parts.h for the other files.
 */
#include "kube/owners_parts.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>

#define DEFAULT_QUEUE	      10000
#define DEFAULT_KNOWN	      200000
#define DEFAULT_PARALLEL      4
#define DEFAULT_REFRESH	      (600 * NSEC_PER_SEC)
#define DEFAULT_REFRESH_SPACE NSEC_PER_SEC
#define DEFAULT_REFUSE_AFTER  (10 * NSEC_PER_SEC)
#define DEFAULT_IDLE	      (30 * NSEC_PER_SEC)

/* ---- wanted and forgotten ---- */

static bool text_ok(struct str s, size_t max)
{
	return s.n && s.n <= max && !memchr(s.p, 0, s.n);
}

static bool usable(const struct owner_ref *ref, struct str ns)
{
	return text_ok(ref->uid, OWNERS_MAX_UID) && text_ok(ref->name, OWNERS_MAX_NAME) &&
	       text_ok(ref->kind, OWNERS_MAX_NAME) && text_ok(ref->api_version, OWNERS_MAX_NAME) &&
	       (str_empty(ns) || text_ok(ns, OWNERS_MAX_NAME));
}

int owners_want(struct owners *o, nsec_t now, const struct owner_ref *ref, struct str ns)
{
	if (!usable(ref, ns))
		return -EINVAL;
	pool_id id = entry_find(o, ref->uid);
	if (!id) {
		int r = o->queued < o->o.max_queue ? entry_make(o, ref, ns) : -ENOSPC;

		if (r == 0)
			o->counters.wanted++;
		else if (r == -ENOSPC)
			o->counters.refused++;
		return r;
	}
	struct entry *e = entry_at(o, id);
	if (e->state != ENTRY_IDLE || now < e->fresh_until || o->queued >= o->o.max_queue)
		return 0;
	e->again = e->read;
	e->tries = 0;
	queue_put(o, id, false);
	return 0;
}

void owners_forget(struct owners *o, struct str uid)
{
	pool_id id = entry_find(o, uid);

	if (!id)
		return;
	struct entry *e = entry_at(o, id);
	if (e->state == ENTRY_QUEUED)
		queue_take(o, id, ENTRY_IDLE);
	/* A request under way goes on and its answer is dropped. */
	for (unsigned i = 0; e->state == ENTRY_ASKING && i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_ENTRY && o->slots[i].entry == id) {
			o->slots[i].entry = 0;
			o->slots[i].abort = true;
		}
	entry_free(o, id);
}

/* ---- polling ---- */

static struct slot *free_slot(struct owners *o)
{
	for (unsigned i = 0; i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_FREE)
			return &o->slots[i];
	return NULL;
}

/* A slot that fell silent or whose answer nobody wants any more. */
static bool abort_one(struct owners *o, struct owners_request *ret, nsec_t *deadline)
{
	for (unsigned i = 0; i < o->o.parallel; i++) {
		struct slot *s = &o->slots[i];

		if (s->use == SLOT_FREE)
			continue;
		ret->id = i;
		if (s->abort) {
			slot_close(o, s);
			return true;
		}
		if (o->now >= s->heard + o->o.idle) {
			slot_failed(o, s, !s->answered);
			return true;
		}
		*deadline = MIN(*deadline, s->heard + o->o.idle);
	}
	return false;
}

enum reflector_action owners_poll(struct owners *o, nsec_t now, struct owners_request *ret,
				  nsec_t *ret_deadline)
{
	nsec_t when = NSEC_NEVER;

	o->now = now;
	*ret_deadline = NSEC_NEVER;
	if (abort_one(o, ret, ret_deadline)) {
		*ret_deadline = now;
		return REFLECTOR_ABORT;
	}
	struct slot *s = free_slot(o);
	if (!s || !o->queued)
		return REFLECTOR_NONE;
	if (now < o->not_before) {
		*ret_deadline = MIN(*ret_deadline, o->not_before);
		return REFLECTOR_NONE;
	}
	struct job job = job_next(o, &when);
	if (job.step != STEP_NOTHING && (!o->o.budget || budget_take(o->o.budget, now, &when))) {
		if (job_start(o, s, &job, ret) == 0) {
			*ret_deadline = now;
			return REFLECTOR_START;
		}
		when = o->not_before = now + backoff_next(&o->backoff, &o->rng, now, NSEC_PER_SEC);
	}
	*ret_deadline = MIN(*ret_deadline, when);
	return REFLECTOR_NONE;
}

/* ---- birth and death ---- */

void owners_tune(struct owners *o, nsec_t refresh)
{
	o->o.refresh = refresh ? refresh : DEFAULT_REFRESH;
}

int owners_new(const struct owners_opts *opts, struct owners **ret)
{
	assert(opts->ops && opts->ops->owner && opts->ops->gone && opts->ops->refused);
	struct owners *o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->o = *opts;
	o->o.max_queue = opts->max_queue ? opts->max_queue : DEFAULT_QUEUE;
	o->o.max_known = opts->max_known ? opts->max_known : DEFAULT_KNOWN;
	o->o.parallel = MIN(opts->parallel ? opts->parallel : DEFAULT_PARALLEL,
			    (uint32_t)OWNERS_MAX_PARALLEL);
	owners_tune(o, opts->refresh);
	o->o.refresh_space = opts->refresh_space ? opts->refresh_space : DEFAULT_REFRESH_SPACE;
	o->o.refuse_after = opts->refuse_after ? opts->refuse_after : DEFAULT_REFUSE_AFTER;
	o->o.idle = opts->idle ? opts->idle : DEFAULT_IDLE;
	pool_init(&o->entries, sizeof(struct entry), o->o.max_known);
	pool_init(&o->lanes, sizeof(struct lane), OWNERS_MAX_LANES);
	index_init(&o->by_uid);
	index_init(&o->by_lane);
	hash_seed_init(&o->seed);
	rng_seed(&o->rng, opts->seed);
	backoff_init(&o->backoff);
	buf_init(&o->target, 16 * 1024);
	int r = discovery_new(&o->discovery);
	if (r < 0) {
		owners_free(&o);
		return r;
	}
	*ret = o;
	return 0;
}

void owners_free(struct owners **op)
{
	struct owners *o = *op;

	if (!o)
		return;
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++) {
		decode_free(&o->slots[i].decode);
		buf_done(&o->slots[i].body);
	}
	for (pool_id id = 1; id <= o->entries.next; id++)
		free(entry_at(o, id)->uid);
	for (pool_id id = 1; id <= o->lanes.next; id++)
		free(lane_at(o, id)->api_version);
	pool_done(&o->entries);
	pool_done(&o->lanes);
	index_done(&o->by_uid);
	index_done(&o->by_lane);
	discovery_free(&o->discovery);
	buf_done(&o->target);
	free(o);
	*op = NULL;
}

const struct owners_counters *owners_counters(const struct owners *o)
{
	return &o->counters;
}

uint32_t owners_known(const struct owners *o)
{
	return o->entries.live;
}

uint32_t owners_queued(const struct owners *o)
{
	return o->queued;
}
