/*
 * Flow lines: every line fits the published schema whatever names stand in it, the
 * events of a flow are told once each, and an output that takes nothing holds up nobody.
 */
#include "tests/unit/sink/schema.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/rng.h"
#include "flow_abi.h"
#include "sink/jsonl/jsonl.h"
#include "sink/jsonl/line.h"
#include "sink/jsonl/out.h"
#include "tests/lib/torture.h"

static struct schema schema;

static int load(void **state)
{
	(void)state;
	return schema_load(&schema) ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	json_decref(schema.root);
	return 0;
}

static struct flow_view sample(void)
{
	struct flow_view v = {.id = 1,
			      .serial = 7,
			      .dir = FLOW_OUT,
			      .lport = 40000,
			      .rport = 8080,
			      .start = NSEC_PER_SEC,
			      .updated = 2 * NSEC_PER_SEC,
			      .local = {.known_by = KNOWN_CGROUP,
					.ns = STR("shop"),
					.pod = STR("web-1"),
					.container = STR("app"),
					.workload = STR("web"),
					.workload_kind = STR("Deployment")},
			      .remote = {.known_by = KNOWN_NOT, .why = UNKNOWN_NOT_ON_NODE}};

	assert_int_equal(addr_parse(STR("10.1.2.3"), &v.laddr), 0);
	assert_int_equal(addr_parse(STR("10.1.2.4"), &v.raddr), 0);
	return v;
}

static json_t *parse(const struct buf *b)
{
	json_t *o = json_loadb(b->p + b->off, b->n, 0, NULL);

	assert_non_null(o);
	return o;
}

static void assert_fits(const struct buf *b)
{
	if (!schema_line(&schema, b->p + b->off, b->n))
		fail_msg("%s: %.*s", schema.why, (int)b->n, b->p + b->off);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void a_line_says_it_all(void **state)
{
	_buf_ struct buf b = {.max = LINE_MAX};
	struct flow_view v = sample();

	(void)state;
	v.counters = (struct flow_counters){.sent = 5,
					    .received = 6,
					    .unacked = 1,
					    .segs_out = 2,
					    .segs_in = 3,
					    .retrans = 4,
					    .rtt_us = 80,
					    .rtt_min_us = 7};
	v.translated = true;
	v.asked.port = 80;
	assert_int_equal(addr_parse(STR("10.96.0.1"), &v.asked.ip), 0);
	v.cgroup_id = ABI_CGROUP_V1 | 42;
	v.netns = 4026531840;
	v.pre_existing = true;
	/* 2026-11-21T09:30:00Z is 1795253400 (date -u -d ... +%s). */
	assert_int_equal(line_flow(&v, LINE_OPEN, 1795253400LL * 1000000000 - 1500000000, &b), 0);
	assert_string_equal(
		(buf_append(&b, "", 1), b.p),
		"{\"event\":\"open\",\"time\":\"2026-11-21T09:30:00.500000Z\","
		"\"start\":\"2026-11-21T09:29:59.500000Z\",\"proto\":\"tcp\",\"direction\":\"out\","
		"\"state\":\"open\",\"local\":{\"address\":\"10.1.2.3\",\"port\":40000,"
		"\"namespace\":\"shop\",\"pod\":\"web-1\",\"container\":\"app\",\"workload\":"
		"\"web\","
		"\"workload_kind\":\"Deployment\",\"known_by\":\"cgroup\"},"
		"\"remote\":{\"address\":\"10.1.2.4\",\"port\":8080,\"known_by\":\"unknown\","
		"\"reason\":\"not_on_node\"},\"asked\":{\"address\":\"10.96.0.1\",\"port\":80},"
		"\"bytes_sent\":5,\"bytes_received\":6,\"unacked\":1,\"segments_out\":2,"
		"\"segments_in\":3,\"retransmits\":4,\"rtt_us\":80,\"rtt_min_us\":7,"
		"\"pre_existing\":true,\"cgroup_id\":42,\"netns\":4026531840}\n");
	b.n--;
	assert_fits(&b);
}

static void what_is_not_known_is_absent(void **state)
{
	_buf_ struct buf b = {.max = LINE_MAX};
	struct flow_view v = sample();
	json_t *o;

	(void)state;
	v.dir = FLOW_DIR_UNKNOWN;
	v.proto = FLOW_UDP;
	assert_int_equal(line_flow(&v, LINE_REFRESH, 0, &b), 0);
	assert_fits(&b);
	o = parse(&b);
	assert_null(json_object_get(o, "direction"));
	assert_null(json_object_get(o, "reason"));
	assert_null(json_object_get(o, "asked"));
	assert_null(json_object_get(o, "retransmits"));
	assert_null(json_object_get(o, "cgroup_id"));
	assert_null(json_object_get(json_object_get(o, "remote"), "pod"));
	assert_int_equal(json_integer_value(json_object_get(o, "dropped")), 0);
	json_decref(o);
}

static struct str hostile(struct rng *g, char room[300])
{
	static const char *const texts[] = {"\"\\\n\t\x01\x7f", "\xff\xfe",  "\xc3\xa4\xe2\x82\xac",
					    "\xed\xa0\x80",	"</script>", "a\xf0\x9f\x92\xa9z"};
	size_t n = rng_below(g, 256);

	if (rng_below(g, 3) == 0)
		return str_of(texts[rng_below(g, ARRAY_SIZE(texts))]);
	for (size_t i = 0; i < n; i++)
		room[i] = (char)rng_below(g, 256);
	return str_make(room, n);
}

static struct flow_view random_view(struct rng *g, char rooms[12][300])
{
	struct flow_view v = sample();
	struct flow_end *ends[] = {&v.local, &v.remote};

	v.proto = (enum flow_proto)rng_below(g, _FLOW_PROTO_MAX);
	v.dir = (enum flow_dir)rng_below(g, _FLOW_DIR_MAX);
	v.state = (enum flow_state)rng_below(g, _FLOW_STATE_MAX);
	v.reason = (enum flow_reason)rng_below(g, _FLOW_REASON_MAX);
	v.translated = rng_below(g, 2);
	v.start = rng_next(g) >> rng_below(g, 64);
	v.counters = (struct flow_counters){.sent = rng_next(g) >> 1,
					    .received = rng_below(g, 9),
					    .unacked = rng_below(g, 2),
					    .segs_in = rng_below(g, 3),
					    .dropped = rng_below(g, 2),
					    .retrans = UINT32_MAX,
					    .rtt_us = (uint32_t)rng_below(g, 2)};
	v.cgroup_id = rng_below(g, 2) ? rng_next(g) >> 2 | ABI_CGROUP_V1 : 0;
	v.netns = (uint32_t)rng_next(g);
	for (size_t i = 0; i < sizeof(v.raddr.b); i++)
		v.raddr.b[i] = (uint8_t)rng_next(g);
	for (int i = 0; i < 2; i++) {
		ends[i]->known_by = (enum known_by)rng_below(g, _KNOWN_BY_MAX);
		ends[i]->why = (enum unknown_reason)rng_below(g, _UNKNOWN_REASON_MAX);
		ends[i]->ns = hostile(g, rooms[6 * i]);
		ends[i]->pod = hostile(g, rooms[6 * i + 1]);
		ends[i]->container = hostile(g, rooms[6 * i + 2]);
		ends[i]->workload = hostile(g, rooms[6 * i + 3]);
		ends[i]->workload_kind = hostile(g, rooms[6 * i + 4]);
	}
	return v;
}

/* With LINES=FILE in the environment the lines go there, for another validator. */
static void every_line_fits_the_schema(void **state)
{
	struct rng g;
	char rooms[12][300];
	uint64_t seed = rng_entropy();
	FILE *copy = getenv("LINES") ? fopen(getenv("LINES"), "we") : NULL;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	rng_seed(&g, seed);
	for (int i = 0; i < 5000; i++) {
		_buf_ struct buf b = {.max = LINE_MAX};
		struct flow_view v = random_view(&g, rooms);

		assert_int_equal(line_flow(&v, (enum line_event)rng_below(&g, _LINE_EVENT_MAX),
					   (int64_t)rng_below(&g, 1ULL << 61), &b),
				 0);
		assert_fits(&b);
		assert_ptr_equal(memchr(b.p, '\n', b.n), b.p + b.n - 1);
		if (copy)
			(void)fwrite(b.p, 1, b.n, copy);
	}
	if (copy)
		(void)fclose(copy);
}

static void lines_about_lost_ones_fit(void **state)
{
	static const char *const why[] = {"slow_output", "slow_reader", "too_long", "not_written"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(why); i++) {
		_buf_ struct buf b = {.max = LINE_MAX};

		assert_int_equal(line_lost(1, why[i], i + 1, &b), 0);
		assert_fits(&b);
	}
}

/* The checker itself must be able to say no. */
static void the_schema_refuses(void **state)
{
	static const char *const bad[] = {
		"{}",
		"{\"event\":\"drop\",\"time\":\"2026-11-21T09:30:00.000000Z\",\"reason\":\"x\","
		"\"count\":1}",
		"{\"event\":\"drop\",\"time\":\"2026-11-21\",\"reason\":\"too_long\",\"count\":1}",
		"{\"event\":\"drop\",\"time\":\"2026-11-21T09:30:00.000000Z\",\"reason\":\"too_"
		"long\","
		"\"count\":0}",
		"{\"event\":\"drop\",\"time\":\"2026-11-21T09:30:00.000000Z\",\"reason\":\"too_"
		"long\","
		"\"count\":1,\"more\":1}"};
	_buf_ struct buf b = {.max = LINE_MAX};
	struct flow_view v = sample();
	json_t *o;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(schema_line(&schema, bad[i], strlen(bad[i])));
	assert_int_equal(line_flow(&v, LINE_OPEN, 0, &b), 0);
	o = parse(&b);
	assert_true(schema_fits(&schema, schema.root, o));
	(void)json_object_del(json_object_get(o, "remote"), "reason"); /* unknown needs one */
	assert_false(schema_fits(&schema, schema.root, o));
	json_decref(o);
}

static void a_full_buffer_keeps_whole_lines(void **state)
{
	struct flow_view v = sample();

	(void)state;
	for (size_t max = 0; max < 600; max++) {
		_buf_ struct buf b = {.max = max};
		int r = line_flow(&v, LINE_OPEN, 0, &b);

		assert_true(r == 0 || r == -EMSGSIZE);
		assert_int_equal(b.n != 0, r == 0);
	}
}

/* ---- events ---------------------------------------------------------------------------------- */

static void expect_events(struct line_marks *m, const struct flow_view *v, const char *expected)
{
	enum line_event e[2];
	unsigned n = line_events(m, v, e);
	char text[64] = "";

	for (unsigned i = 0; i < n; i++)
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
			       i ? " " : "", line_event_name(e[i]));
	assert_string_equal(text, expected);
	assert_int_equal(line_marks_fit(m, v->id), 0);
	line_mark(m, v);
}

static void events_come_once_and_in_order(void **state)
{
	struct line_marks m = {0};
	struct flow_view v = sample();

	(void)state;
	expect_events(&m, &v, "open");
	expect_events(&m, &v, "refresh");
	v.state = FLOW_RESET;
	expect_events(&m, &v, "close");
	expect_events(&m, &v, "");
	v.serial++; /* the id comes again */
	expect_events(&m, &v, "open close");
	v.serial++;
	v.state = FLOW_FAILED;
	expect_events(&m, &v, "fail");
	expect_events(&m, &v, "");
	v.serial++;
	v.state = FLOW_LOST;
	expect_events(&m, &v, "open drop");
	v = sample();
	v.id = 9;
	v.serial = 0; /* the first flow of all */
	expect_events(&m, &v, "open");
	line_marks_done(&m);
}

/* ---- outputs --------------------------------------------------------------------------------- */

struct place {
	char folder[64], file[128];
	struct event_base *base;
	int rooms;
};

static void on_room(void *ctx)
{
	((struct place *)ctx)->rooms++;
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->folder, sizeof(p->folder), "/tmp/kindred-jsonl-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	(void)snprintf(p->file, sizeof(p->file), "%s/flows", p->folder);
	p->base = event_base_new();
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	char name[160];

	event_base_free(p->base);
	(void)unlink(p->file);
	(void)snprintf(name, sizeof(name), "%s.1", p->file);
	(void)unlink(name);
	(void)rmdir(p->folder);
	free(p);
	return 0;
}

static size_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

static void a_file_is_appended_to_and_reopened(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = p->file};
	struct out *out = NULL;
	char moved[160];
	int fd = open(p->file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "old\n", 4), 4);
	(void)close(fd);
	assert_int_equal(out_new(&o, &out), 0);
	assert_int_equal(out_put(out, STR("new\n")), 0);
	out_flush(out);
	assert_int_equal(file_size(p->file), 8);
	(void)snprintf(moved, sizeof(moved), "%s.1", p->file);
	assert_int_equal(rename(p->file, moved), 0);
	out_reopen(out);
	assert_int_equal(out_put(out, STR("after\n")), 0);
	out_free(&out);
	assert_int_equal(file_size(moved), 8);
	assert_int_equal(file_size(p->file), 6);
}

static void another_file_takes_over(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = p->file};
	struct out *out = NULL;
	char other[160];

	(void)snprintf(other, sizeof(other), "%s.1", p->file);
	assert_int_equal(out_new(&o, &out), 0);
	assert_int_equal(out_put(out, STR("one\n")), 0);
	out_flush(out);
	assert_int_equal(out_put(out, STR("twelve\n")), 0);
	assert_int_equal(out_redirect(out, other), 0);
	assert_int_equal(out_put(out, STR("three\n")), 0);
	out_free(&out);
	assert_int_equal(file_size(p->file), 4);
	assert_int_equal(file_size(other), 13);
}

static void what_cannot_be_opened_is_an_error(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = "/nonexistent/flows"};
	struct out *out = NULL;

	assert_int_equal(out_new(&o, &out), -ENOENT);
	assert_null(out);
}

/* A full disk: /dev/full takes nothing, ever. */
static void a_full_disk_is_survived(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = "/dev/full", .max = 100};
	struct out *out = NULL;
	struct out_stats s;
	int r = 0, n = 0;

	assert_int_equal(out_new(&o, &out), 0);
	for (; n < 1000 && r == 0; n++)
		r = out_put(out, STR("0123456789012345678\n"));
	assert_int_equal(r, -EMSGSIZE);
	assert_int_equal(n, 6); /* five of them fit in 100 bytes */
	assert_int_equal(out_put(out, STR("x\n")), -EMSGSIZE);
	out_stats(out, &s);
	assert_int_equal(s.lines, 0);
	assert_int_equal(s.errors, 1); /* it is not tried again at once */
	assert_int_equal(s.waiting, 100);
	out_free(&out);
}

/* A pipe that nobody reads does not wait; once it is read everything arrives, in order. */
static void a_full_pipe_holds_up_nobody(void **state)
{
	struct place *p = *state;
	struct out_opts o = {
		.base = p->base, .path = p->file, .max = 65536, .room = on_room, .ctx = p};
	struct out *out = NULL;
	char line[128], bytes[65536];
	size_t put = 0, got = 0;
	int fd, last = -1;

	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(out_new(&o, &out), 0);
	for (int turn = 0; turn < 2000; turn++) {
		for (int i = 0; i < 50 && put < 20000; i++) {
			(void)snprintf(line, sizeof(line), "%d %080d\n", (int)put, 0);
			if (out_put(out, str_of(line)) < 0)
				break;
			put++;
		}
		if (turn > 100) { /* until here nobody reads */
			ssize_t n = read(fd, bytes, sizeof(bytes));

			for (ssize_t i = 0; i < n; i++)
				got += bytes[i] == '\n';
		} else if (turn == 100) {
			last = (int)put;
		}
		out_flush(out);
		(void)event_base_loop(p->base, EVLOOP_NONBLOCK);
		if (got == 20000)
			break;
		if (turn > 100)
			usleep(1000);
	}
	assert_in_range(last, 1, 3000); /* the pipe's 64 KiB and ours */
	assert_int_equal(put, 20000);
	assert_int_equal(got, 20000);
	assert_true(p->rooms > 0);
	out_free(&out);
	(void)close(fd);
}

/* A stop with a reader that has gone to sleep: the pipe ends with a whole line, and what is not in
 * it is counted. */
static void a_stop_leaves_whole_lines(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = p->file, .max = 65536};
	struct out *out = NULL;
	struct out_stats s;
	char line[1001], bytes[65536];
	uint64_t put = 0, got = 0, left;
	ssize_t n;
	nsec_t before;
	int fd;

	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(out_new(&o, &out), 0);
	while (out_put(out, str_make(line, sizeof(line) - 1)) == 0)
		put++;
	out_flush(out);
	before = clock_mono();
	left = out_stop(out);
	assert_in_range(clock_mono() - before, 0, NSEC_PER_SEC);
	out_stats(out, &s);
	assert_true(s.lines > 0 && left > 0);
	assert_int_equal(s.lines + left, put);
	assert_int_equal(s.cut, 0);
	assert_int_equal(s.waiting, 0);
	out_free(&out);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			got += bytes[i] == '\n';
		line[0] = bytes[n - 1];
	}
	assert_int_equal(n, 0);
	assert_int_equal(line[0], '\n');
	assert_int_equal(got, s.lines);
	(void)close(fd);
}

/* What waits is let go of: not a line of it is written, not at the end either. */
static void what_was_dropped_is_not_written(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = p->file, .max = 1 << 20};
	struct out *out = NULL;
	struct out_stats s;
	char bytes[65536];
	ssize_t n, got = 0;
	int fd;

	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(out_new(&o, &out), 0);
	for (int i = 0; i < 20000; i++)
		assert_int_equal(out_put(out, STR("a line that waits\n")), 0);
	out_flush(out);
	out_drop(out);
	out_stats(out, &s);
	assert_int_equal(s.waiting, 0);
	out_free(&out);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		got += n;
	assert_int_equal(got, s.bytes);
	assert_in_range(got, 1, 20000 * 18 - 1);
	(void)close(fd);
}

/* The same with lines that are longer than what a pipe takes whole: the cut one is said. */
static void a_stop_amid_a_long_line_says_so(void **state)
{
	struct place *p = *state;
	struct out_opts o = {.base = p->base, .path = p->file, .max = 65536};
	struct out *out = NULL;
	struct out_stats s;
	static char line[30000], bytes[1 << 17];
	ssize_t n;
	int fd;

	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETPIPE_SZ, 65536), 65536);
	assert_int_equal(out_new(&o, &out), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(out_put(out, str_make(line, sizeof(line))), 0);
		out_flush(out);
	}
	assert_int_equal(out_stop(out), 1);
	out_stats(out, &s);
	assert_int_equal(s.cut, 1);
	assert_int_equal(s.lines, 2);
	out_free(&out);
	n = read(fd, bytes, sizeof(bytes));
	assert_in_range(n, 2 * sizeof(line) + 1, 3 * sizeof(line) - 1);
	(void)close(fd);
}

/* ---- with a flow table ----------------------------------------------------------------------- */

static void feed(struct flows *f, uint8_t type, uint64_t sk, uint64_t sent, uint16_t err)
{
	struct abi_tcp t = {
		.head = {.type = type, .version = ABI_VERSION, .size = sizeof(t), .time = 1000},
		.sk = sk,
		.sock = {.start = 900,
			 .updated = 1000 + sent,
			 .cgroup = 5,
			 .dir = ABI_DIR_OUT,
			 .flags = err ? 0 : ABI_SOCK_WAS_OPEN,
			 .err = err,
			 .state = type == ABI_TCP_OPEN ? 1 : 7,
			 .tuple = {.lport = (uint16_t)(1000 + sk), .rport = 80},
			 .counters = {.sent = sent}}};

	t.sock.tuple.laddr[10] = t.sock.tuple.laddr[11] = 0xff;
	memcpy(t.sock.tuple.raddr, t.sock.tuple.laddr, 16);
	t.sock.tuple.laddr[15] = 1;
	t.sock.tuple.raddr[15] = 2;
	assert_int_equal(flows_record(f, 2000, str_make(&t, sizeof(t))), 0);
}

static void name_all(struct flows *f, nsec_t now)
{
	const struct flow_end local = {.known_by = KNOWN_CGROUP,
				       .ns = STR("shop"),
				       .pod = STR("web-1"),
				       .workload = STR("web"),
				       .workload_kind = STR("Deployment")};
	const struct flow_end remote = {.known_by = KNOWN_ADDRESS,
					.ns = STR("shop"),
					.workload = STR("db"),
					.workload_kind = STR("Deployment")};

	for (flow_id id = flows_unnamed(f, now); id; id = flows_unnamed(f, now))
		assert_int_equal(flows_name(f, now, id, &local, &remote), 0);
}

static void read_events(const char *path, char out[4096])
{
	FILE *f = fopen(path, "re");
	char line[65536];

	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		json_t *o = json_loads(line, 0, NULL);

		if (!schema_line(&schema, line, strlen(line)))
			fail_msg("%s: %s", schema.why, line);
		(void)snprintf(out + strlen(out), 4096 - strlen(out), "%s:%d ",
			       json_string_value(json_object_get(o, "event")),
			       (int)json_integer_value(json_object_get(o, "bytes_sent")));
		json_decref(o);
	}
	(void)fclose(f);
}

static void a_flow_table_becomes_lines(void **state)
{
	struct place *p = *state;
	struct flows_opts fo = {0};
	struct flows *f = NULL;
	struct jsonl_opts o = {.base = p->base, .path = p->file};
	struct jsonl *j = NULL;
	char events[4096];

	assert_int_equal(flows_new(&fo, &f), 0);
	o.flows = f;
	assert_int_equal(jsonl_new(&o, &j), 0);
	feed(f, ABI_TCP_OPEN, 1, 0, 0);
	name_all(f, 3000);
	jsonl_drain(j);
	feed(f, ABI_TCP_CLOSE, 1, 10, 0); /* ended after it was told */
	feed(f, ABI_TCP_OPEN, 2, 0, 0);
	feed(f, ABI_TCP_CLOSE, 2, 20, 0);	    /* opened and ended between two looks */
	feed(f, ABI_TCP_CLOSE, 3, 0, ECONNREFUSED); /* never came up */
	name_all(f, 2 * NSEC_PER_SEC);
	jsonl_drain(j);
	read_events(p->file, events);
	assert_string_equal(events, "open:0 close:10 open:20 close:20 fail:0 ");
	jsonl_free(&j);
	flows_free(&f);
}

static void a_cursor_that_waits_says_what_it_missed(void **state)
{
	struct place *p = *state;
	struct flows_opts fo = {.max_ended = 16};
	struct flows *f = NULL;
	struct jsonl_opts o = {.base = p->base, .path = p->file, .max = 4096};
	struct jsonl *j = NULL;
	struct jsonl_stats s;
	char bytes[65536];
	uint64_t lines = 0, lost = 0;
	int fd;

	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(flows_new(&fo, &f), 0);
	o.flows = f;
	assert_int_equal(jsonl_new(&o, &j), 0);
	for (uint64_t i = 1; i <= 200; i++) {
		feed(f, ABI_TCP_CLOSE, i, 0, ECONNREFUSED);
		name_all(f, i * 2 * NSEC_PER_SEC);
		jsonl_drain(j);
	}
	for (int turn = 0; turn < 500; turn++) {
		ssize_t n = read(fd, bytes, sizeof(bytes) - 1);
		char *save = NULL;

		bytes[n > 0 ? n : 0] = '\0';
		for (char *l = n > 0 ? strtok_r(bytes, "\n", &save) : NULL; l;
		     l = strtok_r(NULL, "\n", &save)) {
			const char *count = strstr(l, "\"count\":");

			lines += strstr(l, "\"event\":\"fail\"") != NULL;
			lost += count ? strtoul(count + 8, NULL, 10) : 0;
		}
		usleep(1000);
		jsonl_drain(j);
		(void)event_base_loop(p->base, EVLOOP_NONBLOCK);
	}
	jsonl_stats(j, &s);
	assert_true(lost > 0);
	assert_int_equal(lost, s.dropped);
	assert_int_equal(lines + lost, 200);
	jsonl_free(&j);
	flows_free(&f);
	(void)close(fd);
}

/* Lines that wait, and flows that there was no room for: each is counted once. */
static void a_stop_counts_what_is_left(void **state)
{
	struct place *p = *state;
	struct flows *f = NULL;
	struct jsonl_opts o = {.base = p->base, .path = p->file, .max = 8192};
	struct jsonl *j = NULL;
	struct jsonl_stats s;
	char bytes[4096];
	int fd;

	assert_int_equal(mkfifo(p->file, 0600), 0);
	fd = open(p->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(flows_new(&(struct flows_opts){0}, &f), 0);
	o.flows = f;
	assert_int_equal(jsonl_new(&o, &j), 0);
	for (uint64_t i = 1; i <= 200; i++)
		feed(f, ABI_TCP_CLOSE, i, 0, ECONNREFUSED);
	name_all(f, 400 * NSEC_PER_SEC);
	jsonl_stop(j);
	jsonl_stats(j, &s);
	assert_true(s.lines > 0);
	assert_int_equal(s.lines + s.left, 200);
	assert_int_equal(s.waiting, 0);
	while (read(fd, bytes, sizeof(bytes)) > 0) /* now there is room, but it is over */
		;
	feed(f, ABI_TCP_CLOSE, 201, 0, ECONNREFUSED);
	name_all(f, 900 * NSEC_PER_SEC);
	jsonl_changed(j);
	(void)event_base_loop(p->base, EVLOOP_NONBLOCK);
	jsonl_free(&j);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 0);
	flows_free(&f);
	(void)close(fd);
}

static int tortured(void *ctx)
{
	struct line_marks m = {0};
	_buf_ struct buf b = {.max = LINE_MAX};
	struct flow_view v = sample();
	int r = line_marks_fit(&m, v.id);

	(void)ctx;
	if (r == 0)
		r = line_flow(&v, LINE_OPEN, 0, &b);
	if (r < 0)
		assert_int_equal(b.n, 0);
	line_marks_done(&m);
	return r;
}

static void no_memory_is_survived(void **state)
{
	(void)state;
	assert_int_equal(torture_run(tortured, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_says_it_all),
		cmocka_unit_test(what_is_not_known_is_absent),
		cmocka_unit_test(every_line_fits_the_schema),
		cmocka_unit_test(lines_about_lost_ones_fit),
		cmocka_unit_test(the_schema_refuses),
		cmocka_unit_test(a_full_buffer_keeps_whole_lines),
		cmocka_unit_test(events_come_once_and_in_order),
		cmocka_unit_test_setup_teardown(a_file_is_appended_to_and_reopened, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_file_takes_over, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_pipe_holds_up_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_leaves_whole_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_amid_a_long_line_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_dropped_is_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stop_counts_what_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(a_flow_table_becomes_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(a_cursor_that_waits_says_what_it_missed, setup,
						teardown),
		cmocka_unit_test(no_memory_is_survived),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
