/*
 * Random nodes: pods that come before and after their flows, connections that open,
 * grow and end, a reducer that reads as it likes and connections to it that break.
 * At rest its table equals the sums of what the programs did.
 *
 *	SEED=n runs one seed.
 */
#include "base/rng.h"
#include "tests/unit/sink/flow_rig.h"

#include <string.h>

#define PODS   40
#define OWNERS 5
#define CONNS  600
#define STEPS  1500
#define SEEDS  40

struct pair { /* one connection: both ends, or (alone) the one here */
	struct rig_conn x, y;
	unsigned a, b;
	bool alone, open, ended;
};

struct sum {
	uint64_t connections, bytes, back;
};

struct model {
	struct rig g;
	struct rng rng;
	struct pair *pairs;
	unsigned n;
	bool told[PODS + 1]; /* the API server knows it */
	unsigned told_at[PODS + 1];
	bool exact; /* connections break between messages only */
	bool up;
	struct sum in[OWNERS][OWNERS], out[OWNERS];
};

static unsigned owner_of(unsigned pod)
{
	return pod % OWNERS;
}

static void owner_name(unsigned owner, char out[16])
{
	(void)snprintf(out, 16, "w%u", owner);
}

static unsigned any(struct model *m, unsigned n)
{
	return (unsigned)(rng_next(&m->rng) % n);
}

static void tell_pod(struct model *m, unsigned pod)
{
	char name[16];

	owner_name(owner_of(pod), name);
	assert_int_equal(rig_pod_try(&m->g, pod, name), 0);
	m->told[pod] = true;
}

static void open_one(struct model *m)
{
	struct pair *p = &m->pairs[m->n];

	if (m->n == CONNS)
		return;
	p->a = 1 + any(m, PODS);
	p->b = 1 + any(m, PODS);
	p->alone = p->a == p->b || any(m, 4) == 0;
	rig_pair(&m->g, p->a, p->b, (uint16_t)(10000 + m->n), &p->x, &p->y);
	p->x.pid = any(m, 3) ? 10000 + p->a * 3 + any(m, 3) : 0;
	p->y.pid = any(m, 3) ? 90000 + p->b : 0;
	if (p->alone)
		assert_int_equal(addr_parse(STR("93.184.216.34"), &p->x.raddr), 0);
	assert_int_equal(rig_open(&m->g, &p->x), 0);
	if (!p->alone)
		assert_int_equal(rig_open(&m->g, &p->y), 0);
	p->open = true;
	m->n++;
}

static void grow(struct model *m, struct pair *p)
{
	p->x.sent += any(m, 100000);
	p->x.received += any(m, 100000);
	p->x.segs_out += any(m, 100);
	p->y.sent = p->x.received;
	p->y.received = p->x.sent;
}

static struct pair *any_open(struct model *m)
{
	for (int i = 0; m->n && i < 20; i++) {
		struct pair *p = &m->pairs[any(m, m->n)];

		if (p->open)
			return p;
	}
	return NULL;
}

static void refresh_one(struct model *m)
{
	struct pair *p = any_open(m);

	if (!p)
		return;
	grow(m, p);
	rig_refresh(&m->g, &p->x);
	if (!p->alone)
		rig_refresh(&m->g, &p->y);
}

static void end_pair(struct model *m, struct pair *p)
{
	grow(m, p);
	if (any(m, 2) || p->alone)
		assert_int_equal(rig_close(&m->g, &p->x), 0);
	else
		p->ended = true; /* this end first, the other below */
	if (!p->alone)
		assert_int_equal(rig_close(&m->g, &p->y), 0);
	if (p->ended)
		assert_int_equal(rig_close(&m->g, &p->x), 0);
	p->open = false;
}

static void count_pair(struct model *m, const struct pair *p)
{
	struct sum *s = p->alone ? &m->out[owner_of(p->a)] : &m->in[owner_of(p->a)][owner_of(p->b)];

	s->connections++;
	s->bytes += p->x.sent;
	s->back += p->x.received;
}

static void reconnect(struct model *m)
{
	if (m->exact && m->up) { /* what was put in a message has arrived */
		rig_settle(&m->g);
		assert_int_equal(session_output(m->g.s).n, 0);
	}
	if (any(m, 2)) {
		rig_cut(&m->g);
		m->up = false;
	} else {
		rig_connect(&m->g);
		m->up = true;
	}
}

static void run_some(struct model *m)
{
	int r;

	assert_int_equal(rig_name_all(&m->g), 0);
	for (unsigned i = any(m, 4); i; i--) {
		r = session_run(m->g.s, m->g.now, m->g.wall);
		assert_true(r == 0 || r == 1 || r == -EAGAIN);
		assert_int_equal(rig_carry(&m->g, any(m, 8000)), 0);
	}
}

static void late_pods(struct model *m, unsigned step)
{
	for (unsigned i = 1; i <= PODS; i++)
		if (!m->told[i] && m->told_at[i] <= step)
			tell_pod(m, i);
}

static void step(struct model *m, unsigned i)
{
	late_pods(m, i);
	rig_wait(&m->g, any(m, 20) * NSEC_PER_MSEC);
	switch (any(m, 40)) {
	case 0:
		reconnect(m);
		break;
	case 1 ... 12:
		open_one(m);
		break;
	case 13 ... 20:
		refresh_one(m);
		break;
	case 21 ... 28: {
		struct pair *p = any_open(m);

		if (p)
			end_pair(m, p);
		break;
	}
	default:
		run_some(m);
	}
}

static void expect_row(struct model *m, const char *from, const char *to, const struct sum *s)
{
	const struct traffic_row row = rig_row(&m->g, from, to, false);

	if (m->exact) {
		assert_int_equal(row.connections, s->connections);
		assert_int_equal(row.bytes, s->bytes);
		assert_int_equal(row.bytes_back, s->back);
		return;
	}
	/* What was in the buffers when a connection broke is gone, and nothing else. */
	assert_true(row.bytes <= s->bytes && row.bytes_back <= s->back);
	assert_true(row.connections <= s->connections);
}

/* Every end here was told after its pod. */
static void all_by_pod(const struct model *m)
{
	_free_ struct traffic_row *rows = NULL;
	size_t n;

	assert_int_equal(traffic_rows(reducer_table_traffic(m->g.table), &rows, &n), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rows[i].from.type, TRAFFIC_K8S);
}

static void compare(struct model *m)
{
	char a[32] = "shop/", b[32] = "shop/";
	struct session_counters c;

	for (unsigned i = 0; i < m->n; i++)
		count_pair(m, &m->pairs[i]);
	if (getenv("SEED")) {
		_free_ char *text = rig_table(&m->g);

		(void)fprintf(stderr, "%s", text);
	}
	for (unsigned i = 0; i < OWNERS; i++) {
		owner_name(i, a + 5);
		expect_row(m, a, "(internet)", &m->out[i]);
		for (unsigned k = 0; k < OWNERS; k++) {
			owner_name(k, b + 5);
			expect_row(m, a, b, &m->in[i][k]);
		}
	}
	if (m->exact)
		all_by_pod(m);
	session_counters(m->g.s, &c);
	if (m->exact)
		assert_int_equal(c.unsent, 0);
	assert_int_equal(c.flows.dropped, 0);
}

static void run_seed(uint64_t seed, bool exact)
{
	struct model *m = calloc(1, sizeof(*m));

	m->pairs = calloc(CONNS, sizeof(*m->pairs));
	m->exact = exact;
	rng_seed(&m->rng, seed);
	rig_init(&m->g, (struct rig_opts){.session.out_max = any(m, 2) ? 1 : 0});
	assert_int_equal(rig_tree_try(&m->g), 0);
	for (unsigned i = 1; i <= PODS; i++) {
		assert_int_equal(rig_cgroups_try(&m->g, i), 0);
		m->told_at[i] = any(m, 2) ? 0 : any(m, 500);
	}
	for (unsigned i = 0; i < STEPS; i++)
		step(m, i);
	late_pods(m, UINT32_MAX);
	if (!m->up)
		rig_connect(&m->g);
	rig_wait(&m->g, 2 * SEC);
	rig_rest(&m->g);
	compare(m);
	/* Nothing of what has ended is left at the reducer. */
	for (unsigned i = 0; i < m->n; i++)
		if (m->pairs[i].open)
			end_pair(m, &m->pairs[i]);
	rig_wait(&m->g, 5 * SEC);
	rig_rest(&m->g);
	rig_done(&m->g);
	free(m->pairs);
	free(m);
}

static void equals_the_model(void **state)
{
	const char *one = getenv("SEED");
	const bool exact = *(const bool *)*state;

	if (one) {
		run_seed(strtoull(one, NULL, 10), exact);
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		(void)fprintf(stderr, "seed %llu\r", (unsigned long long)seed);
		run_seed(seed, exact);
	}
}

int main(void)
{
	static bool yes = true, no;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(equals_the_model, &yes),
		cmocka_unit_test_prestate(equals_the_model, &no),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
