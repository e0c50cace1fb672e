/*
 * The ends of the agent's life: it stops within a second whatever it is doing, refuses
 * bad options in words, and comes in by a kubeconfig, with TLS and a token.
 */
#include "tests/lib/rig.h"

#include "base/mem.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const int signals[] = {SIGTERM, SIGINT};

/* --- stopping --- */

/* A listener that accepts nothing: connections stand in its queue, handshakes never end. */
static int mute_listener(unsigned *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void test_stop_idle(void **state)
{
	struct rig *rig = *state;

	rig_truth(rig, "", NULL);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		rig_agent(rig, NULL, NULL);
		rig_converge(rig);
		rig_stop(rig, signals[i]);
		proc_sleep(NSEC_PER_SEC); /* epochs begin at seconds, and the next agent's rises */
	}
}

static void test_stop_syncing(void **state)
{
	struct rig *rig = *state;

	rig_replay(rig, (const char *const[]){"--fault", "slow=20000", NULL});
	rig_reducer(rig, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		rig_agent(rig, NULL, NULL);
		rig_wait_told(rig, "metadata_complete");
		proc_sleep(NSEC_PER_SEC);
		rig_stop(rig, signals[i]);
	}
}

/* So much is told that the sockets are full and the session waits. */
static void test_stop_reducer_hung(void **state)
{
	struct rig *rig = *state;

	rig_replay(rig, (const char *const[]){"--set", "big", NULL});
	rig_reducer(rig, (const char *const[]){"--hang", NULL});
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		rig_agent(rig, NULL, NULL);
		rig_wait_log(rig, "/api/v1/pods: synced", RIG_PATIENCE);
		proc_sleep(300 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i]);
		(void)unlink(rig->agent.err);
	}
}

/* Refused at once, or lost on the way: TEST-NET-1 of RFC 5737 leads nowhere. */
static void test_stop_nothing_reachable(void **state)
{
	static const char *const refused[] = {"--api-server",
					      "http://127.0.0.1:1",
					      "--intake-port",
					      "1",
					      "--vector",
					      "qdrant:http://127.0.0.1:1",
					      "--embed",
					      "hash:64",
					      NULL};
	static const char *const lost[] = {"--api-server",
					   "https://192.0.2.1:6443",
					   "--intake-host",
					   "192.0.2.1",
					   "--intake-port",
					   "8000",
					   NULL};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		rig_agent(rig, refused, NULL);
		proc_sleep(700 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i]);
		rig_agent(rig, lost, NULL);
		proc_sleep(700 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i]);
	}
}

static void test_stop_at_once(void **state)
{
	struct rig *rig = *state;

	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	for (size_t i = 0; i < 6; i++) {
		rig_agent(rig, NULL, NULL);
		rig_wait_log(rig, "kindred ", RIG_PATIENCE);
		proc_sleep(i * 40 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i % 2]);
		(void)unlink(rig->agent.err);
	}
}

static void test_stop_in_handshakes(void **state)
{
	struct rig *rig = *state;
	char url[64], port_text[16];
	unsigned port;
	_close_ int fd = mute_listener(&port);

	assert_true(fd >= 0);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u", port);
	(void)snprintf(port_text, sizeof(port_text), "%u", port);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		rig_agent(rig,
			  (const char *const[]){"--api-server", url, "--intake-tls",
						"--intake-port", port_text, NULL},
			  NULL);
		proc_sleep(700 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i]);
	}
}

static void write_kubeconfig(struct rig *rig, const char *user)
{
	char text[4096], ca[PROC_PATH_MAX];

	(void)snprintf(text, sizeof(text),
		       "apiVersion: v1\n"
		       "kind: Config\n"
		       "current-context: here\n"
		       "contexts:\n"
		       "- name: here\n"
		       "  context: {cluster: c, user: u}\n"
		       "clusters:\n"
		       "- name: c\n"
		       "  cluster:\n"
		       "    server: http%s://127.0.0.1:%u\n"
		       "%s%s%s"
		       "users:\n"
		       "- name: u\n"
		       "  user:\n"
		       "%s",
		       rig->tls ? "s" : "", rig->replay_port,
		       rig->tls ? "    certificate-authority: " : "",
		       rig->tls ? rig_path(rig, "ca.pem", ca) : "", rig->tls ? "\n" : "", user);
	rig_write(rig, "kubeconfig", text);
}

/* A plugin that says whom it runs for in "pid", and then what `script` does. */
static void write_plugin(struct rig *rig, const char *script)
{
	char path[PROC_PATH_MAX], text[2048], user[512];

	(void)snprintf(text, sizeof(text), "#!/bin/sh\necho $$ >%s/pid\n%s\n", rig->folder, script);
	rig_write(rig, "plugin", text);
	assert_int_equal(chmod(rig_path(rig, "plugin", path), 0700), 0);
	(void)snprintf(user, sizeof(user),
		       "    exec:\n"
		       "      apiVersion: client.authentication.k8s.io/v1\n"
		       "      interactiveMode: Never\n"
		       "      command: %s\n",
		       path);
	write_kubeconfig(rig, user);
}

static void start_by_kubeconfig(struct rig *rig, const char *const *env)
{
	char path[PROC_PATH_MAX];

	rig_agent(rig,
		  (const char *const[]){"--kubeconfig", rig_path(rig, "kubeconfig", path), NULL},
		  env);
}

/* The plugin goes with the agent. */
static void test_stop_plugin_running(void **state)
{
	struct rig *rig = *state;
	char pid_file[PROC_PATH_MAX];
	unsigned pid;

	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	write_plugin(rig, "exec sleep 600");
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		(void)unlink(rig_path(rig, "pid", pid_file));
		start_by_kubeconfig(rig, NULL);
		rig_assert(rig, proc_port(pid_file, RIG_PATIENCE, &pid) == 0, "no plugin ran");
		proc_sleep(200 * NSEC_PER_MSEC);
		rig_stop(rig, signals[i]);
		rig_assert(rig, kill((pid_t)pid, 0) < 0, "the plugin still runs");
	}
}

/* --- options --- */

static void test_bad_options(void **state)
{
	static const struct {
		const char *args[6];
		const char *env;
		const char *says[4];
	} bad[] = {
		{{"--intake-port", "70000"}, NULL, {"--intake-port", "\"70000\"", "1", "65535"}},
		{{NULL}, "KINDRED_SCOPE=town", {"KINDRED_SCOPE", "\"town\"", "node", "cluster"}},
		{{"--waiting-timeout", "10"}, NULL, {"--waiting-timeout", "\"10\"", "unit"}},
		{{"--heartbeat", "1h"}, NULL, {"--heartbeat", "\"1h\"", "from", "to"}},
		{{"--scope", "galaxy"}, NULL, {"--scope", "\"galaxy\"", "node", "cluster"}},
		{{"--scope", "node"}, NULL, {"--node-name"}},
		{{"--max-object-size", "-1"}, NULL, {"--max-object-size", "\"-1\""}},
		{{"--nonsense"}, NULL, {"--nonsense"}},
		{{"--intake-encoder", "text"}, NULL, {"--intake-encoder", "\"text\"", "binary"}},
		{{"--api-server", "ftp://x"}, NULL, {"--api-server", "https://", "http://"}},
		{{"--client-cert", "/nowhere"}, NULL, {"--client-key"}},
		{{"--namespaces", "Not_A_Name"}, NULL, {"--namespaces", "Not_A_Name"}},
		{{"extra"}, NULL, {"extra"}},
		{{"--config", "/nonexistent/file"}, NULL, {"/nonexistent/file"}},
	};
	struct rig *rig = *state;

	rig->reducer_port = rig->replay_port = 1; /* only what a case says is wrong */
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_free_ char *log = NULL;

		rig_agent(rig, bad[i].args, (const char *const[]){bad[i].env, NULL});
		rig_assert(rig, proc_wait(&rig->agent, RIG_PATIENCE) == 0, "%zu: it runs", i);
		rig_assert(rig, rig->agent.code == 2, "%zu: exit code %d", i, rig->agent.code);
		log = proc_text(rig->agent.err);
		for (size_t j = 0; j < ARRAY_SIZE(bad[i].says) && bad[i].says[j]; j++)
			rig_assert(rig, strstr(log, bad[i].says[j]), "%zu: nothing of \"%s\"", i,
				   bad[i].says[j]);
		(void)unlink(rig->agent.err);
	}
}

/* --- coming in --- */

#define TOKEN "a-token-that-is-never-logged"

static void test_kubeconfig_tls_token(void **state)
{
	struct rig *rig = *state;
	char ca[PROC_PATH_MAX];

	rig_truth(rig, "", NULL);
	rig_replay(rig, (const char *const[]){"--tls", "--ca-out", rig_path(rig, "ca.pem", ca),
					      "--token", TOKEN, NULL});
	rig_reducer(rig, NULL);
	write_kubeconfig(rig, "    token: " TOKEN "\n");
	start_by_kubeconfig(rig, NULL);
	rig_converge(rig);
	rig_assert(rig, !rig_logged(rig, TOKEN), "the token is in the log");
	rig_stop(rig, SIGTERM);
}

static void test_client_certificate(void **state)
{
	struct rig *rig = *state;
	char ca[PROC_PATH_MAX], prefix[PROC_PATH_MAX], cert[PROC_PATH_MAX], key[PROC_PATH_MAX];

	rig_truth(rig, "", NULL);
	rig_replay(rig,
		   (const char *const[]){"--tls", "--ca-out", rig_path(rig, "ca.pem", ca),
					 "--client-out", rig_path(rig, "client", prefix), NULL});
	rig_reducer(rig, NULL);
	rig_agent(rig,
		  (const char *const[]){"--ca-file", ca, "--client-cert",
					rig_path(rig, "client.crt", cert), "--client-key",
					rig_path(rig, "client.key", key), NULL},
		  NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

/* A plugin's token, and a server that asks for it. */
static void test_exec_plugin(void **state)
{
	struct rig *rig = *state;

	rig_truth(rig, "", NULL);
	rig_replay(rig, (const char *const[]){"--token", TOKEN, NULL});
	rig_reducer(rig, NULL);
	write_plugin(rig, "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\","
			  "\"kind\":\"ExecCredential\",\"status\":{\"token\":\"" TOKEN "\"}}'");
	start_by_kubeconfig(rig, NULL);
	rig_converge(rig);
	rig_assert(rig, !rig_logged(rig, TOKEN), "the token is in the log");
	rig_stop(rig, SIGTERM);
}

/* The token file changes, the server asks for the new one: a 401 reads it again. */
static void test_token_rotates(void **state)
{
	struct rig *rig = *state;
	char file[PROC_PATH_MAX];

	rig_truth(rig, "", NULL);
	rig_replay(rig, (const char *const[]){"--speed", "60", "--token", TOKEN, NULL});
	rig_reducer(rig, NULL);
	rig_write(rig, "token", TOKEN "\n");
	rig_agent(rig, (const char *const[]){"--token-file", rig_path(rig, "token", file), NULL},
		  NULL);
	rig_wait_log(rig, "/api/v1/pods: synced", RIG_PATIENCE);
	rig_write(rig, "token", "another-token\n");
	json_decref(rig_ask(rig, "POST", "/replay/token?value=another-token"));
	json_decref(rig_ask(rig, "POST", "/replay/drop?how=close"));
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

/* Certificates that do not verify: the log names them and says why, and the agent tries again. */
static void test_bad_certificates(void **state)
{
	static const struct {
		const char *replay, *says[3];
		bool own_ca;
	} bad[] = {
		{"--tls", {"certificate of 127.0.0.1", "subject"}, false},
		{"--tls-expired", {"certificate of 127.0.0.1", "expired", "subject"}, true},
		{"--tls-wrong-host", {"certificate of 127.0.0.1", "another host"}, true},
	};
	struct rig *rig = *state;
	char ca[PROC_PATH_MAX];

	rig_reducer(rig, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rig->replay_port = 0;
		rig_replay(rig, (const char *const[]){bad[i].replay, "--ca-out",
						      rig_path(rig, "ca.pem", ca), NULL});
		rig_agent(rig, bad[i].own_ca ? (const char *const[]){"--ca-file", ca, NULL} : NULL,
			  NULL);
		for (size_t j = 0; j < ARRAY_SIZE(bad[i].says) && bad[i].says[j]; j++)
			rig_wait_log(rig, bad[i].says[j], RIG_PATIENCE);
		rig_stop(rig, SIGTERM);
		(void)unlink(rig->agent.err);
		(void)proc_stop(&rig->replay, SIGTERM, RIG_PATIENCE, NULL);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_stop_idle),
		CASE(test_stop_syncing),
		CASE(test_stop_reducer_hung),
		CASE(test_stop_nothing_reachable),
		CASE(test_stop_at_once),
		CASE(test_stop_in_handshakes),
		CASE(test_stop_plugin_running),
		CASE(test_bad_options),
		CASE(test_kubeconfig_tls_token),
		CASE(test_client_certificate),
		CASE(test_exec_plugin),
		CASE(test_token_rotates),
		CASE(test_bad_certificates),
	};

	return rig_run("the agent's life", tests, ARRAY_SIZE(tests), argc, argv);
}
