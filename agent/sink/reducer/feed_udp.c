/*
 * UDP. The protocol knows sockets with one remote at a time for each direction, the
 * flow table conversations. A socket here is a local end (cgroup, address, port): a
 * server with ten thousand clients is one of the reducer's 120,000 UDP sockets, not
 * ten thousand, and each delta is preceded by its remote where that differs from the
 * last. Its id is its place in a pool of FEED_MAX_UDP, which is used again after
 * udp_destroy_socket.
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

#include <errno.h>

#define MAX_BYTES   UINT32_MAX /* of one message's field */
#define MAX_PACKETS (1U << 28) /* as for TCP */

static uint32_t hash_local(const struct session *s, cgroup_ix cgroup, const struct addr *a,
			   uint16_t port)
{
	struct {
		struct addr ip;
		uint32_t cgroup, port;
	} k = {.ip = *a, .cgroup = cgroup, .port = port};

	return feed_hash(s, &k, sizeof(k));
}

static pool_id find(const struct session *s, cgroup_ix cgroup, const struct addr *a, uint16_t port)
{
	const struct feed *f = s->feed;
	const uint32_t h = hash_local(s, cgroup, a, port);
	uint32_t at, id;

	for (id = index_first(&f->by_local, h, &at); id; id = index_next(&f->by_local, h, &at)) {
		const struct feed_udp *u = pool_at(&f->udp, id);

		if (u->cgroup == cgroup && u->lport == port && addr_eq(&u->laddr, a))
			break;
	}
	return id;
}

static int put_new(struct session *s, pool_id id, const struct feed_udp *u, uint32_t pid)
{
	return feed_put(s, WIRE_udp_new_socket,
			&(struct wire_udp_new_socket){
				.pid = pid,
				.sk_id = id,
				.laddr = str_make(u->laddr.b, sizeof(u->laddr.b)),
				.lport = u->lport,
			},
			&s->count.flows.udp_socks);
}

static int create(struct session *s, const struct flow_view *v, uint32_t pid, uint32_t *ret)
{
	struct feed *f = s->feed;
	struct feed_udp *u;
	pool_id id;
	int r;

	if (f->udp.live >= f->udp.max) {
		s->count.flows.udp_full++;
		*ret = 0;
		return 0;
	}
	r = index_reserve(&f->by_local, 1);
	id = r < 0 ? 0 : pool_alloc(&f->udp);
	if (!id)
		return -ENOMEM;
	u = pool_at(&f->udp, id);
	*u = (struct feed_udp){
		.laddr = v->laddr, .lport = v->lport, .cgroup = v->cgroup, .used = true};
	r = put_new(s, id, u, pid);
	if (r < 0) {
		pool_release(&f->udp, id);
		return r;
	}
	(void)index_put(&f->by_local, hash_local(s, u->cgroup, &u->laddr, u->lport), id);
	*ret = id;
	return 0;
}

int feed_udp_need(struct session *s, const struct flow_view *v, uint32_t *ret)
{
	uint32_t pid;
	int r;

	*ret = find(s, v->cgroup, &v->laddr, v->lport);
	if (*ret)
		return 0;
	r = feed_owner(s, v, &pid);
	return r < 0 ? r : create(s, v, pid, ret);
}

int feed_udp_close(struct session *s, uint32_t id)
{
	struct feed *f = s->feed;
	struct feed_udp *u = pool_at(&f->udp, id);
	int r;

	if (u->flows)
		return 0;
	r = feed_put(s, WIRE_udp_destroy_socket, &(struct wire_udp_destroy_socket){.sk_id = id},
		     &s->count.flows.udp_closes);
	if (r < 0)
		return r;
	index_del(&f->by_local, hash_local(s, u->cgroup, &u->laddr, u->lport), id);
	u->used = false;
	pool_release(&f->udp, id);
	return 0;
}

struct step { /* one message's worth */
	uint32_t bytes, packets;
};

static int put_changed(struct session *s, uint32_t id, bool rx, const struct feed_remote *to,
		       struct step d)
{
	uint32_t v4;

	if (!addr_is_v4(&to->ip))
		return feed_put(s, WIRE_udp_stats_addr_changed_v6,
				&(struct wire_udp_stats_addr_changed_v6){
					.sk_id = id,
					.is_rx = rx,
					.packets = d.packets,
					.bytes = d.bytes,
					.raddr = str_make(to->ip.b, sizeof(to->ip.b)),
					.rport = to->port,
				},
				&s->count.flows.udp_stats);
	memcpy(&v4, to->ip.b + 12, sizeof(v4));
	return feed_put(s, WIRE_udp_stats_addr_changed_v4,
			&(struct wire_udp_stats_addr_changed_v4){
				.sk_id = id,
				.is_rx = rx,
				.packets = d.packets,
				.bytes = d.bytes,
				.raddr = v4,
				.rport = to->port,
			},
			&s->count.flows.udp_stats);
}

static int put_step(struct session *s, uint32_t id, bool rx, const struct feed_remote *to,
		    struct step d)
{
	struct feed_udp *u = pool_at(&s->feed->udp, id);
	int r;

	if (u->remote[rx].port == to->port && addr_eq(&u->remote[rx].ip, &to->ip))
		return feed_put(
			s, WIRE_udp_stats_addr_unchanged,
			&(struct wire_udp_stats_addr_unchanged){
				.sk_id = id, .is_rx = rx, .packets = d.packets, .bytes = d.bytes},
			&s->count.flows.udp_stats);
	r = put_changed(s, id, rx, to, d);
	if (r == 0)
		u->remote[rx] = *to;
	return r;
}

int feed_udp_point(struct session *s, uint32_t id, const struct feed_remote *to)
{
	const struct feed_udp *u = pool_at(&s->feed->udp, id);
	int r = 0;

	for (int rx = 0; r == 0 && rx < 2; rx++)
		if (u->remote[rx].port != to->port || !addr_eq(&u->remote[rx].ip, &to->ip))
			r = put_step(s, id, rx, to, (struct step){0});
	return r;
}

static uint32_t delta(uint64_t now, uint64_t told, uint32_t max)
{
	return now > told ? (uint32_t)MIN(now - told, (uint64_t)max) : 0;
}

static int put_stats(struct session *s, struct feed_flow *m, const struct flow_view *v, bool rx)
{
	const struct feed_remote to = {.ip = v->raddr, .port = v->rport};
	const struct flow_counters *c = &v->counters;
	uint64_t *bytes = rx ? &m->received : &m->sent;
	uint64_t *segs = rx ? &m->segs_in : &m->segs_out;
	int r;

	for (;;) {
		const struct step d = {
			.bytes = delta(rx ? c->received : c->sent, *bytes, MAX_BYTES),
			.packets = delta(rx ? c->segs_in : c->segs_out, *segs, MAX_PACKETS),
		};

		if (!d.bytes && !d.packets)
			return 0;
		r = put_step(s, m->udp, rx, &to, d);
		if (r < 0)
			return r;
		*bytes += d.bytes;
		*segs += d.packets;
	}
}

/* Drops are the receiving direction's: its remote has to be this one. */
static int put_drops(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	const struct feed_remote to = {.ip = v->raddr, .port = v->rport};
	const struct feed_udp *u = pool_at(&s->feed->udp, m->udp);
	uint32_t d;
	int r = 0;

	while (r == 0 && (d = delta(v->counters.dropped, m->dropped, MAX_PACKETS))) {
		if (u->remote[1].port != to.port || !addr_eq(&u->remote[1].ip, &to.ip))
			r = put_step(s, m->udp, true, &to, (struct step){0});
		if (r == 0)
			r = feed_put(
				s, WIRE_udp_stats_drops_changed,
				&(struct wire_udp_stats_drops_changed){.sk_id = m->udp, .drops = d},
				&s->count.flows.udp_drops);
		if (r == 0)
			m->dropped += d;
	}
	return r;
}

static int join(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	struct feed_udp *u;
	uint32_t id;
	int r;

	if (m->flags & FEED_SOCK)
		return 0;
	r = feed_udp_need(s, v, &id);
	if (r < 0)
		return r;
	if (!id) {
		m->flags |= FEED_LEFT_OUT;
		return 0;
	}
	u = pool_at(&s->feed->udp, id);
	u->flows++;
	m->udp = id;
	m->flags |= FEED_SOCK;
	return 0;
}

static int leave(struct session *s, struct feed_flow *m)
{
	struct feed_udp *u = pool_at(&s->feed->udp, m->udp);
	int r;

	u->flows--;
	r = feed_udp_close(s, m->udp);
	if (r < 0) {
		u->flows++;
		return r;
	}
	m->flags &= (uint8_t)~FEED_CONN;
	m->flags |= FEED_CLOSED;
	m->udp = 0;
	return 0;
}

int feed_udp_flow(struct session *s, struct feed_flow *m, const struct flow_view *v)
{
	int r;

	r = join(s, m, v);
	if (r < 0 || (m->flags & FEED_LEFT_OUT))
		return r;
	r = put_stats(s, m, v, false);
	if (r == 0)
		r = put_stats(s, m, v, true);
	if (r == 0)
		r = put_drops(s, m, v);
	return r < 0 || v->state == FLOW_OPEN ? r : leave(s, m);
}
