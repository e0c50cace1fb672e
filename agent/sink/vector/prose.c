/* Parts and items; see prose.h. */
#include "sink/vector/prose.h"

#include <errno.h>

void prose_init(struct prose *t)
{
	*t = (struct prose){.out = {.max = PROSE_ROOM}};
}

void prose_done(struct prose *t)
{
	buf_done(&t->out);
}

void prose_part(struct prose *t, const char *label)
{
	t->label = label;
	t->items = false;
}

static void put(struct prose *t, struct str s)
{
	int r = t->full ? 0 : buf_append_str(&t->out, s);

	if (r == -EMSGSIZE)
		t->full = true;
	else if (r < 0)
		t->r = r;
}

static void begin_item(struct prose *t)
{
	if (t->items) {
		put(t, STR(", "));
		return;
	}
	if (t->out.n)
		put(t, STR(" | "));
	put(t, str_of(t->label));
	if (t->label[0])
		put(t, STR(" "));
	t->items = true;
}

void prose_item(struct prose *t, const struct str *words, uint32_t n)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++) {
		if (!words[i].n)
			continue;
		if (!any)
			begin_item(t);
		else
			put(t, STR(" "));
		put(t, words[i]);
		any = true;
	}
}

struct str prose_name(struct prose *t, struct str name)
{
	if (name.n && t->n_named < PROSE_NAMES)
		t->named[t->n_named++] = name;
	return name;
}

struct str prose_value(struct str value)
{
	size_t n = 0, step;

	value = str_trim(value);
	while (n < value.n && n < PROSE_VALUE) {
		if (value.p[n] == '\n' || value.p[n] == '\r' || value.p[n] == '\t')
			break;
		step = str_utf8(str_from(value, n));
		if (!step || n + step > PROSE_VALUE)
			break;
		n += step;
	}
	value.n = n;
	return value;
}

struct str prose_cut(struct prose *t, size_t max)
{
	struct str s = buf_str(&t->out);
	size_t n = max;

	if (s.n <= max)
		return s;
	while (n > 0 && s.p[n] != ' ')
		n--;
	while (n > 0 && (s.p[n - 1] == ' ' || s.p[n - 1] == ',' || s.p[n - 1] == '|'))
		n--;
	s.n = n;
	return s;
}
