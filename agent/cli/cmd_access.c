#include "cli/cmd_access.h"

#include "base/mem.h"
#include "cli/access_ask.h"
#include "kube/redact.h"

#include <stdio.h>

#define TEXT_MAX   ((size_t)16 << 20) /* rules for a thousand namespaces */
#define ROLE	   "kindred-missing"
#define ALL	   0
#define SOME	   1
#define CANNOT_ASK 2

/* On one line, whatever the server calls us. */
static int print_who(const struct access_asked *a, struct buf *text)
{
	char user[256];

	redact_text(user, sizeof(user),
		    a->user ? str_of(a->user) : STR("somebody it does not name"));
	return buf_printf(text, "%s, as %s\n\n", a->source, user);
}

static int print_missing(const struct access_asked *a, size_t denied, struct buf *text)
{
	_access_ struct access missing = {0};
	_buf_ struct buf yaml = {.max = TEXT_MAX};
	int r = buf_printf(
		text,
		"\n%zu of %zu permissions are denied. What is missing, for kubectl apply -f -:\n\n",
		denied, a->rows.n);

	if (r == 0)
		r = access_missing(a->rows.v, a->rows.n, &missing);
	if (r == 0)
		r = access_print(&missing, ROLE, str_of(a->user), &yaml);
	return r < 0 ? r : buf_append_str(text, buf_str(&yaml));
}

static int print_all(const struct access_asked *a, size_t denied, struct buf *text)
{
	int r = print_who(a, text);

	if (r == 0)
		r = access_table(a->rows.v, a->rows.n, text);
	if (r == 0 && denied)
		r = print_missing(a, denied, text);
	else if (r == 0)
		r = buf_printf(text, "\nall %zu permissions are there\n", a->rows.n);
	return r;
}

int cmd_access(const struct agent_config *c)
{
	_cleanup_(access_asked_done) struct access_asked asked = {0};
	_buf_ struct buf words = {.max = 4096}, text = {.max = TEXT_MAX};
	int r = access_ask(c, &asked, &words);
	size_t denied;

	if (r < 0) {
		fprintf(stderr, "cannot ask for permissions: %.*s\n", STR_ARG(buf_str(&words)));
		return CANNOT_ASK;
	}
	denied = access_denied(asked.rows.v, asked.rows.n);
	r = print_all(&asked, denied, &text);
	if (r < 0) {
		fprintf(stderr, "cannot print the permissions: %s\n", strerror(-r));
		return CANNOT_ASK;
	}
	printf("%.*s", STR_ARG(buf_str(&text)));
	return denied ? SOME : ALL;
}
