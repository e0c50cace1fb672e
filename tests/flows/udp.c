/*
 * UDP: a server that echoes, and a client with datagrams of given sizes; each
 * conversation is one line of truth.
 */
#include "actor.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PEERS 4096
#define REPLY_MS  2000 /* a reply that takes longer is missing */

struct peer {
	union endpoint at;
	uint64_t sent, received, sent_packets, received_packets, start, end;
};

static void write_peer(const char *role, const union endpoint *local, const struct peer *p)
{
	char *line = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&line, &n);

	if (!f)
		die("no memory");
	fprintf(f, "{\"tag\":\"%s\",\"role\":\"%s\",\"proto\":\"udp\",\"pid\":%d,", actor.tag, role,
		getpid());
	print_endpoint(f, "local", local);
	fputc(',', f);
	print_endpoint(f, "remote", &p->at);
	fprintf(f,
		",\"written\":%llu,\"read\":%llu,\"written_packets\":%llu,\"read_packets\":%llu"
		",\"start\":%llu,\"end\":%llu}\n",
		(unsigned long long)p->sent, (unsigned long long)p->received,
		(unsigned long long)p->sent_packets, (unsigned long long)p->received_packets,
		(unsigned long long)p->start, (unsigned long long)p->end);
	if (fclose(f) != 0)
		die("no memory");
	write_line(line, n);
	free(line);
}

static bool has(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], word) == 0)
			return true;
	}
	return false;
}

static struct peer *peer_of(struct peer *peers, unsigned *n, const union endpoint *at)
{
	for (unsigned i = *n; i-- > 0;) {
		if (memcmp(&peers[i].at, at, sizeof(*at)) == 0)
			return &peers[i];
	}
	if (*n == MAX_PEERS)
		die("more than %d peers", MAX_PEERS);
	peers[*n] = (struct peer){.at = *at, .start = now_ns()};
	return &peers[(*n)++];
}

static int udp_socket(const char *address, const char *port, union endpoint *ret)
{
	const socklen_t n = endpoint_of(address, port, ret);
	const int fd = socket(ret->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, &ret->sa, n) < 0)
		die("%s port %s: %s", address, port, strerror(errno));
	return fd;
}

static void echo(int fd, struct peer *peers, unsigned *n_peers, bool silent)
{
	static char buf[65536];
	union endpoint from = {0};
	socklen_t len = sizeof(from);
	const ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT, &from.sa, &len);
	struct peer *p;

	if (n < 0)
		return;
	p = peer_of(peers, n_peers, &from);
	p->received += (uint64_t)n;
	p->received_packets++;
	p->end = now_ns();
	if (!silent && sendto(fd, buf, (size_t)n, 0, &from.sa, len) == n) {
		p->sent += (uint64_t)n;
		p->sent_packets++;
	}
}

/* With `stall` nothing is read until the word comes, so that a small queue overflows. */
int role_udp_serve(int argc, char **argv)
{
	union endpoint local;
	const int fd = udp_socket(argv[0], argv[1], &local), small = 4096;
	const bool silent = has(argc, argv, "silent"), stall = has(argc, argv, "stall");
	struct peer *peers = calloc(MAX_PEERS, sizeof(*peers));
	unsigned n = 0;

	if (!peers)
		die("no memory");
	if (stall)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	hold_begin();
	say_ready(argv[1]);
	if (stall)
		hold();
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		const bool last = held_off();

		if (poll(&p, 1, last ? 0 : 50) > 0)
			echo(fd, peers, &n, silent);
		else if (last)
			break;
	}
	for (unsigned i = 0; i < n; i++)
		write_peer("server", &local, &peers[i]);
	free(peers);
	return 0;
}

static void exchange(int fd, struct peer *p, const union endpoint *to, socklen_t to_len,
		     size_t size, bool silent)
{
	static char buf[65536];
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	ssize_t n = sendto(fd, buf, size, 0, to ? &to->sa : NULL, to ? to_len : 0);

	if (n < 0)
		die("send: %s", strerror(errno));
	p->sent += (uint64_t)n;
	p->sent_packets++;
	if (silent || poll(&wait, 1, REPLY_MS) <= 0)
		return;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		return;
	p->received += (uint64_t)n;
	p->received_packets++;
}

int role_udp_send(int argc, char **argv)
{
	const bool unconnected = has(argc, argv, "unconnected"), silent = has(argc, argv, "silent");
	union endpoint local = {0};
	struct peer p = {.start = now_ns()};
	const socklen_t len = endpoint_of(argv[0], argv[1], &p.at);
	socklen_t n = sizeof(local);
	const int fd = socket(p.at.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned every = 0;

	for (int i = 3; i < argc; i++) {
		if (strncmp(argv[i], "every=", 6) == 0)
			every = (unsigned)strtoul(argv[i] + 6, NULL, 10);
	}
	if (fd < 0 || (!unconnected && connect(fd, &p.at.sa, len) < 0))
		die("connect: %s", strerror(errno));
	hold_begin();
	for (const char *s = argv[2]; *s; s += *s == ',') {
		char *end;

		exchange(fd, &p, unconnected ? &p.at : NULL, len, strtoul(s, &end, 10), silent);
		s = end;
		if (every)
			sleep_ms(every);
	}
	if (has(argc, argv, "hold"))
		hold();
	getsockname(fd, &local.sa, &n);
	p.end = now_ns();
	close(fd);
	write_peer("client", &local, &p);
	return 0;
}
