/*
 * What is kept of a remote end comes back as it was, for as long and for whom it holds.
 */
#include "match/memo.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static struct end_memo *memo;
static struct addr ip;
static struct end_memo_key key;
static struct end_text text; /* of what was found */
static struct flow_end found;

static int setup(void **state)
{
	(void)state;
	key = (struct end_memo_key){.ip = &ip, .edition = 7};
	return addr_parse(STR("10.1.0.1"), &ip) < 0 ? -1 : end_memo_new(&memo);
}

static int teardown(void **state)
{
	(void)state;
	end_memo_free(&memo);
	return 0;
}

static bool find(nsec_t start)
{
	text = (struct end_text){0};
	return end_memo_find(memo, &key, start, &text, &found);
}

/* As the inventory tells: its own texts, but for the uid. */
static void keep(const char *uid, nsec_t from)
{
	struct flow_end e = {
		.known_by = KNOWN_ADDRESS, .pod = STR("web-1"), .workload = STR("web")};
	struct end_text t;

	(void)snprintf(t.pod_uid, sizeof(t.pod_uid), "%s", uid);
	e.pod_uid = str_of(t.pod_uid);
	end_memo_keep(memo, &key, from, &t, &e);
	memset(&t, 'x', sizeof(t));
}

static void comes_back(void **state)
{
	(void)state;
	assert_false(find(5));
	keep("u-1", 5);
	assert_true(find(5));
	assert_true(find(NSEC_NEVER));
	assert_int_equal(found.known_by, KNOWN_ADDRESS);
	assert_true(str_eq(found.pod, STR("web-1")));
	assert_true(str_eq(found.workload, STR("web")));
	assert_true(str_eq(found.pod_uid, STR("u-1")));
	assert_ptr_equal(found.pod_uid.p, text.pod_uid);
	keep("u-2", 6);
	assert_true(find(6));
	assert_true(str_eq(found.pod_uid, STR("u-2")));
}

/* As the feed tells: a pod that is its own workload. */
static void comes_back_as_a_peer(void **state)
{
	struct end_text t = {.peer = "alone"};
	struct flow_end e = {.pod = str_of(t.peer), .ns = STR("shop"), .workload = str_of(t.peer)};

	(void)state;
	end_memo_keep(memo, &key, 5, &t, &e);
	t.peer[0] = 'x';
	assert_true(find(5));
	assert_true(str_eq(found.pod, STR("alone")));
	assert_true(str_eq(found.workload, STR("alone")));
	assert_ptr_equal(found.pod.p, text.peer);
	assert_ptr_equal(found.workload.p, text.peer);
	assert_true(str_eq(found.ns, STR("shop")));
}

static void holds_for_no_other(void **state)
{
	struct addr other;

	(void)state;
	keep("u-1", 5);
	assert_false(find(4));
	key.by_peers = true;
	assert_false(find(5));
	key.by_peers = false;
	key.edition++;
	assert_false(find(5));
	key.edition--;
	assert_int_equal(addr_parse(STR("10.1.0.2"), &other), 0);
	key.ip = &other;
	assert_false(find(5));
	key.ip = &ip;
	assert_true(find(5));
}

static void long_text_is_not_kept(void **state)
{
	char uid[65] = "";

	(void)state;
	memset(uid, 'u', 64);
	keep(uid, 5);
	assert_false(find(5));
	uid[63] = '\0';
	keep(uid, 5);
	assert_true(find(5));
	assert_true(str_eq(found.pod_uid, str_of(uid)));
}

/* More addresses than there are places: who is found is always the right one. */
static void many(void **state)
{
	uint32_t n = 0;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		char uid[16];

		ip.b[14] = (uint8_t)(i >> 8);
		ip.b[15] = (uint8_t)i;
		(void)snprintf(uid, sizeof(uid), "u-%u", i);
		keep(uid, 5);
	}
	for (unsigned int i = 0; i < 2000; i++) {
		char uid[16];

		ip.b[14] = (uint8_t)(i >> 8);
		ip.b[15] = (uint8_t)i;
		(void)snprintf(uid, sizeof(uid), "u-%u", i);
		if (!find(5))
			continue;
		n++;
		assert_true(str_eq(found.pod_uid, str_of(uid)));
	}
	assert_in_range(n, 200, 256);
}

static void without_a_memo(void **state)
{
	struct flow_end e = {.known_by = KNOWN_ADDRESS};

	(void)state;
	text = (struct end_text){0};
	end_memo_keep(NULL, &key, 5, &text, &e);
	assert_false(end_memo_find(NULL, &key, 5, &text, &found));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(comes_back),
		TEST(comes_back_as_a_peer),
		TEST(holds_for_no_other),
		TEST(long_text_is_not_kept),
		TEST(many),
		TEST(without_a_memo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
