/* See access_ask.h. */
#include "cli/access_ask.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/agent_cred.h"
#include "cli/progress.h"
#include "kube/budget.h"
#include "kube/client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>

#define PARALLEL   8
#define TRIES	   4
#define TRY_AFTER  NSEC_PER_SEC
#define TIMEOUT	   (10 * NSEC_PER_SEC) /* of one question */
#define LOOK_US	   200000	       /* how often it is shown how far it is */
#define WHO_TARGET "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define WHO_BODY   "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubjectReview\"}"
#define WHO_MAX	   65536

struct asking;

struct question {
	struct asking *asking; /* NULL: free */
	struct access_place place;
	unsigned tries;
	struct event *again;
};

struct get {
	struct asking *asking; /* NULL: free */
	char path[600];
};

struct asking {
	const struct agent_config *c;
	struct access_asked *out;
	struct event_base *base;
	struct event *tick, *look;
	struct progress progress;
	struct budget budget,
		pace; /* the client's; of questions, which the client does not hold up */
	struct client *client;
	struct question questions[PARALLEL];
	struct get gets[PARALLEL];
	struct access_place next; /* taken, and waits for its turn */
	bool has_next, has_rows;
	unsigned asked, answered;
	int r;
	struct buf *error;
};

/* ---- the end --------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void give_up(struct asking *a, int r, const char *fmt,
							  ...)
{
	char text[1024];
	va_list ap;

	if (a->r < 0)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a->r = r;
	(void)buf_printf(a->error, "%s", text);
	(void)event_base_loopbreak(a->base);
}

static void go_on(struct asking *a, nsec_t when)
{
	const nsec_t now = clock_mono();
	const struct timeval tv = clock_timeval(when > now ? when - now : 0);

	(void)evtimer_add(a->tick, &tv);
}

/* ---- one question ---------------------------------------------------------------------------- */

/* A server that is busy or restarts is asked again; then it is said. */
static void try_again(struct question *q, const struct client_answer *answer)
{
	const nsec_t wait = MIN(MAX(answer->retry_after, TRY_AFTER), TIMEOUT);
	const struct timeval tv = clock_timeval(wait);
	const int status = answer->status;

	if ((status == 0 || status == 429 || status >= 500) && ++q->tries < TRIES)
		(void)evtimer_add(q->again, &tv);
	else
		give_up(q->asking, -EIO, "%s", answer->text);
}

static void on_answer(void *ctx, const struct client_answer *answer)
{
	struct question *q = ctx;
	struct asking *a = q->asking;
	struct access_verdict v = {0};
	int r;

	if (answer->status != 200 && answer->status != 201)
		return try_again(q, answer);
	r = access_review_answer(answer->body, &v);
	if (r == -EBADMSG)
		return give_up(a, r, "the answer is no SelfSubjectAccessReview");
	if (r == 0)
		r = access_rows_note(&a->out->rows, &q->place, &v);
	if (r < 0)
		return give_up(a, r, "%s", strerror(-r));
	a->answered++;
	q->asking = NULL;
	go_on(a, 0);
}

static void send_question(struct question *q)
{
	struct asking *a = q->asking;
	const struct access_question question = access_rows_question(&a->out->rows, &q->place);
	_buf_ struct buf body = {.max = 4096};
	struct client_call call = {.method = "POST",
				   .target = ACCESS_REVIEW_TARGET,
				   .max = ACCESS_REVIEW_MAX,
				   .timeout = TIMEOUT,
				   .done = on_answer,
				   .ctx = q};
	int r = access_review_body(&question, &body);

	call.body = buf_str(&body);
	r = r < 0 ? r : client_send(a->client, &call);
	if (r < 0)
		give_up(a, r, "%s", strerror(-r));
}

static void on_again(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what;
	send_question(ctx);
}

static struct question *free_place(struct asking *a)
{
	for (size_t i = 0; i < PARALLEL; i++)
		if (!a->questions[i].asking)
			return &a->questions[i];
	return NULL;
}

/* Everything that may be asked now. */
static void ask_more(struct asking *a)
{
	struct question *q;
	nsec_t when = 0;

	while (a->r == 0 && (q = free_place(a))) {
		a->has_next = a->has_next || access_rows_next(&a->out->rows, &a->next);
		if (!a->has_next)
			return;
		if (!budget_take(&a->pace, clock_mono(), &when))
			return go_on(a, when);
		if (++a->asked > ACCESS_MAX_QUESTIONS)
			return give_up(a, -EMSGSIZE, "there are more than %d questions to ask",
				       ACCESS_MAX_QUESTIONS);
		a->has_next = false;
		*q = (struct question){.asking = a, .place = a->next, .again = q->again};
		send_question(q);
	}
}

/* ---- before the questions -------------------------------------------------------------------- */

static void on_discovered(void *ctx, int status, struct str body, const char *text)
{
	struct get *g = ctx;
	struct asking *a = g->asking;

	(void)text; /* what is not learned stays a guess */
	g->asking = NULL;
	if (catalog_answer(a->out->catalog, g->path, status, body) == -ENOMEM)
		return give_up(a, -ENOMEM, "%s", strerror(ENOMEM));
	go_on(a, 0);
}

/* 1 when the catalogue is there, 0 while answers are awaited, or -errno. */
static int discover(struct asking *a)
{
	const char *path;
	int r = 0;

	for (size_t i = 0; r == 0 && i < PARALLEL; i++) {
		struct get *g = &a->gets[i];

		if (g->asking || !(path = catalog_next(a->out->catalog)))
			continue;
		(void)snprintf(g->path, sizeof(g->path), "%s", path);
		r = client_get_raw(a->client, g->path, CATALOG_ACCEPT, CATALOG_MAX_BODY,
				   on_discovered, g);
		g->asking = r == 0 ? a : NULL;
	}
	if (r < 0 || !catalog_complete(a->out->catalog))
		return r;
	r = catalog_finish(a->out->catalog);
	return r < 0 ? r : 1;
}

static int make_rows(struct asking *a)
{
	a->has_rows = true;
	a->out->rows.c = a->c;
	a->out->rows.catalog = a->out->catalog;
	return access_rows_make(&a->out->rows, &a->out->needed);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct asking *a = ctx;
	int r = 1;

	(void)fd, (void)what;
	if (a->r < 0)
		return;
	if (!a->has_rows) {
		r = a->out->catalog ? discover(a) : 1;
		if (r == 1)
			r = make_rows(a);
		else if (r == 0)
			return;
	}
	r = r < 0 ? r : access_rows_over(&a->out->rows);
	if (r == 1)
		(void)event_base_loopbreak(a->base);
	else if (r < 0)
		give_up(a, r, "%s", strerror(-r));
	else
		ask_more(a);
}

/* Who asks: not every server says. */
static void on_who(void *ctx, const struct client_answer *answer)
{
	struct asking *a = ctx;
	_json_ json_t *o = json_in_parse(answer->body, 0);
	const json_t *info = json_in_at(o, "status", "userInfo");
	const char *name = json_string_value(json_object_get(info, "username"));

	if (name)
		a->out->user = str_dup(str_of(name));
	go_on(a, 0);
}

/* ---- how far it is --------------------------------------------------------------------------- */

static void on_look(evutil_socket_t fd, short what, void *ctx)
{
	struct asking *a = ctx;
	char words[80];

	(void)fd, (void)what;
	(void)snprintf(words, sizeof(words), "asking the API server for permissions, %u answer%s",
		       a->answered, a->answered == 1 ? "" : "s");
	progress_tell(&a->progress, words, 0);
}

static int show_progress(struct asking *a)
{
	const struct timeval every = {.tv_usec = LOOK_US};

	progress_begin(&a->progress);
	a->look = event_new(a->base, -1, EV_PERSIST, on_look, a);
	return a->look && event_add(a->look, &every) == 0 ? 0 : -ENOMEM;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int make_client(struct asking *a)
{
	char user_agent[AGENT_USER_AGENT_MAX];
	const struct client_opts o = {.base = a->base,
				      .cred = agent_cred(a->c),
				      .user_agent = agent_user_agent(a->c, user_agent),
				      .connect_timeout = a->c->connect_timeout,
				      .budget = &a->budget};

	budget_init(&a->budget, a->c->api_qps, a->c->api_burst, rng_entropy());
	budget_init(&a->pace, a->c->api_qps, a->c->api_burst, rng_entropy());
	return client_new(&o, &a->client, a->error);
}

static int make_events(struct asking *a)
{
	a->base = event_base_new();
	a->tick = a->base ? evtimer_new(a->base, on_tick, a) : NULL;
	if (!a->tick)
		return -ENOMEM;
	for (size_t i = 0; i < PARALLEL; i++) {
		a->questions[i].again = evtimer_new(a->base, on_again, &a->questions[i]);
		if (!a->questions[i].again)
			return -ENOMEM;
	}
	return show_progress(a);
}

static int make(struct asking *a)
{
	int r = make_events(a);

	if (r == 0)
		r = access_needed(a->c, &a->out->needed);
	if (r == 0 && access_rows_want_catalog(&a->out->needed))
		r = catalog_new(&a->out->catalog);
	if (r == 0 && a->out->catalog)
		r = catalog_begin(a->out->catalog);
	return r < 0 ? r : make_client(a);
}

static void done(struct asking *a)
{
	progress_end(&a->progress);
	client_free(&a->client);
	for (size_t i = 0; i < PARALLEL; i++)
		if (a->questions[i].again)
			event_free(a->questions[i].again);
	if (a->tick)
		event_free(a->tick);
	if (a->look)
		event_free(a->look);
	if (a->base)
		event_base_free(a->base);
}

static int run(struct asking *a)
{
	const struct client_call who = {.method = "POST",
					.target = WHO_TARGET,
					.body = STR(WHO_BODY),
					.max = WHO_MAX,
					.timeout = TIMEOUT,
					.done = on_who,
					.ctx = a};
	int r;

	a->out->source = str_dup(str_of(client_source(a->client)));
	if (!a->out->source)
		return -ENOMEM;
	client_start(a->client);
	r = client_send(a->client, &who); /* whatever the answer, the questions follow */
	if (r < 0)
		return r;
	return event_base_dispatch(a->base) < 0 ? -EIO : a->r;
}

int access_ask(const struct agent_config *c, struct access_asked *ret, struct buf *ret_error)
{
	struct asking *a = calloc(1, sizeof(*a));
	struct access_asked out = {0};
	int r = -ENOMEM;

	if (a) {
		a->c = c;
		a->out = &out;
		a->error = ret_error;
		r = make(a);
		r = r < 0 ? r : run(a);
		done(a);
	}
	free(a);
	if (r == 0) {
		*ret = out;
		return 0;
	}
	if (!ret_error->n)
		(void)buf_printf(ret_error, "%s", strerror(-r));
	access_asked_done(&out);
	return r;
}

void access_asked_done(struct access_asked *a)
{
	access_rows_done(&a->rows);
	free(a->user);
	free(a->source);
	access_done(&a->needed);
	catalog_free(&a->catalog);
	*a = (struct access_asked){0};
}
