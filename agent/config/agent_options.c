#include "config/agent_options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define MS	      NSEC_PER_MSEC
#define SEC	      NSEC_PER_SEC
#define MIN_	      (60 * NSEC_PER_SEC)
#define HOUR	      (60 * MIN_)
#define KIB	      1024ULL
#define MIB	      (1024 * KIB)
#define GIB	      (1024 * MIB)
#define NAMES_MAX     1000 /* of a list: each is a watch, or a lookup at every start */
#define FIELD(member) OPTION_FIELD(struct agent_config, member)

static const char *const scopes[] = {"node", "cluster", NULL};
static const char *const encodings[] = {"auto", "json", NULL};
static const char *const streamings[] = {"auto", "off", NULL};
static const char *const encoders[] = {"binary", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static bool is_url(struct str s)
{
	struct str rest = {0};

	if (str_starts(s, STR("https://")))
		rest = str_from(s, 8);
	else if (str_starts(s, STR("http://")))
		rest = str_from(s, 7);
	for (size_t i = 0; i < rest.n; i++)
		if (isspace((unsigned char)rest.p[i]) || rest.p[i] == '?' || rest.p[i] == '#')
			return false;
	return rest.n > 0 && rest.p[0] != '/';
}

static bool is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* RFC 1123 label: what the API server accepts as a namespace's name. */
static bool is_dns_label(struct str s)
{
	if (!s.n || s.n > 63 || !is_lower_alnum(s.p[0]) || !is_lower_alnum(s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_lower_alnum(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

/* RFC 1123 subdomain: what the API server accepts as a node's name and as an API group. */
static bool is_dns_name(struct str s)
{
	struct str label;
	bool more;

	if (!s.n || s.n > 253)
		return false;
	do {
		more = str_split(&s, '.', &label);
		if (!is_dns_label(label))
			return false;
	} while (more);
	return true;
}

static bool is_follow(struct str s)
{
	struct str group;

	if (str_eq(s, STR("*")))
		return true;
	if (!str_split(&s, '/', &group) || !is_dns_name(group) || !s.n || s.n > 63)
		return false;
	if (s.p[0] < 'A' || s.p[0] > 'Z')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]))
			return false;
	return true;
}

static bool is_host(struct str s)
{
	if (!s.n || s.n > 255)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr(".-_:%", s.p[i]))
			return false;
	return true;
}

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "API server",
	 .flag = "--kubeconfig", .env = {"KUBECONFIG"}, .type = OPTION_STRING, .arg = "FILE",
	 .def_words = "in-cluster service account", FIELD(kubeconfig),
	 .help = "Credentials and address of the API server; several files are joined by a colon. "
		 "Without it and without --api-server the pod's service account is used."},
	{.flag = "--context", .type = OPTION_STRING, .arg = "NAME",
	 .def_words = "the kubeconfig's current-context", FIELD(context),
	 .help = "Context of the kubeconfig."},
	{.flag = "--api-server", .type = OPTION_STRING, .arg = "URL", .ok = is_url,
	 .expect = "a URL that begins with https:// or http://", FIELD(api_server),
	 .help = "Address of the API server, instead of the kubeconfig's or the cluster's. Plain http "
		 "is for kubectl proxy and tests."},
	{.flag = "--token-file", .type = OPTION_STRING, .arg = "FILE", FIELD(token_file),
	 .help = "Bearer token; read again when it changes."},
	{.flag = "--ca-file", .type = OPTION_STRING, .arg = "FILE", FIELD(ca_file),
	 .help = "Certificate authorities (PEM) that the API server's certificate is checked with."},
	{.flag = "--client-cert", .type = OPTION_STRING, .arg = "FILE", FIELD(client_cert),
	 .help = "Client certificate (PEM); needs --client-key."},
	{.flag = "--client-key", .type = OPTION_STRING, .arg = "FILE", FIELD(client_key),
	 .help = "Key of the client certificate (PEM)."},
	{.flag = "--exec-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "30s",
	 .min = SEC, .max = 10 * MIN_, FIELD(exec_timeout),
	 .help = "Longest run of a kubeconfig's exec credential plugin; then it is killed and tried "
		 "again with backoff."},
	{.flag = "--api-qps", .type = OPTION_NUMBER, .arg = "N", .def = "10", .min = 1, .max = 10000,
	 FIELD(api_qps),
	 .help = "Most requests a second to the API server over time."},
	{.flag = "--api-burst", .type = OPTION_INT, .arg = "N", .def = "20", .min = 1, .max = 10000,
	 FIELD(api_burst), .help = "Requests that may go out at once before --api-qps slows them."},
	{.flag = "--encoding", .type = OPTION_ENUM, .def = "auto", .choices = encodings,
	 FIELD(encoding),
	 .help = "auto asks for protobuf and takes JSON where the server has none; json asks for JSON "
		 "only."},
	{.flag = "--streaming-list", .type = OPTION_ENUM, .def = "auto", .choices = streamings,
	 FIELD(streaming_list),
	 .help = "auto lists through a watch (sendInitialEvents) where the server offers it, else by "
		 "pages; off always uses pages."},
	{.flag = "--page-size", .type = OPTION_INT, .arg = "N", .def = "500", .max = 100000,
	 FIELD(page_size), .help = "Objects per page of a list; 0 asks for whole lists."},
	{.flag = "--max-object-size", .type = OPTION_SIZE, .arg = "SIZE", .def = "4MiB",
	 .min = 64 * KIB, .max = GIB, FIELD(max_object_size),
	 .help = "A larger object is skipped and counted, and never held in memory."},

	{.group = "API server: times",
	 .flag = "--connect-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "10s",
	 .min = 100 * MS, .max = 5 * MIN_, FIELD(connect_timeout),
	 .help = "Longest connection attempt, TLS included."},
	{.flag = "--first-byte-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "60s",
	 .min = SEC, .max = HOUR, FIELD(first_byte_timeout),
	 .help = "A list that has sent nothing for this long counts as dead."},
	{.flag = "--list-silence", .type = OPTION_DURATION, .arg = "TIME", .def = "30s", .min = SEC,
	 .max = HOUR, FIELD(list_silence),
	 .help = "A list that falls silent for this long after its first byte counts as dead; a TLS "
		 "handshake too."},
	{.flag = "--watch-silence", .type = OPTION_DURATION, .arg = "TIME", .def = "150s",
	 .min = 5 * SEC, .max = HOUR, FIELD(watch_silence),
	 .help = "A watch that falls silent for this long after it has had a bookmark counts as dead. "
		 "Servers send bookmarks every minute."},
	{.flag = "--watch-timeout-min", .type = OPTION_DURATION, .arg = "TIME", .def = "5m",
	 .min = 5 * SEC, .max = 24 * HOUR, FIELD(watch_timeout_min),
	 .help = "Shortest life of a watch; each one's is drawn between this and --watch-timeout-max."},
	{.flag = "--watch-timeout-max", .type = OPTION_DURATION, .arg = "TIME", .def = "10m",
	 .min = 5 * SEC, .max = 24 * HOUR, FIELD(watch_timeout_max), .help = "Longest life of a watch."},
	{.flag = "--backoff-min", .type = OPTION_DURATION, .arg = "TIME", .def = "500ms",
	 .min = 10 * MS, .max = HOUR, FIELD(backoff_min),
	 .help = "First bound of the wait after a failure; it doubles with every further one, and the "
		 "wait is drawn between zero and the bound."},
	{.flag = "--backoff-max", .type = OPTION_DURATION, .arg = "TIME", .def = "30s",
	 .min = 10 * MS, .max = HOUR, FIELD(backoff_max), .help = "Largest bound of that wait."},

	{.group = "What is watched",
	 .flag = "--scope", .type = OPTION_ENUM, .choices = scopes,
	 .def_words = "node when a node name is given, else cluster", FIELD(scope),
	 .help = "node: the pods of one node, their owners read one by one. cluster: pods, ReplicaSets "
		 "and Jobs of the whole cluster or of --namespaces."},
	{.flag = "--node-name", .env = {"NODE_NAME"}, .type = OPTION_STRING, .arg = "NAME",
	 .ok = is_dns_name, .expect = "a node's name (lower-case DNS name)", FIELD(node_name),
	 .help = "The node this agent runs on."},
	{.flag = "--namespaces", .type = OPTION_LIST, .arg = "A,B", .max = NAMES_MAX,
	 .def_words = "all",
	 .ok = is_dns_label, .expect = "namespace names (lower-case letters, digits and '-')",
	 FIELD(namespaces),
	 .help = "Watch these namespaces only, each by itself, so that Roles there are enough. Cluster "
		 "scope only."},
	{.flag = "--label-selector", .type = OPTION_STRING, .arg = "SELECTOR", .def_words = "all pods",
	 FIELD(label_selector), .help = "Watch only pods that this selector picks, such as app=web."},

	{.group = "Owners and memory",
	 .flag = "--follow-owners", .type = OPTION_LIST, .arg = "GROUP/KIND,...",
	 .max = NAMES_MAX, .ok = is_follow,
	 .expect = "GROUP/KIND (such as argoproj.io/Rollout) or *", .def_words = "none",
	 FIELD(follow_owners),
	 .help = "Custom resources an owner chain climbs through, read one by one as metadata; * for "
		 "every kind the agent may read. ReplicaSets and Jobs are always climbed through."},
	{.flag = "--waiting-max", .type = OPTION_INT, .arg = "N", .def = "10000", .min = 1,
	 .max = 1000000, FIELD(waiting_max),
	 .help = "Most pods that wait for their owner. Beyond it the oldest are announced with the "
		 "owner their own reference names, and one resync follows when the overflow is over."},
	{.flag = "--waiting-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "10s",
	 .min = 100 * MS, .max = HOUR, FIELD(waiting_timeout),
	 .help = "Longest wait for an owner; then the pod is announced with the owner its own "
		 "reference names."},
	{.flag = "--owner-refresh", .type = OPTION_DURATION, .arg = "TIME", .def = "10m",
	 .min = 10 * SEC, .max = 24 * HOUR, FIELD(owner_refresh),
	 .help = "Node scope: an owner is read again at an event of its pods when the answer is older "
		 "than this."},
	{.flag = "--inventory-max", .type = OPTION_SIZE, .arg = "SIZE", .def = "512MiB",
	 .min = MIB, .max = 64 * GIB, FIELD(inventory_max),
	 .help = "Most memory for watched objects. At the limit watches are paused (their sockets "
		 "stop) and the log says so."},

	{.group = "Reducer",
	 .flag = "--intake-host", .env = {"EBPF_NET_INTAKE_HOST"}, .type = OPTION_STRING,
	 .arg = "HOST", .def = "127.0.0.1", .ok = is_host, .expect = "a host name or an address",
	 FIELD(intake_host),
	 .help = "The reducer. All its addresses are tried, in shuffled order."},
	{.flag = "--intake-port", .env = {"EBPF_NET_INTAKE_PORT"}, .type = OPTION_INT, .arg = "PORT",
	 .def = "8000", .min = 1, .max = 65535, FIELD(intake_port), .help = "The reducer's port."},
	{.flag = "--intake-tls", .type = OPTION_BOOL, .def = "false", FIELD(intake_tls),
	 .help = "Speak TLS to the reducer, for a TLS terminator in front of it."},
	{.flag = "--intake-ca-file", .type = OPTION_STRING, .arg = "FILE",
	 .def_words = "the system's", FIELD(intake_ca_file),
	 .help = "Certificate authorities (PEM) for --intake-tls."},
	{.flag = "--intake-connect-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "10s",
	 .min = 100 * MS, .max = 5 * MIN_, FIELD(intake_connect_timeout),
	 .help = "Longest connection attempt to one address, TLS included."},
	{.flag = "--intake-backoff-min", .type = OPTION_DURATION, .arg = "TIME", .def = "500ms",
	 .min = 10 * MS, .max = HOUR, FIELD(intake_backoff_min),
	 .help = "First bound of the wait before connecting again; doubles, full jitter."},
	{.flag = "--intake-backoff-max", .type = OPTION_DURATION, .arg = "TIME", .def = "30s",
	 .min = 10 * MS, .max = HOUR, FIELD(intake_backoff_max), .help = "Largest bound of that wait."},
	{.flag = "--heartbeat", .type = OPTION_DURATION, .arg = "TIME", .def = "5s", .min = 100 * MS,
	 .max = 15 * SEC, FIELD(heartbeat),
	 .help = "Something is sent at least this often; the reducer drops clients that are silent for "
		 "30s."},
	{.flag = "--resync-on-relist", .type = OPTION_BOOL, .def = "false", FIELD(resync_on_relist),
	 .help = "Begin a new epoch after every pod relist, as the older collectors did."},
	{.flag = "--record", .type = OPTION_STRING, .arg = "FILE", FIELD(record),
	 .help = "Write what is sent to this file as well; kindred decode reads it. A new connection "
		 "begins the file anew; the stream before it is kept as FILE.1."},
	{.flag = "--record-uncompressed", .env = {"EBPF_NET_RECORD_INTAKE_OUTPUT_PATH"},
	 .type = OPTION_STRING, .arg = "FILE", FIELD(record_plain),
	 .help = "Write the stream to this file before compression; files as with --record."},
	{.flag = "--intake-encoder", .env = {"EBPF_NET_INTAKE_ENCODER"}, .type = OPTION_ENUM,
	 .def = "binary", .choices = encoders, FIELD(intake_encoder),
	 .why = "the reducer's ingest port decodes no other encoding",
	 .help = "Only binary exists; anything else is refused."},
	{.flag = "--announce-major", .env = {"EBPF_NET_MAJOR_VERSION"}, .type = OPTION_INT, .arg = "N",
	 .def = "0", .max = 65535, FIELD(announce_major),
	 .help = "Version the reducer is told, first number. It refuses clients below 0.9.0."},
	{.flag = "--announce-minor", .env = {"EBPF_NET_MINOR_VERSION"}, .type = OPTION_INT, .arg = "N",
	 .def = "11", .max = 65535, FIELD(announce_minor), .help = "Second number."},
	{.flag = "--announce-patch", .env = {"EBPF_NET_PATCH_VERSION"}, .type = OPTION_INT, .arg = "N",
	 .def = "0", .max = 65535, FIELD(announce_patch), .help = "Third number."},

	{.group = "Names the reducer is told",
	 .flag = "--agent-namespace", .env = {"EBPF_NET_AGENT_NAMESPACE"}, .type = OPTION_STRING,
	 .arg = "TEXT", FIELD(agent_namespace), .help = "Config label namespace."},
	{.flag = "--agent-cluster", .env = {"EBPF_NET_AGENT_CLUSTER"}, .type = OPTION_STRING,
	 .arg = "TEXT", FIELD(agent_cluster), .help = "Config label cluster."},
	{.flag = "--agent-service", .env = {"EBPF_NET_AGENT_SERVICE"}, .type = OPTION_STRING,
	 .arg = "TEXT", FIELD(agent_service), .help = "Config label service."},
	{.flag = "--agent-host", .env = {"EBPF_NET_AGENT_HOST"}, .type = OPTION_STRING, .arg = "TEXT",
	 FIELD(agent_host), .help = "Config label host."},
	{.flag = "--agent-zone", .env = {"EBPF_NET_AGENT_ZONE"}, .type = OPTION_STRING, .arg = "TEXT",
	 .def_words = "from the Node object", FIELD(agent_zone), .help = "Config label zone."},
	{.flag = "--collector-hostname", .env = {"K8S_COLLECTOR_HOSTNAME"}, .type = OPTION_STRING,
	 .arg = "NAME", .def_words = "the host's name", FIELD(collector_hostname),
	 .help = "Name the agent connects with when no node name is given."},

	{.group = "Log",
	 .flag = "--log-level", .type = OPTION_ENUM, .def = "info", .choices = log_levels,
	 FIELD(log_level), .help = "Least important message that is written to standard error."},
	{.flag = "--log-format", .type = OPTION_ENUM, .def = "text", .choices = log_formats,
	 FIELD(log_format), .help = "One line per message, as text or as JSON."},

	{.group = "Accepted without effect",
	 .flag = "--delete-ttl-secs", .env = {"K8S_COLLECTOR_DELETE_TTL_SECS"}, .type = OPTION_STRING,
	 .flags = OPTION_IGNORED, .arg = "N", FIELD(delete_ttl_secs),
	 .help = "Taken from older set-ups; a warning says why it is not needed.",
	 .why = "deletes are not delayed: an owner is remembered as long as a pod refers to it"},
	{.flag = "--delete-capacity", .env = {"K8S_COLLECTOR_DELETE_CAPACITY"}, .type = OPTION_STRING,
	 .flags = OPTION_IGNORED, .arg = "N", FIELD(delete_capacity),
	 .help = "Taken from older set-ups; a warning says why it is not needed.",
	 .why = "no queue of delayed deletes exists: an owner is remembered as long as a pod refers to "
		"it"},

	{.group = "Configuration",
	 .flag = "--config", .type = OPTION_STRING, .flags = OPTION_CONFIG_FILE, .arg = "FILE",
	 FIELD(config),
	 .help = "YAML file with these options, named without the leading dashes. Environment and "
		 "flags win over it."},
	{.flag = "--check-config", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(check_config), .help = "Check the options and leave: exit code 0 or 2."},
	{.flag = "--print-config", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(print_config),
	 .help = "Print every option with its value and where it came from, as YAML, and leave."},
};
/* clang-format on */

const struct option_table agent_option_table = {
	.command = "kindred agent",
	.about = "Watches pods and their owners on an API server and tells a telemetry reducer "
		 "which "
		 "workload every pod and container belongs to.",
	.after = "Exit codes: 0 stopped by SIGTERM or SIGINT, or help printed; 1 failed at run "
		 "time; "
		 "2 usage or configuration error.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

static int refuse(struct buf *ret_error, const char *text)
{
	int r = buf_printf(ret_error, "config error: %s", text);

	return r < 0 ? r : -EINVAL;
}

static int check_api_server(const struct agent_config *c, struct buf *ret_error)
{
	if (!c->client_cert != !c->client_key)
		return refuse(ret_error, c->client_cert ? "--client-cert needs --client-key"
							: "--client-key needs --client-cert");
	if (c->token_file && c->client_cert)
		return refuse(ret_error, "--token-file and --client-cert exclude each other");
	if (c->watch_timeout_min > c->watch_timeout_max)
		return refuse(ret_error, "--watch-timeout-min is above --watch-timeout-max");
	if (c->backoff_min > c->backoff_max)
		return refuse(ret_error, "--backoff-min is above --backoff-max");
	return 0;
}

static int check_scope(const struct agent_config *c, struct buf *ret_error)
{
	if (c->scope == AGENT_SCOPE_NODE && !c->node_name)
		return refuse(ret_error, "--scope node needs --node-name (environment NODE_NAME)");
	if (c->scope == AGENT_SCOPE_NODE && c->namespaces.n)
		return refuse(ret_error,
			      "--namespaces is for --scope cluster: in node scope one watch "
			      "covers the node's pods of all namespaces");
	if (c->follow_owners.n > 1)
		for (size_t i = 0; i < c->follow_owners.n; i++)
			if (strcmp(c->follow_owners.v[i], "*") == 0)
				return refuse(ret_error,
					      "--follow-owners takes * or a list, not both");
	return 0;
}

/* Whether `other` is where the stream before the one in `file` is kept. */
static bool is_kept_as(const char *file, const char *other)
{
	size_t n = strlen(file);

	return strncmp(file, other, n) == 0 && strcmp(other + n, ".1") == 0;
}

static int check_reducer(const struct agent_config *c, struct buf *ret_error)
{
	if (c->intake_ca_file && !c->intake_tls)
		return refuse(ret_error, "--intake-ca-file needs --intake-tls");
	if (c->intake_backoff_min > c->intake_backoff_max)
		return refuse(ret_error, "--intake-backoff-min is above --intake-backoff-max");
	if (c->announce_major == 0 && c->announce_minor < 9)
		return refuse(ret_error, "--announce-major, --announce-minor: the reducer refuses "
					 "versions below 0.9.0");
	if (c->record && c->record_plain &&
	    (strcmp(c->record, c->record_plain) == 0 || is_kept_as(c->record, c->record_plain) ||
	     is_kept_as(c->record_plain, c->record)))
		return refuse(ret_error, "--record and --record-uncompressed name the same file");
	return 0;
}

/* What no single option can check. */
static int agent_config_check(const struct agent_config *c, struct buf *ret_error)
{
	int r = check_api_server(c, ret_error);

	if (r == 0)
		r = check_scope(c, ret_error);
	return r < 0 ? r : check_reducer(c, ret_error);
}

int agent_config_load(struct options *o, int argc, char *const *argv, char *const *env,
		      struct agent_config *ret, struct buf *ret_error)
{
	int r = options_load(o, argc, argv, env, ret_error);

	if (r < 0 || options_help_wanted(o))
		return r;
	if (ret->scope < 0)
		ret->scope = ret->node_name ? AGENT_SCOPE_NODE : AGENT_SCOPE_CLUSTER;
	return agent_config_check(ret, ret_error);
}
