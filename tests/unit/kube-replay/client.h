/*
 * kube-replay as a process of its own, and a client that asks it one thing at a time.
 */
#pragma once

#include "base/mem.h"
#include "base/str.h"
#include "tests/kube-replay/read.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define DIR	       "tests/fixtures/recorded"
#define READY_TRIES    6000 /* of 10 ms: sanitized, beside others, it reads for 15 s */
#define READ_TIMEOUT_S 20
#define PB	       "application/vnd.kubernetes.protobuf"
#define META	       ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

struct replay {
	pid_t pid;
	int port;
	char folder[64];
};

/* The tool stands at the top of the build folder that this test is in. */
static inline void tool_path(char *path, size_t n)
{
	ssize_t len = readlink("/proc/self/exe", path, n - 1);
	char *at;

	assert_true(len > 0);
	path[len] = 0;
	at = strstr(path, "/tests/unit/");
	assert_non_null(at);
	snprintf(at, n - (size_t)(at - path), "/kube-replay");
}

static inline void start(struct replay *r, const char *dir, const char *const *more)
{
	const char *argv[24] = {NULL, dir, "--listen", "127.0.0.1:0", "--port-file"};
	char tool[4096], port_file[128];
	size_t n = 6;
	FILE *f = NULL;

	tool_path(tool, sizeof(tool));
	snprintf(r->folder, sizeof(r->folder), "/tmp/kube-replay-test-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(port_file, sizeof(port_file), "%s/port", r->folder);
	argv[0] = tool;
	argv[5] = port_file;
	while (*more)
		argv[n++] = *more++;
	r->pid = fork();
	if (r->pid == 0) {
		/* A failed assertion leaves by longjmp: the tool must not outlive the test. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stdout))
			_exit(126);
		execv(tool, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	for (int i = 0; i < READY_TRIES && !f; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		f = fopen(port_file, "r");
	}
	if (!f)
		fail_msg("%s did not start", tool);
	assert_int_equal(fscanf(f, "%d", &r->port), 1);
	fclose(f);
	unlink(port_file);
}

static inline void stop(struct replay *r)
{
	int status = 0;

	kill(r->pid, SIGTERM);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	rmdir(r->folder);
}

static inline int dial(const struct replay *r)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port)};
	struct timeval tv = {.tv_sec = READ_TIMEOUT_S};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

struct answer {
	int status;
	bool complete; /* the length was kept, or the last chunk came */
	struct buf head, body;
};

static inline void answer_done(struct answer *a)
{
	buf_done(&a->head);
	buf_done(&a->body);
}

static inline void dechunk(struct answer *a, struct str s)
{
	while (s.n) {
		struct str line;
		size_t n;

		if (!str_split(&s, '\n', &line))
			return;
		n = strtoul(line.p, NULL, 16);
		if (n == 0) {
			a->complete = true;
			return;
		}
		put(&a->body, s.p, MIN(n, s.n));
		s = str_from(s, n + 2);
	}
}

static inline void ask_with(const struct replay *r, const char *method, const char *target,
			    const char *accept, const char *data, struct answer *a)
{
	_buf_ struct buf in;
	_close_ int fd = dial(r);
	char request[2048];
	const char *body;
	ssize_t n;

	*a = (struct answer){0};
	buf_init(&in, READ_MAX);
	buf_init(&a->head, 65536);
	buf_init(&a->body, READ_MAX);
	n = snprintf(request, sizeof(request),
		     "%s %s HTTP/1.1\r\nHost: x\r\nAccept: %s\r\nConnection: close\r\n"
		     "Content-Length: %zu\r\n\r\n",
		     method, target, accept, strlen(data));
	assert_int_equal(send(fd, request, (size_t)n, 0), n);
	n = (ssize_t)strlen(data);
	assert_int_equal(send(fd, data, (size_t)n, 0), n);
	do {
		assert_int_equal(buf_reserve(&in, 65536), 0);
		n = recv(fd, buf_tail(&in), 65536, 0);
		if (n > 0)
			buf_commit(&in, (size_t)n);
	} while (n > 0);
	if (!in.n)
		return;
	body = memmem(in.p, in.n, "\r\n\r\n", 4);
	assert_non_null(body);
	put(&a->head, in.p, (size_t)(body - in.p) + 4);
	put(&a->head, "", 1);
	assert_int_equal(sscanf(a->head.p, "HTTP/1.1 %d", &a->status), 1);
	body += 4;
	n = (ssize_t)in.n - (body - in.p);
	if (strcasestr(a->head.p, "transfer-encoding: chunked")) {
		dechunk(a, str_make(body, (size_t)n));
	} else {
		put(&a->body, body, (size_t)n);
		a->complete = true;
	}
}

static inline void ask(const struct replay *r, const char *method, const char *target,
		       const char *accept, struct answer *a)
{
	ask_with(r, method, target, accept, "", a);
}

static inline void get(const struct replay *r, const char *target, const char *accept,
		       struct answer *a)
{
	ask(r, "GET", target, accept, a);
}
