/* /proc/PID/net/tcp and tcp6 (proc(5); net/ipv4/tcp_ipv4.c get_tcp4_sock); see diag.h. */
#include "flow/diag.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_ 512
#define ST_LISTEN 10
#define ST_ENDS	  (1U << 1 | 1U << 4 | 1U << 5 | 1U << 8 | 1U << 9 | 1U << 11) /* as in diag.c */

/* Words of 8 hex digits, each the number that its four bytes are in this machine's order. */
static const char *read_addr(const char *p, struct addr *ret)
{
	uint32_t words[4];
	size_t n = 0;
	char *end;

	for (; n < 4; n++) {
		char hex[9] = {0};

		memcpy(hex, p, strnlen(p, 8));
		words[n] = (uint32_t)strtoul(hex, &end, 16);
		if (end != hex + 8)
			return NULL;
		p += 8;
		if (*p == ':') {
			n++;
			break;
		}
	}
	if (*p != ':' || (n != 1 && n != 4))
		return NULL;
	*ret = (struct addr){0};
	if (n == 1)
		ret->b[10] = ret->b[11] = 0xff;
	memcpy(ret->b + 16 - 4 * n, words, 4 * n);
	return p + 1;
}

static const char *read_end(const char *p, struct addr *ip, uint16_t *port)
{
	char *end;

	while (*p == ' ')
		p++;
	p = read_addr(p, ip);
	if (!p)
		return NULL;
	*port = (uint16_t)strtoul(p, &end, 16);
	return end == p + 4 ? end : NULL;
}

bool diag_proc_line(const char *line, struct diag_sock *ret, unsigned int *ret_state)
{
	struct diag_sock s = {.dir = FLOW_OUT};
	const char *p = strchr(line, ':');
	unsigned int state, unsent;
	unsigned long inode;

	if (!p)
		return false;
	p = read_end(p + 1, &s.laddr, &s.lport);
	p = p ? read_end(p, &s.raddr, &s.rport) : NULL;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
	if (!p || sscanf(p, " %x %x:%*x %*x:%*x %*x %*u %*u %lu", &state, &unsent, &inode) != 3)
		return false;
	s.inode = (uint32_t)inode;
	s.counters.unacked = unsent;
	*ret = s;
	*ret_state = state;
	return true;
}

struct table {
	struct diag_ports *ports;
	bool listeners; /* this pass gathers them */
	uint32_t left, over;
	diag_fn fn;
	void *ctx;
};

static void take_line(struct table *t, const char *line)
{
	struct diag_sock s;
	unsigned int state;

	if (!diag_proc_line(line, &s, &state))
		return;
	uint64_t *word = &t->ports->bits[s.lport / 64];
	const uint64_t bit = 1ULL << (s.lport % 64);

	if (t->listeners) {
		*word |= state == ST_LISTEN ? bit : 0;
		return;
	}
	if (state > 31 || !(ST_ENDS >> state & 1))
		return;
	if (!t->left) {
		t->over++;
		return;
	}
	t->left--;
	s.dir = *word & bit ? FLOW_IN : FLOW_OUT;
	t->fn(t->ctx, &s);
}

static int read_table(int dir_fd, const char *path, struct table *t)
{
	_close_ int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	char line[LINE_MAX_];

	if (fd < 0)
		return -errno;
	FILE *f = fdopen(fd, "r");

	if (!f)
		return -ENOMEM;
	(void)TAKE_FD(fd);
	while (fgets(line, sizeof(line), f))
		take_line(t, line);
	(void)fclose(f);
	return 0;
}

int diag_proc_net(int dir_fd, uint32_t max, struct diag_ports *scratch, diag_fn fn, void *ctx)
{
	struct table t = {.ports = scratch, .left = max, .fn = fn, .ctx = ctx};
	int r = 0;

	*scratch = (struct diag_ports){0};
	for (int pass = 0; pass < 2 && r >= 0; pass++) {
		t.listeners = pass == 0;
		r = read_table(dir_fd, "net/tcp", &t);
		if (r >= 0)
			(void)read_table(dir_fd, "net/tcp6", &t); /* not there without IPv6 */
	}
	return r < 0 ? r : (int)t.over;
}
