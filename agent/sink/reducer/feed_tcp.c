/*
 * One TCP connection: new_sock_info, set_state, nat_remapping, socket_stats, its end.
 *
 * A socket's key on the wire is its flow's serial, which never comes again; kernel
 * addresses do, and are nobody's business on a network.
 *
 * Service addresses: set_state has the address that was asked for and nat_remapping
 * the backend, so that a translation that is learnt late is told in the same way. On the
 * wire nat_remapping knows IPv4 only: an IPv6 connection has its backend in set_state,
 * and where that is learnt too late the reducer keeps the service's address (counted).
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

#include <errno.h>

/* The reducer takes larger ones for an error and counts nothing. */
#define MAX_BYTES (1ULL << 56)
#define MAX_COUNT (1U << 28)
/* The kernel keeps eighths of a microsecond (tcp_sock.srtt_us, rcv_rtt_est.rtt_us). */
#define SRTT_SHIFT 3

enum tx_rx { TX_RX_UNKNOWN, TX_RX_CONNECTOR, TX_RX_ACCEPTOR };

static uint32_t tx_rx(enum flow_dir d)
{
	if (d == FLOW_OUT)
		return TX_RX_CONNECTOR;
	return d == FLOW_IN ? TX_RX_ACCEPTOR : TX_RX_UNKNOWN;
}

/* The four bytes as they are. */
static uint32_t raw_v4(const struct addr *a)
{
	uint32_t v;

	memcpy(&v, a->b + 12, sizeof(v));
	return v;
}

static uint16_t raw_port(uint16_t port)
{
	return (uint16_t)(port << 8 | port >> 8);
}

static bool has_nat(const struct flow_view *v)
{
	return v->translated && addr_is_v4(&v->laddr) && addr_is_v4(&v->raddr) &&
	       addr_is_v4(&v->asked.ip);
}

static int put_sock(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	uint32_t pid;
	int r;

	if (m->flags & FEED_SOCK)
		return 0;
	r = feed_owner(s, v, &pid);
	if (r == 0)
		r = feed_put(s, WIRE_new_sock_info,
			     &(struct wire_new_sock_info){.pid = pid, .sk = m->serial},
			     &s->count.flows.socks);
	if (r == 0)
		m->flags |= FEED_SOCK;
	return r;
}

static int put_v4(struct session *s, const struct flow_view *v)
{
	const bool nat = has_nat(v);

	return feed_put(s, WIRE_set_state_ipv4,
			&(struct wire_set_state_ipv4){
				.sk = v->serial,
				.src = raw_v4(&v->laddr),
				.sport = v->lport,
				.dest = raw_v4(nat ? &v->asked.ip : &v->raddr),
				.dport = nat ? v->asked.port : v->rport,
				.tx_rx = tx_rx(v->dir),
			},
			&s->count.other);
}

static int put_v6(struct session *s, const struct flow_view *v)
{
	return feed_put(s, WIRE_set_state_ipv6,
			&(struct wire_set_state_ipv6){
				.sk = v->serial,
				.src = str_make(v->laddr.b, sizeof(v->laddr.b)),
				.sport = v->lport,
				.dest = str_make(v->raddr.b, sizeof(v->raddr.b)),
				.dport = v->rport,
				.tx_rx = tx_rx(v->dir),
			},
			&s->count.other);
}

static int put_state(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	int r;

	if (m->flags & FEED_STATE)
		return 0;
	r = addr_is_v4(&v->laddr) && addr_is_v4(&v->raddr) ? put_v4(s, v) : put_v6(s, v);
	if (r < 0)
		return r;
	m->flags |= FEED_STATE | FEED_KNOWN;
	if (v->translated && !has_nat(v)) {
		m->flags |= FEED_NAT; /* the backend is what was told */
		m->nat_ip = 0;
		m->nat_port = v->rport;
	}
	return 0;
}

static int put_nat(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	const uint32_t ip = raw_v4(&v->raddr);
	int r;

	if (!v->translated)
		return 0;
	if (!has_nat(v)) {
		s->count.flows.nat_v6 += !(m->flags & FEED_NAT);
		m->flags |= FEED_NAT;
		return 0;
	}
	if ((m->flags & FEED_NAT) && m->nat_ip == ip && m->nat_port == v->rport)
		return 0;
	r = feed_put(s, WIRE_nat_remapping,
		     &(struct wire_nat_remapping){
			     .sk = m->serial,
			     .src = raw_v4(&v->laddr),
			     .sport = raw_port(v->lport),
			     .dst = ip,
			     .dport = raw_port(v->rport),
		     },
		     &s->count.flows.nats);
	if (r < 0)
		return r;
	m->flags |= FEED_NAT;
	m->nat_ip = ip;
	m->nat_port = v->rport;
	return 0;
}

/* What is new since `told`, at most `max`; counters that went back say nothing. */
static uint64_t delta(uint64_t now, uint64_t told, uint64_t max)
{
	return now > told ? MIN(now - told, max) : 0;
}

/* A value in the kernel's unit that the reducer takes. */
static uint32_t rtt_of(uint32_t us)
{
	return (uint32_t)MIN((uint64_t)us << SRTT_SHIFT, (uint64_t)MAX_COUNT);
}

/* One direction, in as many messages as its fields need. */
static int put_stats(struct session *s, struct feed_flow *m, const struct flow_view *v, bool rx)
{
	const struct flow_counters *c = &v->counters;
	uint64_t *bytes = rx ? &m->received : &m->sent;
	uint64_t *segs = rx ? &m->segs_in : &m->segs_out;
	int r;

	for (;;) {
		const struct wire_socket_stats w = {
			.sk = m->serial,
			.is_rx = rx,
			.diff_bytes = delta(rx ? c->received : c->sent, *bytes, MAX_BYTES),
			.diff_delivered =
				(uint32_t)delta(rx ? c->segs_in : c->segs_out, *segs, MAX_COUNT),
			.diff_retrans = rx ? 0 : (uint32_t)delta(c->retrans, m->retrans, MAX_COUNT),
			.max_srtt = rtt_of(rx ? c->rcv_rtt_us : c->rtt_us),
		};

		if (!w.diff_bytes && !w.diff_delivered && !w.diff_retrans)
			return 0;
		r = feed_put(s, WIRE_socket_stats, &w, &s->count.flows.stats);
		if (r < 0)
			return r;
		*bytes += w.diff_bytes;
		*segs += w.diff_delivered;
		m->retrans += w.diff_retrans;
	}
}

/* A refused connection was answered by a reset. */
static int put_end(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	const bool rx = v->reason == FLOW_REASON_RST_RECEIVED || v->reason == FLOW_REASON_REFUSED;
	int r = 0;

	if (m->flags & FEED_END)
		return 0;
	if (v->syn_timeout)
		r = feed_put(s, WIRE_syn_timeout, &(struct wire_syn_timeout){.sk = m->serial},
			     &s->count.flows.syn_timeouts);
	else if (rx || v->reason == FLOW_REASON_RST_SENT)
		r = feed_put(s, WIRE_tcp_reset,
			     &(struct wire_tcp_reset){.sk = m->serial, .is_rx = rx},
			     &s->count.flows.resets);
	if (r == 0)
		m->flags |= FEED_END;
	return r;
}

static int put_close(struct session *s, struct feed_flow *m)
{
	const int r =
		feed_put(s, WIRE_close_sock_info, &(struct wire_close_sock_info){.sk = m->serial},
			 &s->count.flows.sock_closes);

	if (r < 0)
		return r;
	m->flags &= (uint8_t)~FEED_CONN;
	m->flags |= FEED_CLOSED;
	return 0;
}

int feed_tcp(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	int r;

	r = put_sock(s, m, v);
	if (r == 0)
		r = put_state(s, m, v);
	if (r == 0)
		r = put_nat(s, m, v);
	if (r == 0)
		r = put_stats(s, m, v, false);
	if (r == 0)
		r = put_stats(s, m, v, true);
	if (r < 0 || v->state == FLOW_OPEN)
		return r;
	r = put_end(s, m, v);
	return r < 0 ? r : put_close(s, m);
}
