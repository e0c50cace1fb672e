/* Capabilities: each tier by its set, and what is given up is gone for good. */
#include "flow/caps.h"

#include "shell_rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define BPF	CAPS_BIT(CAP_BPF)
#define PERFMON CAPS_BIT(CAP_PERFMON)
#define NET	CAPS_BIT(CAP_NET_ADMIN)
#define SYS	CAPS_BIT(CAP_SYS_ADMIN)
#define RES	CAPS_BIT(CAP_SYS_RESOURCE)
#define PTRACE	CAPS_BIT(CAP_SYS_PTRACE)

static void test_tier(void **state)
{
	(void)state;
	assert_int_equal(caps_tier(0), PROBE_TIER_NONE);
	assert_int_equal(caps_tier(BPF), PROBE_TIER_NONE);
	assert_int_equal(caps_tier(PERFMON | NET), PROBE_TIER_NONE);
	assert_int_equal(caps_tier(BPF | PERFMON), PROBE_TIER_TRACE);
	assert_int_equal(caps_tier(BPF | PERFMON | NET), PROBE_TIER_FULL);
	assert_int_equal(caps_tier(SYS), PROBE_TIER_TRACE);
	assert_int_equal(caps_tier(SYS | NET), PROBE_TIER_FULL);
}

static void test_wanted(void **state)
{
	(void)state;
	assert_int_equal(caps_wanted(0), 0);
	assert_int_equal(caps_wanted(UINT64_MAX), BPF | PERFMON | NET | RES | PTRACE);
	assert_int_equal(caps_wanted(BPF | PERFMON | SYS), BPF | PERFMON);
	assert_int_equal(caps_wanted(SYS | NET), SYS | NET);
	assert_int_equal(caps_wanted(PTRACE | CAPS_BIT(CAP_CHOWN)), PTRACE);
}

static void test_print(void **state)
{
	char text[CAPS_TEXT_MAX];

	(void)state;
	assert_string_equal(caps_print(0, text), "none");
	assert_string_equal(caps_print(BPF | NET, text), "CAP_BPF CAP_NET_ADMIN");
	assert_string_equal(caps_print(UINT64_MAX, text),
			    "CAP_BPF CAP_PERFMON CAP_NET_ADMIN CAP_SYS_RESOURCE CAP_SYS_PTRACE "
			    "CAP_SYS_ADMIN");
}

/* What the kernel itself says of this process. */
static uint64_t status(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long long set = UINT64_MAX;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, field, strlen(field)) == 0)
			set = strtoull(line + strlen(field), NULL, 16);
	if (f)
		(void)fclose(f);
	return set;
}

static void give_up(void *ctx)
{
	uint64_t all;

	(void)ctx;
	CHECK(caps_permitted(&all) == 0 && all == status("CapPrm:"), "permitted");
	CHECK(caps_raise(BPF | NET) == 0, "raise");
	CHECK(status("CapEff:") == (BPF | NET) && status("CapPrm:") == all, "after raise");
	CHECK(caps_raise(0) == 0 && status("CapEff:") == 0, "lowered");
	/* More than there is must not be an error. */
	CHECK(caps_keep(NET | PTRACE | (1ULL << 63)) == 0, "keep");
	CHECK(status("CapPrm:") == (NET | PTRACE) && status("CapEff:") == 0 &&
		      status("CapInh:") == 0 && status("CapAmb:") == 0,
	      "after keep: %lx", (unsigned long)status("CapPrm:"));
	CHECK(caps_raise(BPF | NET) == 0 && status("CapEff:") == NET, "what is gone is gone");
	CHECK(caps_keep(0) == 0 && status("CapPrm:") == 0, "nothing");
	CHECK(caps_raise(NET) == 0 && status("CapEff:") == 0, "nothing comes back");
	CHECK(prctl(PR_GET_KEEPCAPS) == 0, "keepcaps");
	CHECK(status("NoNewPrivs:") == 1, "no_new_privs");
	CHECK(!(all & CAPS_BIT(CAP_SETPCAP)) || status("CapBnd:") == 0, "the bounding set");
}

/* Root's program, started later: a credential plugin is one. It has what is kept at most, with a
 * bounding set that could be emptied and with one that could not. It reads what root owns. */
static void started_later(void *ctx)
{
	const bool *may_seal = ctx;
	char folder[] = "/tmp/caps-XXXXXX", path[64], cmd[200];
	uint64_t all;
	FILE *f;

	CHECK(caps_permitted(&all) == 0, "permitted");
	if (!*may_seal) {
		cap_t c = cap_get_proc();
		const cap_value_t seal = CAP_SETPCAP;

		CHECK(c && cap_set_flag(c, CAP_EFFECTIVE, 1, &seal, CAP_CLEAR) == 0 &&
			      cap_set_flag(c, CAP_PERMITTED, 1, &seal, CAP_CLEAR) == 0 &&
			      cap_set_proc(c) == 0,
		      "without CAP_SETPCAP");
		(void)cap_free(c);
	}
	CHECK(caps_keep(NET) == 0, "keep");
	CHECK(mkdtemp(folder), "folder"); /* what is recorded is root's, too */
	(void)snprintf(path, sizeof(path), "%s/token", folder);
	f = fopen(path, "wxe");
	CHECK(f && chmod(path, 0600) == 0 && fprintf(f, "secret\n") > 0, "a file of one's own");
	(void)fclose(f);
	(void)snprintf(cmd, sizeof(cmd),
		       "grep -q secret %s && grep -E 'Cap(Prm|Eff)' "
		       "/proc/self/status",
		       path);
	f = popen(cmd, "re");
	for (int i = 0; i < 2; i++) {
		unsigned long long set = UINT64_MAX;

		CHECK(f && fscanf(f, "Cap%*[PrmEf]: %llx\n", &set) == 1, "what the program says");
		CHECK((set & ~NET) == 0 && (!*may_seal || set == 0), "it has %llx", set);
	}
	CHECK(pclose(f) == 0, "the program");
	(void)unlink(path);
	(void)rmdir(folder);
}

static void test_started_later(void **state)
{
	uint64_t have = 0;

	(void)state;
	assert_int_equal(caps_permitted(&have), 0);
	if ((have & (NET | CAPS_BIT(CAP_SETPCAP))) != (NET | CAPS_BIT(CAP_SETPCAP))) {
		print_message("skipped: no CAP_NET_ADMIN (cannot run here)\n");
		skip();
	}
	assert_int_equal(rig_child(started_later, &(bool){true}), 0);
	assert_int_equal(rig_child(started_later, &(bool){false}), 0);
}

static void test_give_up(void **state)
{
	uint64_t have = 0;

	(void)state;
	assert_int_equal(caps_permitted(&have), 0);
	if ((have & (BPF | NET | PTRACE)) != (BPF | NET | PTRACE)) {
		print_message("skipped: no CAP_BPF (cannot run here)\n");
		skip();
	}
	assert_int_equal(rig_child(give_up, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tier),	      cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_print),	      cmocka_unit_test(test_give_up),
		cmocka_unit_test(test_started_later),
	};

	return cmocka_run_group_tests_name("flow/caps", tests, NULL, NULL);
}
