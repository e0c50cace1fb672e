/*
 * Batches out, streams in. Frames are made by liblz4 directly wherever the
 * reader is tested with what our own batches never look like, and our batches
 * are unpacked by liblz4 directly.
 */
#include "proto/batch.h"
#include "proto/reader.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>
#include <lz4frame.h>

#define MAX_STREAM (16U << 20)
#define VERSION	   24 /* bytes of a version_info */

static const unsigned char header[] = {0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0xc0};

static void fill(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rand_r(&seed);
}

/* --- the writing side --- */

/* One frame by liblz4; returns what it holds. */
static size_t unpack(struct str *frames, char *dst, size_t room)
{
	LZ4F_dctx *lz4;
	size_t n_in = frames->n, n_out = room, left;

	assert_false(LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)));
	left = LZ4F_decompress(lz4, dst, &n_out, frames->p, &n_in, NULL);
	assert_int_equal(left, 0); /* a whole frame */
	*frames = str_from(*frames, n_in);
	(void)LZ4F_freeDecompressionContext(lz4);
	return n_out;
}

/* A pod_delete of `n` bytes in all, timestamp included. */
static int put_sized(struct wire_batch *b, struct buf *out, char *text, size_t n)
{
	const struct wire_pod_delete m = {.uid = str_make(text, n - 12)};

	return wire_batch_put_pod_delete(b, out, 7, &m);
}

static void test_batch_limit(void **state)
{
	char text[WIRE_BATCH_MAX], raw[WIRE_BATCH_MAX + 1];
	struct wire_batch b;
	struct buf out;
	struct str frames;

	(void)state;
	fill(text, sizeof(text), 1);
	assert_int_equal(wire_batch_init(&b), 0);
	buf_init(&out, MAX_STREAM);

	/* 16384 bytes of messages are one frame ... */
	assert_int_equal(put_sized(&b, &out, text, 16000), 0);
	assert_int_equal(put_sized(&b, &out, text, 384), 0);
	assert_int_equal(out.n, 0);
	assert_int_equal(wire_batch_pending(&b), WIRE_BATCH_MAX);
	/* ... and one message more begins the next. */
	assert_int_equal(put_sized(&b, &out, text, 12), 0);
	assert_int_equal(b.messages, 1);
	assert_int_equal(wire_batch_flush(&b, &out), 0);
	assert_int_equal(b.frames, 2);
	frames = buf_str(&out);
	assert_memory_equal(frames.p, header, sizeof(header));
	assert_int_equal(unpack(&frames, raw, sizeof(raw)), WIRE_BATCH_MAX);
	assert_memory_equal(frames.p, header, sizeof(header));
	assert_int_equal(unpack(&frames, raw, sizeof(raw)), 12);
	assert_int_equal(frames.n, 0);

	/* The longest message a batch takes, and one more. */
	buf_reset(&out);
	assert_int_equal(put_sized(&b, &out, text, WIRE_BATCH_MAX), 0);
	assert_int_equal(put_sized(&b, &out, text, WIRE_BATCH_MAX + 1), -EMSGSIZE);
	assert_int_equal(wire_batch_flush(&b, &out), 0);
	assert_true(out.n <= wire_batch_bound()); /* random bytes: a stored block */
	frames = buf_str(&out);
	assert_int_equal(unpack(&frames, raw, sizeof(raw)), WIRE_BATCH_MAX);
	assert_int_equal(wire_batch_flush(&b, &out), 0); /* nothing to do */
	assert_int_equal(frames.n, 0);
	wire_batch_done(&b);
	buf_done(&out);
}

static void test_batch_full(void **state)
{
	char text[WIRE_BATCH_MAX];
	struct wire_batch b;
	struct buf out;

	(void)state;
	fill(text, sizeof(text), 2);
	assert_int_equal(wire_batch_init(&b), 0);
	buf_init(&out, wire_batch_bound() - 1);
	assert_int_equal(put_sized(&b, &out, text, 16000), 0);
	assert_int_equal(wire_batch_flush(&b, &out), -ENOBUFS);
	assert_int_equal(put_sized(&b, &out, text, 500), -ENOBUFS);
	assert_int_equal(b.messages, 1);
	assert_int_equal(wire_batch_pending(&b), 16000);
	out.max++;
	assert_int_equal(wire_batch_flush(&b, &out), 0);
	assert_int_equal(wire_batch_pending(&b), 0);
	assert_int_equal(put_sized(&b, &out, text, 500), 0);
	wire_batch_reset(&b);
	assert_int_equal(wire_batch_pending(&b), 0);
	wire_batch_done(&b);
	buf_done(&out);
}

static void test_encode_limits(void **state)
{
	static char text[65536];
	union wire_value v[4] = {{.u = 3}, {.s = STR("node-a")}};
	struct buf out;

	(void)state;
	buf_init(&out, MAX_STREAM);
	assert_int_equal(wire_encode(wire_desc(WIRE_connect), v, 1, 0, &out), -EINVAL);
	v[0].u = 256;
	assert_int_equal(wire_encode(wire_desc(WIRE_connect), v, 2, 0, &out), -ERANGE);
	v[0].u = 1ULL << 32;
	assert_int_equal(wire_encode(wire_desc(WIRE_report_cpu_cores), v, 1, 0, &out), -ERANGE);
	assert_int_equal(
		wire_put_pod_delete(&out, 0,
				    &(struct wire_pod_delete){str_make(text, 65536 - 12 + 1)}),
		-EMSGSIZE);
	assert_int_equal(wire_put_pod_container_legacy(&out, 0,
						       &(struct wire_pod_container_legacy){
							       str_make(text, 65536), STR("")}),
			 -EMSGSIZE);
	assert_int_equal(
		wire_put_pid_set_comm(&out, 0, &(struct wire_pid_set_comm){1, str_make(text, 17)}),
		-EMSGSIZE);
	assert_int_equal(out.n, 0);
	assert_int_equal(
		wire_put_pod_delete(&out, 0, &(struct wire_pod_delete){str_make(text, 65536 - 12)}),
		0);
	assert_int_equal(out.n, WIRE_MAX_MESSAGE);
	buf_reset(&out);
	out.max = 19 - 1;
	v[0].u = 3;
	assert_int_equal(wire_encode(wire_desc(WIRE_connect), v, 2, 0, &out), -EMSGSIZE);
	out.max++;
	assert_int_equal(wire_encode(wire_desc(WIRE_connect), v, 2, 0, &out), 0);
	buf_done(&out);
}

/* --- the reading side --- */

struct seen { /* what a reader gave for a stream */
	struct buf messages;
	unsigned n, frames, cut, large;
	int result;
	struct wire_error error;
};

static void seen_done(struct seen *s)
{
	buf_done(&s->messages);
}

static void note(struct seen *s, const struct wire_event *e)
{
	_Alignas(16) char object[WIRE_MAX_FIELDS * sizeof(union wire_value)];

	if (e->type == WIRE_EVENT_FRAME_END) {
		s->frames++;
		s->cut += e->cut_bytes != 0;
	} else if (e->type == WIRE_EVENT_FRAME_LARGE) {
		s->large++;
	} else {
		assert_int_equal(e->at, s->messages.n);
		wire_to_struct(&e->msg, object);
		assert_int_equal(
			wire_encode_struct(e->msg.desc, object, e->msg.timestamp, &s->messages), 0);
		s->n++;
	}
}

/* Reads the stream in pieces of 1..max_piece bytes (0: whole). Each piece is a copy of its own. */
static struct seen read_stream(struct str stream, size_t max_piece, unsigned seed, bool plain_too)
{
	struct seen s = {0};
	struct wire_reader *r;
	struct wire_event e;

	buf_init(&s.messages, MAX_STREAM);
	assert_int_equal(wire_reader_new(plain_too, &r), 0);
	s.result = -EAGAIN;
	while (s.result == -EAGAIN && stream.n) {
		size_t n = max_piece ? (size_t)rand_r(&seed) % max_piece + 1 : stream.n;
		struct str piece;
		_free_ char *copy = malloc(n = MIN(n, stream.n));

		assert_non_null(copy);
		memcpy(copy, stream.p, n);
		piece = str_make(copy, n);
		stream = str_from(stream, n);
		while ((s.result = wire_reader_next(r, &piece, &e)) == 0)
			note(&s, &e);
		if (s.result == -EAGAIN)
			assert_int_equal(piece.n, 0);
	}
	if (s.result == -EAGAIN)
		s.result = wire_reader_end(r);
	if (s.result < 0) {
		struct str more = STR("more");

		s.error = wire_reader_error(r);
		assert_int_equal(wire_reader_next(r, &more, &e), -EBADMSG);
	}
	wire_reader_free(&r);
	return s;
}

static void put_version(struct buf *out)
{
	assert_int_equal(wire_put_version_info(out, 1, &(struct wire_version_info){.minor = 11}),
			 0);
}

/* Enough messages of many sizes to fill several windows, and one of the largest size. */
static void put_messages(struct buf *out, size_t bytes)
{
	static char text[65536];
	unsigned seed = 5;

	fill(text, sizeof(text), 3);
	while (out->n < bytes) {
		const size_t n = (size_t)rand_r(&seed) % 3000;

		assert_int_equal(
			wire_put_pod_delete(out, n, &(struct wire_pod_delete){str_make(text, n)}),
			0);
		assert_int_equal(wire_put_heartbeat(out, n), 0);
	}
	assert_int_equal(
		wire_put_pod_delete(out, 9, &(struct wire_pod_delete){str_make(text, 65524)}), 0);
}

static void compress(struct buf *out, struct str data, const LZ4F_preferences_t *prefs)
{
	const size_t bound = LZ4F_compressFrameBound(data.n, prefs);
	size_t n;

	assert_int_equal(buf_reserve(out, bound), 0);
	n = LZ4F_compressFrame(buf_tail(out), bound, data.p, data.n, prefs);
	assert_false(LZ4F_isError(n));
	buf_commit(out, n);
}

/* The stream gives version_info and `want`, in whatever cut. */
static void assert_reads(struct str stream, struct str want, unsigned frames)
{
	static const size_t pieces[] = {0, 1, 7, 1448, 16384, 65536, 200000};
	const unsigned seed = (unsigned)time(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct seen s = read_stream(stream, pieces[i], seed, false);

		if (s.result < 0)
			fail_msg("pieces of %zu, seed %u: %s at %llu", pieces[i], seed,
				 s.error.reason, (unsigned long long)s.error.at);
		if (!str_eq(str_from(buf_str(&s.messages), VERSION), want))
			fail_msg("pieces of %zu, seed %u: other messages", pieces[i], seed);
		assert_int_equal(s.frames, frames);
		seen_done(&s);
	}
}

static void test_frame_kinds(void **state)
{
	static const LZ4F_preferences_t kinds[] = {
		{.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockLinked}},
		{.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent}},
		{.frameInfo = {.blockSizeID = LZ4F_max256KB, .blockMode = LZ4F_blockLinked}},
		{.frameInfo = {.blockSizeID = LZ4F_max1MB, .blockMode = LZ4F_blockIndependent}},
		{.frameInfo = {.blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockLinked}},
		{.frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}},
		{.frameInfo = {.blockChecksumFlag = LZ4F_blockChecksumEnabled}},
		{.frameInfo = {.contentSize = 1,
			       .contentChecksumFlag = LZ4F_contentChecksumEnabled,
			       .blockChecksumFlag = LZ4F_blockChecksumEnabled}},
	};
	struct buf data, stream;

	(void)state;
	buf_init(&data, MAX_STREAM);
	put_messages(&data, 400000);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		buf_init(&stream, MAX_STREAM);
		put_version(&stream);
		compress(&stream, buf_str(&data), &kinds[i]);
		assert_reads(buf_str(&stream), buf_str(&data), 1);
		buf_done(&stream);
	}
	buf_done(&data);
}

/* A stored block of one message, written by hand; a skippable frame; a frame of nothing. */
static void test_by_hand(void **state)
{
	static const char skippable[] = "\x5a\x2a\x4d\x18\x05\0\0\0xxxxx";
	static const char empty[] = "\x04\x22\x4d\x18\x40\x40\xc0\0\0\0\0";
	static const char stored[] = "\x04\x22\x4d\x18\x40\x40\xc0\x0a\0\0\x80"
				     "\x08\x07\x06\x05\x04\x03\x02\x01\x88\x01"
				     "\0\0\0\0";
	struct buf stream;
	struct seen s;

	(void)state;
	buf_init(&stream, MAX_STREAM);
	put_version(&stream);
	assert_int_equal(buf_append(&stream, stored, sizeof(stored) - 1), 0);
	assert_int_equal(buf_append(&stream, skippable, sizeof(skippable) - 1), 0);
	assert_int_equal(buf_append(&stream, empty, sizeof(empty) - 1), 0);
	assert_int_equal(buf_append(&stream, stored, sizeof(stored) - 1), 0);
	assert_reads(buf_str(&stream),
		     str_make("\x08\x07\x06\x05\x04\x03\x02\x01\x88\x01"
			      "\x08\x07\x06\x05\x04\x03\x02\x01\x88\x01",
			      20),
		     4);
	s = read_stream(buf_str(&stream), 0, 0, false);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.cut + s.large, 0);
	seen_done(&s);
	buf_done(&stream);
}

/* Two frames that cut a message between them. */
static void test_message_over_frames(void **state)
{
	struct buf data, stream;
	struct seen s;

	(void)state;
	buf_init(&data, MAX_STREAM);
	buf_init(&stream, MAX_STREAM);
	put_messages(&data, 100000);
	put_version(&stream);
	compress(&stream, str_make(buf_str(&data).p, 50001), NULL);
	compress(&stream, str_from(buf_str(&data), 50001), NULL);
	assert_reads(buf_str(&stream), buf_str(&data), 2);
	s = read_stream(buf_str(&stream), 0, 0, false);
	assert_int_equal(s.cut, 1);
	assert_int_equal(s.large, 2);
	seen_done(&s);
	buf_done(&stream);
	buf_done(&data);
}

/* One frame for the life of the connection, flushed now and then and never ended. What a flush
 * sends must come out at once, also from a block that is larger than the reader's window. */
static void test_open_frame(void **state)
{
	static const size_t steps[] = {30001, 300007};
	const LZ4F_preferences_t prefs = {.frameInfo = {.blockSizeID = LZ4F_max4MB}};
	struct buf data, stream;
	LZ4F_cctx *lz4;
	struct str rest;
	size_t n;

	(void)state;
	buf_init(&data, MAX_STREAM);
	put_messages(&data, 500000);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		buf_init(&stream, MAX_STREAM);
		put_version(&stream);
		assert_int_equal(buf_reserve(&stream, 14 << 20), 0);
		assert_false(LZ4F_isError(LZ4F_createCompressionContext(&lz4, LZ4F_VERSION)));
		n = LZ4F_compressBegin(lz4, buf_tail(&stream), 64, &prefs);
		buf_commit(&stream, n);
		for (rest = buf_str(&data); rest.n; rest = str_from(rest, steps[i])) {
			n = LZ4F_compressUpdate(lz4, buf_tail(&stream),
						LZ4F_compressBound(steps[i], &prefs), rest.p,
						MIN(rest.n, steps[i]), NULL);
			assert_false(LZ4F_isError(n));
			buf_commit(&stream, n);
			n = LZ4F_flush(lz4, buf_tail(&stream), LZ4F_compressBound(0, &prefs), NULL);
			assert_false(LZ4F_isError(n));
			buf_commit(&stream, n);
		}
		(void)LZ4F_freeCompressionContext(lz4);
		assert_reads(buf_str(&stream), buf_str(&data), 0);
		buf_done(&stream);
	}
	buf_done(&data);
}

/* Megabytes that compress to almost nothing come out of few bytes, window by window. */
static void test_very_compressible(void **state)
{
	const LZ4F_preferences_t big = {.frameInfo = {.blockSizeID = LZ4F_max4MB}};
	struct buf data, stream;

	(void)state;
	buf_init(&data, MAX_STREAM);
	buf_init(&stream, MAX_STREAM);
	while (data.n < 5000000)
		assert_int_equal(wire_put_pod_delete(
					 &data, 1, &(struct wire_pod_delete){STR("the-same-uid")}),
				 0);
	put_version(&stream);
	compress(&stream, buf_str(&data), &big);
	assert_true(stream.n < 50000);
	assert_reads(buf_str(&stream), buf_str(&data), 1);
	buf_done(&stream);
	buf_done(&data);
}

static void test_our_batches(void **state)
{
	struct buf stream, want;
	struct wire_batch b;
	struct seen s;
	char text[20000];

	(void)state;
	fill(text, sizeof(text), 9);
	buf_init(&stream, MAX_STREAM);
	buf_init(&want, MAX_STREAM);
	assert_int_equal(wire_batch_init(&b), 0);
	put_version(&stream);
	for (size_t n = 12; n < 12000; n += 37) {
		assert_int_equal(put_sized(&b, &stream, text, n), 0);
		assert_int_equal(
			wire_put_pod_delete(&want, 7,
					    &(struct wire_pod_delete){str_make(text, n - 12)}),
			0);
	}
	assert_int_equal(wire_batch_flush(&b, &stream), 0);
	assert_reads(buf_str(&stream), buf_str(&want), (unsigned)b.frames);
	s = read_stream(buf_str(&stream), 0, 0, false);
	assert_int_equal(s.cut + s.large, 0);
	seen_done(&s);
	wire_batch_done(&b);
	buf_done(&want);
	buf_done(&stream);
}

static void assert_bad(struct str stream, bool plain_too, enum wire_place place, uint64_t at,
		       unsigned messages)
{
	static const size_t pieces[] = {0, 1, 11};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct seen s = read_stream(stream, pieces[i], 1, plain_too);

		assert_int_equal(s.result, -EBADMSG);
		assert_non_null(s.error.reason);
		assert_int_equal(s.error.place, place);
		if (s.error.at != at)
			fail_msg("%s: at %llu, not %llu", s.error.reason,
				 (unsigned long long)s.error.at, (unsigned long long)at);
		assert_int_equal(s.n, messages);
		seen_done(&s);
	}
}

static void test_malformed(void **state)
{
	LZ4F_preferences_t sums = {.frameInfo = {.contentChecksumFlag = 1, .blockChecksumFlag = 1}};
	struct buf data, stream;
	struct str whole;
	struct seen s;
	size_t second;

	(void)state;
	buf_init(&data, MAX_STREAM);
	buf_init(&stream, MAX_STREAM);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(
			wire_put_pod_delete(&data, i, &(struct wire_pod_delete){STR("uid")}), 0);

	/* Plain bytes where LZ4 must begin. */
	put_version(&stream);
	assert_int_equal(buf_append_str(&stream, buf_str(&data)), 0);
	assert_bad(buf_str(&stream), false, WIRE_IN_STREAM, VERSION, 1);
	buf_reset(&stream);

	/* A frame that is not one behind a good one. */
	put_version(&stream);
	compress(&stream, buf_str(&data), NULL);
	second = stream.n;
	assert_int_equal(buf_append_str(&stream, STR("no frame header")), 0);
	assert_bad(buf_str(&stream), false, WIRE_IN_STREAM, second, 101);
	s = read_stream(buf_str(&stream), 0, 0, false);
	assert_string_equal(s.error.reason, "not an LZ4 frame (ERROR_frameType_unknown)");
	seen_done(&s);
	buf_reset(&stream);

	/* Each checksum: header at 6, block behind the block, content at the end. */
	put_version(&stream);
	compress(&stream, buf_str(&data), &sums);
	whole = buf_str(&stream);
	stream.p[VERSION + 6] ^= 1;
	assert_bad(whole, false, WIRE_IN_STREAM, VERSION, 1);
	stream.p[VERSION + 6] ^= 1;
	stream.p[whole.n - 1] ^= 1;
	assert_bad(whole, false, WIRE_IN_STREAM, whole.n - 4, 101);
	stream.p[whole.n - 1] ^= 1;
	stream.p[whole.n - 9] ^= 1;
	assert_bad(whole, false, WIRE_IN_STREAM, VERSION + 7, 1);
	stream.p[whole.n - 9] ^= 1;

	/* Cut anywhere inside a frame's header or right behind it, too. */
	for (size_t n = VERSION + 1; n < VERSION + 12; n++)
		for (size_t piece = 0; piece < 3; piece++) {
			s = read_stream(str_make(whole.p, n), piece, 1, piece == 1);

			assert_int_equal(s.result, -EBADMSG);
			assert_int_equal(s.error.at, n);
			seen_done(&s);
		}

	/* Cut anywhere inside a block, the stream ends wrong; at the end of it, right. */
	for (size_t n = VERSION + 12; n < whole.n - 12; n++) {
		s = read_stream(str_make(whole.p, n), 0, 0, false);

		assert_int_equal(s.result, -EBADMSG);
		assert_int_equal(s.error.at, n);
		seen_done(&s);
	}
	buf_reset(&stream);

	/* A bad message inside a good frame: the byte is counted in messages. */
	data.p[15 * 10 + 8] = 0;
	put_version(&stream);
	compress(&stream, buf_str(&data), NULL);
	assert_bad(buf_str(&stream), false, WIRE_IN_MESSAGES, VERSION + 15 * 10 + 8, 11);

	/* A bad first message. */
	buf_reset(&stream);
	put_version(&stream);
	stream.p[8] = 0;
	assert_bad(buf_str(&stream), false, WIRE_IN_STREAM, 8, 0);
	buf_done(&stream);
	buf_done(&data);
}

/* An uncompressed copy of a stream is told apart, when that is wanted. */
static void test_plain_copy(void **state)
{
	struct buf stream, lz4;
	struct seen s;

	(void)state;
	buf_init(&stream, MAX_STREAM);
	buf_init(&lz4, MAX_STREAM);
	put_version(&stream);
	put_messages(&stream, 100000);
	for (size_t piece = 0; piece < 3; piece++) {
		s = read_stream(buf_str(&stream), piece, 1, true);
		assert_int_equal(s.result, 0);
		assert_true(str_eq(buf_str(&s.messages), buf_str(&stream)));
		seen_done(&s);
	}
	s = read_stream(str_make(stream.p, stream.n - 1), 0, 1, true);
	assert_int_equal(s.result, -EBADMSG);
	assert_int_equal(s.error.at, stream.n - 1);
	seen_done(&s);
	s = read_stream(str_make(stream.p, VERSION + 3), 0, 1, true);
	assert_int_equal(s.result, -EBADMSG);
	assert_int_equal(s.error.at, VERSION + 3);
	seen_done(&s);
	s = read_stream(str_make(stream.p, VERSION), 0, 1, true);
	assert_int_equal(s.result, 0);
	seen_done(&s);

	put_version(&lz4);
	compress(&lz4, str_from(buf_str(&stream), VERSION), NULL);
	for (size_t piece = 0; piece < 3; piece++) {
		s = read_stream(buf_str(&lz4), piece, 1, true);
		assert_int_equal(s.result, 0);
		assert_true(str_eq(buf_str(&s.messages), buf_str(&stream)));
		seen_done(&s);
	}
	buf_done(&lz4);
	buf_done(&stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch_limit),   cmocka_unit_test(test_batch_full),
		cmocka_unit_test(test_encode_limits), cmocka_unit_test(test_frame_kinds),
		cmocka_unit_test(test_by_hand),	      cmocka_unit_test(test_message_over_frames),
		cmocka_unit_test(test_open_frame),    cmocka_unit_test(test_very_compressible),
		cmocka_unit_test(test_our_batches),   cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_plain_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
