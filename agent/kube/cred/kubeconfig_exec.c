/* What a user says of a credential plugin; see kubeconfig_parts.h. */
#include "kube/cred/kubeconfig_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int exec_args(const struct yaml_map *m, struct exec_config *e)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(m, "args", &seq);

	if (r < 0 || !seq)
		return r;
	e->args = calloc(yaml_seq_len(seq) + 1, sizeof(*e->args));
	if (!e->args)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++)
		r = yaml_node_text(m, yaml_seq_at(m, seq, i), "args", &e->args[i]);
	return r;
}

static int exec_env_one(const struct yaml_map *m, yaml_node_t *item, char **ret)
{
	_free_ char *name = NULL;
	_free_ char *value = NULL;
	struct yaml_map pair;
	int r = yaml_node_map(m, item, "env", &pair);

	if (r < 0)
		return r;
	r = yaml_map_text(&pair, "name", &name);
	if (r < 0)
		return r;
	r = yaml_map_text(&pair, "value", &value);
	if (r < 0)
		return r;
	if (!name || strchr(name, '='))
		return yaml_fail(m, item, "env", "expected entries with name and value");
	if (asprintf(ret, "%s=%s", name, value ? value : "") < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int exec_env(const struct yaml_map *m, struct exec_config *e)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(m, "env", &seq);

	if (r < 0 || !seq)
		return r;
	e->env = calloc(yaml_seq_len(seq) + 1, sizeof(*e->env));
	if (!e->env)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++)
		r = exec_env_one(m, yaml_seq_at(m, seq, i), &e->env[i]);
	return r;
}

static int exec_version(const struct yaml_map *m, struct exec_config *e)
{
	int r = yaml_map_text(m, "apiVersion", &e->api_version);

	if (r < 0)
		return r;
	if (e->api_version && (!strcmp(e->api_version, "client.authentication.k8s.io/v1") ||
			       !strcmp(e->api_version, "client.authentication.k8s.io/v1beta1")))
		return 0;
	return yaml_fail(m, NULL, "exec.apiVersion",
			 "expected client.authentication.k8s.io/v1 or .../v1beta1, not \"%.80s\"",
			 e->api_version ? e->api_version : "");
}

static int exec_mode(const struct yaml_map *m)
{
	_free_ char *mode = NULL;
	int r = yaml_map_text(m, "interactiveMode", &mode);

	if (r < 0 || !mode || !strcmp(mode, "Never") || !strcmp(mode, "IfAvailable"))
		return r;
	if (!strcmp(mode, "Always"))
		return yaml_fail(m, NULL, "exec.interactiveMode",
				 "Always needs a terminal, which an agent does not have");
	return yaml_fail(m, NULL, "exec.interactiveMode",
			 "expected Never or IfAvailable, not \"%.60s\"", mode);
}

int exec_read(const char *path, const struct yaml_map *m, struct exec_config *e)
{
	int r = exec_version(m, e);

	if (r < 0)
		return r;
	r = yaml_map_text(m, "command", &e->command);
	if (r < 0)
		return r;
	if (!e->command)
		return yaml_fail(m, NULL, "exec.command", "is missing");
	r = strchr(e->command, '/') ? kubeconfig_resolve(path, &e->command) : 0;
	if (r < 0)
		return r;
	r = exec_mode(m);
	if (r < 0)
		return r;
	r = yaml_map_bool(m, "provideClusterInfo", &e->cluster_info);
	if (r < 0)
		return r;
	r = yaml_map_text(m, "installHint", &e->install_hint);
	if (r < 0)
		return r;
	r = exec_args(m, e);
	return r < 0 ? r : exec_env(m, e);
}
