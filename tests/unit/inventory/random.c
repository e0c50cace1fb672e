/*
 * The inventory against a naive model in plain arrays: random objects come, change
 * and go, lists sweep, cursors read, owners run in circles. After every step all
 * look-ups must say what the model says; at the end nothing may be left.
 */
#include "inventory/inventory.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
enum {
	PODS = 24,
	OWNERS = 12,
	NAMES = 8,
	SPACES = 2,
	ADDRS = 6,
	CIDS = 30,
	CURSORS = 3,
	SOURCES = 3, /* 1, 2: watches; 0: read one by one */
	STEPS = 1500,
	MAX_DEAD = 5,
	FORMER = 8,
	HAS = 3, /* addresses and containers of a pod */
};
#define LINGER (30 * SEC)

struct interval {
	int ip;
	nsec_t from, to;
};
struct mcontainer {
	int id; /* -1: not started */
	int image;
	unsigned int marks; /* one bit a cursor */
};
struct mpod {
	bool here, dead, was, host;
	int ns, name, node, owner; /* owner -1: none */
	enum pod_phase phase;
	struct interval now[HAS], former[FORMER];
	int n_now, n_former;
	struct mcontainer c[HAS];
	int n_c;
	int source, gen;
	nsec_t died;
	uint64_t died_turn, changed;
	bool pending[CURSORS], done[CURSORS];
	int raw_ips[HAS], n_raw; /* as the object says, also of a finished pod */
};
struct mowner {
	bool here;
	enum owner_state state;
	int kind, ns, name, parent; /* parent -1: none */
	int source, gen;
};

static struct model {
	struct inventory *v;
	struct rng g;
	bool cluster;
	nsec_t now;
	uint64_t turn;
	struct mpod pod[PODS];
	struct mowner owner[OWNERS];
	int gen[SOURCES];
	struct inv_cursor *cursor[CURSORS];
	unsigned int dropped[CURSORS];
	uint64_t dropped_dead;
} m;

static uint32_t pick(uint32_t n)
{
	return (uint32_t)rng_below(&m.g, n);
}

/* ---- texts ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static struct str text(const char *fmt, ...)
{
	static char buf[64][100];
	static unsigned int turn;
	char *t = buf[turn++ % 64];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(t, sizeof(buf[0]), fmt, ap);
	va_end(ap);
	return str_of(t);
}

/* Of all forms that a uid may have. */
static struct str uid_of(int i, bool owner)
{
	char first = owner ? 'c' : 'a';

	switch (i % 3) {
	case 0:
		return text("%c%07x-0000-4000-8000-00000000000a", first, (unsigned int)i);
	case 1:
		return text("%c%07x000040008000000000000b0a", first, (unsigned int)i);
	default:
		return text("%s uid %d", owner ? "owner" : "pod", i);
	}
}

static struct str cid_of(int i)
{
	if (i < 0)
		return STR("");
	if (i % 4 == 3)
		return text("crio://short-%d", i);
	return text("%s://%064x", i % 2 ? "docker" : "containerd", (unsigned int)i);
}

static struct str ip_of(int i)
{
	return i % 2 ? text("fd00::%x", (unsigned int)i) : text("10.0.0.%d", i);
}

static const struct {
	const char *api, *kind;
} kinds[] = {{"apps/v1", "ReplicaSet"}, {"batch/v1", "Job"}, {"x.io/v1", "Thing"}};

/* ---- the model's own rules ------------------------------------------------------------------- */

static void touch(struct mpod *p)
{
	p->changed = m.turn;
	for (int c = 0; c < CURSORS; c++)
		p->pending[c] = true;
}

static bool above(int owner, int who)
{
	for (int steps = 0; owner >= 0 && steps <= OWNERS; steps++) {
		if (owner == who)
			return true;
		owner = m.owner[owner].parent;
	}
	return false;
}

static void touch_below(int owner)
{
	for (int i = 0; i < PODS; i++)
		if (m.pod[i].here && above(m.pod[i].owner, owner))
			touch(&m.pod[i]);
}

/* Owners live while a pod below needs them, or the watch says that they exist. */
static void collect(void)
{
	bool marked[OWNERS] = {0};

	for (int i = 0; i < PODS; i++)
		for (int o = m.pod[i].here ? m.pod[i].owner : -1; o >= 0 && !marked[o];
		     o = m.owner[o].parent)
			marked[o] = true;
	for (int i = 0; i < OWNERS; i++) {
		bool root = m.cluster && m.owner[i].here && m.owner[i].state == OWNER_KNOWN;

		for (int o = root ? i : -1; o >= 0 && !marked[o]; o = m.owner[o].parent)
			marked[o] = true;
	}
	for (int i = 0; i < OWNERS; i++)
		if (!marked[i])
			m.owner[i] = (struct mowner){.parent = -1};
}

static void refer(int i, int kind, int ns)
{
	if (i >= 0 && !m.owner[i].here)
		m.owner[i] = (struct mowner){
			.here = true, .kind = kind, .ns = ns, .name = i, .parent = -1};
}

static void forget_pod(int i)
{
	m.pod[i] = (struct mpod){.owner = -1};
	collect();
}

static void drop_oldest_dead(void)
{
	int n = 0, first = -1;
	bool needed = false;

	for (int i = 0; i < PODS; i++) {
		const struct mpod *p = &m.pod[i];

		if (!p->here || !p->dead)
			continue;
		n++;
		if (first < 0 || p->died_turn < m.pod[first].died_turn)
			first = i;
	}
	if (n < MAX_DEAD)
		return;
	for (int c = 0; c < CURSORS; c++) {
		needed |= m.cursor[c] && !m.pod[first].done[c];
		m.dropped[c] += m.cursor[c] && !m.pod[first].done[c];
	}
	m.dropped_dead += needed;
	forget_pod(first);
}

static void kill(int i)
{
	static uint64_t deaths;
	struct mpod *p = &m.pod[i];

	if (!p->here || p->dead)
		return;
	drop_oldest_dead();
	p->dead = true;
	p->died = m.now;
	p->died_turn = ++deaths;
	memset(p->done, 0, sizeof(p->done));
	touch(p);
}

static void owner_gone(int i)
{
	struct mowner *o = &m.owner[i];

	if (!o->here || o->state != OWNER_KNOWN)
		return;
	o->state = OWNER_GONE;
	if (o->parent >= 0 && above(o->parent, i)) {
		touch_below(i);
		o->parent = -1; /* the circle ends here */
	}
	collect();
}

/* ---- applying -------------------------------------------------------------------------------- */

static void random_pod(struct mpod *p)
{
	bool fresh = !p->here;

	if (fresh) {
		*p = (struct mpod){.owner = -1};
		p->ns = (int)pick(SPACES);
		p->name = (int)pick(NAMES);
	}
	if (fresh || pick(6) == 0)
		p->node = (int)pick(3);
	if (fresh || pick(6) == 0)
		p->owner = (int)pick(OWNERS + 2) - 2;
	if (p->owner < 0)
		p->owner = -1;
	if (fresh || pick(4) == 0)
		p->phase = (enum pod_phase)pick(_POD_PHASE_MAX);
	if (fresh || pick(30) == 0)
		p->host = pick(6) == 0;
	if (fresh || pick(3) == 0) {
		p->n_raw = (int)pick(HAS + 1);
		for (int k = 0; k < p->n_raw; k++)
			p->raw_ips[k] = (int)pick(ADDRS);
	}
	if (fresh || pick(5) == 0) {
		p->n_c = (int)pick(HAS + 1);
		for (int k = 0; k < p->n_c; k++)
			p->c[k] = (struct mcontainer){.id = MAX((int)pick(CIDS + 8) - 8, -1),
						      .image = (int)pick(3)};
		for (int k = 0; k < p->n_c; k++) /* ids are unique in a pod */
			for (int j = 0; j < k; j++)
				if (p->c[k].id == p->c[j].id)
					p->c[k].id = -1;
	}
}

static void put_former(struct mpod *p, struct interval f)
{
	if (p->n_former < FORMER)
		p->former[p->n_former++] = f;
}

/* Addresses and marks follow from the object and what was there. */
static void settle(struct mpod *p, const struct mpod *was)
{
	bool over = p->phase == POD_PHASE_SUCCEEDED || p->phase == POD_PHASE_FAILED;

	p->n_now = p->n_former = 0;
	for (int k = 0; !over && k < p->n_raw; k++) {
		struct interval a = {.ip = p->raw_ips[k], .from = m.now, .to = NSEC_NEVER};
		bool twice = false;

		for (int j = 0; j < p->n_now; j++)
			twice |= p->now[j].ip == a.ip;
		for (int j = 0; was->here && j < was->n_now; j++)
			if (was->now[j].ip == a.ip)
				a.from = was->now[j].from;
		if (!twice)
			p->now[p->n_now++] = a;
	}
	for (int j = 0; was->here && j < was->n_now; j++) {
		bool kept = false;

		for (int k = 0; k < p->n_now; k++)
			kept |= p->now[k].ip == was->now[j].ip;
		if (!kept)
			put_former(p, (struct interval){was->now[j].ip, was->now[j].from, m.now});
	}
	for (int j = 0; was->here && j < was->n_former; j++)
		put_former(p, was->former[j]);
	for (int k = 0; k < p->n_c; k++) {
		p->c[k].marks = 0;
		for (int j = 0; was->here && p->c[k].id >= 0 && j < was->n_c; j++)
			if (was->c[j].id == p->c[k].id)
				p->c[k].marks = was->c[j].marks;
	}
	p->was = (was->here && was->was) || p->n_now;
}

static bool pod_same(const struct mpod *a, const struct mpod *b)
{
	if (!b->here || b->dead || a->host != b->host || a->was != b->was || a->node != b->node ||
	    a->phase != b->phase || a->owner != b->owner || a->n_c != b->n_c ||
	    a->n_now != b->n_now || a->n_former != b->n_former)
		return false;
	for (int k = 0; k < a->n_c; k++)
		if (a->c[k].id != b->c[k].id || a->c[k].image != b->c[k].image)
			return false;
	for (int k = 0; k < a->n_now; k++)
		if (a->now[k].ip != b->now[k].ip)
			return false;
	return true;
}

static int call_pod(int i, const struct mpod *p, int kind)
{
	struct str ips[HAS];
	struct container c[HAS];
	struct owner_ref refs[2] = {{.api_version = STR("x.io/v1"),
				     .kind = STR("Group"),
				     .name = STR("no controller"),
				     .uid = STR("group")}};
	struct object o = {.meta = {.name = text("pod-%d", p->name),
				    .ns = text("ns-%d", p->ns),
				    .uid = uid_of(i, false),
				    .owners = refs,
				    .n_owners = p->owner >= 0 ? 2 : 1},
			   .pod = {.node_name = text("node-%d", p->node),
				   .ips = ips,
				   .n_ips = (uint32_t)p->n_raw,
				   .phase = p->phase,
				   .host_network = p->host,
				   .containers = c,
				   .n_containers = (uint32_t)p->n_c}};

	refs[1] = (struct owner_ref){.api_version = str_of(kinds[kind].api),
				     .kind = str_of(kinds[kind].kind),
				     .name = text("owner-%d", p->owner),
				     .uid = uid_of(p->owner, true),
				     .controller = true};
	for (int k = 0; k < p->n_raw; k++)
		ips[k] = ip_of(p->raw_ips[k]);
	for (int k = 0; k < p->n_c; k++)
		c[k] = (struct container){.id = cid_of(p->c[k].id),
					  .name = text("c%d", k),
					  .image = text("image:%d", p->c[k].image)};
	return inventory_apply_pod(m.v, (uint16_t)p->source, m.now, &o);
}

static void apply_pod(int i, int source, bool change)
{
	struct mpod was = m.pod[i], p = was;
	int kind = (int)pick(3);

	if (change || !p.here)
		random_pod(&p);
	p.source = source;
	p.gen = m.gen[source];
	settle(&p, &was);
	assert_int_equal(call_pod(i, &p, kind), 0);
	p.here = true;
	refer(p.owner, kind, p.ns);
	if (pod_same(&p, &was)) {
		m.pod[i].source = p.source;
		m.pod[i].gen = p.gen;
		m.pod[i].n_raw = p.n_raw;
		memcpy(m.pod[i].raw_ips, p.raw_ips, sizeof(p.raw_ips));
		return;
	}
	p.dead = false;
	m.pod[i] = p;
	touch(&m.pod[i]);
	collect();
}

static void apply_owner(int i, int source, bool change)
{
	struct mowner was = m.owner[i], o = was;
	int kind = (int)pick(3);
	struct owner_ref ref;
	struct object obj = {0};

	if (change || !o.here || o.state != OWNER_KNOWN) {
		o.kind = pick(8) ? was.kind : (int)pick(3);
		o.ns = pick(8) ? was.ns : (int)pick(SPACES);
		o.name = i;
		if (!was.here || pick(2))
			o.parent = MAX((int)pick(OWNERS + 4) - 4, -1);
	}
	ref = (struct owner_ref){.api_version = str_of(kinds[kind].api),
				 .kind = str_of(kinds[kind].kind),
				 .name = text("owner-%d", o.parent),
				 .uid = uid_of(o.parent, true),
				 .controller = true};
	obj.api_version = str_of(kinds[o.kind].api);
	obj.kind = str_of(kinds[o.kind].kind);
	obj.meta = (struct meta){.name = text("owner-%d", o.name),
				 .ns = text("ns-%d", o.ns),
				 .uid = uid_of(i, true),
				 .owners = &ref,
				 .n_owners = o.parent >= 0};
	assert_int_equal(inventory_apply_owner(m.v, (uint16_t)source, m.now, &obj), 0);
	if (!m.cluster && !was.here)
		return; /* nobody asked for it */
	o.here = true;
	o.state = OWNER_KNOWN;
	o.source = source;
	o.gen = m.gen[source];
	m.owner[i] = o;
	refer(o.parent, kind, o.ns);
	if (was.here && was.state == OWNER_KNOWN && was.kind == o.kind && was.ns == o.ns &&
	    was.parent == o.parent)
		return;
	m.owner[i].parent = was.parent;
	touch_below(i);
	m.owner[i].parent = o.parent;
	collect();
}

/* ---- operations ------------------------------------------------------------------------------ */

static void sweep(int source)
{
	for (pod_id id = 1; id <= inventory_pod_ids(m.v); id++) /* they die in the order of ids */
		for (int i = 0; i < PODS; i++) {
			const struct mpod *p = &m.pod[i];

			if (p->here && !p->dead && p->source == source && p->gen != m.gen[source] &&
			    inventory_by_uid(m.v, uid_of(i, false)) == id)
				kill(i);
		}
	for (owner_id id = inventory_owner_next(m.v, 0); id; id = inventory_owner_next(m.v, id))
		for (int i = 0; i < OWNERS; i++)
			if (m.owner[i].here && m.owner[i].state == OWNER_KNOWN &&
			    m.owner[i].source == source && m.owner[i].gen != m.gen[source] &&
			    inventory_owner_by_uid(m.v, uid_of(i, true)) == id)
				owner_gone(i);
}

/* Ids may be freed and given again while the inventory sweeps: the model goes first, and asks. */
static void list(int source)
{
	for (uint32_t begins = 1 + (pick(5) == 0); begins; begins--) {
		inventory_list_begin(m.v, (uint16_t)source);
		m.gen[source]++;
	}
	for (int i = 0; i < PODS; i++)
		if (m.pod[i].here && !m.pod[i].dead && m.pod[i].source == source && pick(10))
			apply_pod(i, source, pick(4) == 0);
	for (int i = 0; i < OWNERS; i++)
		if (m.owner[i].here && m.owner[i].source == source && pick(10))
			apply_owner(i, source, pick(6) == 0);
	if (pick(8) == 0)
		return; /* the list broke; the next one starts over */
	m.turn++;
	sweep(source);
	inventory_list_end(m.v, (uint16_t)source, m.now);
}

static void read_cursor(int c, uint32_t n)
{
	for (; n; n--) {
		pod_id id = inventory_cursor_next(m.v, m.cursor[c]);
		uint64_t oldest = UINT64_MAX;
		int who = -1;

		for (int i = 0; i < PODS; i++) {
			struct mpod *p = &m.pod[i];

			if (!p->here || !p->pending[c] || (p->dead && p->done[c]))
				continue;
			oldest = MIN(oldest, p->changed);
			if (id && inventory_by_uid(m.v, uid_of(i, false)) == id)
				who = i;
		}
		assert_true((id == 0) == (oldest == UINT64_MAX));
		if (!id) {
			assert_true(inventory_cursor_at_end(m.v, m.cursor[c]));
			return;
		}
		assert_true(who >= 0); /* it has changed, and comes in the order of changes */
		assert_true(m.pod[who].changed == oldest);
		m.pod[who].pending[c] = false;
		for (int k = 0; k < m.pod[who].n_c; k++) {
			bool set = pick(2);

			if (m.pod[who].c[k].id < 0)
				continue;
			inventory_container_mark(m.v, m.cursor[c], id, (uint32_t)k, set);
			m.pod[who].c[k].marks &= ~(1U << c);
			m.pod[who].c[k].marks |= (unsigned int)set << c;
		}
		if (m.pod[who].dead && pick(4)) {
			inventory_cursor_done(m.v, m.cursor[c], id);
			m.pod[who].done[c] = true;
		} else if (!m.pod[who].dead) {
			inventory_cursor_done(m.v, m.cursor[c], id); /* harmless */
		}
	}
}

static void on_dropped(void *ctx, pod_id id)
{
	unsigned int *n = ctx;
	struct inv_pod_view view;

	assert_true(inventory_pod(m.v, id, &view));
	assert_true(view.dead);
	(*n)--; /* the model counted it */
}

static const struct inv_cursor_ops ops = {.dropped = on_dropped};

static void new_cursor(int c)
{
	assert_int_equal(inventory_cursor_add(m.v, &ops, &m.dropped[c], &m.cursor[c]), 0);
	for (int i = 0; i < PODS; i++) {
		m.pod[i].pending[c] = true;
		m.pod[i].done[c] = false;
		for (int k = 0; k < m.pod[i].n_c; k++)
			m.pod[i].c[k].marks &= ~(1U << c);
	}
}

static void rewind_cursor(int c)
{
	inventory_cursor_rewind(m.v, m.cursor[c]);
	for (int i = 0; i < PODS; i++)
		m.pod[i].pending[c] = true;
}

static void expire(void)
{
	nsec_t first = NSEC_NEVER, when = inventory_expire(m.v, m.now);
	bool held = false;

	for (int i = 0; i < PODS; i++) {
		const struct mpod *p = &m.pod[i];
		bool done = true;

		if (!p->here || !p->dead)
			continue;
		for (int c = 0; c < CURSORS; c++)
			done &= !m.cursor[c] || p->done[c];
		if (p->died + LINGER > m.now)
			first = MIN(first, p->died + LINGER);
		else if (done)
			forget_pod(i);
		else
			held = true;
	}
	if (!held)
		assert_true(when == first);
	else
		assert_true(when > m.now && when <= first); /* looks again, some time */
}

static void cursor_op(int c)
{
	switch (pick(12)) {
	case 0:
		rewind_cursor(c);
		break;
	case 1:
		inventory_cursor_remove(m.v, &m.cursor[c]);
		assert_null(m.cursor[c]);
		new_cursor(c);
		break;
	default:
		read_cursor(c, 1 + pick(PODS + 4));
		break;
	}
}

static void delete_owner(int i)
{
	inventory_delete_owner(m.v, uid_of(i, true), m.now);
	owner_gone(i);
}

static void refuse_owner(int i)
{
	inventory_refuse_owner(m.v, uid_of(i, true));
	if (!m.owner[i].here || m.owner[i].state != OWNER_REFERENCED)
		return;
	m.owner[i].state = OWNER_REFUSED;
	touch_below(i);
}

static void step(void)
{
	int i = (int)pick(PODS), o = (int)pick(OWNERS);
	uint32_t dice = pick(100);

	m.turn++;
	m.now += pick(3) * SEC;
	if (dice < 35) {
		apply_pod(i, (int)pick(SOURCES), pick(3));
	} else if (dice < 47) {
		kill(i);
		inventory_delete_pod(m.v, uid_of(i, false), m.now);
	} else if (dice < 62) {
		apply_owner(o, (int)pick(SOURCES), pick(3));
	} else if (dice < 68) {
		delete_owner(o);
	} else if (dice < 71) {
		refuse_owner(o);
	} else if (dice < 75) {
		list(1 + (int)pick(SOURCES - 1));
	} else if (dice < 93) {
		cursor_op((int)pick(CURSORS));
	} else {
		m.now += pick(20) * SEC;
		expire();
	}
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void check_addresses(const struct mpod *p, pod_id id, const struct inv_pod_view *view)
{
	assert_int_equal(view->n_addrs, p->n_now + p->n_former);
	for (int k = 0; k < p->n_now + p->n_former; k++) {
		struct interval f = k < p->n_now ? p->now[k] : p->former[k - p->n_now];
		struct inv_addr a = inventory_pod_addr(m.v, id, (uint32_t)k);
		struct addr ip;

		assert_int_equal(addr_parse(ip_of(f.ip), &ip), 0);
		assert_true(addr_eq(&a.ip, &ip) && a.from == f.from);
		assert_true(a.to == (k < p->n_now ? p->dead ? p->died : NSEC_NEVER : f.to));
	}
}

static void check_containers(const struct mpod *p, pod_id id)
{
	struct inv_container_view view;

	for (int k = 0; k < p->n_c; k++) {
		inventory_pod_container(m.v, id, (uint32_t)k, &view);
		assert_true(str_eq(str_of(view.id), cid_of(p->c[k].id)));
		assert_true(str_eq(view.name, text("c%d", k)));
		assert_true(str_eq(view.image, text("image:%d", p->c[k].image)));
		for (int c = 0; c < CURSORS; c++)
			assert_int_equal(
				inventory_container_marked(m.v, m.cursor[c], id, (uint32_t)k),
				p->c[k].marks >> c & 1);
	}
}

static void check_pod(int i)
{
	const struct mpod *p = &m.pod[i];
	pod_id id = inventory_by_uid(m.v, uid_of(i, false));
	struct inv_pod_view view;

	assert_true((id != 0) == p->here);
	if (!id)
		return;
	assert_true(inventory_pod(m.v, id, &view));
	assert_true(str_eq(str_of(view.uid), uid_of(i, false)));
	assert_true(str_eq(view.ns, text("ns-%d", p->ns)));
	assert_true(str_eq(view.name, text("pod-%d", p->name)));
	assert_true(str_eq(view.node, text("node-%d", p->node)));
	assert_int_equal(view.phase, p->phase);
	assert_int_equal(view.host_network, p->host);
	assert_int_equal(view.dead, p->dead);
	assert_int_equal(view.announceable, !p->dead && p->n_now);
	assert_int_equal(view.was_announceable, p->was);
	assert_int_equal(view.n_containers, p->n_c);
	assert_int_equal(view.owner,
			 p->owner < 0 ? 0 : inventory_owner_by_uid(m.v, uid_of(p->owner, true)));
	assert_true((view.owner != 0) == (p->owner >= 0));
	check_addresses(p, id, &view);
	check_containers(p, id);
}

static void check_owner(int i)
{
	const struct mowner *o = &m.owner[i];
	owner_id id = inventory_owner_by_uid(m.v, uid_of(i, true)), up;
	struct inv_owner_view view;

	assert_true((id != 0) == o->here);
	if (!id)
		return;
	assert_true(inventory_owner(m.v, id, &view));
	up = o->parent < 0 ? 0 : inventory_owner_by_uid(m.v, uid_of(o->parent, true));
	assert_true(str_eq(str_of(view.uid), uid_of(i, true)));
	assert_int_equal(view.state, o->state);
	assert_true(str_eq(view.kind_text, str_of(kinds[o->kind].kind)));
	assert_true(str_eq(view.api_version, str_of(kinds[o->kind].api)));
	assert_true(str_eq(view.ns, text("ns-%d", o->ns)));
	assert_true(str_eq(view.name, text("owner-%d", o->name)));
	assert_int_equal(view.parent, up);
	assert_true((up != 0) == (o->parent >= 0));
	assert_int_equal(inventory_owner_parent(m.v, id), up);
}

static int model_of(pod_id id)
{
	for (int i = 0; id && i < PODS; i++)
		if (inventory_by_uid(m.v, uid_of(i, false)) == id)
			return i;
	return -1;
}

/* A live pod of the name, else the one that died last. */
static void check_name(int ns, int name)
{
	int got = model_of(inventory_by_name(m.v, text("ns-%d", ns), text("pod-%d", name)));
	bool any = false, live = false;
	nsec_t last = 0;

	for (int i = 0; i < PODS; i++) {
		const struct mpod *p = &m.pod[i];

		if (!p->here || p->ns != ns || p->name != name)
			continue;
		any = true;
		live |= !p->dead;
		last = p->dead ? MAX(last, p->died) : last;
	}
	assert_true((got >= 0) == any);
	if (!any)
		return;
	assert_true(m.pod[got].ns == ns && m.pod[got].name == name);
	assert_true(live ? !m.pod[got].dead : m.pod[got].died == last);
}

static bool holds_container(const struct mpod *p, int cid)
{
	for (int k = 0; p->here && k < p->n_c; k++)
		if (p->c[k].id == cid)
			return true;
	return false;
}

static void check_container(int cid)
{
	struct str id = cid_of(cid);
	int got = model_of(inventory_by_container(m.v, id));
	bool any = false;

	for (int i = 0; i < PODS; i++)
		any |= holds_container(&m.pod[i], cid);
	assert_true((got >= 0) == any);
	if (!any)
		return;
	assert_true(holds_container(&m.pod[got], cid));
	if (id.n > 64) /* also without the runtime's scheme */
		assert_true(inventory_by_container(m.v, str_from(id, id.n - 64)) != 0);
}

/* Since when the pod had the address at that time; 0: it had not. */
static nsec_t had(const struct mpod *p, int ip, nsec_t at)
{
	for (int k = 0; p->here && !p->host && k < p->n_now + p->n_former; k++) {
		struct interval f = k < p->n_now ? p->now[k] : p->former[k - p->n_now];

		if (k < p->n_now && p->dead)
			f.to = p->died;
		if (f.ip == ip && f.from <= at && at < f.to)
			return f.from;
	}
	return 0;
}

static void check_address(int ip, nsec_t at)
{
	struct addr a;
	nsec_t best = 0;
	int got;

	assert_int_equal(addr_parse(ip_of(ip), &a), 0);
	got = model_of(inventory_by_address(m.v, &a, at));
	for (int i = 0; i < PODS; i++)
		best = MAX(best, had(&m.pod[i], ip, at));
	assert_true((got >= 0) == (best != 0));
	if (got >= 0)
		assert_true(had(&m.pod[got], ip, at) == best);
}

static void check_figures(void)
{
	struct inventory_stats s;
	uint32_t pods = 0, dead = 0, owners = 0, referenced = 0, containers = 0;

	for (int i = 0; i < PODS; i++) {
		pods += m.pod[i].here;
		dead += m.pod[i].here && m.pod[i].dead;
		containers += m.pod[i].here ? (uint32_t)m.pod[i].n_c : 0;
	}
	for (int i = 0; i < OWNERS; i++) {
		owners += m.owner[i].here;
		referenced += m.owner[i].here && m.owner[i].state == OWNER_REFERENCED;
	}
	inventory_stats(m.v, &s);
	assert_int_equal(s.pods, pods);
	assert_int_equal(s.dead, dead);
	assert_int_equal(s.owners, owners);
	assert_int_equal(s.owners_referenced, referenced);
	assert_int_equal(s.containers, containers);
	assert_true(s.dropped_dead == m.dropped_dead);
	assert_true(s.bytes == inventory_bytes(m.v));
	assert_true(inventory_used(m.v) <= s.bytes);
	for (int c = 0; c < CURSORS; c++)
		assert_int_equal(m.dropped[c], 0);
}

/* ---- the edition ----------------------------------------------------------------------------- */

static uint64_t add_to(uint64_t sum, const void *p, size_t n)
{
	static const struct hash_seed seed = {{1, 2}};

	return sum * 31 + hash_bytes(&seed, p, n);
}

/* Where the text is: a borrower must not keep it when it goes. */
static uint64_t add_text(uint64_t sum, struct str s)
{
	return add_to(sum, &s.p, sizeof(s.p)) + s.n;
}

static uint64_t pod_answers(uint64_t sum, pod_id id)
{
	struct inv_pod_view view = {0};

	if (!inventory_pod(m.v, id, &view))
		return sum;
	sum = add_text(add_text(sum, view.name), view.ns);
	sum = sum * 31 + id * 16 + view.host_network * 8 + view.dead * 4 + view.announceable;
	return sum * 31 + view.owner;
}

static uint64_t owner_answers(uint64_t sum, owner_id id)
{
	struct inv_owner_view view = {0};

	if (!inventory_owner(m.v, id, &view))
		return sum;
	sum = add_text(add_text(sum, view.name), view.kind_text);
	return (sum * 31 + id) * 31 + view.parent * 8 + view.state;
}

static uint64_t answers(void)
{
	uint64_t sum = inventory_listed_at(m.v);
	struct str container = {0};
	struct inv_claim claims[PODS * HAS];
	struct addr a;

	for (int i = 0; i < PODS; i++)
		sum = pod_answers(sum, inventory_by_uid(m.v, uid_of(i, false)));
	for (int i = 0; i < OWNERS; i++)
		sum = owner_answers(sum, inventory_owner_by_uid(m.v, uid_of(i, true)));
	for (int i = 0; i < CIDS; i++) {
		sum = sum * 31 + inventory_container_name(m.v, cid_of(i), &container);
		sum = add_text(sum, container);
	}
	for (int i = 0; i < ADDRS; i++) {
		assert_int_equal(addr_parse(ip_of(i), &a), 0);
		memset(claims, 0, sizeof(claims));
		(void)inventory_pod_claims(m.v, &a, claims, ARRAY_SIZE(claims));
		sum = add_to(sum, claims, sizeof(claims));
	}
	return sum;
}

static void step_in_editions(void)
{
	const uint64_t edition = inventory_edition(m.v), before = answers();

	step();
	assert_true(inventory_edition(m.v) != edition || answers() == before);
}

static void check_all(void)
{
	for (int i = 0; i < PODS; i++)
		check_pod(i);
	for (int i = 0; i < OWNERS; i++)
		check_owner(i);
	for (int ns = 0; ns < SPACES; ns++)
		for (int name = 0; name < NAMES; name++)
			check_name(ns, name);
	for (int i = 0; i < CIDS; i++)
		check_container(i);
	for (int ip = 0; ip < ADDRS; ip++) {
		check_address(ip, m.now);
		check_address(ip, m.now - MIN(m.now, (nsec_t)pick(100) * SEC));
		check_address(ip, m.now + SEC);
	}
	check_figures();
}

/* ---- a run ----------------------------------------------------------------------------------- */

static void start(uint64_t seed)
{
	struct inventory_opts o = inventory_defaults;
	uint16_t source;

	memset(&m, 0, sizeof(m));
	rng_seed(&m.g, seed);
	m.cluster = seed % 2;
	m.now = 1000 * SEC;
	for (int i = 0; i < PODS; i++)
		m.pod[i].owner = -1;
	for (int i = 0; i < OWNERS; i++)
		m.owner[i].parent = -1;
	o.keep_idle_owners = m.cluster;
	o.max_dead = MAX_DEAD;
	o.linger = LINGER;
	assert_int_equal(inventory_new(&o, &m.v), 0);
	for (int s = 1; s < SOURCES; s++)
		assert_int_equal(inventory_source_add(m.v, &source), 0);
	for (int c = 0; c < CURSORS; c++)
		new_cursor(c);
}

/* All goes; nothing may be left. */
static void finish(void)
{
	struct inventory_stats s;

	for (int i = 0; i < PODS; i++) {
		m.turn++;
		kill(i);
		inventory_delete_pod(m.v, uid_of(i, false), m.now);
	}
	for (int i = 0; i < OWNERS; i++)
		delete_owner(i);
	check_all();
	for (int c = 0; c < CURSORS; c++) {
		pod_id id;

		rewind_cursor(c);
		while ((id = inventory_cursor_next(m.v, m.cursor[c])))
			inventory_cursor_done(m.v, m.cursor[c], id);
		for (int i = 0; i < PODS; i++)
			m.pod[i].done[c] = m.pod[i].dead;
	}
	m.now += LINGER;
	expire();
	check_all();
	inventory_stats(m.v, &s);
	assert_int_equal(s.pods, 0);
	assert_int_equal(s.owners, 0);
	assert_int_equal(s.containers, 0);
	assert_true(inventory_used(m.v) < 2000); /* the struct alone */
	assert_in_range(s.strings, 0, 4); /* schemes of container runtimes are held for good */
	inventory_free(&m.v);
}

/* SEED in the environment: that one alone. SEEDS: so many. */
static void agrees_with_a_naive_model(void **state)
{
	const char *only = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t first = only ? strtoull(only, NULL, 10) : 1;
	uint64_t n = only ? 1 : many ? strtoull(many, NULL, 10) : 40;

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		print_message("seed %d\n", (int)seed);
		start(seed);
		for (int i = 0; i < STEPS; i++) {
			step_in_editions();
			if (i % 3 == 0)
				check_all();
		}
		finish();
	}
}

/* The figure that --inventory-max works with, against what malloc says. */
static void bytes_are_what_malloc_gave(void **state)
{
#ifdef __SANITIZE_ADDRESS__
	(void)state; /* the sanitizer's malloc keeps no such figure */
#else
	struct inventory_opts o = inventory_defaults;
	size_t before = mallinfo2().uordblks, held, said;
	struct inventory *v;

	(void)state;
	assert_int_equal(inventory_new(&o, &v), 0);
	for (int i = 0; i < 5000; i++) {
		struct container c[2] = {{.id = text("containerd://%064x", (unsigned int)i),
					  .name = STR("app"),
					  .image = text("image:%d", i % 50)},
					 {.name = text("sidecar-%d", i % 7)}};
		struct str ip = text("10.1.%d.%d", i / 250, i % 250);
		struct owner_ref ref = {
			.api_version = STR("apps/v1"),
			.kind = STR("ReplicaSet"),
			.name = text("a-replicaset-%d", i / 3),
			.uid = text("c%07x-0000-4000-8000-00000000000a", (unsigned int)i / 3),
			.controller = true};
		struct object obj = {.meta = {.name = text("a-pod-of-some-name-%d", i),
					      .ns = text("ns-%d", i % 30),
					      .uid = uid_of(i, false),
					      .owners = &ref,
					      .n_owners = 1},
				     .pod = {.ips = &ip,
					     .n_ips = 1,
					     .phase = POD_PHASE_RUNNING,
					     .containers = c,
					     .n_containers = 2}};

		assert_int_equal(inventory_apply_pod(v, 0, SEC, &obj), 0);
	}
	held = mallinfo2().uordblks - before;
	said = inventory_bytes(v);
	print_message("5000 pods: %zu bytes held, %zu said\n", held, said);
	assert_true(said <= held && said >= held / 100 * 80);
	inventory_free(&v);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_naive_model),
		cmocka_unit_test(bytes_are_what_malloc_gave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
