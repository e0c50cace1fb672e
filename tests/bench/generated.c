/*
 * Decoding of generated lists of 10k, 50k and 150k pods. One stretch of a thousand
 * pods is generated and fed again and again: the decoder sees one long list, and
 * making it is not in the figure.
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "decode/decode.h"
#include "tests/lib/population.h"

#include <assert.h>
#include <stdio.h>

#define STRETCH 1000
#define PIECE	65536

static int count(void *ctx, enum event_type type, const struct object *o)
{
	(void)type;
	(void)o;
	++*(uint64_t *)ctx;
	return 0;
}

static int no_status(void *ctx, const struct api_status *s)
{
	(void)ctx;
	(void)s;
	return -1;
}

static void feed(struct decode *d, struct str bytes)
{
	for (size_t at = 0; at < bytes.n; at += PIECE) {
		struct str rest = str_from(bytes, at);

		assert(decode_feed(d, rest.p, rest.n < PIECE ? rest.n : PIECE) == 0);
	}
}

static void run(enum gen_format format, const char *name, uint32_t pods)
{
	static const struct decode_ops ops = {.on_object = count, .on_status = no_status};
	uint64_t seen = 0, bytes = 0;
	const struct decode_opts o = {.format = format == GEN_PB ? DECODE_PROTOBUF : DECODE_JSON,
				      .body = DECODE_WATCH,
				      .shape = SHAPE_POD,
				      .ops = &ops,
				      .ctx = &seen};
	_buf_ struct buf stretch = {.max = 64 << 20};
	struct gen_object pod;
	struct decode *d;
	nsec_t from;

	for (uint32_t i = 0; i < STRETCH; i++) {
		population_pod(&pod, i, STRETCH / 3);
		assert(gen_event(&pod, format, false, EVENT_ADDED, false, &stretch) == 0);
	}
	assert(decode_new(&o, &d) == 0);
	from = clock_mono();
	for (uint32_t n = 0; n < pods; n += STRETCH) {
		feed(d, buf_str(&stretch));
		bytes += buf_str(&stretch).n;
	}
	from = clock_mono() - from;
	assert(decode_finish(d) == 0 && seen == pods);
	decode_free(&d);
	printf("generated.%s.%uk %.0f MB/s\n", name, pods / 1000,
	       (double)bytes * 1e3 / (double)from);
	printf("generated.%s.%uk_pod %.2f us\n", name, pods / 1000, (double)from / 1e3 / pods);
}

void bench_generated(void)
{
	static const uint32_t sizes[] = {10000, 50000, 150000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		run(GEN_PB, "protobuf", sizes[i]);
		run(GEN_JSON, "json", sizes[i]);
	}
}
