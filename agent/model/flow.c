/*
 * The words for what a flow is, as they stand in JSON lines, metrics and tables.
 */
#include "model/flow.h"

#include "base/mem.h"

#define WORD(table, i) ((size_t)(i) < ARRAY_SIZE(table) ? (table)[i] : "?")

const char *flow_proto_name(enum flow_proto p)
{
	static const char *const words[_FLOW_PROTO_MAX] = {"tcp", "udp"};

	return WORD(words, p);
}

const char *flow_dir_name(enum flow_dir d)
{
	static const char *const words[_FLOW_DIR_MAX] = {"unknown", "out", "in"};

	return WORD(words, d);
}

const char *flow_state_name(enum flow_state s)
{
	static const char *const words[_FLOW_STATE_MAX] = {
		[FLOW_OPEN] = "open",	[FLOW_CLOSED] = "closed", [FLOW_FAILED] = "failed",
		[FLOW_RESET] = "reset", [FLOW_LOST] = "lost",
	};

	return WORD(words, s);
}

const char *flow_reason_name(enum flow_reason r)
{
	static const char *const words[_FLOW_REASON_MAX] = {
		[FLOW_REASON_NONE] = "none",
		[FLOW_REASON_REFUSED] = "refused",
		[FLOW_REASON_TIMED_OUT] = "timed_out",
		[FLOW_REASON_RST_SENT] = "rst_sent",
		[FLOW_REASON_RST_RECEIVED] = "rst_received",
		[FLOW_REASON_UNREACHABLE] = "unreachable",
		[FLOW_REASON_ABORTED] = "aborted",
		[FLOW_REASON_ERROR] = "error",
		[FLOW_REASON_IDLE] = "idle",
		[FLOW_REASON_EVICTED] = "evicted",
		[FLOW_REASON_CLOSE_LOST] = "close_lost",
	};

	return WORD(words, r);
}

const char *known_by_name(enum known_by k)
{
	static const char *const words[_KNOWN_BY_MAX] = {
		[KNOWN_NOT] = "unknown",
		[KNOWN_CGROUP] = "cgroup",
		[KNOWN_ADDRESS] = "address",
		[KNOWN_HOST] = "host",
	};

	return WORD(words, k);
}

const char *unknown_reason_name(enum unknown_reason r)
{
	static const char *const words[_UNKNOWN_REASON_MAX] = {
		[UNKNOWN_NONE] = "none",
		[UNKNOWN_PENDING] = "pending",
		[UNKNOWN_NO_CGROUP] = "no_cgroup",
		[UNKNOWN_NO_POD] = "no_pod",
		[UNKNOWN_PENDING_FULL] = "pending_full",
		[UNKNOWN_NOT_ON_NODE] = "not_on_node",
		[UNKNOWN_PEERS_UNSYNCED] = "peers_unsynced",
		[UNKNOWN_PEERS_STALE] = "peers_stale",
		[UNKNOWN_ADDRESS] = "address",
		[UNKNOWN_AMBIGUOUS] = "ambiguous",
		[UNKNOWN_TRANSLATED] = "translated",
		[UNKNOWN_NO_OWNER_READ] = "no_owner_read",
	};

	return WORD(words, r);
}
