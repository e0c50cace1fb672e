/* Any bytes as what a collector answers: nothing outside of them is read, and what is told of them
 * is within them. */
#include "sink/otlp/answer.h"

#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void check_within(struct str body, struct str part)
{
	if (part.n && (part.p < body.p || part.p + part.n > body.p + body.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str body = str_make(data, size);
	struct otlp_answer a = {.rejected = 1};
	int r = otlp_answer_read(body, &a);

	if (r == 0)
		check_within(body, a.message);
	else if (a.rejected != 1 || a.message.n)
		abort();
	if (a.rejected > INT64_MAX)
		abort();
	if (otlp_end_of(200, true, body, &a) != (r == 0 ? OTLP_TAKEN : OTLP_UNCONFIRMED))
		abort();
	check_within(body, otlp_status_message(body));
	return 0;
}
