/*
 * Runs a command as its own process, with the agent's side (tests/unit/serve/rig.h)
 * turned meanwhile.
 */
#pragma once

#include "tests/unit/serve/rig.h"

#include <sys/wait.h>

struct said {
	int code;
	char out[65536], err[8192];
};

static inline void slurp(const char *path, char *text, size_t cap)
{
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	text[fread(text, 1, cap - 1, f)] = '\0';
	(void)fclose(f);
	(void)unlink(path);
}

/* `args` ends with NULL; the socket is added. `during` (may be NULL) runs in every turn. */
static inline void run_command(struct ask_rig *g, int (*cmd)(int, char **), char **args,
			       const char *socket, void (*during)(struct ask_rig *, int),
			       struct said *ret)
{
	char out[100], err[100], *argv[32];
	int argc = 0, status = 0;
	pid_t pid;

	(void)snprintf(out, sizeof(out), "%s/out", g->folder);
	(void)snprintf(err, sizeof(err), "%s/err", g->folder);
	for (; args[argc]; argc++)
		argv[argc] = args[argc];
	argv[argc++] = strdup("--socket");
	argv[argc++] = strdup(socket);
	argv[argc] = NULL;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (!freopen(out, "we", stdout) || !freopen(err, "we", stderr))
			_exit(99);
		status = cmd(argc, argv);
		(void)fflush(NULL);
		_exit(status);
	}
	for (int i = 0; i < 50000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		rig_turn(g);
		if (during)
			during(g, i);
	}
	free(argv[argc - 1]);
	free(argv[argc - 2]);
	ret->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	slurp(out, ret->out, sizeof(ret->out));
	slurp(err, ret->err, sizeof(ret->err));
}

static inline void expect_text(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}
