/* Asking who may; see review.h. */
#include "kube/review.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/token.h"
#include "kube/budget.h"
#include "kube/client.h"
#include "kube/review_object.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX   (64UL << 10)	       /* of a question and of an answer */
#define WARN_EVERY (60 * NSEC_PER_SEC) /* of failures */

struct digest {
	uint8_t b[SHA256_DIGEST_LENGTH];
};

struct kept {
	struct digest token;
	enum review_answer answer;
	nsec_t until, asked; /* `until` 0: free */
};

struct job {		       /* one question under way */
	struct review *review; /* NULL: free */
	struct digest token;
	json_t *user; /* NULL: the token is still with the API server */
	review_done done;
	void *ctx;
};

struct review {
	struct review_opts o;
	struct budget budget;
	struct kept kept[REVIEW_MAX_KEPT];
	struct job jobs[REVIEW_MAX_ASKED];
	struct review_counters count;
	nsec_t warned;
};

static void note(struct review *r, enum review_answer a)
{
	r->count.yes += a == REVIEW_YES;
	r->count.nobody += a == REVIEW_NOBODY;
	r->count.no += a == REVIEW_NO;
	r->count.unknown += a == REVIEW_UNKNOWN;
}

/* ---- what is known --------------------------------------------------------------------------- */

static const struct kept *look_up(struct review *r, nsec_t now, const struct digest *token)
{
	for (size_t i = 0; i < REVIEW_MAX_KEPT; i++) {
		struct kept *k = &r->kept[i];

		if (k->until <= now || memcmp(&k->token, token, sizeof(*token)) != 0)
			continue;
		k->asked = now;
		return k;
	}
	return NULL;
}

static void keep(struct review *r, nsec_t now, const struct digest *token, enum review_answer a)
{
	struct kept *place = &r->kept[0];

	if (a == REVIEW_UNKNOWN)
		return;
	for (size_t i = 0; i < REVIEW_MAX_KEPT && place->until > now; i++)
		if (r->kept[i].until <= now || r->kept[i].asked < place->asked)
			place = &r->kept[i];
	*place = (struct kept){.token = *token,
			       .answer = a,
			       .asked = now,
			       .until = now + (a == REVIEW_YES ? r->o.keep_yes : r->o.keep_no)};
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void finish(struct job *j, enum review_answer a)
{
	struct review *r = j->review;
	review_done done = j->done;
	void *ctx = j->ctx;

	keep(r, clock_mono(), &j->token, a);
	note(r, a);
	json_decref(j->user);
	*j = (struct job){0};
	done(ctx, a);
}

/* The API server gave no answer that can be used. */
static void fail(struct job *j, const char *what, const struct client_answer *a)
{
	struct review *r = j->review;
	const nsec_t now = clock_mono();

	if (!r->warned || now - r->warned >= WARN_EVERY) {
		r->warned = now;
		log_warn("scrapers cannot be authorised, and are refused: %s: %s%s", what,
			 a->text && a->text[0] ? a->text : "the answer is not understood",
			 a->status == 403 ? ": grant create on it" : "");
	}
	finish(j, REVIEW_UNKNOWN);
}

static int ask(struct job *j, const char *target, struct str body,
	       void (*done)(void *, const struct client_answer *))
{
	const struct client_call call = {.method = "POST",
					 .target = target,
					 .body = body,
					 .max = BODY_MAX,
					 .timeout = REVIEW_TIMEOUT,
					 .done = done,
					 .ctx = j};

	return client_send(j->review->o.client, &call);
}

static bool is_answer(const struct client_answer *a)
{
	return a->status == 200 || a->status == 201;
}

static void on_access(void *ctx, const struct client_answer *a)
{
	struct job *j = ctx;
	bool allowed = false;

	if (!is_answer(a) || review_access_take(a->body, &allowed) < 0)
		fail(j, "subjectaccessreviews.authorization.k8s.io", a);
	else
		finish(j, allowed ? REVIEW_YES : REVIEW_NO);
}

static void ask_access(struct job *j)
{
	_buf_ struct buf body = {.max = BODY_MAX};
	const struct review_opts *o = &j->review->o;

	if (review_access_put(&body, j->user, o->path, o->verb) < 0 ||
	    ask(j, REVIEW_ACCESS, buf_str(&body), on_access) < 0)
		finish(j, REVIEW_UNKNOWN);
}

static void on_token(void *ctx, const struct client_answer *a)
{
	struct job *j = ctx;

	if (!is_answer(a) || review_token_take(a->body, &j->user) < 0)
		fail(j, "tokenreviews.authentication.k8s.io", a);
	else if (!j->user)
		finish(j, REVIEW_NOBODY);
	else
		ask_access(j);
}

static struct job *free_job(struct review *r, nsec_t now)
{
	nsec_t when;

	for (size_t i = 0; i < REVIEW_MAX_ASKED; i++)
		if (!r->jobs[i].review)
			return budget_take(&r->budget, now, &when) ? &r->jobs[i] : NULL;
	return NULL;
}

static enum review_answer begin(struct review *r, nsec_t now, struct str token,
				const struct job *want)
{
	_buf_ struct buf body = {.max = BODY_MAX};
	struct job *j = free_job(r, now);
	int e;

	if (!j) {
		r->count.over++;
		return REVIEW_UNKNOWN;
	}
	*j = *want;
	e = review_token_put(&body, token);
	if (e == 0)
		e = ask(j, REVIEW_TOKENS, buf_str(&body), on_token);
	if (body.p)
		explicit_bzero(body.p, body.cap);
	if (e == 0)
		return REVIEW_LATER;
	*j = (struct job){0};
	return REVIEW_UNKNOWN;
}

enum review_answer review_ask(struct review *r, nsec_t now, struct str token, review_done done,
			      void *ctx)
{
	struct job want = {.review = r, .done = done, .ctx = ctx};
	enum review_answer a = REVIEW_NOBODY;
	const struct kept *k;

	if (!token_wrong(token) && token.n <= REVIEW_MAX_TOKEN) {
		(void)SHA256((const uint8_t *)token.p, token.n, want.token.b);
		k = look_up(r, now, &want.token);
		r->count.kept += k != NULL;
		a = k ? k->answer : begin(r, now, token, &want);
	}
	note(r, a);
	return a;
}

/* ---- the whole ------------------------------------------------------------------------------- */

int review_new(const struct review_opts *o, struct review **ret)
{
	struct review *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->o.keep_yes = o->keep_yes ? o->keep_yes : REVIEW_KEEP_YES;
	r->o.keep_no = o->keep_no ? o->keep_no : REVIEW_KEEP_NO;
	budget_init(&r->budget, REVIEW_QPS, REVIEW_BURST, o->seed);
	*ret = r;
	return 0;
}

void review_free(struct review **rp)
{
	struct review *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	for (size_t i = 0; i < REVIEW_MAX_ASKED; i++) {
		if (r->jobs[i].review)
			client_drop(r->o.client, &r->jobs[i]);
		json_decref(r->jobs[i].user);
	}
	free(r);
}

void review_counters(const struct review *r, struct review_counters *ret)
{
	*ret = r->count;
}
