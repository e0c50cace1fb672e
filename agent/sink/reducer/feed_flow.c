/*
 * One flow of the change log: its mark, what is left out, and whose socket has to be
 * closed though its flow is there no more.
 */
#include "sink/reducer/feed.h"

#include "base/mem.h"
#include "sink/reducer/state.h"

#define ORPHANS_SLICE 4096 /* marks looked at in one run */

static int marks_reach(struct feed *f, flow_id id)
{
	if (id < f->n_marks)
		return 0;
	return mem_reach(&f->marks, &f->n_marks, sizeof(*f->marks),
			 session_room(MAX(flows_ids(f->flows), id)));
}

/* This connection's flags of the flow; begins them anew for a new one. */
static void begin_marks(struct feed *f, struct feed_flow *m)
{
	if (m->conn == f->conn)
		return;
	m->conn = f->conn;
	m->flags &= (uint8_t)~FEED_CONN;
	m->udp = 0;
	if (!f->retell)
		return;
	m->sent = m->received = m->segs_out = m->segs_in = m->dropped = 0;
	m->retrans = 0;
	m->flags &= (uint8_t)~FEED_END;
}

/* The reducer has a socket of a flow that is there no more. */
static int close_orphan(struct session *s, struct feed_flow *m)
{
	struct feed *f = s->feed;
	int r = 0;

	if (m->conn == f->conn && m->udp) {
		struct feed_udp *u = pool_at(&f->udp, m->udp);

		if (m->flags & FEED_SOCK)
			u->flows--;
		m->flags &= (uint8_t)~FEED_SOCK;
		r = feed_udp_close(s, m->udp);
	} else if (m->conn == f->conn && (m->flags & FEED_SOCK)) {
		r = feed_put(s, WIRE_close_sock_info,
			     &(struct wire_close_sock_info){.sk = m->serial},
			     &s->count.flows.sock_closes);
	}
	if (r == 0)
		*m = (struct feed_flow){0};
	return r;
}

/* 127.0.0.0/8 and ::1. */
static bool is_loopback(const struct addr *a)
{
	static const struct addr six = {.b = {[15] = 1}};

	return addr_is_v4(a) ? a->b[12] == 127 : addr_eq(a, &six);
}

static bool is_host(const struct session *s, const struct addr *a)
{
	for (uint32_t i = 0; i < s->who.n_addrs; i++)
		if (addr_eq(&s->who.addrs[i], a))
			return true;
	return false;
}

/* The reducer drops these: flows of the loopback, and of an address with itself that is none of the
 * host's. */
bool feed_is_local(const struct session *s, const struct addr *a, const struct addr *b)
{
	if (is_loopback(a) || is_loopback(b))
		return true;
	return addr_eq(a, b) && !is_host(s, a);
}

/*
 * What it counted before the agent was there belongs to the past: as a delta of now it would be a
 * peak that never was. (With `retell` the reducer gets all there is.)
 */
static void set_base(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	if (m->flags & FEED_BASED)
		return;
	m->flags |= FEED_BASED;
	if (feed_is_local(s, &v->laddr, &v->raddr)) {
		m->flags |= FEED_LEFT_OUT;
		s->count.flows.local++;
		return;
	}
	if (!v->pre_existing || s->feed->retell)
		return;
	m->sent = v->counters.sent;
	m->received = v->counters.received;
	m->segs_out = v->counters.segs_out;
	m->segs_in = v->counters.segs_in;
	m->retrans = v->counters.retrans;
	s->count.flows.began_before++;
}

int feed_flow(struct session *s, flow_id id)
{
	struct feed *f = s->feed;
	struct feed_flow *m;
	struct flow_view v;
	int r = 0;

	if (!flows_at(f->flows, id, &v)) /* taken away since */
		return 0;
	r = marks_reach(f, id);
	if (r < 0)
		return r;
	m = &f->marks[id];
	if (m->serial != v.serial) {
		r = close_orphan(s, m);
		if (r < 0)
			return r;
		*m = (struct feed_flow){.serial = v.serial};
	}
	begin_marks(f, m);
	set_base(s, m, &v);
	if (!(m->flags & (FEED_CLOSED | FEED_LEFT_OUT)))
		r = v.proto == FLOW_TCP ? feed_tcp(s, m, &v) : feed_udp_flow(s, m, &v);
	if (r < 0)
		return r;
	if (v.state != FLOW_OPEN)
		flows_cursor_done(f->flows, f->cursor, id);
	f->log_moved++;
	return 0;
}

/* The table's bound took ended flows away before they were told to the end: their sockets are
 * closed. 1: more to look at. */
int feed_orphans(struct session *s)
{
	struct feed *f = s->feed;
	const uint64_t dropped = flows_cursor_dropped(f->cursor);
	struct flow_view v;
	int r;

	if (!f->orphan_at && dropped == f->dropped)
		return 0;
	if (!f->orphan_at) {
		f->dropped = dropped;
		f->orphan_at = 1;
	}
	for (uint32_t n = 0; n < ORPHANS_SLICE && f->orphan_at < f->n_marks; n++) {
		struct feed_flow *m = &f->marks[f->orphan_at];

		if (m->serial && (!flows_at(f->flows, f->orphan_at, &v) || v.serial != m->serial)) {
			r = close_orphan(s, m);
			if (r < 0)
				return r;
		}
		f->orphan_at++;
	}
	if (f->orphan_at < f->n_marks)
		return 1;
	f->orphan_at = 0;
	return 0;
}
