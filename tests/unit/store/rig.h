/*
 * What the tests of the store share: a store with one kind and one source, and
 * objects made of JSON text.
 */
#pragma once

#include "base/mem.h"
#include "store/store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC

struct rig {
	struct store *s;
	store_kind kind;
	uint16_t source;
	nsec_t now;
};

static inline store_kind rig_kind_with(struct rig *w, const char *plural, enum store_keep keep,
				       const struct str *indexes, uint32_t n)
{
	_buf_ struct buf error = {.max = 4096};
	struct store_kind_opts o = {.group = STR("example.com"),
				    .version = STR("v1"),
				    .kind = STR("Thing"),
				    .plural = str_of(plural),
				    .namespaced = true,
				    .keep = keep,
				    .indexes = indexes,
				    .n_indexes = n};
	store_kind k = 0;

	assert_int_equal(store_kind_add(w->s, &o, &k, &error), 0);
	return k;
}

static inline void rig_start_with(struct rig *w, const struct store_opts *o, enum store_keep keep)
{
	*w = (struct rig){.now = 1000 * SEC};
	assert_int_equal(store_new(o, &w->s), 0);
	w->kind = rig_kind_with(w, "things", keep, NULL, 0);
	assert_int_equal(store_source_add(w->s, w->kind, STR(""), &w->source), 0);
}

static inline void rig_start(struct rig *w)
{
	rig_start_with(w, &(struct store_opts){0}, STORE_MEMORY);
}

/* The first list of the source, empty: what comes then is a change. */
static inline void rig_sync(struct rig *w)
{
	store_list_begin(w->s, w->source);
	store_list_end(w->s, w->source, w->now);
}

static inline int rig_apply_json(struct rig *w, uint16_t source, struct str json)
{
	struct arena a;
	struct tree *t;
	int r;

	arena_init(&a, 16 << 20);
	assert_int_equal(tree_parse(&a, json, &t), 0);
	r = store_apply(w->s, source, w->now, t);
	arena_done(&a);
	return r;
}

/* An object of that name in namespace "a", whose uid is "uid-UID" and whose spec has the value. */
static inline struct str rig_json(char *to, size_t size, const char *name, int uid, int rv,
				  int value)
{
	(void)snprintf(to, size,
		       "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"a\",\"uid\":\"uid-%d\","
		       "\"resourceVersion\":\"%d\"},\"spec\":{\"value\":\"%d\"}}",
		       name, uid, rv, value);
	return str_of(to);
}

static inline int rig_apply(struct rig *w, const char *name, int uid, int rv, int value)
{
	char json[512];

	return rig_apply_json(w, w->source, rig_json(json, sizeof(json), name, uid, rv, value));
}

static inline void rig_delete(struct rig *w, const char *name)
{
	store_delete(w->s, w->source, STR("a"), str_of(name), STR(""), w->now);
}

static inline store_id rig_find(const struct rig *w, const char *name)
{
	return store_find(w->s, w->kind, STR("a"), str_of(name));
}

static inline struct store_cursor *rig_cursor(struct rig *w, const struct store_cursor_opts *o)
{
	struct store_cursor *c = NULL;

	assert_int_equal(store_cursor_add(w->s, o ? o : &(struct store_cursor_opts){0}, &c), 0);
	return c;
}

/* The next object has this name, is dead or not; its id. NULL: the cursor is at the end. */
static inline store_id rig_next(struct rig *w, struct store_cursor *c, const char *name, bool dead)
{
	store_id id = store_cursor_next(w->s, c);
	struct store_view v;

	if (!name) {
		assert_int_equal(id, 0);
		return 0;
	}
	assert_int_not_equal(id, 0);
	assert_true(store_get(w->s, id, &v));
	assert_true(str_eq(v.name, str_of(name)));
	assert_int_equal(v.dead, dead);
	return id;
}
