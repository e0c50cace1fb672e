/*
 * The actor plays clients and servers of TCP, UDP and DNS, and writes what IT did as
 * JSON lines: the truth that the agent's flows are compared with. It shares no code
 * with the agent. One process has one role; a connection is one line.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define ACTOR_CGROUPS 4 /* hierarchies one process is put into */
#define ACTOR_TAG_MAX 64

struct actor {
	const char *cgroups[ACTOR_CGROUPS], *move[ACTOR_CGROUPS]; /* directories */
	unsigned n_cgroups, n_move;
	const char *netns; /* file of a network namespace */
	const char *tag;   /* goes into every line */
	int out;	   /* O_APPEND */
};
extern struct actor actor;

union endpoint {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* ---- actor.c ---- */
/* Says why and ends the process with exit code 1. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
uint64_t now_ns(void); /* CLOCK_MONOTONIC */
void sleep_ms(unsigned ms);
/* Writes this process's pid to cgroup.procs of each directory. */
void enter_cgroups(const char *const *dirs, unsigned n);
/* The numeric address, or the process ends. */
socklen_t endpoint_of(const char *address, const char *port, union endpoint *ret);
/* `"name":"ADDRESS","name_port":PORT` */
void print_endpoint(FILE *to, const char *name, const union endpoint *e);
const char *error_name(int err); /* "" for 0 */
/* The line is one write(2), so that threads and processes may share the file. */
void write_line(const char *line, size_t n);
/* Says "held" on standard output and waits until the starter says go: a line on standard input, or
 * its end. Every caller is let go by the first. */
void hold(void);
void hold_begin(void); /* starts the reader of standard input */
bool held_off(void);   /* the word has come */
/* On standard output, for the starter: "ready PORT". */
void say_ready(const char *port);

/* ---- roles; arguments behind the role's name; each returns the exit code ---- */
int role_listen(int argc, char **argv);
int role_connect(int argc, char **argv);
int role_udp_serve(int argc, char **argv);
int role_udp_send(int argc, char **argv);
int role_dns_serve(int argc, char **argv);
int role_dns_ask(int argc, char **argv);
int role_rewrite(int argc, char **argv);
