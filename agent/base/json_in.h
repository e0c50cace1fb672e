/* Small helps for reading what others have said in JSON, with jansson. */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <jansson.h>

static inline void json_in_done(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}
#define _json_ _cleanup_(json_in_done)

/* NULL: that is no JSON. `flags` as json_loadb. */
static inline json_t *json_in_parse(struct str text, size_t flags)
{
	return text.n ? json_loadb(text.p, text.n, flags, NULL) : NULL;
}

/* A text's bytes, borrowed; empty for anything else. */
static inline struct str json_in_text(const json_t *j)
{
	return json_is_string(j) ? str_make(json_string_value(j), json_string_length(j))
				 : (struct str){0};
}

static inline struct str json_in_member(const json_t *object, const char *key)
{
	return json_in_text(json_object_get(object, key));
}

/* A member's member and so on, keys up to NULL; NULL when one is not there. */
static inline json_t *json_in_path(json_t *j, const char *const *keys)
{
	for (; j && *keys; keys++)
		j = json_object_get(j, *keys);
	return j;
}
#define json_in_at(j, ...) json_in_path((j), (const char *const[]){__VA_ARGS__, NULL})
