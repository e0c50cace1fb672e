#include "tests/lib/proc.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define MAX_RUNNING 64
#define POLL	    (2 * NSEC_PER_MSEC)

static pid_t running[MAX_RUNNING];

static void note(pid_t pid, pid_t instead)
{
	for (size_t i = 0; i < MAX_RUNNING; i++)
		if (running[i] == pid) {
			running[i] = instead;
			return;
		}
}

/* $(O)/tests/unit/ROOM/THING is this program: four names up is $(O). */
int proc_find(const char *name, char ret[PROC_PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return -ENOENT;
	self[n] = '\0';
	for (int up = 0; up < 4; up++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	if (snprintf(ret, PROC_PATH_MAX, "%s/%s", self, name) >= PROC_PATH_MAX)
		return -ENAMETOOLONG;
	return access(ret, X_OK) == 0 ? 0 : -ENOENT;
}

static const char *const kept[] = {"PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
				   "TSAN_OPTIONS"};

/* The child's side: never comes back. Output is appended to, as a restarted program's is. */
static void become(const struct proc *p, const char *const *argv, const char *const *env,
		   pid_t parent)
{
	static char texts[ARRAY_SIZE(kept)][4096];
	char *args[PROC_MAX_ARGS + 1], *envs[ARRAY_SIZE(kept) + PROC_MAX_ARGS + 1];
	size_t n = 0, m = 0;
	sigset_t none;
	int in = open("/dev/null", O_RDONLY);
	int out = open(p->out, O_WRONLY | O_CREAT | O_APPEND, 0600);
	int err = open(p->err, O_WRONLY | O_CREAT | O_APPEND, 0600);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	(void)close_range(3, UINT_MAX, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (; argv[n] && n < PROC_MAX_ARGS; n++)
		args[n] = (char *)(uintptr_t)argv[n];
	args[n] = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (getenv(kept[i])) {
			(void)snprintf(texts[i], sizeof(texts[i]), "%s=%s", kept[i],
				       getenv(kept[i]));
			envs[m++] = texts[i];
		}
	for (size_t i = 0; env && env[i] && i < PROC_MAX_ARGS; i++)
		envs[m++] = (char *)(uintptr_t)env[i];
	envs[m] = NULL;
	(void)execve(args[0], args, envs);
	_exit(127);
}

int proc_start(struct proc *p, const char *folder, const char *tag, const char *const *argv,
	       const char *const *env)
{
	const pid_t self = getpid();
	pid_t pid;

	*p = (struct proc){.code = -1};
	if (snprintf(p->out, sizeof(p->out), "%s/%s.out", folder, tag) >= (int)sizeof(p->out) ||
	    snprintf(p->err, sizeof(p->err), "%s/%s.err", folder, tag) >= (int)sizeof(p->err))
		return -ENAMETOOLONG;
	pid = fork();
	if (pid == 0)
		become(p, argv, env, self);
	if (pid < 0)
		return -errno;
	p->pid = pid;
	note(0, pid);
	return 0;
}

static void ended(struct proc *p, int status)
{
	p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	note(p->pid, 0);
	p->pid = 0;
}

bool proc_running(struct proc *p)
{
	int status;

	if (p->pid && waitpid(p->pid, &status, WNOHANG) == p->pid)
		ended(p, status);
	return p->pid != 0;
}

void proc_sleep(nsec_t t)
{
	const struct timespec ts = {.tv_sec = (time_t)(t / NSEC_PER_SEC),
				    .tv_nsec = (long)(t % NSEC_PER_SEC)};

	(void)nanosleep(&ts, NULL);
}

int proc_wait(struct proc *p, nsec_t patience)
{
	const nsec_t until = clock_mono() + patience;

	while (proc_running(p)) {
		if (clock_mono() > until)
			return -ETIMEDOUT;
		proc_sleep(POLL);
	}
	return 0;
}

int proc_stop(struct proc *p, int sig, nsec_t patience, nsec_t *ret_took)
{
	const nsec_t began = clock_mono();
	int r, status;

	if (!p->pid)
		return 0;
	(void)kill(p->pid, sig);
	r = proc_wait(p, patience);
	if (ret_took)
		*ret_took = clock_mono() - began;
	if (r < 0) {
		(void)kill(p->pid, SIGKILL);
		if (waitpid(p->pid, &status, 0) == p->pid)
			ended(p, status);
	}
	return r;
}

void proc_end_all(void)
{
	for (size_t i = 0; i < MAX_RUNNING; i++) {
		if (!running[i])
			continue;
		(void)kill(running[i], SIGKILL);
		(void)waitpid(running[i], NULL, 0);
		running[i] = 0;
	}
}

int proc_port(const char *file, nsec_t patience, unsigned *ret)
{
	const nsec_t until = clock_mono() + patience;

	for (;;) {
		FILE *f = fopen(file, "re");
		unsigned port = 0;
		int n = f ? fscanf(f, "%u", &port) : 0;

		if (f)
			(void)fclose(f);
		if (n == 1 && port) {
			*ret = port;
			return 0;
		}
		if (clock_mono() > until)
			return -ETIMEDOUT;
		proc_sleep(POLL);
	}
}

char *proc_text(const char *file)
{
	FILE *f = fopen(file, "re");
	char *text = NULL;
	size_t n = 0;

	if (!f || getdelim(&text, &n, '\0', f) < 0) {
		free(text);
		text = strdup("");
	}
	if (f)
		(void)fclose(f);
	return text;
}
