/*
 * Cleanup attributes and the moves that go with them: an owning local starts at
 * NULL or -1 and leaves its function by TAKE_PTR or TAKE_FD.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* Hands a pointer over and forgets it here. */
#define TAKE_PTR(p)                               \
	({                                        \
		__typeof__(p) *take_p_ = &(p);    \
		__typeof__(p) take_v_ = *take_p_; \
		*take_p_ = NULL;                  \
		take_v_;                          \
	})
#define TAKE_FD(fd)                     \
	({                              \
		int *take_p_ = &(fd);   \
		int take_v_ = *take_p_; \
		*take_p_ = -1;          \
		take_v_;                \
	})

/* To be called first in main: large arrays that were outgrown go back to the system, instead of
 * leaving holes (glibc else raises its limit for mmap with each one that is freed). */
void mem_setup(void);

/* A table that lies beside ids: `array` (the address of the pointer to it) of `*n` elements gets
 * `want`, the new ones zero; it never shrinks. 0 or -ENOMEM. */
int mem_reach(void *array, uint32_t *n, size_t size, uint32_t want);

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is evaluated once; the counter keeps nested uses apart. */
#define MEM_PASTE_(a, b) a##b
#define MEM_PASTE(a, b)	 MEM_PASTE_(a, b)
#define MIN(a, b)	 MEM_PICK(<, a, b, __COUNTER__)
#define MAX(a, b)	 MEM_PICK(>, a, b, __COUNTER__)
#define MEM_PICK(op, a, b, n)                                                             \
	({                                                                                \
		__typeof__(a) MEM_PASTE(pick_a_, n) = (a);                                \
		__typeof__(b) MEM_PASTE(pick_b_, n) = (b);                                \
		MEM_PASTE(pick_a_, n)                                                     \
		op MEM_PASTE(pick_b_, n) ? MEM_PASTE(pick_a_, n) : MEM_PASTE(pick_b_, n); \
	})

static inline void mem_free_p(void *p)
{
	free(*(void **)p);
}
static inline void mem_close_p(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

#define _free_	_cleanup_(mem_free_p)
#define _close_ _cleanup_(mem_close_p)
