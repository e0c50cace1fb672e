#include "cli/pages.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/cmd_help.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TARGET_MAX 16384
#define LIMIT	   "5000" /* objects of a page */

/* `token` is replaced by the next page's; "": this was the last. */
static int take_page(const struct pages *p, json_t *page, struct buf *token)
{
	const json_t *all = json_object_get(page, p->member), *o;
	const char *next = json_string_value(json_object_get(page, "continue"));
	int r = json_is_array(all) ? 0 : -EBADMSG;
	size_t i;

	json_array_foreach(all, i, o)
	{
		r = r ?: p->each(p->ctx, o);
	}
	buf_reset(token);
	r = r ?: buf_append_str(token, str_of(next ?: ""));
	return r ?: buf_append(token, "", 1);
}

static int read_page(const struct pages *p, struct buf *token)
{
	_buf_ struct buf target = {.max = TARGET_MAX};
	_json_ json_t *page = NULL;
	int r = buf_append_str(&target, p->target), code;

	r = r ?: ask_param(&target, "limit", LIMIT);
	r = r ?: ask_param(&target, "continue", token->n > 1 ? buf_str(token).p : NULL);
	if (r < 0)
		return ask_cannot(p->command, r);
	code = ask_json(p->command, p->where, buf_str(&target), &page);
	if (code != EXIT_OK)
		return code;
	r = take_page(p, page, token);
	if (r < 0)
		fprintf(stderr, "%s: the answer cannot be read: %s\n", p->command, strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int pages_read(const struct pages *p)
{
	_buf_ struct buf token = {.max = TARGET_MAX};
	int code;

	do
		code = read_page(p, &token);
	while (code == EXIT_OK && token.n > 1);
	return code;
}
