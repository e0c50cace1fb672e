/*
 * Agents of nodes and a collector on one loop, over real sockets: TLS and tokens, who
 * leads, streams that end, and who is turned away.
 */
#include "tests/unit/serve/rig.h"

#include "cli/agent_peers.h"
#include "config/agent_options.h"
#include "peers/peers.h"
#include "serve/peers_api.h"
#include "sink/peers/publish.h"
#include "tests/lib/test_certs.h"

#define PATIENCE 60000 /* ms */
#define TOKEN	 "sesame-sesame-sesame"

struct collector {
	struct ask_rig *g;
	struct serve *s;
	struct publish *p;
	struct event *run;
	struct test_cert ca, leaf;
	char cert[128], key[128], token[128], authority[128], url[64];
	bool leads;
};

struct one_node {
	struct agent_config cfg;
	struct agent_peers *p;
	unsigned int heard;
};

static void put_file(const struct ask_rig *g, const char *name, const char *text, char ret[128])
{
	FILE *f;

	(void)snprintf(ret, 128, "%s/%s", g->folder, name);
	f = fopen(ret, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
}

static void on_run(evutil_socket_t fd, short what, void *ctx)
{
	struct collector *c = ctx;
	const nsec_t now = clock_mono(), next = publish_run(c->p, now, now, clock_wall());
	const nsec_t in = next > now ? next - now : 0;
	const struct timeval tv = {.tv_sec = (time_t)(in / NSEC_PER_SEC),
				   .tv_usec = (suseconds_t)(in % NSEC_PER_SEC / NSEC_PER_USEC)};

	(void)fd;
	(void)what;
	(void)evtimer_add(c->run, &tv);
}

static void on_due(void *ctx)
{
	event_active(((struct collector *)ctx)->run, EV_TIMEOUT, 0);
}

static bool is_ready(void *ctx, struct buf *words)
{
	const struct collector *c = ctx;

	if (!c->leads)
		(void)buf_append_str(words, STR("this agent stands by: pod-b leads"));
	return c->leads;
}

static void serve_at(struct collector *c, uint16_t port, uint32_t max_peers)
{
	const struct serve_opts o = {
		.base = c->g->base,
		.scope = &c->g->scope,
		.no_socket = true,
		.data_at = {.host = "127.0.0.1",
			    .port = port,
			    .cert_file = c->cert,
			    .key_file = c->key},
		.token_file = c->token,
		.max_clients = 100,
		.publish = c->p,
		.max_peers = max_peers,
		.peers_ready = is_ready,
		.ctx = c,
	};

	assert_int_equal(serve_new(&o, &c->s, &c->g->words), 0);
}

static void collector_start(struct collector *c, struct ask_rig *g)
{
	struct publish_opts o = {.inventory = g->inventory,
				 .policy = &g->policy,
				 .name = STR("pod-a"),
				 .feed = {7},
				 .wake = serve_peers_wake,
				 .due = on_due,
				 .ctx = c};

	*c = (struct collector){.g = g, .leads = true};
	test_cert_make(&(struct test_cert_opts){.name = "ca", .ca = true}, &c->ca);
	test_cert_make(&(struct test_cert_opts){.name = "collector",
						.san = "DNS:localhost,IP:127.0.0.1",
						.issuer = &c->ca},
		       &c->leaf);
	put_file(g, "cert", c->leaf.cert_pem, c->cert);
	put_file(g, "key", c->leaf.key_pem, c->key);
	put_file(g, "token", TOKEN "\n", c->token);
	put_file(g, "authority", c->ca.cert_pem, c->authority);
	c->run = evtimer_new(g->base, on_run, c);
	assert_int_equal(publish_new(&o, &c->p), 0);
	on_run(-1, 0, c);
	serve_at(c, 0, 50);
	(void)snprintf(c->url, sizeof(c->url), "https://localhost:%u", serve_port(c->s, WEB_DATA));
}

static void collector_stop(struct collector *c)
{
	const char *const files[] = {c->cert, c->key, c->token, c->authority};

	serve_free(&c->s);
	publish_free(&c->p);
	event_free(c->run);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(unlink(files[i]), 0);
	test_cert_done(&c->ca);
	test_cert_done(&c->leaf);
}

static void on_heard(void *ctx)
{
	((struct one_node *)ctx)->heard++;
}

static void node_start(struct one_node *n, const struct collector *c)
{
	const struct agent_peers_opts o = {
		.cfg = &n->cfg, .base = c->g->base, .heard = on_heard, .ctx = n};
	_buf_ struct buf error = {.max = 1000};

	*n = (struct one_node){.cfg = {.peers = c->url,
				       .peers_token_file = c->token,
				       .peers_ca_file = c->authority,
				       .peers_max = 1 << 20}};
	assert_int_equal(agent_peers_new(&o, &n->p, &error), 0);
	agent_peers_start(n->p);
}

static struct peers_status status_of(const struct one_node *n)
{
	struct peers_status s;

	peers_status(agent_peers_known(n->p), &s);
	return s;
}

static bool is_synced(const struct one_node *n)
{
	return status_of(n).state == PEERS_SYNCED;
}

static bool is_refused(const struct one_node *n)
{
	return status_of(n).failures > 0;
}

static bool is_lost(const struct one_node *n)
{
	return status_of(n).losses > 0;
}

static bool until(const struct collector *c, const struct one_node *n,
		  bool (*what)(const struct one_node *n))
{
	const nsec_t end = clock_mono() + PATIENCE * NSEC_PER_MSEC;

	while (!what(n) && clock_mono() < end)
		rig_turn(c->g);
	return what(n);
}

/* Whether the node knows the pod by its address. */
static bool knows(const struct one_node *n, const char *address, const char *name)
{
	const struct peers *p = agent_peers_known(n->p);
	struct replica_thing t;
	struct inv_claim claim;
	struct addr ip;

	assert_int_equal(addr_parse(str_of(address), &ip), 0);
	return peers_claims(p, &ip, KIND_POD, &claim, 1) == 1 &&
	       replica_thing(peers_replica(p), claim.id, &t) && strcmp(t.name, name) == 0 &&
	       str_eq(t.workload_kind, STR("StatefulSet"));
}

static bool knows_late(const struct one_node *n)
{
	return knows(n, "10.0.0.9", "late-1");
}

static void late_pod(struct collector *c)
{
	struct obj b;

	obj_pod(&b, "shop", "late-1", obj_uid(9), "10.0.0.9");
	obj_owned(&b, "apps/v1", "StatefulSet", "late", obj_uid(19));
	assert_int_equal(inventory_apply_pod(c->g->inventory, 0, clock_mono(), &b.o), 0);
	on_due(c);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void the_whole_and_changes_over_tls(void **state)
{
	struct collector c;
	struct one_node n;

	collector_start(&c, *state);
	node_start(&n, &c);
	assert_true(until(&c, &n, is_synced));
	assert_true(knows(&n, "10.0.0.1", "web-1") && knows(&n, "10.0.0.2", "db-1"));
	assert_string_equal(status_of(&n).from, "pod-a");
	late_pod(&c);
	assert_true(until(&c, &n, knows_late));
	assert_true(n.heard > 0);
	agent_peers_free(&n.p);
	for (int i = 0; i < 100; i++)
		rig_turn(c.g);
	struct publish_stats st;
	publish_stats(c.p, &st);
	assert_int_equal(st.subscribers, 0);
	collector_stop(&c);
}

/* Who leads no more says so; the position is kept, and the leader goes on behind it. */
static void the_leader_changes(void **state)
{
	struct collector c;
	struct one_node n;

	collector_start(&c, *state);
	c.leads = false;
	node_start(&n, &c);
	assert_true(until(&c, &n, is_refused));
	assert_non_null(strstr(status_of(&n).error, "pod-b leads"));
	assert_int_equal(status_of(&n).standbys, 1);
	c.leads = true;
	assert_true(until(&c, &n, is_synced));
	c.leads = false;
	assert_true(until(&c, &n, is_lost));
	assert_string_equal(status_of(&n).error, "this agent stands by: pod-b leads");
	assert_true(knows(&n, "10.0.0.1", "web-1"));
	c.leads = true;
	late_pod(&c);
	assert_true(until(&c, &n, is_synced));
	assert_true(until(&c, &n, knows_late));
	assert_int_equal(status_of(&n).resumes, 1);
	assert_int_equal(status_of(&n).wholes, 1);
	agent_peers_free(&n.p);
	collector_stop(&c);
}

static void the_collector_is_started_anew(void **state)
{
	struct collector c;
	struct one_node n;
	uint16_t port;

	collector_start(&c, *state);
	node_start(&n, &c);
	assert_true(until(&c, &n, is_synced));
	port = serve_port(c.s, WEB_DATA);
	serve_free(&c.s);
	assert_true(until(&c, &n, is_lost));
	serve_at(&c, port, 50);
	assert_true(until(&c, &n, is_synced));
	assert_int_equal(status_of(&n).resumes, 1); /* the feed is the same */
	agent_peers_free(&n.p);
	collector_stop(&c);
}

static void who_is_not_let_in(void **state)
{
	static const char *const words[] = {"401", "verif"};
	struct collector c;
	struct test_cert other;
	char token[128], authority[128];

	collector_start(&c, *state);
	test_cert_make(&(struct test_cert_opts){.name = "another", .ca = true}, &other);
	put_file(c.g, "wrong-token", "open-sesame-open\n", token);
	put_file(c.g, "wrong-authority", other.cert_pem, authority);
	for (size_t i = 0; i < 2; i++) {
		struct collector as = c;
		struct one_node n;

		if (i)
			memcpy(as.authority, authority, sizeof(authority));
		else
			memcpy(as.token, token, sizeof(token));
		node_start(&n, &as);
		assert_true(until(&c, &n, is_refused));
		if (!strstr(status_of(&n).error, words[i]) && i == 0)
			fail_msg("%s", status_of(&n).error);
		assert_false(is_synced(&n));
		agent_peers_free(&n.p);
	}
	assert_int_equal(unlink(token), 0);
	assert_int_equal(unlink(authority), 0);
	test_cert_done(&other);
	collector_stop(&c);
}

static void as_many_as_may(void **state)
{
	struct collector c;
	struct one_node n[3];
	uint16_t port;

	collector_start(&c, *state);
	port = serve_port(c.s, WEB_DATA);
	serve_free(&c.s);
	serve_at(&c, port, 2);
	for (int i = 0; i < 2; i++) {
		node_start(&n[i], &c);
		assert_true(until(&c, &n[i], is_synced));
	}
	node_start(&n[2], &c);
	assert_true(until(&c, &n[2], is_refused));
	assert_non_null(strstr(status_of(&n[2]).error, "--peers-clients"));
	agent_peers_free(&n[0].p);
	assert_true(until(&c, &n[2], is_synced)); /* there is room again */
	for (int i = 1; i < 3; i++)
		agent_peers_free(&n[i].p);
	collector_stop(&c);
}

/* ---- the question by hand -------------------------------------------------------------------- */

static void expect_status(struct ask_rig *g, const char *target, const char *status,
			  const char *words)
{
	_buf_ struct buf in = {.max = 1 << 20};
	int fd = rig_connect(g);

	rig_get(fd, target);
	if (!rig_read(g, fd, &in, words, PATIENCE))
		fail_msg("%s: %.*s", target, (int)in.n, in.p ? in.p : "");
	assert_non_null(strstr(in.p, status));
	(void)close(fd);
}

static void malformed_questions(void **state)
{
	struct ask_rig *g = *state;

	expect_status(g, PEERS_PATH, "404", "--serve-peers");
	expect_status(g, PEERS_PATH "?feed=00", "400", "feed=32HEX");
	expect_status(g, PEERS_PATH "?from=1", "400", "feed=32HEX");
	expect_status(g, PEERS_PATH "?feed=0123456789abcdef0123456789abcdef", "400", "feed=32HEX");
	expect_status(g, PEERS_PATH "?feed=0123456789abcdef0123456789abcdef&from=x", "400",
		      "feed=32HEX");
	expect_status(g, PEERS_PATH "?colour=1", "400", "feed=32HEX");
	expect_status(g, PEERS_PATH "?feed=0123456789abcdef0123456789abcdef&from=1", "404",
		      "--serve-peers");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, ask_rig_setup, ask_rig_teardown)
		TEST(the_whole_and_changes_over_tls),
		TEST(the_leader_changes),
		TEST(the_collector_is_started_anew),
		TEST(who_is_not_let_in),
		TEST(as_many_as_may),
		TEST(malformed_questions),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
