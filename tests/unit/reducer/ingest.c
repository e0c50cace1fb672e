/*
 * The reference reducer's rules, one case each: what closes a connection, what
 * is only reported, what a connection's end does to the pods.
 */
#include "reducer/ingest.h"

#include "base/buf.h"
#include "base/mem.h"
#include "proto/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <lz4frame.h>

struct agent { /* one connection and what was told about it */
	struct ingest *in;
	struct wire_batch batch;
	struct buf out; /* bytes on their way */
	unsigned told[_INGEST_EFFECT_MAX];
	char error[256]; /* the last one */
	bool fatal;
	nsec_t now;
};

static void on_effect(void *arg, const struct ingest_effect *e)
{
	struct agent *a = arg;

	a->told[e->type]++;
	if (e->type == INGEST_ERROR) {
		(void)snprintf(a->error, sizeof(a->error), "%s", e->error);
		a->fatal |= e->fatal;
	}
}

static void agent_init(struct agent *a, struct reducer_table *t, uint32_t number)
{
	*a = (struct agent){.now = NSEC_PER_SEC};
	assert_int_equal(ingest_new(
				 &(struct ingest_opts){
					 .table = t, .number = number, .hook = on_effect, .arg = a},
				 a->now, &a->in),
			 0);
	assert_int_equal(wire_batch_init(&a->batch), 0);
	buf_init(&a->out, 8U << 20);
}

static void agent_done(struct agent *a)
{
	ingest_free(&a->in);
	wire_batch_done(&a->batch);
	buf_done(&a->out);
}

/* Hands over what was written. */
static int flush(struct agent *a)
{
	int r;

	assert_int_equal(wire_batch_flush(&a->batch, &a->out), 0);
	r = ingest_push(a->in, buf_str(&a->out), a->now);
	buf_reset(&a->out);
	return r;
}

static void version(struct agent *a, uint32_t minor)
{
	assert_int_equal(
		wire_put_version_info(&a->out, 1, &(struct wire_version_info){.minor = minor}), 0);
}

static void say_connect(struct agent *a, const char *host)
{
	assert_int_equal(wire_batch_put_connect(&a->batch, &a->out, 1,
						&(struct wire_connect){3, str_of(host)}),
			 0);
}

static void resync(struct agent *a, uint64_t epoch)
{
	assert_int_equal(
		wire_batch_put_pod_resync(&a->batch, &a->out, 1, &(struct wire_pod_resync){epoch}),
		0);
}

static void pod(struct agent *a, const char *uid, const char *owner)
{
	assert_int_equal(wire_batch_put_pod_new_with_name(
				 &a->batch, &a->out, 1,
				 &(struct wire_pod_new_with_name){.uid = str_of(uid),
								  .ip = 0x0a010203,
								  .owner_name = str_of(owner),
								  .pod_name = STR("web-abc"),
								  .owner_kind = 1,
								  .owner_uid = STR("dep-1"),
								  .ns = STR("default"),
								  .version = STR("'nginx:1.25'")}),
			 0);
}

static void container(struct agent *a, const char *uid, const char *id)
{
	assert_int_equal(wire_batch_put_pod_container(
				 &a->batch, &a->out, 1,
				 &(struct wire_pod_container){str_of(uid), str_of(id), STR("web"),
							      STR("nginx:1.25")}),
			 0);
}

static void say_delete(struct agent *a, const char *uid)
{
	assert_int_equal(wire_batch_put_pod_delete(&a->batch, &a->out, 1,
						   &(struct wire_pod_delete){str_of(uid)}),
			 0);
}

static void hello(struct agent *a)
{
	version(a, 11);
	say_connect(a, "node-a");
	assert_int_equal(flush(a), 0);
}

static struct reducer_table *table(void)
{
	struct reducer_table *t = NULL;

	assert_int_equal(reducer_table_new(&(struct reducer_table_opts){0}, &t), 0);
	return t;
}

/* One connection after its handshake. */
#define WITH_AGENT(a, t)                   \
	struct reducer_table *t = table(); \
	struct agent a;                    \
	agent_init(&a, t, 1)
#define DONE(a, t)                                                \
	do {                                                      \
		agent_done(&a);                                   \
		assert_int_equal(reducer_table_pods(t), 0);       \
		assert_int_equal(reducer_table_containers(t), 0); \
		reducer_table_free(&t);                           \
	} while (0)

static void assert_reported(struct agent *a, int result, bool fatal, const char *text)
{
	assert_int_equal(result, fatal ? -EBADMSG : 0);
	assert_int_equal(a->told[INGEST_ERROR], 1);
	assert_int_equal(a->fatal, fatal);
	if (!strstr(a->error, text))
		fail_msg("\"%s\" does not say \"%s\"", a->error, text);
	if (fatal)
		assert_int_equal(ingest_push(a->in, STR("x"), a->now), -EBADMSG);
	a->told[INGEST_ERROR] = 0;
}

static void test_normal_life(void **state)
{
	WITH_AGENT(a, t);
	const struct reducer_pod *p;

	(void)state;
	hello(&a);
	resync(&a, 5);
	pod(&a, "uid-1", "web");
	container(&a, "uid-1", "containerd://abc");
	container(&a, "uid-1", "containerd://abc");
	container(&a, "uid-1", "docker://abc"); /* the scheme is no part of the id */
	container(&a, "uid-1", "containerd://def");
	assert_int_equal(flush(&a), 0);
	assert_int_equal(a.told[INGEST_ERROR], 0);
	assert_int_equal(a.told[INGEST_CONNECT], 1);
	assert_int_equal(a.told[INGEST_RESYNC], 1);
	assert_int_equal(a.told[INGEST_POD], 1);
	assert_int_equal(a.told[INGEST_CONTAINER], 4);
	assert_int_equal(a.told[INGEST_MESSAGE], 1); /* version_info */
	assert_true(str_eq(ingest_host(a.in), STR("node-a")));
	assert_int_equal(ingest_collector(a.in), 3);
	assert_int_equal(ingest_epoch(a.in), 5);
	p = reducer_table_find(t, STR("uid-1"));
	assert_non_null(p);
	assert_true(str_eq(p->owner_name, STR("web")) && str_eq(p->ns, STR("default")));
	assert_true(str_eq(p->name, STR("web-abc")) && str_eq(p->owner_uid, STR("dep-1")));
	assert_true(str_eq(p->version, STR("'nginx:1.25'")));
	assert_int_equal(p->ip, 0x0a010203);
	assert_int_equal(p->owner_kind, 1);
	assert_int_equal(p->n_containers, 2);

	/* A repeat is an update and keeps the containers. */
	pod(&a, "uid-1", "other");
	assert_int_equal(flush(&a), 0);
	p = reducer_table_find(t, STR("uid-1"));
	assert_true(str_eq(p->owner_name, STR("other")));
	assert_int_equal(p->n_containers, 2);
	assert_int_equal(reducer_table_pods(t), 1);

	say_delete(&a, "uid-1");
	assert_int_equal(flush(&a), 0);
	assert_null(reducer_table_find(t, STR("uid-1")));
	assert_int_equal(reducer_table_containers(t), 0);
	assert_int_equal(a.told[INGEST_ERROR], 0);
	DONE(a, t);
}

static void test_resync_drops(void **state)
{
	WITH_AGENT(a, t);

	(void)state;
	hello(&a);
	resync(&a, 5);
	for (int i = 0; i < 100; i++) {
		char uid[16];

		(void)snprintf(uid, sizeof(uid), "uid-%d", i);
		pod(&a, uid, "web");
		container(&a, uid, "cri-o://abc");
	}
	assert_int_equal(flush(&a), 0);
	assert_int_equal(reducer_table_pods(t), 100);
	resync(&a, 6);
	assert_int_equal(flush(&a), 0);
	assert_int_equal(reducer_table_pods(t), 0);
	assert_int_equal(reducer_table_containers(t), 0);
	resync(&a, 6);
	assert_reported(&a, flush(&a), false, "epoch 6 after 6");
	DONE(a, t);
}

/* A host's next connection must begin with a higher epoch; another host need not. */
static void test_epoch_over_connections(void **state)
{
	WITH_AGENT(a, t);
	struct agent b;

	(void)state;
	hello(&a);
	resync(&a, 50);
	assert_int_equal(flush(&a), 0);
	agent_done(&a);

	agent_init(&b, t, 2);
	version(&b, 11);
	say_connect(&b, "node-b");
	resync(&b, 1);
	assert_int_equal(flush(&b), 0);
	assert_int_equal(b.told[INGEST_ERROR], 0);
	agent_done(&b);

	agent_init(&a, t, 3);
	hello(&a);
	resync(&a, 50);
	assert_reported(&a, flush(&a), false, "epoch 50 after 50");
	DONE(a, t);
}

static void test_two_connections(void **state)
{
	WITH_AGENT(a, t);
	struct agent b;

	(void)state;
	agent_init(&b, t, 2);
	hello(&a);
	hello(&b);
	pod(&a, "uid-1", "web");
	pod(&b, "uid-1", "web");
	assert_int_equal(flush(&a) + flush(&b), 0);
	assert_int_equal(reducer_table_pods(t), 1);
	say_delete(&a, "uid-1");
	assert_int_equal(flush(&a), 0);
	assert_non_null(reducer_table_find(t, STR("uid-1")));
	say_delete(&a, "uid-1"); /* gave it up already */
	assert_reported(&a, flush(&a), false, "was not announced");
	container(&a, "uid-1", "containerd://x"); /* not its pod, but somebody's */
	assert_reported(&a, flush(&a), false, "not announced before");
	assert_int_equal(reducer_table_containers(t), 1);
	agent_done(&b);
	assert_null(reducer_table_find(t, STR("uid-1")));
	DONE(a, t);
}

static void test_first_message(void **state)
{
	(void)state;
	{
		WITH_AGENT(a, t);

		version(&a, 8);
		assert_reported(&a, flush(&a), true, "0.8.0 is below 0.9.0");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t);

		assert_int_equal(wire_put_connect(&a.out, 1, &(struct wire_connect){3, STR("n")}),
				 0);
		assert_reported(&a, flush(&a), false, "not version_info");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t);

		assert_int_equal(wire_put_heartbeat(&a.out, 1), 0);
		assert_int_equal(flush(&a), -EBADMSG);
		assert_int_equal(a.told[INGEST_ERROR], 2);
		assert_non_null(strstr(a.error, "heartbeat before connect"));
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* a frame from the first byte on */

		version(&a, 11);
		buf_reset(&a.out);
		say_connect(&a, "node-a");
		assert_int_equal(flush(&a), -EBADMSG);
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* versions from 0.9.0 on */

		version(&a, 9);
		assert_int_equal(flush(&a), 0);
		assert_int_equal(a.told[INGEST_ERROR], 0);
		DONE(a, t);
	}
}

static void test_before_connect(void **state)
{
	(void)state;
	for (size_t i = 0; i < WIRE_MESSAGES; i++) {
		const struct wire_desc *d = &wire_descs()[i];
		const bool allowed = d->id == WIRE_version_info || d->id == WIRE_connect ||
				     d->id == WIRE_health_check || d->id == WIRE_api_key;
		union wire_value zero[WIRE_MAX_FIELDS] = {0};
		WITH_AGENT(a, t);

		version(&a, 11);
		if (d->id == WIRE_version_info)
			zero[0].u = 1;
		assert_int_equal(flush(&a), 0);
		assert_int_equal(wire_encode(d, zero, d->n_fields, 1, &a.batch.raw), 0);
		if (allowed)
			assert_int_equal(flush(&a), 0);
		else
			assert_reported(&a, flush(&a), true, "before connect");
		DONE(a, t);
	}
}

static void test_second_connect(void **state)
{
	WITH_AGENT(a, t);

	(void)state;
	hello(&a);
	pod(&a, "uid-1", "web");
	say_connect(&a, "node-a");
	assert_reported(&a, flush(&a), true, "second connect");
	assert_int_equal(a.told[INGEST_POD], 1); /* what stood before it was done */
	DONE(a, t);
}

static void test_bad_bytes(void **state)
{
	(void)state;
	{
		WITH_AGENT(a, t); /* plain behind version_info */

		version(&a, 11);
		assert_int_equal(wire_put_connect(&a.out, 1, &(struct wire_connect){3, STR("n")}),
				 0);
		assert_reported(&a, flush(&a), true, "at byte 24 of the stream");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* unknown id */

		hello(&a);
		assert_int_equal(buf_append(&a.batch.raw, "12345678\x2c\x01", 10), 0);
		assert_reported(&a, flush(&a), true, "unknown message id at byte 51");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* length word below the fixed part */

		hello(&a);
		assert_int_equal(buf_append(&a.batch.raw, "12345678\x67\x01\0\0", 12), 0);
		assert_reported(&a, flush(&a), true, "length word");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* slots beyond the length word */

		hello(&a);
		assert_int_equal(buf_append(&a.batch.raw, "12345678\xa0\x01\x08\0\x03\0ab", 16), 0);
		assert_reported(&a, flush(&a), true, "longer than the message");
		DONE(a, t);
	}
	{
		WITH_AGENT(a, t); /* not LZ4 */

		hello(&a);
		assert_int_equal(buf_append_str(&a.out, STR("garbage, not a frame")), 0);
		assert_reported(&a, flush(&a), true, "of the stream");
		DONE(a, t);
	}
}

static void test_reports(void **state)
{
	WITH_AGENT(a, t);

	(void)state;
	hello(&a);
	resync(&a, 1);
	assert_int_equal(flush(&a), 0);

	pod(&a, "uid-1", "");
	assert_reported(&a, flush(&a), false, "without an owner_name");
	assert_non_null(reducer_table_find(t, STR("uid-1")));
	container(&a, "uid-1", "");
	assert_reported(&a, flush(&a), false, "without a container_id");
	container(&a, "uid-2", "containerd://abc");
	assert_reported(&a, flush(&a), false, "not announced before");
	assert_null(reducer_table_find(t, STR("uid-2")));
	say_delete(&a, "uid-3");
	assert_reported(&a, flush(&a), false, "was not announced");

	/* Padding: the gap of pod_resync is at 2. */
	resync(&a, 2);
	a.batch.raw.p[WIRE_STAMP + 3] = 1;
	assert_reported(&a, flush(&a), false, "padding of pod_resync");
	DONE(a, t);
}

static void frame(struct agent *a, struct str data)
{
	const size_t bound = LZ4F_compressFrameBound(data.n, NULL);

	assert_int_equal(buf_reserve(&a->out, bound), 0);
	buf_commit(&a->out, LZ4F_compressFrame(buf_tail(&a->out), bound, data.p, data.n, NULL));
}

/* What the reducer's receive loop may lose: told, but taken. */
static void test_batches(void **state)
{
	static char text[16384];
	WITH_AGENT(a, t);
	struct buf data;

	(void)state;
	memset(text, 'x', sizeof(text));
	hello(&a);
	buf_init(&data, 1 << 20);
	assert_int_equal(
		wire_put_collect_blob(
			&data, 1, &(struct wire_collect_blob){.blob = str_make(text, 16384 - 24)}),
		0);
	assert_int_equal(data.n, 16384);
	frame(&a, buf_str(&data));
	assert_int_equal(flush(&a), 0);
	assert_int_equal(a.told[INGEST_ERROR], 0);
	assert_int_equal(a.told[INGEST_MESSAGE], 2);

	assert_int_equal(wire_put_heartbeat(&data, 1), 0);
	frame(&a, buf_str(&data));
	assert_reported(&a, flush(&a), false, "more than 16384 bytes");
	assert_int_equal(a.told[INGEST_MESSAGE], 4);

	frame(&a, str_make(data.p, 100));
	assert_reported(&a, flush(&a), false, "ends 100 bytes into a message");
	frame(&a, str_make(data.p + 100, 16284));
	assert_int_equal(flush(&a), 0);
	assert_int_equal(a.told[INGEST_MESSAGE], 5);
	assert_int_equal(a.told[INGEST_ERROR], 0);

	frame(&a, str_make(data.p, 100));
	assert_reported(&a, flush(&a), false, "100 bytes");
	ingest_eof(a.in);
	assert_reported(&a, 0, false, "ends inside a message");
	buf_done(&data);
	DONE(a, t);
}

static void test_idle(void **state)
{
	WITH_AGENT(a, t);

	(void)state;
	hello(&a);
	a.now += 29 * NSEC_PER_SEC;
	assert_int_equal(ingest_tick(a.in, a.now), 0);
	assert_int_equal(wire_batch_put_heartbeat(&a.batch, &a.out, 1), 0);
	assert_int_equal(flush(&a), 0);
	assert_int_equal(ingest_deadline(a.in), a.now + 30 * NSEC_PER_SEC);
	a.now += 30 * NSEC_PER_SEC - 1;
	assert_int_equal(ingest_tick(a.in, a.now), 0);
	a.now++;
	assert_int_equal(ingest_tick(a.in, a.now), -ETIMEDOUT);
	assert_reported(&a, -EBADMSG, true, "30 seconds");
	DONE(a, t);
}

/* All in one go, byte by byte and in random cuts: the same effects. */
static void test_cuts(void **state)
{
	struct reducer_table *t = table();
	struct agent a, whole;
	struct buf stream;
	unsigned seed = 42;

	(void)state;
	agent_init(&whole, t, 1);
	version(&whole, 11);
	say_connect(&whole, "node-a");
	resync(&whole, 1);
	for (int i = 0; i < 500; i++) {
		char uid[16];

		(void)snprintf(uid, sizeof(uid), "uid-%d", i % 300);
		pod(&whole, uid, i % 7 ? "web" : "");
		container(&whole, uid, "containerd://abc");
		if (i % 3 == 0)
			say_delete(&whole, uid);
	}
	assert_int_equal(wire_batch_flush(&whole.batch, &whole.out), 0);
	buf_init(&stream, 1 << 20);
	assert_int_equal(buf_append_str(&stream, buf_str(&whole.out)), 0);
	assert_int_equal(flush(&whole), 0);
	for (size_t most = 1; most < 5000; most *= 17) {
		struct reducer_table *u = table();

		agent_init(&a, u, 1);
		for (struct str s = buf_str(&stream); s.n;) {
			const size_t n = MIN((size_t)rand_r(&seed) % most + 1, s.n);

			assert_int_equal(ingest_push(a.in, str_make(s.p, n), 1), 0);
			s = str_from(s, n);
		}
		assert_memory_equal(a.told, whole.told, sizeof(a.told));
		assert_int_equal(reducer_table_pods(u), reducer_table_pods(t));
		assert_int_equal(reducer_table_containers(u), reducer_table_containers(t));
		DONE(a, u);
	}
	buf_done(&stream);
	DONE(whole, t);
}

static void test_table_limits(void **state)
{
	struct reducer_table *t;
	struct agent a;

	(void)state;
	assert_int_equal(
		reducer_table_new(&(struct reducer_table_opts){.max_pods = 2, .max_containers = 1},
				  &t),
		0);
	agent_init(&a, t, 1);
	hello(&a);
	pod(&a, "1", "web");
	pod(&a, "2", "web");
	pod(&a, "1", "web"); /* an update needs no place */
	container(&a, "1", "x");
	assert_int_equal(flush(&a), 0);
	assert_int_equal(a.told[INGEST_ERROR], 0);
	pod(&a, "3", "web");
	assert_reported(&a, flush(&a), false, "table is full");
	container(&a, "1", "y");
	assert_reported(&a, flush(&a), false, "table is full");
	say_delete(&a, "1");
	pod(&a, "3", "web");
	container(&a, "3", "y");
	assert_int_equal(flush(&a), 0);
	assert_int_equal(a.told[INGEST_ERROR], 0);
	DONE(a, t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal_life),
		cmocka_unit_test(test_resync_drops),
		cmocka_unit_test(test_epoch_over_connections),
		cmocka_unit_test(test_two_connections),
		cmocka_unit_test(test_first_message),
		cmocka_unit_test(test_before_connect),
		cmocka_unit_test(test_second_connect),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_table_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
