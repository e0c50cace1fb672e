/*
 * The reflector from the inside:
 *
 *   reflector.c          making; polling: what to do now, and how long to wait for it
 *   reflector_request.c  what the next request says
 *   reflector_answer.c   heads and bytes of answers, into the decoder and out of it
 *   reflector_list.c     pages and streaming lists, until they are complete
 *   reflector_watch.c    events that move the resume point, and watches that end
 *   reflector_error.c    transfers that fail, answers that are errors, and their words
 *
 *        ┌──────────── stream (list and watch in one) ──────────┐
 *   wait ┤                                                       ├─ watch ─ wait ─ watch ...
 *        └─ page ─ wait ─ page ─ ... ─ (last page) ─ wait ───────┘
 *
 * `t.kind` says what is under way, `list_wanted` what comes next. Every way a
 * transfer can end passes through transfer_close and sets `not_before`. `now` is
 * the time of the running call.
 */
#pragma once

#include "base/buf.h"
#include "kube/reflector.h"

/* A watch that stays open so long after its head is healthy, also when nothing happens. */
#define WATCH_SETTLE NSEC_PER_SEC
/* The server ends a watch at timeoutSeconds; one that is open so much longer is dead. */
#define WATCH_OVERTIME (60 * NSEC_PER_SEC)
/* So many page tokens that expire in one list: the rest of the tries ask for everything at once. */
#define MAX_EXPIRED_TOKENS 2

enum transfer_kind { TRANSFER_NONE, TRANSFER_PAGE, TRANSFER_STREAM, TRANSFER_WATCH };

/* Why a decoder callback stopped the body. */
enum stop { STOP_NONE, STOP_STATUS, STOP_CONSUMER, STOP_NO_MARKER, STOP_BAD_RV };

struct rv {
	size_t n;
	char p[REFLECTOR_MAX_RV];
};

/* A Status, copied out of the decoder. */
struct answer {
	int code;
	nsec_t retry_after;
	char reason[64];
	char message[REFLECTOR_MAX_TEXT];
};

/* What is under way, from its request to its end. */
struct transfer {
	enum transfer_kind kind;
	nsec_t start_at, limit_at, settle_at;
	nsec_t heard;	   /* the last byte that counts against silence */
	nsec_t decoded_at; /* the last whole object: bytes that never become one are silence too */
	bool answered, body_seen, progress, list_meta_seen;
	int status;
	nsec_t retry_after;
	char content_type[128];
	char head[8]; /* first bytes, until they tell the format */
	size_t n_head;
	struct decode *decode;
	enum stop stop;
	int consumer_error;
	struct answer answer;
	size_t error_bytes;
	bool error_plain; /* the error's body is no Status */
	char error_head[200];
	size_t n_error_head;
};

struct reflector {
	struct reflector_opts o; /* its strings point to the copies below */
	char *path, *field_selector, *label_selector, *api_version, *kind;
	char what[256]; /* "pods", "replicasets.apps in namespace shop" */
	char resource[128];
	struct buf target;
	struct rng rng;
	struct backoff backoff;
	nsec_t now;

	/* What the server can do, learned once. */
	bool streaming_off, json_only, plain_only, server_bookmarks;
	unsigned protobuf_errors, stream_failures;
	bool pages_once;	   /* the next list is paged, whatever is offered */
	enum decode_format format; /* of the last body */

	/* Where we are. */
	bool started, paused, abort_pending;
	bool list_wanted, ever_synced;
	bool just_listed;  /* nothing was heard from a watch since the last complete list */
	struct rv rv;	   /* resume point of the watch */
	struct rv list_rv; /* of the list under way */
	char *cont;	   /* page token of the next request, NULL at the first page */
	char *next_cont;   /* of the page after the one under way */
	unsigned expired_tokens;
	unsigned stuck;
	nsec_t not_before;
	nsec_t paused_at;
	struct transfer t;

	enum reflector_health health;
	nsec_t since, heard;
	char text[REFLECTOR_MAX_TEXT];
	struct reflector_counters counters;
};

/* reflector.c */
void reflector_tell(struct reflector *r, enum reflector_health health, const char *text);

/* reflector_request.c */
/* Begins a transfer: 0, or -errno when the request cannot be written. */
int request_make(struct reflector *r, struct reflector_request *ret);

/* reflector_answer.c */
/* An error's body is over, or nothing more of it is wanted. */
void answer_refused(struct reflector *r);

/* reflector_list.c */
/* 0, or -errno with rv as it was. */
int rv_set(struct rv *rv, struct str s);
/* The list's own metadata, behind its last item: 0, or -errno with the stop set. */
int list_meta(struct reflector *r, const struct list_meta *m);
/* A bookmark in a streaming list ends it, if it is the marker: 0, or -errno with the stop set. */
int list_marker(struct reflector *r, const struct object *o);
/* A page has arrived whole. */
void list_page_done(struct reflector *r);
/* The resume point, or the page token, is too old for the server: one new list. */
void list_expired(struct reflector *r);
void list_forget(struct reflector *r);
/* A streaming list did not complete: the next one comes in pages. */
void list_stream_failed(struct reflector *r);

/* reflector_watch.c */
/* Something came on the watch. */
void watch_moved(struct reflector *r, struct str version);
/* The server ended it as it should. */
void watch_ended(struct reflector *r);
/* It could not go on from r->rv. */
void watch_stuck(struct reflector *r);

/* reflector_error.c: each ends the transfer, sets when to try again and tells why. */
void transfer_close(struct reflector *r);
/* As health of transfer_fail: REFLECTOR_FAILING, but the first time is not worth a word. */
#define FAILING_IF_AGAIN REFLECTOR_SYNCED
__attribute__((format(printf, 4, 5))) void transfer_fail(struct reflector *r,
							 enum reflector_health health, nsec_t floor,
							 const char *fmt, ...);
/* The server has said no, by status line or by an ERROR event. */
void transfer_refused(struct reflector *r, int code);
/* The decoder stopped with `e`, for its own reason or for ours. */
void transfer_stopped(struct reflector *r, int e);
void transfer_bad_body(struct reflector *r, const char *why);
void transfer_not_kubernetes(struct reflector *r);
/* The connection broke, or fell silent. */
void transfer_broke(struct reflector *r, const char *how, const char *text);
/* There was no connection. */
void transfer_unreachable(struct reflector *r, const char *how, const char *text);
