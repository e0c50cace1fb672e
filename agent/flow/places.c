/*
 * Copies what stands still; see places.h.
 *
 * A program marks a place odd before it writes a socket there, and with its address after that. So
 * what was copied between two looks at mark and start that agree is one socket's, though some of
 * its counters may be newer than others.
 */
#include "flow/places.h"

#include "base/mem.h"
#include "flow_abi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

#define BATCH 64 /* buckets a step */

struct places {
	struct places_opts opts;
	const struct abi_places *of; /* the map itself */
	size_t n, at;		     /* buckets */
	uint64_t keys[BATCH * ABI_PLACES];
	struct abi_sock values[BATCH * ABI_PLACES];
};

int places_new(const struct places_opts *o, struct places **ret)
{
	_cleanup_(places_free) struct places *p = calloc(1, sizeof(*p));
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	void *at;

	if (!p)
		return -ENOMEM;
	p->opts = *o;
	if (bpf_obj_get_info_by_fd(o->map, &info, &len) < 0)
		return -errno;
	p->n = info.max_entries;
	at = mmap(NULL, p->n * sizeof(*p->of), PROT_READ, MAP_SHARED, o->map, 0);
	if (at == MAP_FAILED)
		return -errno;
	p->of = at;
	*ret = TAKE_PTR(p);
	return 0;
}

void places_free(struct places **p)
{
	if (!*p)
		return;
	if ((*p)->of)
		(void)munmap((void *)(uintptr_t)(*p)->of, (*p)->n * sizeof(*(*p)->of));
	free(*p);
	*p = NULL;
}

void places_begin(struct places *p)
{
	p->at = 0;
}

static bool copy(const struct abi_places *b, int i, uint64_t *ret_sk, struct abi_sock *ret)
{
	const uint64_t sk = __atomic_load_n(&b->sk[i], __ATOMIC_ACQUIRE);
	const uint64_t start = __atomic_load_n(&b->sock[i].start, __ATOMIC_ACQUIRE);

	if (!sk || sk & 1)
		return false;
	*ret = b->sock[i];
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*ret_sk = sk;
	return ret->start == start &&
	       __atomic_load_n(&b->sock[i].start, __ATOMIC_RELAXED) == start &&
	       __atomic_load_n(&b->sk[i], __ATOMIC_RELAXED) == sk;
}

int places_step(struct places *p, nsec_t now)
{
	const size_t end = MIN(p->at + BATCH, p->n);
	uint32_t n = 0;

	for (; p->at < end; p->at++)
		for (int i = 0; i < ABI_PLACES; i++)
			n += copy(&p->of[p->at], i, &p->keys[n], &p->values[n]);
	if (n)
		p->opts.before(p->opts.ctx, p->keys, p->values, n);
	for (uint32_t i = 0; i < n; i++)
		(void)p->opts.fn(p->opts.ctx, now, &p->keys[i], &p->values[i]);
	return p->at < p->n;
}
