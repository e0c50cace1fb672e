#include "cli/status_advice.h"

#include "base/mem.h"
#include "cli/prom_read.h"

#include <stdio.h>
#include <string.h>

static bool says(struct str s, const char *word)
{
	return s.n && memmem(s.p, s.n, word, strlen(word));
}

static const char *watch_advice(struct str message)
{
	if (says(message, "orbidden") || says(message, "403"))
		return "it may not: `kindred agent --check-access`, run as the agent, prints the "
		       "rules that are missing";
	if (says(message, "401") || says(message, "nauthorized"))
		return "its credentials are refused: see --token-file, --kubeconfig, and whether "
		       "the service account still exists";
	return "see whether the API server can be reached from here (--api-server, a "
	       "NetworkPolicy, DNS); the agent goes on trying";
}

const char *status_advice(struct str condition, struct str message)
{
	static const struct {
		const char *prefix, *advice;
	} all[] = {
		{"reducer", "see whether a reducer listens at --intake-host and --intake-port, and "
			    "a NetworkPolicy lets the agent reach it; the agent goes on trying"},
		{"lease", "see whether it may get, create and update Leases: `kindred agent "
			  "--check-access`"},
		{"peers", "see whether a collector with --serve-peers runs at --peers and takes "
			  "--peers-token-file"},
		{"resources", "`kindred agent --check-access` says what may not be read; the log "
			      "names each kind"},
		{"vector", "`kindred sinks` says what waits; see whether the database and the "
			   "embedder answer"},
		{"graph", "`kindred sinks` says what waits; see whether the graph's database "
			  "answers, or its file can be written"},
		{"otlp", "`kindred sinks` says what the collector answers; see whether it listens "
			 "at --otlp for OTLP/HTTP (4318, not gRPC's 4317)"},
		{"events", "`kindred sinks` says what waits; see whether the webhook answers"},
	};

	if (str_starts(condition, STR("watch ")))
		return watch_advice(message);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (str_starts(condition, str_of(all[i].prefix)))
			return all[i].advice;
	return "the agent's log says more";
}

/* Figures that are 0 while all is well. */
static const struct remark {
	const char *name, *with, *what, *advice;
} remarks[] = {
	{"kindred_flows_unaccounted", "", "TCP flows are not accounted for",
	 "that is a fault of the agent: please report it with /metrics"},
	{"kindred_flows_dropped_total", "", "TCP flows were lost",
	 "the label cause of kindred_flows_dropped_total says where; --flow-sockets and "
	 "--flow-ring "
	 "make room"},
	{"kindred_inventory_lost_total", "", "objects were not kept", "raise --inventory-max"},
	{"kindred_owners_unresolved_total", "reason=\"not_readable\"",
	 "pods are told without their workload, for an owner may not be read",
	 "`kindred agent --check-access` prints the rules that are missing"},
	{"kindred_config_restart_options", "", "changed options wait for a restart",
	 "restart the agent; its log names them"},
	{"kindred_resource_state", "state=\"forbidden\"", "kinds of resources may not be read",
	 "`kindred agent --check-access` prints the rules that are missing"},
	{"kindred_jsonl_lines_lost_total", "", "lines of flows were lost",
	 "what reads --flows-out is too slow"},
	{"kindred_otlp_lost_total", "", "flows did not reach the OpenTelemetry collector",
	 "the label cause of kindred_otlp_lost_total says why"},
	{"kindred_flow_series_overflows_total", "", "counts of flows went to the series \"other\"",
	 "raise --flow-series"},
	{"kindred_watch_bad_objects_total", "", "objects were left out or cut",
	 "the log names them; --max-object-size bounds them"},
};

int status_remarks(struct str metrics, int (*tell)(void *ctx, const char *what, const char *advice),
		   void *ctx)
{
	char what[256];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(remarks) && r == 0; i++) {
		const double n = prom_sum(metrics, remarks[i].name, remarks[i].with);

		if (n <= 0)
			continue;
		(void)snprintf(what, sizeof(what), "%.0f %s", n, remarks[i].what);
		r = tell(ctx, what, remarks[i].advice);
	}
	if (r == 0 && says(metrics, "\nkindred_config_last_reload_success 0\n"))
		r = tell(ctx, "the last change of the configuration was refused",
			 "the log says why; the one before is in use");
	return r;
}
