/* What a credential plugin is told about its run: the value of KUBERNETES_EXEC_INFO. */
#pragma once

#include "kube/cred/exec_cred.h"

/* JSON on the heap; NULL when memory is short. `cluster` may be NULL, and counts only where the
 * config asks for it. */
char *exec_info(const struct exec_config *c, const struct exec_cluster *cluster);
