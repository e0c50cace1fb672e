/*
 * What the frames of the feed hold: heads and records, to bytes and back. Pure. The
 * layout, byte by byte, is in README.md; nothing here knows who sends or keeps them.
 *
 * Times are the sender's monotonic clock, kept to the millisecond and rounded up: what
 * is told of is then never earlier than it was.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "model/address.h"

#include <stdbool.h>
#include <stdint.h>

#define PEERFEED_VERSION    1
#define PEERFEED_ID	    16	/* bytes */
#define PEERFEED_TEXT_MAX   256 /* bytes of a name; a longer one is refused: Kubernetes makes 253 */
#define PEERFEED_CLAIMS_MAX 128 /* addresses of one pod, Service or Node, former ones included */

/* ---- heads ----------------------------------------------------------------------------------- */

struct peerfeed_hello {
	uint8_t feed[PEERFEED_ID];
	nsec_t now;
	bool resumed;	   /* changes follow from behind `position`; else the whole does */
	uint64_t position; /* 0 without `resumed` */
	nsec_t beat;	   /* something comes at least this often; whole milliseconds */
	struct str name;   /* who sends; borrowed */
};
struct peerfeed_snapshot {
	bool first, last;
	uint32_t index;	     /* of the frame, from 0 */
	uint64_t position;   /* of the first: changes go on behind it */
	uint64_t right_from; /* of the last: with the changes up to here the whole is right */
};
/* Of FRAME_CHANGES and FRAME_BEAT. */
struct peerfeed_mark {
	uint64_t position; /* of these changes; of a beat: the last there were */
	nsec_t now;
	nsec_t known; /* what the sender had heard of by then has been told, up to this time */
};

/* Appends a payload's head, which records may follow: 0, -EMSGSIZE or -ENOMEM. */
int peerfeed_put_hello(struct buf *b, const struct peerfeed_hello *h);
int peerfeed_put_snapshot(struct buf *b, const struct peerfeed_snapshot *s);
int peerfeed_put_mark(struct buf *b, const struct peerfeed_mark *m);
int peerfeed_put_wait(struct buf *b, nsec_t now);
/* Takes the head off a payload: 0 or -EBADMSG. A hello of another version is -EPROTO. Texts are
 * borrowed from the payload. */
int peerfeed_take_hello(struct str *payload, struct peerfeed_hello *ret);
int peerfeed_take_snapshot(struct str *payload, struct peerfeed_snapshot *ret);
int peerfeed_take_mark(struct str *payload, struct peerfeed_mark *ret);
int peerfeed_take_wait(struct str *payload, nsec_t *ret_now);

/* ---- records --------------------------------------------------------------------------------- */

enum peerfeed_type {
	PEERFEED_NAME = 1,
	PEERFEED_DROP,
	PEERFEED_POD,
	PEERFEED_PLACE,
	PEERFEED_ENDED,
	PEERFEED_FORGET,
	PEERFEED_LISTED,
	_PEERFEED_TYPE_MAX,
};

struct peerfeed_claim {
	struct addr ip;
	nsec_t from, to; /* to: NSEC_NEVER while it lasts */
	nsec_t heard;	 /* as in inv_claim; <= to */
};

struct peerfeed_record {
	enum peerfeed_type type;
	uint32_t id; /* NAME, DROP: of the name; POD, PLACE, ENDED, FORGET: of the entry */
	/* NAME: a plain text (ns and kind 0), or a workload. */
	uint32_t ns, kind; /* names' ids; POD without workload and PLACE: the namespace's */
	/* NAME: the text. PLACE: its name. POD: what follows the first `shared` bytes of its
	 * workload's name. Borrowed. */
	struct str text;
	/* POD */
	uint32_t workload, node; /* names' ids; 0: none */
	uint32_t running;	 /* as in inv_claim; 0: not told */
	uint8_t shared;
	/* PLACE */
	bool is_node; /* else a Service */
	/* POD, PLACE */
	bool listed; /* as in inv_claim */
	uint32_t n_claims;
	struct peerfeed_claim claims[PEERFEED_CLAIMS_MAX]; /* those that last first */
	/* ENDED: what lasted ended; LISTED: `to` is when */
	nsec_t to, heard;
};

/* What the records of one payload are told against; both sides have the same after each. */
struct peerfeed_base {
	uint64_t ms;   /* no time in the payload is later */
	uint64_t wall; /* Unix seconds; no `running` is later */
	uint32_t last; /* entry's id of the record before */
};
/* Begins the records: they are told against `now`. */
int peerfeed_put_base(struct buf *b, nsec_t now, nsec_t wall, struct peerfeed_base *ret);
int peerfeed_take_base(struct str *payload, struct peerfeed_base *ret);
/* Appends a record: 0, -EMSGSIZE or -ENOMEM (then nothing is appended), -EINVAL (a time after the
 * base, too many claims or too long a text). */
int peerfeed_put(struct buf *b, struct peerfeed_base *base, const struct peerfeed_record *r);
/* Takes a record: 1, 0 at the end, -EBADMSG. */
int peerfeed_take(struct str *payload, struct peerfeed_base *base, struct peerfeed_record *ret);
