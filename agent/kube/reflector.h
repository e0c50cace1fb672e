/*
 * One kind kept in step with the API server: list, then watch, for ever.
 *
 * A pure state machine: it takes bytes, ends of transfers and the time, and
 * returns requests, aborts and deadlines. It owns no socket and no timer, so a
 * whole cluster can be run in virtual time. The shell around it (client.c)
 * carries requests out; the consumer behind `ops` keeps the objects.
 *
 * At most one transfer is under way at any time:
 *
 *     reflector_poll -> START    the shell opens the transfer, then reports
 *         reflector_response     the head of the answer
 *         reflector_data         bytes of its body, in any cut (identity coding)
 *         reflector_end          it is over, and how
 *     reflector_poll -> ABORT    the shell drops the transfer; it is over here already
 *
 * A negative return of reflector_response or reflector_data says the same as
 * ABORT. reflector_end after either is allowed and ignored. After every call the
 * shell polls again; poll is cheap.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "decode/decode.h"
#include "kube/budget.h"
#include "model/object.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REFLECTOR_MAX_RV       256  /* bytes of a resourceVersion; a list with a longer one fails */
#define REFLECTOR_MAX_CONTINUE 8192 /* bytes of a page token; the same */
#define REFLECTOR_MAX_ERROR    65536 /* bytes of an error body that are read; then it is dropped */
#define REFLECTOR_MAX_TEXT     512   /* bytes of a status text, cut */

struct reflector;

enum reflector_health {
	REFLECTOR_SYNCING,   /* no complete list yet, or a new one is under way */
	REFLECTOR_SYNCED,    /* complete, and a watch follows the changes */
	REFLECTOR_FAILING,   /* tries again; what was learned stays */
	REFLECTOR_FORBIDDEN, /* the same, because of a 403 */
	_REFLECTOR_HEALTH_MAX,
};
const char *reflector_health_name(enum reflector_health h);

struct reflector_status {
	enum reflector_health health;
	bool ever_synced; /* there has been a complete list */
	nsec_t since;	  /* when this health began; it goes on over retries */
	nsec_t heard;	  /* the last event, bookmark or complete list, or the last time the server
			   * took a watch; 0: never */
	bool bookmarks;	  /* this server sends them: silence means something */
	const char
		*text; /* why, for people: "pods: ..."; borrowed until the next call, may be "" */
};

/*
 * The consumer. No callback may call into this reflector, except
 * reflector_pause. Views are borrowed until the callback returns.
 */
struct reflector_ops {
	/* A list begins: what `object` does not name until list_end is gone. Called again when a
	 * list starts over; what was learned stays. */
	void (*list_begin)(void *ctx);
	/* ADDED, MODIFIED or DELETED; DELETED with the last state, also of an object never seen.
	 * Items of a list are ADDED, also those that are known. A negative errno drops the
	 * transfer; it is made again after a pause, a watch from behind the last accepted object.
	 */
	int (*object)(void *ctx, enum event_type type, const struct object *o);
	/* The list is complete. */
	void (*list_end)(void *ctx);
	/* Health or its reason has changed. May be NULL, as the two below. */
	void (*state)(void *ctx, const struct reflector_status *s);
	/* The server refused the credentials (401). */
	void (*unauthorized)(void *ctx);
	void (*bad_object)(void *ctx, enum decode_bad why, struct str name);
};

struct reflector_opts {
	struct str path; /* "/api/v1/pods", "/apis/apps/v1/namespaces/NS/replicasets"; copied */
	enum decode_shape shape;
	bool metadata_only;	   /* ask for PartialObjectMetadata */
	struct str api_version;	   /* what every object is said to be; copied. Items of lists and */
	struct str kind;	   /* metadata alone do not say it themselves. Empty: as decoded */
	struct str field_selector; /* plain text, "spec.nodeName=a"; copied, escaped here */
	struct str label_selector; /* the same */
	const struct str *labels;  /* label keys to keep; must outlive the reflector */
	uint32_t n_labels;
	uint32_t page_size;   /* 0 means 500 */
	bool whole_lists;     /* no pages */
	bool list_from_cache; /* the first list may be a little stale (resourceVersion=0): lists
			       * with a selector would else make the server read everything */
	bool no_streaming;    /* lists in pages only */
	bool no_protobuf;     /* JSON only */
	bool raw;	      /* JSON only, and each object's bytes with it (object.raw) */
	bool *no_streaming_shared; /* set when this server refuses streaming lists, so that others
				    * need not ask; may be NULL, must outlive the reflector */
	struct budget *budget;	   /* shared; may be NULL (no limit), must outlive the reflector */
	size_t max_object;	   /* as decode_opts */
	nsec_t start_jitter;	   /* the first request waits evenly from [0, start_jitter] */
	/* 0 means the default. */
	nsec_t first_byte;    /* of a list: 60 s until its first body byte */
	nsec_t idle;	      /* 30 s of silence in a list, before the head of a watch, in errors */
	nsec_t watch_idle;    /* 150 s of silence in a watch whose server is known to bookmark */
	uint32_t watch_min_s; /* timeoutSeconds is drawn evenly from [min, max]: 300 to 600 */
	uint32_t watch_max_s;
	nsec_t backoff_base; /* 0.5 s doubling to 30 s */
	nsec_t backoff_cap;
	uint64_t seed;
	const struct reflector_ops *ops;
	void *ctx;
};

enum reflector_action { REFLECTOR_NONE, REFLECTOR_START, REFLECTOR_ABORT };

/* A GET. Views are borrowed until the next call. */
struct reflector_request {
	const char *target; /* path and query */
	const char *accept; /* value of the Accept header */
	bool watch;	    /* long-lived: a connection of its own */
};

enum reflector_end {
	REFLECTOR_END_CLEAN,   /* the whole body arrived */
	REFLECTOR_END_CUT,     /* the connection broke after the request was sent */
	REFLECTOR_END_CONNECT, /* no connection: resolving, connecting, proxy */
	REFLECTOR_END_TLS,     /* the handshake or the certificate failed */
	REFLECTOR_END_TIMEOUT, /* the shell's own limit passed (connecting) */
	REFLECTOR_END_ABORTED, /* the shell dropped it for reasons of its own */
	_REFLECTOR_END_MAX,
};

struct reflector_counters {
	uint64_t lists;	   /* complete ones, of either way */
	uint64_t relists;  /* begun after a first complete one */
	uint64_t restarts; /* lists that had to start over */
	uint64_t pages;	   /* complete ones */
	uint64_t watches;  /* opened (answered with 200), streaming lists included */
	uint64_t events;   /* ADDED, MODIFIED, DELETED and items accepted */
	uint64_t bookmarks;
	uint64_t gone;	 /* 410, as status or event */
	uint64_t errors; /* tries that failed, for whatever reason */
	uint64_t decode_errors;
	uint64_t unauthorized, forbidden;
	uint64_t bytes; /* of bodies */
	uint64_t bad[_DECODE_BAD_MAX];
};

/* 0, -ENOMEM or -EINVAL (path empty or too long). Nothing is requested before the first poll. */
int reflector_new(const struct reflector_opts *o, struct reflector **ret);
void reflector_free(struct reflector **r);

/* Takes the sizes and times of `o`, its pages and whether it streams lists, from the next request
 * on; times also for the transfer under way. Nothing is dropped. Poll afterwards. */
void reflector_tune(struct reflector *r, const struct reflector_opts *o);
/* The same for options of reflectors that are still to be made. */
void reflector_opts_tune(struct reflector_opts *o, const struct reflector_opts *from);

/* What to do now, and when to poll again at the latest (NSEC_NEVER: only after another call).
 * ret_request is filled for START. */
enum reflector_action reflector_poll(struct reflector *r, nsec_t now,
				     struct reflector_request *ret_request, nsec_t *ret_deadline);
/* The head of the answer. content_type may be empty; retry_after is the header in nsec, or 0. */
int reflector_response(struct reflector *r, nsec_t now, int status, struct str content_type,
		       nsec_t retry_after);
int reflector_data(struct reflector *r, nsec_t now, const void *p, size_t n);
/* `text` is the transport's reason, for people; may be NULL. */
void reflector_end(struct reflector *r, nsec_t now, enum reflector_end how, const char *text);
/* While paused nothing is started and silence is not counted; the shell stops the socket. */
void reflector_pause(struct reflector *r, nsec_t now, bool paused);
bool reflector_paused(const struct reflector *r);
/* Lists anew as soon as possible (a request for a full resync). A watch under way is dropped. */
void reflector_relist(struct reflector *r, nsec_t now);

struct reflector_status reflector_status(const struct reflector *r);
const struct reflector_counters *reflector_counters(const struct reflector *r);
/* The last resourceVersion to resume from; empty before the first list. Borrowed. */
struct str reflector_resource_version(const struct reflector *r);
/* Bytes held. */
size_t reflector_bytes(const struct reflector *r);
