#include "sink/otlp/answer.h"

#include "base/mem.h"
#include "peers/varint.h"

#include <errno.h>

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { RESPONSE_PARTIAL = 1 };
enum { PARTIAL_REJECTED = 1, PARTIAL_MESSAGE = 2 };
enum { STATUS_MESSAGE = 2 };

struct field {
	uint64_t number;
	enum wire type;
	uint64_t value;	  /* WIRE_VARINT */
	struct str bytes; /* WIRE_BYTES */
};

static int take(struct str *s, uint64_t n, struct str *ret)
{
	if (n > s->n)
		return -EBADMSG;
	*ret = str_make(s->p, n);
	*s = str_from(*s, n);
	return 0;
}

/* The next field: 1, 0 at the end, -EBADMSG. */
static int next(struct str *s, struct field *ret)
{
	uint64_t tag, n;
	int r;

	if (!s->n)
		return 0;
	r = varint_take(s, &tag);
	if (r < 0 || !(tag >> 3) || tag >> 3 > 0x1fffffff)
		return -EBADMSG;
	*ret = (struct field){.number = tag >> 3, .type = (enum wire)(tag & 7)};
	switch (ret->type) {
	case WIRE_VARINT:
		r = varint_take(s, &ret->value);
		break;
	case WIRE_FIXED64:
		r = take(s, 8, &ret->bytes);
		break;
	case WIRE_FIXED32:
		r = take(s, 4, &ret->bytes);
		break;
	case WIRE_BYTES:
		r = varint_take(s, &n);
		if (r == 0)
			r = take(s, n, &ret->bytes);
		break;
	default: /* groups, and numbers that are no type */
		r = -EBADMSG;
	}
	return r < 0 ? -EBADMSG : 1;
}

static bool is(const struct field *f, unsigned number, enum wire type)
{
	return f->number == number && f->type == type;
}

/* Messages of the same field are joined, as protobuf says: what comes later wins. */
static int read_partial(struct str s, struct otlp_answer *a)
{
	struct field f;
	int r;

	while ((r = next(&s, &f)) > 0)
		if (is(&f, PARTIAL_REJECTED, WIRE_VARINT))
			a->rejected = (int64_t)f.value < 0 ? 0 : f.value;
		else if (is(&f, PARTIAL_MESSAGE, WIRE_BYTES))
			a->message = f.bytes;
	return r;
}

int otlp_answer_read(struct str body, struct otlp_answer *ret)
{
	struct otlp_answer a = {0};
	struct field f;
	int r;

	while ((r = next(&body, &f)) > 0) {
		if (!is(&f, RESPONSE_PARTIAL, WIRE_BYTES))
			continue;
		r = read_partial(f.bytes, &a);
		if (r < 0)
			break;
	}
	if (r == 0)
		*ret = a;
	return r;
}

struct str otlp_status_message(struct str body)
{
	struct str message = {0};
	struct field f;
	int r;

	while ((r = next(&body, &f)) > 0)
		if (is(&f, STATUS_MESSAGE, WIRE_BYTES))
			message = f.bytes;
	return r == 0 ? message : (struct str){0};
}

const char *otlp_end_name(enum otlp_end e)
{
	static const char *const names[_OTLP_END_MAX] = {"taken", "retry", "refused",
							 "unconfirmed"};

	return names[e];
}

static bool is_retryable(int status)
{
	return status == 0 || status == 429 || (status >= 502 && status <= 504);
}

enum otlp_end otlp_end_of(int status, bool whole, struct str body, struct otlp_answer *ret)
{
	*ret = (struct otlp_answer){0};
	if (is_retryable(status))
		return OTLP_RETRY;
	if (status < 200 || status >= 300)
		return OTLP_REFUSED;
	return whole && otlp_answer_read(body, ret) == 0 ? OTLP_TAKEN : OTLP_UNCONFIRMED;
}
