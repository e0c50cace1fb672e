/*
 * The event stream: to a file, and to a webhook that fails in every way; every change
 * in order, with the last state where there were more.
 */
#include "sink/events/events.h"

#include "base/mem.h"
#include "sink/events/message.h"
#include "tests/unit/sink/services_rig.h"

struct place {
	struct rig r;
	struct store *s;
	store_kind kind;
	uint16_t source;
	struct events *e;
};

static void open_store(struct place *p)
{
	struct store_kind_opts k = {.version = STR("v1"),
				    .kind = STR("Pod"),
				    .plural = STR("pods"),
				    .namespaced = true};
	_buf_ struct buf error = {.max = 1024};

	*p = (struct place){0};
	rig_loop(&p->r);
	assert_int_equal(store_new(&(struct store_opts){0}, &p->s), 0);
	assert_int_equal(store_kind_add(p->s, &k, &p->kind, &error), 0);
	assert_int_equal(store_source_add(p->s, p->kind, STR(""), &p->source), 0);
	store_list_begin(p->s, p->source);
	store_list_end(p->s, p->source, clock_mono());
}

static void open_events(struct place *p, const char *spec)
{
	_buf_ struct buf error = {.max = 1024};

	if (events_new(&(struct events_opts){.base = p->r.base,
					     .http = p->r.http,
					     .store = p->s,
					     .spec = str_of(spec),
					     .cluster = STR("c1")},
		       &p->e, &error) < 0)
		fail_msg("%s: %.*s", spec, STR_ARG(buf_str(&error)));
}

static void close_place(struct place *p)
{
	events_free(&p->e);
	store_free(&p->s);
	rig_done(&p->r);
}

static void apply(struct place *p, const char *name, const char *value)
{
	static int version;
	char json[512];
	struct tree *t;
	struct arena a;

	(void)snprintf(json, sizeof(json),
		       "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\","
		       "\"namespace\":\"n\",\"uid\":\"u-%s\",\"resourceVersion\":\"%d\"},"
		       "\"spec\":{\"v\":\"%s\"}}",
		       name, name, ++version, value);
	arena_init(&a, 1 << 20);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	assert_int_equal(store_apply(p->s, p->source, clock_mono(), t), 0);
	arena_done(&a);
}

static void drop(struct place *p, const char *name)
{
	store_delete(p->s, p->source, STR("n"), str_of(name), (struct str){0}, clock_mono());
}

/* Until so many were told (or left out). */
static void turn(struct place *p, uint64_t n)
{
	struct relay_status s;

	do {
		assert_true(event_base_loop(p->r.base, EVLOOP_ONCE) >= 0);
		events_status(p->e, &s);
	} while (s.told[RELAY_APPLIED] + s.told[RELAY_DELETED] + s.told[RELAY_RESTARTED] +
			 s.left_out <
		 n);
}

static void to_a_file(void **state)
{
	char file[64], spec[80], line[1024];
	static const char *const want[] = {"\"Applied\",\"cluster\":\"c1\",\"namespace\":\"n\"",
					   "\"name\":\"b\"", "\"v\":\"2\"", "\"Deleted\""};
	struct place p;
	size_t n = 0;
	FILE *f;

	(void)state;
	(void)snprintf(file, sizeof(file), "/tmp/kindred-events-%d.jsonl", (int)getpid());
	(void)unlink(file);
	(void)snprintf(spec, sizeof(spec), "jsonl:%s", file);
	open_store(&p);
	open_events(&p, spec);
	apply(&p, "a", "1");
	apply(&p, "b", "1");
	turn(&p, 2);
	apply(&p, "a", "2");
	turn(&p, 3);
	drop(&p, "a");
	turn(&p, 4);
	close_place(&p);
	f = fopen(file, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		json_t *m = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		assert_non_null(m);
		assert_true(n < ARRAY_SIZE(want) && strstr(line, want[n]));
		n++;
		json_decref(m);
	}
	assert_int_equal(n, ARRAY_SIZE(want));
	(void)fclose(f);
	(void)unlink(file);
}

static void open_hook(struct place *p)
{
	char url[256], spec[300];

	open_store(p);
	fake_start(&p->r.fake, p->r.base, p->r.http, &(struct fake_opts){.script = "hook.py"});
	(void)snprintf(spec, sizeof(spec), "http:%s",
		       fake_url(&p->r.fake, "/hook", url, sizeof(url)));
	open_events(p, spec);
}

static void hook_has(struct place *p, const char *want)
{
	json_t *dump = fake_ask(&p->r.fake, "GET", "/_fake/dump", NULL), *m;
	_buf_ struct buf b = {.max = 1 << 20};
	size_t i;

	json_array_foreach(dump, i, m)
		assert_int_equal(buf_printf(&b, "%s%s", i ? ", " : "", json_string_value(m)), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(buf_str(&b).p, want);
	json_decref(dump);
	assert_int_equal(fake_complaints(&p->r.fake), 0);
}

static void to_a_webhook(void **state)
{
	struct relay_status s;
	struct place p;

	(void)state;
	if (!fake_possible())
		return;
	open_hook(&p);
	apply(&p, "a", "1");
	turn(&p, 1);
	apply(&p, "b", "1");
	apply(&p, "c", "1");
	drop(&p, "a");
	turn(&p, 4);
	hook_has(&p, "Applied a, Applied b, Applied c, Deleted a");
	/* Failures: nothing is lost, the order stays. */
	fake_fault(&p.r.fake, "{\"status\":503}");
	apply(&p, "b", "2");
	turn(&p, 5);
	fake_fault(&p.r.fake, "{\"status\":429,\"headers\":{\"Retry-After\":\"1\"}}");
	apply(&p, "b", "3");
	turn(&p, 6);
	hook_has(&p, "Applied a, Applied b, Applied c, Deleted a, Applied b, Applied b");
	/* One that is refused for good is left out; those beside it are not. */
	fake_tell(&p.r.fake, "/_fake/set", "{\"refuse_name\":\"bad\"}");
	apply(&p, "x", "1");
	apply(&p, "bad", "1");
	apply(&p, "y", "1");
	turn(&p, 9);
	hook_has(&p, "Applied a, Applied b, Applied c, Deleted a, Applied b, Applied b, "
		     "Applied x, Applied y");
	events_status(p.e, &s);
	assert_int_equal(s.left_out, 1);
	assert_true(s.retries >= 2);
	close_place(&p);
}

/* What waits is dropped without a trace. */
static void stopped_in_between(void **state)
{
	struct place p;

	(void)state;
	if (!fake_possible())
		return;
	open_hook(&p);
	fake_fault(&p.r.fake, "{\"hang\":true}");
	apply(&p, "a", "1");
	(void)event_base_loop(p.r.base, EVLOOP_ONCE);
	close_place(&p);
}

static void bad_specs(void **state)
{
	static const char *const bad[] = {"", "x", "http:ftp://x",
					  "jsonl:", "jsonl:/no/such/folder/x"};
	struct place p;

	(void)state;
	open_store(&p);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_buf_ struct buf error = {.max = 1024};

		assert_true(events_new(&(struct events_opts){.base = p.r.base,
							     .http = p.r.http,
							     .store = p.s,
							     .spec = str_of(bad[i])},
				       &p.e, &error) < 0);
		assert_null(p.e);
		assert_true(error.n > 0);
	}
	close_place(&p);
}

/* Nothing is known of it but its name. */
static void gone_without_a_body(void **state)
{
	const struct relay_item item = {.action = RELAY_DELETED,
					.api_version = STR("v1"),
					.kind = STR("Pod"),
					.ns = STR("n"),
					.name = STR("a\"b"),
					.uid = STR("1")};
	_buf_ struct buf b = {.max = 4096};

	(void)state;
	assert_int_equal(message_put(&b, STR("c"), &item), 0);
	assert_true(str_eq(
		buf_str(&b),
		STR("{\"action\":\"Deleted\",\"cluster\":\"c\",\"namespace\":\"n\",\"time\":"
		    "\"1970-01-01T00:00:00.000000Z\",\"kind\":\"Pod\",\"object\":{"
		    "\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\\\"b\","
		    "\"namespace\":\"n\",\"uid\":\"1\"}}}")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_a_file),	       cmocka_unit_test(to_a_webhook),
		cmocka_unit_test(stopped_in_between),  cmocka_unit_test(bad_specs),
		cmocka_unit_test(gone_without_a_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
