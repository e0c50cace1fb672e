/*
 * Directory names as each runtime and driver writes them, taken from their sources
 * and from running nodes.
 */
#include "flow/cgroup_name.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define ID  "3f0d8c1be2a94d57a6b1c0e9f8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6c5b"
#define UID "0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001"
#define UND "0f6b1a52_7e0c_4a06_8d3a_6a1d6d2f0001"
#define RAW "0f6b1a527e0c4a068d3a6a1d6d2f0001"

struct name {
	const char *name;
	bool below_pod;
	enum cgroup_what what;
	const char *id, *uid;
};

static const struct name names[] = {
	/* kubelet, systemd driver */
	{"kubepods.slice", false, CGROUP_OTHER, "", ""},
	{"kubepods-burstable.slice", false, CGROUP_OTHER, "", ""},
	{"kubepods-besteffort.slice", false, CGROUP_OTHER, "", ""},
	{"kubepods-pod" UND ".slice", false, CGROUP_POD, "", UID},
	{"kubepods-burstable-pod" UND ".slice", false, CGROUP_POD, "", UID},
	{"kubepods-besteffort-pod" UND ".slice", false, CGROUP_POD, "", UID},
	{"kubepods-burstable-pod" RAW ".slice", false, CGROUP_POD, "", RAW}, /* static pod */
	{"cri-containerd-" ID ".scope", true, CGROUP_CONTAINER, ID, ""},
	{"crio-" ID ".scope", true, CGROUP_CONTAINER, ID, ""},
	{"crio-" ID, true, CGROUP_CONTAINER, ID, ""},
	{"crio-conmon-" ID ".scope", true, CGROUP_OTHER, "", ""},
	{"crio-conmon-" ID, true, CGROUP_OTHER, "", ""},
	{"docker-" ID ".scope", true, CGROUP_CONTAINER, ID, ""},
	/* kubelet, cgroupfs driver */
	{"kubepods", false, CGROUP_OTHER, "", ""},
	{"burstable", false, CGROUP_OTHER, "", ""},
	{"pod" UID, false, CGROUP_POD, "", UID},
	{"pod" UND, false, CGROUP_POD, "", UID},
	{"pod" RAW, false, CGROUP_POD, "", RAW},
	{ID, true, CGROUP_CONTAINER, ID, ""},
	{ID, false, CGROUP_OTHER, "", ""},
	/* kind: a kubelet below a container */
	{"kubelet.slice", false, CGROUP_OTHER, "", ""},
	{"kubelet-kubepods.slice", false, CGROUP_OTHER, "", ""},
	{"kubelet-kubepods-burstable.slice", false, CGROUP_OTHER, "", ""},
	{"kubelet-kubepods-pod" UND ".slice", false, CGROUP_POD, "", UID},
	{"kubelet-kubepods-besteffort-pod" UND ".slice", false, CGROUP_POD, "", UID},
	/* containerd with cgroupfs, told the systemd driver's names */
	{"kubepods-burstable-pod" UND ".slice:cri-containerd:" ID, false, CGROUP_CONTAINER, ID,
	 UID},
	{"kubepods-pod" RAW ".slice:cri-containerd:" ID, false, CGROUP_CONTAINER, ID, RAW},
	{"system.slice:docker:" ID, false, CGROUP_CONTAINER, ID, ""},
	/* others */
	{"libpod-" ID ".scope", false, CGROUP_CONTAINER, ID, ""},
	{"libpod-" ID, false, CGROUP_CONTAINER, ID, ""},
	{"libpod-conmon-" ID ".scope", false, CGROUP_OTHER, "", ""},
	{"nerdctl-" ID ".scope", false, CGROUP_CONTAINER, ID, ""},
	{"garden", false, CGROUP_OTHER, "", ""},
	{"0f6b1a52-7e0c-4a06-5d3a", true, CGROUP_OTHER, "", ""},
	{"lxc.payload.web", false, CGROUP_OTHER, "", ""},
	{"machine-qemu\\x2d1\\x2dvm.scope", false, CGROUP_OTHER, "", ""},
	/* host */
	{"sshd.service", false, CGROUP_SERVICE, "", ""},
	{"user@1000.service", false, CGROUP_SERVICE, "", ""},
	{"system-getty.slice", false, CGROUP_OTHER, "", ""},
	{"session-3.scope", false, CGROUP_OTHER, "", ""},
	{"init.scope", false, CGROUP_OTHER, "", ""},
	{".service", false, CGROUP_OTHER, "", ""},
	{"", false, CGROUP_OTHER, "", ""},
	{"dbus.socket", false, CGROUP_OTHER, "", ""},
	/* one digit more or less, upper case, another digit */
	{"cri-containerd-" ID "0.scope", true, CGROUP_OTHER, "", ""},
	{"docker-3f0d8c1be2a94d57a6b1c0e9f8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6c5.scope", true,
	 CGROUP_OTHER, "", ""},
	{"3F0D8C1BE2A94D57A6B1C0E9F8D7C6B5A4938271605F4E3D2C1B0A9F8E7D6C5B", true, CGROUP_OTHER, "",
	 ""},
	{"3g0d8c1be2a94d57a6b1c0e9f8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6c5b", true, CGROUP_OTHER, "",
	 ""},
	{"kubepods-pod" UND "0.slice", false, CGROUP_OTHER, "", ""},
	{"pod0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f000", false, CGROUP_OTHER, "", ""},
	{"pod0F6B1A52-7E0C-4A06-8D3A-6A1D6D2F0001", false, CGROUP_OTHER, "", ""},
	{"pod", false, CGROUP_OTHER, "", ""},
	{"podman.service", false, CGROUP_SERVICE, "", ""},
	{"podinfo", false, CGROUP_OTHER, "", ""},
	{"a:b", false, CGROUP_OTHER, "", ""},
	{"::" ID, false, CGROUP_OTHER, "", ""},
	{"a.slice:b:" ID, false, CGROUP_OTHER, "", ""},
};

static void names_say_what_they_are(void **state)
{
	struct cgroup_name n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		cgroup_name_parse(str_of(names[i].name), names[i].below_pod, &n);
		if (n.what != names[i].what)
			print_message("%s\n", names[i].name);
		assert_int_equal(n.what, names[i].what);
		assert_string_equal(n.container_id, names[i].id);
		assert_string_equal(n.pod_uid, names[i].uid);
		if (n.what == CGROUP_SERVICE)
			assert_true(str_eq(n.unit, str_of(names[i].name)));
		else
			assert_true(str_empty(n.unit));
	}
}

/* Cut at any byte nothing else is taken for an id. */
static void a_part_is_nothing(void **state)
{
	struct cgroup_name n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct str whole = str_of(names[i].name), id = str_of(names[i].id);

		for (size_t cut = 0; id.n && cut < whole.n; cut++) {
			cgroup_name_parse(str_make(whole.p, cut), true, &n);
			if (n.what == CGROUP_CONTAINER)
				assert_true(str_eq(str_of(n.container_id), id));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_say_what_they_are),
		cmocka_unit_test(a_part_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
