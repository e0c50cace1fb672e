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
	unsigned page_size; /* 0: whole lists */
	size_t max_object_size;
	int encoding;	    /* enum agent_encoding */
	int streaming_list; /* enum agent_streaming */

	/* What is watched */
	int scope; /* enum agent_scope; settled by agent_config_load */
	const char *node_name;
	struct option_list namespaces; /* empty: all */
	const char *label_selector;
	struct option_list follow_owners; /* GROUP/KIND, or one "*" */

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
	bool check_config, print_config;
};

extern const struct option_table agent_option_table;

/*
 * Options, cross-checks and the settled scope, in one go: `ret` is filled as
 * options_load says and `o` must have been made with agent_option_table and
 * `ret`. 0, -EINVAL with ret_error set, -ENOMEM.
 */
int agent_config_load(struct options *o, int argc, char *const *argv, char *const *env,
		      struct agent_config *ret, struct buf *ret_error);
