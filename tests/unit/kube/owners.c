/* Owners read one by one, scripted and in virtual time. */
#include "kube/owners.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#define S    NSEC_PER_SEC
#define JSON "application/json"
#define OBJECT(name, uid)                                                                      \
	"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{" \
	"\"name\":\"" name "\",\"namespace\":\"shop\",\"uid\":\"" uid                          \
	"\",\"resourceVersion\":\"5\"}}"
#define STATUS(code, message)                                                                \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\"," \
	"\"message\":\"" message "\",\"code\":" #code "}"
#define NOT_FOUND STATUS(404, "replicasets.apps \\\"web\\\" not found")

struct world {
	struct owners *o;
	struct owners_request req;
	nsec_t now, deadline;
	struct buf log;
	bool want_parent;
};

static void tell(struct world *w, const char *what, struct str uid)
{
	assert_int_equal(buf_printf(&w->log, "%s%s:%.*s", w->log.n ? " " : "", what, STR_ARG(uid)),
			 0);
}

static struct owner_ref ref(const char *av, const char *kind, const char *name, const char *uid)
{
	return (struct owner_ref){str_of(av), str_of(kind), str_of(name), str_of(uid), true};
}

static int want(struct world *w, const char *av, const char *kind, const char *name,
		const char *uid)
{
	struct owner_ref r = ref(av, kind, name, uid);

	return owners_want(w->o, w->now, &r, STR("shop"));
}

static void on_owner(void *ctx, struct str uid, const struct object *o)
{
	struct world *w = ctx;

	tell(w, "owner", uid);
	tell(w, "kind", o->kind);
	if (w->want_parent) {
		w->want_parent = false;
		assert_int_equal(want(w, "apps/v1", "Deployment", "web", "d-1"), 0);
	}
}

static void on_gone(void *ctx, struct str uid)
{
	tell(ctx, "gone", uid);
}

static void on_refused(void *ctx, struct str uid, const char *text)
{
	assert_true(text[0]);
	tell(ctx, "refused", uid);
}

static void on_unauthorized(void *ctx)
{
	tell(ctx, "unauthorized", (struct str){0});
}

static const struct owners_ops ops = {
	.owner = on_owner,
	.gone = on_gone,
	.refused = on_refused,
	.unauthorized = on_unauthorized,
};

static void open_world(struct world *w, struct owners_opts o)
{
	*w = (struct world){.now = 1000 * S};
	buf_init(&w->log, 1 << 20);
	o.ops = &ops;
	o.ctx = w;
	o.seed = 11;
	assert_int_equal(owners_new(&o, &w->o), 0);
}

static void close_world(struct world *w)
{
	owners_free(&w->o);
	buf_done(&w->log);
}

static enum reflector_action run(struct world *w, nsec_t within)
{
	nsec_t until = w->now + within;

	for (;;) {
		enum reflector_action a = owners_poll(w->o, w->now, &w->req, &w->deadline);

		if (a != REFLECTOR_NONE)
			return a;
		if (w->deadline > until) {
			w->now = until;
			return REFLECTOR_NONE;
		}
		assert_true(w->deadline > w->now);
		w->now = w->deadline;
	}
}

static void started(struct world *w, nsec_t within, const char *target)
{
	assert_int_equal(run(w, within), REFLECTOR_START);
	assert_string_equal(w->req.target, target);
}

static void quiet(struct world *w, nsec_t within)
{
	assert_int_equal(run(w, within), REFLECTOR_NONE);
}

static void answer(struct world *w, unsigned id, int status, const char *type, const char *text)
{
	if (owners_response(w->o, w->now, id, status, str_of(type), 0) == 0 &&
	    (!text[0] || owners_data(w->o, w->now, id, text, strlen(text)) == 0))
		owners_end(w->o, w->now, id, REFLECTOR_END_CLEAN, NULL);
}

static void expect(struct world *w, const char *log)
{
	assert_int_equal(buf_append(&w->log, "", 1), 0);
	assert_string_equal(buf_str(&w->log).p, log);
	buf_reset(&w->log);
}

#define WEB "/apis/apps/v1/namespaces/shop/replicasets/web"

static void read_once(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	w.want_parent = true;
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	assert_non_null(strstr(w.req.accept, "protobuf;as=PartialObjectMetadata;"));
	unsigned id = w.req.id;
	quiet(&w, S);
	answer(&w, id, 200, JSON, OBJECT("web", "u-1"));
	/* Named as its reference does, and the callback asked for the next one. */
	expect(&w, "owner:u-1 kind:ReplicaSet");
	started(&w, 0, "/apis/apps/v1/namespaces/shop/deployments/web?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "d-1"));
	quiet(&w, 3600 * S);
	assert_int_equal(owners_counters(w.o)->requests, 2);
	assert_int_equal(owners_known(w.o), 2);
	owners_forget(w.o, STR("u-1"));
	owners_forget(w.o, STR("d-1"));
	owners_forget(w.o, STR("d-1"));
	assert_int_equal(owners_known(w.o), 0);
	close_world(&w);
}

static void refreshed_when_old_and_paced(void **state)
{
	struct world w;
	char name[16], uid[16], text[256];

	(void)state;
	open_world(&w, (struct owners_opts){0});
	for (int i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "w%d", i);
		(void)snprintf(uid, sizeof(uid), "u%d", i);
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", name, uid), 0);
		assert_int_equal(run(&w, 0), REFLECTOR_START);
		(void)snprintf(text, sizeof(text), OBJECT("%s", "%s"), name, uid);
		answer(&w, w.req.id, 200, JSON, text);
	}
	buf_reset(&w.log);
	w.now += 599 * S;
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "w0", "u0"), 0);
	quiet(&w, 0);
	w.now += 2 * S;
	for (int i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "w%d", i);
		(void)snprintf(uid, sizeof(uid), "u%d", i);
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", name, uid), 0);
	}
	nsec_t from = w.now;
	for (int i = 0; i < 5; i++) {
		/* A new owner never waits behind old ones. */
		if (i == 1) {
			assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "new", "n"), 0);
			started(&w, 0,
				"/apis/apps/v1/namespaces/shop/replicasets/new?resourceVersion=0");
			answer(&w, w.req.id, 200, JSON, OBJECT("new", "n"));
		}
		assert_int_equal(run(&w, 2 * S), REFLECTOR_START);
		(void)snprintf(text, sizeof(text), OBJECT("w%d", "u%d"), i, i);
		answer(&w, w.req.id, 200, JSON, text);
	}
	assert_int_equal(w.now - from, 4 * S);
	assert_int_equal(owners_counters(w.o)->refreshed, 5);
	quiet(&w, 3600 * S);
	close_world(&w);
}

static void gone_is_final_and_checked(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 404, JSON, NOT_FOUND);
	expect(&w, "");
	/* A cache may lag behind: the storage has the last word. */
	started(&w, 0, WEB);
	answer(&w, w.req.id, 404, JSON, NOT_FOUND);
	expect(&w, "gone:u-1");
	w.now += 7200 * S;
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	quiet(&w, 3600 * S);
	/* The name belongs to another object. */
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-2"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-3"));
	started(&w, 0, WEB);
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-3"));
	expect(&w, "gone:u-2");
	/* The cache was behind. */
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-4"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 404, JSON, NOT_FOUND);
	started(&w, 0, WEB);
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-4"));
	expect(&w, "owner:u-4 kind:ReplicaSet");
	close_world(&w);
}

static void forbidden_for_ten_seconds_is_refused(void **state)
{
	struct world w;
	nsec_t from;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	for (int i = 0; i < 50; i++) {
		char uid[16];

		(void)snprintf(uid, sizeof(uid), "u%d", i);
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", uid), 0);
	}
	from = w.now;
	while (!w.log.n) {
		assert_int_equal(run(&w, 31 * S), REFLECTOR_START);
		answer(&w, w.req.id, 403, JSON, STATUS(403, "replicasets.apps is forbidden"));
	}
	assert_in_range(w.now - from, 10 * S, 14 * S);
	/* All that wait there are told, by a few requests. */
	unsigned told = 0;
	for (const char *p = buf_str(&w.log).p;
	     (p = memchr(p, 'r', (size_t)(w.log.p + w.log.off + w.log.n - p))); p++)
		told += strncmp(p, "refused:", 8) == 0;
	assert_int_equal(told, 50);
	assert_in_range(owners_counters(w.o)->requests, 4, 16);
	buf_reset(&w.log);
	/* A newcomer is told without a request of its own; another kind is not touched. */
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "late"), 0);
	assert_int_equal(want(&w, "batch/v1", "Job", "j", "j1"), 0);
	started(&w, 0, "/apis/batch/v1/namespaces/shop/jobs/j?resourceVersion=0");
	quiet(&w, 0);
	answer(&w, w.req.id, 200, JSON, OBJECT("j", "j1"));
	expect(&w, "refused:late owner:j1 kind:Job");
	/* The Role comes: all are read. */
	unsigned read = 0;
	while (run(&w, 31 * S) == REFLECTOR_START) {
		answer(&w, w.req.id, 404, JSON, NOT_FOUND);
		read++;
	}
	assert_int_equal(read, 2 * 51);
	assert_int_equal(owners_counters(w.o)->gone, 51);
	close_world(&w);
}

static void a_short_403_refuses_nobody(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	nsec_t from = w.now;
	while (w.now - from < 3 * S) {
		assert_int_equal(run(&w, 31 * S), REFLECTOR_START);
		answer(&w, w.req.id, 403, JSON, STATUS(403, "forbidden"));
		w.now += S / 2;
	}
	started(&w, 31 * S, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-1"));
	expect(&w, "owner:u-1 kind:ReplicaSet");
	close_world(&w);
}

/* Two short refusals with an answer in between do not add up. */
static void refusals_are_counted_without_interruption(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 403, JSON, STATUS(403, "forbidden"));
	started(&w, S, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-1"));
	expect(&w, "owner:u-1 kind:ReplicaSet");
	w.now += 100 * S;
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-2"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 403, JSON, STATUS(403, "forbidden"));
	expect(&w, "");
	close_world(&w);
}

static void known_answers_survive_refusals(void **state)
{
	static const struct {
		int status;
		const char *text;
	} no[] = {{403, STATUS(403, "forbidden")}, {500, "oops"}, {429, "slow"}, {200, "garbage"}};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		struct world w;

		open_world(&w, (struct owners_opts){0});
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
		started(&w, 0, WEB "?resourceVersion=0");
		answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-1"));
		buf_reset(&w.log);
		for (int k = 0; k < 5; k++) {
			w.now += 700 * S;
			assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
			while (run(&w, 0) == REFLECTOR_START)
				answer(&w, w.req.id, no[i].status, JSON, no[i].text);
		}
		expect(&w, "");
		close_world(&w);
	}
}

#define ROLLOUTS                                                                                  \
	"{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"argoproj.io/"     \
	"v1alpha1\","                                                                             \
	"\"resources\":[{\"name\":\"rollouts/status\",\"namespaced\":true,\"kind\":\"Rollout\"}," \
	"{\"name\":\"rollouts\",\"singularName\":\"rollout\",\"namespaced\":true,\"kind\":"       \
	"\"Rollout\","                                                                            \
	"\"verbs\":[\"get\"]},{\"name\":\"pools\",\"namespaced\":false,\"kind\":\"Pool\","        \
	"\"verbs\":[\"get\"]}]}"

static void other_kinds_by_discovery(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "argoproj.io/v1alpha1", "Rollout", "r", "r1"), 0);
	assert_int_equal(want(&w, "argoproj.io/v1alpha1", "Pool", "p", "p1"), 0);
	started(&w, 0, "/apis/argoproj.io/v1alpha1");
	assert_string_equal(w.req.accept, "application/json");
	quiet(&w, S); /* once is enough for both */
	answer(&w, 0, 200, JSON, ROLLOUTS);
	started(&w, 0, "/apis/argoproj.io/v1alpha1/pools/p?resourceVersion=0");
	unsigned p = w.req.id;
	started(&w, 0, "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/r?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("r", "r1"));
	answer(&w, p, 200, JSON, OBJECT("p", "p1"));
	expect(&w, "owner:r1 kind:Rollout owner:p1 kind:Pool");
	/* Cached. */
	assert_int_equal(want(&w, "argoproj.io/v1alpha1", "Rollout", "r", "r2"), 0);
	started(&w, 0, "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/r?resourceVersion=0");
	assert_int_equal(owners_counters(w.o)->discoveries, 1);
	close_world(&w);
}

static void kinds_that_do_not_exist(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "nope.example.com/v1", "Thing", "t", "t1"), 0);
	started(&w, 0, "/apis/nope.example.com/v1");
	answer(&w, w.req.id, 404, "text/plain", "404 page not found\n");
	quiet(&w, 299 * S);
	expect(&w, "refused:t1");
	/* Looked for again, now and then. */
	started(&w, 2 * S, "/apis/nope.example.com/v1");
	answer(&w, w.req.id, 200, JSON,
	       "{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"things\","
	       "\"namespaced\":true,\"kind\":\"Thing\"}]}");
	started(&w, 0, "/apis/nope.example.com/v1/namespaces/shop/things/t?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("t", "t1"));
	expect(&w, "owner:t1 kind:Thing");
	/* A known kind of a version that is no longer served: not gone, only unreadable. */
	assert_int_equal(want(&w, "batch/v1beta1", "CronJob", "c", "c1"), 0);
	started(&w, 0, "/apis/batch/v1beta1/namespaces/shop/cronjobs/c?resourceVersion=0");
	answer(&w, w.req.id, 404, JSON,
	       STATUS(404, "the server could not find the requested resource"));
	expect(&w, "refused:c1");
	close_world(&w);
}

static void bad_discovery_answers(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"{\"kind\":\"APIResourceList\"}",
		"{\"kind\":\"Status\",\"resources\":[]}",
		"{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":7}]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct world w;

		open_world(&w, (struct owners_opts){0});
		assert_int_equal(want(&w, "a.b/v1", "Thing", "t", "t1"), 0);
		started(&w, 0, "/apis/a.b/v1");
		answer(&w, w.req.id, 200, JSON, bad[i]);
		quiet(&w, 60 * S);
		expect(&w, "refused:t1");
		close_world(&w);
	}
}

static void server_trouble_is_backed_off_from(void **state)
{
	struct world w;
	struct budget b;

	(void)state;
	budget_init(&b, 10, 20, 5);
	open_world(&w, (struct owners_opts){.budget = &b});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	nsec_t from = w.now;
	for (int i = 0; i < 12; i++) {
		started(&w, 61 * S, WEB "?resourceVersion=0");
		if (i % 3 == 0)
			owners_end(w.o, w.now, w.req.id, REFLECTOR_END_CONNECT, "refused");
		else
			answer(&w, w.req.id, i % 3 == 1 ? 500 : 503, "text/plain", "oops");
	}
	assert_true(w.now - from > 30 * S);
	assert_true(b.pauses > 0);
	started(&w, 61 * S, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 401, JSON, STATUS(401, "Unauthorized"));
	expect(&w, "unauthorized:");
	/* Silence ends a request. */
	started(&w, 61 * S, WEB "?resourceVersion=0");
	from = w.now;
	assert_int_equal(run(&w, 61 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 30 * S);
	started(&w, 61 * S, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-1"));
	expect(&w, "owner:u-1 kind:ReplicaSet");
	close_world(&w);
}

static void nonsense_is_tried_three_times(void **state)
{
	static const char *const bad[] = {"{\"kind\":", "", "[1]",
					  "{\"kind\":\"PodList\",\"items\":[]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct world w;

		open_world(&w, (struct owners_opts){0});
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
		for (int k = 0; k < 3; k++) {
			expect(&w, "");
			started(&w, 3 * S, WEB "?resourceVersion=0");
			answer(&w, w.req.id, 200, JSON, bad[i]);
		}
		expect(&w, "refused:u-1");
		quiet(&w, 3600 * S);
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
		started(&w, 0, WEB "?resourceVersion=0");
		close_world(&w);
	}
}

static void no_metadata_form(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 406, JSON, STATUS(406, "no"));
	started(&w, 0, WEB "?resourceVersion=0");
	assert_string_equal(w.req.accept, "application/vnd.kubernetes.protobuf,application/json");
	close_world(&w);
}

static void bounds(void **state)
{
	struct world w;
	struct budget b;
	char uid[16], long_uid[OWNERS_MAX_UID + 2];
	unsigned open = 0;

	(void)state;
	budget_init(&b, 10, 20, 5);
	open_world(&w, (struct owners_opts){.max_queue = 100, .budget = &b});
	for (int i = 0; i < 150; i++) {
		(void)snprintf(uid, sizeof(uid), "u%d", i);
		assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", uid),
				 i < 100 ? 0 : -ENOSPC);
	}
	assert_int_equal(owners_counters(w.o)->refused, 50);
	assert_int_equal(owners_queued(w.o), 100);
	/* At most four at a time, 20 at once and then ten a second. */
	while (run(&w, 0) == REFLECTOR_START)
		open++;
	assert_int_equal(open, 4);
	nsec_t from = w.now;
	for (unsigned n = 0; n < 100 * 2; n++) {
		answer(&w, n % 4, 404, JSON, NOT_FOUND);
		if (run(&w, S) != REFLECTOR_START)
			break;
	}
	assert_in_range(w.now - from, 18 * S, 20 * S);
	assert_int_equal(owners_queued(w.o), 0);
	memset(long_uid, 'x', sizeof(long_uid));
	long_uid[sizeof(long_uid) - 1] = '\0';
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", long_uid), -EINVAL);
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", ""), -EINVAL);
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "", "u"), -EINVAL);
	assert_int_equal(want(&w, "", "ReplicaSet", "web", "u"), -EINVAL);
	close_world(&w);
}

static void forgotten_while_asked(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, (struct owners_opts){0});
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	started(&w, 0, WEB "?resourceVersion=0");
	unsigned id = w.req.id;
	owners_forget(w.o, STR("u-1"));
	assert_int_equal(owners_known(w.o), 0);
	assert_true(owners_response(w.o, w.now, id, 200, STR(JSON), 0) < 0);
	assert_int_equal(run(&w, 0), REFLECTOR_ABORT);
	assert_int_equal(w.req.id, id);
	/* And while its kind is being looked up. */
	assert_int_equal(want(&w, "a.b/v1", "Thing", "t", "t1"), 0);
	started(&w, 0, "/apis/a.b/v1");
	owners_forget(w.o, STR("t1"));
	answer(&w, w.req.id, 404, "text/plain", "no");
	/* And while it waits. */
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-1"), 0);
	assert_int_equal(want(&w, "apps/v1", "ReplicaSet", "web", "u-2"), 0);
	owners_forget(w.o, STR("u-1"));
	started(&w, 0, WEB "?resourceVersion=0");
	answer(&w, w.req.id, 200, JSON, OBJECT("web", "u-2"));
	expect(&w, "owner:u-2 kind:ReplicaSet");
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_once),
		cmocka_unit_test(refreshed_when_old_and_paced),
		cmocka_unit_test(gone_is_final_and_checked),
		cmocka_unit_test(forbidden_for_ten_seconds_is_refused),
		cmocka_unit_test(a_short_403_refuses_nobody),
		cmocka_unit_test(refusals_are_counted_without_interruption),
		cmocka_unit_test(known_answers_survive_refusals),
		cmocka_unit_test(other_kinds_by_discovery),
		cmocka_unit_test(kinds_that_do_not_exist),
		cmocka_unit_test(bad_discovery_answers),
		cmocka_unit_test(server_trouble_is_backed_off_from),
		cmocka_unit_test(nonsense_is_tried_three_times),
		cmocka_unit_test(no_metadata_form),
		cmocka_unit_test(bounds),
		cmocka_unit_test(forgotten_while_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
