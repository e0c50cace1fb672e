/* The handshake's messages; see identity.h. */
#include "sink/reducer/identity.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define IDENTITY_MAX_TEXT 1024 /* bytes of a label or name; the reducer keeps far less */
#define CLIENT_KERNEL	  1    /* ClientType of connect */
#define CLIENT_K8S	  3
#define OS_LINUX	  1
#define HEADERS_LIBBPF	  5 /* kernel_headers_source: CO-RE needs none */
#define NODE_MESSAGES	  2

static char *copy(struct str s)
{
	s.n = MIN(s.n, (size_t)IDENTITY_MAX_TEXT);
	return str_dup(s);
}

static int add_label(struct identity *i, const struct session_label *l)
{
	struct identity_label *to = &i->labels[i->n_labels];

	if (str_empty(l->value))
		return 0;
	to->key = copy(l->key);
	to->value = copy(l->value);
	i->n_labels++; /* also when a copy failed, so that identity_done finds the other */
	return to->key && to->value ? 0 : -ENOMEM;
}

static int init_kernel(struct identity *i, const struct session_os *os)
{
	i->kernel = true;
	i->flavor = os->flavor;
	i->os_version = copy(os->version);
	i->kernel_version = copy(os->kernel);
	if (!i->os_version || !i->kernel_version)
		return -ENOMEM;
	return add_label(i, &(struct session_label){STR("__kernel_version"), os->kernel});
}

int identity_init(struct identity *i, const struct session_opts *o)
{
	int r;

	*i = (struct identity){
		.cpu_cores = o->cpu_cores,
		.n_addrs = MIN(o->n_addrs, (uint32_t)SESSION_MAX_ADDRS),
	};
	if (i->n_addrs)
		memcpy(i->addrs, o->addrs, i->n_addrs * sizeof(i->addrs[0]));
	i->hostname = copy(o->hostname);
	if (!i->hostname)
		return -ENOMEM;
	for (uint32_t k = 0; k < o->n_labels && i->n_labels < SESSION_MAX_LABELS; k++) {
		r = add_label(i, &o->labels[k]);
		if (r < 0)
			return r;
	}
	return o->flows ? init_kernel(i, &o->os) : 0;
}

void identity_done(struct identity *i)
{
	for (uint32_t k = 0; k < i->n_labels; k++) {
		free(i->labels[k].key);
		free(i->labels[k].value);
	}
	free(i->hostname);
	free(i->os_version);
	free(i->kernel_version);
	free(i->zone);
	free(i->instance_type);
	free(i->instance_id);
	*i = (struct identity){0};
}

/* spec.providerID is "<provider>://<provider's own path>". */
static uint16_t cloud_of(struct str provider_id)
{
	if (str_starts(provider_id, STR("aws://")))
		return 1;
	if (str_starts(provider_id, STR("gce://")))
		return 2;
	return 0;
}

/* "aws:///us-east-1a/i-0abc" -> "i-0abc". */
static struct str instance_of(struct str provider_id)
{
	size_t at = provider_id.n;

	while (at && provider_id.p[at - 1] != '/')
		at--;
	return str_from(provider_id, at);
}

int identity_set_node(struct identity *i, const struct node *n)
{
	_free_ char *zone = copy(n->zone);
	_free_ char *type = copy(n->instance_type);
	_free_ char *instance = copy(instance_of(n->provider_id));

	if (!zone || !type || !instance)
		return -ENOMEM;
	free(i->zone);
	free(i->instance_type);
	free(i->instance_id);
	i->zone = TAKE_PTR(zone);
	i->instance_type = TAKE_PTR(type);
	i->instance_id = TAKE_PTR(instance);
	i->cloud = cloud_of(n->provider_id);
	return 0;
}

/* The first messages, before the labels. */
static uint32_t heads(const struct identity *i)
{
	return i->kernel ? 4 : 2;
}

uint32_t identity_node(const struct identity *i)
{
	return heads(i) + i->n_labels;
}

uint32_t identity_messages(const struct identity *i)
{
	return identity_node(i) + NODE_MESSAGES + i->n_addrs + (i->kernel ? 1 : 2);
}

static struct str label(const struct identity *i, const char *key)
{
	for (uint32_t k = 0; k < i->n_labels; k++)
		if (strcmp(i->labels[k].key, key) == 0)
			return str_of(i->labels[k].value);
	return (struct str){0};
}

/* What the user set wins over what the Node says. Outside a cloud the host's name stands for the
 * instance. */
static struct wire_set_node_info node_info(const struct identity *i)
{
	const struct str zone = label(i, "zone");
	const struct str instance = str_of(i->instance_id);

	return (struct wire_set_node_info){
		.az = str_empty(zone) ? str_of(i->zone) : zone,
		.instance_id = str_empty(instance) ? str_of(i->hostname) : instance,
		.instance_type = str_of(i->instance_type),
	};
}

static void address(const struct addr *a, struct identity_message *ret)
{
	if (!addr_is_v4(a)) {
		ret->id = WIRE_ipv6_addr;
		ret->m.v6 = (struct wire_ipv6_addr){.addr = str_make(a->b, sizeof(a->b))};
		return;
	}
	ret->id = WIRE_private_ipv4_addr;
	ret->m.v4 = (struct wire_private_ipv4_addr){0};
	memcpy(&ret->m.v4.addr, a->b + 12, sizeof(ret->m.v4.addr)); /* network order as it is */
}

static void node_or_later(const struct identity *i, uint32_t step, struct identity_message *ret)
{
	if (step == 0) {
		ret->id = WIRE_cloud_platform;
		ret->m.cloud = (struct wire_cloud_platform){.cloud_platform = i->cloud};
	} else if (step == 1) {
		ret->id = WIRE_set_node_info;
		ret->m.node = node_info(i);
	} else if (step - NODE_MESSAGES < i->n_addrs) {
		address(&i->addrs[step - NODE_MESSAGES], ret);
	} else if (step - NODE_MESSAGES == i->n_addrs) {
		ret->id = WIRE_metadata_complete;
		ret->m.complete = (struct wire_metadata_complete){.time = 0};
	} else {
		ret->id = WIRE_collector_health;
		ret->m.health = (struct wire_collector_health){.status = 0, .detail = 0};
	}
}

static void head(const struct identity *i, uint32_t step, struct identity_message *ret)
{
	if (step == 0) {
		ret->id = WIRE_connect;
		ret->m.connect = (struct wire_connect){
			.collector_type = i->kernel ? CLIENT_KERNEL : CLIENT_K8S,
			.hostname = str_of(i->hostname),
		};
	} else if (step == (i->kernel ? 2 : 1)) {
		ret->id = WIRE_report_cpu_cores;
		ret->m.cpu = (struct wire_report_cpu_cores){.cpu_core_count = i->cpu_cores};
	} else if (step == 1) {
		ret->id = WIRE_os_info;
		ret->m.os = (struct wire_os_info){
			.os = OS_LINUX,
			.flavor = i->flavor,
			.os_version = str_of(i->os_version),
			.kernel_version = str_of(i->kernel_version),
		};
	} else {
		ret->id = WIRE_kernel_headers_source;
		ret->m.headers = (struct wire_kernel_headers_source){.source = HEADERS_LIBBPF};
	}
}

void identity_message(const struct identity *i, uint32_t step, struct identity_message *ret)
{
	if (step < heads(i)) {
		head(i, step, ret);
	} else if (step < identity_node(i)) {
		const struct identity_label *l = &i->labels[step - heads(i)];

		ret->id = WIRE_set_config_label;
		ret->m.label = (struct wire_set_config_label){
			.key = str_of(l->key),
			.value = str_of(l->value),
		};
	} else {
		node_or_later(i, step - identity_node(i), ret);
	}
}
