/*
 * What a running agent says of its data: objects that were left out, owners that
 * cannot be read, and its figures. A flood of bad objects costs a bounded number
 * of lines.
 */
#pragma once

#include "core/collect.h"
#include "core/core.h"
#include "flow/flows.h"
#include "sink/jsonl/jsonl.h"

struct agent_words {
	nsec_t window; /* when the running minute began */
	unsigned said, suppressed;
	nsec_t owner_at; /* the last word about an owner that cannot be read */
};

void words_bad_object(struct agent_words *w, const struct core_watch *watch, enum decode_bad why,
		      struct str name);
void words_object_refused(struct agent_words *w, const struct core_watch *watch, int r,
			  struct str name);
void words_owner_refused(struct agent_words *w, const char *text);
/* A kind of resource is not well, or well again. */
void words_resource(struct agent_words *w, const struct collect_kind *k, enum collect_state before);
void words_bad_resource(struct agent_words *w, const struct collect_kind *k, unsigned why,
			struct str name);
/* One line of figures: what was told, what was left out and why. */
void words_figures(struct core *c);
/* The same of flows: the ledger, and what has no name. */
void words_flows(const struct flows *f);
/* The same of the lines about them. */
void words_jsonl(const struct jsonl *j);
