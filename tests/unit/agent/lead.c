/*
 * Several collectors, one Lease: one of them writes, to the reducer and to the others it
 * is told of; who takes over does so in time, and who was the leader writes nothing
 * more, however it ended: asked to, killed, cut off, or stopped and let go on.
 */
#include "tests/lib/rig.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/lib/raw_server.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS	 NSEC_PER_MSEC
#define S	 NSEC_PER_SEC
#define CREW_MAX 3
#define TAKEN	 (2 * S * RIG_SLOWNESS) /* from the lease to the resync */
#define DURATION (5 * S)		/* as in the arguments below */
#define RENEW	 (3500 * MS)
#define PATIENCE (20 * S * RIG_SLOWNESS)

/* ---- whoever is written to by HTTP --------------------------------------------------------------
 */

/* Takes everything; "/a-pod/events" says who it is from and of which sink. */
enum taken { TAKEN_EVENTS, TAKEN_DOCUMENTS, _TAKEN_MAX };

struct taker {
	struct raw_server *server;
	pthread_mutex_t lock;
	unsigned requests[256][_TAKEN_MAX];
};

static bool take_one(struct raw_conn *c, struct taker *t)
{
	char head[16384], body[4096];
	const char *at;
	size_t n;

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return false;
	at = strcasestr(head, "content-length:");
	n = at ? strtoul(at + strlen("content-length:"), NULL, 10) : 0;
	at = strchr(head, '/');
	while (n > 0) {
		const size_t some = MIN(n, sizeof(body));

		if (!raw_read(c, body, some))
			return false;
		n -= some;
	}
	if (at && strncmp(at, "/healthz", 8) != 0) {
		const bool events = strncmp(at + 6, "/events", 7) == 0;

		(void)pthread_mutex_lock(&t->lock);
		t->requests[(unsigned char)at[1]][events ? TAKEN_EVENTS : TAKEN_DOCUMENTS]++;
		(void)pthread_mutex_unlock(&t->lock);
	}
	return raw_say(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			  "Content-Length: 15\r\n\r\n{\"status\":\"ok\"}");
}

static void take_all(struct raw_conn *c)
{
	while (take_one(c, c->arg))
		;
}

static unsigned taken(struct taker *t, const char *name, enum taken what)
{
	unsigned n;

	(void)pthread_mutex_lock(&t->lock);
	n = t->requests[(unsigned char)name[0]][what];
	(void)pthread_mutex_unlock(&t->lock);
	return n;
}

/* ---- the crew ---------------------------------------------------------------------------------
 */

struct crew {
	struct rig *rig;
	struct taker taker;
	struct proc v[CREW_MAX];
	const char *names[CREW_MAX];
	unsigned stirred;
};

static const char *const names[CREW_MAX] = {"a-pod", "b-pod", "c-pod"};

static void join(struct crew *c, unsigned i, const char *name)
{
	char events[72], rest[64], file[64], socket[PROC_PATH_MAX], lines[PROC_PATH_MAX];
	const int port = raw_server_port(c->taker.server);

	c->names[i] = name;
	(void)snprintf(events, sizeof(events), "http:http://127.0.0.1:%d/%s/events", port, name);
	(void)snprintf(rest, sizeof(rest), "http://127.0.0.1:%d/%s/sync", port, name);
	(void)snprintf(file, sizeof(file), "%s.%u.sock", name, i);
	(void)rig_path(c->rig, file, socket);
	(void)snprintf(file, sizeof(file), "%s.%u.jsonl", name, i);
	(void)snprintf(lines, sizeof(lines), "jsonl:%s/%s", c->rig->folder, file);
	(void)snprintf(file, sizeof(file), "%s.%u", name, i);
	(void)snprintf(c->rig->agent.err, sizeof(c->rig->agent.err), "%s/%s.err", c->rig->folder,
		       file); /* for a failure */
	rig_agent_as(c->rig, &c->v[i], file,
		     (const char *const[]){"--scope",
					   "cluster",
					   "--pod-name",
					   name,
					   "--lease-namespace",
					   "obs",
					   "--lease-duration",
					   "5s",
					   "--lease-renew-deadline",
					   "3500ms",
					   "--lease-retry",
					   "300ms",
					   "--collector-hostname",
					   name,
					   "--socket",
					   socket,
					   "--listen",
					   "off",
					   "--probe-listen",
					   "off",
					   "--events",
					   events,
					   "--rest-endpoint",
					   rest,
					   "--graph",
					   lines,
					   "--debounce",
					   "50ms",
					   "--debounce-max",
					   "100ms",
					   "--batch-interval",
					   "50ms",
					   "--watch-resources",
					   "pods",
					   NULL},
		     NULL);
}

/* What one says of itself, whether it leads or not. */
static void ask(struct crew *c, unsigned i, const char *what, struct buf *ret)
{
	char file[64], socket[PROC_PATH_MAX];

	(void)snprintf(file, sizeof(file), "%s.%u.sock", c->names[i], i);
	(void)rig_path(c->rig, file, socket);
	rig_ask_agent(c->rig, socket, what, ret);
}

static int setup(void **state)
{
	struct crew *c = calloc(1, sizeof(*c));
	void *rig = NULL;

	assert_non_null(c);
	assert_int_equal(rig_setup(&rig), 0);
	c->rig = rig;
	(void)pthread_mutex_init(&c->taker.lock, NULL);
	c->taker.server = raw_server_start(take_all, &c->taker, NULL);
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	struct crew *c = *state;
	void *rig = c->rig;

	(void)rig_teardown(&rig);
	raw_server_stop(&c->taker.server);
	free(c);
	return 0;
}

static void begin(struct crew *c, unsigned n)
{
	rig_truth(c->rig, "", NULL);
	rig_replay(c->rig, NULL);
	rig_reducer(c->rig, NULL);
	for (unsigned i = 0; i < n; i++)
		join(c, i, names[i]);
}

/* ---- the Lease, as the API server has seen it
 * ------------------------------------------------------
 */

struct held {
	char holder[64];
	nsec_t since; /* of this holder's first write of an unbroken row */
	nsec_t last;
	unsigned writes; /* all that were taken */
};

static struct held held(struct crew *c)
{
	json_t *state = rig_ask(c->rig, "GET", "/replay/state"), *t;
	struct held h = {.holder = ""};
	size_t i;

	rig_assert(c->rig, state, "kube-replay does not answer");
	json_array_foreach(json_object_get(state, "leases"), i, t)
	{
		const char *holder = json_string_value(json_object_get(t, "holder"));
		const json_int_t status = json_integer_value(json_object_get(t, "status"));

		if (status != 200 && status != 201)
			continue;
		h.last = (nsec_t)json_integer_value(json_object_get(t, "ms")) * MS;
		if (strcmp(holder, h.holder) != 0)
			h.since = h.last;
		h.writes++;
		(void)snprintf(h.holder, sizeof(h.holder), "%s", holder);
	}
	json_decref(state);
	return h;
}

static unsigned index_of(const struct crew *c, const char *name)
{
	unsigned i = 0;

	while (i < CREW_MAX && (!c->v[i].pid || strcmp(c->names[i], name) != 0))
		i++;
	rig_assert(c->rig, i < CREW_MAX, "\"%s\" is none of the crew", name);
	return i;
}

/* Waits until somebody else than `but` (may be "") holds it. */
static struct held wait_holder(struct crew *c, const char *but, nsec_t patience)
{
	const nsec_t until = clock_mono() + patience;

	for (;;) {
		struct held h = held(c);

		if (h.holder[0] && strcmp(h.holder, but) != 0)
			return h;
		rig_assert(c->rig, clock_mono() < until, "nobody takes the lease from \"%s\"", but);
		proc_sleep(10 * MS);
	}
}

/* ---- what the reducer was told
 * ----------------------------------------------------------------------
 */

struct told_by {
	unsigned resyncs, lines; /* lines: but those that say the connection's end */
	bool connected;
};

/* Over all connections of this host. */
static struct told_by told_by(struct crew *c, const char *name)
{
	_free_ char *text = proc_text(c->rig->reducer.out);
	struct told_by r = {0};
	bool mine[256] = {false};

	for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		json_t *e = json_loads(line, 0, NULL);
		const json_int_t conn = json_integer_value(json_object_get(e, "conn")) % 256;
		const char *event = json_string_value(json_object_get(e, "event"));
		const char *host = json_string_value(json_object_get(e, "host"));

		if (event && strcmp(event, "connect") == 0)
			mine[conn] = host && strcmp(host, name) == 0;
		if (event && mine[conn]) {
			r.connected = strcmp(event, "disconnect") != 0;
			r.lines += r.connected;
			r.resyncs += strcmp(event, "resync") == 0;
		}
		json_decref(e);
	}
	return r;
}

static nsec_t wait_resync(struct crew *c, const char *name, unsigned n)
{
	const nsec_t until = clock_mono() + PATIENCE;

	while (told_by(c, name).resyncs < n) {
		rig_assert(c->rig, clock_mono() < until, "%s sends no resync", name);
		proc_sleep(10 * MS);
	}
	return clock_mono();
}

/* Whoever holds the lease sends a resync soon after, and what it tells is right. */
static void check_leader(struct crew *c, const struct held *h, unsigned resyncs)
{
	const nsec_t at = wait_resync(c, h->holder, resyncs);

	rig_assert(c->rig, at < h->since + TAKEN, "%s took %llu ms from the lease to the resync",
		   h->holder, (unsigned long long)((at - h->since) / MS));
	c->rig->agent = c->v[index_of(c, h->holder)];
	rig_converge(c->rig);
	c->rig->agent = (struct proc){0};
}

/* ---- something to write
 * ---------------------------------------------------------------------------
 */

/* A pod whose address and label change: the reducer, databases and streams hear of it. */
static void stir(struct crew *c)
{
	char text[1024];

	c->stirred++;
	(void)snprintf(text, sizeof(text),
		       "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"ticker\","
		       "\"namespace\":\"obs\",\"uid\":\"00000000-0000-4000-8000-0000000000aa\","
		       "\"labels\":{\"n\":\"%u\"}},"
		       "\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\",\"image\":"
		       "\"i:1\"}]},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.99.%u.%u\"}}",
		       c->stirred, c->stirred / 250 % 250 + 1, c->stirred % 250 + 1);
	assert_int_equal(rig_send(c->rig, "POST", "/replay/object", text), 200);
}

static void unstir(struct crew *c)
{
	(void)rig_send(c->rig, "DELETE",
		       "/replay/object?apiVersion=v1&kind=Pod&namespace=obs&name=ticker", "");
}

static void stir_for(struct crew *c, nsec_t time)
{
	const nsec_t until = clock_mono() + time;

	while (clock_mono() < until) {
		stir(c);
		proc_sleep(20 * MS);
	}
}

/* What one of them has written, anywhere. */
struct written {
	unsigned lines, requests[_TAKEN_MAX];
	long bytes; /* of its graph's lines */
};

static struct written written(struct crew *c, unsigned i)
{
	char file[64], path[PROC_PATH_MAX];
	struct written w = {.lines = told_by(c, c->names[i]).lines};
	FILE *f;

	for (enum taken t = 0; t < _TAKEN_MAX; t++)
		w.requests[t] = taken(&c->taker, c->names[i], t);
	(void)snprintf(file, sizeof(file), "%s.%u.jsonl", c->names[i], i);
	f = fopen(rig_path(c->rig, file, path), "re");
	if (f && fseek(f, 0, SEEK_END) == 0)
		w.bytes = ftell(f);
	if (f)
		(void)fclose(f);
	return w;
}

static void assert_silent(struct crew *c, unsigned i, const struct written *before)
{
	const struct written now = written(c, i);

	rig_assert(c->rig, now.lines == before->lines, "%s told the reducer %u more", c->names[i],
		   now.lines - before->lines);
	for (enum taken t = 0; t < _TAKEN_MAX; t++)
		rig_assert(c->rig, now.requests[t] == before->requests[t],
			   "%s sent %u more requests (%d)", c->names[i],
			   now.requests[t] - before->requests[t], t);
	rig_assert(c->rig, now.bytes == before->bytes, "%s wrote %ld more bytes", c->names[i],
		   now.bytes - before->bytes);
}

static void assert_wrote(struct crew *c, unsigned i, const struct written *before)
{
	const struct written now = written(c, i);

	rig_assert(c->rig, now.lines > before->lines, "%s told the reducer nothing", c->names[i]);
	for (enum taken t = 0; t < _TAKEN_MAX; t++)
		rig_assert(c->rig, now.requests[t] > before->requests[t], "%s sent nothing (%d)",
			   c->names[i], t);
	rig_assert(c->rig, now.bytes > before->bytes, "%s wrote nothing", c->names[i]);
}

static bool has_written(struct crew *c, unsigned i, const struct written *before)
{
	const struct written now = written(c, i);
	bool all = now.lines > before->lines && now.bytes > before->bytes;

	for (enum taken t = 0; t < _TAKEN_MAX; t++)
		all = all && now.requests[t] > before->requests[t];
	return all;
}

/* All but a leader are silent, for a second and until the leader has written everywhere. */
static void assert_one_writes(struct crew *c, unsigned n, unsigned leader)
{
	const nsec_t until = clock_mono() + PATIENCE;
	struct written before[CREW_MAX];

	for (unsigned i = 0; i < n; i++)
		before[i] = written(c, i);
	stir_for(c, S);
	while (!has_written(c, leader, &before[leader]) && clock_mono() < until)
		stir_for(c, 100 * MS);
	for (unsigned i = 0; i < n; i++)
		if (i == leader)
			assert_wrote(c, i, &before[i]);
		else if (c->v[i].pid)
			assert_silent(c, i, &before[i]);
}

static void log_says(struct crew *c, unsigned i, const char *text)
{
	_free_ char *log = proc_text(c->v[i].err);

	rig_assert(c->rig, strstr(log, text), "%s's log does not say \"%s\"", c->names[i], text);
}

/* What it says must hold this text. */
static void says(struct crew *c, unsigned i, const char *what, const char *text)
{
	_buf_ struct buf in = {.max = 4 << 20};

	ask(c, i, what, &in);
	rig_assert(c->rig, strstr(in.p, text), "%s: %s", what, in.p);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void released_by_a_stop(void **state)
{
	struct crew *c = *state;
	struct held first, second, last;
	nsec_t stopped;
	unsigned i;

	begin(c, CREW_MAX);
	first = wait_holder(c, "", PATIENCE);
	check_leader(c, &first, 1);
	i = index_of(c, first.holder);
	assert_one_writes(c, CREW_MAX, i);
	unstir(c);
	stopped = clock_mono();
	rig_assert(c->rig, proc_stop(&c->v[i], SIGTERM, PATIENCE, NULL) == 0, "it does not stop");
	rig_assert(c->rig, c->v[i].code == 0, "exit code %d", c->v[i].code);
	log_says(c, i, "this agent leads no more");
	second = wait_holder(c, first.holder, PATIENCE);
	/* It was given back: nobody waits for it to run out. */
	rig_assert(c->rig, second.since < stopped + DURATION / 2 * RIG_SLOWNESS,
		   "the lease was free, and taken after %llu ms",
		   (unsigned long long)((second.since - stopped) / MS));
	check_leader(c, &second, 1);
	assert_one_writes(c, CREW_MAX, index_of(c, second.holder));
	unstir(c);
	i = index_of(c, second.holder);
	rig_assert(c->rig, proc_stop(&c->v[i], SIGTERM, PATIENCE, NULL) == 0, "it does not stop");
	last = wait_holder(c, second.holder, PATIENCE);
	check_leader(c, &last, 1);
	i = index_of(c, last.holder);
	rig_assert(c->rig, proc_stop(&c->v[i], SIGTERM, PATIENCE, NULL) == 0, "it does not stop");
	rig_assert(c->rig, held(c).holder[0] == '\0', "the last one did not give it back");
}

static void runs_out_after_a_kill(void **state)
{
	struct crew *c = *state;
	struct held first, second;
	unsigned i;

	begin(c, 2);
	first = wait_holder(c, "", PATIENCE);
	check_leader(c, &first, 1);
	i = index_of(c, first.holder);
	(void)proc_stop(&c->v[i], SIGKILL, PATIENCE, NULL);
	first = held(c);
	second = wait_holder(c, first.holder, PATIENCE);
	rig_assert(c->rig, second.since >= first.last + DURATION - 100 * MS,
		   "it was taken %llu ms after it was renewed",
		   (unsigned long long)((second.since - first.last) / MS));
	rig_assert(c->rig, second.since < first.last + DURATION + 2 * S * RIG_SLOWNESS,
		   "it was taken only %llu ms after it was renewed",
		   (unsigned long long)((second.since - first.last) / MS));
	check_leader(c, &second, 1);
	assert_one_writes(c, 2, index_of(c, second.holder));
}

/* Stopped in the middle of its work, at another moment each time, and let go on when somebody else
 * leads: it has written nothing more since, and stands by. */
static void silent_after_a_hang(void **state)
{
	struct crew *c = *state;
	struct held h;

	begin(c, 2);
	h = wait_holder(c, "", PATIENCE);
	check_leader(c, &h, 1);
	for (unsigned round = 0; round < 3; round++) {
		const unsigned i = index_of(c, h.holder);
		struct written before;

		stir_for(c, 150 * MS + round * 37 * MS);
		stir(c);
		(void)kill(c->v[i].pid, SIGSTOP);
		h = wait_holder(c, c->names[i], PATIENCE);
		(void)wait_resync(c, h.holder, round / 2 + 1);
		stir_for(c, 300 * MS); /* and its sockets are full of news */
		before = written(c, i);
		(void)kill(c->v[i].pid, SIGCONT);
		stir_for(c, S * RIG_SLOWNESS);
		assert_silent(c, i, &before);
		log_says(c, i, "this agent leads no more");
		rig_assert(c->rig, !told_by(c, c->names[i]).connected, "%s is still connected",
			   c->names[i]);
		rig_assert(c->rig, proc_running(&c->v[i]), "it ended: %d", c->v[i].code);
		assert_one_writes(c, 2, index_of(c, h.holder));
	}
	unstir(c);
	c->rig->agent = c->v[index_of(c, h.holder)];
	rig_converge(c->rig);
	c->rig->agent = (struct proc){0};
}

/* What is asked of one that stands by is answered in words, and it stops at once. */
static void who_stands_by_says_so(void **state)
{
	struct crew *c = *state;
	struct held h;
	struct written before;
	nsec_t took = 0;
	unsigned i;

	begin(c, 2);
	h = wait_holder(c, "", PATIENCE);
	check_leader(c, &h, 1);
	i = 1 - index_of(c, h.holder);
	says(c, i, "GET /readyz", "stands by");
	says(c, i, "GET /api/v1/sinks", "stands by");
	says(c, i, "GET /metrics", "\nkindred_leader 0\n");
	says(c, i, "POST /api/v1/resync", "stands by");
	says(c, 1 - i, "GET /metrics", "\nkindred_leader 1\n");
	says(c, 1 - i, "POST /api/v1/resync", "\"status\":\"ok\"");
	before = written(c, i);
	rig_assert(c->rig, proc_stop(&c->v[i], SIGTERM, PATIENCE, &took) == 0, "it does not stop");
	rig_assert(c->rig, c->v[i].code == 0 && took < RIG_STOP, "code %d after %llu ms",
		   c->v[i].code, (unsigned long long)(took / MS));
	assert_silent(c, i, &before);
	assert_string_equal(held(c).holder, h.holder);
}

/* The API server takes no renewal any more: the leader stops by itself, before another could begin,
 * and begins again when it can. */
static void stops_by_itself(void **state)
{
	struct crew *c = *state;
	struct held h;
	struct written before;
	nsec_t until;
	unsigned i;

	begin(c, 1);
	h = wait_holder(c, "", PATIENCE);
	check_leader(c, &h, 1);
	i = index_of(c, h.holder);
	json_decref(rig_ask(c->rig, "POST", "/replay/fault?set=500%3Dleases,500-write"));
	h = held(c);
	until = clock_mono() + PATIENCE;
	while (told_by(c, h.holder).connected) {
		rig_assert(c->rig, clock_mono() < until, "it leads on");
		proc_sleep(5 * MS);
	}
	rig_assert(c->rig, clock_mono() < h.last + RENEW + (DURATION - RENEW) / 2 * RIG_SLOWNESS,
		   "it led for %llu ms after its last renewal",
		   (unsigned long long)((clock_mono() - h.last) / MS));
	before = written(c, i);
	stir_for(c, S);
	assert_silent(c, i, &before);
	json_decref(rig_ask(c->rig, "POST", "/replay/fault?clear=1"));
	(void)wait_resync(c, c->names[i], 2);
	assert_one_writes(c, 1, i);
}

/* Answers are lost, though what they answer was done: nothing changes hands. */
static void lost_answers_change_nothing(void **state)
{
	struct crew *c = *state;
	struct held h, later;

	begin(c, 2);
	json_decref(rig_ask(c->rig, "POST", "/replay/fault?set=500-written@p=0.5"));
	h = wait_holder(c, "", PATIENCE);
	(void)wait_resync(c, h.holder, 1);
	stir_for(c, 2 * DURATION);
	later = held(c);
	assert_string_equal(later.holder, h.holder);
	assert_int_equal(later.since, h.since);
	rig_assert(c->rig, later.writes > h.writes + 5, "it was hardly renewed");
	assert_int_equal(told_by(c, h.holder).resyncs, 1);
	assert_one_writes(c, 2, index_of(c, h.holder));
}

/* Two of one name: the second takes the first for anybody else. */
static void two_of_one_name(void **state)
{
	struct crew *c = *state;
	struct held h;

	begin(c, 1);
	h = wait_holder(c, "", PATIENCE);
	check_leader(c, &h, 1);
	join(c, 1, names[0]);
	stir_for(c, 2 * DURATION);
	assert_int_equal(told_by(c, names[0]).resyncs, 1);
	(void)proc_stop(&c->v[0], SIGKILL, PATIENCE, NULL);
	(void)wait_resync(c, names[0], 2);
	log_says(c, 1, "this agent, a-pod, leads");
}

/* Of all that is asked of the API server only the Lease is written. */
static void only_the_lease_is_written(void **state)
{
	struct crew *c = *state;
	struct held h;
	json_t *all, *requests, *by_status;
	const char *key, *status;
	json_t *n;

	begin(c, 2);
	h = wait_holder(c, "", PATIENCE);
	check_leader(c, &h, 1);
	(void)proc_stop(&c->v[index_of(c, h.holder)], SIGTERM, PATIENCE, NULL);
	h = wait_holder(c, h.holder, PATIENCE);
	all = rig_ask(c->rig, "GET", "/replay/state");
	requests = json_object_get(all, "requests");
	json_object_foreach(requests, key, by_status)
	{
		json_object_foreach(by_status, status, n)
		{
			rig_assert(c->rig, strcmp(status, "405") != 0, "it tried to write: %s",
				   key);
			rig_assert(c->rig,
				   strncmp(key, "write", 5) != 0 ||
					   strcmp(key, "write leases") == 0 ||
					   strcmp(key, "written leases") == 0,
				   "it wrote: %s", key);
		}
	}
	json_decref(all);
}

/* A permission that is missing is said, with what to grant; the agent stands by. */
static void a_missing_permission_is_said(void **state)
{
	struct crew *c = *state;
	struct written before;

	rig_truth(c->rig, "", NULL);
	rig_replay(c->rig, (const char *const[]){"--fault", "403-write", NULL});
	rig_reducer(c->rig, NULL);
	join(c, 0, names[0]);
	c->rig->agent = c->v[0];
	rig_wait_log(c->rig, "grant get, create and update on leases", PATIENCE);
	c->rig->agent = (struct proc){0};
	before = written(c, 0);
	stir_for(c, S);
	assert_silent(c, 0, &before);
}

/* Who stands by answers everything that the leader answers. */
static void all_of_them_are_asked(void **state)
{
	static const char *const what[] = {"GET /metrics", "GET /readyz", "GET /api/v1/sinks",
					   "GET /api/v1/debug/memory"};
	struct crew *c = *state;
	struct held h;

	begin(c, 2);
	h = wait_holder(c, "", PATIENCE);
	for (unsigned i = 0; i < 2; i++)
		for (size_t w = 0; w < ARRAY_SIZE(what); w++) {
			_buf_ struct buf b = {.max = (size_t)1 << 20};

			ask(c, i, what[w], &b);
			rig_assert(c->rig, strncmp(b.p, "HTTP/1.1 ", 9) == 0, "%s of %s (%s): %s",
				   what[w], c->names[i], h.holder, b.p);
		}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(released_by_a_stop),
		CASE(runs_out_after_a_kill),
		CASE(who_stands_by_says_so),
		CASE(silent_after_a_hang),
		CASE(stops_by_itself),
		CASE(lost_answers_change_nothing),
		CASE(two_of_one_name),
		CASE(only_the_lease_is_written),
		CASE(a_missing_permission_is_said),
		CASE(all_of_them_are_asked),
	};

	return rig_run("leaders", tests, ARRAY_SIZE(tests), argc, argv);
}
