/* Pods and containers as messages; see announce.h. */
#include "sink/reducer/announce.h"

#include "base/mem.h"
#include "proto/batch.h"

#include <errno.h>
#include <stdlib.h>

_Static_assert(8 + 20 + 2 * UID_TEXT_MAX + 3 * ANNOUNCE_MAX_TEXT + ANNOUNCE_MAX_VERSION <
		       WIRE_BATCH_MAX,
	       "pod_new_with_name fits into a batch");
_Static_assert(8 + 10 + UID_TEXT_MAX + 256 + ANNOUNCE_MAX_TEXT + ANNOUNCE_MAX_IMAGE <
		       WIRE_BATCH_MAX,
	       "pod_container fits into a batch");

void announce_init(struct announce *a)
{
	buf_init(&a->version, ANNOUNCE_MAX_VERSION);
}

void announce_done(struct announce *a)
{
	buf_done(&a->version);
}

static enum announce_owner owner_of(const struct workload *w)
{
	if (w->end == MATCH_END_NO_OWNER)
		return ANNOUNCE_NO_OWNER;
	switch (w->kind) {
	case KIND_REPLICASET:
		return ANNOUNCE_REPLICASET;
	case KIND_DEPLOYMENT:
		return ANNOUNCE_DEPLOYMENT;
	case KIND_JOB:
		return ANNOUNCE_JOB;
	case KIND_CRONJOB:
		return ANNOUNCE_CRONJOB;
	case KIND_OTHER:
	case KIND_POD:
	case KIND_NODE:
	case KIND_SERVICE:
	case KIND_STATEFULSET:
	case KIND_DAEMONSET:
	case _KIND_MAX:
		break;
	}
	return ANNOUNCE_OTHER;
}

static struct str clip(struct str s, size_t max, bool *cut)
{
	if (s.n > max) {
		s.n = max;
		*cut = true;
	}
	return s;
}

/* The first IPv4 of the addresses the pod has; of those it had last when it has none any more. */
static uint32_t first_v4(const struct inventory *v, pod_id id, const struct inv_pod_view *p)
{
	nsec_t last = 0;
	uint32_t ip = 0;

	for (uint32_t i = 0; i < p->n_addrs; i++) {
		const struct inv_addr a = inventory_pod_addr(v, id, i);

		if (a.to > last) {
			last = a.to;
			ip = 0;
		}
		if (!ip && a.to == last)
			ip = addr_v4(&a.ip);
	}
	return ip;
}

static int image_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Each image in single quotes, sorted, joined by commas; equal ones repeat. */
static int join_images(struct buf *out, const struct str *images, uint32_t n, bool *cut)
{
	int r;

	buf_reset(out);
	for (uint32_t i = 0; i < n; i++) {
		const size_t need = images[i].n + (out->n ? 3 : 2);

		r = buf_reserve(out, need);
		if (r == -EMSGSIZE) {
			*cut = true;
			return 0;
		}
		if (r < 0)
			return r;
		(void)buf_append_str(out, out->n ? STR(",'") : STR("'"));
		(void)buf_append_str(out, images[i]);
		(void)buf_append_str(out, STR("'"));
	}
	return 0;
}

static int version_of(struct announce *a, const struct inventory *v, pod_id id,
		      const struct inv_pod_view *p, bool *cut)
{
	struct str images[MODEL_MAX_CONTAINERS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_containers && n < MODEL_MAX_CONTAINERS; i++) {
		inventory_pod_container(v, id, i, &a->container);
		if (a->container.type == CONTAINER_MAIN && !str_empty(a->container.image))
			images[n++] = a->container.image;
	}
	if (n > 1)
		qsort(images, n, sizeof(images[0]), image_cmp);
	return join_images(&a->version, images, n, cut);
}

int announce_pod(struct announce *a, const struct inventory *v, pod_id id,
		 const struct inv_pod_view *p, const struct workload *w,
		 struct wire_pod_new_with_name *ret, bool *ret_cut)
{
	struct str owner = w->name;
	bool cut = false;
	int r;

	r = version_of(a, v, id, p, &cut);
	if (r < 0)
		return r;
	/* The reducer drops flows of a pod whose owner_name is empty. */
	if (str_empty(owner))
		owner = str_empty(p->name) ? str_of(p->uid) : p->name;
	*ret = (struct wire_pod_new_with_name){
		.uid = str_of(p->uid),
		.ip = first_v4(v, id, p),
		.owner_name = clip(owner, ANNOUNCE_MAX_TEXT, &cut),
		.pod_name = clip(p->name, ANNOUNCE_MAX_TEXT, &cut),
		.owner_kind = (uint8_t)owner_of(w),
		.owner_uid = str_of(w->uid),
		.is_host_network = p->host_network,
		.ns = clip(p->ns, ANNOUNCE_MAX_TEXT, &cut),
		.version = buf_str(&a->version),
	};
	*ret_cut = cut;
	return 0;
}

bool announce_container(struct announce *a, const struct inventory *v, pod_id id, uint32_t i,
			const struct inv_pod_view *p, struct wire_pod_container *ret, bool *ret_cut)
{
	const struct inv_container_view *c = &a->container;
	bool cut = false;

	inventory_pod_container(v, id, i, &a->container);
	if (!c->id[0])
		return false;
	*ret = (struct wire_pod_container){
		.uid = str_of(p->uid),
		.container_id = str_of(c->id),
		.container_name = clip(c->name, ANNOUNCE_MAX_TEXT, &cut),
		.container_image = clip(c->image, ANNOUNCE_MAX_IMAGE, &cut),
	};
	*ret_cut = cut;
	return true;
}
