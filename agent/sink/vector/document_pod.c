/* What is said of pods, and of everything with a pod template: Deployments, Jobs, ... */
#include "sink/vector/document_text.h"

#include "base/mem.h"

const struct tree *document_pod_spec(const struct tree *object)
{
	static const char *const paths[] = {"spec.jobTemplate.spec.template.spec",
					    "spec.template.spec", "template.spec"};
	const struct tree *spec = tree_get(object, "spec");

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (tree_get(tree_at(object, paths[i]), "containers"))
			return tree_at(object, paths[i]);
	return tree_get(spec, "containers") && tree_get(spec, "containers")->type == TREE_ARRAY &&
			       tree_get(tree_get(spec, "containers")->first, "image")
		       ? spec
		       : NULL;
}

/* ---- containers ------------------------------------------------------------------------------ */

static void put_ports(struct prose *t, const struct tree *container)
{
	tree_each(p, tree_get(container, "ports"))
		PROSE_ITEM(t, STR("port"), tree_text_at(p, "name"),
			   tree_text_at(p, "containerPort"), tree_text_at(p, "protocol"));
}

/* Without the digest of "registry/repo:tag@digest": nobody asks for it. */
static void put_image(struct prose *t, struct str image)
{
	struct str name;

	(void)str_split(&image, '@', &name);
	PROSE_ITEM(t, STR("image"), prose_name(t, name));
}

static const struct tree *words_of(const struct tree *container)
{
	const struct tree *command = tree_get(container, "command");

	return command && command->n ? command : tree_get(container, "args");
}

static void put_container(struct prose *t, const struct tree *c, const char *label)
{
	const struct tree *command = words_of(c);

	prose_part(t, label);
	PROSE_ITEM(t, tree_text_at(c, "name"));
	put_image(t, tree_text_at(c, "image"));
	put_ports(t, c);
	if (command && command->first)
		PROSE_ITEM(t, STR("runs"), prose_value(tree_text(command->first)));
	PROSE_ITEM(t, tree_at(c, "resources.limits.memory") ? STR("memory limit") : STR(""),
		   tree_text_at(c, "resources.limits.memory"));
	tree_each(r, tree_at(c, "resources.limits")) if (!str_eq(r->key, STR("memory")) &&
							 !str_eq(r->key, STR("cpu")))
		PROSE_ITEM(t, STR("limit"), r->key, tree_text(r));
}

static void put_containers(struct prose *t, const struct tree *spec)
{
	tree_each(c, tree_get(spec, "containers")) put_container(t, c, "container");
	tree_each(c, tree_get(spec, "initContainers")) put_container(t, c, "init container");
	tree_each(c, tree_get(spec, "ephemeralContainers")) put_container(t, c, "debug container");
}

/* ---- environment ----------------------------------------------------------------------------- */

static void put_env_names(struct prose *t, const struct tree *containers)
{
	tree_each(c, containers) tree_each(e, tree_get(c, "env")) if (!tree_get(e, "valueFrom"))
		PROSE_ITEM(t, tree_text_at(e, "name"));
}

static void put_env_refs(struct prose *t, const struct tree *containers)
{
	tree_each(c, containers)
	{
		tree_each(e, tree_get(c, "env"))
		{
			const struct tree *from = tree_get(e, "valueFrom");

			if (tree_get(from, "secretKeyRef"))
				PROSE_ITEM(t, STR("secret"),
					   prose_name(t, tree_text_at(from, "secretKeyRef.name")),
					   STR("key"), tree_text_at(from, "secretKeyRef.key"),
					   STR("as"), tree_text_at(e, "name"));
			if (tree_get(from, "configMapKeyRef"))
				PROSE_ITEM(
					t, STR("config map"),
					prose_name(t, tree_text_at(from, "configMapKeyRef.name")),
					STR("key"), tree_text_at(from, "configMapKeyRef.key"),
					STR("as"), tree_text_at(e, "name"));
		}
		tree_each(e, tree_get(c, "envFrom"))
		{
			if (tree_get(e, "secretRef"))
				PROSE_ITEM(t, STR("secret"),
					   prose_name(t, tree_text_at(e, "secretRef.name")));
			if (tree_get(e, "configMapRef"))
				PROSE_ITEM(t, STR("config map"),
					   prose_name(t, tree_text_at(e, "configMapRef.name")));
		}
	}
}

static void put_env(struct prose *t, const struct tree *spec)
{
	prose_part(t, "uses in environment");
	put_env_refs(t, tree_get(spec, "containers"));
	put_env_refs(t, tree_get(spec, "initContainers"));
}

/* ---- volumes --------------------------------------------------------------------------------- */

/* Where the first container that has it mounts it. */
static struct str mount_path(const struct tree *spec, struct str volume)
{
	tree_each(c, tree_get(spec, "containers")) tree_each(
		m,
		tree_get(c, "volumeMounts")) if (str_eq(tree_text_at(m, "name"),
							volume)) return tree_text_at(m,
										     "mountPath");
	return (struct str){0};
}

/* What the kubelet adds to every pod says nothing of this one. */
static bool is_default_source(const struct tree *source)
{
	return tree_get(source, "serviceAccountToken") || tree_get(source, "downwardAPI") ||
	       str_eq(tree_text_at(source, "configMap.name"), STR("kube-root-ca.crt")) ||
	       str_eq(tree_text_at(source, "configMap.name"), STR("openshift-service-ca.crt"));
}

static void put_volume(struct prose *t, const struct tree *spec, const struct tree *v)
{
	struct str path = mount_path(spec, tree_text_at(v, "name"));
	struct str at = path.n ? STR("at") : STR("");

	if (tree_get(v, "secret"))
		PROSE_ITEM(t, STR("secret"), prose_name(t, tree_text_at(v, "secret.secretName")),
			   at, path);
	else if (tree_get(v, "configMap"))
		PROSE_ITEM(t, STR("config map"), prose_name(t, tree_text_at(v, "configMap.name")),
			   at, path);
	else if (tree_get(v, "persistentVolumeClaim"))
		PROSE_ITEM(t, STR("persistent volume claim"),
			   prose_name(t, tree_text_at(v, "persistentVolumeClaim.claimName")), at,
			   path);
	else if (tree_get(v, "hostPath"))
		PROSE_ITEM(t, STR("host path"), tree_text_at(v, "hostPath.path"));
	else if (tree_get(v, "nfs"))
		PROSE_ITEM(t, STR("nfs"), tree_text_at(v, "nfs.server"),
			   tree_text_at(v, "nfs.path"));
	else if (tree_get(v, "csi"))
		PROSE_ITEM(t, STR("csi"), tree_text_at(v, "csi.driver"), at, path);
	else if (tree_get(v, "ephemeral"))
		PROSE_ITEM(t, STR("ephemeral volume"), at, path);
	tree_each(s, tree_at(v, "projected.sources"))
	{
		if (is_default_source(s))
			continue;
		if (tree_get(s, "secret"))
			PROSE_ITEM(t, STR("secret"), prose_name(t, tree_text_at(s, "secret.name")),
				   at, path);
		if (tree_get(s, "configMap"))
			PROSE_ITEM(t, STR("config map"),
				   prose_name(t, tree_text_at(s, "configMap.name")), at, path);
	}
}

static void put_volumes(struct prose *t, const struct tree *object, const struct tree *spec)
{
	prose_part(t, "mounts");
	tree_each(v, tree_get(spec, "volumes")) put_volume(t, spec, v);
	tree_each(c, tree_at(object, "spec.volumeClaimTemplates"))
		PROSE_ITEM(t, STR("persistent volume claim"), tree_text_at(c, "metadata.name"),
			   tree_text_at(c, "spec.resources.requests.storage"),
			   tree_text_at(c, "spec.storageClassName"));
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void put_placement(struct prose *t, const struct tree *spec)
{
	struct str account = tree_text_at(spec, "serviceAccountName");

	prose_part(t, "service account");
	PROSE_ITEM(t, str_eq(account, STR("default")) ? STR("") : account);
	prose_part(t, "image pull secret");
	tree_each(s, tree_get(spec, "imagePullSecrets")) PROSE_ITEM(t, tree_text_at(s, "name"));
	prose_part(t, "node selector");
	document_pairs(t, tree_get(spec, "nodeSelector"));
	prose_part(t, "tolerates");
	tree_each(x, tree_get(spec, "tolerations")) if (!str_starts(tree_text_at(x, "key"),
								    STR("node.kubernetes.io/")))
		PROSE_ITEM(t, tree_text_at(x, "key"), tree_text_at(x, "value"));
	prose_part(t, "");
	PROSE_ITEM(t, tree_is_true(tree_get(spec, "hostNetwork")) ? STR("host network") : STR(""));
	PROSE_ITEM(t, tree_is_true(tree_get(spec, "hostPID")) ? STR("host pid") : STR(""));
	prose_part(t, "priority class");
	PROSE_ITEM(t, tree_text_at(spec, "priorityClassName"));
	prose_part(t, "runtime class");
	PROSE_ITEM(t, tree_text_at(spec, "runtimeClassName"));
}

static bool is_privileged(const struct tree *spec)
{
	tree_each(c, tree_get(spec, "containers")) if (
		tree_is_true(tree_at(c, "securityContext.privileged"))) return true;
	return false;
}

void document_pod(struct prose *t, const struct tree *object)
{
	const struct tree *spec = document_pod_spec(object);

	put_volumes(t, object, spec);
	put_env(t, spec);
	put_containers(t, spec);
	put_placement(t, spec);
	prose_part(t, "");
	PROSE_ITEM(t, is_privileged(spec) ? STR("privileged") : STR(""));
}

void document_variables(struct prose *t, const struct tree *object)
{
	const struct tree *spec = document_pod_spec(object);

	prose_part(t, "variables");
	put_env_names(t, tree_get(spec, "containers"));
	put_env_names(t, tree_get(spec, "initContainers"));
}

/* ---- status ---------------------------------------------------------------------------------- */

static struct str waiting_reason(const struct tree *statuses)
{
	tree_each(s, statuses)
	{
		struct str reason = tree_text_at(s, "state.waiting.reason");

		if (reason.n && !str_eq(reason, STR("ContainerCreating")) &&
		    !str_eq(reason, STR("PodInitializing")))
			return reason;
	}
	return (struct str){0};
}

struct str document_phase(const struct tree *object)
{
	struct str reason = waiting_reason(tree_at(object, "status.initContainerStatuses"));

	if (!reason.n)
		reason = waiting_reason(tree_at(object, "status.containerStatuses"));
	return reason.n ? reason : tree_text_at(object, "status.phase");
}

void document_status(struct prose *t, const struct tree *object)
{
	prose_part(t, "status");
	PROSE_ITEM(t, document_phase(object));
	PROSE_ITEM(t, tree_at(object, "status.readyReplicas") ? STR("ready replicas") : STR(""),
		   tree_text_at(object, "status.readyReplicas"));
	tree_each(c, tree_at(object, "status.conditions")) if (str_eq(tree_text_at(c, "status"),
								      STR("False")))
		PROSE_ITEM(t, STR("not"), tree_text_at(c, "type"), tree_text_at(c, "reason"));
}
