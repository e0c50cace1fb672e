/*
 * Credential plugins from the inside:
 *
 *   exec_cred.c    one run: its output, its time, its end
 *   exec_spawn.c   how it is started
 *   exec_answer.c  what it is told, and what it answers
 */
#pragma once

#include "kube/cred/exec_cred.h"

#include <sys/types.h>

/* Of KUBERNETES_EXEC_INFO. JSON on the heap; NULL when memory is short. `cluster` may be NULL, and
 * counts only where the config asks for it. */
char *exec_info(const struct exec_config *c, const struct exec_cluster *cluster);

/* Starts the program in a process group of its own: 0 with the reading ends of its output and its
 * errors, or a negative errno. */
int exec_spawn(const struct exec_config *c, const struct exec_cluster *cluster, pid_t *ret_pid,
	       int *ret_out, int *ret_err);
