/*
 * The reflector under scripted answers, in virtual time. Bodies are small JSON
 * written by hand in the shape of recorded ones, and recorded files where the
 * exact bytes matter.
 */
#include "kube/reflector.h"

#include "base/mem.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#define S NSEC_PER_SEC

struct world {
	struct reflector *r;
	struct budget budget;
	struct reflector_request req;
	nsec_t now, deadline;
	struct buf log; /* what the consumer was told since the last expect() */
	int object_result;
	bool pause_on_object;
	bool states; /* log state changes too */
	char text[REFLECTOR_MAX_TEXT];
};

__attribute__((format(printf, 2, 3))) static void tell(struct world *w, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	assert_int_equal(buf_printf(&w->log, "%s%s", w->log.n ? " " : "", line), 0);
}

static void on_begin(void *ctx)
{
	tell(ctx, "begin");
}

static void on_end(void *ctx)
{
	tell(ctx, "end");
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct world *w = ctx;

	tell(w, "%c%.*s", "AMD"[type], STR_ARG(o->meta.name));
	if (o->raw.n)
		tell(w, "(%.*s)", STR_ARG(o->raw));
	if (w->pause_on_object)
		reflector_pause(w->r, w->now, true);
	return w->object_result;
}

static void on_state(void *ctx, const struct reflector_status *s)
{
	struct world *w = ctx;

	(void)snprintf(w->text, sizeof(w->text), "%s", s->text);
	if (w->states)
		tell(w, "[%s]", reflector_health_name(s->health));
}

static void on_unauthorized(void *ctx)
{
	tell(ctx, "unauthorized");
}

static void on_bad(void *ctx, enum decode_bad why, struct str name)
{
	tell(ctx, "bad:%s:%.*s", decode_bad_name(why), STR_ARG(name));
}

static const struct reflector_ops ops = {
	.list_begin = on_begin,
	.object = on_object,
	.list_end = on_end,
	.state = on_state,
	.unauthorized = on_unauthorized,
	.bad_object = on_bad,
};

static void make_opts(struct world *w, struct reflector_opts *o)
{
	*o = (struct reflector_opts){
		.path = STR("/api/v1/pods"),
		.shape = SHAPE_POD,
		.seed = 7,
		.ops = &ops,
		.ctx = w,
	};
}

static void open_world(struct world *w, const struct reflector_opts *opts)
{
	struct reflector_opts o;

	*w = (struct world){.now = 1000 * S};
	buf_init(&w->log, 1 << 20);
	make_opts(w, &o);
	if (opts) {
		o = *opts;
		o.ctx = w;
		o.ops = &ops;
	}
	assert_int_equal(reflector_new(&o, &w->r), 0);
}

static void close_world(struct world *w)
{
	reflector_free(&w->r);
	assert_null(w->r);
	buf_done(&w->log);
}

static enum reflector_action poll_now(struct world *w)
{
	return reflector_poll(w->r, w->now, &w->req, &w->deadline);
}

/* Lets time pass, deadline by deadline, until something is to be done; fails after `within`. */
static enum reflector_action run(struct world *w, nsec_t within)
{
	nsec_t until = w->now + within;

	for (;;) {
		enum reflector_action a = poll_now(w);

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

/* The next request comes within `within`, and its target holds all the parts. */
static void started(struct world *w, nsec_t within, const char *part, const char *part2)
{
	assert_int_equal(run(w, within), REFLECTOR_START);
	assert_non_null(strstr(w->req.target, part));
	if (part2)
		assert_non_null(strstr(w->req.target, part2));
}

static void lacks(const struct world *w, const char *part)
{
	assert_null(strstr(w->req.target, part));
}

static int head(struct world *w, int status, const char *type, nsec_t retry_after)
{
	return reflector_response(w->r, w->now, status, str_of(type), retry_after);
}

static int body(struct world *w, const char *p)
{
	return reflector_data(w->r, w->now, p, strlen(p));
}

static void end(struct world *w, enum reflector_end how)
{
	reflector_end(w->r, w->now, how, "");
}

/* A whole answer. */
static void answer(struct world *w, int status, const char *type, const char *text)
{
	if (head(w, status, type, 0) == 0 && body(w, text) >= 0)
		end(w, REFLECTOR_END_CLEAN);
}

static void expect(struct world *w, const char *log)
{
	assert_int_equal(buf_append(&w->log, "", 1), 0);
	assert_string_equal(buf_str(&w->log).p, log);
	buf_reset(&w->log);
}

static enum reflector_health health(const struct world *w)
{
	return reflector_status(w->r).health;
}

static const struct reflector_counters *count(const struct world *w)
{
	return reflector_counters(w->r);
}

#define JSON "application/json"
#define META(name, rv)                                                              \
	"\"metadata\":{\"name\":\"" name "\",\"namespace\":\"n\",\"uid\":\"u-" name \
	"\",\"resourceVersion\":\"" rv "\"}"
#define ITEM(name, rv) "{" META(name, rv) ",\"spec\":{},\"status\":{}}"
#define LIST(rv, cont, items)                                                                 \
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" rv \
	"\",\"continue\":\"" cont "\"},\"items\":[" items "]}"
#define EVENT(type, name, rv)                                                              \
	"{\"type\":\"" type "\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\"," META( \
		name, rv) ",\"spec\":{},\"status\":{}}}\n"
#define BOOKMARK(rv)                                                                               \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{" \
	"\"resourceVersion\":\"" rv "\"},\"spec\":{\"containers\":null},\"status\":{}}}\n"
#define MARKER(rv)                                                                                 \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{" \
	"\"resourceVersion\":\"" rv                                                                \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}},"                            \
	"\"spec\":{\"containers\":null},\"status\":{}}}\n"
#define STATUS(code, reason, message)                                                        \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\"," \
	"\"message\":\"" message "\",\"reason\":\"" reason "\",\"code\":" #code "}"
#define ERROR(code, reason, message) \
	"{\"type\":\"ERROR\",\"object\":" STATUS(code, reason, message) "}\n"

/* Streams the list {a, b} at version 10 and leaves the watch open. */
static void sync_by_stream(struct world *w)
{
	started(w, 0, "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan");
	assert_int_equal(head(w, 200, JSON, 0), 0);
	assert_int_equal(body(w, EVENT("ADDED", "a", "8") EVENT("ADDED", "b", "3") MARKER("10")),
			 0);
	expect(w, "begin Aa Ab end");
	assert_int_equal(health(w), REFLECTOR_SYNCED);
}

/* From a fresh reflector that may not stream: {a, b} at version 10, the watch open. */
static void sync_by_pages(struct world *w)
{
	started(w, 1 * S, "/api/v1/pods?limit=500", NULL);
	answer(w, 200, JSON, LIST("10", "", ITEM("a", "8") "," ITEM("b", "3")));
	expect(w, "begin Aa Ab end");
	started(w, 0, "watch=1&allowWatchBookmarks=true", "&resourceVersion=10");
	assert_int_equal(head(w, 200, JSON, 0), 0);
}

static struct reflector_opts paged(struct world *w)
{
	struct reflector_opts o;

	make_opts(w, &o);
	o.no_streaming = true;
	return o;
}

/* ---- the good ways ---- */

static void streaming_list_goes_on_as_watch(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	started(&w, 0, "/api/v1/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=",
		"&resourceVersion=");
	assert_true(w.req.watch);
	assert_string_equal(w.req.accept, "application/vnd.kubernetes.protobuf,application/json");
	unsigned seconds =
		(unsigned)strtoul(strstr(w.req.target, "timeoutSeconds=") + 15, NULL, 10);
	assert_in_range(seconds, 300, 600);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, EVENT("ADDED", "a", "8") EVENT("ADDED", "b", "3")), 0);
	assert_int_equal(health(&w), REFLECTOR_SYNCING);
	assert_int_equal(reflector_resource_version(w.r).n, 0);
	assert_int_equal(
		body(&w, MARKER("10") EVENT("MODIFIED", "b", "11") EVENT("DELETED", "a", "12")), 0);
	expect(&w, "begin Aa Ab end Mb Da");
	assert_true(str_eq(reflector_resource_version(w.r), STR("12")));
	assert_int_equal(body(&w, BOOKMARK("20")), 0);
	assert_true(str_eq(reflector_resource_version(w.r), STR("20")));
	w.now += 400 * S;
	end(&w, REFLECTOR_END_CLEAN);
	assert_int_equal(health(&w), REFLECTOR_SYNCED);
	started(&w, 1 * S, "resourceVersion=20", "watch=1");
	lacks(&w, "sendInitialEvents");
	assert_int_equal(count(&w)->lists, 1);
	assert_int_equal(count(&w)->watches, 1);
	assert_int_equal(count(&w)->events, 4);
	assert_int_equal(count(&w)->errors, 0);
	expect(&w, "");
	close_world(&w);
}

/* What readiness goes by: the last word from the server that counts. */
static void heard_from(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);
	nsec_t at;

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	assert_int_equal(reflector_status(w.r).heard, 0);
	w.now += 5 * S;
	answer(&w, 200, JSON, LIST("10", "t", ITEM("a", "8")));
	assert_int_equal(reflector_status(w.r).heard, 0); /* half a list */
	started(&w, 0, "continue=t", NULL);
	answer(&w, 200, JSON, LIST("10", "", ITEM("b", "3")));
	assert_int_equal(reflector_status(w.r).heard, w.now);
	w.now += 5 * S;
	started(&w, 0, "watch=1", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(reflector_status(w.r).heard, w.now);
	assert_false(reflector_status(w.r).bookmarks);
	at = w.now += 7 * S;
	assert_int_equal(body(&w, EVENT("MODIFIED", "b", "11")), 0);
	assert_int_equal(reflector_status(w.r).heard, at);
	w.now += 7 * S;
	assert_int_equal(body(&w, "{\"type\":\"BOOK"), 0); /* half a bookmark */
	assert_int_equal(reflector_status(w.r).heard, at);
	at = w.now += 7 * S;
	assert_int_equal(body(&w, BOOKMARK("20") + sizeof("{\"type\":\"BOOK") - 1), 0);
	assert_int_equal(reflector_status(w.r).heard, at);
	assert_true(reflector_status(w.r).bookmarks);
	w.now += 7 * S;
	end(&w, REFLECTOR_END_CUT);
	assert_int_equal(reflector_status(w.r).heard, at);
	expect(&w, "begin Aa Ab end Mb");
	close_world(&w);
}

static void pages_then_watch(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	o.field_selector = STR("spec.nodeName=node-1");
	o.label_selector = STR("app in (a,b)");
	o.list_from_cache = true;
	open_world(&w, &o);
	started(&w, 0, "/api/v1/pods?limit=500&resourceVersion=0",
		"&fieldSelector=spec.nodeName%3Dnode-1&labelSelector=app%20in%20%28a%2Cb%29");
	assert_false(w.req.watch);
	answer(&w, 200, JSON, LIST("10", "t+/=", ITEM("a", "8")));
	started(&w, 0, "limit=500&continue=t%2B%2F%3D", "fieldSelector=spec.nodeName%3Dnode-1");
	lacks(&w, "resourceVersion");
	answer(&w, 200, JSON, LIST("10", "", ITEM("b", "3")));
	expect(&w, "begin Aa Ab end");
	started(&w, 0, "resourceVersion=10", "fieldSelector=spec.nodeName%3Dnode-1");
	assert_int_equal(count(&w)->pages, 2);
	assert_int_equal(count(&w)->lists, 1);
	close_world(&w);
}

/* Other pages and times from the next request on, and nothing is dropped for it. */
static void tuned(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w), other;

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "/api/v1/pods?limit=500", NULL);
	other = o;
	other.page_size = 7;
	other.watch_min_s = other.watch_max_s = 11;
	other.idle = 3 * S;
	reflector_tune(w.r, &other);
	assert_int_equal(poll_now(&w), REFLECTOR_NONE); /* it goes on */
	answer(&w, 200, JSON, LIST("10", "t", ITEM("a", "8")));
	started(&w, 0, "limit=7&continue=t", NULL);
	answer(&w, 200, JSON, LIST("10", "", ITEM("b", "3")));
	started(&w, 0, "resourceVersion=10", "timeoutSeconds=11");
	assert_int_equal(run(&w, 3 * S), REFLECTOR_ABORT); /* silence before the head */
	assert_int_equal(count(&w)->lists, 1);
	close_world(&w);
}

static void bytes_one_by_one(void **state)
{
	static const char text[] =
		EVENT("ADDED", "a", "8") MARKER("10") EVENT("MODIFIED", "a", "11");
	struct world w;

	(void)state;
	open_world(&w, NULL);
	started(&w, 0, "watch=1", NULL);
	assert_int_equal(head(&w, 200, "", 0), 0); /* no Content-Type: judged by the bytes */
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		assert_int_equal(reflector_data(w.r, w.now, text + i, 1), 0);
	expect(&w, "begin Aa end Ma");
	assert_int_equal(count(&w)->bytes, sizeof(text) - 1);
	close_world(&w);
}

static void metadata_is_named_and_asked_for(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	o.metadata_only = true;
	o.shape = SHAPE_META;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	assert_string_equal(w.req.accept,
			    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;"
			    "g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;"
			    "g=meta.k8s.io;v=v1");
	answer(&w, 200, JSON, LIST("10", "", ITEM("a", "8")));
	started(&w, 0, "watch=1", NULL);
	assert_string_equal(w.req.accept,
			    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;"
			    "g=meta.k8s.io;v=v1,application/json;"
			    "as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
	/* 406: whole objects; again: JSON alone. */
	answer(&w, 406, JSON, STATUS(406, "NotAcceptable", "no"));
	started(&w, 0, "resourceVersion=10", NULL);
	assert_string_equal(w.req.accept, "application/vnd.kubernetes.protobuf,application/json");
	answer(&w, 406, JSON, STATUS(406, "NotAcceptable", "no"));
	started(&w, 0, "resourceVersion=10", NULL);
	assert_string_equal(w.req.accept, "application/json");
	assert_int_equal(health(&w), REFLECTOR_SYNCED);
	answer(&w, 406, JSON, STATUS(406, "NotAcceptable", "no"));
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	close_world(&w);
}

static void whole_objects_come_as_json(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	o.raw = true;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	assert_string_equal(w.req.accept, "application/json");
	answer(&w, 200, JSON, LIST("10", "", ITEM("a", "8")));
	expect(&w, "begin Aa (" ITEM("a", "8") ") end");
	started(&w, 0, "watch=1", NULL);
	assert_string_equal(w.req.accept, "application/json");
	close_world(&w);
}

/* ---- resuming ---- */

static void cut_watch_resumes_without_a_list(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	assert_int_equal(body(&w, EVENT("MODIFIED", "a", "15") "{\"type\":\"MODI"), 0);
	end(&w, REFLECTOR_END_CUT);
	assert_int_equal(health(&w), REFLECTOR_SYNCED); /* once is no news */
	started(&w, 1 * S, "resourceVersion=15", "watch=1");
	lacks(&w, "sendInitialEvents");
	end(&w, REFLECTOR_END_CUT);
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	started(&w, 2 * S, "resourceVersion=15", "watch=1");
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	assert_int_equal(run(&w, 2 * S), REFLECTOR_NONE);
	assert_int_equal(health(&w), REFLECTOR_SYNCED); /* open for a second */
	expect(&w, "Ma");
	assert_int_equal(count(&w)->lists, 1);
	close_world(&w);
}

static void watch_that_ends_at_once_is_slowed_down(void **state)
{
	struct world w;
	unsigned starts = 0;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	end(&w, REFLECTOR_END_CLEAN);
	for (nsec_t until = w.now + 600 * S; w.now < until; starts++) {
		assert_int_equal(run(&w, 60 * S), REFLECTOR_START);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
		end(&w, REFLECTOR_END_CLEAN);
	}
	assert_in_range(starts, 20, 120); /* about one in 15 s once the backoff is wide */
	assert_int_equal(count(&w)->lists, 1);
	expect(&w, "");
	close_world(&w);
}

static void watch_with_events_that_ends_keeps_its_pace(void **state)
{
	struct world w;
	char event[512];

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	nsec_t began = w.now;
	for (int i = 0; i < 20; i++) {
		(void)snprintf(event, sizeof(event), EVENT("MODIFIED", "a", "%d"), 100 + i);
		assert_int_equal(body(&w, event), 0);
		end(&w, REFLECTOR_END_CLEAN);
		(void)snprintf(event, sizeof(event), "resourceVersion=%d", 100 + i);
		started(&w, 2 * S, event, NULL);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
	}
	assert_true(w.now - began >= 20 * S);
	assert_int_equal(count(&w)->errors, 0);
	close_world(&w);
}

static void consumer_that_refuses_sees_the_object_again(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	assert_int_equal(body(&w, EVENT("MODIFIED", "a", "15")), 0);
	w.object_result = -12;
	assert_true(body(&w, EVENT("MODIFIED", "b", "16")) < 0);
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	w.object_result = 0;
	started(&w, 1 * S, "resourceVersion=15", NULL);
	expect(&w, "Ma Mb");
	close_world(&w);
}

/* ---- 410 ---- */

static void gone_as_status(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	end(&w, REFLECTOR_END_CUT);
	started(&w, 1 * S, "resourceVersion=10", NULL);
	answer(&w, 410, JSON, STATUS(410, "Expired", "too old"));
	assert_int_equal(health(&w), REFLECTOR_SYNCING);
	assert_true(reflector_status(w.r).ever_synced);
	started(&w, 2 * S, "sendInitialEvents=true", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, EVENT("ADDED", "b", "3") MARKER("30")), 0);
	expect(&w, "begin Ab end");
	assert_int_equal(count(&w)->gone, 1);
	assert_int_equal(count(&w)->relists, 1);
	assert_int_equal(count(&w)->lists, 2);
	close_world(&w);
}

/* A server that was down and compacted: the failures are over, nobody waits for the list. */
static void gone_after_a_long_failure_lists_at_once(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	assert_int_equal(body(&w, EVENT("MODIFIED", "a", "15")), 0);
	end(&w, REFLECTOR_END_CUT);
	for (int i = 0; i < 10; i++) {
		started(&w, 60 * S, "resourceVersion=15", NULL);
		end(&w, REFLECTOR_END_CONNECT);
	}
	started(&w, 60 * S, "resourceVersion=15", NULL);
	answer(&w, 410, JSON, STATUS(410, "Expired", "too old"));
	started(&w, S / 2, "sendInitialEvents=true", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, MARKER("30")), 0);
	/* But a server that does not know the version it has just named is backed off from. */
	nsec_t waited = 0;
	for (int i = 0; i < 6; i++) {
		end(&w, REFLECTOR_END_CUT);
		started(&w, 60 * S, "resourceVersion=30", NULL);
		answer(&w, 410, JSON, STATUS(410, "Expired", "too old"));
		nsec_t from = w.now;
		started(&w, 60 * S, "sendInitialEvents=true", NULL);
		waited = MAX(waited, w.now - from);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
		assert_int_equal(body(&w, MARKER("30")), 0);
	}
	assert_true(waited > S);
	close_world(&w);
}

static void gone_as_event(void **state)
{
	static const char *const events[] = {
		ERROR(410, "Expired", "too old"),
		ERROR(410, "Gone", "too old"),
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410}}\n",
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"reason\":\"Expired\"}}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		struct world w;
		struct reflector_opts o = paged(&w);

		open_world(&w, &o);
		sync_by_pages(&w);
		assert_int_equal(body(&w, EVENT("MODIFIED", "a", "15")), 0);
		assert_true(body(&w, events[i]) < 0);
		end(&w, REFLECTOR_END_ABORTED); /* allowed, ignored */
		assert_int_equal(health(&w), REFLECTOR_SYNCING);
		started(&w, 1 * S, "limit=500", NULL);
		lacks(&w, "resourceVersion");
		answer(&w, 200, JSON, LIST("20", "", ITEM("a", "8")));
		expect(&w, "Ma begin Aa end");
		started(&w, 0, "resourceVersion=20", "watch=1");
		assert_int_equal(count(&w)->gone, 1);
		close_world(&w);
	}
}

static void expired_page_token_starts_the_list_over(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	for (int i = 0; i < 2; i++) {
		started(&w, 2 * S, "limit=500", NULL);
		lacks(&w, "continue");
		answer(&w, 200, JSON, LIST("10", "t1", ITEM("a", "8")));
		started(&w, 0, "limit=500", "continue=t1");
		answer(&w, 410, JSON,
		       STATUS(410, "Expired", "The provided continue parameter is too old"));
		expect(&w, "begin Aa");
	}
	/* The third try does without pages. */
	started(&w, 4 * S, "/api/v1/pods", NULL);
	lacks(&w, "limit");
	answer(&w, 200, JSON, LIST("12", "", ITEM("a", "8") "," ITEM("b", "9")));
	expect(&w, "begin Aa Ab end");
	assert_int_equal(count(&w)->restarts, 2);
	started(&w, 0, "resourceVersion=12", NULL);
	close_world(&w);
}

static void broken_page_goes_on_with_its_token(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("10", "t1", ITEM("a", "8")));
	started(&w, 0, "continue=t1", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"10\","
				  "\"continue\":\"t2\"},\"items\":[" ITEM("b", "2")),
			 0);
	end(&w, REFLECTOR_END_CUT);
	started(&w, 1 * S, "continue=t1", NULL);
	answer(&w, 200, JSON, LIST("10", "t2", ITEM("b", "2")));
	started(&w, 0, "continue=t2", NULL);
	answer(&w, 200, JSON, LIST("10", "t2", ITEM("c", "2"))); /* the token again */
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	started(&w, 2 * S, "limit=500", NULL);
	lacks(&w, "continue");
	expect(&w, "begin Aa Ab Ab Ac");
	close_world(&w);
}

static void refused_page_token_starts_the_list_over(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("10", "t1", ITEM("a", "8")));
	started(&w, 0, "continue=t1", NULL);
	answer(&w, 400, JSON, STATUS(400, "BadRequest", "continue key is not valid"));
	started(&w, 1 * S, "limit=500", NULL);
	lacks(&w, "continue");
	close_world(&w);
}

/* ---- older servers ---- */

static void server_without_streaming_lists(void **state)
{
	static const struct {
		int status;
		const char *type, *text;
	} no[] = {
		{422, JSON, STATUS(422, "Invalid", "sendInitialEvents is forbidden")},
		{400, JSON, STATUS(400, "BadRequest", "unknown parameter")},
		{405, "text/plain", "not allowed"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		struct world w, w2;
		struct reflector_opts o;
		bool shared = false;

		make_opts(&w, &o);
		o.no_streaming_shared = &shared;
		open_world(&w, &o);
		started(&w, 0, "sendInitialEvents", NULL);
		answer(&w, no[i].status, no[i].type, no[i].text);
		assert_int_equal(health(&w), REFLECTOR_SYNCING);
		sync_by_pages(&w);
		assert_true(body(&w, ERROR(410, "Expired", "old")) < 0);
		started(&w, 1 * S, "limit=500", NULL); /* remembered */
		assert_int_equal(count(&w)->errors, 0);
		/* The others of the process know it too. */
		open_world(&w2, &o);
		started(&w2, 0, "limit=500", NULL);
		close_world(&w2);
		close_world(&w);
	}
}

static void server_that_ignores_the_parameter(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	started(&w, 0, "sendInitialEvents", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, EVENT("ADDED", "a", "8")), 0);
	nsec_t from = w.now;
	assert_int_equal(run(&w, 31 * S), REFLECTOR_ABORT); /* objects, and then silence */
	assert_int_equal(w.now - from, 30 * S);
	started(&w, 1 * S, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("10", "", ITEM("a", "8")));
	expect(&w, "begin Aa begin Aa end");
	/* Once may have been the network: the next list tries again. A bookmark that is no end
	 * marker settles it. */
	started(&w, 1 * S, "resourceVersion=10", NULL);
	answer(&w, 200, JSON, ERROR(410, "Gone", "old"));
	started(&w, 2 * S, "sendInitialEvents", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_true(body(&w, EVENT("ADDED", "a", "8") BOOKMARK("12")) < 0);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("20", "", ITEM("a", "8")));
	started(&w, 1 * S, "resourceVersion=20", NULL);
	answer(&w, 200, JSON, ERROR(410, "Gone", "old"));
	started(&w, 5 * S, "limit=500", NULL);
	close_world(&w);
}

static void streaming_list_that_ends_early(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, NULL);
	started(&w, 0, "sendInitialEvents", NULL);
	answer(&w, 200, JSON, EVENT("ADDED", "a", "8"));
	started(&w, 1 * S, "limit=500", NULL);
	expect(&w, "begin Aa");
	close_world(&w);
}

/* What says nothing of the way it was asked in: it is asked in the same way again. */
static void streaming_list_that_fails_is_asked_for_again(void **state)
{
	static const int statuses[] = {404, 408, 413, 429, 500, 503};

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++) {
		struct world w;
		struct reflector_opts o;
		bool shared = false;

		make_opts(&w, &o);
		o.no_streaming_shared = &shared;
		open_world(&w, &o);
		started(&w, 0, "sendInitialEvents", NULL);
		answer(&w, statuses[i], "text/plain", "no");
		assert_int_equal(health(&w), REFLECTOR_FAILING);
		started(&w, 61 * S, "sendInitialEvents", NULL);
		assert_false(shared);
		close_world(&w);
	}
}

/* One that fails on its way is had by pages, and the next one streams again. */
static void streaming_list_that_breaks_comes_by_pages_once(void **state)
{
	static const char *const errors[] = {
		EVENT("ADDED", "a", "8") ERROR(500, "InternalError", "no"),
		EVENT("ADDED", "a", "8") ERROR(422, "Invalid", "no"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		struct world w;
		struct reflector_opts o;
		bool shared = false;

		make_opts(&w, &o);
		o.no_streaming_shared = &shared;
		open_world(&w, &o);
		started(&w, 0, "sendInitialEvents", NULL);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
		assert_true(body(&w, errors[i]) < 0);
		expect(&w, "begin Aa");
		started(&w, 31 * S, "limit=500", NULL);
		answer(&w, 200, JSON, LIST("10", "", ITEM("a", "8")));
		expect(&w, "begin Aa end");
		started(&w, 1 * S, "watch=1", "&resourceVersion=10");
		answer(&w, 410, JSON, STATUS(410, "Expired", "old"));
		started(&w, 31 * S, "sendInitialEvents", NULL);
		assert_false(shared);
		close_world(&w);
	}
}

/* ---- refusals ---- */

static void forbidden_says_what_is_missing(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	o.path = STR("/apis/apps/v1/namespaces/shop/replicasets");
	open_world(&w, &o);
	w.states = true;
	started(&w, 0, "limit=500", NULL);
	nsec_t since = w.now;
	for (int i = 0; i < 8; i++) {
		answer(&w, 403, JSON,
		       STATUS(403, "Forbidden",
			      "replicasets.apps is forbidden: User \\\"x\\\" cannot list"));
		assert_int_equal(run(&w, 31 * S), REFLECTOR_START);
	}
	assert_int_equal(health(&w), REFLECTOR_FORBIDDEN);
	assert_int_equal(reflector_status(w.r).since, since);
	assert_string_equal(
		w.text,
		"replicasets.apps in namespace shop: list is forbidden (403): grant list and "
		"watch on replicasets.apps; the server says: replicasets.apps is forbidden: "
		"User \"x\" cannot list");
	answer(&w, 200, JSON, LIST("10", "", ITEM("a", "8")));
	expect(&w, "[forbidden] begin Aa end [synced]");
	assert_string_equal(w.text, "");
	/* It is the watch that is forbidden now; what is known stays. */
	started(&w, 1 * S, "watch=1", NULL);
	answer(&w, 403, "application/vnd.kubernetes.protobuf", "");
	assert_non_null(strstr(w.text, "watch is forbidden"));
	assert_true(reflector_status(w.r).ever_synced);
	started(&w, 31 * S, "resourceVersion=10", NULL);
	expect(&w, "[forbidden]");
	assert_int_equal(count(&w)->forbidden, 9);
	close_world(&w);
}

static void unauthorized_asks_for_new_credentials(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 401, JSON, STATUS(401, "Unauthorized", "Unauthorized"));
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	expect(&w, "unauthorized");
	sync_by_pages(&w);
	close_world(&w);
}

static void unauthorized_is_told_each_time(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	for (int i = 0; i < 3; i++) {
		started(&w, 31 * S, "limit=500", NULL);
		answer(&w, 401, "text/plain", "Unauthorized");
	}
	expect(&w, "unauthorized unauthorized unauthorized");
	assert_int_equal(count(&w)->unauthorized, 3);
	close_world(&w);
}

static void retry_after_is_a_floor(void **state)
{
	struct world w;

	(void)state;
	for (int by_event = 0; by_event < 2; by_event++) {
		struct reflector_opts o = paged(&w);

		open_world(&w, &o);
		budget_init(&w.budget, 10, 20, 1);
		sync_by_pages(&w);
		nsec_t from = w.now;
		if (by_event) {
			assert_true(body(&w, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\","
					     "\"code\":429,\"reason\":\"TooManyRequests\","
					     "\"details\":{\"retryAfterSeconds\":7}}}\n") < 0);
		} else {
			end(&w, REFLECTOR_END_CUT);
			started(&w, 1 * S, "watch=1", NULL);
			from = w.now;
			assert_int_equal(head(&w, 429, "text/plain; charset=utf-8", 7 * S), 0);
			assert_int_equal(body(&w, "Too many requests, please try again later.\n"),
					 0);
			end(&w, REFLECTOR_END_CLEAN);
			assert_non_null(strstr(w.text, "please try again later"));
		}
		started(&w, 9 * S, "resourceVersion=10", NULL);
		assert_true(w.now - from >= 7 * S);
		close_world(&w);
	}
}

static void a_hostile_retry_after_is_cut(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	assert_int_equal(head(&w, 503, "", 1000000000ULL * S), 0);
	end(&w, REFLECTOR_END_CLEAN);
	started(&w, 301 * S, "limit=500", NULL);
	close_world(&w);
}

static void not_a_kubernetes_server(void **state)
{
	static const struct {
		int status;
		const char *type, *text, *word;
	} no[] = {
		{200, "text/html", "<html><body>Sign in</body></html>", "text/html"},
		{200, "", "<html><body>Sign in</body></html>", "no known type"},
		{302, "text/html", "moved", "redirect (302)"},
		{301, "", "", "redirect (301)"},
		{500, "text/html", "<html>oops</html>", "status 500: <html>oops</html>"},
		{504, "text/plain; charset=utf-8",
		 "{\"metadata\":{},\"status\":\"Failure\",\"message\":\"etcd is "
		 "slow\",\"code\":504}",
		 "status 504: etcd is slow"},
		{404, "text/plain", "404 page not found\n", "404 page not found"},
		{200, JSON, "{\"kind\":\"PodList\"", ""},
		{200, JSON, "", ""},
		{200, JSON, LIST("", "", ""), "resourceVersion"},
		{200, JSON, "null", ""},
		{100000, "", "", "100000"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		struct world w;
		struct reflector_opts o = paged(&w);

		open_world(&w, &o);
		started(&w, 0, "limit=500", NULL);
		answer(&w, no[i].status, no[i].type, no[i].text);
		assert_int_equal(health(&w), REFLECTOR_FAILING);
		if (!strstr(w.text, no[i].word))
			fail_msg("%zu: \"%s\"", i, w.text);
		assert_int_equal(count(&w)->errors, 1);
		buf_reset(&w.log);
		started(&w, 61 * S, "limit=500", NULL);
		close_world(&w);
	}
}

static void credentials_in_an_error_page_are_not_repeated(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 502, "text/plain",
	       "bad gateway\r\nAuthorization: Bearer "
	       "s3cret-token\r\nx=eyJhbGciOiJSUzI1NiIsImtpZCI6 end");
	assert_null(strstr(w.text, "s3cret"));
	assert_null(strstr(w.text, "eyJ"));
	assert_non_null(
		strstr(w.text, "bad gateway Authorization: Bearer [redacted] x=[redacted] end"));
	close_world(&w);
}

static void an_endless_error_body_is_dropped(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);
	char block[4096];
	int r = 0, n = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	assert_int_equal(head(&w, 500, "text/plain", 0), 0);
	for (; r == 0 && n < 100; n++)
		r = reflector_data(w.r, w.now, block, sizeof(block));
	assert_true(r < 0);
	assert_int_equal(n, 17);
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	close_world(&w);
}

/* ---- resume points that never work ---- */

static void a_resume_point_that_never_works_is_given_up(void **state)
{
	static const struct {
		int status;
		const char *text;
	} no[] = {
		{500, STATUS(500, "InternalError", "strconv.ParseUint")},
		{200, ERROR(500, "InternalError", "decoding failed")},
		{200, "garbage"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++) {
		struct world w;
		struct reflector_opts o = paged(&w);

		open_world(&w, &o);
		sync_by_pages(&w);
		end(&w, REFLECTOR_END_CUT);
		for (int k = 0; k < 3; k++) {
			started(&w, 31 * S, "watch=1", "resourceVersion=10");
			answer(&w, no[i].status, JSON, no[i].text);
		}
		started(&w, 31 * S, "limit=500", NULL);
		close_world(&w);
	}
}

static void cuts_alone_never_cause_a_list(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	for (int k = 0; k < 50; k++) {
		end(&w, k % 2 ? REFLECTOR_END_CUT : REFLECTOR_END_CONNECT);
		started(&w, 31 * S, "watch=1", "resourceVersion=10");
		if (k % 4 < 2)
			assert_int_equal(head(&w, 200, JSON, 0), 0);
	}
	assert_int_equal(count(&w)->lists, 1);
	close_world(&w);
}

static void protobuf_that_cannot_be_read_becomes_json(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	for (int i = 0; i < 2; i++) {
		started(&w, 2 * S, "limit=500", NULL);
		assert_string_equal(w.req.accept,
				    "application/vnd.kubernetes.protobuf,application/json");
		answer(&w, 200, "application/vnd.kubernetes.protobuf",
		       "k8s?\xff\xff\xff\xff\xff\xff");
	}
	started(&w, 3 * S, "limit=500", NULL);
	assert_string_equal(w.req.accept, "application/json");
	assert_int_equal(count(&w)->decode_errors, 2);
	close_world(&w);
}

static void a_long_resource_version_is_refused(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);
	char rv[400], text[1000];

	(void)state;
	memset(rv, '1', sizeof(rv));
	rv[300] = '\0';
	open_world(&w, &o);
	started(&w, 0, "limit=500", NULL);
	(void)snprintf(text, sizeof(text), LIST("%s", "", ITEM("a", "8")), rv);
	answer(&w, 200, JSON, text);
	assert_int_equal(health(&w), REFLECTOR_FAILING);
	expect(&w, "begin Aa");
	sync_by_pages(&w);
	close_world(&w);
}

/* ---- silence and time ---- */

static void silence_limits(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);
	nsec_t from;

	(void)state;
	open_world(&w, &o);
	/* A list: 60 s to its first byte, with or without a head. */
	started(&w, 0, "limit=500", NULL);
	from = w.now;
	w.now += 20 * S;
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(run(&w, 100 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 60 * S);
	/* Then 30 s. */
	started(&w, 2 * S, "limit=500", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(body(&w, "{"), 0);
	from = w.now;
	assert_int_equal(run(&w, 100 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 30 * S);
	/* A watch: 30 s to its head. */
	started(&w, 3 * S, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("10", "", ""));
	started(&w, 0, "watch=1", NULL);
	from = w.now;
	assert_int_equal(run(&w, 100 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 30 * S);
	/* Without a bookmark only the end that the server promised, and a minute. */
	started(&w, 5 * S, "watch=1", NULL);
	from = w.now;
	unsigned seconds =
		(unsigned)strtoul(strstr(w.req.target, "timeoutSeconds=") + 15, NULL, 10);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	assert_int_equal(run(&w, 700 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, (seconds + 60) * S);
	/* With one, 150 s. */
	started(&w, 9 * S, "watch=1", NULL);
	assert_int_equal(head(&w, 200, JSON, 0), 0);
	w.now += 10 * S;
	assert_int_equal(body(&w, BOOKMARK("11")), 0);
	from = w.now;
	assert_int_equal(run(&w, 700 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 150 * S);
	started(&w, 31 * S, "resourceVersion=11", NULL);
	/* An error whose body does not end still is that error. */
	assert_int_equal(head(&w, 410, JSON, 0), 0);
	from = w.now;
	assert_int_equal(run(&w, 100 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 30 * S);
	assert_int_equal(count(&w)->gone, 1);
	started(&w, 31 * S, "limit=500", NULL);
	close_world(&w);
}

/* A frame may claim two gigabytes: everything behind it would be taken for its rest. */
static void bytes_that_become_nothing_are_silence(void **state)
{
	static const char huge[] = "\x7f\xff\xff\xff\x0a";
	struct world w;
	struct reflector_opts o = paged(&w);
	enum reflector_action a = REFLECTOR_NONE;

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	assert_int_equal(body(&w, BOOKMARK("11")), 0);
	end(&w, REFLECTOR_END_CUT);
	started(&w, 1 * S, "resourceVersion=11", NULL);
	assert_int_equal(head(&w, 200, "application/vnd.kubernetes.protobuf;stream=watch", 0), 0);
	nsec_t from = w.now;
	int r = reflector_data(w.r, w.now, huge, 5);
	while (r == 0 && a == REFLECTOR_NONE && w.now < from + 300 * S) {
		a = run(&w, 5 * S);
		if (a == REFLECTOR_NONE)
			r = body(&w, "more and more");
	}
	assert_true(r < 0 || a == REFLECTOR_ABORT);
	assert_true(w.now <= from + 150 * S);
	started(&w, 1 * S, "resourceVersion=11", NULL);
	close_world(&w);
}

/* A cluster restored from a backup: the resume point lies in the future and nothing ever comes. */
static void a_silent_future_is_left_by_a_list(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	assert_int_equal(body(&w, BOOKMARK("900")), 0);
	assert_int_equal(run(&w, 200 * S), REFLECTOR_ABORT);
	for (int i = 0; i < 3; i++) {
		started(&w, 31 * S, "resourceVersion=900", NULL);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
		assert_int_equal(run(&w, 200 * S), REFLECTOR_ABORT);
	}
	started(&w, 31 * S, "limit=500", NULL);
	close_world(&w);
}

static void paused_time_does_not_count(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	assert_int_equal(body(&w, BOOKMARK("11")), 0);
	w.pause_on_object = true;
	w.now += 100 * S;
	assert_int_equal(body(&w, EVENT("MODIFIED", "a", "12")), 0);
	assert_int_equal(run(&w, 7200 * S), REFLECTOR_NONE);
	assert_int_equal(w.deadline, NSEC_NEVER);
	reflector_pause(w.r, w.now, false);
	nsec_t from = w.now;
	assert_int_equal(run(&w, 200 * S), REFLECTOR_ABORT);
	assert_int_equal(w.now - from, 150 * S);
	/* Nothing is started either. */
	reflector_pause(w.r, w.now, true);
	assert_int_equal(run(&w, 3600 * S), REFLECTOR_NONE);
	reflector_pause(w.r, w.now, false);
	started(&w, 0, "resourceVersion=12", NULL);
	expect(&w, "Ma");
	close_world(&w);
}

static void backoff_widens_and_is_forgotten_after_a_healthy_time(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);
	nsec_t widest = 0;

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	for (int i = 0; i < 40; i++) {
		nsec_t from = w.now;

		end(&w, REFLECTOR_END_CUT);
		started(&w, 30 * S, "watch=1", NULL);
		assert_int_equal(head(&w, 200, JSON, 0), 0); /* good for no time at all */
		widest = w.now - from > widest ? w.now - from : widest;
	}
	assert_true(widest > 20 * S);
	w.now += 61 * S;
	assert_int_equal(body(&w, EVENT("MODIFIED", "a", "12")), 0);
	end(&w, REFLECTOR_END_CUT);
	started(&w, S / 2, "watch=1", NULL);
	close_world(&w);
}

static void unreachable_makes_everybody_wait(void **state)
{
	struct world w1, w2;
	struct budget b;
	struct reflector_opts o;

	(void)state;
	budget_init(&b, 10, 20, 3);
	make_opts(&w1, &o);
	o.budget = &b;
	open_world(&w1, &o);
	open_world(&w2, &o);
	started(&w1, 0, "watch=1", NULL);
	reflector_end(w1.r, w1.now, REFLECTOR_END_TLS, "the certificate has expired");
	assert_non_null(
		strstr(w1.text, "no trusted connection to the API server: the certificate has"));
	assert_true(b.pause_until > w1.now);
	assert_int_equal(poll_now(&w2), REFLECTOR_NONE);
	assert_int_equal(w2.deadline, b.pause_until);
	started(&w2, 1 * S, "watch=1", NULL);
	close_world(&w1);
	close_world(&w2);
}

static void relist_on_request(void **state)
{
	struct world w;
	struct reflector_opts o = paged(&w);

	(void)state;
	open_world(&w, &o);
	sync_by_pages(&w);
	reflector_relist(w.r, w.now);
	assert_int_equal(poll_now(&w), REFLECTOR_ABORT);
	assert_true(body(&w, EVENT("MODIFIED", "a", "12")) < 0);
	started(&w, 0, "limit=500", NULL);
	answer(&w, 200, JSON, LIST("20", "", ITEM("a", "8")));
	expect(&w, "begin Aa end");
	close_world(&w);
}

static void start_is_spread(void **state)
{
	nsec_t first = 0;
	bool differ = false;

	(void)state;
	for (uint64_t seed = 1; seed < 20; seed++) {
		struct world w;
		struct reflector_opts o = paged(&w);

		o.seed = seed;
		o.start_jitter = 10 * S;
		open_world(&w, &o);
		nsec_t from = w.now;
		assert_int_equal(run(&w, 10 * S), REFLECTOR_START);
		differ |= first && w.now - from != first;
		first = w.now - from;
		close_world(&w);
	}
	assert_true(differ);
}

static void hours_of_quiet(void **state)
{
	struct world w;
	unsigned watches = 0;

	(void)state;
	open_world(&w, NULL);
	sync_by_stream(&w);
	for (nsec_t until = w.now + 24 * 3600 * S; w.now < until; watches++) {
		nsec_t open = w.now;
		unsigned seconds =
			(unsigned)strtoul(strstr(w.req.target, "timeoutSeconds=") + 15, NULL, 10);

		while (w.now + 60 * S < open + seconds * S) {
			assert_int_equal(run(&w, 60 * S), REFLECTOR_NONE);
			assert_int_equal(body(&w, BOOKMARK("50")), 0);
		}
		end(&w, REFLECTOR_END_CLEAN);
		started(&w, 2 * S, "resourceVersion=50", NULL);
		assert_int_equal(head(&w, 200, JSON, 0), 0);
	}
	assert_in_range(watches, 24 * 3600 / 600, 24 * 3600 / 240);
	assert_int_equal(count(&w)->lists, 1);
	assert_int_equal(count(&w)->errors, 0);
	expect(&w, "");
	close_world(&w);
}

static void bad_options(void **state)
{
	struct world w = {0};
	struct reflector_opts o;
	struct reflector *r = NULL;

	(void)state;
	make_opts(&w, &o);
	o.path = (struct str){0};
	assert_int_equal(reflector_new(&o, &r), -22);
	make_opts(&w, &o);
	o.field_selector = str_make("a\0b", 3);
	assert_int_equal(reflector_new(&o, &r), -22);
	assert_null(r);
	reflector_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streaming_list_goes_on_as_watch),
		cmocka_unit_test(heard_from),
		cmocka_unit_test(pages_then_watch),
		cmocka_unit_test(tuned),
		cmocka_unit_test(bytes_one_by_one),
		cmocka_unit_test(metadata_is_named_and_asked_for),
		cmocka_unit_test(whole_objects_come_as_json),
		cmocka_unit_test(cut_watch_resumes_without_a_list),
		cmocka_unit_test(watch_that_ends_at_once_is_slowed_down),
		cmocka_unit_test(watch_with_events_that_ends_keeps_its_pace),
		cmocka_unit_test(consumer_that_refuses_sees_the_object_again),
		cmocka_unit_test(gone_as_status),
		cmocka_unit_test(gone_after_a_long_failure_lists_at_once),
		cmocka_unit_test(gone_as_event),
		cmocka_unit_test(expired_page_token_starts_the_list_over),
		cmocka_unit_test(refused_page_token_starts_the_list_over),
		cmocka_unit_test(broken_page_goes_on_with_its_token),
		cmocka_unit_test(server_without_streaming_lists),
		cmocka_unit_test(server_that_ignores_the_parameter),
		cmocka_unit_test(streaming_list_that_ends_early),
		cmocka_unit_test(streaming_list_that_fails_is_asked_for_again),
		cmocka_unit_test(streaming_list_that_breaks_comes_by_pages_once),
		cmocka_unit_test(forbidden_says_what_is_missing),
		cmocka_unit_test(unauthorized_asks_for_new_credentials),
		cmocka_unit_test(unauthorized_is_told_each_time),
		cmocka_unit_test(retry_after_is_a_floor),
		cmocka_unit_test(a_hostile_retry_after_is_cut),
		cmocka_unit_test(not_a_kubernetes_server),
		cmocka_unit_test(credentials_in_an_error_page_are_not_repeated),
		cmocka_unit_test(an_endless_error_body_is_dropped),
		cmocka_unit_test(a_resume_point_that_never_works_is_given_up),
		cmocka_unit_test(cuts_alone_never_cause_a_list),
		cmocka_unit_test(protobuf_that_cannot_be_read_becomes_json),
		cmocka_unit_test(a_long_resource_version_is_refused),
		cmocka_unit_test(silence_limits),
		cmocka_unit_test(bytes_that_become_nothing_are_silence),
		cmocka_unit_test(a_silent_future_is_left_by_a_list),
		cmocka_unit_test(paused_time_does_not_count),
		cmocka_unit_test(backoff_widens_and_is_forgotten_after_a_healthy_time),
		cmocka_unit_test(unreachable_makes_everybody_wait),
		cmocka_unit_test(relist_on_request),
		cmocka_unit_test(start_is_spread),
		cmocka_unit_test(hours_of_quiet),
		cmocka_unit_test(bad_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
