#include "model/object.h"

#include "base/mem.h"

static const struct {
	struct str group, name;
} kinds[_KIND_MAX] = {
	[KIND_OTHER] = {STR("?"), STR("Other")}, /* no group is called "?" */
	[KIND_POD] = {STR(""), STR("Pod")},
	[KIND_NODE] = {STR(""), STR("Node")},
	[KIND_SERVICE] = {STR(""), STR("Service")},
	[KIND_REPLICASET] = {STR("apps"), STR("ReplicaSet")},
	[KIND_DEPLOYMENT] = {STR("apps"), STR("Deployment")},
	[KIND_STATEFULSET] = {STR("apps"), STR("StatefulSet")},
	[KIND_DAEMONSET] = {STR("apps"), STR("DaemonSet")},
	[KIND_JOB] = {STR("batch"), STR("Job")},
	[KIND_CRONJOB] = {STR("batch"), STR("CronJob")},
};

enum kind kind_of(struct str group, struct str kind)
{
	for (enum kind k = KIND_POD; k < _KIND_MAX; k++)
		if (str_eq(kinds[k].name, kind) && str_eq(kinds[k].group, group))
			return k;
	return KIND_OTHER;
}

const char *kind_name(enum kind k)
{
	return kinds[k < _KIND_MAX ? k : KIND_OTHER].name.p;
}

struct str api_group(struct str api_version)
{
	struct str rest = api_version, group;

	return str_split(&rest, '/', &group) ? group : STR("");
}

const struct owner_ref *meta_controller(const struct meta *m)
{
	for (uint32_t i = 0; i < m->n_owners; i++)
		if (m->owners[i].controller)
			return &m->owners[i];
	return NULL;
}
