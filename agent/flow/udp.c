/*
 * UDP conversations, as the map tells of them at a poll. Counters in the map are
 * absolute; what records tell of drops comes on top.
 *
 * Drops whose remote end the kernel does not tell belong to the conversation with
 * that local end when there is only one; else they stay with the local end.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <stddef.h>
#include <string.h>

#define MAX_WALK 64 /* flows of one tuple or local end that are looked at */
#define MAX_DROPS \
	1024 /* local ends with drops of their own; over it the oldest is forgotten, counted */

static const uint8_t no_addr[16];

static struct addr addr_of(const uint8_t b[16])
{
	struct addr a;

	memcpy(a.b, b, sizeof(a));
	return a;
}

static uint64_t cgroup_of(const struct flow_rec *r)
{
	return r->cgroup_id[0] ? r->cgroup_id[0] : r->cgroup_id[1];
}

static bool same_local(const struct flow_rec *r, const struct abi_udp_key *k)
{
	return r->proto == FLOW_UDP && !r->ended && r->lport == k->lport &&
	       cgroup_of(r) == k->cgroup && memcmp(r->laddr.b, k->laddr, 16) == 0;
}

flow_id udp_find(const struct flows *f, const struct abi_udp_key *k)
{
	const struct addr laddr = addr_of(k->laddr), raddr = addr_of(k->raddr);
	uint32_t h = table_tuple_hash(f, FLOW_UDP, &laddr, k->lport, &raddr, k->rport);
	uint32_t at, walked = 0;

	for (flow_id id = index_first(&f->by_tuple, h, &at); id && walked++ < MAX_WALK;
	     id = index_next(&f->by_tuple, h, &at)) {
		const struct flow_rec *r = flow_rec(f, id);
		const struct flows_endpoint a = table_asked(f, r);

		if (same_local(r, k) && a.port == k->rport && addr_eq(&a.ip, &raddr))
			return id;
	}
	return 0;
}

static bool without_remote(const struct abi_udp_key *k)
{
	return !k->rport && memcmp(k->raddr, no_addr, sizeof(no_addr)) == 0;
}

/* Of a conversation, in place of a socket's address: evicted ones are known by it. */
uint64_t udp_key_sk(const struct flows *f, const struct abi_udp_key *k)
{
	return state_hash(f, k, offsetof(struct abi_udp_key, pad)) | 1;
}

void udp_entomb(struct flows *f, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id);
	const struct flows_endpoint to = table_asked(f, r);
	struct abi_udp_key k = {.cgroup = cgroup_of(r), .lport = r->lport, .rport = to.port};

	if (udp_join_entomb(f, id))
		return;
	memcpy(k.laddr, r->laddr.b, sizeof(k.laddr));
	memcpy(k.raddr, to.ip.b, sizeof(k.raddr));
	table_entomb(f, udp_key_sk(f, &k), r->start, TOMB_EVICTED_UDP);
}

/* ---- drops ----------------------------------------------------------------------------------- */

static struct drop_rec *drop_at(const struct flows *f, uint32_t id)
{
	return pool_at(&f->drops, id);
}

static uint32_t drop_hash(const struct flows *f, uint64_t cgroup, const struct addr *laddr,
			  uint16_t lport)
{
	return table_tuple_hash(f, FLOW_UDP, laddr, lport, &(struct addr){{0}}, 0) ^
	       (uint32_t)cgroup;
}

static void drop_unlink(struct flows *f, uint32_t id)
{
	const struct id_link l = drop_at(f, id)->link;

	if (l.prev)
		drop_at(f, l.prev)->link.next = l.next;
	else
		f->drop_log.head = l.next;
	if (l.next)
		drop_at(f, l.next)->link.prev = l.prev;
	else
		f->drop_log.tail = l.prev;
	f->drop_log.n--;
}

static void drop_free(struct flows *f, uint32_t id)
{
	const struct drop_rec *d = drop_at(f, id);

	drop_unlink(f, id);
	index_del(&f->by_drop, drop_hash(f, d->cgroup, &d->laddr, d->lport), id);
	pool_release(&f->drops, id);
}

static uint32_t drop_find(const struct flows *f, const struct abi_udp_key *k)
{
	const struct addr laddr = addr_of(k->laddr);
	uint32_t at, h = drop_hash(f, k->cgroup, &laddr, k->lport);

	for (uint32_t id = index_first(&f->by_drop, h, &at); id;
	     id = index_next(&f->by_drop, h, &at)) {
		const struct drop_rec *d = drop_at(f, id);

		if (d->cgroup == k->cgroup && d->lport == k->lport && addr_eq(&d->laddr, &laddr))
			return id;
	}
	return 0;
}

/* 0 without memory. */
static uint32_t drop_get(struct flows *f, const struct abi_udp_key *k)
{
	const struct addr laddr = addr_of(k->laddr);
	uint32_t id = drop_find(f, k);

	if (id)
		return id;
	if (f->drop_log.n >= MAX_DROPS) {
		drop_free(f, f->drop_log.head);
		f->stats.udp_drops_forgotten++;
	}
	id = pool_alloc(&f->drops);
	if (!id)
		return 0;
	*drop_at(f, id) = (struct drop_rec){.cgroup = k->cgroup,
					    .laddr = laddr,
					    .lport = k->lport,
					    .link = {.prev = f->drop_log.tail}};
	if (index_put(&f->by_drop, drop_hash(f, k->cgroup, &laddr, k->lport), id) < 0) {
		pool_release(&f->drops, id);
		return 0;
	}
	if (f->drop_log.tail)
		drop_at(f, f->drop_log.tail)->link.next = id;
	else
		f->drop_log.head = id;
	f->drop_log.tail = id;
	f->drop_log.n++;
	return id;
}

/* The one conversation with that local end; 0: none, or several. */
static flow_id only_one(const struct flows *f, const struct abi_udp_key *k)
{
	const struct addr laddr = addr_of(k->laddr);
	uint32_t h = table_tuple_hash(f, FLOW_UDP, &laddr, k->lport, &(struct addr){{0}}, 0);
	uint32_t at, walked = 0;
	flow_id one = 0;

	for (flow_id id = index_first(&f->by_local, h, &at); id;
	     id = index_next(&f->by_local, h, &at)) {
		if (walked++ == MAX_WALK)
			return 0;
		if (!same_local(flow_rec(f, id), k))
			continue;
		if (one)
			return 0;
		one = id;
	}
	return one;
}

static void drop_at_flow(struct flows *f, flow_id id, uint64_t drops)
{
	struct flow_rec *r = flow_rec(f, id);

	r->sk += drops;
	r->counters.dropped += drops;
	r->counters.segs_in -= MIN(drops, r->counters.segs_in);
	table_changed(f, id);
}

void udp_drop(struct flows *f, const struct abi_udp_key *k, uint64_t drops)
{
	flow_id id = without_remote(k) ? only_one(f, k) : udp_find(f, k);
	uint32_t at;

	f->stats.udp_drops += drops;
	if (id) {
		drop_at_flow(f, id, drops);
		return;
	}
	f->stats.udp_drops_unplaced += drops;
	at = drop_get(f, k);
	if (at)
		drop_at(f, at)->dropped += drops;
}

/* An entry of the map that only counts drops: `dropped` is absolute. */
static bool local_drops(struct flows *f, nsec_t now, const struct abi_udp_key *k,
			const struct abi_udp *u)
{
	bool idle = u->last + f->opts.udp_idle <= now;
	uint32_t at = drop_get(f, k);
	uint64_t more;

	if (!at)
		return false; /* the next poll shows it again */
	more = u->dropped - MIN(u->dropped, drop_at(f, at)->in_map);
	drop_at(f, at)->in_map = idle ? 0 : u->dropped; /* an entry that is deleted begins anew */
	if (more)
		udp_drop(f, k, more);
	return idle;
}

/* ---- conversations --------------------------------------------------------------------------- */

static struct flow_counters counters(const struct flow_rec *r, const struct abi_udp *u)
{
	uint64_t dropped = u->dropped + r->sk;

	return (struct flow_counters){
		.sent = u->sent,
		.received = u->received - MIN(u->received, u->dropped_bytes),
		.segs_out = u->sent_packets,
		.segs_in = u->received_packets - MIN(u->received_packets, dropped),
		.dropped = dropped,
	};
}

int udp_start(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u,
	      flow_id *ret)
{
	struct abi_tuple t = {.lport = k->lport, .rport = k->rport, .netns = u->netns};
	bool v1 = k->cgroup & ABI_CGROUP_V1;
	int r;
	const struct flow_new n = {
		.proto = FLOW_UDP,
		.dir = u->dir == ABI_DIR_OUT  ? FLOW_OUT
		       : u->dir == ABI_DIR_IN ? FLOW_IN
					      : FLOW_DIR_UNKNOWN,
		.tuple = &t,
		.start = u->first,
		.cgroup_id = {v1 ? 0 : k->cgroup, v1 ? k->cgroup : 0},
	};
	memcpy(t.laddr, k->laddr, sizeof(t.laddr));
	memcpy(t.raddr, k->raddr, sizeof(t.raddr));
	/* What was dropped at this local end before stays there: it may have been another's. */
	r = table_add(f, now, &n, ret);
	/* conntrack tells of who speaks first. */
	if (r == 0 && flow_rec(f, *ret)->flags & FLOW_F_NAT)
		flow_rec(f, *ret)->dir = FLOW_OUT;
	return r;
}

void udp_count(struct flows *f, flow_id id, const struct abi_udp *u)
{
	struct flow_rec *r = flow_rec(f, id);
	const struct flow_counters c = counters(r, u);

	r->updated = u->last;
	if (memcmp(&c, &r->counters, sizeof(c)) == 0)
		return;
	r->counters = c;
	table_changed(f, id);
}

/* Made by the kernel for a socket that sent elsewhere, and nothing was counted there so far. */
static bool is_empty(const struct abi_udp *u)
{
	return u->flags & ABI_UDP_ASKED && !u->sent_packets && !u->received_packets && !u->dropped;
}

/* The conversation of that entry, made where needed: 0, or -ENOMEM. 0 with *ret 0: it was evicted,
 * and told of as lost. */
static int get(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u,
	       flow_id *ret, enum udp_part_of *ret_part)
{
	int r;

	*ret_part = PART_ASKED;
	*ret = udp_find(f, k);
	if (*ret || table_was(f, udp_key_sk(f, k), u->first))
		return 0;
	r = udp_join(f, now, k, u, ret);
	if (r < 0)
		return r;
	if (*ret) {
		*ret_part = PART_BACKEND;
		return 0;
	}
	return udp_start(f, now, k, u, ret);
}

bool flows_udp(struct flows *f, nsec_t now, const struct abi_udp_key *k, const struct abi_udp *u)
{
	bool idle = u->last + f->opts.udp_idle <= now;
	enum udp_part_of part;
	flow_id id;

	if (without_remote(k))
		return local_drops(f, now, k, u);
	if (is_empty(u))
		return idle;
	if (get(f, now, k, u, &id, &part) < 0)
		return false; /* the next poll shows it again */
	if (!id)
		return idle;
	if (flow_rec(f, id)->join)
		return udp_join_told(f, now, id, part, u);
	if (u->last < flow_rec(f, id)->updated)
		return false; /* older than what is known */
	udp_count(f, id, u);
	if (idle)
		table_end(f, id, u->last, FLOW_CLOSED, FLOW_REASON_IDLE);
	return idle;
}

void udp_done(struct flows *f)
{
	index_done(&f->by_drop);
	pool_done(&f->drops);
	pool_done(&f->joins);
}
