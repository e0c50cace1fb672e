#include "base/clock.h"

#include <time.h>

static nsec_t clock_read(clockid_t id)
{
	struct timespec ts = {0};

	(void)clock_gettime(id, &ts);
	return (nsec_t)ts.tv_sec * NSEC_PER_SEC + (nsec_t)ts.tv_nsec;
}

nsec_t clock_mono(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

nsec_t clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}
