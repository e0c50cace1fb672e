/*
 * A configuration that changes under a running agent, by SIGHUP, by itself (as kubelet swaps a
 * ConfigMap's files) and by the watched ConfigMap: what can be is in effect at once, the rest is
 * named, a bad one changes nothing; no epoch begins, no connection and no flow is lost for it.
 */
#include "tests/lib/rig.h"
#include "tests/lib/rig_page.h"

#include "base/mem.h"
#include "base/str.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ARGS 24

#define TAKEN	"kindred_config_reloads_total{result=\"taken\"}"
#define REFUSED "kindred_config_reloads_total{result=\"refused\"}"
#define GOOD	"kindred_config_last_reload_success"
#define WAITING "kindred_config_restart_options"

static void agent(struct rig *rig, const char *const *more, const char *const *env)
{
	char file[PROC_PATH_MAX], path[PROC_PATH_MAX];
	const char *args[MAX_ARGS] = {"--config", rig_path(rig, "config.yaml", file), "--socket",
				      rig_path(rig, RIG_SOCKET, path)};
	size_t n = 4;

	while (more && *more)
		args[n++] = *more++;
	rig_agent(rig, args, env);
	rig_wait_log(rig, "cluster scope, API server", RIG_PATIENCE); /* its socket is there */
}

static void begin(struct rig *rig, const char *config)
{
	const struct truth_select all = {0};

	rig_truth(rig, "", &all);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_write(rig, "config.yaml", config);
}

static void hang_up(struct rig *rig)
{
	assert_int_equal(kill(rig->agent.pid, SIGHUP), 0);
}

/* The reducer was connected to once, and saw one epoch. */
static void assert_undisturbed(struct rig *rig)
{
	rig_converge(rig);
	assert_int_equal(rig->told.connects, 1);
	assert_int_equal(rig->told.disconnects, 0);
	assert_int_equal(rig->told.resyncs, 1);
	assert_int_equal(rig->told.errors, 0);
}

/* ---- SIGHUP ---------------------------------------------------------------------------------- */

static void by_signal(void **state)
{
	struct rig *rig = *state;

	begin(rig, "heartbeat: 5s\napi-qps: 7\n");
	agent(rig, (const char *const[]){"--page-size", "300", NULL},
	      (const char *const[]){"KINDRED_API_BURST=30", NULL});
	rig_converge(rig);
	assert_int_equal(rig_figure(rig, TAKEN), 0);
	assert_int_equal(rig_figure(rig, GOOD), 1);
	/* Flags and environment win, as at the start. */
	rig_write(rig, "config.yaml",
		  "heartbeat: 200ms\napi-qps: 9\npage-size: 1\napi-burst: 1\nintake-port: 1\n"
		  "agent-cluster: blue\n");
	hang_up(rig);
	rig_wait_log(rig,
		     "config.yaml: in effect now: api-qps, heartbeat; only after a restart: "
		     "agent-cluster",
		     RIG_PATIENCE);
	rig_wait_figure(rig, WAITING, 1);
	rig_wait_told(rig, "heartbeat"); /* five seconds are not over */
	assert_undisturbed(rig);
	hang_up(rig);
	rig_wait_log(rig,
		     "config.yaml: in effect now: nothing; only after a restart: agent-cluster",
		     RIG_PATIENCE);
	assert_int_equal(rig_figure(rig, REFUSED), 0);
	rig_stop(rig, SIGTERM);
}

static void bad_ones_change_nothing(void **state)
{
	struct rig *rig = *state;
	const long patience = 1;
	long taken;

	begin(rig, "log-level: info\n");
	agent(rig, NULL, NULL);
	rig_converge(rig);
	rig_write(rig, "config.yaml",
		  "log-level: error\nheartbeat: 1h\nwaht: 1\ntoken-file: [a]\n");
	hang_up(rig);
	rig_wait_log(rig, "config.yaml:3: \"waht\": unknown key", RIG_PATIENCE);
	rig_wait_log(rig, "config.yaml:2: \"heartbeat\": \"1h\": must be a time", RIG_PATIENCE);
	rig_wait_log(rig, "is not taken, all stays as it was: config error: ", RIG_PATIENCE);
	rig_wait_figure(rig, GOOD, 0);
	assert_true(rig_figure(rig, REFUSED) >= patience);
	/* What only the start would refuse is refused, too. */
	rig_write(rig, "config.yaml", "log-level: error\nca-file: /no/such/file\n");
	hang_up(rig);
	rig_wait_log(rig, "CA file /no/such/file: No such file", RIG_PATIENCE);
	rig_write(rig, "config.yaml", "log-level: error\nrecord: /no/such/folder/x\n");
	hang_up(rig);
	rig_wait_log(rig, "--record: a file cannot be made in ", RIG_PATIENCE);
	taken = rig_figure(rig, TAKEN);
	rig_write(rig, "config.yaml", "log-level: debug\n");
	hang_up(rig);
	rig_wait_figure(rig, GOOD, 1);
	assert_true(rig_figure(rig, TAKEN) > taken);
	assert_undisturbed(rig);
	rig_stop(rig, SIGTERM);
}

/* ---- by itself ------------------------------------------------------------------------------- */

static void swap(const char *folder, const char *to, const char *text)
{
	char path[PROC_PATH_MAX], data[PROC_PATH_MAX], fresh[PROC_PATH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, to);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/config.yaml", folder, to);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(data, sizeof(data), "%s/..data", folder);
	(void)snprintf(fresh, sizeof(fresh), "%s/..data_tmp", folder);
	assert_int_equal(symlink(to, fresh), 0);
	assert_int_equal(rename(fresh, data), 0);
}

static void swapped_by_kubelet(void **state)
{
	struct rig *rig = *state;
	const struct truth_select all = {0};
	char link_path[PROC_PATH_MAX];

	rig_truth(rig, "", &all);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	swap(rig->folder, "..2024_01", "heartbeat: 5s\n");
	assert_int_equal(symlink("..data/config.yaml", rig_path(rig, "config.yaml", link_path)), 0);
	agent(rig, NULL, NULL);
	rig_converge(rig);
	swap(rig->folder, "..2024_02", "heartbeat: 200ms\nlog-level: debug\n");
	rig_wait_log(rig,
		     "config.yaml: in effect now: heartbeat, log-level; only after a restart: "
		     "nothing",
		     RIG_PATIENCE);
	rig_wait_told(rig, "heartbeat");
	swap(rig->folder, "..2024_03", "heartbeat: [");
	rig_wait_figure(rig, GOOD, 0);
	swap(rig->folder, "..2024_04", "heartbeat: 5s\n");
	rig_wait_figure(rig, GOOD, 1);
	assert_int_equal(rig_figure(rig, TAKEN), 2);
	assert_int_equal(rig_figure(rig, REFUSED), 1);
	assert_undisturbed(rig);
	rig_stop(rig, SIGTERM);
}

/* ---- by the ConfigMap ------------------------------------------------------------------------ */

static void put(struct rig *rig, const char *name, const char *text)
{
	char object[600];
	int status;

	(void)snprintf(object, sizeof(object),
		       "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":"
		       "\"shop\",\"name\":\"%s\"},\"data\":{\"config.yaml\":\"%s\"}}",
		       name, text);
	status = rig_send(rig, "POST", "/replay/object", object);
	rig_assert(rig, status == 200, "status %d: %s", status, object);
}

static void objects(struct rig *rig)
{
	char dir[PROC_PATH_MAX];

	assert_int_equal(mkdir(rig_path(rig, "objects", dir), 0700), 0);
	rig_write(
		rig, "objects/all.json",
		"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\","
		"\"kind\":\"ConfigMap\",\"metadata\":{\"namespace\":\"shop\",\"name\":\"kindred\"},"
		"\"data\":{\"config.yaml\":\"api-qps: 7\"}}]}");
	rig_replay(rig, (const char *const[]){"--objects", dir, NULL});
	rig_reducer(rig, NULL);
}

static void by_config_map(void **state)
{
	struct rig *rig = *state;

	objects(rig);
	rig_write(rig, "config.yaml", "api-qps: 5\n");
	agent(rig, (const char *const[]){"--watch-config", "shop/kindred", NULL}, NULL);
	rig_wait_log(
		rig,
		"ConfigMap shop/kindred: in effect now: api-qps; only after a restart: nothing",
		RIG_PATIENCE);
	/* It stands for the file. */
	rig_write(rig, "config.yaml", "api-qps: 6\nlog-level: error\n");
	hang_up(rig);
	rig_wait_log(rig, "SIGHUP: ConfigMap shop/kindred stands for the configuration file",
		     RIG_PATIENCE);
	put(rig, "kindred", "api-qps: none");
	rig_wait_log(rig,
		     "ConfigMap shop/kindred is not taken, all stays as it was: config error: ",
		     RIG_PATIENCE);
	put(rig, "other", "log-level: error");
	put(rig, "kindred", "log-level: error");
	rig_wait_log(rig,
		     "ConfigMap shop/kindred: in effect now: api-qps, log-level; only after a "
		     "restart: nothing",
		     RIG_PATIENCE);
	assert_int_equal(rig_send(rig, "DELETE",
				  "/replay/object?apiVersion=v1&kind=ConfigMap&namespace=shop&"
				  "name=kindred",
				  ""),
			 200);
	proc_sleep(NSEC_PER_SEC);
	rig_stop(rig, SIGTERM);
	rig_assert(rig, !rig_logged(rig, "stopping") && !rig_logged(rig, "is not there"),
		   "the log is not as quiet as it was told to be");
}

/* When it is gone the file counts again. */
static void back_to_the_file(void **state)
{
	struct rig *rig = *state;

	objects(rig);
	rig_write(rig, "config.yaml", "api-qps: 5\n");
	agent(rig, (const char *const[]){"--watch-config", "shop/kindred", NULL}, NULL);
	rig_wait_log(rig, "ConfigMap shop/kindred: in effect now: api-qps", RIG_PATIENCE);
	assert_int_equal(rig_send(rig, "DELETE",
				  "/replay/object?apiVersion=v1&kind=ConfigMap&namespace=shop&"
				  "name=kindred",
				  ""),
			 200);
	rig_wait_log(rig, "ConfigMap shop/kindred is not there, the configuration stays",
		     RIG_PATIENCE);
	hang_up(rig);
	rig_wait_log(rig, "config.yaml: in effect now: api-qps; only after a restart: nothing",
		     RIG_PATIENCE);
	rig_stop(rig, SIGTERM);
}

/* ---- what takes effect ----------------------------------------------------------------------- */

static bool file_has(struct rig *rig, const char *name, const char *text)
{
	char path[PROC_PATH_MAX];
	_free_ char *all = proc_text(rig_path(rig, name, path));

	return strstr(all, text) != NULL;
}

static unsigned count(struct rig *rig, const char *name, const char *text)
{
	char path[PROC_PATH_MAX];
	_free_ char *all = proc_text(rig_path(rig, name, path));
	unsigned n = 0;

	for (const char *at = all; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static void wait_file(struct rig *rig, const char *name, const char *text)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;

	while (!file_has(rig, name, text)) {
		rig_assert(rig, clock_mono() < until, "%s never has %s", name, text);
		proc_sleep(50 * NSEC_PER_MSEC);
	}
}

/* Streams follow their filter: what passes it no more is told as deleted, and the other way. */
static void filters(void **state)
{
	struct rig *rig = *state;
	const nsec_t until = clock_mono() + 3 * RIG_PATIENCE * RIG_SLOWNESS;
	char path[PROC_PATH_MAX], events[PROC_PATH_MAX + 8], graph[PROC_PATH_MAX + 8];
	unsigned deleted, pods = 50; /* there are more */

	begin(rig, "events-filter: kinds=pods\ngraph-filter: kinds=jobs\n");
	(void)snprintf(events, sizeof(events), "jsonl:%s", rig_path(rig, "events", path));
	(void)snprintf(graph, sizeof(graph), "jsonl:%s", rig_path(rig, "graph", path));
	agent(rig, (const char *const[]){"--events", events, "--graph", graph, NULL}, NULL);
	wait_file(rig, "events", "\"kind\":\"Pod\",\"object\"");
	wait_file(rig, "graph", "Job");
	rig_converge(rig);
	assert_false(file_has(rig, "events", "\"kind\":\"Job\",\"object\""));
	deleted = count(rig, "events", "\"action\":\"Deleted\"");
	rig_write(rig, "config.yaml", "events-filter: kinds=jobs\ngraph-filter: kinds=jobs\n");
	hang_up(rig);
	wait_file(rig, "events", "\"kind\":\"Job\",\"object\"");
	while (count(rig, "events", "\"action\":\"Deleted\"") < deleted + pods) {
		rig_assert(rig, clock_mono() < until, "pods are not told as deleted");
		proc_sleep(50 * NSEC_PER_MSEC);
	}
	assert_undisturbed(rig);
	rig_stop(rig, SIGTERM);
}

/* A copy of the stream begins with the next connection, not in its midst. */
static void records(void **state)
{
	struct rig *rig = *state;
	char path[PROC_PATH_MAX], config[PROC_PATH_MAX + 64];
	struct stat st;

	begin(rig, "");
	agent(rig, NULL, NULL);
	rig_converge(rig);
	(void)snprintf(config, sizeof(config), "record: %s\nheartbeat: 200ms\n",
		       rig_path(rig, "record", path));
	rig_write(rig, "config.yaml", config);
	hang_up(rig);
	rig_wait_log(rig, "in effect now: heartbeat, record;", RIG_PATIENCE);
	rig_wait_told(rig, "heartbeat");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_undisturbed(rig);
	rig_stop(rig, SIGTERM);
}

/* ---- flows ----------------------------------------------------------------------------------- */

static bool may_load(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long set = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "CapEff:", 7) == 0)
			set = strtoull(line + 7, NULL, 16);
	if (f)
		(void)fclose(f);
	return set >> CAP_BPF & set >> CAP_PERFMON & 1;
}

struct link {
	int a, b;
	char from[INET_ADDRSTRLEN];
};

/* A connection of an address that no other test has; open until `end_link`. */
static struct link make_link(void)
{
	static unsigned nth;
	const unsigned self = (unsigned)getpid();
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in me = {.sin_family = AF_INET};
	socklen_t n = sizeof(to);
	struct link k = {.a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(k.from, sizeof(k.from), "127.%u.%u.%u", 201 + nth++ % 50, self >> 8 & 255,
		       self & 255);
	assert_int_equal(inet_pton(AF_INET, k.from, &me.sin_addr), 1);
	assert_int_equal(bind(l, (const struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&to, &n), 0);
	assert_int_equal(bind(k.a, (const struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(connect(k.a, (const struct sockaddr *)&to, sizeof(to)), 0);
	k.b = accept(l, NULL, NULL);
	(void)close(l);
	return k;
}

static void end_link(const struct link *k)
{
	(void)close(k->a);
	(void)close(k->b);
}

/* Lines of flows go to another file from the next one on, and every end is in one of the two. */
static void flows_go_on(void **state)
{
	struct rig *rig = *state;
	char one[PROC_PATH_MAX], two[PROC_PATH_MAX], config[600];
	struct link before, across, after;

	if (!may_load()) {
		print_message("skipped: no CAP_BPF (cannot run here)\n");
		skip();
	}
	(void)rig_path(rig, "one", one);
	(void)rig_path(rig, "two", two);
	(void)snprintf(config, sizeof(config), "flows-out: jsonl:%s\nflow-pending: 1s\n", one);
	begin(rig, config);
	agent(rig, (const char *const[]){"--flows", "on", "--intake-host", "127.0.0.1", NULL},
	      NULL);
	rig_wait_told(rig, "metadata_complete");
	before = make_link();
	across = make_link();
	end_link(&before);
	wait_file(rig, "one", before.from);
	wait_file(rig, "one", across.from);
	(void)snprintf(
		config, sizeof(config),
		"flows-out: jsonl:%s\nflow-pending: 1s\nflow-max: 100000\nudp-idle: 5s\n"
		"flow-refresh: 1s\nflow-series: 50\ndns-timeout: 2s\nflow-pending-max: 100\n",
		two);
	rig_write(rig, "config.yaml", config);
	hang_up(rig);
	rig_wait_log(
		rig,
		"in effect now: flows-out, flow-refresh, flow-max, flow-pending-max, udp-idle, "
		"dns-timeout, flow-series; only after a restart: nothing",
		RIG_PATIENCE);
	after = make_link();
	end_link(&across);
	end_link(&after);
	wait_file(rig, "two", after.from);
	wait_file(rig, "two", across.from);
	assert_int_equal(rig_figure(rig, "kindred_flow_series_max"), 50);
	assert_int_equal(rig->told.connects, 1);
	/* Others on this machine connect, too: some may just be on their way. */
	rig_wait_figure(rig, "kindred_flows_unaccounted", 0);
	rig_stop_flows(rig);
	rig_assert(rig, !file_has(rig, "one", after.from), "the old file is written still");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {TEST(by_signal),
					   TEST(bad_ones_change_nothing),
					   TEST(swapped_by_kubelet),
					   TEST(by_config_map),
					   TEST(back_to_the_file),
					   TEST(filters),
					   TEST(records),
					   TEST(flows_go_on)};

	return rig_run("agent/reload", tests, ARRAY_SIZE(tests), argc, argv);
}
