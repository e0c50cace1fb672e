/* Finding the hierarchies and the pods; see layout.h. */
#include "flow/layout.h"

#include "base/mem.h"
#include "base/str.h"
#include "flow/cgroup_name.h"
#include "flow/walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* kind's nodes keep theirs at docker/<id>/kubelet.slice/kubelet-kubepods.slice. */
#define PODS_DEPTH 4
#define PODS_DIRS  4096 /* directories that are looked at; pods beyond them are not seen */

static bool has_file(const char *dir, const char *file)
{
	char path[LAYOUT_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	return access(path, F_OK) == 0;
}

/* A mount point of mountinfo whose type (and one of whose options) fits: the first one that is
 * visible here. proc(5): ID PARENT DEV ROOT MOUNT OPTIONS ... - TYPE SOURCE SUPEROPTIONS. */
static bool mounted_at(const char *proc_root, const char *type, const char *option,
		       const char *file, char out[LAYOUT_PATH_MAX])
{
	char path[LAYOUT_PATH_MAX], where[LAYOUT_PATH_MAX], kind[32], super[256];
	_free_ char *line = NULL;
	size_t cap = 0;
	bool found = false;

	(void)snprintf(path, sizeof(path), "%s/self/mountinfo", proc_root);
	FILE *f = fopen(path, "re");

	while (f && !found && getline(&line, &cap, f) > 0) {
		const char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*s %*s %*s %*s %511s", where) != 1 ||
		    sscanf(tail, " - %31s %*s %255s", kind, super) != 2)
			continue;
		if (strcmp(kind, type) != 0 || (option && !strstr(super, option)))
			continue;
		found = has_file(where, file);
	}
	if (f)
		(void)fclose(f);
	if (found)
		(void)snprintf(out, LAYOUT_PATH_MAX, "%s", where);
	return found;
}

static bool try_dir(const char *root, const char *sub, const char *file, char out[LAYOUT_PATH_MAX])
{
	char path[LAYOUT_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s%s", root, *sub ? "/" : "", sub);
	if (!has_file(path, file))
		return false;
	memcpy(out, path, sizeof(path));
	return true;
}

static void find_v2(const char *root, const char *proc_root, struct layout *l)
{
	const char *const file = "cgroup.controllers";

	(void)(try_dir(root, "", file, l->v2) || try_dir(root, "unified", file, l->v2) ||
	       mounted_at(proc_root, "cgroup2", NULL, file, l->v2));
}

/* The line of a controller in /proc/cgroups: NAME HIERARCHY CGROUPS ENABLED. */
static uint32_t hierarchy_of(const char *proc_root, const char *name)
{
	char path[LAYOUT_PATH_MAX], line[128], subsys[32];
	unsigned int number, found = 0;

	(void)snprintf(path, sizeof(path), "%s/cgroups", proc_root);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own number */
		if (sscanf(line, "%31s %u", subsys, &number) == 2 && strcmp(subsys, name) == 0)
			found = number;
	if (f)
		(void)fclose(f);
	return found;
}

static void find_v1(const char *root, const char *proc_root, struct layout *l)
{
	static const char *const names[] = {"memory", "pids"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!try_dir(root, names[i], "tasks", l->v1) &&
		    !mounted_at(proc_root, "cgroup", names[i], "tasks", l->v1))
			continue;
		l->v1_hierarchy = hierarchy_of(proc_root, names[i]);
		(void)snprintf(l->v1_name, sizeof(l->v1_name), "%s", names[i]);
		return;
	}
}

static bool names_pods(struct str name)
{
	static const char *const parts[] = {"kubepods", "kubelet", "crio", "docker", "libpod"};
	struct cgroup_name n;

	cgroup_name_parse(name, false, &n);
	if (n.what == CGROUP_POD || n.what == CGROUP_CONTAINER)
		return true;
	/* "docker.service" is the daemon's, on any host; "kubelet.slice" is kind's. */
	if (str_ends(name, STR(".service")) || str_ends(name, STR(".socket")))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (str_starts(name, str_of(parts[i])))
			return true;
	return false;
}

static int look_at(void *ctx, const struct walk_dir *d)
{
	bool *found = ctx;

	*found = *found || names_pods(d->name);
	return *found || d->depth >= PODS_DEPTH ? WALK_SKIP : 0;
}

static bool pods_below(const char *path)
{
	struct walk_figures figures;
	bool found = false;

	return *path && walk(path, PODS_DIRS, look_at, &found, &figures) == 0 && found;
}

static void say(struct layout *l)
{
	const bool both = l->pods_in_v1 == l->pods_in_v2;

	if (!*l->v1)
		(void)snprintf(l->words, sizeof(l->words), *l->v2 ? "v2" : "none");
	else if (!*l->v2)
		(void)snprintf(l->words, sizeof(l->words), "v1: %s", l->v1_name);
	else if (both)
		(void)snprintf(l->words, sizeof(l->words), "hybrid: pods in %s v1 %s",
			       l->pods_in_v1 ? "v2 and" : "v2 or", l->v1_name);
	else if (l->pods_in_v1)
		(void)snprintf(l->words, sizeof(l->words), "hybrid: pods in v1 %s", l->v1_name);
	else
		(void)snprintf(l->words, sizeof(l->words), "hybrid: pods in v2");
}

int layout_find(const char *cgroup_root, const char *proc_root, struct layout *ret)
{
	struct layout l = {0};

	find_v2(cgroup_root, proc_root, &l);
	/* With v2 at the root itself no v1 hierarchy has pods, whatever else is mounted. */
	if (!has_file(cgroup_root, "cgroup.controllers"))
		find_v1(cgroup_root, proc_root, &l);
	l.pods_in_v2 = pods_below(l.v2);
	l.pods_in_v1 = pods_below(l.v1);
	/* Host services are in v2 when it is there, so it is followed in any case. */
	l.follow_v2 = *l.v2 != '\0';
	l.follow_v1 = *l.v1 && (l.pods_in_v1 || !l.pods_in_v2);
	say(&l);
	*ret = l;
	return *l.v2 || *l.v1 ? 0 : -ENOENT;
}
