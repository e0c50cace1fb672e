/* Capabilities of this process; see caps.h. */
#include "flow/caps.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#include <sys/capability.h>
#include <sys/prctl.h>

static void cap_free_p(cap_t *c)
{
	if (*c)
		(void)cap_free(*c);
}
#define _cap_ _cleanup_(cap_free_p)

int caps_permitted(uint64_t *ret)
{
	_cap_ cap_t c = cap_get_proc();
	cap_flag_value_t on;
	uint64_t set = 0;

	if (!c)
		return -errno;
	for (int i = 0; i < 64 && cap_get_flag(c, i, CAP_PERMITTED, &on) == 0; i++)
		set |= on == CAP_SET ? CAPS_BIT(i) : 0;
	*ret = set;
	return 0;
}

enum probe_tier caps_tier(uint64_t permitted)
{
	const uint64_t trace = CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON);

	if ((permitted & trace) != trace && !(permitted & CAPS_BIT(CAP_SYS_ADMIN)))
		return PROBE_TIER_NONE;
	return permitted & CAPS_BIT(CAP_NET_ADMIN) ? PROBE_TIER_FULL : PROBE_TIER_TRACE;
}

uint64_t caps_wanted(uint64_t permitted)
{
	const uint64_t trace = CAPS_BIT(CAP_BPF) | CAPS_BIT(CAP_PERFMON);
	uint64_t set = trace | CAPS_BIT(CAP_NET_ADMIN) | CAPS_BIT(CAP_SYS_RESOURCE) |
		       CAPS_BIT(CAP_SYS_PTRACE);

	/* Before Linux 5.8 there was nothing smaller. */
	if ((permitted & trace) != trace)
		set |= CAPS_BIT(CAP_SYS_ADMIN);
	return set & permitted;
}

static int put(cap_t c, cap_flag_t flag, uint64_t set)
{
	for (cap_value_t i = 0; i < 64; i++)
		if (set & CAPS_BIT(i) && cap_set_flag(c, flag, 1, &i, CAP_SET) != 0)
			return -errno;
	return 0;
}

int caps_raise(uint64_t set)
{
	_cap_ cap_t c = cap_get_proc();
	uint64_t permitted = 0;
	int r = c ? caps_permitted(&permitted) : -errno;

	if (r < 0)
		return r;
	if (cap_clear_flag(c, CAP_EFFECTIVE) != 0)
		return -errno;
	r = put(c, CAP_EFFECTIVE, set & permitted);
	if (r < 0)
		return r;
	return cap_set_proc(c) == 0 ? 0 : -errno;
}

/* What is started from here on, such as a credential plugin, gets no capability that this process
 * has not, though it be root's. The bounding set says it once more, where it may be emptied. */
static int seal(uint64_t permitted)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (!(permitted & CAPS_BIT(CAP_SETPCAP)) || caps_raise(CAPS_BIT(CAP_SETPCAP)) < 0)
		return 0;
	for (int i = 0; i < 64 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) == 0; i++)
		;
	return 0;
}

int caps_keep(uint64_t keep)
{
	_cap_ cap_t c = cap_init();
	uint64_t permitted = 0;
	int r = c ? caps_permitted(&permitted) : -errno;

	if (r == 0)
		r = seal(permitted);
	if (r < 0)
		return r;
	(void)cap_reset_ambient(); /* a lowered permitted set lowers the ambient one, too */
	r = put(c, CAP_PERMITTED, keep & permitted);
	if (r < 0)
		return r;
	return cap_set_proc(c) == 0 ? 0 : -errno;
}

const char *caps_print(uint64_t set, char out[CAPS_TEXT_MAX])
{
	static const struct {
		int cap;
		const char *name;
	} names[] = {
		{CAP_BPF, "CAP_BPF"},
		{CAP_PERFMON, "CAP_PERFMON"},
		{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		{CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	};
	size_t n = 0;

	(void)snprintf(out, CAPS_TEXT_MAX, "none");
	for (size_t i = 0; i < ARRAY_SIZE(names) && n < CAPS_TEXT_MAX; i++)
		if (set & CAPS_BIT(names[i].cap))
			n += (size_t)snprintf(out + n, CAPS_TEXT_MAX - n, "%s%s", n ? " " : "",
					      names[i].name);
	return out;
}
