/*
 * A Lease as the API server writes it (coordination.k8s.io/v1, JSON), and back. What
 * others have put into the object, labels and fields that are not known here, stays
 * as it is when it is written again. Pure.
 */
#pragma once

#include "base/str.h"
#include "kube/lease.h"

struct json_t;

/* 0 with the record and the object, which is the caller's (json_decref); -EBADMSG: it is none;
 * -EMSGSIZE: a text in it is too long; -ENOMEM. A spec or field that is not there reads as empty.
 */
int lease_object_read(struct str json, struct lease_record *ret, struct json_t **ret_object);
/* The object with this record in it; NULL: a new one of that namespace and name. The text is the
 * caller's (free): 0 or -ENOMEM. */
int lease_object_write(const struct json_t *object, const char *ns, const char *name,
		       const struct lease_record *r, char **ret);
