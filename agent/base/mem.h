/*
 * Cleanup attributes and the moves that go with them: an owning local starts at
 * NULL or -1 and leaves its function by TAKE_PTR or TAKE_FD.
 */
#pragma once

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

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                  \
	({                                         \
		__typeof__(a) min_a_ = (a);        \
		__typeof__(b) min_b_ = (b);        \
		min_a_ < min_b_ ? min_a_ : min_b_; \
	})
#define MAX(a, b)                                  \
	({                                         \
		__typeof__(a) max_a_ = (a);        \
		__typeof__(b) max_b_ = (b);        \
		max_a_ > max_b_ ? max_a_ : max_b_; \
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
