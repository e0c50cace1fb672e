#include "core/attribute.h"

#include "match/memo.h"
#include "peers/peers.h"

#include <errno.h>
#include <stdlib.h>

/* One run takes about a millisecond. */
#define WAKE_SLICE 512 /* pods */
#define NAME_SLICE 512 /* flows */

/* An address is not asked for later than this after the flow's start: pods that died since are
 * forgotten (inventory_opts.linger), and what was ambiguous would look certain. */
#define MEMORY (60 * NSEC_PER_SEC)

/* A feed that was not heard of for longer is stale. */
#define FRESH (10 * NSEC_PER_SEC)

#define KEPT 128 /* directories whose names are remembered: about as many as a node has pods */

/* Which end is named: the texts of both are needed at once. */
enum as { AS_LOCAL, AS_REMOTE, _AS_MAX };

/* What a directory's sockets are called, as long as nothing was told that could change it. */
struct kept {
	cgroup_ix cgroup;
	bool used, overdue;
	uint64_t inventory, cgroups; /* editions of both */
	struct end_text text;
	struct flow_end end;
};

struct attribute {
	struct attribute_opts opts;
	struct inv_cursor *cursor;
	bool fresh;			 /* the collector's feed is heard */
	struct kept kept[_AS_MAX][KEPT]; /* by index of the directory */
};

int attribute_new(const struct attribute_opts *o, struct attribute **ret)
{
	struct attribute *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->opts = *o;
	a->opts.scope.inventory = o->inventory;
	r = end_memo_new(&a->opts.scope.memo);
	if (r == 0)
		r = inventory_cursor_add(o->inventory, NULL, NULL, &a->cursor);
	if (r < 0) {
		attribute_free(&a);
		return r;
	}
	*ret = a;
	return 0;
}

void attribute_free(struct attribute **ap)
{
	struct attribute *a = *ap;

	if (!a)
		return;
	inventory_cursor_remove(a->opts.inventory, &a->cursor);
	end_memo_free(&a->opts.scope.memo);
	free(a);
	*ap = NULL;
}

struct end_scope *attribute_scope(struct attribute *a)
{
	return &a->opts.scope;
}

/* ---- pods wake flows ------------------------------------------------------------------------- */

/* "containerd://<64 hex>" → the digits, which is what a cgroup's name has. */
static struct str bare_id(const char *id)
{
	const char *at = strstr(id, "://");

	return str_of(at ? at + 3 : id);
}

static void wake(struct attribute *a, pod_id id)
{
	struct inventory *v = a->opts.inventory;
	struct inv_container_view c;
	struct inv_pod_view pod;
	struct workload w;

	if (!inventory_pod(v, id, &pod))
		return;
	for (uint32_t i = 0; i < pod.n_containers; i++) {
		inventory_pod_container(v, id, i, &c);
		if (c.id[0])
			flows_wake_container(a->opts.flows, bare_id(c.id));
	}
	flows_wake_pod(a->opts.flows, str_of(pod.uid));
	if (!str_empty(pod.static_hash))
		flows_wake_pod(a->opts.flows, pod.static_hash);
	/* The owner of a pod that came and went is read after it: then it is looked at again. */
	if (match_pod(v, a->opts.scope.policy, id, &w) != MATCH_WAIT)
		inventory_cursor_done(v, a->cursor, id);
}

static int wake_some(struct attribute *a)
{
	pod_id id;

	for (int i = 0; i < WAKE_SLICE; i++) {
		id = inventory_cursor_next(a->opts.inventory, a->cursor);
		if (!id)
			return 0;
		wake(a, id);
	}
	return 1;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_current(const struct attribute *a, const struct kept *k, cgroup_ix cgroup,
		       bool overdue)
{
	return k->used && k->cgroup == cgroup && k->overdue == overdue &&
	       k->inventory == inventory_edition(a->opts.inventory) &&
	       k->cgroups == flows_cgroups_changes(a->opts.flows);
}

static void learn(const struct attribute *a, struct kept *k, cgroup_ix cgroup, bool overdue)
{
	struct flow_cgroup g;
	bool known = cgroup && flows_cgroup_at(a->opts.flows, cgroup, &g);

	k->used = true;
	k->cgroup = cgroup;
	k->overdue = overdue;
	k->inventory = inventory_edition(a->opts.inventory);
	k->cgroups = flows_cgroups_changes(a->opts.flows);
	end_local(&a->opts.scope, known ? &g.ref : NULL, overdue, &k->text, &k->end);
}

/* Texts are good until the next one of its sort. */
static void name_socket(struct attribute *a, enum as as, cgroup_ix cgroup, bool overdue,
			struct flow_end *ret)
{
	struct kept *k = &a->kept[as][cgroup % KEPT];

	if (!is_current(a, k, cgroup, overdue))
		learn(a, k, cgroup, overdue);
	*ret = k->end;
}

/* The local end was given up before, and is named when its pod and owner are told of after all. */
static void name_after_all(struct attribute *a, const struct flow_view *f, bool overdue,
			   struct flow_end *ret)
{
	name_socket(a, AS_LOCAL, f->cgroup, false, ret);
	if (overdue && ret->known_by == KNOWN_NOT && ret->why == UNKNOWN_PENDING)
		ret->why = UNKNOWN_NO_POD;
}

/* The other end is a socket of this node: what its own cgroup says. */
static bool name_by_twin(struct attribute *a, const struct flow_view *f, bool overdue,
			 struct flow_end *ret)
{
	if (!f->twin)
		return false;
	name_socket(a, AS_REMOTE, flows_cgroup_of(a->opts.flows, f->twin), overdue, ret);
	return ret->known_by == KNOWN_CGROUP || ret->known_by == KNOWN_HOST ||
	       ret->why == UNKNOWN_PENDING;
}

static void name_loopback(const struct attribute *a, const struct flow_view *f,
			  const struct flow_end *local, struct flow_end *ret)
{
	bool alone = flows_netns_alone(a->opts.flows, f->netns, local->pod_uid, f->start);

	end_loopback(&a->opts.scope, local, f->netns, alone, ret);
}

/* Somebody was there: a handshake was made, or something came. */
static bool answered(const struct flow_view *f)
{
	if (f->counters.received)
		return true;
	if (f->proto == FLOW_UDP)
		return f->dir == FLOW_IN;
	return f->state == FLOW_OPEN || f->state == FLOW_CLOSED || f->state == FLOW_RESET;
}

/* The collector's feed tells of a flow's start a second or two after it; then it is late. */
static bool is_late(const struct attribute *a, const struct flow_view *f, nsec_t now)
{
	const struct peers *p = a->opts.scope.peers;

	return !p || now >= f->start + ATTRIBUTE_PEERS_WAIT || !peers_awaited(p, now);
}

static void name_remote(struct attribute *a, const struct flow_view *f, nsec_t now,
			const struct flow_end *local, struct end_text *t, struct flow_end *ret)
{
	const struct end_scope *s = &a->opts.scope;
	bool settled = now >= f->start + (s->settle ? s->settle : END_SETTLE);
	unsigned int flags = (settled ? END_OVERDUE : 0U) | (answered(f) ? END_ANSWERED : 0U) |
			     (is_late(a, f, now) ? END_LATE : 0U);
	const struct addr *ip = f->masked ? &f->origin.ip : &f->raddr;

	if (name_by_twin(a, f, settled, ret))
		return;
	if (now > f->start + MEMORY && f->remote.known_by == KNOWN_NOT &&
	    f->remote.why != UNKNOWN_PENDING) {
		*ret = f->remote; /* no texts */
		return;
	}
	/* conntrack tells of this node's own programs as such. */
	if (f->dir != FLOW_OUT && !(f->masked && end_is_host(s, ip)))
		flags |= END_INBOUND;
	if (!settled) /* the twin may still come, and so may the address */
		*ret = (struct flow_end){.known_by = KNOWN_NOT, .why = UNKNOWN_PENDING};
	else if (f->doubt)
		*ret = (struct flow_end){.known_by = KNOWN_NOT, .why = UNKNOWN_AMBIGUOUS};
	else if (end_is_loopback(&f->raddr))
		name_loopback(a, f, local, ret);
	else
		end_remote(s, ip, f->start, flags, t, ret);
}

static int name(struct attribute *a, flow_id id, nsec_t now)
{
	bool overdue = flows_overdue(a->opts.flows, id, now);
	struct flow_end local, remote;
	struct end_text text;
	struct flow_view f;

	if (!flows_at(a->opts.flows, id, &f))
		return 0;
	if (f.named && f.local.known_by == KNOWN_NOT)
		name_after_all(a, &f, overdue, &local);
	else
		name_socket(a, AS_LOCAL, f.cgroup, overdue, &local);
	name_remote(a, &f, now, &local, &text, &remote);
	return flows_name(a->opts.flows, now, id, &local, &remote);
}

static int name_some(struct attribute *a, nsec_t now)
{
	flow_id id;
	int r;

	for (int i = 0; i < NAME_SLICE; i++) {
		id = flows_unnamed(a->opts.flows, now);
		if (!id)
			return 0;
		r = name(a, id, now);
		if (r < 0)
			return r;
	}
	return 1;
}

/* Flows that found the feed silent are looked at again when it is back. */
static void note_peers(struct attribute *a, nsec_t now)
{
	const bool was = a->fresh;

	if (!a->opts.scope.peers)
		return;
	a->fresh = peers_known(a->opts.scope.peers) + FRESH > now;
	if (was || !a->fresh)
		return;
	flows_again(a->opts.flows, UNKNOWN_PEERS_UNSYNCED);
	flows_again(a->opts.flows, UNKNOWN_PEERS_STALE);
}

int attribute_run(struct attribute *a, nsec_t now)
{
	int more = wake_some(a), r;

	note_peers(a, now);
	r = name_some(a, now);

	return r < 0 ? r : r | more;
}
