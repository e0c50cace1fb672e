/*
 * The inventory when memory is short: a call that fails changes nothing that can
 * be seen, the same call made again works, and nothing leaks.
 */
#include "inventory/inventory.h"

#include "base/mem.h"
#include "tests/lib/objects.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
enum { UIDS = 700 };

/* All that can be seen, as text; written without an allocation. */
struct picture {
	size_t n;
	char p[400000];
};

static void draw(struct picture *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void draw(struct picture *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, sizeof(t->p) - t->n, fmt, ap);
	va_end(ap);
	t->n += (size_t)n;
	assert_true(t->n < sizeof(t->p));
}

static void draw_pod(struct picture *t, const struct inventory *v, pod_id id)
{
	struct inv_pod_view p;
	struct inv_owner_view o = {0};
	struct inv_container_view c;
	char ip[ADDR_TEXT_MAX];

	assert_true(inventory_pod(v, id, &p));
	(void)inventory_owner(v, p.owner, &o);
	draw(t, "pod %s %.*s/%.*s on %.*s %d%d%d%d owner %s:", p.uid, STR_ARG(p.ns),
	     STR_ARG(p.name), STR_ARG(p.node), p.phase, p.host_network, p.dead, p.was_announceable,
	     o.uid);
	for (uint32_t i = 0; i < p.n_addrs; i++) {
		struct inv_addr a = inventory_pod_addr(v, id, i);

		draw(t, " %s", addr_print(&a.ip, ip));
		if (!p.dead && !p.host_network && a.to == NSEC_NEVER)
			assert_int_not_equal(inventory_by_address(v, &a.ip, a.from), 0);
	}
	for (uint32_t i = 0; i < p.n_containers; i++) {
		inventory_pod_container(v, id, i, &c);
		draw(t, " %s=%.*s", c.id, STR_ARG(c.image));
		if (c.id[0])
			assert_int_not_equal(inventory_by_container(v, str_of(c.id)), 0);
	}
	draw(t, "\n");
	assert_int_not_equal(inventory_by_name(v, p.ns, p.name), 0);
}

static void draw_all(struct picture *t, struct inventory *v)
{
	struct inventory_stats s;

	t->n = 0;
	for (unsigned int i = 0; i < UIDS; i++) {
		pod_id id = inventory_by_uid(v, obj_uid(i));
		owner_id owner = inventory_owner_by_uid(v, obj_uid(i));
		struct inv_owner_view o, up = {0};

		if (id)
			draw_pod(t, v, id);
		if (!inventory_owner(v, owner, &o))
			continue;
		(void)inventory_owner(v, o.parent, &up);
		draw(t, "owner %s %d %.*s %.*s/%.*s up %s\n", o.uid, o.state, STR_ARG(o.kind_text),
		     STR_ARG(o.ns), STR_ARG(o.name), up.uid);
	}
	inventory_stats(v, &s);
	draw(t, "%u pods %u dead %u owners %u containers\n", s.pods, s.dead, s.owners,
	     s.containers);
}

enum op { POD, OWNER, DELETE_POD, DELETE_OWNER, REFUSE };

struct world {
	struct inventory *v;
	struct inv_cursor *c;
	uint16_t source;
	struct picture before, after;
};

static int apply(struct world *w, enum op op, unsigned int i, unsigned int round)
{
	char name[32], image[32], cid[100], ip[32];
	struct obj b;

	(void)snprintf(name, sizeof(name), "name-%u", i);
	(void)snprintf(image, sizeof(image), "image:%u", i % 40 + round);
	(void)snprintf(cid, sizeof(cid), "%s://%064x", i % 2 ? "containerd" : "docker",
		       i + 1000 * round);
	(void)snprintf(ip, sizeof(ip), "10.%u.0.%u", round, i % 200);
	switch (op) {
	case POD:
		obj_pod(&b, i % 2 ? "a" : "b", name, obj_uid(i), ip);
		obj_container(&b, cid, "c", image);
		obj_container(&b, i % 3 ? "odd-id" : "", "d", image);
		obj_owned(&b, "apps/v1", "ReplicaSet", name, obj_uid(300 + (i + round) % 50));
		return inventory_apply_pod(w->v, w->source, SEC, &b.o);
	case OWNER:
		obj_owner(&b, "apps/v1", "ReplicaSet", "a", name, obj_uid(i));
		obj_owned(&b, "apps/v1", "Deployment", name, obj_uid(400 + (i + round) % 60));
		return inventory_apply_owner(w->v, w->source, SEC, &b.o);
	case DELETE_POD:
		inventory_delete_pod(w->v, obj_uid(i), SEC);
		return 0;
	case DELETE_OWNER:
		inventory_delete_owner(w->v, obj_uid(i), SEC);
		return 0;
	case REFUSE:
		inventory_refuse_owner(w->v, obj_uid(i));
		return 0;
	}
	return 0;
}

/* Once more after a failure: what failed for want of memory works when there is some. */
static int careful(struct world *w, enum op op, unsigned int i, unsigned int round, bool look)
{
	int r;

	if (look)
		draw_all(&w->before, w->v);
	r = apply(w, op, i, round);
	if (r == 0)
		return 0;
	assert_int_equal(r, -ENOMEM);
	if (look) {
		draw_all(&w->after, w->v);
		assert_string_equal(w->before.p, w->after.p);
	}
	return apply(w, op, i, round);
}

static int story(struct world *w, unsigned int n)
{
	bool look = n < 20;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < n; i++)
		r = careful(w, POD, i, 0, look);
	for (unsigned int i = 300; r == 0 && i < 300 + MIN(n, 50U); i++)
		r = careful(w, i % 7 ? OWNER : REFUSE, i, 0, look);
	for (unsigned int i = 0; r == 0 && i < n; i += 2)
		r = careful(w, POD, i, 1, look);
	for (unsigned int i = 0; r == 0 && i < n; i += 3)
		r = careful(w, DELETE_POD, i, 1, false);
	for (unsigned int i = 301; r == 0 && i < 300 + MIN(n, 50U); i += 2)
		r = careful(w, i % 3 ? OWNER : DELETE_OWNER, i, 1, look);
	return r;
}

/* Without memory for its record a dead pod goes at once, cursors are told: only the living count.
 */
static void bury(struct world *w)
{
	pod_id id;

	while ((id = inventory_cursor_next(w->v, w->c)))
		inventory_cursor_done(w->v, w->c, id);
	(void)inventory_expire(w->v, 1000 * SEC);
}

struct plan {
	unsigned int n;
	bool known; /* the picture of a run with memory is there */
	struct picture good;
};

static int run(void *ctx)
{
	static struct world w;
	struct plan *p = ctx;
	struct inventory_opts o = inventory_defaults;
	int r;

	o.keep_idle_owners = true;
	o.max_dead = 1000;
	w.v = NULL;
	w.c = NULL;
	r = inventory_new(&o, &w.v);
	if (r == 0)
		r = inventory_cursor_add(w.v, NULL, NULL, &w.c);
	if (r == 0)
		r = inventory_source_add(w.v, &w.source);
	if (r == 0)
		r = story(&w, p->n);
	if (r == 0) {
		bury(&w);
		draw_all(&w.after, w.v);
		if (p->known)
			assert_string_equal(p->good.p, w.after.p);
		else
			p->good = w.after;
		p->known = true;
	}
	inventory_free(&w.v);
	return r;
}

static void a_failed_call_changes_nothing(void **state)
{
	static struct plan p = {.n = 12};

	(void)state;
	assert_int_equal(run(&p), 0);
	assert_int_equal(torture_run(run, &p), 0);
}

/* Enough for indexes and pools to grow; death records run short here. */
static void a_larger_one_recovers(void **state)
{
	static struct plan p = {.n = 290};

	(void)state;
	assert_int_equal(run(&p), 0);
	assert_int_equal(torture_run(run, &p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_call_changes_nothing),
		cmocka_unit_test(a_larger_one_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
