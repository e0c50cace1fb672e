/*
 * Options a second time, when the file's text has changed in a running program: what
 * it would mean, and what is different.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <errno.h>

int options_load_again(const struct options *o, const char *name, struct str text,
		       struct options *again)
{
	int r = 0;

	again->args = calloc(1, sizeof(*again->args));
	again->file = str_dup(str_of(name));
	if (!again->args || !again->file)
		return -ENOMEM;
	for (size_t i = 0; i < o->table->n && r == 0; i++) {
		const struct option_slot *s = &o->slots[i];

		if (s->origin != ORIGIN_ENV && s->origin != ORIGIN_FLAG)
			continue;
		r = option_slot_set(&again->slots[i], str_of(s->text), s->origin);
		memcpy(again->slots[i].env, s->env, sizeof(s->env));
	}
	if (r == 0)
		r = option_file_parse(again, text);
	return r < 0 ? r : options_settle(again);
}

const char *options_file(const struct options *o)
{
	return o->file;
}

int options_read_file(const struct options *o, struct buf *ret)
{
	return o->file ? option_file_read(o->file, ret) : -ENOENT;
}

void options_adopt(const struct options *from, void *target)
{
	for (size_t i = 0; i < from->table->n; i++) {
		const struct option_desc *d = &from->table->v[i];

		if (d->flags & OPTION_LIVE)
			memcpy((char *)target + d->offset, from->target + d->offset, d->size);
	}
}

const struct option_desc *options_next_change(const struct options *a, const struct options *b,
					      size_t *at)
{
	while (*at < a->table->n) {
		const size_t i = (*at)++;
		const char *x = a->slots[i].text, *y = b->slots[i].text;

		if (!x != !y || (x && strcmp(x, y) != 0))
			return &a->table->v[i];
	}
	return NULL;
}
