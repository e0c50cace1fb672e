/*
 * The bytes of one object as they came, for who wants it whole: borrowed from the
 * fed bytes while those last, else gathered. Never more than max_object of them;
 * a larger object is left out anyway.
 */
#include "base/mem.h"
#include "decode/fill.h"

#define HELD_KEPT 65536 /* bytes; memory that grew over it is freed with its object */

static bool too_large(const struct decode *d, uint64_t end)
{
	return end - d->item_start > d->max_object;
}

int raw_end(struct decode *d, uint64_t at)
{
	size_t behind = (size_t)(at - d->offset);
	int r = 0;

	if (!d->raw || too_large(d, at))
		return 0;
	d->raw_borrowed = d->item_start >= d->offset;
	if (d->raw_borrowed) {
		d->item.o.raw = str_make(d->chunk + (d->item_start - d->offset),
					 (size_t)(at - d->item_start));
		return 0;
	}
	r = buf_append(&d->held, d->chunk, behind);
	if (r == 0)
		d->item.o.raw = buf_str(&d->held);
	return r;
}

int raw_own(struct decode *d)
{
	size_t from = d->item_start > d->offset ? (size_t)(d->item_start - d->offset) : 0;
	int r = 0;

	if (!d->raw)
		return 0;
	if (d->in_item && too_large(d, d->offset + d->n_chunk))
		buf_done(&d->held);
	else if (d->in_item)
		r = buf_append(&d->held, d->chunk + from, d->n_chunk - from);
	else if (d->has_item && d->raw_borrowed)
		r = buf_append_str(&d->held, d->item.o.raw);
	if (r == 0 && d->raw_borrowed) {
		d->item.o.raw = buf_str(&d->held);
		d->raw_borrowed = false;
	}
	return r;
}

void raw_forget(struct decode *d)
{
	d->raw_borrowed = false;
	d->item.o.raw = (struct str){0};
	if (d->held.cap > HELD_KEPT)
		buf_done(&d->held);
	buf_reset(&d->held);
}
