/* What an agent without flows may still do that not everybody may: nothing. */
#include "tests/lib/rig.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};

static unsigned long long set_of(pid_t pid, const char *which)
{
	unsigned long long set = ~0ULL;
	char path[64], line[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, which, strlen(which)) == 0)
			set = strtoull(line + strlen(which), NULL, 16);
	if (f)
		(void)fclose(f);
	return set;
}

static void flows_off_keeps_no_capability(void **state)
{
	struct rig *rig = *state;

	if (!set_of(getpid(), "CapPrm:")) {
		print_message("skipped: no capabilities to give up (cannot run here)\n");
		skip();
	}
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_agent(rig, (const char *const[]){"--flows", "off", NULL}, NULL);
	rig_wait_told(rig, "metadata_complete");
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		rig_assert(rig, set_of(rig->agent.pid, sets[i]) == 0, "%s is %llx", sets[i],
			   set_of(rig->agent.pid, sets[i]));
	rig_stop(rig, SIGTERM);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(flows_off_keeps_no_capability, rig_setup,
						rig_teardown),
	};

	return rig_run("caps", tests, 1, argc, argv);
}
