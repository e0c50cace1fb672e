/*
 * What a cgroup's path says: pod and container ids as the runtimes and both
 * cgroup drivers write them, and host services. Pure text; nothing is guessed.
 *
 *   kubelet, systemd:   kubepods-burstable-pod<uid with _>.slice / cri-containerd-<64 hex>.scope
 *   kubelet, cgroupfs:  kubepods/burstable/pod<uid> / <64 hex>
 *   CRI-O               crio-<64 hex>.scope (crio-conmon-<64 hex>.scope is the monitor, not it)
 *   Docker              docker-<64 hex>.scope, docker/<64 hex>
 *   kind                kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<uid>.slice/...
 *   static pods         pod<32 hex>: the config hash
 *   host                system.slice/sshd.service
 */
#pragma once

#include "model/flow.h"

#define CGROUP_UID_MAX 64 /* bytes of a pod uid in a name */

struct cgroup_name {
	enum cgroup_what what;
	char container_id[65];		  /* CGROUP_CONTAINER */
	char pod_uid[CGROUP_UID_MAX + 1]; /* '-' for '_'; "" when the name does not say */
	struct str unit;		  /* CGROUP_SERVICE: borrowed from `name` */
};
/* What one directory's name says by itself. `below_pod`: a directory above it is a pod's, which is
 * when 64 bare hex digits are a container. */
void cgroup_name_parse(struct str name, bool below_pod, struct cgroup_name *ret);
