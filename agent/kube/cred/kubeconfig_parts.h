/*
 * Kubeconfig files from the inside:
 *
 *   kubeconfig.c        files, their merging, contexts
 *   kubeconfig_entry.c  what a cluster and a user say
 *   kubeconfig_exec.c   what a user says of a credential plugin
 *
 * `path` is that of the file that says so: what is relative in it is relative to
 * its folder, as for kubectl. All: 0, -ENOMEM, or -EINVAL with the map's error set.
 */
#pragma once

#include "kube/cred/kubeconfig.h"
#include "kube/cred/yaml_tree.h"

int cluster_read(const char *path, const struct yaml_map *m, struct kubeconfig *k);
int user_read(const char *path, const struct yaml_map *m, struct kubeconfig *k);
int exec_read(const char *path, const struct yaml_map *m, struct exec_config *e);
/* Makes *file, which may be NULL, absolute or relative to where `path` is. */
int kubeconfig_resolve(const char *path, char **file);
