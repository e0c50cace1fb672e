/* The probe on this kernel: real sockets arrive in flows; it works with exactly what each tier
 * gives, keeps what it says, and leaves nothing behind when it is killed. */
#include "flow/probe.h"

#include "base/buf.h"
#include "base/log.h"
#include "flow/caps.h"
#include "flow/layout.h"
#include "flow_abi.h"
#include "shell_rig.h"
#include "tests/lib/torture.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include <bpf/bpf.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <event2/event.h>
#include <sys/capability.h>

#define TRACE (CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON))
#define FULL  (TRACE | CAPS_BIT(CAP_NET_ADMIN))

struct rig {
	struct event_base *base;
	struct flows *flows;
	struct probe *probe;
	unsigned int changes;
	size_t ring_bytes;
	bool defaults; /* the times of production */
	const char *proc_root;
};

static void on_changed(void *ctx)
{
	((struct rig *)ctx)->changes++;
}

static int rig_up(struct rig *g, bool keep_caps)
{
	CHECK(flows_new(&(struct flows_opts){0}, &g->flows) == 0, "flows");
	g->base = event_base_new();
	const struct probe_opts o = {
		.base = g->base,
		.flows = g->flows,
		.udp = true,
		.ring_every = g->defaults ? 0 : 10 * NSEC_PER_MSEC,
		.poll_every = g->defaults ? 0 : 100 * NSEC_PER_MSEC,
		.ring_bytes = g->ring_bytes,
		.proc_root = g->proc_root,
		.keep_caps = keep_caps,
		.changed = on_changed,
		.ctx = g,
	};

	return probe_new(&o, &g->probe);
}

static void rig_down(struct rig *g)
{
	probe_free(&g->probe);
	event_base_free(g->base);
	flows_free(&g->flows);
}

static void run_for(struct rig *g, nsec_t t)
{
	const struct timeval tv = {.tv_usec = (suseconds_t)(t / NSEC_PER_USEC)};

	(void)event_base_loopexit(g->base, &tv);
	(void)event_base_dispatch(g->base);
}

/* One line for each probe, for who reads the test's output. */
static void say(const struct probe *p)
{
	struct buf b;

	buf_init(&b, 4096);
	probe_describe(p, &b);
	printf("%.*s\n", STR_ARG(buf_str(&b)));
	(void)fflush(stdout);
	buf_done(&b);
}

static void need(bool may)
{
	if (may)
		return;
	print_message("skipped: no CAP_BPF (cannot run here)\n");
	skip();
}

static bool may_load(void)
{
	uint64_t have = 0;

	return caps_permitted(&have) == 0 && (have & FULL) == FULL;
}

static bool on(const struct rig *g, enum probe_feature f)
{
	return probe_status(g->probe, f).on;
}

/* The flow with these ports; names every flow it meets as the host's. */
static bool find(struct rig *g, enum flow_proto proto, uint16_t lport, uint16_t rport,
		 struct flow_view *ret)
{
	const struct flow_end end = {.known_by = KNOWN_HOST};
	const nsec_t late = clock_mono() + 100 * NSEC_PER_SEC;
	flow_id id;

	while ((id = flows_unnamed(g->flows, late)))
		CHECK(flows_name(g->flows, late, id, &end, &end) == 0, "name");
	for (id = flows_next(g->flows, 0); id; id = flows_next(g->flows, id))
		if (flows_at(g->flows, id, ret) && ret->proto == proto && ret->lport == lport &&
		    ret->rport == rport)
			return true;
	return false;
}

/* This process has a program at that tracepoint. */
static bool is_attached(const char *tracepoint)
{
	char path[300], text[200];
	DIR *d = opendir("/proc/self/fdinfo");
	const struct dirent *e;
	bool is = false;

	while (d && (e = readdir(d))) {
		(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", e->d_name);
		FILE *f = fopen(path, "r");

		while (f && fgets(text, sizeof(text), f))
			is = is || strstr(text, tracepoint);
		if (f)
			(void)fclose(f);
	}
	(void)closedir(d);
	return is;
}

/* What looks at each read goes once there is nothing from before that is not known. */
static void finds_all(void *ctx)
{
	char none[] = "/tmp/kindred-no-proc-XXXXXX"; /* no other namespaces */
	struct rig g = {.proc_root = mkdtemp(none)};
	struct flow_view v;

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	struct rig_pair old = rig_connect(false);

	CHECK(g.proc_root && rig_up(&g, true) == 0, "probe");
	probe_start(g.probe);
	run_for(&g, 400 * NSEC_PER_MSEC);
	CHECK(is_attached("tcp_rcv_space_adjust"), "does not look for what was there before");
	rig_send(old.client, old.server, 700);
	run_for(&g, 400 * NSEC_PER_MSEC);
	CHECK(is_attached("tcp_rcv_space_adjust"), "looks no more, and one end is not found");
	rig_send(old.server, old.client, 30);
	run_for(&g, 400 * NSEC_PER_MSEC);
	CHECK(!is_attached("tcp_rcv_space_adjust"), "looks for what is found");
	CHECK(is_attached("inet_sock_set_state") && on(&g, PROBE_FOUND), "others went with it");
	rig_send(old.client, old.server, 50);
	run_for(&g, 400 * NSEC_PER_MSEC);
	CHECK(find(&g, FLOW_TCP, old.cport, old.lport, &v) && v.counters.sent == 750 &&
		      v.counters.received == 30,
	      "the client's end");
	CHECK(find(&g, FLOW_TCP, old.lport, old.cport, &v) && v.counters.received == 750,
	      "the server's end");
	rig_close(&old);
	rig_down(&g);
	(void)rmdir(none);
}

static void test_finds_all(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(finds_all, NULL));
}

static void arrive(void *ctx)
{
	struct rig g = {0};
	struct flow_view v;
	const bool v6 = *(const bool *)ctx;

	if (!rig_netns())
		exit(RIG_SKIP);
	struct rig_pair old = rig_connect(v6);

	rig_send(old.client, old.server, 700);
	CHECK(rig_up(&g, true) == 0, "probe");
	say(g.probe);
	probe_start(g.probe);
	run_for(&g, 50 * NSEC_PER_MSEC);
	struct rig_pair p = rig_connect(v6);

	rig_send(p.client, p.server, 5000);
	rig_send(p.server, p.client, 300);
	run_for(&g, 300 * NSEC_PER_MSEC);
	CHECK(g.changes > 0, "nobody was told");
	CHECK(find(&g, FLOW_TCP, p.cport, p.lport, &v), "the client's end");
	CHECK(v.dir == FLOW_OUT && v.state == FLOW_OPEN, "dir %d state %d", v.dir, v.state);
	CHECK(find(&g, FLOW_TCP, p.lport, p.cport, &v), "the server's end");
	CHECK(v.dir == FLOW_IN && v.state == FLOW_OPEN, "dir %d state %d", v.dir, v.state);
	CHECK(find(&g, FLOW_TCP, old.cport, old.lport, &v), "a client's end from before");
	CHECK(v.dir == FLOW_OUT && v.pre_existing && v.counters.sent == 700, "dir %d sent %lu",
	      v.dir, (unsigned long)v.counters.sent);
	CHECK(find(&g, FLOW_TCP, old.lport, old.cport, &v), "a server's end from before");
	CHECK(v.dir == FLOW_IN && v.pre_existing && v.counters.received == 700,
	      "dir %d received %lu", v.dir, (unsigned long)v.counters.received);
	rig_close(&p);
	probe_drain(g.probe);
	CHECK(find(&g, FLOW_TCP, p.cport, p.lport, &v), "the client's end, ended");
	CHECK(v.counters.sent == 5000 && v.counters.received == 300, "sent %lu received %lu",
	      (unsigned long)v.counters.sent, (unsigned long)v.counters.received);
	rig_close(&old);
	rig_down(&g);
}

static void test_arrive(void **state)
{
	(void)state;
	need(may_load());
	for (int v6 = 0; v6 < 2; v6++) {
		bool arg = v6;

		RIG_NEED(rig_child(arrive, &arg));
	}
}

/* ---- tiers ----------------------------------------------------------------------------------- */

struct tier_case {
	uint64_t caps;
	uid_t uid;
	enum probe_tier tier;
	int r; /* of probe_new */
};

static void drop_to(const struct tier_case *c)
{
	CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0, "keepcaps");
	CHECK(setgroups(0, NULL) == 0 && setresgid(c->uid, c->uid, c->uid) == 0 &&
		      setresuid(c->uid, c->uid, c->uid) == 0,
	      "uid");
	CHECK(caps_keep(c->caps) == 0, "keep");
	(void)prctl(PR_SET_DUMPABLE, 1); /* a container's process is; else /proc/self is root's */
}

static void check_words(const struct rig *g, enum probe_feature f, const char *want)
{
	const struct probe_status s = probe_status(g->probe, f);

	CHECK(!s.on && strcmp(s.why, want) == 0, "%s: %s", probe_feature_name(f), s.why);
}

/* What the kernel says of this process. */
static int effective_caps(uint64_t *ret)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int r = -ENOENT;

	while (f && r < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, "CapEff:", 7) == 0) {
			*ret = strtoull(line + 7, NULL, 16);
			r = 0;
		}
	if (f)
		(void)fclose(f);
	return r;
}

static void check_features(const struct rig *g, const struct tier_case *c)
{
	const bool full = c->tier == PROBE_TIER_FULL;

	CHECK(probe_tier(g->probe) == c->tier, "tier %d", probe_tier(g->probe));
	if (c->tier == PROBE_TIER_NONE) {
		for (enum probe_feature f = 0; f < PROBE_CONNTRACK; f++)
			check_words(g, f, "needs CAP_BPF and CAP_PERFMON");
		return;
	}
	CHECK(on(g, PROBE_TCP) && on(g, PROBE_REFRESH) && on(g, PROBE_FOUND) &&
		      on(g, PROBE_RETRANSMITS) && on(g, PROBE_RESETS) && on(g, PROBE_CGROUPS) &&
		      on(g, PROBE_PROCESSES) && on(g, PROBE_EXISTING),
	      "tracepoints");
	CHECK(on(g, PROBE_UDP) == full && on(g, PROBE_DNS) == full, "cgroup programs");
	if (full)
		return;
	check_words(g, PROBE_UDP, "needs CAP_NET_ADMIN");
	check_words(g, PROBE_UDP_DROPS, "needs udp");
	check_words(g, PROBE_CONNTRACK, "needs CAP_NET_ADMIN in the host's network namespace");
}

static void tier(void *ctx)
{
	const struct tier_case *c = ctx;
	const uint64_t may_keep = CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_NET_ADMIN);
	struct rig g = {0};
	struct flow_view v;
	uint64_t permitted, effective;

	if (!rig_netns())
		exit(RIG_SKIP);
	drop_to(c);
	const int r = rig_up(&g, false);

	CHECK(r == c->r, "probe_new: %d", r);
	say(g.probe);
	check_features(&g, c);
	probe_start(g.probe);
	struct rig_pair p = rig_connect(false);

	rig_send(p.client, p.server, 1234);
	run_for(&g, 300 * NSEC_PER_MSEC);
	/* What it keeps it has said; it is never more than new pods and reading may need. */
	CHECK(caps_permitted(&permitted) == 0 && effective_caps(&effective) == 0, "caps");
	/* To look at other processes' sockets, only until that is done. */
	for (int i = 0; i < 100 && permitted & CAPS_BIT(CAP_SYS_PTRACE); i++) {
		run_for(&g, 100 * NSEC_PER_MSEC);
		CHECK(caps_permitted(&permitted) == 0, "caps");
	}
	CHECK(!(permitted & ~(may_keep & c->caps)) && !effective, "keeps %lx, effective %lx",
	      (unsigned long)permitted, (unsigned long)effective);
	struct buf b;
	char want[CAPS_TEXT_MAX + 16], kept[CAPS_TEXT_MAX];

	buf_init(&b, 4096);
	probe_describe(g.probe, &b);
	(void)snprintf(want, sizeof(want), "keeps %s;", caps_print(permitted, kept));
	CHECK(r < 0 || memmem(buf_str(&b).p, buf_str(&b).n, want, strlen(want)), "%s", want);
	buf_done(&b);
	rig_close(&p);
	probe_drain(g.probe);
	CHECK(find(&g, FLOW_TCP, p.cport, p.lport, &v) == (r == 0), "the flow");
	CHECK(r < 0 || v.counters.sent == 1234, "sent %lu", (unsigned long)v.counters.sent);
	rig_down(&g);
}

static void test_tiers(void **state)
{
	struct tier_case cases[] = {
		{0, 0, PROBE_TIER_NONE, -EPERM},
		{CAPS_BIT(CAP_NET_ADMIN), 0, PROBE_TIER_NONE, -EPERM},
		{TRACE, 0, PROBE_TIER_TRACE, 0},
		{TRACE, 65534, PROBE_TIER_TRACE, 0},
		{FULL, 0, PROBE_TIER_FULL, 0},
		{FULL, 65534, PROBE_TIER_FULL, 0},
		{FULL | CAPS_BIT(CAP_SYS_PTRACE), 65534, PROBE_TIER_FULL, 0},
		{UINT64_MAX, 0, PROBE_TIER_FULL, 0},
	};

	(void)state;
	need(may_load());
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		RIG_NEED(rig_child(tier, &cases[i]));
}

/* ---- what a process holds -------------------------------------------------------------------- */

#define MAX_IDS 128

struct ids {
	uint32_t progs[MAX_IDS], maps[MAX_IDS], links[MAX_IDS];
	unsigned int n_progs, n_maps, n_links;
};

static void add_id(uint32_t *ids, unsigned int *n, uint32_t id)
{
	for (unsigned int i = 0; i < *n; i++)
		if (ids[i] == id)
			return;
	CHECK(*n < MAX_IDS, "too many ids");
	ids[(*n)++] = id;
}

/* What a process holds, as the kernel says of its descriptors. */
static void ids_of(pid_t pid, struct ids *ret)
{
	char path[64], line[256];

	for (int fd = 0; fd < 512; fd++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
		FILE *f = fopen(path, "re");
		uint32_t id;

		while (f && fgets(line, sizeof(line), f)) {
			if (sscanf(line, "prog_id: %u", &id) == 1)
				add_id(ret->progs, &ret->n_progs, id);
			else if (sscanf(line, "map_id: %u", &id) == 1)
				add_id(ret->maps, &ret->n_maps, id);
			else if (sscanf(line, "link_id: %u", &id) == 1)
				add_id(ret->links, &ret->n_links, id);
		}
		if (f)
			(void)fclose(f);
	}
}

/* ---- pods ------------------------------------------------------------------------------------ */

#define UID_TEXT "0a1b2c3d-1111-2222-3333-%012x"

struct pods {
	char root[256], pod[2][400];
};

static void cgroup_paths(struct pods *p)
{
	struct layout l;
	char root[256];

	CHECK(layout_find("/sys/fs/cgroup", "/proc", &l) == 0 && *l.v2, "no cgroup v2");
	(void)snprintf(root, sizeof(root), "%.200s/kubepods-test-%d", l.v2, getpid());
	memcpy(p->root, root, sizeof(root));
	for (int i = 0; i < 2; i++)
		(void)snprintf(p->pod[i], sizeof(p->pod[i]), "%s/pod" UID_TEXT, root,
			       (unsigned int)i);
}

static void join(const char *cgroup)
{
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	FILE *f = fopen(path, "we");

	CHECK(f && fputs("0", f) >= 0 && fclose(f) == 0, "%s", path);
}

/* Whether one of these programs is at connect4 of a directory: others of this machine hook, too. */
static bool hooked(const struct ids *ids, const char *path)
{
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t at[64], n = ARRAY_SIZE(at), flags = 0;
	const int r = bpf_prog_query(fd, BPF_CGROUP_INET4_CONNECT, 0, &flags, at, &n);

	CHECK(r == 0, "query %s: %d", path, r);
	for (uint32_t i = 0; i < n; i++)
		for (unsigned int k = 0; k < ids->n_progs; k++)
			if (at[i] == ids->progs[k])
				return true;
	return false;
}

static bool hooked_by(pid_t pid, const char *path)
{
	struct ids mine = {0};

	ids_of(pid, &mine);
	return hooked(&mine, path);
}

static bool comes_true(pid_t pid, const char *path)
{
	for (int i = 0; i < 300; i++) {
		if (hooked_by(pid, path))
			return true;
		usleep(10000);
	}
	return false;
}

static void pods_probe(void)
{
	const struct tier_case full = {FULL, 0, PROBE_TIER_FULL, 0};
	struct rig g = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(rig_netns(), "netns");
	drop_to(&full);
	CHECK(rig_up(&g, false) == 0, "probe");
	probe_start(g.probe);
	for (;;)
		run_for(&g, 100 * NSEC_PER_MSEC);
}

/* The probe has given up what it had; who looks at its hooks has not. */
static void pods(void *ctx)
{
	struct pods p;

	(void)ctx;
	cgroup_paths(&p);
	CHECK(mkdir(p.root, 0755) == 0 && mkdir(p.pod[0], 0755) == 0, "mkdir %s", p.root);
	const pid_t pid = fork();

	if (pid == 0)
		pods_probe();
	const bool first = comes_true(pid, p.pod[0]);

	(void)mkdir(p.pod[1], 0755); /* comes later */
	const bool second = comes_true(pid, p.pod[1]), root = hooked_by(pid, p.root);
	const bool gone = rmdir(p.pod[0]) == 0; /* a link does not hold a cgroup */
	struct ids mine = {0};

	ids_of(pid, &mine);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	for (int i = 0; i < 300 && hooked(&mine, p.pod[1]); i++)
		usleep(10000);
	const bool left = hooked(&mine, p.pod[1]);

	(void)rmdir(p.pod[1]);
	(void)rmdir(p.root);
	CHECK(first, "the pod that was there is not hooked");
	CHECK(second, "the pod that came is not hooked");
	CHECK(!root, "what is no pod is hooked");
	CHECK(gone, "the pod cannot go");
	CHECK(!left, "something is left behind");
}

static void test_pods(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(pods, NULL));
}

/* ---- other namespaces ------------------------------------------------------------------------ */

struct other {
	struct tier_case caps;
	bool by_fd; /* the container's own cgroup is known, else the pod's */
};

static uint64_t inode(const char *path)
{
	struct stat st;

	CHECK(stat(path, &st) == 0, "stat %s", path);
	return st.st_ino;
}

/* A pod with one connection inside a network namespace of its own, there before the probe. */
static pid_t make_pod(const char *cgroup, struct rig_pair *ret)
{
	int out[2];

	CHECK(pipe(out) == 0, "pipe");
	const pid_t pid = fork();

	if (pid == 0) {
		join(cgroup);
		CHECK(rig_netns(), "netns");
		const struct rig_pair p = rig_connect(false);

		CHECK(write(out[1], &p, sizeof(p)) == sizeof(p), "write");
		(void)pause();
	}
	CHECK(read(out[0], ret, sizeof(*ret)) == sizeof(*ret), "read");
	return pid;
}

static void look_at_other(const struct other *o, const struct rig_pair *q, uint64_t pod,
			  uint64_t container)
{
	struct rig g = {0};
	struct flow_view v;

	CHECK(rig_netns(), "netns");
	drop_to(&o->caps);
	CHECK(rig_up(&g, false) == 0, "probe");
	probe_start(g.probe);
	bool found = false;

	for (int i = 0; i < 300 && !found; i++) {
		run_for(&g, 100 * NSEC_PER_MSEC);
		found = find(&g, FLOW_TCP, q->cport, q->lport, &v) && v.pre_existing;
	}
	CHECK(found && v.dir == FLOW_OUT, "the client's end");
	CHECK(v.cgroup_id == (o->by_fd ? container : pod), "cgroup %lu, pod %lu container %lu",
	      (unsigned long)v.cgroup_id, (unsigned long)pod, (unsigned long)container);
	CHECK((v.netns != 0 && v.pid != 0) == o->by_fd, "netns %u pid %u", v.netns, v.pid);
	rig_down(&g);
	exit(0);
}

static void other(void *ctx)
{
	const struct other *o = ctx;
	struct pods p;
	char container[512];
	struct rig_pair q;

	cgroup_paths(&p);
	(void)snprintf(container, sizeof(container), "%s/%064x", p.pod[0], 0xc0ffee);
	CHECK(mkdir(p.root, 0755) == 0 && mkdir(p.pod[0], 0755) == 0 && mkdir(container, 0755) == 0,
	      "mkdir");
	const pid_t pid = make_pod(container, &q);
	const pid_t prober = fork();
	int status = -1;

	if (prober == 0)
		look_at_other(o, &q, inode(p.pod[0]), inode(container));
	(void)waitpid(prober, &status, 0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	for (int i = 0; i < 50 && rmdir(container) < 0; i++)
		usleep(20000);
	(void)rmdir(p.pod[0]);
	(void)rmdir(p.root);
	CHECK(status == 0, "the probe: %x", status);
}

static void test_other(void **state)
{
	struct other cases[] = {
		{{UINT64_MAX, 0, PROBE_TIER_FULL, 0}, true},
		{{TRACE | CAPS_BIT(CAP_SYS_PTRACE), 0, PROBE_TIER_TRACE, 0}, true},
		{{TRACE, 65534, PROBE_TIER_TRACE, 0}, false},
	};

	(void)state;
	need(may_load());
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		RIG_NEED(rig_child(other, &cases[i]));
}

/* ---- killed ---------------------------------------------------------------------------------- */

static unsigned int alive(const uint32_t *ids, unsigned int n, int (*get)(uint32_t id))
{
	unsigned int k = 0;

	for (unsigned int i = 0; i < n; i++) {
		_close_ int fd = get(ids[i]);

		k += fd >= 0;
	}
	return k;
}

static void loaded(int out)
{
	struct rig g = {0};

	CHECK(rig_netns() && rig_up(&g, true) == 0, "probe");
	probe_start(g.probe);
	run_for(&g, 50 * NSEC_PER_MSEC);
	CHECK(write(out, "x", 1) == 1, "write");
	(void)pause();
}

static void killed(void *ctx)
{
	struct ids ids = {0};
	unsigned int left = 1;
	int out[2];
	char c;

	(void)ctx;
	CHECK(pipe(out) == 0, "pipe");
	const pid_t pid = fork();

	if (pid == 0)
		loaded(out[1]);
	CHECK(read(out[0], &c, 1) == 1, "the probe");
	ids_of(pid, &ids);
	CHECK(ids.n_progs >= 10 && ids.n_links >= 10 && ids.n_maps >= 5, "%u %u %u", ids.n_progs,
	      ids.n_links, ids.n_maps);
	CHECK(alive(ids.progs, ids.n_progs, bpf_prog_get_fd_by_id) == ids.n_progs, "alive");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	for (int i = 0; i < 200 && left; i++) { /* the kernel frees them when nobody runs them */
		left = alive(ids.progs, ids.n_progs, bpf_prog_get_fd_by_id) +
		       alive(ids.links, ids.n_links, bpf_link_get_fd_by_id) +
		       alive(ids.maps, ids.n_maps, bpf_map_get_fd_by_id);
		usleep(10000);
	}
	CHECK(!left, "%u of %u programs, %u links, %u maps are left", left, ids.n_progs,
	      ids.n_links, ids.n_maps);
}

static void test_killed(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(killed, NULL));
}

/* ---- bounds and cost ------------------------------------------------------------------------- */

/* A ring of one page under a burst: what does not fit is told by the maps. */
static void burst(void *ctx)
{
	struct rig g = {0};
	struct flows_stats st;
	uint64_t dropped = 0;

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	g.ring_bytes = 4096;
	CHECK(rig_up(&g, true) == 0, "probe");
	probe_start(g.probe);
	for (int i = 0; i < 300; i++) {
		struct rig_pair p = rig_connect(false);

		rig_close(&p);
	}
	probe_drain(g.probe);
	/* Somebody else's connections that begin just now are counted before they are told of. */
	for (int i = 0; i < 50 && (i == 0 || st.unaccounted); i++) {
		run_for(&g, 300 * NSEC_PER_MSEC);
		probe_drain(g.probe);
		flows_stats(g.flows, &st);
	}
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		dropped += st.dropped[i];
	printf("started %lu reported %lu open %lu dropped %lu unaccounted %ld, ring full %lu "
	       "times\n",
	       (unsigned long)st.started, (unsigned long)st.reported, (unsigned long)st.open,
	       (unsigned long)dropped, (long)st.unaccounted,
	       (unsigned long)(st.kernel[ABI_COUNT_RING_FULL_OPEN] +
			       st.kernel[ABI_COUNT_RING_FULL_CLOSE]));
	CHECK(st.started >= 600, "started %lu", (unsigned long)st.started);
	CHECK(st.kernel[ABI_COUNT_RING_FULL_CLOSE] > 0, "the ring was never full");
	/* The kernel skips a program that would interrupt itself on its CPU: counted, and rare. */
	CHECK(dropped + st.close_lost <= st.started / 100, "lost %lu, closes %lu",
	      (unsigned long)dropped, (unsigned long)st.close_lost);
	/* Others' sockets that were open before may be among them. */
	CHECK(st.started >= st.kernel[ABI_COUNT_STARTED], "the kernel's count");
	CHECK(st.unaccounted == 0, "the ledger");
	rig_down(&g);
}

static void test_burst(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(burst, NULL));
}

static nsec_t cpu(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

static void idle(void *ctx)
{
	struct rig g = {.defaults = true};
	struct flows_stats sa, sb;
	struct probe_counters a, b;

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	CHECK(rig_up(&g, true) == 0, "probe");
	probe_start(g.probe);
	flows_stats(g.flows, &sa);
	run_for(&g, 1600 * NSEC_PER_MSEC);
	probe_counters(g.probe, &a);
	const nsec_t before = cpu();

	for (int i = 0; i < 4; i++)
		run_for(&g, 500 * NSEC_PER_MSEC);
	const nsec_t used = cpu() - before;

	probe_counters(g.probe, &b);
	flows_stats(g.flows, &sb);
	/* The programs see what the whole machine does: a read a record, then. */
	const uint64_t records = sb.records - sa.records, most = records ? 60 + records : 15;

	printf("2 s: %lu reads of the ring, %lu us of CPU, %zu KiB in the kernel, %lu records\n",
	       (unsigned long)(b.ring_reads - a.ring_reads), (unsigned long)(used / 1000),
	       b.kernel_bytes / 1024, (unsigned long)(sb.records - sa.records));
	CHECK(b.ring_reads - a.ring_reads <= most, "wakes up too often");
	CHECK(used < 500 * NSEC_PER_MSEC, "costs too much");
	CHECK(b.last_read > a.last_read && b.kernel_bytes > 0, "counters");
	rig_down(&g);
}

static void test_idle(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(idle, NULL));
}

static int up_tortured(void *ctx)
{
	struct rig g = {0};
	int r = flows_new(&(struct flows_opts){0}, &g.flows);

	(void)ctx;
	if (r < 0)
		return r;
	g.base = event_base_new();
	const struct probe_opts o = {
		.base = g.base,
		.flows = g.flows,
		.keep_caps = true,
		.cgroup_root = "/nowhere", /* nothing to walk: that is flows' memory */
		.proc_root = "/proc",
		.ring_bytes = 4096,
		.max_socks = 16,
	};

	r = g.base ? probe_new(&o, &g.probe) : -ENOMEM;
	if (r == 0)
		probe_drain(g.probe);
	probe_free(&g.probe);
	if (g.base)
		event_base_free(g.base);
	flows_free(&g.flows);
	return r;
}

static void tortured(void *ctx)
{
	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	CHECK(caps_keep(TRACE) == 0 && caps_raise(TRACE) == 0, "caps");
	const int r = torture_run(up_tortured, NULL);

	CHECK(r == 0, "torture: %d", r);
}

static void test_torture(void **state)
{
	(void)state;
	need(may_load());
	RIG_NEED(rig_child(tortured, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrive),	cmocka_unit_test(test_finds_all),
		cmocka_unit_test(test_tiers),	cmocka_unit_test(test_pods),
		cmocka_unit_test(test_other),	cmocka_unit_test(test_killed),
		cmocka_unit_test(test_burst),	cmocka_unit_test(test_idle),
		cmocka_unit_test(test_torture),
	};

	log_setup(getenv("PROBE_DEBUG") ? LOG_DEBUG : LOG_INFO, false);
	return cmocka_run_group_tests_name("flow/probe", tests, NULL, NULL);
}
