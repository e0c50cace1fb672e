/*
 * The ends of objects, events and lists: what was filled is judged, completed
 * and handed to the owner.
 */
#include "base/mem.h"
#include "decode/fill.h"

#include <errno.h>

void item_begin(struct decode *d, uint64_t at)
{
	arena_reset(&d->item_arena);
	raw_forget(d);
	d->item = (struct item){0};
	d->charged = 0;
	d->in_item = true;
	d->has_item = false;
	d->borrowed = false;
	d->is_bad = false;
	d->too_many = false;
	d->item_start = at;
}

void item_bad(struct decode *d, enum decode_bad why)
{
	if (d->is_bad)
		return;
	d->is_bad = true;
	d->bad = why;
}

static void report_bad(struct decode *d, enum decode_bad why, struct str name)
{
	if (d->ops.on_bad)
		d->ops.on_bad(d->ctx, why, name);
}

/* Of too many references the controller is the one that counts: it takes the last place. */
static void keep_controller(struct item *i)
{
	struct meta *m = &i->o.meta;

	if (i->late_owner.controller && !meta_controller(m))
		m->owners[m->n_owners - 1] = i->late_owner;
}

/* Main, init, ephemeral: JSON has the init containers first. */
static void sort_containers(struct pod *p)
{
	struct container *c = p->containers;
	bool sorted = true;

	for (uint32_t i = 1; i < p->n_containers && sorted; i++)
		sorted = c[i - 1].type <= c[i].type;
	if (sorted)
		return;
	for (uint32_t i = 1; i < p->n_containers; i++) { /* stable; three runs at most */
		struct container moved = c[i];
		uint32_t k = i;

		for (; k > 0 && c[k - 1].type > moved.type; k--)
			c[k] = c[k - 1];
		c[k] = moved;
	}
}

/* Items of typed lists do not say what they are: the list does. */
static void name_kind(struct decode *d)
{
	struct object *o = &d->item.o;

	if (o->kind.n || o->api_version.n)
		return;
	o->api_version = d->top.api_version;
	o->kind = d->top.kind;
	if (d->body == DECODE_LIST && str_ends(o->kind, STR("List")))
		o->kind.n -= 4;
}

/* A Status says so; of one without a kind (a gateway timeout's) the code speaks. */
static bool is_status(struct str kind, int32_t code)
{
	return str_eq(kind, STR("Status")) || (!kind.n && code);
}

/* The object leaves; from here on nobody looks at its texts, and an idle stream holds none. */
static int deliver(struct decode *d, enum event_type type)
{
	struct object *o = &d->item.o;
	bool incomplete = type != EVENT_BOOKMARK && (!o->meta.name.n || !o->meta.uid.n);
	int r = 0;

	if (!d->is_bad && incomplete)
		item_bad(d, BAD_INCOMPLETE);
	if (d->is_bad) {
		report_bad(d, d->bad, o->meta.name);
	} else {
		if (d->too_many)
			report_bad(d, BAD_TOO_MANY, o->meta.name);
		if (d->ops.on_object)
			r = d->ops.on_object(d->ctx, type, o);
	}
	d->borrowed = false;
	raw_forget(d);
	arena_reset(&d->item_arena);
	return r < 0 ? fill_error(d, r, d->item_start, "stopped") : 0;
}

static int deliver_status(struct decode *d, const struct api_status *s)
{
	int r = d->ops.on_status ? d->ops.on_status(d->ctx, s) : 0;

	d->borrowed = false;
	raw_forget(d);
	return r < 0 ? fill_error(d, r, d->offset, "stopped") : 0;
}

int item_end(struct decode *d, uint64_t at)
{
	struct item *i = &d->item;

	d->in_item = false;
	if (at - d->item_start > d->max_object) {
		d->is_bad =
			false; /* the size is the reason that counts, wherever it was found out */
		item_bad(d, BAD_TOO_LARGE);
	}
	if (!i->o.node.zone.n)
		i->o.node.zone = i->old_zone;
	if (!i->o.node.instance_type.n)
		i->o.node.instance_type = i->old_type;
	keep_controller(i);
	sort_containers(&i->o.pod);
	name_kind(d);
	if (d->body == DECODE_LIST)
		return deliver(d, EVENT_ADDED);
	d->has_item = true; /* the rest of the event, or of the body, has a word in it */
	return 0;
}

void event_begin(struct decode *d)
{
	arena_reset(&d->top_arena);
	d->top = (struct top){.list.remaining = -1};
	d->is_status = false;
	item_begin(d, d->offset);
	d->in_item = false;
}

int event_end(struct decode *d)
{
	bool has_item = d->has_item;

	d->in_item = false;
	d->has_item = false;
	if (d->is_status)
		return deliver_status(d, &d->top.status);
	if (has_item && !d->is_bad &&
	    (is_status(d->item.o.kind, d->item.status.code) || d->top.type == EVENT_ERROR))
		return deliver_status(d, &d->item.status);
	if (!has_item || !d->top.has_type)
		item_bad(d, BAD_MALFORMED);
	return deliver(d, d->top.type);
}

/* The body of a GET: the object, unless it is a Status. */
static int object_end(struct decode *d)
{
	if (!d->has_item)
		return fill_error(d, -EBADMSG, d->offset, "no object in the body");
	d->top.has_type = true;
	d->top.type = EVENT_ADDED;
	return event_end(d);
}

static int list_end(struct decode *d)
{
	/* A custom resource's list may be called anything; those come in JSON. */
	bool named = d->format == DECODE_JSON && d->top.has_items && d->top.kind.n;
	int r;

	if (!named && !str_ends(d->top.kind, STR("List")))
		return fill_error(d, -EBADMSG, d->offset, "not a list but kind '%.*s'",
				  (int)MIN(d->top.kind.n, (size_t)64),
				  d->top.kind.p ? d->top.kind.p : "");
	r = d->ops.on_list ? d->ops.on_list(d->ctx, &d->top.list) : 0;
	return r < 0 ? fill_error(d, r, d->offset, "stopped") : 0;
}

int top_end(struct decode *d)
{
	struct top *t = &d->top;

	if (d->body == DECODE_OBJECT && !d->is_status)
		return object_end(d);
	if (d->is_status || (!t->has_items && is_status(t->kind, t->status.code))) {
		t->status.cont = t->list.cont;
		return deliver_status(d, &t->status);
	}
	if (d->body == DECODE_LIST)
		return list_end(d);
	return fill_error(d, -EBADMSG, d->offset, "not a Status but kind '%.*s'",
			  (int)MIN(t->kind.n, (size_t)64), t->kind.p ? t->kind.p : "");
}
