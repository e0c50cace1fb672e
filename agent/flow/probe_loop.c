/*
 * The probe on the event loop: when what is read, and how much at once.
 *
 *	ring_timer	every ring_every, or less often: the ring, cgroups that came or went, what
 *			is due by time
 *	ring_wake	a quarter of the ring is full: the ring
 *	poll_timer	every poll_every: begins a poll of the maps
 *	more		what a turn had no time for, after everything else had its turn
 *	changed		tells the owner, once a turn
 */
#include "flow/probe_parts.h"

#include "base/log.h"
#include "flow/caps.h"

#include <errno.h>
#include <string.h>

#include <event2/event.h>

#define CALM_AFTER	NSEC_PER_SEC
#define CALM_TIMES	4		     /* as long between two looks at the ring */
#define COUNTS_EVERY	NSEC_PER_SEC	     /* the kernel's counters of a ring that stays empty */
#define CONNTRACK_BATCH 32		     /* datagrams a turn, each of a few messages */
#define TOLD_MAX	64		     /* translations between two looks at the ring */
#define HOLD		(20 * NSEC_PER_MSEC) /* longest time the owner is not told of changes */
#define DRAIN_MAX	(2 * NSEC_PER_SEC)   /* a drain that is longer gives up */

static void soon(struct event *e)
{
	/* Not event_active: that would run again before other sources have had their turn. */
	if (!evtimer_pending(e, NULL))
		(void)evtimer_add(e, &(const struct timeval){0});
}

/* Not in the midst of a ring or a map, unless that takes long: the other end of a connection that
 * was just read may come next, and then both are named before either is told of. */
static void tell(struct probe *p)
{
	const nsec_t now = clock_mono();

	if (p->more_ring || p->more_poll) {
		p->untold_since = p->untold_since ? p->untold_since : now;
		if (now < p->untold_since + HOLD)
			return;
	}
	p->untold_since = 0;
	if (p->opts.changed)
		soon(p->changed);
}

static void on_changed(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	(void)fd;
	(void)what;
	p->opts.changed(p->opts.ctx);
}

/* The loss is told of last: what it makes doubtful includes what came with it. */
static int read_conntrack(struct probe *p)
{
	const uint64_t lost = conntrack_figures(p->conntrack).lost;
	const int r = conntrack_read(p->conntrack, CONNTRACK_BATCH);
	const struct conntrack_figures c = conntrack_figures(p->conntrack);

	if (c.lost != lost)
		flows_nat_lost(p->opts.flows, c.lost_from, c.lost_to);
	flows_nat_read(p->opts.flows, c.read_to);
	return r;
}

/* A socket that ended after it was listed, and is told of after its end, would be a flow that never
 * ends. */
static bool is_held(const struct probe *p)
{
	return p->existing && existing_lists(p->existing);
}

static void read_ring(struct probe *p)
{
	const nsec_t now = clock_mono();
	struct ring_took took;

	if (is_held(p)) {
		p->more_ring = true;
		return;
	}
	took = ring_read(p->ring, now, PROBE_TURN);

	p->counters.ring_reads++;
	p->counters.last_read = now;
	p->more_ring = took.more;
	if (took.records)
		p->record_at = now;
	if (p->ct_events && took.records) /* of flows that came up before now */
		(void)read_conntrack(p);
	if (took.records || now >= p->counts_at) {
		ring_counts(p->ring);
		p->counts_at = now + COUNTS_EVERY;
	}
	if (ring_ends_wait(p->ring) && !p->more_poll) {
		ring_ends_begin(p->ring);
		p->more_poll = true;
	}
	if (took.records || p->untold_since)
		tell(p);
}

/* ---- the rest of a turn ---------------------------------------------------------------------- */

static void look_for_existing(struct probe *p)
{
	if (!p->existing)
		return;
	const int r = existing_run(p->existing, clock_mono(), PROBE_TURN);

	tell(p);
	if (r > 0)
		return;
	p->found = existing_figures(p->existing);
	existing_free(&p->existing);
	if (p->ptrace_caps && !p->opts.keep_caps)
		(void)caps_keep(p->kept);
	log_debug("flows: open before: %u sockets here, %u in %u other namespaces, %u without a "
		  "cgroup, %u left out; %u processes",
		  p->found.host, p->found.others, p->found.spaces, p->found.without_cgroup,
		  p->found.left_out, p->found.processes);
}

static void go_on(struct probe *p)
{
	if (p->more_ring || p->more_poll || p->existing)
		soon(p->more);
}

/* Every socket that was open before has its record: what runs at each read of any socket has
 * nothing left to find. */
static void end_finding(struct probe *p)
{
	if (!p->finding || p->existing || !p->found.all || flows_found_alone(p->opts.flows))
		return;
	objects_retire(p->objects, PROBE_FOUND);
	p->finding = false;
	log_debug("flows: all that was open before is known by now");
}

static void poll_on(struct probe *p)
{
	if (is_held(p)) {
		p->more_poll = true;
		return;
	}
	p->more_poll = ring_poll(p->ring, clock_mono(), PROBE_TURN);
	if (p->ct_events)
		(void)read_conntrack(p);
	if (!p->more_poll) {
		p->counters.polls = ring_figures(p->ring).polls;
		ring_counts(p->ring);
		tell(p);
		end_finding(p);
	}
}

static void on_more(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	(void)fd;
	(void)what;
	if (p->more_ring)
		read_ring(p);
	if (p->more_poll)
		poll_on(p);
	look_for_existing(p);
	go_on(p);
}

/* ---- sources --------------------------------------------------------------------------------- */

static void on_ring_wake(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	(void)fd;
	(void)what;
	read_ring(p);
	go_on(p);
}

static void every(struct event *e, nsec_t t)
{
	const struct timeval tv = {
		.tv_sec = (time_t)(t / NSEC_PER_SEC),
		.tv_usec = (suseconds_t)(t % NSEC_PER_SEC / NSEC_PER_USEC),
	};

	(void)event_add(e, &tv);
}

/* To wake is most of what an idle agent costs. */
static void set_pace(struct probe *p, nsec_t now)
{
	const bool calm = now >= p->record_at + CALM_AFTER;

	if (calm == p->calm)
		return;
	p->calm = calm;
	every(p->ring_timer, p->opts.ring_every * (calm ? CALM_TIMES : 1));
}

static void on_ring_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	on_ring_wake(fd, what, p);
	if (p->hooks)
		pod_hooks_run(p->hooks);
	const nsec_t now = clock_mono();

	if (now >= p->tick_at) {
		p->tick_at = flows_tick(p->opts.flows, now);
		tell(p);
	}
	set_pace(p, now);
}

static void on_poll_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;

	(void)fd;
	(void)what;
	ring_poll_begin(p->ring, clock_mono());
	poll_on(p);
	go_on(p);
}

static void on_ct_events(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;
	const int r = read_conntrack(p);

	const uint64_t told = conntrack_figures(p->conntrack).told;

	(void)fd;
	(void)what;
	/* Flows are not far behind: of those of one pair of ports only so many are remembered. */
	if (told - p->ct_told > TOLD_MAX) {
		p->ct_told = told;
		read_ring(p);
		go_on(p);
	}
	tell(p);
	if (r < 0) {
		(void)event_del(p->ct_events);
		(void)log_code(LOG_WARN, r, "flows: conntrack: no more events");
	}
}

static void on_ct_dump(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;
	const int r = conntrack_read_dump(p->conntrack, CONNTRACK_BATCH);

	(void)fd;
	(void)what;
	if (r < 0)
		log_debug("flows: conntrack: what was there before is not known: error %d", -r);
	if (conntrack_dump_fd(p->conntrack) < 0) {
		event_free(p->ct_dump); /* its descriptor is closed: nothing may poll it */
		p->ct_dump = NULL;
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static int new_event(struct probe *p, int fd, short what, event_callback_fn fn, struct event **ret)
{
	struct event *e = event_new(p->opts.base, fd, what, fn, p);

	if (!e)
		return -ENOMEM;
	*ret = e;
	return 0;
}

static int conntrack_events(struct probe *p)
{
	int r = new_event(p, conntrack_fd(p->conntrack), EV_READ | EV_PERSIST, on_ct_events,
			  &p->ct_events);

	if (r < 0)
		return r;
	return new_event(p, conntrack_dump_fd(p->conntrack), EV_READ | EV_PERSIST, on_ct_dump,
			 &p->ct_dump);
}

int probe_loop_new(struct probe *p)
{
	/* Edges, because the kernel wakes for every quarter of the ring: by level, the reader would
	 * come back at once for each single record. */
	const int ring = objects_map(p->objects, OBJECTS_RING);
	int r = new_event(p, ring, EV_READ | EV_PERSIST | EV_ET, on_ring_wake, &p->ring_wake);

	if (r >= 0)
		r = new_event(p, -1, EV_PERSIST, on_ring_timer, &p->ring_timer);
	if (r >= 0)
		r = new_event(p, -1, EV_PERSIST, on_poll_timer, &p->poll_timer);
	if (r >= 0)
		r = new_event(p, -1, 0, on_more, &p->more);
	if (r >= 0)
		r = new_event(p, -1, 0, on_changed, &p->changed);
	if (r >= 0 && p->conntrack)
		r = conntrack_events(p);
	return r;
}

static void free_event(struct event **e)
{
	if (*e)
		event_free(*e);
	*e = NULL;
}

void probe_loop_free(struct probe *p)
{
	free_event(&p->ring_wake);
	free_event(&p->ring_timer);
	free_event(&p->poll_timer);
	free_event(&p->more);
	free_event(&p->changed);
	free_event(&p->ct_events);
	free_event(&p->ct_dump);
}

void probe_start(struct probe *p)
{
	if (!p->on)
		return;
	/* A ring that cannot be polled is still read by the timer. */
	(void)event_add(p->ring_wake, NULL);
	p->record_at = clock_mono();
	every(p->ring_timer, p->opts.ring_every);
	every(p->poll_timer, p->opts.poll_every);
	if (p->ct_events)
		(void)event_add(p->ct_events, NULL);
	if (p->ct_dump)
		(void)event_add(p->ct_dump, NULL);
	go_on(p);
}

void probe_tune(struct probe *p, nsec_t poll_every)
{
	p->opts.poll_every = poll_every ? poll_every : PROBE_POLL_EVERY;
	if (p->on)
		every(p->poll_timer, p->opts.poll_every);
}

void probe_drain(struct probe *p)
{
	const nsec_t until = clock_mono() + DRAIN_MAX;

	if (!p->on)
		return;
	while (p->existing && clock_mono() < until)
		look_for_existing(p);
	existing_free(&p->existing); /* time is over: the ring matters more */
	do
		read_ring(p);
	while (p->more_ring && clock_mono() < until);
	while (p->conntrack && read_conntrack(p) > 0 && clock_mono() < until)
		;
	/* One that was under way began too early. */
	for (int i = p->more_poll ? 0 : 1; i < 2; i++) {
		ring_poll_begin(p->ring, clock_mono());
		do
			poll_on(p);
		while (p->more_poll && clock_mono() < until);
	}
	ring_counts(p->ring);
}
