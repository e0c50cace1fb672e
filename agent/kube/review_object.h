/*
 * TokenReview and SubjectAccessReview as JSON: what is asked, and what the answer says.
 * Pure. An answer that is not understood is an error, never a yes.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

struct json_t;

#define REVIEW_TOKENS "/apis/authentication.k8s.io/v1/tokenreviews"
#define REVIEW_ACCESS "/apis/authorization.k8s.io/v1/subjectaccessreviews"

/* Who has this token? 0, -EMSGSIZE or -ENOMEM. */
int review_token_put(struct buf *out, struct str token);
/* 0 and the user (json_decref; NULL: nobody has it), or -EBADMSG. */
int review_token_take(struct str json, struct json_t **ret_user);
/* May that user do `verb` with the path, which is none of a resource? As above. */
int review_access_put(struct buf *out, const struct json_t *user, const char *path,
		      const char *verb);
/* 0, or -EBADMSG. */
int review_access_take(struct str json, bool *ret_allowed);
