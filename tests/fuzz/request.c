/*
 * Any bytes as the head of a request: refused with a status and words, or taken apart
 * into views that lie inside it; and what the guard makes of it is decided.
 */
#include "tests/fuzz/fuzz.h"

#include "serve/guard.h"
#include "serve/request.h"

#include <stdlib.h>

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool inside(struct str part, struct str whole)
{
	return !part.n || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str head = str_make(data, size), token;
	struct web_request r = {0};
	const char *words = NULL;
	int status = request_parse(head, &r, &words);

	check(status == 0 || ((status == 400 || status == 405 || status == 505) && words));
	if (status)
		return 0;
	check(r.path.n && r.path.p[0] == '/' && inside(r.path, head) && inside(r.query, head));
	check(inside(r.host, head) && inside(r.origin, head) && inside(r.authorization, head) &&
	      inside(r.content_type, head));
	for (int here = 0; here < 2; here++) {
		status = guard_browser(&r, here, &words);
		check(status == 0 || (status == 403 && words));
		check(status || !r.origin.n || r.host.n);
		check(status || !here || !r.host.n || guard_is_here(r.host));
	}
	check(!guard_bearer(r.authorization, &token) ||
	      (token.n && inside(token, r.authorization)));
	return 0;
}
