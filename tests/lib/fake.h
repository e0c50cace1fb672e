/*
 * A stand-in for a service, of tests/fake: started as a process, told to fail, and
 * asked what it has seen. What cannot be done ends the test program.
 */
#pragma once

#include "base/str.h"
#include "http/http.h"
#include "tests/lib/proc.h"

#include <jansson.h>
#include <stdbool.h>

struct fake {
	struct event_base *base;
	struct http *http;
	struct proc proc;
	char folder[64]; /* of its own, removed by fake_stop */
	unsigned port;
	const char *host; /* "127.0.0.1", "[::1]" */
	bool tls;
};

struct fake_opts {
	const char *script;	 /* "qdrant.py" */
	const char *const *args; /* NULL-ended; may be NULL */
	const char *host;	 /* NULL: 127.0.0.1; "::1" */
	const char *cert, *key;	 /* PEM texts; NULL: no TLS */
};

/* Whether stand-ins can be run; says why not in the words the test runner looks for. */
bool fake_possible(void);
/* `base` and `http` are borrowed, for the control requests. */
void fake_start(struct fake *f, struct event_base *base, struct http *http,
		const struct fake_opts *o);
void fake_stop(struct fake *f);
/* "http://127.0.0.1:1234" and `path`, into ret. */
const char *fake_url(const struct fake *f, const char *path, char *ret, size_t n);

/* Control requests; see fake.py. The answer is the caller's. */
json_t *fake_ask(struct fake *f, const char *method, const char *path, const char *body);
void fake_tell(struct fake *f, const char *path, const char *body);
/* {"status": 503} and so on: for the next request, unless it says otherwise. */
void fake_fault(struct fake *f, const char *fault);
/* Turns the loop until requests have taken all faults: whoever is not answered has asked. */
void fake_wait_taken(struct fake *f);
/* Prints and counts what the client did that it must not do. */
unsigned fake_complaints(struct fake *f);
/* Requests since the last clear. */
unsigned fake_requests(struct fake *f);
