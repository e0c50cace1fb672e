#include "cli/listing.h"

#include "base/mem.h"
#include "cli/cmd_help.h"

#include <errno.h>
#include <stdio.h>

struct printer {
	const struct listing *l;
	struct sheet *table; /* NULL: lines */
	unsigned long n;
};

static int print_line(const json_t *o)
{
	return json_dumpf(o, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF ? -EIO : 0;
}

static int on_object(void *ctx, const json_t *o)
{
	struct printer *p = ctx;

	p->n++;
	return p->table ? p->l->put(p->table, o) : print_line(o);
}

int listing_show(const struct listing *l, enum output o)
{
	_sheet_ struct sheet *t = NULL;
	int r = o == OUTPUT_JSON ? 0 : sheet_new(l->columns, l->n_columns, &t), code;
	struct printer p = {.l = l, .table = t};
	const struct pages pages = {.command = l->command,
				    .where = l->where,
				    .target = l->target,
				    .member = l->member,
				    .each = on_object,
				    .ctx = &p};

	if (r < 0)
		return output_table(l->command, NULL, o, r);
	code = pages_read(&pages);
	if (code != EXIT_OK)
		return code;
	if (!p.n) {
		fprintf(stderr, "%s: the agent knows no such %s\n", l->command, l->one);
		return EXIT_FAILED;
	}
	if (!t)
		return EXIT_OK;
	if (l->sort)
		sheet_sort(t);
	return output_table(l->command, t, o, 0);
}
