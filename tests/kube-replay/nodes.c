/*
 * Node objects. No Node was recorded, so these are MADE: one for every node
 * name that recorded pods carry, with what an agent reads of its own node:
 * zone and instance-type labels, providerID, addresses.
 */
#include "meta.h"
#include "pb.h"
#include "read.h"
#include "span.h"
#include "store.h"

#define NODE_RV	  "1"
#define NODE_TYPE "m6i.large"

static void node_pb(struct buf *b, struct str meta_json, struct str provider, struct str ip,
		    struct str name)
{
	_buf_ struct buf m;
	json_t *json = json_loadb(meta_json.p, meta_json.n, 0, NULL);

	buf_init(&m, READ_MAX);
	meta_to_pb(json, &m);
	json_decref(json);
	pb_put_len(b, 1, buf_str(&m));
	buf_reset(&m);
	pb_put_len(&m, 3, provider); /* NodeSpec.providerID */
	pb_put_len(b, 2, buf_str(&m));
	buf_reset(&m);
	for (int i = 0; i < 2; i++) { /* NodeStatus.addresses=5: type=1, address=2 */
		_buf_ struct buf a;

		buf_init(&a, 1024);
		pb_put_len(&a, 1, i ? STR("Hostname") : STR("InternalIP"));
		pb_put_len(&a, 2, i ? name : ip);
		pb_put_len(&m, 5, buf_str(&a));
	}
	pb_put_len(b, 3, buf_str(&m));
}

static void node_add(struct store *s, struct str name, struct str ip)
{
	struct kind_store *k = &s->kinds[KIND_NODES];
	unsigned int i = (unsigned int)k->n_versions;
	struct buf *b = recorded_file(s);
	struct version *v;
	char provider[80];

	snprintf(provider, sizeof(provider), "aws:///zone-%c/i-%017x", 'a' + (int)(i % 3), i + 1);
	put_f(b,
	      "{\"metadata\":{\"name\":\"%.*s\",\"uid\":\"00000000-0000-4000-8000-%012x\","
	      "\"resourceVersion\":\"" NODE_RV "\",\"creationTimestamp\":\"2026-11-20T17:50:00Z\","
	      "\"labels\":{\"kubernetes.io/hostname\":\"%.*s\","
	      "\"node.kubernetes.io/instance-type\":\"" NODE_TYPE "\","
	      "\"topology.kubernetes.io/region\":\"region-1\","
	      "\"topology.kubernetes.io/zone\":\"zone-%c\"}},"
	      "\"spec\":{\"providerID\":\"%s\"},"
	      "\"status\":{\"addresses\":[{\"type\":\"InternalIP\",\"address\":\"%.*s\"},"
	      "{\"type\":\"Hostname\",\"address\":\"%.*s\"}]}}",
	      STR_ARG(name), i + 1, STR_ARG(name), 'a' + (int)(i % 3), provider, STR_ARG(ip),
	      STR_ARG(name));
	v = recorded_add_version(k);
	if (version_set_json(v, buf_str(b)) < 0)
		return;
	b = recorded_file(s);
	node_pb(b, v->meta_json, str_of(provider), ip, v->name);
	v->pb = buf_str(b);
	v->meta_pb = pb_get(v->pb, 1);
}

static bool known(const struct kind_store *k, struct str name)
{
	for (size_t i = 0; i < k->n_versions; i++)
		if (str_eq(k->versions[i].name, name))
			return true;
	return false;
}

void nodes_make(struct store *s)
{
	struct kind_store *nodes = &s->kinds[KIND_NODES];
	const struct kind_store *pods = &s->kinds[KIND_PODS];

	for (size_t i = 0; i < pods->n_versions; i++) {
		struct str spec, status, name, ip;

		if (!version_member(&pods->versions[i], "spec", &spec) ||
		    !version_member(&pods->versions[i], "status", &status))
			continue;
		name = span_text(spec, "nodeName");
		ip = span_text(status, "hostIP");
		if (name.n && ip.n && !known(nodes, name))
			node_add(s, name, ip);
	}
	nodes->n_base = nodes->n_versions;
	nodes->base = must_calloc(nodes->n_base, sizeof(*nodes->base));
	for (size_t i = 0; i < nodes->n_base; i++)
		nodes->base[i] = (uint32_t)i;
	nodes->base_rv = pods->base_rv;
	s->kinds[KIND_SERVICES].base_rv = pods->base_rv;
}
