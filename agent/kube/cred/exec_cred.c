/*
 * One run of a credential plugin; see exec_cred.h.
 *
 * The child gets a process group of its own, so that what it started ends with
 * it. Its end is noticed by the end of its output, then by asking for its exit
 * status every EXIT_POLL: that needs neither SIGCHLD, which belongs to the whole
 * process, nor pidfds, which some sandboxes lack.
 */
#include "kube/cred/exec_cred.h"

#include "base/mem.h"
#include "kube/cred/exec_parts.h"
#include "kube/redact.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_POLL	(5 * NSEC_PER_MSEC)
#define KILL_WAIT_TRIES 50   /* of a millisecond each; a child that is not gone by then is init's */
#define STDERR_KEPT	4096 /* last bytes of standard error */
#define STDERR_TOLD	300  /* bytes of its last line in an error */

struct exec_cred {
	struct event_base *base;
	char *command, *api_version, *hint;
	void (*done)(void *ctx, int r, struct exec_answer *a, const char *error);
	void *ctx;
	pid_t pid;	    /* 0: no child */
	int out_fd, err_fd; /* -1 when at their end */
	struct event out_ev, err_ev, timer;
	struct buf out, err;
	nsec_t timeout, deadline;
	bool killed;
	bool over; /* the limit of time */
	bool huge; /* the limit of output */
};

void exec_config_done(struct exec_config *c)
{
	for (char **p = c->args; p && *p; p++)
		free(*p);
	for (char **p = c->env; p && *p; p++)
		free(*p);
	free(c->args);
	free(c->env);
	free(c->api_version);
	free(c->command);
	free(c->install_hint);
	*c = (struct exec_config){0};
}

static void arm(struct exec_cred *x, nsec_t in)
{
	const struct timeval tv = clock_timeval(in);

	(void)event_add(&x->timer, &tv);
}

static void pipe_close(int *fd, struct event *ev)
{
	if (*fd < 0)
		return;
	if (event_initialized(ev))
		(void)event_del(ev);
	(void)close(*fd);
	*fd = -1;
}

static void run_free(struct exec_cred *x)
{
	pipe_close(&x->out_fd, &x->out_ev);
	pipe_close(&x->err_fd, &x->err_ev);
	if (event_initialized(&x->timer))
		(void)event_del(&x->timer);
	if (x->out.p)
		explicit_bzero(x->out.p, x->out.cap); /* tokens */
	buf_done(&x->out);
	buf_done(&x->err);
	free(x->command);
	free(x->api_version);
	free(x->hint);
	free(x);
}

/* The whole group; the child alone when it has left it. */
static void run_kill(struct exec_cred *x)
{
	x->killed = true;
	if (x->pid && kill(-x->pid, SIGKILL) < 0)
		(void)kill(x->pid, SIGKILL);
}

/* --- the end ------------------------------------------------------------- */

/* Keeps the last STDERR_KEPT bytes. True while there may be more to read at once. */
static bool stderr_read(struct exec_cred *x)
{
	char piece[STDERR_KEPT / 2];
	ssize_t n = x->err_fd < 0 ? -1 : read(x->err_fd, piece, sizeof(piece));

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			pipe_close(&x->err_fd, &x->err_ev);
		return false;
	}
	if (x->err.n + (size_t)n > x->err.max)
		buf_consume(&x->err, x->err.n + (size_t)n - x->err.max);
	(void)buf_append(&x->err, piece, (size_t)n);
	return true;
}

static struct str last_line(struct str s)
{
	struct str line = {0}, one;

	while (s.n) {
		(void)str_split(&s, '\n', &one);
		if (str_trim(one).n)
			line = str_trim(one);
	}
	return line;
}

/* ": its last words", made fit for a log. */
static void tell_stderr(const struct exec_cred *x, struct buf *e)
{
	char line[STDERR_TOLD];

	redact_text(line, sizeof(line), last_line(buf_str(&x->err)));
	if (line[0])
		(void)buf_printf(e, ": %s", line);
	if (x->hint)
		(void)buf_printf(e, " (%.300s)", x->hint);
}

/* Why the run itself failed, apart from what it printed; 0 when it did not. */
static int judge(struct exec_cred *x, int status, struct buf *e)
{
	(void)buf_printf(e, "credential plugin %s: ", x->command);
	if (x->over) {
		(void)buf_printf(e, "gave no answer within %g s",
				 (double)x->timeout / (double)NSEC_PER_SEC);
		tell_stderr(x, e);
		return -ETIMEDOUT;
	}
	if (x->huge) {
		(void)buf_printf(e, "printed more than %zu bytes", x->out.max);
		return -EMSGSIZE;
	}
	if (WIFSIGNALED(status))
		(void)buf_printf(e, "was killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == 127)
		(void)buf_printf(e, "could not be run, or exited with status 127");
	else if (WEXITSTATUS(status))
		(void)buf_printf(e, "exited with status %d", WEXITSTATUS(status));
	else
		return 0;
	tell_stderr(x, e);
	return -EIO;
}

static void finish(struct exec_cred *x, int status)
{
	struct exec_answer a = {0};
	_buf_ struct buf e;
	int r;

	buf_init(&e, 4096);
	x->pid = 0;
	/* What a pipe holds at most; what the child started may write for ever. */
	for (int i = 0; i < 32 && stderr_read(x); i++)
		;
	r = judge(x, status, &e);
	if (r == 0)
		r = exec_answer_parse(buf_str(&x->out), x->api_version, clock_wall(), clock_mono(),
				      &a, &e);
	if (buf_append(&e, "", 1) < 0) /* NUL behind */
		r = r < 0 ? r : -ENOMEM;
	x->done(x->ctx, r, &a, e.p ? buf_str(&e).p : "credential plugin: out of memory");
	exec_answer_done(&a);
	run_free(x);
}

/* Goes on until the child is gone; never blocks. */
static void reap(struct exec_cred *x)
{
	int status = 0;
	pid_t got = waitpid(x->pid, &status, WNOHANG);

	if (got == x->pid || (got < 0 && errno == ECHILD))
		finish(x, status);
	else
		arm(x, EXIT_POLL);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct exec_cred *x = ctx;
	nsec_t now = clock_mono();

	(void)fd;
	(void)what;

	if (now >= x->deadline && !x->killed) {
		x->over = true;
		run_kill(x);
		pipe_close(&x->out_fd, &x->out_ev);
	}
	if (x->out_fd >= 0)
		arm(x, x->deadline > now ? x->deadline - now : 0);
	else
		reap(x);
}

/* --- output -------------------------------------------------------------- */

static void on_stdout(evutil_socket_t fd, short what, void *ctx)
{
	struct exec_cred *x = ctx;
	char piece[16384];
	ssize_t n = read(fd, piece, sizeof(piece));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && buf_append(&x->out, piece, (size_t)n) < 0) {
		x->huge = true;
		run_kill(x);
		n = 0;
	}
	explicit_bzero(piece, sizeof(piece));
	if (n <= 0) {
		pipe_close(&x->out_fd, &x->out_ev);
		arm(x, 0);
	}
}

static void on_stderr(evutil_socket_t fd, short what, void *ctx)
{
	struct exec_cred *x = ctx;

	(void)fd;
	(void)what;
	(void)stderr_read(x);
}

/* --- the start ----------------------------------------------------------- */

static int watch(struct exec_cred *x)
{
	(void)fcntl(x->out_fd, F_SETFL, O_NONBLOCK);
	(void)fcntl(x->err_fd, F_SETFL, O_NONBLOCK);
	if (event_add(&x->out_ev, NULL) < 0 || event_add(&x->err_ev, NULL) < 0)
		return -ENOMEM;
	arm(x, x->timeout);
	return 0;
}

static int copy_texts(struct exec_cred *x, const struct exec_config *c)
{
	x->command = str_dup(str_of(c->command));
	x->api_version = str_dup(str_of(c->api_version));
	x->hint = c->install_hint ? str_dup(str_of(c->install_hint)) : NULL;
	return x->command && x->api_version && (!c->install_hint || x->hint) ? 0 : -ENOMEM;
}

int exec_cred_start(const struct exec_cred_opts *o, struct exec_cred **ret, struct buf *ret_error)
{
	struct exec_cred *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->base = o->base;
	x->done = o->done;
	x->ctx = o->ctx;
	x->out_fd = -1;
	x->err_fd = -1;
	x->timeout = o->timeout ? o->timeout : EXEC_CRED_TIMEOUT;
	x->deadline = clock_mono() + x->timeout;
	buf_init(&x->out, o->max_output ? o->max_output : EXEC_CRED_MAX_OUTPUT);
	buf_init(&x->err, STDERR_KEPT);
	(void)evtimer_assign(&x->timer, x->base, on_timer, x);
	r = copy_texts(x, o->config);
	if (r == 0)
		r = exec_spawn(o->config, o->cluster, &x->pid, &x->out_fd, &x->err_fd);
	if (r < 0) {
		(void)buf_printf(ret_error, "credential plugin %s: cannot be run: %s",
				 o->config->command, strerror(-r));
		tell_stderr(x, ret_error);
		exec_cred_cancel(&x);
		return r;
	}
	(void)event_assign(&x->out_ev, x->base, x->out_fd, EV_READ | EV_PERSIST, on_stdout, x);
	(void)event_assign(&x->err_ev, x->base, x->err_fd, EV_READ | EV_PERSIST, on_stderr, x);
	r = watch(x);
	if (r < 0) {
		exec_cred_cancel(&x);
		return r;
	}
	*ret = x;
	return 0;
}

void exec_cred_cancel(struct exec_cred **xp)
{
	static const struct timespec ms = {.tv_nsec = (long)NSEC_PER_MSEC};
	struct exec_cred *x = *xp;

	*xp = NULL;
	if (!x)
		return;
	if (x->pid) {
		run_kill(x);
		for (int i = 0; i < KILL_WAIT_TRIES && waitpid(x->pid, NULL, WNOHANG) == 0; i++)
			(void)nanosleep(&ms, NULL);
	}
	run_free(x);
}
