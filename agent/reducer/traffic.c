#include "reducer/traffic.h"

#include "base/mem.h"
#include "reducer/traffic_state.h"

#include <errno.h>
#include <stdlib.h>

const char *traffic_type_name(enum traffic_type t)
{
	static const char *const names[_TRAFFIC_TYPE_MAX] = {
		[TRAFFIC_NOBODY] = "NONE",
		[TRAFFIC_K8S] = "K8S_CONTAINER",
		[TRAFFIC_CONTAINER] = "CONTAINER",
		[TRAFFIC_PROCESS] = "PROCESS",
		[TRAFFIC_DNS] = "DNS",
		[TRAFFIC_IP] = "IP",
	};

	return t < _TRAFFIC_TYPE_MAX ? names[t] : "NONE";
}

int traffic_new(struct traffic **ret)
{
	struct traffic *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	hash_seed_init(&t->seed);
	pool_init(&t->links, sizeof(struct link), TRAFFIC_MAX_LINKS);
	pool_init(&t->nodes, sizeof(struct node), TRAFFIC_MAX_NODES);
	index_init(&t->by_key);
	index_init(&t->by_node);
	index_init(&t->by_ip);
	edges_init(&t->edges);
	*ret = t;
	return 0;
}

void traffic_free(struct traffic **tp)
{
	struct traffic *t = *tp;

	if (!t)
		return;
	for (pool_id id = 1; id <= t->nodes.next; id++)
		free(((struct node *)pool_at(&t->nodes, id))->text);
	pool_done(&t->nodes);
	pool_done(&t->links);
	index_done(&t->by_key);
	index_done(&t->by_node);
	index_done(&t->by_ip);
	edges_done(&t->edges);
	free(t->names);
	free(t);
	*tp = NULL;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static uint32_t hash_end(const struct traffic *t, const struct traffic_end *e)
{
	return (uint32_t)(hash_bytes(&t->seed, e->ns.p, e->ns.n) * 31 +
			  hash_bytes(&t->seed, e->workload.p, e->workload.n) + e->type);
}

static traffic_node find_node(const struct traffic *t, const struct traffic_end *e)
{
	const uint32_t h = hash_end(t, e);
	uint32_t at, id;

	for (id = index_first(&t->by_node, h, &at); id; id = index_next(&t->by_node, h, &at)) {
		const struct node *n = pool_at(&t->nodes, id);

		if (n->type == e->type && str_eq(n->ns, e->ns) && str_eq(n->workload, e->workload))
			break;
	}
	return id;
}

static int add_node(struct traffic *t, const struct traffic_end *e, traffic_node *ret)
{
	char *text = malloc(e->ns.n + e->workload.n + 1);
	struct node *n;
	pool_id id;

	if (!text || index_reserve(&t->by_node, 1) < 0) {
		free(text);
		return -ENOMEM;
	}
	id = pool_alloc(&t->nodes);
	if (!id) {
		free(text);
		return -ENOMEM;
	}
	n = pool_at(&t->nodes, id);
	if (e->ns.n)
		memcpy(text, e->ns.p, e->ns.n);
	if (e->workload.n)
		memcpy(text + e->ns.n, e->workload.p, e->workload.n);
	*n = (struct node){.text = text,
			   .ns = str_make(text, e->ns.n),
			   .workload = str_make(text + e->ns.n, e->workload.n),
			   .type = (uint8_t)e->type};
	(void)index_put(&t->by_node, hash_end(t, e), id);
	*ret = id;
	return 0;
}

int traffic_intern(struct traffic *t, const struct traffic_end *e, traffic_node *ret)
{
	static const struct traffic_end other = {.type = TRAFFIC_IP, .workload = STR("(other)")};
	const traffic_node id = find_node(t, e);

	if (id) {
		*ret = id;
		return 0;
	}
	/* The last place is kept for "(other)". */
	if (t->nodes.live + 1 < TRAFFIC_MAX_NODES)
		return add_node(t, e, ret);
	t->count.full++;
	if (!t->other && add_node(t, &other, &t->other) < 0)
		return -ENOMEM;
	*ret = t->other;
	return 0;
}

struct traffic_end traffic_end(const struct traffic *t, traffic_node id)
{
	const struct node *n;

	if (!id)
		return (struct traffic_end){0};
	n = pool_at(&t->nodes, id);
	return (struct traffic_end){
		.type = (enum traffic_type)n->type, .ns = n->ns, .workload = n->workload};
}

/* ---- links ----------------------------------------------------------------------------------- */

struct key {
	struct addr ip[2];
	uint16_t port[2];
	uint32_t udp;
};

/* Both ends' views give one key; returns the local end's place in it. */
static int key_of(const struct traffic_tuple *t, struct key *ret)
{
	int c = memcmp(&t->laddr, &t->raddr, sizeof(t->laddr));
	int me;

	if (!c)
		c = (t->lport > t->rport) - (t->lport < t->rport);
	me = c > 0;
	*ret = (struct key){.udp = t->udp};
	ret->ip[me] = t->laddr;
	ret->port[me] = t->lport;
	ret->ip[!me] = t->raddr;
	ret->port[!me] = t->rport;
	return me;
}

static uint32_t hash_key(const struct traffic *t, const struct key *k)
{
	return (uint32_t)hash_bytes(&t->seed, k, sizeof(*k));
}

static struct key key_of_link(const struct link *l)
{
	return (struct key){.ip = {l->side[0].ip, l->side[1].ip},
			    .port = {l->side[0].port, l->side[1].port},
			    .udp = l->udp};
}

static bool is_key(const struct link *l, const struct key *k)
{
	const struct key mine = key_of_link(l);

	return memcmp(&mine, k, sizeof(mine)) == 0;
}

/* May this end take its place in that link? A UDP end may always; a TCP end where none was, or
 * where it was before its agent went away. */
static bool fits(const struct link *l, int side)
{
	const uint8_t s = l->side[side].state;

	return l->udp || s == SIDE_NONE || s == SIDE_LOST;
}

/* The oldest that fits. */
static pool_id find_link(const struct traffic *t, const struct key *k, int side)
{
	const uint32_t h = hash_key(t, k);
	uint64_t serial = UINT64_MAX;
	uint32_t at, id, best = 0;

	for (id = index_first(&t->by_key, h, &at); id; id = index_next(&t->by_key, h, &at)) {
		const struct link *l = pool_at(&t->links, id);

		if (l->serial < serial && is_key(l, k) && fits(l, side)) {
			serial = l->serial;
			best = id;
		}
	}
	return best;
}

static void stay(struct traffic *t, pool_id id)
{
	struct link *l = pool_at(&t->links, id);

	if (!l->lingers)
		return;
	*(l->prev ? &((struct link *)pool_at(&t->links, l->prev))->next : &t->first) = l->next;
	*(l->next ? &((struct link *)pool_at(&t->links, l->next))->prev : &t->last) = l->prev;
	l->prev = l->next = 0;
	l->lingers = false;
	t->count.lingering--;
}

static void linger(struct traffic *t, pool_id id, nsec_t now)
{
	struct link *l = pool_at(&t->links, id);

	stay(t, id);
	l->since = now;
	l->prev = t->last;
	*(t->last ? &((struct link *)pool_at(&t->links, t->last))->next : &t->first) = id;
	t->last = id;
	l->lingers = true;
	t->count.lingering++;
}

/* Into the sums. Without memory its counts are lost. */
static void end_link(struct traffic *t, pool_id id)
{
	struct link *l = pool_at(&t->links, id);
	const struct key k = key_of_link(l);
	bool full = false;

	if (traffic_sum(t, &t->edges, l, &full) < 0 || full)
		t->count.full++;
	stay(t, id);
	index_del(&t->by_key, hash_key(t, &k), id);
	l->used = false;
	pool_release(&t->links, id);
}

static int make_link(struct traffic *t, const struct key *k, pool_id *ret)
{
	struct link *l;
	pool_id id;

	if (t->links.live >= t->links.max && t->first)
		end_link(t, t->first);
	if (t->links.live >= t->links.max) {
		t->count.full++;
		return -ENOSPC;
	}
	if (index_reserve(&t->by_key, 1) < 0 || !(id = pool_alloc(&t->links)))
		return -ENOMEM;
	l = pool_at(&t->links, id);
	*l = (struct link){.serial = ++t->serials, .udp = k->udp != 0, .used = true};
	for (int i = 0; i < 2; i++) {
		l->side[i].ip = k->ip[i];
		l->side[i].port = k->port[i];
	}
	(void)index_put(&t->by_key, hash_key(t, k), id);
	*ret = id;
	return 0;
}

int traffic_open(struct traffic *t, const struct traffic_tuple *tuple, traffic_node node,
		 nsec_t now, traffic_link *ret, int *ret_side)
{
	struct key k;
	const int me = key_of(tuple, &k);
	pool_id id = find_link(t, &k, me);
	struct link *l;
	int r = 0;

	(void)now;
	if (!id)
		r = make_link(t, &k, &id);
	if (r < 0)
		return r;
	stay(t, id);
	l = pool_at(&t->links, id);
	l->side[me].state = SIDE_OPEN;
	l->side[me].users++;
	l->side[me].tx_rx = (uint8_t)tuple->tx_rx;
	if (node)
		l->side[me].node = node;
	t->count.changes++;
	*ret = id;
	*ret_side = me;
	return 0;
}

void traffic_set_node(struct traffic *t, traffic_link id, int side, traffic_node node)
{
	struct link *l = pool_at(&t->links, id);

	t->count.changes += l->side[side].node != node;
	l->side[side].node = node;
}

void traffic_add(struct traffic *t, traffic_link id, int side, const struct traffic_counts *c)
{
	struct traffic_counts *n = &((struct link *)pool_at(&t->links, id))->side[side].n;

	n->sent += c->sent;
	n->received += c->received;
	n->packets_out += c->packets_out;
	n->packets_in += c->packets_in;
	n->retrans += c->retrans;
	n->resets += c->resets;
	n->syn_timeouts += c->syn_timeouts;
	n->drops += c->drops;
	n->rtt_sum += c->rtt_sum;
	n->rtt_n += c->rtt_n;
	n->dns_responses += c->dns_responses;
	n->dns_timeouts += c->dns_timeouts;
	n->dns_ns += c->dns_ns;
	n->dns_n += c->dns_n;
	t->count.changes++;
}

void traffic_close(struct traffic *t, traffic_link id, int side, bool lost, nsec_t now)
{
	struct link *l = pool_at(&t->links, id);
	const struct side *other = &l->side[!side];

	if (l->side[side].users)
		l->side[side].users--;
	if (l->side[side].users)
		return;
	l->side[side].state = lost ? SIDE_LOST : SIDE_CLOSED;
	t->count.changes++;
	if (other->state == SIDE_OPEN)
		return;
	if (!l->udp && !lost && other->state == SIDE_CLOSED)
		end_link(t, id);
	else
		linger(t, id, now);
}

void traffic_tick(struct traffic *t, nsec_t now)
{
	while (t->first) {
		const struct link *l = pool_at(&t->links, t->first);

		if (now < l->since + TRAFFIC_LINGER)
			return;
		end_link(t, t->first);
	}
}

void traffic_retract(struct traffic *t, traffic_link id, int side, struct traffic_counts *ret)
{
	struct link *l = pool_at(&t->links, id);
	const struct key k = key_of_link(l);
	struct side *s = &l->side[side];

	*ret = s->n;
	t->count.changes++;
	*s = (struct side){.ip = s->ip, .port = s->port};
	if (l->side[!side].state != SIDE_NONE)
		return;
	stay(t, id);
	index_del(&t->by_key, hash_key(t, &k), id);
	l->used = false;
	pool_release(&t->links, id);
}

void traffic_stats(const struct traffic *t, struct traffic_stats *ret)
{
	*ret = t->count;
	ret->links = t->links.live;
	ret->edges = t->edges.pool.live;
	ret->nodes = t->nodes.live;
	ret->names = t->n_names;
}
