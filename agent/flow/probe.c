/* The probe's life: what is tried in which order, and what is said of it; see probe.h. */
#include "flow/probe.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "flow/caps.h"
#include "flow/kernel_words.h"
#include "flow/probe_parts.h"
#include "flow/proc_watch.h"
#include "flow/refresh.h"
#include "flow_abi.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <sys/capability.h>
#include <sys/stat.h>

const char *probe_feature_name(enum probe_feature f)
{
	static const char *const names[_PROBE_FEATURE_MAX] = {
		[PROBE_TCP] = "tcp",
		[PROBE_REFRESH] = "refresh",
		[PROBE_FOUND] = "found",
		[PROBE_RETRANSMITS] = "retransmits",
		[PROBE_RESETS] = "resets",
		[PROBE_CGROUPS] = "cgroups",
		[PROBE_PROCESSES] = "processes",
		[PROBE_UDP] = "udp",
		[PROBE_UDP_DROPS] = "udp_drops",
		[PROBE_DNS] = "dns",
		[PROBE_ASKED] = "asked",
		[PROBE_CONNTRACK] = "conntrack",
		[PROBE_EXISTING] = "existing",
	};

	return f < _PROBE_FEATURE_MAX ? names[f] : "";
}

/* ---- parts ----------------------------------------------------------------------------------- */

static void set_defaults(struct probe *p, const struct probe_opts *o)
{
	struct probe_opts *q = &p->opts;

	*q = *o;
	q->ring_bytes = q->ring_bytes ? q->ring_bytes : 4 << 20;
	q->max_socks = q->max_socks ? q->max_socks : 65536;
	q->max_udp = q->max_udp ? q->max_udp : 32768;
	q->ring_every = q->ring_every ? q->ring_every : 50 * NSEC_PER_MSEC;
	q->poll_every = q->poll_every ? q->poll_every : PROBE_POLL_EVERY;
	(void)snprintf(p->cgroup_root, sizeof(p->cgroup_root), "%s",
		       o->cgroup_root ? o->cgroup_root : "/sys/fs/cgroup");
	(void)snprintf(p->proc_root, sizeof(p->proc_root), "%s",
		       o->proc_root ? o->proc_root : "/proc");
	q->cgroup_root = p->cgroup_root;
	q->proc_root = p->proc_root;
}

struct tree {
	struct flows *flows;
	nsec_t now;
	uint64_t v1; /* ABI_CGROUP_V1 or 0 */
};

static int on_dir(void *ctx, const struct walk_dir *d)
{
	const struct tree *t = ctx;

	/* What flows has no room for it counts itself. */
	(void)flows_cgroup(t->flows, t->now, d->id | t->v1, d->parent ? d->parent | t->v1 : 0,
			   d->name);
	return 0;
}

static void walk_one(struct probe *p, const char *path, uint64_t v1)
{
	struct tree t = {.flows = p->opts.flows, .now = clock_mono(), .v1 = v1};
	struct walk_figures f = {0};
	const int r = walk(path, PROBE_MAX_CGROUPS, on_dir, &t, &f);

	if (r < 0)
		(void)log_code(LOG_WARN, r, "flows: cgroup tree at %s", path);
	p->walked.dirs += f.dirs;
	p->walked.left_out += f.left_out;
	if (f.left_out)
		log_warn("flows: %u cgroups of %s are left out", f.left_out, path);
}

static void walk_cgroups(struct probe *p)
{
	if (p->layout.follow_v2)
		walk_one(p, p->layout.v2, 0);
	if (p->layout.follow_v1)
		walk_one(p, p->layout.v1, ABI_CGROUP_V1);
}

static void on_nat(void *ctx, const struct flows_translation *t)
{
	struct probe *p = ctx;

	flows_translation(p->opts.flows, t);
}

static void start_conntrack(struct probe *p)
{
	int r = -EPERM;

	if (p->permitted & CAPS_BIT(CAP_NET_ADMIN))
		r = conntrack_new(on_nat, p, &p->conntrack);
	if (r >= 0)
		return;
	(void)kernel_words_conntrack(r, p->permitted & CAPS_BIT(CAP_NET_ADMIN), p->conntrack_why,
				     sizeof(p->conntrack_why));
}

static void start_existing(struct probe *p)
{
	p->ptrace_caps = p->permitted & CAPS_BIT(CAP_SYS_PTRACE);
	const struct existing_opts o = {
		.flows = p->opts.flows,
		.layout = &p->layout,
		.proc_root = p->proc_root,
		.need_caps = p->opts.keep_caps ? 0 : p->ptrace_caps,
	};
	const int r = existing_new(&o, &p->existing);
	char text[64];

	p->existing_on = r >= 0;
	p->finding = p->existing_on && objects_status(p->objects, PROBE_FOUND).on;
	if (r < 0)
		(void)snprintf(p->existing_why, sizeof(p->existing_why), "%s",
			       strerror_r(-r, text, sizeof(text)));
}

/* Another's may be looked at with CAP_SYS_PTRACE only. */
static uint32_t find_host_netns(const char *proc_root)
{
	char path[LAYOUT_PATH_MAX + 16];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/1/ns/net", proc_root);
	if (stat(path, &st) == 0 || stat("/proc/self/ns/net", &st) == 0)
		return (uint32_t)st.st_ino;
	return 0;
}

static int start_hooks(struct probe *p)
{
	const struct pod_hooks_opts o = {
		.flows = p->opts.flows,
		.v2 = p->layout.v2,
		.prog4 = objects_asked(p->objects, false),
		.prog6 = objects_asked(p->objects, true),
		.need_caps = p->opts.keep_caps ? 0 : p->hook_caps,
		.max = PROBE_MAX_PODS,
	};

	if (!objects_status(p->objects, PROBE_ASKED).on || o.prog4 < 0)
		return 0;
	return pod_hooks_new(&o, &p->hooks);
}

/* ---- giving up what is not needed ------------------------------------------------------------ */

/* Found out by trying without: from Linux 5.19 on nobody needs a capability to read a map, or to
 * run a program, whose descriptor he holds. */
static uint64_t caps_to_read(const struct probe *p)
{
	const size_t cpus = 4096; /* more than the kernel is built for anywhere */
	_free_ uint64_t *cells = calloc(cpus, sizeof(*cells));
	const int prog = objects_refresh(p->objects);
	const uint32_t first = 0;

	if (cells &&
	    bpf_map_lookup_elem(objects_map(p->objects, OBJECTS_COUNTS), &first, cells) == 0 &&
	    (prog < 0 || refresh_try(prog) == 0))
		return 0;
	return CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_SYS_ADMIN);
}

/* A descriptor that is no cgroup: the permission is looked at first. */
static bool may_hook(int prog, int not_cgroup)
{
	const int r = bpf_link_create(prog, not_cgroup, BPF_CGROUP_INET4_CONNECT, NULL);

	if (r >= 0)
		(void)close(r);
	return r != -EPERM && r != -EACCES;
}

static uint64_t caps_to_hook(const struct probe *p)
{
	const uint64_t tries[] = {0, CAPS_BIT(CAP_BPF), CAPS_BIT(CAP_NET_ADMIN)};
	_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int prog = objects_asked(p->objects, false);
	bool may = prog < 0 || fd < 0;
	uint64_t set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tries) && !may; i++) {
		set = tries[i];
		(void)caps_raise(set);
		may = may_hook(prog, fd);
	}
	(void)caps_raise(0);
	return may ? set : CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_SYS_ADMIN);
}

static int lower(struct probe *p)
{
	int r;

	if (p->opts.keep_caps)
		return 0;
	r = caps_raise(0);
	if (r < 0)
		return r;
	if (p->on) {
		p->read_caps = caps_to_read(p) & p->permitted;
		p->hook_caps = caps_to_hook(p) & p->permitted;
	}
	p->kept = p->read_caps | p->hook_caps;
	return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int load(struct probe *p)
{
	p->watch_procs = proc_watch_may(p->proc_root);

	const struct objects_opts o = {
		.layout = &p->layout,
		.tier = p->tier,
		.permitted = p->permitted,
		.udp = p->opts.udp,
		.note_procs = !p->watch_procs,
		.ring_bytes = p->opts.ring_bytes,
		.max_socks = p->opts.max_socks,
		.max_udp = p->opts.max_udp,
	};
	int r = objects_new(&o, &p->objects);

	if (r < 0)
		return r;
	objects_attach_cgroups(p->objects);
	walk_cgroups(p);
	return objects_attach(p->objects);
}

static int start_reading(struct probe *p)
{
	const bool watch = p->watch_procs && objects_status(p->objects, PROBE_PROCESSES).on;
	const struct ring_opts o = {
		.flows = p->opts.flows,
		.ring = objects_map(p->objects, OBJECTS_RING),
		.counts = objects_map(p->objects, OBJECTS_COUNTS),
		.socks = objects_map(p->objects, OBJECTS_SOCKS),
		.ends = objects_map(p->objects, OBJECTS_ENDS),
		.places = objects_map(p->objects, OBJECTS_PLACES),
		.tape = objects_map(p->objects, OBJECTS_TAPE),
		.tape_at = objects_map(p->objects, OBJECTS_TAPE_AT),
		.fresh = objects_map(p->objects, OBJECTS_FRESH),
		.refresh = objects_refresh(p->objects),
		.udp = objects_map(p->objects, OBJECTS_UDP),
		.procs = watch ? objects_map(p->objects, OBJECTS_PROCS) : -1,
		.proc_root = p->proc_root,
		.need_caps = p->opts.keep_caps ? 0 : p->read_caps,
	};

	int r;

	if (o.need_caps)
		(void)caps_raise(o.need_caps);
	r = ring_new(&o, &p->ring);
	if (o.need_caps)
		(void)caps_raise(0);
	return r;
}

/* With what it needs raised: everything that is to be tried. */
static int start_all(struct probe *p)
{
	int r = load(p);

	if (r < 0)
		return r == -ENOMEM ? r : p->tier == PROBE_TIER_NONE ? -EPERM : -ENOTSUP;
	p->on = true;
	p->counters.kernel_bytes = objects_bytes(p->objects);
	start_conntrack(p);
	return 0;
}

int probe_new(const struct probe_opts *o, struct probe **ret)
{
	_cleanup_(probe_free) struct probe *p = calloc(1, sizeof(*p));
	int r, x;

	assert(o->base && o->flows);
	if (!p)
		return -ENOMEM;
	set_defaults(p, o);
	if (p->opts.ring_bytes & (p->opts.ring_bytes - 1) || p->opts.ring_bytes > 1UL << 30)
		return -EINVAL;
	(void)layout_find(p->cgroup_root, p->proc_root, &p->layout);
	r = caps_permitted(&p->permitted);
	if (r < 0)
		return r;
	p->tier = caps_tier(p->permitted);
	if (!p->opts.keep_caps)
		(void)caps_raise(caps_wanted(p->permitted));
	p->host_netns = find_host_netns(p->proc_root);
	r = start_all(p);
	x = r == -ENOMEM ? r : lower(p);
	if (x >= 0 && r == 0) {
		start_existing(p);
		x = start_reading(p);
	}
	if (x >= 0 && r == 0)
		x = start_hooks(p);
	if (x >= 0 && r == 0)
		x = probe_loop_new(p);
	if (!p->opts.keep_caps)
		(void)caps_keep(p->kept | (p->existing ? p->ptrace_caps : 0));
	if (x < 0)
		return x;
	*ret = TAKE_PTR(p);
	return r;
}

void probe_free(struct probe **p)
{
	if (!*p)
		return;
	probe_loop_free(*p);
	existing_free(&(*p)->existing);
	conntrack_free(&(*p)->conntrack);
	pod_hooks_free(&(*p)->hooks);
	ring_free(&(*p)->ring);
	objects_free(&(*p)->objects);
	free(*p);
	*p = NULL;
}

/* ---- what is said of it ---------------------------------------------------------------------- */

struct probe_status probe_status(const struct probe *p, enum probe_feature f)
{
	if (!p->on && (f == PROBE_CONNTRACK || f == PROBE_EXISTING))
		return (struct probe_status){.why = "needs tcp"};
	if (f == PROBE_CONNTRACK)
		return (struct probe_status){.on = p->conntrack != NULL, .why = p->conntrack_why};
	if (f == PROBE_EXISTING)
		return (struct probe_status){.on = p->existing_on, .why = p->existing_why};
	return objects_status(p->objects, f);
}

enum probe_tier probe_tier(const struct probe *p)
{
	return p->tier;
}

static const char *tier_words(enum probe_tier t)
{
	switch (t) {
	case PROBE_TIER_TRACE:
		return "CAP_BPF and CAP_PERFMON";
	case PROBE_TIER_FULL:
		return "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";
	case PROBE_TIER_NONE:
	default:
		return "no CAP_BPF and CAP_PERFMON";
	}
}

static bool same_words(struct probe_status a, struct probe_status b)
{
	return a.on == b.on && strcmp(a.why, b.why) == 0;
}

/* All features with these words, unless one before `f` had them. */
static void describe_like(const struct probe *p, enum probe_feature f, struct buf *out)
{
	const struct probe_status s = probe_status(p, f);
	unsigned int n = 0;

	for (enum probe_feature g = 0; g < f; g++)
		if (same_words(probe_status(p, g), s))
			return;
	(void)buf_printf(out, "; %s:", s.on ? "in part" : "off");
	for (enum probe_feature g = f; g < _PROBE_FEATURE_MAX; g++)
		if (same_words(probe_status(p, g), s))
			(void)buf_printf(out, "%s %s", n++ ? "," : "", probe_feature_name(g));
	if (*s.why)
		(void)buf_printf(out, " (%s)", s.why);
}

void probe_describe(const struct probe *p, struct buf *out)
{
	char kept[CAPS_TEXT_MAX];

	(void)buf_printf(out, "%s, with %s", p->on ? "on" : "off", tier_words(p->tier));
	if (p->on)
		(void)buf_printf(out, ", keeps %s",
				 p->opts.keep_caps ? "all" : caps_print(p->kept, kept));
	(void)buf_printf(out, "; cgroups %s", p->layout.words);
	for (enum probe_feature f = 0; f < _PROBE_FEATURE_MAX; f++) {
		const struct probe_status s = probe_status(p, f);

		if (!s.on || *s.why)
			describe_like(p, f, out);
	}
}

uint32_t probe_host_netns(const struct probe *p)
{
	return p->host_netns;
}

void probe_counters(const struct probe *p, struct probe_counters *ret)
{
	struct probe_counters c = p->counters;

	if (p->conntrack) {
		const struct conntrack_figures f = conntrack_figures(p->conntrack);

		c.conntrack_events = f.events;
		c.conntrack_lost = f.lost;
	}
	if (p->hooks) {
		const struct pod_hooks_figures f = pod_hooks_figures(p->hooks);

		c.pods_hooked = f.now;
		c.pods_left_out = f.left_out;
		c.pod_hooks_failed = f.failed;
	}
	c.existing_left_out =
		p->existing ? existing_figures(p->existing).left_out : p->found.left_out;
	*ret = c;
}
