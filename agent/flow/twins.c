/*
 * Twins: one connection whose two ends both live on this node is two flows with
 * mirrored addresses. Each is told of the other, because a cgroup names an end
 * better than its address does.
 *
 * Networks of different namespaces may use the same addresses, and ports come again:
 * an end that accepted was made while the one that connected was there. When two fit
 * so, neither is taken, and the remote end is in doubt.
 */
#include "flow/state.h"

#include "base/mem.h"

#define MAX_WALK 512 /* flows of one mirrored tuple that are looked at */
/* How far apart two views of one connection may lie: the ends learn of its end at different times.
 */
#define SLACK (100 * NSEC_PER_MSEC)

enum fit { FIT_NOT, FIT_LOOSE, FIT_WELL, _FIT_MAX };

static bool overlap(const struct flow_rec *a, const struct flow_rec *b)
{
	return (!a->ended || b->start <= a->ended + SLACK) &&
	       (!b->ended || a->start <= b->ended + SLACK);
}

/* `masked` stands for an address that a masquerade replaced on the way. */
static struct flows_endpoint masked_or(const struct flows *f, const struct flow_rec *r,
				       const struct addr *ip, uint16_t port)
{
	const struct asked_rec *m = r->mask ? pool_at(&f->askeds, r->mask) : NULL;

	if (!m)
		return (struct flows_endpoint){.ip = *ip, .port = port};
	return (struct flows_endpoint){.ip = m->ip, .port = m->port};
}

struct pair {
	struct flows_endpoint client, server;
};

/* The two ends as the server's socket has them, or as the client's program has its own. */
static struct pair as_server_sees(const struct flows *f, const struct flow_rec *r)
{
	const struct flows_endpoint local = {.ip = r->laddr, .port = r->lport},
				    remote = {.ip = r->raddr, .port = r->rport};

	if (r->dir == FLOW_IN)
		return (struct pair){.client = remote, .server = local};
	return (struct pair){.client = masked_or(f, r, &r->laddr, r->lport), .server = remote};
}

static bool same(const struct flows_endpoint *a, const struct flows_endpoint *b)
{
	return a->port == b->port && addr_eq(&a->ip, &b->ip);
}

static bool mirrored(const struct flows *f, const struct flow_rec *a, const struct flow_rec *b)
{
	const struct pair x = as_server_sees(f, a), y = as_server_sees(f, b);

	if (a->dir != FLOW_IN && b->dir != FLOW_IN) /* who began is not known of one */
		return a->lport == b->rport && a->rport == b->lport &&
		       addr_eq(&a->laddr, &b->raddr) && addr_eq(&a->raddr, &b->laddr);
	return same(&x.client, &y.client) && same(&x.server, &y.server);
}

static bool exact_times(const struct flow_rec *r)
{
	return r->proto == FLOW_TCP && r->dir != FLOW_DIR_UNKNOWN &&
	       !(r->flags & (FLOW_F_PRE_EXISTING | FLOW_F_FOUND));
}

static enum fit fits(const struct flows *f, const struct flow_rec *a, const struct flow_rec *b)
{
	const struct flow_rec *in = a->dir == FLOW_IN ? a : b, *out = in == a ? b : a;

	if (b->proto != a->proto || b->state == FLOW_FAILED || !mirrored(f, a, b))
		return FIT_NOT;
	if (a->proto == FLOW_TCP && a->dir == b->dir && a->dir != FLOW_DIR_UNKNOWN)
		return FIT_NOT;
	/* 127.0.0.1 is another host in another namespace. */
	if (is_loopback(&a->laddr) && (!a->netns || a->netns != b->netns))
		return FIT_NOT;
	if (!overlap(a, b))
		return FIT_NOT;
	if (!exact_times(a) || !exact_times(b))
		return FIT_LOOSE;
	return out->start <= in->start && (!out->ended || in->start <= out->ended) ? FIT_WELL
										   : FIT_NOT;
}

struct found {
	flow_id id[_FIT_MAX];
	uint32_t n[_FIT_MAX];
	flow_id taken; /* fits well, and so does the one it is paired with */
};

static void look(const struct flows *f, flow_id id, struct found *ret)
{
	const struct flow_rec *r = flow_rec(f, id);
	bool in = r->dir == FLOW_IN;
	/* A masqueraded client is found under its own address. */
	const struct flows_endpoint to = in ? masked_or(f, r, &r->raddr, r->rport)
					    : (struct flows_endpoint){.ip = r->raddr,
								      .port = r->rport},
				    me = in ? (struct flows_endpoint){.ip = r->laddr,
								      .port = r->lport}
					    : masked_or(f, r, &r->laddr, r->lport);
	uint32_t at, walked = 0,
		     h = table_tuple_hash(f, r->proto, &to.ip, to.port, &me.ip, me.port);

	*ret = (struct found){0};
	for (flow_id o = index_first(&f->by_tuple, h, &at); o && walked++ < MAX_WALK;
	     o = index_next(&f->by_tuple, h, &at)) {
		const struct flow_rec *b = flow_rec(f, o);
		enum fit fit = o == id ? FIT_NOT : fits(f, r, b);

		if (b->twin && fit == FIT_WELL && fits(f, b, flow_rec(f, b->twin)) == FIT_WELL)
			ret->taken = o;
		if (b->twin || fit == FIT_NOT || ret->id[fit] == o)
			continue;
		ret->id[fit] = o;
		ret->n[fit]++;
	}
}

static void doubt(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	f->stats.twins_ambiguous += !(r->flags & FLOW_F_DOUBT);
	r->flags |= FLOW_F_DOUBT;
	pending_again(f, id);
}

/* Of three that fit each other two are a pair already. */
static void part_in_doubt(struct flows *f, flow_id id)
{
	flow_id other = flow_rec(f, id)->twin;

	twins_part(f, id);
	doubt(f, id);
	doubt(f, other);
}

void twins_find(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);
	struct found found;
	enum fit fit;

	if (r->twin || r->state == FLOW_FAILED)
		return;
	look(f, id, &found);
	if (found.taken && !found.n[FIT_WELL]) {
		part_in_doubt(f, found.taken);
		doubt(f, id);
		return;
	}
	fit = found.n[FIT_WELL] ? FIT_WELL : FIT_LOOSE;
	if (found.n[FIT_WELL] > 1)
		doubt(f, id);
	if (found.n[fit] != 1)
		return;
	r->twin = found.id[fit];
	flow_rec(f, r->twin)->twin = id;
	pending_again(f, id);
	pending_again(f, r->twin);
}

void twins_part(struct flows *f, flow_id id)
{
	struct flow_rec *r = flow_rec(f, id);

	if (r->twin)
		flow_rec(f, r->twin)->twin = 0;
	r->twin = 0;
}
