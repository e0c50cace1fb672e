#include "cli/cmd_completion.h"

#include "base/mem.h"
#include "cli/cmd_help.h"
#include "cli/completion.h"
#include "cli/man_page.h"
#include "cli/options_read.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (4UL << 20)

const struct option_table cmd_completion_options = {
	.command = "kindred completion",
	.args = "bash|zsh",
	.about = "Prints a script that completes commands and options. For the shell that is "
		 "running: source <(kindred completion bash).",
	.args_max = 1,
};

const struct option_table cmd_man_options = {
	.command = "kindred man",
	.about = "Prints the manual page, for man -l -, with the options of all commands.",
};

static int print(int r, const struct buf *text)
{
	if (r < 0)
		fprintf(stderr, "kindred: %s\n", strerror(-r));
	else
		(void)fwrite(buf_str(text).p, 1, text->n, stdout);
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_completion(const struct command *commands, size_t n, int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_buf_ struct buf text = {.max = TEXT_MAX};
	int none, r = options_read(&cmd_completion_options, &none, argc, argv, &options);
	const char *shell;

	if (r != OPTIONS_RUN)
		return r;
	shell = options_args(options).n ? options_args(options).v[0] : "";
	if (strcmp(shell, "bash") == 0)
		return print(completion_bash(commands, n, &text), &text);
	if (strcmp(shell, "zsh") == 0)
		return print(completion_zsh(commands, n, &text), &text);
	fprintf(stderr, "kindred completion: there is bash and zsh\n");
	return EXIT_USAGE;
}

int cmd_man(const struct command *commands, size_t n, int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_buf_ struct buf text = {.max = TEXT_MAX};
	int none, r = options_read(&cmd_man_options, &none, argc, argv, &options);

	return r == OPTIONS_RUN ? print(man_page(commands, n, &text), &text) : r;
}
