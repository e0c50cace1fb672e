/*
 * What it costs to name the ends of a flow, with 150,000 pods: nanoseconds a
 * look-up, single thread, the best of some rounds.
 *
 *   hot    the same 16 addresses (or containers) in turn: records and indexes are in
 *          the processor's cache
 *   cold   any of the 150,000, at random: each look-up waits for memory
 *
 *   address.pod        address, time -> pod id: all claims, and the rule over them
 *   address.workload   the same, and the workload behind the pod (ReplicaSet -> Deployment)
 *   address.first      end_remote as a whole: names of pod, namespace, workload, uid as text
 *   address.end        the same as the agent asks, which keeps what it named last (match/memo.h)
 *   container.end      end_local as a whole, by container id in hex: once for a directory of the
 *                      tree, until news comes (core/attribute.c)
 */
#include "tests/bench/bench.h"

#include "base/mem.h"
#include "base/rng.h"
#include "match/end.h"
#include "match/memo.h"
#include "tests/lib/objects.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PODS   150000U
#define OWNERS (PODS / 3)
#define HOT    16U
#define LOOKS  (1U << 20)
#define ROUNDS 5

struct ends_bench {
	struct inventory *v;
	struct match_policy policy;
	struct end_scope scope;
	struct addr *ips;
	char (*cids)[65];
	uint32_t *order; /* LOOKS numbers of pods */
	uint64_t sum;	 /* so that nothing is optimised away */
};

static void ip_of(uint32_t i, char out[16])
{
	(void)snprintf(out, 16, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
}

static void add_owner(struct ends_bench *b, uint32_t i)
{
	char name[32], up[32];
	struct obj o;

	(void)snprintf(name, sizeof(name), "web-%u-5d4f", i);
	(void)snprintf(up, sizeof(up), "web-%u", i);
	obj_owner(&o, "apps/v1", "ReplicaSet", "shop", name, obj_uid(1000000 + i));
	obj_owned(&o, "apps/v1", "Deployment", up, obj_uid(2000000 + i));
	assert(inventory_apply_owner(b->v, 0, 1, &o.o) == 0);
}

static void add_pod(struct ends_bench *b, uint32_t i)
{
	char name[32], rs[32], ip[16], cid[80];
	struct obj o;

	(void)snprintf(name, sizeof(name), "web-%u-5d4f-%u", i % OWNERS, i);
	(void)snprintf(rs, sizeof(rs), "web-%u-5d4f", i % OWNERS);
	ip_of(i, ip);
	(void)snprintf(b->cids[i], sizeof(b->cids[i]), "%08x%056x", i * 2654435761U, i);
	(void)snprintf(cid, sizeof(cid), "containerd://%s", b->cids[i]);
	obj_pod(&o, "shop", name, obj_uid(i + 1), ip);
	obj_container(&o, cid, "main", "registry.example/web:1");
	obj_owned(&o, "apps/v1", "ReplicaSet", rs, obj_uid(1000000 + i % OWNERS));
	assert(addr_parse(str_of(ip), &b->ips[i]) == 0);
	assert(inventory_apply_pod(b->v, 0, 1, &o.o) == 0);
}

static void make(struct ends_bench *b)
{
	*b = (struct ends_bench){0};
	b->ips = calloc(PODS, sizeof(*b->ips));
	b->cids = calloc(PODS, sizeof(*b->cids));
	b->order = calloc(LOOKS, sizeof(*b->order));
	assert(b->ips && b->cids && b->order);
	assert(inventory_new(&inventory_defaults, &b->v) == 0);
	b->scope = (struct end_scope){.inventory = b->v, .policy = &b->policy};
	for (uint32_t i = 0; i < PODS; i++)
		add_pod(b, i);
	for (uint32_t i = 0; i < OWNERS; i++)
		add_owner(b, i);
}

static void pod_by_address(struct ends_bench *b, uint32_t i)
{
	b->sum += end_pod_at(&b->scope, &b->ips[i], 10 * NSEC_PER_SEC, END_OVERDUE);
}

static void workload_by_address(struct ends_bench *b, uint32_t i)
{
	pod_id id = end_pod_at(&b->scope, &b->ips[i], 10 * NSEC_PER_SEC, END_OVERDUE);
	enum match_end end;

	b->sum += match_owner(b->v, &b->policy, id, &end);
}

static void end_by_address(struct ends_bench *b, uint32_t i)
{
	struct end_text t;
	struct flow_end e;

	end_remote(&b->scope, &b->ips[i], 10 * NSEC_PER_SEC, END_OVERDUE, &t, &e);
	b->sum += e.workload.n;
}

static void end_by_container(struct ends_bench *b, uint32_t i)
{
	struct cgroup_ref ref = {.what = CGROUP_CONTAINER,
				 .container_id = str_make(b->cids[i], 64)};
	struct end_text t;
	struct flow_end e;

	end_local(&b->scope, &ref, false, &t, &e);
	b->sum += e.workload.n;
}

static void measure(struct ends_bench *b, const char *what,
		    void (*look)(struct ends_bench *, uint32_t))
{
	nsec_t best = NSEC_NEVER, from;

	for (int round = 0; round < ROUNDS; round++) {
		from = clock_mono();
		for (uint32_t i = 0; i < LOOKS; i++)
			look(b, b->order[i]);
		best = MIN(best, clock_mono() - from);
	}
	printf("ends.%s %.1f ns\n", what, (double)best / LOOKS);
}

/* Without what is kept, and with it. */
static void measure_ends(struct ends_bench *b, const char *first, const char *end)
{
	measure(b, first, end_by_address);
	assert(end_memo_new(&b->scope.memo) == 0);
	measure(b, end, end_by_address);
	end_memo_free(&b->scope.memo);
}

static void order(struct ends_bench *b, bool hot)
{
	struct rng g;

	rng_seed(&g, 1);
	for (uint32_t i = 0; i < LOOKS; i++)
		b->order[i] = hot ? i % HOT * (PODS / HOT) : (uint32_t)rng_below(&g, PODS);
}

void bench_ends(void)
{
	struct ends_bench b;

	make(&b);
	order(&b, true);
	measure(&b, "hot.address.pod", pod_by_address);
	measure(&b, "hot.address.workload", workload_by_address);
	measure_ends(&b, "hot.address.first", "hot.address.end");
	measure(&b, "hot.container.end", end_by_container);
	order(&b, false);
	measure(&b, "cold.address.pod", pod_by_address);
	measure(&b, "cold.address.workload", workload_by_address);
	measure_ends(&b, "cold.address.first", "cold.address.end");
	measure(&b, "cold.container.end", end_by_container);
	if (!b.sum)
		printf("ends.none 0 WRONG\n");
	free(b.ips);
	free(b.cids);
	free(b.order);
	inventory_free(&b.v);
}
