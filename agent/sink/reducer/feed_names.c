/*
 * What Kubernetes calls a container, in two messages. k8s_metadata gives the
 * `pod` label, which comes from nowhere else. container_metadata makes the cgroup a
 * node of type CONTAINER; the reducer asks for the pod first, so it counts only where
 * the pod is not there (any more): a short-lived pod is deleted before its last flows
 * are told, and with it the reducer forgets its containers. What it says then (role =
 * the pod's workload, in task_family, and the pod's namespace) is the same workload.
 * It is sent when the workload is known, never with a name of the agent's own making.
 */
#include "sink/reducer/feed.h"
#include "sink/reducer/state.h"

#include "base/mem.h"

pod_id feed_pod_of(const struct session *s, const struct flow_cgroup *c)
{
	return c->ref.what == CGROUP_CONTAINER ? inventory_by_container(s->inv, c->ref.container_id)
					       : 0;
}

static bool is_id(const char *with_scheme, struct str bare)
{
	const char *at = strstr(with_scheme, "://");

	return str_eq(str_of(at ? at + 3 : with_scheme), bare);
}

/* The reducer looks for the pod when a flow is new: it is told before its cgroup is, also where the
 * change log has it further down. */
static int pod_first(struct session *s, pod_id pod)
{
	struct inv_pod_view p;

	if (!pod || pods_told(s, pod) || !inventory_pod(s->inv, pod, &p) || !p.announceable)
		return 0;
	return pods_tell(s, pod);
}

/* The pod's container of that id; false: it has none (any more). */
static bool container_of(const struct session *s, pod_id pod, const struct inv_pod_view *p,
			 struct str id, struct inv_container_view *ret)
{
	for (uint32_t i = 0; i < p->n_containers; i++) {
		inventory_pod_container(s->inv, pod, i, ret);
		if (is_id(ret->id, id))
			return true;
	}
	return false;
}

static uint32_t mix(const struct session *s, uint32_t h, struct str v)
{
	return h * 31 + feed_hash(s, v.p, v.n) + 1;
}

static int put_k8s(struct session *s, struct feed_cgroup *m, const struct inv_pod_view *p,
		   const struct inv_container_view *c)
{
	const struct wire_k8s_metadata w = {
		.cgroup = m->id,
		.container_name = feed_clip(c->name, ANNOUNCE_MAX_TEXT),
		.pod_name = feed_clip(p->name, ANNOUNCE_MAX_TEXT),
		.pod_ns = feed_clip(p->ns, ANNOUNCE_MAX_TEXT),
		.pod_uid = str_of(p->uid),
	};
	uint32_t h = mix(s, mix(s, 1, w.container_name), w.pod_name);
	int r;

	h = mix(s, mix(s, h, w.pod_ns), w.pod_uid) | 1;
	if (m->k8s == h)
		return 0;
	r = feed_put(s, WIRE_k8s_metadata, &w, &s->count.flows.metadata);
	if (r == 0)
		m->k8s = h;
	return r;
}

static int put_container(struct session *s, struct feed_cgroup *m, const struct inv_pod_view *p,
			 const struct inv_container_view *c, struct str id, struct str workload)
{
	const struct wire_container_metadata w = {
		.cgroup = m->id,
		.id = id,
		.name = feed_clip(c->name, ANNOUNCE_MAX_TEXT),
		.image = feed_clip(c->image, ANNOUNCE_MAX_IMAGE),
		.container_name = feed_clip(c->name, ANNOUNCE_MAX_TEXT),
		.task_family = feed_clip(workload, ANNOUNCE_MAX_TEXT),
		.ns = feed_clip(p->ns, ANNOUNCE_MAX_TEXT),
	};
	uint32_t h = mix(s, mix(s, 2, w.name), w.image);
	int r;

	h = mix(s, mix(s, h, w.task_family), w.ns) | 1;
	if (m->container == h)
		return 0;
	r = feed_put(s, WIRE_container_metadata, &w, &s->count.flows.metadata);
	if (r == 0)
		m->container = h;
	return r;
}

int feed_names(struct session *s, cgroup_ix ix)
{
	struct inv_container_view cont;
	struct feed_cgroup *m = &s->feed->cgroups[ix];
	struct inv_pod_view p;
	struct flow_cgroup c;
	struct workload w;
	pod_id pod;
	int r;

	if (!flows_cgroup_at(s->feed->flows, ix, &c) || c.id != m->id)
		return 0;
	pod = feed_pod_of(s, &c);
	r = pod_first(s, pod);
	if (r < 0)
		return r;
	if (!pod || !inventory_pod(s->inv, pod, &p) ||
	    !container_of(s, pod, &p, c.ref.container_id, &cont))
		return 0;
	r = put_k8s(s, m, &p, &cont);
	if (r < 0 || match_pod(s->inv, &s->policy, pod, &w) == MATCH_WAIT || str_empty(w.name))
		return r;
	return put_container(s, m, &p, &cont, c.ref.container_id, w.name);
}

int feed_pod(struct session *s, pod_id id)
{
	const struct feed *f = s->feed;
	struct inv_container_view c;
	struct inv_pod_view p;
	int r = 0;

	if (!feed_begun(f) || !inventory_pod(s->inv, id, &p))
		return 0;
	for (uint32_t i = 0; r == 0 && i < p.n_containers; i++) {
		const char *at;
		cgroup_ix ix;

		inventory_pod_container(s->inv, id, i, &c);
		at = strstr(c.id, "://");
		at = at ? at + 3 : c.id;
		ix = *at ? flows_cgroup_by_container(f->flows, str_of(at)) : 0;
		ix = feed_cgroup_of(s, ix);
		if (ix && feed_cgroup_told(f, ix))
			r = feed_names(s, ix);
	}
	return r;
}

void feed_cgroup_comm(const struct session *s, cgroup_ix ix, char out[16])
{
	struct inv_container_view cont;
	struct inv_pod_view p;
	struct flow_cgroup c;
	struct str name = STR("(unknown)");
	pod_id pod;

	if (ix && flows_cgroup_at(s->feed->flows, ix, &c)) {
		name = str_empty(c.name) ? STR("/") : c.name;
		pod = feed_pod_of(s, &c);
		if (pod && inventory_pod(s->inv, pod, &p) &&
		    container_of(s, pod, &p, c.ref.container_id, &cont))
			name = cont.name;
		else if (c.ref.what == CGROUP_CONTAINER)
			name = c.ref.container_id;
		else if (c.ref.what == CGROUP_SERVICE)
			name = str_ends(c.ref.unit, STR(".service"))
				       ? feed_clip(c.ref.unit, c.ref.unit.n - 8)
				       : c.ref.unit;
	}
	memset(out, 0, 16);
	name = feed_clip(name, 15); /* as the kernel keeps names: with a NUL */
	if (name.n)
		memcpy(out, name.p, name.n);
}
