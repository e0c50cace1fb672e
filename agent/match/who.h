/*
 * Who had an address at a time, from all that is known of claims on it: one, or
 * nobody, or it cannot be said. What may be concluded is drawn in end.h. Pure.
 */
#pragma once

#include "inventory/inventory.h"
#include "model/flow.h"

#define WHO_MAX_CLAIMS 64 /* on one address, lingering ones included; with more it is ambiguous */

struct who {
	nsec_t settle;	    /* what is told is late by so much at most */
	nsec_t doubt;	    /* and all times of the claims may be earlier by so much */
	nsec_t since;	    /* who had it before is known only of one alone that had it for long */
	nsec_t listed_at;   /* when a list ended last */
	nsec_t wall_offset; /* wall clock - monotonic; 0: not known */
};
/* The id of the one that had it at `start`; 0 with UNKNOWN_NONE: nobody, as far as is known.
 * `flags`: enum end_flag. `n` may be more than WHO_MAX_CLAIMS; so many are there. */
uint32_t who_had(const struct who *w, const struct inv_claim *c, uint32_t n, nsec_t start,
		 unsigned int flags, enum unknown_reason *ret_why);
/* One alone has it, and so do all flows from that time on find it, until something is told: as
 * who_had says, too. NSEC_NEVER: it is not so simple. */
nsec_t who_settled(const struct who *w, const struct inv_claim *c, uint32_t n);
