/* Who owns a socket or a process: ids of cgroups. */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

enum { V1_NONE, V1_MEMORY, V1_PIDS };

/* Which controller's v1 hierarchy has the pods (V1_*). */
const volatile uint32_t v1_controller = V1_NONE;

/* The socket's own v2 cgroup, as a pointer: field `sk_cgrp_data` as it stands there. 0: none. */
static __always_inline u64 owner_pointer(u64 field)
{
	/* Before 5.15, bit 0: a class id or priority of a v1 controller is there instead; bit 1:
	 * not counted, the root. */
	if (!bpf_core_field_exists(struct sock_cgroup_data, cgroup) && (field & 3))
		return 0;
	return field;
}

static __always_inline u64 owner_id(u64 pointer)
{
	const struct cgroup *cgrp = (const void *)pointer;

	return cgrp ? READ(cgrp, kn, id) : 0;
}

/* The same for one that was read directly (see sock_view.h). */
static __always_inline u64 owner_direct(const struct sock *sk)
{
	return sk->sk_cgrp_data.cgroup->kn->id;
}

/* The v2 cgroup of a socket; 0: none. */
static __always_inline u64 owner_v2(const struct sock *sk)
{
	u64 field = 0;

	bpf_core_read(&field, sizeof(field), &sk->sk_cgrp_data);
	return owner_id(owner_pointer(field));
}

/* The v2 cgroup of a task. */
static __always_inline u64 owner_task_v2(struct task_struct *task)
{
	return READ(task, cgroups, dfl_cgrp, kn, id);
}

static __always_inline int owner_v1_index(void)
{
	if (v1_controller == V1_MEMORY &&
	    bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		return bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
	if (v1_controller == V1_PIDS &&
	    bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id))
		return bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
	return -1;
}

/* The v1 cgroup of a task, with ABI_CGROUP_V1; 0: not asked for. */
static __always_inline u64 owner_task_v1(struct task_struct *task)
{
	int i = owner_v1_index();
	struct cgroup_subsys_state *css = NULL;
	struct css_set *set;

	if (i < 0)
		return 0;
	set = READ(task, cgroups);
	bpf_core_read(&css, sizeof(css), &set->subsys[0] + i);
	return css ? READ(css, cgroup, kn, id) | ABI_CGROUP_V1 : 0;
}

/* The same of a task that may be followed (see sock_view.h). */
static __always_inline u64 owner_task_v1_direct(const struct task_struct *task)
{
	int i = owner_v1_index();
	const struct cgroup_subsys_state *css;

	if (i < 0)
		return 0;
	css = *((struct cgroup_subsys_state *const *)&task->cgroups->subsys[0] + i);
	return css ? css->cgroup->kn->id | ABI_CGROUP_V1 : 0;
}
