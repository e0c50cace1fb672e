#include "cli/output.h"

#include "cli/cmd_help.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX ((size_t)1 << 30)

const char *const output_names[] = {"table", "wide", "json", NULL};

int output_table(const char *command, const struct sheet *t, enum output o, int r)
{
	const struct sheet_look look = sheet_look(o == OUTPUT_WIDE);
	_buf_ struct buf out = {.max = TEXT_MAX};

	r = r ?: sheet_print(t, &look, SIZE_MAX, &out);
	if (r < 0)
		fprintf(stderr, "%s: the table cannot be made: %s\n", command, strerror(-r));
	else if (out.n)
		(void)fwrite(buf_str(&out).p, 1, out.n, stdout);
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}
