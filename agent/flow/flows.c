/*
 * The whole: making and freeing it, records by their type, views of flows.
 */
#include "flow/state.h"

#include "base/mem.h"
#include "flow/dns_match.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STRINGS 8000000U /* names; more than the flows and cgroups within their bounds have */

static uint32_t or_default(uint32_t n, uint32_t otherwise)
{
	return n ? n : otherwise;
}

static nsec_t or_time(nsec_t t, nsec_t otherwise)
{
	return t ? t : otherwise;
}

#define SETTLE NSEC_PER_SEC

static struct flows_opts with_defaults(const struct flows_opts *o)
{
	return (struct flows_opts){
		.max_flows = or_default(o->max_flows, 65536),
		.max_ended = or_default(o->max_ended, 16384),
		.max_tombs = or_default(o->max_tombs, 16384),
		.max_known = or_default(o->max_known, 131072),
		.max_pending = or_default(o->max_pending, 8192),
		.pending_timeout = or_time(o->pending_timeout, 30 * NSEC_PER_SEC),
		.remote_wait = MAX(o->remote_wait, or_time(o->settle, SETTLE)),
		.settle = or_time(o->settle, SETTLE),
		.max_cgroups = or_default(o->max_cgroups, 65536),
		.max_procs = or_default(o->max_procs, 65536),
		.max_dns = or_default(o->max_dns, 4096),
		.dns_timeout = or_time(o->dns_timeout, 5 * NSEC_PER_SEC),
		.max_nat = or_default(o->max_nat, 65536),
		.udp_idle = or_time(o->udp_idle, 60 * NSEC_PER_SEC),
		.cgroup_linger = or_time(o->cgroup_linger, 120 * NSEC_PER_SEC),
	};
}

int flows_new(const struct flows_opts *o, struct flows **ret)
{
	struct flows *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->opts = with_defaults(o);
	hash_seed_init(&f->seed);
	intern_init(&f->strings, MAX_STRINGS);
	/* One more of each where a new one is made before the oldest goes. */
	pool_init(&f->flows, sizeof(struct flow_rec), f->opts.max_flows + f->opts.max_ended + 1);
	pool_init(&f->askeds, sizeof(struct asked_rec), UINT32_MAX);
	pool_init(&f->tombs, sizeof(struct tomb), UINT32_MAX);
	pool_init(&f->ends, sizeof(struct end_rec), UINT32_MAX);
	pool_init(&f->nodes, sizeof(struct cg_node), f->opts.max_cgroups);
	pool_init(&f->procs, sizeof(struct proc_rec), f->opts.max_procs);
	pool_init(&f->nats, sizeof(struct nat_rec), f->opts.max_nat);
	pool_init(&f->drops, sizeof(struct drop_rec), UINT32_MAX);
	pool_init(&f->joins, sizeof(struct join_rec), UINT32_MAX);
	if (names_new(f) < 0 || spaces_new(f) < 0) {
		flows_free(&f);
		return -ENOMEM;
	}
	*ret = f;
	return 0;
}

void flows_tune(struct flows *f, const struct flows_opts *o)
{
	const struct flows_opts n = with_defaults(o);

	f->opts.max_flows = n.max_flows;
	f->opts.max_ended = n.max_ended;
	f->opts.max_pending = n.max_pending;
	f->opts.pending_timeout = n.pending_timeout;
	f->opts.dns_timeout = n.dns_timeout;
	f->opts.udp_idle = n.udp_idle;
	f->flows.max = MAX(f->flows.max, n.max_flows + n.max_ended + 1);
	dns_match_tune(f->dns, n.dns_timeout);
}

void flows_free(struct flows **fp)
{
	struct flows *f = *fp;

	if (!f)
		return;
	log_done(f);
	names_done(f);
	spaces_done(f);
	nat_done(f);
	udp_done(f);
	procs_done(f);
	cgroups_done(f);
	table_done(f);
	intern_done(&f->strings);
	free(f);
	*fp = NULL;
}

uint64_t state_hash(const struct flows *f, const void *p, size_t n)
{
	return hash_bytes(&f->seed, p, n);
}

/* ---- records --------------------------------------------------------------------------------- */

static const uint16_t record_sizes[_ABI_TYPE_MAX] = {
	[ABI_TCP_OPEN] = sizeof(struct abi_tcp),      [ABI_TCP_CLOSE] = sizeof(struct abi_tcp),
	[ABI_CGROUP_NEW] = sizeof(struct abi_cgroup), [ABI_CGROUP_GONE] = sizeof(struct abi_cgroup),
	[ABI_PROC_EXIT] = sizeof(struct abi_proc),    [ABI_PROC_MOVE] = sizeof(struct abi_proc),
	[ABI_DNS] = sizeof(struct abi_dns),	      [ABI_UDP_DROP] = sizeof(struct abi_udp_drop),
};

union any_record {
	struct abi_head head;
	struct abi_tcp tcp;
	struct abi_cgroup cgroup;
	struct abi_proc proc;
	struct abi_dns dns;
	struct abi_udp_drop drop;
};

/* A socket has an address. */
static bool has_sock(struct str record)
{
	uint64_t sk;

	memcpy(&sk, record.p + offsetof(struct abi_tcp, sk), sizeof(sk));
	return sk;
}

/* A DNS record may end with the bytes that were captured. */
static bool is_record(struct str record)
{
	struct abi_head h;
	struct abi_dns d;

	if (record.n < sizeof(h))
		return false;
	memcpy(&h, record.p, sizeof(h));
	if (h.version != ABI_VERSION || !h.type || h.type >= _ABI_TYPE_MAX || h.size != record.n)
		return false;
	if (h.type == ABI_TCP_OPEN || h.type == ABI_TCP_CLOSE)
		return h.size == record_sizes[h.type] && has_sock(record);
	if (h.type != ABI_DNS)
		return h.size == record_sizes[h.type];
	if (h.size < offsetof(struct abi_dns, data) || h.size > sizeof(d))
		return false;
	memcpy(&d, record.p, offsetof(struct abi_dns, data));
	return d.captured <= ABI_DNS_MAX && offsetof(struct abi_dns, data) + d.captured <= h.size;
}

static int cgroup_new(struct flows *f, nsec_t now, const struct abi_cgroup *c)
{
	struct str name = str_make(c->name, strnlen((const char *)c->name, sizeof(c->name)));
	int r = flows_cgroup(f, now, c->id, c->parent, name);

	return r == -EMSGSIZE ? 0 : r; /* counted */
}

static int take(struct flows *f, nsec_t now, const union any_record *u)
{
	switch (u->head.type) {
	case ABI_TCP_OPEN:
	case ABI_TCP_CLOSE:
		return tcp_record(f, now, &u->tcp);
	case ABI_CGROUP_NEW:
		return cgroup_new(f, now, &u->cgroup);
	case ABI_CGROUP_GONE:
		cgroups_gone(f, now, u->cgroup.id);
		return 0;
	case ABI_PROC_EXIT:
		procs_exit(f, now, &u->proc);
		return 0;
	case ABI_PROC_MOVE:
		procs_move(f, now, &u->proc);
		return 0;
	case ABI_DNS:
		return names_packet(f, now, &u->dns);
	default: /* ABI_UDP_DROP */
		udp_drop(f, &u->drop.key, u->drop.drops);
		return 0;
	}
}

int flows_record(struct flows *f, nsec_t now, struct str record)
{
	union any_record u;
	int r;

	f->stats.records++;
	if (!is_record(record)) {
		f->stats.bad_records++;
		if (record.n && (uint8_t)record.p[0] == ABI_TCP_CLOSE)
			tcp_bad_record(f, record);
		return -EBADMSG;
	}
	memcpy(&u, record.p, record.n);
	r = take(f, now, &u);
	f->stats.records_lost += r == -ENOMEM;
	return r;
}

nsec_t flows_tick(struct flows *f, nsec_t now)
{
	nsec_t due = cgroups_tick(f, now);

	due = MIN(due, procs_tick(f, now));
	due = MIN(due, names_tick(f, now));
	nat_tick(f, now);
	log_tick(f);
	return MIN(due, pending_due(f));
}

/* ---- views ----------------------------------------------------------------------------------- */

static bool is_used(const struct flows *f, flow_id id)
{
	return id && id <= f->flows.next && flow_rec(f, id)->flags & FLOW_F_USED;
}

static uint64_t said_cgroup(const struct flows *f, const struct flow_rec *r, cgroup_ix ix)
{
	if (ix)
		return node_at(f, ix)->id;
	return r->cgroup_id[0] ? r->cgroup_id[0] : r->cgroup_id[1];
}

static cgroup_ix chosen_cgroup(const struct flows *f, const struct flow_rec *r)
{
	return cgroups_choose(f, r->cgroup, r->flags & (FLOW_F_RELEASED | FLOW_F_LATE));
}

cgroup_ix flows_cgroup_of(const struct flows *f, flow_id id)
{
	return is_used(f, id) ? chosen_cgroup(f, flow_rec(f, id)) : 0;
}

static void view_addresses(const struct flows *f, const struct flow_rec *r, struct flow_view *ret)
{
	const struct asked_rec *from =
		r->mask && r->dir == FLOW_IN ? pool_at(&f->askeds, r->mask) : NULL;

	ret->laddr = r->laddr;
	ret->raddr = r->raddr;
	ret->lport = r->lport;
	ret->rport = r->rport;
	ret->translated = r->asked;
	ret->asked = table_asked(f, r);
	ret->masked = from;
	ret->origin = (struct flows_endpoint){0};
	if (from)
		ret->origin = (struct flows_endpoint){.ip = from->ip, .port = from->port};
}

static void view_names(const struct flows *f, const struct flow_rec *r, struct flow_view *ret)
{
	const struct end_rec *local = end_at(f, r->local), *remote = end_at(f, r->remote);

	ret->cgroup = chosen_cgroup(f, r);
	ret->cgroup_id = said_cgroup(f, r, ret->cgroup);
	ret->local = local->view;
	ret->remote = remote->view;
	ret->local_serial = local->serial;
	ret->remote_serial = remote->serial;
	ret->named = r->flags & FLOW_F_RELEASED;
	ret->doubt = r->flags & FLOW_F_DOUBT;
	ret->twin = r->twin;
}

static void view_times(const struct flow_rec *r, struct flow_view *ret)
{
	ret->start = r->start;
	ret->updated = r->updated;
	ret->ended = r->ended;
	ret->pre_existing = r->flags & FLOW_F_PRE_EXISTING;
	ret->syn_timeout = r->flags & FLOW_F_SYN_TIMEOUT;
	ret->counters = r->counters;
}

/* Field by field: to clear all of it first takes a tenth of what a connection costs. */
bool flows_at(const struct flows *f, flow_id id, struct flow_view *ret)
{
	const struct flow_rec *r;

	if (!is_used(f, id))
		return false;
	r = flow_rec(f, id);
	ret->id = id;
	ret->serial = r->serial;
	ret->proto = r->proto;
	ret->dir = r->dir;
	ret->state = r->state;
	ret->reason = r->reason;
	ret->netns = r->netns;
	ret->sk = r->proto == FLOW_TCP ? r->sk : 0;
	ret->pid = r->pid;
	view_addresses(f, r, ret);
	view_times(r, ret);
	view_names(f, r, ret);
	return true;
}

uint32_t flows_ids(const struct flows *f)
{
	return f->flows.next;
}

flow_id flows_next(const struct flows *f, flow_id id)
{
	while (++id <= f->flows.next)
		if (flow_rec(f, id)->flags & FLOW_F_RELEASED)
			return id;
	return 0;
}
