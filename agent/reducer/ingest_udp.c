/* Messages about UDP sockets and DNS. */
#include "reducer/ingest_state.h"

#include <inttypes.h>

#define MAX_NAME 256 /* bytes of domain_name */

static int on_new(struct ingest *in, const struct wire_msg *m)
{
	struct wire_udp_new_socket w;
	struct span_udp *u;
	pool_id proc, id;
	int r;

	(void)wire_get_udp_new_socket(m, &w);
	if (span_udp_find(in, w.sk_id)) {
		warn(in, m, "udp_new_socket of %" PRIu32 ", which is there already: dropped",
		     w.sk_id);
		return 0;
	}
	if (!w.lport)
		warn(in, m, "udp_new_socket of %" PRIu32 " without a port", w.sk_id);
	proc = span_proc_find(in, w.pid);
	if (!proc)
		warn(in, m, "UDP socket %" PRIu32 " of process %" PRIu32 ", which is not there",
		     w.sk_id, w.pid);
	r = span_udp_add(in, w.sk_id, &id);
	if (r == -ENOSPC)
		warn(in, m, "UDP socket %" PRIu32 " dropped: too many", w.sk_id);
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	u = span_udp_at(in, id);
	u->proc = proc;
	u->lport = w.lport;
	memcpy(u->laddr.b, w.laddr.p, sizeof(u->laddr.b));
	if (proc)
		span_proc_at(in, proc)->refs++;
	return 0;
}

static pool_id udp_of(struct ingest *in, const struct wire_msg *m)
{
	const uint32_t sk_id = (uint32_t)wire_value(m, STR("sk_id"))->u;
	const pool_id id = span_udp_find(in, sk_id);

	if (!id)
		warn(in, m, "%s of UDP socket %" PRIu32 ", which is not there", m->desc->name,
		     sk_id);
	return id;
}

static int resolve(struct ingest *in, struct span_udp *u, traffic_node *ret)
{
	return span_proc_resolve(in, u->proc, ret, &u->named);
}

/* Its flows of both directions get the name, once it is there. */
static int resolve_again(struct ingest *in, struct span_udp *u)
{
	traffic_node node;
	int r;

	if (u->named)
		return 0;
	r = resolve(in, u, &node);
	if (r < 0 || !u->named)
		return r;
	for (int rx = 0; rx < 2; rx++)
		if (u->remote[rx].link)
			traffic_set_node(reducer_table_traffic(in->o.table), u->remote[rx].link,
					 u->remote[rx].side, node);
	return 0;
}

static int set_remote(struct ingest *in, struct span_udp *u, bool rx, const struct addr *ip,
		      uint16_t port)
{
	struct traffic *t = reducer_table_traffic(in->o.table);
	struct span_remote *to = &u->remote[rx];
	const struct span_remote old = *to;
	traffic_node node;
	int r;

	r = resolve(in, u, &node);
	if (r < 0)
		return r;
	*to = (struct span_remote){.ip = *ip, .port = port};
	r = traffic_open(t,
			 &(struct traffic_tuple){.udp = true,
						 .laddr = u->laddr,
						 .lport = u->lport,
						 .raddr = *ip,
						 .rport = port},
			 node, in->last_data, &to->link, &to->side);
	if (old.link)
		traffic_close(t, old.link, old.side, false, in->last_data);
	return r == -ENOSPC ? 0 : r;
}

static int add(struct ingest *in, struct span_udp *u, bool rx, uint64_t packets, uint64_t bytes)
{
	const struct span_remote *to = &u->remote[rx];
	struct traffic_counts c = {0};
	int r = resolve_again(in, u);

	if (r < 0 || !to->link)
		return r;
	*(rx ? &c.received : &c.sent) = bytes;
	*(rx ? &c.packets_in : &c.packets_out) = packets;
	traffic_add(reducer_table_traffic(in->o.table), to->link, to->side, &c);
	return 0;
}

static int on_stats(struct ingest *in, const struct wire_msg *m)
{
	const pool_id id = udp_of(in, m);
	const uint64_t is_rx = wire_value(m, STR("is_rx"))->u;
	const uint64_t packets = wire_value(m, STR("packets"))->u;
	const uint64_t bytes = wire_value(m, STR("bytes"))->u;
	struct wire_udp_stats_addr_changed_v4 v4;
	struct wire_udp_stats_addr_changed_v6 v6;
	struct addr ip = {.b = {[10] = 0xff, [11] = 0xff}};
	struct span_udp *u;
	int r = 0;

	if (!id)
		return 0;
	u = span_udp_at(in, id);
	if (is_rx > 1) {
		warn(in, m, "%s with is_rx %" PRIu64 ": ignored", m->desc->name, is_rx);
		return 0;
	}
	if (wire_get_udp_stats_addr_changed_v4(m, &v4)) {
		memcpy(ip.b + 12, &v4.raddr, sizeof(v4.raddr));
		r = set_remote(in, u, is_rx, &ip, v4.rport);
	} else if (wire_get_udp_stats_addr_changed_v6(m, &v6)) {
		memcpy(ip.b, v6.raddr.p, sizeof(ip.b));
		r = set_remote(in, u, is_rx, &ip, v6.rport);
	} else if (!u->remote[is_rx].port) {
		warn(in, m, "%s of UDP socket %" PRIu32 " before its address", m->desc->name,
		     u->sk_id);
	}
	return r < 0 ? r : add(in, u, is_rx, packets, bytes);
}

/* Counted for the remote of one direction. */
static int add_to(struct ingest *in, const struct wire_msg *m, bool rx,
		  const struct traffic_counts *c)
{
	const pool_id id = udp_of(in, m);
	struct span_udp *u;
	int r;

	if (!id)
		return 0;
	u = span_udp_at(in, id);
	if (!u->remote[rx].port)
		warn(in, m, "%s of UDP socket %" PRIu32 " before its address", m->desc->name,
		     u->sk_id);
	r = resolve_again(in, u);
	if (r == 0 && u->remote[rx].link)
		traffic_add(reducer_table_traffic(in->o.table), u->remote[rx].link,
			    u->remote[rx].side, c);
	return r;
}

static void learn(struct ingest *in, const struct wire_dns_response *w)
{
	struct traffic *t = reducer_table_traffic(in->o.table);
	struct addr ip = {.b = {[10] = 0xff, [11] = 0xff}};

	for (size_t i = 0; i + 4 <= w->ipv4_addrs.n; i += 4) {
		memcpy(ip.b + 12, w->ipv4_addrs.p + i, 4);
		traffic_name(t, &ip, w->domain_name);
	}
	for (size_t i = 0; i + 16 <= w->ipv6_addrs.n; i += 16) {
		memcpy(ip.b, w->ipv6_addrs.p + i, 16);
		traffic_name(t, &ip, w->domain_name);
	}
}

static int on_response(struct ingest *in, const struct wire_msg *m)
{
	struct traffic_counts c = {.dns_responses = 1, .dns_n = 1};
	struct wire_dns_response w;

	(void)wire_get_dns_response(m, &w);
	if (w.domain_name.n > MAX_NAME || w.total_dn_len < w.domain_name.n)
		warn(in, m, "dns_response with a name of %zu bytes and a length of %u",
		     w.domain_name.n, w.total_dn_len);
	if (w.ipv4_addrs.n % 4 || w.ipv6_addrs.n % 16)
		warn(in, m, "dns_response with a part of an address");
	if (w.client_server > 1)
		warn(in, m, "dns_response with client_server %u", w.client_server);
	learn(in, &w);
	c.dns_ns = w.latency_ns;
	return add_to(in, m, false, &c);
}

static int on_destroy(struct ingest *in, const struct wire_msg *m)
{
	const pool_id id = udp_of(in, m);

	if (id)
		span_udp_close(in, id, false);
	return 0;
}

int ingest_udp(struct ingest *in, const struct wire_msg *m)
{
	switch (m->desc->id) {
	case WIRE_udp_new_socket:
		return on_new(in, m);
	case WIRE_udp_stats_addr_changed_v4:
	case WIRE_udp_stats_addr_changed_v6:
	case WIRE_udp_stats_addr_unchanged:
		return on_stats(in, m);
	case WIRE_udp_stats_drops_changed:
		return add_to(in, m, true,
			      &(struct traffic_counts){.drops = wire_value(m, STR("drops"))->u});
	case WIRE_dns_response:
		return on_response(in, m);
	case WIRE_dns_timeout:
		return add_to(in, m, false, &(struct traffic_counts){.dns_timeouts = 1});
	case WIRE_udp_destroy_socket:
		return on_destroy(in, m);
	default:
		return 1;
	}
}
