/*
 * The head of an HTTP/1 request, taken apart (RFC 9112). Pure: bytes in, views out.
 *
 * What is strict here is what has let others be fooled: a header line that is folded,
 * has no colon or a blank before it, a second Host, Origin or Authorization, and
 * lengths that contradict each other are refused, not guessed at.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>

/* Which listener a request came by, and so what it may ask. */
enum web_place {
	WEB_LOCAL,  /* the unix socket: everything */
	WEB_DATA,   /* the data API's address: the same */
	WEB_PROBE,  /* metrics and health */
	WEB_RESYNC, /* k8s-vectordb-sync's resync API */
	_WEB_PLACE_MAX,
};

struct web_request { /* views into the head */
	struct str path;
	struct str query; /* behind '?', still encoded */
	bool head;	  /* HEAD: the answer's body is left out */
	bool post;	  /* POST: something is to be done */
	bool body;	  /* something follows the head; it is not read */
	/* Values of headers; empty when they are not there. */
	struct str host, origin, authorization, content_type;
	enum web_place place; /* set by the server */
};

/*
 * `head` ends with the empty line. 0; or the status to refuse it with (400, 405, 505)
 * and why in ret_words (static), and `ret` is untouched.
 */
int request_parse(struct str head, struct web_request *ret, const char **ret_words);
