/*
 * The server alone, with an answer that never ends: how long it may take, and whose place
 * is given away.
 */
#include "serve/web.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

#define ANSWER_TIME (300 * NSEC_PER_MSEC)
#define PATIENCE    (20 * NSEC_PER_SEC)

struct world {
	struct event_base *base;
	struct web *web;
	struct web_client *client; /* of the stream */
	struct sockaddr_un at;
	unsigned gone;
};

static int on_more(void *ctx)
{
	static char text[1000];
	struct world *w = ctx;

	memset(text, 'x', sizeof(text));
	return web_stream_put(w->client, str_make(text, sizeof(text))) < 0 ? -ENOMEM : 1;
}

static void on_gone(void *ctx)
{
	((struct world *)ctx)->gone++;
}

static const struct web_stream_ops ops = {.more = on_more, .gone = on_gone};

static void on_request(void *ctx, struct web_client *c, const struct web_request *r)
{
	struct world *w = ctx;

	if (str_eq(r->path, STR("/short"))) {
		web_reply(c, 200, "text/plain", STR("short\n"));
		return;
	}
	w->client = c;
	web_stream(c, "text/plain", &ops, w);
	if (str_eq(r->path, STR("/endless")))
		web_stream_endless(c);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct web_opts o = {.request = on_request, .ctx = w, .answer_time = ANSWER_TIME};
	struct web_listener l = {.place = WEB_LOCAL, .max_clients = 1};

	assert_non_null(w);
	w->base = o.base = event_base_new();
	assert_int_equal(web_new(&o, &w->web), 0);
	w->at.sun_family = AF_UNIX; /* abstract: a name of its own, without a file */
	(void)snprintf(w->at.sun_path + 1, sizeof(w->at.sun_path) - 1, "kindred-web-%d", getpid());
	l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(l.fd, (struct sockaddr *)&w->at, sizeof(w->at)), 0);
	assert_int_equal(listen(l.fd, 8), 0);
	assert_int_equal(web_listen(w->web, &l), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	web_free(&w->web);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void turn(struct world *w)
{
	(void)event_base_loop(w->base, EVLOOP_NONBLOCK);
	usleep(200);
}

static int ask(struct world *w, const char *path)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[64];
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	assert_int_equal(connect(fd, (struct sockaddr *)&w->at, sizeof(w->at)), 0);
	assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
	return fd;
}

/* Takes all there is until the end, at most so long: how long that was. */
static nsec_t take(struct world *w, int fd, nsec_t most)
{
	const nsec_t begin = clock_mono();
	char room[65536];
	ssize_t n = -1;

	while (n != 0 && clock_mono() - begin < most) {
		turn(w);
		n = recv(fd, room, sizeof(room), 0);
	}
	return clock_mono() - begin;
}

static void an_answer_has_its_time(void **state)
{
	struct world *w = *state;
	int fd = ask(w, "/long");

	assert_in_range(take(w, fd, PATIENCE), ANSWER_TIME / 2, PATIENCE / 2);
	assert_int_equal(w->gone, 1);
	(void)close(fd);
}

static void one_without_an_end_goes_on(void **state)
{
	struct world *w = *state;
	int fd = ask(w, "/endless");

	assert_true(take(w, fd, 3 * ANSWER_TIME) >= 3 * ANSWER_TIME);
	assert_int_equal(w->gone, 0);
	(void)close(fd);
}

/* The one place there is: of a client that takes what it is given, then of one that does not. */
static void who_takes_nothing_gives_the_place(void **state)
{
	struct world *w = *state;
	struct web_stats stats;
	int taker = ask(w, "/endless"), other, sleeper;
	nsec_t begin;

	(void)take(w, taker, WEB_PATIENCE + ANSWER_TIME);
	other = ask(w, "/short");
	assert_true(take(w, other, PATIENCE) < PATIENCE);
	web_stats(w->web, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(w->gone, 0);
	(void)close(other);
	(void)close(taker);
	while (!w->gone)
		turn(w);
	sleeper = ask(w, "/endless");
	for (begin = clock_mono(); clock_mono() - begin < WEB_PATIENCE + ANSWER_TIME;)
		turn(w);
	other = ask(w, "/short");
	assert_true(take(w, other, PATIENCE) < PATIENCE);
	web_stats(w->web, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.displaced, 1);
	assert_int_equal(w->gone, 2);
	(void)close(other);
	(void)close(sleeper);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_has_its_time),
		T(one_without_an_end_goes_on),
		T(who_takes_nothing_gives_the_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
