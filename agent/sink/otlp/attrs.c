#include "sink/otlp/attrs.h"

#include "base/mem.h"

/* opentelemetry/proto/common/v1/common.proto */
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum { ANY_STRING = 1, ANY_BOOL = 2, ANY_INT = 3, ANY_DOUBLE = 4 };

/* ---- one attribute --------------------------------------------------------------------------- */

static size_t begin(struct attrs *a, const char *key, size_t *value)
{
	size_t at = pb_open(&a->pb, a->field);

	pb_bytes(&a->pb, KEY_VALUE_KEY, str_of(key));
	*value = pb_open(&a->pb, KEY_VALUE_VALUE);
	return at;
}

static void end(struct attrs *a, size_t at, size_t value)
{
	pb_close(&a->pb, value);
	pb_close(&a->pb, at);
}

void attr_text(struct attrs *a, const char *key, struct str value)
{
	size_t v, at = begin(a, key, &v);

	pb_text(&a->pb, ANY_STRING, value);
	end(a, at, v);
}

void attr_some(struct attrs *a, const char *key, struct str value)
{
	if (value.n)
		attr_text(a, key, value);
}

void attr_u64(struct attrs *a, const char *key, uint64_t value)
{
	size_t v, at = begin(a, key, &v);

	pb_varint(&a->pb, ANY_INT, MIN(value, (uint64_t)INT64_MAX));
	end(a, at, v);
}

void attr_double(struct attrs *a, const char *key, double value)
{
	size_t v, at = begin(a, key, &v);

	pb_double(&a->pb, ANY_DOUBLE, value);
	end(a, at, v);
}

void attr_bool(struct attrs *a, const char *key, bool value)
{
	size_t v, at = begin(a, key, &v);

	pb_varint(&a->pb, ANY_BOOL, value);
	end(a, at, v);
}

/* ---- ends ------------------------------------------------------------------------------------ */

struct key {
	const char *of[2]; /* the source's, the destination's */
};
#define KEY(name)                                           \
	{                                                   \
		{                                           \
			"source." name, "destination." name \
		}                                           \
	}

static const struct {
	const char *kind;
	struct key key;
} kinds[] = {
	{"Deployment", KEY("k8s.deployment.name")},
	{"ReplicaSet", KEY("k8s.replicaset.name")},
	{"StatefulSet", KEY("k8s.statefulset.name")},
	{"DaemonSet", KEY("k8s.daemonset.name")},
	{"Job", KEY("k8s.job.name")},
	{"CronJob", KEY("k8s.cronjob.name")},
	{"ReplicationController", KEY("k8s.replicationcontroller.name")},
	{"Service", KEY("k8s.service.name")},
	{"Node", KEY("k8s.node.name")},
};

/* The conventions have a name for each kind and none for workloads of any kind: both are told, so
 * that one question need not name all kinds. */
static void put_workload(struct attrs *a, const struct flow_end *e, int side)
{
	static const struct key name = KEY("kindred.workload.name"),
				kind = KEY("kindred.workload.kind");

	if (!e->workload.n)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(e->workload_kind, str_of(kinds[i].kind)))
			attr_text(a, kinds[i].key.of[side], e->workload);
	attr_text(a, name.of[side], e->workload);
	attr_some(a, kind.of[side], e->workload_kind);
}

static void put_names(struct attrs *a, const struct flow_end *e, int side)
{
	static const struct key ns = KEY("k8s.namespace.name"), why = KEY("kindred.unknown.reason");

	attr_some(a, ns.of[side], e->ns);
	if (e->known_by != KNOWN_NOT)
		put_workload(a, e, side);
	else
		attr_text(a, why.of[side], str_of(unknown_reason_name(e->why)));
}

static void put_whole(struct attrs *a, const struct flow_end *e, int side)
{
	static const struct key pod = KEY("k8s.pod.name"), uid = KEY("k8s.pod.uid"),
				container = KEY("k8s.container.name"),
				known_by = KEY("kindred.known_by");

	attr_some(a, pod.of[side], e->pod);
	attr_some(a, uid.of[side], e->pod_uid);
	attr_some(a, container.of[side], e->container);
	if (e->known_by != KNOWN_NOT)
		attr_text(a, known_by.of[side], str_of(known_by_name(e->known_by)));
}

static void put_address(struct attrs *a, const struct key *address, const struct key *port,
			int side, const struct addr *ip, uint16_t number)
{
	char text[ADDR_TEXT_MAX];

	attr_text(a, address->of[side], str_of(addr_print(ip, text)));
	attr_u64(a, port->of[side], number);
}

static void put_addresses(struct attrs *a, const struct flow_view *v, int local)
{
	static const struct key address = KEY("address"), port = KEY("port"),
				role = {{"client.address", "server.address"}},
				role_port = {{"client.port", "server.port"}};

	put_address(a, &address, &port, local, &v->laddr, v->lport);
	put_address(a, &address, &port, !local, &v->raddr, v->rport);
	if (v->dir == FLOW_DIR_UNKNOWN)
		return;
	put_address(a, &role, &role_port, local, &v->laddr, v->lport);
	put_address(a, &role, &role_port, !local, &v->raddr, v->rport);
}

void attrs_ends(struct attrs *a, const struct flow_view *v, bool whole)
{
	const bool turned = attrs_turned(v);
	const struct flow_end *ends[] = {turned ? &v->remote : &v->local,
					 turned ? &v->local : &v->remote};

	if (whole)
		put_addresses(a, v, turned);
	for (int side = 0; side < 2; side++) {
		put_names(a, ends[side], side);
		if (whole)
			put_whole(a, ends[side], side);
	}
}
