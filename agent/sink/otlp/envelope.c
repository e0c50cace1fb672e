#include "sink/otlp/envelope.h"

/* The same numbers in metrics.proto and logs.proto. */
enum { REQUEST_RESOURCES = 1 };
enum { RESOURCES_RESOURCE = 1, RESOURCES_SCOPES = 2, RESOURCES_SCHEMA = 3 };
enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPES_SCOPE = 1, SCOPES_SCHEMA = 3 };
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2 };

static void put_resource(struct pb_out *p, const struct otlp_source *s)
{
	struct attrs a = {.pb = *p, .field = RESOURCE_ATTRIBUTES};
	size_t at = pb_open(&a.pb, RESOURCES_RESOURCE);

	attr_text(&a, "service.name", STR("kindred"));
	attr_text(&a, "service.version", s->version);
	attr_text(&a, "service.instance.id", s->instance);
	attr_some(&a, "host.name", s->host);
	attr_some(&a, "k8s.node.name", s->node);
	attr_some(&a, "k8s.cluster.name", s->cluster);
	pb_close(&a.pb, at);
	*p = a.pb;
}

struct envelope envelope_begin(struct pb_out *p, const struct otlp_source *s)
{
	struct envelope e = {.resource = pb_open(p, REQUEST_RESOURCES)};
	size_t at;

	put_resource(p, s);
	e.scope = pb_open(p, RESOURCES_SCOPES);
	at = pb_open(p, SCOPES_SCOPE);
	pb_text(p, SCOPE_NAME, STR("kindred.flow"));
	pb_text(p, SCOPE_VERSION, s->version);
	pb_close(p, at);
	return e;
}

void envelope_end(struct pb_out *p, struct envelope e)
{
	pb_text(p, SCOPES_SCHEMA, STR(OTLP_SCHEMA_URL));
	pb_close(p, e.scope);
	pb_text(p, RESOURCES_SCHEMA, STR(OTLP_SCHEMA_URL));
	pb_close(p, e.resource);
}
