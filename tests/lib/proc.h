/*
 * Programs a test runs: started with their own environment, output in files,
 * ended by their id. What still runs when a test ends, however it ends, is
 * killed: by proc_end_all in the test's teardown, by the kernel when the test
 * program dies.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <sys/types.h>

#define PROC_MAX_ARGS 64
#define PROC_PATH_MAX 192

struct proc {
	pid_t pid;		 /* 0: not running */
	int code;		 /* exit code; 128 + the signal that killed it */
	char out[PROC_PATH_MAX]; /* standard output and standard error, appended to */
	char err[PROC_PATH_MAX];
};

/* FOLDER of a program beside this test's build folder: $(O)/NAME. 0 or -ENAMETOOLONG, -ENOENT. */
int proc_find(const char *name, char ret[PROC_PATH_MAX]);

/*
 * Starts argv[0]; output goes to FOLDER/TAG.out and .err. The environment is `env` ("NAME=value",
 * NULL-terminated, may be NULL) besides PATH and the sanitizers' options: nothing else gets in.
 * 0 or -errno; a program that cannot be started exits with 127.
 */
int proc_start(struct proc *p, const char *folder, const char *tag, const char *const *argv,
	       const char *const *env);

/* Whether it still runs; takes its exit code when it does not. */
bool proc_running(struct proc *p);
/* Waits for its end: 0 or -ETIMEDOUT. */
int proc_wait(struct proc *p, nsec_t patience);
/* Sends the signal, waits for the end; then, if it did not come in time, kills it.
 * `ret_took` (may be NULL) is the time from signal to end. 0 or -ETIMEDOUT. */
int proc_stop(struct proc *p, int sig, nsec_t patience, nsec_t *ret_took);

/* Kills everything this test started. */
void proc_end_all(void);

/* The number in a port file, waited for: 0 or -ETIMEDOUT. */
int proc_port(const char *file, nsec_t patience, unsigned *ret);
/* A file's bytes, NUL-terminated, on the heap; "" when it cannot be read. */
char *proc_text(const char *file);
void proc_sleep(nsec_t t);
