/*
 * Bad protobuf costs what it may: the object while its length is sound, else the
 * stream; and what is odd but allowed is read right. Bodies are built here field
 * by field, by another hand than the decoder's.
 */
#include "base/mem.h"
#include "tests/lib/decode_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define GOOD_LINE "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u\n"
#define END_LINE  "LIST remaining=-1\n"

/* A message being written: bytes by value, so that messages nest as expressions. */
struct msg {
	size_t n;
	uint8_t b[4096];
};

static void put(struct msg *m, const void *p, size_t n)
{
	assert_true(m->n + n <= sizeof(m->b));
	memcpy(m->b + m->n, p, n);
	m->n += n;
}

static void put_varint(struct msg *m, uint64_t v)
{
	uint8_t c;

	for (; v >= 0x80; v >>= 7) {
		c = (uint8_t)(v | 0x80);
		put(m, &c, 1);
	}
	c = (uint8_t)v;
	put(m, &c, 1);
}

static void put_bytes(struct msg *m, uint32_t number, const void *p, size_t n)
{
	put_varint(m, (uint64_t)number << 3 | 2);
	put_varint(m, n);
	put(m, p, n);
}

static void put_text(struct msg *m, uint32_t number, const char *z)
{
	put_bytes(m, number, z, strlen(z));
}

static void put_msg(struct msg *m, uint32_t number, const struct msg *sub)
{
	put_bytes(m, number, sub->b, sub->n);
}

static void put_int(struct msg *m, uint32_t number, uint64_t v)
{
	put_varint(m, (uint64_t)number << 3);
	put_varint(m, v);
}

/* ObjectMeta of the good pod, open for more. */
static struct msg meta(void)
{
	struct msg m = {0};

	put_text(&m, 1, "a");
	put_text(&m, 5, "u");
	return m;
}

static struct msg pod(const struct msg *metadata)
{
	struct msg m = {0};

	put_msg(&m, 1, metadata);
	return m;
}

static struct msg good(void)
{
	struct msg m = meta();

	return pod(&m);
}

/* magic, Unknown{typeMeta{v1, kind}, raw} */
static struct msg unknown(const char *kind, const struct msg *raw)
{
	struct msg type = {0}, m = {0};

	put_text(&type, 1, "v1");
	put_text(&type, 2, kind);
	put(&m, "k8s", 4);
	put_msg(&m, 1, &type);
	put_msg(&m, 2, raw);
	return m;
}

static struct msg frame(const char *type, const struct msg *object)
{
	struct msg ext = {0}, event = {0}, m = {0};
	uint8_t head[4] = {0};

	put_msg(&ext, 1, object);
	put_text(&event, 1, type);
	put_msg(&event, 2, &ext);
	head[2] = (uint8_t)(event.n >> 8);
	head[3] = (uint8_t)event.n;
	put(&m, head, 4);
	put(&m, event.b, event.n);
	return m;
}

static struct msg watch_of(const struct msg *p)
{
	struct msg object = unknown("Pod", p);

	return frame("ADDED", &object);
}

static void run(struct decode_log *l, const struct msg *m)
{
	struct decode_log cut;

	decode_log_run(l, str_make(m->b, m->n), CUT_NONE, 0, NULL);
	decode_log_init(&cut, 0, 0, 0);
	cut.opts = l->opts;
	for (size_t at = 0; at <= m->n; at++) {
		decode_log_run(&cut, str_make(m->b, m->n), at ? CUT_IN_TWO : CUT_BYTES, at, NULL);
		if (cut.result != l->result || strcmp(cut.error, l->error) != 0 ||
		    !str_eq(buf_str(&cut.text), buf_str(&l->text)))
			fail_msg("cut at %zu: %d %s: %.*s\nwhole: %d %s: %.*s", at, cut.result,
				 cut.error, STR_ARG(buf_str(&cut.text)), l->result, l->error,
				 STR_ARG(buf_str(&l->text)));
	}
	decode_log_done(&cut);
}

static void expect(enum decode_body b, const struct msg *m, int result, const char *text,
		   const char *error)
{
	static const struct str labels[] = {STR("app"), STR("tier")};
	struct decode_log l;

	decode_log_init(&l, DECODE_PROTOBUF, b, SHAPE_POD);
	l.opts.labels = labels;
	l.opts.n_labels = ARRAY_SIZE(labels);
	l.opts.max_object = 1024;
	run(&l, m);
	if (l.result != result || !str_eq(buf_str(&l.text), str_of(text)) ||
	    !strstr(l.error, error) || (result < 0) != (l.error[0] != 0))
		fail_msg("gave %d \"%s\":\n%.*s\nnot %d \"%s\":\n%s", l.result, l.error,
			 STR_ARG(buf_str(&l.text)), result, error, text);
	decode_log_done(&l);
}

/* A list of this pod and the good one; a watch of the same. */
static void expect_pod(const struct msg *p, const char *line)
{
	struct msg list = {0}, after = good(), body, next;
	char text[512];

	put_msg(&list, 2, p);
	put_msg(&list, 2, &after);
	body = unknown("PodList", &list);
	(void)snprintf(text, sizeof(text), "%s" GOOD_LINE END_LINE, line);
	expect(DECODE_LIST, &body, 0, text, "");
	body = watch_of(p);
	next = watch_of(&after);
	put(&body, next.b, next.n);
	(void)snprintf(text, sizeof(text), "%s" GOOD_LINE, line);
	expect(DECODE_WATCH, &body, 0, text, "");
}

static void test_unknown_fields(void **state)
{
	struct msg m = meta(), p;

	(void)state;
	put_int(&m, 1000, 1);
	put_text(&m, 99999, "x");
	put_varint(&m, 700 << 3 | 1);
	put(&m, "12345678", 8);
	put_varint(&m, 3000 << 3 | 5);
	put(&m, "1234", 4);
	put_int(&m, 7, UINT64_MAX);
	p = pod(&m);
	put_text(&p, 536870911, "the highest number");
	put_text(&p, 4, "v1"); /* JSON's kind has no number here */
	put_text(&p, 5, "Odd");
	expect_pod(&p, GOOD_LINE);
}

static void test_maps(void **state)
{
	struct msg m = meta(), e = {0}, late = {0}, empty = {0}, only_key = {0}, p;

	(void)state;
	put_text(&e, 1, "app");
	put_text(&e, 2, "x");
	put_msg(&m, 11, &e);
	put_text(&late, 2, "value first");
	put_text(&late, 1, "tier");
	put_msg(&m, 11, &late);
	put_msg(&m, 11, &empty);
	put_msg(&m, 12, &late);
	put_text(&only_key, 1, "app");
	put_msg(&m, 12, &only_key);
	p = pod(&m);
	expect_pod(&p, "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u label=3:app is=1:x "
		       "label=4:tier is=11:value first\n");
}

static void test_merge(void **state)
{
	struct msg first = {0}, second = {0}, p = {0};

	(void)state;
	put_text(&first, 1, "b");
	put_text(&first, 3, "ns");
	put_text(&second, 5, "u");
	put_text(&second, 1, "a"); /* the last wins, messages grow together */
	put_msg(&p, 1, &first);
	put_msg(&p, 1, &second);
	expect_pod(&p, "ADDED version=2:v1 kind=3:Pod name=1:a ns=2:ns uid=1:u\n");
}

static void test_text(void **state)
{
	struct msg m = meta(), p;

	(void)state;
	put_bytes(&m, 3, "x\xffy", 3);
	p = pod(&m);
	expect_pod(&p, "ADDED version=2:v1 kind=3:Pod name=1:a ns=5:x\xef\xbf\xbdy uid=1:u\n");
}

static void test_malformed_objects(void **state)
{
	struct msg m, p;

	(void)state;
	p = good();
	put_varint(&p, 3); /* field number 0 */
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put_varint(&p, 4 << 3 | 3); /* a group */
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put(&p, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put_varint(&p, 9 << 3 | 2); /* a length over the object's end, and a negative one */
	put_varint(&p, 1);
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put_varint(&p, 9 << 3 | 2);
	put_varint(&p, UINT64_MAX);
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put_varint(&p, 9 << 3); /* ends inside of a number */
	put(&p, "\x80", 1);
	expect_pod(&p, "BAD malformed name=1:a\n");
	m = meta();
	put_int(&m, 3, 7); /* a number for a text, a text for a number, a text for a message */
	p = pod(&m);
	expect_pod(&p, "BAD malformed name=1:a\n");
	m = (struct msg){0};
	put_text(&m, 11, "yes");
	p = good();
	put_msg(&p, 2, &m);
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = good();
	put_text(&p, 3, "\x7f\x7f\x7f");
	expect_pod(&p, "BAD malformed name=1:a\n");
	p = (struct msg){0};
	expect_pod(&p, "BAD incomplete\n");
}

static void test_too_large(void **state)
{
	static const char big[1024];
	struct msg m = meta(), p;

	(void)state;
	p = pod(&m);
	put_bytes(&p, 9, big, 1024 - p.n - 3); /* exactly the limit */
	assert_int_equal(p.n, 1024);
	expect_pod(&p, GOOD_LINE);
	put(&p, "\x48\x01", 2);
	expect_pod(&p, "BAD too_large name=1:a\n");
	m = (struct msg){0};
	put_bytes(&m, 1, big, sizeof(big));
	p = pod(&m);
	put_bytes(&p, 9, big, sizeof(big));
	assert_true(p.n > 1024);
}

static void test_frames(void **state)
{
	struct msg p = good(), ok = watch_of(&p), body, event = {0}, object;

	(void)state;
	body = (struct msg){0};
	put(&body, "\0\0\0\0", 4); /* an event of nothing */
	put(&body, ok.b, ok.n);
	expect(DECODE_WATCH, &body, 0, "BAD malformed\n" GOOD_LINE, "");
	body = ok;
	put(&body, "\x80\0\0\0", 4);
	expect(DECODE_WATCH, &body, -EBADMSG, GOOD_LINE, "protobuf: frame length 2147483648");
	body = ok;
	put(&body, "\xff\xff\xff\xff", 4);
	expect(DECODE_WATCH, &body, -EBADMSG, GOOD_LINE, "protobuf: frame length 4294967295");
	body = ok;
	body.n--;
	expect(DECODE_WATCH, &body, -EBADMSG, "", "protobuf: cut inside a frame");
	/* no magic, a wrong type, a wrong event: the frame's length still holds */
	body = frame("ADDED", &p);
	put(&body, ok.b, ok.n);
	expect(DECODE_WATCH, &body, 0, "BAD malformed\n" GOOD_LINE, "");
	object = unknown("Pod", &p);
	body = frame("PING", &object);
	put(&body, ok.b, ok.n);
	expect(DECODE_WATCH, &body, 0, "BAD malformed name=1:a\n" GOOD_LINE, "");
	put(&event,
	    "\0\0\0\x06\x0a\x09"
	    "ADDE",
	    10); /* a text over the frame's end */
	put(&event, ok.b, ok.n);
	expect(DECODE_WATCH, &event, 0, "BAD malformed\n" GOOD_LINE, "");
}

/* The type behind the object. */
static void test_event_order(void **state)
{
	struct msg p = good(), object = unknown("Pod", &p), ext = {0}, event = {0}, body = {0};
	uint8_t head[4] = {0};

	(void)state;
	put_msg(&ext, 1, &object);
	put_msg(&event, 2, &ext);
	put_text(&event, 1, "DELETED");
	head[3] = (uint8_t)event.n;
	put(&body, head, 4);
	put(&body, event.b, event.n);
	expect(DECODE_WATCH, &body, 0, "DELETED version=2:v1 kind=3:Pod name=1:a uid=1:u\n", "");
}

static void test_error_event(void **state)
{
	struct msg s = {0}, details = {0}, object, body;

	(void)state;
	put_int(&details, 5, 7);
	put_text(&s, 3, "too old");
	put_text(&s, 4, "Expired");
	put_msg(&s, 5, &details);
	put_int(&s, 6, 410);
	object = unknown("Status", &s);
	body = frame("ERROR", &object);
	expect(DECODE_WATCH, &body, 0,
	       "STATUS code=410 reason=7:Expired message=7:too old retry_after=7\n", "");
}

static void test_broken_bodies(void **state)
{
	struct msg p = good(), list = {0}, body;

	(void)state;
	body = (struct msg){0};
	expect(DECODE_LIST, &body, -EBADMSG, "", "body cut short");
	expect(DECODE_WATCH, &body, 0, "", "");
	put(&body, "{\"kind\":", 8);
	expect(DECODE_LIST, &body, -EBADMSG, "", "no magic");
	body = (struct msg){0};
	put(&body, "k8s", 4);
	expect(DECODE_LIST, &body, -EBADMSG, "", "no object in the body");
	put_msg(&list, 2, &p);
	put_int(&list, 2, 5); /* around the items there is no length that heals */
	body = unknown("PodList", &list);
	expect(DECODE_LIST, &body, -EBADMSG, GOOD_LINE, "value of a wrong type");
	body = unknown("Pod", &p);
	expect(DECODE_LIST, &body, -EBADMSG, "", "protobuf: not a list but kind 'Pod', at byte 17");
	expect(DECODE_STATUS, &body, -EBADMSG, "", "not a Status but kind 'Pod'");
	expect(DECODE_OBJECT, &body, 0, GOOD_LINE, "");
}

/* Metadata of the list behind its items, and what a Node gives. */
static void test_list_meta(void **state)
{
	struct msg p = good(), list = {0}, m = {0}, body;

	(void)state;
	put_msg(&list, 2, &p);
	put_text(&m, 2, "77");
	put_text(&m, 3, "next");
	put_int(&m, 4, 12);
	put_msg(&list, 1, &m);
	body = unknown("PodList", &list);
	expect(DECODE_LIST, &body, 0, GOOD_LINE "LIST rv=2:77 continue=4:next remaining=12\n", "");
}

/* Over the maximum only references that are no controllers are left out. */
static void test_late_controller(void **state)
{
	for (int flag = 0; flag <= 1; flag++) {
		struct msg plain = {0}, late = {0}, m = meta(), p, body;
		const char *last =
			flag ? "owner=1:K version=1:v name=1:c uid=2:cu controller=1" : "name=1:o";
		struct decode_log l;

		(void)state;
		put_text(&plain, 3, "o");
		put_text(&late, 5, "v");
		put_int(&late, 6, (uint64_t)flag);
		put_text(&late, 1, "K");
		put_text(&late, 3, "c");
		put_text(&late, 4, "cu");
		for (int i = 0; i < 300; i++)
			put_msg(&m, 13, &plain);
		put_msg(&m, 13, &late);
		put_msg(&m, 13, &plain);
		p = pod(&m);
		body = watch_of(&p);
		decode_log_init(&l, DECODE_PROTOBUF, DECODE_WATCH, SHAPE_META);
		run(&l, &body);
		assert_int_equal(l.objects, 1);
		assert_int_equal(l.bads, 1);
		if (!str_ends(str_trim(buf_str(&l.text)), str_of(last)))
			fail_msg("%.*s", STR_ARG(buf_str(&l.text)));
		decode_log_done(&l);
	}
}

static void check_node(const char *const (*labels)[2], size_t n, const char *line)
{
	struct msg m = meta(), spec = {0}, node, body;
	struct decode_log l;

	for (size_t i = 0; i < n; i++) {
		struct msg e = {0};

		put_text(&e, 1, labels[i][0]);
		put_text(&e, 2, labels[i][1]);
		put_msg(&m, 11, &e);
	}
	node = pod(&m);
	put_text(&spec, 3, "aws:///eu/i-1");
	put_msg(&node, 2, &spec);
	body = unknown("Node", &node);
	decode_log_init(&l, DECODE_PROTOBUF, DECODE_OBJECT, SHAPE_NODE);
	run(&l, &body);
	if (!str_eq(buf_str(&l.text), str_of(line)))
		fail_msg("%s %.*s", l.error, STR_ARG(buf_str(&l.text)));
	decode_log_done(&l);
}

/* The labels of before 1.17 count when there are no newer ones. */
static void test_node(void **state)
{
	static const char *const both[][2] = {
		{"topology.kubernetes.io/zone", "zone-a"},
		{"failure-domain.beta.kubernetes.io/zone", "old-zone"},
		{"beta.kubernetes.io/instance-type", "old-type"},
		{"node.kubernetes.io/instance-type", "m5.large"},
	};
	static const char *const old[][2] = {
		{"failure-domain.beta.kubernetes.io/zone", "old-zone"},
		{"beta.kubernetes.io/instance-type", "old-type"},
	};

	(void)state;
	check_node(both, ARRAY_SIZE(both),
		   "ADDED version=2:v1 kind=4:Node name=1:a uid=1:u provider=13:aws:///eu/i-1 "
		   "zone=6:zone-a type=8:m5.large\n");
	check_node(old, ARRAY_SIZE(old),
		   "ADDED version=2:v1 kind=4:Node name=1:a uid=1:u provider=13:aws:///eu/i-1 "
		   "zone=8:old-zone type=8:old-type\n");
	check_node(NULL, 0,
		   "ADDED version=2:v1 kind=4:Node name=1:a uid=1:u provider=13:aws:///eu/i-1\n");
}

static void check_place(const struct msg *spec, const struct msg *status, enum decode_shape shape,
			const char *line)
{
	struct msg m = meta(), place = pod(&m), list = {0}, body;
	struct decode_log l;

	put_msg(&place, 2, spec);
	put_msg(&place, 3, status);
	put_msg(&list, 2, &place);
	body = unknown("PodList", &list);
	decode_log_init(&l, DECODE_PROTOBUF, DECODE_LIST, shape);
	run(&l, &body);
	if (!str_starts(buf_str(&l.text), str_of(line)))
		fail_msg("%s %.*s", l.error, STR_ARG(buf_str(&l.text)));
	decode_log_done(&l);
}

/* core/v1 NodeStatus.addresses, ServiceSpec, ServiceStatus */
static void test_places(void **state)
{
	struct msg spec = {0}, status = {0}, a = {0}, balancer = {0}, none = {0};

	(void)state;
	put_text(&a, 1, "InternalIP");
	put_text(&a, 2, "10.0.0.1");
	put_msg(&status, 5, &a);
	check_place(&spec, &status, SHAPE_NODE,
		    "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u place=8:10.0.0.1\n");
	put_text(&spec, 18, "10.96.0.1");
	put_text(&spec, 3, "10.96.0.1");
	put_text(&spec, 4, "LoadBalancer");
	put_text(&spec, 5, "192.0.2.7");
	put_text(&spec, 18, "fd00::a");
	a = (struct msg){0};
	put_text(&a, 1, "203.0.113.9");
	put_text(&a, 2, "lb.example.com");
	put_msg(&balancer, 1, &a);
	status = (struct msg){0};
	put_msg(&status, 1, &balancer);
	check_place(&spec, &status, SHAPE_SERVICE,
		    "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u cluster_ip=9:10.96.0.1 "
		    "place=9:10.96.0.1 place=7:fd00::a external=9:192.0.2.7 "
		    "ingress=11:203.0.113.9\n");
	check_place(&none, &none, SHAPE_SERVICE,
		    "ADDED version=2:v1 kind=3:Pod name=1:a uid=1:u\n");
}

/* Any byte changed to anything: never a crash, and the same answer in every cut. */
static void test_mutations(void **state)
{
	struct msg p = good(), list = {0}, body;
	uint64_t seed = rng_entropy();
	struct rng g;

	(void)state;
	rng_seed(&g, seed);
	print_message("seed %llu\n", (unsigned long long)seed);
	put_msg(&list, 2, &p);
	put_msg(&list, 2, &p);
	body = unknown("PodList", &list);
	for (int i = 0; i < 2000; i++) {
		struct msg bad = i & 1 ? watch_of(&p) : body;
		struct decode_log l;

		for (uint64_t n = 1 + rng_below(&g, 3); n; n--)
			bad.b[rng_below(&g, bad.n)] = (uint8_t)rng_next(&g);
		decode_log_init(&l, DECODE_PROTOBUF, i & 1 ? DECODE_WATCH : DECODE_LIST, SHAPE_POD);
		l.opts.max_object = 64;
		run(&l, &bad);
		assert_true(l.result == 0 || l.result == -EBADMSG);
		decode_log_done(&l);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_malformed_objects),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_event_order),
		cmocka_unit_test(test_error_event),
		cmocka_unit_test(test_broken_bodies),
		cmocka_unit_test(test_list_meta),
		cmocka_unit_test(test_late_controller),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
