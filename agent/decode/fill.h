/*
 * What both decoders share: the object being filled, its memory, and the calls
 * to the owner when it is whole.
 *
 * Texts of an object are borrowed from the fed bytes while the feed lasts; when
 * a feed ends inside an object they are copied into its arena (fill_own), so a
 * whole object in one feed is decoded without a copy. Memory is charged the same
 * either way: the outcome never depends on where the bytes were cut.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "decode/fields.h"
#include "decode/json_scan.h"

#define DECODE_MAX_OBJECT (4u << 20) /* bytes; decode_opts.max_object 0 */
#define DECODE_TOP_OBJECT (1u << 30) /* bytes; a larger decode_opts.max_object means this */
#define DECODE_MAX_TOP	  65536	     /* bytes of texts around the objects; over it: malformed */
#define DECODE_MAX_KEY	  512	     /* bytes; a longer key or enum text cannot be a wanted one */
#define DECODE_MAX_DEPTH  64 /* JSON nesting; deeper objects are BAD_TOO_DEEP, however deep */
#define DECODE_STACK	  16 /* levels of wanted messages; the tables nest less */

enum text_place {
	TEXT_FED,   /* in the fed bytes */
	TEXT_ARENA, /* where it belongs, and charged */
	TEXT_ELSEWHERE,
};

enum pb_level_kind {
	PB_PLAIN,
	PB_FRAME, /* a watch frame */
	PB_ENTRY, /* one entry of a map */
	PB_MAGIC, /* the magic comes next, an Unknown follows */
	PB_UNKNOWN,
	PB_ITEM, /* one object; its end ends the object */
};

struct pb_level {
	const struct message *m;
	void *base;
	uint64_t end; /* offset in the stream */
	enum pb_level_kind kind;
};

struct pb_entry {
	const struct field *map, *value_field; /* the map; what takes the value, NULL: unwanted */
	void *base, *value_base;
	struct str early; /* a value that came before its key */
	bool has_key, has_early;
};

struct pb {
	struct pb_level stack[DECODE_STACK];
	uint32_t depth;
	uint32_t guard; /* depth of the frame or item whose loss heals a mistake; 0: none */
	uint32_t n_head;
	uint8_t head[24];     /* a tag with its number, a frame length or a magic that was cut */
	uint64_t skip;	      /* bytes to pass over */
	const uint8_t *ahead; /* up to here the fed bytes were asked for */
	const struct field *text;
	char *text_p; /* a text that was cut: n_text bytes of text_size are here */
	size_t n_text, text_size;
	struct pb_entry entry;
	bool seen_raw;
};

enum json_state {
	JSON_TOP,	 /* between documents */
	JSON_END,	 /* behind the only document */
	JSON_VALUE,	 /* a value */
	JSON_FIRST_ELEM, /* a value or ']' */
	JSON_FIRST_KEY,	 /* a key or '}' */
	JSON_NEXT_KEY,	 /* a key */
	JSON_COLON,
	JSON_NEXT,	/* ',' or the end of the object or array */
	JSON_IN_KEY,	/* inside a key */
	JSON_IN_TEXT,	/* inside a wanted text */
	JSON_IN_STRING, /* inside an unwanted one */
	JSON_IN_SCALAR, /* inside a number, true, false, null */
	JSON_IN_SKIP,	/* inside an unwanted object or array */
};

struct json_level {
	const struct message *m;   /* fields of an object, or NULL */
	const struct field *field; /* of an array: its list; of a map: the map */
	void *base;
	bool array;
};

struct json {
	struct json_level stack[DECODE_STACK];
	uint32_t depth, item_depth;
	enum json_state state;
	const struct field *field; /* what takes the next value; NULL: nobody */
	void *base;
	struct buf carry; /* raw bytes of a token that was cut */
	bool has_escape, escaped, too_long;
	bool drop;     /* the object takes too much: it is given up after this value */
	bool dropping; /* its rest is being passed over */
	struct json_scan scan;
};

struct decode {
	struct decode_ops ops;
	void *ctx;
	enum decode_format format;
	enum decode_body body;
	const struct str *labels;
	uint32_t n_labels;
	size_t max_object;
	const struct message *item_message;
	bool want_labels;

	struct arena item_arena; /* the object; reset with every one */
	struct arena top_arena;	 /* the list's own texts; a watch event's */
	size_t charged;		 /* bytes of the object's texts and arrays */
	size_t max_charged;

	struct item item;
	struct top top;
	bool in_item;	       /* inside an object's bytes */
	bool has_item;	       /* a watch event's object is whole and waits for the event's end */
	bool raw;	       /* its bytes are wanted as they come */
	bool raw_borrowed;     /* item.o.raw is in the fed bytes */
	struct buf held;       /* else here; of an object that was cut: what came of it */
	bool borrowed;	       /* some of the object's texts are in the fed bytes */
	enum text_place place; /* where the text at hand lies */
	bool is_status;	       /* protobuf: typeMeta says Status */
	bool is_bad, too_many;
	enum decode_bad bad;
	uint64_t item_start;

	const char *chunk; /* the bytes of the running feed */
	size_t n_chunk;
	uint64_t offset; /* of chunk[0] in the stream */

	int error; /* first error, 0 while well */
	char error_text[192];

	char key[DECODE_MAX_KEY];
	union {
		struct pb pb;
		struct json json;
	};
};

/* The decoders. Whole chunks only: 0 or the error that ends the stream. */
void pb_init(struct decode *d);
int pb_feed(struct decode *d, const uint8_t *p, size_t n);
/* The body is over: 0 or -EBADMSG. */
int pb_finish(struct decode *d);
void json_init(struct decode *d);
void json_done(struct decode *d);
/* Gives up memory that no token is in. */
void json_rest(struct decode *d);
int json_feed(struct decode *d, const char *p, size_t n);
int json_finish(struct decode *d);

/* Notes what is wrong, and at which byte of the stream; returns `r`. The first note stays. */
int fill_error(struct decode *d, int r, uint64_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Values. 0, -EBADMSG (the field cannot take this value), -EMSGSIZE (the object or the list's
 * own texts are over their limit) or -ENOMEM.
 */
int fill_text(struct decode *d, const struct field *f, void *base, struct str s);
void fill_int(const struct field *f, void *base, uint64_t v);
/* One more zeroed element; *ret is NULL when the list is full (reported with the object). Of owner
 * references over the maximum one is read on, in case it is the controller. */
int fill_list(struct decode *d, const struct field *f, void *base, void **ret);
/* Forgets the elements (of this field): in JSON the last of equal keys wins. */
void fill_list_reset(const struct field *f, void *base);
/* What takes the value of this key: *ret_field is NULL when nobody does. */
int fill_map(struct decode *d, const struct field *f, void *base, struct str key,
	     const struct field **ret_field, void **ret_base);
/* `n` bytes of the object's (outside of one: the list's) arena. */
int fill_alloc(struct decode *d, size_t n, void **ret);
/* Copies borrowed texts into the arena: the fed bytes are about to go. 0 or -ENOMEM. */
int fill_own(struct decode *d);

/* The object's bytes end here: item.o.raw, unless there are too many. 0 or -ENOMEM. */
int raw_end(struct decode *d, uint64_t at);
/* Keeps them: the fed bytes are about to go. 0 or -ENOMEM. */
int raw_own(struct decode *d);
/* Nobody wants them any more. */
void raw_forget(struct decode *d);

/* A watch event begins: forgets the one before. */
void event_begin(struct decode *d);
/* The event is whole: hands it over. 0 or what the callback said. */
int event_end(struct decode *d);
/* An object begins or ends at this byte of the stream. */
void item_begin(struct decode *d, uint64_t at);
int item_end(struct decode *d, uint64_t at);
/* The object that is being read will be left out; the first reason stays. */
void item_bad(struct decode *d, enum decode_bad why);
/* The list, or the Status in its place, is over. 0, -EBADMSG or what the callback said. */
int top_end(struct decode *d);
