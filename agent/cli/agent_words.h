/*
 * What a running agent says of its data: objects that were left out, owners that
 * cannot be read, and its figures. A flood of bad objects costs a bounded number
 * of lines.
 */
#pragma once

#include "core/core.h"

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
/* One line of figures: what was told, what was left out and why. */
void words_figures(struct core *c);
