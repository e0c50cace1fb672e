/*
 * A generated population: pods with 1.5 containers, a third of a ReplicaSet and a
 * tenth of a Job each, as large clusters have them.
 */
#include "tests/lib/population.h"

#include "base/mem.h"

#include <stdio.h>

#define POPULATION_BULK 6800 /* bytes: pods become 7 to 8 KB of protobuf */

static void make_uid(char out[40], uint32_t space, uint32_t n)
{
	(void)snprintf(out, 40, "%08x-%04x-4abc-8def-%012x", n * 2654435761U, space, n);
}

static void make_ref(struct gen_object *o, const char *api, const char *kind, uint32_t space,
		     uint32_t n)
{
	o->has_owner = true;
	(void)snprintf(o->owner.api_version, sizeof(o->owner.api_version), "%s", api);
	(void)snprintf(o->owner.kind, sizeof(o->owner.kind), "%s", kind);
	(void)snprintf(o->owner.name, sizeof(o->owner.name), "workload-%u-of-team-%u", n, n % 97);
	make_uid(o->owner.uid, space, n);
}

void population_owner(struct gen_object *o, bool job, uint32_t n)
{
	*o = (struct gen_object){.kind = job ? KIND_JOB : KIND_REPLICASET, .rv = 1000 + n};
	(void)snprintf(o->api_version, sizeof(o->api_version), job ? "batch/v1" : "apps/v1");
	(void)snprintf(o->kind_text, sizeof(o->kind_text), job ? "Job" : "ReplicaSet");
	(void)snprintf(o->ns, sizeof(o->ns), "namespace-%u", n % 200);
	(void)snprintf(o->name, sizeof(o->name), "workload-%u-5d8f9c7b64", n);
	make_uid(o->uid, job ? 2 : 1, n);
	/* Two revisions a Deployment, three finished Jobs a CronJob: they share its record. */
	make_ref(o, job ? "batch/v1" : "apps/v1", job ? "CronJob" : "Deployment", job ? 4 : 3,
		 job ? n / 3 : n / 2);
	o->bulk = 900;
}

static void make_container(struct gen_container *c, uint32_t pod, uint32_t i)
{
	(void)snprintf(c->id, sizeof(c->id), "containerd://%08x%08x%048x", pod * 2246822519U, i,
		       pod);
	(void)snprintf(c->name, sizeof(c->name), i ? "sidecar" : "app-%u", pod % 300);
	(void)snprintf(c->image, sizeof(c->image), "registry.example.com/team/app-%u:1.2.3",
		       pod % 1000 + i);
}

void population_pod(struct gen_object *o, uint32_t n, uint32_t owners)
{
	*o = (struct gen_object){.kind = KIND_POD, .rv = 5000 + n, .phase = POD_PHASE_RUNNING};
	(void)snprintf(o->api_version, sizeof(o->api_version), "v1");
	(void)snprintf(o->kind_text, sizeof(o->kind_text), "Pod");
	(void)snprintf(o->ns, sizeof(o->ns), "namespace-%u", n % 200);
	(void)snprintf(o->name, sizeof(o->name), "workload-%u-5d8f9c7b64-x7k2p", n);
	make_uid(o->uid, 0, n);
	make_ref(o, "apps/v1", "ReplicaSet", 1, n % MAX(owners, 1U));
	(void)snprintf(o->node, sizeof(o->node), "node-%u.example.internal",
		       n / 30); /* 30 pods a node */
	(void)snprintf(o->ips[0], sizeof(o->ips[0]), "10.%u.%u.%u", n >> 16 & 255, n >> 8 & 255,
		       n & 255);
	o->n_containers = 1 + n % 2;
	for (uint32_t i = 0; i < o->n_containers; i++)
		make_container(&o->containers[i], n, i);
	o->bulk = POPULATION_BULK + n % 1000;
}
