/*
 * Any bytes as the body of a refusal: what is told of it is one short line of valid
 * UTF-8 without control characters, and without the secret, wherever that stands.
 */
#include "sink/vector/service_text.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/services.h"

#include <string.h>

static void check_line(struct str s)
{
	while (s.n) {
		size_t n = str_utf8(s);

		fuzz_check(n > 0 && (n > 1 || ((unsigned char)s.p[0] >= ' ' && s.p[0] != 0x7f)));
		s = str_from(s, n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str secret = STR("s3cr3t!token");
	_buf_ struct buf line = {.max = 4096}, long_line = {.max = 1 << 24};
	_buf_ struct buf body = {.max = 1 << 24};

	if (service_error_text(str_make(data, size), secret, &line) == 0) {
		fuzz_check(buf_str(&line).n <= SERVICE_TEXT_MAX);
		check_line(buf_str(&line));
	}
	/* The secret in the middle of it. */
	fuzz_check(buf_append(&body, data, size / 2) == 0 && buf_append_str(&body, secret) == 0 &&
		   buf_append(&body, data + size / 2, size - size / 2) == 0);
	if (service_clean(buf_str(&body), secret, &long_line) == 0) {
		struct str s = buf_str(&long_line);

		check_line(s);
		fuzz_check(!s.n || !memmem(s.p, s.n, secret.p, secret.n));
	}
	return 0;
}
