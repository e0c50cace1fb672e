/*
 * IP addresses in one form: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d
 * (RFC 4291 section 2.5.5.2).
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct addr {
	uint8_t b[16];
};

/* "10.1.2.3" or "fd00::1": 0, or -EINVAL. */
int addr_parse(struct str text, struct addr *ret);
bool addr_is_v4(const struct addr *a);
/* The IPv4 address as a number, 10.1.2.3 = 0x0a010203; 0 for IPv6. */
uint32_t addr_v4(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);

#define ADDR_TEXT_MAX 46 /* INET6_ADDRSTRLEN */
/* IPv4 dotted, IPv6 as RFC 5952. */
const char *addr_print(const struct addr *a, char out[ADDR_TEXT_MAX]);
