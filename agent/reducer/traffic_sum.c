/* Links to sums between workloads; see traffic.h. */
#include "reducer/traffic.h"

#include "base/mem.h"
#include "reducer/traffic_state.h"

#include <errno.h>
#include <stdlib.h>

#define PORT_DNS 53

void edges_init(struct edges *e)
{
	pool_init(&e->pool, sizeof(struct edge), TRAFFIC_MAX_EDGES);
	index_init(&e->index);
}

void edges_done(struct edges *e)
{
	pool_done(&e->pool);
	index_done(&e->index);
}

/* RFC 1918, RFC 6598, RFC 3927; RFC 4193, link-local. */
static bool is_private(const struct addr *a)
{
	const uint32_t v4 = addr_v4(a);

	if (!addr_is_v4(a))
		return (a->b[0] & 0xfe) == 0xfc || (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80);
	return v4 >> 24 == 10 || v4 >> 20 == 0xac1 || v4 >> 16 == 0xc0a8 || v4 >> 22 == 0x191 ||
	       v4 >> 16 == 0xa9fe || v4 >> 24 == 127;
}

/* An end that nobody reported, or of which nothing but the address is known. */
static struct traffic_end by_address(const struct traffic *t, const struct side *s)
{
	const struct str name = traffic_name_of(t, &s->ip);

	if (addr_v4(&s->ip) == 0xa9fea9fe)
		return (struct traffic_end){TRAFFIC_IP, {0}, STR("instance metadata")};
	if (s->port == PORT_DNS)
		return (struct traffic_end){TRAFFIC_IP, {0}, STR("DNS")};
	if (!str_empty(name))
		return (struct traffic_end){TRAFFIC_DNS, {0}, name};
	return (struct traffic_end){
		TRAFFIC_IP, {0}, is_private(&s->ip) ? STR("(unknown)") : STR("(internet)")};
}

static traffic_node node_of(const struct traffic *t, const struct side *s)
{
	const struct traffic_end e = by_address(t, s);
	/* A memo of names: what a link adds to it is no change of what was told. */
	struct traffic *memo = (struct traffic *)(uintptr_t)t;
	traffic_node n = s->node;

	if (!n && traffic_intern(memo, &e, &n) < 0)
		return 0;
	return n;
}

/* Who began: the connector; of a UDP conversation the end with the higher port. */
static int from_of(const struct link *l)
{
	for (int i = 0; i < 2; i++) {
		if (l->side[i].state != SIDE_NONE && l->side[i].tx_rx == 1)
			return i;
		if (l->side[i].state != SIDE_NONE && l->side[i].tx_rx == 2)
			return !i;
	}
	return l->side[1].port > l->side[0].port;
}

static struct edge *edge_at(const struct traffic *t, struct edges *e, traffic_node from,
			    traffic_node to, bool udp, int *ret)
{
	const uint32_t k[3] = {from, to, udp};
	const uint32_t h = (uint32_t)hash_bytes(&t->seed, k, sizeof(k));
	struct edge *x;
	uint32_t at, id;

	*ret = 0;
	for (id = index_first(&e->index, h, &at); id; id = index_next(&e->index, h, &at)) {
		x = pool_at(&e->pool, id);
		if (x->from == from && x->to == to && x->sum.udp == udp)
			return x;
	}
	if (e->pool.live + 2 >= e->pool.max && from) { /* two places are kept for "nobody" */
		*ret = -ENOSPC;
		return NULL;
	}
	id = index_reserve(&e->index, 1) < 0 ? 0 : pool_alloc(&e->pool);
	if (!id) {
		*ret = -ENOMEM;
		return NULL;
	}
	x = pool_at(&e->pool, id);
	*x = (struct edge){.from = from, .to = to, .sum.udp = udp};
	(void)index_put(&e->index, h, id);
	return x;
}

/* From an end to the other: what was sent, where the sender tells, else what arrived. */
static void add_way(uint64_t *bytes, uint64_t *packets, const struct side *from,
		    const struct side *to)
{
	if (from->state != SIDE_NONE) {
		*bytes += from->n.sent;
		*packets += from->n.packets_out;
	} else {
		*bytes += to->n.received;
		*packets += to->n.packets_in;
	}
}

static void add_link(struct traffic_row *sum, const struct link *l, int from)
{
	const struct side *a = &l->side[from], *b = &l->side[!from];

	sum->connections++;
	sum->open += a->state == SIDE_OPEN || b->state == SIDE_OPEN;
	add_way(&sum->bytes, &sum->packets, a, b);
	add_way(&sum->bytes_back, &sum->packets_back, b, a);
	sum->retrans += a->n.retrans + b->n.retrans;
	/* Both ends see one reset. */
	sum->resets += MAX(a->n.resets, b->n.resets);
	sum->syn_timeouts += a->n.syn_timeouts + b->n.syn_timeouts;
	sum->drops += a->n.drops + b->n.drops;
	sum->rtt_sum += a->n.rtt_sum + b->n.rtt_sum;
	sum->rtt_n += a->n.rtt_n + b->n.rtt_n;
	sum->dns_responses += a->n.dns_responses;
	if (a->state == SIDE_NONE)
		sum->dns_responses += b->n.dns_responses;
	sum->dns_timeouts += a->n.dns_timeouts + b->n.dns_timeouts;
	sum->dns_ns += a->n.dns_ns + b->n.dns_ns;
	sum->dns_n += a->n.dns_n + b->n.dns_n;
}

int traffic_sum(const struct traffic *t, struct edges *e, const struct link *l, bool *ret_full)
{
	const int from = from_of(l);
	const traffic_node a = node_of(t, &l->side[from]), b = node_of(t, &l->side[!from]);
	struct edge *x;
	int r;

	if (!a || !b)
		return -ENOMEM;
	x = edge_at(t, e, a, b, l->udp, &r);
	if (r == -ENOSPC) {
		*ret_full = true;
		x = edge_at(t, e, 0, 0, l->udp, &r);
	}
	if (!x)
		return r;
	add_link(&x->sum, l, from);
	return 0;
}

static void add_row(struct traffic_row *to, const struct traffic_row *x)
{
	to->connections += x->connections;
	to->bytes += x->bytes;
	to->packets += x->packets;
	to->bytes_back += x->bytes_back;
	to->packets_back += x->packets_back;
	to->retrans += x->retrans;
	to->resets += x->resets;
	to->syn_timeouts += x->syn_timeouts;
	to->drops += x->drops;
	to->rtt_sum += x->rtt_sum;
	to->rtt_n += x->rtt_n;
	to->dns_responses += x->dns_responses;
	to->dns_timeouts += x->dns_timeouts;
	to->dns_ns += x->dns_ns;
	to->dns_n += x->dns_n;
}

/* What has ended, without what was open then. */
static int copy_ended(const struct traffic *t, struct edges *to)
{
	for (pool_id id = 1; id <= t->edges.pool.next; id++) {
		const struct edge *from = pool_at(&t->edges.pool, id);
		struct edge *x;
		int r;

		x = edge_at(t, to, from->from, from->to, from->sum.udp, &r);
		if (!x)
			return r;
		add_row(&x->sum, &from->sum);
	}
	return 0;
}

static int by_names(const struct traffic_end *a, const struct traffic_end *b)
{
	int r = str_cmp(a->ns, b->ns);

	if (!r)
		r = str_cmp(a->workload, b->workload);
	return r ? r : (a->type > b->type) - (a->type < b->type);
}

int traffic_same_order(const struct traffic_row *a, const struct traffic_row *b)
{
	int r = by_names(&a->from, &b->from);

	if (!r)
		r = by_names(&a->to, &b->to);
	return r ? r : a->udp - b->udp;
}

static int by_bytes(const void *x, const void *y)
{
	const struct traffic_row *a = x, *b = y;
	const uint64_t na = a->bytes + a->bytes_back, nb = b->bytes + b->bytes_back;
	int r = (na < nb) - (na > nb);

	return r ? r : traffic_same_order(a, b);
}

static bool same_names(const struct traffic_row *a, const struct traffic_row *b)
{
	return a->udp == b->udp && str_eq(a->from.ns, b->from.ns) &&
	       str_eq(a->from.workload, b->from.workload) && str_eq(a->to.ns, b->to.ns) &&
	       str_eq(a->to.workload, b->to.workload);
}

static int by_texts(const void *x, const void *y)
{
	const struct traffic_row *a = x, *b = y;
	int r = str_cmp(a->from.ns, b->from.ns);

	if (!r)
		r = str_cmp(a->from.workload, b->from.workload);
	if (!r)
		r = str_cmp(a->to.ns, b->to.ns);
	if (!r)
		r = str_cmp(a->to.workload, b->to.workload);
	return r ? r : a->udp - b->udp;
}

size_t traffic_merge(struct traffic_row *rows, size_t n)
{
	size_t kept = 0;

	qsort(rows, n, sizeof(*rows), by_texts);
	for (size_t i = 0; i < n; i++) {
		if (kept && same_names(&rows[kept - 1], &rows[i])) {
			rows[kept - 1].open += rows[i].open;
			add_row(&rows[kept - 1], &rows[i]);
		} else {
			rows[kept++] = rows[i];
		}
	}
	qsort(rows, kept, sizeof(*rows), by_bytes);
	return kept;
}

static int rows_of(const struct traffic *t, const struct edges *e, struct traffic_row **ret,
		   size_t *ret_n)
{
	static const struct traffic_end other = {TRAFFIC_IP, {0}, STR("(other)")};
	const size_t n = e->pool.next;
	struct traffic_row *rows = calloc(n + 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct edge *x = pool_at(&e->pool, (pool_id)i + 1);

		rows[i] = x->sum;
		rows[i].from = x->from ? traffic_end(t, x->from) : other;
		rows[i].to = x->to ? traffic_end(t, x->to) : other;
	}
	qsort(rows, n, sizeof(*rows), by_bytes);
	*ret = rows;
	*ret_n = n;
	return 0;
}

int traffic_rows(const struct traffic *t, struct traffic_row **ret, size_t *ret_n)
{
	struct edges all;
	bool full = false;
	int r;

	edges_init(&all);
	r = copy_ended(t, &all);
	for (pool_id id = 1; r == 0 && id <= t->links.next; id++) {
		const struct link *l = pool_at(&t->links, id);

		if (l->used)
			r = traffic_sum(t, &all, l, &full);
	}
	if (r == 0)
		r = rows_of(t, &all, ret, ret_n);
	edges_done(&all);
	return r;
}
