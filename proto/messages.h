/*
 * The message table: what the 91 messages are called, which fields they have
 * and where each field stands on the wire.
 *
 * messages.def is the one list; from it come the ids (enum wire_id), one C
 * struct per message (struct wire_pod_delete, ...) and the descriptors, which
 * the codec, the printer and the tests walk. The table is completed before
 * main() runs and constant from then on.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages have at most this many fields and descriptors this many entries. */
#define WIRE_MAX_FIELDS 12
#define WIRE_MESSAGES	91

struct wire_u128 {
	uint64_t lo, hi;
};

enum wire_type {
	WIRE_U8,
	WIRE_U16,
	WIRE_U32,
	WIRE_U64,
	WIRE_U128,
	WIRE_S32,
	WIRE_S64,
	WIRE_IP4,   /* u32, the address bytes as they are */
	WIRE_IP4N,  /* u32, an address as a number */
	WIRE_BYTES, /* u8[count] */
	WIRE_IP6,   /* u8[16] */
	WIRE_STR,
	WIRE_IP4S, /* string of packed IPv4 addresses */
	WIRE_IP6S, /* string of packed IPv6 addresses */
	_WIRE_TYPE_MAX,
};

struct wire_field {
	const char *name;
	enum wire_type type;
	uint16_t count; /* elements: 1, or the length of a byte array */
	uint16_t at;	/* byte offset in the message's C struct */
	uint16_t off;	/* byte offset on the wire, from the id; a string's is its length slot */
	bool slot;	/* a string that has a length slot: all but the last one */
};

struct wire_desc {
	const char *name;
	const struct wire_field *fields; /* in declaration order */
	uint16_t id;
	uint16_t n_fields;
	uint16_t fixed;	   /* bytes from the id to the end of the fixed part */
	uint16_t pad_off;  /* the one gap a layout may have, from the id; */
	uint16_t pad_size; /* 0: none */
	uint16_t n_strings;
	bool dynamic; /* has strings and therefore a length word */
};

/* NULL for an id that is not in the table. */
const struct wire_desc *wire_desc(uint16_t id);
const struct wire_desc *wire_desc_by_name(struct str name);
/* All of them, WIRE_MESSAGES many, in the order of messages.def. */
const struct wire_desc *wire_descs(void);

bool wire_type_is_string(enum wire_type t);
/* Strings and byte arrays: their value is a struct str. */
bool wire_type_is_bytes(enum wire_type t);
/* "u8", "u8[16]" has "u8", "string". */
const char *wire_type_name(enum wire_type t);

/* Calls F(m, x) for each of up to twelve x. */
#define WIRE_EACH_1(F, m, x)						     F(m, x)
#define WIRE_EACH_2(F, m, x, ...)					     F(m, x) WIRE_EACH_1(F, m, __VA_ARGS__)
#define WIRE_EACH_3(F, m, x, ...)					     F(m, x) WIRE_EACH_2(F, m, __VA_ARGS__)
#define WIRE_EACH_4(F, m, x, ...)					     F(m, x) WIRE_EACH_3(F, m, __VA_ARGS__)
#define WIRE_EACH_5(F, m, x, ...)					     F(m, x) WIRE_EACH_4(F, m, __VA_ARGS__)
#define WIRE_EACH_6(F, m, x, ...)					     F(m, x) WIRE_EACH_5(F, m, __VA_ARGS__)
#define WIRE_EACH_7(F, m, x, ...)					     F(m, x) WIRE_EACH_6(F, m, __VA_ARGS__)
#define WIRE_EACH_8(F, m, x, ...)					     F(m, x) WIRE_EACH_7(F, m, __VA_ARGS__)
#define WIRE_EACH_9(F, m, x, ...)					     F(m, x) WIRE_EACH_8(F, m, __VA_ARGS__)
#define WIRE_EACH_10(F, m, x, ...)					     F(m, x) WIRE_EACH_9(F, m, __VA_ARGS__)
#define WIRE_EACH_11(F, m, x, ...)					     F(m, x) WIRE_EACH_10(F, m, __VA_ARGS__)
#define WIRE_EACH_12(F, m, x, ...)					     F(m, x) WIRE_EACH_11(F, m, __VA_ARGS__)
#define WIRE_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, n, ...) WIRE_EACH_##n
#define WIRE_EACH(F, m, ...) \
	WIRE_PICK(__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)(F, m, __VA_ARGS__)
#define WIRE_UNWRAP(...) __VA_ARGS__

/* WIRE_pod_delete = 359, ... */
enum wire_id {
#define MSG(num, name, ...) WIRE_##name = (num),
#define MSG0(num, name)	    WIRE_##name = (num),
#include "proto/messages.def"
#undef MSG
#undef MSG0
};

/*
 * struct wire_pod_delete { struct str uid; }; and so on: a message's fields in
 * declaration order. Strings and byte arrays are views that the caller owns
 * when encoding and that borrow from the message's bytes when decoded. A byte
 * array may be given shorter than it is (zeros follow), never longer.
 */
#define WIRE_C_u8		      uint8_t
#define WIRE_C_u16		      uint16_t
#define WIRE_C_u32		      uint32_t
#define WIRE_C_u64		      uint64_t
#define WIRE_C_u128		      struct wire_u128
#define WIRE_C_s32		      int32_t
#define WIRE_C_s64		      int64_t
#define WIRE_C_ip4		      uint32_t
#define WIRE_C_ip4n		      uint32_t
#define WIRE_C_bytes		      struct str
#define WIRE_C_ip6		      struct str
#define WIRE_C_str		      struct str
#define WIRE_C_ip4s		      struct str
#define WIRE_C_ip6s		      struct str
#define WIRE_MEMBER_(type, name, ...) WIRE_C_##type name;
#define WIRE_MEMBER(m, x)	      WIRE_MEMBER_ x
#define MSG(num, name, ...)                               \
	struct wire_##name {                              \
		WIRE_EACH(WIRE_MEMBER, name, __VA_ARGS__) \
	};
#define MSG0(num, name)      \
	struct wire_##name { \
	};
#include "proto/messages.def"
#undef MSG
#undef MSG0
