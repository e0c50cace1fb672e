/*
 * Names of CustomResourceDefinitions, to a strict stand-in of the scanner: new ones when
 * it is quiet, deletions at once, each once, at most 200 at a time, whatever fails.
 */
#include "sink/capabilities/capabilities.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"
#include "tests/lib/fake.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MS	 NSEC_PER_MSEC
#define DEBOUNCE (300 * MS)
#define SCAN	 "/api/v1/capabilities/scan"

struct rig {
	struct event_base *base;
	struct http *http;
	struct fake fake;
	struct store *store;
	store_kind kind, other;
	uint16_t source, other_source;
	struct arena arena;
	struct capabilities *c;
};

static void apply(struct rig *r, uint16_t source, const char *kind, const char *name, int uid,
		  int version)
{
	char json[512];
	struct tree *t;

	(void)snprintf(
		json, sizeof(json),
		"{\"apiVersion\":\"v1\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\",\"uid\":"
		"\"00000000-0000-4000-8000-%012d\",\"resourceVersion\":\"%d\"},\"spec\":{\"n\":%d}"
		"}",
		kind, name, uid, version, version);
	arena_reset(&r->arena);
	assert_int_equal(tree_parse(&r->arena, str_of(json), &t), 0);
	assert_int_equal(store_apply(r->store, source, clock_mono(), t), 0);
}

static void define(struct rig *r, int i, int version)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "k%d.example.com", i);
	apply(r, r->source, "CustomResourceDefinition", name, i + 1, version);
}

static void undefine(struct rig *r, int i)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "k%d.example.com", i);
	store_delete(r->store, r->source, (struct str){0}, str_of(name), (struct str){0},
		     clock_mono());
}

static void make_store(struct rig *r)
{
	const struct store_opts o = {0};
	const struct store_kind_opts crds = {.group = STR("apiextensions.k8s.io"),
					     .version = STR("v1"),
					     .kind = STR("CustomResourceDefinition"),
					     .plural = STR("customresourcedefinitions")};
	const struct store_kind_opts nodes = {
		.version = STR("v1"), .kind = STR("Node"), .plural = STR("nodes")};
	_buf_ struct buf e = {.max = 512};

	assert_int_equal(store_new(&o, &r->store), 0);
	assert_int_equal(store_kind_add(r->store, &crds, &r->kind, &e), 0);
	assert_int_equal(store_kind_add(r->store, &nodes, &r->other, &e), 0);
	assert_int_equal(store_source_add(r->store, r->kind, (struct str){0}, &r->source), 0);
	assert_int_equal(store_source_add(r->store, r->other, (struct str){0}, &r->other_source),
			 0);
}

static int setup(void **state)
{
	static struct rig r;
	struct http_opts ho = {0};
	char url[256];

	r = (struct rig){.base = event_base_new()};
	*state = &r;
	arena_init(&r.arena, 1UL << 20);
	ho.base = r.base;
	assert_int_equal(http_new(&ho, &r.http), 0);
	make_store(&r);
	if (!fake_possible())
		return 0;
	fake_start(&r.fake, r.base, r.http, &(struct fake_opts){.script = "whisperer.py"});
	{
		const struct capabilities_opts o = {
			.base = r.base,
			.http = r.http,
			.store = r.store,
			.url = str_of(fake_url(&r.fake, SCAN, url, sizeof(url))),
			.debounce = DEBOUNCE,
			.seed = 1};
		_buf_ struct buf e = {.max = 512};

		assert_int_equal(capabilities_new(&o, &r.c, &e), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	capabilities_free(&r->c);
	fake_stop(&r->fake);
	http_free(&r->http);
	store_free(&r->store);
	arena_done(&r->arena);
	event_base_free(r->base);
	return 0;
}

#define NEEDS_FAKE(r)           \
	do {                    \
		if (!(r)->c)    \
			skip(); \
	} while (0)

static void turn(struct rig *r, nsec_t span)
{
	nsec_t until = clock_mono() + span;

	do {
		(void)event_base_loop(r->base, EVLOOP_NONBLOCK);
		usleep(1000);
	} while (clock_mono() < until);
}

static struct capabilities_status status(struct rig *r)
{
	struct capabilities_status s;

	capabilities_status(r->c, &s);
	return s;
}

/* Until nothing waits, 20 s at most. */
static void settle(struct rig *r)
{
	nsec_t until = clock_mono() + 20 * NSEC_PER_SEC;

	turn(r, 50 * MS); /* what was applied is looked at */
	while (status(r).waiting && clock_mono() < until)
		turn(r, 20 * MS);
	assert_int_equal(status(r).waiting, 0);
	turn(r, 50 * MS);
}

static size_t names(struct rig *r)
{
	json_t *dump = fake_ask(&r->fake, "GET", "/_fake/dump", NULL);
	const size_t n = json_array_size(json_object_get(dump, "capabilities"));

	json_decref(dump);
	return n;
}

static void expect_names(struct rig *r, size_t n)
{
	assert_int_equal(names(r), n);
	assert_int_equal(fake_complaints(&r->fake), 0);
}

static void new_ones_wait_for_quiet_and_go_together(void **state)
{
	struct rig *r = *state;
	nsec_t longest = 0;
	uint64_t requests;

	NEEDS_FAKE(r);
	for (int i = 0; i < 5; i++) {
		const nsec_t at = clock_mono();

		define(r, i, 1);
		turn(r, 30 * MS);
		longest = MAX(longest, clock_mono() - at);
	}
	apply(r, r->other_source, "Node", "n", 99, 1);
	requests = status(r).requests;
	settle(r);
	if (longest < DEBOUNCE) { /* else the machine stood still, and that was quiet */
		assert_int_equal(requests, 0);
		assert_int_equal(status(r).requests, 1);
	}
	requests = status(r).requests;
	expect_names(r, 5);
	define(r, 2, 2); /* a change is none */
	turn(r, 2 * DEBOUNCE);
	assert_int_equal(status(r).requests, requests);
}

static void deletions_go_at_once(void **state)
{
	struct rig *r = *state;
	nsec_t defined;
	uint64_t upserts;
	size_t n;

	NEEDS_FAKE(r);
	for (int i = 0; i < 3; i++)
		define(r, i, 1);
	settle(r);
	defined = clock_mono();
	undefine(r, 1);
	define(r, 7, 1); /* waits */
	undefine(r, 8);	 /* was never there */
	for (int i = 0; i < 2000 && status(r).deletes == 0; i++)
		turn(r, 5 * MS);
	upserts = status(r).upserts;
	n = names(r);
	if (clock_mono() - defined < DEBOUNCE) { /* else it has waited long enough */
		assert_int_equal(upserts, 3);
		assert_int_equal(n, 2);
	}
	settle(r);
	expect_names(r, 3);
	define(r, 9, 1); /* comes and goes before it is told */
	turn(r, 20 * MS);
	undefine(r, 9);
	settle(r);
	expect_names(r, 3);
}

static void many_go_in_pieces(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	for (int i = 0; i < 450; i++)
		define(r, i, 1);
	settle(r);
	assert_int_equal(status(r).requests, 3);
	expect_names(r, 450);
}

static void failures_are_made_good(void **state)
{
	struct rig *r = *state;

	NEEDS_FAKE(r);
	fake_fault(&r->fake, "{\"status\": 429}");
	define(r, 1, 1);
	define(r, 2, 1);
	for (int i = 0; i < 500 && status(r).retries == 0; i++)
		turn(r, 20 * MS);
	assert_true(status(r).failing);
	undefine(r, 2); /* was in the request that failed */
	settle(r);
	assert_false(status(r).failing);
	assert_int_equal(status(r).names, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_ones_wait_for_quiet_and_go_together, setup,
						teardown),
		cmocka_unit_test_setup_teardown(deletions_go_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(many_go_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(failures_are_made_good, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
