/*
 * TCP sockets that were open before the programs were: known by their addresses
 * alone, until the kernel's first record of them.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define MAX_WALK 64 /* flows of one tuple that are looked at */

/* 0 is a namespace that is not known. */
static bool same_netns(uint32_t a, uint32_t b)
{
	return !a || !b || a == b;
}

/* Live flows by what their own program calls the ends. */
static flow_id find(const struct flows *f, const struct abi_tuple *t, bool found)
{
	struct addr laddr, raddr;
	uint32_t at, h, walked = 0;

	memcpy(laddr.b, t->laddr, sizeof(laddr));
	memcpy(raddr.b, t->raddr, sizeof(raddr));
	h = table_tuple_hash(f, FLOW_TCP, &laddr, t->lport, &raddr, t->rport);
	for (flow_id id = index_first(&f->by_tuple, h, &at); id && walked++ < MAX_WALK;
	     id = index_next(&f->by_tuple, h, &at)) {
		const struct flow_rec *r = flow_rec(f, id);
		const struct flows_endpoint a = table_asked(f, r);
		bool to = (r->rport == t->rport && addr_eq(&r->raddr, &raddr)) ||
			  (a.port == t->rport && addr_eq(&a.ip, &raddr));

		if (r->proto == FLOW_TCP && !r->ended && to && r->lport == t->lport &&
		    addr_eq(&r->laddr, &laddr) && same_netns(r->netns, t->netns) &&
		    (!found || r->flags & FLOW_F_FOUND))
			return id;
	}
	return 0;
}

/* A list knows who listens now, the programs what was sent. */
static void learn_dir(struct flows *f, flow_id id, uint8_t told)
{
	struct flow_rec *r = flow_rec(f, id);
	const enum flow_dir dir = told == ABI_DIR_OUT ? FLOW_OUT : FLOW_IN;

	if (told == ABI_DIR_UNKNOWN || r->dir == dir)
		return;
	twins_part(f, id);
	r->dir = (uint8_t)dir;
	twins_find(f, id);
}

flow_id found_join(struct flows *f, const struct abi_sock *s)
{
	flow_id id = f->n_found ? find(f, &s->tuple, true) : 0;
	struct flow_rec *r;

	if (!id)
		return 0;
	r = flow_rec(f, id);
	r->flags &= (uint16_t)~FLOW_F_FOUND;
	f->n_found--;
	/* Begun after it was found: another connection, and the end of that one was not told. */
	if (!(s->flags & ABI_SOCK_PRE_EXISTING) && s->start > r->start) {
		table_end(f, id, s->start, FLOW_LOST, FLOW_REASON_CLOSE_LOST);
		return 0;
	}
	f->found_alone--;
	if (!(s->flags & ABI_SOCK_PRE_EXISTING)) {
		f->stats.pre_existing--; /* it opened while the sockets were being listed */
		f->stats.pre_existing_unknown -= !!(r->flags & FLOW_F_NO_CGROUP);
		r->flags &= (uint16_t) ~(FLOW_F_PRE_EXISTING | FLOW_F_NO_CGROUP);
	}
	if (s->tuple.netns)
		r->netns = s->tuple.netns;
	learn_dir(f, id, s->dir);
	return id;
}

uint32_t flows_found_alone(const struct flows *f)
{
	return f->n_found;
}

int flows_pre_existing(struct flows *f, nsec_t now, const struct flows_found *s)
{
	static const uint8_t no_comm[ABI_COMM_MAX];
	struct abi_tuple t = {.lport = s->lport, .rport = s->rport, .netns = s->netns};
	bool v1 = s->cgroup & ABI_CGROUP_V1;
	const struct flow_new n = {
		.proto = FLOW_TCP,
		.dir = s->dir,
		.tuple = &t,
		.start = now,
		.cgroup_id = {v1 ? 0 : s->cgroup, v1 ? s->cgroup : 0},
		.pid = s->pid,
		.flags = FLOW_F_PRE_EXISTING | FLOW_F_FOUND | (s->cgroup ? 0 : FLOW_F_NO_CGROUP),
	};
	flow_id id;
	int r;

	memcpy(t.laddr, s->laddr.b, sizeof(t.laddr));
	memcpy(t.raddr, s->raddr.b, sizeof(t.raddr));
	if (find(f, &t, false))
		return 0;
	r = table_add(f, now, &n, &id);
	if (r < 0)
		return r;
	flow_rec(f, id)->counters = s->counters;
	f->n_found++;
	f->found_alone++;
	f->stats.pre_existing++;
	f->stats.pre_existing_unknown += !s->cgroup;
	if (s->pid)
		procs_seen(f, now, s->pid, no_comm, n.cgroup_id);
	return 0;
}
