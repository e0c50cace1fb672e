/* Request targets and Accept headers; see target.h. */
#include "kube/target.h"

#include <stdio.h>

#define PB    "application/vnd.kubernetes.protobuf"
#define JSON  "application/json"
#define AS(t) ";as=" t ";g=meta.k8s.io;v=v1"
#define ONE   AS("PartialObjectMetadata")
#define MANY  AS("PartialObjectMetadataList")

static bool unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

int target_escape(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		int r = unreserved(c) ? buf_append(b, &c, 1) : buf_printf(b, "%%%02X", c);

		if (r < 0)
			return r;
	}
	return 0;
}

int target_param(struct buf *b, const char *key, struct str value)
{
	struct str so_far = buf_str(b);
	bool first = so_far.n == 0 || !memchr(so_far.p, '?', so_far.n);
	int r = buf_printf(b, "%c%s=", first ? '?' : '&', key);

	return r < 0 ? r : target_escape(b, value);
}

const char *accept_header(struct accept_form f)
{
	if (!f.metadata_only)
		return f.protobuf ? PB "," JSON : JSON;
	if (f.list)
		return f.protobuf ? PB MANY "," JSON MANY : JSON MANY;
	return f.protobuf ? PB ONE "," JSON ONE : JSON ONE;
}

bool target_split(struct str path, struct target_parts *ret)
{
	struct target_parts t = {0};
	struct str rest, part;

	if (str_starts(path, STR("/api/"))) {
		rest = str_from(path, 5);
	} else if (str_starts(path, STR("/apis/"))) {
		rest = str_from(path, 6);
		str_split(&rest, '/', &t.group);
	} else {
		return false;
	}
	str_split(&rest, '/', &t.version);
	bool more = str_split(&rest, '/', &part);
	if (more && str_eq(part, STR("namespaces"))) {
		str_split(&rest, '/', &t.ns);
		str_split(&rest, '/', &part);
	}
	if (str_empty(part) || !str_empty(rest) || str_empty(t.version))
		return false;
	t.resource = part;
	*ret = t;
	return true;
}
