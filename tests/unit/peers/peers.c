/*
 * The subscription: whom it asks and when, what it makes of answers, and streams that
 * are cut at every byte, or lie.
 */
#include "peers/peers.h"

#include "base/mem.h"
#include "match/end.h"
#include "match/memo.h"
#include "peers/frame.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS     NSEC_PER_MSEC
#define SEC    NSEC_PER_SEC
#define SETTLE SEC
#define THEIRS (5000 * SEC) /* their clock is so far ahead */

static struct peers *p;
static nsec_t now;
static struct buf stream;
static struct peerfeed_record rec;

static int start(void)
{
	const struct peers_opts o = {.max_bytes = 1 << 20, .seed = 7, .now = 100 * SEC};

	now = o.now;
	buf_init(&stream, 1 << 20);
	return peers_new(&o, &p);
}

static int setup(void **state)
{
	(void)state;
	return start();
}

static int teardown(void **state)
{
	(void)state;
	peers_free(&p);
	buf_done(&stream);
	return 0;
}

/* Time passes until it wants something: what, and how long it took. */
static enum peers_action wait_for(nsec_t *ret_took)
{
	const nsec_t from = now;
	enum peers_action a;
	nsec_t deadline;

	while ((a = peers_poll(p, now, &deadline)) == PEERS_NONE) {
		assert_true(deadline != NSEC_NEVER && deadline > now);
		now = deadline;
	}
	*ret_took = now - from;
	return a;
}

static void expect(enum peers_action want, nsec_t most)
{
	nsec_t took;

	assert_int_equal(wait_for(&took), want);
	assert_true(took <= most);
}

static void expect_state(enum peers_state want)
{
	struct peers_status st;

	peers_status(p, &st);
	assert_string_equal(peers_state_name(st.state), peers_state_name(want));
}

/* ---- a collector by hand --------------------------------------------------------------------- */

static void put_frame(enum frame_kind kind, const struct buf *payload)
{
	assert_int_equal(frame_put(&stream, kind, buf_str(payload)), 0);
}

static void hello(uint8_t feed, bool resumed, uint64_t position)
{
	struct peerfeed_hello h = {.feed = {feed},
				   .now = now + THEIRS,
				   .resumed = resumed,
				   .position = position,
				   .beat = 2 * SEC,
				   .name = STR("collector-0")};
	_buf_ struct buf b = {.max = 1000};

	assert_int_equal(peerfeed_put_hello(&b, &h), 0);
	put_frame(FRAME_HELLO, &b);
}

static void put_pod(struct buf *b, uint32_t id, uint8_t last)
{
	struct peerfeed_base base;

	assert_int_equal(peerfeed_put_base(b, now + THEIRS, 0, &base), 0);
	rec = (struct peerfeed_record){.type = PEERFEED_NAME, .id = 1, .text = STR("shop")};
	assert_int_equal(peerfeed_put(b, &base, &rec), 0);
	rec = (struct peerfeed_record){
		.type = PEERFEED_POD, .id = id, .ns = 1, .text = STR("web"), .n_claims = 1};
	rec.claims[0] = (struct peerfeed_claim){
		.from = now + THEIRS, .to = NSEC_NEVER, .heard = NSEC_NEVER};
	assert_int_equal(addr_parse(STR("10.1.0.0"), &rec.claims[0].ip), 0);
	rec.claims[0].ip.b[15] = last;
	assert_int_equal(peerfeed_put(b, &base, &rec), 0);
}

static void snapshot(uint64_t position, uint64_t right_from, uint8_t last)
{
	const struct peerfeed_snapshot s = {
		.first = true, .last = true, .position = position, .right_from = right_from};
	_buf_ struct buf b = {.max = 1000};

	assert_int_equal(peerfeed_put_snapshot(&b, &s), 0);
	put_pod(&b, 2, last);
	put_frame(FRAME_SNAPSHOT, &b);
}

static void put_mark(struct buf *b, uint64_t position)
{
	const struct peerfeed_mark m = {
		.position = position, .now = now + THEIRS, .known = now + THEIRS};

	assert_int_equal(peerfeed_put_mark(b, &m), 0);
}

static void put_node(struct buf *b, uint32_t id, const char *name, uint8_t last)
{
	struct peerfeed_base base;

	assert_int_equal(peerfeed_put_base(b, now + THEIRS, 0, &base), 0);
	rec = (struct peerfeed_record){.type = PEERFEED_PLACE,
				       .id = id,
				       .is_node = true,
				       .text = str_of(name),
				       .n_claims = 1};
	rec.claims[0] = (struct peerfeed_claim){
		.from = now + THEIRS, .to = NSEC_NEVER, .heard = NSEC_NEVER};
	assert_int_equal(addr_parse(STR("10.1.0.0"), &rec.claims[0].ip), 0);
	rec.claims[0].ip.b[15] = last;
	assert_int_equal(peerfeed_put(b, &base, &rec), 0);
}

static void changes(uint64_t position, uint32_t id, uint8_t last)
{
	_buf_ struct buf b = {.max = 1000};

	put_mark(&b, position);
	put_pod(&b, id, last);
	put_frame(FRAME_CHANGES, &b);
}

static void beat(uint64_t position)
{
	_buf_ struct buf b = {.max = 100};

	put_mark(&b, position);
	put_frame(FRAME_BEAT, &b);
}

static int give(void)
{
	const int r = peers_data(p, now, stream.p + stream.off, stream.n);

	buf_reset(&stream);
	return r;
}

/* Asked and answered; the stream is to follow. */
static void open_stream(void)
{
	expect(PEERS_RESOLVE, PEERS_SPREAD);
	peers_resolved(p, now, 1, NULL);
	expect(PEERS_START, 0);
	assert_int_equal(peers_response(p, now, 200), 0);
}

static void synced_stream(void)
{
	open_stream();
	hello(9, false, 0);
	snapshot(5, 5, 1);
	assert_int_equal(give(), 0);
}

static bool has(uint8_t last)
{
	struct inv_claim c;
	struct addr a;

	assert_int_equal(addr_parse(STR("10.1.0.0"), &a), 0);
	a.b[15] = last;
	return peers_claims(p, &a, KIND_POD, &c, 1) == 1;
}

static void expect_target(const char *want)
{
	_buf_ struct buf b = {.max = 200};

	assert_int_equal(peers_target(p, &b), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(b.p, want);
}

/* ---- whom it asks ---------------------------------------------------------------------------- */

static void every_address_once_and_then_a_pause(void **state)
{
	uint32_t asked = 0;

	(void)state;
	expect(PEERS_RESOLVE, PEERS_FIRST);
	peers_resolved(p, now, 3, NULL);
	for (int i = 0; i < 3; i++) {
		expect(PEERS_START, 0);
		asked |= 1U << peers_address(p);
		if (i == 1) { /* it takes the connection, and says nothing */
			expect(PEERS_ABORT, PEERS_PATIENCE);
			continue;
		}
		assert_int_equal(peers_response(p, now, 503), 0);
		assert_int_equal(peers_data(p, now, "collector-1\nleads", 17), 0);
		peers_end(p, now, "");
	}
	assert_int_equal(asked, 7);
	expect_state(PEERS_SEEKING);
	expect(PEERS_RESOLVE, PEERS_BACKOFF_MAX);
}

static void words_of_those_who_do_not_lead(void **state)
{
	struct peers_status st;

	(void)state;
	expect(PEERS_RESOLVE, PEERS_FIRST);
	peers_resolved(p, now, 0, "no such host");
	peers_status(p, &st);
	assert_string_equal(st.error, "no such host");
	expect(PEERS_RESOLVE, PEERS_BACKOFF_MAX);
	peers_resolved(p, now, 1, NULL);
	expect(PEERS_START, 0);
	assert_int_equal(peers_response(p, now, 503), 0);
	assert_int_equal(peers_data(p, now, "collector-1\nleads", 17), 0);
	peers_end(p, now, "");
	peers_status(p, &st);
	assert_string_equal(st.error, "HTTP 503: collector-1 leads");
	assert_int_equal(st.standbys, 1);
	assert_int_equal(st.failures, 2);
}

/* 5,000 agents that lose their stream together come one by one. */
static void lost_streams_come_back_spread(void **state)
{
	uint32_t early = 0, late = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		const struct peers_opts o = {.max_bytes = 1 << 20, .seed = i, .now = 100 * SEC};
		nsec_t took;

		peers_free(&p);
		now = o.now;
		assert_int_equal(peers_new(&o, &p), 0);
		synced_stream();
		peers_end(p, now, "cut");
		assert_int_equal(wait_for(&took), PEERS_RESOLVE);
		assert_true(took <= PEERS_SPREAD);
		early += took < PEERS_SPREAD / 10;
		late += took > PEERS_SPREAD * 9 / 10;
	}
	assert_true(early > 60 && early < 140 && late > 60 && late < 140);
}

static void renewed_before_its_clocks_part(void **state)
{
	struct peers_status st;
	enum peers_action a;
	nsec_t deadline;

	(void)state;
	synced_stream();
	for (nsec_t end = now + PEERS_RENEW_MAX + SEC;
	     (a = peers_poll(p, now, &deadline)) == PEERS_NONE && now < end; now += SEC) {
		beat(5);
		assert_int_equal(give(), 0);
	}
	assert_int_equal(a, PEERS_ABORT);
	expect(PEERS_START, 0); /* at once: nobody else does it now */
	expect_target(PEERS_PATH "?feed=09000000000000000000000000000000&from=5");
	assert_true(peers_awaited(p, now));
	peers_status(p, &st);
	assert_int_equal(st.losses, 0);
}

/* ---- what it makes of a stream --------------------------------------------------------------- */

static void whole_then_changes(void **state)
{
	struct peers_status st;

	(void)state;
	assert_int_equal(peers_knows(p, now, 0), PEERS_UNSYNCED);
	synced_stream();
	expect_state(PEERS_SYNCED);
	assert_true(has(1));
	/* Nobody knows yet what came at the time of the whole. */
	assert_int_equal(peers_knows(p, now, SETTLE), PEERS_STALE);
	now += 2 * SEC;
	changes(6, 4, 2);
	assert_int_equal(give(), 0);
	assert_true(has(1) && has(2));
	assert_int_equal(peers_knows(p, now - 2 * SEC, SETTLE), PEERS_KNOWS);
	assert_int_equal(peers_knows(p, now, SETTLE), PEERS_STALE);
	peers_status(p, &st);
	assert_string_equal(st.from, "collector-0");
	assert_string_equal(st.feed, "09000000000000000000000000000000");
	assert_int_equal(st.position, 6);
	assert_int_equal(st.replica.pods, 2);
	/* On our clock. */
	assert_true(st.known <= now && st.known + SEC > now);
}

static void resumed_where_it_ended(void **state)
{
	struct peers_status st;

	(void)state;
	synced_stream();
	peers_end(p, now, "cut");
	assert_true(has(1));
	open_stream();
	expect_target(PEERS_PATH "?feed=09000000000000000000000000000000&from=5");
	hello(9, true, 5);
	changes(6, 4, 2);
	assert_int_equal(give(), 0);
	assert_true(has(1) && has(2));
	peers_status(p, &st);
	assert_int_equal(st.resumes, 1);
	assert_int_equal(st.wholes, 1);
}

/* A machine may have stood still before the stream began: its clock then says nothing of earlier
 * words, and it may have yet to hear what it missed. */
static void what_was_said_before_the_stream(void **state)
{
	nsec_t known;

	(void)state;
	synced_stream();
	now += 300 * MS;
	beat(5);
	assert_int_equal(give(), 0);
	assert_true(peers_known(p) > 0);
	assert_int_equal(peers_knows(p, now - 10 * SEC, SETTLE), PEERS_STALE);
	now += 2 * SEC;
	beat(5);
	assert_int_equal(give(), 0);
	assert_int_equal(peers_knows(p, now - 10 * SEC, SETTLE), PEERS_KNOWS);
	known = peers_known(p);
	now += SEC;
	changes(6, 4, 2); /* is not taken before the cut */
	now += 5 * SEC;
	peers_end(p, now, "cut");
	open_stream();
	{
		_buf_ struct buf said = {.max = 1 << 16};

		assert_int_equal(buf_append_str(&said, buf_str(&stream)), 0);
		buf_reset(&stream);
		hello(9, true, 5);
		assert_int_equal(buf_append_str(&stream, buf_str(&said)), 0);
	}
	assert_int_equal(give(), 0);
	assert_true(has(2));
	assert_true(peers_known(p) == known);
	now += 300 * MS;
	beat(6);
	assert_int_equal(give(), 0);
	assert_true(peers_known(p) > known);
}

static void another_feed_begins_anew(void **state)
{
	(void)state;
	synced_stream();
	peers_end(p, now, "cut");
	open_stream();
	hello(8, false, 0);
	assert_int_equal(give(), 0);
	assert_false(has(1));
	expect_state(PEERS_QUEUED);
	assert_int_equal(peers_knows(p, 0, 0), PEERS_UNSYNCED);
	snapshot(1, 2, 3);
	assert_int_equal(give(), 0);
	expect_state(PEERS_SYNCING); /* until position 2 */
	changes(2, 4, 4);
	assert_int_equal(give(), 0);
	expect_state(PEERS_SYNCED);
	assert_true(has(3) && has(4));
}

/* However little comes of a stream, the next one makes it whole; and what is whole is right. */
static void cut_at_every_byte(void **state)
{
	(void)state;
	for (size_t cut = 0, n = 1; cut <= n; cut++) {
		struct peers_status st;

		teardown(NULL);
		assert_int_equal(start(), 0);
		open_stream();
		hello(9, false, 0);
		snapshot(5, 6, 1);
		changes(6, 4, 2);
		n = stream.n;
		assert_int_equal(peers_data(p, now, stream.p, cut), 0);
		buf_reset(&stream);
		peers_end(p, now, "cut");
		peers_status(p, &st);
		open_stream();
		hello(9, st.position != 0, st.position);
		if (!st.position)
			snapshot(5, 6, 1);
		if (st.position < 6)
			changes(6, 4, 2);
		changes(7, 6, 3);
		assert_int_equal(give(), 0);
		assert_true(has(1) && has(2) && has(3));
		expect_state(PEERS_SYNCED);
	}
}

static void expect_fault(void)
{
	struct peers_status st;

	assert_int_equal(give(), -EBADMSG);
	peers_status(p, &st);
	assert_int_equal(st.faults, 1);
	assert_int_equal(st.replica.pods, 0); /* nothing of it is believed any more */
	assert_int_equal(peers_knows(p, 0, 0), PEERS_UNSYNCED);
	expect_target(PEERS_PATH);
	expect(PEERS_RESOLVE, PEERS_BACKOFF + PEERS_BACKOFF_MAX);
}

static void a_gap(void **state)
{
	(void)state;
	synced_stream();
	changes(7, 4, 2);
	expect_fault();
}

static void a_change_that_comes_twice(void **state)
{
	(void)state;
	synced_stream();
	changes(6, 4, 2);
	changes(6, 4, 2);
	expect_fault();
}

static void a_beat_of_changes_that_did_not_come(void **state)
{
	(void)state;
	synced_stream();
	beat(6);
	expect_fault();
}

static void changes_without_the_whole(void **state)
{
	(void)state;
	open_stream();
	hello(9, false, 0);
	changes(1, 2, 1);
	expect_fault();
}

static void a_wrong_resumption(void **state)
{
	(void)state;
	synced_stream();
	peers_end(p, now, "cut");
	open_stream();
	hello(9, true, 6);
	expect_fault();
}

static void no_hello(void **state)
{
	(void)state;
	open_stream();
	beat(1);
	expect_fault();
}

static void no_feed(void **state)
{
	(void)state;
	open_stream();
	assert_int_equal(buf_append_str(&stream, STR("<html>502 Bad Gateway</html>")), 0);
	expect_fault();
}

static void too_much_for_the_maximum(void **state)
{
	const struct peers_opts o = {.max_bytes = 1000, .seed = 7, .now = 100 * SEC};
	nsec_t took;

	(void)state;
	peers_free(&p);
	assert_int_equal(peers_new(&o, &p), 0);
	open_stream();
	hello(9, false, 0);
	snapshot(1, 1, 1);
	for (uint32_t i = 2; i < 20; i++)
		changes(i, 2 * i, (uint8_t)i);
	assert_int_equal(give(), -EMSGSIZE);
	expect_state(PEERS_FULL);
	assert_int_equal(peers_knows(p, 0, 0), PEERS_UNSYNCED);
	assert_false(peers_awaited(p, now));
	assert_int_equal(wait_for(&took), PEERS_RESOLVE);
	assert_true(took >= PEERS_FULL_PAUSE / 2 && took <= PEERS_FULL_PAUSE);
}

static void silence(void **state)
{
	struct peers_status st;

	(void)state;
	synced_stream();
	expect(PEERS_ABORT, PEERS_PATIENCE + 10 * SEC);
	peers_status(p, &st);
	assert_string_equal(st.error, "silent for too long");
	assert_int_equal(st.losses, 1);
	expect(PEERS_RESOLVE, PEERS_SPREAD);
}

static void sent_away(void **state)
{
	struct peers_status st;

	(void)state;
	synced_stream();
	assert_int_equal(frame_put(&stream, FRAME_END, STR("collector-1 leads")), 0);
	assert_int_equal(give(), -ESHUTDOWN);
	peers_status(p, &st);
	assert_string_equal(st.error, "collector-1 leads");
	assert_true(has(1)); /* still true of what was until then */
	expect(PEERS_RESOLVE, PEERS_SPREAD);
}

/* The leader went between its answer's head and its first word: what is known stays. */
static void sent_away_at_once(void **state)
{
	struct peers_status st;

	(void)state;
	synced_stream();
	peers_end(p, now, "cut");
	open_stream();
	assert_int_equal(frame_put(&stream, FRAME_END, STR("collector-1 leads")), 0);
	assert_int_equal(give(), -ESHUTDOWN);
	peers_status(p, &st);
	assert_int_equal(st.faults, 0);
	assert_string_equal(st.error, "collector-1 leads");
	assert_true(has(1));
}

static void our_clock_stood_still(void **state)
{
	(void)state;
	synced_stream();
	now += 2 * SEC;
	beat(5);
	assert_int_equal(give(), 0);
	now += 2 * SEC;
	beat(5);
	now -= SEC;
	assert_int_equal(give(), -ESTALE);
	expect(PEERS_RESOLVE, PEERS_BACKOFF);
	expect_target(PEERS_PATH "?feed=09000000000000000000000000000000&from=5");
}

static void a_long_way_in_is_too_doubtful(void **state)
{
	nsec_t deadline;

	(void)state;
	open_stream();
	now += 10 * SEC; /* for the hello to come */
	now -= 5 * SEC;
	hello(9, false, 0);
	snapshot(5, 5, 1);
	now += 5 * SEC;
	assert_int_equal(give(), 0);
	now += 2 * SEC;
	beat(5);
	assert_int_equal(give(), 0);
	assert_int_equal(peers_known(p), 0);
	assert_int_equal(peers_knows(p, now - 5 * SEC, 0), PEERS_STALE);
	/* It asks anew soon. */
	(void)peers_poll(p, now, &deadline);
	assert_true(deadline <= now + 2 * PEERS_SPREAD);
}

/* ---- what flows are told -------------------------------------------------------------------- */

/* A node is named by whoever connects to it, not as the one that connects, whatever was asked
 * before. */
static void a_node_by_who_began(void **state)
{
	const struct match_policy plain = {0};
	struct end_scope scope = {.peers = p, .policy = &plain, .node_scope = true};
	struct inventory *v = NULL;
	struct end_text text;
	struct flow_end end;
	struct addr a;
	_buf_ struct buf b = {.max = 1000};

	(void)state;
	assert_int_equal(inventory_new(&inventory_defaults, &v), 0);
	assert_int_equal(end_memo_new(&scope.memo), 0);
	scope.inventory = v;
	synced_stream();
	put_mark(&b, 6);
	put_node(&b, 5, "n-2", 7);
	put_frame(FRAME_CHANGES, &b);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(give(), 0);
		now += 2 * SEC;
		beat(6);
	}
	assert_int_equal(give(), 0);
	assert_int_equal(addr_parse(STR("10.1.0.7"), &a), 0);
	for (int i = 0; i < 2; i++) {
		end_remote(&scope, &a, now - 5 * SEC, END_OVERDUE, &text, &end);
		assert_int_equal(end.known_by, KNOWN_ADDRESS);
		assert_true(str_eq(end.workload, STR("n-2")));
		end_remote(&scope, &a, now - 5 * SEC, END_OVERDUE | END_INBOUND, &text, &end);
		assert_int_equal(end.known_by, KNOWN_NOT);
		assert_int_equal(end.why, UNKNOWN_TRANSLATED);
	}
	end_memo_free(&scope.memo);
	inventory_free(&v);
}

/* ---- with little memory ---------------------------------------------------------------------- */

static int play(void *ctx)
{
	const struct buf *recorded = ctx;
	const struct peers_opts o = {.max_bytes = 1 << 20, .seed = 7, .now = 100 * SEC};
	struct peers *one = NULL;
	nsec_t deadline, t = o.now + PEERS_FIRST;
	int r = peers_new(&o, &one);

	if (r < 0)
		return r;
	(void)peers_poll(one, t, &deadline);
	peers_resolved(one, t, 1, NULL);
	(void)peers_poll(one, t, &deadline);
	(void)peers_response(one, t, 200);
	r = peers_data(one, t, recorded->p, recorded->n);
	peers_free(&one);
	return r;
}

static void with_little_memory(void **state)
{
	_buf_ struct buf recorded = {.max = 1 << 20};

	(void)state;
	now += PEERS_FIRST;
	hello(9, false, 0);
	snapshot(5, 5, 1);
	for (uint32_t i = 6; i < 60; i++)
		changes(i, 2 * i, (uint8_t)i);
	assert_int_equal(buf_append_str(&recorded, buf_str(&stream)), 0);
	assert_int_equal(torture_run(play, &recorded), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		TEST(every_address_once_and_then_a_pause),
		TEST(words_of_those_who_do_not_lead),
		TEST(lost_streams_come_back_spread),
		TEST(renewed_before_its_clocks_part),
		TEST(whole_then_changes),
		TEST(resumed_where_it_ended),
		TEST(what_was_said_before_the_stream),
		TEST(another_feed_begins_anew),
		TEST(cut_at_every_byte),
		TEST(a_gap),
		TEST(a_change_that_comes_twice),
		TEST(a_beat_of_changes_that_did_not_come),
		TEST(changes_without_the_whole),
		TEST(a_wrong_resumption),
		TEST(no_hello),
		TEST(no_feed),
		TEST(too_much_for_the_maximum),
		TEST(silence),
		TEST(sent_away),
		TEST(sent_away_at_once),
		TEST(our_clock_stood_still),
		TEST(a_long_way_in_is_too_doubtful),
		TEST(a_node_by_who_began),
		TEST(with_little_memory),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
