/*
 * What the recorded server said about itself, served as it was.
 */
#include "server.h"

#include "read.h"

static const struct {
	const char *path, *name, *aggregated;
	const char *type; /* NULL: JSON */
} pages[] = {
	{"/version", "disc-version", NULL, NULL},
	{"/api", "disc-api", "disc-api-aggregated", NULL},
	{"/apis", "disc-apis", "disc-apis-aggregated", NULL},
	{"/api/v1", "disc-api-v1", NULL, NULL},
	{"/apis/apps", "disc-apis-apps", NULL, NULL},
	{"/apis/apps/v1", "disc-apis-apps-v1", NULL, NULL},
	{"/apis/batch/v1", "disc-apis-batch-v1", NULL, NULL},
	{"/healthz", "disc-healthz", NULL, "text/plain; charset=utf-8"},
	{"/readyz", "disc-healthz", NULL, "text/plain; charset=utf-8"},
	{"/livez", "disc-healthz", NULL, "text/plain; charset=utf-8"},
};

#define AGGREGATED_TYPE "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

/* Small answers were kept whole, large ones as body alone. */
static int read_page(struct conn *c, const char *name, struct buf *b)
{
	int r = read_recorded(c->srv->o.dir, name, ".body", b);
	struct str s;
	const char *at;

	if (r == 0)
		return 0;
	r = read_recorded(c->srv->o.dir, name, ".http", b);
	if (r < 0)
		return r;
	s = buf_str(b);
	at = memmem(s.p, s.n, "\r\n\r\n", 4);
	if (at)
		buf_consume(b, (size_t)(at - s.p) + 4);
	return 0;
}

bool discovery_handle(struct conn *c)
{
	const char *accept = c->req.accept ? c->req.accept : "";

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		bool aggregated = pages[i].aggregated && strstr(accept, "APIGroupDiscoveryList");
		const char *type = pages[i].type ? pages[i].type : "application/json";
		_buf_ struct buf b;

		buf_init(&b, READ_MAX);
		if (strcmp(c->req.path, pages[i].path) != 0)
			continue;
		if (read_page(c, aggregated ? pages[i].aggregated : pages[i].name, &b) < 0)
			return false;
		resp_start(c, 200, aggregated ? AGGREGATED_TYPE : type, NULL);
		resp_write(c, buf_str(&b).p, b.n);
		resp_end(c);
		return true;
	}
	return false;
}
