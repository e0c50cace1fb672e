/*
 * Flows: records, indexes, bounds, and how a flow ends.
 *
 * A flow is live until it has ended and was released (then it is reported: on the
 * list of ended ones, until every cursor is done with it). Its socket is in by_sk
 * only while it has not ended: kernel addresses come again at once. What has ended
 * leaves a tomb, its key alone, so that a late record makes no second flow of it.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static struct id_link *link_of(const struct flows *f, enum flow_link k, flow_id id)
{
	return &flow_rec(f, id)->link[k];
}

void list_append(struct flows *f, struct id_list *l, enum flow_link k, flow_id id)
{
	*link_of(f, k, id) = (struct id_link){.prev = l->tail};
	if (l->tail)
		link_of(f, k, l->tail)->next = id;
	else
		l->head = id;
	l->tail = id;
	l->n++;
}

void list_remove(struct flows *f, struct id_list *l, enum flow_link k, flow_id id)
{
	struct id_link *at = link_of(f, k, id);

	if (at->prev)
		link_of(f, k, at->prev)->next = at->next;
	else
		l->head = at->next;
	if (at->next)
		link_of(f, k, at->next)->prev = at->prev;
	else
		l->tail = at->prev;
	l->n--;
	*at = (struct id_link){0};
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t sk_hash(const struct flows *f, uint64_t sk)
{
	return (uint32_t)hash_numbers(&f->seed, sk, 0);
}

uint32_t table_tuple_hash(const struct flows *f, enum flow_proto proto, const struct addr *laddr,
			  uint16_t lport, const struct addr *raddr, uint16_t rport)
{
	const uint64_t rest = (uint64_t)proto << 32 | (uint32_t)lport << 16 | rport;
	uint64_t l[2], r[2], h;

	memcpy(l, laddr->b, sizeof(l));
	memcpy(r, raddr->b, sizeof(r));
	h = hash_numbers(&f->seed, l[0] ^ rest, l[1]);
	return (uint32_t)hash_numbers(&f->seed, r[0] ^ h, r[1]);
}

static uint32_t rec_hash(const struct flows *f, const struct flow_rec *r)
{
	return table_tuple_hash(f, r->proto, &r->laddr, r->lport, &r->raddr, r->rport);
}

struct flows_endpoint table_asked(const struct flows *f, const struct flow_rec *r)
{
	const struct asked_rec *a = r->asked ? pool_at(&f->askeds, r->asked) : NULL;

	if (!a)
		return (struct flows_endpoint){.ip = r->raddr, .port = r->rport};
	return (struct flows_endpoint){.ip = a->ip, .port = a->port};
}

static uint32_t asked_hash(const struct flows *f, const struct flow_rec *r)
{
	const struct flows_endpoint a = table_asked(f, r);

	return table_tuple_hash(f, r->proto, &r->laddr, r->lport, &a.ip, a.port);
}

flow_id table_sock(const struct flows *f, uint64_t sk, nsec_t start)
{
	uint32_t at, h = sk_hash(f, sk);

	for (flow_id id = index_first(&f->by_sk, h, &at); id; id = index_next(&f->by_sk, h, &at))
		if (flow_rec(f, id)->sk == sk && flow_rec(f, id)->start == start)
			return id;
	return 0;
}

flow_id table_sock_last(const struct flows *f, uint64_t sk)
{
	uint32_t at, h = sk_hash(f, sk);
	flow_id best = 0;

	for (flow_id id = index_first(&f->by_sk, h, &at); id; id = index_next(&f->by_sk, h, &at)) {
		if (flow_rec(f, id)->sk != sk)
			continue;
		if (!best || flow_rec(f, best)->start < flow_rec(f, id)->start)
			best = id;
	}
	return best;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The oldest one goes; what had not ended is reported as lost. */
static void evict(struct flows *f)
{
	flow_id id = f->live.head;
	struct flow_rec *r = flow_rec(f, id);

	if (!r->ended) {
		f->stats.evicted++;
		table_end(f, id, r->updated, FLOW_LOST, FLOW_REASON_EVICTED);
	}
	if (f->live.head == id)
		pending_force(f, id);
}

static int reserve(struct flows *f)
{
	/* Twice in by_tuple: a translation must not fail later. */
	if (index_reserve(&f->by_sk, 1) < 0 || index_reserve(&f->by_tuple, 2) < 0 ||
	    index_reserve(&f->by_local, 1) < 0)
		return -ENOMEM;
	return 0;
}

static int set_endpoint(struct flows *f, uint32_t *id, const struct flows_endpoint *e)
{
	if (!*id)
		*id = pool_alloc(&f->askeds);
	if (!*id)
		return -ENOMEM;
	*(struct asked_rec *)pool_at(&f->askeds, *id) =
		(struct asked_rec){.ip = e->ip, .port = e->port};
	return 0;
}

static int set_asked(struct flows *f, struct flow_rec *r, const struct flows_endpoint *asked)
{
	return set_endpoint(f, &r->asked, asked);
}

int table_set_mask(struct flows *f, flow_id id, const struct flows_endpoint *mask)
{
	int r = set_endpoint(f, &flow_rec(f, id)->mask, mask);

	if (r < 0)
		return r;
	twins_find(f, id);
	pending_again(f, id);
	return 0;
}

static void drop_parts(struct flows *f, struct flow_rec *r)
{
	cgroups_put(f, r->cgroup[0]);
	cgroups_put(f, r->cgroup[1]);
	ends_put(f, r->local);
	ends_put(f, r->remote);
	if (r->asked)
		pool_release(&f->askeds, r->asked);
	if (r->mask)
		pool_release(&f->askeds, r->mask);
	udp_join_free(f, r);
}

static void fill(struct flows *f, struct flow_rec *r, const struct flow_new *n)
{
	r->serial = ++f->next_serial;
	r->proto = (uint8_t)n->proto;
	r->dir = (uint8_t)n->dir;
	r->state = FLOW_OPEN;
	r->flags = (uint16_t)(n->flags | FLOW_F_USED);
	r->sk = n->sk;
	r->start = r->updated = n->start;
	memcpy(r->laddr.b, n->tuple->laddr, sizeof(r->laddr));
	memcpy(r->raddr.b, n->tuple->raddr, sizeof(r->raddr));
	r->lport = n->tuple->lport;
	r->rport = n->tuple->rport;
	r->netns = n->tuple->netns;
	r->pid = n->pid;
	r->poll = f->poll;
}

static int get_parts(struct flows *f, struct flow_rec *r, const struct flow_new *n)
{
	int r0 = reserve(f);

	memcpy(r->cgroup_id, n->cgroup_id, sizeof(r->cgroup_id));
	for (int i = 0; r0 == 0 && i < 2; i++)
		r0 = cgroups_hold(f, n->cgroup_id[i], &r->cgroup[i]);
	if (r0 == 0 && n->asked)
		r0 = set_asked(f, r, n->asked);
	return r0;
}

static uint32_t local_hash(const struct flows *f, const struct flow_rec *r)
{
	return table_tuple_hash(f, FLOW_UDP, &r->laddr, r->lport, &(struct addr){{0}}, 0);
}

int table_add(struct flows *f, nsec_t now, const struct flow_new *n, flow_id *ret)
{
	struct flow_rec *r;
	flow_id id;
	int r0;

	(void)now;
	/* More than one only where the maximum was lowered: it is reached step by step. */
	for (int i = 0; i < 2 && f->live.n >= f->opts.max_flows; i++)
		evict(f);
	id = pool_alloc(&f->flows);
	if (!id)
		return -ENOMEM;
	r = flow_rec(f, id);
	r0 = get_parts(f, r, n);
	if (r0 < 0) {
		drop_parts(f, r);
		r->flags = 0;
		pool_release(&f->flows, id);
		return r0;
	}
	fill(f, r, n);
	if (r->sk)
		(void)index_put(&f->by_sk, sk_hash(f, r->sk), id);
	(void)index_put(&f->by_tuple, rec_hash(f, r), id);
	if (r->proto == FLOW_UDP)
		(void)index_put(&f->by_local, local_hash(f, r), id);
	list_append(f, &f->live, LINK_LIFE, id);
	f->tcp_made += r->proto == FLOW_TCP;
	f->stats.udp_started += r->proto == FLOW_UDP;
	pending_fresh(f, id);
	nat_apply(f, id);
	twins_find(f, id);
	nat_wake(f, id);
	*ret = id;
	return 0;
}

int table_set_sock(struct flows *f, flow_id id, uint64_t sk, nsec_t start)
{
	struct flow_rec *r = flow_rec(f, id);
	int r0 = index_reserve(&f->by_sk, 1);

	if (r0 < 0)
		return r0;
	(void)index_put(&f->by_sk, sk_hash(f, sk), id);
	r->sk = sk;
	r->start = start;
	r->poll = f->poll;
	return 0;
}

int table_translate(struct flows *f, flow_id id, const struct flows_endpoint *asked,
		    const struct flows_endpoint *backend, bool by_nat)
{
	struct flow_rec *r = flow_rec(f, id);
	int r0 = index_reserve(&f->by_tuple, 1);

	if (r0 == 0)
		r0 = set_asked(f, r, asked);
	if (r0 < 0)
		return r0;
	/* What conntrack translates the kernel's own records still call by what was asked. */
	if (!by_nat || r->flags & FLOW_F_NAT)
		index_del(&f->by_tuple, rec_hash(f, r), id);
	twins_part(f, id);
	r->raddr = backend->ip;
	r->rport = backend->port;
	(void)index_put(&f->by_tuple, rec_hash(f, r), id);
	if (by_nat)
		r->flags |= FLOW_F_NAT;
	twins_find(f, id);
	pending_again(f, id);
	table_changed(f, id);
	return 0;
}

void table_changed(struct flows *f, flow_id id)
{
	if (flow_rec(f, id)->flags & FLOW_F_RELEASED)
		log_touch(f, id);
}

/* ---- the end --------------------------------------------------------------------------------- */

void table_end(struct flows *f, flow_id id, nsec_t at, enum flow_state s, enum flow_reason why)
{
	struct flow_rec *r = flow_rec(f, id);

	if (r->ended)
		return;
	r->ended = MAX(at, (nsec_t)1); /* 0 says "open" */
	r->ended = MAX(r->ended, r->start);
	r->state = (uint8_t)s;
	r->reason = (uint8_t)why;
	if (r->proto == FLOW_TCP && r->sk) {
		f->ends_lost += why == FLOW_REASON_CLOSE_LOST;
		index_del(&f->by_sk, sk_hash(f, r->sk), id);
		table_entomb_live(f, r->sk, r->start,
				  why == FLOW_REASON_EVICTED ? TOMB_EVICTED : TOMB_ENDED);
	}
	if (r->proto == FLOW_UDP && why == FLOW_REASON_EVICTED)
		udp_entomb(f, id);
	f->n_found -= !!(r->flags & FLOW_F_FOUND);
	r->flags &= (uint16_t)~FLOW_F_FOUND;
	f->stats.udp_ended += r->proto == FLOW_UDP;
	f->stats.close_lost += why == FLOW_REASON_CLOSE_LOST;
	if (s == FLOW_FAILED)
		twins_part(f, id);
	if (pending_ended(f, id))
		table_report(f, id);
}

void table_report(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (r->flags & FLOW_F_REPORTED)
		return;
	if (f->ended.n >= f->opts.max_ended)
		log_drop(f, f->ended.head);
	r->flags |= FLOW_F_REPORTED;
	f->tcp_reported += r->proto == FLOW_TCP;
	list_remove(f, &f->live, LINK_LIFE, id);
	list_append(f, &f->ended, LINK_LIFE, id);
	log_touch(f, id);
}

void table_free(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	twins_part(f, id);
	pending_leave(f, id);
	log_remove(f, id);
	list_remove(f, &f->ended, LINK_LIFE, id);
	index_del(&f->by_tuple, rec_hash(f, r), id);
	if (r->flags & FLOW_F_NAT)
		index_del(&f->by_tuple, asked_hash(f, r), id);
	if (r->proto == FLOW_UDP)
		index_del(&f->by_local, local_hash(f, r), id);
	drop_parts(f, r);
	r->flags = 0;
	pool_release(&f->flows, id);
}

void table_done(struct flows *f)
{
	index_done(&f->by_sk);
	index_done(&f->by_tuple);
	index_done(&f->by_local);
	index_done(&f->by_tomb);
	index_done(&f->by_end);
	pool_done(&f->flows);
	pool_done(&f->askeds);
	pool_done(&f->tombs);
	pool_done(&f->ends);
}
