/*
 * The actor's options, its place (network namespace, cgroups) and its common steps.
 */
#include "actor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct actor actor = {.out = STDERR_FILENO, .tag = ""};

static const char usage[] =
	"usage: actor [--cgroup DIR]... [--move DIR]... [--netns FILE] [--out FILE] [--tag TEXT]"
	" ROLE\n"
	"  pause                                   a network namespace, until standard input ends\n"
	"  listen ADDRESS PORT SCRIPT [inline] [backlog=N] [stall]     TCP; a thread a connection\n"
	"  connect ADDRESS PORT SCRIPT [count=N] [parallel=K] [bind] [from=ADDRESS] [port=N]"
	" [syncnt=N] [timeout=MS]\n"
	"  udp-serve ADDRESS PORT [silent] [stall] echoes what comes\n"
	"  udp-send ADDRESS PORT SIZE,SIZE... [unconnected] [silent] [every=MS] [hold]\n"
	"  dns-serve ADDRESS PORT                  a. aaaa. nx. never. slow. decide the answer\n"
	"  dns-ask ADDRESS PORT NAME/TYPE...       TYPE: A or AAAA\n"
	"  rewrite CGROUP FROM PORT TO PORT        a connect4 or connect6 program, until"
	" standard input ends\n"
	"SCRIPT, comma-separated: wN write, rN read, R read to the end, s shut down writing,\n"
	"  WN write until the window is full, pRATE:SECONDS paced write, dMS sleep, h hold,\n"
	"  m move to the --move cgroups, q until all is acknowledged, x reset; then it closes\n";

void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "actor %s: ", actor.tag);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void sleep_ms(unsigned ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

void enter_cgroups(const char *const *dirs, unsigned n)
{
	char path[4096];

	for (unsigned i = 0; i < n; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/cgroup.procs", dirs[i]);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			die("%s: %s", path, strerror(errno));
		close(fd);
	}
}

socklen_t endpoint_of(const char *address, const char *port, union endpoint *ret)
{
	*ret = (union endpoint){0};
	if (inet_pton(AF_INET, address, &ret->v4.sin_addr) == 1) {
		ret->v4.sin_family = AF_INET;
		ret->v4.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
		return sizeof(ret->v4);
	}
	if (inet_pton(AF_INET6, address, &ret->v6.sin6_addr) != 1)
		die("%s is no address", address);
	ret->v6.sin6_family = AF_INET6;
	ret->v6.sin6_port = htons((uint16_t)strtoul(port, NULL, 10));
	return sizeof(ret->v6);
}

void print_endpoint(FILE *to, const char *name, const union endpoint *e)
{
	char text[INET6_ADDRSTRLEN] = "";
	const bool v4 = e->sa.sa_family == AF_INET;

	inet_ntop(e->sa.sa_family,
		  v4 ? (const void *)&e->v4.sin_addr : (const void *)&e->v6.sin6_addr, text,
		  sizeof(text));
	fprintf(to, "\"%s\":\"%s\",\"%s_port\":%u", name, text, name,
		ntohs(v4 ? e->v4.sin_port : e->v6.sin6_port));
}

const char *error_name(int err)
{
	return err ? strerrorname_np(err) : "";
}

void write_line(const char *line, size_t n)
{
	if (write(actor.out, line, n) != (ssize_t)n)
		die("cannot write the truth: %s", strerror(errno));
}

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_cond = PTHREAD_COND_INITIALIZER;
static bool hold_over;

static void *read_go(void *arg)
{
	char c;

	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
	pthread_mutex_lock(&hold_lock);
	hold_over = true;
	pthread_cond_broadcast(&hold_cond);
	pthread_mutex_unlock(&hold_lock);
	return arg;
}

void hold_begin(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, read_go, NULL) != 0)
		die("no thread");
	pthread_detach(t);
}

void hold(void)
{
	pthread_mutex_lock(&hold_lock);
	if (!hold_over) {
		printf("held\n");
		fflush(stdout);
	}
	while (!hold_over)
		pthread_cond_wait(&hold_cond, &hold_lock);
	pthread_mutex_unlock(&hold_lock);
}

bool held_off(void)
{
	bool over;

	pthread_mutex_lock(&hold_lock);
	over = hold_over;
	pthread_mutex_unlock(&hold_lock);
	return over;
}

void say_ready(const char *port)
{
	printf("ready %s\n", port);
	fflush(stdout);
}

static int role_pause(int argc, char **argv)
{
	char c;

	(void)argc;
	(void)argv;
	if (unshare(CLONE_NEWNET) < 0)
		die("no network namespace: %s", strerror(errno));
	say_ready("0");
	while (read(STDIN_FILENO, &c, 1) == 1)
		;
	return 0;
}

static const struct {
	const char *name;
	int min_args;
	int (*run)(int argc, char **argv);
} roles[] = {
	{"pause", 0, role_pause},	{"listen", 3, role_listen},
	{"connect", 3, role_connect},	{"udp-serve", 2, role_udp_serve},
	{"udp-send", 3, role_udp_send}, {"dns-serve", 2, role_dns_serve},
	{"dns-ask", 3, role_dns_ask},	{"rewrite", 5, role_rewrite},
};

static void take_place(void)
{
	if (actor.netns) {
		int fd = open(actor.netns, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
			die("%s: %s", actor.netns, strerror(errno));
		close(fd);
	}
	enter_cgroups(actor.cgroups, actor.n_cgroups);
}

static void add(const char **list, unsigned *n, const char *value)
{
	if (*n == ACTOR_CGROUPS)
		die("more than %d cgroups", ACTOR_CGROUPS);
	list[(*n)++] = value;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"cgroup", required_argument, NULL, 'c'}, {"move", required_argument, NULL, 'm'},
		{"netns", required_argument, NULL, 'n'},  {"out", required_argument, NULL, 'o'},
		{"tag", required_argument, NULL, 't'},	  {NULL, 0, NULL, 0},
	};

	for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			add(actor.cgroups, &actor.n_cgroups, optarg);
			break;
		case 'm':
			add(actor.move, &actor.n_move, optarg);
			break;
		case 'n':
			actor.netns = optarg;
			break;
		case 'o':
			actor.out = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
			if (actor.out < 0)
				die("%s: %s", optarg, strerror(errno));
			break;
		case 't':
			actor.tag = optarg;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing outlives a test that is killed */
	read_options(argc, argv);
	argc -= optind;
	argv += optind;
	for (size_t i = 0; argc && i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (strcmp(argv[0], roles[i].name) == 0 && argc - 1 >= roles[i].min_args) {
			take_place();
			return roles[i].run(argc - 1, argv + 1);
		}
	}
	fputs(usage, stderr);
	return 2;
}
