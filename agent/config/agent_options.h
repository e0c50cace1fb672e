/*
 * Options of `kindred agent`: the struct that the wiring reads and the table
 * behind it. Texts are borrowed from `struct options`; NULL means not given.
 */
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "config/option.h"

enum agent_scope { AGENT_SCOPE_NODE, AGENT_SCOPE_CLUSTER };
enum agent_encoding { AGENT_ENCODING_AUTO, AGENT_ENCODING_JSON };
enum agent_log_format { AGENT_LOG_TEXT, AGENT_LOG_JSON };
enum agent_streaming { AGENT_STREAMING_AUTO, AGENT_STREAMING_OFF };
enum agent_flows_mode { AGENT_FLOWS_AUTO, AGENT_FLOWS_ON, AGENT_FLOWS_OFF };
enum agent_udp { AGENT_UDP_ON, AGENT_UDP_OFF };
enum agent_probe_auth { AGENT_PROBE_AUTH_NONE, AGENT_PROBE_AUTH_KUBE };
enum agent_election { AGENT_ELECTION_AUTO, AGENT_ELECTION_ON, AGENT_ELECTION_OFF };
enum agent_resources_mode { AGENT_RESOURCES_AUTO, AGENT_RESOURCES_ON, AGENT_RESOURCES_OFF };

struct agent_config {
	/* API server */
	const char *kubeconfig; /* a path, or several as kubectl takes them, by ':' */
	const char *context;
	const char *api_server; /* URL */
	const char *token_file;
	const char *ca_file;
	const char *client_cert;
	const char *client_key;
	nsec_t exec_timeout;
	double api_qps;
	unsigned api_burst;
	nsec_t connect_timeout;
	nsec_t first_byte_timeout;
	nsec_t list_silence;
	nsec_t watch_silence;
	nsec_t watch_timeout_min, watch_timeout_max;
	nsec_t backoff_min, backoff_max;
	nsec_t start_jitter;
	unsigned page_size; /* 0: whole lists */
	size_t max_object_size;
	int encoding;	    /* enum agent_encoding */
	int streaming_list; /* enum agent_streaming */

	/* What is watched */
	int scope; /* enum agent_scope; settled by agent_config_load */
	const char *node_name;
	struct option_list namespaces; /* empty: all; one "*": each as it comes and goes */
	const char *label_selector;
	struct option_list follow_owners; /* GROUP/KIND, or one "*" */

	/* One leader among several */
	/* enum agent_election; AUTO that agent_config_load leaves: on, if there is a namespace */
	int leader_election;
	const char *lease_name, *lease_namespace, *pod_name;
	nsec_t lease_duration, lease_renew_deadline, lease_retry;

	/* Resources */
	int resources; /* enum agent_resources_mode; AUTO is settled by agent_config_load */
	struct option_list watch_resources, exclude_resources; /* "pods", "deployments.apps" */
	struct option_list exclude_namespaces;
	const char *namespace_selector, *resource_selector;
	struct option_list metadata_only, whole, cache_resources;
	nsec_t cache_ttl;
	size_t store_max;
	struct option_list field_selector; /* RESOURCE=JSONPATH=VALUE, cut at commas */
	struct option_list index;	   /* RESOURCE=JSONPATH, cut at commas */
	struct option_list ignore_fields;
	bool keep_config_values, keep_env_values;
	bool hold_initial;
	const char *watch_config; /* NAMESPACE/NAME */
	unsigned resync_interval; /* minutes; 0: never */

	/* Owners and memory */
	unsigned waiting_max;
	nsec_t waiting_timeout;
	nsec_t owner_refresh;
	size_t inventory_max;

	/* Reducer */
	const char *intake_host;
	uint16_t intake_port;
	bool intake_tls;
	const char *intake_ca_file;
	nsec_t intake_connect_timeout;
	nsec_t intake_backoff_min, intake_backoff_max;
	nsec_t heartbeat;
	bool resync_on_relist;
	const char *record;	  /* capture for `kindred decode`; the one before is FILE.1 */
	const char *record_plain; /* second copy of the stream, uncompressed */
	int intake_encoder;	  /* only binary exists */
	unsigned announce_major, announce_minor, announce_patch;

	/* Flows */
	int flows;	       /* enum agent_flows_mode */
	int udp;	       /* enum agent_udp */
	const char *flows_out; /* "jsonl:FILE", "jsonl:-" or "-" */
	size_t flow_ring;
	unsigned flow_max, flow_pending_max, flow_sockets, flow_udp_max;
	nsec_t flow_refresh, flow_pending, udp_idle, dns_timeout;
	unsigned flow_series;
	const char *cgroup_root, *proc_root;

	/* OpenTelemetry collector */
	const char *otlp; /* URL; NULL: none */
	struct option_list otlp_signals, otlp_events;
	nsec_t otlp_interval, otlp_timeout;
	size_t otlp_batch;
	bool otlp_gzip, otlp_insecure;
	const char *otlp_token_file, *otlp_headers_file, *otlp_ca_file;

	/* Vectors, graph, events */
	struct option_list vector; /* KIND:WHERE, see services.h */
	const char *rest_endpoint; /* the same as http:URL */
	const char *embed, *embed_model, *embed_input, *embed_output;
	struct option_list embed_extra; /* NAME=VALUE */
	bool embed_binary, embed_insecure;
	unsigned embed_batch;
	const char *embed_token_file, *embed_header, *embed_ca_file;
	const char *vector_collection, *vector_token_file, *vector_header, *vector_ca_file;
	bool vector_insecure;
	const char *vector_filter;
	int document; /* enum doc_mode */
	bool document_status;
	int document_id; /* enum doc_id */
	const char *cluster_name;
	nsec_t debounce, debounce_max, batch_interval;
	unsigned batch_size;
	size_t batch_bytes, vector_cache;
	nsec_t vector_backoff_max;
	bool reembed;
	const char *ledger;
	const char *capabilities; /* URL */
	struct option_list graph;
	const char *graph_filter;
	struct option_list events;
	const char *events_filter;

	/* Remote ends */
	const char *peers; /* URL; NULL: none */
	const char *peers_token_file, *peers_ca_file;
	size_t peers_max;
	bool serve_peers;
	unsigned peers_clients;

	/* Questions to a running agent */
	const char *socket; /* NULL: the default path, when it can be made; "off" */
	/* Neither host nor off: the default address, when it is free. */
	struct option_endpoint listen, probe_listen;
	const char *tls_cert_file, *tls_key_file, *listen_token_file;
	const char *probe_tls_cert_file, *probe_tls_key_file;
	int probe_auth; /* enum agent_probe_auth */
	nsec_t ready_grace;
	struct option_endpoint resync_listen; /* host NULL: off */

	/* Labels and names the reducer is told */
	const char *agent_namespace, *agent_cluster, *agent_service, *agent_host, *agent_zone;
	const char *collector_hostname; /* used when there is no node name */

	/* Log */
	int log_level;	/* enum log_level */
	int log_format; /* enum agent_log_format */

	/* Without effect, accepted with a warning */
	const char *delete_ttl_secs, *delete_capacity;

	/* Do one thing and leave */
	const char *config;
	bool check_config, offline, print_config, print_access, check_access;
};

extern const struct option_table agent_option_table;

/*
 * Options, cross-checks and the settled scope, in one go: `ret` is filled as
 * options_load says and `o` must have been made with agent_option_table and
 * `ret`. 0, -EINVAL (options_errors) or -ENOMEM.
 */
int agent_config_load(struct options *o, int argc, char *const *argv, char *const *env,
		      struct agent_config *ret);
/* The same as options_load_again: what the configuration would be with this text as its file. */
int agent_config_load_again(const struct options *o, const char *name, struct str text,
			    struct options *again, struct agent_config *ret);
