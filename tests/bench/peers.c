/*
 * The feed for agents of nodes: what it weighs, what a node keeps of it, and what it
 * costs the collector. The clusters have 1 Node for 30 pods, 1 Service for 10, 1
 * Deployment for 3; names as the API server makes them. A change is a pod that goes, or
 * one that comes and has the address of one that went.
 *
 *   whole     all of it, as sent; and CPU to make it
 *   replica   what a node keeps of it
 *   change    bytes of a change, as sent to each, frames' heads included, at some rates
 *   publish   the collector's CPU of a change: inventory, records, frames
 *   send      its CPU of a frame of changes for each subscriber: TLS and the system call
 */
#include "tests/bench/bench.h"

#include "base/mem.h"
#include "base/rng.h"
#include "match/match.h"
#include "peers/frame.h"
#include "peers/replica.h"
#include "sink/peers/publish.h"
#include "tests/lib/objects.h"
#include "tests/lib/test_certs.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEC	    NSEC_PER_SEC
#define WALL	    (1700000000ULL * SEC)
#define SECONDS	    60U /* of changes, at each rate */
#define SUBSCRIBERS 200U
#define FRAMES	    50U /* that each of them is sent */
#define TEXT	    80

struct subscriber {
	struct publish_sub *sub;
	SSL *ssl;
	int here, there;
};

struct peers_bench {
	struct inventory *v;
	struct publish *p;
	struct match_policy policy;
	struct replica *replica;
	struct publish_sub *sub;
	struct frame_reader frames;
	struct peerfeed_record rec;
	struct rng g;
	uint16_t source;
	uint32_t pods, sets, serial;
	uint32_t *uids; /* of the pods, by address */
	nsec_t now;
};

static double cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* ---- the cluster ----------------------------------------------------------------------------- */

static void random_text(struct peers_bench *b, char *out, size_t n)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";

	for (size_t i = 0; i < n; i++)
		out[i] = letters[rng_below(&b->g, sizeof(letters) - 1)];
	out[n] = '\0';
}

static void set_name(uint32_t i, char out[TEXT])
{
	(void)snprintf(out, TEXT, "workload-%u-%08x", i, i * 2654435761U);
}

static void add_set(struct peers_bench *b, uint32_t i)
{
	char ns[TEXT], name[TEXT], up[TEXT];
	struct obj o;

	(void)snprintf(ns, sizeof(ns), "namespace-%u", i % 200);
	(void)snprintf(up, sizeof(up), "workload-%u", i);
	set_name(i, name);
	obj_owner(&o, "apps/v1", "ReplicaSet", ns, name, obj_uid(100000000 + i));
	obj_owned(&o, "apps/v1", "Deployment", up, obj_uid(200000000 + i));
	assert(inventory_apply_owner(b->v, b->source, b->now, &o.o) == 0);
}

/* The pod that has the i-th address from now on. */
static void add_pod(struct peers_bench *b, uint32_t i)
{
	const uint32_t set = i % MAX(b->sets, 1U);
	char ns[TEXT], name[TEXT + 8], rs[TEXT], node[TEXT], ip[TEXT], end[8];
	struct obj o;

	(void)snprintf(ns, sizeof(ns), "namespace-%u", set % 200);
	(void)snprintf(node, sizeof(node), "node-%u.example.internal", i / 30);
	(void)snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
	set_name(set, rs);
	random_text(b, end, 5);
	(void)snprintf(name, sizeof(name), "%s-%s", rs, end);
	b->uids[i] = ++b->serial;
	obj_pod(&o, ns, name, obj_uid(b->uids[i]), ip);
	obj_owned(&o, "apps/v1", "ReplicaSet", rs, obj_uid(100000000 + set));
	obj_container(&o, "", "main", "registry.example/web:1");
	o.containers[0].started = (int64_t)((b->now + WALL) / SEC);
	o.o.pod.node_name = str_of(node);
	assert(inventory_apply_pod(b->v, b->source, b->now, &o.o) == 0);
}

static void add_place(struct peers_bench *b, enum kind kind, uint32_t i)
{
	char name[TEXT], ip[TEXT];
	struct obj o;

	if (kind == KIND_NODE)
		(void)snprintf(name, sizeof(name), "node-%u.example.internal", i);
	else
		(void)snprintf(name, sizeof(name), "workload-%u", i);
	(void)snprintf(ip, sizeof(ip), kind == KIND_NODE ? "172.16.%u.%u" : "192.168.%u.%u", i >> 8,
		       i & 255);
	obj_init(&o, kind == KIND_NODE ? "" : "default", name,
		 obj_uid((kind == KIND_NODE ? 300000000 : 400000000) + i));
	o.o.place.cluster_ip = str_of(ip);
	assert(inventory_apply_place(b->v, b->source, b->now, kind, &o.o) == 0);
}

static void fill(struct peers_bench *b)
{
	inventory_list_begin(b->v, b->source);
	for (uint32_t i = 0; i < b->sets; i++)
		add_set(b, i);
	for (uint32_t i = 0; i < b->pods; i++)
		add_pod(b, i);
	for (uint32_t i = 0; i < b->pods / 30; i++)
		add_place(b, KIND_NODE, i);
	for (uint32_t i = 0; i < b->pods / 10; i++)
		add_place(b, KIND_SERVICE, i);
	inventory_list_end(b->v, b->source, b->now);
}

/* Some go, and others have their addresses. */
static void change(struct peers_bench *b, uint32_t n)
{
	for (uint32_t i = 0; i + 1 < n; i += 2) {
		const uint32_t at = (uint32_t)rng_below(&b->g, b->pods);

		inventory_delete_pod(b->v, obj_uid(b->uids[at]), b->now);
		add_pod(b, at);
	}
}

static void run(struct peers_bench *b)
{
	(void)inventory_expire(b->v, b->now);
	while (publish_run(b->p, b->now, b->now, b->now + WALL) == 0)
		;
}

static void start(struct peers_bench *b, uint32_t pods)
{
	struct inventory_opts io = inventory_defaults;
	struct publish_opts o = {.policy = &b->policy, .name = STR("kindred-collector-0")};

	io.keep_idle_owners = true;
	*b = (struct peers_bench){.pods = pods, .sets = pods / 3, .now = 100000 * SEC};
	rng_seed(&b->g, 1);
	b->uids = calloc(pods, sizeof(*b->uids));
	assert(b->uids && inventory_new(&io, &b->v) == 0);
	assert(inventory_source_add(b->v, &b->source) == 0);
	o.inventory = b->v;
	assert(publish_new(&o, &b->p) == 0 && replica_new(SIZE_MAX, &b->replica) == 0);
	frame_reader_init(&b->frames);
	fill(b);
	run(b);
}

static void stop(struct peers_bench *b)
{
	publish_sub_free(&b->sub);
	frame_reader_done(&b->frames);
	replica_free(&b->replica);
	publish_free(&b->p);
	inventory_free(&b->v);
	free(b->uids);
}

/* ---- one that follows ------------------------------------------------------------------------ */

static void take_records(struct peers_bench *b, const struct frame *f)
{
	struct str payload = f->payload;
	struct peerfeed_snapshot s;
	struct peerfeed_base base;
	struct peerfeed_mark m;

	if (f->kind == FRAME_SNAPSHOT)
		assert(peerfeed_take_snapshot(&payload, &s) == 0);
	else if (f->kind == FRAME_CHANGES)
		assert(peerfeed_take_mark(&payload, &m) == 0);
	else
		return;
	assert(peerfeed_take_base(&payload, &base) == 0);
	while (peerfeed_take(&payload, &base, &b->rec) > 0)
		assert(replica_apply(b->replica, &b->rec) == 0);
}

static void follow(struct peers_bench *b)
{
	struct frame f;
	struct str s;

	while (publish_sub_take(b->sub, b->now, &s) > 0)
		while (frame_take(&b->frames, &s, &f) > 0)
			take_records(b, &f);
}

static void measure_whole(struct peers_bench *b)
{
	struct replica_stats rs;
	struct publish_stats st;
	double cpu, entries;

	assert(publish_sub_new(b->p, NULL, 0, NULL, &b->sub) == 0);
	follow(b);
	cpu = cpu_us();
	run(b);
	cpu = cpu_us() - cpu;
	follow(b);
	publish_stats(b->p, &st);
	replica_stats(b->replica, &rs);
	entries = (double)rs.pods + rs.services + rs.nodes;
	assert(rs.pods == b->pods);
	printf("peers.whole.%u %zu bytes (%.1f a pod)\n", b->pods, st.whole_bytes,
	       (double)st.whole_bytes / b->pods);
	printf("peers.whole_cpu.%u %.1f ms\n", b->pods, cpu / 1e3);
	printf("peers.replica.%u %zu bytes (%.1f a pod, %.1f an entry)\n", b->pods, rs.bytes,
	       (double)rs.bytes / b->pods, (double)rs.bytes / entries);
	printf("peers.collector.%u %zu bytes (%.1f a pod)\n", b->pods, st.bytes,
	       (double)st.bytes / b->pods);
}

/* So many changes a second; what lingered is forgotten meanwhile, as later on. */
static void measure_changes(struct peers_bench *b, uint32_t rate)
{
	const uint64_t changes = (uint64_t)rate * SECONDS;
	struct publish_stats before = {0}, after;
	double cpu = 0;

	for (uint32_t s = 0; s < 2 * SECONDS + 60; s++) {
		const double from = cpu_us();

		if (s == SECONDS + 60) {
			publish_stats(b->p, &before);
			cpu = 0;
		}
		b->now += SEC;
		change(b, rate);
		run(b);
		cpu += cpu_us() - from;
		follow(b);
	}
	publish_stats(b->p, &after);
	printf("peers.change.%u.%u %.1f bytes\n", b->pods, rate,
	       (double)(after.frame_bytes - before.frame_bytes) / (double)changes);
	printf("peers.publish.%u.%u %.2f us\n", b->pods, rate, cpu / (double)changes);
}

/* ---- many that follow ------------------------------------------------------------------------ */

static void shake_hands(SSL *server, SSL *client)
{
	bool done = false;

	for (int i = 0; i < 100 && !done; i++) {
		const int c = SSL_do_handshake(client), s = SSL_do_handshake(server);

		done = c == 1 && s == 1;
	}
	assert(done);
}

/* The other side's TLS is forgotten: it reads bytes. */
static void connect_one(struct peers_bench *b, SSL_CTX *server, SSL_CTX *client,
			struct subscriber *s)
{
	SSL *there = SSL_new(client);
	int fd[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	s->ssl = SSL_new(server);
	s->here = fd[0];
	s->there = fd[1];
	assert(SSL_set_fd(s->ssl, fd[0]) == 1 && SSL_set_fd(there, fd[1]) == 1);
	SSL_set_accept_state(s->ssl);
	SSL_set_connect_state(there);
	shake_hands(s->ssl, there);
	SSL_free(there);
	assert(publish_sub_new(b->p, NULL, 0, NULL, &s->sub) == 0);
}

static void drain(const struct subscriber *s)
{
	char bytes[65536];

	while (read(s->there, bytes, sizeof(bytes)) > 0)
		;
}

/* The whole goes nowhere; from then on all that there is, as to an agent. Frames sent. */
static uint32_t send_one(struct peers_bench *b, const struct subscriber *s, bool real)
{
	uint32_t n = 0;
	struct str bytes;

	while (publish_sub_take(s->sub, b->now, &bytes) > 0) {
		n++;
		if (real)
			assert(SSL_write(s->ssl, bytes.p, (int)bytes.n) == (int)bytes.n);
	}
	return n;
}

static void send_all(struct peers_bench *b, struct subscriber *all, uint32_t rate)
{
	uint64_t frames = 0;
	double cpu = 0;

	for (uint32_t k = 0; k < FRAMES; k++) {
		b->now += SEC;
		change(b, rate);
		run(b);
		for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
			const double from = cpu_us();

			frames += send_one(b, &all[i], true);
			cpu += cpu_us() - from;
			drain(&all[i]);
		}
	}
	printf("peers.send.%u %.2f us (%.3f a change)\n", rate, cpu / (double)frames,
	       cpu / (double)frames / rate);
}

static void measure_sending(struct peers_bench *b)
{
	const struct test_cert_opts opts = {.name = "collector", .san = "DNS:collector"};
	struct subscriber *all = calloc(SUBSCRIBERS, sizeof(*all));
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	struct test_cert cert;
	SSL_CTX *server;

	test_cert_make(&opts, &cert);
	server = test_cert_server(&cert, NULL);
	assert(all && client && server);
	for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
		connect_one(b, server, client, &all[i]);
		(void)send_one(b, &all[i], false);
		run(b);
		(void)send_one(b, &all[i], false);
	}
	send_all(b, all, 10);
	send_all(b, all, 100);
	for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
		publish_sub_free(&all[i].sub);
		SSL_free(all[i].ssl);
		(void)close(all[i].here);
		(void)close(all[i].there);
	}
	free(all);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	test_cert_done(&cert);
}

void bench_peers(void)
{
	static const uint32_t sizes[] = {10000, 150000};
	struct peers_bench *b = calloc(1, sizeof(*b));

	assert(b);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		start(b, sizes[i]);
		measure_whole(b);
		measure_changes(b, 2);
		measure_changes(b, 10);
		measure_changes(b, 100);
		if (i == 0)
			measure_sending(b);
		stop(b);
	}
	free(b);
}
