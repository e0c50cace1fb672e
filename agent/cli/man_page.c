#include "cli/man_page.h"

#include "base/mem.h"
#include "cli/cmd_help.h"
#include "config/option.h"
#include "config/version.h"

static const char head[] =
	".SH NAME\n"
	"kindred \\- knows which workload every pod, container and connection of a node belongs "
	"to\n"
	".SH SYNOPSIS\n"
	".B kindred\n"
	".I COMMAND\n"
	".RI [ OPTION ...]\n"
	".SH DESCRIPTION\n"
	".B kindred agent\n"
	"watches a node's pods and their owners through the Kubernetes API, observes its TCP and "
	"UDP flows\n"
	"with eBPF, and tells a telemetry reducer. Most other commands ask a running agent, over "
	"its unix\n"
	"socket or at its address; they print a table that fits the terminal, the same with "
	"everything in it\n"
	".RB ( \"\\-o wide\" ),\n"
	"or JSON\n"
	".RB ( \"\\-o json\" ).\n"
	"What has no table says with\n"
	".B \\-\\-help\n"
	"what it prints instead; nothing of that is ever cut.\n"
	"Colours are on terminals alone, and not with\n"
	".BR NO_COLOR .\n";

static const char tail[] =
	".SH SERVICE\n"
	".B kindred.service\n"
	"runs\n"
	".B kindred agent\n"
	"as user\n"
	".BR kindred ,\n"
	"with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN and nothing else, once\n"
	".I /etc/kindred/kubeconfig\n"
	"is there. That file has to be readable for the user:\n"
	".PP\n"
	".RS\n"
	"install \\-o root \\-g kindred \\-m 0640 kubeconfig /etc/kindred/kubeconfig\n"
	".br\n"
	"systemctl start kindred\n"
	".RE\n"
	".PP\n"
	".B systemctl reload kindred\n"
	"(SIGHUP) reads its files anew.\n"
	".SH FILES\n"
	".TP\n"
	".I /etc/kindred/config.yaml\n"
	"options of the service, by their names without the dashes\n"
	".TP\n"
	".I /etc/kindred/kubeconfig\n"
	"credentials for the API server\n"
	".TP\n"
	".I /etc/default/kindred\n"
	"environment of the service, which beats the file of options\n"
	".TP\n"
	".I /run/kindred/agent.sock\n"
	"where commands ask the agent\n"
	".SH EXIT STATUS\n"
	".TP\n"
	".B 0\n"
	"done, or stopped by a signal; of status: the agent works\n"
	".TP\n"
	".B 1\n"
	"failed; of status: a condition fails; of whois, search, pods, workloads: not known, none\n"
	".TP\n"
	".B 2\n"
	"wrong options, or a question that is not understood\n"
	".TP\n"
	".B 3\n"
	"no agent answers\n";

int man_page(const struct command *commands, size_t n, struct buf *out)
{
	int r = buf_printf(out, ".TH KINDRED 8 \"\" \"kindred %s\" \"System Manager's Manual\"\n",
			   kindred_version);

	r = r ?: buf_append_str(out, str_of(head));
	r = r ?: buf_append_str(out, STR(".SH COMMANDS\n"));
	for (size_t i = 0; i < n && r == 0; i++)
		r = option_table_man(commands[i].options, out);
	return r ?: buf_append_str(out, str_of(tail));
}
