/*
 * Translations against a model: clients connect again and again from one port each,
 * a kernel of our own translates, and what it did is read late, in pieces, and with
 * losses. Whatever is told of a flow must be what the model did with it.
 */
#include "flow/flows.h"
#include "flow_abi.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define HISTORIES 100000
#define MAX_FLOWS 10
#define MAX_ITEMS 128
#define US	  1000ULL
#define BEGIN	  (100 * NSEC_PER_SEC)

enum what { CT_NEW, CT_GONE, REC_OPEN, REC_CLOSE };
struct item {
	nsec_t at;
	enum what what;
	bool conntrack;
	struct flows_translation t;
	struct abi_tcp rec;
};
struct entry {		  /* of conntrack */
	bool live, kills; /* kills: the next SYN replaces it for sure */
	struct flows_translation t;
};
struct truth {
	uint64_t sk;
	uint8_t who;
	bool client;
	struct flows_endpoint other; /* the backend, or who the client is */
};

static struct {
	struct rng *g;
	struct item items[MAX_ITEMS];
	unsigned int n, n_truth;
	struct truth truth[2 * MAX_FLOWS];
	struct entry entry[2];
	nsec_t now;
	uint64_t sk;
	bool masq, twins;
	uint64_t told, doubt, none, origins;
} m;

static uint32_t below(uint32_t n)
{
	return (uint32_t)rng_below(m.g, n);
}

static struct flows_endpoint end_of(uint8_t net, uint8_t host, uint16_t port)
{
	struct flows_endpoint e = {.port = port};

	e.ip.b[10] = e.ip.b[11] = 0xff;
	e.ip.b[12] = 10;
	e.ip.b[13] = net;
	e.ip.b[15] = host;
	return e;
}

static void pass(uint32_t most)
{
	m.now += (1 + below(most)) * US;
}

static struct item *put(enum what what)
{
	struct item *i = &m.items[m.n++];

	assert_true(m.n < MAX_ITEMS);
	*i = (struct item){.at = m.now, .what = what, .conntrack = what <= CT_GONE};
	return i;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void destroy(unsigned int who)
{
	if (!m.entry[who].live)
		return;
	put(CT_GONE)->t = m.entry[who].t;
	m.entry[who].live = false;
}

static void create(unsigned int who)
{
	struct entry *e = &m.entry[who];
	const struct entry *o = &m.entry[!who];

	*e = (struct entry){.live = true};
	e->t = (struct flows_translation){
		.proto = FLOW_TCP,
		.from = end_of(1, (uint8_t)(who + 1), 33000),
		.asked = end_of(96, 1, 80),
		.backend = end_of(2, (uint8_t)(1 + below(3)), 8080),
	};
	e->t.seen_as = e->t.from;
	if (m.masq) {
		e->t.seen_as = end_of(0, 1, (uint16_t)(50000 + below(2)));
		if (o->live && o->t.seen_as.port == e->t.seen_as.port)
			e->t.seen_as.port ^= 1;
	}
	put(CT_NEW)->t = e->t;
}

static struct abi_tcp record(const struct flows_endpoint *l, const struct flows_endpoint *r,
			     enum abi_dir dir, uint32_t netns)
{
	struct abi_tcp t = {
		.head = {.version = ABI_VERSION, .size = sizeof(t)},
		.sk = ++m.sk,
		.sock = {.start = m.now, .state = 1, .dir = (uint8_t)dir, .pid = 7},
	};

	memcpy(t.sock.tuple.laddr, l->ip.b, 16);
	memcpy(t.sock.tuple.raddr, r->ip.b, 16);
	t.sock.tuple.lport = l->port;
	t.sock.tuple.rport = r->port;
	t.sock.tuple.netns = netns;
	return t;
}

static void tell(struct abi_tcp *t, enum what what)
{
	struct item *i;

	if (what == REC_OPEN)
		t->sock.flags |= ABI_SOCK_WAS_OPEN;
	if (what == REC_OPEN && !below(20))
		return; /* lost */
	i = put(what);
	i->rec = *t;
	i->rec.head.type = what == REC_OPEN ? ABI_TCP_OPEN : ABI_TCP_CLOSE;
	i->rec.head.time = i->rec.sock.updated = m.now;
	i->rec.sock.state = what == REC_OPEN ? 1 : 7;
}

static void true_end(uint64_t sk, unsigned int who, bool client, struct flows_endpoint other)
{
	m.truth[m.n_truth++] = (struct truth){sk, (uint8_t)who, client, other};
}

static void connection(unsigned int who)
{
	const struct flows_endpoint from = end_of(1, (uint8_t)(who + 1), 33000),
				    asked = end_of(96, 1, 80);
	struct abi_tcp c = record(&from, &asked, ABI_DIR_OUT, 10 + who), s;
	struct entry *e = &m.entry[who];
	bool server = m.twins && below(8), fails = !below(12);
	unsigned int how = below(3);

	pass(20);
	if (e->live && (e->kills || !below(2)))
		destroy(who);
	if (!e->live)
		create(who);
	e->kills = false;
	true_end(c.sk, who, true, e->t.backend);
	pass(40);
	if (fails) {
		tell(&c, REC_CLOSE);
		return;
	}
	tell(&c, REC_OPEN);
	pass(20);
	s = record(&e->t.backend, &e->t.seen_as, ABI_DIR_IN, 20 + e->t.backend.ip.b[15]);
	if (server) {
		true_end(s.sk, who, false, e->t.from);
		tell(&s, REC_OPEN);
	}
	pass(100);
	c.sock.flags |= how ? 0 : ABI_SOCK_RST_SENT;
	e->kills = how;
	tell(&c, REC_CLOSE);
	if (server) {
		pass(10);
		tell(&s, REC_CLOSE);
	}
}

static void history(void)
{
	const unsigned int n = 2 + below(MAX_FLOWS - 1);

	m.n = m.n_truth = 0;
	m.now = BEGIN;
	m.masq = below(3) == 0;
	m.twins = below(2);
	memset(m.entry, 0, sizeof(m.entry));
	for (unsigned int i = 0; i < n; i++) {
		connection(below(4) == 0);
		pass(below(3) ? 10 : 2000);
		if (!below(6)) {
			destroy(below(2));
			pass(20);
		}
	}
}

/* ---- the agent ------------------------------------------------------------------------------- */

static void print(const struct item *i, nsec_t now, nsec_t empty)
{
	const long long at = (long long)(i->at - BEGIN) / 1000,
			read = (long long)(now - BEGIN) / 1000;

	if (i->conntrack)
		print_message("%lld ct %s from %u backend %u seen %u; read in (%lld, %lld]\n", at,
			      i->what == CT_NEW ? "new" : "gone", i->t.from.ip.b[15],
			      i->t.backend.ip.b[15], i->t.seen_as.port,
			      (long long)(empty - BEGIN) / 1000, read);
	else
		print_message("%lld %s %s of %llu from %u; read at %lld\n", at,
			      i->rec.sock.dir == ABI_DIR_OUT ? "client" : "server",
			      i->what == REC_OPEN ? "open" : "close", (unsigned long long)i->rec.sk,
			      i->rec.sock.tuple.laddr[15], read);
}

static void give(struct flows *f, struct item *i, nsec_t now, nsec_t empty)
{
	if (getenv("SEED"))
		print(i, now, empty);
	if (i->conntrack) {
		i->t.after = empty;
		i->t.at = now;
		i->t.gone = i->what == CT_GONE;
		flows_translation(f, &i->t);
	} else {
		assert_int_equal(flows_record(f, now, str_make(&i->rec, sizeof(i->rec))), 0);
	}
}

/* Everything of a kind until `now`; conntrack's sometimes not to its end, or with a loss. */
static void read_some(struct flows *f, unsigned int *at, bool conntrack, nsec_t now, nsec_t *empty)
{
	bool lose = conntrack && !below(100), rest = conntrack && !lose && !below(5);
	bool lost = false;

	for (; *at < m.n && m.items[*at].at <= now; (*at)++) {
		if (m.items[*at].conntrack != conntrack)
			continue;
		if (rest && !below(3))
			return;
		if (lose && below(2))
			lost = true;
		else
			give(f, &m.items[*at], now, *empty);
	}
	if (lost && getenv("SEED"))
		print_message("lost in (%lld, %lld]\n", (long long)(*empty - BEGIN) / 1000,
			      (long long)(now - BEGIN) / 1000);
	if (lost)
		flows_nat_lost(f, *empty, now);
	if (conntrack) {
		*empty = now;
		flows_nat_read(f, now);
	}
}

static void check(const struct flows *f, const struct truth *t, unsigned int seed)
{
	struct flow_view v;

	for (flow_id id = 1; id <= flows_ids(f); id++) {
		if (!flows_at(f, id, &v) || (v.ended ? v.serial == 0 : v.sk == 0) || v.sk != t->sk)
			continue;
		bool known = t->client ? v.translated : v.masked;
		const struct addr *got = t->client ? &v.raddr : &v.origin.ip;

		if (t->client)
			*(v.doubt ? &m.doubt : known ? &m.told : &m.none) += 1;
		else
			m.origins += known && !v.doubt;
		if (known && !v.doubt && !addr_eq(got, &t->other.ip))
			fail_msg("history %u: %s %llu: 10.%d.0.%d instead of 10.%d.0.%d", seed,
				 t->client ? "client" : "server", (unsigned long long)t->sk,
				 got->b[13], got->b[15], t->other.ip.b[13], t->other.ip.b[15]);
		if (v.twin && !v.doubt) {
			struct flow_view w;

			assert_true(flows_at(f, v.twin, &w));
			for (unsigned int i = 0; i < m.n_truth; i++)
				if (m.truth[i].sk == w.sk && m.truth[i].who != t->who)
					fail_msg("history %u: the twin is another's", seed);
		}
	}
}

static void one(unsigned int seed)
{
	struct flows *f = NULL;
	unsigned int ct = 0, ring = 0;
	nsec_t empty = BEGIN - US, now = BEGIN;

	m.g = &(struct rng){0};
	rng_seed(m.g, seed);
	assert_int_equal(flows_new(&(struct flows_opts){.max_flows = 64, .max_ended = 64}, &f), 0);
	history();
	while (ct < m.n || ring < m.n) {
		now += (1 + below(below(2) ? 60 : 1500)) * US;
		if (below(4))
			read_some(f, &ct, true, now, &empty);
		if (below(2))
			read_some(f, &ring, false, now, &empty);
	}
	flows_nat_read(f, now);
	for (unsigned int i = 0; i < m.n_truth; i++)
		check(f, &m.truth[i], seed);
	flows_free(&f);
}

static void nothing_wrong_is_told(void **state)
{
	const char *only = getenv("SEED");

	(void)state;
	for (unsigned int seed = only ? (unsigned int)strtoul(only, NULL, 10) : 1;
	     seed <= HISTORIES; seed++) {
		one(seed);
		if (only)
			break;
	}
	print_message("%d histories: clients: %llu told, %llu in doubt, %llu not translated; "
		      "%llu real clients of servers\n",
		      HISTORIES, (unsigned long long)m.told, (unsigned long long)m.doubt,
		      (unsigned long long)m.none, (unsigned long long)m.origins);
	assert_true(only || m.told > m.doubt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(nothing_wrong_is_told)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
