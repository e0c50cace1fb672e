/* The agent's options: the table is sound, files are read, and what excludes what. */
#include "config/agent_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WORDS_MAX 16
#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct load {
	struct agent_config c;
	struct options *o;
	char error[1024];
	int r;
};

static char path[64]; /* the YAML file */

static void write_file(const void *p, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void load(struct load *l, const char *const *args, const char *const *env)
{
	char *argv[WORDS_MAX] = {(char[]){"agent"}}, *envp[WORDS_MAX] = {0};
	char copy[2 * WORDS_MAX][512];
	int argc = 1;

	for (; args && args[argc - 1]; argc++) {
		(void)snprintf(copy[argc], sizeof(copy[0]), "%s", args[argc - 1]);
		argv[argc] = copy[argc];
	}
	for (int i = 0; env && env[i]; i++) {
		(void)snprintf(copy[WORDS_MAX + i], sizeof(copy[0]), "%s", env[i]);
		envp[i] = copy[WORDS_MAX + i];
	}
	memset(l, 0, sizeof(*l));
	assert_int_equal(options_new(&agent_option_table, &l->c, &l->o), 0);
	l->r = agent_config_load(l->o, argc, argv, envp, &l->c);
	(void)snprintf(l->error, sizeof(l->error), "%.*s", STR_ARG(options_errors(l->o)));
}

static void expect_ok(struct load *l, const char *const *args, const char *const *env)
{
	load(l, args, env);
	assert_string_equal(l->error, "");
	assert_int_equal(l->r, 0);
}

static void expect_error(const char *const *args, const char *const *env, const char *part)
{
	struct load l;

	load(&l, args, env);
	assert_int_equal(l.r, -EINVAL);
	if (!strstr(l.error, part))
		fail_msg("\"%s\" is not in \"%s\"", part, l.error);
	assert_int_equal(strncmp(l.error, "config error: ", 14), 0);
	assert_int_equal(l.error[strlen(l.error) - 1], '\n');
	options_free(&l.o);
}

static size_t size_of(enum option_type type, size_t size)
{
	static const size_t sizes[_OPTION_TYPE_MAX] = {
		[OPTION_BOOL] = sizeof(bool),
		[OPTION_NUMBER] = sizeof(double),
		[OPTION_DURATION] = sizeof(nsec_t),
		[OPTION_SIZE] = sizeof(size_t),
		[OPTION_STRING] = sizeof(char *),
		[OPTION_ENUM] = sizeof(int),
		[OPTION_LIST] = sizeof(struct option_list),
		[OPTION_ENDPOINT] = sizeof(struct option_endpoint),
	};

	if (type == OPTION_INT)
		return size == 2 || size == 4 || size == 8 ? size : 0;
	return sizes[type];
}

static void table_is_sound(void **state)
{
	const struct option_table *t = &agent_option_table;

	(void)state;
	for (size_t i = 0; i < t->n; i++) {
		const struct option_desc *d = &t->v[i];

		assert_int_equal(strncmp(d->flag, "--", 2), 0);
		assert_int_equal(d->size, size_of(d->type, d->size));
		assert_non_null(d->help);
		assert_true(!d->ok == !d->expect);
		assert_true((d->type == OPTION_ENUM) == (d->choices != NULL));
		assert_true(!(d->flags & OPTION_IGNORED) || d->why);
		/* What is live can be given in the file. */
		assert_true(!(d->flags & OPTION_LIVE) ||
			    !(d->flags & (OPTION_FLAG_ONLY | OPTION_CONFIG_FILE | OPTION_IGNORED)));
		assert_true(d->type != OPTION_LIST || d->max > 0);
		if (d->type == OPTION_INT || d->type == OPTION_DURATION || d->type == OPTION_SIZE)
			assert_true(d->def && d->min < d->max);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(d->flag, t->v[j].flag);
			assert_true(d->offset >= t->v[j].offset + t->v[j].size ||
				    d->offset + d->size <= t->v[j].offset);
			for (size_t e = 0; d->env[0] && e < OPTION_ENV_MAX && t->v[j].env[e]; e++)
				assert_string_not_equal(d->env[0], t->v[j].env[e]);
		}
	}
}

/* The numbers that the issue tracker and the README promise. */
static void promised_defaults(void **state)
{
	struct load l;

	(void)state;
	expect_ok(&l, NULL, NULL);
	assert_int_equal(l.c.scope, AGENT_SCOPE_CLUSTER);
	assert_string_equal(l.c.intake_host, "127.0.0.1");
	assert_int_equal(l.c.intake_port, 8000);
	assert_int_equal(l.c.connect_timeout, 10 * NSEC_PER_SEC);
	assert_int_equal(l.c.list_silence, 30 * NSEC_PER_SEC);
	assert_int_equal(l.c.first_byte_timeout, 60 * NSEC_PER_SEC);
	assert_int_equal(l.c.watch_silence, 150 * NSEC_PER_SEC);
	assert_int_equal(l.c.backoff_min, 500 * NSEC_PER_MSEC);
	assert_int_equal(l.c.backoff_max, 30 * NSEC_PER_SEC);
	assert_true(l.c.start_jitter <= 5 * NSEC_PER_SEC);
	assert_true(l.c.api_qps <= 10 && l.c.api_burst <= 20);
	assert_int_equal(l.c.lease_duration, 15 * NSEC_PER_SEC);
	assert_int_equal(l.c.lease_renew_deadline, 10 * NSEC_PER_SEC);
	assert_int_equal(l.c.lease_retry, 2 * NSEC_PER_SEC);
	assert_string_equal(l.c.lease_name, "kindred");
	assert_int_equal(l.c.watch_timeout_min, 300 * NSEC_PER_SEC);
	assert_int_equal(l.c.watch_timeout_max, 600 * NSEC_PER_SEC);
	assert_int_equal(l.c.waiting_timeout, 10 * NSEC_PER_SEC);
	assert_int_equal(l.c.waiting_max, 10000);
	assert_int_equal(l.c.owner_refresh, 600 * NSEC_PER_SEC);
	assert_int_equal(l.c.page_size, 500);
	assert_int_equal(l.c.max_object_size, 4 << 20);
	assert_true(l.c.heartbeat <= 15 * NSEC_PER_SEC);
	assert_int_equal(l.c.announce_minor, 11);
	assert_int_equal(l.c.log_level, LOG_INFO);
	options_free(&l.o);
}

static void older_collectors(void **state)
{
	struct load l;
	char *warnings;

	(void)state;
	expect_ok(&l, ARGS("--delete-capacity=5"),
		  ARGS("NODE_NAME=node-1", "EBPF_NET_INTAKE_HOST=reducer.ns",
		       "EBPF_NET_INTAKE_PORT=7000", "EBPF_NET_AGENT_CLUSTER=blue",
		       "EBPF_NET_AGENT_ZONE=z", "EBPF_NET_RECORD_INTAKE_OUTPUT_PATH=/tmp/x",
		       "EBPF_NET_INTAKE_ENCODER=binary", "EBPF_NET_MINOR_VERSION=12",
		       "K8S_COLLECTOR_HOSTNAME=h", "K8S_COLLECTOR_DELETE_TTL_SECS=60"));
	assert_int_equal(l.c.scope, AGENT_SCOPE_NODE);
	assert_string_equal(l.c.node_name, "node-1");
	assert_string_equal(l.c.intake_host, "reducer.ns");
	assert_int_equal(l.c.intake_port, 7000);
	assert_string_equal(l.c.agent_cluster, "blue");
	assert_string_equal(l.c.agent_zone, "z");
	assert_string_equal(l.c.record_plain, "/tmp/x");
	assert_int_equal(l.c.announce_minor, 12);
	assert_string_equal(l.c.collector_hostname, "h");
	warnings = str_dup(options_warnings(l.o));
	assert_non_null(strstr(warnings, "--delete-ttl-secs: \"60\" (from environment "
					 "K8S_COLLECTOR_DELETE_TTL_SECS): has no effect; "));
	assert_non_null(
		strstr(warnings, "--delete-capacity: \"5\" (from the command line): has no "));
	free(warnings);
	options_free(&l.o);
	expect_error(
		NULL, ARGS("EBPF_NET_INTAKE_ENCODER=json"),
		"--intake-encoder: \"json\" (from environment EBPF_NET_INTAKE_ENCODER): must be "
		"binary; the reducer");
	expect_error(NULL, ARGS("EBPF_NET_MINOR_VERSION=8"), "refuses versions below 0.9.0");
}

/* k8s-vectordb-sync's variables, whose numbers have their unit in the name. */
static void older_sync(void **state)
{
	struct load l;

	(void)state;
	expect_ok(&l, NULL,
		  (const char *const[]){"REST_ENDPOINT=http://w:3000/api/v1/instances/sync",
					"DEBOUNCE_WINDOW_MS=2500", "BATCH_FLUSH_INTERVAL_MS=100",
					"BATCH_MAX_SIZE=50", "LOG_LEVEL=debug",
					"CAPABILITIES_ENDPOINT=http://w:3000/scan", NULL});
	assert_string_equal(l.c.rest_endpoint, "http://w:3000/api/v1/instances/sync");
	assert_true(l.c.debounce == 2500 * NSEC_PER_MSEC);
	assert_true(l.c.batch_interval == 100 * NSEC_PER_MSEC);
	assert_int_equal(l.c.batch_size, 50);
	assert_int_equal(l.c.log_level, LOG_DEBUG);
	assert_string_equal(l.c.capabilities, "http://w:3000/scan");
	options_free(&l.o);
	expect_ok(&l, NULL, ARGS("INSTANCES_ENDPOINT=http://w/x", "KINDRED_DEBOUNCE=3s"));
	assert_string_equal(l.c.rest_endpoint, "http://w/x");
	assert_true(l.c.debounce == 3 * NSEC_PER_SEC);
	options_free(&l.o);
	expect_error(NULL, ARGS("DEBOUNCE_WINDOW_MS=-5"), "DEBOUNCE_WINDOW_MS");
	expect_error(ARGS("--debounce", "2500"), NULL, "--debounce"); /* a flag needs its unit */
	expect_error(ARGS("--vector", "milvus:http://x"), NULL, "qdrant:URL");
	expect_error(ARGS("--embed", "hash:7"), NULL, "hash:DIMENSION");
	expect_error(ARGS("--vector", "sqlite:/x", "--scope", "node", "--node-name", "n"), NULL,
		     "--scope cluster");
	expect_error(ARGS("--debounce", "2m"), NULL, "--debounce-max");
}

static void values(void **state)
{
	struct load l;

	(void)state;
	expect_ok(&l,
		  ARGS("--follow-owners", "argoproj.io/Rollout,apps.kruise.io/CloneSet",
		       "--namespaces", "a,b", "--api-server", "http://127.0.0.1:8001/prefix"),
		  NULL);
	assert_int_equal(l.c.follow_owners.n, 2);
	assert_int_equal(l.c.namespaces.n, 2);
	options_free(&l.o);
	expect_error(ARGS("--follow-owners=Rollout"), NULL, "must be GROUP/KIND");
	expect_error(ARGS("--follow-owners=argoproj.io/"), NULL, "must be GROUP/KIND");
	expect_error(ARGS("--follow-owners=argoproj.io/Roll out"), NULL, "must be GROUP/KIND");
	expect_error(ARGS("--namespaces=Upper"), NULL, "must be namespace names");
	expect_error(ARGS("--namespaces=a.b"), NULL, "must be namespace names");
	expect_error(ARGS("--node-name=-x"), NULL, "must be a node's name");
	expect_error(ARGS("--api-server=127.0.0.1:8001"), NULL, "must be a URL");
	expect_error(ARGS("--api-server=https://"), NULL, "must be a URL");
	expect_error(ARGS("--api-server=https:///x"), NULL, "must be a URL");
	expect_error(ARGS("--api-server=https://a?b"), NULL, "must be a URL");
	expect_error(ARGS("--intake-host=a b"), NULL, "must be a host name or an address");
	expect_error(ARGS("--heartbeat=16s"), NULL, "from 100ms to 15s");
}

static void contradictions(void **state)
{
	(void)state;
	expect_error(ARGS("--scope=node"), NULL, "--scope node needs --node-name");
	expect_error(ARGS("--namespaces=a,*"), NULL, "--namespaces takes * or a list");
	expect_error(ARGS("--namespaces=a"), ARGS("NODE_NAME=n"),
		     "--namespaces is for --scope cluster");
	expect_error(ARGS("--client-cert=a"), NULL, "--client-cert needs --client-key");
	expect_error(ARGS("--client-key=a"), NULL, "--client-key needs --client-cert");
	expect_error(ARGS("--client-key=a", "--client-cert=a", "--token-file=a"), NULL,
		     "exclude each other");
	expect_error(ARGS("--backoff-min=31s"), NULL, "--backoff-min is above");
	expect_error(ARGS("--intake-backoff-min=31s"), NULL, "--intake-backoff-min is above");
	expect_error(ARGS("--watch-timeout-min=11m"), NULL, "--watch-timeout-min is above");
	expect_error(ARGS("--follow-owners=*,a.b/C"), NULL, "takes * or a list");
	expect_error(ARGS("--intake-ca-file=x"), NULL, "--intake-ca-file needs --intake-tls");
	expect_error(ARGS("--flow-ring=3MiB"), NULL, "--flow-ring must be a power of two");
	expect_error(ARGS("--flows=off", "--flows-out=-"), NULL, "--flows is off");
	expect_error(ARGS("--flows-out=x"), NULL, "must be jsonl:FILE");
	expect_error(ARGS("--record=x", "--record-uncompressed=x"), NULL, "name the same file");
	expect_error(ARGS("--record=x", "--record-uncompressed=x.1"), NULL, "name the same file");
	expect_error(ARGS("--record=x.1", "--record-uncompressed=x"), NULL, "name the same file");
}

/* auto: only with both names, and never in node scope. */
static void elections(void **state)
{
	static const struct {
		const char *args[4], *env[3];
		int is;
	} cases[] = {
		{{NULL}, {NULL}, AGENT_ELECTION_OFF},
		{{NULL},
		 {"POD_NAME=p"},
		 AGENT_ELECTION_AUTO}, /* the service account may say where */
		{{NULL}, {"POD_NAMESPACE=n"}, AGENT_ELECTION_OFF},
		{{NULL}, {"POD_NAME=p", "POD_NAMESPACE=n"}, AGENT_ELECTION_ON},
		{{"--pod-name=p", "--lease-namespace=n"}, {NULL}, AGENT_ELECTION_ON},
		{{"--leader-election=on"}, {NULL}, AGENT_ELECTION_ON},
		{{"--leader-election=off"}, {"POD_NAME=p", "POD_NAMESPACE=n"}, AGENT_ELECTION_OFF},
		{{"--node-name=a"}, {"POD_NAME=p", "POD_NAMESPACE=n"}, AGENT_ELECTION_OFF},
	};
	struct load l;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		expect_ok(&l, cases[i].args, cases[i].env);
		assert_int_equal(l.c.leader_election, cases[i].is);
		options_free(&l.o);
	}
	expect_ok(&l, ARGS("--start-jitter=0s"), ARGS("POD_NAME=p-1.x", "POD_NAMESPACE=obs"));
	assert_string_equal(l.c.pod_name, "p-1.x");
	assert_string_equal(l.c.lease_namespace, "obs");
	assert_int_equal(l.c.start_jitter, 0);
	options_free(&l.o);
	expect_error(ARGS("--leader-election=on"), ARGS("NODE_NAME=n"), "is for --scope cluster");
	expect_error(ARGS("--lease-duration=10s"), NULL, "must be below --lease-duration");
	expect_error(ARGS("--lease-duration=15500ms"), NULL, "whole seconds");
	expect_error(ARGS("--lease-retry=9s"), NULL, "above 1.2 times --lease-retry");
	expect_error(ARGS("--lease-duration=1s"), NULL, "--lease-duration");
	expect_error(ARGS("--lease-duration=11m"), NULL, "--lease-duration");
	expect_error(ARGS("--lease-name=Not_A_Name"), NULL, "--lease-name");
	expect_error(ARGS("--lease-namespace=a.b"), NULL, "--lease-namespace");
	expect_error(ARGS("--pod-name=UPPER"), NULL, "--pod-name");
	expect_error(ARGS("--start-jitter=6m"), NULL, "--start-jitter");
}

static void listeners(void **state)
{
	static const char *const far[] = {":9901",	   "0.0.0.0:9901",   "10.0.0.1:9901",
					  "[::]:9901",	   "[fd00::1]:9901", "agent.example:9901",
					  "128.0.0.1:9901"};
	static const char *const near[] = {"127.0.0.1:0", "127.1.2.3:1", "[::1]:1", "localhost:1"};
	struct load l;

	(void)state;
	expect_ok(&l, NULL, NULL); /* the default addresses, where they are free */
	assert_true(!l.c.listen.host && !l.c.listen.off);
	assert_true(!l.c.probe_listen.host && !l.c.probe_listen.off);
	assert_int_equal(l.c.probe_auth, AGENT_PROBE_AUTH_NONE);
	options_free(&l.o);
	expect_ok(&l, ARGS("--listen=off", "--probe-listen=off", "--socket=off"), NULL);
	assert_true(l.c.listen.off && l.c.probe_listen.off && !l.c.listen.host);
	options_free(&l.o);
	for (size_t i = 0; i < ARRAY_SIZE(near); i++) {
		expect_ok(&l, ARGS("--listen", near[i], "--probe-listen", ":9902"), NULL);
		assert_non_null(l.c.listen.host);
		options_free(&l.o);
	}
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		expect_error(ARGS("--listen", far[i]), NULL, "needs --tls-cert-file and");
		expect_error(ARGS("--listen", far[i], "--listen-token-file=t"), NULL,
			     "needs --tls");
		expect_error(ARGS("--listen", far[i], "--tls-cert-file=c", "--tls-key-file=k"),
			     NULL, "--listen-token-file, or 127.0.0.1");
		expect_ok(&l,
			  ARGS("--listen", far[i], "--tls-cert-file=c", "--tls-key-file=k",
			       "--listen-token-file=t"),
			  NULL);
		options_free(&l.o);
	}
	expect_error(ARGS("--listen=9901"), NULL, "must be HOST:PORT or [IPV6]:PORT, or off");
	expect_error(ARGS("--listen=OFF"), NULL, "must be HOST:PORT");
	expect_error(ARGS("--socket=agent.sock"), NULL, "an absolute path below 100 bytes, or off");
	expect_error(ARGS("--tls-cert-file=c"), NULL, "needs --tls-key-file");
	expect_error(ARGS("--tls-key-file=c"), NULL, "needs --tls-cert-file");
	expect_error(ARGS("--probe-tls-cert-file=c"), NULL, "needs --probe-tls-key-file");
	expect_error(ARGS("--probe-tls-key-file=c"), NULL, "needs --probe-tls-cert-file");
}

static void file(void **state)
{
	static const char text[] = "# comment\n"
				   "intake:\n"
				   "  host: from-file\n"
				   "  port: 9000\n"
				   "  connect:\n"
				   "    timeout: 3s\n"
				   "namespaces:\n"
				   "  - a\n"
				   "  - \"b\"\n"
				   "agent-cluster: 'in file'\n"
				   "agent-zone: ~\n"
				   "agent-host:\n"
				   "log: \n"
				   "resync-on-relist: true\n";
	struct load l;

	(void)state;
	write_file(text, sizeof(text) - 1);
	expect_ok(&l, ARGS("--config", path, "--intake-port=1"),
		  ARGS("EBPF_NET_INTAKE_HOST=from-env"));
	assert_string_equal(l.c.intake_host, "from-env");
	assert_int_equal(l.c.intake_port, 1);
	assert_int_equal(l.c.intake_connect_timeout, 3 * NSEC_PER_SEC);
	assert_int_equal(l.c.namespaces.n, 2);
	assert_string_equal(l.c.namespaces.v[1], "b");
	assert_string_equal(l.c.agent_cluster, "in file");
	assert_null(l.c.agent_zone);
	assert_true(l.c.resync_on_relist);
	options_free(&l.o);
	expect_ok(&l, NULL, (const char *const[]){(char[128]){"KINDRED_CONFIG="}, NULL});
	options_free(&l.o);
}

static void bad_files(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"scope: node\nintake-prot: 1\n",
		 ":2: \"intake-prot\": unknown key (did you mean intake-port?)"},
		{"intake:\n  prot: 1\n",
		 ":2: \"intake-prot\": unknown key (did you mean intake-port?)"},
		{"intake-port: 99999\n", ":1: \"intake-port\": \"99999\": must be 1 to 65535"},
		{"\n\nintake-port: x\n", ":3: \"intake-port\": \"x\": must be 1 to 65535"},
		{"intake-port: 1\nscope: node\nintake-port: 2\n",
		 ":3: \"intake-port\": given twice, first in line 1"},
		{"intake-port: 1\nintake: {port: 2}\n", ":2: \"intake-port\": given twice"},
		{"intake-port: [1]\n", ":1: \"intake-port\": is a list; must be 1 to 65535"},
		{"scope: {a: b}\n", ":1: \"scope\": is a mapping; must be node or cluster"},
		{"namespaces: {a: b}\n", ":1: \"namespaces\": is a mapping; must be namespace"},
		{"namespaces: [[a]]\n", ":1: \"namespaces\": an item is a list; must be"},
		{"namespaces:\n- a\n- Upper\n", ":3: \"namespaces\": item \"Upper\"; must be"},
		{"namespaces: [a, ]\nnamespaces: b", ":2: \"namespaces\": given twice"},
		{"intake: 5\n", ":1: \"intake\": must be a mapping"},
		{"- a\n", ":1: must be a mapping from option names to values"},
		{"hello\n", ":1: must be a mapping from option names to values"},
		{"config: x\n", ":1: \"config\": can only be given on the command line or in "
				"KINDRED_CONFIG"},
		{"check-config: true\n", "can only be given on the command line"},
		{"a: &x [1]\n", ": "},
		{"scope: &x node\n", ":1: anchors and tags are not accepted"},
		{"node-name: *x\n", ":1: aliases are not accepted"},
		{"scope: !!str node\n", ":1: anchors and tags are not accepted"},
		{"scope: node\n---\nscope: node\n", ":2: must be one document"},
		{"scope: \"no\\0de\"\n", ":1: \"scope\": a NUL byte is not accepted"},
		{"? [a]\n: b\n", ":1: a key must be a plain name"},
		{"intake: {connect: {timeout: {a: {b: {c: d}}}}}\n",
		 ":1: \"intake-connect-timeout\": is a mapping; must be a time"},
		{"\"intake-port\\0\": 1\n", ":1: \"intake-port\\x00\": unknown key"},
		{"scope: [\n", ": "},
		{"scope: \"x\n", ": "},
		{"\tscope: node\n", ":1: "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_file(cases[i].text, strlen(cases[i].text));
		expect_error(ARGS("--config", path), NULL, cases[i].part);
	}
	write_file("a\0b", 3);
	expect_error(ARGS("--config", path), NULL, ": ");
	write_file("scope: \xff\xfe\n", 10);
	expect_error(ARGS("--config", path), NULL, ": ");
	expect_error(
		ARGS("--config", "/no/such/file"), NULL,
		"--config: \"/no/such/file\" (from the command line): No such file or directory");
	expect_error(ARGS("--config", "/"), NULL, "Is a directory");
}

static void hostile_files(void **state)
{
	size_t n = 2 << 20;
	char *p = malloc(n);
	struct load l;

	(void)state;
	assert_non_null(p);
	memset(p, '#', n);
	write_file(p, 1 << 20);
	expect_ok(&l, ARGS("--config", path), NULL);
	options_free(&l.o);
	write_file(p, n);
	expect_error(ARGS("--config", path), NULL, "larger than 1MiB");
	write_file(p, (1 << 20) + 1);
	expect_error(ARGS("--config", path), NULL, "larger than 1MiB");
	memset(p, '[', 1 << 20);
	write_file(p, 1 << 20);
	expect_error(ARGS("--config", path), NULL, ": ");
	memset(p, 'k', 1 << 20);
	memcpy(p + (1 << 20) - 4, ": v\n", 4);
	write_file(p, 1 << 20);
	expect_error(ARGS("--config", path), NULL, ": ");
	free(p);
}

static void empty_file(void **state)
{
	struct load l;

	(void)state;
	write_file("", 0);
	expect_ok(&l, ARGS("--config", path), NULL);
	assert_int_equal(l.c.intake_port, 8000);
	options_free(&l.o);
}

/* `key: a,a,...` with n items, as the file. */
static void write_list(const char *key, const char *item, size_t n)
{
	_buf_ struct buf text = {.max = 65536};

	assert_int_equal(buf_printf(&text, "%s: ", key), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_printf(&text, "%s%s", i ? "," : "", item), 0);
	write_file(buf_str(&text).p, text.n);
}

static void long_lists(void **state)
{
	struct load l;

	(void)state;
	write_list("namespaces", "a", 1000);
	expect_ok(&l, ARGS("--config", path), NULL);
	assert_int_equal(l.c.namespaces.n, 1000);
	options_free(&l.o);
	write_list("namespaces", "a", 1001);
	expect_error(ARGS("--config", path), NULL, "'-'), at most 1000");
	write_list("follow-owners", "a.b/C", 1000);
	expect_ok(&l, ARGS("--config", path), NULL);
	options_free(&l.o);
	write_list("follow-owners", "a.b/C", 1001);
	expect_error(ARGS("--config", path), NULL, "or *, at most 1000");
}

static void print_is_a_file(void **state)
{
	_buf_ struct buf first = {.max = 65536}, second = {.max = 65536};
	struct load l;

	(void)state;
	expect_ok(&l, ARGS("--agent-host", "quote \" and \\ and # too", "--waiting-timeout=1m"),
		  NULL);
	assert_int_equal(options_print(l.o, &first), 0);
	options_free(&l.o);
	write_file(buf_str(&first).p, buf_str(&first).n);
	expect_ok(&l, ARGS("--config", path), NULL);
	assert_string_equal(l.c.agent_host, "quote \" and \\ and # too");
	assert_int_equal(l.c.waiting_timeout, 60 * NSEC_PER_SEC);
	assert_int_equal(options_print(l.o, &second), 0);
	assert_int_equal(buf_append(&second, "", 1), 0);
	assert_non_null(strstr(buf_str(&second).p, "\nwaiting-timeout: \"1m\" # /tmp/"));
	options_free(&l.o);
}

static void resources(void **state)
{
	struct load l;

	(void)state;
	expect_ok(&l, NULL, NULL);
	assert_int_equal(l.c.resources, AGENT_RESOURCES_OFF); /* nobody wants them */
	assert_int_equal(l.c.exclude_resources.n, 4);
	assert_string_equal(l.c.exclude_namespaces.v[0], "kube-system");
	assert_int_equal(l.c.watch_resources.n, 0);
	assert_string_equal(l.c.metadata_only.v[1], "configmaps");
	options_free(&l.o);
	expect_ok(&l, ARGS("--resources=on", "--namespaces=*", "--namespace-selector=a=b"),
		  ARGS("WATCH_RESOURCE_TYPES=Pods,deployments.apps", "EXCLUDE_RESOURCE_TYPES=pods",
		       "RESYNC_INTERVAL_MIN=5"));
	assert_int_equal(l.c.resources, AGENT_RESOURCES_ON);
	assert_int_equal(l.c.watch_resources.n, 2);
	assert_int_equal(l.c.exclude_resources.n, 1);
	assert_int_equal(l.c.resync_interval, 5);
	options_free(&l.o);
	expect_error(ARGS("--resources=on"), ARGS("NODE_NAME=n"),
		     "resources are watched in --scope cluster alone");
	expect_ok(&l, ARGS("--events=jsonl:-"), NULL);
	assert_int_equal(l.c.resources, AGENT_RESOURCES_ON);
	options_free(&l.o);
	expect_error(ARGS("--events=jsonl:-", "--resources=off"), NULL, "need resources");
	expect_error(ARGS("--namespace-selector=a=b", "--namespaces=a"), NULL,
		     "--namespace-selector and a list of --namespaces");
	expect_error(ARGS("--watch-resources=a/b"), NULL, "must be plural names");
	expect_error(ARGS("--watch-config=name"), NULL, "must be NAMESPACE/NAME");
	expect_ok(&l, ARGS("--watch-config=shop/kindred"), ARGS("NODE_NAME=n"));
	options_free(&l.o);
}

/* What a changed file would mean to a running agent: flags still win. */
static void again(void **state)
{
	struct agent_config c = {0};
	struct options *o;
	struct load l;
	size_t at = 0;

	(void)state;
	expect_ok(&l, ARGS("--api-qps=5", "--page-size=7"), ARGS("KINDRED_API_BURST=3"));
	assert_int_equal(options_new(&agent_option_table, &c, &o), 0);
	assert_int_equal(agent_config_load_again(l.o, "a text",
						 STR("api-qps: 9\nlog-level: debug\n"
						     "api-burst: 4\nnamespaces: [a, b]\n"),
						 o, &c),
			 0);
	assert_true(c.api_qps > 4.9 && c.api_qps < 5.1);
	assert_int_equal(c.page_size, 7);
	assert_int_equal(c.api_burst, 3);
	assert_int_equal(c.namespaces.n, 2);
	assert_int_equal(c.log_level, LOG_DEBUG);
	assert_string_equal(options_next_change(l.o, o, &at)->flag, "--namespaces");
	assert_string_equal(options_next_change(l.o, o, &at)->flag, "--log-level");
	assert_null(options_next_change(l.o, o, &at));
	/* Live options alone are taken over. */
	options_adopt(o, &l.c);
	assert_int_equal(l.c.log_level, LOG_DEBUG);
	assert_int_equal(l.c.namespaces.n, 0);
	options_free(&o);
	assert_int_equal(options_new(&agent_option_table, &c, &o), 0);
	assert_int_equal(agent_config_load_again(l.o, "a text", STR("page-sise: 1"), o, &c),
			 -EINVAL);
	assert_non_null(memmem(options_errors(o).p, options_errors(o).n, "a text:1", 8));
	options_free(&o);
	options_free(&l.o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(promised_defaults),
		cmocka_unit_test(older_collectors),
		cmocka_unit_test(older_sync),
		cmocka_unit_test(values),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(elections),
		cmocka_unit_test(listeners),
		cmocka_unit_test(file),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(hostile_files),
		cmocka_unit_test(empty_file),
		cmocka_unit_test(long_lists),
		cmocka_unit_test(resources),
		cmocka_unit_test(again),
		cmocka_unit_test(print_is_a_file),
	};
	int fd, r;

	(void)snprintf(path, sizeof(path), "/tmp/kindred-agent-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return 1;
	(void)close(fd);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return r;
}
