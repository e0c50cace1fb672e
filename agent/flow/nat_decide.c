/*
 * Which translation a flow has: the one that was there when it came up. Never the
 * likely one: when two can have been there the flow is in doubt, and its remote end
 * is ambiguous.
 *
 * A client's flow came up at a time that the kernel's programs tell exactly; that a
 * translation was there then is excluded
 *   - by its interval (nat.c): made later, or over before;
 *   - by order: flows of one key follow each other, and so do translations. After a
 *     flow that closed in order (a FIN each way) the kernel makes a new translation,
 *     because conntrack was in TIME_WAIT and deletes the entry at the next SYN
 *     (nf_conntrack_proto_tcp.c). After other ends the old one may be used again.
 *
 * What is still open then is decided by the other end, when it is on this node: its
 * socket was made after the client's came up and before that one ended.
 */
#include "flow/nat.h"

#include "base/mem.h"

#include <string.h>

#define MAX_WALK                                                                        \
	512 /* flows of one tuple that are looked at; what is left out excludes nothing \
	     */
/* A FIN_WAIT2 that is given up looks closed to the client (tcp_fin_timeout, 60 s) and is not to
 * conntrack. */
#define CLOSED_IS_CLOSED (30 * NSEC_PER_SEC)

struct when {
	nsec_t from, to;
};

static struct when when(const struct flow_rec *r)
{
	nsec_t last = r->ended ? r->ended : MAX(r->updated, r->start);

	if (r->proto == FLOW_UDP)
		return (struct when){r->start, last};
	if (r->dir == FLOW_IN || r->flags & (FLOW_F_PRE_EXISTING | FLOW_F_FOUND))
		return (struct when){r->start, r->start};
	if (r->up)
		return (struct when){r->up, r->up};
	/* Its SYN may still be on the way, unless something was answered. */
	if (!r->ended && !r->counters.segs_in)
		last = NSEC_NEVER;
	return (struct when){r->start, last};
}

bool nat_is_read(const struct flows *f, const struct flow_rec *r)
{
	/* A UDP conversation goes on: what comes later is told of by itself. */
	return (r->proto == FLOW_UDP ? r->start : when(r).to) <= f->nat_read;
}

/* As the kernel's own records call it. */
static struct flows_endpoint called(const struct flows *f, const struct flow_rec *r)
{
	if (r->flags & FLOW_F_NAT)
		return table_asked(f, r);
	return (struct flows_endpoint){.ip = r->raddr, .port = r->rport};
}

static struct nat_key key_of(const struct flows *f, const struct flow_rec *r)
{
	return (struct nat_key){.proto = r->proto,
				.reply = r->dir == FLOW_IN,
				.a = {.ip = r->laddr, .port = r->lport},
				.b = called(f, r)};
}

/* ---- candidates ------------------------------------------------------------------------------ */

struct cands {
	uint32_t id[NAT_MAX_A_KEY];
	uint32_t n;
};

static bool possible(const struct flows *f, uint32_t nat, const struct flow_rec *r)
{
	const struct nat_rec *n = nat_at(f, nat);
	const struct when w = when(r);

	return n->after <= w.to && (!n->gone || n->gone >= w.from);
}

/* One that is not remembered may have been there. */
static bool unsure(const struct flows *f, const struct cands *all, const struct flow_rec *r)
{
	const struct nat_key k = key_of(f, r);
	const struct when w = when(r);
	const struct nat_rec *first = nat_at(f, all->id[0]);

	if (first->cut[k.reply] && w.from <= first->at)
		return true;
	if (!f->nat_lost_to || w.to < f->nat_lost_from)
		return false;
	if (w.from <= f->nat_lost_to)
		return true;
	for (uint32_t i = 0; i < all->n; i++)
		if (possible(f, all->id[i], r) && nat_at(f, all->id[i])->at <= f->nat_lost_to)
			return true;
	return false;
}

/* What matters of a translation to a flow of that direction. */
static const struct flows_endpoint *other_end(const struct nat_rec *n, bool reply)
{
	return reply ? &n->from : &n->backend;
}

static bool all_the_same(const struct flows *f, const struct cands *c, bool reply)
{
	for (uint32_t i = 1; i < c->n; i++) {
		const struct nat_rec *a = nat_at(f, c->id[0]), *b = nat_at(f, c->id[i]);

		if (!nat_same_end(other_end(a, reply), other_end(b, reply)))
			return false;
	}
	return true;
}

/* ---- by order -------------------------------------------------------------------------------- */

struct chain {
	flow_id id[MAX_WALK];
	uint32_t n, self;
};

/* Flows of the same key, by their start, each over before the next began; around `id`. */
static void chain_of(const struct flows *f, flow_id id, struct chain *ret)
{
	const struct flow_rec *r = flow_rec(f, id);
	const struct nat_key k = key_of(f, r);
	uint32_t at, walked = 0;
	uint32_t h = table_tuple_hash(f, k.proto, &k.a.ip, k.a.port, &k.b.ip, k.b.port);

	*ret = (struct chain){.id = {id}, .n = 1};
	for (flow_id o = index_first(&f->by_tuple, h, &at); o && ++walked < MAX_WALK;
	     o = index_next(&f->by_tuple, h, &at)) {
		const struct flow_rec *x = flow_rec(f, o);
		const struct flows_endpoint to = called(f, x);
		uint32_t i = ret->n;

		if (o == id || x->proto != r->proto || x->dir != r->dir || x->netns != r->netns ||
		    x->flags & (FLOW_F_PRE_EXISTING | FLOW_F_FOUND) || x->lport != r->lport ||
		    !addr_eq(&x->laddr, &r->laddr) || !nat_same_end(&to, &k.b))
			continue;
		for (; i && flow_rec(f, ret->id[i - 1])->start > x->start; i--)
			ret->id[i] = ret->id[i - 1];
		ret->id[i] = o;
		ret->n++;
	}
	while (ret->id[ret->self] != id)
		ret->self++;
}

static bool follows(const struct flows *f, flow_id a, flow_id b)
{
	const struct flow_rec *x = flow_rec(f, a), *y = flow_rec(f, b);

	return x->netns && x->ended && x->ended <= y->start && x->state != FLOW_LOST;
}

/* The kernel made a new translation for `b`. */
static bool strictly(const struct flows *f, flow_id a, flow_id b)
{
	const struct flow_rec *x = flow_rec(f, a), *y = flow_rec(f, b);

	return x->state == FLOW_CLOSED && x->ended + CLOSED_IS_CLOSED > y->start;
}

/* The first place from `at` on that flow `id` can have; n: none. Who can have none at all is left
 * out by the caller. */
static uint32_t up_from(const struct flows *f, const struct cands *all, flow_id id, uint32_t at)
{
	while (at < all->n && !possible(f, all->id[at], flow_rec(f, id)))
		at++;
	return at;
}

/* The same downwards, of places counted from 1; 0: none. */
static uint32_t down_from(const struct flows *f, const struct cands *all, flow_id id, uint32_t at)
{
	while (at && !possible(f, all->id[at - 1], flow_rec(f, id)))
		at--;
	return at;
}

/* None of these may be its own, or its own may not have been told of: it says nothing of others. */
static bool has_none(const struct flows *f, const struct cands *all, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id);

	return up_from(f, all, id, 0) == all->n || !nat_is_read(f, r) || unsure(f, all, r);
}

static uint32_t lowest(const struct flows *f, const struct cands *all, const struct chain *c)
{
	uint32_t first = c->self, at = 0;

	while (first && follows(f, c->id[first - 1], c->id[first]))
		first--;
	for (uint32_t i = first; i < c->self; i++) {
		if (has_none(f, all, c->id[i]))
			continue;
		at = up_from(f, all, c->id[i], at);
		if (strictly(f, c->id[i], c->id[i + 1]))
			at++;
	}
	return up_from(f, all, c->id[c->self], at);
}

static uint32_t highest(const struct flows *f, const struct cands *all, const struct chain *c)
{
	uint32_t last = c->self, at = all->n;

	while (last + 1 < c->n && follows(f, c->id[last], c->id[last + 1]))
		last++;
	for (uint32_t i = last; i > c->self; i--) {
		if (has_none(f, all, c->id[i]))
			continue;
		at = down_from(f, all, c->id[i], at);
		if (at && strictly(f, c->id[i - 1], c->id[i]))
			at--;
	}
	return down_from(f, all, c->id[c->self], at);
}

static void by_order(const struct flows *f, flow_id id, const struct cands *all, struct cands *ret)
{
	uint32_t low = 0, high = all->n;
	struct chain c;

	if (flow_rec(f, id)->proto == FLOW_TCP && flow_rec(f, id)->dir != FLOW_IN) {
		chain_of(f, id, &c);
		low = lowest(f, all, &c);
		high = highest(f, all, &c);
	}
	ret->n = 0;
	for (uint32_t i = low; i < high; i++)
		if (possible(f, all->id[i], flow_rec(f, id)))
			ret->id[ret->n++] = all->id[i];
}

/* ---- by the other end ------------------------------------------------------------------------ */

/* Flow `o` is the other end of `r`, if `nat` is their translation. */
static bool is_other_end(const struct flows *f, const struct flow_rec *r, const struct nat_rec *n,
			 flow_id o)
{
	const struct flow_rec *x = flow_rec(f, o), *in = r->dir == FLOW_IN ? r : x;
	const struct flow_rec *out = in == r ? x : r;
	const struct nat_key k = nat_key_of(n, r->dir != FLOW_IN), is = key_of(f, x);

	if (x->proto != FLOW_TCP || x->flags & (FLOW_F_PRE_EXISTING | FLOW_F_FOUND) ||
	    in->dir != FLOW_IN || out->dir != FLOW_OUT || x->state == FLOW_FAILED)
		return false;
	if (!nat_same_end(&k.a, &is.a) || !nat_same_end(&k.b, &is.b))
		return false;
	if (x->twin && flow_rec(f, x->twin) != r)
		return false;
	return out->up && out->up <= in->start && (!out->ended || in->start <= out->ended);
}

static bool seen_there(const struct flows *f, const struct flow_rec *r, uint32_t nat)
{
	const struct nat_rec *n = nat_at(f, nat);
	const struct nat_key k = nat_key_of(n, r->dir != FLOW_IN);
	uint32_t at, walked = 0;
	uint32_t h = table_tuple_hash(f, k.proto, &k.a.ip, k.a.port, &k.b.ip, k.b.port);

	for (flow_id o = index_first(&f->by_tuple, h, &at); o && walked++ < MAX_WALK;
	     o = index_next(&f->by_tuple, h, &at))
		if (is_other_end(f, r, n, o))
			return true;
	return false;
}

/* Those whose other end is here; all of them when there is none. */
static void by_other_end(const struct flows *f, const struct flow_rec *r, struct cands *c)
{
	struct cands seen = {.n = 0};

	for (uint32_t i = 0; r->proto == FLOW_TCP && i < c->n; i++)
		if (seen_there(f, r, c->id[i]))
			seen.id[seen.n++] = c->id[i];
	if (seen.n)
		*c = seen;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

void nat_doubt(struct flows *f, flow_id id, bool doubt)
{
	struct flow_rec *r = flow_rec(f, id);

	if (!doubt == !(r->flags & FLOW_F_DOUBT))
		return;
	r->flags = (uint16_t)(doubt ? r->flags | FLOW_F_DOUBT : r->flags & ~FLOW_F_DOUBT);
	f->stats.nats_ambiguous += doubt;
	pending_again(f, id);
}

static void apply(struct flows *f, flow_id id, const struct nat_rec *n, bool one)
{
	const struct flow_rec *r = flow_rec(f, id);
	bool in = r->dir == FLOW_IN, failed = false;
	struct flows_endpoint self = in ? n->from : n->seen_as;

	nat_doubt(f, id, false); /* the other end, looked for next, may be in doubt itself */

	if (!in && !nat_same_end(&n->asked, &n->backend) && (!r->asked || r->flags & FLOW_F_NAT) &&
	    (r->rport != n->backend.port || !addr_eq(&r->raddr, &n->backend.ip)))
		failed = table_translate(f, id, &n->asked, &n->backend, true) < 0;
	if (!failed && one && !nat_same_end(&n->from, &n->seen_as))
		failed = table_set_mask(f, id, &self) < 0;
	if (failed)
		nat_doubt(f, id, true);
}

/* All that was masqueraded the same way: no port tells which of them, so no twin is found. */
static bool is_one(const struct flows *f, const struct cands *c)
{
	for (uint32_t i = 1; i < c->n; i++)
		if (!nat_same_end(&nat_at(f, c->id[0])->seen_as, &nat_at(f, c->id[i])->seen_as))
			return false;
	return true;
}

void nat_decide(struct flows *f, flow_id id)
{
	const struct flow_rec *r = flow_rec(f, id);
	const struct nat_key k = key_of(f, r);
	struct cands all, c;
	bool lacks;

	if (r->flags & FLOW_F_REPORTED)
		return;
	all.n = nat_collect(f, &k, all.id);
	if (!all.n)
		return;
	if (all.n > NAT_MAX_A_KEY) {
		nat_doubt(f, id, true);
		return;
	}
	lacks = unsure(f, &all, r);
	by_order(f, id, &all, &c);
	if (!c.n && up_from(f, &all, id, 0) == all.n && !lacks)
		return; /* none of them was there */
	if (lacks || !all_the_same(f, &c, k.reply))
		by_other_end(f, r, &c);
	if (!c.n || !all_the_same(f, &c, k.reply) || (lacks && !seen_there(f, r, c.id[0])))
		nat_doubt(f, id, true);
	else
		apply(f, id, nat_at(f, c.id[0]), is_one(f, &c));
}

static void consider(struct flows *f, flow_id id)
{
	if (nat_is_read(f, flow_rec(f, id)))
		nat_decide(f, id);
	else
		nat_wait(f, id);
}

void nat_apply(struct flows *f, flow_id id)
{
	uint32_t ids[NAT_MAX_A_KEY];
	struct nat_key k;

	if (!f->nat_log.n && !f->nat_gone.n)
		return;
	k = key_of(f, flow_rec(f, id));
	if (nat_collect(f, &k, ids))
		consider(f, id);
}

/* Flows of that key; those in doubt alone, or all. */
static void consider_key(struct flows *f, const struct nat_key *k, bool doubted)
{
	uint32_t at, n = 0, walked = 0;
	uint32_t h = table_tuple_hash(f, k->proto, &k->a.ip, k->a.port, &k->b.ip, k->b.port);
	flow_id ids[MAX_WALK];

	for (flow_id id = index_first(&f->by_tuple, h, &at); id && walked++ < MAX_WALK;
	     id = index_next(&f->by_tuple, h, &at)) {
		const struct nat_key is = key_of(f, flow_rec(f, id));

		if (flow_rec(f, id)->flags & FLOW_F_REPORTED ||
		    (doubted && !(flow_rec(f, id)->flags & FLOW_F_DOUBT)))
			continue;
		if (is.reply == k->reply && is.proto == k->proto && nat_same_end(&is.a, &k->a) &&
		    nat_same_end(&is.b, &k->b))
			ids[n++] = id;
	}
	while (n)
		consider(f, ids[--n]);
}

void nat_tell(struct flows *f, uint32_t nat)
{
	const struct nat_key orig = nat_key_of(nat_at(f, nat), false),
			     reply = nat_key_of(nat_at(f, nat), true);

	consider_key(f, &orig, false);
	consider_key(f, &reply, false);
}

void nat_wake(struct flows *f, flow_id id)
{
	uint32_t ids[NAT_MAX_A_KEY], n;
	struct nat_key k;

	if (!f->nat_log.n && !f->nat_gone.n)
		return;
	k = key_of(f, flow_rec(f, id));
	n = MIN(nat_collect(f, &k, ids), NAT_MAX_A_KEY);
	consider_key(f, &k, true); /* one more in the order */
	for (uint32_t i = 0; i < n; i++) {
		const struct nat_key other = nat_key_of(nat_at(f, ids[i]), !k.reply);

		consider_key(f, &other, true);
	}
}
