#include "decode/fields.h"

#include "base/mem.h"

#define AT(type, member) .at = offsetof(type, member)
#define ITEM(member)	 AT(struct item, member)
#define META(member)	 AT(struct item, o.meta.member)
#define POD(member)	 AT(struct item, o.pod.member)
#define TOP(member)	 AT(struct top, member)

#define MESSAGE(f)                                                       \
	{                                                                \
		.fields = (f), .n = ARRAY_SIZE(f), .n_pb = ARRAY_SIZE(f) \
	}

const struct field *message_find(const struct message *m, struct str name)
{
	if (!name.n)
		return NULL;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct str *known = &m->fields[i].name;

		/* Length and first letter turn nearly all others away. */
		if (known->n == name.n && known->p[0] == name.p[0] &&
		    memcmp(known->p, name.p, name.n) == 0)
			return &m->fields[i];
	}
	return NULL;
}

static const struct field time_fields[] = {
	[1] = {.name = STR("seconds"), .op = FIELD_I64},
};
const struct message message_time = MESSAGE(time_fields);

static const struct field map_entry_fields[] = {
	[1] = {.name = STR("key"), .op = FIELD_KEY},
	[2] = {.name = STR("value"), .op = FIELD_VALUE},
};
const struct message message_map_entry = MESSAGE(map_entry_fields);

const struct field field_label_value = {.op = FIELD_STR, AT(struct label, value)};

/* meta/v1 OwnerReference */
static const struct field owner_fields[] = {
	[1] = {.name = STR("kind"), .op = FIELD_STR, AT(struct owner_ref, kind)},
	[3] = {.name = STR("name"), .op = FIELD_STR, AT(struct owner_ref, name)},
	[4] = {.name = STR("uid"), .op = FIELD_STR, AT(struct owner_ref, uid)},
	[5] = {.name = STR("apiVersion"), .op = FIELD_STR, AT(struct owner_ref, api_version)},
	[6] = {.name = STR("controller"), .op = FIELD_BOOL, AT(struct owner_ref, controller)},
};
static const struct message owner = MESSAGE(owner_fields);

static const struct list owners = {
	.ptr_at = offsetof(struct item, o.meta.owners),
	.n_at = offsetof(struct item, o.meta.n_owners),
	.size = sizeof(struct owner_ref),
	.max = MODEL_MAX_OWNERS,
	.owners = true,
};

/* Annotations: no protobuf numbers, the keys are the names. */
static const struct field annotation_fields[] = {
	{.name = STR("kubernetes.io/config.hash"), .op = FIELD_STR, META(config_hash)},
	{.name = STR("kubernetes.io/config.mirror"), .op = FIELD_STR, META(config_mirror)},
	{.name = STR("k8s.io/initial-events-end"), .op = FIELD_TRUE, META(initial_events_end)},
};
static const struct message annotations = MESSAGE(annotation_fields);

static const struct field node_label_fields[] = {
	{.name = STR("topology.kubernetes.io/zone"), .op = FIELD_STR, ITEM(o.node.zone)},
	{.name = STR("failure-domain.beta.kubernetes.io/zone"), .op = FIELD_STR, ITEM(old_zone)},
	{.name = STR("node.kubernetes.io/instance-type"),
	 .op = FIELD_STR,
	 ITEM(o.node.instance_type)},
	{.name = STR("beta.kubernetes.io/instance-type"), .op = FIELD_STR, ITEM(old_type)},
};
static const struct message node_labels = MESSAGE(node_label_fields);

/* meta/v1 ObjectMeta */
#define OBJECT_META(label_names)                                                                 \
	{                                                                                        \
		[1] = {.name = STR("name"), .op = FIELD_STR, META(name)},                        \
		[3] = {.name = STR("namespace"), .op = FIELD_STR, META(ns)},                     \
		[5] = {.name = STR("uid"), .op = FIELD_STR, META(uid)},                          \
		[6] = {.name = STR("resourceVersion"), .op = FIELD_STR, META(resource_version)}, \
		[8] = {.name = STR("creationTimestamp"), .op = FIELD_TIME, META(created)},       \
		[9] = {.name = STR("deletionTimestamp"), .op = FIELD_TIME, META(deleted)},       \
		[11] = {.name = STR("labels"), .op = FIELD_MAP, .arg = 1, .sub = (label_names)}, \
		[12] = {.name = STR("annotations"), .op = FIELD_MAP, .sub = &annotations},       \
		[13] = {.name = STR("ownerReferences"),                                          \
			.op = FIELD_LIST,                                                        \
			.sub = &owner,                                                           \
			.list = &owners},                                                        \
	}
static const struct field meta_fields[] = OBJECT_META(NULL);
static const struct message meta = MESSAGE(meta_fields);
static const struct field node_meta_fields[] = OBJECT_META(&node_labels);
static const struct message node_meta = MESSAGE(node_meta_fields);

/* core/v1 ContainerStateRunning; its struct begins at the container's state */
static const struct field running_fields[] = {
	[1] = {.name = STR("startedAt"),
	       .op = FIELD_TIME,
	       .soft = true,
	       .at = offsetof(struct container, started) - offsetof(struct container, state)},
};
static const struct message running = MESSAGE(running_fields);

/* core/v1 ContainerState: which of them is there */
static const struct field state_fields[] = {
	[1] = {.name = STR("waiting"), .op = FIELD_STATE, .arg = CONTAINER_WAITING},
	[2] = {.name = STR("running"),
	       .op = FIELD_STATE,
	       .arg = CONTAINER_RUNNING,
	       .sub = &running},
	[3] = {.name = STR("terminated"), .op = FIELD_STATE, .arg = CONTAINER_TERMINATED},
};
static const struct message state = MESSAGE(state_fields);

/* core/v1 ContainerStatus */
static const struct field container_fields[] = {
	[1] = {.name = STR("name"), .op = FIELD_STR, AT(struct container, name)},
	[2] = {.name = STR("state"), .op = FIELD_MSG, AT(struct container, state), .sub = &state},
	[6] = {.name = STR("image"), .op = FIELD_STR, AT(struct container, image)},
	[7] = {.name = STR("imageID"), .op = FIELD_STR, AT(struct container, image_id)},
	[8] = {.name = STR("containerID"), .op = FIELD_STR, AT(struct container, id)},
};
static const struct message container = MESSAGE(container_fields);

/* The three lists of statuses fill one array. */
static const struct list containers = {
	.ptr_at = offsetof(struct item, o.pod.containers),
	.n_at = offsetof(struct item, o.pod.n_containers),
	.size = sizeof(struct container),
	.max = MODEL_MAX_CONTAINERS,
	.typed = true,
};

/* core/v1 PodIP: the element is the text itself */
static const struct field pod_ip_fields[] = {
	[1] = {.name = STR("ip"), .op = FIELD_STR},
};
static const struct message pod_ip = MESSAGE(pod_ip_fields);

static const struct list pod_ips = {
	.ptr_at = offsetof(struct item, o.pod.ips),
	.n_at = offsetof(struct item, o.pod.n_ips),
	.size = sizeof(struct str),
	.max = MODEL_MAX_IPS,
};

/* core/v1 PodSpec */
static const struct field pod_spec_fields[] = {
	[10] = {.name = STR("nodeName"), .op = FIELD_STR, POD(node_name)},
	[11] = {.name = STR("hostNetwork"), .op = FIELD_BOOL, POD(host_network)},
};
static const struct message pod_spec = MESSAGE(pod_spec_fields);

/* core/v1 PodStatus */
#define STATUSES(json, which)                                                           \
	{                                                                               \
		.name = STR(json), .op = FIELD_LIST, .arg = (which), .sub = &container, \
		.list = &containers                                                     \
	}
static const struct field pod_status_fields[] = {
	[1] = {.name = STR("phase"), .op = FIELD_PHASE, POD(phase)},
	[5] = {.name = STR("hostIP"), .op = FIELD_STR, POD(host_ip)},
	[6] = {.name = STR("podIP"), .op = FIELD_STR, POD(pod_ip)},
	[8] = STATUSES("containerStatuses", CONTAINER_MAIN),
	[10] = STATUSES("initContainerStatuses", CONTAINER_INIT),
	[12] = {.name = STR("podIPs"), .op = FIELD_LIST, .sub = &pod_ip, .list = &pod_ips},
	[13] = STATUSES("ephemeralContainerStatuses", CONTAINER_EPHEMERAL),
};
static const struct message pod_status = MESSAGE(pod_status_fields);

/* core/v1 NodeSpec */
static const struct field node_spec_fields[] = {
	[3] = {.name = STR("providerID"), .op = FIELD_STR, ITEM(o.node.provider_id)},
};
static const struct message node_spec = MESSAGE(node_spec_fields);

/* Texts of a place: one list for every sort, as JSON begins each anew. */
#define PLACE_LIST(member)                                                                     \
	{                                                                                      \
		.ptr_at = offsetof(struct item, o.place.member),                               \
		.n_at = offsetof(struct item, o.place.n_##member), .size = sizeof(struct str), \
		.max = MODEL_MAX_PLACE_IPS                                                     \
	}
static const struct list place_ips = PLACE_LIST(ips);
static const struct list place_external = PLACE_LIST(external_ips);
static const struct list place_ingress = PLACE_LIST(ingress_ips);

/* core/v1 NodeAddress, NodeStatus: the element is the text itself */
static const struct field node_address_fields[] = {
	[2] = {.name = STR("address"), .op = FIELD_STR},
};
static const struct message node_address = MESSAGE(node_address_fields);
static const struct field node_status_fields[] = {
	[5] = {.name = STR("addresses"),
	       .op = FIELD_LIST,
	       .sub = &node_address,
	       .list = &place_ips},
};
static const struct message node_status = MESSAGE(node_status_fields);

/* core/v1 ServiceSpec */
static const struct field service_spec_fields[] = {
	[3] = {.name = STR("clusterIP"), .op = FIELD_STR, ITEM(o.place.cluster_ip)},
	[5] = {.name = STR("externalIPs"), .op = FIELD_TEXTS, .list = &place_external},
	[18] = {.name = STR("clusterIPs"), .op = FIELD_TEXTS, .list = &place_ips},
};
static const struct message service_spec = MESSAGE(service_spec_fields);

/* core/v1 LoadBalancerIngress, LoadBalancerStatus, ServiceStatus */
static const struct field ingress_fields[] = {
	[1] = {.name = STR("ip"), .op = FIELD_STR},
};
static const struct message ingress = MESSAGE(ingress_fields);
static const struct field balancer_fields[] = {
	[1] = {.name = STR("ingress"), .op = FIELD_LIST, .sub = &ingress, .list = &place_ingress},
};
static const struct message balancer = MESSAGE(balancer_fields);
static const struct field service_status_fields[] = {
	[1] = {.name = STR("loadBalancer"), .op = FIELD_MSG, .sub = &balancer},
};
static const struct message service_status = MESSAGE(service_status_fields);

/* meta/v1 StatusDetails; its struct is the api_status itself */
static const struct field details_fields[] = {
	[5] = {.name = STR("retryAfterSeconds"),
	       .op = FIELD_I32,
	       .soft = true,
	       AT(struct api_status, retry_after)},
};
static const struct message details = MESSAGE(details_fields);

#define STATUS_TEXT(json, base, member)                                                   \
	{                                                                                 \
		.name = STR(json), .op = FIELD_STR, .soft = true, AT(base, status.member) \
	}
#define STATUS_CODE(base)                                                                 \
	{                                                                                 \
		.name = STR("code"), .op = FIELD_I32, .soft = true, AT(base, status.code) \
	}
#define STATUS_DETAILS(base)                                                             \
	{                                                                                \
		.name = STR("details"), .op = FIELD_MSG, .soft = true, AT(base, status), \
		.sub = &details                                                          \
	}
#define TYPE_META(base, prefix)                                                     \
	{.name = STR("apiVersion"), .op = FIELD_STR, AT(base, prefix api_version)}, \
	{                                                                           \
		.name = STR("kind"), .op = FIELD_STR, AT(base, prefix kind)         \
	}
/* In JSON an object says itself what it is, and an error event's object is a Status. */
#define JSON_OBJECT                                                                   \
	TYPE_META(struct item, o.), STATUS_TEXT("message", struct item, message),     \
		STATUS_TEXT("reason", struct item, reason), STATUS_CODE(struct item), \
		STATUS_DETAILS(struct item)
#define JSON_OBJECT_N 6
#define OBJECT(f)                                                                        \
	{                                                                                \
		.fields = (f), .n = ARRAY_SIZE(f), .n_pb = ARRAY_SIZE(f) - JSON_OBJECT_N \
	}

static const struct field meta_object_fields[] = {
	[1] = {.name = STR("metadata"), .op = FIELD_MSG, .sub = &meta},
	JSON_OBJECT,
};
static const struct field pod_fields[] = {
	[1] = {.name = STR("metadata"), .op = FIELD_MSG, .sub = &meta},
	[2] = {.name = STR("spec"), .op = FIELD_MSG, .sub = &pod_spec},
	[3] = {.name = STR("status"), .op = FIELD_MSG, .soft = true, .sub = &pod_status},
	JSON_OBJECT,
};
static const struct field node_fields[] = {
	[1] = {.name = STR("metadata"), .op = FIELD_MSG, .sub = &node_meta},
	[2] = {.name = STR("spec"), .op = FIELD_MSG, .sub = &node_spec},
	[3] = {.name = STR("status"), .op = FIELD_MSG, .soft = true, .sub = &node_status},
	JSON_OBJECT,
};
static const struct field service_fields[] = {
	[1] = {.name = STR("metadata"), .op = FIELD_MSG, .sub = &meta},
	[2] = {.name = STR("spec"), .op = FIELD_MSG, .sub = &service_spec},
	[3] = {.name = STR("status"), .op = FIELD_MSG, .soft = true, .sub = &service_status},
	JSON_OBJECT,
};
static const struct message shapes[_DECODE_SHAPE_MAX] = {
	[SHAPE_META] = OBJECT(meta_object_fields),
	[SHAPE_POD] = OBJECT(pod_fields),
	[SHAPE_NODE] = OBJECT(node_fields),
	[SHAPE_SERVICE] = OBJECT(service_fields),
};

const struct message *message_of_shape(enum decode_shape s)
{
	return &shapes[s];
}

static const struct field names_fields[] = {
	[1] = {.name = STR("name"), .op = FIELD_STR, META(name)},
	[3] = {.name = STR("namespace"), .op = FIELD_STR, META(ns)},
};
static const struct message names = MESSAGE(names_fields);
static const struct field oversize_fields[] = {
	[1] = {.name = STR("metadata"), .op = FIELD_MSG, .sub = &names},
};
const struct message message_oversize = MESSAGE(oversize_fields);

/* meta/v1 ListMeta */
static const struct field list_meta_fields[] = {
	[2] = {.name = STR("resourceVersion"), .op = FIELD_STR, TOP(list.resource_version)},
	[3] = {.name = STR("continue"), .op = FIELD_STR, TOP(list.cont)},
	[4] = {.name = STR("remainingItemCount"), .op = FIELD_I64, TOP(list.remaining)},
};
static const struct message list_meta = MESSAGE(list_meta_fields);

#define LIST_META                                                           \
	{                                                                   \
		.name = STR("metadata"), .op = FIELD_MSG, .sub = &list_meta \
	}
#define JSON_TOP                                                                    \
	TYPE_META(struct top, ), STATUS_TEXT("message", struct top, message),       \
		STATUS_TEXT("reason", struct top, reason), STATUS_CODE(struct top), \
		STATUS_DETAILS(struct top)

static const struct field list_fields[] = {
	[1] = LIST_META,
	[2] = {.name = STR("items"), .op = FIELD_ITEMS},
	JSON_TOP,
};
const struct message message_list = {list_fields, ARRAY_SIZE(list_fields), 3};

static const struct field event_fields[] = {
	{.name = STR("type"), .op = FIELD_EVENT, TOP(type)},
	{.name = STR("object"), .op = FIELD_ITEM},
};
const struct message message_event = MESSAGE(event_fields);

static const struct field status_fields[] = {
	[1] = LIST_META,
	[3] = STATUS_TEXT("message", struct top, message),
	[4] = STATUS_TEXT("reason", struct top, reason),
	[5] = STATUS_DETAILS(struct top),
	[6] = STATUS_CODE(struct top),
};
const struct message message_status = MESSAGE(status_fields);

static const struct field json_status_fields[] = {LIST_META, JSON_TOP};
const struct message message_json_status = MESSAGE(json_status_fields);

/* runtime.TypeMeta, runtime.Unknown, runtime.RawExtension, meta/v1 WatchEvent */
static const struct field type_meta_fields[] = {
	[1] = {.name = STR("apiVersion"), .op = FIELD_STR, TOP(api_version)},
	[2] = {.name = STR("kind"), .op = FIELD_STR, TOP(kind)},
};
static const struct message type_meta = MESSAGE(type_meta_fields);

static const struct field unknown_fields[] = {
	[1] = {.name = STR("typeMeta"), .op = FIELD_MSG, .sub = &type_meta},
	[2] = {.name = STR("raw"), .op = FIELD_RAW},
};
const struct message message_unknown = MESSAGE(unknown_fields);

static const struct field raw_extension_fields[] = {
	[1] = {.name = STR("raw"), .op = FIELD_MAGIC},
};
static const struct message raw_extension = MESSAGE(raw_extension_fields);

static const struct field pb_event_fields[] = {
	[1] = {.name = STR("type"), .op = FIELD_EVENT, TOP(type)},
	[2] = {.name = STR("object"), .op = FIELD_MSG, .sub = &raw_extension},
};
const struct message message_pb_event = MESSAGE(pb_event_fields);
