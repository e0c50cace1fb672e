/*
 * Flows to a collector that is strict about what it is told and fails in every way
 * (tests/fake/otlp.py): what it has is held against the flows that were put in.
 */
#include "tests/unit/sink/flow_rig.h"

#include <event2/event.h>
#include <jansson.h>
#include <unistd.h>

#include "http/http.h"
#include "sink/jsonl/line.h"
#include "sink/otlp/otlp.h"
#include "tests/lib/fake.h"
#include "tests/lib/http_probe.h"
#include "tests/lib/torture.h"

#define HUNG	(60 * SEC)
#define TIMEOUT (1000 * NSEC_PER_MSEC)
#define ALL                                                                          \
	(1U << LINE_OPEN | 1U << LINE_REFRESH | 1U << LINE_CLOSE | 1U << LINE_FAIL | \
	 1U << LINE_DROP)
#define SECRET "canary-3b81c2"

struct run {
	struct rig g;
	struct event_base *base;
	struct http *http;
	struct fake fake;
	struct otlp *o;
	char url[256], file[64];
	bool stopped;
	unsigned port;	      /* of the last flow */
	uint64_t flows, sent; /* put in, and their bytes */
};

static void on_stopped(void *ctx)
{
	((struct run *)ctx)->stopped = true;
}

static struct otlp_opts opts(struct run *p)
{
	return (struct otlp_opts){
		.base = p->base,
		.http = p->http,
		.flows = p->g.flows,
		.url = p->url,
		.points = true,
		.records = true,
		.batch = 256 << 10,
		.delay = 10 * NSEC_PER_MSEC,
		.source = {.version = STR("1"), .node = STR("n1")},
		.access = {.timeout = HUNG},
		.tuning = {.interval = SEC / 10, .max_series = 1000, .events = ALL, .gzip = true},
		.seed = 1,
		.stopped = on_stopped,
		.ctx = p};
}

static void open_place(struct run *p, uint32_t max_ended)
{
	*p = (struct run){.port = 1024};
	rig_init(&p->g, (struct rig_opts){.flows = {.max_flows = 100000, .max_ended = max_ended}});
	session_free(&p->g.s); /* the flows are for one sink */
	assert_int_equal(rig_tree_try(&p->g), 0);
	rig_pod(&p->g, 1, "web");
	rig_pod(&p->g, 2, "db");
	p->base = event_base_new();
	assert_int_equal(http_new(&(struct http_opts){.base = p->base}, &p->http), 0);
	fake_start(&p->fake, p->base, p->http, &(struct fake_opts){.script = "otlp.py"});
	(void)fake_url(&p->fake, "", p->url, sizeof(p->url));
}

static void open_sink(struct run *p, const struct otlp_opts *o)
{
	_buf_ struct buf error = {.max = 1024};

	if (otlp_new(o, &p->o, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}

static void close_place(struct run *p)
{
	otlp_free(&p->o);
	assert_int_equal(fake_complaints(&p->fake), 0);
	fake_stop(&p->fake);
	http_free(&p->http);
	event_base_free(p->base);
	if (p->file[0])
		(void)unlink(p->file);
	rig_done(&p->g);
}

/* `n` connections of web to db that came and went. */
static void flows(struct run *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct rig_conn x, y;

		p->port = p->port == 65535 ? 1024 : p->port + 1;
		rig_pair(&p->g, 1, 2, (uint16_t)p->port, &x, &y);
		rig_wait(&p->g, NSEC_PER_USEC);
		assert_int_equal(rig_open(&p->g, &x), 0);
		x.sent = 100 + i;
		p->sent += x.sent;
		assert_int_equal(rig_close(&p->g, &x), 0);
	}
	p->flows += n;
	rig_wait(&p->g, 2 * SEC); /* the other end may yet be told of */
	assert_int_equal(rig_name_all(&p->g), 0);
	if (p->o)
		otlp_changed(p->o);
}

static struct otlp_stats stats(const struct run *p, enum otlp_signal signal)
{
	struct otlp_stats s;

	assert_true(otlp_stats(p->o, signal, &s));
	return s;
}

static uint64_t lost(const struct otlp_stats *s)
{
	uint64_t n = 0;

	for (int i = 0; i < _OTLP_LOST_MAX; i++)
		n += s->lost[i];
	return n;
}

static void wait_for(struct run *p, bool (*so)(struct run *p, uint64_t n), uint64_t n)
{
	const nsec_t begin = clock_mono();

	while (!so(p, n)) {
		struct timeval tick = {.tv_usec = 20000};

		(void)event_base_loopexit(p->base, &tick);
		assert_true(event_base_loop(p->base, 0) >= 0);
		if (clock_mono() - begin > HUNG)
			fail_msg("nothing happens any more");
	}
}

static bool has_records(struct run *p, uint64_t n)
{
	const struct otlp_stats s = stats(p, OTLP_RECORDS);

	return s.sent + lost(&s) >= n;
}

static bool has_retried(struct run *p, uint64_t n)
{
	return stats(p, OTLP_RECORDS).post.retries >= n;
}

static bool has_all(struct run *p, uint64_t n)
{
	const struct otlp_stats s = stats(p, OTLP_RECORDS);

	(void)n;
	return s.sent / 2 + s.lost[OTLP_LOST_SLOW] == p->flows;
}

static bool has_points(struct run *p, uint64_t n)
{
	const struct otlp_stats s = stats(p, OTLP_POINTS);

	return s.sent >= n;
}

static bool has_stopped(struct run *p, uint64_t n)
{
	(void)n;
	return p->stopped;
}

static json_t *dump(struct run *p)
{
	return fake_ask(&p->fake, "GET", "/_fake/dump", NULL);
}

static uint64_t number(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* The value of the one stream of that name with that attribute. */
static uint64_t stream(const json_t *d, const char *metric, const char *key, const char *value)
{
	const json_t *s;
	uint64_t n = 0;
	size_t i;

	json_array_foreach(json_object_get(d, "streams"), i, s)
	{
		const char *v =
			json_string_value(json_object_get(json_object_get(s, "attributes"), key));

		if (strcmp(json_string_value(json_object_get(s, "metric")), metric) == 0 && v &&
		    strcmp(v, value) == 0)
			n += number(s, "value");
	}
	return n;
}

/* The collector has `n` records; the bytes of those that ended a flow. */
static uint64_t ended(const json_t *d, size_t n)
{
	const json_t *list = json_object_get(d, "records"), *r;
	uint64_t sum = 0;
	size_t i;

	assert_int_equal(json_array_size(list), n);
	json_array_foreach(list, i, r) if (strcmp(json_string_value(json_object_get(r, "event")),
						  "kindred.flow.close") == 0) sum +=
		number(json_object_get(r, "attributes"), "kindred.flow.transmit.bytes");
	return sum;
}

/* ---- all is well ----------------------------------------------------------------------------- */

static void everything_arrives(void **state)
{
	struct run p;
	struct otlp_opts o;
	json_t *d;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	open_sink(&p, &o);
	flows(&p, 1000); /* several batches */
	wait_for(&p, has_records, 2000);
	o.tuning.gzip = false;
	otlp_tune(p.o, &o.tuning);
	flows(&p, 500);
	otlp_stop(p.o, HUNG);
	wait_for(&p, has_stopped, 0);
	d = dump(&p);
	assert_int_equal(ended(d, 3000), p.sent);
	assert_int_equal(number(d, "again"), 0);
	assert_int_equal(stream(d, "kindred.flow.io", "network.io.direction", "transmit"), p.sent);
	assert_int_equal(stream(d, "kindred.flow.connections", "source.k8s.daemonset.name", "web"),
			 1500);
	assert_int_equal(stats(&p, OTLP_RECORDS).sent, 3000);
	assert_int_equal(stats(&p, OTLP_RECORDS).post.retries, 0);
	assert_int_equal(number(d, "points"), stats(&p, OTLP_POINTS).sent);
	json_decref(d);
	close_place(&p);
}

static void chosen_events_alone(void **state)
{
	struct run p;
	struct otlp_opts o;
	json_t *d;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	o.points = false;
	o.tuning.events = 1U << LINE_CLOSE;
	open_sink(&p, &o);
	assert_false(otlp_stats(p.o, OTLP_POINTS, &(struct otlp_stats){0}));
	flows(&p, 20);
	otlp_stop(p.o, HUNG);
	wait_for(&p, has_stopped, 0);
	d = dump(&p);
	assert_int_equal(ended(d, 20), p.sent);
	assert_int_equal(json_array_size(json_object_get(d, "streams")), 0);
	json_decref(d);
	close_place(&p);
}

/* ---- it fails -------------------------------------------------------------------------------- */

/* What says that nothing was taken: told again, once. */
static void told_again(void **state)
{
	static const char *const faults[] = {
		"{\"path\":\"logs\",\"status\":503}",
		"{\"path\":\"logs\",\"status\":429,\"headers\":{\"Retry-After\":\"1\"}}",
		"{\"path\":\"logs\",\"status\":502,\"times\":2}",
		"{\"path\":\"logs\",\"status\":504}",
		"{\"path\":\"logs\",\"cut\":true}",
		"{\"path\":\"logs\",\"reset\":true}",
		"{\"path\":\"logs\",\"hang\":true}",
	};
	struct run p;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct otlp_opts o = opts(&p);
		const nsec_t begin = clock_mono();
		struct otlp_stats s;
		json_t *d;

		if (strstr(faults[i], "hang"))
			o.access.timeout = TIMEOUT;
		fake_fault(&p.fake, faults[i]);
		open_sink(&p, &o);
		flows(&p, 5);
		wait_for(&p, has_records, 10);
		s = stats(&p, OTLP_RECORDS);
		assert_int_equal(s.sent, 10);
		assert_int_equal(lost(&s), 0);
		/* A connection that was there before and breaks is made anew by libcurl. */
		assert_true(s.post.retries >= 1 || strstr(faults[i], "cut") ||
			    strstr(faults[i], "reset"));
		assert_false(s.post.failing);
		if (strstr(faults[i], "Retry-After"))
			assert_true(clock_mono() - begin >= SEC);
		d = dump(&p);
		assert_int_equal(ended(d, 10 * (i + 1)), p.sent);
		assert_int_equal(number(d, "again"), 0);
		json_decref(d);
		otlp_free(&p.o);
	}
	close_place(&p);
}

/* What says, or may mean, that it was taken or never will be: counted, and not told again. */
static void never_told_again(void **state)
{
	static const struct {
		const char *fault;
		enum otlp_lost lost;
		bool taken; /* all the same */
	} v[] = {
		{"{\"path\":\"logs\",\"status\":400}", OTLP_LOST_REFUSED, false},
		{"{\"path\":\"logs\",\"status\":401,\"body\":\"who?\"}", OTLP_LOST_REFUSED, false},
		{"{\"path\":\"logs\",\"status\":413}", OTLP_LOST_REFUSED, false},
		{"{\"path\":\"logs\",\"status\":500}", OTLP_LOST_REFUSED, false},
		{"{\"path\":\"logs\",\"status\":302,\"headers\":{\"Location\":\"/x\"}}",
		 OTLP_LOST_REFUSED, false},
		{"{\"path\":\"logs\",\"half\":true}", OTLP_LOST_UNCONFIRMED, true},
		{"{\"path\":\"logs\",\"wrong\":\"html\"}", OTLP_LOST_UNCONFIRMED, true},
	};
	struct run p;
	size_t records = 0;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	fake_tell(&p.fake, "/_fake/set", "{\"message\":\"be gentle\"}"); /* an answer to be cut */
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		const struct otlp_opts o = opts(&p);
		struct otlp_stats s;
		json_t *d;

		fake_fault(&p.fake, v[i].fault);
		open_sink(&p, &o);
		flows(&p, 5);
		wait_for(&p, has_records, 10);
		s = stats(&p, OTLP_RECORDS);
		assert_int_equal(s.sent, 0);
		assert_int_equal(s.lost[v[i].lost], 10);
		assert_int_equal(lost(&s), 10);
		assert_int_equal(s.post.retries, 0);
		assert_true(s.post.failing && s.post.words.n > 0);
		flows(&p, 5);
		wait_for(&p, has_records, 20);
		s = stats(&p, OTLP_RECORDS);
		assert_int_equal(s.sent, 10);
		assert_false(s.post.failing);
		assert_true(str_eq(s.post.words, STR("be gentle")));
		records += v[i].taken ? 20 : 10;
		d = dump(&p);
		(void)ended(d, records);
		assert_int_equal(number(d, "again"), 0);
		json_decref(d);
		otlp_free(&p.o);
	}
	close_place(&p);
}

static void partly_taken(void **state)
{
	struct run p;
	struct otlp_opts o;
	struct otlp_stats s;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	fake_tell(&p.fake, "/_fake/set",
		  "{\"reject\":3,\"message\":\"quota of Bearer " SECRET "\"}");
	open_sink(&p, &o);
	flows(&p, 5);
	wait_for(&p, has_records, 10);
	s = stats(&p, OTLP_RECORDS);
	assert_int_equal(s.sent, 7);
	assert_int_equal(s.lost[OTLP_LOST_REJECTED], 3);
	assert_false(s.post.failing);
	assert_non_null(memmem(s.post.words.p, s.post.words.n, "quota", 5));
	assert_null(memmem(s.post.words.p, s.post.words.n, SECRET, strlen(SECRET)));
	/* More than there were. */
	fake_tell(&p.fake, "/_fake/set", "{\"reject\":1000000}");
	flows(&p, 5);
	wait_for(&p, has_records, 20);
	s = stats(&p, OTLP_RECORDS);
	assert_int_equal(s.sent, 7);
	assert_int_equal(s.lost[OTLP_LOST_REJECTED], 13);
	close_place(&p);
}

/* It took the request, and its answer comes too late: it is told again, and can tell. */
static void an_answer_too_late(void **state)
{
	struct run p;
	struct otlp_opts o;
	json_t *d;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	o.access.timeout = TIMEOUT;
	fake_fault(&p.fake, "{\"path\":\"logs\",\"delay\":2}");
	open_sink(&p, &o);
	flows(&p, 5);
	wait_for(&p, has_records, 10);
	assert_int_equal(stats(&p, OTLP_RECORDS).sent, 10);
	for (uint64_t again = 0; !again; json_decref(d)) { /* the first is taken after its delay */
		probe_turn(p.base, 20);
		d = dump(&p);
		again = number(d, "again");
		assert_true(again == 0 || again == 10);
		assert_int_equal(ended(d, 10), p.sent);
	}
	close_place(&p);
}

/* Metrics of a collector that was away are what they would have been. */
static void totals_catch_up(void **state)
{
	struct run p;
	struct otlp_opts o;
	json_t *d;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	o.records = false;
	fake_fault(&p.fake, "{\"status\":503}");
	fake_fault(&p.fake, "{\"status\":400}");
	open_sink(&p, &o);
	for (int i = 0; i < 10; i++) {
		flows(&p, 10);
		probe_turn(p.base, 30);
	}
	wait_for(&p, has_points, 1);
	otlp_stop(p.o, HUNG);
	wait_for(&p, has_stopped, 0);
	d = dump(&p);
	assert_int_equal(stream(d, "kindred.flow.io", "network.io.direction", "transmit"), p.sent);
	assert_int_equal(number(d, "points"), stats(&p, OTLP_POINTS).sent);
	json_decref(d);
	close_place(&p);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* A collector that is away for long: memory stays, what is given up is counted, and the rest is
 * told when it is back. */
static void away_for_long(void **state)
{
	enum { ENDED = 500 };
	struct run p;
	struct otlp_opts o;
	struct otlp_stats s;
	size_t most = 0;
	json_t *d;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, ENDED);
	o = opts(&p);
	fake_fault(&p.fake, "{\"status\":503,\"times\":0}");
	open_sink(&p, &o);
	for (int i = 0; i < 40; i++) {
		flows(&p, 100);
		(void)event_base_loop(p.base, EVLOOP_NONBLOCK);
		s = stats(&p, OTLP_RECORDS);
		most = MAX(most, s.bytes);
	}
	assert_in_range(most, 1, 3 * (o.batch + 128 * 1024));
	assert_true(s.lost[OTLP_LOST_SLOW] > 0);
	wait_for(&p, has_retried, 1);
	fake_tell(&p.fake, "/_fake/clear", "");
	wait_for(&p, has_all,
		 0); /* each flow was told of from beginning to end, or given up whole */
	s = stats(&p, OTLP_RECORDS);
	assert_int_equal(s.sent % 2, 0);
	assert_int_equal(lost(&s), s.lost[OTLP_LOST_SLOW]);
	d = dump(&p);
	(void)ended(d, s.sent);
	assert_int_equal(number(d, "again"), 0);
	json_decref(d);
	close_place(&p);
}

/* Nobody is there when it stops: one more try, and what is left is counted. */
static void stopped_alone(void **state)
{
	struct run p;
	struct otlp_opts o;
	struct otlp_stats s;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	fake_fault(&p.fake, "{\"status\":503,\"times\":0}");
	open_sink(&p, &o);
	flows(&p, 5);
	wait_for(&p, has_retried, 1);
	flows(&p, 7);
	otlp_stop(p.o, HUNG);
	wait_for(&p, has_stopped, 0);
	s = stats(&p, OTLP_RECORDS);
	assert_int_equal(s.sent, 0);
	assert_int_equal(s.lost[OTLP_LOST_STOPPED], 24);
	assert_int_equal(s.waiting, 0);
	close_place(&p);
}

/* It does not answer either: patience ends. And freed while a request is under way. */
static void stopped_in_between(void **state)
{
	struct run p;
	struct otlp_opts o;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	o = opts(&p);
	fake_fault(&p.fake, "{\"hang\":true,\"times\":0}");
	open_sink(&p, &o);
	flows(&p, 5);
	otlp_stop(p.o, SEC);
	wait_for(&p, has_stopped, 0);
	assert_int_equal(stats(&p, OTLP_RECORDS).lost[OTLP_LOST_STOPPED], 10);
	otlp_free(&p.o);
	open_sink(&p, &o);
	flows(&p, 5);
	probe_turn(p.base, 50);
	close_place(&p);
}

/* ---- what goes with a request ---------------------------------------------------------------- */

static void write_file(struct run *p, const char *text)
{
	FILE *f;

	if (!p->file[0]) {
		int fd;

		(void)snprintf(p->file, sizeof(p->file), "/tmp/kindred-headers-XXXXXX");
		fd = mkstemp(p->file);
		assert_true(fd >= 0);
		(void)close(fd);
	}
	f = fopen(p->file, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static unsigned with_header(struct run *p, const char *name, const char *value)
{
	json_t *list = fake_ask(&p->fake, "GET", "/_fake/requests", NULL), *r;
	unsigned n = 0;
	size_t i;

	json_array_foreach(list, i, r)
	{
		const char *v =
			json_string_value(json_object_get(json_object_get(r, "headers"), name));

		n += v && strcmp(v, value) == 0;
	}
	json_decref(list);
	return n;
}

static void headers_of_a_file(void **state)
{
	struct run p;
	struct otlp_opts o;
	struct otlp_stats s;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	write_file(&p, "# keys\nx-scope-orgid: shop\napi-key: " SECRET "\n");
	o = opts(&p);
	o.points = false;
	o.headers_file = p.file;
	open_sink(&p, &o);
	flows(&p, 1);
	wait_for(&p, has_records, 2);
	assert_int_equal(with_header(&p, "api-key", SECRET), 1);
	assert_int_equal(with_header(&p, "x-scope-orgid", "shop"), 1);
	assert_int_equal(with_header(&p, "Content-Encoding", "gzip"), 1);
	/* A bad file: nothing goes without its headers. */
	write_file(&p, "what is this, then\n");
	flows(&p, 1);
	for (;;) {
		probe_turn(p.base, 20);
		s = stats(&p, OTLP_RECORDS);
		if (s.post.failing)
			break;
	}
	assert_non_null(memmem(s.post.words.p, s.post.words.n, "colon", 5));
	write_file(&p, "api-key: other\n");
	wait_for(&p, has_records, 4);
	assert_int_equal(with_header(&p, "api-key", "other"), 1);
	assert_int_equal(fake_requests(&p.fake), 2);
	/* A server that repeats a key. */
	write_file(&p, "api-key: " SECRET "\n");
	fake_fault(&p.fake, "{\"status\":401,\"body\":\"\\u0012\\u0011key " SECRET "\"}");
	flows(&p, 1);
	wait_for(&p, has_records, 6);
	s = stats(&p, OTLP_RECORDS);
	assert_true(s.post.failing);
	assert_null(memmem(s.post.words.p, s.post.words.n, SECRET, strlen(SECRET)));
	close_place(&p);
}

static int make_and_free(void *ctx)
{
	_buf_ struct buf error = {.max = 1024};
	struct run *p = ctx;
	const struct otlp_opts o = opts(p);
	struct otlp *made = NULL;
	int r = otlp_new(&o, &made, &error);

	assert_int_equal(r == 0, made != NULL);
	otlp_free(&made);
	return r;
}

static void without_memory(void **state)
{
	struct run p;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	flows(&p, 5);
	assert_int_equal(torture_run(make_and_free, &p), 0);
	close_place(&p);
}

static void bad_options(void **state)
{
	struct run p;

	(void)state;
	if (!fake_possible())
		return;
	open_place(&p, 10000);
	for (int i = 0; i < 4; i++) {
		_buf_ struct buf error = {.max = 1024};
		struct otlp_opts o = opts(&p);

		if (i == 0)
			o.url = "ftp://x";
		else if (i == 1)
			o.access.token_file = "/no/such/token";
		else if (i == 2)
			o.access.ca_file = "/no/such/ca";
		else
			o.headers_file = "/no/such/headers";
		assert_int_equal(otlp_new(&o, &p.o, &error), -EINVAL);
		assert_null(p.o);
		assert_true(error.n > 0);
	}
	close_place(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_arrives), cmocka_unit_test(chosen_events_alone),
		cmocka_unit_test(told_again),	      cmocka_unit_test(never_told_again),
		cmocka_unit_test(partly_taken),	      cmocka_unit_test(an_answer_too_late),
		cmocka_unit_test(totals_catch_up),    cmocka_unit_test(away_for_long),
		cmocka_unit_test(stopped_alone),      cmocka_unit_test(stopped_in_between),
		cmocka_unit_test(headers_of_a_file),  cmocka_unit_test(without_memory),
		cmocka_unit_test(bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
