#include "base/arena.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_BLOCK 8192 /* bytes; larger requests get a block of their own */
#define ARENA_ALIGN 16

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	_Alignas(ARENA_ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max)
{
	*a = (struct arena){.max = max};
}

static void arena_free_after(struct arena_block *b)
{
	while (b) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_done(struct arena *a)
{
	arena_free_after(a->first);
	arena_init(a, a->max);
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	a->cur = a->first;
	if (!a->first)
		return;
	arena_free_after(a->first->next);
	a->first->next = NULL;
	a->first->used = 0;
}

static struct arena_block *arena_grow(struct arena *a, size_t n)
{
	size_t cap = MAX(n, (size_t)ARENA_BLOCK);
	struct arena_block *b = malloc(sizeof(*b) + cap);

	if (!b)
		return NULL;
	*b = (struct arena_block){.cap = cap};
	if (a->cur)
		a->cur->next = b;
	else
		a->first = b;
	a->cur = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t size = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	struct arena_block *b = a->cur;
	void *p;

	if (size < n || size > a->max || a->used > a->max - size)
		return NULL;
	if (!b || b->cap - b->used < size)
		b = arena_grow(a, size);
	if (!b)
		return NULL;
	p = b->data + b->used;
	b->used += size;
	a->used += size;
	return p;
}

int arena_dup(struct arena *a, struct str s, struct str *ret)
{
	char *p;

	if (!s.n) {
		*ret = (struct str){0};
		return 0;
	}
	p = arena_alloc(a, s.n);
	if (!p)
		return -ENOMEM;
	memcpy(p, s.p, s.n);
	*ret = str_make(p, s.n);
	return 0;
}
