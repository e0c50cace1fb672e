#include "match/end.h"

#include "base/mem.h"
#include "match/memo.h"
#include "match/who.h"
#include "peers/peers.h"

#include <stdio.h>
#include <string.h>

static void unknown(enum unknown_reason why, struct flow_end *ret)
{
	*ret = (struct flow_end){.known_by = KNOWN_NOT, .why = why};
}

/* ---- a pod ----------------------------------------------------------------------------------- */

/* Nobody controls it: the pod is its own workload. */
static void name_workload(const struct inventory *v, owner_id owner, struct flow_end *ret)
{
	if (owner) {
		inventory_owner_names(v, owner, &ret->workload_kind, &ret->workload);
	} else {
		ret->workload = ret->pod;
		ret->workload_kind = STR("Pod");
	}
}

/* False: an owner on the way is not known yet. */
static bool name_pod(const struct end_scope *s, pod_id id, bool overdue, struct end_text *t,
		     struct flow_end *ret)
{
	enum match_end end;
	owner_id owner = match_owner(s->inventory, s->policy, id, &end);
	struct inv_pod_view pod;

	if (end == MATCH_END_UNKNOWN) {
		if (!overdue)
			return false;
		owner = inventory_pod_owner(s->inventory, id);
	}
	(void)inventory_pod(s->inventory, id, &pod);
	memcpy(t->pod_uid, pod.uid, sizeof(t->pod_uid));
	*ret = (struct flow_end){.ns = pod.ns, .pod = pod.name, .pod_uid = str_of(t->pod_uid)};
	name_workload(s->inventory, owner, ret);
	return true;
}

/* ---- the local end --------------------------------------------------------------------------- */

static pod_id pod_of_cgroup(const struct inventory *v, const struct cgroup_ref *ref,
			    struct str *ret_container)
{
	pod_id id = 0;

	if (!str_empty(ref->container_id))
		id = inventory_container_name(v, ref->container_id, ret_container);
	if (!id && !str_empty(ref->pod_uid))
		id = inventory_by_uid(v, ref->pod_uid);
	if (!id && !str_empty(ref->pod_uid))
		id = inventory_by_static_hash(v, ref->pod_uid);
	return id;
}

static void local_pod(const struct end_scope *s, const struct cgroup_ref *ref, bool overdue,
		      struct end_text *t, struct flow_end *ret)
{
	struct str container = {0};
	pod_id id = pod_of_cgroup(s->inventory, ref, &container);

	if (!id || !name_pod(s, id, overdue, t, ret)) {
		unknown(overdue ? UNKNOWN_NO_POD : UNKNOWN_PENDING, ret);
		return;
	}
	ret->known_by = KNOWN_CGROUP;
	ret->container = container;
}

static void local_service(struct str unit, struct end_text *t, struct flow_end *ret)
{
	(void)snprintf(t->unit, sizeof(t->unit), "host/%.*s", STR_ARG(unit));
	*ret = (struct flow_end){
		.known_by = KNOWN_HOST, .workload = str_of(t->unit), .workload_kind = STR("Host")};
}

void end_local(const struct end_scope *s, const struct cgroup_ref *ref, bool overdue,
	       struct end_text *t, struct flow_end *ret)
{
	if (!ref) {
		unknown(UNKNOWN_NO_CGROUP, ret);
		return;
	}
	switch (ref->what) {
	case CGROUP_POD:
	case CGROUP_CONTAINER:
		local_pod(s, ref, overdue, t, ret);
		return;
	case CGROUP_SERVICE:
		local_service(ref->unit, t, ret);
		return;
	case CGROUP_OTHER:
	case _CGROUP_WHAT_MAX:
		break;
	}
	*ret = (struct flow_end){
		.known_by = KNOWN_HOST, .workload = STR("host"), .workload_kind = STR("Host")};
}

/* ---- by the inventory ------------------------------------------------------------------------ */

static nsec_t settle_of(const struct end_scope *s)
{
	return s->settle ? s->settle : END_SETTLE;
}

static struct who who_here(const struct end_scope *s)
{
	return (struct who){.settle = settle_of(s),
			    .listed_at = inventory_listed_at(s->inventory),
			    .wall_offset = s->wall_offset};
}

/* *ret_settled: from when on every flow's answer is this one; NSEC_NEVER: another's may differ. */
static pod_id pod_at_address(const struct end_scope *s, const struct addr *ip, nsec_t start,
			     unsigned int flags, nsec_t *ret_settled, enum unknown_reason *ret_why)
{
	struct inv_claim c[WHO_MAX_CLAIMS];
	uint32_t n = inventory_pod_claims(s->inventory, ip, c, WHO_MAX_CLAIMS);
	const struct who w = who_here(s);

	*ret_why = UNKNOWN_NONE;
	*ret_settled = who_settled(&w, c, n);
	return n ? who_had(&w, c, n, start, flags, ret_why) : 0;
}

pod_id end_pod_at(const struct end_scope *s, const struct addr *ip, nsec_t start,
		  unsigned int flags)
{
	enum unknown_reason why;
	nsec_t settled;

	return flags & END_OVERDUE ? pod_at_address(s, ip, start, flags, &settled, &why) : 0;
}

/* True: `ret` is filled, with a name or with why there is none. What is said only because the feed
 * has nobody is not kept: of later flows it may say otherwise. */
static bool remote_pod(const struct end_scope *s, const struct end_memo_key *k, nsec_t start,
		       unsigned int flags, struct end_text *t, struct flow_end *ret)
{
	enum unknown_reason why;
	nsec_t settled;
	pod_id id = pod_at_address(s, k->ip, start, flags, &settled, &why);

	if (id) {
		(void)name_pod(s, id, true, t, ret);
		ret->known_by = KNOWN_ADDRESS;
		if (settled <= start && !k->by_peers)
			end_memo_keep(s->memo, k, settled, t, ret);
		return true;
	}
	if (why == UNKNOWN_NONE)
		return false;
	unknown(why, ret);
	return true;
}

/* Nodes first: a node's address that a Service lends is the node's all the same. */
static const enum kind place_order[] = {KIND_NODE, KIND_SERVICE};

static uint32_t claims_of_kind(const struct inventory *v, const struct inv_claim *from, uint32_t n,
			       enum kind kind, struct inv_claim *ret)
{
	struct inv_place_view p;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (inventory_place(v, from[i].id, &p) && p.kind == kind)
			ret[kept++] = from[i];
	return kept;
}

/* This node itself, which a socket without a better name belongs to. */
static void host_end(const struct end_scope *s, struct flow_end *ret)
{
	*ret = (struct flow_end){.known_by = KNOWN_HOST,
				 .workload = str_empty(s->node) ? STR("host") : s->node,
				 .workload_kind = STR("Node")};
}

/* An address of this node's that no interface here has is the host's as any other. */
static void name_place(const struct end_scope *s, enum kind kind, struct str ns, struct str name,
		       unsigned int flags, struct flow_end *ret)
{
	if (kind == KIND_NODE && flags & END_INBOUND)
		unknown(UNKNOWN_TRANSLATED, ret);
	else if (kind == KIND_NODE && !str_empty(s->node) && str_eq(name, s->node))
		host_end(s, ret);
	else
		*ret = (struct flow_end){.known_by = KNOWN_ADDRESS,
					 .ns = ns,
					 .workload = name,
					 .workload_kind = str_of(kind_name(kind))};
}

static bool remote_place(const struct end_scope *s, const struct addr *ip, nsec_t start,
			 unsigned int flags, struct flow_end *ret)
{
	struct inv_claim all[WHO_MAX_CLAIMS], c[WHO_MAX_CLAIMS];
	enum unknown_reason why = UNKNOWN_AMBIGUOUS;
	uint32_t n = inventory_place_claims(s->inventory, ip, all, WHO_MAX_CLAIMS);
	const struct who w = who_here(s);
	struct inv_place_view p;

	for (size_t k = 0; n <= WHO_MAX_CLAIMS && k < ARRAY_SIZE(place_order); k++) {
		uint32_t m = claims_of_kind(s->inventory, all, n, place_order[k], c);
		place_id id = who_had(&w, c, m, start, flags, &why);

		if (inventory_place(s->inventory, id, &p)) {
			name_place(s, p.kind, p.ns, p.name, flags, ret);
			return true;
		}
		if (why != UNKNOWN_NONE)
			break;
	}
	if (why == UNKNOWN_NONE)
		return false;
	unknown(why, ret);
	return true;
}

/* ---- by the collector's feed ----------------------------------------------------------------- */

static void name_peer(const struct end_scope *s, uint32_t id, unsigned int flags,
		      struct end_text *t, struct flow_end *ret)
{
	struct replica_thing it;
	struct str name;
	bool owned;

	(void)replica_thing(peers_replica(s->peers), id, &it); /* who has a claim is there */
	memcpy(t->peer, it.name, sizeof(t->peer));
	name = str_of(t->peer);
	if (it.kind != KIND_POD) {
		name_place(s, it.kind, it.ns, name, flags, ret);
		return;
	}
	owned = !str_empty(it.workload_kind);
	*ret = (struct flow_end){.known_by = KNOWN_ADDRESS, .ns = it.ns, .pod = name};
	ret->workload = owned ? it.workload : name;
	ret->workload_kind = owned ? it.workload_kind : STR("Pod");
}

/* The whole cluster, as it was told of until `settle` after the start: as above. False: nobody. */
static bool remote_peer(const struct end_scope *s, const struct end_memo_key *key, nsec_t start,
			unsigned int flags, struct end_text *t, struct flow_end *ret)
{
	static const enum kind order[] = {KIND_POD, KIND_NODE, KIND_SERVICE};
	const struct who w = {.settle = settle_of(s),
			      .doubt = peers_doubt(s->peers),
			      .since = peers_since(s->peers),
			      .listed_at = peers_listed_at(s->peers),
			      .wall_offset = s->wall_offset};
	struct inv_claim c[WHO_MAX_CLAIMS];
	enum unknown_reason why;

	for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
		const uint32_t n = peers_claims(s->peers, key->ip, order[k], c, WHO_MAX_CLAIMS);
		const uint32_t id = n ? who_had(&w, c, n, start, flags, &why) : 0;
		const nsec_t settled = who_settled(&w, c, n);

		if (id) {
			name_peer(s, id, flags, t, ret);
			if (order[k] == KIND_POD && settled <= start)
				end_memo_keep(s->memo, key, settled, t, ret);
			return true;
		}
		if (n && why != UNKNOWN_NONE) {
			unknown(why, ret);
			return true;
		}
	}
	return false;
}

/* What there is to say when the inventory has nobody. */
static enum unknown_reason why_nobody(const struct end_scope *s, nsec_t start)
{
	if (!s->node_scope)
		return s->unsynced ? UNKNOWN_PENDING : UNKNOWN_ADDRESS;
	if (!s->peers)
		return UNKNOWN_NOT_ON_NODE;
	switch (peers_knows(s->peers, start, settle_of(s))) {
	case PEERS_KNOWS:
		return UNKNOWN_ADDRESS;
	case PEERS_UNSYNCED:
		return UNKNOWN_PEERS_UNSYNCED;
	case PEERS_STALE:
		break;
	}
	return UNKNOWN_PEERS_STALE;
}

/* ---- the remote end -------------------------------------------------------------------------- */

bool end_is_loopback(const struct addr *ip)
{
	static const struct addr one = {.b = {[15] = 1}};

	return addr_eq(ip, &one) || (addr_is_v4(ip) && ip->b[12] == 127);
}

bool end_is_host(const struct end_scope *s, const struct addr *ip)
{
	for (uint32_t i = 0; i < s->n_hosts; i++)
		if (addr_eq(&s->hosts[i], ip))
			return true;
	return false;
}

static bool own_namespace(const struct end_scope *s, const struct flow_end *local, uint32_t netns)
{
	struct inv_pod_view pod;

	if (local->known_by != KNOWN_CGROUP || !netns || netns == s->host_netns)
		return false;
	return inventory_pod(s->inventory, inventory_by_uid(s->inventory, local->pod_uid), &pod) &&
	       !pod.host_network;
}

void end_loopback(const struct end_scope *s, const struct flow_end *local, uint32_t netns,
		  bool alone, struct flow_end *ret)
{
	if (local->known_by == KNOWN_NOT) {
		unknown(local->why, ret);
		return;
	}
	if (!alone || !own_namespace(s, local, netns)) {
		unknown(UNKNOWN_AMBIGUOUS, ret);
		return;
	}
	*ret = *local;
	ret->container = (struct str){0};
	ret->known_by = KNOWN_ADDRESS;
}

static uint64_t edition_of(const struct end_scope *s)
{
	return inventory_edition(s->inventory) + (s->peers ? peers_edition(s->peers) : 0);
}

/* An address elsewhere, of a flow whose time has come. */
static void remote_address(const struct end_scope *s, const struct addr *ip, nsec_t start,
			   unsigned int flags, struct end_text *t, struct flow_end *ret)
{
	const struct end_memo_key k = {
		.ip = ip,
		.edition = edition_of(s),
		.by_peers = s->peers && peers_knows(s->peers, start, settle_of(s)) == PEERS_KNOWS};

	if (s->peers && !k.by_peers && !(flags & END_LATE)) {
		unknown(UNKNOWN_PENDING, ret);
		return;
	}
	if (end_memo_find(s->memo, &k, start, t, ret))
		return;
	if (k.by_peers && remote_peer(s, &k, start, flags, t, ret))
		return;
	if (remote_pod(s, &k, start, flags, t, ret) || remote_place(s, ip, start, flags, ret))
		return;
	unknown(why_nobody(s, start), ret);
}

void end_remote(const struct end_scope *s, const struct addr *ip, nsec_t start, unsigned int flags,
		struct end_text *t, struct flow_end *ret)
{
	const bool host = end_is_host(s, ip);

	if (host && !(flags & END_INBOUND))
		host_end(s, ret);
	else if (!(flags & END_OVERDUE))
		unknown(UNKNOWN_PENDING, ret);
	else if (host)
		unknown(UNKNOWN_TRANSLATED, ret);
	else if (end_is_loopback(ip))
		unknown(UNKNOWN_ADDRESS, ret);
	else
		remote_address(s, ip, start, flags, t, ret);
}
