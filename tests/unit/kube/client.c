/*
 * The client against kube-replay: recorded traffic of a real kube-apiserver over
 * sockets, with and without faults. What the client passed on must in the end be
 * exactly what the server held (truth-*.tsv), in every form and after every fault.
 *
 * kube-replay is expected where the Makefile puts it, three folders above this
 * binary; the recordings in tests/fixtures/recorded below the current folder.
 */
#include "kube/client.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/budget.h"
#include "kube/watchset.h"
#include "tests/lib/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#define S	   NSEC_PER_SEC
#define MS	   NSEC_PER_MSEC
#define FIXTURES   "tests/fixtures/recorded"
#define FIRST_BYTE (2 * S)
#define PATIENCE   60 /* seconds until a test is given up */

/* ---- kube-replay ---- */

struct replay {
	pid_t pid;
	int port;
	char port_file[64];
};

static char *replay_path(char *buf, size_t n)
{
	ssize_t got = readlink("/proc/self/exe", buf, n - 32);

	assert_true(got > 0);
	buf[got] = '\0';
	for (int up = 0; up < 4; up++)
		*strrchr(buf, '/') = '\0';
	memcpy(buf + strlen(buf), "/kube-replay", sizeof("/kube-replay"));
	return buf;
}

static void replay_start(struct replay *s, int port, const char *const *extra)
{
	char path[4096], listen_at[64];
	const char *argv[24] = {replay_path(path, sizeof(path)),
				FIXTURES,
				"--listen",
				listen_at,
				"--port-file",
				s->port_file,
				"--speed",
				"0",
				"--bookmark-every",
				"1"};
	size_t n = 10;

	while (extra && *extra)
		argv[n++] = *extra++;
	(void)snprintf(listen_at, sizeof(listen_at), "127.0.0.1:%d", port);
	(void)snprintf(s->port_file, sizeof(s->port_file), "/tmp/kindred-client-%d.port", getpid());
	(void)unlink(s->port_file);
	if (access(path, X_OK) < 0)
		fail_msg("%s is missing: build it first (make kube-replay)", path);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (s->pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(null, 1);
		(void)dup2(null, 2);
		(void)execv(path, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	s->port = 0;
	for (int i = 0; i < PATIENCE * 100 && !s->port; i++) {
		FILE *f = fopen(s->port_file, "r");

		if (f && fscanf(f, "%d", &s->port) != 1)
			s->port = 0;
		if (f)
			(void)fclose(f);
		(void)usleep(10000);
	}
	assert_true(s->port > 0);
}

static void replay_stop(struct replay *s)
{
	int status;

	if (s->pid > 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, &status, 0);
	}
	(void)unlink(s->port_file);
	s->pid = 0;
}

/* One request to the control side; returns whether it was answered with 200. `ret` gets the body.
 */
static bool control(struct replay *s, const char *what, char *ret, size_t cap)
{
	char req[512], answer[65536];
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t n = 0;
	ssize_t got;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	int len = snprintf(
		req, sizeof(req),
		"%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", what);
	assert_int_equal(write(fd, req, (size_t)len), len);
	while (n < sizeof(answer) - 1 && (got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
		n += (size_t)got;
	(void)close(fd);
	answer[n] = '\0';
	if (ret)
		(void)snprintf(ret, cap, "%s", answer);
	return strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

/* ---- the truth ---- */

struct row {
	char uid[64], ns[64], rv[32], node[64];
};
struct table {
	struct row *rows;
	size_t n;
};

static int column(char *line, const char *name)
{
	int i = 0;

	for (char *p = line, *tab; p; p = tab ? tab + 1 : NULL, i++) {
		tab = strpbrk(p, "\t\n");
		if ((size_t)(tab ? tab - p : (long)strlen(p)) == strlen(name) &&
		    strncmp(p, name, strlen(name)) == 0)
			return i;
		if (tab && *tab == '\n')
			return -1;
	}
	return -1;
}

static void cell(const char *line, int col, char *ret, size_t cap)
{
	for (; col > 0; col--)
		line = strchr(line, '\t') + 1;
	(void)snprintf(ret, cap, "%.*s", (int)strcspn(line, "\t\n"), line);
}

static struct table truth(const char *name)
{
	struct table t = {.rows = calloc(4096, sizeof(struct row))};
	static char head[65536], line[1 << 20];
	char path[256];

	(void)snprintf(path, sizeof(path), FIXTURES "/%s.tsv.gz", name);
	gzFile f = gzopen(path, "rb");
	assert_non_null(f);
	assert_non_null(gzgets(f, head, sizeof(head)));
	int rv = column(head, "resourceVersion"), node = column(head, "node");
	while (gzgets(f, line, sizeof(line))) {
		struct row *r = &t.rows[t.n++];

		cell(line, 0, r->uid, sizeof(r->uid));
		cell(line, 1, r->ns, sizeof(r->ns));
		cell(line, rv, r->rv, sizeof(r->rv));
		if (node >= 0)
			cell(line, node, r->node, sizeof(r->node));
	}
	(void)gzclose(f);
	assert_true(t.n > 5);
	return t;
}

/* ---- a consumer ---- */

struct known {
	struct row row;
	unsigned watch, generation;
};

#define MAX_WATCHES 16

struct world;
struct watch { /* what a reflector's callbacks get */
	struct world *w;
	unsigned index, generation;
	struct reflector *reflector;
	bool failing;
	char text[REFLECTOR_MAX_TEXT]; /* the last failure */
};

struct world {
	struct event_base *base;
	struct client *client;
	struct budget budget;
	struct watchset set;
	struct watch watches[MAX_WATCHES];
	struct owners *reader;
	struct replay replay;
	struct known objects[4096];
	size_t n;
	unsigned calls, ends;
	bool want_owners;
	unsigned owners, gone, refused;
	struct known owner_rows[512];
	int got_r;
	unsigned got;
	char got_text[256], got_name[64], got_zone[64];
};

static void put(char *to, size_t cap, struct str s)
{
	(void)snprintf(to, cap, "%.*s", STR_ARG(s));
}

static struct known *find(struct world *w, struct str uid)
{
	for (size_t i = 0; i < w->n; i++)
		if (str_eq(str_of(w->objects[i].row.uid), uid))
			return &w->objects[i];
	return NULL;
}

static void on_begin(void *ctx)
{
	struct watch *h = ctx;

	h->generation++;
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct watch *h = ctx;
	struct world *w = h->w;
	struct known *k = find(w, o->meta.uid);

	w->calls++;
	if (type == EVENT_DELETED) {
		if (k)
			*k = w->objects[--w->n];
		return 0;
	}
	assert_true(str_eq(o->kind, str_of(kind_name(w->set.specs[h->index].kind))));
	if (!k)
		k = &w->objects[w->n++];
	assert_true(w->n < 4096);
	k->watch = h->index;
	k->generation = h->generation;
	put(k->row.uid, sizeof(k->row.uid), o->meta.uid);
	put(k->row.ns, sizeof(k->row.ns), o->meta.ns);
	put(k->row.rv, sizeof(k->row.rv), o->meta.resource_version);
	put(k->row.node, sizeof(k->row.node), o->pod.node_name);
	const struct owner_ref *c = meta_controller(&o->meta);
	if (w->want_owners && c && !str_eq(c->kind, STR("Node"))) {
		assert_int_equal(owners_want(w->reader, clock_mono(), c, o->meta.ns), 0);
		client_wake_owners(w->client);
	}
	return 0;
}

static void on_end(void *ctx)
{
	struct watch *h = ctx;
	struct world *w = h->w;

	w->ends++;
	for (size_t i = w->n; i-- > 0;)
		if (w->objects[i].watch == h->index && w->objects[i].generation != h->generation)
			w->objects[i] = w->objects[--w->n];
}

static void on_state(void *ctx, const struct reflector_status *s)
{
	struct watch *h = ctx;

	h->failing = s->health == REFLECTOR_FAILING || s->health == REFLECTOR_FORBIDDEN;
	if (h->failing)
		(void)snprintf(h->text, sizeof(h->text), "%s", s->text);
}

static void on_unauthorized(void *ctx)
{
	struct watch *h = ctx;

	client_refused(h->w->client);
}

static const struct reflector_ops watch_ops = {
	.list_begin = on_begin,
	.object = on_object,
	.list_end = on_end,
	.state = on_state,
	.unauthorized = on_unauthorized,
};

static void on_owner(void *ctx, struct str uid, const struct object *o)
{
	struct world *w = ctx;
	struct known *k = &w->owner_rows[w->owners++];

	assert_true(w->owners < 512);
	put(k->row.uid, sizeof(k->row.uid), uid);
	put(k->row.rv, sizeof(k->row.rv), o->meta.resource_version);
}

static void on_gone(void *ctx, struct str uid)
{
	struct world *w = ctx;

	(void)uid;
	w->gone++;
}

static void on_refused(void *ctx, struct str uid, const char *text)
{
	struct world *w = ctx;

	(void)uid, (void)text;
	w->refused++;
}

static const struct owners_ops owner_ops = {
	.owner = on_owner,
	.gone = on_gone,
	.refused = on_refused,
};

/* ---- driving ---- */

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what, (void)ctx;
}

typedef bool (*condition)(struct world *w);

static bool wait_for(struct world *w, condition ok, double seconds)
{
	struct timeval tick = {.tv_usec = 10000};
	struct event *e = event_new(w->base, -1, EV_PERSIST, on_tick, NULL);
	nsec_t until = clock_mono() + (nsec_t)(seconds * 1e9);

	(void)event_add(e, &tick);
	while (!(ok && ok(w)) && clock_mono() < until)
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	event_free(e);
	return !ok || ok(w);
}

struct setup {
	struct watchset_opts scope;
	struct reflector_opts watch;
	char url[64];
};

/* Fast times, so that a fault costs a test fractions of a second. */
static struct setup base_setup(int port)
{
	struct setup s = {
		.watch = {.first_byte = FIRST_BYTE,
			  .idle = 1 * S,
			  .watch_idle = 2 * S,
			  .backoff_base = 20 * MS,
			  .backoff_cap = 200 * MS},
	};

	(void)snprintf(s.url, sizeof(s.url), "http://127.0.0.1:%d", port);
	return s;
}

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	return w;
}

static void add_watch(struct world *w, const struct setup *s, unsigned i)
{
	const struct watch_spec *spec = &w->set.specs[i];
	struct watch *h = &w->watches[i];
	struct reflector_opts o = s->watch;

	*h = (struct watch){.w = w, .index = i};
	o.path = str_of(spec->path);
	o.shape = spec->shape;
	o.metadata_only = spec->metadata_only;
	o.list_from_cache = spec->list_from_cache;
	o.api_version = str_of(spec->api_version);
	o.kind = str_of(kind_name(spec->kind));
	o.field_selector = str_of(spec->field_selector);
	o.budget = &w->budget;
	o.seed = 42 + i;
	o.ops = &watch_ops;
	o.ctx = h;
	assert_int_equal(reflector_new(&o, &h->reflector), 0);
	assert_int_equal(client_add(w->client, h->reflector, o.path), 0);
}

static void open_client(struct world *w, const struct setup *s)
{
	_buf_ struct buf error;
	struct client_opts o = {
		.base = w->base,
		.cred = {.api_server = s->url},
		.user_agent = "kindred/0.0 (test; a)",
		.budget = &w->budget,
		.max_watches = MAX_WATCHES,
	};
	struct owners_opts owners = {.budget = &w->budget, .seed = 7, .ops = &owner_ops, .ctx = w};

	buf_init(&error, 4096);
	budget_init(&w->budget, 1000, 1000, 3);
	assert_int_equal(watchset_make(&s->scope, &w->set), 0);
	if (client_new(&o, &w->client, &error) < 0)
		fail_msg("client_new: %.*s", STR_ARG(buf_str(&error)));
	for (unsigned i = 0; i < w->set.n; i++)
		add_watch(w, s, i);
	assert_int_equal(owners_new(&owners, &w->reader), 0);
	assert_int_equal(client_set_owners(w->client, w->reader), 0);
	client_start(w->client);
}

static void world_free(struct world *w)
{
	client_free(&w->client);
	for (unsigned i = 0; i < MAX_WATCHES; i++)
		reflector_free(&w->watches[i].reflector);
	owners_free(&w->reader);
	watchset_done(&w->set);
	event_base_free(w->base);
	replay_stop(&w->replay);
	free(w);
}

static const struct reflector_counters *count(const struct world *w, unsigned i)
{
	return reflector_counters(w->watches[i].reflector);
}

static struct table pods, replicasets, jobs;

static bool holds(struct world *w, const struct row *r)
{
	struct known *k = find(w, str_of(r->uid));

	return k && strcmp(k->row.rv, r->rv) == 0;
}

static size_t held(struct world *w, const struct table *t, const char *node)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += holds(w, &t->rows[i]) && (!node || strcmp(t->rows[i].node, node) == 0);
	return n;
}

static bool cluster_is_true(struct world *w)
{
	return w->n == pods.n + replicasets.n + jobs.n && held(w, &pods, NULL) == pods.n &&
	       held(w, &replicasets, NULL) == replicasets.n && held(w, &jobs, NULL) == jobs.n;
}

static void settle(struct world *w, const char *what)
{
	if (wait_for(w, cluster_is_true, PATIENCE))
		return;
	for (size_t i = 0; i < w->set.n; i++) {
		struct reflector_status now = reflector_status(w->watches[i].reflector);

		(void)fprintf(stderr, "%s: %s [%s] %s\n", w->set.specs[i].path,
			      reflector_health_name(now.health), now.text, w->watches[i].text);
	}
	fail_msg("%s: %zu objects; %zu of %zu pods, %zu of %zu replicasets, %zu of %zu jobs are "
		 "right",
		 what, w->n, held(w, &pods, NULL), pods.n, held(w, &replicasets, NULL),
		 replicasets.n, held(w, &jobs, NULL), jobs.n);
}

/* ---- tests ---- */

/* One play: a fault of the server's, and a form of the requests. */
struct play {
	const char *fault;
	unsigned form;
};

/* Bits of a form. PLAIN is what a fault is played in beside the best form. */
enum { NO_PROTOBUF = 1, NO_STREAMING = 2, SMALL_PAGES = 4, WHOLE_LISTS = 8, FORMS = 12 };
enum { BEST = 0, PLAIN = NO_PROTOBUF | NO_STREAMING | SMALL_PAGES };

/* `patient`: a server that is silent for long is waited for. */
static struct world *play(const struct play *p, bool patient)
{
	const char *extra[] = {"--fault", p->fault, NULL};
	struct world *w = world_new();

	replay_start(&w->replay, 0, p->fault ? extra : NULL);
	struct setup o = base_setup(w->replay.port);
	if (patient)
		o.watch.first_byte = o.watch.idle = o.watch.watch_idle = PATIENCE * S;
	o.watch.no_protobuf = p->form & NO_PROTOBUF;
	o.watch.no_streaming = p->form & NO_STREAMING;
	o.watch.page_size = p->form & SMALL_PAGES ? 7 : 0;
	o.watch.whole_lists = p->form & WHOLE_LISTS;
	open_client(w, &o);
	return w;
}

static void a_form_gives_the_truth(void **state)
{
	struct world *w = play(*state, false);

	settle(w, "form");
	assert_int_equal(w->ends, 3);
	assert_int_equal(count(w, 0)->errors, 0);
	world_free(w);
}

static void a_fault_ends_in_the_truth(void **state)
{
	const struct play *p = *state;
	struct world *w = play(p, false);

	settle(w, p->fault);
	world_free(w);
}

static bool all_is_held(struct world *w)
{
	return held(w, &pods, NULL) == pods.n && held(w, &replicasets, NULL) == replicasets.n &&
	       held(w, &jobs, NULL) == jobs.n;
}

/* Objects that nobody would make, beside all others. A busy machine takes its time over the large
 * ones, before an answer and in its midst. */
static void a_hostile_object_costs_itself(void **state)
{
	const struct play *p = *state;
	struct world *w = play(p, true);

	if (!wait_for(w, all_is_held, PATIENCE))
		fail_msg("%zu pods; %s", held(w, &pods, NULL), w->watches[0].text);
	assert_true(reflector_bytes(w->watches[0].reflector) < (8U << 20));
	world_free(w);
}

static bool node_is_true(struct world *w)
{
	const char *node = "node-12.fixture.internal";
	size_t n = 0;

	for (size_t i = 0; i < pods.n; i++)
		n += strcmp(pods.rows[i].node, node) == 0;
	return w->n == n && held(w, &pods, node) == n &&
	       w->owners + w->gone + w->refused == owners_counters(w->reader)->wanted;
}

static void node_scope_reads_owners(void **state)
{
	struct world *w = world_new();

	(void)state;
	w->want_owners = true;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	o.scope.node_name = "node-12.fixture.internal";
	open_client(w, &o);
	assert_int_equal(w->set.n, 1);
	assert_true(wait_for(w, node_is_true, PATIENCE));
	assert_true(w->owners >= 3);
	/* What the truth knows of the owners that were read is what was read. */
	for (size_t i = 0; i < w->owners; i++)
		for (size_t k = 0; k < replicasets.n; k++)
			if (strcmp(w->owner_rows[i].row.uid, replicasets.rows[k].uid) == 0)
				assert_true(w->owner_rows[i].row.rv[0]);
	world_free(w);
}

static bool shop_is_synced(struct world *w)
{
	return reflector_status(w->watches[0].reflector).ever_synced && w->watches[1].failing;
}

static bool both_synced(struct world *w)
{
	return reflector_status(w->watches[0].reflector).ever_synced &&
	       reflector_status(w->watches[1].reflector).ever_synced && !w->watches[1].failing;
}

static void namespaces_fail_and_recover_alone(void **state)
{
	static const struct str ns[] = {STR("shop"), STR("payments")};
	const char *extra[] = {"--fault", "403=pods@nth=2", NULL};
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, extra);
	struct setup o = base_setup(w->replay.port);
	o.scope.namespaces = ns;
	o.scope.n_namespaces = 2;
	o.watch.backoff_base = o.watch.backoff_cap = 2 * S;
	open_client(w, &o);
	assert_int_equal(w->set.n, 6);
	assert_true(wait_for(w, shop_is_synced, PATIENCE));
	assert_non_null(strstr(w->watches[1].text,
			       "pods in namespace payments: watch is forbidden (403): grant "
			       "list and watch on pods"));
	assert_true(wait_for(w, both_synced, PATIENCE));
	for (size_t i = 0; i < w->n; i++)
		assert_true(strcmp(w->objects[i].row.ns, "shop") == 0 ||
			    strcmp(w->objects[i].row.ns, "payments") == 0);
	world_free(w);
}

static bool all_failing(struct world *w)
{
	return w->watches[0].failing && w->watches[1].failing && w->watches[2].failing;
}

static void a_server_that_comes_late(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	int port = w->replay.port;
	replay_stop(&w->replay);
	struct setup o = base_setup(port);
	open_client(w, &o);
	assert_true(wait_for(w, all_failing, PATIENCE));
	assert_non_null(strstr(w->watches[0].text, "pods: the API server cannot be reached: "));
	assert_true(w->budget.pauses > 0);
	replay_start(&w->replay, port, NULL);
	settle(w, "late server");
	/* And goes away and comes back. */
	replay_stop(&w->replay);
	(void)wait_for(w, all_failing, PATIENCE);
	replay_start(&w->replay, port, NULL);
	settle(w, "server that came back");
	world_free(w);
}

static bool some_calls(struct world *w)
{
	return w->calls > 0;
}

static void pause_all(struct world *w, bool paused)
{
	for (unsigned i = 0; i < w->set.n; i++)
		reflector_pause(w->watches[i].reflector, clock_mono(), paused);
	client_wake(w->client);
}

static void paused_nothing_is_read(void **state)
{
	const char *extra[] = {"--fault", "slow=1500000", NULL};
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, extra);
	struct setup o = base_setup(w->replay.port);
	o.watch.idle = S / 2; /* paused for longer: silence does not count */
	open_client(w, &o);
	assert_true(wait_for(w, some_calls, PATIENCE));
	pause_all(w, true);
	(void)wait_for(w, NULL, 0.05); /* what one read had brought */
	unsigned calls = w->calls;
	uint64_t bytes = count(w, 0)->bytes;
	(void)wait_for(w, NULL, 1.5);
	assert_int_equal(w->calls, calls);
	assert_int_equal(count(w, 0)->bytes, bytes);
	pause_all(w, false);
	settle(w, "after a pause");
	assert_int_equal(count(w, 0)->errors, 0);
	world_free(w);
}

/* Before its first byte a list may be silent for long; after it, the same timer would be late. */
static void the_first_bytes_bring_the_deadline_nearer(void **state)
{
	const char *extra[] = {"--fault", "stall-list=4000@times=3", NULL};
	struct world *w = world_new();
	nsec_t from = clock_mono();

	(void)state;
	replay_start(&w->replay, 0, extra);
	struct setup o = base_setup(w->replay.port);
	o.watch.no_streaming = true;
	o.watch.first_byte = 30 * S;
	o.watch.idle = S / 2;
	open_client(w, &o);
	settle(w, "after silence");
	assert_true(clock_mono() - from < 15 * S);
	world_free(w);
}

static bool listed_twice(struct world *w)
{
	return w->ends == 6;
}

static void a_relist_changes_nothing(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	settle(w, "first list");
	for (unsigned i = 0; i < w->set.n; i++)
		reflector_relist(w->watches[i].reflector, clock_mono());
	client_wake(w->client);
	assert_true(wait_for(w, listed_twice, PATIENCE));
	settle(w, "relist");
	world_free(w);
}

static void on_got(void *ctx, int r, const struct object *o, const char *text)
{
	struct world *w = ctx;

	w->got++;
	w->got_r = r;
	(void)snprintf(w->got_text, sizeof(w->got_text), "%s", text);
	if (r == 0) {
		put(w->got_name, sizeof(w->got_name), o->meta.name);
		put(w->got_zone, sizeof(w->got_zone), o->node.zone);
	}
}

static bool got_one(struct world *w)
{
	return w->got > 0;
}

static void get(struct world *w, const char *target, int r)
{
	w->got = 0;
	assert_int_equal(client_get(w->client, target, SHAPE_NODE, on_got, w), 0);
	assert_true(wait_for(w, got_one, PATIENCE));
	assert_int_equal(w->got, 1);
	assert_int_equal(w->got_r, r);
}

static void single_objects(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	get(w, "/api/v1/nodes/node-11.fixture.internal", 0);
	assert_string_equal(w->got_name, "node-11.fixture.internal");
	assert_string_equal(w->got_zone, "zone-b");
	get(w, "/api/v1/nodes/none", -ENOENT);
	assert_true(control(&w->replay, "POST /replay/fault?set=403-get=nodes", NULL, 0));
	get(w, "/api/v1/nodes/node-11.fixture.internal", -EACCES);
	assert_true(control(&w->replay, "POST /replay/fault?set=html-get", NULL, 0));
	get(w, "/api/v1/nodes/node-11.fixture.internal", -EIO);
	assert_true(control(&w->replay, "POST /replay/fault?set=cut-get=20", NULL, 0));
	get(w, "/api/v1/nodes/node-11.fixture.internal", -EIO);
	replay_stop(&w->replay);
	get(w, "/api/v1/nodes/node-11.fixture.internal", -EIO);
	/* Under way when all is dropped: no callback. */
	w->got = 0;
	for (int i = 0; i < CLIENT_MAX_GETS; i++)
		assert_int_equal(client_get(w->client, "/api/v1/nodes/a", SHAPE_NODE, on_got, w),
				 0);
	assert_int_equal(client_get(w->client, "/api/v1/nodes/a", SHAPE_NODE, on_got, w), -EBUSY);
	client_stop(w->client);
	(void)wait_for(w, NULL, 0.2);
	assert_int_equal(w->got, 0);
	world_free(w);
}

/* ---- answers as they are, and watches that come and go ---- */

struct raw {
	struct world *w;
	int status;
	size_t n;
	char head[64], text[256];
};

static void on_raw(void *ctx, int status, struct str body, const char *text)
{
	struct raw *g = ctx;

	g->w->got++;
	g->status = status;
	g->n = body.n;
	put(g->head, sizeof(g->head), body);
	(void)snprintf(g->text, sizeof(g->text), "%s", text);
}

static struct raw get_raw(struct world *w, const char *target, size_t max)
{
	struct raw g = {.w = w, .status = -1};

	w->got = 0;
	assert_int_equal(client_get_raw(w->client, target, "application/json", max, on_raw, &g), 0);
	assert_true(wait_for(w, got_one, PATIENCE));
	assert_int_equal(w->got, 1);
	return g;
}

static void answers_as_they_are(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	struct raw g = get_raw(w, "/api/v1", 1 << 20);
	assert_int_equal(g.status, 200);
	assert_int_equal(strncmp(g.head, "{\"kind\":\"APIResourceList\"", 25), 0);
	size_t whole = g.n;
	g = get_raw(w, "/api/v1", whole);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.n, whole);
	g = get_raw(w, "/api/v1", whole - 1);
	assert_int_equal(g.status, 0);
	assert_non_null(strstr(g.text, "over"));
	g = get_raw(w, "/api/v1/namespaces/a/pods/none", 1 << 20);
	assert_int_equal(g.status, 404);
	assert_non_null(strstr(g.text, "pods \"none\" not found"));
	assert_int_equal(g.n, 0);
	assert_true(control(&w->replay, "POST /replay/fault?set=cut-get=20", NULL, 0));
	g = get_raw(w, "/api/v1/nodes/node-11.fixture.internal", 1 << 20);
	assert_int_equal(g.status, 0);
	assert_true(g.text[0]);
	world_free(w);
}

/* ---- calls ---- */

struct called {
	struct world *w;
	int status;
	nsec_t retry_after;
	char body[512], text[512];
};

static void on_called(void *ctx, const struct client_answer *a)
{
	struct called *k = ctx;

	k->w->got++;
	k->status = a->status;
	k->retry_after = a->retry_after;
	put(k->body, sizeof(k->body), a->body);
	(void)snprintf(k->text, sizeof(k->text), "%s", a->text);
}

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/obs/leases"
#define LEASE_TEXT                                                                              \
	"{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":" \
	"\"kindred\"},\"spec\":{\"holderIdentity\":\"a\"}}"

static struct called call(struct world *w, const char *method, const char *target, const char *body)
{
	struct called k = {.w = w, .status = -1};
	const struct client_call c = {.method = method,
				      .target = target,
				      .body = str_of(body),
				      .max = 1 << 20,
				      .timeout = 5 * S,
				      .done = on_called,
				      .ctx = &k};

	w->got = 0;
	assert_int_equal(client_send(w->client, &c), 0);
	assert_true(wait_for(w, got_one, PATIENCE));
	return k;
}

static void a_call_of_any_method(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	struct called k = call(w, "POST", LEASES, LEASE_TEXT);
	assert_int_equal(k.status, 201);
	assert_non_null(strstr(k.body, "\"resourceVersion\":"));
	k = call(w, "POST", LEASES, LEASE_TEXT);
	assert_int_equal(k.status, 409);
	assert_non_null(strstr(k.text, "already exists"));
	assert_string_equal(k.body, "");
	k = call(w, "GET", LEASES "/kindred", "");
	assert_int_equal(k.status, 200);
	/* It goes on when everything else has stopped. */
	client_stop(w->client);
	k = call(w, "GET", LEASES "/kindred", "");
	assert_int_equal(k.status, 200);
	world_free(w);
}

/* What a single request hears of the server's load holds for all; a call goes out all the same. */
static void single_requests_share_the_budget(void **state)
{
	struct world *w = world_new();
	nsec_t when;

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	settle(w, "first list");
	assert_true(control(&w->replay, "POST /replay/fault?set=429-get=7", NULL, 0));
	nsec_t from = clock_mono();
	struct raw g = get_raw(w, "/api/v1/nodes/node-11.fixture.internal", 1 << 20);
	assert_int_equal(g.status, 429);
	assert_false(budget_take(&w->budget, clock_mono(), &when));
	assert_in_range(when, from + 6 * S, clock_mono() + 8 * S);
	assert_int_equal(w->budget.pauses, 1);
	struct called k = call(w, "POST", LEASES, LEASE_TEXT);
	assert_int_equal(k.status, 201);
	assert_true(clock_mono() < when);
	assert_true(control(&w->replay, "POST /replay/fault?set=429-write=3", NULL, 0));
	k = call(w, "POST", LEASES, LEASE_TEXT);
	assert_int_equal(k.status, 429);
	assert_int_equal(k.retry_after, 3 * S);
	world_free(w);
}

static void a_dropped_call_says_nothing(void **state)
{
	struct world *w = world_new();
	struct called k = {.w = w, .status = -1};
	const struct client_call c = {.method = "GET",
				      .target = LEASES "/kindred",
				      .max = 1 << 20,
				      .done = on_called,
				      .ctx = &k};

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	assert_int_equal(client_send(w->client, &c), 0);
	client_drop(w->client, &k);
	(void)wait_for(w, NULL, 0.3);
	assert_int_equal(k.status, -1);
	for (unsigned i = 0; i < CLIENT_MAX_GETS; i++)
		assert_int_equal(client_send(w->client, &c), 0);
	assert_int_equal(client_send(w->client, &c), -EBUSY);
	world_free(w);
}

static bool jobs_left(struct world *w)
{
	return held(w, &jobs, NULL) == jobs.n;
}

/* The last of the watch set (Jobs) is let go, and added again to a running client. */
static void watches_come_and_go(void **state)
{
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, NULL);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	settle(w, "first list");
	struct watch *first = &w->watches[0], *last = &w->watches[w->set.n - 1];
	client_remove(w->client, first->reflector);
	client_remove(w->client, first->reflector); /* unknown by now */
	client_remove(w->client, last->reflector);
	reflector_free(&first->reflector);
	reflector_free(&last->reflector);
	unsigned calls = w->calls;
	assert_true(control(&w->replay, "POST /replay/drop?how=reset", NULL, 0));
	(void)wait_for(w, NULL, 0.3);
	assert_int_equal(w->calls, calls);
	w->n = 0;
	add_watch(w, &o, (unsigned)(last - w->watches));
	assert_true(wait_for(w, jobs_left, PATIENCE));
	add_watch(w, &o, 0);
	for (unsigned i = 0; i < MAX_WATCHES; i++)
		assert_int_equal(client_add(w->client, last->reflector, (struct str){0}),
				 i < MAX_WATCHES - w->set.n ? 0 : -EMSGSIZE);
	client_stop(w->client);
	world_free(w);
}

static void stop_is_at_once_and_final(void **state)
{
	const char *extra[] = {"--fault", "silent", NULL};
	struct world *w = world_new();

	(void)state;
	replay_start(&w->replay, 0, extra);
	struct setup o = base_setup(w->replay.port);
	open_client(w, &o);
	(void)wait_for(w, NULL, 0.2);
	nsec_t from = clock_mono();
	client_stop(w->client);
	assert_true(clock_mono() - from < 5 * S); /* who waited would wait for o.watch.first_byte */
	unsigned calls = w->calls;
	(void)wait_for(w, NULL, 0.2);
	assert_int_equal(w->calls, calls);
	world_free(w);
}

/* The head of the request, as it stands on the wire. */
static void who_asks_is_told(void **state)
{
	struct world *w = world_new();
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	char head[4096] = "";
	int fd = socket(AF_INET, SOCK_STREAM, 0), peer = -1;

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	struct setup o = base_setup(ntohs(a.sin_port));
	o.scope.node_name = "node-12.fixture.internal";
	open_client(w, &o);
	(void)wait_for(w, NULL, 0.3);
	peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	assert_true(read(peer, head, sizeof(head) - 1) > 0);
	assert_non_null(strstr(head, "GET /api/v1/pods?watch=1&"));
	assert_non_null(
		strstr(head, "&fieldSelector=spec.nodeName%3Dnode-12.fixture.internal HTTP/1.1"));
	assert_non_null(strstr(head, "User-Agent: kindred/0.0 (test; a)\r\n"));
	assert_non_null(
		strstr(head, "Accept: application/vnd.kubernetes.protobuf,application/json\r\n"));
	assert_null(strcasestr(head, "Accept-Encoding: gzip"));
	(void)close(peer);
	(void)close(fd);
	world_free(w);
}

static void bad_options(void **state)
{
	struct world *w = world_new();
	_buf_ struct buf error;
	struct client_opts o = {
		.base = w->base, .cred = {.api_server = "ftp://nowhere"}, .budget = &w->budget};

	(void)state;
	buf_init(&error, 4096);
	assert_true(client_new(&o, &w->client, &error) < 0);
	assert_true(buf_str(&error).n > 0);
	assert_null(w->client);
	world_free(w);
}

/* ---- all of them ---- */

static const struct {
	const char *fault;
	bool in_both_forms; /* the others in turns: they do not depend on it */
} faults[] = {
	{"410-event@times=3", false},
	{"410-watch@times=3", false},
	{"410-list@times=2", false},
	{"410@times=4", true},
	{"error-event=500@times=4", false},
	{"429=1@times=2", false},
	{"401@times=3", false},
	{"403=pods@for=1", false},
	{"500@times=6", false},
	{"504@times=6", false},
	{"redirect@times=6", false},
	{"html@times=6", false},
	{"html=502@times=6", false},
	{"empty@times=6", false},
	{"garbage@times=4", true},
	{"content-type=text/plain@times=6", false},
	{"content-type=none", true},
	{"reset-connect@times=4", false},
	{"silent@times=3", false},
	{"no-streaming-list", true},
	{"ignore-streaming-list", true},
	{"no-end-marker", true},
	{"no-bookmarks", false},
	{"no-protobuf", true},
	{"json-status,500@times=3", true},
	{"cut=3000@times=8", true},
	{"cut-chunk@times=8", true},
	{"reset=5000@times=8", true},
	{"stall=4000@times=3", true},
	{"truncate=5000@times=8", true},
	{"end-events=50@times=8", false},
	{"end-after=0.3@times=4", false},
	{"duplicate-events", true},
	{"wrong-magic@times=4", true},
	{"huge-length@times=4", true},
	{"negative-length@times=4", true},
	{"slow=3000000", false},
};

static const char *const hostile[] = {
	"oversized=20",	       "depth", "bad-utf8", "nul", "many-owners", "owner-cycle",
	"long-line=16@times=2"};

#define MAX_TESTS 128

static struct CMUnitTest tests[MAX_TESTS] = {
	cmocka_unit_test(node_scope_reads_owners),
	cmocka_unit_test(namespaces_fail_and_recover_alone),
	cmocka_unit_test(a_server_that_comes_late),
	cmocka_unit_test(paused_nothing_is_read),
	cmocka_unit_test(the_first_bytes_bring_the_deadline_nearer),
	cmocka_unit_test(a_relist_changes_nothing),
	cmocka_unit_test(single_objects),
	cmocka_unit_test(answers_as_they_are),
	cmocka_unit_test(a_call_of_any_method),
	cmocka_unit_test(single_requests_share_the_budget),
	cmocka_unit_test(a_dropped_call_says_nothing),
	cmocka_unit_test(watches_come_and_go),
	cmocka_unit_test(stop_is_at_once_and_final),
	cmocka_unit_test(who_asks_is_told),
	cmocka_unit_test(bad_options),
};
static struct play plays[MAX_TESTS];
static char names[MAX_TESTS][64];

static void add_play(size_t *n, CMUnitTestFunction test, const char *fault, unsigned form)
{
	size_t i = (*n)++;

	assert_true(i < MAX_TESTS);
	plays[i] = (struct play){fault, form};
	(void)snprintf(names[i], sizeof(names[i]), "%s, form %u", fault ? fault : "no fault", form);
	tests[i] = (struct CMUnitTest){
		.name = names[i], .test_func = test, .initial_state = &plays[i]};
}

static size_t add_plays(size_t n)
{
	for (unsigned form = 0; form < FORMS; form++)
		add_play(&n, a_form_gives_the_truth, NULL, form);
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		add_play(&n, a_hostile_object_costs_itself, hostile[i], BEST);
		add_play(&n, a_hostile_object_costs_itself, hostile[i], PLAIN);
	}
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		if (faults[i].in_both_forms || i % 2 == 0)
			add_play(&n, a_fault_ends_in_the_truth, faults[i].fault, BEST);
		if (faults[i].in_both_forms || i % 2 == 1)
			add_play(&n, a_fault_ends_in_the_truth, faults[i].fault, PLAIN);
	}
	return n;
}

/* client [PATTERN]: only the tests whose names match. */
int main(int argc, char *argv[])
{
	size_t n = 0;

	log_setup(LOG_ERROR, false);
	pods = truth("truth-pods");
	replicasets = truth("truth-replicasets");
	jobs = truth("truth-jobs");
	while (tests[n].name)
		n++;
	n = add_plays(n);
	int r = rig_run("client", tests, n, argc, argv);
	free(pods.rows);
	free(replicasets.rows);
	free(jobs.rows);
	return r;
}
