/*
 * Holds JSON to a JSON Schema (2020-12): the keywords that include/flow.schema.json
 * uses, strictly. A keyword it does not know fails the check, so that the schema cannot
 * grow past it.
 */
#pragma once

#include <jansson.h>
#include <regex.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct schema {
	json_t *root;
	char why[512]; /* the last thing that did not fit */
};

static inline bool schema_no(struct schema *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline bool schema_no(struct schema *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
	return false;
}

static inline bool schema_fits(struct schema *s, const json_t *rule, const json_t *v);

static inline bool schema_type(struct schema *s, const char *type, const json_t *v)
{
	if (strcmp(type, "object") == 0	   ? json_is_object(v)
	    : strcmp(type, "string") == 0  ? json_is_string(v)
	    : strcmp(type, "integer") == 0 ? json_is_integer(v)
					   : false)
		return true;
	return schema_no(s, "is no %s", type);
}

static inline bool schema_pattern(struct schema *s, const char *pattern, const json_t *v)
{
	regex_t re;
	bool ok;

	if (!json_is_string(v))
		return true;
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return schema_no(s, "bad pattern %s", pattern);
	ok = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
	regfree(&re);
	return ok || schema_no(s, "\"%s\" is not like %s", json_string_value(v), pattern);
}

static inline const json_t *schema_ref(struct schema *s, const char *ref)
{
	static const char prefix[] = "#/$defs/";

	if (strncmp(ref, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return json_object_get(json_object_get(s->root, "$defs"), ref + sizeof(prefix) - 1);
}

static inline bool schema_one_of(struct schema *s, const json_t *list, const json_t *v)
{
	char why[1024] = "";
	const json_t *rule;
	size_t i, n = 0;

	json_array_foreach(list, i, rule)
	{
		n += schema_fits(s, rule, v);
		(void)snprintf(why + strlen(why), sizeof(why) - strlen(why), "[%s]", s->why);
	}
	return n == 1 || schema_no(s, "fits %zu alternatives: %.400s", n, why);
}

static inline bool schema_members(struct schema *s, const json_t *rule, const json_t *v)
{
	const json_t *properties = json_object_get(rule, "properties"), *sub;
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)v, key, member)
	{
		sub = json_object_get(properties, key);
		if (!sub && json_is_false(json_object_get(rule, "additionalProperties")))
			return schema_no(s, "\"%s\" is not in the schema", key);
		if (sub && !schema_fits(s, sub, member)) {
			char why[400];

			(void)snprintf(why, sizeof(why), "%.399s", s->why);
			return schema_no(s, "%s: %s", key, why);
		}
	}
	return true;
}

static inline bool schema_condition(struct schema *s, const json_t *rule, const json_t *v)
{
	const json_t *cond = json_object_get(rule, "if");
	const json_t *then = json_object_get(rule, "then"), *other = json_object_get(rule, "else");

	if (!cond)
		return true;
	if (schema_fits(s, cond, v))
		return !then || schema_fits(s, then, v);
	return !other || schema_fits(s, other, v);
}

static inline bool schema_has(const json_t *list, const json_t *v)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (json_equal(item, v)) return true;
	return false;
}

static inline bool schema_required(struct schema *s, const json_t *list, const json_t *v)
{
	const json_t *item;
	size_t i;

	json_array_foreach(
		list, i,
		item) if (json_is_object(v) &&
			  !json_object_get(
				  v, json_string_value(
					     item))) return schema_no(s, "\"%s\" is missing",
								      json_string_value(item));
	return true;
}

static inline bool schema_keyword(struct schema *s, const json_t *rule, const char *key,
				  const json_t *arg, const json_t *v)
{
	static const char *const words[] = {"$schema", "$id",  "title",	     "description",
					    "$defs",   "then", "properties", "additionalProperties",
					    "else"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(key, words[i]) == 0)
			return true; /* words only, or read with another keyword */
	if (strcmp(key, "$ref") == 0) {
		const json_t *to = schema_ref(s, json_string_value(arg));

		return to ? schema_fits(s, to, v) : schema_no(s, "no such $ref");
	}
	if (strcmp(key, "type") == 0)
		return schema_type(s, json_string_value(arg), v);
	if (strcmp(key, "enum") == 0)
		return schema_has(arg, v) || schema_no(s, "is none of the enum");
	if (strcmp(key, "const") == 0)
		return json_equal(arg, v) || schema_no(s, "is not the constant");
	if (strcmp(key, "required") == 0)
		return schema_required(s, arg, v);
	if (strcmp(key, "oneOf") == 0)
		return schema_one_of(s, arg, v);
	if (strcmp(key, "not") == 0)
		return !schema_fits(s, arg, v) || schema_no(s, "fits what it must not");
	if (strcmp(key, "if") == 0)
		return schema_condition(s, rule, v);
	if (strcmp(key, "pattern") == 0)
		return schema_pattern(s, json_string_value(arg), v);
	if (strcmp(key, "minimum") == 0)
		return json_integer_value(v) >= json_integer_value(arg) ||
		       schema_no(s, "too small");
	if (strcmp(key, "maximum") == 0)
		return json_integer_value(v) <= json_integer_value(arg) ||
		       schema_no(s, "too large");
	if (strcmp(key, "minLength") == 0)
		return (json_int_t)json_string_length(v) >= json_integer_value(arg) ||
		       schema_no(s, "too short");
	return schema_no(s, "the schema's keyword \"%s\" is not known to this checker", key);
}

static inline bool schema_fits(struct schema *s, const json_t *rule, const json_t *v)
{
	const char *key;
	json_t *arg;

	json_object_foreach((json_t *)(uintptr_t)rule, key,
			    arg) if (!schema_keyword(s, rule, key, arg, v)) return false;
	return !json_is_object(v) || schema_members(s, rule, v);
}

/* include/flow.schema.json, wherever the test was started: the source's folder is known. */
static inline bool schema_load(struct schema *s)
{
	const char *here = __FILE__;
	const char *tests = strstr(here, "tests/unit/");
	char path[512];

	(void)snprintf(path, sizeof(path), "%.*sinclude/flow.schema.json",
		       tests ? (int)(tests - here) : 0, here);
	s->root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	return s->root != NULL;
}

/* One line against it; `why` says what does not fit. */
static inline bool schema_line(struct schema *s, const char *p, size_t n)
{
	json_error_t e;
	json_t *v = json_loadb(p, n, JSON_REJECT_DUPLICATES, &e);
	bool ok;

	if (!v)
		return schema_no(s, "no JSON: %.100s", e.text);
	ok = schema_fits(s, s->root, v);
	json_decref(v);
	return ok;
}
