/*
 * The parts of kube-replay and what they share: one thread, one event loop.
 *
 *   conn.c      HTTP/1.1: requests in, responses with Go's chunk boundaries out, byte faults
 *   api.c       one request to one answer; lists, gets, errors
 *   watch.c     watches: a cursor over one kind's events
 *   timeline.c  when recorded events happen
 *   control.c   /replay/...
 *   leases.c    writes of Leases
 *   reviews.c   reviews of tokens and of access
 *   discovery.c /version, /api, /apis: as recorded, or of the kinds there are
 *   kinds.c     kinds that were not recorded, and CustomResourceDefinitions
 *   objects.c   objects that were not recorded, and changes a test makes
 */
#pragma once

#include "chunk.h"
#include "encode.h"
#include "fault.h"
#include "select.h"

#include <event2/event.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>
#include <openssl/ssl.h>
#include <sys/queue.h>

struct conn;
struct watch;

enum start_mode { START_FIRST_WATCH, START_NOW, START_PAUSED };

struct options {
	const char *dir, *set, *listen, *port_file, *token;
	const char **objects; /* folders */
	size_t n_objects;
	double speed; /* 0: as fast as possible */
	enum start_mode start;
	double bookmark_s; /* seconds between bookmarks made after the recorded ones */
	uint64_t seed;
	bool tls;
	const char *ca_out, *client_ca, *client_out;
	bool tls_expired, tls_wrong_host;
};

/* Requests answered, by verb, resource and status. */
struct counter {
	char key[64];
	int status;
	unsigned long n;
};

#define COUNTERS_MAX 256

/* A write of a Lease, done or refused. */
struct lease_try {
	nsec_t at;
	char holder[128];
	int status;
	uint64_t rv;
};

/* A token that a test made known. */
struct reviewer {
	char token[256], user[128]; /* user "": nobody's any more */
	bool allow;		    /* to get /metrics */
};

struct hostile; /* hostile.c */

struct server {
	struct event_base *base;
	struct options o;
	struct store store;
	struct faults faults;
	SSL_CTX *tls;
	TAILQ_HEAD(, conn) conns;
	size_t n_conns;
	struct event *tick;
	bool running; /* virtual time goes on */
	nsec_t t0;
	double virtual_ms;
	char *token;
	uint64_t compacted; /* watches and pages from below this resourceVersion get 410 */
	struct counter counters[COUNTERS_MAX];
	size_t n_counters;
	json_t *api, *apis; /* recorded aggregated discovery: what a server of that version has */
	bool made;	    /* there are kinds or objects that were not recorded */
	int n_made;	    /* kinds that came by CRDs, ever */
	struct lease_try *tries;
	size_t n_tries;
	struct reviewer *reviewers;
	size_t n_reviewers;
	uint64_t rv;	     /* the highest resourceVersion given to anything */
	unsigned long n_uid; /* uids that were made up */
	struct hostile *hostile[_FAULT_MAX][KIND_RECORDED];
};

#define REQUEST_MAX 65536 /* bytes of a request's head; more closes the connection */

struct request {
	char *text;		     /* the head, cut up by NUL bytes */
	const char *method, *target; /* target: without the query */
	const char *query_text, *accept, *authorization;
	bool close;
	char *path;
	struct str body;
	struct evkeyvalq query;
	bool has_query;

	enum verb verb;
	enum kind kind; /* _KIND_MAX: none of ours */
	struct selector sel;
	struct str name;
	struct encoding enc;
	bool has_json; /* JSON is accepted, too */
};

enum cut_mode { CUT_NONE, CUT_CLOSE, CUT_RESET, CUT_STALL, CUT_TRUNCATE };

struct conn {
	TAILQ_ENTRY(conn) link;
	struct server *srv;
	struct bufferevent *bev;
	struct evbuffer *pending; /* response bytes before rate and cut */
	struct event *timer;	  /* rate, or a delayed answer */
	struct event *reap;	  /* frees the connection from the loop */
	struct request req;
	bool busy;    /* a response is under way */
	bool delayed; /* the answer waits for the timer */
	bool dead;    /* will be freed by `reap` */
	bool stalled; /* nothing more is sent */
	bool closing; /* close when everything is sent */
	/* the response */
	struct chunker ck;
	int status;
	char type[128];
	char extra[512];
	bool head_sent, ended;
	int64_t body_bytes; /* in chunks so far */
	enum cut_mode cut;
	bool cut_at_chunk;
	int64_t cut_left; /* wire bytes until the cut, head included */
	int64_t cut_body; /* body bytes until CUT_TRUNCATE or a cut at a chunk */
	int64_t rate;	  /* bytes a second, 0: unlimited */
	int64_t tokens;
	int64_t fill_left; /* bytes of a name without end; then the connection is closed */
	bool closing_fill;
	struct watch *watch;
};

/* conn.c */
void conn_new(struct server *srv, evutil_socket_t fd);
void conn_kill(struct conn *c); /* frees it from the loop */
void conn_reset(struct conn *c);
void resp_start(struct conn *c, int status, const char *type, const char *extra);
void resp_write(struct conn *c, const void *p, size_t n);
void resp_flush(struct conn *c);
void resp_end(struct conn *c);
/* Bytes not yet taken by the kernel. */
size_t conn_backlog(const struct conn *c);
void conn_pump(struct conn *c);

/* api.c */
void api_handle(struct conn *c); /* c->req is parsed */
void api_delayed(struct conn *c);
void api_count(struct conn *c, int status);
void api_status(struct conn *c, const struct status *s, const char *extra);
const char *api_param(const struct request *r, const char *key);
/* Answers with a fault in place of the answer, if one strikes. */
bool api_fault(struct conn *c);
/* Sets up the byte faults for a 200 answer and starts it. */
void api_start(struct conn *c, bool watch);

/* watch.c */
void watch_new(struct conn *c);
void watch_free(struct watch *w);
void watch_more(struct watch *w); /* events have happened, or room is there again */
size_t watch_cursor(const struct watch *w);

/* timeline.c */
int timeline_init(struct server *s);
void timeline_watch(struct server *s, enum kind k); /* a watch of the kind has begun */
void timeline_get(struct server *s, enum kind k);
void timeline_wake(struct server *s, enum kind k); /* events of the kind have happened */
void timeline_to(struct server *s, double ms);	   /* not backwards */
bool timeline_finished(const struct server *s);

/* control.c */
void control_handle(struct conn *c);

/* kinds.c */
int kinds_init(struct server *s); /* reads the recorded discovery: 0 or -errno */
void kinds_free(struct server *s);
/* The kind of an object, added when a server of the recorded version has it; _KIND_MAX: unknown. */
enum kind kinds_find(struct server *s, const char *api_version, const char *kind);
/* A CustomResourceDefinition was applied: what it serves is served. 0, -EINVAL or -ENOSPC. */
int kinds_define(struct server *s, json_t *crd);
/* It was deleted: its kinds are not served any more, and their watches end. */
void kinds_undefine(struct server *s, const char *group, const char *plural);

/* objects.c: objects that were not recorded */
int objects_load(struct server *s); /* --objects; 0 or -errno after a readable line on stderr */
/* A List or one object, as if written to the API server. 0, or -errno with words in `why`. */
int objects_apply(struct server *s, json_t *o, char *why, size_t n);
int objects_delete(struct server *s, const char *api_version, const char *kind, struct str ns,
		   struct str name, char *why, size_t n);
void objects_delete_all(struct server *s, enum kind k, struct str ns); /* ns empty: all */

/* leases.c: false when the request is no write of a Lease */
bool leases_handle(struct conn *c);
json_t *leases_json(const struct server *s);

/* reviews.c: false when the request is no review of a token or of access */
bool reviews_handle(struct conn *c);
int reviews_command(struct conn *c); /* /replay/reviewer */

/* discovery.c: false when the path is not one of its own */
bool discovery_handle(struct conn *c);

/* hostile.c */
struct hostile {
	struct version v[2];
	size_t n;
	struct buf mem[8];
};
/* The bad objects of a fault for one kind; NULL when the request cannot see
 * them. Borrowed until the next call for the same fault and kind. */
const struct hostile *hostile_get(struct server *s, const struct fault *f, enum kind k,
				  const struct selector *sel);
void hostile_free(struct server *s);

/* tls.c */
SSL_CTX *tls_new(const struct options *o, const char *host);
