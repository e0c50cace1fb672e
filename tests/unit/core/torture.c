/*
 * The joined parts when memory is short: making a core, decoding, following a
 * list and a watch, telling a reducer. Whatever allocation fails, the answer is
 * -ENOMEM or a later try, nothing leaks, and what is told in the end is the same.
 */
#include "core/core.h"

#include "base/mem.h"
#include "proto/batch.h"
#include "proto/reader.h"
#include "tests/lib/gen.h"
#include "tests/lib/objects.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
enum { N = 40, TRIES = 20 };

/* Bodies are made before anything fails. */
static struct gen_object pods[N], sets[N];
static struct buf list[2], watch[2], owners_list[2];

#define text(to, ...) (void)snprintf(to, 40, __VA_ARGS__)

static void make_objects(void)
{
	for (unsigned int i = 0; i < N; i++) {
		struct gen_object *p = &pods[i], *s = &sets[i];

		*p = (struct gen_object){.kind = KIND_POD,
					 .api_version = "v1",
					 .kind_text = "Pod",
					 .ns = "shop",
					 .rv = 100 + i,
					 .has_owner = true,
					 .owner = {"apps/v1", "ReplicaSet", "rs", ""},
					 .node = "node-1",
					 .phase = POD_PHASE_RUNNING,
					 .n_containers = 2,
					 .bulk = i % 5 ? 0 : 2000};
		text(p->name, "pod-%u", i);
		text(p->uid, "%08x-0000-4000-8000-00000000000a", i);
		text(p->ips[0], "10.0.0.%u", i + 1);
		text(p->owner.uid, "%08x-0000-4000-8000-00000000000b", i);
		(void)snprintf(p->containers[0].id, GEN_TEXT, "containerd://%064x", i);
		text(p->containers[0].image, "image:%u", i % 3);
		text(p->containers[1].name, "side-%u", i);
		*s = (struct gen_object){.kind = KIND_REPLICASET,
					 .api_version = "apps/v1",
					 .kind_text = "ReplicaSet",
					 .ns = "shop",
					 .name = "rs",
					 .rv = 100 + i,
					 .has_owner = true,
					 .owner = {"apps/v1", "Deployment", "web", ""}};
		text(s->uid, "%08x-0000-4000-8000-00000000000b", i);
		text(s->owner.uid, "%08x-0000-4000-8000-00000000000c", i / 3);
	}
}

static int make_bodies(void **state)
{
	const struct gen_object *p[N], *s[N];

	(void)state;
	make_objects();
	for (int i = 0; i < N; i++) {
		p[i] = &pods[i];
		s[i] = &sets[i];
	}
	for (enum gen_format f = GEN_JSON; f <= GEN_PB; f++) {
		struct gen_list l = {
			.format = f, .kind = "PodList", .api_version = "v1", .rv = 500, .cont = ""};

		buf_init(&list[f], 1 << 20);
		buf_init(&owners_list[f], 1 << 20);
		buf_init(&watch[f], 1 << 20);
		if (gen_list(&l, p, N, &list[f]) < 0)
			return -1;
		l.kind = "PartialObjectMetadataList";
		l.metadata_only = true;
		if (gen_list(&l, s, N, &owners_list[f]) < 0)
			return -1;
		for (int i = 0; i < N; i++)
			if (gen_event(p[i], f, false, i % 4 == 3 ? EVENT_DELETED : EVENT_MODIFIED,
				      false, &watch[f]) < 0)
				return -1;
	}
	return 0;
}

static int drop_bodies(void **state)
{
	(void)state;
	for (int f = 0; f < 2; f++) {
		buf_done(&list[f]);
		buf_done(&watch[f]);
		buf_done(&owners_list[f]);
	}
	return 0;
}

/* ---- decode ---------------------------------------------------------------------------------- */

struct decoding {
	enum gen_format format;
	enum decode_body body;
	enum decode_shape shape;
	struct str in;
	unsigned int objects;
};

static int count_object(void *ctx, enum event_type type, const struct object *o)
{
	(void)type;
	assert_true(o->meta.name.n && o->meta.uid.n);
	((struct decoding *)ctx)->objects++;
	return 0;
}

static int nothing_list(void *ctx, const struct list_meta *m)
{
	(void)ctx, (void)m;
	return 0;
}

static int nothing_status(void *ctx, const struct api_status *s)
{
	(void)ctx, (void)s;
	return 0;
}

static void nothing_bad(void *ctx, enum decode_bad why, struct str name)
{
	(void)ctx, (void)why, (void)name;
	fail_msg("an object was called bad for want of memory");
}

static const struct decode_ops counting = {.on_object = count_object,
					   .on_list = nothing_list,
					   .on_status = nothing_status,
					   .on_bad = nothing_bad};

static int decode(void *ctx)
{
	struct decoding *t = ctx;
	const struct decode_opts o = {.format = t->format == GEN_PB ? DECODE_PROTOBUF : DECODE_JSON,
				      .body = t->body,
				      .shape = t->shape,
				      .ops = &counting,
				      .ctx = t};
	struct decode *d = NULL;
	int r = decode_new(&o, &d);

	t->objects = 0;
	for (size_t at = 0; r == 0 && at < t->in.n; at += 1000) {
		struct str rest = str_from(t->in, at);

		r = decode_feed(d, rest.p, MIN(rest.n, (size_t)1000));
	}
	if (r == 0)
		r = decode_finish(d);
	decode_free(&d);
	assert_true(r < 0 || t->objects == N);
	return r;
}

static void decoders(void **state)
{
	(void)state;
	for (enum gen_format f = GEN_JSON; f <= GEN_PB; f++) {
		struct decoding a = {f, DECODE_LIST, SHAPE_POD, buf_str(&list[f]), 0};
		struct decoding b = {f, DECODE_WATCH, SHAPE_POD, buf_str(&watch[f]), 0};
		struct decoding c = {f, DECODE_LIST, SHAPE_META, buf_str(&owners_list[f]), 0};

		assert_int_equal(torture_run(decode, &a), 0);
		assert_int_equal(torture_run(decode, &b), 0);
		assert_int_equal(torture_run(decode, &c), 0);
	}
}

/* ---- making ---------------------------------------------------------------------------------- */

static nsec_t clock_of(void *ctx)
{
	return *(nsec_t *)ctx;
}

static void on_plain(void *ctx, struct str message);
static const struct session_taps taps = {.plain = on_plain};

struct heard { /* what was told, before compression */
	size_t n;
	char p[65536];
};

static void on_plain(void *ctx, struct str message)
{
	struct heard *h = ctx;

	assert_true(h->n + message.n <= sizeof(h->p));
	memcpy(h->p + h->n, message.p, message.n);
	h->n += message.n;
}

static int core_of(nsec_t *now, struct heard *h, const struct str *ns, size_t n_ns,
		   struct core **ret)
{
	static const struct session_label labels[] = {{STR("cluster"), STR("c")}};
	struct core_opts o = {.clock = clock_of, .clock_ctx = now};

	o.scope.namespaces = ns;
	o.scope.n_namespaces = n_ns;
	o.scope.label_selector = "app=web";
	o.watch.no_streaming = true;
	o.inventory = inventory_defaults;
	o.session.waiting = (struct waiting_opts){.max = 1000, .timeout = 10 * SEC};
	o.session.hostname = STR("node-1");
	o.session.labels = labels;
	o.session.n_labels = 1;
	o.session.taps = h ? &taps : NULL;
	o.session.taps_ctx = h;
	return core_new(&o, ret);
}

static int make_core(void *ctx)
{
	static const struct str ns[] = {STR("a"), STR("b"), STR("c")};
	struct core *c = NULL;
	nsec_t now = SEC;
	int r = core_of(&now, NULL, ns, ARRAY_SIZE(ns), &c);

	(void)ctx;
	assert_true(r < 0 || core_n_watches(c) == 9);
	assert_true(r == 0 || !c);
	core_free(&c);
	return r;
}

static void cores(void **state)
{
	(void)state;
	assert_int_equal(torture_run(make_core, NULL), 0);
}

/* ---- following and telling ------------------------------------------------------------------- */

struct story {
	enum gen_format format;
	bool known;
	struct heard good, now;
};

static struct str type_of(enum gen_format f)
{
	return f == GEN_PB ? STR("application/vnd.kubernetes.protobuf") : STR("application/json");
}

static bool next_request(struct reflector *r, nsec_t *now, struct reflector_request *ret)
{
	nsec_t at;

	for (int n = 0; n < TRIES; n++) {
		if (reflector_poll(r, *now, ret, &at) == REFLECTOR_START)
			return true;
		assert_true(at != NSEC_NEVER);
		*now = MAX(at, *now);
	}
	return false;
}

/* One body, given again as often as it breaks: -ENOMEM when it never gets through. */
static int serve(struct core *c, uint32_t i, nsec_t *now, enum gen_format f, struct str body,
		 bool watching)
{
	struct reflector *r = core_watch(c, i)->reflector;
	uint64_t lists = reflector_counters(r)->lists, events = reflector_counters(r)->events;
	struct reflector_request req;

	for (int n = 0; n < TRIES; n++) {
		if (!next_request(r, now, &req))
			return -ENOMEM;
		if (req.watch != watching) { /* the way to the watch: a list of the same */
			assert_true(watching);
			return -ENOMEM;
		}
		if (reflector_response(r, *now, 200, type_of(f), 0) < 0)
			continue;
		if (reflector_data(r, *now, body.p, body.n) < 0)
			continue;
		reflector_end(r, *now, REFLECTOR_END_CLEAN, NULL);
		if (watching ? reflector_counters(r)->events >= events + N
			     : reflector_counters(r)->lists > lists)
			return 0;
	}
	return -ENOMEM;
}

static int tell(struct core *c, nsec_t *now, struct heard *h)
{
	struct session *s = core_session(c);
	int r = 0;

	session_connected(s, *now, 1795197283ULL * SEC);
	h->n = 0;
	for (int n = 0; n < TRIES + 10; n++) {
		r = session_run(s, *now, 1795197283ULL * SEC);
		assert_true(r == 0 || r == 1 || r == -EAGAIN || r == -ENOMEM);
		session_sent(s, session_output(s).n);
		if (r == 0)
			return 0;
	}
	return -ENOMEM;
}

static int follow_and_tell(void *ctx)
{
	struct story *t = ctx;
	enum gen_format f = t->format;
	struct inventory_stats stats = {0};
	struct core *c = NULL;
	nsec_t now = SEC;
	int r = core_of(&now, &t->now, NULL, 0, &c);

	if (r == 0)
		r = serve(c, 0, &now, f, buf_str(&list[f]), false);
	if (r == 0)
		r = serve(c, 1, &now, f, buf_str(&owners_list[f]), false);
	if (r == 0)
		r = serve(c, 0, &now, f, buf_str(&watch[f]), true);
	if (r == 0)
		r = tell(c, &now, &t->now);
	if (c)
		inventory_stats(core_inventory(c), &stats);
	core_free(&c);
	if (r < 0)
		return r;
	if (!t->known)
		t->good = t->now;
	t->known = true;
	if (stats.dropped_dead == 0) /* nothing twice, nothing lost, and what was is counted */
		assert_int_equal(t->now.n, t->good.n);
	return 0;
}

static void from_the_server_to_the_reducer(void **state)
{
	static struct story t;

	(void)state;
	for (enum gen_format f = GEN_JSON; f <= GEN_PB; f++) {
		t = (struct story){.format = f};
		assert_int_equal(follow_and_tell(&t), 0);
		assert_true(t.good.n > 3000);
		assert_int_equal(torture_run(follow_and_tell, &t), 0);
	}
}

/* ---- wire ------------------------------------------------------------------------------------ */

static int write_and_read(void *ctx)
{
	struct wire_batch b = {0};
	struct wire_reader *reader = NULL;
	struct wire_event e;
	struct wire_pod_delete m;
	struct buf out;
	struct str in;
	unsigned int seen = 0;
	int r = wire_batch_init(&b);

	(void)ctx;
	buf_init(&out, 1 << 20);
	if (r == 0)
		r = wire_put_version_info(&out, 1, &(struct wire_version_info){0, 11, 0});
	for (unsigned int i = 0; r == 0 && i < 2000; i++) {
		m.uid = obj_uid(i);
		r = wire_batch_put_pod_delete(&b, &out, i, &m);
	}
	if (r == 0)
		r = wire_batch_flush(&b, &out);
	if (r == 0)
		r = wire_reader_new(false, &reader);
	in = buf_str(&out);
	while (r == 0) {
		r = wire_reader_next(reader, &in, &e);
		seen += r == 0 && e.type == WIRE_EVENT_MESSAGE;
	}
	if (r == -EAGAIN)
		r = wire_reader_end(reader);
	assert_true(r < 0 || seen == 2001);
	wire_reader_free(&reader);
	wire_batch_done(&b);
	buf_done(&out);
	return r;
}

static void batches_and_readers(void **state)
{
	(void)state;
	assert_int_equal(torture_run(write_and_read, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoders),
		cmocka_unit_test(cores),
		cmocka_unit_test(from_the_server_to_the_reducer),
		cmocka_unit_test(batches_and_readers),
	};

	return cmocka_run_group_tests(tests, make_bodies, drop_bodies);
}
