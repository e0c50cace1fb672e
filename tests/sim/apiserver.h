/*
 * A modelled API server over the modelled cluster, in virtual time: lists (paged
 * or streamed), watches, bookmarks, compaction, single objects; and what goes
 * wrong with them: refusals, 429, cuts, early clean ends, slow and silent
 * answers, a server that is down.
 */
#pragma once

#include "base/clock.h"
#include "tests/sim/cluster.h"

struct apiserver_opts {
	bool streaming;	  /* offers streaming lists */
	bool protobuf;	  /* offers protobuf */
	bool no_jobs;	  /* Jobs are forbidden for good */
	uint32_t trouble; /* percent of requests and moments in which something goes wrong */
};

struct apiserver {
	struct cluster *cluster;
	struct rng *rng;
	struct apiserver_opts opts;
	nsec_t down_until;	   /* refuses connections */
	nsec_t forbid_until;	   /* answers 403, as a server whose RBAC is not loaded */
	nsec_t unauthorized_until; /* takes no credentials */
	nsec_t slow_until;	   /* lists of owners say nothing before */
	nsec_t role_until;	   /* a Role is missing in one namespace: role_ns */
	char role_ns[64];
};

enum xfer_event { XFER_RESPONSE, XFER_DATA, XFER_END };
enum xfer_how { XFER_CLEAN, XFER_CUT, XFER_REFUSED };

/* One transfer. */
struct xfer {
	bool open, answered, ended, watch, metadata_only;
	enum gen_format format;
	enum sim_kind kind;
	char node[64], ns[64], single[128]; /* selectors; name of a single object */
	bool odd, discovery;
	uint64_t rv;   /* a watch has sent everything up to here */
	uint32_t next; /* index of the next event to look at */
	int status;
	nsec_t retry_after, at, bookmark_at, end_at;
	struct buf out; /* produced, not delivered */
	enum xfer_how how;
	bool silent; /* says nothing any more */
};

void apiserver_open(struct apiserver *s, struct xfer *x, nsec_t now, const char *target,
		    const char *accept);
void apiserver_close(struct xfer *x);
/* The next thing that happens to the transfer, when its time (x->at) has come. False when nothing
 * does now. XFER_DATA: bytes at `ret_bytes`, borrowed until the next call. */
bool apiserver_next(struct apiserver *s, struct xfer *x, nsec_t now, enum xfer_event *ret,
		    struct str *ret_bytes);
