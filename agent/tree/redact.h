/*
 * The one place where secrets leave an object: right after it was parsed, before
 * anybody stores, hashes, embeds, draws or logs it. Whatever passed is what the
 * rest of the agent knows of the object.
 *
 * Rules: Secrets keep names, type and key names, never values; ConfigMaps keep keys
 * (values by option, then searched); literal values of environment variables go;
 * managedFields, selfLink, last-applied and other noisy annotations go; every other
 * string is searched for URL userinfo, bearer and basic credentials, PEM blocks,
 * JWTs, cloud and forge keys, password flags, and long texts of high entropy
 * (image digests, git SHAs and UUIDs excepted). What is found becomes "[redacted]".
 */
#pragma once

#include "tree/path.h"
#include "tree/tree.h"

struct redact;

struct redact_opts {
	bool config_map_values;		 /* keep values of ConfigMaps, searched */
	bool env_values;		 /* keep literal values whose name is harmless, searched */
	const struct str *drop;		 /* JSONPath expressions taken out of every object */
	uint32_t n_drop;		 /* besides managedFields and last-applied */
	const struct str *drop_prefixes; /* annotations' prefixes; NULL: redact_drop_prefixes */
	uint32_t n_drop_prefixes;
};
extern const struct str redact_drop_prefixes[]; /* those of vector-contracts' S2, NULL-ended */

enum redact_found {
	REDACT_SECRET_VALUE,
	REDACT_CONFIG_VALUE,
	REDACT_ENV_VALUE,
	REDACT_NAMED_VALUE, /* of a member called "password", "apiKey", ... */
	REDACT_URL_USERINFO,
	REDACT_AUTHORIZATION,
	REDACT_PEM,
	REDACT_JWT,
	REDACT_PROVIDER_KEY,
	REDACT_FLAG,
	REDACT_ENTROPY,
	_REDACT_FOUND_MAX,
};
const char *redact_found_name(enum redact_found f); /* "secret_value", for metrics */

enum redact_verdict {
	REDACT_KEEP,
	REDACT_SKIP, /* not to be kept at all: helm releases, bootstrap and service account tokens
		      */
};

/* 0, -ENOMEM, or -EINVAL with words (a bad expression) in ret_error. Options are copied. */
int redact_new(const struct redact_opts *o, struct redact **ret, struct buf *ret_error);
void redact_free(struct redact **r);

/* Changes the tree in place; new texts live in the arena. `kind` and `api_version` as the resource
 * says, for items of lists carry neither: they are written into the tree where they lack. 0 with
 * ret, or -ENOMEM (then nothing of the object may be used). */
int redact_object(struct redact *r, struct arena *a, struct tree *t, struct str api_version,
		  struct str kind, enum redact_verdict *ret);
/* The same search in a text that comes from elsewhere (an error message of a server). *ret is the
 * text itself when nothing was found, else it lives in the arena. 0 or -ENOMEM. */
int redact_string(struct redact *r, struct arena *a, struct str text, struct str *ret);
uint64_t redact_count(const struct redact *r, enum redact_found f);
