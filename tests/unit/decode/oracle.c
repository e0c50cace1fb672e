/*
 * The values, held against another decoder: jansson reads the same JSON, and the
 * model is filled from its tree by name.
 */
#include "base/mem.h"
#include "tests/lib/decode_log.h"
#include "tests/lib/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#define MANY 64 /* more than a recorded pod has of anything */

static struct str text(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	return str_make(json_string_value(v), json_string_length(v));
}

static int64_t time_of(const json_t *o, const char *key)
{
	const char *z = json_string_value(json_object_get(o, key));
	struct tm tm = {0};

	if (!z)
		return 0;
	assert_non_null(strptime(z, "%Y-%m-%dT%H:%M:%SZ", &tm));
	return timegm(&tm);
}

static void fill_meta(const json_t *o, struct meta *ret, struct owner_ref *owners,
		      struct label *labels)
{
	const json_t *annotations = json_object_get(o, "annotations"), *v;
	json_t *app = json_object_get(json_object_get(o, "labels"), "app");
	size_t i;

	*ret = (struct meta){
		.name = text(o, "name"),
		.ns = text(o, "namespace"),
		.uid = text(o, "uid"),
		.resource_version = text(o, "resourceVersion"),
		.config_hash = text(annotations, "kubernetes.io/config.hash"),
		.config_mirror = text(annotations, "kubernetes.io/config.mirror"),
		.created = time_of(o, "creationTimestamp"),
		.deleted = time_of(o, "deletionTimestamp"),
		.initial_events_end =
			str_eq(text(annotations, "k8s.io/initial-events-end"), STR("true")),
		.owners = owners,
		.labels = labels,
	};
	if (app)
		labels[ret->n_labels++] = (struct label){
			STR("app"), str_make(json_string_value(app), json_string_length(app))};
	json_array_foreach(json_object_get(o, "ownerReferences"), i, v)
	{
		assert_true(i < MANY);
		owners[ret->n_owners++] = (struct owner_ref){
			.api_version = text(v, "apiVersion"),
			.kind = text(v, "kind"),
			.name = text(v, "name"),
			.uid = text(v, "uid"),
			.controller = json_is_true(json_object_get(v, "controller")),
		};
	}
}

static void fill_containers(const json_t *list, enum container_type type, struct pod *p)
{
	const json_t *v, *state;
	size_t i;

	json_array_foreach(list, i, v)
	{
		assert_true(p->n_containers < MANY);
		state = json_object_get(v, "state");
		p->containers[p->n_containers++] = (struct container){
			.id = text(v, "containerID"),
			.name = text(v, "name"),
			.image = text(v, "image"),
			.image_id = text(v, "imageID"),
			.type = type,
			.started = time_of(json_object_get(state, "running"), "startedAt"),
			.state = json_object_get(state, "waiting")	? CONTAINER_WAITING
				 : json_object_get(state, "running")	? CONTAINER_RUNNING
				 : json_object_get(state, "terminated") ? CONTAINER_TERMINATED
									: CONTAINER_STATE_NONE,
		};
	}
}

static void fill_pod(const json_t *o, struct pod *ret)
{
	static const char *const phases[] = {"Unknown", "Pending", "Running", "Succeeded",
					     "Failed"};
	const json_t *spec = json_object_get(o, "spec"), *status = json_object_get(o, "status"), *v;
	size_t i;

	ret->node_name = text(spec, "nodeName");
	ret->host_network = json_is_true(json_object_get(spec, "hostNetwork"));
	ret->pod_ip = text(status, "podIP");
	ret->host_ip = text(status, "hostIP");
	for (i = 0; i < ARRAY_SIZE(phases); i++)
		if (str_eq(text(status, "phase"), str_of(phases[i])))
			ret->phase = (enum pod_phase)i;
	json_array_foreach(json_object_get(status, "podIPs"), i, v)
	{
		assert_true(i < MANY);
		ret->ips[ret->n_ips++] = text(v, "ip");
	}
	fill_containers(json_object_get(status, "containerStatuses"), CONTAINER_MAIN, ret);
	fill_containers(json_object_get(status, "initContainerStatuses"), CONTAINER_INIT, ret);
	fill_containers(json_object_get(status, "ephemeralContainerStatuses"), CONTAINER_EPHEMERAL,
			ret);
}

/* What the decoder ought to say of this object. */
static void expect_object(struct decode_log *l, enum event_type type, const json_t *o,
			  enum decode_shape shape)
{
	struct owner_ref owners[MANY];
	struct container containers[MANY];
	struct label labels[1];
	struct str ips[MANY];
	struct object obj = {
		.api_version = text(o, "apiVersion"),
		.kind = text(o, "kind"),
		.pod = {.ips = ips, .containers = containers},
	};

	fill_meta(json_object_get(o, "metadata"), &obj.meta, owners, labels);
	if (shape == SHAPE_POD)
		fill_pod(o, &obj.pod);
	assert_int_equal(decode_log_object(l, type, &obj), 0);
}

static void expect_list(struct decode_log *l, const json_t *list, const char *kind,
			enum decode_shape shape)
{
	const json_t *meta = json_object_get(list, "metadata"), *left;
	struct list_meta m = {text(meta, "resourceVersion"), text(meta, "continue"), -1};
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, item)
	{
		if (!json_object_get(item, "kind")) {
			json_object_set_new(item, "kind", json_string(kind));
			json_object_set(item, "apiVersion", json_object_get(list, "apiVersion"));
		}
		expect_object(l, EVENT_ADDED, item, shape);
	}
	left = json_object_get(meta, "remainingItemCount");
	if (left)
		m.remaining = json_integer_value(left);
	assert_int_equal(decode_log_list(l, &m), 0);
}

static void expect_events(struct decode_log *l, struct str body, enum decode_shape shape)
{
	static const char *const types[] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"};
	json_error_t e;
	json_t *event;
	size_t i;

	while (str_trim(body).n) {
		event = json_loadb(body.p, body.n, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &e);
		assert_non_null(event);
		for (i = 0; i < ARRAY_SIZE(types); i++)
			if (str_eq(text(event, "type"), str_of(types[i])))
				expect_object(l, (enum event_type)i,
					      json_object_get(event, "object"), shape);
		json_decref(event);
		body = str_from(body, (size_t)e.position);
	}
}

static void check(const char *name, enum decode_body body, const char *kind,
		  enum decode_shape shape)
{
	static const struct str app = STR("app");
	struct decode_log want, got;
	_buf_ struct buf b;
	json_error_t e;
	json_t *list;

	if (fixture_read(name, &b) < 0)
		fail_msg("no %s", name);
	decode_log_init(&want, DECODE_JSON, body, shape);
	decode_log_init(&got, DECODE_JSON, body, shape);
	got.opts.labels = &app;
	got.opts.n_labels = 1;
	decode_log_run(&got, buf_str(&b), CUT_NONE, 0, NULL);
	assert_int_equal(got.result, 0);
	if (body == DECODE_LIST) {
		list = json_loadb(b.p + b.off, b.n, JSON_ALLOW_NUL, &e);
		assert_non_null(list);
		expect_list(&want, list, kind, shape);
		json_decref(list);
	} else {
		expect_events(&want, buf_str(&b), shape);
	}
	assert_true(want.text.n > 0);
	if (!str_eq(buf_str(&want.text), buf_str(&got.text)))
		fail_msg("%s: jansson says otherwise", name);
	decode_log_done(&want);
	decode_log_done(&got);
}

static void test_lists(void **state)
{
	(void)state;
	check("list-pods-json", DECODE_LIST, "Pod", SHAPE_POD);
	check("list-pods-json-page1", DECODE_LIST, "Pod", SHAPE_POD);
	check("list-pods-meta-json", DECODE_LIST, "PartialObjectMetadata", SHAPE_META);
	check("list-replicasets-json", DECODE_LIST, "ReplicaSet", SHAPE_META);
	check("final-jobs-json", DECODE_LIST, "Job", SHAPE_META);
	check("big-pods-json", DECODE_LIST, "Pod", SHAPE_POD);
}

static void test_watches(void **state)
{
	(void)state;
	check("watch-pods-json", DECODE_WATCH, NULL, SHAPE_POD);
	check("watch-pods-rv0-json", DECODE_WATCH, NULL, SHAPE_POD);
	check("watch-pods-meta-json", DECODE_WATCH, NULL, SHAPE_META);
	check("watchlist-pods-json", DECODE_WATCH, NULL, SHAPE_POD);
	check("watch-jobs-json", DECODE_WATCH, NULL, SHAPE_META);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_watches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
