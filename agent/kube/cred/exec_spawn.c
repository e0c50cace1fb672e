/*
 * Starting a credential plugin: its arguments, its environment, and what it does
 * not inherit: descriptors, signal handlers, the process group.
 */
#include "kube/cred/exec_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXEC_MAX_ENV_VAR 4096 /* variables handed on */

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

static bool env_has(char *const *v, size_t n, const char *var)
{
	for (size_t i = 0; i < n; i++)
		if (same_name(var, v[i]))
			return true;
	return false;
}

/* The description of the run, the plugin's own variables (the last of a name wins), then ours. The
 * array is heap, its strings are borrowed. */
static char **env_make(const struct exec_config *c, char *info)
{
	size_t n = 0, own = 0, more = 0;
	char **v;

	while (environ && environ[own] && own < EXEC_MAX_ENV_VAR)
		own++;
	while (c->env && c->env[more])
		more++;
	v = calloc(own + more + 2, sizeof(*v));
	if (!v)
		return NULL;
	v[n++] = info;
	for (size_t i = more; i > 0; i--)
		if (!env_has(v, n, c->env[i - 1]))
			v[n++] = c->env[i - 1];
	for (size_t i = 0; i < own; i++)
		if (!env_has(v, n, environ[i]))
			v[n++] = environ[i];
	return v;
}

static char **argv_make(const struct exec_config *c)
{
	size_t n = 0;
	char **v;

	while (c->args && c->args[n])
		n++;
	v = calloc(n + 2, sizeof(*v));
	if (!v)
		return NULL;
	v[0] = c->command;
	for (size_t i = 0; i < n; i++)
		v[i + 1] = c->args[i];
	return v;
}

static int actions_fill(posix_spawn_file_actions_t *fa, int out, int err)
{
	if (posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0) ||
	    posix_spawn_file_actions_adddup2(fa, out, 1) ||
	    posix_spawn_file_actions_adddup2(fa, err, 2) ||
	    posix_spawn_file_actions_addclosefrom_np(fa, 3))
		return -ENOMEM;
	return 0;
}

static int attributes_fill(posix_spawnattr_t *at)
{
	sigset_t all, none;

	(void)sigfillset(&all);
	(void)sigemptyset(&none);
	if (posix_spawnattr_setflags(at, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
						 POSIX_SPAWN_SETSIGMASK) ||
	    posix_spawnattr_setpgroup(at, 0) || posix_spawnattr_setsigdefault(at, &all) ||
	    posix_spawnattr_setsigmask(at, &none))
		return -ENOMEM;
	return 0;
}

static int spawn(char *const *argv, char *const *env, int out, int err, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	pid_t pid;
	int r;

	if (posix_spawn_file_actions_init(&fa))
		return -ENOMEM;
	if (posix_spawnattr_init(&at)) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return -ENOMEM;
	}
	r = actions_fill(&fa, out, err);
	if (r == 0)
		r = attributes_fill(&at);
	if (r == 0)
		r = -posix_spawnp(&pid, argv[0], &fa, &at, argv, env);
	if (r == 0)
		*ret = pid;
	(void)posix_spawnattr_destroy(&at);
	(void)posix_spawn_file_actions_destroy(&fa);
	return r;
}

static void close_both(const int fds[2])
{
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int exec_spawn(const struct exec_config *c, const struct exec_cluster *cluster, pid_t *ret_pid,
	       int *ret_out, int *ret_err)
{
	_free_ char *info = exec_info(c, cluster);
	_free_ char *var = NULL;
	_free_ char **argv = argv_make(c);
	_free_ char **env = NULL;
	int out[2], err[2], r;

	if (!info || !argv)
		return -ENOMEM;
	if (asprintf(&var, "KUBERNETES_EXEC_INFO=%s", info) < 0) {
		var = NULL;
		return -ENOMEM;
	}
	env = env_make(c, var);
	if (!env)
		return -ENOMEM;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(err, O_CLOEXEC) < 0) {
		r = -errno;
		close_both(out);
		return r;
	}
	r = spawn(argv, env, out[1], err[1], ret_pid);
	if (r < 0) {
		close_both(out);
		close_both(err);
		return r;
	}
	(void)close(out[1]);
	(void)close(err[1]);
	*ret_out = out[0];
	*ret_err = err[0];
	return 0;
}
