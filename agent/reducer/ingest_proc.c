/* Messages about cgroups, containers and processes, and the order of the beginning. */
#include "reducer/cgroup_text.h"
#include "reducer/ingest_state.h"

#include <inttypes.h>
#include <stdlib.h>

/* Byte arrays are filled with NUL. */
static struct str trim(struct str s)
{
	s.n = s.n ? strnlen(s.p, s.n) : 0;
	return s;
}

static int set_name(struct span_cgroup *c, struct str name)
{
	struct cgroup_text t;

	c->text = str_dup(name);
	if (!c->text)
		return -ENOMEM;
	/* One with '_' is the same uid. */
	cgroup_text_parse(str_make(c->text, name.n), &t);
	for (size_t i = 0; i < t.uid.n; i++) {
		char *at = c->text + (t.uid.p - c->text) + i;

		*at = *at == '_' ? '-' : *at;
	}
	c->uid = t.uid;
	c->container = t.container;
	c->service = t.service;
	return 0;
}

static int on_cgroup(struct ingest *in, const struct wire_msg *m)
{
	struct wire_cgroup_create w;
	struct span_cgroup *c;
	pool_id parent, id;
	int r;

	(void)wire_get_cgroup_create(m, &w);
	if (span_cgroup_find(in, w.cgroup)) {
		warn(in, m, "cgroup_create of %" PRIu64 ", which is there already: dropped",
		     w.cgroup);
		return 0;
	}
	parent = w.cgroup_parent ? span_cgroup_find(in, w.cgroup_parent) : 0;
	if (w.cgroup_parent && !parent)
		warn(in, m, "cgroup_create of %" PRIu64 " before its parent %" PRIu64, w.cgroup,
		     w.cgroup_parent);
	r = span_cgroup_add(in, w.cgroup, &id);
	if (r == -ENOSPC)
		warn(in, m, "cgroup %" PRIu64 " dropped: too many", w.cgroup);
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	c = span_cgroup_at(in, id);
	r = set_name(c, trim(w.name));
	if (r < 0) {
		span_cgroup_close(in, id);
		return r;
	}
	c->parent = parent;
	if (parent)
		span_cgroup_at(in, parent)->refs++;
	return 0;
}

static int on_cgroup_close(struct ingest *in, const struct wire_msg *m)
{
	struct wire_cgroup_close w;
	pool_id id;

	(void)wire_get_cgroup_close(m, &w);
	id = span_cgroup_find(in, w.cgroup);
	if (id)
		span_cgroup_close(in, id);
	else
		warn(in, m, "cgroup_close of %" PRIu64 ", which is not there", w.cgroup);
	return 0;
}

/* The role: task_family, else the name without its leading '/'. */
static int on_container(struct ingest *in, const struct wire_msg *m)
{
	struct wire_container_metadata w;
	struct span_cgroup *c;
	char *role, *ns;
	pool_id id;

	(void)wire_get_container_metadata(m, &w);
	id = span_cgroup_find(in, w.cgroup);
	if (!id) {
		warn(in, m, "container_metadata of cgroup %" PRIu64 ", which is not there",
		     w.cgroup);
		return 0;
	}
	c = span_cgroup_at(in, id);
	if (str_starts(w.name, STR("/")))
		w.name = str_from(w.name, 1);
	role = str_dup(str_empty(w.task_family) ? w.name : w.task_family);
	ns = str_dup(w.ns);
	if (!role || !ns) {
		free(role);
		free(ns);
		return -ENOMEM;
	}
	free(c->role);
	free(c->role_ns);
	c->role = role;
	c->role_ns = ns;
	return 0;
}

/* They name a cgroup and change nothing that is shown. */
static int on_about_cgroup(struct ingest *in, const struct wire_msg *m)
{
	const uint64_t cgroup = wire_value(m, STR("cgroup"))->u;

	if (!span_cgroup_find(in, cgroup))
		warn(in, m, "%s of cgroup %" PRIu64 ", which is not there", m->desc->name, cgroup);
	return 0;
}

static void set_comm(struct span_proc *p, struct str comm)
{
	comm = trim(comm);
	memset(p->comm, 0, sizeof(p->comm));
	memcpy(p->comm, comm.n ? comm.p : "", comm.n < 16 ? comm.n : 16);
}

static int on_pid(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pid_info_create w;
	struct span_proc *p;
	pool_id cgroup, id;
	int r;

	(void)wire_get_pid_info_create(m, &w);
	if (span_proc_find(in, w.pid)) {
		warn(in, m, "pid_info_create of %" PRIu32 ", which is there already: dropped",
		     w.pid);
		return 0;
	}
	cgroup = w.cgroup ? span_cgroup_find(in, w.cgroup) : 0;
	if (w.cgroup && !cgroup)
		warn(in, m, "process %" PRIu32 " before its cgroup %" PRIu64, w.pid, w.cgroup);
	r = span_proc_add(in, w.pid, &id);
	if (r == -ENOSPC)
		warn(in, m, "process %" PRIu32 " dropped: too many", w.pid);
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	p = span_proc_at(in, id);
	set_comm(p, w.comm);
	p->cgroup = cgroup;
	if (cgroup)
		span_cgroup_at(in, cgroup)->refs++;
	return 0;
}

static int on_move(struct ingest *in, const struct wire_msg *m)
{
	struct wire_pid_cgroup_move w;
	pool_id id, cgroup, old;

	(void)wire_get_pid_cgroup_move(m, &w);
	id = span_proc_find(in, w.pid);
	cgroup = span_cgroup_find(in, w.cgroup);
	if (!id || !cgroup) {
		warn(in, m,
		     "pid_cgroup_move of process %" PRIu32 " to %" PRIu64 ": %s is not there",
		     w.pid, w.cgroup, id ? "the cgroup" : "the process");
		return 0;
	}
	old = span_proc_at(in, id)->cgroup;
	span_cgroup_at(in, cgroup)->refs++;
	span_proc_at(in, id)->cgroup = cgroup;
	span_cgroup_unref(in, old);
	return 0;
}

/* pid_close_info, pid_set_comm, pid_set_cmdline. */
static int on_about_pid(struct ingest *in, const struct wire_msg *m)
{
	const uint32_t pid = (uint32_t)wire_value(m, STR("pid"))->u;
	const pool_id id = span_proc_find(in, pid);

	if (!id)
		warn(in, m, "%s of process %" PRIu32 ", which is not there", m->desc->name, pid);
	else if (m->desc->id == WIRE_pid_close_info)
		span_proc_close(in, id);
	else if (m->desc->id == WIRE_pid_set_comm)
		set_comm(span_proc_at(in, id), wire_value(m, STR("comm"))->s);
	return 0;
}

/* A message of the beginning; `after` are those that come before it. */
static int on_phase(struct ingest *in, const struct wire_msg *m, unsigned phase, unsigned after)
{
	if ((in->phase & after) != after)
		warn(in, m, "%s too early: the snapshot before it is not complete", m->desc->name);
	if ((in->phase & phase) && phase >= PHASE_COMPILED)
		warn(in, m, "second %s", m->desc->name);
	in->phase |= phase;
	return 0;
}

static int on_label(struct ingest *in, const struct wire_msg *m)
{
	if (in->phase & PHASE_NODE)
		warn(in, m, "set_config_label after set_node_info: nothing applies it");
	return 0;
}

/* A connection that began with flows before the handshake was over. */
static void check_begun(struct ingest *in, const struct wire_msg *m)
{
	if ((in->phase & (PHASE_COMPILED | PHASE_EARLY)) || !(in->phase & PHASE_METADATA))
		return;
	in->phase |= PHASE_EARLY;
	warn(in, m, "%s before bpf_compiled", m->desc->name);
}

static int on_span(struct ingest *in, const struct wire_msg *m)
{
	switch (m->desc->id) {
	case WIRE_cgroup_create:
		check_begun(in, m);
		return on_cgroup(in, m);
	case WIRE_cgroup_close:
		return on_cgroup_close(in, m);
	case WIRE_container_metadata:
		return on_container(in, m);
	case WIRE_k8s_metadata:
	case WIRE_pod_name:
	case WIRE_container_annotation:
	case WIRE_container_resource_limits:
		return on_about_cgroup(in, m);
	case WIRE_pid_info_create:
		check_begun(in, m);
		return on_pid(in, m);
	case WIRE_pid_cgroup_move:
		return on_move(in, m);
	case WIRE_pid_close_info:
	case WIRE_pid_set_comm:
	case WIRE_pid_set_cmdline:
		return on_about_pid(in, m);
	default:
		return 1;
	}
}

int ingest_proc(struct ingest *in, const struct wire_msg *m)
{
	switch (m->desc->id) {
	case WIRE_set_config_label:
		return on_label(in, m);
	case WIRE_set_node_info:
		return on_phase(in, m, PHASE_NODE, 0);
	case WIRE_metadata_complete:
		return on_phase(in, m, PHASE_METADATA, 0);
	case WIRE_bpf_compiled:
		return on_phase(in, m, PHASE_COMPILED, 0);
	case WIRE_process_steady_state:
		return on_phase(in, m, PHASE_PROCS, 0);
	case WIRE_socket_steady_state:
		return on_phase(in, m, PHASE_SOCKS, PHASE_PROCS);
	case WIRE_begin_telemetry:
		return on_phase(in, m, PHASE_BEGUN, PHASE_SOCKS);
	default:
		return on_span(in, m);
	}
}
