/*
 * A DNS server whose answer is decided by the name's first label, and a client that
 * writes down what it was told (RFC 1035, section 4.1; AAAA: RFC 3596).
 */
#include "actor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DNS_MAX	  512 /* without EDNS */
#define TYPE_A	  1
#define TYPE_AAAA 28
#define ASK_MS	  1000
#define SLOW_MS	  200

struct msg {
	uint8_t b[DNS_MAX];
	size_t n;
};

static void put(struct msg *m, const void *p, size_t n)
{
	if (m->n + n > sizeof(m->b))
		die("DNS message too long");
	memcpy(m->b + m->n, p, n);
	m->n += n;
}

static void put16(struct msg *m, unsigned v)
{
	const uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(m, b, 2);
}

static unsigned get16(const struct msg *m, size_t at)
{
	return at + 2 <= m->n ? (unsigned)m->b[at] << 8 | m->b[at + 1] : 0;
}

static void put_name(struct msg *m, const char *name)
{
	while (*name) {
		const size_t n = strcspn(name, ".");
		const uint8_t len = (uint8_t)n;

		put(m, &len, 1);
		put(m, name, n);
		name += n + (name[n] == '.');
	}
	put(m, "", 1);
}

/* The question's name in text form; returns the offset behind it. */
static size_t question(const struct msg *m, char *name, size_t cap)
{
	size_t at = 12, n = 0;

	while (at < m->n && m->b[at]) {
		const size_t len = m->b[at];

		if (len > 63 || at + 1 + len >= m->n || n + len + 2 > cap)
			die("odd question");
		memcpy(name + n, m->b + at + 1, len);
		n += len;
		name[n++] = '.';
		at += 1 + len;
	}
	name[n ? n - 1 : 0] = '\0';
	return at + 1;
}

static void answer_rr(struct msg *m, unsigned type, const char *address)
{
	uint8_t raw[16];
	const bool v4 = type == TYPE_A;

	inet_pton(v4 ? AF_INET : AF_INET6, address, raw);
	put16(m, 0xc00c); /* the question's name */
	put16(m, type);
	put16(m, 1); /* IN */
	put16(m, 0);
	put16(m, 60); /* seconds to live */
	put16(m, v4 ? 4 : 16);
	put(m, raw, v4 ? 4 : 16);
}

/* False: no answer at all. */
static bool answer(const struct msg *q, struct msg *ret)
{
	char name[256];
	const size_t end = question(q, name, sizeof(name));
	const unsigned type = get16(q, end);
	const bool nx = strncasecmp(name, "nx.", 3) == 0;
	const unsigned count = nx ? 0 : type == TYPE_A ? 2 : type == TYPE_AAAA;

	if (strncasecmp(name, "never.", 6) == 0)
		return false;
	if (strncasecmp(name, "slow.", 5) == 0)
		sleep_ms(SLOW_MS);
	ret->n = 0;
	put(ret, q->b, 2);
	put16(ret, nx ? 0x8183 : 0x8180);
	put16(ret, 1);
	put16(ret, count);
	put16(ret, 0);
	put16(ret, 0);
	put(ret, q->b + 12, end + 4 - 12);
	if (count == 2) {
		answer_rr(ret, type, "192.0.2.1");
		answer_rr(ret, type, "192.0.2.2");
	} else if (count) {
		answer_rr(ret, type, "2001:db8::1");
	}
	return true;
}

/* Answers until standard input ends. */
int role_dns_serve(int argc, char **argv)
{
	union endpoint local;
	const socklen_t len = endpoint_of(argv[0], argv[1], &local);
	const int fd = socket(local.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)argc;
	if (fd < 0 || bind(fd, &local.sa, len) < 0)
		die("%s port %s: %s", argv[0], argv[1], strerror(errno));
	hold_begin();
	say_ready(argv[1]);
	while (!held_off()) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		union endpoint from;
		socklen_t n = sizeof(from);
		struct msg q, a;
		ssize_t got;

		if (poll(&p, 1, 50) <= 0)
			continue;
		got = recvfrom(fd, q.b, sizeof(q.b), 0, &from.sa, &n);
		if (got < 17)
			continue;
		q.n = (size_t)got;
		if (answer(&q, &a))
			sendto(fd, a.b, a.n, 0, &from.sa, n);
	}
	return 0;
}

static void write_asked(const char *name, unsigned type, const union endpoint *local,
			const struct msg *a, uint64_t start)
{
	char *line = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&line, &n);

	if (!f)
		die("no memory");
	fprintf(f, "{\"tag\":\"%s\",\"role\":\"dns\",\"name\":\"%s\",\"type\":%u,", actor.tag, name,
		type);
	print_endpoint(f, "local", local);
	fprintf(f,
		",\"rcode\":%d,\"answers\":%u,\"asked_bytes\":%zu,\"start\":%llu,\"end\":%llu}\n",
		a->n ? (int)(get16(a, 2) & 15) : -1, a->n ? get16(a, 6) : 0, strlen(name) + 18,
		(unsigned long long)start, (unsigned long long)now_ns());
	if (fclose(f) != 0)
		die("no memory");
	write_line(line, n);
	free(line);
}

static void ask(const union endpoint *to, socklen_t len, char *spec)
{
	char *slash = strchr(spec, '/');
	const unsigned type = slash && strcmp(slash, "/AAAA") == 0 ? TYPE_AAAA : TYPE_A;
	const int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	const uint64_t start = now_ns();
	struct msg q = {.n = 0}, a = {.n = 0};
	union endpoint local = {0};
	socklen_t n = sizeof(local);

	if (slash)
		*slash = '\0';
	put16(&q, (unsigned)(start / 1000) & 0xffff);
	put16(&q, 0x0100); /* recursion desired */
	put16(&q, 1);
	put(&q, "\0\0\0\0\0\0", 6);
	put_name(&q, spec);
	put16(&q, type);
	put16(&q, 1);
	if (fd < 0 || connect(fd, &to->sa, len) < 0 || send(fd, q.b, q.n, 0) != (ssize_t)q.n)
		die("ask: %s", strerror(errno));
	if (poll(&p, 1, ASK_MS) > 0) {
		const ssize_t got = recv(fd, a.b, sizeof(a.b), 0);

		a.n = got > 0 ? (size_t)got : 0;
	}
	getsockname(fd, &local.sa, &n);
	close(fd);
	write_asked(spec, type, &local, &a, start);
}

int role_dns_ask(int argc, char **argv)
{
	union endpoint to;
	const socklen_t len = endpoint_of(argv[0], argv[1], &to);

	for (int i = 2; i < argc; i++)
		ask(&to, len, argv[i]);
	return 0;
}
