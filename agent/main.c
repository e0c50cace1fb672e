/*
 * The sub-command table. Everything a command does stands in cli/.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cmd_agent.h"
#include "cli/cmd_decode.h"
#include "cli/cmd_export.h"
#include "cli/cmd_flows.h"
#include "cli/cmd_graph.h"
#include "cli/cmd_help.h"
#include "cli/cmd_reducer.h"
#include "cli/cmd_search.h"
#include "cli/cmd_sinks.h"
#include "cli/cmd_version.h"
#include "cli/cmd_whois.h"

static int cmd_help(int argc, char **argv);

static const struct command commands[] = {
	{"agent", cmd_agent, "watch pods and tell a reducer which workload they belong to"},
	{"flows", cmd_flows, "show the flows that the agent of this node sees"},
	{"whois", cmd_whois, "say what an address, process, container, cgroup or pod is"},
	{"export", cmd_export, "print the resources that the agent holds, redacted"},
	{"search", cmd_search, "find objects of the cluster by words"},
	{"sinks", cmd_sinks, "say what the agent's databases have, wait for and refused"},
	{"graph", cmd_graph, "show what an object needs and what needs it"},
	{"reducer", cmd_reducer, "be the reducer: check the protocol, show workloads and pods"},
	{"decode", cmd_decode, "print a captured agent-to-reducer stream as JSON lines"},
	{"version", cmd_version, "print version, commit and the libraries in use"},
	{"help", cmd_help, "print this, or a command's options"},
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "kindred: unknown command \"%s\"; `kindred help` lists them\n", name);
	return EXIT_USAGE;
}

static int cmd_help(int argc, char **argv)
{
	char help[] = "--help";
	const struct command *c;

	if (argc > 1 && strcmp(argv[1], "--markdown") == 0)
		return help_markdown();
	if (argc > 1 && strcmp(argv[1], "help") != 0 && strcmp(argv[1], "version") != 0) {
		char *words[] = {argv[1], help, NULL};

		c = command_find(argv[1]);
		return c ? c->run(2, words) : unknown_command(argv[1]);
	}
	help_print(commands, ARRAY_SIZE(commands));
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		help_print(commands, ARRAY_SIZE(commands));
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)
		return cmd_help(1, argv);
	if (strcmp(argv[1], "--version") == 0)
		return cmd_version(1, argv);
	c = command_find(argv[1]);
	return c ? c->run(argc - 1, argv + 1) : unknown_command(argv[1]);
}

/* What is still in the buffer may not find room: a full disk is a failure too. */
static int end_output(int code)
{
	if ((fflush(stdout) == 0 && !ferror(stdout)) || code != EXIT_OK)
		return code;
	fprintf(stderr, "kindred: standard output cannot be written\n");
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	mem_setup();
	return end_output(run(argc, argv));
}
