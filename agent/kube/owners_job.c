/*
 * Which request the owner reader makes next: lanes take turns, discoveries come
 * before what needs them, refreshes come last and spaced.
 */
#include "kube/owners_parts.h"

#include "base/mem.h"
#include "kube/target.h"

#include <string.h>

/* ---- which ---- */

static bool being_discovered(const struct owners *o, const struct lane *l)
{
	for (unsigned i = 0; i < o->o.parallel; i++)
		if (o->slots[i].use == SLOT_DISCOVERY &&
		    strcmp(lane_at(o, o->slots[i].lane)->api_version, l->api_version) == 0)
			return true;
	return false;
}

static enum step lane_step(struct owners *o, struct job *job, nsec_t *when)
{
	struct lane *l = lane_at(o, job->lane);

	if (l->not_before > o->now) {
		*when = MIN(*when, l->not_before);
		return STEP_NOTHING;
	}
	if (being_discovered(o, l))
		return STEP_NOTHING;
	switch (discovery_find(o->discovery, str_of(l->api_version), str_of(l->kind), &job->res)) {
	case DISCOVERY_KNOWN:
		return STEP_READ;
	case DISCOVERY_ASK:
		return STEP_DISCOVER;
	case DISCOVERY_MISSING:
		break;
	}
	/* Perhaps its definition is installed later. */
	discovery_forget(o->discovery, str_of(l->api_version));
	lane_refuse(o, job->lane, OWNERS_SLOW_RETRY, "the server has no such kind", "");
	*when = MIN(*when, l->not_before);
	return STEP_NOTHING;
}

/* The oldest refresh, if it is time for one. */
static struct job refresh_job(struct owners *o, nsec_t *when)
{
	struct job job = {0};

	while (o->refresh.head) {
		if (o->now < o->next_refresh) {
			*when = MIN(*when, o->next_refresh);
			break;
		}
		nsec_t later = NSEC_NEVER;
		job.entry = o->refresh.head;
		job.lane = entry_at(o, job.entry)->lane;
		job.step = lane_step(o, &job, &later);
		if (job.step != STEP_NOTHING)
			break;
		/* Its kind cannot be read at present. */
		queue_take(o, job.entry, ENTRY_IDLE);
		(void)entry_keep(o, job.entry);
	}
	return job;
}

/* The next lane with something to do, after the one that was served last; then refreshes. */
struct job job_next(struct owners *o, nsec_t *when)
{
	uint32_t n = o->lanes.next;

	for (uint32_t i = 0; o->queued && i < n; i++) {
		struct job job = {.lane = (o->turn + i) % n + 1};
		struct lane *l = lane_at(o, job.lane);

		if (!l->api_version || !l->queue.head)
			continue;
		lane_tell(o, job.lane);
		job.entry = l->queue.head;
		job.step = lane_step(o, &job, when);
		if (job.step != STEP_NOTHING)
			return job;
	}
	return refresh_job(o, when);
}

/* ---- what it says ---- */

static int add_segment(struct buf *b, struct str s)
{
	int r = buf_append(b, "/", 1);

	return r < 0 ? r : target_escape(b, s);
}

static int entry_target(struct owners *o, const struct job *job)
{
	const struct lane *l = lane_at(o, job->lane);
	const struct entry *e = entry_at(o, job->entry);
	int r = discovery_target(&o->target, str_of(l->api_version));

	if (r == 0 && job->res.namespaced && l->ns[0]) {
		r = add_segment(&o->target, STR("namespaces"));
		if (r == 0)
			r = add_segment(&o->target, str_of(l->ns));
	}
	if (r == 0)
		r = add_segment(&o->target, job->res.plural);
	if (r == 0)
		r = add_segment(&o->target, str_of(e->name));
	/* From the server's cache: an owner that a pod names is nearly always there. */
	if (r == 0 && !e->confirm)
		r = target_param(&o->target, "resourceVersion", STR("0"));
	return r;
}

int job_start(struct owners *o, struct slot *s, const struct job *job, struct owners_request *ret)
{
	struct lane *l = lane_at(o, job->lane);
	struct entry *e = entry_at(o, job->entry);
	bool read = job->step == STEP_READ;

	buf_reset(&o->target);
	int r = read ? entry_target(o, job) : discovery_target(&o->target, str_of(l->api_version));
	if (r == 0)
		r = buf_append(&o->target, "", 1);
	if (r < 0)
		return r;
	*s = (struct slot){
		.owners = o,
		.use = read ? SLOT_ENTRY : SLOT_DISCOVERY,
		.entry = read ? job->entry : 0,
		.lane = job->lane,
		.start = o->now,
		.heard = o->now,
		.confirm = e->confirm,
		.plain = o->plain,
	};
	buf_init(&s->body, DISCOVERY_MAX_BODY);
	o->turn = job->lane;
	o->counters.requests++;
	*ret = (struct owners_request){
		.id = (unsigned)(s - o->slots),
		.target = buf_str(&o->target).p,
		.accept = accept_header((struct accept_form){
			.metadata_only = read && !o->plain,
			.protobuf = read && !o->o.no_protobuf,
		}),
	};
	if (!read) {
		o->counters.discoveries++;
		l->discovering = true;
		return 0;
	}
	if (e->again)
		o->next_refresh = o->now + o->o.refresh_space;
	queue_take(o, job->entry, ENTRY_ASKING);
	return 0;
}
