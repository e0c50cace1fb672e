/*
 * Reads one DNS message (RFC 1035 section 4) out of bytes that nobody vouches for:
 * the question, the response code, and the A and AAAA records of the answer. Pure.
 *
 * Everything else (other types and classes, authority, additional, EDNS) is passed
 * over unread. A message that was captured in part gives what is there.
 */
#pragma once

#include "base/str.h"
#include "flow/flows.h"
#include "model/address.h"

#include <stdbool.h>
#include <stdint.h>

struct dns_message {
	uint16_t id;
	bool response;
	uint8_t opcode; /* 0: QUERY */
	uint8_t rcode;	/* of the header; the upper bits that EDNS adds are not looked at */
	/* Of the first question; all zero when there is none, or when it was not captured whole
	 * (`cut` is set then). */
	bool question;
	uint16_t qtype, qclass;
	/* Lower case (RFC 4343), without the final dot; the root is empty. Escaped as RFC 1035
	 * section 5.1 has it: a backslash before " . ; \ ( ) @ $ inside a label, \DDD for what is
	 * not printable. Such a text may be longer than FLOWS_DNS_NAMES: then it ends after its
	 * last whole character, and name_cut is set. No NUL. */
	char name[FLOWS_DNS_NAMES];
	uint8_t name_n;
	bool name_cut;
	struct addr addrs[FLOWS_DNS_ADDRS]; /* in the order of the message */
	uint32_t n_addrs;
	uint32_t addrs_left_out; /* over FLOWS_DNS_ADDRS */
	bool cut; /* the bytes ended before the answer section did: the rest was not seen */
};

/* 0, or -EBADMSG: shorter than a header, or not a DNS message. A message that ends early is not an
 * error. Nothing in `ret` points into `bytes`. */
int dns_parse(struct str bytes, struct dns_message *ret);
static inline struct str dns_name(const struct dns_message *m)
{
	return str_make(m->name, m->name_n);
}
