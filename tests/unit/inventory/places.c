/*
 * What flow ends look up: claims on addresses, static pods by their config hash,
 * container names; and Services and Nodes by address.
 */
#include "inventory/inventory.h"

#include "base/mem.h"
#include "tests/lib/objects.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC

static struct inventory *v;
static uint16_t source;

static int setup(void **state)
{
	(void)state;
	if (inventory_new(&inventory_defaults, &v) < 0)
		return -1;
	return inventory_source_add(v, &source);
}

static int teardown(void **state)
{
	(void)state;
	inventory_free(&v);
	return 0;
}

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(text), &a), 0);
	return a;
}

static int apply(unsigned int uid, enum kind kind, const char *name, const char *a, const char *b,
		 nsec_t now)
{
	struct str external[] = {str_of(b)};
	struct obj o;

	obj_init(&o, kind == KIND_NODE ? "" : "shop", name, obj_uid(uid));
	o.o.place.cluster_ip = str_of(a);
	o.o.place.external_ips = external;
	o.o.place.n_external_ips = b ? 1 : 0;
	return inventory_apply_place(v, source, now, kind, &o.o);
}

/* "web [1, 5) db [5, )": who claimed the address, in seconds. */
static void expect_claims(const char *address, const char *want)
{
	struct inv_claim c[8];
	const struct addr a = ip(address);
	uint32_t n = inventory_place_claims(v, &a, c, ARRAY_SIZE(c));
	char got[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct inv_place_view p;

		assert_true(inventory_place(v, c[i].id, &p));
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%.*s [%llu, ",
					 i ? " " : "", STR_ARG(p.name),
					 (unsigned long long)(c[i].from / SEC));
		if (c[i].to != NSEC_NEVER)
			used += (size_t)snprintf(got + used, sizeof(got) - used, "%llu",
						 (unsigned long long)(c[i].to / SEC));
		used += (size_t)snprintf(got + used, sizeof(got) - used, ")");
	}
	assert_string_equal(got, want);
}

/* True: there is another since it was asked last. */
static bool new_edition(void)
{
	static uint64_t last;
	const uint64_t now = inventory_edition(v);
	const bool other = now != last;

	last = now;
	return other;
}

static void what_changes_makes_an_edition(void **state)
{
	(void)state;
	(void)new_edition();
	assert_false(new_edition());
	assert_int_equal(apply(1, KIND_SERVICE, "web", "10.96.0.1", NULL, 1 * SEC), 0);
	assert_true(new_edition());
	expect_claims("10.96.0.1", "web [1, )");
	assert_false(new_edition());
	inventory_delete_place(v, obj_uid(1), 5 * SEC);
	assert_true(new_edition());
	(void)inventory_expire(v, 6 * SEC);
	assert_false(new_edition());
	(void)inventory_expire(v, 5 * SEC + inventory_defaults.linger);
	assert_true(new_edition());
}

static void a_service_comes_changes_and_goes(void **state)
{
	(void)state;
	assert_int_equal(apply(1, KIND_SERVICE, "web", "10.96.0.1", "192.0.2.7", 1 * SEC), 0);
	assert_int_equal(apply(2, KIND_SERVICE, "none", "None", NULL, 1 * SEC), 0);
	expect_claims("10.96.0.1", "web [1, )");
	expect_claims("192.0.2.7", "web [1, )");
	assert_int_equal(apply(1, KIND_SERVICE, "web", "10.96.0.1", "fd00::7", 3 * SEC), 0);
	expect_claims("192.0.2.7", "web [1, 3)");
	expect_claims("fd00::7", "web [3, )");
	expect_claims("10.96.0.1", "web [1, )");
	inventory_delete_place(v, obj_uid(1), 5 * SEC);
	expect_claims("10.96.0.1", "web [1, 5)");
	assert_int_equal(apply(3, KIND_SERVICE, "db", "10.96.0.1", NULL, 6 * SEC), 0);
	expect_claims("10.96.0.1", "web [1, 5) db [6, )");
	assert_int_equal(inventory_expire(v, 5 * SEC), 5 * SEC + inventory_defaults.linger);
	assert_int_equal(inventory_expire(v, 5 * SEC + inventory_defaults.linger), NSEC_NEVER);
	expect_claims("10.96.0.1", "db [6, )");
	expect_claims("192.0.2.7", "");
}

/* Two that had an address twice each, many times over: as the index grows, what lay around its end
 * comes apart, and one thing's entries stand on both sides of another's. */
static void what_was_had_twice_is_told_once(void **state)
{
	char a[32], b[32];
	struct inv_claim c[8];
	struct addr at;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		(void)snprintf(a, sizeof(a), "10.%u.%u.%u", i / 2 / 250, i / 2 % 250, 1U);
		(void)snprintf(b, sizeof(b), "10.%u.%u.%u", 100 + i / 250, i % 250, 1U);
		assert_int_equal(apply(i, KIND_SERVICE, "web", a, NULL, 1 * SEC), 0);
		assert_int_equal(apply(i, KIND_SERVICE, "web", b, NULL, 2 * SEC), 0);
		assert_int_equal(apply(i, KIND_SERVICE, "web", a, NULL, 3 * SEC), 0);
	}
	for (unsigned int i = 0; i < 1000; i++) {
		(void)snprintf(a, sizeof(a), "10.%u.%u.%u", i / 250, i % 250, 1U);
		at = ip(a);
		assert_int_equal(inventory_place_claims(v, &at, c, 8), 4);
	}
}

static void lists_sweep_their_own(void **state)
{
	struct inv_place_view p;
	const struct addr a = ip("10.0.0.2"), first = ip("10.0.0.1");
	struct inv_claim c;

	(void)state;
	assert_int_equal(apply(1, KIND_NODE, "n-1", "10.0.0.1", NULL, 1 * SEC), 0);
	inventory_list_begin(v, source);
	assert_int_equal(apply(2, KIND_NODE, "n-2", "10.0.0.2", NULL, 2 * SEC), 0);
	inventory_list_end(v, source, 3 * SEC);
	assert_true(inventory_listed_at(v) == 3 * SEC);
	/* Between the last event and the list it may have gone at any time. */
	assert_int_equal(inventory_place_claims(v, &first, &c, 1), 1);
	assert_true(c.to == 3 * SEC && c.heard == 1 * SEC);
	expect_claims("10.0.0.1", "n-1 [1, 3)");
	expect_claims("10.0.0.2", "n-2 [2, )");
	assert_int_equal(inventory_place_claims(v, &a, &c, 1), 1);
	assert_true(c.listed);
	assert_true(inventory_place(v, c.id, &p));
	assert_int_equal(p.kind, KIND_NODE);
	/* It lives again: the list was wrong. */
	assert_int_equal(apply(1, KIND_NODE, "n-1", "10.0.0.1", NULL, 4 * SEC), 0);
	expect_claims("10.0.0.1", "n-1 [1, )");
	assert_int_equal(inventory_expire(v, 1000 * SEC), NSEC_NEVER);
}

static void too_many_addresses_and_no_uid(void **state)
{
	static char text[100][24];
	static struct str ips[100];
	struct obj o;

	(void)state;
	assert_int_equal(apply(1, KIND_SERVICE, "x", "10.0.0.1", NULL, SEC), 0);
	obj_init(&o, "shop", "many", obj_uid(2));
	for (int i = 0; i < 100; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "10.1.0.%d", i);
		ips[i] = str_of(text[i]);
	}
	o.o.place.ips = ips;
	o.o.place.n_ips = 100;
	assert_int_equal(inventory_apply_place(v, source, SEC, KIND_SERVICE, &o.o), 0);
	expect_claims("10.1.0.63", "many [1, )");
	expect_claims("10.1.0.64", "");
	o.o.meta.uid = STR("");
	assert_int_equal(inventory_apply_place(v, source, SEC, KIND_SERVICE, &o.o), -EINVAL);
	/* None of its addresses stays: of those it had, some are remembered. */
	obj_init(&o, "shop", "many", obj_uid(2));
	assert_int_equal(inventory_apply_place(v, source, 2 * SEC, KIND_SERVICE, &o.o), 0);
	expect_claims("10.1.0.7", "many [1, 2)");
	expect_claims("10.1.0.8", "");
}

static void the_dead_are_bounded(void **state)
{
	struct inventory_stats before, after;

	(void)state;
	inventory_stats(v, &before);
	for (unsigned int i = 0; i < 10100; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s-%u", i);
		assert_int_equal(apply(i, KIND_SERVICE, name, "10.96.0.1", NULL, SEC), 0);
		inventory_delete_place(v, obj_uid(i), SEC);
	}
	const struct addr a = ip("10.96.0.1");
	struct inv_claim c;
	assert_int_equal(inventory_place_claims(v, &a, &c, 1), 10000);
	(void)inventory_expire(v, 1000 * SEC);
	assert_int_equal(inventory_place_claims(v, &a, &c, 1), 0);
	inventory_stats(v, &after);
	assert_int_equal(before.strings, after.strings);
}

/* ---- the change log -------------------------------------------------------------------------- */

static struct {
	struct inv_cursor *cursor;
	char freed[128];
} log_;

static void note_pod(void *ctx, pod_id id)
{
	size_t n = strlen(log_.freed);
	struct inv_pod_view p;

	(void)ctx;
	assert_true(inventory_pod(v, id, &p)); /* it is still there to be looked at */
	(void)snprintf(log_.freed + n, sizeof(log_.freed) - n, "pod %.*s ", STR_ARG(p.name));
}

static void note_place(void *ctx, place_id id)
{
	size_t n = strlen(log_.freed);
	struct inv_place_view p;

	(void)ctx;
	assert_true(inventory_place(v, id, &p));
	(void)snprintf(log_.freed + n, sizeof(log_.freed) - n, "place %.*s ", STR_ARG(p.name));
}

static void expect_changed(const char *want)
{
	char got[128] = "";
	size_t n = 0;
	place_id id;

	while ((id = inventory_cursor_next_place(v, log_.cursor))) {
		struct inv_place_view p;

		assert_true(inventory_place(v, id, &p));
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%.*s%s ", STR_ARG(p.name),
				      p.dead ? "(dead)" : "");
	}
	assert_string_equal(got, want);
}

static void changes_are_seen_once(void **state)
{
	static const struct inv_cursor_ops ops = {.pod_freed = note_pod, .place_freed = note_place};

	(void)state;
	log_.freed[0] = '\0';
	assert_int_equal(apply(1, KIND_SERVICE, "a", "10.96.0.1", NULL, SEC), 0);
	assert_int_equal(inventory_cursor_add(v, &ops, NULL, &log_.cursor), 0);
	assert_int_equal(apply(2, KIND_SERVICE, "b", "10.96.0.2", NULL, SEC), 0);
	expect_changed("a b ");
	expect_changed("");
	/* A Node says that it is well every few minutes. */
	assert_int_equal(apply(1, KIND_SERVICE, "a", "10.96.0.1", NULL, 2 * SEC), 0);
	expect_changed("");
	assert_int_equal(apply(1, KIND_SERVICE, "a", "10.96.0.9", NULL, 3 * SEC), 0);
	assert_int_equal(apply(2, KIND_SERVICE, "c", "10.96.0.2", NULL, 3 * SEC), 0);
	assert_int_equal(apply(1, KIND_NODE, "a", "10.96.0.9", NULL, 3 * SEC), 0);
	expect_changed("c a ");
	inventory_delete_place(v, obj_uid(1), 4 * SEC);
	inventory_delete_place(v, obj_uid(1), 4 * SEC);
	expect_changed("a(dead) ");
	assert_int_equal(apply(1, KIND_NODE, "a", "10.96.0.9", NULL, 5 * SEC), 0);
	expect_changed("a ");
	inventory_delete_place(v, obj_uid(1), 6 * SEC); /* the one the cursor stands on goes */
	(void)inventory_expire(v, 1000 * SEC);
	assert_string_equal(log_.freed, "place a ");
	expect_changed("");
	assert_int_equal(apply(3, KIND_SERVICE, "d", "10.96.0.3", NULL, 1001 * SEC), 0);
	expect_changed("d ");
	inventory_cursor_rewind(v, log_.cursor);
	expect_changed("c d ");
	inventory_cursor_remove(v, &log_.cursor);
}

static void freed_pods_are_told(void **state)
{
	static const struct inv_cursor_ops ops = {.pod_freed = note_pod};
	struct inv_claim c;
	struct addr at;
	struct obj b;
	pod_id id;

	(void)state;
	log_.freed[0] = '\0';
	assert_int_equal(inventory_cursor_add(v, &ops, NULL, &log_.cursor), 0);
	obj_pod(&b, "shop", "web", obj_uid(1), "10.1.0.1");
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	obj_pod(&b, "shop", "web", obj_uid(1), "10.1.0.2");
	assert_int_equal(inventory_apply_pod(v, source, 2 * SEC, &b.o), 0);
	id = inventory_cursor_next(v, log_.cursor);
	assert_true(inventory_pod_claim(v, id, 0, &at, &c));
	assert_true(c.from == 2 * SEC && c.to == NSEC_NEVER && c.heard == NSEC_NEVER);
	assert_true(inventory_pod_claim(v, id, 1, &at, &c));
	assert_true(c.from == SEC && c.to == 2 * SEC && c.id == id);
	assert_false(inventory_pod_claim(v, id, 2, &at, &c));
	inventory_delete_pod(v, obj_uid(1), 3 * SEC);
	assert_true(inventory_pod_claim(v, id, 0, &at, &c));
	assert_true(c.to == 3 * SEC);
	(void)inventory_expire(v, 1000 * SEC);
	assert_string_equal(log_.freed, ""); /* somebody may still need it */
	inventory_cursor_done(v, log_.cursor, id);
	(void)inventory_expire(v, 1000 * SEC);
	assert_string_equal(log_.freed, "pod web ");
	inventory_cursor_remove(v, &log_.cursor);
}

static int places_with_little_memory(void *ctx)
{
	int r;

	(void)ctx;
	r = inventory_new(&inventory_defaults, &v);
	for (unsigned int i = 0; r == 0 && i < 200; i++) {
		char name[16], a[16];

		(void)snprintf(name, sizeof(name), "s-%u", i % 90);
		(void)snprintf(a, sizeof(a), "10.0.0.%u", i);
		source = 0;
		r = apply(i % 90, KIND_SERVICE, name, a, NULL, SEC);
	}
	inventory_free(&v);
	return r;
}

static void places_torture(void **state)
{
	(void)state;
	assert_int_equal(torture_run(places_with_little_memory, NULL), 0);
}

/* ---- pods ------------------------------------------------------------------------------------ */

#define HASH "0123456789abcdef0123456789abcdef"

static void mirror(unsigned int uid, const char *hash, bool is_mirror)
{
	struct obj b;

	obj_pod(&b, "kube-system", "etcd-1", obj_uid(uid), "10.0.0.1");
	b.o.pod.host_network = true;
	b.o.meta.config_hash = str_of(hash);
	b.o.meta.config_mirror = is_mirror ? str_of(hash) : (struct str){0};
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
}

static void static_pods_by_their_hash(void **state)
{
	struct inv_pod_view p;

	(void)state;
	mirror(1, HASH, true);
	mirror(9, "fedcba9876543210fedcba9876543210", false); /* anybody may write one annotation */
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), inventory_by_uid(v, obj_uid(1)));
	assert_int_equal(inventory_by_static_hash(v, STR("fedcba9876543210fedcba9876543210")), 0);
	assert_int_equal(inventory_by_static_hash(v, STR("")), 0);
	assert_true(inventory_pod(v, inventory_by_uid(v, obj_uid(1)), &p));
	assert_true(str_eq(p.static_hash, STR(HASH)));
	/* Two that live claim it: neither. The mirror is made anew: the live one. */
	mirror(2, HASH, true);
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), 0);
	inventory_delete_pod(v, obj_uid(1), 2 * SEC);
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), inventory_by_uid(v, obj_uid(2)));
	inventory_delete_pod(v, obj_uid(2), 3 * SEC);
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), inventory_by_uid(v, obj_uid(2)));
	(void)inventory_expire(v, 1000 * SEC);
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), 0);
	mirror(3, HASH, true);
	mirror(3, "00000000000000000000000000000000", true);
	assert_int_equal(inventory_by_static_hash(v, STR(HASH)), 0);
}

static void containers_have_names(void **state)
{
	static const char id[] = "containerd://"
				 "00000000000000000000000000000000000000000000000000000000000000aa";
	struct str name = STR("?");
	struct obj b;

	(void)state;
	obj_pod(&b, "shop", "web", obj_uid(1), "10.1.0.1");
	obj_container(&b, "odd-id", "side", "image");
	obj_container(&b, id, "main", "image");
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	assert_int_equal(inventory_container_name(v, str_of(id + 13), &name),
			 inventory_by_uid(v, obj_uid(1)));
	assert_true(str_eq(name, STR("main")));
	assert_int_not_equal(inventory_container_name(v, STR("odd-id"), &name), 0);
	assert_true(str_eq(name, STR("side")));
	assert_int_equal(inventory_container_name(v, STR("other"), &name), 0);
}

/* The pod's claims carry since when it surely had the address, and what a list makes of that. */
static void claims_of_pods(void **state)
{
	const struct addr a = ip("10.1.0.1");
	struct inv_claim c[4];
	struct obj b;

	(void)state;
	obj_pod(&b, "shop", "web", obj_uid(1), "10.1.0.1");
	obj_container(&b, "", "early", "image");
	obj_container(&b, "", "late", "image");
	b.containers[0].started = 1700000100;
	b.containers[1].started = 1700000050;
	assert_int_equal(inventory_apply_pod(v, source, 5 * SEC, &b.o), 0);
	assert_int_equal(inventory_pod_claims(v, &a, c, 4), 1);
	assert_int_equal(c[0].running, 1700000050);
	assert_false(c[0].listed);
	b.containers[1].state = CONTAINER_TERMINATED;
	assert_int_equal(inventory_apply_pod(v, source, 6 * SEC, &b.o), 0);
	assert_int_equal(inventory_pod_claims(v, &a, c, 4), 1);
	assert_int_equal(c[0].running, 1700000100);
	assert_true(c[0].from == 5 * SEC && c[0].to == NSEC_NEVER);
	inventory_list_begin(v, source);
	inventory_list_end(v, source, 9 * SEC); /* it is swept: it may have ended since 6 s */
	assert_int_equal(inventory_pod_claims(v, &a, c, 4), 1);
	assert_true(c[0].to == 9 * SEC && c[0].heard == 6 * SEC);
	inventory_list_begin(v, source);
	assert_int_equal(inventory_apply_pod(v, source, 10 * SEC, &b.o), 0);
	obj_pod(&b, "shop", "db", obj_uid(2), "10.1.0.1");
	assert_int_equal(inventory_apply_pod(v, source, 10 * SEC, &b.o), 0);
	inventory_list_end(v, source, 11 * SEC);
	assert_int_equal(inventory_pod_claims(v, &a, c, 1), 2); /* counted, not filled in */
	assert_int_equal(inventory_pod_claims(v, &a, c, 4), 2);
	assert_true(c[0].listed != c[1].listed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_changes_makes_an_edition, setup, teardown),
		cmocka_unit_test_setup_teardown(a_service_comes_changes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_had_twice_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_sweep_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_addresses_and_no_uid, setup, teardown),
		cmocka_unit_test_setup_teardown(the_dead_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_are_seen_once, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_pods_are_told, setup, teardown),
		cmocka_unit_test(places_torture),
		cmocka_unit_test_setup_teardown(static_pods_by_their_hash, setup, teardown),
		cmocka_unit_test_setup_teardown(containers_have_names, setup, teardown),
		cmocka_unit_test_setup_teardown(claims_of_pods, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
