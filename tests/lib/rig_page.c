/* See rig_page.h. */
#include "tests/lib/rig_page.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

void rig_page(struct rig *rig, const char *what, struct buf *ret)
{
	char path[PROC_PATH_MAX];

	rig_ask_agent(rig, rig_path(rig, RIG_SOCKET, path), what, ret);
}

long rig_figure(struct rig *rig, const char *series)
{
	_buf_ struct buf b = {.max = RIG_PAGE_MAX};
	char line[300];
	const char *at;

	rig_page(rig, "GET /metrics", &b);
	(void)snprintf(line, sizeof(line), "\n%s ", series);
	at = strstr(b.p, line);
	return at ? strtol(at + strlen(line), NULL, 10) : -1;
}

void rig_wait_figure(struct rig *rig, const char *series, long value)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;
	long is;

	while ((is = rig_figure(rig, series)) != value) {
		rig_assert(rig, clock_mono() < until, "%s is %ld, not %ld", series, is, value);
		rig_assert(rig, proc_running(&rig->agent), "the agent is gone: code %d",
			   rig->agent.code);
		proc_sleep(50 * NSEC_PER_MSEC);
	}
}
