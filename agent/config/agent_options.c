#include "config/agent_options.h"

#include "base/server_url.h"

#include <ctype.h>

#define MS   NSEC_PER_MSEC
#define SEC  NSEC_PER_SEC
#define MIN_ (60 * NSEC_PER_SEC)
#define HOUR (60 * MIN_)
#define KIB  1024ULL
#define MIB  (1024 * KIB)
#define GIB  (1024 * MIB)
#define URL_WORDS \
	"a URL that begins with https:// or http://, without user, password, query and fragment"
#define FILE_WORDS    "the path of a file, not what is in it"
#define HEADER_WORDS  "the name of a header: letters, digits, '-' and '_'"
#define NO_TOKEN_MAX  40   /* bytes of a name without a '/' that is no token for sure */
#define NAMES_MAX     1000 /* of a list: each is a watch, or a lookup at every start */
#define FIELD(member) OPTION_FIELD(struct agent_config, member)

static const char *const scopes[] = {"node", "cluster", NULL};
static const char *const encodings[] = {"auto", "json", NULL};
static const char *const streamings[] = {"auto", "off", NULL};
static const char *const encoders[] = {"binary", NULL};
static const char *const flows[] = {"auto", "on", "off", NULL};
static const char *const on_off[] = {"on", "off", NULL};
static const char *const documents[] = {"rich", "metadata", "json", NULL};
static const char *const ids[] = {"path", "content", NULL};
static const char *const elections[] = {"auto", "on", "off", NULL};
static const char *const resources[] = {"auto", "on", "off", NULL};
static const char *const probe_auths[] = {"none", "kube", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

static bool is_url(struct str s)
{
	return !server_url_wrong(s);
}

/* Where a path belongs some give the token itself, which would then be told as a missing file. */
static bool is_secret_file(struct str s)
{
	return !str_starts(s, STR("eyJ")) && (s.n <= NO_TOKEN_MAX || memchr(s.p, '/', s.n));
}

static bool is_header_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n < 100;
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

static bool is_namespace(struct str s)
{
	return is_dns_label(s) || str_eq(s, STR("*"));
}

/* "pods", "deployments.apps"; in any case. */
static bool is_resource(struct str s)
{
	if (!s.n || s.n > 253)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '.')
			return str_eq(s, STR("*"));
	return true;
}

static bool is_namespaced_name(struct str s)
{
	struct str ns;

	return str_split(&s, '/', &ns) && is_dns_label(ns) && is_dns_name(s);
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

/* What every database takes, with --reembed's nine bytes behind it. */
static bool is_collection(struct str s)
{
	if (s.n < 3 || s.n > 96 || !isalnum((unsigned char)s.p[0]) ||
	    !isalnum((unsigned char)s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !strchr("._-", s.p[i]))
			return false;
	return true;
}

static bool is_flows_out(struct str s)
{
	return str_eq(s, STR("-")) || (str_starts(s, STR("jsonl:")) && s.n > 6);
}

static bool is_vector(struct str s)
{
	struct str kind, rest = s;

	if (!str_split(&rest, ':', &kind) || !rest.n)
		return false;
	return str_eq(kind, STR("sqlite")) ||
	       ((str_eq(kind, STR("qdrant")) || str_eq(kind, STR("chroma")) ||
		 str_eq(kind, STR("http"))) &&
		is_url(rest));
}

static bool is_embed(struct str s)
{
	struct str kind, rest = s;
	unsigned long long dim;

	if (!str_split(&rest, ':', &kind))
		return str_eq(s, STR("hash"));
	if (str_eq(kind, STR("hash")))
		return str_to_u64(rest, &dim) == 0 && dim >= 8 && dim <= 4096;
	return (str_eq(kind, STR("triton")) || str_eq(kind, STR("openai"))) && is_url(rest);
}

static bool is_graph(struct str s)
{
	struct str kind, rest = s;

	if (str_eq(s, STR("-")))
		return true;
	if (!str_split(&rest, ':', &kind) || !rest.n)
		return false;
	return str_eq(kind, STR("sqlite")) || str_eq(kind, STR("jsonl")) ||
	       (str_eq(kind, STR("neo4j")) && is_url(rest));
}

static bool is_events(struct str s)
{
	return str_eq(s, STR("-")) || (str_starts(s, STR("jsonl:")) && s.n > 6) ||
	       (str_starts(s, STR("http:")) && is_url(str_from(s, 5)));
}

static bool is_otlp_signal(struct str s)
{
	return str_eq(s, STR("metrics")) || str_eq(s, STR("logs"));
}

/* The events of JSON lines (sink/jsonl/line.h). */
static bool is_otlp_event(struct str s)
{
	return str_eq(s, STR("open")) || str_eq(s, STR("refresh")) || str_eq(s, STR("close")) ||
	       str_eq(s, STR("fail")) || str_eq(s, STR("drop"));
}

static bool is_extra(struct str s)
{
	struct str name;

	return str_split(&s, '=', &name) && name.n > 0;
}

static bool is_absolute(struct str s)
{
	return s.n > 1 && s.n < 100 && s.p[0] == '/'; /* struct sockaddr_un has 108 bytes */
}

static bool is_socket(struct str s)
{
	return is_absolute(s) || str_eq(s, STR("off"));
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
	{.flag = "--api-server", .flags = OPTION_HUSH, .type = OPTION_STRING, .arg = "URL",
	 .ok = is_url,
	 .expect = URL_WORDS, FIELD(api_server),
	 .help = "Address of the API server, instead of the kubeconfig's or the cluster's. Plain http "
		 "is for kubectl proxy and tests."},
	{.flag = "--token-file", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(token_file),
	 .help = "Bearer token; read again when it changes."},
	{.flag = "--ca-file", .type = OPTION_STRING, .arg = "FILE", FIELD(ca_file),
	 .help = "Certificate authorities (PEM) that the API server's certificate is checked with."},
	{.flag = "--client-cert", .type = OPTION_STRING, .arg = "FILE", FIELD(client_cert),
	 .help = "Client certificate (PEM); needs --client-key."},
	{.flag = "--client-key", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(client_key),
	 .help = "Key of the client certificate (PEM)."},
	{.flag = "--exec-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "30s",
	 .min = SEC, .max = 10 * MIN_, FIELD(exec_timeout),
	 .help = "Longest run of a kubeconfig's exec credential plugin; then it is killed and tried "
		 "again with backoff."},
	{.flag = "--api-qps", .flags = OPTION_LIVE, .type = OPTION_NUMBER, .arg = "N", .def = "10",
	 .min = 1, .max = 10000,
	 FIELD(api_qps),
	 .help = "Most requests a second to the API server over time."},
	{.flag = "--api-burst", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N", .def = "20",
	 .min = 1, .max = 10000,
	 FIELD(api_burst), .help = "Requests that may go out at once before --api-qps slows them."},
	{.flag = "--encoding", .type = OPTION_ENUM, .def = "auto", .choices = encodings,
	 FIELD(encoding),
	 .help = "auto asks for protobuf and takes JSON where the server has none; json asks for JSON "
		 "only."},
	{.flag = "--streaming-list", .flags = OPTION_LIVE, .type = OPTION_ENUM, .def = "auto",
	 .choices = streamings,
	 FIELD(streaming_list),
	 .help = "auto lists through a watch (sendInitialEvents) where the server offers it, else by "
		 "pages; off always uses pages."},
	{.flag = "--page-size", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N", .def = "500",
	 .max = 100000,
	 FIELD(page_size), .help = "Objects per page of a list; 0 asks for whole lists."},
	{.flag = "--max-object-size", .flags = OPTION_LIVE, .type = OPTION_SIZE, .arg = "SIZE",
	 .def = "4MiB",
	 .min = 64 * KIB, .max = GIB, FIELD(max_object_size),
	 .help = "A larger object is skipped and counted, and never held in memory."},

	{.group = "API server: times",
	 .flag = "--connect-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "10s",
	 .min = 100 * MS, .max = 5 * MIN_, FIELD(connect_timeout),
	 .help = "Longest connection attempt, TLS included."},
	{.flag = "--first-byte-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "60s",
	 .min = SEC, .max = HOUR, FIELD(first_byte_timeout),
	 .help = "A list that has sent nothing for this long counts as dead."},
	{.flag = "--list-silence", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "30s", .min = SEC,
	 .max = HOUR, FIELD(list_silence),
	 .help = "A list that falls silent for this long after its first byte counts as dead; a TLS "
		 "handshake too."},
	{.flag = "--watch-silence", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "150s",
	 .min = 5 * SEC, .max = HOUR, FIELD(watch_silence),
	 .help = "A watch that falls silent for this long after it has had a bookmark counts as dead. "
		 "Servers send bookmarks every minute."},
	{.flag = "--watch-timeout-min", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "5m",
	 .min = 5 * SEC, .max = 24 * HOUR, FIELD(watch_timeout_min),
	 .help = "Shortest life of a watch; each one's is drawn between this and --watch-timeout-max."},
	{.flag = "--watch-timeout-max", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "10m",
	 .min = 5 * SEC, .max = 24 * HOUR, FIELD(watch_timeout_max), .help = "Longest life of a watch."},
	{.flag = "--backoff-min", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "500ms",
	 .min = 10 * MS, .max = HOUR, FIELD(backoff_min),
	 .help = "First bound of the wait after a failure; it doubles with every further one, and the "
		 "wait is drawn between zero and the bound."},
	{.flag = "--backoff-max", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "30s",
	 .min = 10 * MS, .max = HOUR, FIELD(backoff_max), .help = "Largest bound of that wait."},
	{.flag = "--start-jitter", .type = OPTION_DURATION, .arg = "TIME", .def = "3s", .max = 5 * MIN_,
	 FIELD(start_jitter),
	 .help = "The first request waits for a time drawn between zero and this, so that agents that are "
		 "started together do not all ask at once; 0s: it does not wait."},

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
	 .ok = is_namespace, .expect = "namespace names (lower-case letters, digits and '-')",
	 FIELD(namespaces),
	 .help = "Watch these namespaces only, each by itself, so that Roles there are enough. Cluster "
		 "scope only. * watches all for the reducer, and for --resources each by itself, as "
		 "Namespaces come and go."},
	{.flag = "--label-selector", .type = OPTION_STRING, .arg = "SELECTOR", .def_words = "all pods",
	 FIELD(label_selector), .help = "Watch only pods that this selector picks, such as app=web."},

	{.group = "One leader among several",
	 .flag = "--leader-election", .type = OPTION_ENUM, .def = "auto", .choices = elections,
	 FIELD(leader_election),
	 .help = "Of the agents of one Lease one writes to the reducer, databases and streams; the others "
		 "watch and stand by. auto: on in cluster scope when there are a pod's name and a "
		 "namespace. Node scope has no election."},
	{.flag = "--lease-name", .type = OPTION_STRING, .arg = "NAME", .def = "kindred",
	 .ok = is_dns_name,
	 .expect = "the name of a Lease (lower-case DNS name)", FIELD(lease_name),
	 .help = "The coordination.k8s.io Lease: the one object that is ever written. Needs get, create "
		 "and update on it."},
	{.flag = "--lease-namespace", .env = {"KINDRED_LEASE_NAMESPACE", "POD_NAMESPACE"},
	 .type = OPTION_STRING, .arg = "NAME", .def_words = "the service account's", .ok = is_dns_label,
	 .expect = "a namespace (lower-case letters, digits and '-')", FIELD(lease_namespace),
	 .help = "Namespace of the Lease."},
	{.flag = "--pod-name", .env = {"KINDRED_POD_NAME", "POD_NAME"}, .type = OPTION_STRING,
	 .arg = "NAME", .def_words = "the host's name", .ok = is_dns_name,
	 .expect = "a pod's name (lower-case DNS name)", FIELD(pod_name),
	 .help = "What this agent is called in the Lease. No two agents may have the same."},
	{.flag = "--lease-duration", .type = OPTION_DURATION, .arg = "TIME", .def = "15s",
	 .min = 2 * SEC,
	 .max = 10 * MIN_, FIELD(lease_duration),
	 .help = "A Lease that has not changed for this long may be taken. Whole seconds, above "
		 "--lease-renew-deadline."},
	{.flag = "--lease-renew-deadline", .type = OPTION_DURATION, .arg = "TIME", .def = "10s",
	 .min = SEC, .max = 10 * MIN_, FIELD(lease_renew_deadline),
	 .help = "A leader that could not renew it for this long stops by itself. Above 1.2 times "
		 "--lease-retry."},
	{.flag = "--lease-retry", .type = OPTION_DURATION, .arg = "TIME", .def = "2s", .min = 100 * MS,
	 .max = MIN_, FIELD(lease_retry),
	 .help = "Between two looks at the Lease, and between two renewals."},

	{.group = "Resources",
	 .flag = "--resources", .type = OPTION_ENUM, .def = "auto", .choices = resources,
	 FIELD(resources),
	 .help = "Watch every kind of resource that the server lists and keep it, redacted, in the "
		 "store. auto: when a sink wants them. Cluster scope only."},
	{.flag = "--watch-resources", .env = {"WATCH_RESOURCE_TYPES"}, .type = OPTION_LIST,
	 .arg = "NAME,...", .max = NAMES_MAX, .ok = is_resource,
	 .expect = "plural names, with their group or without (pods, deployments.apps)",
	 .def_words = "all but --exclude-resources", FIELD(watch_resources),
	 .help = "Watch these resources alone, also those of --exclude-resources. Any case."},
	{.flag = "--exclude-resources", .env = {"EXCLUDE_RESOURCE_TYPES"}, .type = OPTION_LIST,
	 .arg = "NAME,...", .max = NAMES_MAX, .ok = is_resource,
	 .expect = "plural names, with their group or without (pods, deployments.apps)",
	 .def = "events,leases,endpointslices,componentstatuses", FIELD(exclude_resources),
	 .help = "Resources that are neither listed nor watched for the store."},
	{.flag = "--exclude-namespaces", .type = OPTION_LIST, .arg = "A,B", .max = NAMES_MAX,
	 .ok = is_dns_label, .expect = "namespace names (lower-case letters, digits and '-')",
	 .def = "kube-system,kube-public,kube-node-lease", FIELD(exclude_namespaces),
	 .help = "Objects in these namespaces are not kept. One that --namespaces names is."},
	{.flag = "--namespace-selector", .type = OPTION_STRING, .arg = "SELECTOR",
	 .def_words = "all namespaces", FIELD(namespace_selector),
	 .help = "Keep objects of namespaces with these labels alone, such as team=shop,env!=test; "
		 "each is watched by itself as they come and go. The reducer is told of all."},
	{.flag = "--resource-selector", .type = OPTION_STRING, .arg = "SELECTOR",
	 .def_words = "all objects", FIELD(resource_selector),
	 .help = "Keep objects with these labels alone."},
	{.flag = "--field-selector", .type = OPTION_LIST, .arg = "RESOURCE=JSONPATH=VALUE,...",
	 .max = NAMES_MAX, .def_words = "all objects", FIELD(field_selector),
	 .help = "Keep objects of a resource while this field has this value, such as "
		 "ingresses=.spec.ingressClassName=public; all of them when several name one resource. "
		 "The agent picks, not the API server. May be repeated."},
	{.flag = "--metadata-only", .type = OPTION_LIST, .arg = "NAME,...", .max = NAMES_MAX,
	 .ok = is_resource,
	 .expect = "plural names, with their group or without (pods, deployments.apps)",
	 .def = "secrets,configmaps", FIELD(metadata_only),
	 .help = "Resources of which nothing but metadata is asked for."},
	{.flag = "--whole", .type = OPTION_LIST, .arg = "NAME,...", .max = NAMES_MAX,
	 .ok = is_resource,
	 .expect = "plural names, with their group or without (pods, deployments.apps)",
	 .def_words = "none", FIELD(whole),
	 .help = "Resources that are read whole although --metadata-only names them. Values of Secrets "
		 "are never kept."},
	{.flag = "--cache-resources", .type = OPTION_LIST, .arg = "NAME,...", .max = NAMES_MAX,
	 .ok = is_resource,
	 .expect = "plural names, with their group or without (pods, deployments.apps)",
	 .def_words = "none", FIELD(cache_resources),
	 .help = "Resources whose objects are kept for --cache-ttl alone, and read again from the API "
		 "server when they are wanted: for large or sensitive kinds."},
	{.flag = "--cache-ttl", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "130s", .min = SEC,
	 .max = 24 * HOUR, FIELD(cache_ttl),
	 .help = "How long after its last use such an object is kept."},
	{.flag = "--store-max", .flags = OPTION_LIVE, .type = OPTION_SIZE, .arg = "SIZE",
	 .def = "256MiB", .min = MIB,
	 .max = 64 * GIB, FIELD(store_max),
	 .help = "Most memory for objects in the store (compressed). Over it the ones that were used "
		 "longest ago are read again when they are wanted."},
	{.flag = "--index", .type = OPTION_LIST, .arg = "RESOURCE=JSONPATH,...", .max = NAMES_MAX,
	 .def_words = "none", FIELD(index),
	 .help = "Index of a resource for queries, such as ingresses=.spec.rules[0].host: a composite "
		 "key of one or more JSONPath expressions. May be repeated."},
	{.flag = "--ignore-fields", .type = OPTION_LIST, .arg = "JSONPATH,...", .max = NAMES_MAX,
	 .def_words = "managedFields and last-applied", FIELD(ignore_fields),
	 .help = "Fields that are taken out of every object before it is kept, besides "
		 "managedFields and the last-applied annotation."},
	{.flag = "--keep-config-values", .type = OPTION_BOOL, .def = "false",
	 FIELD(keep_config_values),
	 .help = "Keep the values of ConfigMaps that are read whole, searched for secrets; else their "
		 "keys alone."},
	{.flag = "--keep-env-values", .type = OPTION_BOOL, .def = "false", FIELD(keep_env_values),
	 .help = "Keep literal values of environment variables with harmless names, searched for "
		 "secrets; else their names alone."},
	{.flag = "--hold-initial", .type = OPTION_BOOL, .def = "false", FIELD(hold_initial),
	 .help = "Sinks see the objects of a first list when it is complete, not one by one."},
	{.flag = "--resync-interval", .flags = OPTION_LIVE, .env = {"RESYNC_INTERVAL_MIN"},
	 .type = OPTION_INT,
	 .arg = "MINUTES", .def = "1440", .max = 525600, FIELD(resync_interval),
	 .help = "How often everything is listed anew and compared, spread over a twentieth of it; 0: "
		 "never."},
	{.flag = "--watch-config", .type = OPTION_STRING, .arg = "NAMESPACE/NAME",
	 .ok = is_namespaced_name, .expect = "NAMESPACE/NAME of a ConfigMap", FIELD(watch_config),
	 .help = "The agent's own ConfigMap, watched by itself: its key config.yaml stands for the file of --config "
		 "while the agent runs. Needs list and watch on it."},

	{.group = "Owners and memory",
	 .flag = "--follow-owners", .type = OPTION_LIST, .arg = "GROUP/KIND,...",
	 .max = NAMES_MAX, .ok = is_follow,
	 .expect = "GROUP/KIND (such as argoproj.io/Rollout) or *", .def_words = "none",
	 FIELD(follow_owners),
	 .help = "Custom resources an owner chain climbs through, read one by one as metadata; * for "
		 "every kind the agent may read. ReplicaSets and Jobs are always climbed through."},
	{.flag = "--waiting-max", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N",
	 .def = "10000", .min = 1,
	 .max = 1000000, FIELD(waiting_max),
	 .help = "Most pods that wait for their owner. Beyond it the oldest are announced with the "
		 "owner their own reference names, and one resync follows when the overflow is over."},
	{.flag = "--waiting-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "10s",
	 .min = 100 * MS, .max = HOUR, FIELD(waiting_timeout),
	 .help = "Longest wait for an owner; then the pod is announced with the owner its own "
		 "reference names."},
	{.flag = "--owner-refresh", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "10m",
	 .min = 10 * SEC, .max = 24 * HOUR, FIELD(owner_refresh),
	 .help = "Node scope: an owner is read again at an event of its pods when the answer is older "
		 "than this."},
	{.flag = "--inventory-max", .flags = OPTION_LIVE, .type = OPTION_SIZE, .arg = "SIZE",
	 .def = "512MiB",
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
	{.flag = "--intake-connect-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "10s",
	 .min = 100 * MS, .max = 5 * MIN_, FIELD(intake_connect_timeout),
	 .help = "Longest connection attempt to one address, TLS included."},
	{.flag = "--intake-backoff-min", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "500ms",
	 .min = 10 * MS, .max = HOUR, FIELD(intake_backoff_min),
	 .help = "First bound of the wait before connecting again; doubles, full jitter."},
	{.flag = "--intake-backoff-max", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "30s",
	 .min = 10 * MS, .max = HOUR, FIELD(intake_backoff_max), .help = "Largest bound of that wait."},
	{.flag = "--heartbeat", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "5s", .min = 100 * MS,
	 .max = 15 * SEC, FIELD(heartbeat),
	 .help = "Something is sent at least this often; the reducer drops clients that are silent for "
		 "30s."},
	{.flag = "--resync-on-relist", .flags = OPTION_LIVE, .type = OPTION_BOOL, .def = "false",
	 FIELD(resync_on_relist),
	 .help = "Begin a new epoch after every pod relist, as the older collectors did."},
	{.flag = "--record", .flags = OPTION_LIVE, .type = OPTION_STRING, .arg = "FILE", FIELD(record),
	 .help = "Write what is sent to this file as well; kindred decode reads it. A new connection "
		 "begins the file anew; the stream before it is kept as FILE.1. Another file in a running agent "
		 "begins with the next connection."},
	{.flag = "--record-uncompressed", .flags = OPTION_LIVE,
	 .env = {"EBPF_NET_RECORD_INTAKE_OUTPUT_PATH"},
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

	{.group = "Flows",
	 .flag = "--flows", .type = OPTION_ENUM, .choices = flows, .arg = "auto|on|off", .def = "auto",
	 FIELD(flows),
	 .help = "Observe TCP and UDP flows of this host with eBPF. auto: where the programs load "
		 "(CAP_BPF and CAP_PERFMON; with CAP_NET_ADMIN also UDP, DNS and translated addresses); "
		 "on: not starting without; off."},
	{.flag = "--udp", .type = OPTION_ENUM, .choices = on_off, .arg = "on|off", .def = "on",
	 FIELD(udp),
	 .help = "Count UDP, which costs one short run per datagram and an early exit per TCP packet."},
	{.flag = "--flows-out", .flags = OPTION_LIVE, .type = OPTION_STRING, .arg = "jsonl:FILE|-",
	 .ok = is_flows_out,
	 .expect = "jsonl:FILE, jsonl:- or -", FIELD(flows_out),
	 .help = "Write one JSON object a line when a flow is opened, refreshed or ended; - is standard "
		 "output. A reader that is too slow loses ended flows beyond a quarter of --flow-max, counted."},
	{.flag = "--flow-refresh", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "5s",
	 .min = 100 * MS, .max = HOUR, FIELD(flow_refresh),
	 .help = "How often counters of open flows are read."},
	{.flag = "--flow-max", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N", .def = "65536",
	 .min = 16, .max = 4194304,
	 FIELD(flow_max),
	 .help = "Most open flows in the agent's table; over it the oldest is reported as lost and counted. Ended "
		 "ones that a sink has yet to take are a quarter of it at most, 1024 at least; over it that sink "
		 "loses the oldest, counted."},
	{.flag = "--flow-sockets", .type = OPTION_INT, .arg = "N", .def = "65536", .min = 16,
	 .max = 4194304, FIELD(flow_sockets),
	 .help = "Most TCP sockets the kernel's map follows at once; those over it are counted."},
	{.flag = "--flow-udp-max", .type = OPTION_INT, .arg = "N", .def = "32768", .min = 16,
	 .max = 4194304, FIELD(flow_udp_max),
	 .help = "Most UDP conversations in the kernel's map; datagrams over it are counted."},
	{.flag = "--flow-ring", .type = OPTION_SIZE, .arg = "SIZE", .def = "4MiB", .min = 64 * KIB,
	 .max = GIB, FIELD(flow_ring),
	 .help = "Ring buffer between the programs and the agent, a power of two. When it is full, opens and closes are "
		 "told later; other records are counted as lost."},
	{.flag = "--flow-pending", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "30s",
	 .min = 100 * MS, .max = HOUR, FIELD(flow_pending),
	 .help = "Longest time a flow waits for the API server to tell of its pod."},
	{.flag = "--flow-pending-max", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N",
	 .def = "8192", .min = 16,
	 .max = 4194304, FIELD(flow_pending_max),
	 .help = "Most flows that wait for their pod or container; one over it is told of at once, without "
		 "its name, and counted."},
	{.flag = "--udp-idle", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "60s",
	 .min = SEC, .max = HOUR, FIELD(udp_idle),
	 .help = "A UDP conversation that is silent for this long has ended."},
	{.flag = "--dns-timeout", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "5s",
	 .min = 100 * MS, .max = 10 * MIN_, FIELD(dns_timeout),
	 .help = "A DNS query without an answer for this long has timed out."},
	{.flag = "--flow-series", .flags = OPTION_LIVE, .type = OPTION_INT, .arg = "N",
	 .def = "2000", .min = 10, .max = 1000000,
	 FIELD(flow_series),
	 .help = "Most metric series of flows between workloads; the rest goes to one series named other, "
		 "so that totals stay exact."},
	{.flag = "--cgroup-root", .type = OPTION_STRING, .arg = "DIR", .def = "/sys/fs/cgroup",
	 FIELD(cgroup_root), .help = "Where the host's cgroup hierarchies are mounted."},
	{.flag = "--proc-root", .type = OPTION_STRING, .arg = "DIR", .def = "/proc", FIELD(proc_root),
	 .help = "The host's /proc, for sockets that were open before the agent."},

	{.group = "OpenTelemetry collector",
	 .flag = "--otlp", .flags = OPTION_HUSH, .type = OPTION_STRING, .arg = "URL", .ok = is_url,
	 .expect = URL_WORDS, FIELD(otlp),
	 .help = "Tell this collector of flows, by OTLP/HTTP in protobuf: http://HOST:4318. Metrics go to "
		 "/v1/metrics behind it, log records to /v1/logs."},
	{.flag = "--otlp-signals", .type = OPTION_LIST, .arg = "metrics,logs", .max = 2,
	 .ok = is_otlp_signal, .expect = "metrics, logs or both", .def = "metrics,logs",
	 FIELD(otlp_signals),
	 .help = "What it is told: totals of who talks to whom, and a record for each event of a flow."},
	{.flag = "--otlp-events", .flags = OPTION_LIVE, .type = OPTION_LIST, .arg = "EVENT,...", .max = 5,
	 .ok = is_otlp_event, .expect = "events: open, refresh, close, fail, drop",
	 .def = "open,close,fail,drop", FIELD(otlp_events),
	 .help = "Events of a flow that have a log record. refresh: each time the counters of an open flow "
		 "were read (--flow-refresh)."},
	{.flag = "--otlp-interval", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "60s", .min = SEC, .max = HOUR, FIELD(otlp_interval),
	 .help = "How often metrics are told; the first time after a part of it, drawn by lot."},
	{.flag = "--otlp-batch", .type = OPTION_SIZE, .arg = "SIZE", .def = "512KiB", .min = 128 * KIB,
	 .max = 16 * MIB, FIELD(otlp_batch),
	 .help = "Most bytes of a request before compression, about. Flows that end meanwhile wait in the table, "
		 "within a quarter of --flow-max; over it the oldest are lost to the collector, counted."},
	{.flag = "--otlp-gzip", .flags = OPTION_LIVE, .type = OPTION_BOOL, .def = "true",
	 FIELD(otlp_gzip), .help = "Compress requests."},
	{.flag = "--otlp-timeout", .type = OPTION_DURATION, .arg = "TIME", .def = "10s", .min = 100 * MS,
	 .max = 5 * MIN_, FIELD(otlp_timeout),
	 .help = "Longest time for a request and its answer; then it is told again."},
	{.flag = "--otlp-token-file", .flags = OPTION_HUSH, .ok = is_secret_file, .expect = FILE_WORDS,
	 .type = OPTION_STRING, .arg = "FILE", FIELD(otlp_token_file),
	 .help = "Bearer token for it; read again when it changes."},
	{.flag = "--otlp-headers-file", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(otlp_headers_file),
	 .help = "Further headers of each request, a line each: NAME: VALUE; read again when it changes."},
	{.flag = "--otlp-ca-file", .type = OPTION_STRING, .arg = "FILE", .def_words = "the system's",
	 FIELD(otlp_ca_file),
	 .help = "Certificate authorities (PEM) that its certificate is checked with; read again when they "
		 "change."},
	{.flag = "--otlp-insecure", .type = OPTION_BOOL, .def = "false", FIELD(otlp_insecure),
	 .help = "Accept any certificate of the collector."},

	{.group = "Remote ends of other nodes",
	 .flag = "--peers", .type = OPTION_STRING, .flags = OPTION_HUSH, .arg = "URL", .ok = is_url,
	 .expect = URL_WORDS, FIELD(peers),
	 .help = "The collector (--serve-peers) that tells this node who has which address elsewhere: "
		 "https://HOST:PORT of its --listen. All addresses of HOST are asked until the leader is "
		 "found. Node scope only."},
	{.flag = "--peers-token-file", .flags = OPTION_HUSH, .ok = is_secret_file, .expect = FILE_WORDS,
	 .type = OPTION_STRING, .arg = "FILE", FIELD(peers_token_file),
	 .help = "Bearer token for it; read again when it changes."},
	{.flag = "--peers-ca-file", .type = OPTION_STRING, .arg = "FILE", .def_words = "the system's",
	 FIELD(peers_ca_file),
	 .help = "Certificate authorities (PEM) that its certificate is checked with; read again when they "
		 "change."},
	{.flag = "--peers-max", .type = OPTION_SIZE, .arg = "SIZE", .def = "64MiB", .min = MIB,
	 .max = 64 * GIB, FIELD(peers_max),
	 .help = "Most memory for what it tells: about 150 bytes a pod. A cluster that does not fit leaves "
		 "remote ends unknown."},
	{.flag = "--serve-peers", .type = OPTION_BOOL, .def = "false", FIELD(serve_peers),
	 .help = "Tell agents of nodes who has which address, at --listen, while this agent leads; watch "
		 "Services and Nodes for it. Cluster scope only."},
	{.flag = "--peers-clients", .type = OPTION_INT, .arg = "N", .def = "6000", .min = 1, .max = 100000,
	 FIELD(peers_clients),
	 .help = "Most agents of nodes that may follow at a time; each has a socket."},

	{.group = "Vector databases",
	 .flag = "--vector", .flags = OPTION_HUSH, .type = OPTION_LIST, .arg = "KIND:WHERE",
	 .max = 8, .ok = is_vector,
	 .expect = "sqlite:FILE, qdrant:URL, chroma:URL or http:URL", .def_words = "none",
	 FIELD(vector),
	 .help = "Keep this vector database in step with the cluster's resources; may be given several "
		 "times. sqlite:FILE is built in and searched by kindred search; http:URL gets "
		 "cluster-whisperer's sync payload. Cluster scope only."},
	{.flag = "--rest-endpoint", .flags = OPTION_HUSH,
	 .env = {"KINDRED_REST_ENDPOINT", "REST_ENDPOINT", "INSTANCES_ENDPOINT"},
	 .type = OPTION_STRING, .arg = "URL", .ok = is_url,
	 .expect = URL_WORDS, FIELD(rest_endpoint),
	 .help = "The same as --vector http:URL."},
	{.flag = "--capabilities", .flags = OPTION_HUSH,
	 .env = {"KINDRED_CAPABILITIES", "CAPABILITIES_ENDPOINT"},
	 .type = OPTION_STRING, .arg = "URL", .ok = is_url,
	 .expect = URL_WORDS, FIELD(capabilities),
	 .help = "Tell this endpoint (cluster-whisperer's /api/v1/capabilities/scan) the names of "
		 "CustomResourceDefinitions that come and go."},
	{.flag = "--embed", .flags = OPTION_HUSH, .type = OPTION_STRING, .arg = "KIND[:WHERE]",
	 .def = "hash:1024", .ok = is_embed,
	 .expect = "hash, hash:DIMENSION, triton:URL or openai:URL", FIELD(embed),
	 .help = "What makes vectors of texts: hash is built in and lexical (it sees words, not meaning); "
		 "triton is KServe v2; openai is /v1/embeddings, also of Ollama, TEI, llama.cpp and vLLM."},
	{.flag = "--embed-model", .type = OPTION_STRING, .arg = "NAME", FIELD(embed_model),
	 .help = "Model of triton and openai."},
	{.flag = "--embed-input", .type = OPTION_STRING, .arg = "NAME", .def_words = "text_input",
	 FIELD(embed_input), .help = "Input tensor of the texts (triton)."},
	{.flag = "--embed-output", .type = OPTION_STRING, .arg = "NAME", .def_words = "embedding",
	 FIELD(embed_output), .help = "Output tensor of the vectors (triton)."},
	{.flag = "--embed-extra", .flags = OPTION_HUSH, .type = OPTION_LIST, .arg = "NAME=VALUE",
	 .max = 16, .ok = is_extra,
	 .expect = "NAME=VALUE", FIELD(embed_extra),
	 .help = "A further input tensor with the same text for each document (triton)."},
	{.flag = "--embed-binary", .type = OPTION_BOOL, .def = "false", FIELD(embed_binary),
	 .help = "Tensors in binary instead of JSON (triton)."},
	{.flag = "--embed-batch", .type = OPTION_INT, .arg = "N", .def = "32", .min = 1, .max = 256,
	 FIELD(embed_batch), .help = "Most texts of one request; the server's own limit counts, too."},
	{.flag = "--embed-token-file", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(embed_token_file),
	 .help = "Bearer token of the embedder; read again when it changes."},
	{.flag = "--embed-header", .flags = OPTION_HUSH, .ok = is_header_name,
	 .expect = HEADER_WORDS, .type = OPTION_STRING, .arg = "NAME", .def_words = "Authorization: Bearer",
	 FIELD(embed_header), .help = "Header that takes the token as it is."},
	{.flag = "--embed-ca-file", .type = OPTION_STRING, .arg = "FILE", .def_words = "the system's",
	 FIELD(embed_ca_file), .help = "Certificate authorities (PEM) of the embedder."},
	{.flag = "--embed-insecure", .type = OPTION_BOOL, .def = "false", FIELD(embed_insecure),
	 .help = "Accept any certificate of the embedder."},
	{.flag = "--vector-collection", .type = OPTION_STRING, .arg = "NAME", .def = "kindred",
	 .ok = is_collection,
	 .expect = "3 to 96 letters, digits, '.', '_' and '-', beginning and ending with a letter or digit",
	 FIELD(vector_collection), .help = "Collection in each database."},
	{.flag = "--vector-token-file", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(vector_token_file),
	 .help = "Token of the databases; read again when it changes."},
	{.flag = "--vector-header", .flags = OPTION_HUSH, .ok = is_header_name,
	 .expect = HEADER_WORDS, .type = OPTION_STRING, .arg = "NAME",
	 .def_words = "Authorization: Bearer", FIELD(vector_header),
	 .help = "Header that takes the token as it is, such as api-key or x-chroma-token."},
	{.flag = "--vector-ca-file", .type = OPTION_STRING, .arg = "FILE", .def_words = "the system's",
	 FIELD(vector_ca_file), .help = "Certificate authorities (PEM) of the databases."},
	{.flag = "--vector-insecure", .type = OPTION_BOOL, .def = "false", FIELD(vector_insecure),
	 .help = "Accept any certificate of the databases."},
	{.flag = "--vector-filter", .flags = OPTION_LIVE, .type = OPTION_STRING, .arg = "FILTER",
	 .def_words = "everything",
	 FIELD(vector_filter),
	 .help = "What goes to the databases: kinds=a,b;namespaces=x,y*;labels=k=v,k2!=v2. Parts may be "
		 "left out."},
	{.flag = "--document", .type = OPTION_ENUM, .def = "rich", .choices = documents,
	 .arg = "rich|metadata|json", FIELD(document),
	 .help = "Text of a document: rich says what people ask for; metadata is names, labels and "
		 "annotations; json is the object."},
	{.flag = "--document-status", .type = OPTION_BOOL, .def = "false", FIELD(document_status),
	 .help = "A status line in the text, which is then embedded anew whenever it changes."},
	{.flag = "--id", .type = OPTION_ENUM, .def = "path", .choices = ids, .arg = "path|content",
	 FIELD(document_id),
	 .help = "Identity of a document: its path, which stays while the object lives; or "
		 "SHA256(uid:canonical JSON), whose former document is deleted at each change."},
	{.flag = "--cluster-name", .type = OPTION_STRING, .arg = "NAME", .ok = is_dns_name,
	 .expect = "a lower-case DNS name", FIELD(cluster_name),
	 .help = "Stands before each id, so that clusters can share a collection."},
	{.flag = "--debounce", .flags = OPTION_LIVE,
	 .env = {"KINDRED_DEBOUNCE", "DEBOUNCE_WINDOW_MS"}, .env_unit = "ms",
	 .type = OPTION_DURATION, .arg = "TIME", .def = "10s", .min = MS, .max = HOUR, FIELD(debounce),
	 .help = "An object is written when it was quiet for this long. Objects of a first list and "
		 "deletions do not wait. A bare number in the environment is milliseconds."},
	{.flag = "--debounce-max", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "60s", .min = MS,
	 .max = 24 * HOUR, FIELD(debounce_max), .help = "But never later than this."},
	{.flag = "--batch-interval", .flags = OPTION_LIVE,
	 .env = {"KINDRED_BATCH_INTERVAL", "BATCH_FLUSH_INTERVAL_MS"},
	 .env_unit = "ms", .type = OPTION_DURATION, .arg = "TIME", .def = "5s", .min = MS, .max = HOUR,
	 FIELD(batch_interval),
	 .help = "A batch that is not full goes when its first document has waited for this long."},
	{.flag = "--batch-size", .flags = OPTION_LIVE,
	 .env = {"KINDRED_BATCH_SIZE", "BATCH_MAX_SIZE"}, .type = OPTION_INT,
	 .arg = "N", .def = "100", .min = 1, .max = 500, FIELD(batch_size),
	 .help = "Most documents of one request."},
	{.flag = "--batch-bytes", .flags = OPTION_LIVE, .type = OPTION_SIZE, .arg = "SIZE",
	 .def = "1MiB", .min = 64 * KIB,
	 .max = 32 * MIB, FIELD(batch_bytes), .help = "Most bytes of text and fields of one request."},
	{.flag = "--vector-backoff-max", .flags = OPTION_LIVE, .type = OPTION_DURATION,
	 .arg = "TIME", .def = "30s",
	 .min = 10 * MS, .max = HOUR, FIELD(vector_backoff_max),
	 .help = "Longest pause after a failure of embedder or database, if it names no longer one."},
	{.flag = "--vector-cache", .type = OPTION_SIZE, .arg = "SIZE", .def = "128MiB", .max = 16 * GIB,
	 FIELD(vector_cache),
	 .help = "Most memory for the vectors that sqlite: searches; over it they are read from the file."},
	{.flag = "--reembed", .type = OPTION_BOOL, .def = "false", FIELD(reembed),
	 .help = "Use a collection of its own for each model, dimension and template, instead of refusing "
		 "one that was made with others."},
	{.flag = "--ledger", .type = OPTION_STRING, .arg = "FILE", .def_words = "the sqlite: file",
	 FIELD(ledger),
	 .help = "SQLite file that remembers what databases hold. Without it a restart asks the database; "
		 "http:URL, which cannot be asked, gets everything again."},

	{.group = "Graph and events",
	 .flag = "--graph", .flags = OPTION_HUSH, .type = OPTION_LIST, .arg = "KIND:WHERE",
	 .max = 4, .ok = is_graph,
	 .expect = "sqlite:FILE, jsonl:FILE, neo4j:URL or -", .def_words = "none", FIELD(graph),
	 .help = "Keep a graph of resources and their relations: in SQLite (for kindred graph), as JSON "
		 "lines (- is standard output), or in Neo4j. Cluster scope only."},
	{.flag = "--graph-filter", .flags = OPTION_LIVE, .type = OPTION_STRING, .arg = "FILTER",
	 .def_words = "everything",
	 FIELD(graph_filter), .help = "As --vector-filter."},
	{.flag = "--events", .flags = OPTION_HUSH, .type = OPTION_LIST, .arg = "WHERE", .max = 4,
	 .ok = is_events,
	 .expect = "jsonl:FILE, http:URL or -", .def_words = "none", FIELD(events),
	 .help = "The stream of whole, redacted objects: {action, cluster, namespace, time, kind, object}. "
		 "Cluster scope only."},
	{.flag = "--events-filter", .flags = OPTION_LIVE, .type = OPTION_STRING, .arg = "FILTER",
	 .def_words = "everything",
	 FIELD(events_filter), .help = "As --vector-filter."},

	{.group = "Questions to a running agent",
	 .flag = "--probe-listen", .type = OPTION_ENDPOINT, .flags = OPTION_OFF, .arg = "ADDR:PORT",
	 .def_words = ":9902, if it is free", FIELD(probe_listen),
	 .help = "Address of /healthz, /readyz and /metrics, and nothing else: for kubelets and Prometheus. "
		 "off: none."},
	{.flag = "--probe-tls-cert-file", .type = OPTION_STRING, .arg = "FILE",
	 FIELD(probe_tls_cert_file),
	 .help = "Certificate and its chain (PEM) for --probe-listen, which then speaks TLS; read again when "
		 "it changes."},
	{.flag = "--probe-tls-key-file", .flags = OPTION_HUSH, .type = OPTION_STRING, .arg = "FILE",
	 FIELD(probe_tls_key_file),
	 .help = "Its key (PEM)."},
	{.flag = "--probe-auth", .type = OPTION_ENUM, .def = "none", .choices = probe_auths,
	 FIELD(probe_auth),
	 .help = "Who may read /metrics at --probe-listen. kube: whoever has a bearer token that the API server "
		 "knows (TokenReview) and lets get /metrics (SubjectAccessReview)."},
	{.flag = "--ready-grace", .flags = OPTION_LIVE, .type = OPTION_DURATION, .arg = "TIME",
	 .def = "30s", .min = 0, .max = HOUR, FIELD(ready_grace),
	 .help = "How long a watch, the reducer or a sink that was well may fail before /readyz says so."},
	{.flag = "--listen", .type = OPTION_ENDPOINT, .flags = OPTION_OFF, .arg = "ADDR:PORT",
	 .def_words = "127.0.0.1:9901, if it is free", FIELD(listen),
	 .help = "Address of the data API, which the unix socket has, too. One that is not of this machine alone "
		 "needs --tls-cert-file and --listen-token-file. off: none."},
	{.flag = "--tls-cert-file", .type = OPTION_STRING, .arg = "FILE", FIELD(tls_cert_file),
	 .help = "Certificate and its chain (PEM) for --listen, which then speaks TLS; read again when it "
		 "changes."},
	{.flag = "--tls-key-file", .flags = OPTION_HUSH, .type = OPTION_STRING, .arg = "FILE",
	 FIELD(tls_key_file),
	 .help = "Its key (PEM)."},
	{.flag = "--listen-token-file", .flags = OPTION_HUSH, .ok = is_secret_file,
	 .expect = FILE_WORDS, .type = OPTION_STRING, .arg = "FILE", FIELD(listen_token_file),
	 .help = "Bearer token that every client of --listen must have; read again when it changes."},
	{.flag = "--socket", .type = OPTION_STRING, .arg = "PATH",
	 .def_words = "/run/kindred/agent.sock, if it can be made", .ok = is_socket,
	 .expect = "an absolute path below 100 bytes, or off", FIELD(socket),
	 .help = "Unix socket that commands such as kindred flows ask. off: none."},
	{.flag = "--resync-listen", .env = {"KINDRED_RESYNC_LISTEN", "API_BIND_ADDRESS"},
	 .type = OPTION_ENDPOINT, .flags = OPTION_OFF, .arg = "ADDR:PORT", .def_words = "off",
	 FIELD(resync_listen),
	 .help = "Address of POST /api/v1/resync and nothing else but /healthz; --listen and the unix socket "
		 "have it, too."},

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
	 .flag = "--log-level", .env = {"KINDRED_LOG_LEVEL", "LOG_LEVEL"}, .type = OPTION_ENUM,
	 .flags = OPTION_LIVE, .def = "info", .choices = log_levels, FIELD(log_level),
	 .help = "Least important message that is written to standard error."},
	{.flag = "--log-format", .type = OPTION_ENUM, .flags = OPTION_LIVE, .def = "text",
	 .choices = log_formats,
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
	 FIELD(check_config), .help = "Check the options, the files they name and what they mean together, and leave: exit code 0 "
		 "or 2."},
	{.flag = "--offline", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(offline),
	 .help = "With --check-config: look at the options alone, not at files, credentials and names, which "
		 "may be those of another machine."},
	{.flag = "--print-config", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(print_config),
	 .help = "Print every option with its value and where it came from, as YAML, and leave."},
	{.flag = "--check-access", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(check_access),
	 .help = "Ask the API server for each permission that this configuration needs, print the answers and "
		 "the RBAC rules (YAML) that are missing, and leave: exit code 0 all are there, 1 some are "
		 "denied, 2 it could not be asked."},
	{.flag = "--print-access", .type = OPTION_BOOL, .flags = OPTION_FLAG_ONLY, .def = "false",
	 FIELD(print_access),
	 .help = "Print the permissions that this configuration needs, as RBAC rules (YAML), and leave."},
};
/* clang-format on */

const struct option_table agent_option_table = {
	.command = "kindred agent",
	.about = "Watches pods and their owners on an API server, observes the node's TCP and UDP "
		 "flows, and tells a telemetry reducer which workload every pod, container and "
		 "flow belongs to; on demand also databases, graphs and collectors.",
	.after = "[NAME] is the environment variable that says the same; a flag beats it, and it "
		 "beats the file of --config. Live: in effect at once when that file changes, or "
		 "at SIGHUP; others need a restart. "
		 "Exit codes: 0 stopped by SIGTERM or SIGINT, or help printed; 1 failed at run "
		 "time; "
		 "2 usage or configuration error.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};
