/*
 * What the collector's feed knows of an address or a pod of another node; see
 * whois_parts.h.
 */
#include "serve/whois_parts.h"

#include "base/mem.h"
#include "peers/peers.h"
#include "sink/jsonl/line.h"

#include <stdio.h>

#define FRESH	   (15 * NSEC_PER_SEC) /* so long after its last word its last time is "now" */
#define MAX_CLAIMS 64

static const struct peers *peers_of(const struct whois *w)
{
	return w->scope ? w->scope->peers : NULL;
}

nsec_t whois_peers_at(const struct whois *w)
{
	const nsec_t known = peers_of(w) ? peers_known(peers_of(w)) : 0;
	const nsec_t latest = known > END_SETTLE ? known - END_SETTLE : 0;

	return latest && w->at > latest && w->now < known + FRESH ? latest : w->at;
}

/* The thing that was named, by its claim on the address at that time. */
static uint32_t find_named(const struct whois *w, const struct addr *ip, nsec_t at,
			   const struct flow_end *e)
{
	static const enum kind kinds[] = {KIND_POD, KIND_NODE, KIND_SERVICE};
	const struct str name = str_empty(e->pod) ? e->workload : e->pod;
	struct inv_claim c[MAX_CLAIMS];
	struct replica_thing t;

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		const uint32_t n = peers_claims(peers_of(w), ip, kinds[k], c, MAX_CLAIMS);

		for (uint32_t i = 0; i < MIN(n, (uint32_t)MAX_CLAIMS); i++)
			if (at < c[i].to &&
			    replica_thing(peers_replica(peers_of(w)), c[i].id, &t) &&
			    str_eq(str_of(t.name), name) && str_eq(t.ns, e->ns))
				return c[i].id;
	}
	return 0;
}

static void say_peer(const struct whois *w, struct finding *f)
{
	struct peers_status s;

	peers_status(peers_of(w), &s);
	(void)snprintf(f->how, sizeof(f->how),
		       "the collector %s told of it, as the API server told", s.from);
}

void whois_peer_address(const struct whois *w, const struct addr *ip, nsec_t at, struct finding *f)
{
	if (!peers_of(w) || f->pod || f->end.known_by != KNOWN_ADDRESS)
		return;
	f->peer = find_named(w, ip, at, &f->end);
	if (f->peer)
		say_peer(w, f);
}

void whois_peer_pod(const struct whois *w, struct str ns, struct str name, struct finding *f)
{
	const struct replica *r = peers_of(w) ? peers_replica(peers_of(w)) : NULL;
	struct replica_thing t;

	for (uint32_t id = r ? replica_next(r, 0) : 0; id; id = replica_next(r, id))
		if (replica_thing(r, id, &t) && t.kind == KIND_POD && str_eq(t.ns, ns) &&
		    str_eq(str_of(t.name), name))
			f->peer = id; /* the last one of that name */
	if (f->peer)
		say_peer(w, f);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void put_addresses(struct json_out *j, const struct whois *w, uint32_t id)
{
	const struct peers *p = peers_of(w);
	char text[ADDR_TEXT_MAX];
	struct inv_claim c;
	struct addr ip;

	json_open(j, "addresses", '[');
	for (uint32_t i = 0; replica_claim(peers_replica(p), id, i, &ip, &c); i++) {
		json_open(j, NULL, '{');
		json_text(j, "address", str_of(addr_print(&ip, text)));
		json_time(j, "from", peers_ours(p, c.from) + (nsec_t)w->offset);
		if (c.to != NSEC_NEVER)
			json_time(j, "to", peers_ours(p, c.to) + (nsec_t)w->offset);
		json_close(j, '{');
	}
	json_close(j, '[');
}

static void put_names(struct json_out *j, const struct replica_thing *t)
{
	const bool owned = !str_empty(t->workload_kind);

	json_some(j, "namespace", t->ns);
	json_text(j, "pod", str_of(t->name));
	json_text(j, "workload", owned ? t->workload : str_of(t->name));
	json_text(j, "workload_kind", owned ? t->workload_kind : STR("Pod"));
}

/* "peers feed of kindred-collector-0, version 5f1c…:1234, heard until TIME" */
static void put_source(struct json_out *j, const struct whois *w)
{
	char text[512], time[TIME_TEXT_MAX];
	struct peers_status s;

	peers_status(peers_of(w), &s);
	(void)snprintf(text, sizeof(text), "peers feed of %s, version %.8s:%llu, heard until %s",
		       s.from, s.feed, (unsigned long long)s.position,
		       s.known ? time_text(s.known + (nsec_t)w->offset, time) : "an unknown time");
	json_text(j, "known_from", str_of(text));
}

void whois_put_peer(struct json_out *j, const struct whois *w, const struct finding *f)
{
	struct replica_thing t;

	if (!f->peer || !replica_thing(peers_replica(peers_of(w)), f->peer, &t))
		return;
	if (!f->has_end)
		put_names(j, &t);
	json_some(j, "node", t.node);
	put_addresses(j, w, f->peer);
	put_source(j, w);
}
