/* Connections, epochs and buffers; see session.h. What is told about a pod is in pods.c, about a
 * flow in feed.c. */
#include "sink/reducer/session.h"

#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SESSION_RETRY NSEC_PER_SEC /* after -ENOMEM */

static const uint32_t newest_reducer[3] = {0, 11, 0};

static const struct inv_cursor_ops cursor_ops = {.dropped = pods_dropped};

static int init(struct session *s, const struct session_opts *o)
{
	int r;

	buf_init(&s->out, MAX(o->out_max ? o->out_max : SESSION_OUT_MAX, SESSION_OUT_MIN));
	buf_init(&s->scratch, WIRE_BATCH_MAX);
	announce_init(&s->text);
	hash_seed_init(&s->seed);
	r = wire_batch_init(&s->batch);
	if (r == 0)
		r = identity_init(&s->who, o);
	if (r == 0)
		r = waiting_new(&o->waiting, &s->waiting);
	if (r == 0)
		r = inventory_cursor_add(o->inventory, &cursor_ops, s, &s->cursor);
	if (r == 0 && o->flows)
		r = feed_new(o, &s->feed);
	return r;
}

int session_new(const struct session_opts *o, struct session **ret)
{
	const bool has_version = o->version[0] || o->version[1] || o->version[2];
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->inv = o->inventory;
	s->policy = o->policy;
	s->heartbeat = o->heartbeat ? o->heartbeat : SESSION_HEARTBEAT;
	s->taps = o->taps;
	s->taps_ctx = o->taps_ctx;
	memcpy(s->version, has_version ? o->version : newest_reducer, sizeof(s->version));
	r = init(s, o);
	if (r < 0) {
		session_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void session_tune(struct session *s, const struct waiting_opts *waiting, nsec_t heartbeat)
{
	waiting_tune(s->waiting, waiting);
	s->heartbeat = heartbeat ? heartbeat : SESSION_HEARTBEAT;
}

void session_free(struct session **sp)
{
	struct session *s = *sp;

	if (!s)
		return;
	if (s->cursor)
		inventory_cursor_remove(s->inv, &s->cursor);
	feed_free(&s->feed);
	waiting_free(&s->waiting);
	identity_done(&s->who);
	wire_batch_done(&s->batch);
	announce_done(&s->text);
	buf_done(&s->scratch);
	buf_done(&s->out);
	free(s->marks);
	free(s);
	*sp = NULL;
}

void session_connected(struct session *s, nsec_t now, nsec_t wall)
{
	session_disconnected(s);
	s->connected = true;
	s->now = now;
	s->wall = wall;
	s->last_put = now;
	s->step_end = identity_messages(&s->who);
	s->want_epoch = true;
	s->first_epoch = true;
	s->count.connections++;
	if (s->feed)
		feed_connected(s->feed);
	if (s->taps && s->taps->begin)
		s->taps->begin(s->taps_ctx);
}

void session_disconnected(struct session *s)
{
	if (s->connected)
		s->count.unsent += s->out.n + wire_batch_pending(&s->batch);
	s->connected = false;
	s->said_hello = false;
	s->starved = s->full = false;
	s->in_snapshot = false;
	s->have_usage = false;
	s->step = 0;
	buf_reset(&s->out);
	wire_batch_reset(&s->batch);
}

bool session_is_connected(const struct session *s)
{
	return s->connected;
}

int session_set_node(struct session *s, const struct node *n)
{
	const uint32_t at = identity_node(&s->who);
	int r;

	r = identity_set_node(&s->who, n);
	if (r < 0 || !s->connected || s->step <= at)
		return r;
	if (s->step == s->step_end) /* the handshake is over: these two alone */
		s->step_end = at + 2;
	s->step = at;
	return 0;
}

void session_usage(struct session *s, const struct session_usage *u)
{
	s->usage = *u;
	s->have_usage = s->connected;
}

void session_resync(struct session *s)
{
	s->want_epoch = true;
}

void session_pass_dead(struct session *s, nsec_t before)
{
	pod_id id;

	while (!s->connected && (id = inventory_cursor_dead(s->inv, s->cursor, before)))
		pods_pass(s, id);
}

int session_kind_state(struct session *s, enum kind kind, struct str ns, nsec_t since)
{
	return waiting_kind(s->waiting, kind, ns, since);
}

void session_received(struct session *s, size_t n)
{
	s->count.received += n;
}

static void tap_plain(struct session *s, size_t from)
{
	const struct str raw = buf_str(&s->batch.raw);

	s->count.plain_bytes += raw.n - from;
	if (s->taps && s->taps->plain)
		s->taps->plain(s->taps_ctx, str_from(raw, from));
}

int session_put(struct session *s, enum wire_id id, const void *m)
{
	const uint64_t frames = s->batch.frames;
	const size_t before = wire_batch_pending(&s->batch);
	int r;

	r = wire_batch_put(&s->batch, wire_desc((uint16_t)id), m, s->wall, &s->out);
	assert(r == 0 || r == -ENOBUFS || r == -ENOMEM); /* all texts have their limits */
	if (r < 0)
		return r == -ENOBUFS ? -EAGAIN : r;
	tap_plain(s, s->batch.frames == frames ? before : 0);
	s->last_put = s->now;
	return 0;
}

/* The one message that is not compressed. The out buffer is empty: it is the first. */
static int say_hello(struct session *s)
{
	const struct wire_version_info v = {
		.major = s->version[0],
		.minor = s->version[1],
		.patch = s->version[2],
	};
	int r;

	if (s->said_hello)
		return 0;
	r = wire_put_version_info(&s->out, s->wall, &v);
	if (r < 0)
		return r;
	s->said_hello = true;
	s->count.other++;
	s->count.plain_bytes += s->out.n;
	s->last_put = s->now;
	if (s->taps && s->taps->plain)
		s->taps->plain(s->taps_ctx, buf_str(&s->out));
	return 0;
}

static int say_who(struct session *s)
{
	struct identity_message m;
	int r;

	while (s->step < s->step_end) {
		identity_message(&s->who, s->step, &m);
		r = session_put(s, m.id, &m.m);
		if (r < 0)
			return r;
		s->step++;
		s->count.other++;
	}
	s->step = s->step_end = identity_messages(&s->who);
	return 0;
}

static int say_usage(struct session *s)
{
	const struct session_usage *u = &s->usage;
	const struct wire_agent_resource_usage m = {
		.user_mode_time_us = u->user_us,
		.kernel_mode_time_us = u->kernel_us,
		.max_resident_set_size = u->max_rss,
		.minor_page_faults = u->minor_faults,
		.major_page_faults = u->major_faults,
		.block_input_count = u->blocks_in,
		.block_output_count = u->blocks_out,
		.voluntary_context_switch_count = u->voluntary,
		.involuntary_context_switch_count = u->involuntary,
		.cpu_usage_by_agent = u->cpu_agent,
		.cpu_idle = u->cpu_idle,
	};
	int r;

	if (!s->have_usage)
		return 0;
	r = session_put(s, WIRE_agent_resource_usage, &m);
	if (r < 0)
		return r;
	s->have_usage = false;
	s->count.other++;
	return 0;
}

/* The reducer forgets all pods of this connection; every pod is told again. */
static int begin_epoch(struct session *s)
{
	const uint64_t epoch = MAX(s->count.epoch + 1, s->wall / NSEC_PER_SEC);
	const struct wire_pod_resync m = {.resync_count = epoch};
	int r;

	if (!s->want_epoch)
		return 0;
	r = session_put(s, WIRE_pod_resync, &m);
	if (r < 0)
		return r;
	if (++s->epoch_seq == 0) /* 0 means "told in no epoch" */
		s->epoch_seq = 1;
	s->count.epoch = epoch;
	s->count.epochs++;
	s->count.resyncs += !s->first_epoch;
	s->count.other++;
	s->first_epoch = false;
	s->want_epoch = false;
	s->in_snapshot = true;
	inventory_cursor_rewind(s->inv, s->cursor);
	return 0;
}

static void end_snapshot(struct session *s)
{
	s->count.snapshots += s->in_snapshot;
	s->in_snapshot = false;
}

/* 1: the slice is used up. 0: nothing is left to tell. */
static int tell_pods(struct session *s)
{
	int r;

	for (uint32_t n = 0; n < SESSION_SLICE; n++) {
		if (!s->half)
			s->half = pods_take(s);
		if (!s->half) {
			end_snapshot(s);
			return 0;
		}
		r = pods_tell(s, s->half);
		if (r == 0 && s->feed)
			r = feed_pod(s, s->half);
		if (r < 0)
			return r;
		s->half = 0;
	}
	return 1;
}

/*
 * Pods and flows take turns at who comes first, so that neither waits behind the other where the
 * buffer is the limit. A connection's first flows come after its first snapshot of pods: then the
 * reducer knows the pods that it looks for when a flow is new.
 */
static int tell(struct session *s)
{
	const bool begun = s->feed && feed_begun(s->feed);
	int r, q;

	s->flows_turn = begun && !s->flows_turn;
	r = s->flows_turn ? feed_run(s) : tell_pods(s);
	if (r < 0 || !s->feed || (r && !begun))
		return r;
	q = s->flows_turn ? tell_pods(s) : feed_run(s);
	return q < 0 ? q : r | q;
}

static int beat(struct session *s)
{
	int r;

	if (s->out.n || wire_batch_pending(&s->batch) || s->now - s->last_put < s->heartbeat)
		return 0;
	r = session_put(s, WIRE_heartbeat, NULL);
	if (r == 0)
		s->count.heartbeats++;
	return r;
}

static int run(struct session *s)
{
	int r;

	r = say_hello(s);
	if (r == 0)
		r = say_who(s);
	if (r == 0)
		r = begin_epoch(s);
	if (r == 0)
		r = say_usage(s);
	if (r == 0)
		r = tell(s);
	if (r)
		return r;
	if (waiting_overflow_over(s->waiting))
		s->want_epoch = true;
	if (s->want_epoch)
		return 1;
	return beat(s);
}

int session_run(struct session *s, nsec_t now, nsec_t wall)
{
	int r;

	if (!s->connected)
		return 0;
	s->now = now;
	s->wall = wall;
	r = run(s);
	if (r == 0) { /* nothing more to take: what there is goes out */
		r = wire_batch_flush(&s->batch, &s->out);
		if (r == -ENOBUFS)
			r = -EAGAIN;
	}
	s->starved = r == -ENOMEM;
	s->full = r == -EAGAIN;
	return r;
}

struct str session_output(const struct session *s)
{
	return buf_str(&s->out);
}

void session_sent(struct session *s, size_t n)
{
	const struct str sent = str_make(buf_str(&s->out).p, n);

	assert(n <= s->out.n);
	s->count.wire_bytes += n;
	if (n && s->taps && s->taps->wire)
		s->taps->wire(s->taps_ctx, sent);
	buf_consume(&s->out, n);
	s->full = s->full && !n;
}

nsec_t session_deadline(const struct session *s)
{
	nsec_t at;

	if (!s->connected || s->full) /* full: session_sent comes first */
		return NSEC_NEVER;
	at = waiting_deadline(s->waiting);
	if (!s->out.n)
		at = MIN(at, s->last_put + s->heartbeat);
	if (s->feed)
		at = MIN(at, feed_deadline(s));
	if (s->starved)
		at = MIN(at, s->now + SESSION_RETRY);
	return at;
}

uint32_t session_lag(const struct session *s)
{
	return inventory_cursor_lag(s->inv, s->cursor);
}

bool session_at_rest(const struct session *s)
{
	return s->connected && s->said_hello && s->step == s->step_end && !s->want_epoch &&
	       !s->have_usage && !s->half && inventory_cursor_at_end(s->inv, s->cursor) &&
	       (!s->feed || feed_at_rest(s->feed)) && !s->out.n && !wire_batch_pending(&s->batch);
}

void session_counters(const struct session *s, struct session_counters *ret)
{
	*ret = s->count;
	if (s->feed)
		ret->flows.dropped = feed_dropped(s->feed);
	ret->overflows = waiting_overflows(s->waiting);
	ret->waiting = waiting_count(s->waiting);
}

size_t session_bytes(const struct session *s)
{
	return sizeof(*s) + s->out.cap + s->scratch.cap + s->text.version.cap + s->batch.raw.cap +
	       s->n_marks * sizeof(*s->marks) + (s->feed ? feed_bytes(s->feed) : 0);
}
