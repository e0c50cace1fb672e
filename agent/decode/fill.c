#include "decode/fill.h"

#include "base/mem.h"
#include "base/rfc3339.h"
#include "decode/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int fill_error(struct decode *d, int r, uint64_t at, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	if (d->error)
		return d->error;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(d->error_text, sizeof(d->error_text), "%s, at byte %llu", what,
		       (unsigned long long)at);
	d->error = r;
	return r;
}

/* What an allocation takes from the arena; the rounding is the arena's. */
static size_t charge_of(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static int charge(struct decode *d, size_t n)
{
	if (n > d->max_charged || charge_of(n) > d->max_charged - d->charged)
		return -EMSGSIZE;
	d->charged += charge_of(n);
	return 0;
}

int fill_alloc(struct decode *d, size_t n, void **ret)
{
	struct arena *a = d->in_item ? &d->item_arena : &d->top_arena;
	int r = 0;
	void *p;

	if (d->in_item)
		r = charge(d, n);
	else if (n > DECODE_MAX_TOP || charge_of(n) > DECODE_MAX_TOP - a->used)
		r = -EMSGSIZE;
	if (r < 0)
		return r;
	p = arena_alloc(a, n ? n : 1);
	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static int keep_fixed(struct decode *d, struct str s, struct str *ret)
{
	void *p;
	int r;

	if (d->place == TEXT_ARENA && d->in_item)
		d->charged -= charge_of(s.n); /* what was charged when it was cut */
	r = fill_alloc(d, 3 * s.n, &p);
	if (r < 0)
		return r;
	*ret = str_make(p, text_fix_utf8(s, p));
	return 0;
}

/* The text in a form that lives as long as the object (or the list): borrowed, or copied. */
static int keep(struct decode *d, struct str s, struct str *ret)
{
	void *p;
	int r;

	if (!s.n) {
		*ret = (struct str){0};
		return 0;
	}
	if (!text_is_utf8(s))
		return keep_fixed(d, s, ret);
	if (d->place == TEXT_ARENA) {
		*ret = s;
		return 0;
	}
	if (d->in_item && d->place == TEXT_FED) {
		r = charge(d, s.n);
		if (r < 0)
			return r;
		d->borrowed = true;
		*ret = s;
		return 0;
	}
	r = fill_alloc(d, s.n, &p);
	if (r < 0)
		return r;
	memcpy(p, s.p, s.n);
	*ret = str_make(p, s.n);
	return 0;
}

static enum pod_phase phase_of(struct str s)
{
	static const struct str names[_POD_PHASE_MAX] = {
		[POD_PHASE_UNKNOWN] = STR("Unknown"), [POD_PHASE_PENDING] = STR("Pending"),
		[POD_PHASE_RUNNING] = STR("Running"), [POD_PHASE_SUCCEEDED] = STR("Succeeded"),
		[POD_PHASE_FAILED] = STR("Failed"),
	};

	for (enum pod_phase i = 0; i < _POD_PHASE_MAX; i++)
		if (str_eq(names[i], s))
			return i;
	return POD_PHASE_UNKNOWN;
}

static int event_of(struct str s, enum event_type *ret)
{
	static const struct str names[_EVENT_TYPE_MAX] = {
		[EVENT_ADDED] = STR("ADDED"),	  [EVENT_MODIFIED] = STR("MODIFIED"),
		[EVENT_DELETED] = STR("DELETED"), [EVENT_BOOKMARK] = STR("BOOKMARK"),
		[EVENT_ERROR] = STR("ERROR"),
	};

	for (enum event_type i = 0; i < _EVENT_TYPE_MAX; i++)
		if (str_eq(names[i], s)) {
			*ret = i;
			return 0;
		}
	return -EBADMSG;
}

static int fill_texts(struct decode *d, const struct field *f, void *base, struct str s)
{
	void *e;
	int r = fill_list(d, f, base, &e);

	return r == 0 && e ? keep(d, s, e) : r;
}

int fill_text(struct decode *d, const struct field *f, void *base, struct str s)
{
	char *at = (char *)base + f->at;

	switch ((enum field_op)f->op) {
	case FIELD_STR:
		return keep(d, s, (struct str *)(void *)at);
	case FIELD_TRUE:
		*(bool *)at = str_eq(s, STR("true"));
		return 0;
	case FIELD_PHASE:
		*(enum pod_phase *)(void *)at = phase_of(s);
		return 0;
	case FIELD_EVENT:
		d->top.has_type = event_of(s, (enum event_type *)(void *)at) == 0;
		return 0;
	case FIELD_TIME:
		return rfc3339_parse(s, (int64_t *)(void *)at);
	case FIELD_TEXTS:
		return fill_texts(d, f, base, s);
	case FIELD_SKIP:
	case FIELD_KEY:
	case FIELD_VALUE:
	case FIELD_BOOL:
	case FIELD_I32:
	case FIELD_I64:
	case FIELD_STATE:
	case FIELD_MSG:
	case FIELD_LIST:
	case FIELD_MAP:
	case FIELD_ITEM:
	case FIELD_ITEMS:
	case FIELD_MAGIC:
	case FIELD_RAW:
		break;
	}
	return -EBADMSG;
}

void fill_int(const struct field *f, void *base, uint64_t v)
{
	char *at = (char *)base + f->at;

	if (f->op == FIELD_BOOL)
		*(bool *)at = v != 0;
	else if (f->op == FIELD_I32)
		*(int32_t *)(void *)at = (int32_t)v;
	else
		*(int64_t *)(void *)at = (int64_t)v;
}

#define LIST_FIRST 4 /* elements; arrays double from there */

/* A reference is known for the controller when it is whole, so it is read first and judged when the
 * next one, or the object's end, comes. */
static struct owner_ref *late_owner(struct decode *d)
{
	struct owner_ref *o = &d->item.late_owner;

	if (o->controller)
		return NULL;
	*o = (struct owner_ref){0};
	return o;
}

int fill_list(struct decode *d, const struct field *f, void *base, void **ret)
{
	const struct list *l = f->list;
	char **array = (char **)(void *)((char *)base + l->ptr_at);
	uint32_t *n = (uint32_t *)(void *)((char *)base + l->n_at);
	void *grown, *e;
	int r;

	if (*n >= l->max) {
		d->too_many = true;
		*ret = l->owners ? late_owner(d) : NULL;
		return 0;
	}
	if (*n == 0 || (*n >= LIST_FIRST && (*n & (*n - 1)) == 0)) { /* full */
		r = fill_alloc(d, (size_t)MAX(*n * 2, (uint32_t)LIST_FIRST) * l->size, &grown);
		if (r < 0)
			return r;
		if (*n)
			memcpy(grown, *array, (size_t)*n * l->size);
		*array = grown;
	}
	e = *array + (size_t)*n * l->size;
	memset(e, 0, l->size);
	if (l->typed)
		((struct container *)e)->type = f->arg;
	(*n)++;
	*ret = e;
	return 0;
}

void fill_list_reset(const struct field *f, void *base)
{
	const struct list *l = f->list;
	uint32_t *n = (uint32_t *)(void *)((char *)base + l->n_at), kept = 0;

	if (l->typed) {
		struct container *c = *(struct container **)(void *)((char *)base + l->ptr_at);

		for (uint32_t i = 0; i < *n; i++)
			if (c[i].type != f->arg)
				c[kept++] = c[i];
	}
	if (l->owners)
		((struct item *)base)->late_owner = (struct owner_ref){0};
	*n = kept;
}

/* The label of this wanted key, new or seen before; NULL when there are too many. */
static int label_slot(struct decode *d, struct str key, void **ret)
{
	static const struct list labels = {
		.ptr_at = offsetof(struct meta, labels),
		.n_at = offsetof(struct meta, n_labels),
		.size = sizeof(struct label),
		.max = MODEL_MAX_LABELS,
	};
	static const struct field field = {.op = FIELD_LIST, .list = &labels};
	struct meta *m = &d->item.o.meta;
	int r;

	for (uint32_t i = 0; i < m->n_labels; i++)
		if (str_eq(m->labels[i].key, key)) {
			*ret = &m->labels[i];
			return 0;
		}
	r = fill_list(d, &field, m, ret);
	if (r == 0 && *ret)
		((struct label *)*ret)->key = key;
	return r;
}

int fill_map(struct decode *d, const struct field *f, void *base, struct str key,
	     const struct field **ret_field, void **ret_base)
{
	int r;

	*ret_field = f->sub ? message_find(f->sub, key) : NULL;
	*ret_base = base;
	if (*ret_field || !f->arg)
		return 0;
	for (uint32_t i = 0; i < d->n_labels; i++) {
		if (!str_eq(d->labels[i], key))
			continue;
		r = label_slot(d, d->labels[i], ret_base);
		*ret_field = r == 0 && *ret_base ? &field_label_value : NULL;
		return r;
	}
	return 0;
}

static bool in_chunk(const struct decode *d, struct str s)
{
	return s.n && (uintptr_t)s.p >= (uintptr_t)d->chunk &&
	       (uintptr_t)s.p < (uintptr_t)d->chunk + d->n_chunk;
}

/* Charged when it was taken; only the place changes. */
static int own_text(struct decode *d, struct str *s)
{
	return in_chunk(d, *s) ? arena_dup(&d->item_arena, *s, s) : 0;
}

static int own_texts(struct decode *d, const struct list *l, void *base)
{
	struct str *e = *(struct str **)(void *)((char *)base + l->ptr_at);
	uint32_t n = *(uint32_t *)(void *)((char *)base + l->n_at);
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = own_text(d, &e[i]);
	return r;
}

/* Every text that the table names, and what is below. */
static int own_message(struct decode *d, const struct message *m, void *base)
{
	int r = 0;

	for (uint32_t i = 0; i < m->n && r == 0; i++) {
		const struct field *f = &m->fields[i];
		char *at = (char *)base + f->at;

		if (f->op == FIELD_STR) {
			r = own_text(d, (struct str *)(void *)at);
		} else if ((f->op == FIELD_MSG || f->op == FIELD_MAP) && f->sub) {
			r = own_message(d, f->sub, at);
		} else if (f->op == FIELD_LIST) {
			char *e = *(char **)(void *)((char *)base + f->list->ptr_at);
			uint32_t n = *(uint32_t *)(void *)((char *)base + f->list->n_at);

			for (uint32_t k = 0; k < n && r == 0; k++, e += f->list->size)
				r = own_message(d, f->sub, e);
			if (r == 0 && f->list->owners)
				r = own_message(d, f->sub, &d->item.late_owner);
		} else if (f->op == FIELD_TEXTS) {
			r = own_texts(d, f->list, base);
		}
	}
	return r;
}

int fill_own(struct decode *d)
{
	struct meta *m = &d->item.o.meta;
	int r;

	if (!d->borrowed)
		return 0;
	r = own_message(d, d->item_message, &d->item);
	for (uint32_t i = 0; i < m->n_labels && r == 0; i++)
		r = own_text(d, &m->labels[i].value);
	if (r == 0)
		d->borrowed = false;
	return r;
}
