#include "cli/cmd_help.h"

#include <stdio.h>

#include "base/buf.h"
#include "config/agent_options.h"

void help_print(const struct command *commands, size_t n)
{
	puts("Usage: kindred COMMAND [OPTIONS]\n\nCommands:");
	for (size_t i = 0; i < n; i++)
		printf("  %-11s %s\n", commands[i].name, commands[i].help);
	puts("\n`kindred COMMAND --help` lists a command's options.\n\n"
	     "Exit codes:\n"
	     "  0  done, or stopped by SIGTERM or SIGINT\n"
	     "  1  failed; for status: a condition fails; for whois, pods, workloads, search: not\n"
	     "     known, or there are none; for decode: the stream is malformed; for agent\n"
	     "     --check-access: some permissions are missing\n"
	     "  2  usage or configuration error\n"
	     "  3  no agent answers");
}

int help_markdown(void)
{
	_buf_ struct buf text = {.max = 256 * 1024};

	if (option_table_markdown(&agent_option_table, &text) < 0)
		return EXIT_FAILED;
	printf("%.*s", STR_ARG(buf_str(&text)));
	return EXIT_OK;
}
