/*
 * What is taken from which Kubernetes message, and where it goes: one table a
 * message, read by both decoders. A table is indexed by protobuf field number;
 * the same entry carries the JSON name. Everything without an entry is skipped.
 *
 * Numbers and names: the published API definitions (k8s.io/api, k8s.io/apimachinery), 1.36.
 */
#pragma once

#include "decode/decode.h"

#include <stddef.h>
#include <stdint.h>

/* The object that is being decoded; item fields are offsets into this. */
struct item {
	struct object o;
	struct owner_ref late_owner;   /* the one read last when there is no place for more */
	struct api_status status;      /* JSON only: an object that turns out to be a Status */
	struct str old_zone, old_type; /* node labels of before 1.17 */
};

/* What stands around the objects: a list, a watch event, a bare Status. */
struct top {
	struct str api_version, kind;
	struct list_meta list;
	struct api_status status;
	enum event_type type;
	bool has_type;
	bool has_items;
};

enum field_op {
	FIELD_SKIP, /* the gaps of a table */
	/* texts */
	FIELD_STR,   /* struct str */
	FIELD_TRUE,  /* bool: the text is "true" */
	FIELD_PHASE, /* enum pod_phase */
	FIELD_EVENT, /* enum event_type of struct top */
	FIELD_KEY,   /* protobuf map entry: its key */
	FIELD_VALUE, /* protobuf map entry: its value */
	/* numbers */
	FIELD_BOOL, /* bool */
	FIELD_I32,  /* int32_t */
	FIELD_I64,  /* int64_t */
	FIELD_TIME, /* int64_t Unix seconds; a message in protobuf, RFC 3339 text in JSON */
	/* structure */
	FIELD_STATE, /* enum container_state: `arg` when the field is there; `sub`: its content */
	FIELD_MSG,   /* a message whose struct is at the offset */
	FIELD_LIST,  /* one more element of `list` (JSON: an array of them) */
	FIELD_TEXTS, /* one more text of `list`, whose elements are struct str (JSON: an array) */
	FIELD_MAP,   /* map<string,string>: keys that `sub` names; with `arg` also wanted labels */
	FIELD_ITEM,  /* JSON watch event: the object */
	FIELD_ITEMS, /* list: an object (JSON: an array of them) */
	FIELD_MAGIC, /* protobuf RawExtension.raw: the magic and an Unknown */
	FIELD_RAW,   /* protobuf Unknown.raw: what typeMeta names */
};

struct message;

/* An array in the model: pointer and count, elements of one size, a maximum. */
struct list {
	uint16_t ptr_at, n_at; /* offsets into the struct that holds it */
	uint16_t size;	       /* bytes an element */
	uint16_t max;	       /* elements over it are left out and reported */
	bool typed;	       /* elements are struct container, field's `arg` is their type */
	bool owners;	       /* elements are struct owner_ref: the controller is never left out */
};

struct field {
	struct str name;
	uint8_t op;  /* enum field_op */
	uint8_t arg; /* see the op */
	bool soft;   /* another JSON type than the wanted is no mistake */
	uint16_t at; /* offset into the message's struct */
	const struct message *sub;
	const struct list *list;
};

struct message {
	const struct field *fields;
	uint16_t n;    /* entries */
	uint16_t n_pb; /* the first of them have protobuf numbers, the rest exist in JSON only */
};

/* The entry of a JSON name, or NULL. */
const struct field *message_find(const struct message *m, struct str name);

/* The wanted part of an object of this shape. */
const struct message *message_of_shape(enum decode_shape s);
extern const struct message message_oversize; /* only the names: an object too large to take */

extern const struct message message_list;   /* any List; struct top */
extern const struct message message_event;  /* JSON WatchEvent; struct top */
extern const struct message message_status; /* meta/v1 Status; struct top */
extern const struct message message_json_status;

/* Protobuf's envelope; struct top. */
extern const struct message message_unknown;
extern const struct message message_pb_event;
extern const struct message message_map_entry;
extern const struct message message_time; /* one int64_t */

/* The value of a label; struct label. */
extern const struct field field_label_value;
