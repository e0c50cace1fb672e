#include "serve/peers_api.h"

#include "base/mem.h"
#include "peers/peers.h"
#include "serve/parts.h"
#include "sink/peers/publish.h"

#include <errno.h>
#include <stdlib.h>

#define TYPE_PEERS "application/vnd.kindred.peers"

struct peer { /* one subscriber */
	struct serve *serve;
	struct web_client *client;
	struct publish_sub *sub;
};

void serve_peers_wake(void *sub_ctx)
{
	web_stream_wake(((struct peer *)sub_ctx)->client);
}

/* Its last words. */
static int send_away(struct peer *p, struct str words)
{
	_buf_ struct buf frame = {.max = 2048};

	if (publish_farewell(&frame, words) == 0)
		(void)web_stream_put(p->client, buf_str(&frame));
	return -ESHUTDOWN;
}

static int on_more(void *ctx)
{
	_buf_ struct buf words = {.max = 1024};
	struct peer *p = ctx;
	const struct serve_opts *o = &p->serve->o;
	struct str bytes;
	int r = 1;

	if (!o->peers_ready(o->ctx, &words))
		return send_away(p, buf_str(&words));
	while (web_stream_waiting(p->client) <= WEB_LOW_WATER) {
		r = publish_sub_take(p->sub, clock_mono(), &bytes);
		if (r > 0)
			r = web_stream_put(p->client, bytes) < 0 ? -ENOMEM : 1;
		if (r <= 0)
			break;
	}
	return r == -ESTALE ? send_away(p, STR("too slow: it has to come again")) : r;
}

static void on_gone(void *ctx)
{
	struct peer *p = ctx;

	publish_sub_free(&p->sub);
	free(p);
}

static const struct web_stream_ops stream_ops = {.more = on_more, .gone = on_gone};

/* ---- the question ---------------------------------------------------------------------------- */

struct position {
	bool feed_given, from_given;
	uint8_t feed[PEERFEED_ID];
	unsigned long long from;
};

static int parse_one(const char *name, struct str value, struct position *ret)
{
	if (strcmp(name, "feed") == 0 && value.n == 2 * PEERFEED_ID &&
	    uid_hex(value.p, value.n, ret->feed))
		ret->feed_given = true;
	else if (strcmp(name, "from") == 0 && str_to_u64(value, &ret->from) == 0)
		ret->from_given = true;
	else
		return -EINVAL;
	return 0;
}

/* 0; -EINVAL: it is malformed, or not whole. */
static int parse(struct str query, struct position *ret)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	int r;

	while ((r = query_next(&query, name, value)) > 0)
		if (parse_one(name, str_of(value), ret) < 0)
			return -EINVAL;
	return r < 0 || ret->feed_given != ret->from_given ? -EINVAL : 0;
}

static bool may_come(struct serve *s, struct web_client *c)
{
	_buf_ struct buf words = {.max = 1024};
	struct publish_stats st;

	if (!s->o.publish) {
		serve_error(c, 404, STR("this agent has no feed: start it with --serve-peers"));
		return false;
	}
	publish_stats(s->o.publish, &st);
	if (s->o.peers_ready(s->o.ctx, &words) && st.subscribers < s->o.max_peers)
		return true;
	serve_error(c, 503,
		    words.n ? buf_str(&words)
			    : STR("there are as many subscribers as --peers-clients lets in"));
	return false;
}

void serve_peers(struct serve *s, struct web_client *c, const struct web_request *r)
{
	struct position at = {0};
	struct peer *p;

	if (parse(r->query, &at) < 0) {
		serve_error(c, 400, STR("a feed goes on with feed=32HEX&from=POSITION"));
		return;
	}
	if (!may_come(s, c))
		return;
	p = calloc(1, sizeof(*p));
	if (!p || publish_sub_new(s->o.publish, at.feed_given ? at.feed : NULL, at.from, p,
				  &p->sub) < 0) {
		free(p);
		serve_error(c, 500, STR("out of memory"));
		return;
	}
	p->serve = s;
	p->client = c;
	web_stream(c, TYPE_PEERS, &stream_ops, p);
	web_stream_endless(c);
}
