/*
 * Leases, the one thing that agents write: POST and PUT, with the API server's rules of
 * resourceVersion. Each try is remembered with its time and holder, for /replay/state.
 * Every other write is refused, and counted with the requests.
 */
#include "server.h"

#include "read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define COLLECTION "/apis/coordination.k8s.io/v1/namespaces/"
#define GROUP	   "coordination.k8s.io"
#define PLURAL	   "leases"

static void remember(struct conn *c, const char *holder, int status)
{
	struct server *s = c->srv;
	struct lease_try *t;

	s->tries = must_realloc(s->tries, s->n_tries + 1, sizeof(*s->tries));
	t = &s->tries[s->n_tries++];
	*t = (struct lease_try){.at = clock_mono(), .status = status, .rv = s->rv};
	snprintf(t->holder, sizeof(t->holder), "%s", holder);
}

json_t *leases_json(const struct server *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->n_tries; i++) {
		const struct lease_try *t = &s->tries[i];

		json_array_append_new(all, json_pack("{s:I, s:s, s:i, s:I}", "ms",
						     (json_int_t)(t->at / NSEC_PER_MSEC), "holder",
						     t->holder, "status", t->status, "rv",
						     (json_int_t)t->rv));
	}
	return all;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

static int refuse(struct conn *c, int code, const char *reason, const char *name, const char *text)
{
	api_status(c,
		   &(struct status){.code = code,
				    .reason = reason,
				    .message = text,
				    .name = name,
				    .group = GROUP,
				    .kind = PLURAL},
		   NULL);
	return code;
}

static int conflict(struct conn *c, const char *name)
{
	char text[400];

	snprintf(text, sizeof(text),
		 "Operation cannot be fulfilled on " PLURAL "." GROUP
		 " \"%s\": the object has been modified; please apply your changes to the latest "
		 "version and try again",
		 name);
	return refuse(c, 409, "Conflict", name, text);
}

static int exists(struct conn *c, const char *name)
{
	char text[400];

	snprintf(text, sizeof(text), PLURAL "." GROUP " \"%s\" already exists", name);
	return refuse(c, 409, "AlreadyExists", name, text);
}

static int no_version(struct conn *c, const char *name)
{
	char text[400];

	snprintf(text, sizeof(text),
		 PLURAL "." GROUP " \"%s\" is invalid: metadata.resourceVersion: Invalid value: "
			"0x0: must be specified for an update",
		 name);
	return refuse(c, 422, "Invalid", name, text);
}

/* Written: the answer is the object as it is now. A fault may keep or cut the answer. */
static int store(struct conn *c, json_t *o, int code)
{
	const bool made = c->srv->made; /* discovery does not change by a Lease */
	char why[800] = "", *text;
	int r;

	r = objects_apply(c->srv, o, why, sizeof(why));
	c->srv->made = made;
	if (r < 0)
		return refuse(c, 400, "BadRequest", NULL, why);
	text = json_dumps(o, JSON_COMPACT);
	if (!text)
		abort();
	c->req.verb = VERB_WRITTEN;
	if (!api_fault(c)) {
		api_start(c, false);
		c->status = code;
		resp_write(c, text, strlen(text));
		resp_end(c);
	}
	free(text);
	return code;
}

/* 0 when the body is a Lease of that place and name; a new one has its name in the body alone. */
static int check(struct conn *c, json_t *o, struct str ns, struct str name)
{
	json_t *meta = json_object_get(o, "metadata");
	const char *said = text_of(meta, "namespace");

	if (strcmp(text_of(o, "kind"), "Lease") != 0 || !*text_of(meta, "name"))
		return refuse(c, 400, "BadRequest", NULL, "the body is no Lease with a name");
	if ((*said && !str_eq(str_of(said), ns)) ||
	    (name.n && !str_eq(str_of(text_of(meta, "name")), name)))
		return refuse(c, 400, "BadRequest", NULL, "the body is of another place or name");
	json_object_set_new(meta, "namespace", json_stringn(ns.p, ns.n));
	return 0;
}

static int write_lease(struct conn *c, json_t *o, struct str ns, struct str name)
{
	json_t *meta = json_object_get(o, "metadata");
	const char *version = text_of(meta, "resourceVersion");
	const struct version *v = NULL;
	char now[24] = "";
	int r = check(c, o, ns, name);

	if (r)
		return r;
	if (c->req.kind != _KIND_MAX)
		v = recorded_get(kind_data(&c->srv->store, c->req.kind), ns,
				 str_of(text_of(meta, "name")));
	if (!name.n)
		return v ? exists(c, text_of(meta, "name")) : store(c, o, 201);
	if (!*version)
		return no_version(c, text_of(meta, "name"));
	if (!v) /* a Lease may be made by PUT */
		return store(c, o, 201);
	snprintf(now, sizeof(now), "%llu", (unsigned long long)v->rv);
	return strcmp(version, now) == 0 ? store(c, o, 200) : conflict(c, text_of(meta, "name"));
}

/* COLLECTION NS/leases, with /NAME for PUT. */
static bool parse_path(const struct conn *c, struct str *ns, struct str *name)
{
	struct str rest = str_of(c->req.path), plural;
	const bool put = strcmp(c->req.method, "PUT") == 0;

	if (!str_starts(rest, STR(COLLECTION)))
		return false;
	rest = str_from(rest, strlen(COLLECTION));
	str_split(&rest, '/', ns);
	str_split(&rest, '/', &plural);
	*name = rest;
	return str_eq(plural, STR(PLURAL)) && ns->n && (rest.n > 0) == put &&
	       (put || strcmp(c->req.method, "POST") == 0);
}

bool leases_handle(struct conn *c)
{
	struct str ns, name;
	json_t *o;
	int status;

	if (!parse_path(c, &ns, &name))
		return false;
	c->req.verb = VERB_WRITE;
	c->req.kind = kinds_find(c->srv, GROUP "/v1", "Lease");
	if (api_fault(c))
		return true;
	o = json_loadb(c->req.body.p ? c->req.body.p : "", c->req.body.n, 0, NULL);
	status = write_lease(c, o, ns, name);
	remember(c, text_of(json_object_get(o, "spec"), "holderIdentity"), status);
	json_decref(o);
	return true;
}
