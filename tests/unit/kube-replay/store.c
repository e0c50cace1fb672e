/*
 * The store against the ground truth that was taken with kubectl, and every
 * encoder against the bytes the real server sent.
 */
#include "tests/kube-replay/chunk.h"
#include "tests/kube-replay/encode.h"
#include "tests/kube-replay/meta.h"
#include "tests/kube-replay/pb.h"
#include "tests/kube-replay/read.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIR	"tests/fixtures/recorded"
#define OLD_DIR DIR "/v1.31.14"

static struct str load(struct buf *b, const char *dir, const char *name, const char *suffix)
{
	buf_init(b, READ_MAX);
	assert_int_equal(read_recorded(dir, name, suffix, b), 0);
	return buf_str(b);
}

/* One line per object: uid, namespace, name and, in column `rv_at`, the resourceVersion (0: not
 * compared). */
static void check_truth(const struct kind_store *k, const char *dir, const char *name, int rv_at)
{
	_buf_ struct buf b;
	struct str rest = load(&b, dir, name, ".tsv"), line;
	size_t n = 0, have = 0;

	for (size_t i = 0; i < k->n_objects; i++)
		have += k->cur[i] != NO_VERSION;
	str_split(&rest, '\n', &line); /* the heads of the columns */
	while (rest.n) {
		struct str col[32] = {0};
		const struct version *v;

		str_split(&rest, '\n', &line);
		for (int i = 0; i < 32; i++)
			str_split(&line, '\t', &col[i]);
		v = recorded_get(k, col[1], col[2]);
		assert_non_null(v);
		assert_true(str_eq(v->uid, col[0]));
		assert_true(rv_at == 0 || str_eq(v->rv_text, col[rv_at]));
		n++;
	}
	assert_int_equal(n, have);
	assert_true(n > 0);
}

static void check_end(const char *dir, const char *set, const char *suffix, const int *rv_at)
{
	struct store s;

	assert_int_equal(recorded_load(dir, set, &s), 0);
	for (enum kind k = 0; k < KIND_NODES; k++) {
		char name[64];

		recorded_advance(&s.kinds[k], s.kinds[k].n_events);
		snprintf(name, sizeof(name), "truth-%s%s", kind_info[k].plural, suffix);
		check_truth(&s.kinds[k], dir, name, rv_at[k]);
	}
	recorded_done(&s);
}

static const int rv_columns[KIND_NODES] = {15, 3, 3};

static void test_end_is_truth(void **state)
{
	(void)state;
	check_end(DIR, "churn", "", rv_columns);
}

static void test_old_end_is_truth(void **state)
{
	(void)state;
	check_end(OLD_DIR, "churn", "", rv_columns);
}

static void test_big_is_truth(void **state)
{
	static const int none[KIND_NODES] = {0};

	(void)state;
	/* The truth was taken a little later: two crash-looping pods had moved on. */
	check_end(DIR, "big", "-big", none);
}

static void test_bad_folder(void **state)
{
	struct store s;

	(void)state;
	assert_int_equal(recorded_load("tests/fixtures/none", "churn", &s), -ENOENT);
}

static void test_order_and_time(void **state)
{
	struct store s;

	(void)state;
	assert_int_equal(recorded_load(DIR, "churn", &s), 0);
	for (enum kind k = 0; k < KIND_NODES; k++) {
		const struct kind_store *ks = &s.kinds[k];

		assert_true(ks->n_events > 50);
		assert_int_equal(ks->n_pb_made, 0);
		for (size_t i = 1; i < ks->n_events; i++) {
			assert_true(ks->events[i].rv >= ks->events[i - 1].rv);
			assert_true(ks->events[i].ms >= ks->events[i - 1].ms);
		}
		/* The watches lasted 232 s. */
		assert_true(ks->events[ks->n_events - 1].ms > 200e3);
		assert_true(ks->events[ks->n_events - 1].ms < 240e3);
	}
	recorded_done(&s);
}

static void watch_bytes(struct buf *out, const struct kind_store *ks, enum kind k,
			struct encoding e)
{
	for (size_t i = 0; i < ks->n_events; i++) {
		const struct event *ev = &ks->events[i];

		if (ev->type == EVENT_BOOKMARK)
			bookmark_body(out, k, ks, e, ev->rv, false);
		else
			event_body(out, k, event_name[ev->type], &ks->versions[ev->version], e, 0);
	}
}

static void check_same(struct str a, struct str b)
{
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p, b.p, a.n);
}

static const char *const names[] = {"json", "meta-json", "pb", "meta-pb"};

/*
 * Metadata events are cut out of the typed ones: the recorded metadata watches prove it right.
 * `but`: a watch whose bookmarks fell on other moments than the typed one's.
 */
static void check_watches(const char *dir, const char *but)
{
	struct store s;

	assert_int_equal(recorded_load(dir, "churn", &s), 0);
	for (enum kind k = 0; k < KIND_NODES; k++)
		for (size_t i = 0; i < 4; i++) {
			_buf_ struct buf want, have;
			char name[64];

			snprintf(name, sizeof(name), "watch-%s-%s", kind_info[k].plural, names[i]);
			load(&want, dir, name, ".body");
			buf_init(&have, READ_MAX);
			watch_bytes(&have, &s.kinds[k], k,
				    (struct encoding){.pb = i > 1, .meta = i & 1});
			if (strcmp(name, but) != 0)
				check_same(buf_str(&have), buf_str(&want));
		}
	recorded_done(&s);
}

static void test_watches_as_recorded(void **state)
{
	(void)state;
	check_watches(DIR, "");
	check_watches(OLD_DIR, "watch-jobs-meta-pb");
}

static void list_bytes(struct buf *out, const struct kind_store *ks, enum kind k, struct encoding e,
		       uint64_t rv)
{
	_buf_ struct buf items;

	buf_init(&items, READ_MAX);
	for (size_t i = 0; i < ks->n_objects; i++) {
		if (ks->cur[i] == NO_VERSION)
			continue;
		if (items.n && !e.pb)
			put_z(&items, ",");
		list_item(&items, &ks->versions[ks->cur[i]], e);
	}
	list_head(out, k, e, &(struct list_meta){.rv = rv, .remaining = -1}, items.n);
	put_str(out, buf_str(&items));
	list_tail(out, e);
}

/* The pods did not change between these lists (resourceVersion 2251) and the base. */
static void test_lists_as_recorded(void **state)
{
	struct store s;

	(void)state;
	assert_int_equal(recorded_load(DIR, "churn", &s), 0);
	for (size_t i = 0; i < 4; i++) {
		_buf_ struct buf want, have;
		char name[64];

		snprintf(name, sizeof(name), "list-pods-%s", names[i]);
		load(&want, DIR, name, ".body");
		buf_init(&have, READ_MAX);
		list_bytes(&have, &s.kinds[KIND_PODS], KIND_PODS,
			   (struct encoding){.pb = i > 1, .meta = i & 1}, 2251);
		check_same(buf_str(&have), buf_str(&want));
	}
	recorded_done(&s);
}

/* The encoder for what has no recorded protobuf, against all that has it. */
static void test_meta_to_pb(void **state)
{
	struct store s;
	size_t n = 0;

	(void)state;
	assert_int_equal(recorded_load(DIR, "churn", &s), 0);
	for (enum kind k = 0; k < KIND_NODES; k++)
		for (size_t i = 0; i < s.kinds[k].n_versions; i++, n++) {
			const struct version *v = &s.kinds[k].versions[i];
			json_t *json = json_loadb(v->meta_json.p, v->meta_json.n, 0, NULL);
			_buf_ struct buf b;

			buf_init(&b, READ_MAX);
			meta_to_pb(json, &b);
			json_decref(json);
			check_same(buf_str(&b), v->meta_pb);
		}
	assert_true(n > 1000);
	recorded_done(&s);
}

static void check_status(const char *dir, const char *name, const struct status *s, bool pb)
{
	_buf_ struct buf want, have;
	struct str w = load(&want, dir, name, ".http");
	const char *body = memmem(w.p, w.n, "\r\n\r\n", 4);

	assert_non_null(body);
	buf_init(&have, 65536);
	status_body(&have, s, pb, true);
	check_same(buf_str(&have), str_from(w, (size_t)(body - w.p) + 4));
}

static void test_statuses_as_recorded(void **state)
{
	static const char forbidden[] =
		"pods is forbidden: User \"system:serviceaccount:kube-agent:nobody\" cannot list "
		"resource \"pods\" in API group \"\" at the cluster scope";
	static const char gate[] = "Forbidden: sendInitialEvents is forbidden for watch unless the "
				   "WatchList feature gate is enabled";
	struct status unauthorized = {
		.code = 401, .reason = "Unauthorized", .message = "Unauthorized"};
	struct status nobody = {
		.code = 403, .reason = "Forbidden", .message = forbidden, .kind = "pods"};
	struct status missing = {.code = 404,
				 .reason = "NotFound",
				 .message = "pods \"missing\" not found",
				 .name = "missing",
				 .kind = "pods"};
	struct status no_list = {
		.code = 422,
		.reason = "Invalid",
		.message = "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: "
			   "sendInitialEvents is forbidden for watch unless the WatchList feature "
			   "gate is enabled",
		.group = "meta.k8s.io",
		.kind = "ListOptions",
		.cause_reason = "FieldValueForbidden",
		.cause_message = gate,
		.cause_field = "sendInitialEvents"};

	(void)state;
	check_status(DIR, "err-401-badtoken", &unauthorized, false);
	check_status(DIR, "err-401-badtoken-pb", &unauthorized, true);
	check_status(DIR, "err-403-nobody", &nobody, false);
	check_status(DIR, "err-403-nobody-pb", &nobody, true);
	check_status(DIR, "err-404-pod", &missing, false);
	check_status(DIR, "err-404-pod-pb", &missing, true);
	check_status(OLD_DIR, "big-watchlist-pods-json", &no_list, false);
	check_status(OLD_DIR, "big-watchlist-pods-pb", &no_list, true);
}

struct sizes {
	struct str rest;
	size_t n;
};

static void check_chunk(void *arg, const void *p, size_t n)
{
	struct sizes *s = arg;
	struct str line, ms, size;
	unsigned long long want;

	(void)p;
	str_split(&s->rest, '\n', &line);
	str_split(&line, '\t', &ms);
	str_split(&line, '\t', &size);
	assert_int_equal(str_to_u64(size, &want), 0);
	assert_int_equal(n, want);
	s->n++;
}

/* A list is written as the head, then each item's comma or tag and its bytes, then the tail. */
static void check_chunks(const struct kind_store *ks, struct encoding e, const char *name)
{
	_buf_ struct buf times, part, all;
	struct sizes sizes = {.rest = load(&times, DIR, name, ".chunks.tsv")};
	struct chunker c = {.emit = check_chunk, .arg = &sizes};
	struct str last;

	buf_init(&part, READ_MAX);
	buf_init(&all, READ_MAX);
	for (size_t i = 0; i < ks->n_objects; i++)
		if (ks->cur[i] != NO_VERSION)
			list_item(&all, &ks->versions[ks->cur[i]], e);
	list_head(&part, KIND_PODS, e, &(struct list_meta){.rv = 2251, .remaining = -1}, all.n);
	chunk_write(&c, part.p, part.n);
	for (size_t i = 0, n = 0; i < ks->n_objects; i++) {
		size_t head;

		if (ks->cur[i] == NO_VERSION)
			continue;
		buf_reset(&part);
		if (n++ && !e.pb)
			put_z(&part, ",");
		head = part.n;
		list_item(&part, &ks->versions[ks->cur[i]], e);
		if (e.pb)
			head = part.n - list_payload(&ks->versions[ks->cur[i]], e);
		chunk_write(&c, part.p, head);
		chunk_write(&c, part.p + head, part.n - head);
	}
	buf_reset(&part);
	list_tail(&part, e);
	chunk_write(&c, part.p, part.n);
	chunk_flush(&c);
	assert_true(sizes.n > 100);
	str_split(&sizes.rest, '\n', &last); /* the empty one */
	assert_true(last.n && !sizes.rest.n);
}

static void test_chunks_as_recorded(void **state)
{
	struct store s;

	(void)state;
	assert_int_equal(recorded_load(DIR, "churn", &s), 0);
	check_chunks(&s.kinds[KIND_PODS], (struct encoding){.pb = false}, "base-pods-json");
	check_chunks(&s.kinds[KIND_PODS], (struct encoding){.pb = true}, "list-pods-pb");
	recorded_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_end_is_truth),
		cmocka_unit_test(test_old_end_is_truth),
		cmocka_unit_test(test_big_is_truth),
		cmocka_unit_test(test_bad_folder),
		cmocka_unit_test(test_order_and_time),
		cmocka_unit_test(test_watches_as_recorded),
		cmocka_unit_test(test_lists_as_recorded),
		cmocka_unit_test(test_meta_to_pb),
		cmocka_unit_test(test_statuses_as_recorded),
		cmocka_unit_test(test_chunks_as_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
