#include "tests/lib/decode_fuzz.h"

#include "tests/lib/decode_log.h"

#include <stdio.h>
#include <stdlib.h>

static void start(struct decode_log *l, enum decode_format format, uint8_t choice)
{
	static const struct str labels[] = {STR("app"), STR("tier")};

	decode_log_init(l, format, choice % _DECODE_BODY_MAX,
			choice / _DECODE_BODY_MAX % _DECODE_SHAPE_MAX);
	l->opts.labels = labels;
	l->opts.n_labels = choice & 0x40 ? 2 : 0;
	l->opts.max_object = choice & 0x80 ? 256 : 0;
	l->opts.raw = choice & 0x20;
}

void decode_fuzz(enum decode_format format, const uint8_t *data, size_t size)
{
	struct decode_log whole, cut;
	struct str body;
	struct rng g;

	if (!size)
		return;
	body = str_make(data + 1, size - 1);
	start(&whole, format, data[0]);
	start(&cut, format, data[0]);
	rng_seed(&g, size);
	decode_log_run(&whole, body, CUT_NONE, 0, NULL);
	for (int i = 0; i < 2; i++) {
		decode_log_run(&cut, body, i ? CUT_RANDOM : CUT_BYTES, 0, &g);
		if (cut.result != whole.result || strcmp(cut.error, whole.error) != 0 ||
		    !str_eq(buf_str(&cut.text), buf_str(&whole.text))) {
			(void)fprintf(stderr, "whole: %d %s\n%.*s\ncut: %d %s\n%.*s\n",
				      whole.result, whole.error, STR_ARG(buf_str(&whole.text)),
				      cut.result, cut.error, STR_ARG(buf_str(&cut.text)));
			abort();
		}
	}
	if (whole.result == 0 ? whole.error[0] != 0 : whole.error[0] == 0)
		abort(); /* an error has a word */
	decode_log_done(&whole);
	decode_log_done(&cut);
}
