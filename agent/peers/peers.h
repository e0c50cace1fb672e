/*
 * A node's view of the whole cluster, by the leading collector's feed: who has and had
 * which address. Pure: the shell (cli/agent_peers.c) looks up the host's addresses,
 * carries one request at a time out, and polls; flows and questions look up.
 *
 *     peers_poll -> RESOLVE    the shell looks the host up, then calls peers_resolved
 *     peers_poll -> START      it asks peers_address for peers_target, then reports
 *         peers_response       the head of the answer
 *         peers_data           bytes of its body, in any cut
 *         peers_end            it is over
 *     peers_poll -> ABORT      it drops the request; it is over here already
 *
 * A negative return of peers_response or peers_data says the same as ABORT. After every
 * call the shell polls again.
 *
 * Whoever does not lead says so (503), and the next address is asked at once; when all
 * were asked, there is a pause with full jitter, and the host is looked up anew. A stream
 * that breaks is resumed where it ended, after a pause that spreads all agents of a
 * cluster. Streams are renewed by themselves every PEERS_RENEW_MIN to _MAX, because
 * only that tells how the sender's clock stands to ours (two_clocks.h).
 *
 * Never wrong: what was not heard of in time is not known (peers_knows), and what is told
 * of is told with the doubt of two clocks (peers_doubt).
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "inventory/inventory.h"
#include "peers/replica.h"

#include <stdbool.h>
#include <stdint.h>

#define PEERS_PATH "/api/v1/peers"

#define PEERS_MAX_ADDRS	  32			/* of one host; more are not asked */
#define PEERS_FIRST	  (500 * NSEC_PER_MSEC) /* jitter of the first request */
#define PEERS_SPREAD	  (10 * NSEC_PER_SEC)	/* the same, after a stream broke */
#define PEERS_BACKOFF	  NSEC_PER_SEC		/* widest pause when nobody leads; doubles */
#define PEERS_BACKOFF_MAX (60 * NSEC_PER_SEC)
#define PEERS_PATIENCE	  (30 * NSEC_PER_SEC) /* for an address to begin its answer */
#define PEERS_RENEW_MIN	  (300 * NSEC_PER_SEC)
#define PEERS_RENEW_MAX	  (600 * NSEC_PER_SEC)
#define PEERS_FULL_PAUSE  (600 * NSEC_PER_SEC) /* after the whole did not fit; widest */
#define PEERS_DOUBT_MAX	  (3 * NSEC_PER_SEC)   /* with more, nothing is known */
#define PEERS_AWAITED	  (5 * NSEC_PER_SEC)   /* so long a lost stream is hoped for */

struct peers;

struct peers_opts {
	size_t max_bytes; /* of the replica (--peers-max) */
	uint64_t seed;
	nsec_t now; /* the first request comes PEERS_FIRST later at most */
};

/* 0 or -ENOMEM. */
int peers_new(const struct peers_opts *o, struct peers **ret);
void peers_free(struct peers **p);

/* ---- for the shell --------------------------------------------------------------------------- */

enum peers_action { PEERS_NONE, PEERS_RESOLVE, PEERS_START, PEERS_ABORT };

enum peers_action peers_poll(struct peers *p, nsec_t now, nsec_t *ret_deadline);
/* How many addresses the host has; 0: none, and `text` says why. */
void peers_resolved(struct peers *p, nsec_t now, uint32_t n, const char *text);
/* Which of them START means. */
uint32_t peers_address(const struct peers *p);
/* Appends path and query. 0, -EMSGSIZE or -ENOMEM. */
int peers_target(const struct peers *p, struct buf *out);
int peers_response(struct peers *p, nsec_t now, int status);
int peers_data(struct peers *p, nsec_t now, const void *bytes, size_t n);
/* `text` is the transport's reason, for people; may be NULL. */
void peers_end(struct peers *p, nsec_t now, const char *text);

enum peers_state {
	PEERS_SEEKING, /* no stream: the leader is looked for */
	PEERS_QUEUED,  /* connected, in line for the whole */
	PEERS_SYNCING, /* the whole is coming */
	PEERS_SYNCED,
	PEERS_FULL, /* the whole does not fit into max_bytes */
	_PEERS_STATE_MAX,
};
const char *peers_state_name(enum peers_state s);

struct peers_status {
	enum peers_state state;
	bool ever_synced;  /* and the replica is whole, though it may be stale */
	const char *from;  /* who sends, "" before; borrowed */
	const char *error; /* why there is no stream, or the last one ended; "" */
	char feed[2 * PEERFEED_ID + 1];
	uint64_t position;
	nsec_t known;	   /* all was heard of that was told until then; 0: nothing */
	nsec_t doubt;	   /* of the clocks, at the last word */
	uint64_t connects; /* streams that began */
	uint64_t resumes;  /* of them, those that went on where the last one ended */
	uint64_t wholes;   /* the whole was taken, to its end */
	uint64_t losses;   /* streams that broke, renewals excepted */
	uint64_t failures; /* requests that no stream came of */
	uint64_t standbys; /* of them, those whose address does not lead */
	uint64_t faults;   /* streams that contradicted themselves, or had a gap */
	uint64_t bytes, frames, records;
	struct replica_stats replica;
};
void peers_status(const struct peers *p, struct peers_status *ret);

/* ---- for who looks up ------------------------------------------------------------------------ */

enum peers_knows {
	PEERS_KNOWS,
	PEERS_UNSYNCED, /* the whole was not heard yet, or does not fit */
	PEERS_STALE,	/* not heard of so late a time (yet) */
};
/* Whether all was heard that was told of until `settle` after that time (ours); and after the
 * clocks were last compared: a machine that stood still is yet to hear what it missed. */
enum peers_knows peers_knows(const struct peers *p, nsec_t at, nsec_t settle);
/* It may be worth waiting for. */
bool peers_awaited(const struct peers *p, nsec_t now);
/* The latest time that peers_knows; 0: none. */
nsec_t peers_known(const struct peers *p);
/* As replica_claims, on our clock: no time is earlier than it was, and each may be up to
 * peers_doubt later. */
uint32_t peers_claims(const struct peers *p, const struct addr *ip, enum kind kind,
		      struct inv_claim *ret, uint32_t max);
/* Their time on our clock, at the latest; NSEC_NEVER stays. */
nsec_t peers_ours(const struct peers *p, nsec_t theirs);
/* Another number once a look-up may answer otherwise than before, or a borrowed text has gone; but
 * ask peers_knows. */
uint64_t peers_edition(const struct peers *p);
nsec_t peers_listed_at(const struct peers *p);
nsec_t peers_doubt(const struct peers *p);
/* What was before cannot be placed for certain: one of the clocks may have stood still. */
nsec_t peers_since(const struct peers *p);
const struct replica *peers_replica(const struct peers *p);
