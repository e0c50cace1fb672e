/*
 * /api/v1/edges and its stream over real sockets: what flows come to, what is told of what
 * changes, how many may watch; and the page with what its head allows.
 */
#include "tests/unit/serve/rig.h"

#include <jansson.h>
#include <openssl/evp.h>

#define IN_MAX	    (64UL << 20)
#define MAX_STREAMS 6 /* as the description says */

static void get(struct ask_rig *g, const char *target, struct buf *in)
{
	int fd = rig_connect(g);

	buf_reset(in);
	rig_get(fd, target);
	assert_true(rig_read(g, fd, in, NULL, 8000));
	(void)close(fd);
}

static json_int_t number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *name_of(const json_t *edge, const char *end)
{
	return json_string_value(json_object_get(json_object_get(edge, end), "name"));
}

/* The one chunk of a short answer. */
static json_t *body(const struct buf *in)
{
	const char *p = strchr(strstr(in->p, "\r\n\r\n") + 4, '{');
	json_t *o = json_loads(p, JSON_DISABLE_EOF_CHECK, NULL);

	assert_non_null(o);
	return o;
}

static void some_flows(struct ask_rig *g)
{
	rig_flow(g, ABI_TCP_OPEN, 1, 100, 0, 0);
	rig_flow(g, ABI_TCP_CLOSE, 1, 500, 2, 0);
	rig_flow(g, ABI_TCP_CLOSE, 2, 0, 0, ECONNREFUSED);
	for (int i = 0; i < 20; i++)
		rig_turn(g);
}

static void edges_are_sums_of_flows(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	json_t *o, *e;

	some_flows(g);
	get(g, "/api/v1/edges?last=5m&namespace=sh*", &in);
	o = body(&in);
	assert_int_equal(json_array_size(json_object_get(o, "edges")), 1);
	e = json_array_get(json_object_get(o, "edges"), 0);
	assert_string_equal(name_of(e, "from"), "web");
	assert_string_equal(name_of(e, "to"), "db");
	assert_int_equal(number(e, "sent"), 500);
	assert_int_equal(number(e, "connections"), 1);
	assert_int_equal(number(e, "failures"), 1);
	assert_int_equal(number(e, "retransmits"), 2);
	json_decref(o);
	get(g, "/api/v1/edges?namespace=other", &in);
	o = body(&in);
	assert_int_equal(json_array_size(json_object_get(o, "edges")), 0);
	json_decref(o);
}

static void bad_questions_are_refused(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	static const char *const bad[] = {
		"/api/v1/edges?last=soon",	"/api/v1/edges?last=0s",
		"/api/v1/edges?namespace=",	"/api/v1/edges?limit=1",
		"/api/v1/edges/stream?limit=0", "/api/v1/edges/stream?namespace=a",
		"/api/v1/edges/stream?last=%zz"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		get(g, bad[i], &in);
		assert_memory_equal(in.p, "HTTP/1.1 400", 12);
	}
}

/* What came after `from`, or NULL. */
static const char *after(const struct buf *in, const char *from, const char *text)
{
	const char *p = strstr(in->p, from);

	return p ? strstr(p, text) : NULL;
}

static void a_stream_tells_what_is_and_what_comes(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int fd;

	some_flows(g);
	fd = rig_connect(g);
	rig_get(fd, "/api/v1/edges/stream");
	assert_true(rig_read(g, fd, &in, "\"sent\":500", 8000));
	assert_non_null(strstr(in.p, "Content-Type: text/event-stream"));
	assert_non_null(after(&in, "event: hello", "\"slot_seconds\":10"));
	assert_non_null(after(&in, "event: health", "\"ready\":true"));
	assert_non_null(after(&in, "event: cells", "\"from\":{\"namespace\":\"shop\""));
	buf_reset(&in);
	rig_flow(g, ABI_TCP_CLOSE, 3, 77, 0, 0);
	assert_true(rig_read(g, fd, &in, "\"sent\":", 8000));
	assert_null(strstr(in.p, "\"from\"")); /* it is known by its number */
	(void)close(fd);
}

static void a_stream_may_be_of_some_events(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};

	get(g, "/api/v1/edges/stream?limit=2", &in);
	assert_non_null(after(&in, "event: hello", "event: health"));
	assert_null(strstr(in.p, "event: cells"));
}

static void the_7th_watcher_is_turned_away(void **state)
{
	struct ask_rig *g = *state;
	int fds[MAX_STREAMS];
	_buf_ struct buf in = {.max = IN_MAX};

	for (int i = 0; i < MAX_STREAMS; i++) {
		fds[i] = rig_connect(g);
		rig_get(fds[i], "/api/v1/edges/stream");
		buf_reset(&in);
		assert_true(rig_read(g, fds[i], &in, "event: hello", 8000));
	}
	get(g, "/api/v1/edges/stream?limit=1", &in);
	assert_memory_equal(in.p, "HTTP/1.1 503", 12);
	(void)close(fds[2]); /* one leaves: there is a place */
	do
		get(g, "/api/v1/edges/stream?limit=1", &in);
	while (strncmp(in.p, "HTTP/1.1 200", 12) != 0);
	for (int i = 0; i < MAX_STREAMS; i++)
		if (i != 2)
			(void)close(fds[i]);
}

/* ---- the page -------------------------------------------------------------------------------- */

/* The hash of what stands between two tags, as a Content-Security-Policy names it. */
static void hash_between(const char *page, const char *from, const char *to, char ret[64])
{
	const char *begin = strstr(page, from) + strlen(from);
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n;

	assert_int_equal(EVP_Digest(begin, (size_t)(strstr(begin, to) - begin), hash, &n,
				    EVP_sha256(), NULL),
			 1);
	(void)EVP_EncodeBlock((uint8_t *)ret, hash, (int)n);
}

static void the_page_allows_itself_alone(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	char hash[64], text[128];

	get(g, "/", &in);
	assert_memory_equal(in.p, "HTTP/1.1 200", 12);
	assert_non_null(strstr(in.p, "Content-Type: text/html; charset=utf-8"));
	assert_non_null(strstr(in.p, "default-src 'none'"));
	hash_between(in.p, "<script>", "</script>", hash);
	(void)snprintf(text, sizeof(text), "script-src 'sha256-%s';", hash);
	assert_non_null(strstr(in.p, text));
	hash_between(in.p, "<style>", "</style>", hash);
	(void)snprintf(text, sizeof(text), "style-src 'sha256-%s';", hash);
	assert_non_null(strstr(in.p, text));
	assert_null(strstr(in.p, "innerHTML"));
	assert_null(strstr(in.p, " style=\""));
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(edges_are_sums_of_flows),
		T(bad_questions_are_refused),
		T(a_stream_tells_what_is_and_what_comes),
		T(a_stream_may_be_of_some_events),
		T(the_7th_watcher_is_turned_away),
		T(the_page_allows_itself_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
