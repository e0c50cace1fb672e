/*
 * The shape of a command, the exit codes they share, and the texts about all of them.
 */
#pragma once

#include <stddef.h>

struct option_table;

struct command {
	const char *name;
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit code */
	const struct option_table *options;
	const char *help; /* one line */
};

/* Exit codes all commands share. */
enum {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_ABSENT = 3, /* of those that ask an agent: nobody answers */
};

/* The list of commands and what the exit codes mean. */
void help_print(const struct command *commands, size_t n);
/* The README's options table, as markdown. Returns the exit code. */
int help_markdown(void);
