/*
 * TokenReviews and SubjectAccessReviews of the tokens that a test has made known
 * (/replay/reviewer). Strict: the second must bring along all that the first said of
 * the user, or nothing is allowed.
 */
#include "server.h"

#include "read.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS	 "/apis/authentication.k8s.io/v1/tokenreviews"
#define ACCESS	 "/apis/authorization.k8s.io/v1/subjectaccessreviews"
#define GROUP_OF "system:authenticated"
#define EXTRA	 "scrapers.example.com/why"

static struct reviewer *find(struct server *s, const char *token)
{
	for (size_t i = 0; i < s->n_reviewers; i++)
		if (strcmp(s->reviewers[i].token, token) == 0)
			return &s->reviewers[i];
	return NULL;
}

int reviews_command(struct conn *c)
{
	const char *token = api_param(&c->req, "token"), *user = api_param(&c->req, "user");
	struct server *s = c->srv;
	struct reviewer *r;

	if (!token || !user)
		return -EINVAL;
	r = find(s, token);
	if (!r) {
		s->reviewers = must_realloc(s->reviewers, s->n_reviewers + 1, sizeof(*r));
		r = &s->reviewers[s->n_reviewers++];
	}
	*r = (struct reviewer){.allow = api_param(&c->req, "allow") != NULL};
	snprintf(r->token, sizeof(r->token), "%s", token);
	snprintf(r->user, sizeof(r->user), "%s", user);
	return 0;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* A token that nobody has, or whose user was taken away. */
static json_t *token_status(struct server *s, const json_t *spec)
{
	const struct reviewer *r = find(s, text_of(spec, "token"));

	if (!r || !*r->user)
		return json_pack("{s:{}, s:s}", "user", "error", "invalid bearer token");
	return json_pack("{s:b, s:{s:s, s:s, s:[s], s:{s:[s]}}}", "authenticated", 1, "user",
			 "username", r->user, "uid", "u-1", "groups", GROUP_OF, "extra", EXTRA,
			 "because");
}

static bool is_whole(const json_t *spec)
{
	const json_t *group = json_array_get(json_object_get(spec, "groups"), 0);
	const json_t *why = json_object_get(json_object_get(spec, "extra"), EXTRA);

	return strcmp(text_of(spec, "uid"), "u-1") == 0 && json_is_string(group) &&
	       strcmp(json_string_value(group), GROUP_OF) == 0 && json_array_size(why) == 1;
}

static json_t *access_status(struct server *s, const json_t *spec)
{
	const json_t *what = json_object_get(spec, "nonResourceAttributes");
	bool allowed = false;

	for (size_t i = 0; i < s->n_reviewers; i++)
		allowed |= s->reviewers[i].allow && *s->reviewers[i].user &&
			   strcmp(s->reviewers[i].user, text_of(spec, "user")) == 0;
	allowed = allowed && is_whole(spec) && strcmp(text_of(what, "path"), "/metrics") == 0 &&
		  strcmp(text_of(what, "verb"), "get") == 0;
	return json_pack("{s:b}", "allowed", allowed);
}

static void refuse(struct conn *c)
{
	api_status(c,
		   &(struct status){.code = 400,
				    .reason = "BadRequest",
				    .message = "the body is no review of that kind"},
		   NULL);
}

static void give(struct conn *c, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);

	if (!text)
		abort();
	api_start(c, false);
	c->status = 201;
	resp_write(c, text, strlen(text));
	resp_end(c);
	free(text);
}

bool reviews_handle(struct conn *c)
{
	const bool token = strcmp(c->req.path, TOKENS) == 0;
	const char *kind = token ? "TokenReview" : "SubjectAccessReview";
	json_t *o, *spec;

	if (strcmp(c->req.method, "POST") != 0 || (!token && strcmp(c->req.path, ACCESS) != 0))
		return false;
	c->req.verb = token ? VERB_TOKEN_REVIEW : VERB_ACCESS_REVIEW;
	if (api_fault(c))
		return true;
	o = json_loadb(c->req.body.p ? c->req.body.p : "", c->req.body.n, 0, NULL);
	spec = json_object_get(o, "spec");
	if (strcmp(text_of(o, "kind"), kind) != 0 || !json_is_object(spec)) {
		refuse(c);
	} else {
		json_object_set_new(o, "status",
				    token ? token_status(c->srv, spec)
					  : access_status(c->srv, spec));
		give(c, o);
	}
	json_decref(o);
	return true;
}
