/* Shared memory with the programs; see tape.h. */
#include "flow/tape.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

struct tape {
	const struct abi_tcp *slots; /* the map itself */
	struct abi_tape_at *at;	     /* the same */
	uint64_t n;		     /* a power of two */
	uint64_t read;
};

/* NULL with errno when it cannot be. */
static void *map_memory(int fd, size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

int tape_new(int map, int at, struct tape **ret)
{
	_cleanup_(tape_free) struct tape *t = calloc(1, sizeof(*t));
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	if (!t)
		return -ENOMEM;
	if (bpf_obj_get_info_by_fd(map, &info, &len) < 0)
		return -errno;
	t->n = info.max_entries;
	t->slots = map_memory(map, t->n * sizeof(*t->slots), PROT_READ);
	if (!t->slots)
		return -errno;
	t->at = map_memory(at, sizeof(*t->at), PROT_READ | PROT_WRITE);
	if (!t->at)
		return -errno;
	t->read = t->at->head;
	*ret = TAKE_PTR(t);
	return 0;
}

void tape_free(struct tape **t)
{
	if (!*t)
		return;
	if ((*t)->slots)
		(void)munmap((void *)(uintptr_t)(*t)->slots, (*t)->n * sizeof(*(*t)->slots));
	if ((*t)->at)
		(void)munmap((*t)->at, sizeof(*(*t)->at));
	free(*t);
	*t = NULL;
}

uint64_t tape_begun(const struct tape *t)
{
	return __atomic_load_n(&t->at->tail, __ATOMIC_ACQUIRE);
}

uint64_t tape_read(const struct tape *t)
{
	return t->read;
}

const struct abi_tcp *tape_peek(const struct tape *t)
{
	const struct abi_tcp *next = &t->slots[t->read & (t->n - 1)];

	return __atomic_load_n(&next->head.lap, __ATOMIC_ACQUIRE) == (uint32_t)t->read + 1 ? next
											   : NULL;
}

void tape_next(struct tape *t)
{
	t->read++;
}

void tape_give(struct tape *t)
{
	__atomic_store_n(&t->at->head, t->read, __ATOMIC_RELEASE);
}
