/* Reviews as JSON; see review_object.h. */
#include "kube/review_object.h"

#include "base/json_in.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Takes `o`, NULL when there was no memory for it. */
static int dump(struct buf *out, json_t *o)
{
	_json_ json_t *own = o;

	char *text = own ? json_dumps(own, JSON_COMPACT) : NULL;
	int r = text ? buf_append(out, text, strlen(text)) : -ENOMEM;

	if (text)
		explicit_bzero(text, strlen(text)); /* a token may be in it */
	free(text);
	return r;
}

/* The status of an answer of that kind: 0 or -EBADMSG. */
static int status_of(struct str json, const char *kind, json_t **ret_root, const json_t **ret)
{
	_json_ json_t *root = json_in_parse(json, 0);
	const char *said = json_string_value(json_object_get(root, "kind"));
	const json_t *status = json_object_get(root, "status");

	if (!said || strcmp(said, kind) != 0 || !json_is_object(status))
		return -EBADMSG;
	*ret = status;
	*ret_root = TAKE_PTR(root);
	return 0;
}

/* A member that is true; absent is false (omitempty), anything else is an error. */
static int flag_of(const json_t *o, const char *key, bool *ret)
{
	const json_t *v = json_object_get(o, key);

	if (v && !json_is_boolean(v))
		return -EBADMSG;
	*ret = json_is_true(v);
	return 0;
}

int review_token_put(struct buf *out, struct str token)
{
	return dump(out, json_pack("{s:s, s:s, s:{s:s%}}", "apiVersion", "authentication.k8s.io/v1",
				   "kind", "TokenReview", "spec", "token", token.p ? token.p : "",
				   token.n));
}

int review_token_take(struct str json, struct json_t **ret_user)
{
	_json_ json_t *root = NULL;
	const json_t *status = NULL;
	json_t *user;
	bool yes = false;
	int r = status_of(json, "TokenReview", &root, &status);

	if (r == 0)
		r = flag_of(status, "authenticated", &yes);
	if (r < 0)
		return r;
	user = yes ? json_object_get(status, "user") : NULL;
	if (yes && !json_is_string(json_object_get(user, "username")))
		return -EBADMSG;
	*ret_user = json_incref(user);
	return 0;
}

/* What of the user the other review calls by another name, or by the same. */
static int copy_user(json_t *spec, const json_t *user)
{
	static const char *const names[][2] = {
		{"username", "user"}, {"uid", "uid"}, {"groups", "groups"}, {"extra", "extra"}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		json_t *v = json_object_get(user, names[i][0]);

		if (v && json_object_set(spec, names[i][1], v) < 0)
			return -ENOMEM;
	}
	return 0;
}

int review_access_put(struct buf *out, const struct json_t *user, const char *path,
		      const char *verb)
{
	_json_ json_t *spec =
		json_pack("{s:{s:s, s:s}}", "nonResourceAttributes", "path", path, "verb", verb);

	if (!spec || copy_user(spec, user) < 0)
		return -ENOMEM;
	return dump(out, json_pack("{s:s, s:s, s:O}", "apiVersion", "authorization.k8s.io/v1",
				   "kind", "SubjectAccessReview", "spec", spec));
}

int review_access_take(struct str json, bool *ret_allowed)
{
	_json_ json_t *root = NULL;
	const json_t *status = NULL;
	bool allowed = false, denied = false;
	int r = status_of(json, "SubjectAccessReview", &root, &status);

	if (r == 0)
		r = flag_of(status, "allowed", &allowed);
	if (r == 0)
		r = flag_of(status, "denied", &denied);
	if (r == 0)
		*ret_allowed = allowed && !denied;
	return r;
}
