#include "cli/agent_series.h"

#include "cli/agent_lead.h"
#include "cli/agent_memory.h"
#include "cli/agent_parts.h"
#include "cli/process_series.h"
#include "cli/reducer_series.h"
#include "cli/watch_series.h"
#include "sink/metrics/prom.h"

static void put_scrapers(struct prom *p, const struct review *r)
{
	static const char name[] = "kindred_scrapers_total";
	struct review_counters n = {0};

	if (r)
		review_counters(r, &n);
	prom_family(p, name, "counter", "Answers about who may read /metrics (--probe-auth kube).");
	prom_named(p, name, "answer", "yes", n.yes);
	prom_named(p, name, "answer", "nobody", n.nobody);
	prom_named(p, name, "answer", "no", n.no);
	prom_named(p, name, "answer", "unknown", n.unknown);
}

static void put_config(struct prom *p, const struct reload *r)
{
	static const char name[] = "kindred_config_reloads_total";
	const struct reload_stats s = r ? reload_stats(r) : (struct reload_stats){.good = true};

	prom_family(p, name, "counter",
		    "Configurations that a file, SIGHUP or the ConfigMap brought, by what became "
		    "of them.");
	prom_named(p, name, "result", "taken", s.taken);
	prom_named(p, name, "result", "refused", s.refused);
	prom_family(p, "kindred_config_last_reload_success", "gauge",
		    "1 while the last of them was taken, or there was none.");
	prom_u64(p, "kindred_config_last_reload_success", (struct str){0}, s.good);
	prom_family(p, "kindred_config_restart_options", "gauge",
		    "Options that the configuration has changed and that need a restart.");
	prom_u64(p, "kindred_config_restart_options", (struct str){0}, s.waiting);
}

static int own_series(struct agent *a, struct buf *out)
{
	struct prom p = {.out = out};

	prom_family(&p, "kindred_loop_lag_seconds", "histogram",
		    "How late the loop came to a timer that is due four times a second.");
	prom_hist(&p, "kindred_loop_lag_seconds", (struct str){0}, &a->lag.lag);
	agent_memory_series(a, &p);
	put_scrapers(&p, a->review);
	put_config(&p, a->reload);
	if (a->peers)
		agent_peers_series(a->peers, &p);
	agent_otlp_series(a->otlp, &p);
	if (a->publish)
		agent_publish_series(a->publish, &p);
	return p.r;
}

int agent_series(struct agent *a, struct buf *out)
{
	int r = own_series(a, out);

	if (r == 0)
		r = process_series(out);
	if (r == 0)
		r = watch_series(a->core, &a->budget, out);
	if (r == 0)
		r = reducer_series(a->core, a->conn, out);
	if (r == 0)
		r = agent_lead_series(a, out);
	if (r == 0)
		r = agent_resources_series(a->resources, out);
	return r < 0 ? r : agent_sinks_series(a->sinks, out);
}
