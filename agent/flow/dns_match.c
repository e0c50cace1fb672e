/*
 * Queries wait in a list in the order they came, which is the order of their
 * deadlines, and in an index by socket and message id. A client's query is found
 * again by its cgroup, port and id alone: on its way out its addresses may be
 * translated ones, and some resolvers ask several servers at once.
 */
#include "flow/dns_match.h"

#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DNS_PORT 53
/* An answer may have come in time and still wait in the ring: so much later is a query given up. */
#define SLACK (250 * NSEC_PER_MSEC)

struct query {
	struct abi_udp_key key;
	nsec_t at;
	pool_id prev, next; /* older, younger */
	uint32_t hash;
	uint16_t id, qtype;
	bool server;
	uint8_t name_n;
	char name[FLOWS_DNS_NAMES];
};

struct dns_match {
	struct pool queries;
	struct index index;
	struct hash_seed seed;
	pool_id oldest, youngest;
	nsec_t timeout;
	struct dns_match_figures figures;
};

int dns_match_new(uint32_t max, nsec_t timeout, struct dns_match **ret)
{
	struct dns_match *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	pool_init(&m->queries, sizeof(struct query), max ? max : 1);
	index_init(&m->index);
	hash_seed_init(&m->seed);
	m->timeout = timeout;
	*ret = m;
	return 0;
}

void dns_match_tune(struct dns_match *m, nsec_t timeout)
{
	m->timeout = timeout;
}

void dns_match_free(struct dns_match **m)
{
	if (!*m)
		return;
	index_done(&(*m)->index);
	pool_done(&(*m)->queries);
	free(*m);
	*m = NULL;
}

static struct query *query_at(const struct dns_match *m, pool_id id)
{
	return pool_at(&m->queries, id);
}

/* ---- the list, the index --------------------------------------------------------------------- */

static void forget(struct dns_match *m, pool_id id)
{
	struct query *q = query_at(m, id);

	index_del(&m->index, q->hash, id);
	if (q->prev)
		query_at(m, q->prev)->next = q->next;
	else
		m->oldest = q->next;
	if (q->next)
		query_at(m, q->next)->prev = q->prev;
	else
		m->youngest = q->prev;
	pool_release(&m->queries, id);
}

/* What must be the same in query and answer, besides the question. */
struct identity {
	struct abi_udp_key key; /* a client's: without addresses and remote port */
	uint16_t id;
	uint8_t server, pad[5];
};
_Static_assert(sizeof(struct identity) == sizeof(struct abi_udp_key) + 8, "no hidden padding");

static struct identity identity_of(const struct abi_udp_key *k, uint16_t id, bool server)
{
	struct identity i = {.id = id, .server = server};

	if (server)
		i.key = *k;
	i.key.cgroup = k->cgroup;
	i.key.lport = k->lport;
	i.key.pad = 0;
	return i;
}

static bool same(const struct query *q, const struct identity *i, const struct dns_message *d)
{
	struct identity own = identity_of(&q->key, q->id, q->server);

	if (memcmp(&own, i, sizeof(own)) != 0)
		return false;
	/* An answer that repeats no question (RFC 1035 section 4.1.1: a format error, perhaps) has
	 * its id alone. */
	if (!d->question)
		return true;
	return q->qtype == d->qtype && str_eq(str_make(q->name, q->name_n), dns_name(d));
}

/* One whose time was not over `at`. */
static pool_id find(const struct dns_match *m, nsec_t at, uint32_t hash, const struct identity *i,
		    const struct dns_message *d)
{
	uint32_t walk, id;

	for (id = index_first(&m->index, hash, &walk); id; id = index_next(&m->index, hash, &walk))
		if (at < query_at(m, id)->at + m->timeout && same(query_at(m, id), i, d))
			return id;
	return 0;
}

/* ---- queries and answers --------------------------------------------------------------------- */

static int ask(struct dns_match *m, nsec_t at, const struct abi_udp_key *k,
	       const struct dns_message *d, uint32_t hash, bool server)
{
	struct query *q;
	pool_id id;

	if (m->queries.live == m->queries.max) {
		forget(m, m->oldest);
		m->figures.lost++;
	}
	id = pool_alloc(&m->queries);
	if (!id || index_put(&m->index, hash, id) < 0) {
		if (id)
			pool_release(&m->queries, id);
		m->figures.no_memory++;
		return -ENOMEM;
	}
	q = query_at(m, id);
	*q = (struct query){.key = *k,
			    .at = at,
			    .prev = m->youngest,
			    .hash = hash,
			    .id = d->id,
			    .qtype = d->qtype,
			    .server = server,
			    .name_n = d->name_n};
	memcpy(q->name, d->name, d->name_n);
	if (m->youngest)
		query_at(m, m->youngest)->next = id;
	else
		m->oldest = id;
	m->youngest = id;
	m->figures.queries++;
	return 0;
}

static void tell(const struct query *q, struct dns_transaction *ret)
{
	*ret = (struct dns_transaction){.key = q->key,
					.server = q->server,
					.qtype = q->qtype,
					.at = q->at,
					.name_n = q->name_n};
	memcpy(ret->name, q->name, q->name_n);
}

static void answer(struct dns_match *m, nsec_t at, const struct abi_udp_key *k,
		   const struct dns_message *d, pool_id id, struct dns_transaction *ret)
{
	const struct query *q = query_at(m, id);

	tell(q, ret);
	ret->key = *k;
	ret->latency = at > q->at ? at - q->at : 0;
	ret->rcode = d->rcode;
	ret->n_addrs = d->n_addrs;
	ret->addrs_left_out = d->addrs_left_out;
	memcpy(ret->addrs, d->addrs, d->n_addrs * sizeof(d->addrs[0]));
	forget(m, id);
	m->figures.answered++;
}

int dns_match_packet(struct dns_match *m, nsec_t now, const struct abi_dns *d,
		     struct dns_transaction *ret)
{
	const nsec_t at = MIN((nsec_t)d->head.time, now);
	const size_t n = MIN((size_t)d->captured, (size_t)ABI_DNS_MAX);
	struct dns_message msg;
	struct identity who;
	uint32_t hash;
	bool server;
	pool_id id;

	if (dns_parse(str_make(d->data, n), &msg) < 0 || (!msg.response && !msg.question)) {
		m->figures.bad++;
		return -EBADMSG;
	}
	/* Who sends a query or gets an answer is the client. */
	server = msg.response == (d->egress != 0);
	if (msg.opcode != 0 || (server ? d->key.lport : d->key.rport) != DNS_PORT) {
		m->figures.unlike++;
		return 0;
	}
	who = identity_of(&d->key, msg.id, server);
	hash = (uint32_t)hash_bytes(&m->seed, &who, sizeof(who));
	id = find(m, at, hash, &who, &msg);
	if (msg.response && id) {
		answer(m, at, &d->key, &msg, id, ret);
		return 1;
	}
	if (!msg.response && !id)
		return ask(m, at, &d->key, &msg, hash, server);
	if (msg.response)
		m->figures.unasked++;
	else
		m->figures.repeated++;
	return 0;
}

int dns_match_expire(struct dns_match *m, nsec_t now, struct dns_transaction *ret)
{
	const struct query *q;

	if (!m->oldest || now < dns_match_deadline(m))
		return 0;
	q = query_at(m, m->oldest);
	tell(q, ret);
	ret->timeout = true;
	ret->latency = m->timeout;
	forget(m, m->oldest);
	m->figures.timeouts++;
	return 1;
}

nsec_t dns_match_deadline(const struct dns_match *m)
{
	return m->oldest ? query_at(m, m->oldest)->at + m->timeout + SLACK : NSEC_NEVER;
}

void dns_match_figures(const struct dns_match *m, struct dns_match_figures *ret)
{
	*ret = m->figures;
	ret->open = m->queries.live;
}

size_t dns_match_bytes(const struct dns_match *m)
{
	return sizeof(*m) + pool_bytes(&m->queries) + index_bytes(&m->index);
}
