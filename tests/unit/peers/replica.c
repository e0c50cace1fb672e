/*
 * The replica: what records make of it, and what they must not.
 */
#include "peers/replica.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC

enum { SHOP = 1, DEPLOYMENT, WEB, NODE_1, DB }; /* names */

static struct replica *r;
static struct peerfeed_record rec;

static int setup(void **state)
{
	(void)state;
	return replica_new(1 << 20, &r);
}

static int teardown(void **state)
{
	(void)state;
	replica_free(&r);
	return 0;
}

static struct addr ip(const char *text)
{
	struct addr a;

	if (addr_parse(str_of(text), &a) < 0)
		abort();
	return a;
}

static int name(uint32_t id, uint32_t ns, uint32_t kind, const char *text)
{
	rec = (struct peerfeed_record){
		.type = PEERFEED_NAME, .id = id, .ns = ns, .kind = kind, .text = str_of(text)};
	return replica_apply(r, &rec);
}

static int names(void)
{
	int e = name(SHOP, 0, 0, "shop");

	e = e ? e : name(DEPLOYMENT, 0, 0, "Deployment");
	e = e ? e : name(WEB, SHOP, DEPLOYMENT, "web");
	return e ? e : name(NODE_1, 0, 0, "node-1");
}

static int pod(uint32_t id, uint32_t workload, uint8_t shared, const char *tail,
	       const char *address, nsec_t from)
{
	rec = (struct peerfeed_record){.type = PEERFEED_POD,
				       .id = id,
				       .workload = workload,
				       .ns = workload ? 0 : SHOP,
				       .node = NODE_1,
				       .shared = shared,
				       .text = str_of(tail),
				       .n_claims = 1};
	rec.claims[0] = (struct peerfeed_claim){
		.ip = ip(address), .from = from, .to = NSEC_NEVER, .heard = NSEC_NEVER};
	return replica_apply(r, &rec);
}

static int simple(enum peerfeed_type type, uint32_t id, nsec_t to)
{
	rec = (struct peerfeed_record){.type = type, .id = id, .to = to, .heard = to};
	return replica_apply(r, &rec);
}

/* "web-1 [5, )": the claims on an address, in seconds. */
static void expect(const char *address, enum kind kind, const char *want)
{
	const struct addr a = ip(address);
	struct inv_claim c[8];
	const uint32_t n = replica_claims(r, &a, kind, c, 8);
	char got[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct replica_thing t;

		assert_true(replica_thing(r, c[i].id, &t));
		assert_int_equal(t.kind, kind);
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%s [%llu, ",
					 i ? " " : "", t.name,
					 (unsigned long long)(c[i].from / SEC));
		if (c[i].to != NSEC_NEVER)
			used += (size_t)snprintf(got + used, sizeof(got) - used, "%llu",
						 (unsigned long long)(c[i].to / SEC));
		used += (size_t)snprintf(got + used, sizeof(got) - used, ")");
	}
	assert_string_equal(got, want);
}

static void a_pod_comes_ends_and_is_forgotten(void **state)
{
	struct replica_thing t;
	struct replica_stats st;
	struct inv_claim c;
	const struct addr a = ip("10.1.0.1");

	(void)state;
	assert_int_equal(names(), 0);
	assert_int_equal(pod(2, WEB, 3, "-1", "10.1.0.1", 5 * SEC), 0);
	expect("10.1.0.1", KIND_POD, "web-1 [5, )");
	expect("10.1.0.1", KIND_SERVICE, "");
	expect("10.1.0.2", KIND_POD, "");
	assert_int_equal(replica_claims(r, &a, KIND_POD, &c, 1), 1);
	assert_true(replica_thing(r, c.id, &t));
	assert_true(str_eq(t.ns, STR("shop")) && str_eq(t.workload, STR("web")) &&
		    str_eq(t.workload_kind, STR("Deployment")) && str_eq(t.node, STR("node-1")));
	assert_int_equal(simple(PEERFEED_ENDED, 2, 9 * SEC), 0);
	assert_int_equal(simple(PEERFEED_ENDED, 2, 12 * SEC), 0); /* it has ended */
	expect("10.1.0.1", KIND_POD, "web-1 [5, 9)");
	assert_int_equal(simple(PEERFEED_FORGET, 2, 0), 0);
	assert_int_equal(simple(PEERFEED_FORGET, 2, 0), 0);
	assert_int_equal(simple(PEERFEED_ENDED, 2, 0), 0);
	expect("10.1.0.1", KIND_POD, "");
	replica_stats(r, &st);
	assert_int_equal(st.pods, 0);
	assert_int_equal(replica_next(r, 0), 0);
}

/* An address goes from one to the other, and who has it changes its own. */
static void addresses_move(void **state)
{
	(void)state;
	assert_int_equal(names(), 0);
	assert_int_equal(pod(2, WEB, 3, "-1", "10.1.0.1", 5 * SEC), 0);
	assert_int_equal(simple(PEERFEED_ENDED, 2, 9 * SEC), 0);
	assert_int_equal(pod(4, 0, 0, "alone", "10.1.0.1", 10 * SEC), 0);
	expect("10.1.0.1", KIND_POD, "web-1 [5, 9) alone [10, )");
	assert_int_equal(pod(4, 0, 0, "alone", "fd00::1", 20 * SEC), 0);
	expect("10.1.0.1", KIND_POD, "web-1 [5, 9)");
	expect("fd00::1", KIND_POD, "alone [20, )");
	replica_clear(r);
	expect("fd00::1", KIND_POD, "");
	assert_int_equal(names(), 0);
	assert_int_equal(pod(4, WEB, 0, "x", "fd00::1", SEC), 0);
	expect("fd00::1", KIND_POD, "x [1, )");
}

static void several_claims_of_one(void **state)
{
	(void)state;
	assert_int_equal(names(), 0);
	rec = (struct peerfeed_record){.type = PEERFEED_PLACE,
				       .id = 3,
				       .ns = SHOP,
				       .text = STR("dns"),
				       .listed = true,
				       .n_claims = 4};
	rec.claims[0] = (struct peerfeed_claim){
		.ip = ip("10.96.0.1"), .from = 8 * SEC, .to = NSEC_NEVER, .heard = NSEC_NEVER};
	rec.claims[1] = rec.claims[0];
	rec.claims[1].ip = ip("fd00::1");
	rec.claims[2] = (struct peerfeed_claim){
		.ip = ip("10.96.0.1"), .from = SEC, .to = 2 * SEC, .heard = 2 * SEC};
	rec.claims[3] = rec.claims[2];
	rec.claims[3].from = 4 * SEC;
	rec.claims[3].to = rec.claims[3].heard = 5 * SEC;
	assert_int_equal(replica_apply(r, &rec), 0);
	expect("10.96.0.1", KIND_SERVICE, "dns [8, ) dns [1, 2) dns [4, 5)");
	expect("fd00::1", KIND_SERVICE, "dns [8, )");
	rec.is_node = true; /* the same entry becomes another thing */
	assert_int_equal(replica_apply(r, &rec), 0);
	expect("fd00::1", KIND_SERVICE, "");
	expect("fd00::1", KIND_NODE, "dns [8, )");
	assert_int_equal(simple(PEERFEED_ENDED, 3, 9 * SEC), 0);
	expect("10.96.0.1", KIND_NODE, "dns [8, 9) dns [1, 2) dns [4, 5)");
	assert_int_equal(simple(PEERFEED_LISTED, 0, 7 * SEC), 0);
	assert_true(replica_listed_at(r) == 7 * SEC);
}

static void contradictions(void **state)
{
	(void)state;
	assert_int_equal(pod(2, WEB, 3, "-1", "10.1.0.1", SEC), -EBADMSG); /* names not known */
	assert_int_equal(name(WEB, SHOP, DEPLOYMENT, "web"), -EBADMSG);
	assert_int_equal(names(), 0);
	assert_int_equal(names(), 0); /* the same again */
	assert_int_equal(name(WEB, SHOP, DEPLOYMENT, "wob"), -EBADMSG);
	assert_int_equal(name(WEB, 0, DEPLOYMENT, "web"), -EBADMSG);
	assert_int_equal(pod(2, WEB, 4, "-1", "10.1.0.1", SEC), -EBADMSG); /* more than there is */
	assert_int_equal(pod(2, NODE_1, 3, "-1", "10.1.0.1", SEC), -EBADMSG); /* no workload */
	assert_int_equal(pod(2, WEB, 3, "-1", "10.1.0.1", SEC), 0);
	assert_int_equal(simple(PEERFEED_DROP, WEB, 0), -EBADMSG); /* it is used */
	assert_int_equal(simple(PEERFEED_DROP, 77, 0), 0);
	assert_int_equal(simple(PEERFEED_FORGET, 2, 0), 0);
	assert_int_equal(simple(PEERFEED_DROP, SHOP, 0), -EBADMSG); /* by the workload */
	assert_int_equal(simple(PEERFEED_DROP, WEB, 0), 0);
	assert_int_equal(simple(PEERFEED_DROP, SHOP, 0), 0);
	assert_int_equal(name(SHOP, 0, 0, "another"), 0);
}

static void its_maximum(void **state)
{
	struct replica_stats st;
	int e = names();

	(void)state;
	for (uint32_t i = 1; e == 0; i++)
		e = pod(2 * i, WEB, 3, "-0123456789-01234", "10.1.0.1", SEC);
	assert_int_equal(e, -EMSGSIZE);
	replica_stats(r, &st);
	assert_true(st.bytes > 1 << 20 && st.bytes < (1 << 20) + 1000);
	assert_true(st.bytes / st.pods < 180);
	replica_clear(r);
	replica_stats(r, &st);
	assert_true(st.bytes < 1000);
}

static int fill(void *ctx)
{
	int e = replica_new(1 << 20, &r);

	(void)ctx;
	e = e ? e : names();
	for (uint32_t i = 1; e == 0 && i < 100; i++)
		e = pod(2 * i, WEB, 3, "-0123456789-01234", i % 2 ? "10.1.0.1" : "fd00::1", SEC);
	for (uint32_t i = 1; e == 0 && i < 100; i++)
		e = simple(i % 3 ? PEERFEED_ENDED : PEERFEED_FORGET, 2 * i, 2 * SEC);
	replica_free(&r);
	return e;
}

static void with_little_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(fill, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pod_comes_ends_and_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_move, setup, teardown),
		cmocka_unit_test_setup_teardown(several_claims_of_one, setup, teardown),
		cmocka_unit_test_setup_teardown(contradictions, setup, teardown),
		cmocka_unit_test_setup_teardown(its_maximum, setup, teardown),
		cmocka_unit_test(with_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
