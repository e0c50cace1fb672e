/*
 * "May I?", asked of the API server: a SelfSubjectAccessReview and its answer, as bytes.
 * Everybody who is logged in may ask. Pure.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

#define ACCESS_REVIEW_TARGET "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" /* POST */
#define ACCESS_REVIEW_MAX    (64U << 10) /* bytes of an answer */
#define ACCESS_REVIEW_REASON 256	 /* bytes of a reason, cut */

struct access_question {
	struct str verb;
	struct str group, resource; /* "*": all */
	struct str ns, name;	    /* empty: every one */
	struct str path;	    /* a URL that is no resource; then the four above are empty */
};

struct access_verdict {
	bool allowed;
	char reason[ACCESS_REVIEW_REASON]; /* for people; may be empty */
};

/* 0, -EMSGSIZE or -ENOMEM. */
int access_review_body(const struct access_question *q, struct buf *ret);
/* 0, -EBADMSG (not such an answer) or -ENOMEM. */
int access_review_answer(struct str body, struct access_verdict *ret);
