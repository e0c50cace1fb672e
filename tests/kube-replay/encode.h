/*
 * Response bodies made of recorded bytes: lists, single objects, watch events,
 * bookmarks and Status objects, in the four encodings. Protobuf layouts are the
 * published ones (generated.proto of apimachinery's runtime and meta/v1).
 */
#pragma once

#include "store.h"

struct encoding {
	bool pb;   /* else JSON */
	bool meta; /* PartialObjectMetadata */
};

/* In front of every protobuf body. */
#define PB_MAGIC STR("k8s\0")

/* The Content-Type of a list or object, and of a watch. */
const char *encoding_type(struct encoding e, bool watch);

/* metadata of a list */
struct list_meta {
	uint64_t rv;
	struct str cont;   /* empty: last page */
	int64_t remaining; /* -1: not told */
};

/*
 * A whole list is head, items, tail. Protobuf needs the size of everything in front: pass the
 * sum of list_item_size. Item bytes are appended without a comma.
 */
void list_head(struct buf *b, enum kind k, struct encoding e, const struct list_meta *m,
	       size_t items_size);
void list_item(struct buf *b, const struct version *v, struct encoding e);
/* Bytes of a protobuf item behind its tag and length. */
size_t list_payload(const struct version *v, struct encoding e);
void list_tail(struct buf *b, struct encoding e);

/* One object as the answer to a GET, or inside an event. */
void object_body(struct buf *b, enum kind k, const struct version *v, struct encoding e);

/* One watch event with its frame (length prefix or newline). An rv other than 0 replaces the
 * object's own: the event of an object that left the selection. */
void event_body(struct buf *b, enum kind k, const char *type, const struct version *v,
		struct encoding e, uint64_t rv);
/* A bookmark made after the recorded ones; `initial_end` adds the end-of-initial-events mark. */
void bookmark_body(struct buf *b, enum kind k, const struct kind_store *ks, struct encoding e,
		   uint64_t rv, bool initial_end);
/* Frames any object (magic and envelope included for protobuf) as an event. */
void event_frame(struct buf *b, const char *type, struct str object, bool pb);
/* magic and runtime.Unknown around a message. */
void unknown_body(struct buf *b, const char *api_version, const char *kind, struct str raw);

/* A Status; texts may be NULL. */
struct status {
	int code;
	const char *reason;
	const char *message;
	bool details; /* write details even when its texts are empty */
	const char *name, *group, *kind;
	const char *cause_reason, *cause_message, *cause_field;
	int retry_after;  /* seconds, 0: none */
	const char *cont; /* a fresh continue token */
	bool bare;	  /* without kind and apiVersion, as a stalled etcd makes it */
};

/* With a newline at its end in JSON when it is a whole body (`body`), none inside an event. */
void status_body(struct buf *b, const struct status *s, bool pb, bool body);

/* Text with JSON escapes, quotes included. */
void json_text(struct buf *b, struct str s);
