/*
 * The sub-command table. Everything a command does stands in cli/.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cmd_agent.h"
#include "cli/cmd_completion.h"
#include "cli/cmd_decode.h"
#include "cli/cmd_export.h"
#include "cli/cmd_flows.h"
#include "cli/cmd_graph.h"
#include "cli/cmd_help.h"
#include "cli/cmd_pods.h"
#include "cli/cmd_reducer.h"
#include "cli/cmd_search.h"
#include "cli/cmd_sinks.h"
#include "cli/cmd_status.h"
#include "cli/cmd_top.h"
#include "cli/cmd_version.h"
#include "cli/cmd_whois.h"
#include "cli/cmd_workloads.h"
#include "cli/options_read.h"

static int cmd_help(int argc, char **argv);
static int completion(int argc, char **argv);
static int man(int argc, char **argv);

static const struct option_table help_options = {
	.command = "kindred help",
	.args = "[COMMAND]",
	.about = "Lists the commands, or prints the options of one.",
	.args_max = 1,
};

static const struct command commands[] = {
	{"status", cmd_status, &cmd_status_options,
	 "say whether the agent works, if not why, and what to do"},
	{"flows", cmd_flows, &cmd_flows_options, "show the flows that the agent of this node sees"},
	{"top", cmd_top, &cmd_top_options, "show the traffic between workloads, live"},
	{"pods", cmd_pods, &cmd_pods_options, "show the pods that the agent knows"},
	{"workloads", cmd_workloads, &cmd_workloads_options, "show the workloads behind them"},
	{"whois", cmd_whois, &cmd_whois_options,
	 "say what an address, process, container, cgroup or pod is"},
	{"search", cmd_search, &cmd_search_options, "find objects of the cluster by words"},
	{"graph", cmd_graph, &cmd_graph_options, "show what an object needs and what needs it"},
	{"sinks", cmd_sinks, &cmd_sinks_options,
	 "say what the agent's databases have, wait for and refused"},
	{"export", cmd_export, &cmd_export_options,
	 "print the resources that the agent holds, redacted"},
	{"agent", cmd_agent, &agent_option_table,
	 "watch pods and tell a reducer which workload they belong to"},
	{"reducer", cmd_reducer, &cmd_reducer_options,
	 "be the reducer: check the protocol, show workloads and pods"},
	{"decode", cmd_decode, &cmd_decode_options,
	 "print a captured agent-to-reducer stream as JSON lines"},
	{"completion", completion, &cmd_completion_options, "print completion for bash or zsh"},
	{"man", man, &cmd_man_options, "print the manual page"},
	{"version", cmd_version, &cmd_version_options,
	 "print version, commit and the libraries in use"},
	{"help", cmd_help, &help_options, "print this, or a command's options"},
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int completion(int argc, char **argv)
{
	return cmd_completion(commands, ARRAY_SIZE(commands), argc, argv);
}

static int man(int argc, char **argv)
{
	return cmd_man(commands, ARRAY_SIZE(commands), argc, argv);
}

static int unknown_command(const char *name)
{
	fprintf(stderr, "kindred: unknown command \"%s\"; `kindred help` lists them\n", name);
	return EXIT_USAGE;
}

static int cmd_help(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	char help[] = "--help", *words[] = {NULL, help, NULL};
	const struct command *c;
	int none, r;

	if (argc > 1 && strcmp(argv[1], "--markdown") == 0)
		return help_markdown();
	r = options_read(&help_options, &none, argc, argv, &options);
	if (r != OPTIONS_RUN)
		return r;
	if (options_args(options).n) {
		words[0] = argv[argc - 1];
		c = command_find(words[0]);
		return c ? c->run(2, words) : unknown_command(words[0]);
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
