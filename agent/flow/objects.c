/* Loading and attaching what bpf/ has; see objects.h. */
#include "flow/objects.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "flow/caps.h"
#include "flow/elf.h"
#include "flow/kernel_words.h"
#include "flow/knobs.h"
#include "flow/refresh.h"
#include "flow_abi.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <sys/capability.h>

#define MAX_PROGRAMS 4	   /* of one object */
#define MAX_SHARED   24	   /* maps, over all objects */
#define ENDS_WHOLE   16384 /* entries of `ends`, where it is allocated whole: 4 MB */

enum attach_to {
	TO_HOOK,   /* the program's own section says where */
	TO_CGROUP, /* the root of cgroup v2 */
	TO_PODS,   /* one pod's cgroup at a time, by pod_hooks */
	TO_RUN,	   /* nowhere: the agent runs it */
};

/* In the order of loading: `tcp` is told what else is there. */
static const struct feature {
	const char *object;
	enum probe_feature feature;
	enum attach_to to;
} features[] = {
	{"cgroups", PROBE_CGROUPS, TO_HOOK}, /* before the tree is walked */
	{"asked", PROBE_ASKED, TO_PODS},
	{"procs", PROBE_PROCESSES, TO_HOOK},
	{"tcp", PROBE_TCP, TO_HOOK},
	{"refresh", PROBE_REFRESH, TO_RUN},
	{"found", PROBE_FOUND, TO_HOOK},
	{"retransmits", PROBE_RETRANSMITS, TO_HOOK},
	{"resets", PROBE_RESETS, TO_HOOK},
	{"udp", PROBE_UDP, TO_CGROUP},
	{"udp_drops", PROBE_UDP_DROPS, TO_HOOK},
};
#define N_FEATURES ARRAY_SIZE(features)

struct shared {
	char name[32];
	int fd; /* ours */
};

struct loaded {
	struct bpf_object *obj; /* NULL: not loaded */
	struct bpf_link *links[MAX_PROGRAMS];
	bool on;
	char why[OBJECTS_WHY_MAX];
};

struct objects {
	struct objects_opts opts;
	struct layout layout;
	struct loaded of[N_FEATURES];
	struct shared shared[MAX_SHARED];
	size_t n_shared;
	bool direct; /* `tcp` is the program for newer kernels: there are places and a tape */
};

static size_t index_of(enum probe_feature f)
{
	for (size_t i = 0; i < N_FEATURES; i++)
		if (features[i].feature == f)
			return i;
	return N_FEATURES;
}

static bool is_on(const struct objects *o, enum probe_feature f)
{
	return o->of[index_of(f)].on;
}

/* ---- knobs ----------------------------------------------------------------------------------- */

/* Which v1 hierarchy the programs follow: 0 none, 1 memory, 2 pids. */
static uint32_t v1_controller(const struct objects *o)
{
	if (!o->layout.follow_v1)
		return 0;
	return strcmp(o->layout.v1_name, "memory") == 0 ? 1 : 2;
}

/* The largest power of two that is not more, from `least` (one, too) on. */
static uint32_t power_of_two(uint64_t n, uint32_t least)
{
	uint32_t p = least;

	while (p <= n / 2 && p < 1U << 30)
		p *= 2;
	return p;
}

/* Buckets of `places`: room for a quarter of the sockets; the others are in the hash. */
static uint32_t n_buckets(const struct objects *o)
{
	return power_of_two(o->opts.max_socks / 4 / ABI_PLACES, 2);
}

/* As many records as find room in a ring of that size. */
static uint32_t n_slots(const struct objects *o)
{
	return power_of_two(o->opts.ring_bytes / sizeof(struct abi_tcp), 8);
}

static int tune(const struct objects *o, struct bpf_object *obj, bool direct)
{
	const struct layout *l = &o->layout;
	const uint32_t v1 = v1_controller(o);
	const struct knob knobs[] = {
		{"ring_wake", o->opts.ring_bytes / 4},
		{"v1_controller", v1},
		{"v1_hierarchy", v1 ? l->v1_hierarchy : 0},
		{"dns", 1},
		{"want_procs", o->opts.note_procs && o->of[index_of(PROBE_PROCESSES)].obj != NULL},
		{"want_asked", o->of[index_of(PROBE_ASKED)].obj != NULL},
		{"places_shift", direct ? 33 - (uint32_t)ffs((int)n_buckets(o)) : 0},
		{"tape_slots", direct ? n_slots(o) : 0},
	};

	return knobs_set(obj, knobs, ARRAY_SIZE(knobs));
}

/* ---- maps ------------------------------------------------------------------------------------ */

static const struct shared *find_shared(const struct objects *o, const char *name)
{
	for (size_t i = 0; i < o->n_shared; i++)
		if (strcmp(o->shared[i].name, name) == 0)
			return &o->shared[i];
	return NULL;
}

static bool is_private(const struct bpf_map *map)
{
	return bpf_map__is_internal(map);
}

/* Entries allocated as they come, by an allocator that may be asked anywhere: Linux 6.1. Before,
 * the kernel warns in its log of maps of tracing programs that are not allocated whole. */
static bool may_grow(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const bool may = btf && btf__find_by_name_kind(btf, "bpf_mem_alloc", BTF_KIND_STRUCT) > 0;

	btf__free(btf);
	return may;
}

/* Empty but for the moments when the ring is full. */
static int size_ends(const struct objects *o, struct bpf_map *map)
{
	const bool grows = may_grow();
	const uint32_t n = o->opts.max_socks;
	int r = bpf_map__set_max_entries(map, grows ? n : MIN(n, (uint32_t)ENDS_WHOLE));

	if (r >= 0 && grows)
		r = bpf_map__set_map_flags(map, BPF_F_NO_PREALLOC);
	return r;
}

static int set_size(const struct objects *o, struct bpf_map *map, bool direct)
{
	const char *name = bpf_map__name(map);

	if (strcmp(name, "ring") == 0)
		return bpf_map__set_max_entries(map, (uint32_t)o->opts.ring_bytes);
	if (strcmp(name, "socks") == 0)
		return bpf_map__set_max_entries(map, o->opts.max_socks);
	if (strcmp(name, "places") == 0)
		return bpf_map__set_max_entries(map, direct ? n_buckets(o) : 1);
	if (strcmp(name, "tape") == 0)
		return bpf_map__set_max_entries(map, n_slots(o));
	if (strcmp(name, "ends") == 0)
		return size_ends(o, map);
	if (strcmp(name, "udp") == 0)
		return bpf_map__set_max_entries(map, o->opts.max_udp);
	if (strcmp(name, "udp_owners") == 0 && !v1_controller(o))
		return bpf_map__set_max_entries(map, 1);
	return 0;
}

/* Before the load: maps that exist are used again, others get their size. */
static int join_maps(const struct objects *o, struct bpf_object *obj, bool direct)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, obj)
	{
		const struct shared *s = find_shared(o, bpf_map__name(map));

		if (is_private(map) || r < 0)
			continue;
		r = s ? bpf_map__reuse_fd(map, s->fd) : set_size(o, map, direct);
	}
	return r;
}

/* After it: those it made are there for the next. */
static int keep_maps(struct objects *o, const struct bpf_object *obj)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		const char *name = bpf_map__name(map);
		struct shared *s = &o->shared[o->n_shared];

		if (is_private(map) || find_shared(o, name))
			continue;
		if (o->n_shared == MAX_SHARED || strlen(name) >= sizeof(s->name))
			return -EMSGSIZE;
		s->fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
		if (s->fd < 0)
			return -errno;
		memcpy(s->name, name, strlen(name) + 1);
		o->n_shared++;
	}
	return 0;
}

/* Programs that only matter where pods are in v1. */
static int choose_programs(const struct objects *o, const struct bpf_object *obj)
{
	static const char *const v1_only[] = {"udp_sock_create", "udp_sock_release"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(v1_only) && r >= 0; i++) {
		struct bpf_program *p = bpf_object__find_program_by_name(obj, v1_only[i]);

		if (p && !v1_controller(o))
			r = bpf_program__set_autoload(p, false);
	}
	return r;
}

/* Of two programs for one hook, NAME and NAME_direct, the second follows pointers where the first
 * copies. Whether there are such. */
static bool choose_direct(const struct bpf_object *obj, bool direct)
{
	struct bpf_program *p;
	bool any = false;

	bpf_object__for_each_program(p, obj)
	{
		char name[64];

		(void)snprintf(name, sizeof(name), "%s_direct", bpf_program__name(p));
		struct bpf_program *twin = bpf_object__find_program_by_name(obj, name);

		if (!twin)
			continue;
		(void)bpf_program__set_autoload(p, !direct);
		(void)bpf_program__set_autoload(twin, direct);
		any = true;
	}
	return any;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* Below Linux 5.11 maps and programs are charged to locked memory. libbpf has tried to raise the
 * limit by now where that matters. */
static bool memlock_is_short(const struct objects *o, char *out, size_t size)
{
	struct rlimit l;

	if (o->opts.permitted & CAPS_BIT(CAP_SYS_RESOURCE) || getrlimit(RLIMIT_MEMLOCK, &l) < 0 ||
	    l.rlim_cur == RLIM_INFINITY || l.rlim_cur > 1UL << 30)
		return false;
	(void)snprintf(
		out, size,
		"not permitted: before Linux 5.11 this needs CAP_SYS_RESOURCE or a larger limit "
		"of locked memory (it is %lu KiB)",
		(unsigned long)l.rlim_cur / 1024);
	return true;
}

static void say_why(struct objects *o, struct loaded *x, int r)
{
	if (r == -EPERM && memlock_is_short(o, x->why, sizeof(x->why)))
		return;
	(void)kernel_words(r, x->why, sizeof(x->why));
}

static void unload(struct loaded *x)
{
	for (size_t i = 0; i < MAX_PROGRAMS; i++) {
		if (x->links[i])
			(void)bpf_link__destroy(x->links[i]);
		x->links[i] = NULL;
	}
	bpf_object__close(x->obj);
	x->obj = NULL;
	x->on = false;
}

/* What makes a try needless; NULL: nothing. */
static const char *hopeless(const struct objects *o, const struct feature *f)
{
	const bool udp = f->feature == PROBE_UDP || f->feature == PROBE_UDP_DROPS;

	if (o->opts.tier == PROBE_TIER_NONE)
		return "needs CAP_BPF and CAP_PERFMON";
	if (udp && !o->opts.udp)
		return "not wanted (--udp off)";
	if (f->feature == PROBE_UDP_DROPS && !o->of[index_of(PROBE_UDP)].obj)
		return "needs udp";
	if (f->to == TO_HOOK || f->to == TO_RUN)
		return NULL;
	if (o->opts.tier < PROBE_TIER_FULL)
		return "needs CAP_NET_ADMIN";
	if (!*o->layout.v2)
		return "no cgroup v2 is mounted here";
	if (f->to == TO_PODS && o->layout.pods_in_v1 && !o->layout.pods_in_v2)
		return "pods are in cgroup v1";
	return NULL;
}

/* Without programs that follow pointers: an object that has some has a plain one beside it. */
static struct elf find_object(const char *name, bool direct)
{
	char plain[64];
	struct elf e = {0};

	(void)snprintf(plain, sizeof(plain), "%s_plain", name);
	if (!direct)
		e = elf_find(plain);
	return e.p ? e : elf_find(name);
}

static int load_as(struct objects *o, size_t i, bool direct)
{
	struct loaded *x = &o->of[i];
	const struct elf elf = find_object(features[i].object, direct);
	int r;

	if (!elf.p)
		return -ENOENT;
	x->obj = bpf_object__open_mem(elf.p, elf.n, NULL);
	if (!x->obj)
		return -errno;
	if (!choose_direct(x->obj, direct) && direct)
		return -ENOTSUP;
	r = tune(o, x->obj, direct || o->direct);
	if (r >= 0)
		r = choose_programs(o, x->obj);
	if (r >= 0)
		r = join_maps(o, x->obj, direct);
	if (r >= 0)
		r = bpf_object__load(x->obj);
	if (r >= 0)
		r = keep_maps(o, x->obj);
	return r;
}

/* The cheaper programs where the verifier takes them: bpf_rdonly_cast, Linux 6.2. */
static int load(struct objects *o, size_t i)
{
	const int r = load_as(o, i, true);

	if (r >= 0)
		o->direct = true; /* only `tcp` has such */
	if (r >= 0 || r == -ENOMEM)
		return r;
	unload(&o->of[i]);
	kernel_words_begin();
	return load_as(o, i, false);
}

/* 0 or why not, which is also in words. */
static int load_one(struct objects *o, size_t i)
{
	struct loaded *x = &o->of[i];
	const char *no = hopeless(o, &features[i]);
	int r;

	if (no) {
		(void)snprintf(x->why, sizeof(x->why), "%s", no);
		log_debug("flows: %s is not tried: %s", features[i].object, no);
		return -EPERM;
	}
	kernel_words_begin();
	r = load(o, i);
	if (r >= 0)
		return 0;
	say_why(o, x, r);
	log_debug("flows: %s does not load: %s (error %d)", features[i].object, x->why, -r);
	unload(x);
	return r;
}

/* Without `tcp` nobody reads what the others would tell. */
static void release(struct objects *o)
{
	for (size_t i = 0; i < N_FEATURES; i++) {
		if (!o->of[i].obj)
			continue;
		unload(&o->of[i]);
		(void)snprintf(o->of[i].why, sizeof(o->of[i].why), "needs tcp");
	}
}

int objects_new(const struct objects_opts *o, struct objects **ret)
{
	_cleanup_(objects_free) struct objects *x = calloc(1, sizeof(*x));
	int tcp = 0;

	if (!x)
		return -ENOMEM;
	x->opts = *o;
	x->layout = *o->layout;
	x->opts.layout = NULL;
	for (size_t i = 0; i < N_FEATURES; i++) {
		const int r = load_one(x, i);

		if (features[i].feature == PROBE_TCP)
			tcp = r;
	}
	if (tcp == -ENOMEM)
		return tcp;
	if (tcp < 0)
		release(x);
	*ret = TAKE_PTR(x);
	if (tcp >= 0)
		return 0;
	return o->tier == PROBE_TIER_NONE ? -EPERM : -ENOTSUP;
}

void objects_free(struct objects **o)
{
	if (!*o)
		return;
	for (size_t i = 0; i < N_FEATURES; i++)
		unload(&(*o)->of[i]);
	for (size_t i = 0; i < (*o)->n_shared; i++)
		(void)close((*o)->shared[i].fd);
	free(*o);
	*o = NULL;
}

/* ---- attaching ------------------------------------------------------------------------------- */

static struct bpf_link *attach_program(struct bpf_program *p, enum attach_to to, int cgroup)
{
	return to == TO_CGROUP ? bpf_program__attach_cgroup(p, cgroup) : bpf_program__attach(p);
}

/* All programs of an object; it is on when one is attached, and says which are not. */
static int attach(struct objects *o, size_t i, int cgroup)
{
	struct loaded *x = &o->of[i];
	struct bpf_program *p;
	size_t n = 0, done = 0;
	int r = 0;

	if (!x->obj)
		return -ENOTSUP;
	bpf_object__for_each_program(p, x->obj)
	{
		char why[OBJECTS_WHY_MAX / 2];

		if (!bpf_program__autoload(p))
			continue;
		assert(n < MAX_PROGRAMS);
		kernel_words_begin();
		x->links[n] = attach_program(p, features[i].to, cgroup);
		if (x->links[n++]) {
			done++;
			continue;
		}
		r = -errno;
		(void)snprintf(x->why, sizeof(x->why), "%s: %s", bpf_program__name(p),
			       kernel_words(r, why, sizeof(why)));
		log_debug("flows: %s/%s", features[i].object, x->why);
	}
	x->on = done > 0;
	if (!x->on)
		unload(x);
	return x->on ? 0 : r;
}

/* Kernels before 5.10 do not run such programs. */
static void try_refresh(struct objects *o, size_t i)
{
	struct loaded *x = &o->of[i];
	int r;

	if (!x->obj)
		return;
	kernel_words_begin();
	r = refresh_try(bpf_program__fd(bpf_object__next_program(x->obj, NULL)));
	x->on = r >= 0;
	if (x->on)
		return;
	say_why(o, x, r);
	log_debug("flows: refresh does not run: %s (error %d)", x->why, -r);
	unload(x);
}

void objects_attach_cgroups(struct objects *o)
{
	(void)attach(o, index_of(PROBE_CGROUPS), -1);
}

int objects_attach(struct objects *o)
{
	_close_ int cgroup =
		*o->layout.v2 ? open(o->layout.v2, O_RDONLY | O_CLOEXEC | O_DIRECTORY) : -1;
	int r = 0;

	for (size_t i = 0; i < N_FEATURES; i++) {
		if (features[i].feature == PROBE_CGROUPS)
			continue;
		if (features[i].to == TO_PODS) {
			o->of[i].on = o->of[i].obj != NULL;
			continue;
		}
		if (features[i].to == TO_RUN) {
			try_refresh(o, i);
			continue;
		}
		const int x = attach(o, i, cgroup);

		if (features[i].feature == PROBE_TCP)
			r = x;
	}
	if (r < 0)
		release(o);
	return r;
}

void objects_retire(struct objects *o, enum probe_feature f)
{
	struct loaded *x = &o->of[index_of(f)];
	const bool on = x->on;

	unload(x);
	x->on = on;
}

/* ---- what there is --------------------------------------------------------------------------- */

int objects_map(const struct objects *o, enum objects_map m)
{
	static const char *const names[_OBJECTS_MAP_MAX] = {
		[OBJECTS_RING] = "ring",   [OBJECTS_COUNTS] = "counts",
		[OBJECTS_SOCKS] = "socks", [OBJECTS_ENDS] = "ends",
		[OBJECTS_FRESH] = "fresh", [OBJECTS_UDP] = "udp",
		[OBJECTS_PROCS] = "procs", [OBJECTS_PLACES] = "places",
		[OBJECTS_TAPE] = "tape",   [OBJECTS_TAPE_AT] = "tape_at",
	};
	const struct shared *s = find_shared(o, names[m]);

	if ((m == OBJECTS_PLACES || m == OBJECTS_TAPE || m == OBJECTS_TAPE_AT) && !o->direct)
		return -1;
	if (m == OBJECTS_UDP && !is_on(o, PROBE_UDP))
		return -1;
	if (m == OBJECTS_FRESH && !is_on(o, PROBE_REFRESH))
		return -1;
	return s ? s->fd : -1;
}

int objects_refresh(const struct objects *o)
{
	if (!is_on(o, PROBE_REFRESH))
		return -1;
	return bpf_program__fd(bpf_object__next_program(o->of[index_of(PROBE_REFRESH)].obj, NULL));
}

int objects_asked(const struct objects *o, bool v6)
{
	const struct bpf_object *obj = o->of[index_of(PROBE_ASKED)].obj;
	struct bpf_program *p;

	if (!obj)
		return -1;
	bpf_object__for_each_program(p, obj)
	{
		const enum bpf_attach_type t = bpf_program__expected_attach_type(p);

		if (t == (v6 ? BPF_CGROUP_INET6_CONNECT : BPF_CGROUP_INET4_CONNECT))
			return bpf_program__fd(p);
	}
	return -1;
}

/* The kernel tells it in fdinfo only. */
static size_t map_bytes(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;

	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		/* NOLINTNEXTLINE(cert-err34-c): the kernel's own number */
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	if (f)
		(void)fclose(f);
	return (size_t)bytes;
}

size_t objects_bytes(const struct objects *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_shared; i++)
		n += map_bytes(o->shared[i].fd);
	return n;
}

struct probe_status objects_status(const struct objects *o, enum probe_feature f)
{
	/* Names in DNS messages are the UDP programs' by-product. */
	const size_t i = index_of(f == PROBE_DNS ? PROBE_UDP : f);

	if (i == N_FEATURES)
		return (struct probe_status){.why = ""};
	return (struct probe_status){.on = o->of[i].on, .why = o->of[i].why};
}
