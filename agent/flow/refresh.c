/* BPF_PROG_TEST_RUN of a raw tracepoint's program; see refresh.h. */
#include "flow/refresh.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#define MAP_BYTES (ABI_FRESH_MAX * sizeof(struct abi_fresh))

struct refresh {
	int prog;
	struct abi_fresh *fresh; /* the map itself */
};

static int run(int prog, size_t n)
{
	uint64_t args[1] = {n};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

	return bpf_prog_test_run_opts(prog, &opts);
}

int refresh_try(int prog)
{
	return run(prog, 0);
}

int refresh_new(int prog, int map, struct refresh **ret)
{
	_cleanup_(refresh_free) struct refresh *r = calloc(1, sizeof(*r));
	void *at;

	if (!r)
		return -ENOMEM;
	r->prog = prog;
	at = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (at == MAP_FAILED)
		return -errno;
	r->fresh = at;
	*ret = TAKE_PTR(r);
	return 0;
}

void refresh_free(struct refresh **r)
{
	if (!*r)
		return;
	if ((*r)->fresh)
		(void)munmap((*r)->fresh, MAP_BYTES);
	free(*r);
	*r = NULL;
}

static size_t ask(struct refresh *r, const uint64_t *keys, const struct abi_sock *socks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		r->fresh[i] = (struct abi_fresh){.sk = keys[i], .start = socks[i].start};
	return n;
}

static int take(const struct refresh *r, struct abi_sock *socks, size_t n)
{
	int done = 0;

	for (size_t i = 0; i < n; i++) {
		const struct abi_fresh *f = &r->fresh[i];

		if (!f->updated)
			continue;
		socks[i].counters = f->counters;
		socks[i].state = f->state;
		socks[i].updated = f->updated;
		done++;
	}
	return done;
}

int refresh_run(struct refresh *r, const uint64_t *keys, struct abi_sock *socks, size_t n)
{
	int done = 0;

	for (size_t at = 0; at < n; at += ABI_FRESH_MAX) {
		const size_t some =
			ask(r, keys + at, socks + at, MIN(n - at, (size_t)ABI_FRESH_MAX));
		const int x = run(r->prog, some);

		if (x < 0)
			return x;
		done += take(r, socks + at, some);
	}
	return done;
}
