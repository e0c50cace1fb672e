/*
 * The cgroup tree and processes: real paths of every runtime, directories told of
 * late, removed, used again; which of two ids counts.
 */
#include "flow/flows.h"

#include "base/mem.h"
#include "flow_abi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC   NSEC_PER_SEC
#define T0    (1000 * SEC)
#define ID    "3f0d8c1be2a94d57a6b1c0e9f8d7c6b5a4938271605f4e3d2c1b0a9f8e7d6c5b"
#define OUTER "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UID   "0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001"
#define UND   "0f6b1a52_7e0c_4a06_8d3a_6a1d6d2f0001"
#define POD   "pod" UID

static struct flows *make(struct flows_opts o)
{
	struct flows *f = NULL;

	assert_int_equal(flows_new(&o, &f), 0);
	return f;
}

/* Makes the directories of a path below the root 1; returns the last one's id. */
static uint64_t walk(struct flows *f, const char *path)
{
	static uint64_t next = 100;
	struct str rest = str_of(path), part;
	uint64_t parent = 1;
	bool more = true;

	assert_int_equal(flows_cgroup(f, T0, 1, 0, (struct str){0}), 0);
	while (more) {
		more = str_split(&rest, '/', &part);
		assert_int_equal(flows_cgroup(f, T0, ++next, parent, part), 0);
		parent = next;
	}
	return next;
}

static struct flow_cgroup look(const struct flows *f, uint64_t id)
{
	struct flow_cgroup g = {0};

	assert_true(flows_cgroup_at(f, flows_cgroup_by_id(f, id), &g));
	assert_true(g.id == id);
	return g;
}

static void paths_say_what_they_are(void **state)
{
	static const struct {
		const char *path;
		enum cgroup_what what;
		const char *id, *uid, *unit;
	} cases[] = {
		/* containerd, systemd */
		{"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UND
		 ".slice/cri-containerd-" ID ".scope",
		 CGROUP_CONTAINER, ID, UID, ""},
		{"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UND ".slice",
		 CGROUP_POD, "", UID, ""},
		/* CRI-O: what it makes below, and its monitor beside it */
		{"kubepods.slice/kubepods-pod" UND ".slice/crio-" ID ".scope/container",
		 CGROUP_CONTAINER, ID, UID, ""},
		{"kubepods.slice/kubepods-pod" UND ".slice/crio-conmon-" ID ".scope", CGROUP_POD,
		 "", UID, ""},
		/* cgroupfs */
		{"kubepods/besteffort/" POD "/" ID, CGROUP_CONTAINER, ID, UID, ""},
		{"kubepods/" POD "/" ID "/nested/deeper", CGROUP_CONTAINER, ID, UID, ""},
		{"kubepods/besteffort/" POD, CGROUP_POD, "", UID, ""},
		{"kubepods/besteffort", CGROUP_OTHER, "", "", ""},
		{"system.slice/containerd.service/kubepods-burstable-pod" UND
		 ".slice:cri-containerd:" ID,
		 CGROUP_CONTAINER, ID, UID, ""},
		/* systemd in a container, Docker in a container of a pod */
		{"kubepods/" POD "/" ID "/system.slice/nginx.service", CGROUP_CONTAINER, ID, UID,
		 ""},
		{"kubepods/" POD "/" ID "/docker/" OUTER, CGROUP_CONTAINER, ID, UID, ""},
		{"kubepods/" POD "/" ID "/system.slice/docker-" OUTER ".scope", CGROUP_CONTAINER,
		 ID, UID, ""},
		/* kind: the node is a container, its pods are pods */
		{"docker/" OUTER "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod" UND
		 ".slice/cri-containerd-" ID ".scope",
		 CGROUP_CONTAINER, ID, UID, ""},
		{"system.slice/docker-" OUTER ".scope/kubelet/kubepods/" POD "/" ID,
		 CGROUP_CONTAINER, ID, UID, ""},
		{"system.slice/docker-" OUTER ".scope/kubelet.slice/kubelet.service",
		 CGROUP_CONTAINER, OUTER, "", ""},
		/* Docker, Podman */
		{"docker/" ID, CGROUP_CONTAINER, ID, "", ""},
		{"system.slice/docker-" ID ".scope", CGROUP_CONTAINER, ID, "", ""},
		{"machine.slice/libpod-" ID ".scope/container", CGROUP_CONTAINER, ID, "", ""},
		{"libpod_parent/libpod-" ID, CGROUP_CONTAINER, ID, "", ""},
		/* host */
		{"system.slice/sshd.service", CGROUP_SERVICE, "", "", "sshd.service"},
		{"system.slice/sshd.service/worker", CGROUP_SERVICE, "", "", "sshd.service"},
		{"user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
		 CGROUP_SERVICE, "", "", "web.service"},
		{"user.slice/user-1000.slice/session-2.scope", CGROUP_OTHER, "", "", ""},
		{ID, CGROUP_OTHER, "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flows *f = make((struct flows_opts){0});
		struct flow_cgroup g = look(f, walk(f, cases[i].path));
		cgroup_ix ix;

		if (g.ref.what != cases[i].what)
			print_message("%s\n", cases[i].path);
		assert_int_equal(g.ref.what, cases[i].what);
		assert_true(str_eq(g.ref.container_id, str_of(cases[i].id)));
		assert_true(str_eq(g.ref.pod_uid, str_of(cases[i].uid)));
		assert_true(str_eq(g.ref.unit, str_of(cases[i].unit)));
		ix = flows_cgroup_by_container(f, str_of(cases[i].id));
		assert_true(!ix == !cases[i].id[0]);
		if (cases[i].what == CGROUP_CONTAINER && strcmp(cases[i].id, OUTER) != 0)
			assert_int_equal(flows_cgroup_by_container(f, STR("x")), 0);
		flows_free(&f);
	}
}

/* ---- flows in cgroups ------------------------------------------------------------------------ */

static const struct flow_end pending = {.why = UNKNOWN_PENDING};
static const struct flow_end no_cgroup = {.why = UNKNOWN_NO_CGROUP};
static const struct flow_end web = {.known_by = KNOWN_CGROUP, .workload = STR("web")};

static flow_id open_in(struct flows *f, uint64_t sk, uint64_t v2, uint64_t v1)
{
	struct abi_tcp t = {
		.head = {.type = ABI_TCP_OPEN, .version = ABI_VERSION, .size = sizeof(t)},
		.sk = sk,
		.sock = {.start = T0,
			 .cgroup = v2,
			 .cgroup_v1 = v1,
			 .tuple = {.lport = (uint16_t)sk, .rport = 80},
			 .flags = ABI_SOCK_WAS_OPEN,
			 .state = 1}};
	flow_id id;

	assert_int_equal(flows_record(f, T0, str_make(&t, sizeof(t))), 0);
	id = flows_unnamed(f, T0);
	assert_int_not_equal(id, 0);
	return id;
}

static uint64_t cgroup_of(const struct flows *f, flow_id id)
{
	struct flow_view v;
	struct flow_cgroup g;

	assert_true(flows_at(f, id, &v));
	return flows_cgroup_at(f, v.cgroup, &g) ? g.id : 0;
}

/* Root of v2 is 1; 2 a pod's, 3 a service's; the same in v1. */
static void a_tree(struct flows *f, uint64_t bit)
{
	assert_int_equal(flows_cgroup(f, T0, 1 | bit, 0, (struct str){0}), 0);
	assert_int_equal(flows_cgroup(f, T0, 2 | bit, 1 | bit, STR(POD)), 0);
	assert_int_equal(flows_cgroup(f, T0, 3 | bit, 1 | bit, STR("a.service")), 0);
}

static void two_trees(struct flows *f)
{
	a_tree(f, 0);
	a_tree(f, ABI_CGROUP_V1);
}

static void the_id_that_says_more_counts(void **state)
{
	static const struct {
		uint64_t v2, v1, counts;
	} cases[] = {
		{2, 0, 2},
		{0, 2 | ABI_CGROUP_V1, 2 | ABI_CGROUP_V1},
		{1, 2 | ABI_CGROUP_V1, 2 | ABI_CGROUP_V1}, /* hybrid: pods are in v1 */
		{3, 2 | ABI_CGROUP_V1, 2 | ABI_CGROUP_V1},
		{2, 2 | ABI_CGROUP_V1, 2},
		{2, 1 | ABI_CGROUP_V1, 2},
		{3, 1 | ABI_CGROUP_V1, 3},
		{1, 3 | ABI_CGROUP_V1, 3 | ABI_CGROUP_V1},
		{1, 1 | ABI_CGROUP_V1, 1},
		{9, 2 | ABI_CGROUP_V1, 2 | ABI_CGROUP_V1}, /* 9: never told of */
		{2, 9 | ABI_CGROUP_V1, 2},
		{1, 9 | ABI_CGROUP_V1, 0}, /* it could still be a pod's */
		{0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flows *f = make((struct flows_opts){0});
		flow_id id;

		two_trees(f);
		id = open_in(f, 1, cases[i].v2, cases[i].v1);
		assert_true(cgroup_of(f, id) == cases[i].counts);
		flows_free(&f);
	}
}

/* v2 is not mounted: its root, which sockets name, is not waited for. */
static void v1_alone(void **state)
{
	static const struct {
		uint64_t v1, counts;
	} cases[] = {
		{2 | ABI_CGROUP_V1, 2 | ABI_CGROUP_V1},
		{3 | ABI_CGROUP_V1, 3 | ABI_CGROUP_V1},
		{1 | ABI_CGROUP_V1, 1 | ABI_CGROUP_V1},
		{9 | ABI_CGROUP_V1, 0},
		{0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flows *f = make((struct flows_opts){0});

		a_tree(f, ABI_CGROUP_V1);
		assert_int_equal(cgroup_of(f, open_in(f, 1, 1, cases[i].v1)), cases[i].counts);
		flows_free(&f);
	}
}

static void a_cgroup_told_late_heals(void **state)
{
	struct flows *f = make((struct flows_opts){0});
	struct flow_end whole = web; /* else it waits for its container */
	struct flow_view v;
	flow_id id;

	(void)state;
	whole.container = STR("main");
	id = open_in(f, 1, 7, 0);
	assert_int_equal(flows_name(f, T0, id, &no_cgroup, &web), 0); /* not yet */
	assert_int_equal(flows_unnamed(f, T0), 0);
	assert_true(flows_at(f, id, &v) && !v.named && v.cgroup == 0 && v.cgroup_id == 7);
	assert_int_equal(flows_cgroup_by_id(f, 7), 0);
	assert_int_equal(flows_cgroup_next(f, 0), 0);
	assert_int_equal(flows_cgroup(f, T0, 7, 5, STR(ID)), 0); /* its parent comes later */
	assert_int_equal(flows_unnamed(f, T0), id);
	assert_true(cgroup_of(f, id) == 7 && look(f, 7).ref.what == CGROUP_OTHER);
	assert_int_equal(flows_name(f, T0, id, &pending, &web), 0);
	assert_int_equal(flows_cgroup(f, T0, 5, 0, STR(POD)), 0);
	assert_int_equal(flows_unnamed(f, T0), id);
	assert_true(look(f, 7).ref.what == CGROUP_CONTAINER);
	assert_true(str_eq(look(f, 7).ref.pod_uid, STR(UID)));
	assert_true(look(f, 7).parent_id == 5 && look(f, 7).parent != 0);
	assert_int_equal(flows_name(f, T0, id, &pending, &web), 0);
	flows_wake_container(f, STR(OUTER));
	assert_int_equal(flows_unnamed(f, T0), 0);
	flows_wake_container(f, STR(ID));
	assert_int_equal(flows_unnamed(f, T0), id);
	assert_int_equal(flows_name(f, T0, id, &pending, &web), 0);
	flows_wake_pod(f, STR(UID)); /* those in its containers, too */
	assert_int_equal(flows_unnamed(f, T0), id);
	assert_int_equal(flows_name(f, T0, id, &whole, &web), 0);
	assert_true(flows_at(f, id, &v) && v.named);
	flows_free(&f);
}

/* What never comes is given up: by then the other id counts. */
static void a_cgroup_never_told_is_given_up(void **state)
{
	struct flows *f = make((struct flows_opts){.pending_timeout = SEC});
	flow_id id;

	(void)state;
	two_trees(f);
	id = open_in(f, 1, 3, 9 | ABI_CGROUP_V1);
	assert_int_equal(flows_name(f, T0, id, &no_cgroup, &web), 0);
	assert_int_equal(flows_unnamed(f, T0), 0);
	assert_int_equal(flows_unnamed(f, T0 + SEC), id);
	assert_true(flows_overdue(f, id, T0 + SEC));
	assert_true(cgroup_of(f, id) == 3);
	flows_free(&f);
}

static void gone(struct flows *f, nsec_t now, uint64_t id)
{
	struct abi_cgroup c = {.head = {.type = ABI_CGROUP_GONE,
					.version = ABI_VERSION,
					.size = sizeof(c),
					.time = now},
			       .id = id};

	assert_int_equal(flows_record(f, now, str_make(&c, sizeof(c))), 0);
}

static void removed_ones_linger(void **state)
{
	struct flows *f = make((struct flows_opts){.cgroup_linger = 10 * SEC});
	struct flow_cursor *c;
	struct flows_stats s;
	uint64_t changes;
	flow_id id;

	(void)state;
	assert_int_equal(flows_cursor_add(f, &c), 0);
	two_trees(f);
	id = open_in(f, 1, 2, 0);
	changes = flows_cgroups_changes(f);
	gone(f, T0, 2);
	gone(f, T0, 3);
	gone(f, T0, 77);
	assert_true(flows_cgroups_changes(f) == changes + 2);
	assert_true(look(f, 2).gone && look(f, 3).gone);
	assert_true(flows_tick(f, T0 + 10 * SEC - 1) == T0 + 10 * SEC);
	assert_true(look(f, 3).gone);
	(void)flows_tick(f, T0 + 10 * SEC);
	assert_int_equal(flows_cgroup_by_id(f, 3), 0);
	assert_true(look(f, 2).gone); /* the flow needs it */
	/* The id comes again, as another. */
	assert_int_equal(flows_cgroup(f, T0, 2, 1, STR("docker-" ID ".scope")), 0);
	assert_true(!look(f, 2).gone && look(f, 2).ref.what == CGROUP_CONTAINER);
	{
		struct flow_view v;
		struct flow_cgroup g;

		assert_true(flows_at(f, id, &v) && flows_cgroup_at(f, v.cgroup, &g));
		assert_true(g.gone && g.ref.what == CGROUP_POD);
	}
	flows_stats(f, &s);
	assert_int_equal(s.cgroups, 6); /* 1, old 2, new 2; three of v1 */
	flows_free(&f);
}

/* The one that is there counts; when none is, the one that was. */
static void directories_of_one_container(void **state)
{
	struct flows *f = make((struct flows_opts){.cgroup_linger = 10 * SEC});

	(void)state;
	assert_int_equal(flows_cgroup(f, T0, 1, 0, (struct str){0}), 0);
	assert_int_equal(flows_cgroup(f, T0, 2, 1, STR("docker-" ID ".scope")), 0);
	gone(f, T0, 2);
	assert_int_equal(flows_cgroup_by_container(f, STR(ID)), flows_cgroup_by_id(f, 2));
	assert_int_equal(flows_cgroup(f, T0, 3, 1, STR("docker-" ID ".scope")), 0);
	assert_int_equal(flows_cgroup_by_container(f, STR(ID)), flows_cgroup_by_id(f, 3));
	gone(f, T0, 3);
	assert_int_equal(flows_cgroup(f, T0, 4, 1, STR("docker-" ID ".scope")), 0);
	assert_int_equal(flows_cgroup_by_container(f, STR(ID)), flows_cgroup_by_id(f, 4));
	flows_free(&f);
}

/* An id told again with another name: its end was not told. */
static void an_end_that_was_not_told(void **state)
{
	struct flows *f = make((struct flows_opts){0});
	uint64_t changes;

	(void)state;
	two_trees(f);
	changes = flows_cgroups_changes(f);
	assert_int_equal(flows_cgroup(f, T0, 2, 1, STR(POD)), 0); /* the walk and the record */
	assert_true(flows_cgroups_changes(f) == changes);
	assert_int_equal(flows_cgroup(f, T0, 2, 1, STR("b.service")), 0);
	assert_int_equal(look(f, 2).ref.what, CGROUP_SERVICE);
	flows_free(&f);
}

static void the_tree_is_bounded(void **state)
{
	struct flows *f = make((struct flows_opts){.max_cgroups = 3});
	struct flows_stats s;
	flow_id id;

	(void)state;
	assert_int_equal(flows_cgroup(f, T0, 1, 0, STR("a")), 0);
	assert_int_equal(flows_cgroup(f, T0, 2, 1, STR("b")), 0);
	assert_int_equal(flows_cgroup(f, T0, 3, 1, STR("c")), 0);
	assert_int_equal(flows_cgroup(f, T0, 4, 1, STR("d")), -EMSGSIZE);
	id = open_in(f, 1, 4, 0);
	assert_true(cgroup_of(f, id) == 0);
	assert_int_equal(flows_name(f, T0, id, &no_cgroup, &web), 0);
	assert_int_equal(flows_unnamed(f, T0), 0);
	flows_stats(f, &s);
	assert_true(s.cgroups == 3 && s.cgroups_refused == 2 && s.pending == 0);
	gone(f, T0, 3); /* one that only lingers makes room */
	assert_int_equal(flows_cgroup(f, T0, 4, 1, STR("d")), 0);
	assert_int_equal(flows_cgroup_by_id(f, 3), 0);
	flows_free(&f);
}

static void rings_and_deep_trees_are_survived(void **state)
{
	struct flows *f = make((struct flows_opts){0});

	(void)state;
	assert_int_equal(flows_cgroup(f, T0, 1, 1, STR("a")), 0);
	assert_int_equal(flows_cgroup(f, T0, 2, 3, STR("b")), 0);
	assert_int_equal(flows_cgroup(f, T0, 3, 2, STR("c")), 0);
	for (uint64_t i = 10; i < 3000; i++)
		assert_int_equal(flows_cgroup(f, T0, i, i - 1, STR("x")), 0);
	for (uint64_t i = 1; i < 3000; i++)
		gone(f, T0, i);
	(void)flows_tick(f, T0 + 1000 * SEC);
	assert_int_equal(flows_cgroup_next(f, 0), 0);
	flows_free(&f);
}

/* ---- processes ------------------------------------------------------------------------------- */

static void proc(struct flows *f, enum abi_type type, nsec_t at, uint32_t pid, uint64_t cgroup)
{
	struct abi_proc p = {.head = {.type = (uint8_t)type,
				      .version = ABI_VERSION,
				      .size = sizeof(p),
				      .time = at},
			     .cgroup = cgroup,
			     .pid = pid,
			     .comm = "sh"};

	assert_int_equal(flows_record(f, at, str_make(&p, sizeof(p))), 0);
}

static void seen(struct flows *f, nsec_t at, uint32_t pid)
{
	struct abi_tcp t = {
		.head = {.type = ABI_TCP_OPEN,
			 .version = ABI_VERSION,
			 .size = sizeof(t),
			 .time = at},
		.sk = 1,
		.sock = {.start = at, .state = 10, .pid = pid, .cgroup = 2, .comm = "web"}};

	assert_int_equal(flows_record(f, at, str_make(&t, sizeof(t))), 0);
}

static void processes_come_move_and_go(void **state)
{
	struct flows *f = make((struct flows_opts){.max_procs = 2, .cgroup_linger = 10 * SEC});
	uint64_t changes;
	struct flow_proc p;
	struct flows_stats s;

	(void)state;
	two_trees(f);
	seen(f, T0, 70);
	assert_true(flows_proc(f, 70, &p) && str_eq(p.comm, STR("web")) && !p.gone && !p.moves);
	assert_int_equal(p.cgroup, flows_cgroup_by_id(f, 2));
	changes = flows_procs_changes(f);
	seen(f, T0, 70);
	assert_true(flows_procs_changes(f) == changes);
	proc(f, ABI_PROC_MOVE, T0 + 1, 70, 3);
	assert_true(flows_proc(f, 70, &p) && p.moves == 1);
	assert_int_equal(p.cgroup, flows_cgroup_by_id(f, 3));
	assert_true(flows_procs_changes(f) != changes);
	proc(f, ABI_PROC_EXIT, T0 + 5, 70, 3);
	assert_true(flows_proc(f, 70, &p) && p.gone);
	seen(f, T0 + 4, 70); /* told late */
	assert_true(flows_proc(f, 70, &p) && p.gone);
	seen(f, T0 + 6, 70); /* the pid came again */
	assert_true(flows_proc(f, 70, &p) && !p.gone);
	proc(f, ABI_PROC_EXIT, T0 + 7, 70, 3);
	seen(f, T0, 71);
	assert_int_equal(flows_proc_next(f, 0) + flows_proc_next(f, flows_proc_next(f, 0)), 141);
	seen(f, T0, 72); /* over the bound one that has ended goes */
	assert_false(flows_proc(f, 70, &p));
	seen(f, T0, 73);
	assert_false(flows_proc(f, 73, &p));
	flows_stats(f, &s);
	assert_true(s.procs == 2 && s.procs_refused == 1);
	proc(f, ABI_PROC_EXIT, T0, 71, 3);
	assert_true(flows_tick(f, T0) == T0 + 10 * SEC);
	(void)flows_tick(f, T0 + 10 * SEC);
	assert_false(flows_proc(f, 71, &p));
	assert_true(flows_proc(f, 72, &p));
	flows_proc_again(f, 72);
	assert_int_equal(flows_procs_fresh(f), 1);
	assert_int_equal(flows_proc_fresh(f), 72);
	assert_int_equal(flows_procs_fresh(f), 0);
	flows_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_say_what_they_are),
		cmocka_unit_test(the_id_that_says_more_counts),
		cmocka_unit_test(v1_alone),
		cmocka_unit_test(a_cgroup_told_late_heals),
		cmocka_unit_test(a_cgroup_never_told_is_given_up),
		cmocka_unit_test(removed_ones_linger),
		cmocka_unit_test(directories_of_one_container),
		cmocka_unit_test(an_end_that_was_not_told),
		cmocka_unit_test(the_tree_is_bounded),
		cmocka_unit_test(rings_and_deep_trees_are_survived),
		cmocka_unit_test(processes_come_move_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
