/*
 * The ring and the maps; see ring.h.
 *
 * What a map says of an end may be told only after what the ring had by then: an opening that came
 * after its end would be a second flow. Nor may a socket count as gone while its end waits in the
 * ring. So both wait until the ring was read up to a mark: where its writers were at that time.
 */
#include "flow/ring.h"

#include "base/mem.h"
#include "flow/caps.h"
#include "flow/map_walk.h"
#include "flow/places.h"
#include "flow/proc_watch.h"
#include "flow/refresh.h"
#include "flow/tape.h"
#include "flow_abi.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define CLOCK_EVERY 64 /* records between two looks at the clock */
#define STOP	    (-ECANCELED)

#define TCP_STATE_CLOSE 7 /* include/net/tcp_states.h */

/* In this order; or ENDS alone. */
enum poll_step { POLL_NONE, POLL_PLACES, POLL_SOCKS, POLL_ENDS, POLL_UDP, POLL_LAST };

struct ring {
	struct ring_opts opts;
	struct ring_buffer *rb;
	struct tape *tape;			  /* may be NULL */
	struct places *places;			  /* the same */
	struct map_walk *walks[POLL_UDP + 1];	  /* by step; that of UDP may be NULL */
	struct refresh *refresh;		  /* may be NULL */
	const unsigned long *consumed, *produced; /* places in the ring: the kernel's pages */
	unsigned long mark;			  /* where `produced` was */
	uint64_t tape_mark;			  /* and the tape */
	enum poll_step step;
	bool only_ends;
	bool ends_held, ends_more; /* some were read and not told yet; there are more */
	uint64_t full, full_seen;  /* ABI_COUNT_RING_FULL_CLOSE; when `ends` was last taken out */
	int proc;		   /* /proc, or -1 */
	uint64_t *cells;	   /* each counter on each CPU */
	uint32_t cpus;
	bool one_by_one; /* the kernel reads no such map at once (before 5.13) */
	struct ring_figures figures;

	/* One ring_read. */
	nsec_t now, until;
	uint32_t took;
	bool stopped;
};

/* ---- records --------------------------------------------------------------------------------- */

/* False: time is up. */
static bool take_record(struct ring *r, const void *data, size_t size)
{
	r->figures.bad += flows_record(r->opts.flows, r->now, str_make(data, size)) == -EBADMSG;
	if (++r->took % CLOCK_EVERY != 0 || clock_mono() < r->until)
		return true;
	r->stopped = true; /* this record counts as read */
	return false;
}

/* Records of the tape below number `end` that are older than `time`. */
static void take_tape(struct ring *r, uint64_t end, uint64_t time)
{
	const struct abi_tcp *t;
	bool more = r->tape;

	while (more && tape_read(r->tape) < end && (t = tape_peek(r->tape)) &&
	       t->head.time < time) {
		more = take_record(r, t, sizeof(*t));
		tape_next(r->tape);
		if (r->took % CLOCK_EVERY == 0)
			tape_give(r->tape);
	}
	if (r->tape)
		tape_give(r->tape);
}

static int on_record(void *ctx, void *data, size_t size)
{
	const struct abi_head *h = data;
	struct ring *r = ctx;

	if (size >= sizeof(*h))
		take_tape(r, UINT64_MAX, h->time);
	/* Out of time in the tape: this one is not put off for that. */
	return take_record(r, data, size) && !r->stopped ? 0 : STOP;
}

static void raise_caps(const struct ring *r)
{
	if (r->opts.need_caps)
		(void)caps_raise(r->opts.need_caps);
}

static void lower_caps(const struct ring *r)
{
	if (r->opts.need_caps)
		(void)caps_raise(0);
}

static void watch(const struct ring *r)
{
	if (r->opts.procs < 0 || r->proc < 0 || !flows_procs_fresh(r->opts.flows))
		return;
	raise_caps(r);
	proc_watch_run(r->opts.flows, clock_mono(), r->opts.procs, r->proc);
	lower_caps(r);
}

static void consume(struct ring *r, nsec_t now, nsec_t until)
{
	r->now = now;
	r->until = until;
	r->took = 0;
	r->stopped = false;
	/* What comes to the tape after this may be younger than what comes to the ring. */
	const uint64_t end = r->tape ? tape_begun(r->tape) : 0;

	(void)ring_buffer__consume(r->rb);
	if (!r->stopped)
		take_tape(r, end, UINT64_MAX);
	r->figures.records += r->took;
}

struct ring_took ring_read(struct ring *r, nsec_t now, nsec_t budget)
{
	consume(r, now, now + budget);
	watch(r);
	r->figures.reads++;
	return (struct ring_took){.records = r->took, .more = r->stopped};
}

static bool read_at_once(struct ring *r)
{
	uint32_t keys[_ABI_COUNT_MAX], n = _ABI_COUNT_MAX, out;
	const int x = bpf_map_lookup_batch(r->opts.counts, NULL, &out, keys, r->cells, &n, NULL);

	return (x == 0 || x == -ENOENT) && n == _ABI_COUNT_MAX;
}

static void read_one_by_one(struct ring *r)
{
	memset(r->cells, 0, (size_t)_ABI_COUNT_MAX * r->cpus * sizeof(*r->cells));
	for (uint32_t what = 0; what < _ABI_COUNT_MAX; what++)
		(void)bpf_map_lookup_elem(r->opts.counts, &what, &r->cells[what * r->cpus]);
}

void ring_counts(struct ring *r)
{
	uint64_t sums[_ABI_COUNT_MAX] = {0};

	raise_caps(r);
	r->one_by_one = r->one_by_one || !read_at_once(r);
	if (r->one_by_one)
		read_one_by_one(r);
	lower_caps(r);
	for (uint32_t i = 0; i < _ABI_COUNT_MAX * r->cpus; i++)
		sums[i / r->cpus] += r->cells[i];
	sums[ABI_COUNT_STARTED] += sums[ABI_COUNT_FOUND];
	r->full = sums[ABI_COUNT_RING_FULL_CLOSE];
	flows_kernel_counts(r->opts.flows, sums, _ABI_COUNT_MAX);
}

/* ---- the mark -------------------------------------------------------------------------------- */

static void mark(struct ring *r)
{
	r->mark = __atomic_load_n(r->produced, __ATOMIC_ACQUIRE);
	r->tape_mark = r->tape ? tape_begun(r->tape) : 0;
}

static bool is_at_mark(const struct ring *r)
{
	return (long)(__atomic_load_n(r->consumed, __ATOMIC_RELAXED) - r->mark) >= 0 &&
	       (!r->tape || tape_read(r->tape) >= r->tape_mark);
}

/* Reads on where needed. False: it takes longer, or a program is just writing its record. */
static bool at_mark(struct ring *r, nsec_t now, nsec_t until)
{
	if (!is_at_mark(r))
		consume(r, now, until);
	return is_at_mark(r);
}

/* ---- maps ------------------------------------------------------------------------------------ */

static void before_socks(void *ctx, const void *keys, void *values, uint32_t n)
{
	struct ring *r = ctx;
	const int done = r->refresh ? refresh_run(r->refresh, keys, values, n) : 0;

	r->figures.refreshed += (uint64_t)MAX(done, 0);
}

/* What is over leaves the map by the kernel's own hand, and is told of apart. */
static bool on_sock(void *ctx, nsec_t now, const void *key, const void *value)
{
	const struct abi_sock *s = value;
	struct ring *r = ctx;
	uint64_t sk;

	if (s->state == TCP_STATE_CLOSE)
		return false;

	memcpy(&sk, key, sizeof(sk));
	r->figures.entries++;
	(void)flows_sock(r->opts.flows, now, sk, s);
	return false;
}

/* False, for want of memory: it is put back. */
static bool on_end(void *ctx, nsec_t now, const void *key, const void *value)
{
	struct ring *r = ctx;
	const struct abi_end_key *k = key;

	r->figures.late_ends++;
	return flows_sock(r->opts.flows, now, k->sk, value);
}

static bool on_udp(void *ctx, nsec_t now, const void *key, const void *value)
{
	struct ring *r = ctx;

	r->figures.entries++;
	return flows_udp(r->opts.flows, now, key, value);
}

static void enter(struct ring *r, enum poll_step step)
{
	r->step = step;
	if (step == POLL_ENDS) {
		r->full_seen = r->full;
		r->ends_more = true;
	}
	if (step == POLL_LAST)
		mark(r);
	else if (step == POLL_PLACES)
		places_begin(r->places);
	else if (step != POLL_NONE)
		map_walk_begin(r->walks[step]);
}

bool ring_ends_wait(const struct ring *r)
{
	return r->full != r->full_seen;
}

void ring_ends_begin(struct ring *r)
{
	if (r->step != POLL_NONE)
		return;
	r->only_ends = true;
	enter(r, POLL_ENDS);
}

void ring_poll_begin(struct ring *r, nsec_t now)
{
	if (r->step != POLL_NONE && !r->only_ends)
		return;
	flows_poll_begin(r->opts.flows, now);
	r->only_ends = false;
	enter(r, r->places ? POLL_PLACES : POLL_SOCKS);
}

static void poll_end(struct ring *r, nsec_t now)
{
	enter(r, POLL_NONE);
	r->figures.polls++;
	flows_poll_end(r->opts.flows, now);
}

/* One map is through. */
static void next(struct ring *r)
{
	if (r->step == POLL_PLACES)
		enter(r, POLL_SOCKS);
	else if (r->step == POLL_SOCKS)
		enter(r, POLL_ENDS);
	else if (r->only_ends)
		enter(r, POLL_NONE);
	else if (r->step == POLL_ENDS && r->walks[POLL_UDP])
		enter(r, POLL_UDP);
	else
		enter(r, POLL_LAST);
}

enum { STEP_OVER, STEP_MORE, STEP_WAITS }; /* the first two as map_walk_step */

/* Those that are held are told when the ring was read that far. */
static int step_ends(struct ring *r, nsec_t now, nsec_t until)
{
	struct map_walk *w = r->walks[POLL_ENDS];

	if (!r->ends_held) {
		const int x = map_walk_read(w);

		if (x < 0)
			return x;
		mark(r);
		r->ends_held = true;
		r->ends_more = x > 0;
	}
	if (!at_mark(r, now, until))
		return STEP_WAITS;
	map_walk_take(w, now);
	r->ends_held = false;
	return r->ends_more ? STEP_MORE : STEP_OVER;
}

static int step(struct ring *r, nsec_t now, nsec_t until)
{
	if (r->step == POLL_LAST)
		return at_mark(r, now, until) ? STEP_OVER : STEP_WAITS;
	if (r->step == POLL_PLACES)
		return places_step(r->places, now);
	if (r->step == POLL_ENDS)
		return step_ends(r, now, until);
	return map_walk_step(r->walks[r->step], now);
}

bool ring_poll(struct ring *r, nsec_t now, nsec_t budget)
{
	const nsec_t until = now + budget;
	int x = STEP_MORE;

	raise_caps(r);
	while (r->step != POLL_NONE && (x = step(r, now, until)) >= 0 && x != STEP_WAITS) {
		if (x == STEP_OVER && r->step == POLL_LAST)
			poll_end(r, now);
		else if (x == STEP_OVER)
			next(r);
		if (clock_mono() >= until)
			break;
	}
	lower_caps(r);
	if (x < 0) { /* entries that were not seen must not count as gone: no poll_end */
		r->figures.poll_errors++;
		enter(r, POLL_NONE);
	}
	return r->step != POLL_NONE;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int make_walks(struct ring *r)
{
	const struct map_walk_opts of[] = {
		[POLL_SOCKS] = {.map = r->opts.socks,
				.key_size = sizeof(uint64_t),
				.value_size = sizeof(struct abi_sock),
				.before = before_socks,
				.fn = on_sock,
				.ctx = r},
		[POLL_ENDS] = {.map = r->opts.ends,
			       .key_size = sizeof(struct abi_end_key),
			       .value_size = sizeof(struct abi_sock),
			       .fn = on_end,
			       .ctx = r,
			       .empties = true},
		[POLL_UDP] = {.map = r->opts.udp,
			      .key_size = sizeof(struct abi_udp_key),
			      .value_size = sizeof(struct abi_udp),
			      .fn = on_udp,
			      .ctx = r},
	};
	int x = 0;

	for (int i = POLL_SOCKS; i <= POLL_UDP && x >= 0; i++)
		if (of[i].map >= 0)
			x = map_walk_new(&of[i], &r->walks[i]);
	return x;
}

static int make_shared(struct ring *r)
{
	const struct places_opts o = {
		.map = r->opts.places, .fn = on_sock, .before = before_socks, .ctx = r};
	int x = 0;

	if (r->opts.places >= 0)
		x = places_new(&o, &r->places);
	if (x >= 0 && r->opts.tape >= 0)
		x = tape_new(r->opts.tape, r->opts.tape_at, &r->tape);
	return x;
}

static const void *map_page(int fd, size_t at)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const void *p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, (off_t)(at * page));

	return p == MAP_FAILED ? NULL : p;
}

/* BPF_MAP_TYPE_RINGBUF: a page each, the reader's place and the writers'. */
static int map_places(struct ring *r)
{
	r->consumed = map_page(r->opts.ring, 0);
	if (!r->consumed)
		return -errno;
	r->produced = map_page(r->opts.ring, 1);
	return r->produced ? 0 : -errno;
}

static void unmap_places(struct ring *r)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (r->consumed)
		(void)munmap((void *)(uintptr_t)r->consumed, page);
	if (r->produced)
		(void)munmap((void *)(uintptr_t)r->produced, page);
}

static int make(struct ring *r)
{
	const int cpus = libbpf_num_possible_cpus();
	int x = 0;

	r->proc = r->opts.procs < 0 ? -1
				    : open(r->opts.proc_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->opts.proc_root = NULL;
	if (cpus < 0)
		return cpus;
	r->cpus = (uint32_t)cpus;
	r->cells = calloc((size_t)_ABI_COUNT_MAX * r->cpus, sizeof(*r->cells));
	if (!r->cells)
		return -ENOMEM;
	r->rb = ring_buffer__new(r->opts.ring, on_record, r, NULL);
	if (!r->rb)
		return -errno;
	x = map_places(r);
	if (x >= 0 && r->opts.refresh >= 0)
		x = refresh_new(r->opts.refresh, r->opts.fresh, &r->refresh);
	if (x >= 0)
		x = make_shared(r);
	return x < 0 ? x : make_walks(r);
}

int ring_new(const struct ring_opts *o, struct ring **ret)
{
	_cleanup_(ring_free) struct ring *r = calloc(1, sizeof(*r));
	int x;

	if (!r)
		return -ENOMEM;
	r->opts = *o;
	r->proc = -1;
	x = make(r);
	if (x < 0)
		return x;
	*ret = TAKE_PTR(r);
	return 0;
}

void ring_free(struct ring **r)
{
	if (!*r)
		return;
	for (int i = POLL_SOCKS; i <= POLL_UDP; i++)
		map_walk_free(&(*r)->walks[i]);
	places_free(&(*r)->places);
	tape_free(&(*r)->tape);
	refresh_free(&(*r)->refresh);
	ring_buffer__free((*r)->rb);
	unmap_places(*r);
	if ((*r)->proc >= 0)
		(void)close((*r)->proc);
	free((*r)->cells);
	free(*r);
	*r = NULL;
}

struct ring_figures ring_figures(const struct ring *r)
{
	return r->figures;
}
