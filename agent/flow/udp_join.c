/*
 * UDP conversations of two entries. A client in the network namespace where its
 * datagrams are translated (a host's process that talks to a Service) sends to the
 * backend, as the kernel's hook sees it, and receives from the Service:
 *
 *     from -> backend   sent         joined where conntrack told that
 *     from -> asked     received     from -> asked leads to this backend
 *
 * The entry under the backend tells what its socket is connected to; that alone says
 * nothing, because sendto() may have named the backend. Where conntrack has not told by
 * the poll that shows the entry first, they stay two. Each entry is deleted when it is
 * idle; the conversation ends with the last one.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static struct join_rec *join_at(const struct flows *f, uint32_t id)
{
	return pool_at(&f->joins, id);
}

static struct flows_endpoint endpoint(const uint8_t ip[16], uint16_t port)
{
	struct flows_endpoint e = {.port = port};

	memcpy(e.ip.b, ip, sizeof(e.ip));
	return e;
}

static void add(struct udp_part *to, const struct udp_part *p)
{
	to->sent += p->sent;
	to->received += p->received;
	to->sent_packets += p->sent_packets;
	to->received_packets += p->received_packets;
	to->dropped += p->dropped;
	to->dropped_bytes += p->dropped_bytes;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The entry that the conversation had so far. */
static struct udp_part so_far(const struct flow_rec *r)
{
	const struct flow_counters *c = &r->counters;

	return (struct udp_part){
		.first = r->start,
		.sent = c->sent,
		.received = c->received,
		.sent_packets = c->segs_out,
		.received_packets = c->segs_in + c->dropped,
		.dropped = c->dropped - MIN(c->dropped, r->sk),
		.live = true,
	};
}

static int make(struct flows *f, flow_id id, const struct flows_endpoint *backend, bool fresh)
{
	struct flow_rec *r = flow_rec(f, id);
	uint32_t j = pool_alloc(&f->joins);

	if (!j)
		return -ENOMEM;
	*join_at(f, j) = (struct join_rec){.backend = *backend};
	if (!fresh)
		join_at(f, j)->part[PART_ASKED] = so_far(r);
	r->join = j;
	return 0;
}

static bool is_joined(const struct flows *f, flow_id id, const struct flows_endpoint *backend)
{
	const struct join_rec *j = join_at(f, flow_rec(f, id)->join);

	return j->backend.port == backend->port && addr_eq(&j->backend.ip, &backend->ip);
}

/* What conntrack has forgotten since does not part what was joined. */
int udp_join(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u,
	     flow_id *ret)
{
	const struct flows_endpoint from = endpoint(k->laddr, k->lport),
				    backend = endpoint(k->raddr, k->rport),
				    asked = endpoint(u->asked_addr, u->asked_port);
	struct abi_udp_key key = *k;
	flow_id id;
	bool fresh;
	int r = 0;

	*ret = 0;
	if (!u->asked_port)
		return 0;
	memcpy(key.raddr, u->asked_addr, sizeof(key.raddr));
	key.rport = u->asked_port;
	id = udp_find(f, &key);
	fresh = !id;
	if (id && flow_rec(f, id)->join) {
		*ret = is_joined(f, id, &backend) ? id : 0;
		return 0;
	}
	if (!nat_leads(f, FLOW_UDP, &from, &asked, &backend))
		return 0;
	if (!id)
		r = udp_start(f, now, &key, u, &id);
	if (r == 0)
		r = make(f, id, &backend, fresh);
	if (r == 0)
		*ret = id;
	return r;
}

/* ---- counting -------------------------------------------------------------------------------- */

static struct udp_part part_of(const struct abi_udp *u)
{
	return (struct udp_part){
		.first = u->first,
		.sent = u->sent,
		.received = u->received,
		.sent_packets = u->sent_packets,
		.received_packets = u->received_packets,
		.dropped = u->dropped,
		.dropped_bytes = u->dropped_bytes,
		.live = true,
	};
}

static void count(struct flows *f, flow_id id, const struct join_rec *j, nsec_t last)
{
	struct udp_part sum = j->past;

	add(&sum, &j->part[PART_ASKED]);
	add(&sum, &j->part[PART_BACKEND]);
	udp_count(f, id,
		  &(struct abi_udp){
			  .last = MAX(last, flow_rec(f, id)->updated),
			  .sent = sum.sent,
			  .received = sum.received,
			  .sent_packets = sum.sent_packets,
			  .received_packets = sum.received_packets,
			  .dropped = sum.dropped,
			  .dropped_bytes = sum.dropped_bytes,
		  });
}

bool udp_join_told(struct flows *f, nsec_t now, flow_id id, enum udp_part_of which,
		   const struct abi_udp *u)
{
	struct join_rec *j = join_at(f, flow_rec(f, id)->join);
	struct udp_part *p = &j->part[which];

	*p = part_of(u);
	count(f, id, j, u->last);
	if (u->last + f->opts.udp_idle > now)
		return false;
	add(&j->past, p);
	*p = (struct udp_part){0};
	if (!j->part[PART_ASKED].live && !j->part[PART_BACKEND].live)
		table_end(f, id, flow_rec(f, id)->updated, FLOW_CLOSED, FLOW_REASON_IDLE);
	return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void entomb(struct flows *f, const struct flow_rec *r, const struct flows_endpoint *to,
		   const struct udp_part *p)
{
	struct abi_udp_key k = {.cgroup = r->cgroup_id[0] ? r->cgroup_id[0] : r->cgroup_id[1],
				.lport = r->lport,
				.rport = to->port};

	if (!p->live)
		return;
	memcpy(k.laddr, r->laddr.b, sizeof(k.laddr));
	memcpy(k.raddr, to->ip.b, sizeof(k.raddr));
	table_entomb(f, udp_key_sk(f, &k), p->first, TOMB_EVICTED_UDP);
}

bool udp_join_entomb(struct flows *f, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id);
	const struct flows_endpoint asked = table_asked(f, r);
	const struct join_rec *j;

	if (!r->join)
		return false;
	j = join_at(f, r->join);
	entomb(f, r, &asked, &j->part[PART_ASKED]);
	entomb(f, r, &j->backend, &j->part[PART_BACKEND]);
	return true;
}

void udp_join_free(struct flows *f, struct flow_rec *r)
{
	if (r->join)
		pool_release(&f->joins, r->join);
	r->join = 0;
}
