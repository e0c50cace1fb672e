/*
 * What the host tells about itself: name, processors, addresses, and what this
 * process uses. A shell: reads the system.
 */
#pragma once

#include "base/clock.h"
#include "inventory/address.h"
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

/* The look before, for what is told as a share of the time between two looks. Begin with zeros. */
struct hostinfo_usage {
	nsec_t at;
	uint64_t cpu_us;    /* of this process */
	uint64_t idle, all; /* of the machine, in clock ticks */
};
void hostinfo_usage(struct hostinfo_usage *last, nsec_t now, struct session_usage *ret);
