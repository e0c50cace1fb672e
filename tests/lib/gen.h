/*
 * Kubernetes objects written as an API server writes them, in JSON and in
 * protobuf, from plain structs: for simulations, benches and fuzz seeds. An
 * encoder apart from the decoders under test; field numbers are those of the
 * published API definitions (k8s.io/api generated.proto).
 */
#pragma once

#include "base/buf.h"
#include "model/object.h"

#define GEN_MAX_CONTAINERS 4
#define GEN_TEXT	   96

struct gen_ref {
	char api_version[GEN_TEXT], kind[GEN_TEXT], name[GEN_TEXT], uid[40];
};

struct gen_container {
	char id[GEN_TEXT], name[32], image[GEN_TEXT]; /* id "": not started */
	enum container_type type;
};

struct gen_object {
	enum kind kind; /* KIND_POD, KIND_REPLICASET, KIND_JOB or KIND_OTHER */
	char api_version[GEN_TEXT], kind_text[GEN_TEXT];
	char ns[GEN_TEXT], name[GEN_TEXT], uid[40];
	uint64_t rv;
	bool has_owner;
	struct gen_ref owner;
	/* pods */
	char node[GEN_TEXT], ips[2][48]; /* "": none */
	enum pod_phase phase;
	bool host_network, terminating;
	struct gen_container containers[GEN_MAX_CONTAINERS];
	uint32_t n_containers;
	uint32_t bulk; /* bytes of spec and managedFields to add: nothing an agent wants */
};

enum gen_format { GEN_JSON, GEN_PB };

/* One object, whole or as PartialObjectMetadata. 0 or -errno of the buffer. */
int gen_object(const struct gen_object *o, enum gen_format f, bool metadata_only, struct buf *b);

/* A list body in pieces: head, items with a separator, tail. */
struct gen_list {
	enum gen_format format;
	bool metadata_only;
	const char *kind; /* "PodList" */
	const char *api_version;
	uint64_t rv;
	const char *cont; /* continue token or "" */
};
/* The whole body of `n` objects. */
int gen_list(const struct gen_list *l, const struct gen_object *const *objects, uint32_t n,
	     struct buf *b);
/* One watch event: ADDED, MODIFIED, DELETED; or BOOKMARK (only rv and kind of `o` are used;
 * `end` adds the initial-events-end annotation). */
int gen_event(const struct gen_object *o, enum gen_format f, bool metadata_only,
	      enum event_type type, bool end, struct buf *b);
/* A Status: as a body, or (event) as an ERROR event. */
int gen_status(enum gen_format f, bool event, int code, const char *reason, const char *message,
	       const char *cont, struct buf *b);
