/*
 * Parts of the redaction: what names say (redact_names.c), what stands in a text
 * (redact_text.c, redact_entropy.c), what an object is (redact_object.c), and the
 * walk over all of it (redact.c).
 */
#pragma once

#include "tree/redact.h"

#define REDACT_MASK	 STR("[redacted]")
#define REDACT_MAX_SPANS 64 /* in one text; with more of them the whole text goes */

struct redact {
	bool config_map_values, env_values;
	struct path **drop;
	uint32_t n_drop;
	struct str *prefixes;
	uint32_t n_prefixes;
	struct arena own; /* texts of the options */
	uint64_t counts[_REDACT_FOUND_MAX];
};

/* ---- names ---- */

/* How a name speaks of its value. */
enum name_says {
	NAME_HARMLESS,
	NAME_VAGUE,  /* "token", "clientSecret": the secret itself, or what it is called */
	NAME_SECRET, /* "password", "apiKey" */
};
/* By the last word of a name: "dbPassword", "--api-key", "PGPASSWORD"; not "password-file". */
enum name_says name_says(struct str name);
/* "DATABASE_URL", "AUTH_MODE": the broad list for names of environment variables. */
bool name_is_sensitive(struct str name);
/* "$(PASSWORD)", "${PASSWORD}", "{{ .password }}", "true": a value that gives nothing away. */
bool value_is_reference(struct str value);
/* "payments-db", "/etc/tls/key.pem": what something is called, or where it is. */
bool value_is_name(struct str value);
bool value_is_path(struct str value);

/* ---- texts ---- */

struct span {
	size_t from, to;
};
struct search {
	struct str s;
	struct span spans[REDACT_MAX_SPANS]; /* sorted, apart */
	uint32_t n;
	bool all;	/* there are too many */
	size_t next_at; /* of the first '@' from where it was looked for last; n: there is none */
	uint64_t *counts;
};
/* Whether a run of token characters is random enough to be a key. */
bool entropy_is_high(struct str run);
/* Finds what must go. */
void text_search(struct search *s);
/* A flag whose value is the next word: "--password". */
bool text_is_flag(struct str word);

/* ---- objects ---- */

/* "bootstrap-token-abcdef" and the like: nothing of the object is kept. */
bool object_is_skipped(const struct tree *t, struct str kind);
