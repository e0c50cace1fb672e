/* Messages about TCP sockets. */
#include "reducer/ingest_state.h"

#include <inttypes.h>

/* The reducer counts nothing of a larger one. */
#define MAX_BYTES (1ULL << 56)
#define MAX_COUNT (1U << 28)
#define SRTT_UNIT 8 /* max_srtt is in eighths of a microsecond */

static struct addr from_v4(uint32_t raw)
{
	struct addr a = {.b = {[10] = 0xff, [11] = 0xff}};

	memcpy(a.b + 12, &raw, sizeof(raw));
	return a;
}

static struct addr from_bytes(struct str s)
{
	struct addr a = {0};

	memcpy(a.b, s.p, s.n < sizeof(a.b) ? s.n : sizeof(a.b));
	return a;
}

static bool is_loopback(const struct addr *a)
{
	static const struct addr six = {.b = {[15] = 1}};

	return addr_is_v4(a) ? a->b[12] == 127 : addr_eq(a, &six);
}

static int on_new(struct ingest *in, const struct wire_msg *m)
{
	struct wire_new_sock_info w;
	pool_id proc, id;
	int r;

	(void)wire_get_new_sock_info(m, &w);
	if (span_sock_find(in, w.sk)) {
		warn(in, m, "new_sock_info of %" PRIu64 ", which is there already: dropped", w.sk);
		return 0;
	}
	proc = span_proc_find(in, w.pid);
	if (!proc)
		warn(in, m, "socket %" PRIu64 " of process %" PRIu32 ", which is not there", w.sk,
		     w.pid);
	r = span_sock_add(in, w.sk, &id);
	if (r == -ENOSPC)
		warn(in, m, "socket %" PRIu64 " dropped: too many", w.sk);
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	span_sock_at(in, id)->proc = proc;
	if (proc)
		span_proc_at(in, proc)->refs++;
	return 0;
}

/* The socket of a message that has `sk`; 0 when it is not there: said. */
static pool_id sock_of(struct ingest *in, const struct wire_msg *m)
{
	const uint64_t sk = wire_value(m, STR("sk"))->u;
	const pool_id id = span_sock_find(in, sk);

	if (!id)
		warn(in, m, "%s of socket %" PRIu64 ", which is not there", m->desc->name, sk);
	return id;
}

/* Takes its place among the connections; full tables are the table's to count. */
static int join(struct ingest *in, struct span_sock *k)
{
	traffic_node node;
	int r;

	r = span_proc_resolve(in, k->proc, &node, &k->named);
	if (r < 0)
		return r;
	r = traffic_open(reducer_table_traffic(in->o.table), &k->tuple, node, in->last_data,
			 &k->link, &k->side);
	return r == -ENOSPC ? 0 : r;
}

/* A flow whose pod was not known is looked up again with each message. */
static int resolve_again(struct ingest *in, struct span_sock *k)
{
	traffic_node node;
	int r;

	if (k->named || !k->link)
		return 0;
	r = span_proc_resolve(in, k->proc, &node, &k->named);
	if (r == 0 && node)
		traffic_set_node(reducer_table_traffic(in->o.table), k->link, k->side, node);
	return r;
}

static int set_state(struct ingest *in, const struct wire_msg *m, const struct traffic_tuple *t)
{
	const pool_id id = sock_of(in, m);
	struct span_sock *k;

	if (!id)
		return 0;
	k = span_sock_at(in, id);
	if (k->has_state) {
		if (!addr_eq(&k->asked_ip, &t->raddr) || k->asked_port != t->rport ||
		    !addr_eq(&k->tuple.laddr, &t->laddr) || k->tuple.lport != t->lport)
			warn(in, m, "%s of socket %" PRIu64 " with other addresses: refused",
			     m->desc->name, k->sk);
		return 0;
	}
	k->has_state = true;
	k->tuple = *t;
	k->asked_ip = t->raddr;
	k->asked_port = t->rport;
	if (t->tx_rx > 2)
		warn(in, m, "%s with tx_rx %" PRIu32, m->desc->name, t->tx_rx);
	if (is_loopback(&t->laddr) || is_loopback(&t->raddr)) {
		warn(in, m, "%s of the loopback: the reducer drops it", m->desc->name);
		return 0;
	}
	return join(in, k);
}

static int on_v4(struct ingest *in, const struct wire_msg *m)
{
	struct wire_set_state_ipv4 w;

	(void)wire_get_set_state_ipv4(m, &w);
	return set_state(in, m,
			 &(struct traffic_tuple){.laddr = from_v4(w.src),
						 .lport = w.sport,
						 .raddr = from_v4(w.dest),
						 .rport = w.dport,
						 .tx_rx = w.tx_rx});
}

static int on_v6(struct ingest *in, const struct wire_msg *m)
{
	struct wire_set_state_ipv6 w;

	(void)wire_get_set_state_ipv6(m, &w);
	return set_state(in, m,
			 &(struct traffic_tuple){.laddr = from_bytes(w.src),
						 .lport = w.sport,
						 .raddr = from_bytes(w.dest),
						 .rport = w.dport,
						 .tx_rx = w.tx_rx});
}

static uint16_t from_net(uint16_t port)
{
	return (uint16_t)(port << 8 | port >> 8);
}

static int on_nat(struct ingest *in, const struct wire_msg *m)
{
	struct wire_nat_remapping w;
	struct traffic *t = reducer_table_traffic(in->o.table);
	struct traffic_counts c = {0};
	struct span_sock *k;
	struct addr src;
	pool_id id;
	int r;

	(void)wire_get_nat_remapping(m, &w);
	id = sock_of(in, m);
	if (!id)
		return 0;
	k = span_sock_at(in, id);
	if (!k->has_state) {
		warn(in, m, "nat_remapping of socket %" PRIu64 " before its addresses", k->sk);
		return 0;
	}
	src = from_v4(w.src);
	if (addr_eq(&src, &k->tuple.laddr) && from_net(w.sport) != k->tuple.lport)
		warn(in, m, "nat_remapping of socket %" PRIu64 ": source port %u is not its %u",
		     k->sk, from_net(w.sport), k->tuple.lport);
	if (k->link)
		traffic_retract(t, k->link, k->side, &c);
	k->link = 0;
	k->tuple.raddr = from_v4(w.dst);
	k->tuple.rport = from_net(w.dport);
	r = join(in, k);
	if (r == 0 && k->link)
		traffic_add(t, k->link, k->side, &c);
	return r;
}

/* What it says is counted for its connection. */
static int add(struct ingest *in, const struct wire_msg *m, const struct traffic_counts *c)
{
	const pool_id id = sock_of(in, m);
	struct span_sock *k;
	int r;

	if (!id)
		return 0;
	k = span_sock_at(in, id);
	if (!k->has_state)
		warn(in, m, "%s of socket %" PRIu64 " before its addresses", m->desc->name, k->sk);
	if (!k->link)
		return 0;
	r = resolve_again(in, k);
	if (r == 0)
		traffic_add(reducer_table_traffic(in->o.table), k->link, k->side, c);
	return r;
}

static int on_stats(struct ingest *in, const struct wire_msg *m)
{
	struct wire_socket_stats w;
	struct traffic_counts c = {0};

	(void)wire_get_socket_stats(m, &w);
	if (w.is_rx > 1) {
		warn(in, m, "socket_stats with is_rx %u: ignored", w.is_rx);
		return 0;
	}
	if (w.diff_bytes > MAX_BYTES || w.diff_delivered > MAX_COUNT || w.diff_retrans > MAX_COUNT)
		warn(in, m, "socket_stats of %" PRIu64 " over the reducer's bounds: counts as 0",
		     w.sk);
	w.diff_bytes = w.diff_bytes > MAX_BYTES ? 0 : w.diff_bytes;
	w.diff_delivered = w.diff_delivered > MAX_COUNT ? 0 : w.diff_delivered;
	w.diff_retrans = w.diff_retrans > MAX_COUNT ? 0 : w.diff_retrans;
	if (w.is_rx) {
		c.received = w.diff_bytes;
		c.packets_in = w.diff_delivered;
		return add(in, m, &c);
	}
	c.sent = w.diff_bytes;
	c.packets_out = w.diff_delivered;
	c.retrans = w.diff_retrans;
	c.rtt_sum = w.max_srtt / SRTT_UNIT;
	c.rtt_n = w.max_srtt != 0;
	return add(in, m, &c);
}

static int on_close(struct ingest *in, const struct wire_msg *m)
{
	const pool_id id = sock_of(in, m);
	int r;

	if (!id)
		return 0;
	r = resolve_again(in, span_sock_at(in, id));
	if (r == 0)
		span_sock_close(in, id, false);
	return r;
}

int ingest_tcp(struct ingest *in, const struct wire_msg *m)
{
	switch (m->desc->id) {
	case WIRE_new_sock_info:
		return on_new(in, m);
	case WIRE_set_state_ipv4:
		return on_v4(in, m);
	case WIRE_set_state_ipv6:
		return on_v6(in, m);
	case WIRE_nat_remapping:
		return on_nat(in, m);
	case WIRE_socket_stats:
		return on_stats(in, m);
	case WIRE_syn_timeout:
		return add(in, m, &(struct traffic_counts){.syn_timeouts = 1});
	case WIRE_tcp_reset:
		return add(in, m, &(struct traffic_counts){.resets = 1});
	case WIRE_close_sock_info:
		return on_close(in, m);
	default:
		return 1;
	}
}
