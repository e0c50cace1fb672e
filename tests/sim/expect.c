#include "tests/sim/expect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OWNER_REPLICASET = 0,
	OWNER_DEPLOYMENT,
	OWNER_JOB,
	OWNER_CRONJOB,
	OWNER_NONE = 254,
	OWNER_OTHER
};

struct expected {
	char owner_name[GEN_TEXT], owner_uid[40], version[512];
	int owner_kind;
	uint32_t ip;
};

static bool in_spaces(const struct gen_object *o, const struct expect_scope *s)
{
	return !s->spaces || strtoul(o->ns + 3, NULL, 10) < s->spaces;
}

static bool watched(const struct gen_object *o, const struct expect_scope *s)
{
	if (o->kind != KIND_POD || o->bulk >= CLUSTER_HUGE || !in_spaces(o, s))
		return false;
	return (!s->odd || cluster_odd(o)) && (!s->node || strcmp(o->node, s->node) == 0);
}

static bool announced(const struct gen_object *o, const struct expect_scope *s)
{
	return watched(o, s) && o->ips[0][0] && o->phase != POD_PHASE_SUCCEEDED &&
	       o->phase != POD_PHASE_FAILED;
}

static int kind_number(const struct gen_ref *r)
{
	static const struct {
		const char *group, *kind;
		int number;
	} numbers[] = {{"apps/", "ReplicaSet", OWNER_REPLICASET},
		       {"apps/", "Deployment", OWNER_DEPLOYMENT},
		       {"batch/", "Job", OWNER_JOB},
		       {"batch/", "CronJob", OWNER_CRONJOB}};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (strncmp(r->api_version, numbers[i].group, strlen(numbers[i].group)) == 0 &&
		    strcmp(r->kind, numbers[i].kind) == 0)
			return numbers[i].number;
	return OWNER_OTHER;
}

static bool climbed(const struct gen_object *o, const struct expect_scope *s)
{
	return !(s->no_jobs && o->kind == KIND_JOB) && (s->follow || o->kind != KIND_OTHER);
}

static void expect_owner(const struct cluster *c, const struct expect_scope *s,
			 const struct gen_object *pod, struct expected *e)
{
	const struct gen_ref *ref = &pod->owner;
	const struct gen_object *up;

	if (!pod->has_owner) {
		e->owner_kind = OWNER_NONE;
		(void)snprintf(e->owner_name, sizeof(e->owner_name), "%s", pod->name);
		return;
	}
	while ((up = cluster_by_uid(c, ref->uid)) && climbed(up, s) && up->has_owner)
		ref = &up->owner;
	e->owner_kind = kind_number(ref);
	(void)snprintf(e->owner_name, sizeof(e->owner_name), "%s", ref->name);
	(void)snprintf(e->owner_uid, sizeof(e->owner_uid), "%s", ref->uid);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void expect_version(const struct gen_object *pod, char *out, size_t cap)
{
	const char *images[GEN_MAX_CONTAINERS];
	size_t n = 0, len = 0;

	for (uint32_t i = 0; i < pod->n_containers; i++)
		if (pod->containers[i].type == CONTAINER_MAIN)
			images[n++] = pod->containers[i].image;
	qsort(images, n, sizeof(images[0]), by_text);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s'%s'", i ? "," : "", images[i]);
}

static uint32_t expect_ip(const struct gen_object *pod)
{
	unsigned int a, b, c, d;

	for (int i = 0; i < 2 && pod->ips[i][0]; i++)
		if (sscanf(pod->ips[i], "%u.%u.%u.%u", &a, &b, &c, &d) == 4)
			return a << 24 | b << 16 | c << 8 | d;
	return 0;
}

static bool is(struct str s, const char *z)
{
	return str_eq(s, str_of(z));
}

static uint32_t started(const struct gen_object *pod)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pod->n_containers; i++)
		n += pod->containers[i].id[0] != '\0';
	return n;
}

static bool has_container(const struct reducer_pod *p, const struct gen_container *k)
{
	for (uint32_t i = 0; i < p->n_containers; i++)
		if (is(p->containers[i].id, k->id) && is(p->containers[i].name, k->name) &&
		    is(p->containers[i].image, k->image))
			return true;
	return false;
}

/* Former containers stay with the reducer's pod as long as it lives: more may be there. */
static bool containers_told(const struct gen_object *pod, const struct reducer_pod *p)
{
	for (uint32_t i = 0; i < pod->n_containers; i++)
		if (pod->containers[i].id[0] && !has_container(p, &pod->containers[i]))
			return false;
	return p->n_containers >= started(pod);
}

static bool pod_equal(const struct cluster *c, const struct expect_scope *s,
		      const struct gen_object *pod, const struct reducer_pod *p)
{
	struct expected e = {0};

	expect_owner(c, s, pod, &e);
	expect_version(pod, e.version, sizeof(e.version));
	e.ip = expect_ip(pod);
	return p && is(p->ns, pod->ns) && is(p->name, pod->name) &&
	       is(p->owner_name, e.owner_name) && is(p->owner_uid, e.owner_uid) &&
	       is(p->version, e.version) && p->owner_kind == e.owner_kind && p->ip == e.ip &&
	       p->host_network == pod->host_network && containers_told(pod, p);
}

static void show(const struct cluster *c, const struct expect_scope *s,
		 const struct gen_object *pod, const struct reducer_pod *p, uint64_t seed)
{
	struct expected e = {0};

	expect_owner(c, s, pod, &e);
	expect_version(pod, e.version, sizeof(e.version));
	fprintf(stderr,
		"seed %" PRIu64 ": pod %s/%s (%s) should be %d %s (%s) ip %08x %s, %u containers",
		seed, pod->ns, pod->name, pod->uid, e.owner_kind, e.owner_name, e.owner_uid,
		expect_ip(pod), e.version, started(pod));
	if (p)
		fprintf(stderr, "; the reducer has %d %.*s (%.*s) ip %08x %.*s, %u containers\n",
			p->owner_kind, STR_ARG(p->owner_name), STR_ARG(p->owner_uid), p->ip,
			STR_ARG(p->version), p->n_containers);
	else
		fprintf(stderr, "; the reducer does not have it\n");
}

int expect_equal(const struct cluster *c, const struct expect_scope *s,
		 const struct reducer_table *t, uint64_t seed)
{
	const struct reducer_pod *p;
	uint32_t at = 0;
	int wrong = 0;

	for (uint32_t i = 0; i < c->n_live; i++) {
		const struct gen_object *pod = &c->live[i];

		if (!announced(pod, s))
			continue;
		p = reducer_table_find(t, str_of(pod->uid));
		if (pod_equal(c, s, pod, p))
			continue;
		show(c, s, pod, p, seed);
		wrong++;
	}
	while ((p = reducer_table_next(t, &at))) {
		char uid[64];
		const struct gen_object *pod;

		(void)snprintf(uid, sizeof(uid), "%.*s", STR_ARG(p->uid));
		pod = cluster_by_uid(c, uid);
		if (pod && announced(pod, s))
			continue;
		fprintf(stderr, "seed %" PRIu64 ": ghost pod %s (%.*s)\n", seed, uid,
			STR_ARG(p->name));
		wrong++;
	}
	return wrong ? -1 : 0;
}

int expect_inventory(const struct cluster *c, const struct expect_scope *s,
		     const struct inventory *v, uint64_t seed)
{
	bool all_known = !s->node && !s->follow; /* of what is read one by one some is not needed */
	uint32_t pods = 0, owners = 0, known = 0;
	struct inventory_stats stats;
	struct inv_owner_view o;

	for (uint32_t i = 0; i < c->n_live; i++) {
		const struct gen_object *g = &c->live[i];

		pods += watched(g, s);
		owners += g->kind == KIND_REPLICASET && in_spaces(g, s);
		owners += g->kind == KIND_JOB && !s->no_jobs && in_spaces(g, s);
	}
	for (owner_id id = inventory_owner_next(v, 0); id; id = inventory_owner_next(v, id))
		known += inventory_owner(v, id, &o) && o.state == OWNER_KNOWN;
	inventory_stats(v, &stats);
	if (stats.pods == pods && stats.dead == 0 && (!all_known || known == owners))
		return 0;
	fprintf(stderr,
		"seed %" PRIu64 ": the inventory has %u pods (%u dead) of %u, %u owners of %u\n",
		seed, stats.pods, stats.dead, pods, known, owners);
	return -1;
}
