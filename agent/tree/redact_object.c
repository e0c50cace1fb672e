/*
 * What an object is, as far as it decides what may be kept of it.
 */
#include "base/mem.h"
#include "tree/redact_parts.h"

/* Credentials of the cluster itself, and whole releases with all their values. */
static bool skipped_type(struct str type)
{
	static const struct str types[] = {
		STR("kubernetes.io/service-account-token"),
		STR("bootstrap.kubernetes.io/token"),
		STR("helm.sh/release.v1"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(type, types[i]))
			return true;
	return false;
}

/* Metadata alone has no type; then names tell, and what the token controller wrote. */
static bool skipped_metadata(const struct tree *meta, bool secret)
{
	static const struct str account = STR("kubernetes.io/service-account.name");
	struct str name = tree_text(tree_get(meta, "name"));

	if (str_starts(name, STR("sh.helm.release.v1.")))
		return true;
	if (!secret)
		return false;
	if (tree_get_str(tree_get(meta, "annotations"), account))
		return true;
	return str_starts(name, STR("bootstrap-token-")) &&
	       str_eq(tree_text(tree_get(meta, "namespace")), STR("kube-system"));
}

bool object_is_skipped(const struct tree *t, struct str kind)
{
	bool secret = str_eq(kind, STR("Secret"));

	/* Helm can keep its releases in ConfigMaps, too. */
	if (!secret && !str_eq(kind, STR("ConfigMap")))
		return false;
	return (secret && skipped_type(tree_text(tree_get(t, "type")))) ||
	       skipped_metadata(tree_get(t, "metadata"), secret);
}
