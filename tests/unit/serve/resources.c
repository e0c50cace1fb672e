/*
 * What is answered from the store of resources: kinds, objects, look-ups, bodies that
 * have to be read again; sinks and resyncs.
 */
#include "tests/unit/serve/rig.h"

#include "base/json_out.h"
#include "store/store.h"

#include <jansson.h>

#define IN_MAX (64UL << 20)

struct shop {
	struct ask_rig g; /* without flows */
	struct store *store;
	store_kind services, secrets;
	uint16_t sources[2];
	struct arena arena;
	store_id fetching;
	int resyncs;
	char sink[64];
};

static int on_fetch(void *ctx, store_id id)
{
	((struct shop *)ctx)->fetching = id;
	return 0;
}

static void put_sinks(void *ctx, struct json_out *j)
{
	(void)ctx;
	json_open(j, NULL, '{');
	json_text(j, "name", STR("sqlite:/x"));
	json_close(j, '{');
}

static int on_resync(void *ctx, struct str sink, uint32_t *ret, struct buf *words)
{
	struct shop *s = ctx;

	if (str_eq(sink, STR("nobody"))) {
		(void)buf_append_str(words, STR("there is no sink \"nobody\""));
		return -ENOENT;
	}
	s->resyncs++;
	*ret = 7;
	return 0;
}

static void apply(struct shop *s, int source, const char *json)
{
	struct tree *t;

	arena_reset(&s->arena);
	assert_int_equal(tree_parse(&s->arena, str_of(json), &t), 0);
	assert_int_equal(store_apply(s->store, s->sources[source], clock_mono(), t), 0);
}

static void fill(struct shop *s)
{
	const struct str index[] = {STR(".spec.type"), STR(".metadata.name")};
	const struct store_kind_opts services = {.version = STR("v1"),
						 .kind = STR("Service"),
						 .plural = STR("services"),
						 .namespaced = true,
						 .indexes = index,
						 .n_indexes = 2};
	const struct store_kind_opts secrets = {.version = STR("v1"),
						.kind = STR("Secret"),
						.plural = STR("secrets"),
						.namespaced = true,
						.keep = STORE_CACHE};
	const struct store_opts o = {.fetch = on_fetch, .ttl = 1, .ctx = s};
	_buf_ struct buf error = {.max = 1024};

	assert_int_equal(store_new(&o, &s->store), 0);
	assert_int_equal(store_kind_add(s->store, &services, &s->services, &error), 0);
	assert_int_equal(store_kind_add(s->store, &secrets, &s->secrets, &error), 0);
	assert_int_equal(store_source_add(s->store, s->services, (struct str){0}, &s->sources[0]),
			 0);
	assert_int_equal(store_source_add(s->store, s->secrets, (struct str){0}, &s->sources[1]),
			 0);
	store_list_begin(s->store, s->sources[0]);
	for (int i = 0; i < 300; i++) {
		char json[512];

		(void)snprintf(json, sizeof(json),
			       "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":"
			       "\"s%d\","
			       "\"namespace\":\"%s\",\"uid\":\"00000000-0000-4000-8000-%012d\","
			       "\"resourceVersion\":\"%d\"},\"spec\":{\"type\":\"%s\"}}",
			       i, i % 3 ? "shop" : "edge", i + 1, i + 1,
			       i % 10 ? "ClusterIP" : "LoadBalancer");
		apply(s, 0, json);
	}
	apply(s, 1,
	      "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"x\","
	      "\"namespace\":\"shop\","
	      "\"uid\":\"10000000-0000-4000-8000-000000000001\",\"resourceVersion\":\"9\"}}");
	store_list_end(s->store, s->sources[0], clock_mono());
}

static int setup(void **state)
{
	struct shop *s = calloc(1, sizeof(*s));
	struct ask_rig *g = &s->g;
	struct serve_opts o = {
		.version = "test", .put_sinks = put_sinks, .resync = on_resync, .ctx = s};

	arena_init(&s->arena, 1UL << 20);
	fill(s);
	(void)snprintf(g->folder, sizeof(g->folder), "/tmp/kindred-serve-XXXXXX");
	assert_non_null(mkdtemp(g->folder));
	(void)snprintf(g->socket, sizeof(g->socket), "%s/run/agent.sock", g->folder);
	buf_init(&g->words, 4096);
	g->base = event_base_new();
	o.base = g->base;
	o.socket = g->socket;
	o.store = s->store;
	assert_int_equal(serve_new(&o, &g->serve, &g->words), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct shop *s = *state;
	char run[100];

	serve_free(&s->g.serve);
	store_free(&s->store);
	arena_done(&s->arena);
	event_base_free(s->g.base);
	buf_done(&s->g.words);
	(void)snprintf(run, sizeof(run), "%s/run", s->g.folder);
	(void)rmdir(run);
	(void)rmdir(s->g.folder);
	free(s);
	return 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The body with its chunks joined; NUL-terminated. The caller frees it. */
static char *body_of(const struct buf *in, int status)
{
	const char *p = strstr(in->p + in->off, "\r\n\r\n");
	char line[32], *out = calloc(1, in->n + 1);
	size_t n = 0;

	(void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(in->p + in->off, line, strlen(line)) != 0 || !p)
		fail_msg("not %d: %s", status, in->p + in->off);
	p += 4;
	if (!strstr(in->p + in->off, "chunked")) {
		memcpy(out, p, strlen(p));
		return out;
	}
	for (;;) {
		char *end;
		unsigned long size = strtoul(p, &end, 16);

		if (!size)
			return out;
		memcpy(out + n, end + 2, size);
		n += size;
		p = end + 2 + size + 2;
	}
}

static char *ask(struct shop *s, const char *method, const char *target, int status)
{
	_buf_ struct buf in = {.max = IN_MAX};
	char text[512];
	int fd = rig_connect(&s->g);

	(void)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, target);
	rig_say(fd, text);
	assert_true(rig_read(&s->g, fd, &in, NULL, 20000));
	(void)close(fd);
	return body_of(&in, status);
}

static unsigned lines_of(const char *body)
{
	unsigned n = 0;

	for (const char *p = body; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static unsigned count(struct shop *s, const char *target)
{
	_free_ char *body = ask(s, "GET", target, 200);
	struct str rest = str_of(body), line;

	while (rest.n && str_split(&rest, '\n', &line)) {
		json_t *j = json_loadb(line.p, line.n, 0, NULL);

		assert_non_null(j);
		json_decref(j);
	}
	return lines_of(body);
}

static void kinds_with_their_state(void **state)
{
	struct shop *s = *state;
	_free_ char *body = ask(s, "GET", "/api/v1/resources", 200);
	json_t *j = json_loads(body, 0, NULL), *k;

	assert_non_null(j);
	assert_int_equal(json_array_size(json_object_get(j, "kinds")), 2);
	k = json_array_get(json_object_get(j, "kinds"), 0);
	assert_string_equal(json_string_value(json_object_get(k, "name")), "services");
	assert_string_equal(json_string_value(json_object_get(k, "sync")), "synced");
	assert_int_equal(json_integer_value(json_object_get(k, "objects")), 300);
	json_decref(j);
}

static void lists_and_what_narrows_them(void **state)
{
	struct shop *s = *state;

	assert_int_equal(count(s, "/api/v1/resources/services"), 300);
	assert_int_equal(count(s, "/api/v1/resources/services?namespace=edge"), 100);
	assert_int_equal(count(s, "/api/v1/resources/services?limit=17"), 17);
	assert_int_equal(count(s, "/api/v1/resources/services?index=LoadBalancer"), 30);
	assert_int_equal(count(s, "/api/v1/resources/services?index=LoadBalancer,s20"), 1);
	assert_int_equal(count(s, "/api/v1/resources/services?index=LoadBalancer&namespace=edge"),
			 10);
	assert_int_equal(count(s, "/api/v1/resources/services?index=NodePort"), 0);
	free(ask(s, "GET", "/api/v1/resources/services?index=a,b,c", 400));
	free(ask(s, "GET", "/api/v1/resources/services?colour=red", 400));
	free(ask(s, "GET", "/api/v1/resources/gadgets", 404));
}

static void one_object(void **state)
{
	struct shop *s = *state;
	_free_ char *body = ask(s, "GET", "/api/v1/resources/services/shop/s7", 200);

	assert_non_null(strstr(body, "\"name\":\"s7\""));
	free(ask(s, "GET", "/api/v1/resources/services/shop/s0", 404)); /* it is in edge */
	free(ask(s, "GET", "/api/v1/resources/services/shop/", 404));
}

static void a_body_that_is_read_again_is_waited_for(void **state)
{
	struct shop *s = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	_free_ char *body = NULL;
	struct tree *t;
	int fd = rig_connect(&s->g);

	(void)store_tick(s->store, clock_mono() + NSEC_PER_SEC); /* it has expired */
	rig_get(fd, "/api/v1/resources/secrets/shop/x");
	assert_false(rig_read(&s->g, fd, &in, NULL, 300));
	assert_int_not_equal(s->fetching, 0);
	arena_reset(&s->arena);
	assert_int_equal(tree_parse(&s->arena,
				    STR("{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{"
					"\"name\":\"x\","
					"\"namespace\":\"shop\",\"uid\":\"10000000-0000-4000-8000-"
					"000000000001\","
					"\"resourceVersion\":\"9\"},\"type\":\"Opaque\"}"),
				    &t),
			 0);
	store_fetched(s->store, s->fetching, clock_mono() + 3600 * NSEC_PER_SEC, t, 0);
	assert_true(rig_read(&s->g, fd, &in, NULL, 8000));
	(void)close(fd);
	body = body_of(&in, 200);
	assert_non_null(strstr(body, "\"type\":\"Opaque\""));
}

static void who_leaves_amid_a_wait_is_forgotten(void **state)
{
	struct shop *s = *state;
	int fd = rig_connect(&s->g);
	_buf_ struct buf in = {.max = IN_MAX};

	(void)store_tick(s->store, clock_mono() + NSEC_PER_SEC);
	rig_get(fd, "/api/v1/resources/secrets/shop/x");
	assert_false(rig_read(&s->g, fd, &in, NULL, 100));
	(void)close(fd);
	for (int i = 0; i < 50; i++)
		rig_turn(&s->g);
	assert_int_equal(count(s, "/api/v1/resources/services?limit=1"), 1);
}

static void sinks_and_resyncs(void **state)
{
	struct shop *s = *state;
	_free_ char *sinks = ask(s, "GET", "/api/v1/sinks", 200);
	_free_ char *done = ask(s, "POST", "/api/v1/resync", 200);
	_free_ char *wrong = ask(s, "POST", "/api/v1/resync?sink=nobody", 404);

	assert_non_null(strstr(sinks, "sqlite:/x"));
	assert_string_equal(
		done, "{\"status\":\"ok\",\"resources\":7,\"message\":\"everything is listed and "
		      "compared anew\"}");
	assert_int_equal(s->resyncs, 1);
	assert_non_null(strstr(wrong, "\"status\":\"error\""));
	assert_non_null(strstr(wrong, "nobody"));
	free(ask(s, "GET", "/api/v1/resync", 405));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kinds_with_their_state, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_and_what_narrows_them, setup, teardown),
		cmocka_unit_test_setup_teardown(one_object, setup, teardown),
		cmocka_unit_test_setup_teardown(a_body_that_is_read_again_is_waited_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(who_leaves_amid_a_wait_is_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(sinks_and_resyncs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
