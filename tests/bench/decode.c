/*
 * How fast recorded lists are decoded, beside memcpy of the same bytes.
 *
 * The list is repeated until it is over four times the last-level cache, so that
 * both read from memory; the passes take turns, so that both see the same
 * machine. The decoder is fed in pieces of the HTTP client's size.
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "decode/decode.h"
#include "tests/lib/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PIECE  ((size_t)16 << 10) /* libcurl's CURL_MAX_WRITE_SIZE */
#define ROUNDS 3

struct input {
	char *bytes, *copy;
	size_t n, one; /* of all, of one body */
};

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bytes of the last-level cache; 32 MiB when the kernel does not say. */
static size_t cache_size(void)
{
	char line[32] = "";
	FILE *f = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "r");
	size_t kib = 0;

	if (f) {
		if (fgets(line, sizeof(line), f))
			kib = strtoul(line, NULL, 10);
		(void)fclose(f);
	}
	return kib ? kib << 10 : (size_t)32 << 20;
}

static int count(void *ctx, enum event_type type, const struct object *o)
{
	uint64_t *pods = ctx;

	(void)type;
	*pods += o->meta.uid.n != 0;
	return 0;
}

/* One body through a new decoder. */
static void decode_body(const struct input *in, size_t at, enum decode_format format,
			uint64_t *pods)
{
	static const struct decode_ops ops = {.on_object = count};
	struct decode_opts o = {.format = format, .shape = SHAPE_POD, .ops = &ops, .ctx = pods};
	struct decode *d = NULL;
	int r = decode_new(&o, &d);

	for (size_t i = 0; r == 0 && i < in->one; i += PIECE)
		r = decode_feed(d, in->bytes + at + i, MIN(PIECE, in->one - i));
	if (r == 0)
		r = decode_finish(d);
	if (r < 0)
		(void)fprintf(stderr, "decode: %s\n", decode_error(d));
	decode_free(&d);
}

static int load(const char *name, struct input *ret)
{
	_buf_ struct buf body;
	size_t copies;
	int r = fixture_read(name, &body);

	if (r < 0)
		return r;
	copies = 4 * cache_size() / body.n + 1;
	*ret = (struct input){.one = body.n, .n = copies * body.n};
	ret->bytes = malloc(ret->n);
	ret->copy = malloc(ret->n);
	if (!ret->bytes || !ret->copy)
		return -1;
	for (size_t i = 0; i < copies; i++)
		memcpy(ret->bytes + i * body.n, body.p + body.off, body.n);
	memset(ret->copy, 1, ret->n);
	return 0;
}

static void measure(const char *name, const char *recording, enum decode_format format)
{
	struct input in = {0};
	double decoding = 0, copying = 0, mb, start;
	uint64_t pods = 0;

	if (load(recording, &in) < 0) {
		(void)fprintf(stderr, "no recording %s\n", recording);
		goto out;
	}
	for (int round = 0; round < ROUNDS; round++) {
		start = seconds();
		memcpy(in.copy, in.bytes, in.n);
		copying += seconds() - start;
		__asm__ volatile("" : : "r"(in.copy) : "memory"); /* the copy is wanted */
		start = seconds();
		for (size_t at = 0; at < in.n; at += in.one)
			decode_body(&in, at, format, &pods);
		decoding += seconds() - start;
	}
	mb = ROUNDS * (double)in.n / 1e6;
	(void)printf("decode_%s %.0f MB/s\n", name, mb / decoding);
	(void)printf("memcpy_beside_%s %.0f MB/s\n", name, mb / copying);
	(void)printf("decode_%s_per_memcpy %.3f ratio\n", name, copying / decoding);
	(void)printf("decode_%s_pod %.3f us\n", name, decoding * 1e6 / (double)pods);
out:
	free(in.bytes);
	free(in.copy);
}

void bench_decode(void)
{
	measure("protobuf", "big-pods-pb", DECODE_PROTOBUF);
	measure("json", "big-pods-json", DECODE_JSON);
}
