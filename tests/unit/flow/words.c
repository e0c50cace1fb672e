/* Why something is off, in words, where it takes another kernel or other rights to see it happen.
 */
#include "flow/caps.h"
#include "flow/kernel_words.h"
#include "flow/layout.h"
#include "flow/objects.h"

#include "shell_rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/capability.h>
#include <sys/resource.h>

static void test_conntrack(void **state)
{
	static const struct {
		int r;
		bool net_admin;
		const char *words;
	} cases[] = {
		{-EPERM, false, "needs CAP_NET_ADMIN in the host's network namespace"},
		{-EPERM, true, "CAP_NET_ADMIN must hold in the network namespace"},
		{-EPROTONOSUPPORT, true, "this kernel has no conntrack events"},
		{-ENOENT, true, "this kernel has no conntrack events"},
		{-ENOBUFS, true, "No buffer space available"},
	};
	char out[OBJECTS_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(
			kernel_words_conntrack(cases[i].r, cases[i].net_admin, out, sizeof(out)),
			cases[i].words);
}

/* Why `tcp` is off when the kernel permits nothing, with that limit of locked memory. */
static void refused(struct rlimit limit, uint64_t permitted, char out[OBJECTS_WHY_MAX])
{
	struct layout layout = {0};
	const struct objects_opts o = {.layout = &layout,
				       .tier = PROBE_TIER_FULL, /* it does not know better */
				       .permitted = permitted,
				       .ring_bytes = 4096,
				       .max_socks = 16};
	struct objects *objects = NULL;

	CHECK(caps_keep(0) == 0, "capabilities");
	CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0, "the limit");
	CHECK(objects_new(&o, &objects) < 0, "loaded without a capability");
	CHECK(objects, "nobody to ask");
	(void)snprintf(out, OBJECTS_WHY_MAX, "%s", objects_status(objects, PROBE_TCP).why);
	objects_free(&objects);
}

/* Before Linux 5.11 a map's memory is locked memory, and its refusal the same EPERM. */
static void short_of_memory(void *ctx)
{
	const struct rlimit limit = {.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
	char why[OBJECTS_WHY_MAX];

	(void)ctx;
	refused(limit, CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON), why);
	CHECK(strcmp(why,
		     "not permitted: before Linux 5.11 this needs CAP_SYS_RESOURCE or a larger "
		     "limit of locked memory (it is 64 KiB)") == 0,
	      "%s", why);
}

/* Who may raise the limit is not short of it. */
static void not_short_of_memory(void *ctx)
{
	const struct rlimit limit = {.rlim_cur = 64 << 10, .rlim_max = 64 << 10};
	char why[OBJECTS_WHY_MAX];

	(void)ctx;
	refused(limit, CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON) | CAPS_BIT(CAP_SYS_RESOURCE), why);
	CHECK(!strstr(why, "locked memory") && *why, "%s", why);
}

static void test_locked_memory(void **state)
{
	(void)state;
	assert_int_equal(rig_child(short_of_memory, NULL), 0);
	assert_int_equal(rig_child(not_short_of_memory, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conntrack),
		cmocka_unit_test(test_locked_memory),
	};

	return cmocka_run_group_tests_name("flow/words", tests, NULL, NULL);
}
