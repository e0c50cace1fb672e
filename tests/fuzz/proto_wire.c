/*
 * Any bytes as one message: the decoder must stay inside them, and what it
 * takes must encode back to the same bytes and print.
 */
#include "tests/fuzz/fuzz.h"

#include "proto/print.h"
#include "proto/wire.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_JSON (2U << 20)

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str bytes = str_make(data, size);
	struct wire_fault fault = {0};
	struct wire_msg m;
	struct buf out;
	int r = wire_decode(bytes, &m, &fault);

	if (r == -EAGAIN)
		check(wire_need(bytes) > size);
	else if (r == -EBADMSG)
		check(fault.reason && fault.at < size);
	else
		check(r == 0 && m.size <= size);
	if (r < 0)
		return 0;
	buf_init(&out, MAX_JSON);
	check(wire_encode(m.desc, m.v, m.desc->n_fields, m.timestamp, &out) == 0);
	check(m.dirty || str_eq(buf_str(&out), str_make(data, m.size)));
	buf_reset(&out);
	check(wire_print_json(&m, &out) == 0);
	buf_done(&out);
	return 0;
}
