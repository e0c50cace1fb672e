/*
 * What the host tells about itself: name, processors, addresses, its system, and what
 * this process uses. A shell: reads the system.
 */
#pragma once

#include "base/clock.h"
#include "model/address.h"
#include "sink/reducer/session.h"

#include <stdint.h>

#define HOSTINFO_NAME_MAX 256

/* Of the kernel; "unknown" when it has none. */
void hostinfo_name(char out[HOSTINFO_NAME_MAX]);
/* Processors online, at least 1. */
uint32_t hostinfo_cpus(void);
/* Up to `max` addresses of interfaces that are up; loopback and link-local ones are left out.
 * Returns how many. */
uint32_t hostinfo_addrs(struct addr *ret, uint32_t max);

/* What session_opts.os wants; `ret` of hostinfo_os points into it. */
struct hostinfo_os {
	char version[128], kernel[128];
};
/* The distribution is that of the first os-release found: /host/etc (the host's, mounted there in a
 * container), /etc. Unknown or none: flavor 0. */
void hostinfo_os(struct hostinfo_os *text, struct session_os *ret);
/* The value of a line NAME=value or NAME="value" of os-release; empty when there is none. */
struct str hostinfo_release(struct str file, struct str name);
/* ID and ID_LIKE to os_info's flavor. */
uint8_t hostinfo_flavor(struct str id, struct str id_like);

/* The look before, for what is told as a share of the time between two looks. Begin with zeros. */
struct hostinfo_usage {
	nsec_t at;
	uint64_t cpu_us;    /* of this process */
	uint64_t idle, all; /* of the machine, in clock ticks */
};
void hostinfo_usage(struct hostinfo_usage *last, nsec_t now, struct session_usage *ret);
