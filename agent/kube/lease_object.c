#include "kube/lease_object.h"

#include "base/json_in.h"

#include <errno.h>
#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

static int take_text(const json_t *o, const char *key, char *ret, size_t max)
{
	const json_t *v = json_object_get(o, key);
	const size_t n = json_string_length(v);

	ret[0] = '\0';
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || memchr(json_string_value(v), 0, n))
		return -EBADMSG;
	if (n >= max)
		return -EMSGSIZE;
	memcpy(ret, json_string_value(v), n + 1);
	return 0;
}

static int take_number(const json_t *o, const char *key, uint32_t *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = 0;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)json_integer_value(v);
	return 0;
}

static int take_record(const json_t *o, struct lease_record *r)
{
	const json_t *spec = json_object_get(o, "spec");
	int e = take_text(json_object_get(o, "metadata"), "resourceVersion", r->version,
			  sizeof(r->version));

	if (e == 0 && !r->version[0])
		e = -EBADMSG;
	if (e == 0)
		e = take_text(spec, "holderIdentity", r->holder, sizeof(r->holder));
	if (e == 0)
		e = take_text(spec, "acquireTime", r->acquired, sizeof(r->acquired));
	if (e == 0)
		e = take_text(spec, "renewTime", r->renewed, sizeof(r->renewed));
	if (e == 0)
		e = take_number(spec, "leaseDurationSeconds", &r->duration_s);
	return e < 0 ? e : take_number(spec, "leaseTransitions", &r->transitions);
}

int lease_object_read(struct str json, struct lease_record *ret, struct json_t **ret_object)
{
	_json_ json_t *o = json_in_parse(json, 0);
	const char *kind = json_string_value(json_object_get(o, "kind"));
	struct lease_record r = {0};
	int e;

	if (!kind || strcmp(kind, "Lease") != 0)
		return -EBADMSG;
	e = take_record(o, &r);
	if (e < 0)
		return e;
	*ret = r;
	*ret_object = TAKE_PTR(o);
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *new_object(const char *ns, const char *name)
{
	return json_pack("{s:s, s:s, s:{s:s, s:s}, s:{}}", "apiVersion", "coordination.k8s.io/v1",
			 "kind", "Lease", "metadata", "namespace", ns, "name", name, "spec");
}

/* A text that is empty is not known: the field is left out, the holder is not. */
static int set_text(json_t *o, const char *key, const char *value)
{
	if (!value[0])
		return json_object_get(o, key) ? json_object_del(o, key) : 0;
	return json_object_set_new(o, key, json_string(value));
}

static int set_record(json_t *o, const struct lease_record *r)
{
	json_t *spec = json_object_get(o, "spec");
	int e = set_text(json_object_get(o, "metadata"), "resourceVersion", r->version);

	if (!json_is_object(spec)) {
		spec = json_object();
		e |= json_object_set_new(o, "spec", spec);
	}
	e |= json_object_set_new(spec, "holderIdentity", json_string(r->holder));
	e |= set_text(spec, "acquireTime", r->acquired);
	e |= set_text(spec, "renewTime", r->renewed);
	e |= json_object_set_new(spec, "leaseDurationSeconds", json_integer(r->duration_s));
	e |= json_object_set_new(spec, "leaseTransitions", json_integer(r->transitions));
	return e ? -ENOMEM : 0;
}

int lease_object_write(const struct json_t *object, const char *ns, const char *name,
		       const struct lease_record *r, char **ret)
{
	_json_ json_t *o = object ? json_deep_copy(object) : new_object(ns, name);
	char *text;

	if (!o || set_record(o, r) < 0)
		return -ENOMEM;
	text = json_dumps(o, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}
