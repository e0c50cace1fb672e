/*
 * What is told about one pod: the rules between the inventory's change log and
 * the wire. Every decision looks at the pod as it is now and at its mark, so a
 * pod can be looked at any number of times.
 */
#include "sink/reducer/state.h"

#include <assert.h>
#include <errno.h>

/* Pods that exist have a mark; the array follows the ids. */
static int marks_reach(struct session *s, pod_id id)
{
	if (id < s->n_marks)
		return 0;
	return mem_reach(&s->marks, &s->n_marks, sizeof(*s->marks),
			 session_room(MAX(inventory_pod_ids(s->inv), id)));
}

static bool told_now(const struct session *s, const struct mark *m)
{
	return m->epoch_seq && m->epoch_seq == s->epoch_seq;
}

/* A tag of the owner's uid; never 0. A collision only means that one owner is not waited for. */
static uint32_t owner_tag(const struct session *s, owner_id missing)
{
	struct inv_owner_view o;
	uint64_t h;

	if (!inventory_owner(s->inv, missing, &o))
		return ~MARK_FLAGS;
	h = hash_bytes(&s->seed, o.uid, strlen(o.uid));
	h &= ~(uint64_t)MARK_FLAGS & UINT32_MAX;
	return h ? (uint32_t)h : ~MARK_FLAGS;
}

static void set_tag(struct mark *m, uint32_t tag)
{
	m->gave_up = (m->gave_up & MARK_FLAGS) | tag;
}

/* The pod has waited long enough: its own reference counts from now on. */
static void give_up(struct session *s, pod_id id)
{
	struct workload w;

	if (id >= s->n_marks)
		return;
	if (match_pod(s->inv, &s->policy, id, &w) != MATCH_WAIT)
		return;
	set_tag(&s->marks[id], owner_tag(s, w.missing));
	s->count.timeouts++;
}

pod_id pods_take(struct session *s)
{
	const pod_id id = waiting_due(s->waiting, s->now);

	if (id) {
		give_up(s, id);
		return id;
	}
	return inventory_cursor_next(s->inv, s->cursor);
}

static int enter_waiting(struct session *s, pod_id id, const struct inv_pod_view *p,
			 owner_id missing)
{
	struct inv_owner_view o = {.kind = KIND_OTHER};

	(void)inventory_owner(s->inv, missing, &o);
	s->count.waits += !waiting_holds(s->waiting, id);
	return waiting_enter(s->waiting, id, o.kind, p->ns, s->now);
}

/* The workload to name: 0 and `ret`, 1 when the pod waits for it, or -ENOMEM. */
static int resolve(struct session *s, pod_id id, const struct inv_pod_view *p, struct workload *ret)
{
	struct mark *m = &s->marks[id];
	int r;

	if (match_pod(s->inv, &s->policy, id, ret) == MATCH_WAIT) {
		if ((m->gave_up & ~MARK_FLAGS) != owner_tag(s, ret->missing)) {
			r = enter_waiting(s, id, p, ret->missing);
			return r < 0 ? r : 1;
		}
		match_direct(s->inv, id, ret);
	} else {
		set_tag(m, 0);
	}
	waiting_leave(s->waiting, id);
	return 0;
}

static void count_workload(struct session *s, const struct workload *w)
{
	if (w->end == MATCH_END_TOP || w->end == MATCH_END_NO_OWNER)
		s->count.hops[MIN(w->hops, (uint32_t)SESSION_HOPS - 1)]++;
	else
		s->count.unresolved[w->end]++;
}

static int put_new(struct session *s, const struct wire_pod_new_with_name *m,
		   const struct workload *w, bool cut)
{
	const int r = session_put(s, WIRE_pod_new_with_name, m);

	if (r < 0)
		return r;
	s->count.pods_new++;
	s->count.cut += cut;
	count_workload(s, w);
	return 0;
}

/* Containers that were not sent before. */
static int put_containers(struct session *s, pod_id id, const struct inv_pod_view *p)
{
	struct wire_pod_container c;
	bool cut;
	int r;

	for (uint32_t i = 0; i < p->n_containers; i++) {
		if (inventory_container_marked(s->inv, s->cursor, id, i))
			continue;
		if (!announce_container(&s->text, s->inv, id, i, p, &c, &cut))
			continue;
		r = session_put(s, WIRE_pod_container, &c);
		if (r < 0)
			return r;
		inventory_container_mark(s->inv, s->cursor, id, i, true);
		s->count.containers++;
		s->count.cut += cut;
	}
	return 0;
}

static int put_delete(struct session *s, pod_id id, const struct inv_pod_view *p)
{
	struct mark *m = &s->marks[id];
	int r;

	r = session_put(s, WIRE_pod_delete, &(struct wire_pod_delete){.uid = str_of(p->uid)});
	if (r < 0)
		return r;
	m->epoch_seq = 0;
	m->gave_up = (m->gave_up | MARK_TOLD_EVER) & ~MARK_PASSING;
	s->count.deletes++;
	return 0;
}

/* Its bytes without the timestamp: all that is announced of the pod itself. */
static int hash_new(struct session *s, const struct wire_pod_new_with_name *m, uint64_t *ret)
{
	int r;

	buf_reset(&s->scratch);
	r = wire_put_pod_new_with_name(&s->scratch, 0, m);
	assert(r != -EMSGSIZE && r != -ERANGE); /* announce.h keeps the limits */
	if (r < 0)
		return r;
	*ret = hash_bytes(&s->seed, buf_str(&s->scratch).p, s->scratch.n);
	return 0;
}

/* The pod's own message, when the reducer does not have it like this. */
static int put_pod(struct session *s, pod_id id, const struct inv_pod_view *p,
		   const struct workload *w)
{
	struct mark *m = &s->marks[id];
	const bool known = told_now(s, m);
	struct wire_pod_new_with_name msg;
	uint64_t hash = 0;
	bool cut = false;
	int r;

	r = announce_pod(&s->text, s->inv, id, p, w, &msg, &cut);
	if (r == 0)
		r = hash_new(s, &msg, &hash);
	if (r < 0)
		return r;
	if (known && m->told_hash == hash) {
		s->count.unchanged++;
		return 0;
	}
	r = put_new(s, &msg, w, cut);
	if (r < 0)
		return r;
	m->told_hash = hash;
	m->epoch_seq = s->epoch_seq;
	/* The reducer's pod owns its containers: a new one has none. */
	for (uint32_t i = 0; !known && i < p->n_containers; i++)
		inventory_container_mark(s->inv, s->cursor, id, i, false);
	return 0;
}

static int tell_live(struct session *s, pod_id id, const struct inv_pod_view *p)
{
	struct mark *m = &s->marks[id];
	struct workload w;
	int r;

	m->gave_up &= ~MARK_PASSING;
	r = resolve(s, id, p, &w);
	if (r < 0)
		return r;
	if (r == 0) {
		r = put_pod(s, id, p, &w);
		if (r < 0)
			return r;
		m->gave_up |= MARK_TOLD_EVER;
	}
	/* While it waits for a new owner the reducer keeps what it was told before. */
	return told_now(s, m) ? put_containers(s, id, p) : 0;
}

/* It came and went before anybody was told: flows of its short life still need it. Returns 1 while
 * it waits for its owner. */
static int tell_passed(struct session *s, pod_id id, const struct inv_pod_view *p)
{
	struct mark *m = &s->marks[id];
	struct workload w;
	int r;

	if (!told_now(s, m)) {
		r = resolve(s, id, p, &w);
		if (r)
			return r;
		r = put_pod(s, id, p, &w);
		if (r < 0)
			return r;
		m->gave_up |= MARK_PASSING;
	}
	r = put_containers(s, id, p);
	if (r == 0)
		r = put_delete(s, id, p);
	if (r == 0)
		s->count.came_and_went++;
	return r;
}

/* A pod that the reducer shall not have: dead, finished or without an address. */
static int tell_gone(struct session *s, pod_id id, const struct inv_pod_view *p)
{
	const struct mark *m = &s->marks[id];

	if (told_now(s, m) && !(m->gave_up & MARK_PASSING)) {
		waiting_leave(s->waiting, id);
		return put_delete(s, id, p);
	}
	if (p->was_announceable && !(m->gave_up & MARK_TOLD_EVER))
		return tell_passed(s, id, p);
	waiting_leave(s->waiting, id);
	return 0;
}

int pods_tell(struct session *s, pod_id id)
{
	struct inv_pod_view p;
	int r;

	if (!inventory_pod(s->inv, id, &p)) /* taken away since */
		return 0;
	r = marks_reach(s, id);
	if (r < 0)
		return r;
	if (p.announceable)
		return tell_live(s, id, &p);
	r = tell_gone(s, id, &p);
	if (r < 0)
		return r;
	if (r == 0 && p.dead) {
		s->marks[id] = (struct mark){0}; /* the id will be given to another pod */
		inventory_cursor_done(s->inv, s->cursor, id);
	}
	return 0;
}

bool pods_told(const struct session *s, pod_id id)
{
	return id < s->n_marks && told_now(s, &s->marks[id]);
}

void pods_pass(struct session *s, pod_id id)
{
	waiting_leave(s->waiting, id);
	if (id < s->n_marks)
		s->marks[id] = (struct mark){0};
	inventory_cursor_done(s->inv, s->cursor, id);
}

void pods_dropped(void *ctx, pod_id id)
{
	struct session *s = ctx;

	s->count.dropped++;
	waiting_leave(s->waiting, id);
	if (id >= s->n_marks)
		return;
	if (s->connected && told_now(s, &s->marks[id])) {
		/* The delete cannot be told any more; a new epoch forgets the pod. */
		s->count.dropped_told++;
		s->want_epoch = true;
	}
	s->marks[id] = (struct mark){0};
}
