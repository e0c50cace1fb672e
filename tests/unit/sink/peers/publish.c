/*
 * The feed as it is made: what is told of an inventory, to whom, and what it costs. A
 * random part holds replicas to the inventory, claim by claim, while it changes, the
 * whole is made and subscribers come and go.
 */
#include "sink/peers/publish.h"

#include "base/mem.h"
#include "base/rng.h"
#include "peers/frame.h"
#include "peers/replica.h"
#include "tests/lib/objects.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS   NSEC_PER_MSEC
#define SEC  NSEC_PER_SEC
#define WALL (1700000000ULL * SEC) /* wall clock less now */

static struct {
	struct inventory *v;
	struct publish *p;
	struct match_policy policy;
	uint16_t source, places;
	nsec_t now;
	unsigned int woken, due;
} w;

/* One end of a feed: frames, and the replica they make. */
struct reader {
	struct publish_sub *sub;
	struct frame_reader frames;
	struct replica *replica;
	struct peerfeed_record rec;
	char kinds[256]; /* of the frames since it was last looked at */
	size_t bytes;
	uint32_t snapshots;
	bool whole;
	uint64_t position, right_from;
	nsec_t known;
	uint8_t feed[PEERFEED_ID];
};

static void on_wake(void *sub_ctx)
{
	(void)sub_ctx;
	w.woken++;
}

static void on_due(void *ctx)
{
	(void)ctx;
	w.due++;
}

static int start(size_t log_bytes, uint32_t sending)
{
	struct inventory_opts io = inventory_defaults;
	struct publish_opts o = {.policy = &w.policy,
				 .name = STR("collector-0"),
				 .feed = {1, 2, 3},
				 .wake = on_wake,
				 .due = on_due,
				 .log_bytes = log_bytes,
				 .sending = sending};
	int r;

	io.keep_idle_owners = true;
	w.now = 1000 * SEC;
	r = inventory_new(&io, &w.v);
	if (r == 0)
		r = inventory_source_add(w.v, &w.source);
	if (r == 0)
		r = inventory_source_add(w.v, &w.places);
	o.inventory = w.v;
	return r < 0 ? r : publish_new(&o, &w.p);
}

static int setup(void **state)
{
	(void)state;
	return start(0, 0);
}

static int teardown(void **state)
{
	(void)state;
	publish_free(&w.p);
	inventory_free(&w.v);
	return 0;
}

static void publish(void)
{
	int i = 0;

	while (publish_run(w.p, w.now, w.now, w.now + WALL) == 0)
		assert_true(++i < 1000000);
}

static void run(void)
{
	(void)inventory_expire(w.v, w.now);
	publish();
}

static void pass(nsec_t time)
{
	for (nsec_t end = w.now + time; w.now < end; w.now += MIN(end - w.now, 250 * MS))
		run();
	run();
}

/* ---- objects --------------------------------------------------------------------------------- */

static int pod(unsigned int uid, const char *name, const char *address, nsec_t started)
{
	struct obj b;

	obj_pod(&b, "shop", name, obj_uid(uid), address);
	obj_owned(&b, "apps/v1", "StatefulSet", "web", obj_uid(500));
	obj_container(&b, "", "c", "image");
	b.containers[0].started = (int64_t)(started / SEC);
	b.o.pod.node_name = STR("node-1");
	return inventory_apply_pod(w.v, w.source, w.now, &b.o);
}

static int place(unsigned int uid, enum kind kind, const char *name, const char *address)
{
	struct obj b;

	obj_init(&b, kind == KIND_NODE ? "" : "shop", name, obj_uid(uid));
	b.o.place.cluster_ip = str_of(address);
	return inventory_apply_place(w.v, w.places, w.now, kind, &b.o);
}

/* ---- a reader -------------------------------------------------------------------------------- */

static void come(struct reader *r, bool resume)
{
	if (!r->replica)
		assert_int_equal(replica_new(16 << 20, &r->replica), 0);
	frame_reader_init(&r->frames);
	r->bytes = 0;
	r->kinds[0] = '\0';
	assert_int_equal(publish_sub_new(w.p, resume ? r->feed : NULL, r->position, r, &r->sub), 0);
}

static void leave(struct reader *r)
{
	publish_sub_free(&r->sub);
	frame_reader_done(&r->frames);
}

static void go(struct reader *r)
{
	if (r->sub)
		leave(r);
	replica_free(&r->replica);
	*r = (struct reader){0};
}

static void take_records(struct reader *r, struct str payload)
{
	struct peerfeed_base base;
	int e;

	assert_int_equal(peerfeed_take_base(&payload, &base), 0);
	while ((e = peerfeed_take(&payload, &base, &r->rec)) > 0)
		assert_int_equal(replica_apply(r->replica, &r->rec), 0);
	assert_int_equal(e, 0);
}

static void take_snapshot(struct reader *r, struct str payload)
{
	struct peerfeed_snapshot s;

	assert_int_equal(peerfeed_take_snapshot(&payload, &s), 0);
	assert_true(s.index == r->snapshots && s.first == !r->snapshots);
	r->snapshots++;
	if (s.first)
		r->position = s.position;
	take_records(r, payload);
	r->whole = s.last;
	r->right_from = s.right_from;
}

static void take_frame(struct reader *r, const struct frame *f)
{
	const size_t n = strlen(r->kinds);
	struct str payload = f->payload;
	struct peerfeed_hello h;
	struct peerfeed_mark m;

	if (n + 1 < sizeof(r->kinds))
		(void)snprintf(r->kinds + n, sizeof(r->kinds) - n, "%c", f->kind);
	if (f->kind == FRAME_HELLO) {
		assert_int_equal(peerfeed_take_hello(&payload, &h), 0);
		memcpy(r->feed, h.feed, sizeof(r->feed));
		assert_true(h.now == w.now && str_eq(h.name, STR("collector-0")));
		if (h.resumed) {
			assert_int_equal(h.position, r->position);
			return;
		}
		replica_clear(r->replica);
		r->whole = false;
		r->snapshots = 0;
		r->known = 0;
	} else if (f->kind == FRAME_SNAPSHOT) {
		take_snapshot(r, payload);
	} else if (f->kind != FRAME_WAIT) {
		assert_int_equal(peerfeed_take_mark(&payload, &m), 0);
		assert_int_equal(m.position, r->position + (f->kind == FRAME_CHANGES));
		assert_true(m.known <= m.now && m.known >= r->known);
		r->position = m.position;
		r->known = m.known;
		if (f->kind == FRAME_CHANGES)
			take_records(r, payload);
	}
}

/* Takes what there is, `most` pieces of it: the end of the subscription, or 0. */
static int take(struct reader *r, uint32_t most)
{
	struct frame f;
	struct str s;
	int e = 1;

	while (most-- && (e = publish_sub_take(r->sub, w.now, &s)) > 0) {
		r->bytes += s.n;
		while (frame_take(&r->frames, &s, &f) > 0)
			take_frame(r, &f);
	}
	return MIN(e, 0);
}

static void expect_kinds(struct reader *r, const char *want)
{
	assert_string_equal(r->kinds, want);
	r->kinds[0] = '\0';
}

static void synced(struct reader *r)
{
	come(r, false);
	assert_int_equal(take(r, 100), 0);
	run();
	assert_int_equal(take(r, 10000), 0);
	assert_true(r->whole && r->position >= r->right_from);
	r->kinds[0] = '\0';
	r->bytes = 0;
}

/* ---- claim by claim -------------------------------------------------------------------------- */

static nsec_t to_ms(nsec_t t)
{
	return t == NSEC_NEVER ? t : (t + MS - 1) / MS * MS;
}

/* `running` is told once, where it says something. */
static bool same_claim(const struct inv_claim *a, const struct inv_claim *b)
{
	return to_ms(a->from) == b->from && to_ms(a->to) == b->to && to_ms(a->heard) == b->heard &&
	       a->listed == b->listed;
}

static void same_names(const struct reader *r, enum kind kind, const struct inv_claim *a,
		       const struct inv_claim *b)
{
	struct inv_place_view place;
	struct inv_pod_view view;
	struct replica_thing t;
	struct workload wl;

	assert_true(replica_thing(r->replica, b->id, &t));
	if (kind != KIND_POD) {
		assert_true(inventory_place(w.v, a->id, &place));
		assert_true(str_eq(place.name, str_of(t.name)) && str_eq(place.ns, t.ns));
		return;
	}
	assert_true(inventory_pod(w.v, a->id, &view));
	assert_true(str_eq(view.name, str_of(t.name)) && str_eq(view.ns, t.ns));
	if (view.dead) /* its workload is what it was when it went */
		return;
	(void)match_pod(w.v, &w.policy, a->id, &wl);
	assert_true(str_eq(view.node, t.node) && str_eq(wl.kind_text, t.workload_kind));
	assert_true(str_empty(wl.kind_text) || str_eq(wl.name, t.workload));
}

static uint32_t claims_here(const struct addr *ip, enum kind kind, struct inv_claim *ret)
{
	struct inv_claim all[256];
	struct inv_place_view place;
	uint32_t n, kept = 0;

	if (kind == KIND_POD)
		return inventory_pod_claims(w.v, ip, ret, 256);
	n = inventory_place_claims(w.v, ip, all, 256);
	for (uint32_t i = 0; i < n; i++)
		if (inventory_place(w.v, all[i].id, &place) && place.kind == kind)
			ret[kept++] = all[i];
	return kept;
}

static void same_address(const struct reader *r, const struct addr *ip, enum kind kind)
{
	struct inv_claim here[256], there[256];
	const uint32_t n = claims_here(ip, kind, here);

	assert_true(n < 256);
	assert_int_equal(replica_claims(r->replica, ip, kind, there, 256), n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t k = 0;

		while (k < n && !same_claim(&here[i], &there[k]))
			k++;
		assert_true(k < n);
		if (n == 1)
			same_names(r, kind, &here[i], &there[k]);
	}
}

static void same(const struct reader *r, const struct addr *addrs, uint32_t n)
{
	assert_true(r->whole && r->position >= r->right_from);
	assert_true(replica_listed_at(r->replica) == to_ms(inventory_listed_at(w.v)));
	for (uint32_t i = 0; i < n; i++) {
		same_address(r, &addrs[i], KIND_POD);
		same_address(r, &addrs[i], KIND_SERVICE);
		same_address(r, &addrs[i], KIND_NODE);
	}
}

static struct addr ip(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(text), &a), 0);
	return a;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void the_whole_and_changes(void **state)
{
	const struct addr addrs[] = {ip("10.1.0.1"), ip("10.1.0.2"), ip("10.96.0.1"),
				     ip("10.0.0.1")};
	struct reader r = {0};

	(void)state;
	assert_int_equal(pod(1, "web-0", "10.1.0.1", 0), 0);
	assert_int_equal(place(2, KIND_SERVICE, "web", "10.96.0.1"), 0);
	assert_int_equal(place(3, KIND_NODE, "node-1", "10.0.0.1"), 0);
	run();
	come(&r, false);
	assert_int_equal(take(&r, 100), 0);
	assert_true(w.due); /* somebody wants the whole */
	run();
	assert_int_equal(take(&r, 100), 0);
	same(&r, addrs, 4);
	r.kinds[0] = '\0';
	assert_int_equal(pod(4, "web-1", "10.1.0.2", 0), 0);
	run();
	assert_int_equal(take(&r, 100), 0);
	expect_kinds(&r, ""); /* not at once */
	w.woken = 0;
	pass(PUBLISH_BATCH);
	assert_true(w.woken);
	assert_int_equal(take(&r, 100), 0);
	expect_kinds(&r, "C");
	same(&r, addrs, 4);
	pass(PUBLISH_BEAT);
	assert_int_equal(take(&r, 100), 0);
	expect_kinds(&r, "B");
	assert_true(r.known == w.now || r.known + PUBLISH_BEAT > w.now);
	inventory_delete_pod(w.v, obj_uid(4), w.now);
	inventory_delete_place(w.v, obj_uid(2), w.now);
	pass(PUBLISH_BATCH);
	assert_int_equal(take(&r, 100), 0);
	same(&r, addrs, 4);
	pass(2 * inventory_defaults.linger); /* they are forgotten */
	assert_int_equal(take(&r, 1000), 0);
	same(&r, addrs, 4);
	go(&r);
}

/* What a change weighs, and what is none. */
static void small_changes(void **state)
{
	struct publish_stats before, st;
	struct reader r = {0};
	struct obj b;

	(void)state;
	assert_int_equal(pod(1, "web-0", "10.1.0.1", w.now + WALL), 0);
	run();
	synced(&r);
	publish_stats(w.p, &before);
	for (int i = 1; i < 10; i++) { /* its container is started again and again */
		w.now += SEC;
		assert_int_equal(pod(1, "web-0", "10.1.0.1", w.now + WALL), 0);
		obj_pod(&b, "kube-system", "proxy", obj_uid(9), "10.0.0.1");
		b.o.pod.host_network = true;
		b.o.pod.phase = i % 2 ? POD_PHASE_RUNNING : POD_PHASE_PENDING;
		assert_int_equal(inventory_apply_pod(w.v, w.source, w.now, &b.o), 0);
		run();
	}
	publish_stats(w.p, &st);
	assert_int_equal(st.records, before.records);
	inventory_delete_pod(w.v, obj_uid(1), w.now);
	pass(PUBLISH_BATCH);
	publish_stats(w.p, &st);
	assert_int_equal(st.records, before.records + 1);
	assert_true(st.frame_bytes < 50); /* all of the frame */
	go(&r);
}

/* An early look at a container is worth telling; a later one is not. */
static void running_is_told_once(void **state)
{
	static const char *const ids[] = {"one", "two", "three"};
	const struct addr a = ip("10.1.0.1");
	struct reader r = {0};
	struct publish_stats st;
	struct inv_claim c;
	struct obj b;

	(void)state;
	inventory_list_begin(w.v, w.source);
	assert_int_equal(pod(1, "web-0", "10.1.0.1", 0), 0);
	inventory_list_end(w.v, w.source, w.now);
	run();
	synced(&r);
	assert_int_equal(replica_claims(r.replica, &a, KIND_POD, &c, 1), 1);
	assert_true(c.listed && !c.running);
	for (int i = 0; i < 3; i++) { /* seen to run for long; then it is started again */
		obj_pod(&b, "shop", "web-0", obj_uid(1), "10.1.0.1");
		obj_owned(&b, "apps/v1", "StatefulSet", "web", obj_uid(500));
		obj_container(&b, ids[i], "c", "image");
		b.containers[0].started = (int64_t)((1000 * SEC + WALL) / SEC) + 600 * (i - 1);
		b.o.pod.node_name = STR("node-1");
		assert_int_equal(inventory_apply_pod(w.v, w.source, w.now, &b.o), 0);
		pass(PUBLISH_BATCH);
	}
	publish_stats(w.p, &st);
	assert_int_equal(st.records, 1);
	assert_int_equal(take(&r, 100), 0);
	assert_int_equal(replica_claims(r.replica, &a, KIND_POD, &c, 1), 1);
	assert_int_equal(c.running, (1000 * SEC + WALL) / SEC - 600);
	go(&r);
}

static void names_come_and_go(void **state)
{
	struct reader r = {0}, late = {0};
	struct replica_stats st;
	struct obj b;

	(void)state;
	run();
	synced(&r);
	for (unsigned int i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "job-%u", i);
		obj_pod(&b, "batch", name, obj_uid(1), "10.1.0.1");
		obj_owned(&b, "example.com/v1", "Flow", name, obj_uid(1000 + i));
		assert_int_equal(inventory_apply_pod(w.v, w.source, w.now, &b.o), 0);
		pass(PUBLISH_BATCH);
		assert_int_equal(take(&r, 100), 0);
	}
	replica_stats(r.replica, &st);
	assert_true(st.names <= 6); /* what nobody needs is dropped */
	synced(&late);
	replica_stats(late.replica, &st);
	assert_true(st.names <= 6);
	go(&r);
	go(&late);
}

static int of_owner(unsigned int uid, unsigned int owner, const char *address)
{
	char name[32], text[32];
	struct obj b;

	(void)snprintf(name, sizeof(name), "pod-%u", uid);
	(void)snprintf(text, sizeof(text), "flow-%u", owner);
	obj_pod(&b, "batch", name, obj_uid(uid), address);
	obj_owned(&b, "example.com/v1", "Flow", text, obj_uid(10000 + owner));
	return inventory_apply_pod(w.v, w.source, w.now, &b.o);
}

/* Changes of that time use a name that nobody has any more when the whole comes to it. */
static void a_name_goes_while_the_whole_is_made(void **state)
{
	const struct addr addrs[] = {ip("10.1.0.1"), ip("10.1.0.2")};
	struct reader r = {0};

	(void)state;
	for (unsigned int i = 1; i < 5000; i++)
		assert_int_equal(of_owner(i, i, "10.1.0.1"), 0);
	assert_int_equal(of_owner(5000, 5000, "10.1.0.1"), 0);
	run();
	come(&r, false);
	assert_int_equal(take(&r, 1), 0);
	(void)publish_run(w.p, w.now, w.now, w.now + WALL); /* it begins */
	assert_int_equal(of_owner(5000, 5000, "10.1.0.2"), 0);
	(void)publish_run(w.p, w.now, w.now, w.now + WALL);
	assert_int_equal(of_owner(5000, 1, "10.1.0.2"), 0);
	w.now += PUBLISH_BATCH;
	(void)publish_run(w.p, w.now, w.now, w.now + WALL);
	assert_int_equal(take(&r, 10), 0);
	assert_false(r.whole); /* not done yet */
	run();
	assert_int_equal(take(&r, 1000), 0);
	pass(2 * PUBLISH_BATCH);
	assert_int_equal(take(&r, 1000), 0);
	same(&r, addrs + 1, 1);
	go(&r);
}

static void what_cannot_be_told(void **state)
{
	char name[PEERFEED_TEXT_MAX + 10];
	struct publish_stats st;
	struct reader r = {0};
	struct obj b;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	obj_pod(&b, "shop", name, obj_uid(1), "10.1.0.1");
	assert_int_equal(inventory_apply_pod(w.v, w.source, w.now, &b.o), 0);
	assert_int_equal(pod(2, "web-0", "10.1.0.2", 0), 0);
	run();
	synced(&r);
	publish_stats(w.p, &st);
	assert_int_equal(st.left_out, 1);
	assert_int_equal(replica_claims(r.replica, &(struct addr){0}, KIND_POD, NULL, 0), 0);
	go(&r);
}

/* ---- to whom --------------------------------------------------------------------------------- */

static void resumed_or_whole(void **state)
{
	const struct addr addrs[] = {ip("10.1.0.1"), ip("10.1.0.2")};
	struct reader r = {0};
	struct publish_stats st;

	(void)state;
	assert_int_equal(pod(1, "web-0", "10.1.0.1", 0), 0);
	run();
	synced(&r);
	leave(&r);
	assert_int_equal(pod(2, "web-1", "10.1.0.2", 0), 0);
	pass(PUBLISH_BATCH);
	come(&r, true);
	assert_int_equal(take(&r, 100), 0);
	expect_kinds(&r, "HC");
	same(&r, addrs, 2);
	leave(&r);
	come(&r, true);
	assert_int_equal(take(&r, 1), 0);
	leave(&r);
	r.position += 5; /* it lies */
	come(&r, true);
	assert_int_equal(take(&r, 100), 0);
	run();
	assert_int_equal(take(&r, 100), 0);
	expect_kinds(&r, "HSC");
	same(&r, addrs, 2);
	leave(&r);
	r.feed[0]++;
	come(&r, true);
	run();
	assert_int_equal(take(&r, 100), 0);
	assert_true(r.kinds[1] == 'S');
	publish_stats(w.p, &st);
	assert_int_equal(st.resumed, 2);
	assert_int_equal(st.whole, 3);
	assert_int_equal(st.built, 1); /* the first one serves */
	go(&r);
}

static int start_small(void **state)
{
	(void)state;
	return start(2000, 2);
}

static void who_falls_behind_is_ended(void **state)
{
	struct reader slow = {0}, fast = {0};
	struct publish_stats st;

	(void)state;
	run();
	synced(&slow);
	synced(&fast);
	for (unsigned int i = 1; i < 200; i++) {
		char name[32], a[32];

		(void)snprintf(name, sizeof(name), "web-%u", i);
		(void)snprintf(a, sizeof(a), "10.1.0.%u", i);
		assert_int_equal(pod(i, name, a, 0), 0);
		pass(PUBLISH_BATCH);
		assert_int_equal(take(&fast, 100), 0);
	}
	assert_int_equal(take(&slow, 100), -ESTALE);
	assert_int_equal(take(&slow, 100), -ESTALE);
	publish_stats(w.p, &st);
	assert_int_equal(st.overtaken, 1);
	leave(&slow);
	come(&slow, true); /* the whole again */
	assert_int_equal(take(&slow, 100), 0);
	run();
	assert_int_equal(take(&slow, 100), 0);
	assert_true(slow.whole && slow.position == fast.position);
	go(&slow);
	go(&fast);
}

static void so_many_are_sent_the_whole_at_a_time(void **state)
{
	struct reader r[4] = {{0}};
	struct publish_stats st;

	(void)state;
	for (unsigned int i = 1; i < 10000; i++) {
		char name[32], a[32];

		(void)snprintf(name, sizeof(name), "web-%u", i);
		(void)snprintf(a, sizeof(a), "10.1.%u.%u", i / 256, i % 256);
		assert_int_equal(pod(i, name, a, 0), 0);
	}
	run();
	for (int i = 0; i < 4; i++) {
		come(&r[i], false);
		assert_int_equal(take(&r[i], 1), 0);
	}
	run();
	for (int i = 0; i < 4; i++)
		assert_int_equal(take(&r[i], 1), 0);
	expect_kinds(&r[0], "HS");
	expect_kinds(&r[1], "HS");
	expect_kinds(&r[2], "HW");
	pass(PUBLISH_BEAT);
	assert_int_equal(take(&r[3], 10), 0);
	expect_kinds(&r[3], "HWW");
	publish_stats(w.p, &st);
	assert_int_equal(st.sending, 2);
	assert_int_equal(st.queued, 2);
	w.woken = 0;
	assert_int_equal(take(&r[1], 100), 0); /* done: the first in line is next */
	assert_int_equal(w.woken, 1);
	assert_int_equal(take(&r[2], 100), 0);
	assert_true(r[2].whole);
	leave(&r[0]); /* gone in the middle */
	assert_int_equal(take(&r[3], 100), 0);
	assert_true(r[3].whole);
	publish_stats(w.p, &st);
	assert_int_equal(st.built, 1);
	for (int i = 0; i < 4; i++)
		go(&r[i]);
}

/* ---- at random ------------------------------------------------------------------------------- */

#define N_ADDRS	  40
#define N_PODS	  120
#define N_READERS 4

static struct rng g;

static uint32_t below(uint32_t n)
{
	return (uint32_t)rng_below(&g, n);
}

static void random_pod(void)
{
	const unsigned int uid = 1 + below(N_PODS);
	char name[32], a[32], owner[32];
	struct obj b;

	(void)snprintf(name, sizeof(name), "web-%u", uid);
	(void)snprintf(a, sizeof(a), below(4) ? "10.1.0.%u" : "fd00::%u", below(N_ADDRS));
	(void)snprintf(owner, sizeof(owner), "web%u", below(20));
	obj_pod(&b, below(2) ? "shop" : "bank", name, obj_uid(uid), below(8) ? a : NULL);
	if (below(5))
		obj_owned(&b, "apps/v1", below(2) ? "StatefulSet" : "ReplicaSet", owner,
			  obj_uid(1000 + below(40)));
	b.o.pod.host_network = uid % 17 == 0;
	b.o.pod.phase = below(6) ? POD_PHASE_RUNNING : POD_PHASE_SUCCEEDED;
	if (below(2))
		obj_container(&b, "", "c", "image");
	b.containers[0].started = (int64_t)((w.now + WALL) / SEC) - below(100);
	b.o.pod.node_name = below(2) ? STR("node-1") : STR("node-2");
	assert_int_equal(inventory_apply_pod(w.v, w.source, w.now, &b.o), 0);
}

static void random_place(void)
{
	const unsigned int uid = 5000 + below(20);
	char name[32], a[32];

	(void)snprintf(name, sizeof(name), "place-%u", uid);
	(void)snprintf(a, sizeof(a), "10.1.0.%u", below(N_ADDRS));
	assert_int_equal(place(uid, uid % 2 ? KIND_SERVICE : KIND_NODE, name, a), 0);
}

static void random_owner(void)
{
	char name[32];
	struct obj b;

	(void)snprintf(name, sizeof(name), "web%u", below(20));
	obj_owner(&b, "apps/v1", "ReplicaSet", "shop", name, obj_uid(1000 + below(40)));
	if (below(2))
		obj_owned(&b, "apps/v1", "Deployment", "top", obj_uid(3000 + below(10)));
	assert_int_equal(inventory_apply_owner(w.v, w.source, w.now, &b.o), 0);
}

static void random_list(void)
{
	const uint32_t n = below(N_PODS);

	inventory_list_begin(w.v, w.source);
	for (uint32_t i = 0; i < n; i++)
		random_pod();
	inventory_list_end(w.v, w.source, w.now);
}

static void random_change(void)
{
	switch (below(40)) {
	case 0:
		random_list();
		break;
	case 1 ... 4:
		random_place();
		break;
	case 5 ... 9:
		random_owner();
		break;
	case 10 ... 19:
		inventory_delete_pod(w.v, obj_uid(1 + below(N_PODS)), w.now);
		break;
	case 20:
		inventory_delete_place(w.v, obj_uid(5000 + below(20)), w.now);
		break;
	case 21:
		inventory_delete_owner(w.v, obj_uid(1000 + below(40)), w.now);
		break;
	default:
		random_pod();
		break;
	}
}

static void random_reader(struct reader *r)
{
	if (!r->sub) {
		if (below(3) == 0)
			come(r, r->whole && below(4));
		return;
	}
	if (take(r, below(4)) < 0 || below(60) == 0)
		leave(r);
}

static void some_address(struct addr *ret, uint32_t i)
{
	char a[32];

	(void)snprintf(a, sizeof(a), i < N_ADDRS ? "10.1.0.%u" : "fd00::%u", i % N_ADDRS);
	*ret = ip(a);
}

static void take_all(struct reader r[N_READERS])
{
	for (int i = 0; i < N_READERS; i++) {
		if (!r[i].sub)
			come(&r[i], r[i].whole);
		if (take(&r[i], 100000) < 0)
			leave(&r[i]);
	}
}

static void settle(struct reader r[N_READERS])
{
	struct addr addrs[2 * N_ADDRS];

	for (uint32_t i = 0; i < 2 * N_ADDRS; i++)
		some_address(&addrs[i], i);
	for (int n = 0; n < 6; n++) {
		pass(PUBLISH_BATCH);
		take_all(r);
	}
	w.now += PUBLISH_BATCH; /* what was forgotten last is told, and nothing more is */
	publish();
	take_all(r);
	for (int i = 0; i < N_READERS; i++)
		same(&r[i], addrs, 2 * N_ADDRS);
}

static void replicas_are_the_inventory(void **state)
{
	struct reader r[N_READERS] = {{0}};

	(void)state;
	rng_seed(&g, rng_entropy());
	print_message("seed %llu\n", (unsigned long long)g.state);
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 400; i++) {
			const uint32_t n = below(3);

			for (uint32_t k = 0; k < n; k++)
				random_change();
			w.now += below(2) ? 0 : below(400) * MS + 123;
			(void)inventory_expire(w.v, w.now);
			(void)publish_run(w.p, w.now, w.now, w.now + WALL);
			random_reader(&r[below(N_READERS)]);
		}
		settle(r);
	}
	for (int i = 0; i < N_READERS; i++)
		go(&r[i]);
}

/* ---- with little memory ---------------------------------------------------------------------- */

static int pods_to_one(void)
{
	struct publish_sub *sub = NULL;
	struct str s;
	int e = publish_sub_new(w.p, NULL, 0, NULL, &sub);

	for (unsigned int i = 1; e == 0 && i < 30; i++) {
		char name[32], a[32];

		(void)snprintf(name, sizeof(name), "web-%u", i);
		(void)snprintf(a, sizeof(a), "10.1.0.%u", i);
		e = pod(i, name, a, 0);
		w.now += SEC;
		for (int k = 0; k < 20 && publish_run(w.p, w.now, w.now, w.now + WALL) == 0; k++)
			;
		while (e == 0 && (e = publish_sub_take(sub, w.now, &s)) > 0)
			e = 0;
		if (e == -ESTALE) { /* memory was short, and the feed begins anew */
			publish_sub_free(&sub);
			e = publish_sub_new(w.p, NULL, 0, NULL, &sub);
		}
	}
	publish_sub_free(&sub);
	return e;
}

static int little_memory(void *ctx)
{
	int e = start(0, 0);

	(void)ctx;
	if (e == 0)
		e = pods_to_one();
	publish_free(&w.p);
	inventory_free(&w.v);
	return e;
}

static void with_little_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(little_memory, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_whole_and_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(small_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(running_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(names_come_and_go, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_goes_while_the_whole_is_made, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_told, setup, teardown),
		cmocka_unit_test_setup_teardown(resumed_or_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(who_falls_behind_is_ended, start_small, teardown),
		cmocka_unit_test_setup_teardown(so_many_are_sent_the_whole_at_a_time, start_small,
						teardown),
		cmocka_unit_test_setup_teardown(replicas_are_the_inventory, start_small, teardown),
		cmocka_unit_test(with_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
