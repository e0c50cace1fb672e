/* Order, slices and the flow cursor; see feed.h. */
#include "sink/reducer/feed.h"

#include "base/mem.h"
#include "flow_abi.h"
#include "sink/reducer/state.h"

#include <errno.h>
#include <stdlib.h>

int feed_new(const struct session_opts *o, struct feed **ret)
{
	struct feed *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->flows = o->flows;
	f->retell = o->retell_counters;
	f->os.page_size = o->os.page_size;
	f->os.clock_ticks = o->os.clock_ticks;
	index_init(&f->by_id);
	index_init(&f->by_pid);
	index_init(&f->by_local);
	pool_init(&f->procs, sizeof(struct feed_proc), FEED_MAX_PROC);
	pool_init(&f->udp, sizeof(struct feed_udp), FEED_MAX_UDP);
	r = flows_cursor_add(f->flows, &f->cursor);
	if (r < 0) {
		feed_free(&f);
		return r;
	}
	*ret = f;
	return 0;
}

/* What a connection was told beside flows. */
static void forget(struct feed *f)
{
	index_done(&f->by_id);
	index_done(&f->by_pid);
	index_done(&f->by_local);
	pool_done(&f->procs);
	pool_done(&f->udp);
	pool_init(&f->procs, sizeof(struct feed_proc), FEED_MAX_PROC);
	pool_init(&f->udp, sizeof(struct feed_udp), FEED_MAX_UDP);
	f->nobody = false;
}

void feed_free(struct feed **fp)
{
	struct feed *f = *fp;

	if (!f)
		return;
	forget(f);
	if (f->cursor)
		flows_cursor_remove(f->flows, &f->cursor);
	free(f->marks);
	free(f->cgroups);
	free(f);
	*fp = NULL;
}

void feed_connected(struct feed *f)
{
	forget(f);
	if (++f->conn == 0) /* 0 means "in no connection" */
		f->conn = 1;
	f->step = FEED_IDLE;
	f->half = 0;
	f->orphan_at = 0;
	f->cgroup_at = f->proc_at = 0;
	f->n_held = 0;
	flows_cursor_rewind(f->flows, f->cursor);
}

bool feed_begun(const struct feed *f)
{
	return f->step != FEED_IDLE;
}

int feed_put(struct session *s, enum wire_id id, const void *m, uint64_t *count)
{
	const int r = session_put(s, id, m);

	*count += r == 0;
	return r;
}

uint32_t feed_hash(const struct session *s, const void *p, size_t n)
{
	return (uint32_t)hash_bytes(&s->seed, p, n);
}

struct str feed_clip(struct str s, size_t max)
{
	s.n = MIN(s.n, max);
	return s;
}

/*
 * The reducer counts a connection as new when it is told of it after socket_steady_state. So the
 * first time all that there is comes before the mark; later what an earlier connection was told of,
 * and what began while there was none comes after it.
 */
static bool comes_later(const struct feed *f, flow_id id)
{
	const struct feed_flow *m = id < f->n_marks ? &f->marks[id] : NULL;
	struct flow_view v;

	if (f->step != FEED_SOCKS || !f->steady || !flows_at(f->flows, id, &v))
		return false;
	return !m || m->serial != v.serial || !(m->flags & FEED_KNOWN);
}

/* 1: the slice is used up. 0: at the end. */
static int tell_flows(struct session *s)
{
	struct feed *f = s->feed;
	int r;

	for (uint32_t n = 0; n < SESSION_SLICE; n++) {
		if (!f->half)
			f->half = flows_cursor_next(f->flows, f->cursor);
		if (!f->half)
			return 0;
		r = comes_later(f, f->half) ? 0 : feed_flow(s, f->half);
		if (r < 0)
			return r;
		f->half = 0;
	}
	return 1;
}

/* ---- the order of things --------------------------------------------------------------------- */

/* Messages of which there is one a connection: the step's own, then the next step. */
static int say_once(struct session *s)
{
	struct feed *f = s->feed;
	const struct wire_system_wide_process_settings settings = {
		.clock_ticks_per_second = f->os.clock_ticks,
		.memory_page_bytes = f->os.page_size,
	};
	const struct wire_process_steady_state procs = {.time = 0};
	const struct wire_socket_steady_state socks = {.time = 0};
	const struct wire_collector_health health = {.status = 0};
	const struct {
		enum wire_id id;
		const void *m;
	} what[] = {
		[FEED_COMPILED] = {WIRE_bpf_compiled, NULL},
		[FEED_SETTINGS] = {WIRE_system_wide_process_settings, &settings},
		[FEED_PROCS_STEADY] = {WIRE_process_steady_state, &procs},
		[FEED_SOCKS_STEADY] = {WIRE_socket_steady_state, &socks},
		[FEED_BEGIN] = {WIRE_begin_telemetry, NULL},
		[FEED_HEALTH] = {WIRE_collector_health, &health},
	};

	return feed_put(s, what[f->step].id, what[f->step].m, &s->count.other);
}

static int socks_are_told(struct session *s)
{
	struct feed *f = s->feed;
	const int r = say_once(s);

	if (r < 0)
		return r;
	if (f->steady)
		flows_cursor_rewind(f->flows, f->cursor);
	f->steady = true;
	return 0;
}

static void start_walks(struct feed *f)
{
	f->cgroup_changes = flows_cgroups_changes(f->flows);
	f->proc_changes = flows_procs_changes(f->flows);
	f->cgroup_at = 1;
	f->proc_at = 0;
}

/* One step of the beginning: 0 done, 1 not yet. */
static int do_step(struct session *s)
{
	struct feed *f = s->feed;

	switch (f->step) {
	case FEED_IDLE:
		start_walks(f);
		return 0;
	case FEED_CGROUPS:
		return feed_cgroups_walk(s);
	case FEED_PROCS:
		return feed_procs_all(s);
	case FEED_SOCKS:
		return tell_flows(s);
	case FEED_COMPILED:
	case FEED_SETTINGS:
	case FEED_PROCS_STEADY:
	case FEED_BEGIN:
	case FEED_HEALTH:
		return say_once(s);
	case FEED_SOCKS_STEADY:
		return socks_are_told(s);
	case FEED_LIVE:
		break;
	}
	return 0;
}

/* Processes that ended or moved and cgroups that came or went, not more often than FEED_SWEEP. */
static int sweep(struct session *s)
{
	struct feed *f = s->feed;
	int r = 0, q = 0;

	if (!f->cgroup_at && f->cgroup_changes != flows_cgroups_changes(f->flows) &&
	    s->now >= f->cgroup_next) {
		f->cgroup_changes = flows_cgroups_changes(f->flows);
		f->cgroup_at = 1;
		f->cgroup_next = s->now + FEED_SWEEP;
	}
	if (f->cgroup_at)
		r = feed_cgroups_walk(s);
	if (r < 0)
		return r;
	if (!f->proc_at && f->proc_changes != flows_procs_changes(f->flows) &&
	    s->now >= f->proc_next) {
		f->proc_changes = flows_procs_changes(f->flows);
		f->proc_at = 1;
		f->proc_next = s->now + FEED_SWEEP;
	}
	if (f->proc_at)
		q = feed_procs_walk(s);
	return q < 0 ? q : r | q;
}

/* Everything that the kernel or the agent counted as lost, and what the table's bound took away
 * before it was told, when it has grown. */
static int tell_lost(struct session *s)
{
	struct feed *f = s->feed;
	struct flows_stats st;
	uint64_t lost;
	int r;

	if (s->now < f->lost_next)
		return 0;
	f->lost_next = s->now + FEED_SWEEP;
	flows_stats(f->flows, &st);
	lost = st.dropped[FLOW_DROP_MEMORY] + st.dropped[FLOW_DROP_BAD_RECORD] +
	       flows_cursor_dropped(f->cursor);
	for (int i = ABI_COUNT_DROP_SOCKS_FULL; i <= ABI_COUNT_DROP_UDP_FULL; i++)
		lost += st.kernel[i];
	if (lost <= f->lost)
		return 0;
	r = feed_put(s, WIRE_bpf_lost_samples,
		     &(struct wire_bpf_lost_samples){.count = lost - f->lost}, &s->count.other);
	if (r < 0) {
		f->lost_next = s->now;
		return r;
	}
	s->count.flows.lost_samples += lost - f->lost;
	f->lost = lost;
	return 0;
}

int feed_run(struct session *s)
{
	static int (*const live[])(struct session *) = {tell_flows, feed_orphans, feed_dns, sweep,
							tell_lost};
	struct feed *f = s->feed;
	int r, more = 0;

	while (f->step != FEED_LIVE) {
		r = do_step(s);
		if (r)
			return r;
		f->step++;
	}
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		r = live[i](s);
		if (r < 0)
			return r;
		more |= r;
	}
	return more;
}

nsec_t feed_deadline(const struct session *s)
{
	const struct feed *f = s->feed;
	nsec_t at = NSEC_NEVER;

	if (f->step != FEED_LIVE)
		return at;
	if (f->cgroup_changes != flows_cgroups_changes(f->flows))
		at = f->cgroup_next;
	if (f->proc_changes != flows_procs_changes(f->flows))
		at = MIN(at, f->proc_next);
	return at;
}

bool feed_at_rest(const struct feed *f)
{
	struct flow_dns d;

	return f->step == FEED_LIVE && !f->half && flows_cursor_at_end(f->flows, f->cursor) &&
	       !f->orphan_at && f->dropped == flows_cursor_dropped(f->cursor) && !f->cgroup_at &&
	       !f->proc_at && f->cgroup_changes == flows_cgroups_changes(f->flows) &&
	       f->proc_changes == flows_procs_changes(f->flows) &&
	       !flows_dns_next(f->flows, f->dns, &d);
}

uint64_t feed_dropped(const struct feed *f)
{
	return flows_cursor_dropped(f->cursor);
}

size_t feed_bytes(const struct feed *f)
{
	return sizeof(*f) + f->n_marks * sizeof(*f->marks) + f->n_cgroups * sizeof(*f->cgroups) +
	       pool_bytes(&f->procs) + pool_bytes(&f->udp) + index_bytes(&f->by_id) +
	       index_bytes(&f->by_pid) + index_bytes(&f->by_local);
}
