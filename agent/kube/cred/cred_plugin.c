/* When a credential plugin is run, and what its answers and failures mean; see cred_parts.h. */
#include "kube/cred/cred_parts.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define EXEC_LEAD      (30 * NSEC_PER_SEC) /* a credential is renewed so long before its end... */
#define EXEC_LEAD_PART 10		   /* ...or a tenth of its life, if that is more */
#define EXEC_PAUSE     (1 * NSEC_PER_SEC)  /* after a plugin failed; doubles */
#define EXEC_PAUSE_MAX (30 * NSEC_PER_SEC)

static void exec_failed(struct kube_cred *c, nsec_t now, const char *text)
{
	(void)snprintf(c->error, sizeof(c->error), "%s", text);
	if (c->have_answer)
		log_warn("credentials: %s; the present one is used until it expires", text);
	c->pause = c->pause ? MIN(c->pause * 2, EXEC_PAUSE_MAX) : EXEC_PAUSE;
	c->retry_at = now + c->pause;
}

/* Takes what `a` holds. */
static int exec_take(struct kube_cred *c, nsec_t now, struct exec_answer *a)
{
	nsec_t life = a->expires == NSEC_NEVER || a->expires < now ? 0 : a->expires - now;
	nsec_t lead = MIN(MAX(life / EXEC_LEAD_PART, EXEC_LEAD), life / 2);

	if (a->token && cred_bearer(c, str_of(a->token)) < 0)
		return -ENOMEM;
	if (!a->token)
		cred_authorize(c, NULL);
	exec_answer_done(&c->answer);
	c->answer = *a;
	*a = (struct exec_answer){0};
	c->have_answer = true;
	c->renew_at = c->answer.expires == NSEC_NEVER ? NSEC_NEVER : c->answer.expires - lead;
	c->error[0] = '\0';
	c->pause = 0;
	c->retry_at = 0;
	return 0;
}

static void on_exec_done(void *ctx, int r, struct exec_answer *a, const char *error)
{
	struct kube_cred *c = ctx;
	bool waiting = c->waiting;
	nsec_t now = clock_mono();

	c->run = NULL;
	c->waiting = false;
	if (r == 0 && exec_take(c, now, a) < 0)
		r = -ENOMEM;
	if (r < 0)
		exec_failed(c, now, error[0] ? error : strerror(-r));
	if (waiting && c->o.ready)
		c->o.ready(c->o.ctx);
}

static int exec_start(struct kube_cred *c, nsec_t now)
{
	struct exec_cluster cluster = {
		.server = c->url,
		.server_name = c->config->server_name,
		.proxy = c->config->proxy,
		.ca = c->tls.ca,
		.insecure = c->tls.insecure,
	};
	struct exec_cred_opts o = {
		.base = c->o.base,
		.config = &c->config->exec,
		.cluster = &cluster,
		.timeout = c->o.exec_timeout,
		.done = on_exec_done,
		.ctx = c,
	};
	_buf_ struct buf e;
	char text[CRED_ERROR_MAX];
	int r;

	buf_init(&e, CRED_ERROR_MAX);
	r = exec_cred_start(&o, &c->run, &e);
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&e)));
		exec_failed(c, now, text[0] ? text : strerror(-r));
	}
	return r;
}

enum kube_cred_state cred_plugin_get(struct kube_cred *c, nsec_t now)
{
	bool good = c->have_answer && now < c->answer.expires;
	bool due = !good || now >= c->renew_at;

	if (due && !c->run && now >= c->retry_at)
		(void)exec_start(c, now);
	if (good)
		return KUBE_CRED_READY;
	if (!c->run)
		return KUBE_CRED_FAILED;
	c->waiting = true;
	return KUBE_CRED_PENDING;
}
