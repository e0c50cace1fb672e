/*
 * Remote ends that were named last, by address. Only what is the same for every flow since some
 * time is kept: a pod that alone has the address, and has it still. So history stays with who.h.
 *
 * What is kept holds as long as nothing was told since, to the inventory or by the feed: their
 * editions say so, and that no borrowed text has gone. Whoever looks says by which of the two the
 * flow is to be named; an answer of one is not the other's.
 */
#pragma once

#include "match/end.h"

struct end_memo;

/* What an answer depends on. */
struct end_memo_key {
	const struct addr *ip;
	uint64_t edition; /* of all that was asked */
	bool by_peers;	  /* the feed was asked first, not the inventory */
};

/* 0 or -ENOMEM. */
int end_memo_new(struct end_memo **ret);
void end_memo_free(struct end_memo **m);
/* True: `ret` is as when it was kept, its own texts in `t`. `m` NULL: false. */
bool end_memo_find(const struct end_memo *m, const struct end_memo_key *k, nsec_t start,
		   struct end_text *t, struct flow_end *ret);
/* `end` is right for every flow from `from` on; its texts are borrowed, or stand at the beginning
 * of `t`. One in the same place goes. `m` NULL, or a long text in `t`: nothing is kept. */
void end_memo_keep(struct end_memo *m, const struct end_memo_key *k, nsec_t from,
		   const struct end_text *t, const struct flow_end *end);
