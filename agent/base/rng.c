#include "base/rng.h"

#include "base/clock.h"

#include <sys/random.h>

uint64_t rng_entropy(void)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = clock_wall() ^
		       (clock_mono() << 17); /* seccomp filters exist that refuse it */
	return seed;
}
