#include "serve/whois_parts.h"

#include "base/mem.h"
#include "flow_abi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH  64
#define MAX_OWNERS 16 /* of a chain */

/* ---- pods ------------------------------------------------------------------------------------ */

static void put_owners(struct json_out *j, const struct inventory *v, owner_id id)
{
	static const char *const states[_OWNER_STATE_MAX] = {"referenced", "known", "gone",
							     "refused"};
	struct inv_owner_view o;

	if (!id)
		return;
	json_open(j, "owners", '[');
	for (int i = 0; i < MAX_OWNERS && id && inventory_owner(v, id, &o); i++) {
		json_open(j, NULL, '{');
		json_some(j, "kind", o.kind_text);
		json_some(j, "name", o.name);
		json_some(j, "uid", str_of(o.uid));
		json_text(j, "state", str_of(states[o.state]));
		json_close(j, '{');
		id = o.parent;
	}
	json_close(j, '[');
}

static void put_addresses(struct json_out *j, const struct whois *w, pod_id id, uint32_t n)
{
	char text[ADDR_TEXT_MAX];

	if (!n)
		return;
	json_open(j, "addresses", '[');
	for (uint32_t i = 0; i < n; i++) {
		const struct inv_addr a = inventory_pod_addr(w->scope->inventory, id, i);

		json_open(j, NULL, '{');
		json_text(j, "address", str_of(addr_print(&a.ip, text)));
		json_time(j, "from", a.from + (nsec_t)w->offset);
		if (a.to != NSEC_NEVER)
			json_time(j, "to", a.to + (nsec_t)w->offset);
		json_close(j, '{');
	}
	json_close(j, '[');
}

static void put_containers(struct json_out *j, const struct inventory *v, pod_id id, uint32_t n)
{
	static const char *const types[_CONTAINER_TYPE_MAX] = {"main", "init", "ephemeral"};
	static const char *const states[_CONTAINER_STATE_MAX] = {"unknown", "waiting", "running",
								 "terminated"};
	struct inv_container_view c;

	if (!n)
		return;
	json_open(j, "containers", '[');
	for (uint32_t i = 0; i < n; i++) {
		inventory_pod_container(v, id, i, &c);
		json_open(j, NULL, '{');
		json_some(j, "name", c.name);
		json_some(j, "id", str_of(c.id));
		json_some(j, "image", c.image);
		json_text(j, "type", str_of(types[c.type]));
		json_text(j, "state", str_of(states[c.state]));
		json_close(j, '{');
	}
	json_close(j, '[');
}

void whois_put_pod(struct json_out *j, const struct whois *w, pod_id id,
		   const struct inv_pod_view *p)
{
	put_owners(j, w->scope->inventory, p->owner);
	put_addresses(j, w, id, p->n_addrs);
	put_containers(j, w->scope->inventory, id, p->n_containers);
}

/* The workload and the chain; names stand already when an end was named. */
static void put_pod(struct json_out *j, const struct whois *w, const struct finding *f)
{
	const struct inventory *v = w->scope->inventory;
	struct inv_pod_view p;
	struct workload owner;

	if (!inventory_pod(v, f->pod, &p))
		return;
	if (!f->has_end) {
		(void)match_pod(v, w->scope->policy, f->pod, &owner);
		json_some(j, "namespace", p.ns);
		json_some(j, "pod", p.name);
		json_some(j, "workload", owner.name);
		json_some(j, "workload_kind",
			  str_empty(owner.kind_text) ? STR("Pod") : owner.kind_text);
	}
	json_text(j, "pod_uid", str_of(p.uid));
	json_some(j, "node", p.node);
	if (p.host_network)
		json_bool(j, "host_network", true);
	if (p.dead)
		json_bool(j, "deleted", true);
	whois_put_pod(j, w, f->pod, &p);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* "/kubepods.slice/…" of a cgroup; cut in front when it is too long. */
static void cgroup_path(const struct flows *flows, cgroup_ix ix, char ret[CGROUP_PATH_MAX])
{
	char text[CGROUP_PATH_MAX];
	size_t at = sizeof(text) - 1;
	struct flow_cgroup c;

	text[at] = '\0';
	for (int i = 0; i < MAX_DEPTH && ix && flows_cgroup_at(flows, ix, &c); i++) {
		if (c.name.n + 1 > at)
			break;
		if (c.name.n && !str_eq(c.name, STR("/"))) {
			at -= c.name.n + 1;
			text[at] = '/';
			memcpy(text + at + 1, c.name.p, c.name.n);
		}
		ix = c.parent;
	}
	memcpy(ret, at == sizeof(text) - 1 ? "/" : text + at, MAX(sizeof(text) - at, (size_t)2));
}

/* Whether the tree above and at `ix` is what the path ends with. */
static bool path_ends(const struct flows *flows, cgroup_ix ix, struct str path)
{
	struct flow_cgroup c;

	for (int i = 0; i < MAX_DEPTH; i++) {
		while (str_ends(path, STR("/")))
			path.n--;
		if (!path.n || !ix || !flows_cgroup_at(flows, ix, &c))
			return i > 0;
		if (!c.name.n || str_eq(c.name, STR("/"))) /* a root: the rest is its mount point */
			return i > 0;
		if (!str_ends(path, c.name) ||
		    (path.n > c.name.n && path.p[path.n - c.name.n - 1] != '/'))
			return false;
		path.n -= c.name.n;
		ix = c.parent;
	}
	return false;
}

cgroup_ix whois_by_path(const struct flows *flows, struct str path, bool *ret_many)
{
	cgroup_ix found = 0;
	struct flow_cgroup c;

	*ret_many = false;
	for (cgroup_ix ix = flows_cgroup_next(flows, 0); ix; ix = flows_cgroup_next(flows, ix)) {
		if (!path_ends(flows, ix, path) || !flows_cgroup_at(flows, ix, &c))
			continue;
		if (found && !c.gone) { /* one that is gone gives way */
			struct flow_cgroup before;

			*ret_many = flows_cgroup_at(flows, found, &before) && !before.gone;
		}
		if (*ret_many)
			return 0;
		if (!found || !c.gone)
			found = ix;
	}
	return found;
}

/* Lines ID:CONTROLLERS:PATH (cgroups(7)); the v2 one has ID 0 and no controllers, and where pods
 * are in v1 theirs says more: the longest path is taken. */
int whois_proc_cgroup(const char *proc_root, uint32_t pid, char ret[CGROUP_PATH_MAX])
{
	char name[512], line[CGROUP_PATH_MAX + 256];
	size_t best = 0;
	FILE *f;

	(void)snprintf(name, sizeof(name), "%s/%u/cgroup", proc_root, pid);
	f = fopen(name, "re");
	if (!f)
		return -ENOENT;
	while (fgets(line, sizeof(line), f)) {
		struct str path = str_trim(str_of(line)), skip;

		(void)str_split(&path, ':', &skip);
		(void)str_split(&path, ':', &skip);
		if (path.n > best && path.n < CGROUP_PATH_MAX) {
			best = path.n;
			memcpy(ret, path.p, path.n);
			ret[path.n] = '\0';
		}
	}
	(void)fclose(f);
	return best ? 0 : -ENOENT;
}

static void put_cgroup(struct json_out *j, const struct whois *w, const struct finding *f)
{
	char path[CGROUP_PATH_MAX];
	struct flow_cgroup c;

	if (!f->cgroup || !flows_cgroup_at(w->flows, f->cgroup, &c))
		return;
	cgroup_path(w->flows, f->cgroup, path);
	json_u64(j, "cgroup_id", c.id & ~ABI_CGROUP_V1);
	json_text(j, "cgroup", str_of(path));
	if (c.gone)
		json_bool(j, "cgroup_removed", true);
	if (!f->container_id[0])
		json_some(j, "container_id", c.ref.container_id);
	json_some(j, "unit", c.ref.unit);
}

static void put_process(struct json_out *j, const struct whois *w, const struct finding *f)
{
	struct flow_proc p;

	if (!f->pid)
		return;
	json_u64(j, "pid", f->pid);
	if (w->flows && flows_proc(w->flows, f->pid, &p)) {
		json_some(j, "comm", p.comm);
		if (p.gone)
			json_bool(j, "exited", true);
	}
}

void whois_put(struct json_out *j, const struct whois *w, const struct finding *f)
{
	const struct flow_end *e = &f->end;

	json_text(j, "what", str_of(f->what));
	put_process(j, w, f);
	if (f->has_end) {
		json_some(j, "namespace", e->ns);
		json_some(j, "pod", e->pod);
		json_some(j, "container", e->container);
		json_some(j, "workload", e->workload);
		json_some(j, "workload_kind", e->workload_kind);
		json_text(j, "known_by", str_of(known_by_name(e->known_by)));
		if (e->known_by == KNOWN_NOT)
			json_text(j, "reason", str_of(unknown_reason_name(e->why)));
	}
	json_some(j, "container_id", str_of(f->container_id));
	put_cgroup(j, w, f);
	if (f->pod)
		put_pod(j, w, f);
	else if (f->has_end)
		json_some(j, "pod_uid", e->pod_uid);
	whois_put_peer(j, w, f);
	json_text(j, "how", str_of(f->how));
}
