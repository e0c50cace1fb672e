/*
 * The whole process, under test: kube-replay plays the API server, `kindred
 * reducer` the reducer, and `kindred agent` runs between them, on ports of
 * their own in a folder of their own. All functions fail the running cmocka
 * test themselves, with what the programs wrote.
 */
#pragma once

#include "tests/lib/proc.h"
#include "tests/lib/told.h"
#include "tests/lib/truth.h"

#include <stdbool.h>

#define RIG_PATIENCE (20 * NSEC_PER_SEC)
#define RIG_QUIET    (300 * NSEC_PER_MSEC) /* what is right stays right for this long */
/* Under sanitizers everything takes longer; promises about time are for what users run. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RIG_SLOWNESS 4
#else
#define RIG_SLOWNESS 1
#endif
/* SIGTERM to exit. It is a second where the machine has one; what an agent must not wait for
 * (handshakes, answers, plugins) takes ten and more. */
#define RIG_STOP (5 * NSEC_PER_SEC)

struct buf;

struct rig {
	const void *arg; /* the test's initial state */
	char folder[64];
	char kindred[PROC_PATH_MAX], kube_replay[PROC_PATH_MAX];
	struct proc replay, reducer, agent;
	unsigned replay_port, reducer_port;
	unsigned reducers; /* how many were started */
	struct truth truth;
	struct told told; /* of the last reducer */
	bool tls;	  /* the API server speaks TLS */
};

/* cmocka's setup and teardown; *state becomes the rig, which keeps what it was before as `arg`. */
int rig_setup(void **state);
int rig_teardown(void **state);

struct CMUnitTest;

/* Runs the tests, some at a time in processes of their own: they mostly wait. A name pattern as
 * first argument picks some. Returns what main returns. */
int rig_run(const char *group, const struct CMUnitTest *tests, size_t n, int argc, char **argv);

/* Arguments besides the ones that are always there; lists end with NULL and may be NULL. */
void rig_replay(struct rig *rig, const char *const *args);
void rig_reducer(struct rig *rig, const char *const *args);
/* Both ports are in the arguments already, unless `env` or `args` name others: later flags win. */
void rig_agent(struct rig *rig, const char *const *args, const char *const *env);
/* A further agent, whose output is called after `tag`. */
void rig_agent_as(struct rig *rig, struct proc *p, const char *tag, const char *const *args,
		  const char *const *env);
void rig_truth(struct rig *rig, const char *set, const struct truth_select *select);

/* Path of a file in the rig's folder. */
const char *rig_path(const struct rig *rig, const char *name, char ret[PROC_PATH_MAX]);
/* Writes a file there. */
void rig_write(const struct rig *rig, const char *name, const char *text);

/* Asks kube-replay; the answer's body is parsed and the caller's, NULL when there was none. */
json_t *rig_ask(const struct rig *rig, const char *method, const char *target);
/* An answer of an agent, head and all, over its unix socket: "GET /metrics". Ends in a NUL. */
void rig_ask_agent(struct rig *rig, const char *socket, const char *what, struct buf *ret);
/* Writes or removes objects there (/replay/object): the answer's status. */
int rig_send(const struct rig *rig, const char *method, const char *target, const char *body);
/* How often the faults were played, in sum. */
unsigned rig_played(const struct rig *rig);

/* Waits until the API server has played all and the reducer knows the truth, and still does after
 * RIG_QUIET; no error was reported by the reducer. */
void rig_converge(struct rig *rig);
/* The same for a table that may hold pods of `but_ns`, with another patience. */
void rig_converge_but(struct rig *rig, const char *but_ns, nsec_t patience);
/* Waits until the agent's standard error holds this text. */
void rig_wait_log(struct rig *rig, const char *text, nsec_t patience);
bool rig_logged(const struct rig *rig, const char *text);
/* Waits until the reducer was told a message of this name (or was connected to: "connect"). */
void rig_wait_told(struct rig *rig, const char *message);

/* Stops the agent: exit code 0 within RIG_STOP. */
void rig_stop(struct rig *rig, int sig);
/* Of one with flows, by SIGTERM: it has seen everybody's sockets, and may take RIG_PATIENCE. */
void rig_stop_flows(struct rig *rig);

void rig_fail(struct rig *rig, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
#define rig_assert(rig, cond, ...)                    \
	do {                                          \
		if (!(cond))                          \
			rig_fail((rig), __VA_ARGS__); \
	} while (0)
