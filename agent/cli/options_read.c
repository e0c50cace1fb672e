#include "cli/options_read.h"

#include "base/buf.h"
#include "cli/cmd_help.h"

#include <stdio.h>
#include <unistd.h>

#define TEXT_MAX (64U << 10)

static int print_help(const struct option_table *t)
{
	_buf_ struct buf text = {.max = TEXT_MAX};

	if (option_table_help(t, &text) < 0 ||
	    (!str_ends(buf_str(&text), STR("\n")) && buf_append_str(&text, STR("\n")) < 0))
		return EXIT_FAILED;
	return printf("%.*s", STR_ARG(buf_str(&text))) < 0 ? EXIT_FAILED : EXIT_OK;
}

static void say_errors(const struct option_table *t, const struct options *o)
{
	struct str lines = o ? options_errors(o) : (struct str){0}, line;

	if (!lines.n)
		lines = STR("out of memory\n");
	while (lines.n) {
		(void)str_split(&lines, '\n', &line);
		fprintf(stderr, "%s: %.*s\n", t->command, STR_ARG(line));
	}
}

int options_read(const struct option_table *t, void *target, int argc, char **argv,
		 struct options **ret)
{
	_options_ struct options *o = NULL;
	int r = options_new(t, target, &o);

	if (r == 0)
		r = options_load(o, argc, argv, environ);
	if (r < 0) {
		say_errors(t, o);
		return EXIT_USAGE;
	}
	if (options_help_wanted(o))
		return print_help(t);
	*ret = TAKE_PTR(o);
	return OPTIONS_RUN;
}
