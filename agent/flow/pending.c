/*
 * Who needs a name now, and who waits for it.
 *
 *     new ─ FRESH ─┬─ named ──────────────────────────────────── released ─ AGAIN, SETTLE
 *                  ├─ PENDING: its pod is not known ──┬─ woken ─────┘
 *                  └─ PARTLY: its container is not ───┴─ its time is over
 *
 * A flow that waits is in the list of the cgroup it waits at, so that what is told
 * of one container wakes its flows alone. One that was released with less than there
 * could be stays in that list: it is named better when more is told.
 *
 * Some containers are never told of: a pod's sandbox, pods that the agent does not
 * watch, another runtime's. The first flow whose time is over marks its cgroup
 * (NODE_GIVEN_UP), and those after it do not wait there until something is told.
 *
 * An ended flow is reported when its remote end has had its last look.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>

/* A container is in its pod's status a second or two after it was started (the kubelet looks once a
 * second, and tells then). */
#define CONTAINER_WAIT 2 /* times opts.settle */

/* ---- lists ----------------------------------------------------------------------------------- */

static void queue_leave(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (r->queue != QUEUE_NONE)
		list_remove(f, &f->queue[r->queue], LINK_QUEUE, id);
	r->queue = QUEUE_NONE;
}

static void queue_join(struct flows *f, flow_id id, enum flow_queue q)
{
	queue_leave(f, id);
	flow_rec(f, id)->queue = (uint8_t)q;
	list_append(f, &f->queue[q], LINK_QUEUE, id);
}

static void wait_leave(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (r->flags & FLOW_F_WAITING)
		list_remove(f, &node_at(f, r->wait_at)->waiters, LINK_WAIT, id);
	if (r->flags & FLOW_F_WOKEN)
		list_remove(f, &f->woken, LINK_WAIT, id);
	r->flags &= (uint16_t) ~(FLOW_F_WAITING | FLOW_F_WOKEN);
	r->wait_at = 0;
}

static void wait_join(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);
	cgroup_ix ix = cgroups_waits_at(f, r->cgroup);

	wait_leave(f, id);
	if (!ix)
		return; /* nothing can wake it: it waits for its time */
	r->wait_at = ix;
	r->flags |= FLOW_F_WAITING;
	list_append(f, &node_at(f, ix)->waiters, LINK_WAIT, id);
}

static bool given_up(const struct flows *f, const struct flow_rec *r)
{
	cgroup_ix ix = cgroups_waits_at(f, r->cgroup);

	return ix && node_at(f, ix)->flags & NODE_GIVEN_UP;
}

void pending_fresh(struct flows *f, flow_id id)
{
	queue_join(f, id, QUEUE_FRESH);
}

void pending_leave(struct flows *f, flow_id id)
{
	queue_leave(f, id);
	wait_leave(f, id);
}

static void wake(struct flows *f, cgroup_ix ix)
{
	flow_id id;

	while ((id = node_at(f, ix)->waiters.head)) {
		wait_leave(f, id);
		flow_rec(f, id)->flags |= FLOW_F_WOKEN;
		list_append(f, &f->woken, LINK_WAIT, id);
	}
}

void pending_wake_node(struct flows *f, cgroup_ix ix)
{
	node_at(f, ix)->flags &= (uint8_t)~NODE_GIVEN_UP;
	wake(f, ix);
}

nsec_t pending_due(const struct flows *f)
{
	static const enum flow_queue timed[] = {QUEUE_PENDING, QUEUE_PARTLY, QUEUE_SETTLE};
	nsec_t due = NSEC_NEVER;

	for (size_t i = 0; i < ARRAY_SIZE(timed); i++)
		if (f->queue[timed[i]].head)
			due = MIN(due, flow_rec(f, f->queue[timed[i]].head)->due);
	return due;
}

/* ---- figures --------------------------------------------------------------------------------- */

static void count(struct flows *f, const struct flow_rec *r, uint64_t by)
{
	const struct end_rec *local = end_at(f, r->local), *remote = end_at(f, r->remote);

	f->stats.known_local[local->known_by] += by;
	f->stats.known_remote[remote->known_by] += by;
	if (local->known_by == KNOWN_NOT)
		f->stats.unknown_local[local->why] += by;
	if (remote->known_by == KNOWN_NOT)
		f->stats.unknown_remote[remote->why] += by;
}

/* ---- release --------------------------------------------------------------------------------- */

/* The pod is known, and the container that the cgroup names is not. */
static bool lacks_container(const struct flows *f, const struct flow_rec *r)
{
	const struct end_rec *e = end_at(f, r->local);
	cgroup_ix ix;

	if (e->known_by != KNOWN_CGROUP || e->container)
		return false;
	ix = cgroups_waits_at(f, r->cgroup);
	return ix && node_at(f, ix)->what == CGROUP_CONTAINER;
}

static bool remote_known(const struct flows *f, const struct flow_rec *r)
{
	return end_at(f, r->remote)->known_by != KNOWN_NOT;
}

/* Until when its remote end may get a name by being asked for again. */
static nsec_t remote_until(const struct flows *f, const struct flow_rec *r)
{
	const struct end_rec *e = end_at(f, r->remote);
	const bool waits = e->known_by == KNOWN_NOT && e->why == UNKNOWN_PENDING;

	return r->start + (waits ? f->opts.remote_wait : f->opts.settle);
}

/* An ended flow whose remote end may be named in a moment: its twin's name is due, or its address
 * is about to be told of. */
static bool worth_waiting(const struct flows *f, const struct flow_rec *r, nsec_t now)
{
	if (r->twin && flow_rec(f, r->twin)->queue == QUEUE_PARTLY)
		return true;
	if (remote_until(f, r) <= now || end_at(f, r->remote)->known_by == KNOWN_CGROUP)
		return false;
	if (r->twin && !(flow_rec(f, r->twin)->flags & FLOW_F_RELEASED))
		return true;
	return !remote_known(f, r) &&
	       (end_at(f, r->remote)->why == UNKNOWN_PENDING || is_loopback(&r->raddr));
}

static void settle_later(struct flows *f, nsec_t now, flow_id id)
{
	flow_rec(f, id)->due = now + f->opts.settle;
	queue_join(f, id, QUEUE_SETTLE);
}

/* After a released flow was named. */
static void named(struct flows *f, nsec_t now, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);
	bool more;

	if (end_at(f, r->local)->known_by == KNOWN_NOT || lacks_container(f, r))
		wait_join(f, id);
	else
		wait_leave(f, id);
	if (r->flags & FLOW_F_REPORTED) {
		queue_leave(f, id);
		return;
	}
	more = r->ended ? worth_waiting(f, r, now)
			: !remote_known(f, r) && now < remote_until(f, r);

	if (more) {
		settle_later(f, now, id);
		return;
	}
	queue_leave(f, id);
	if (r->ended)
		table_report(f, id);
}

/* Its name may be what the other end waits for, or better than what that took for it: the owner of
 * a pod may be told of later than the pod. */
static void tell_twin(struct flows *f, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id), *twin;

	if (!r->twin || end_at(f, r->local)->known_by == KNOWN_NOT)
		return;
	twin = flow_rec(f, r->twin);
	if (twin->remote != r->local || twin->ended) /* equal ends are one */
		pending_again(f, r->twin);
}

static void release(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	pending_leave(f, id);
	r->flags |= FLOW_F_RELEASED;
	count(f, r, 1);
	log_touch(f, id);
}

static void set_end(struct flows *f, uint32_t *at, uint32_t *end)
{
	ends_put(f, *at);
	*at = *end;
	*end = 0;
}

/* The local end is given up: as unknown, with that reason. */
static void give_up(struct flows *f, struct flow_rec *r, enum unknown_reason why)
{
	const struct flow_end e = {.known_by = KNOWN_NOT, .why = why};
	uint32_t end;

	if (end_at(f, r->local)->known_by == KNOWN_NOT && ends_get(f, &e, &end) == 0)
		set_end(f, &r->local, &end);
}

void pending_force(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (!(r->flags & FLOW_F_RELEASED)) {
		if (!(r->flags & FLOW_F_FULL))
			f->stats.pending_full++;
		give_up(f, r, UNKNOWN_PENDING_FULL);
		release(f, id);
	}
	queue_leave(f, id);
	table_report(f, id);
}

bool pending_ended(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (!(r->flags & FLOW_F_RELEASED) || r->queue == QUEUE_AGAIN)
		return false; /* it is about to be named */
	if (!remote_known(f, r) || (r->twin && flow_rec(f, r->twin)->queue == QUEUE_PARTLY)) {
		queue_join(f, id, QUEUE_AGAIN);
		return false;
	}
	queue_leave(f, id);
	return true;
}

void pending_again(struct flows *f, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id);

	if (r->flags & FLOW_F_RELEASED && !(r->flags & FLOW_F_REPORTED) && r->queue != QUEUE_AGAIN)
		queue_join(f, id, QUEUE_AGAIN);
}

void flows_again(struct flows *f, enum unknown_reason why)
{
	for (flow_id id = flows_next(f, 0); id; id = flows_next(f, id)) {
		const struct end_rec *e = end_at(f, flow_rec(f, id)->remote);

		if (e->known_by == KNOWN_NOT && e->why == why)
			pending_again(f, id);
	}
}

/* ---- naming ---------------------------------------------------------------------------------- */

static bool is_late(const struct flows *f, flow_id id, nsec_t now)
{
	const struct flow_rec *r = flow_rec(f, id);

	return r->flags & FLOW_F_FULL || given_up(f, r) ||
	       ((r->queue == QUEUE_PENDING || r->queue == QUEUE_PARTLY) && r->due <= now);
}

static bool is_due(const struct flows *f, enum flow_queue q, nsec_t now)
{
	flow_id id = f->queue[q].head;

	return id && flow_rec(f, id)->due <= now;
}

static flow_id due_now(const struct flows *f, nsec_t now)
{
	static const enum flow_queue timed[] = {QUEUE_PENDING, QUEUE_PARTLY, QUEUE_SETTLE};
	flow_id id = f->queue[QUEUE_FRESH].head;

	if (!id)
		id = f->woken.head;
	if (!id)
		id = f->queue[QUEUE_AGAIN].head;
	for (size_t i = 0; !id && i < ARRAY_SIZE(timed); i++)
		if (is_due(f, timed[i], now))
			id = f->queue[timed[i]].head;
	return id;
}

flow_id flows_unnamed(struct flows *f, nsec_t now)
{
	flow_id id = due_now(f, now);

	if (id && !(flow_rec(f, id)->flags & FLOW_F_RELEASED) && is_late(f, id, now))
		flow_rec(f, id)->flags |= FLOW_F_LATE;
	return id;
}

bool flows_overdue(const struct flows *f, flow_id id, nsec_t now)
{
	const struct flow_rec *r = flow_rec(f, id);

	if (r->flags & FLOW_F_RELEASED)
		return r->start + f->opts.settle <= now;
	return is_late(f, id, now);
}

/* False: no room, and it is due again at once. */
static bool wait(struct flows *f, nsec_t now, flow_id id, enum flow_queue q, nsec_t span)
{
	struct flow_rec *r = flow_rec(f, id);

	wait_leave(f, id);
	if (r->queue != q) {
		if (f->queue[QUEUE_PENDING].n + f->queue[QUEUE_PARTLY].n >= f->opts.max_pending &&
		    r->queue != QUEUE_PENDING && r->queue != QUEUE_PARTLY)
			return false;
		r->due = now + span;
		queue_join(f, id, q);
	}
	wait_join(f, id);
	return true;
}

static void wait_for_pod(struct flows *f, nsec_t now, flow_id id)
{
	if (wait(f, now, id, QUEUE_PENDING, f->opts.pending_timeout))
		return;
	f->stats.pending_full++;
	flow_rec(f, id)->flags |= FLOW_F_FULL;
	queue_join(f, id, QUEUE_AGAIN);
}

static bool wait_for_container(struct flows *f, nsec_t now, flow_id id)
{
	nsec_t span = MIN(CONTAINER_WAIT * f->opts.settle, f->opts.pending_timeout);

	return wait(f, now, id, QUEUE_PARTLY, span);
}

/* Of a directory that may still be told of nobody can say yet what it is. */
static bool is_pending(const struct flows *f, const struct flow_rec *r)
{
	const struct end_rec *e = end_at(f, r->local);

	return e->known_by == KNOWN_NOT &&
	       (e->why == UNKNOWN_PENDING ||
		(e->why == UNKNOWN_NO_CGROUP && cgroups_awaited(f, r->cgroup)));
}

/* Its time in a queue is over: who came after it need not wait. */
static void time_over(struct flows *f, struct flow_rec *r)
{
	cgroup_ix ix = cgroups_waits_at(f, r->cgroup);

	if (end_at(f, r->local)->known_by == KNOWN_NOT)
		f->stats.pending_timeouts++;
	else if (!lacks_container(f, r))
		return;
	if (!ix || node_at(f, ix)->flags & NODE_GIVEN_UP)
		return;
	node_at(f, ix)->flags |= NODE_GIVEN_UP;
	wake(f, ix);
}

static void name_first(struct flows *f, nsec_t now, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);
	bool late = flows_overdue(f, id, now);

	if (is_pending(f, r) && !late) {
		wait_for_pod(f, now, id);
		return;
	}
	if (lacks_container(f, r) && !late && wait_for_container(f, now, id))
		return;
	if (r->flags & FLOW_F_FULL)
		give_up(f, r, UNKNOWN_PENDING_FULL);
	else if (late && (r->queue == QUEUE_PENDING || r->queue == QUEUE_PARTLY))
		time_over(f, r);
	if (end_at(f, r->local)->why == UNKNOWN_PENDING)
		give_up(f, r,
			cgroups_choose(f, r->cgroup, true) ? UNKNOWN_NO_POD : UNKNOWN_NO_CGROUP);
	release(f, id);
	named(f, now, id);
	tell_twin(f, id);
}

/* A name that is known does not give way to a lesser one. */
static bool is_better(const struct flows *f, uint32_t was, uint32_t is)
{
	const struct end_rec *a = end_at(f, was), *b = end_at(f, is);

	if (was == is)
		return false;
	if (b->known_by == KNOWN_NOT)
		return a->known_by == KNOWN_NOT && b->why != UNKNOWN_PENDING;
	if (a->known_by == b->known_by && a->container && !b->container)
		return false; /* the pod lists a younger one by now */
	return a->known_by == KNOWN_NOT || b->known_by <= a->known_by;
}

static void name_again(struct flows *f, nsec_t now, flow_id id, uint32_t *local, uint32_t *remote)
{
	struct flow_rec *r = flow_rec(f, id);
	/* What was told before the doubt came is taken back. */
	bool l = is_better(f, r->local, *local),
	     m = is_better(f, r->remote, *remote) ||
		 (r->flags & FLOW_F_DOUBT && end_at(f, *remote)->why == UNKNOWN_AMBIGUOUS &&
		  *remote != r->remote);

	if (l || m) {
		count(f, r, (uint64_t)-1);
		if (l) {
			set_end(f, &r->local, local);
			spaces_note(f, r);
		}
		if (m)
			set_end(f, &r->remote, remote);
		count(f, r, 1);
		/* Its end is told once: who has not taken it yet sees the better name. */
		if (!(r->flags & FLOW_F_REPORTED))
			log_touch(f, id);
	}
	named(f, now, id);
	if (l)
		tell_twin(f, id);
}

/* A name that was found while it waited is not lost before it is released. */
static void set_first(struct flows *f, nsec_t now, flow_id id, uint32_t *local, uint32_t *remote)
{
	struct flow_rec *r = flow_rec(f, id);

	if (end_at(f, r->local)->known_by == KNOWN_NOT || is_better(f, r->local, *local))
		set_end(f, &r->local, local);
	set_end(f, &r->remote, remote);
	spaces_note(f, r);
	name_first(f, now, id);
}

int flows_name(struct flows *f, nsec_t now, flow_id id, const struct flow_end *local,
	       const struct flow_end *remote)
{
	uint32_t l = 0, m = 0;
	int r0 = ends_get(f, local, &l);

	if (r0 == 0)
		r0 = ends_get(f, remote, &m);
	if (r0 == 0 && flow_rec(f, id)->flags & FLOW_F_RELEASED)
		name_again(f, now, id, &l, &m);
	else if (r0 == 0)
		set_first(f, now, id, &l, &m);
	ends_put(f, l);
	ends_put(f, m);
	return r0 < 0 ? -ENOMEM : 0;
}
