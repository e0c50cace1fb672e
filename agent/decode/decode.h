/*
 * Push decoding of API server bodies: a list or a watch stream, in Kubernetes
 * protobuf or in JSON, fed in any cut. One object at a time is held; what was
 * not asked for is skipped without being kept.
 *
 * The caller is called back for each whole object, in order, and for the parts
 * around it. A bad object costs that object (on_bad); a bad frame or body ends
 * the stream with an error. No sockets, no clocks.
 *
 * What is said never depends on where the bytes were cut. Texts are UTF-8: bytes
 * that are not, and lone halves of surrogates, become U+FFFD; NUL may be in them.
 */
#pragma once

#include "model/object.h"

#include <stddef.h>
#include <stdint.h>

struct decode;

enum decode_format { DECODE_PROTOBUF, DECODE_JSON, _DECODE_FORMAT_MAX };

enum decode_body {
	DECODE_LIST,   /* PodList, PartialObjectMetadataList, ... */
	DECODE_WATCH,  /* a sequence of WatchEvents */
	DECODE_OBJECT, /* one object (answer of a GET) */
	DECODE_STATUS, /* meta/v1 Status: the body of an error answer */
	_DECODE_BODY_MAX,
};

/* Which part of an object is wanted beside its metadata. */
enum decode_shape { SHAPE_META, SHAPE_POD, SHAPE_NODE, SHAPE_SERVICE, _DECODE_SHAPE_MAX };

/* Why an object was left out. */
enum decode_bad {
	BAD_TOO_LARGE,	/* over max_object bytes; never held in memory */
	BAD_TOO_DEEP,	/* nested over the depth limit */
	BAD_MALFORMED,	/* protobuf: its own bytes are wrong, the frame around it is sound; JSON: a
			 * wanted field has a value of another type; a watch event of no known type
			 */
	BAD_INCOMPLETE, /* no name or no uid */
	BAD_TOO_MANY, /* owners, containers, addresses over the model's limits: cut, still delivered
		       */
	_DECODE_BAD_MAX,
};
const char *decode_bad_name(enum decode_bad why);

/*
 * All views are borrowed until the callback returns. A callback may return a
 * negative errno: decoding stops and decode_feed returns it.
 */
struct decode_ops {
	/* An item of a list (type EVENT_ADDED) or the object of a watch event (ADDED, MODIFIED,
	 * DELETED, BOOKMARK; a bookmark's object has only its metadata). */
	int (*on_object)(void *ctx, enum event_type type, const struct object *o);
	/* Once per list body, by decode_finish: the list is whole. */
	int (*on_list)(void *ctx, const struct list_meta *m);
	/* A Status: an ERROR event, or the body (by decode_finish) when that is one, whatever was
	 * asked for. Also the one without kind and apiVersion that a timed-out server sends. */
	int (*on_status)(void *ctx, const struct api_status *s);
	/* An object was left out (or cut, BAD_TOO_MANY). `name` is what is known of it, may be
	 * empty. */
	void (*on_bad)(void *ctx, enum decode_bad why, struct str name);
};

struct decode_opts {
	enum decode_format format;
	enum decode_body body;
	enum decode_shape shape;
	bool raw; /* JSON: hand out each object's bytes, too (object.raw). They are not checked
		   * beyond what is decoded of them. */
	size_t max_object;	  /* bytes of one object on the wire; 0 means 4 MiB */
	const struct str *labels; /* label keys to keep; the array must outlive the decoder */
	uint32_t n_labels;
	const struct decode_ops *ops;
	void *ctx;
};

/* 0 or -ENOMEM. */
int decode_new(const struct decode_opts *o, struct decode **ret);
void decode_free(struct decode **d);
/* Feeds bytes. 0, or -EBADMSG (malformed; decode_error says what and where), -ENOMEM (an object was
 * lost: the stream must be read anew), or what a callback returned. An error stays: feeding on
 * returns it again. */
int decode_feed(struct decode *d, const void *p, size_t n);
/* The body is over, once: 0, what a callback returned, or -EBADMSG when it ended inside a frame, an
 * object or a list, or is another kind of body than was asked for. */
int decode_finish(struct decode *d);
/* "bad frame length at byte 1234"; borrowed, "" when there was no error. */
const char *decode_error(const struct decode *d);
/* Bytes held in memory by the decoder. */
size_t decode_bytes(const struct decode *d);

/* The format of a body: by Content-Type ("application/vnd.kubernetes.protobuf;stream=watch",
 * "application/json"), by its first bytes when there is none, and JSON for text/plain that begins
 * with '{' (a timed-out server's Status): 0, or -EPROTONOSUPPORT for anything else (text, HTML,
 * yaml). `head` may be empty. */
int decode_sniff(struct str content_type, struct str head, enum decode_format *ret);
