/*
 * How people ask what is connected with what. A question is taken apart by two tables of words:
 * which edges of the graph (../graph/README.md) a verb means, and which kinds a noun. What is left
 * names the thing. No question is known here, and none is demanded to be well-formed. Pure.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define ASKED_TEXT 512 /* bytes of a question's words; what is over it is left out */
#define ASKED_KIND 64

struct asked {
	uint32_t edges; /* 0: nobody asks for a connection; else see asked_edge */
	bool verb;    /* said by a verb; else by a noun or preposition, of which less is believed */
	bool out;     /* what the thing needs is asked for, and not who needs it */
	bool mounted; /* mounts, and not any other use */
	bool image;   /* the thing is an image */
	uint64_t kinds;		/* of what is asked for; 0: any. See asked_kind */
	char kind[ASKED_KIND];	/* it may be of a kind of this name, which the table has not; or ""
				 */
	uint64_t told;		/* kinds that the thing is said to have */
	char rest[ASKED_TEXT];	/* words about the thing, as they stood */
	char names[ASKED_TEXT]; /* those that say no kind: they name it */
};

/* Whether it is a question for a connection. */
bool asked_read(struct str question, struct asked *ret);
/* Whether an edge of this type ("USES_SECRET") is asked for. */
bool asked_edge(const struct asked *q, struct str type);
/* Whether `kind` ("CronJob") is among `kinds`. */
bool asked_kind(uint64_t kinds, struct str kind);
/* Whether these words are what a kind is called: "kafka topics" for KafkaTopic. */
bool asked_is_called(const char *words, struct str kind);
/* Whether the words say one of `text`, in whatever form. */
bool asked_says(struct str words, struct str one);
