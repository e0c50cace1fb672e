/*
 * A configuration file, whatever it holds: it is taken, or every refusal has a word; and
 * what is taken and printed is taken again and means the same.
 */
#include "config/agent_options.h"

#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <stdlib.h>

struct loaded {
	struct agent_config c;
	struct options *o;
};

static void done(struct loaded *l)
{
	options_free(&l->o);
}

static void begin(struct loaded *l)
{
	*l = (struct loaded){0};
	if (options_new(&agent_option_table, &l->c, &l->o) < 0)
		abort();
}

static void check_words(struct str lines)
{
	if (!lines.n || lines.p[lines.n - 1] != '\n')
		abort();
	for (size_t i = 0; i + 1 < lines.n; i++)
		if ((unsigned char)lines.p[i] < 0x20 && lines.p[i] != '\n')
			abort();
}

/* The printed configuration, as a file, changes nothing. */
static void check_print(const struct loaded *start, const struct loaded *l)
{
	__attribute__((cleanup(done))) struct loaded again;
	_buf_ struct buf text = {.max = 8 << 20};
	size_t at = 0;

	begin(&again);
	if (options_print(l->o, &text) < 0)
		return; /* larger than a file may be */
	if (text.n < 1 << 20 &&
	    agent_config_load_again(start->o, "printed", buf_str(&text), again.o, &again.c) < 0)
		abort();
	if (text.n < 1 << 20 && options_next_change(l->o, again.o, &at))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	__attribute__((cleanup(done))) struct loaded start;
	__attribute__((cleanup(done))) struct loaded l;
	int r;

	begin(&start);
	begin(&l);
	if (agent_config_load(start.o, 0, NULL, NULL, &start.c) < 0)
		abort();
	r = agent_config_load_again(start.o, "file", str_make(data, size), l.o, &l.c);
	if (r == 0)
		check_print(&start, &l);
	else if (r == -EINVAL)
		check_words(options_errors(l.o));
	else
		abort();
	return 0;
}
