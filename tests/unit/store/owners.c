/*
 * What stands above an object: cursors that care for owners see an object again when a
 * controller above it comes, goes, or gets another one; others do not.
 */
#include "tests/unit/store/rig.h"

#include "base/rng.h"

#define OBJECTS 12
#define STEPS	400

/* An object whose uid is "uid-N" and whose controller has the uid "uid-OWNER" (0: none). */
static void apply(struct rig *w, int n, int owner, int rv)
{
	char json[512], refs[256] = "", name[16];

	(void)snprintf(name, sizeof(name), "o%d", n);
	if (owner)
		(void)snprintf(
			refs, sizeof(refs),
			",\"ownerReferences\":[{\"kind\":\"Other\",\"name\":\"x\",\"uid\":"
			"\"uid-%d\"},{\"kind\":\"Thing\",\"name\":\"o%d\",\"uid\":\"uid-%d\","
			"\"controller\":true}]",
			OBJECTS + 1, owner, owner);
	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"a\",\"uid\":\"uid-%d\","
		       "\"resourceVersion\":\"%d\"%s},\"spec\":{\"v\":\"%d\"}}",
		       name, n, rv, refs, rv % 3);
	assert_int_equal(rig_apply_json(w, w->source, str_of(json)), 0);
}

static struct store_cursor *owners_cursor(struct rig *w)
{
	return rig_cursor(w, &(struct store_cursor_opts){.owners = true});
}

static void skip_all(struct rig *w, struct store_cursor *c)
{
	store_id id;

	while ((id = store_cursor_next(w->s, c)))
		store_cursor_done(w->s, c, id);
}

static void an_adopted_owner_shows_what_is_below(void **state)
{
	struct store_cursor *cares, *other;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	cares = owners_cursor(&w);
	other = rig_cursor(&w, NULL);
	apply(&w, 1, 0, 1); /* a Deployment, its ReplicaSet, its pod, and a stranger */
	apply(&w, 2, 1, 2);
	apply(&w, 3, 2, 3);
	apply(&w, 4, 0, 4);
	skip_all(&w, cares);
	skip_all(&w, other);
	apply(&w, 1, 9, 5); /* adopted by what nobody knows yet */
	rig_next(&w, cares, "o1", false);
	rig_next(&w, cares, "o2", false);
	rig_next(&w, cares, "o3", false);
	rig_next(&w, cares, NULL, false);
	rig_next(&w, other, "o1", false);
	rig_next(&w, other, NULL, false);
	assert_int_equal(store_cursor_lag(w.s, other), 0);
	apply(&w, 9, 0, 6); /* there it is */
	rig_next(&w, cares, "o9", false);
	rig_next(&w, cares, "o1", false);
	rig_next(&w, cares, "o2", false);
	rig_next(&w, cares, "o3", false);
	rig_next(&w, cares, NULL, false);
	apply(&w, 1, 9, 7); /* it changes, but not its owner */
	rig_next(&w, cares, "o1", false);
	rig_next(&w, cares, NULL, false);
	rig_delete(&w, "o1");
	rig_next(&w, cares, "o1", true);
	rig_next(&w, cares, "o2", false);
	rig_next(&w, cares, "o3", false);
	rig_next(&w, cares, NULL, false);
	store_free(&w.s);
}

/* ---- against plain arrays -------------------------------------------------------------------- */

struct model {
	struct rig w;
	struct rng g;
	bool here[OBJECTS + 1], due[OBJECTS + 1];
	int owner[OBJECTS + 1]; /* 0: none */
};

static bool is_below(const struct model *m, int n, int top)
{
	for (int steps = 0; steps < 8 && m->here[n] && m->owner[n]; steps++) {
		n = m->owner[n];
		if (n == top)
			return true;
	}
	return false;
}

static void changed(struct model *m, int n, bool chain)
{
	m->due[n] = true;
	for (int i = 1; chain && i <= OBJECTS; i++)
		m->due[i] |= m->here[i] && is_below(m, i, n);
}

static void change(struct model *m, int step)
{
	int n = 1 + (int)rng_below(&m->g, OBJECTS), owner = (int)rng_below(&m->g, OBJECTS + 1);
	char name[16];

	(void)snprintf(name, sizeof(name), "o%d", n);
	if (m->here[n] && rng_below(&m->g, 3) == 0) {
		rig_delete(&m->w, name);
		m->here[n] = false;
		changed(m, n, true);
		return;
	}
	if (m->here[n] && rng_below(&m->g, 2))
		owner = m->owner[n];
	apply(&m->w, n, owner, 3 * step + 1 + (int)rng_below(&m->g, 3)); /* perhaps another value */
	if (!m->here[n] || owner != m->owner[n]) {
		m->here[n] = true;
		m->owner[n] = owner;
		changed(m, n, true);
	}
}

/* Everything that is due is seen, and what is seen without a reason is what changed by itself. */
static void look(struct model *m, struct store_cursor *c)
{
	bool seen[OBJECTS + 1] = {false};
	struct store_view v;
	unsigned long long n;
	store_id id;

	while ((id = store_cursor_next(m->w.s, c))) {
		assert_true(store_get(m->w.s, id, &v));
		assert_int_equal(str_to_u64(str_from(v.name, 1), &n), 0); /* no NUL ends it */
		seen[n] = true;
		store_cursor_done(m->w.s, c, id);
	}
	for (int i = 1; i <= OBJECTS; i++)
		if (m->due[i] && m->here[i])
			assert_true(seen[i]);
	memset(m->due, 0, sizeof(m->due));
}

static void chains_of_any_shape(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct model m = {0};
		struct store_cursor *c, *other;

		rng_seed(&m.g, seed);
		rig_start(&m.w);
		rig_sync(&m.w);
		c = owners_cursor(&m.w);
		other = rig_cursor(&m.w, NULL);
		for (int step = 0; step < STEPS; step++) {
			change(&m, step);
			if (rng_below(&m.g, 4) == 0)
				look(&m, c);
			if (rng_below(&m.g, 4) == 0)
				skip_all(&m.w, other);
		}
		look(&m, c);
		skip_all(&m.w, other);
		assert_int_equal(store_cursor_lag(m.w.s, other), 0);
		store_free(&m.w.s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_adopted_owner_shows_what_is_below),
		cmocka_unit_test(chains_of_any_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
