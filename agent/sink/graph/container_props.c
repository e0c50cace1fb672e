/*
 * What is said of a container: its specification, as the redaction left it. A database
 * of graphs takes texts, truths and lists of texts; what is made of more is JSON in a text.
 */
#include "base/json_out.h"
#include "base/mem.h"
#include "sink/graph/edges_parts.h"

#include <errno.h>

#define MAX_VALUE 4096 /* bytes, before they are escaped; a longer one is left out */

struct member {
	const char *name, *path;
};

static void texts(struct json_out *j, const struct tree *c)
{
	static const struct member members[] = {
		{"image", "image"},
		{"image_pull_policy", "imagePullPolicy"},
		{"working_dir", "workingDir"},
		{"restart_policy", "restartPolicy"},
		{"termination_message_path", "terminationMessagePath"},
		{"termination_message_policy", "terminationMessagePolicy"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		struct str text = tree_text(tree_get(c, members[i].path));

		if (text.n <= MAX_VALUE)
			json_some(j, members[i].name, text);
	}
}

static void truths(struct json_out *j, const struct tree *c)
{
	static const struct member members[] = {
		{"stdin", "stdin"}, {"stdin_once", "stdinOnce"}, {"tty", "tty"}};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (tree_get(c, members[i].path))
			json_bool(j, members[i].name, tree_is_true(tree_get(c, members[i].path)));
}

/* Takes over what came of writing a value. */
static bool fits(struct json_out *j, int r)
{
	if (r == -ENOMEM && j->r == 0)
		j->r = r;
	return r == 0;
}

static void list(struct json_out *j, const char *name, const struct tree *values)
{
	_buf_ struct buf b = {.max = MAX_VALUE};
	struct json_out inner = {.out = &b};

	if (!values || !values->n)
		return;
	json_open(&inner, NULL, '[');
	tree_each(v, values) json_text(&inner, NULL, tree_text(v));
	json_close(&inner, '[');
	if (fits(j, inner.r))
		json_raw(j, name, buf_str(&b));
}

static void structures(struct json_out *j, const struct tree *c)
{
	static const struct member members[] = {
		{"env", "env"},
		{"env_from", "envFrom"},
		{"ports", "ports"},
		{"resources", "resources"},
		{"resize_policy", "resizePolicy"},
		{"security_context", "securityContext"},
		{"lifecycle", "lifecycle"},
		{"liveness_probe", "livenessProbe"},
		{"readiness_probe", "readinessProbe"},
		{"startup_probe", "startupProbe"},
		{"volume_devices", "volumeDevices"},
		{"volume_mounts", "volumeMounts"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct tree *v = tree_get(c, members[i].path);
		_buf_ struct buf b = {.max = MAX_VALUE};

		if (v && v->n && fits(j, tree_write(&b, v)))
			json_text(j, members[i].name, buf_str(&b));
	}
}

void container_props(struct json_out *j, const struct tree *container, const char *type)
{
	json_text(j, "type", str_of(type));
	texts(j, container);
	truths(j, container);
	list(j, "command", tree_get(container, "command"));
	list(j, "args", tree_get(container, "args"));
	structures(j, container);
}
