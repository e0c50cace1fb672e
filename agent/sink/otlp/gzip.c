#include "sink/otlp/gzip.h"

#include <errno.h>
#include <limits.h>
#define ZLIB_CONST /* else the input is not */
#include <zlib.h>

#define WINDOW_GZIP (15 + 16) /* the largest window; 16: with gzip's head */
#define MEMORY	    8	      /* zlib's default: 256 KiB while it runs */

int gzip_put(struct str in, struct buf *out)
{
	z_stream z = {0};
	size_t bound;
	int r;

	if (in.n > UINT_MAX / 2)
		return -EMSGSIZE;
	/* The fastest level: names repeat so much that the others hardly gain. */
	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, WINDOW_GZIP, MEMORY, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	bound = deflateBound(&z, in.n);
	r = buf_reserve(out, bound);
	if (r == 0) {
		z.next_in = (const Bytef *)in.p;
		z.avail_in = (uInt)in.n;
		z.next_out = (Bytef *)buf_tail(out);
		z.avail_out = (uInt)bound;
		r = deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -EMSGSIZE;
		buf_commit(out, r == 0 ? bound - z.avail_out : 0);
	}
	(void)deflateEnd(&z);
	return r;
}
