/*
 * The inventory by hand-made objects: look-ups, what counts as a change, dead
 * pods, owners that are remembered, addresses in time.
 */
#include "inventory/inventory.h"

#include "base/mem.h"
#include "tests/lib/objects.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
#define CID "containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct world {
	struct inventory *v;
	struct inv_cursor *c;
	uint16_t src;
	uint32_t dropped;
};

static void on_dropped(void *ctx, pod_id id)
{
	(void)id;
	((struct world *)ctx)->dropped++;
}

static const struct inv_cursor_ops ops = {.dropped = on_dropped};

static void world_init(struct world *w, bool cluster)
{
	struct inventory_opts o = inventory_defaults;

	o.keep_idle_owners = cluster;
	o.max_dead = 3;
	*w = (struct world){0};
	assert_int_equal(inventory_new(&o, &w->v), 0);
	assert_int_equal(inventory_cursor_add(w->v, &ops, w, &w->c), 0);
	assert_int_equal(inventory_source_add(w->v, &w->src), 0);
}

static void world_done(struct world *w)
{
	inventory_free(&w->v);
	assert_null(w->v);
}

static void put(struct world *w, struct obj *b, nsec_t now)
{
	assert_int_equal(inventory_apply_pod(w->v, w->src, now, &b->o), 0);
}

static uint32_t drain(struct world *w)
{
	uint32_t n = 0;

	while (inventory_cursor_next(w->v, w->c))
		n++;
	return n;
}

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(text), &a), 0);
	return a;
}

static void finds_by_every_key(void **state)
{
	struct world w;
	struct obj b;
	struct inv_pod_view p;
	struct inv_container_view c;
	struct addr a = ip("10.0.0.1");
	pod_id id;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "shop", "web-1", obj_uid(1), "10.0.0.1");
	obj_container(&b, CID, "app", "web:1");
	put(&w, &b, 1 * SEC);
	id = inventory_by_uid(w.v, obj_uid(1));
	assert_int_not_equal(id, 0);
	assert_int_equal(inventory_by_name(w.v, STR("shop"), STR("web-1")), id);
	assert_int_equal(inventory_by_name(w.v, STR("pohs"), STR("web-1")), 0);
	assert_int_equal(inventory_by_container(w.v, STR(CID)), id);
	assert_int_equal(inventory_by_container(w.v, str_from(STR(CID), 13)), id);
	assert_int_equal(inventory_by_address(w.v, &a, 2 * SEC), id);
	assert_int_equal(inventory_by_address(w.v, &a, 0), 0);
	assert_true(inventory_pod(w.v, id, &p));
	assert_string_equal(p.uid, "00000000-0000-4000-8000-000000000001");
	assert_true(p.announceable);
	inventory_pod_container(w.v, id, 0, &c);
	assert_string_equal(c.id, CID);
	assert_true(str_eq(c.image, STR("web:1")));
	world_done(&w);
}

static void odd_uids_and_ids_are_kept_as_text(void **state)
{
	static const char *const uids[] = {"0123456789abcdef0123456789abcdef", "uid-1",
					   "0000000A-0000-4000-8000-000000000001"};
	struct world w;
	struct inv_pod_view p;
	struct inv_container_view c;
	struct obj b;

	(void)state;
	world_init(&w, true);
	for (size_t i = 0; i < ARRAY_SIZE(uids); i++) {
		obj_pod(&b, "ns", uids[i], str_of(uids[i]), "10.0.0.1");
		obj_container(&b, "docker://short", "app", "");
		put(&w, &b, SEC);
		assert_true(inventory_pod(w.v, inventory_by_uid(w.v, str_of(uids[i])), &p));
		assert_string_equal(p.uid, uids[i]);
	}
	inventory_pod_container(w.v, inventory_by_container(w.v, STR("docker://short")), 0, &c);
	assert_string_equal(c.id, "docker://short");
	inventory_delete_pod(w.v, STR("uid-1"), SEC);
	inventory_delete_pod(w.v, STR("never-seen"), SEC);
	obj_pod(&b, "ns", "x", STR(""), "10.0.0.1");
	assert_int_equal(inventory_apply_pod(w.v, w.src, SEC, &b.o), -EINVAL);
	world_done(&w);
}

/* An id that is cut is the id of no container. */
static void ids_that_are_too_long_are_left_out(void **state)
{
	struct inv_container_view c;
	struct inventory_stats s;
	char longest[256], longer[257], scheme[257];
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w, true);
	memset(longest, 'x', sizeof(longest));
	memset(longer, 'y', sizeof(longer));
	memset(scheme, 's', sizeof(scheme));
	longest[255] = longer[256] = '\0';
	memcpy(scheme + 256 - strlen(CID) + 10, &CID[10], strlen(CID) - 10 + 1);
	assert_int_equal(strlen(scheme), 256);
	obj_pod(&b, "ns", "a", obj_uid(1), "10.0.0.1");
	obj_container(&b, longest, "one", "i");
	obj_container(&b, longer, "two", "i");
	obj_container(&b, scheme, "three", "i");
	assert_int_equal(inventory_apply_pod(w.v, w.src, SEC, &b.o), 0);
	for (uint32_t i = 0; i < 3; i++) {
		inventory_pod_container(w.v, inventory_by_uid(w.v, obj_uid(1)), i, &c);
		assert_string_equal(c.id, i == 0 ? longest : "");
	}
	assert_true(inventory_by_container(w.v, str_of(longest)) != 0);
	assert_true(inventory_by_container(w.v, str_of(longer)) == 0);
	assert_true(inventory_by_container(w.v, str_of(scheme)) == 0);
	inventory_stats(w.v, &s);
	assert_int_equal(s.long_ids, 2);
	world_done(&w);
}

/* Runtimes are numbered, a few of them; the ids of others are found all the same. */
static void any_number_of_runtimes(void **state)
{
	char cid[20][100];
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w, true);
	for (unsigned int i = 0; i < 20; i++) {
		(void)snprintf(cid[i], sizeof(cid[i]), "runtime-%u://%064x", i, i);
		obj_pod(&b, "ns", "p", obj_uid(i + 1), NULL);
		obj_container(&b, cid[i], "app", "web:1");
		put(&w, &b, SEC);
	}
	for (unsigned int i = 0; i < 20; i++)
		assert_int_equal(inventory_by_container(w.v, str_of(cid[i])),
				 inventory_by_uid(w.v, obj_uid(i + 1)));
	world_done(&w);
}

static void only_real_changes_reach_the_log(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "shop", "web-1", obj_uid(1), "10.0.0.1");
	obj_container(&b, CID, "app", "web:1");
	obj_owned(&b, "apps/v1", "ReplicaSet", "web", obj_uid(100));
	put(&w, &b, 1 * SEC);
	assert_int_equal(inventory_cursor_lag(w.v, w.c), 1);
	assert_int_equal(drain(&w), 1);
	assert_int_equal(inventory_cursor_lag(w.v, w.c), 0);
	put(&w, &b, 2 * SEC);
	b.o.meta.resource_version = STR("77");
	put(&w, &b, 3 * SEC);
	assert_int_equal(drain(&w), 0);
	b.containers[0].image = STR("web:2");
	put(&w, &b, 4 * SEC);
	assert_int_equal(drain(&w), 1);
	b.owner.uid = obj_uid(101);
	put(&w, &b, 5 * SEC);
	assert_int_equal(drain(&w), 1);
	world_done(&w);
}

static void a_relist_of_the_same_is_silent_and_a_missing_pod_dies(void **state)
{
	struct world w;
	struct obj b[3];
	struct inv_pod_view p;

	(void)state;
	world_init(&w, true);
	inventory_list_begin(w.v, w.src);
	for (unsigned int i = 0; i < 3; i++) {
		obj_pod(&b[i], "ns", "p", obj_uid(i + 1), NULL);
		put(&w, &b[i], SEC);
	}
	inventory_list_end(w.v, w.src, SEC);
	assert_int_equal(drain(&w), 3);
	inventory_list_begin(w.v, w.src);
	inventory_list_begin(w.v, w.src); /* a page token expired: the list starts again */
	put(&w, &b[0], 2 * SEC);
	put(&w, &b[2], 2 * SEC);
	inventory_list_end(w.v, w.src, 2 * SEC);
	assert_int_equal(drain(&w), 1); /* uid 2 died; the others have not changed */
	assert_true(inventory_pod(w.v, inventory_by_uid(w.v, obj_uid(2)), &p));
	assert_true(p.dead);
	world_done(&w);
}

static void addresses_belong_to_pods_for_a_time(void **state)
{
	struct world w;
	struct obj a, b, host;
	struct addr x = ip("10.0.0.9"), y = ip("fd00::9");
	pod_id ia, ib;

	(void)state;
	world_init(&w, true);
	obj_pod(&a, "ns", "a", obj_uid(1), "10.0.0.9");
	a.ips[1] = STR("fd00::9");
	a.o.pod.n_ips = 2;
	put(&w, &a, 10 * SEC);
	ia = inventory_by_uid(w.v, obj_uid(1));
	assert_int_equal(inventory_by_address(w.v, &y, 11 * SEC), ia);
	a.o.pod.phase = POD_PHASE_SUCCEEDED; /* keeps showing its address, owns it no more */
	put(&w, &a, 20 * SEC);
	assert_int_equal(inventory_by_address(w.v, &x, 21 * SEC), 0);
	obj_pod(&b, "ns", "b", obj_uid(2), "10.0.0.9");
	put(&w, &b, 30 * SEC);
	ib = inventory_by_uid(w.v, obj_uid(2));
	put(&w, &a, 31 * SEC);
	assert_int_equal(inventory_by_address(w.v, &x, 15 * SEC), ia);
	assert_int_equal(inventory_by_address(w.v, &x, 25 * SEC), 0);
	assert_int_equal(inventory_by_address(w.v, &x, 35 * SEC), ib);
	obj_pod(&host, "ns", "h", obj_uid(3), "192.168.0.1");
	host.o.pod.host_network = true;
	put(&w, &host, 30 * SEC);
	x = ip("192.168.0.1");
	assert_int_equal(inventory_by_address(w.v, &x, 40 * SEC), 0);
	world_done(&w);
}

/* A server that tells of one address alone, not of a list of them. */
static void the_one_address_of_a_pod(void **state)
{
	struct addr a = ip("10.0.0.1");
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "ns", "a", obj_uid(1), NULL);
	b.o.pod.pod_ip = STR("10.0.0.1");
	put(&w, &b, 10 * SEC);
	assert_int_equal(inventory_by_address(w.v, &a, 15 * SEC),
			 inventory_by_uid(w.v, obj_uid(1)));
	b.o.pod.phase = POD_PHASE_FAILED; /* it gives it back, though its status still names it */
	put(&w, &b, 20 * SEC);
	assert_int_equal(inventory_by_address(w.v, &a, 20 * SEC), 0);
	world_done(&w);
}

static void dead_pods_wait_for_cursors_and_linger(void **state)
{
	struct world w;
	struct obj b;
	struct addr x = ip("10.0.0.1");
	pod_id id;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "ns", "a", obj_uid(1), "10.0.0.1");
	put(&w, &b, 1 * SEC);
	inventory_delete_pod(w.v, obj_uid(1), 2 * SEC);
	id = inventory_cursor_next(w.v, w.c);
	assert_int_not_equal(id, 0); /* came and went between two looks: still told of, once */
	assert_int_equal(drain(&w), 0);
	assert_int_equal(inventory_by_address(w.v, &x, 1 * SEC), id);
	(void)inventory_expire(w.v, 500 * SEC);
	assert_int_equal(inventory_by_uid(w.v, obj_uid(1)), id); /* the cursor is not done */
	inventory_cursor_done(w.v, w.c, id);
	inventory_cursor_rewind(w.v, w.c);
	assert_int_equal(drain(&w), 0); /* done with it: a resync does not show it again */
	assert_int_equal(inventory_expire(w.v, 3 * SEC), 122 * SEC);
	assert_int_equal(inventory_by_uid(w.v, obj_uid(1)), id);
	assert_true(inventory_expire(w.v, 122 * SEC) == NSEC_NEVER);
	assert_int_equal(inventory_by_uid(w.v, obj_uid(1)), 0);
	world_done(&w);
}

static void the_bound_on_dead_pods_tells_the_cursor(void **state)
{
	struct world w;
	struct obj b;
	struct inventory_stats s;

	(void)state;
	world_init(&w, true);
	for (unsigned int i = 1; i <= 5; i++) {
		obj_pod(&b, "ns", "a", obj_uid(i), "10.0.0.1");
		put(&w, &b, i * SEC);
		inventory_delete_pod(w.v, obj_uid(i), i * SEC);
	}
	inventory_stats(w.v, &s);
	assert_int_equal(s.dead, 3);
	assert_int_equal(w.dropped, 2);
	assert_int_equal(s.dropped_dead, 2);
	assert_int_equal(drain(&w), 3);
	world_done(&w);
}

static void a_dead_pod_that_is_listed_again_lives(void **state)
{
	struct world w;
	struct obj b;
	struct inv_pod_view p;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "ns", "a", obj_uid(1), "10.0.0.1");
	put(&w, &b, SEC);
	inventory_delete_pod(w.v, obj_uid(1), 2 * SEC);
	put(&w, &b, 3 * SEC);
	assert_true(inventory_pod(w.v, inventory_by_uid(w.v, obj_uid(1)), &p));
	assert_true(p.announceable);
	(void)inventory_expire(w.v, 1000 * SEC);
	assert_int_not_equal(inventory_by_uid(w.v, obj_uid(1)), 0);
	world_done(&w);
}

static void owners_are_remembered_while_referred_to(void **state)
{
	struct world w;
	struct obj pod, rs;
	struct inv_owner_view o;
	struct inventory_stats s;

	(void)state;
	world_init(&w, true);
	obj_owner(&rs, "apps/v1", "ReplicaSet", "ns", "web-1", obj_uid(100));
	obj_owned(&rs, "apps/v1", "Deployment", "web", obj_uid(200));
	assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &rs.o), 0);
	obj_pod(&pod, "ns", "a", obj_uid(1), "10.0.0.1");
	obj_owned(&pod, "apps/v1", "ReplicaSet", "web-1", obj_uid(100));
	put(&w, &pod, SEC);
	inventory_delete_owner(w.v, obj_uid(100), SEC);
	assert_true(inventory_owner(w.v, inventory_owner_by_uid(w.v, obj_uid(100)), &o));
	assert_int_equal(o.state, OWNER_GONE);
	assert_true(inventory_owner(w.v, o.parent, &o));
	assert_string_equal(o.uid, "00000000-0000-4000-8000-000000000200");
	assert_int_equal(o.kind, KIND_DEPLOYMENT);
	inventory_delete_pod(w.v, obj_uid(1), SEC);
	inventory_cursor_done(w.v, w.c, inventory_by_uid(w.v, obj_uid(1)));
	(void)inventory_expire(w.v, 500 * SEC);
	inventory_stats(w.v, &s);
	assert_int_equal(s.owners, 0); /* the pod is gone, then its owners */
	assert_int_equal(s.pods, 0);
	assert_int_equal(s.strings, 0);
	world_done(&w);
}

static void figures(void **state)
{
	struct world w;
	struct obj pod, rs;
	struct inventory_stats s;

	(void)state;
	world_init(&w, true);
	obj_owner(&rs, "apps/v1", "ReplicaSet", "ns", "web-1", obj_uid(100));
	assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &rs.o), 0);
	obj_pod(&pod, "ns", "a", obj_uid(1), NULL);
	obj_owned(&pod, "batch/v1", "Job", "once", obj_uid(200));
	put(&w, &pod, SEC);
	inventory_stats(w.v, &s);
	assert_int_equal(s.pods, 1);
	assert_int_equal(s.owners, 2);
	assert_int_equal(s.owners_referenced, 1); /* the Job was not seen */
	assert_int_equal(s.strings, 5);		  /* a namespace, two kinds, two versions */
	assert_int_equal(s.applied, 2);
	assert_int_equal(s.changed, 2);
	assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &rs.o), 0);
	put(&w, &pod, SEC);
	inventory_delete_owner(w.v, obj_uid(100), SEC);
	inventory_delete_pod(w.v, obj_uid(1), SEC);
	inventory_stats(w.v, &s);
	assert_int_equal(s.applied, 4);
	assert_int_equal(s.changed, 2);
	assert_int_equal(s.unchanged, 2);
	assert_int_equal(s.deleted, 2);
	assert_int_equal(s.dead, 1);
	inventory_list_begin(w.v, w.src);
	inventory_list_end(w.v, w.src, SEC);
	inventory_stats(w.v, &s);
	assert_int_equal(s.swept, 0); /* nobody was left */
	world_done(&w);
}

static void a_late_owner_touches_its_pods(void **state)
{
	struct world w;
	struct obj pod, rs;

	(void)state;
	world_init(&w, false);
	obj_pod(&pod, "ns", "a", obj_uid(1), "10.0.0.1");
	obj_owned(&pod, "apps/v1", "ReplicaSet", "web-1", obj_uid(100));
	put(&w, &pod, SEC);
	assert_int_equal(drain(&w), 1);
	obj_owner(&rs, "apps/v1", "ReplicaSet", "ns", "web-1", obj_uid(100));
	assert_int_equal(inventory_apply_owner(w.v, 0, SEC, &rs.o), 0);
	assert_int_equal(drain(&w), 1);
	assert_int_equal(inventory_apply_owner(w.v, 0, SEC, &rs.o), 0);
	assert_int_equal(drain(&w), 0);
	obj_owned(&rs, "apps/v1", "Deployment", "web", obj_uid(200));
	assert_int_equal(inventory_apply_owner(w.v, 0, SEC, &rs.o), 0); /* adopted */
	assert_int_equal(drain(&w), 1);
	obj_owner(&rs, "apps/v1", "ReplicaSet", "ns", "nobodys", obj_uid(101));
	assert_int_equal(inventory_apply_owner(w.v, 0, SEC, &rs.o), 0); /* node scope: not kept */
	assert_int_equal(inventory_owner_by_uid(w.v, obj_uid(101)), 0);
	world_done(&w);
}

/* Owners that own each other, or themselves, in every order of arriving and leaving. */
static void circles_of_owners_end(void **state)
{
	struct world w;
	struct obj a, b, pod;
	struct inventory_stats s;

	(void)state;
	for (int cluster = 0; cluster < 2; cluster++) {
		world_init(&w, cluster);
		obj_pod(&pod, "ns", "p", obj_uid(1), "10.0.0.1");
		obj_owned(&pod, "x/v1", "A", "a", obj_uid(10));
		put(&w, &pod, SEC);
		obj_owner(&a, "x/v1", "A", "ns", "a", obj_uid(10));
		obj_owned(&a, "x/v1", "B", "b", obj_uid(11));
		obj_owner(&b, "x/v1", "B", "ns", "b", obj_uid(11));
		obj_owned(&b, "x/v1", "A", "a", obj_uid(10));
		assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &a.o), 0);
		assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &b.o), 0);
		a.owner.uid = obj_uid(10);
		assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &a.o), 0);
		a.owner.uid = obj_uid(11);
		assert_int_equal(inventory_apply_owner(w.v, w.src, SEC, &a.o), 0);
		assert_int_equal(drain(&w), 1);
		inventory_delete_pod(w.v, obj_uid(1), SEC);
		inventory_cursor_done(w.v, w.c, inventory_by_uid(w.v, obj_uid(1)));
		(void)inventory_expire(w.v, 500 * SEC);
		inventory_delete_owner(w.v, obj_uid(10), SEC);
		inventory_delete_owner(w.v, obj_uid(11), SEC);
		inventory_stats(w.v, &s);
		assert_int_equal(s.owners, 0);
		world_done(&w);
	}
}

static void marks_stay_with_the_container_id(void **state)
{
	static const char *const other =
		"containerd://ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
	struct world w;
	struct obj b;
	pod_id id;

	(void)state;
	world_init(&w, true);
	obj_pod(&b, "ns", "a", obj_uid(1), "10.0.0.1");
	obj_container(&b, CID, "app", "web:1");
	put(&w, &b, SEC);
	id = inventory_by_uid(w.v, obj_uid(1));
	inventory_container_mark(w.v, w.c, id, 0, true);
	obj_pod(&b, "ns", "a", obj_uid(1), "10.0.0.1");
	obj_container(&b, other, "init", "web:1");
	obj_container(&b, CID, "app", "web:2");
	put(&w, &b, SEC);
	assert_false(inventory_container_marked(w.v, w.c, id, 0));
	assert_true(inventory_container_marked(w.v, w.c, id, 1));
	inventory_cursor_remove(w.v, &w.c);
	assert_int_equal(inventory_cursor_add(w.v, &ops, &w, &w.c), 0);
	assert_false(inventory_container_marked(w.v, w.c, id, 1));
	world_done(&w);
}

static void maxima_refuse_in_words_of_errno(void **state)
{
	struct inventory_opts o = inventory_defaults;
	struct inventory_stats s;
	struct inventory *v;
	struct obj b;
	uint16_t src;

	(void)state;
	o.max_pods = 1;
	o.max_owners = 1;
	assert_int_equal(inventory_new(&o, &v), 0);
	assert_int_equal(inventory_source_add(v, &src), 0);
	obj_pod(&b, "ns", "a", obj_uid(1), NULL);
	assert_int_equal(inventory_apply_pod(v, src, SEC, &b.o), 0);
	obj_pod(&b, "ns", "b", obj_uid(2), NULL);
	obj_owned(&b, "apps/v1", "ReplicaSet", "r", obj_uid(10));
	assert_int_equal(inventory_apply_pod(v, src, SEC, &b.o), -EMSGSIZE);
	assert_int_equal(inventory_owner_by_uid(v, obj_uid(10)), 0); /* nothing is left behind */
	obj_pod(&b, "ns", "a", obj_uid(1), NULL);
	obj_owned(&b, "apps/v1", "ReplicaSet", "r", obj_uid(10));
	assert_int_equal(inventory_apply_pod(v, src, SEC, &b.o), 0);
	b.owner.uid = obj_uid(11);
	assert_int_equal(inventory_apply_pod(v, src, SEC, &b.o), -EMSGSIZE);
	inventory_stats(v, &s);
	assert_int_equal(s.refused_full, 2); /* a pod, an owner */
	inventory_free(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_by_every_key),
		cmocka_unit_test(odd_uids_and_ids_are_kept_as_text),
		cmocka_unit_test(ids_that_are_too_long_are_left_out),
		cmocka_unit_test(any_number_of_runtimes),
		cmocka_unit_test(only_real_changes_reach_the_log),
		cmocka_unit_test(a_relist_of_the_same_is_silent_and_a_missing_pod_dies),
		cmocka_unit_test(addresses_belong_to_pods_for_a_time),
		cmocka_unit_test(the_one_address_of_a_pod),
		cmocka_unit_test(dead_pods_wait_for_cursors_and_linger),
		cmocka_unit_test(the_bound_on_dead_pods_tells_the_cursor),
		cmocka_unit_test(a_dead_pod_that_is_listed_again_lives),
		cmocka_unit_test(owners_are_remembered_while_referred_to),
		cmocka_unit_test(figures),
		cmocka_unit_test(a_late_owner_touches_its_pods),
		cmocka_unit_test(circles_of_owners_end),
		cmocka_unit_test(marks_stay_with_the_container_id),
		cmocka_unit_test(maxima_refuse_in_words_of_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
