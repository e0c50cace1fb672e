/*
 * kindred reducer: the reference reducer as a program. It listens, checks what
 * agents send and shows what it has learnt: tables of pods and of the traffic between
 * workloads when things have settled, or every event as a JSON line.
 */
#include "cli/cmd_reducer.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "reducer/listener.h"
#include "reducer/report.h"
#include "reducer/report_flows.h"
#include "reducer/table.h"

#include <errno.h>
#include <event2/event.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_OUTPUT     (256U << 20) /* of one table; a larger one is not printed */
#define QUIET_PIPE     (1 * NSEC_PER_SEC)
#define QUIET_TERMINAL (200 * NSEC_PER_MSEC)
/* Under steady change there is a table this often all the same. */
#define LATEST_PIPE	(5 * NSEC_PER_SEC)
#define LATEST_TERMINAL (1 * NSEC_PER_SEC)
#define TABLE_MARGIN	6 /* lines of a terminal that are neither pods nor traffic */

struct reducer_config {
	struct option_endpoint listen;
	const char *port_file;
	uint32_t slow;
	uint64_t close_after;
	bool json, hang, send_bytes;
};

struct reducer {
	struct reducer_config o;
	struct event_base *base;
	struct event *settle, *term, *intr;
	struct reducer_table *table;
	struct listener *listener;
	struct buf out;
	bool terminal;
	bool changed;		   /* since the last table */
	bool pods;		   /* of pods, not only perhaps of traffic */
	uint64_t traffic;	   /* traffic_stats.changes at the last one */
	struct report_grown grown; /* JSON */
	nsec_t first_change, last_change;
	int failed; /* standard output is gone */
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct reducer_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Reducer",
	 .flag = "--listen", .type = OPTION_ENDPOINT, .arg = "HOST:PORT", .def = "127.0.0.1:8000",
	 FIELD(listen),
	 .help = "Where to listen; no host is any address, port 0 any free port."},
	{.flag = "--json", .type = OPTION_BOOL, FIELD(json),
	 .help = "Instead of the table one JSON object a line, written at once: events connect, "
		 "resync, pod, container, delete, disconnect, error, and message for all others; "
		 "and flow, within a second, for the traffic between two workloads that has grown, "
		 "with its sums so far."},
	{.flag = "--port-file", .type = OPTION_STRING, .arg = "FILE", FIELD(port_file),
	 .help = "Write the port in use to FILE when it listens."},
	{.group = "Faults, to test agents with",
	 .flag = "--slow", .type = OPTION_INT, .arg = "BYTES_PER_S", .min = 1, .max = UINT32_MAX,
	 FIELD(slow), .help = "Read at most this many bytes a second from each agent."},
	{.flag = "--hang", .type = OPTION_BOOL, FIELD(hang), .help = "Accept and never read."},
	{.flag = "--close-after", .type = OPTION_INT, .arg = "N", .min = 1, .max = UINT64_MAX,
	 FIELD(close_after), .help = "Close each connection after N messages."},
	{.flag = "--send-bytes", .type = OPTION_BOOL, FIELD(send_bytes),
	 .help = "Send bytes to the agents, which the reducer never does."},
};
/* clang-format on */

const struct option_table cmd_reducer_options = {
	.command = "kindred reducer",
	.about = "Listens as the telemetry reducer does, checks what agents send, and shows the "
		 "workloads and pods that they announce and the traffic between them.",
	.after = "A connection that is reset keeps its pods until it was silent for 30 seconds, as "
		 "with the reducer; one that is closed gives them up at once. Breaches of the "
		 "protocol that the reducer closes a connection for close it here, too; others are "
		 "reported. SIGTERM and SIGINT end with exit code 0.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

static void addrinfo_free(struct addrinfo **a)
{
	if (*a)
		freeaddrinfo(*a);
}

/* An empty host is any address. */
static int resolve(const struct option_endpoint *listen, struct addrinfo **ret)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	char port[8];
	int r;

	(void)snprintf(port, sizeof(port), "%u", listen->port);
	r = getaddrinfo(*listen->host ? listen->host : NULL, port, &hints, ret);
	if (r)
		log_error("--listen %s: %s", listen->host, gai_strerror(r));
	return r ? -EINVAL : 0;
}

/* Everything that waits in `out`; a broken pipe ends the program. */
static void flush_output(struct reducer *red)
{
	const struct str s = buf_str(&red->out);

	if (s.n && (fwrite(s.p, 1, s.n, stdout) != s.n || fflush(stdout) != 0)) {
		red->failed = -EIO;
		(void)event_base_loopbreak(red->base);
	}
	buf_reset(&red->out);
}

static size_t terminal_rows(const struct reducer *red)
{
	struct winsize w = {0};

	if (!red->terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_row <= TABLE_MARGIN)
		return 0;
	return w.ws_row - TABLE_MARGIN;
}

/* Since the last time it was asked. */
static bool traffic_changed(struct reducer *red)
{
	struct traffic_stats st;
	bool changed;

	traffic_stats(reducer_table_traffic(red->table), &st);
	changed = st.changes != red->traffic;
	red->traffic = st.changes;
	return changed;
}

static void print_flows(struct reducer *red)
{
	int r;

	if (!traffic_changed(red))
		return;
	r = report_grown(&red->grown, reducer_table_traffic(red->table), &red->out);
	if (r < 0)
		(void)log_err(r, "cannot print the traffic");
	flush_output(red);
}

/* Both tables; on a terminal they share its lines. */
static int report(struct reducer *red, bool whole)
{
	const size_t rows = whole ? 0 : terminal_rows(red);
	struct traffic_stats st;
	size_t pods = rows;
	int r;

	traffic_stats(reducer_table_traffic(red->table), &st);
	if (rows && (st.links || st.edges))
		pods = MAX(rows / 2, (size_t)1);
	r = report_table(red->table, pods, &red->out);
	if (r == 0 && (st.links || st.edges))
		r = buf_append_str(&red->out, STR("\n"));
	return r < 0 ? r
		     : report_traffic(reducer_table_traffic(red->table),
				      rows ? MAX(rows - pods, (size_t)1) : 0, &red->out);
}

static void print_table(struct reducer *red, bool whole)
{
	const uint32_t agents = listener_connections(red->listener);
	int r = 0;

	if (red->terminal && !whole)
		r = buf_append_str(&red->out, STR("\033[H\033[2J"));
	if (r == 0)
		r = report(red, whole);
	if (r == 0)
		r = buf_printf(&red->out, "%u agent%s connected\n\n", agents,
			       agents == 1 ? "" : "s");
	if (r < 0) {
		buf_reset(&red->out);
		(void)log_err(r, "cannot print the table");
	}
	flush_output(red);
	red->changed = false;
}

/* When the next table is due: after a quiet time, and never too long after the first change. */
static nsec_t due(const struct reducer *red)
{
	const nsec_t quiet = red->terminal ? QUIET_TERMINAL : QUIET_PIPE;
	const nsec_t latest = red->terminal || red->o.json ? LATEST_TERMINAL : LATEST_PIPE;

	return MIN(red->last_change + quiet, red->first_change + latest);
}

static void arm_settle(struct reducer *red, nsec_t now)
{
	const nsec_t at = due(red), wait = at > now ? at - now : 0;
	const struct timeval tv = clock_timeval(wait);

	(void)event_add(red->settle, &tv);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	struct reducer *red = arg;
	const nsec_t now = clock_mono();

	(void)fd;
	(void)what;
	if (!red->changed)
		return;
	if (now < due(red)) {
		arm_settle(red, now);
		return;
	}
	red->changed = false;
	if (red->o.json)
		print_flows(red);
	else if (traffic_changed(red) || red->pods)
		print_table(red, false);
	red->pods = false;
}

/* Only notes the time: changes come by the hundred thousand, the timer looks at it when it fires.
 */
static void note_change(struct reducer *red, bool pods)
{
	const nsec_t now = clock_mono();

	red->pods |= pods;
	red->last_change = now;
	if (red->changed)
		return;
	red->changed = true;
	red->first_change = now;
	arm_settle(red, now);
}

static void log_effect(uint32_t conn, const struct ingest_effect *e)
{
	struct wire_connect c;

	if (e->type == INGEST_ERROR)
		log_warn("agent %u: %s", conn, e->error);
	else if (e->type == INGEST_CONNECT && wire_get_connect(e->msg, &c))
		log_info("agent %u: connected from %.*s", conn, STR_ARG(c.hostname));
	else if (e->type == INGEST_RESYNC)
		log_info("agent %u: epoch %llu", conn, (unsigned long long)e->epoch);
}

static void on_effect(void *arg, uint32_t conn, const struct ingest_effect *e)
{
	struct reducer *red = arg;
	int r;

	if (red->o.json) {
		r = report_effect(conn, e, &red->out);
		if (r < 0)
			(void)log_err(r, "agent %u: cannot print an event", conn);
		flush_output(red);
	} else {
		log_effect(conn, e);
	}
	if (e->type != INGEST_ERROR)
		note_change(red, e->type != INGEST_MESSAGE);
}

static void on_disconnect(void *arg, uint32_t conn, bool reset)
{
	struct reducer *red = arg;

	if (red->o.json) {
		if (report_disconnect(conn, &red->out) == 0)
			flush_output(red);
		note_change(red, false);
		return;
	}
	log_info("agent %u: %s", conn,
		 reset ? "connection reset; its pods stay for up to 30 s" : "disconnected");
	note_change(red, true);
}

static void on_swept(void *arg, uint32_t conn)
{
	(void)conn;
	note_change(arg, true);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	const struct reducer *red = arg;

	(void)fd;
	(void)what;
	(void)event_base_loopbreak(red->base);
}

static int open_loop(struct reducer *red)
{
	red->base = event_base_new();
	if (!red->base)
		return -ENOMEM;
	red->settle = evtimer_new(red->base, on_settle, red);
	red->term = evsignal_new(red->base, SIGTERM, on_signal, red);
	red->intr = evsignal_new(red->base, SIGINT, on_signal, red);
	if (!red->settle || !red->term || !red->intr)
		return -ENOMEM;
	if (event_add(red->term, NULL) < 0 || event_add(red->intr, NULL) < 0)
		return -EIO;
	return reducer_table_new(&(struct reducer_table_opts){0}, &red->table);
}

static int open_listener(struct reducer *red)
{
	_cleanup_(addrinfo_free) struct addrinfo *addr = NULL;
	const struct listener_hooks hooks = {
		.effect = on_effect, .disconnect = on_disconnect, .swept = on_swept, .arg = red};
	int r = resolve(&red->o.listen, &addr);

	if (r < 0)
		return r;
	r = listener_new(red->base,
			 &(struct listener_opts){.addr = addr->ai_addr,
						 .addr_len = addr->ai_addrlen,
						 .table = red->table,
						 .faults = {.slow = red->o.slow,
							    .close_after = red->o.close_after,
							    .hang = red->o.hang,
							    .send_bytes = red->o.send_bytes},
						 .hooks = hooks},
			 &red->listener);
	if (r < 0)
		return log_err(r, "cannot listen on %s:%u", red->o.listen.host, red->o.listen.port);
	log_info("reducer: listening on port %u", listener_port(red->listener));
	return 0;
}

/* Whole or not at all: a reader that sees the file sees the port. */
static int write_port(const struct reducer *red)
{
	char tmp[4096];
	FILE *f;
	bool ok;

	if (!red->o.port_file)
		return 0;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", red->o.port_file) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	f = fopen(tmp, "we");
	if (!f)
		return log_err(-errno, "--port-file %s", tmp);
	ok = fprintf(f, "%u\n", listener_port(red->listener)) > 0;
	ok = fclose(f) == 0 && ok;
	if (!ok || rename(tmp, red->o.port_file) < 0)
		return log_err(-errno, "--port-file %s", red->o.port_file);
	return 0;
}

static void reducer_done(struct reducer *red)
{
	listener_free(&red->listener);
	reducer_table_free(&red->table);
	if (red->settle)
		event_free(red->settle);
	if (red->term)
		event_free(red->term);
	if (red->intr)
		event_free(red->intr);
	if (red->base)
		event_base_free(red->base);
	buf_done(&red->out);
	report_grown_done(&red->grown);
}

static int run(struct reducer *red)
{
	int r = open_loop(red);

	if (r == 0)
		r = open_listener(red);
	if (r == 0)
		r = write_port(red);
	if (r < 0)
		return r;
	if (event_base_dispatch(red->base) < 0)
		return -EIO;
	if (!red->failed && red->o.json)
		print_flows(red);
	else if (!red->failed)
		print_table(red, true);
	return red->failed;
}

int cmd_reducer(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_cleanup_(reducer_done) struct reducer red = {.out = {.max = MAX_OUTPUT}};
	int r = options_read(&cmd_reducer_options, &red.o, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	red.terminal = isatty(STDOUT_FILENO) && !red.o.json;
	return run(&red) < 0 ? EXIT_FAILED : EXIT_OK;
}
