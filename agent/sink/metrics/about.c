#include "sink/metrics/about.h"

#include "base/mem.h"
#include "flow_abi.h"
#include "sink/metrics/prom.h"

#include <stdio.h>

/* ---- flows ----------------------------------------------------------------------------------- */

static void put_ledger(struct prom *p, const struct flows_stats *s)
{
	prom_one(p, "kindred_flows_started_total", "counter",
		 "TCP flows that the kernel saw begin: reported + open + dropped + unaccounted.",
		 s->started);
	prom_one(p, "kindred_flows_reported_total", "counter",
		 "TCP flows that have ended and were reported.", s->reported);
	prom_one(p, "kindred_flows_open", "gauge", "TCP flows that have not been reported.",
		 s->open);
	prom_family(p, "kindred_flows_unaccounted", "gauge",
		    "Started - reported - open - dropped: 0, but for moments.");
	prom_i64(p, "kindred_flows_unaccounted", (struct str){0}, s->unaccounted);
	prom_family(p, "kindred_flows_dropped_total", "counter", "TCP flows lost, by cause.");
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		prom_named(p, "kindred_flows_dropped_total", "cause",
			   flow_drop_name((enum flow_drop)i), s->dropped[i]);
	prom_one(p, "kindred_flows_udp_started_total", "counter", "UDP conversations that began.",
		 s->udp_started);
	prom_one(p, "kindred_flows_udp_ended_total", "counter",
		 "UDP conversations that fell silent.", s->udp_ended);
	prom_one(p, "kindred_flows_udp_open", "gauge", "UDP conversations under way.", s->udp_open);
	prom_family(p, "kindred_flows_lost_total", "counter",
		    "Flows reported without having seen their end, by cause.");
	prom_named(p, "kindred_flows_lost_total", "cause", "evicted", s->evicted);
	prom_named(p, "kindred_flows_lost_total", "cause", "close_lost", s->close_lost);
	prom_one(p, "kindred_flows_pre_existing_total", "counter",
		 "Flows that were open before the agent was.", s->pre_existing);
	prom_one(p, "kindred_flows_pre_existing_unknown_total", "counter",
		 "Of those, the ones whose cgroup could not be told.", s->pre_existing_unknown);
}

static void put_known(struct prom *p, const char *name, const uint64_t known[_KNOWN_BY_MAX])
{
	for (int i = KNOWN_NOT + 1; i < _KNOWN_BY_MAX; i++)
		prom_named(p, name, "known_by", known_by_name((enum known_by)i), known[i]);
}

static void put_unknown(struct prom *p, const char *name,
			const uint64_t unknown[_UNKNOWN_REASON_MAX])
{
	for (int i = UNKNOWN_NONE + 1; i < _UNKNOWN_REASON_MAX; i++)
		prom_named(p, name, "reason", unknown_reason_name((enum unknown_reason)i),
			   unknown[i]);
}

static void put_names(struct prom *p, const struct flows_stats *s)
{
	prom_family(p, "kindred_flows_known_local_total", "counter",
		    "Flows whose local end has a name, by how it is known.");
	put_known(p, "kindred_flows_known_local_total", s->known_local);
	prom_family(p, "kindred_flows_known_remote_total", "counter",
		    "Flows whose remote end has a name, by how it is known.");
	put_known(p, "kindred_flows_known_remote_total", s->known_remote);
	prom_family(p, "kindred_flows_unknown_local_total", "counter",
		    "Flows whose local end has no name, by reason.");
	put_unknown(p, "kindred_flows_unknown_local_total", s->unknown_local);
	prom_family(p, "kindred_flows_unknown_remote_total", "counter",
		    "Flows whose remote end has no name, by reason.");
	put_unknown(p, "kindred_flows_unknown_remote_total", s->unknown_remote);
	prom_one(p, "kindred_flows_pending", "gauge", "Flows that wait for their pod.", s->pending);
	prom_family(p, "kindred_flows_pending_given_up_total", "counter",
		    "Flows that wait no more for their pod, by cause.");
	prom_named(p, "kindred_flows_pending_given_up_total", "cause", "full", s->pending_full);
	prom_named(p, "kindred_flows_pending_given_up_total", "cause", "timeout",
		   s->pending_timeouts);
}

/* Bounds that were met: what is not known for it. */
static void put_bounds(struct prom *p, const struct flows_stats *s)
{
	static const char name[] = "kindred_flow_table_refused_total";

	prom_family(p, name, "counter", "Entries that a full table left out or let go of.");
	prom_named(p, name, "table", "cgroups", s->cgroups_refused);
	prom_named(p, name, "table", "processes", s->procs_refused);
	prom_named(p, name, "table", "translations", s->nats_forgotten);
	prom_named(p, name, "table", "udp_local_drops", s->udp_drops_forgotten);
	prom_family(p, "kindred_flows_in_doubt_total", "counter",
		    "Flows of which several translations, or other ends, were possible.");
	prom_named(p, "kindred_flows_in_doubt_total", "of", "translation", s->nats_ambiguous);
	prom_named(p, "kindred_flows_in_doubt_total", "of", "twin", s->twins_ambiguous);
	prom_one(p, "kindred_flow_records_lost_total", "counter",
		 "Records that no memory was left for.", s->records_lost);
	prom_family(p, "kindred_udp_dropped_total", "counter",
		    "UDP datagrams that a full socket did not take, by whether their conversation "
		    "is known.");
	prom_named(p, "kindred_udp_dropped_total", "conversation", "known",
		   s->udp_drops - s->udp_drops_unplaced);
	prom_named(p, "kindred_udp_dropped_total", "conversation", "unknown",
		   s->udp_drops_unplaced);
}

static void put_tables(struct prom *p, const struct flows_stats *s)
{
	prom_family(p, "kindred_flow_table_entries", "gauge", "Entries held, by table.");
	prom_named(p, "kindred_flow_table_entries", "table", "flows", s->flows);
	prom_named(p, "kindred_flow_table_entries", "table", "ended", s->ended);
	prom_named(p, "kindred_flow_table_entries", "table", "cgroups", s->cgroups);
	prom_named(p, "kindred_flow_table_entries", "table", "processes", s->procs);
	prom_named(p, "kindred_flow_table_entries", "table", "translations", s->nats);
	prom_named(p, "kindred_flow_table_entries", "table", "dns_queries", s->dns_open);
	prom_one(p, "kindred_flow_records_total", "counter", "Records read from the kernel's ring.",
		 s->records);
	prom_one(p, "kindred_flow_bad_records_total", "counter", "Records that could not be read.",
		 s->bad_records);
	prom_one(p, "kindred_flow_polls_total", "counter", "Passes over the kernel's maps.",
		 s->polls);
	prom_family(p, "kindred_dns_transactions_total", "counter",
		    "DNS transactions, by what became of them.");
	prom_named(p, "kindred_dns_transactions_total", "result", "seen", s->dns_transactions);
	prom_named(p, "kindred_dns_transactions_total", "result", "timeout", s->dns_timeouts);
	prom_named(p, "kindred_dns_transactions_total", "result", "malformed", s->dns_bad);
	prom_named(p, "kindred_dns_transactions_total", "result", "lost", s->dns_lost);
}

/* What the programs count, by enum abi_count; one that is new there has no name here yet. */
static const char *const kernel_names[_ABI_COUNT_MAX] = {
	[ABI_COUNT_STARTED] = "sockets_started",
	[ABI_COUNT_ENDED] = "sockets_ended",
	[ABI_COUNT_DROP_SOCKS_FULL] = "dropped_sockets_full",
	[ABI_COUNT_DROP_CLOSE] = "dropped_close",
	[ABI_COUNT_DROP_CGROUP] = "dropped_cgroup",
	[ABI_COUNT_DROP_PROC] = "dropped_process",
	[ABI_COUNT_DROP_DNS] = "dropped_dns",
	[ABI_COUNT_DROP_UDP_FULL] = "dropped_udp_full",
	[ABI_COUNT_RING_FULL_OPEN] = "ring_full_open",
	[ABI_COUNT_RING_FULL_CLOSE] = "ring_full_close",
	[ABI_COUNT_PRE_EXISTING] = "pre_existing",
	[ABI_COUNT_RETRANSMITS] = "retransmits",
	[ABI_COUNT_RST_SENT] = "resets_sent",
	[ABI_COUNT_RST_RECEIVED] = "resets_received",
};

static void put_kernel(struct prom *p, const struct flows_stats *s)
{
	prom_family(p, "kindred_kernel_events_total", "counter",
		    "What the eBPF programs counted; dropped_* and ring_full_* are losses, of "
		    "which ring_full_* are made good by the next poll.");
	for (size_t i = 0; i < MIN(ARRAY_SIZE(kernel_names), ARRAY_SIZE(s->kernel)); i++)
		if (kernel_names[i])
			prom_named(p, "kindred_kernel_events_total", "event", kernel_names[i],
				   s->kernel[i]);
}

/* ---- the probe ------------------------------------------------------------------------------- */

static void put_features(struct prom *p, const struct probe *probe)
{
	prom_family(p, "kindred_flow_feature_on", "gauge",
		    "1: this source of flows works, 0: it is off; the log says why.");
	for (int i = 0; i < _PROBE_FEATURE_MAX; i++)
		prom_named(p, "kindred_flow_feature_on", "feature",
			   probe_feature_name((enum probe_feature)i),
			   probe_status(probe, (enum probe_feature)i).on);
	prom_one(p, "kindred_flow_tier", "gauge",
		 "0: no capabilities for eBPF, 1: CAP_BPF and CAP_PERFMON, 2: CAP_NET_ADMIN "
		 "besides.",
		 (uint64_t)probe_tier(probe));
}

static void put_probe(struct prom *p, const struct probe *probe, nsec_t now)
{
	struct probe_counters c;

	probe_counters(probe, &c);
	put_features(p, probe);
	prom_one(p, "kindred_ring_reads_total", "counter", "Times the kernel's ring was read.",
		 c.ring_reads);
	prom_family(p, "kindred_ring_age_seconds", "gauge", "Since the ring was last read.");
	prom_seconds(p, "kindred_ring_age_seconds", (struct str){0},
		     now > c.last_read ? now - c.last_read : 0, NSEC_PER_SEC);
	prom_one(p, "kindred_conntrack_events_total", "counter", "Address translations told of.",
		 c.conntrack_events);
	prom_one(p, "kindred_conntrack_lost_total", "counter",
		 "Times the kernel had to leave out conntrack events.", c.conntrack_lost);
	prom_one(p, "kindred_pods_hooked", "gauge", "Pods' cgroups with connect hooks.",
		 c.pods_hooked);
	prom_one(p, "kindred_pods_not_hooked", "gauge",
		 "Pods' cgroups without connect hooks, for there are too many.", c.pods_left_out);
	prom_one(p, "kindred_pod_hooks_failed_total", "counter",
		 "Failed attempts at connect hooks.", c.pod_hooks_failed);
	prom_one(p, "kindred_flows_pre_existing_left_out", "gauge",
		 "Sockets that were open before the agent and found no room.", c.existing_left_out);
	prom_one(p, "kindred_kernel_memory_bytes", "gauge", "Memory of the eBPF maps.",
		 c.kernel_bytes);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void put_series(struct prom *p, const struct metrics_stats *s)
{
	prom_one(p, "kindred_flow_series", "gauge", "Series of flows, \"other\" not counted.",
		 s->series);
	prom_one(p, "kindred_flow_series_max", "gauge", "Most series of flows.", s->max_series);
	prom_one(p, "kindred_flow_series_overflows_total", "counter",
		 "Counts that went to \"other\" because there was no room.", s->overflows);
	prom_one(p, "kindred_flow_pairs_folded_total", "counter",
		 "Pairs that were long unused and gave their place back.", s->folded);
	prom_one(p, "kindred_dns_missed_total", "counter",
		 "DNS transactions that were not counted.", s->dns_missed);
	/* The last family of this function: the other sinks' series follow. */
	prom_family(p, "kindred_flow_sink_dropped_total", "counter",
		    "Ended flows that a sink was too slow for.");
	prom_named(p, "kindred_flow_sink_dropped_total", "sink", "metrics", s->dropped);
}

static void put_jsonl(struct prom *p, const struct jsonl_stats *s)
{
	prom_named(p, "kindred_flow_sink_dropped_total", "sink", "jsonl", s->dropped);
	prom_one(p, "kindred_jsonl_lines_total", "counter", "Lines written.", s->lines);
	prom_one(p, "kindred_jsonl_bytes_total", "counter", "Bytes written.", s->bytes);
	prom_one(p, "kindred_jsonl_errors_total", "counter", "Failed writes and openings.",
		 s->errors);
	prom_family(p, "kindred_jsonl_lines_lost_total", "counter", "Lines lost, by cause.");
	prom_named(p, "kindred_jsonl_lines_lost_total", "cause", "too_long", s->too_long);
	prom_named(p, "kindred_jsonl_lines_lost_total", "cause", "not_written", s->cut);
	prom_one(p, "kindred_jsonl_waiting_bytes", "gauge",
		 "Bytes that the output has yet to take.", s->waiting);
}

static void put_inventory(struct prom *p, const struct inventory_stats *s)
{
	prom_family(p, "kindred_inventory_objects", "gauge", "Objects held, by kind.");
	prom_named(p, "kindred_inventory_objects", "kind", "pods", s->pods);
	prom_named(p, "kindred_inventory_objects", "kind", "dead_pods", s->dead);
	prom_named(p, "kindred_inventory_objects", "kind", "owners", s->owners);
	prom_named(p, "kindred_inventory_objects", "kind", "containers", s->containers);
	prom_family(p, "kindred_inventory_changes_total", "counter",
		    "Pods and owners as they came, by what became of them.");
	prom_named(p, "kindred_inventory_changes_total", "change", "none", s->unchanged);
	prom_named(p, "kindred_inventory_changes_total", "change", "changed", s->changed);
	prom_named(p, "kindred_inventory_changes_total", "change", "deleted", s->deleted);
	prom_named(p, "kindred_inventory_changes_total", "change", "swept", s->swept);
	prom_family(p, "kindred_inventory_lost_total", "counter",
		    "What a maximum took, by cause: objects not kept, dead pods that a sink still "
		    "needed, container ids that are too long.");
	prom_named(p, "kindred_inventory_lost_total", "cause", "full", s->refused_full);
	prom_named(p, "kindred_inventory_lost_total", "cause", "dead_pods", s->dropped_dead);
	prom_named(p, "kindred_inventory_lost_total", "cause", "container_ids", s->long_ids);
	prom_one(p, "kindred_inventory_bytes", "gauge", "Memory of the inventory.", s->bytes);
}

static void put_build(struct prom *p, const struct about *a)
{
	char labels[256];

	(void)snprintf(labels, sizeof(labels), "version=\"%s\",commit=\"%s\"",
		       a->version ? a->version : "unknown", a->commit ? a->commit : "unknown");
	prom_family(p, "kindred_build_info", "gauge",
		    "Always 1; the labels are version and commit.");
	prom_u64(p, "kindred_build_info", str_of(labels), 1);
}

int about_print(const struct about *a, struct buf *out)
{
	struct prom p = {.out = out};

	put_build(&p, a);
	if (a->flows) {
		put_ledger(&p, a->flows);
		put_names(&p, a->flows);
		put_tables(&p, a->flows);
		put_bounds(&p, a->flows);
		put_kernel(&p, a->flows);
	}
	if (a->probe)
		put_probe(&p, a->probe, a->now);
	if (a->metrics)
		put_series(&p, a->metrics);
	if (a->metrics && a->jsonl)
		put_jsonl(&p, a->jsonl);
	if (a->inventory)
		put_inventory(&p, a->inventory);
	return p.r;
}
