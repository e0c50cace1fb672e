/* One object watched by itself; see single.h. */
#include "core/single.h"

#include "base/arena.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define MAX_TREE ((size_t)64 << 20)
#define MAX_NAME 253

struct single {
	struct single_opts o;
	struct reflector *reflector;
	struct arena arena;
	struct buf raw; /* the object as it is; empty: there is none */
	struct buf version;
	bool seen; /* by the list under way */
	bool synced;
	bool news;
};

static void tell(struct single *s, bool first)
{
	struct tree *t = NULL;

	if (s->raw.n && tree_parse(&s->arena, buf_str(&s->raw), &t) < 0)
		t = NULL;
	s->news = false;
	s->o.changed(s->o.ctx, t, first);
	arena_reset(&s->arena);
}

static void on_list_begin(void *ctx)
{
	((struct single *)ctx)->seen = false;
}

static int keep(struct single *s, const struct object *o)
{
	int r;

	buf_reset(&s->raw);
	buf_reset(&s->version);
	r = buf_append_str(&s->raw, o->raw);
	if (r == 0)
		r = buf_append_str(&s->version, o->meta.resource_version);
	if (r < 0)
		buf_reset(&s->raw);
	return r == -ENOMEM ? r : 0;
}

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct single *s = ctx;
	int r = 0;

	if (!str_eq(o->meta.name, s->o.name))
		return 0;
	s->seen = true;
	if (type == EVENT_DELETED) {
		s->news = s->raw.n > 0;
		buf_reset(&s->raw);
	} else if (!s->raw.n || !str_eq(buf_str(&s->version), o->meta.resource_version)) {
		s->news = true;
		r = keep(s, o);
	}
	if (r == 0 && s->synced && s->news)
		tell(s, false);
	return r;
}

static void on_list_end(void *ctx)
{
	struct single *s = ctx;
	const bool first = !s->synced;

	if (!s->seen && s->raw.n) {
		s->news = true;
		buf_reset(&s->raw);
	}
	s->synced = true;
	if (first || s->news)
		tell(s, first);
}

static void on_state(void *ctx, const struct reflector_status *status)
{
	const struct single *s = ctx;

	if (s->o.state)
		s->o.state(s->o.ctx, status);
}

static void on_unauthorized(void *ctx)
{
	const struct single *s = ctx;

	if (s->o.unauthorized)
		s->o.unauthorized(s->o.ctx);
}

static const struct reflector_ops ops = {.list_begin = on_list_begin,
					 .object = on_object,
					 .list_end = on_list_end,
					 .state = on_state,
					 .unauthorized = on_unauthorized};

static int make_reflector(struct single *s)
{
	struct reflector_opts o = s->o.watch;
	char selector[MAX_NAME + 16];

	if (s->o.name.n == 0 || s->o.name.n > MAX_NAME)
		return -EINVAL;
	(void)snprintf(selector, sizeof(selector), "metadata.name=%.*s", STR_ARG(s->o.name));
	o.path = s->o.path;
	o.shape = SHAPE_META;
	o.raw = o.no_protobuf = true;
	o.field_selector = str_of(selector);
	o.ops = &ops;
	o.ctx = s;
	return reflector_new(&o, &s->reflector);
}

int single_new(const struct single_opts *o, struct single **ret)
{
	struct single *s = calloc(1, sizeof(*s));
	char *name = s ? str_dup(o->name) : NULL;
	int r;

	if (!s || !name) {
		free(s);
		return -ENOMEM;
	}
	s->o = *o;
	s->o.name = str_make(name, o->name.n);
	buf_init(&s->raw, SINGLE_MAX_OBJECT);
	buf_init(&s->version, REFLECTOR_MAX_RV);
	arena_init(&s->arena, MAX_TREE);
	r = make_reflector(s);
	if (r < 0) {
		single_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void single_free(struct single **sp)
{
	struct single *s = *sp;

	if (!s)
		return;
	reflector_free(&s->reflector);
	buf_done(&s->raw);
	buf_done(&s->version);
	arena_done(&s->arena);
	free((char *)(uintptr_t)s->o.name.p);
	free(s);
	*sp = NULL;
}

void single_tune(struct single *s, const struct reflector_opts *watch)
{
	struct reflector_opts o = *watch;

	o.max_object = SINGLE_MAX_OBJECT;
	reflector_tune(s->reflector, &o);
}

struct reflector *single_reflector(struct single *s)
{
	return s->reflector;
}
