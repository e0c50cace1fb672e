/* See access_review.h. */
#include "kube/access_review.h"

#include "base/json_in.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "kube/redact.h"

#include <errno.h>

int access_review_body(const struct access_question *q, struct buf *ret)
{
	struct json_out j = {.out = ret};

	json_open(&j, NULL, '{');
	json_text(&j, "apiVersion", STR("authorization.k8s.io/v1"));
	json_text(&j, "kind", STR("SelfSubjectAccessReview"));
	json_open(&j, "spec", '{');
	json_open(&j, q->path.n ? "nonResourceAttributes" : "resourceAttributes", '{');
	json_some(&j, "path", q->path);
	json_text(&j, "verb", q->verb);
	json_some(&j, "namespace", q->ns);
	json_some(&j, "group", q->group);
	json_some(&j, "resource", q->resource);
	json_some(&j, "name", q->name);
	json_close(&j, '{');
	json_close(&j, '{');
	json_close(&j, '{');
	return j.r;
}

/* Why: the first of the two texts that says something. */
static void take_reason(const json_t *status, char *ret)
{
	const char *why = json_string_value(json_object_get(status, "reason"));

	if (!why || !*why)
		why = json_string_value(json_object_get(status, "evaluationError"));
	redact_text(ret, ACCESS_REVIEW_REASON, str_of(why));
}

int access_review_answer(struct str body, struct access_verdict *ret)
{
	_json_ json_t *o = json_in_parse(body, 0);
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const json_t *status = json_object_get(o, "status");
	const json_t *allowed = json_object_get(status, "allowed");

	if (!kind || strcmp(kind, "SelfSubjectAccessReview") != 0 || !json_is_boolean(allowed))
		return -EBADMSG;
	ret->allowed = json_is_true(allowed);
	take_reason(status, ret->reason);
	return 0;
}
