/*
 * Request targets and Accept headers of the Kubernetes API, and the words for a
 * resource in messages. Pure text.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

/* Appends s percent-encoded: only the unreserved characters of RFC 3986 section 2.3 stay. */
int target_escape(struct buf *b, struct str s);
/* Appends "?key=value" or "&key=value" (the first one by the absence of '?'); value is escaped. */
int target_param(struct buf *b, const char *key, struct str value);

/* What may be asked for, from best to plainest. */
struct accept_form {
	bool metadata_only; /* as=PartialObjectMetadata */
	bool list;     /* the List form of it: LIST answers, neither watches nor single objects */
	bool protobuf; /* first choice; JSON is always the second */
};
/* A static string. */
const char *accept_header(struct accept_form f);

/* "/apis/apps/v1/namespaces/shop/replicasets" -> resource "replicasets", group "apps", ns "shop".
 * Views into `path`; false when it is no path of a collection. */
struct target_parts {
	struct str group, version, ns, resource;
};
bool target_split(struct str path, struct target_parts *ret);
