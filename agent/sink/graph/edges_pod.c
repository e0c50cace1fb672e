/*
 * Pods have parts with edges of their own: containers and volumes. Images of
 * containers that run are known by their digest.
 */
#include "base/json_out.h"
#include "base/mem.h"
#include "sink/graph/edges_parts.h"

#include <errno.h>
#include <stdio.h>

#define MAX_PROPS     4096	    /* bytes; with more of them a node or an edge has none */
#define MAX_CONTAINER (512UL << 10) /* all that container_props can make */

static struct graph_ref part(struct maker *m, const char *kind, struct str name)
{
	struct graph_ref r = {.kind = str_of(kind), .ns = m->self.ns};
	size_t n = m->self.name.n + 1 + name.n;
	char *p;

	if (!name.n || m->r < 0)
		return r; /* an edge to it is none */
	p = arena_alloc(m->a, n);
	if (!p) {
		m->r = -ENOMEM;
		return r;
	}
	memcpy(p, m->self.name.p, m->self.name.n);
	p[m->self.name.n] = '/';
	memcpy(p + m->self.name.n + 1, name.p, name.n);
	r.name = str_make(p, n);
	return r;
}

static void end_props(struct maker *m, struct json_out *j)
{
	json_close(j, '{');
	if (j->r == -EMSGSIZE) {
		buf_reset(j->out);
		j->r = buf_append_str(j->out, STR("{}"));
	}
	if (j->r < 0 && m->r == 0)
		m->r = j->r;
}

/* The name of an image as it is kept: nothing left out, so that one image has one name. */
static int put_image(struct buf *b, const struct image_name *n)
{
	bool official = str_eq(n->registry, STR("docker.io")) &&
			!(n->repository.n && memchr(n->repository.p, '/', n->repository.n));

	return buf_printf(b, "%.*s/%s%.*s%s%.*s%s%.*s", STR_ARG(n->registry),
			  official ? "library/" : "", STR_ARG(n->repository), n->tag.n ? ":" : "",
			  STR_ARG(n->tag), n->digest.n ? "@" : "", STR_ARG(n->digest));
}

void make_image(struct maker *m, const struct graph_ref *from, struct str text, struct str digest)
{
	struct image_name n = image_parse(text);
	struct graph_ref image = {.kind = STR("Image")};
	_buf_ struct buf name, props;
	struct json_out j = {.out = &props};

	buf_init(&name, MAX_PROPS);
	buf_init(&props, MAX_PROPS);
	if (!text.n || m->r < 0)
		return;
	if (digest.n)
		n.digest = digest;
	if (put_image(&name, &n) < 0)
		return; /* longer than any name can be */
	json_open(&j, NULL, '{');
	json_text(&j, "registry", n.registry);
	json_text(&j, "repository", n.repository);
	json_some(&j, "tag", n.tag);
	json_some(&j, "digest", n.digest);
	end_props(m, &j);
	m->r = m->r < 0 ? m->r : arena_dup(m->a, buf_str(&name), &image.name);
	make_part(m, image, &props);
	make_edge(m, GRAPH_RUNS_IMAGE, from, image, make_place(m), (struct str){0});
}

/* "docker.io/library/nginx@sha256:..." -> "sha256:..."; an image id alone is no digest. */
static struct str digest_of(struct str image_id)
{
	struct str head;

	return str_split(&image_id, '@', &head) && str_starts(image_id, STR("sha256:"))
		       ? image_id
		       : (struct str){0};
}

static struct str running_digest(const struct maker *m, const char *statuses, struct str name)
{
	tree_each(s, tree_get(tree_get(m->object, "status"), statuses)) if (
		str_eq(tree_text(tree_get(s, "name")),
		       name)) return digest_of(tree_text(tree_get(s, "imageID")));
	return (struct str){0};
}

static void mounts(struct maker *m, const struct graph_ref *container, const struct tree *c)
{
	tree_each(v, tree_get(c, "volumeMounts"))
	{
		struct str sub = tree_text(tree_get(v, "subPath"));
		_buf_ struct buf props;
		struct json_out j = {.out = &props};

		buf_init(&props, MAX_PROPS);
		json_open(&j, NULL, '{');
		json_text(&j, "mount_path", tree_text(tree_get(v, "mountPath")));
		json_bool(&j, "read_only", tree_is_true(tree_get(v, "readOnly")));
		json_some(&j, "sub_path", sub);
		end_props(m, &j);
		make_edge(m, GRAPH_USES_VOLUME, container,
			  part(m, "Volume", tree_text(tree_get(v, "name"))),
			  tree_text(tree_get(v, "mountPath")), buf_str(&props));
	}
}

static void container(struct maker *m, const struct tree *c, const char *type, const char *statuses)
{
	struct str name = tree_text(tree_get(c, "name")), image = tree_text(tree_get(c, "image"));
	struct graph_ref ref = part(m, "Container", name);
	_buf_ struct buf props;
	struct json_out j = {.out = &props};

	buf_init(&props, MAX_CONTAINER);
	json_open(&j, NULL, '{');
	container_props(&j, c, type);
	end_props(m, &j);
	make_part(m, ref, &props);
	make_edge(m, GRAPH_HAS_CONTAINER, NULL, ref, (struct str){0}, (struct str){0});
	m->n_place = (size_t)snprintf(m->place, sizeof(m->place), "spec.%ss[%.*s]", type,
				      (int)MIN(name.n, (size_t)256), name.p ? name.p : "");
	make_image(m, NULL, image, running_digest(m, statuses, name));
	m->n_place = 0;
	mounts(m, &ref, c);
}

static void back(struct maker *m, const struct graph_ref *volume, const char *kind,
		 const struct tree *name)
{
	make_edge(m, GRAPH_BACKED_BY, volume, ref_named(m, "", kind, tree_text(name)),
		  (struct str){0}, (struct str){0});
}

static void volume(struct maker *m, const struct tree *v)
{
	struct graph_ref ref = part(m, "Volume", tree_text(tree_get(v, "name")));
	const struct tree *source = NULL;
	_buf_ struct buf props;
	struct json_out j = {.out = &props};

	buf_init(&props, MAX_PROPS);
	tree_each(t, v) if (t->type == TREE_OBJECT) source = t;
	json_open(&j, NULL, '{');
	if (source)
		json_text(&j, "type", source->key);
	end_props(m, &j);
	make_part(m, ref, &props);
	make_edge(m, GRAPH_USES_VOLUME, NULL, ref, (struct str){0}, (struct str){0});
	back(m, &ref, "ConfigMap", tree_at(v, "configMap.name"));
	back(m, &ref, "Secret", tree_at(v, "secret.secretName"));
	back(m, &ref, "Secret", tree_at(v, "csi.nodePublishSecretRef.name"));
	back(m, &ref, "PersistentVolumeClaim", tree_at(v, "persistentVolumeClaim.claimName"));
	tree_each(s, tree_at(v, "projected.sources"))
	{
		back(m, &ref, "ConfigMap", tree_at(s, "configMap.name"));
		back(m, &ref, "Secret", tree_at(s, "secret.name"));
	}
}

void make_pod(struct maker *m)
{
	const struct tree *spec = tree_get(m->object, "spec");

	tree_each(c, tree_get(spec, "containers"))
		container(m, c, "container", "containerStatuses");
	tree_each(c, tree_get(spec, "initContainers"))
		container(m, c, "initContainer", "initContainerStatuses");
	tree_each(c, tree_get(spec, "ephemeralContainers"))
		container(m, c, "ephemeralContainer", "ephemeralContainerStatuses");
	tree_each(v, tree_get(spec, "volumes")) volume(m, v);
	make_edge(m, GRAPH_RUNS_ON, NULL,
		  ref_named(m, "", "Node", tree_text(tree_get(spec, "nodeName"))), (struct str){0},
		  (struct str){0});
}
