/*
 * The store against a naive model in plain arrays: random kinds, sources, lists,
 * objects, cursors and fetches. The model knows nothing of lists, numbers or bits:
 * each cursor has one flag an object, "is to be seen". After every few steps all
 * that can be asked must be as the model says; at the end nothing may be left.
 *
 * HISTORIES in the environment: so many. SEED: that one alone.
 */
#include "store/store.h"

#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
#define TTL (40 * SEC)
enum {
	KINDS = 3,
	SPACES = 2,
	NAMES = 3,
	SOURCES = 5,
	CURSORS = 3,
	OBJECTS = 200, /* of the model, live and dead */
	STEPS = 120,
	MAX_JSON = 400,
};

/* Where a body is, for its end: READ bodies of STORE_MEMORY kinds and dead ones stay. */
enum where { NOWHERE, REGULAR, WANTED };

struct mobject {
	bool here, dead, initial, held, fetching;
	int kind, ns, name, uid, value, source;
	uint64_t rv;
	uint64_t order;	 /* among changes */
	uint64_t linked; /* among its source's objects, or the dead */
	unsigned int gen;
	int error; /* of the last fetch */
	enum where body;
	nsec_t used, changed;
	bool pending[CURSORS], done[CURSORS], waiting[CURSORS];
	store_id id;
};
struct mkind {
	bool here;
	store_kind k;
	bool cache;
};
struct msource {
	bool here, listing, synced;
	int kind;
	unsigned int gen;
	uint16_t n;
	uint32_t initial;
};

static struct model {
	struct store *s;
	struct rng g;
	nsec_t now;
	bool tiny; /* bodies are pushed out: whether one is there is not the model's to say */
	uint32_t max;
	int uids;
	uint64_t rv, order, links;
	struct mobject o[OBJECTS];
	struct mkind kind[KINDS];
	struct msource src[SOURCES];
	struct store_cursor *cursor[CURSORS];
	bool holds[CURSORS], armed[CURSORS];
	int woken[CURSORS], lost[CURSORS], synced[CURSORS];
	bool fresh[CURSORS];
	uint32_t synced_objects[CURSORS];
	struct store_stats want;
	int fetch_plan; /* what the next fetch does */
	int fetched;	/* how often it was called */
} m;

static uint32_t pick(uint32_t n)
{
	return (uint32_t)rng_below(&m.g, n);
}

/* ---- texts ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static struct str text(const char *fmt, ...)
{
	static char buf[64][MAX_JSON];
	static unsigned int turn;
	char *t = buf[turn++ % 64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t, sizeof(buf[0]), fmt, ap);
	va_end(ap);
	return str_of(t);
}

static struct str uid_text(int i)
{
	switch (i % 3) {
	case 0:
		return text("a%07x-0000-4000-8000-00000000000a", (unsigned int)i);
	case 1:
		return text("a%07x000040008000000000000b0a", (unsigned int)i);
	default:
		return text("odd uid %d", i);
	}
}

static struct str ns_text(int i)
{
	return i ? text("ns/%d", i) : STR("");
}

/* Three values have no first key, and the keys would be the same text if joined with a slash. */
static struct str label_text(int value)
{
	switch (value % 4) {
	case 0:
		return text("\"a\":\"x/y\",\"b\":\"z\"");
	case 1:
		return text("\"a\":\"x\",\"b\":\"y/z\"");
	case 2:
		return text("\"b\":\"z\"");
	default:
		return text("\"a\":\"x\",\"b\":7");
	}
}

static struct str json_text(const struct mobject *o)
{
	return text("{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"n%d\",%s"
		    "\"uid\":\"%.*s\",\"resourceVersion\":\"%llu\",\"generation\":%llu},"
		    "\"spec\":{%.*s,\"value\":%d}}",
		    o->name, o->ns ? text("\"namespace\":\"ns/%d\",", o->ns).p : "",
		    STR_ARG(uid_text(o->uid)), (unsigned long long)o->rv,
		    (unsigned long long)o->rv / 2, STR_ARG(label_text(o->value)), o->value);
}

/* ---- the model's own rules ------------------------------------------------------------------- */

static bool holds_back(int c, const struct mobject *o)
{
	return m.holds[c] && o->held && !o->dead;
}

static bool to_see(int c, const struct mobject *o)
{
	return o->here && o->pending[c] && !holds_back(c, o) && !(o->dead && o->done[c]);
}

static void wake(int c)
{
	if (m.armed[c])
		m.woken[c]--; /* the store makes it up */
	m.armed[c] = false;
}

static void touch(struct mobject *o, const bool *whom)
{
	o->order = ++m.order;
	for (int c = 0; c < CURSORS; c++) {
		if (!m.cursor[c] || (whom && !whom[c]))
			continue;
		o->pending[c] = true;
		if (to_see(c, o))
			wake(c);
	}
}

static bool needed(const struct mobject *o)
{
	for (int c = 0; c < CURSORS; c++)
		if (m.cursor[c] && !o->done[c])
			return true;
	return o->fetching;
}

static void forget(struct mobject *o)
{
	o->here = false;
	m.want.dead--;
}

static void release(struct mobject *o)
{
	if (o->here && o->dead && !needed(o))
		forget(o);
}

static void die(struct mobject *o)
{
	m.want.objects--;
	m.want.dead++;
	m.want.deleted++;
	m.want.initial_deleted += !m.src[o->source].synced;
	o->dead = true;
	o->changed = m.now;
	o->linked = ++m.links;
	if (o->body)
		o->body = REGULAR;
	for (int c = 0; c < CURSORS; c++)
		o->done[c] = m.cursor[c] && m.holds[c] && o->held;
	touch(o, NULL);
	release(o);
}

static void unhold(struct mobject *o)
{
	bool any = false;

	if (!o->held)
		return;
	o->held = false;
	for (int c = 0; c < CURSORS; c++)
		any |= m.cursor[c] && m.holds[c];
	if (any)
		touch(o, m.holds);
}

/* The next of a source's objects in their order. */
static struct mobject *source_next(int src, uint64_t after)
{
	struct mobject *best = NULL;

	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[i];

		if (o->here && !o->dead && o->source == src && o->linked > after &&
		    (!best || o->linked < best->linked))
			best = o;
	}
	return best;
}

static struct mobject *live(int kind, int ns, int name)
{
	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[i];

		if (o->here && !o->dead && o->kind == kind && o->ns == ns && o->name == name)
			return o;
	}
	return NULL;
}

static struct mobject *dead_with(int kind, int ns, int name, int uid)
{
	struct mobject *best = NULL;

	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[i];

		if (o->here && o->dead && o->kind == kind && o->ns == ns && o->name == name &&
		    (uid < 0 || o->uid == uid) && (!best || o->order > best->order))
			best = o;
	}
	return best;
}

static bool make_room(void)
{
	while (m.want.objects + m.want.dead >= m.max) {
		struct mobject *first = NULL;

		for (int i = 0; i < OBJECTS; i++) {
			struct mobject *o = &m.o[i];

			if (o->here && o->dead && !o->fetching &&
			    (!first || o->linked < first->linked))
				first = o;
		}
		if (!first)
			return false;
		for (int c = 0; c < CURSORS; c++) {
			m.lost[c] -= m.cursor[c] && !first->done[c];
			m.want.lost += m.cursor[c] && !first->done[c];
		}
		forget(first);
	}
	return true;
}

static void put_body(struct mobject *o, bool wanted)
{
	o->body = wanted ? WANTED : REGULAR;
	o->used = m.now;
	o->error = 0;
}

static bool waits(const struct mobject *o)
{
	bool any = false;

	for (int c = 0; c < CURSORS; c++)
		any |= o->waiting[c];
	return any;
}

/* A live object's new state. */
static void change(struct mobject *o, int value, uint64_t rv, bool initial)
{
	bool same = o->value == value;

	if (!same || o->rv != rv || !o->body || m.tiny)
		put_body(o, o->fetching && waits(o));
	o->rv = rv;
	if (same) {
		m.want.unchanged++;
		return;
	}
	o->value = value;
	o->changed = m.now;
	o->initial &= initial;
	m.want.modified++;
	m.want.initial_modified += initial;
	m.want.unindexed += value % 4 == 2;
	touch(o, NULL);
}

static void count_new(const struct mobject *o)
{
	m.want.objects++;
	m.want.created++;
	m.want.initial_created += o->initial;
	m.want.unindexed += o->value % 4 == 2;
}

static void link_to(struct mobject *o, int src)
{
	o->source = src;
	o->gen = m.src[src].gen;
	o->linked = ++m.links;
}

static int model_apply(int src, const struct mobject *in)
{
	struct msource *s = &m.src[src];
	struct mobject *o = live(in->kind, in->ns, in->name);

	if (!o)
		o = dead_with(in->kind, in->ns, in->name, in->uid);
	if (o && !s->listing && in->rv < o->rv) {
		m.want.stale++;
		return 0;
	}
	if (o && o->uid != in->uid) {
		die(o);
		o = dead_with(in->kind, in->ns, in->name, in->uid);
	}
	if (!o) {
		if (!make_room()) {
			m.want.refused++;
			return -EMSGSIZE;
		}
		for (o = m.o; o->here; o++)
			;
		*o = *in;
		o->here = true;
		o->initial = o->held = !s->synced;
		o->changed = m.now;
		link_to(o, src);
		count_new(o);
		put_body(o, false);
		touch(o, NULL);
		return 0;
	}
	if (o->dead) {
		o->dead = false;
		m.want.dead--;
		o->initial = !s->synced;
		o->held &= !s->synced;
		o->value = in->value;
		o->rv = in->rv;
		o->changed = m.now;
		memset(o->done, 0, sizeof(o->done));
		link_to(o, src);
		count_new(o);
		put_body(o, false);
		touch(o, NULL);
		return 0;
	}
	change(o, in->value, in->rv, !s->synced);
	if (o->source != src)
		link_to(o, src);
	o->gen = s->gen;
	if (s->synced)
		unhold(o);
	return 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

static int store_says(int src, const struct mobject *in)
{
	struct arena a;
	struct tree *t;
	int r;

	arena_init(&a, 1 << 16);
	assert_int_equal(tree_parse(&a, json_text(in), &t), 0);
	r = store_apply(m.s, m.src[src].n, m.now, t);
	arena_done(&a);
	return r;
}

static int any_source(void)
{
	int first = (int)pick(SOURCES);

	for (int i = 0; i < SOURCES; i++)
		if (m.src[(first + i) % SOURCES].here)
			return (first + i) % SOURCES;
	return -1;
}

static void apply(int src, int ns, int name)
{
	struct mobject in = {.kind = m.src[src].kind, .ns = ns, .name = name, .source = src};
	const struct mobject *old = live(in.kind, ns, name);
	const struct mobject *dead = dead_with(in.kind, ns, name, -1);
	uint32_t dice = pick(20);

	in.value = (int)pick(6);
	in.rv = ++m.rv;
	in.uid = ++m.uids;
	if (old && dice < 17)
		in.uid = old->uid;
	else if (dead && dice < 10)
		in.uid = dead->uid;
	if (old && dice < 6)
		in.value = old->value;
	if (old && dice < 3)
		in.rv = old->rv;
	if ((old || dead) && dice == 16)
		in.rv = (old ? old : dead)->rv - pick(2);
	assert_int_equal(model_apply(src, &in), store_says(src, &in));
}

static void delete (void)
{
	int src = any_source();
	struct mobject *o;
	int uid;

	if (src < 0)
		return;
	o = live(m.src[src].kind, (int)pick(SPACES), (int)pick(NAMES));
	if (!o)
		return;
	uid = pick(8) ? o->uid : o->uid + 1; /* another one of that name: ignored */
	store_delete(m.s, m.src[src].n, ns_text(o->ns), text("n%d", o->name),
		     pick(8) || uid != o->uid ? uid_text(uid) : STR(""), m.now);
	if (uid == o->uid)
		die(o);
}

static void list(void)
{
	int src = any_source();
	struct msource *s;
	uint64_t at = 0;
	struct mobject *o;

	if (src < 0)
		return;
	s = &m.src[src];
	store_list_begin(m.s, s->n);
	s->listing = true;
	s->gen++;
	for (int i = 0; i < SPACES * NAMES; i++)
		if (pick(3))
			apply(src, i / NAMES, i % NAMES);
	if (pick(6) == 0)
		return; /* it broke; the next one begins again */
	store_list_end(m.s, s->n, m.now);
	s->listing = false;
	while ((o = source_next(src, at))) {
		at = o->linked;
		if (o->gen != s->gen)
			die(o);
	}
	if (s->synced)
		return;
	s->synced = true;
	s->initial = 0;
	for (at = 0; (o = source_next(src, at)); at = o->linked) {
		s->initial++;
		unhold(o);
	}
	for (int c = 0; c < CURSORS; c++) {
		if (!m.cursor[c] || m.fresh[c])
			continue;
		m.synced[c]--;
		m.synced_objects[c] -= s->initial;
	}
}

static void end_source(int src)
{
	struct mobject *o;

	while ((o = source_next(src, 0)))
		die(o);
	m.src[src].here = false;
}

static void source_op(void)
{
	int src = (int)pick(SOURCES), kind = (int)pick(KINDS);
	struct msource *s = &m.src[src];

	if (s->here) {
		if (pick(3))
			return;
		end_source(src);
		store_source_remove(m.s, s->n, m.now);
		return;
	}
	if (!m.kind[kind].here)
		return;
	*s = (struct msource){.here = true, .kind = kind};
	assert_int_equal(store_source_add(m.s, m.kind[kind].k, STR(""), &s->n), 0);
}

static void add_kind(int i)
{
	static const struct str paths[] = {STR("spec.a"), STR("$.spec.b")};
	struct mkind *k = &m.kind[i];
	_buf_ struct buf error = {.max = 1000};
	struct store_kind_opts o = {.group = STR("g.io"),
				    .version = STR("v1"),
				    .kind = text("Thing%d", i),
				    .plural = text("things%d", i),
				    .indexes = paths,
				    .n_indexes = 2,
				    .keep = pick(2) ? STORE_CACHE : STORE_MEMORY};

	*k = (struct mkind){.here = true, .cache = o.keep == STORE_CACHE};
	assert_int_equal(store_kind_add(m.s, &o, &k->k, &error), 0);
}

/* Objects of a removed kind are dead; the model tells them from those of the one that comes. */
static void kind_op(void)
{
	int i = (int)pick(KINDS);

	if (!m.kind[i].here) {
		add_kind(i);
		return;
	}
	if (pick(4))
		return;
	for (int n = 1; n <= SOURCES; n++) /* in the order of the store's numbers */
		for (int src = 0; src < SOURCES; src++)
			if (m.src[src].here && m.src[src].n == n && m.src[src].kind == i)
				end_source(src);
	store_kind_remove(m.s, m.kind[i].k, m.now);
	m.kind[i].here = false;
	for (int j = 0; j < OBJECTS; j++)
		if (m.o[j].here && m.o[j].kind == i)
			m.o[j].kind = -1 - i;
}

/* ---- cursors --------------------------------------------------------------------------------- */

static void on_changed(void *ctx)
{
	m.woken[*(int *)ctx]++;
}

static void on_synced(void *ctx, store_kind k, uint32_t objects)
{
	struct store_kind_view view;

	assert_true(store_kind_get(m.s, k, &view));
	m.synced[*(int *)ctx]++;
	m.synced_objects[*(int *)ctx] += objects;
}

static void on_lost(void *ctx, store_id id)
{
	struct store_view view;

	assert_true(store_get(m.s, id, &view));
	assert_true(view.dead);
	m.lost[*(int *)ctx]++;
}

static void add_cursor(int c)
{
	static int numbers[CURSORS] = {0, 1, 2};
	struct store_cursor_opts o = {.hold_initial = pick(2),
				      .changed = on_changed,
				      .synced = on_synced,
				      .lost = on_lost,
				      .ctx = &numbers[c]};

	assert_int_equal(store_cursor_add(m.s, &o, &m.cursor[c]), 0);
	m.holds[c] = o.hold_initial;
	m.armed[c] = true;
	m.fresh[c] = false;
	for (int i = 0; i < SOURCES; i++)
		m.fresh[c] |= m.src[i].here && m.src[i].synced;
	for (int i = 0; i < OBJECTS; i++) {
		m.o[i].pending[c] = true;
		m.o[i].done[c] = m.o[i].waiting[c] = false;
	}
}

static void remove_cursor(int c)
{
	store_cursor_remove(m.s, &m.cursor[c]);
	assert_null(m.cursor[c]);
	m.holds[c] = false;
	for (int i = 0; i < OBJECTS; i++) {
		m.o[i].waiting[c] = false;
		release(&m.o[i]);
	}
}

static struct mobject *expected(int c)
{
	struct mobject *best = NULL;

	for (int i = 0; i < OBJECTS; i++)
		if (to_see(c, &m.o[i]) && (!best || m.o[i].order < best->order))
			best = &m.o[i];
	return best;
}

static void told_synced(int c)
{
	for (int i = 0; m.fresh[c] && i < SOURCES; i++) {
		if (!m.src[i].here || !m.src[i].synced)
			continue;
		m.synced[c]--;
		m.synced_objects[c] -= m.src[i].initial;
	}
	m.fresh[c] = false;
}

static void check_view(const struct mobject *o, store_id id)
{
	struct store_kind_view kind;
	struct store_view v;

	assert_true(store_get(m.s, id, &v));
	assert_true(str_eq(v.name, text("n%d", o->name)) && str_eq(v.ns, ns_text(o->ns)));
	assert_true(str_eq(str_of(v.uid), uid_text(o->uid)));
	assert_true(str_eq(str_of(v.resource_version), text("%llu", (unsigned long long)o->rv)));
	assert_int_equal(v.dead, o->dead);
	assert_int_equal(v.initial, o->initial);
	assert_true(v.changed == o->changed);
	assert_true(store_kind_get(m.s, v.kind, &kind));
	assert_true(str_eq(kind.plural, text("things%d", o->kind < 0 ? -1 - o->kind : o->kind)));
}

static void answer(struct mobject *o, store_id id);

/* A fetch as the shell does it: refused, answered at once, or later. */
static int on_fetch(void *ctx, store_id id)
{
	struct store_view v;

	(void)ctx;
	assert_true(store_get(m.s, id, &v));
	assert_false(v.dead);
	m.fetched++;
	m.want.fetches++;
	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[i];

		if (!o->here || o->dead || !str_eq(uid_text(o->uid), str_of(v.uid)))
			continue;
		assert_false(o->fetching);
		if (m.fetch_plan == 0) {
			m.want.fetches_failed++;
			return -EBUSY;
		}
		o->fetching = true;
		if (m.fetch_plan == 1)
			answer(o, id);
		return 0;
	}
	fail_msg("fetch of an unknown object");
	return -EIO;
}

static void check_body(const struct mobject *o, struct str json)
{
	if (!str_eq(json, json_text(o)))
		fail_msg("%.*s\nis not\n%.*s", STR_ARG(json), STR_ARG(json_text(o)));
}

/* c < 0: nobody waits. */
static void read_body(int c, struct mobject *o, store_id id)
{
	_buf_ struct buf b = {.max = 1 << 20};
	enum where was = o->body;
	int error = o->error, before = m.fetched, r;
	bool fetching = o->fetching;

	m.fetch_plan = (int)pick(4);
	if (c >= 0)
		o->waiting[c] = false;
	r = store_body(m.s, c < 0 ? NULL : m.cursor[c], id, m.now, &b);
	if (r == 0) {
		check_body(o, buf_str(&b));
		o->body = REGULAR;
		o->used = m.now;
		assert_true(was || m.fetched > before);
		return;
	}
	assert_true(m.tiny || was == NOWHERE);
	o->body = NOWHERE;
	if (error) {
		assert_int_equal(r, -error);
		if (!waits(o))
			o->error = 0;
	} else if (r == -EAGAIN) {
		assert_true(o->fetching && !o->error);
		if (c >= 0)
			o->waiting[c] = true;
	} else if (r == -ENOENT && o->dead) {
		assert_false(fetching);
	} else {
		assert_true(m.fetched > before);
		if (m.fetch_plan == 0) {
			assert_int_equal(r, -EBUSY);
			return;
		}
		assert_int_equal(r, -o->error);
		if (!waits(o))
			o->error = 0;
	}
}

static void next(int c, uint32_t n)
{
	for (; n; n--) {
		struct mobject *o;
		store_id id;

		told_synced(c);
		o = expected(c);
		assert_int_equal(store_cursor_at_end(m.s, m.cursor[c]), !o);
		id = store_cursor_next(m.s, m.cursor[c]);
		assert_int_equal(id != 0, o != NULL);
		m.armed[c] = !id;
		if (!id) {
			assert_int_equal(store_cursor_lag(m.s, m.cursor[c]), 0);
			return;
		}
		check_view(o, id);
		o->pending[c] = false;
		if (pick(3) == 0)
			read_body(c, o, id);
		if (o->dead && pick(4)) {
			store_cursor_done(m.s, m.cursor[c], id);
			o->done[c] = true;
			o->waiting[c] = false;
			release(o);
		} else if (!o->dead) {
			store_cursor_done(m.s, m.cursor[c], id); /* harmless */
		}
	}
}

static void cursor_op(void)
{
	int c = (int)pick(CURSORS);

	if (!m.cursor[c]) {
		add_cursor(c);
		return;
	}
	switch (pick(12)) {
	case 0:
		remove_cursor(c);
		break;
	case 1:
		store_cursor_rewind(m.s, m.cursor[c]);
		for (int i = 0; i < OBJECTS; i++)
			m.o[i].pending[c] = true;
		break;
	default:
		next(c, 1 + pick(20));
		break;
	}
}

/* ---- answers --------------------------------------------------------------------------------- */

static void show_waiting(struct mobject *o)
{
	if (waits(o))
		touch(o, o->waiting);
}

static int answer_with(const struct mobject *in, store_id id)
{
	struct arena a;
	struct tree *t;

	arena_init(&a, 1 << 16);
	assert_int_equal(tree_parse(&a, json_text(in), &t), 0);
	store_fetched(m.s, id, m.now, t, 0);
	arena_done(&a);
	return 0;
}

static void model_failed(struct mobject *o, int error)
{
	m.want.fetches_failed++;
	/* With a body that came by itself, the reason is of no interest. */
	if (!o->dead && (o->body == NOWHERE || m.tiny))
		o->error = error;
}

/* In a tiny store nobody but the store knows whether a failure is to be remembered: it is not
 * when there is a body. No body is there of what is fetched, unless an event brought one. */
static void answer(struct mobject *o, store_id id)
{
	struct mobject in = *o;
	bool had = o->body != NOWHERE;
	uint32_t dice = pick(6);

	if (m.tiny && had)
		dice = 5; /* see above */
	o->fetching = false;
	switch (dice) {
	case 0:
		model_failed(o, EIO);
		show_waiting(o);
		store_fetched(m.s, id, m.now, NULL, -EIO);
		break;
	case 1:
		in.uid += 3;
		model_failed(o, ENOENT);
		show_waiting(o);
		answer_with(&in, id);
		break;
	case 2:
		in.rv = ++m.rv;
		in.value = (int)pick(6);
		if (!o->dead) {
			o->fetching = true;
			change(o, in.value, in.rv, false);
			o->fetching = false;
		} else if (!had) {
			in.rv = o->rv;
			in.value = o->value;
			put_body(o, waits(o));
		}
		show_waiting(o);
		if (o->dead && had)
			in = *o;
		answer_with(&in, id);
		break;
	case 3:
		in.rv -= in.rv > 1;
		show_waiting(o);
		answer_with(&in, id);
		break;
	default:
		if (!o->dead) {
			o->fetching = true;
			change(o, in.value, in.rv, false);
			o->fetching = false;
		} else if (!had) {
			put_body(o, waits(o));
		}
		show_waiting(o);
		answer_with(&in, id);
		break;
	}
	release(o);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static store_kind kind_id(const struct mobject *o)
{
	return o->kind < 0 ? 0 : m.kind[o->kind].k;
}

static void answer_one(void)
{
	int first = (int)pick(OBJECTS);

	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[(first + i) % OBJECTS];

		if (!o->here || !o->fetching)
			continue;
		answer(o, store_by_uid(m.s, uid_text(o->uid)));
		return;
	}
}

static void tick(void)
{
	nsec_t next = NSEC_NEVER, said;

	m.now += pick(30) * SEC;
	said = store_tick(m.s, m.now);
	for (int i = 0; i < OBJECTS; i++) {
		struct mobject *o = &m.o[i];
		bool timed =
			o->here && o->body &&
			(o->body == WANTED || (!o->dead && o->kind >= 0 && m.kind[o->kind].cache));

		if (!timed)
			continue;
		if (o->used + TTL > m.now) {
			next = MIN(next, o->used + TTL);
			continue;
		}
		o->body = NOWHERE;
		m.want.expired++;
	}
	if (!m.tiny)
		assert_true(said == next);
	assert_true(said > m.now);
}

static void check_object(const struct mobject *o)
{
	store_id id = store_by_uid(m.s, uid_text(o->uid));

	assert_int_not_equal(id, 0);
	check_view(o, id);
	if (o->dead)
		return;
	assert_int_equal(store_find(m.s, kind_id(o), ns_text(o->ns), text("n%d", o->name)), id);
}

static void check_names(int kind)
{
	uint32_t n = 0, seen = 0;

	for (int i = 0; i < SPACES * NAMES; i++) {
		int ns = i / NAMES, name = i % NAMES;
		const struct mobject *o = live(kind, ns, name);
		store_id id;

		n += o != NULL;
		if (!o)
			o = dead_with(kind, ns, name, -1);
		id = store_find(m.s, m.kind[kind].k, ns_text(ns), text("n%d", name));
		assert_int_equal(id != 0, o != NULL);
		if (o)
			check_view(o, id);
	}
	for (store_id id = 0; (id = store_next(m.s, m.kind[kind].k, STR(""), id));)
		seen++;
	assert_int_equal(seen, n);
}

struct found {
	int kind;
	const char *a, *b; /* b NULL: any */
	int last;	   /* place in the order of names */
	uint32_t n;
};

static bool has_keys(const struct mobject *o, const struct found *f)
{
	static const char *const keys[4][2] = {{"x/y", "z"}, {"x", "y/z"}, {NULL}, {"x", "7"}};
	const char *const *k = keys[o->value % 4];

	return k[0] && strcmp(k[0], f->a) == 0 && (!f->b || strcmp(k[1], f->b) == 0);
}

static int on_found(void *ctx, store_id id)
{
	struct found *f = ctx;
	struct store_view v;

	assert_true(store_get(m.s, id, &v));
	for (int i = f->last; i < SPACES * NAMES; i++) {
		const struct mobject *o = live(f->kind, i / NAMES, i % NAMES);

		if (!o || !has_keys(o, f))
			continue;
		check_view(o, id); /* the next one of the model is this one */
		f->last = i + 1;
		f->n++;
		return 0;
	}
	fail_msg("found what has no such keys, or twice");
	return 0;
}

static void check_keys(int kind)
{
	static const char *const a[] = {"x", "x/y", "", "z"}, *const b[] = {NULL, "z", "y/z", "7"};

	for (size_t i = 0; i < ARRAY_SIZE(a) * ARRAY_SIZE(b); i++) {
		struct found f = {.kind = kind, .a = a[i / 4], .b = b[i % 4]};
		struct str keys[] = {str_of(f.a), str_of(f.b)};
		uint32_t n = 0;

		assert_int_equal(store_lookup(m.s, m.kind[kind].k, keys, f.b ? 2 : 1, on_found, &f),
				 0);
		for (int j = 0; j < SPACES * NAMES; j++) {
			const struct mobject *o = live(kind, j / NAMES, j % NAMES);

			n += o && has_keys(o, &f);
		}
		assert_int_equal(f.n, n);
	}
}

static void check_all(void)
{
	struct store_stats s;

	for (int i = 0; i < OBJECTS; i++)
		if (m.o[i].here)
			check_object(&m.o[i]);
	for (int k = 0; k < KINDS; k++) {
		if (!m.kind[k].here)
			continue;
		check_names(k);
		check_keys(k);
	}
	store_stats(m.s, &s);
	assert_int_equal(s.objects, m.want.objects);
	assert_int_equal(s.dead, m.want.dead);
	assert_int_equal(s.created, m.want.created);
	assert_int_equal(s.modified, m.want.modified);
	assert_int_equal(s.deleted, m.want.deleted);
	assert_int_equal(s.initial_created, m.want.initial_created);
	assert_int_equal(s.initial_modified, m.want.initial_modified);
	assert_int_equal(s.initial_deleted, m.want.initial_deleted);
	assert_int_equal(s.unchanged, m.want.unchanged);
	assert_int_equal(s.stale, m.want.stale);
	assert_int_equal(s.refused, m.want.refused);
	assert_int_equal(s.unindexed, m.want.unindexed);
	assert_int_equal(s.lost, m.want.lost);
	assert_int_equal(s.fetches, m.want.fetches);
	assert_int_equal(s.fetches_failed, m.want.fetches_failed);
	if (!m.tiny) {
		assert_int_equal(s.expired, m.want.expired);
		assert_int_equal(s.evicted, 0);
	}
	for (int c = 0; c < CURSORS; c++) {
		assert_int_equal(m.woken[c], 0);
		assert_int_equal(m.synced[c], 0);
		assert_int_equal(m.synced_objects[c], 0);
		assert_int_equal(m.lost[c], 0);
	}
}

/* ---- histories ------------------------------------------------------------------------------- */

static void step(void)
{
	uint32_t dice = pick(100);
	int src;

	m.now += pick(3) * SEC;
	if (dice < 35) {
		src = any_source();
		if (src >= 0)
			apply(src, (int)pick(SPACES), (int)pick(NAMES));
	} else if (dice < 45) {
		delete ();
	} else if (dice < 53) {
		list();
	} else if (dice < 58) {
		source_op();
	} else if (dice < 61) {
		kind_op();
	} else if (dice < 85) {
		cursor_op();
	} else if (dice < 92) {
		answer_one();
	} else if (dice < 95) {
		tick();
	} else {
		struct mobject *o = &m.o[pick(12)];

		if (o->here)
			read_body(-1, o, store_by_uid(m.s, uid_text(o->uid)));
	}
}

static void start(uint64_t seed)
{
	struct store_opts o = {.ttl = TTL, .fetch = on_fetch};

	m = (struct model){.now = 1000 * SEC, .rv = 100};
	rng_seed(&m.g, seed);
	m.tiny = pick(3) == 0;
	o.max_objects = m.max = pick(3) ? 100 : 8;
	o.max_bodies = m.tiny ? 900 : 0;
	assert_int_equal(store_new(&o, &m.s), 0);
	for (int i = 0; i < KINDS; i++)
		if (pick(3))
			add_kind(i);
	for (int i = 0; i < SOURCES; i++)
		source_op();
}

/* All kinds go, all cursors pass: then there is nothing. */
static void finish(void)
{
	for (int i = 0; i < OBJECTS; i++)
		while (m.o[i].here && m.o[i].fetching)
			answer_one();
	for (int src = 0; src < SOURCES; src++) {
		if (!m.src[src].here)
			continue;
		end_source(src);
		store_source_remove(m.s, m.src[src].n, m.now);
	}
	check_all();
	for (int c = 0; c < CURSORS; c++) {
		store_id id;

		if (!m.cursor[c])
			continue;
		store_cursor_rewind(m.s, m.cursor[c]);
		told_synced(c);
		while ((id = store_cursor_next(m.s, m.cursor[c])))
			store_cursor_done(m.s, m.cursor[c], id);
		m.armed[c] = true;
		for (int i = 0; i < OBJECTS; i++)
			m.o[i].done[c] = true;
	}
	for (int i = 0; i < OBJECTS; i++)
		release(&m.o[i]);
	check_all();
	assert_int_equal(m.want.dead, 0);
	store_free(&m.s);
}

static void agrees_with_a_naive_model(void **state)
{
	const char *only = getenv("SEED"), *many = getenv("HISTORIES");
	uint64_t first = only ? strtoull(only, NULL, 10) : 1;
	uint64_t n = only ? 1 : many ? strtoull(many, NULL, 10) : 2000;

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		if (only || seed % 1000 == 0)
			print_message("history %d\n", (int)seed);
		start(seed);
		for (int i = 0; i < STEPS; i++) {
			step();
			if (i % 12 == 0)
				check_all();
		}
		finish();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
