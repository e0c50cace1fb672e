/*
 * One directory's name. Every form here is written by one of: the kubelet
 * (pkg/kubelet/cm, both drivers), containerd, CRI-O, Docker, Podman, systemd.
 */
#include "flow/cgroup_name.h"

#include <string.h>

#define ID_DIGITS     64 /* of a container id */
#define HASH_DIGITS   32 /* of a static pod's config hash */
#define POD_PREFIX    STR("pod")
#define KUBEPODS_PART STR("kubepods")

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
			return false;
	return s.n > 0;
}

static bool is_id(struct str s)
{
	return s.n == ID_DIGITS && is_hex(s);
}

static void strip(struct str *s, struct str end)
{
	if (str_ends(*s, end))
		s->n -= end.n;
}

/* 8-4-4-4-12 with '-' or '_' between, without, or 32 digits of a config hash. */
static bool is_uid(struct str s)
{
	static const uint8_t parts[] = {8, 4, 4, 4, 12};

	if (s.n == HASH_DIGITS)
		return is_hex(s);
	for (size_t i = 0; i < sizeof(parts); i++) {
		if (s.n < parts[i] || !is_hex(str_make(s.p, parts[i])))
			return false;
		s = str_from(s, parts[i]);
		if (i + 1 == sizeof(parts))
			break;
		if (!s.n || (s.p[0] != '-' && s.p[0] != '_'))
			return false;
		s = str_from(s, 1);
	}
	return s.n == 0;
}

/* "pod<uid>" alone, or behind "...kubepods[-besteffort|-burstable]-". */
static bool pod_uid(struct str s, char ret[CGROUP_UID_MAX + 1])
{
	const char *at = s.n ? memmem(s.p, s.n, KUBEPODS_PART.p, KUBEPODS_PART.n) : NULL;

	if (at) {
		s = str_from(s, (size_t)(at - s.p) + KUBEPODS_PART.n);
		if (str_starts(s, STR("-besteffort")))
			s = str_from(s, strlen("-besteffort"));
		else if (str_starts(s, STR("-burstable")))
			s = str_from(s, strlen("-burstable"));
		if (!str_starts(s, STR("-")))
			return false;
		s = str_from(s, 1);
	}
	if (!str_starts(s, POD_PREFIX))
		return false;
	s = str_from(s, POD_PREFIX.n);
	if (!is_uid(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		ret[i] = s.p[i] == '_' ? '-' : s.p[i];
	ret[s.n] = '\0';
	return true;
}

static void container(struct str id, struct cgroup_name *ret)
{
	ret->what = CGROUP_CONTAINER;
	memcpy(ret->container_id, id.p, ID_DIGITS);
	ret->container_id[ID_DIGITS] = '\0';
}

static const struct str runtimes[] = {
	{"cri-containerd", 14}, {"crio", 4}, {"docker", 6}, {"libpod", 6}, {"nerdctl", 7},
};
#define N_RUNTIMES (sizeof(runtimes) / sizeof(*runtimes))

/* "<slice>:<runtime>:<id>": a runtime that was told the systemd driver's names and uses cgroupfs.
 */
static bool colons(struct str name, struct cgroup_name *ret)
{
	struct str slice, runtime;

	if (!str_split(&name, ':', &slice) || !str_split(&name, ':', &runtime) || !is_id(name))
		return false;
	for (size_t i = 0; i < N_RUNTIMES; i++) {
		if (!str_eq(runtime, runtimes[i]))
			continue;
		container(name, ret);
		strip(&slice, STR(".slice"));
		(void)pod_uid(slice, ret->pod_uid);
		return true;
	}
	return false;
}

/* "<runtime>-<id>.scope", and the same without ".scope" as cgroupfs has it. */
static bool prefixed(struct str name, struct cgroup_name *ret)
{
	strip(&name, STR(".scope"));
	for (size_t i = 0; i < N_RUNTIMES; i++) {
		size_t n = runtimes[i].n;

		if (!str_starts(name, runtimes[i]) || name.n != n + 1 + ID_DIGITS ||
		    name.p[n] != '-' || !is_id(str_from(name, n + 1)))
			continue;
		container(str_from(name, n + 1), ret);
		return true;
	}
	return false;
}

void cgroup_name_parse(struct str name, bool below_pod, struct cgroup_name *ret)
{
	struct str bare = name;

	*ret = (struct cgroup_name){.what = CGROUP_OTHER};
	if (colons(name, ret) || prefixed(name, ret))
		return;
	if (below_pod && is_id(name)) {
		container(name, ret);
		return;
	}
	strip(&bare, STR(".slice"));
	if (pod_uid(bare, ret->pod_uid)) {
		ret->what = CGROUP_POD;
		return;
	}
	if (str_ends(name, STR(".service")) && name.n > strlen(".service")) {
		ret->what = CGROUP_SERVICE;
		ret->unit = name;
	}
}
