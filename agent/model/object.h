/*
 * What the agent takes from Kubernetes objects: plain structs that the rooms
 * share. Decoders fill them, the inventory copies what it keeps.
 *
 * Every `struct str` here borrows from the decoder's arena and is good only
 * until the decoder goes on to the next object.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* Limits of one object; what is over them is left out and counted by the decoder. */
#define MODEL_MAX_OWNERS     64	 /* owner references; the controller is always among them */
#define MODEL_MAX_CONTAINERS 512 /* container statuses of all three lists together */
#define MODEL_MAX_IPS	     16	 /* podIPs; a dual-stack pod has two */
#define MODEL_MAX_PLACE_IPS  64	 /* addresses of a Service or Node, of each sort */
#define MODEL_MAX_LABELS     64	 /* wanted labels */

/* The kinds that have a meaning of their own here; everything else is KIND_OTHER. */
enum kind {
	KIND_OTHER,
	KIND_POD,
	KIND_NODE,
	KIND_SERVICE,
	KIND_REPLICASET,  /* apps */
	KIND_DEPLOYMENT,  /* apps */
	KIND_STATEFULSET, /* apps */
	KIND_DAEMONSET,	  /* apps */
	KIND_JOB,	  /* batch */
	KIND_CRONJOB,	  /* batch */
	_KIND_MAX,
};

/* By kind name and API group: a "Job" of another group is KIND_OTHER. The core group is "". */
enum kind kind_of(struct str group, struct str kind);
/* "ReplicaSet"; "Other" for KIND_OTHER. */
const char *kind_name(enum kind k);
/* "apps/v1" -> "apps", "v1" -> "". */
struct str api_group(struct str api_version);

struct owner_ref { /* meta/v1 OwnerReference */
	struct str api_version, kind, name, uid;
	bool controller;
};

struct label {
	struct str key, value;
};

struct meta { /* meta/v1 ObjectMeta */
	struct str name, ns, uid, resource_version;
	struct owner_ref *owners; /* in the order of the object */
	uint32_t n_owners;
	struct label *labels; /* those that the decoder was told to keep */
	uint32_t n_labels;
	struct str config_hash;	  /* annotation kubernetes.io/config.hash (static pods) */
	struct str config_mirror; /* annotation kubernetes.io/config.mirror */
	int64_t created, deleted; /* Unix seconds; 0 when absent */
	bool initial_events_end;  /* annotation k8s.io/initial-events-end is "true" */
};

/* The reference with controller: true, or NULL. */
const struct owner_ref *meta_controller(const struct meta *m);

enum pod_phase {
	POD_PHASE_UNKNOWN, /* also when absent or not one of the names below */
	POD_PHASE_PENDING,
	POD_PHASE_RUNNING,
	POD_PHASE_SUCCEEDED,
	POD_PHASE_FAILED,
	_POD_PHASE_MAX,
};

enum container_type { CONTAINER_MAIN, CONTAINER_INIT, CONTAINER_EPHEMERAL, _CONTAINER_TYPE_MAX };

enum container_state {
	CONTAINER_STATE_NONE,
	CONTAINER_WAITING,
	CONTAINER_RUNNING,
	CONTAINER_TERMINATED,
	_CONTAINER_STATE_MAX,
};

struct container {     /* core/v1 ContainerStatus */
	struct str id; /* with its scheme, "containerd://<64 hex>"; empty while not started */
	struct str name, image, image_id;
	enum container_type type;
	enum container_state state;
	int64_t started; /* Unix seconds, while running; 0 when absent */
};

struct pod { /* core/v1 Pod */
	struct str node_name, pod_ip, host_ip;
	struct str *ips; /* status.podIPs as text */
	uint32_t n_ips;
	enum pod_phase phase;
	bool host_network;
	struct container *containers; /* main, init, ephemeral, each in the order of the object */
	uint32_t n_containers;
};

struct node { /* core/v1 Node: only the agent's own, for set_node_info */
	struct str provider_id, zone, instance_type;
};

struct place { /* where a core/v1 Service or Node is found; as text, and not all are addresses */
	struct str cluster_ip;
	struct str *ips;			/* a Service's clusterIPs, a Node's addresses */
	struct str *external_ips, *ingress_ips; /* a Service's; of its load balancer */
	uint32_t n_ips, n_external_ips, n_ingress_ips;
};

struct object {
	struct str api_version, kind; /* as the server said, or as the request implies */
	struct meta meta;
	struct pod pod;	    /* filled when the decoder was made for pods */
	struct node node;   /* filled when it was made for nodes */
	struct place place; /* filled when it was made for services or nodes */
	struct str raw;	    /* the object's JSON as it came, when the decoder was told to keep it */
};

/* meta/v1 ListMeta */
struct list_meta {
	struct str resource_version, cont;
	int64_t remaining; /* remainingItemCount, -1 when absent */
};

/* meta/v1 Status, as body of an error answer or as object of an ERROR event. */
struct api_status {
	struct str reason, message, cont; /* cont: the fresh token of an expired `continue` */
	int32_t code;			  /* HTTP code; 0 when absent */
	int32_t retry_after;		  /* details.retryAfterSeconds; 0 when absent */
};

enum event_type { /* meta/v1 WatchEvent */
		  EVENT_ADDED,
		  EVENT_MODIFIED,
		  EVENT_DELETED,
		  EVENT_BOOKMARK,
		  EVENT_ERROR,
		  _EVENT_TYPE_MAX,
};
