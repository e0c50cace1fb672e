#include "cli/reducer_series.h"

#include "base/mem.h"
#include "sink/metrics/prom.h"

#include <stdio.h>

/* What is not told, by cause. */
static void put_untold(struct prom *p, const struct session_flow_counters *f)
{
	static const char name[] = "kindred_reducer_untold_total";
	const struct {
		const char *cause;
		uint64_t v;
	} causes[] = {
		{"local", f->local},
		{"dropped", f->dropped},
		{"udp_full", f->udp_full},
		{"dns_lost", f->dns_lost},
		{"dns_without_end", f->dns_untold},
		{"ipv6_translation", f->nat_v6},
		{"processes_full", f->procs_full},
		{"began_before", f->began_before},
	};

	prom_family(p, name, "counter",
		    "Flows, processes, answers and translations not told, or not whole, by cause.");
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		prom_named(p, name, "cause", causes[i].cause, causes[i].v);
}

static void put_messages(struct prom *p, const struct session_counters *s)
{
	static const char name[] = "kindred_reducer_messages_total";
	const struct {
		const char *kind;
		uint64_t v;
	} kinds[] = {
		{"pod_new", s->pods_new},     {"pod_container", s->containers},
		{"pod_delete", s->deletes},   {"heartbeat", s->heartbeats},
		{"cgroup", s->flows.cgroups}, {"process", s->flows.procs},
		{"socket", s->flows.socks},   {"udp_socket", s->flows.udp_socks},
		{"stats", s->flows.stats},    {"dns", s->flows.dns},
		{"other", s->other},
	};

	prom_family(p, name, "counter", "Messages told to the reducer, by kind.");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		prom_named(p, name, "kind", kinds[i].kind, kinds[i].v);
}

/* Of the pods that were told, by how their workload was found. */
static void put_owners(struct prom *p, const struct session_counters *s)
{
	static const char resolved[] = "kindred_owners_resolved_total";
	static const char unresolved[] = "kindred_owners_unresolved_total";
	char hops[16];

	prom_family(
		p, resolved, "counter",
		"Pods told with their workload, by the owners from the pod up to it; 4: or more.");
	for (int i = 0; i < SESSION_HOPS; i++) {
		(void)snprintf(hops, sizeof(hops), "%d", i);
		prom_named(p, resolved, "hops", hops, s->hops[i]);
	}
	prom_family(p, unresolved, "counter",
		    "Pods told with the last owner that is known, by why the next one is not.");
	prom_named(p, unresolved, "reason", "not_seen", s->unresolved[MATCH_END_UNKNOWN]);
	prom_named(p, unresolved, "reason", "not_readable", s->unresolved[MATCH_END_REFUSED]);
	prom_named(p, unresolved, "reason", "cycle", s->unresolved[MATCH_END_CYCLE]);
	prom_one(p, "kindred_owners_waits_total", "counter",
		 "Pods that began to wait for an owner.", s->waits);
	prom_family(p, "kindred_owners_given_up_total", "counter",
		    "Pods that wait for an owner no more, by cause.");
	prom_named(p, "kindred_owners_given_up_total", "cause", "timeout",
		   s->timeouts - MIN(s->overflows, s->timeouts));
	prom_named(p, "kindred_owners_given_up_total", "cause", "full", s->overflows);
	prom_one(p, "kindred_reducer_waiting_pods", "gauge", "Pods that wait for their owner.",
		 s->waiting);
}

static void put_connection(struct prom *p, const struct conn_status *c)
{
	prom_one(p, "kindred_reducer_connected", "gauge", "1 while the reducer takes what is told.",
		 c->state == CONN_UP);
	prom_one(p, "kindred_reducer_connects_total", "counter", "Connections made.", c->connects);
	prom_one(p, "kindred_reducer_failures_total", "counter",
		 "Connections that could not be made.", c->failures);
	prom_one(p, "kindred_reducer_losses_total", "counter", "Connections that were lost.",
		 c->losses);
	prom_one(p, "kindred_reducer_stalls_total", "counter",
		 "Connections given up because the reducer took nothing.", c->stalls);
}

static void put_lag(struct prom *p, const struct session *s, const struct conn_status *c)
{
	const nsec_t now = clock_mono();

	prom_one(p, "kindred_reducer_lag_changes", "gauge", "Changed pods not looked at yet.",
		 session_lag(s));
	prom_family(p, "kindred_reducer_lag_seconds", "gauge",
		    "How long the oldest change has waited, or the agent for a connection.");
	prom_seconds(p, "kindred_reducer_lag_seconds", (struct str){0},
		     c->behind && now > c->behind ? now - c->behind : 0, NSEC_PER_SEC);
	prom_family(p, "kindred_reducer_send_seconds", "histogram",
		    "From something to tell until the socket had taken all of it.");
	prom_hist(p, "kindred_reducer_send_seconds", (struct str){0}, c->sends);
}

int reducer_series(struct core *core, const struct conn *conn, struct buf *out)
{
	struct prom p = {.out = out};
	struct session_counters s;
	struct conn_status c;

	session_counters(core_session(core), &s);
	conn_status(conn, &c);
	put_connection(&p, &c);
	put_lag(&p, core_session(core), &c);
	prom_one(&p, "kindred_reducer_bytes_total", "counter", "Bytes given to the connection.",
		 s.wire_bytes);
	prom_one(&p, "kindred_reducer_plain_bytes_total", "counter",
		 "The same before their compression by LZ4.", s.plain_bytes);
	prom_one(&p, "kindred_reducer_unsent_bytes_total", "counter",
		 "Bytes that were in the buffers when a connection ended.", s.unsent);
	prom_one(&p, "kindred_reducer_epochs_total", "counter",
		 "Snapshots begun, each with a new epoch.", s.epochs);
	prom_one(&p, "kindred_reducer_epoch", "gauge", "The epoch that was told last.", s.epoch);
	prom_one(&p, "kindred_reducer_resyncs_total", "counter",
		 "Epochs begun while connected, for whatever reason.", s.resyncs);
	put_owners(&p, &s);
	put_messages(&p, &s);
	put_untold(&p, &s.flows);
	return p.r;
}
