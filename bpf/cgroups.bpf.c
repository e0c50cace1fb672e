/*
 * Cgroups that come and go, so that a container is known before the API server tells of it.
 * Of the v1 hierarchies only the one that has the pods is told of: each container is a
 * directory in every one.
 */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_ring.h"

LICENCE;

const volatile uint32_t v1_hierarchy = 0; /* number in /proc/cgroups; 0: none */

static __always_inline void tell(u8 type, struct cgroup *cgrp)
{
	u32 hierarchy = READ(cgrp, root, hierarchy_id);
	u64 mark = hierarchy ? ABI_CGROUP_V1 : 0;
	struct cgroup_subsys_state *parent;
	struct abi_cgroup *r;

	if (hierarchy && hierarchy != v1_hierarchy)
		return;
	r = ring_reserve(type, sizeof(*r), bpf_ktime_get_ns());
	if (!r) {
		count(ABI_COUNT_DROP_CGROUP);
		return;
	}
	r->id = READ(cgrp, kn, id) | mark;
	parent = READ(cgrp, self.parent);
	r->parent = parent ? READ(parent, cgroup, kn, id) | mark : 0;
	r->hierarchy = hierarchy;
	r->level = READ(cgrp, level);
	/* The copy of a string leaves what is behind its NUL as it was. */
	__builtin_memset(r->name, 0, sizeof(r->name));
	bpf_probe_read_kernel_str(r->name, sizeof(r->name), READ(cgrp, kn, name));
	/* Hooks are to be at a new one's before its programs connect. */
	if (type == ABI_CGROUP_NEW)
		ring_submit_at_once(r);
	else
		ring_submit(r);
}

SEC("raw_tp/cgroup_mkdir")
int cgroup_new(struct bpf_raw_tracepoint_args *ctx)
{
	tell(ABI_CGROUP_NEW, (void *)ctx->args[0]);
	return 0;
}

/* The directory is gone and no process is left; sockets may still name it. */
SEC("raw_tp/cgroup_rmdir")
int cgroup_gone(struct bpf_raw_tracepoint_args *ctx)
{
	tell(ABI_CGROUP_GONE, (void *)ctx->args[0]);
	return 0;
}
