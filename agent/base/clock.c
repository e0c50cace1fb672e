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

nsec_t clock_boot(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

nsec_t clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t clock_offset(void)
{
	static int64_t told;
	const int64_t is = (int64_t)(clock_wall() - clock_mono());

	if (is - told > (int64_t)NSEC_PER_MSEC || told - is > (int64_t)NSEC_PER_MSEC)
		told = is;
	return told;
}

struct timeval clock_timeval(nsec_t t)
{
	return (struct timeval){.tv_sec = (time_t)(t / NSEC_PER_SEC),
				.tv_usec = (suseconds_t)(t % NSEC_PER_SEC / NSEC_PER_USEC)};
}
