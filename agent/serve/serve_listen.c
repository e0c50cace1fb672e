/*
 * Where the agent listens, and who may ask there; see serve.h.
 */
#include "serve/guard.h"
#include "serve/parts.h"
#include "serve/secret.h"
#include "serve/web_tls.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define LINE_WORDS_MAX 1024

/* ---- what changes while it runs -------------------------------------------------------------- */

static void tell(const struct serve *s, const char *what, const char *words)
{
	char text[LINE_WORDS_MAX + 64];

	if (!s->o.told)
		return;
	if (words[0])
		(void)snprintf(text, sizeof(text), "%s: the one before stays in use", words);
	else
		(void)snprintf(text, sizeof(text), "%s was read anew", what);
	s->o.told(s->o.ctx, words[0], text);
}

static void on_tls_told(void *ctx, const char *words)
{
	tell(ctx, "a certificate", words);
}

static void on_secret_told(void *ctx, const char *words)
{
	tell(ctx, "the token file", words);
}

/* ---- listening ------------------------------------------------------------------------------- */

static int make_tls(struct serve *s, const struct serve_address *a, struct spot *p,
		    struct buf *words)
{
	const struct web_tls_opts o = {
		.cert_file = a->cert_file, .key_file = a->key_file, .told = on_tls_told, .ctx = s};

	return a->cert_file ? web_tls_new(&o, &p->tls, words) : 0;
}

/* The socket; `others`: it may be of others than this machine. */
static int bind_place(const struct serve_address *a, bool others, struct spot *p, int *ret_fd,
		      struct buf *words)
{
	_buf_ struct buf name = {.max = sizeof(p->name)};
	_close_ int fd = -1;
	int r = listen_tcp(a->host, a->port, !others, &fd, words);

	if (r == 0)
		r = listen_name(fd, &name, &p->port);
	if (r < 0)
		return r;
	p->here = listen_is_here(fd);
	(void)snprintf(p->name, sizeof(p->name), "%.*s", STR_ARG(buf_str(&name)));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* An address that was not asked for is gone without. */
static int listen_place(struct serve *s, const struct serve_address *a, enum web_place place,
			bool others, struct buf *words)
{
	_buf_ struct buf line = {.max = LINE_WORDS_MAX};
	struct web_listener l = {.place = place,
				 .max_clients = place == WEB_DATA ? s->o.max_clients : 0};
	struct spot *p = &s->spots[place];
	int r;

	if (!a->host)
		return 0;
	r = make_tls(s, a, p, words);
	if (r < 0)
		return r;
	l.tls = p->tls;
	r = bind_place(a, others, p, &l.fd, &line);
	if (r == 0)
		return web_listen(s->web, &l);
	if (!a->optional || r == -ENOMEM)
		return buf_append_str(words, buf_str(&line)) < 0 ? -ENOMEM : r;
	return buf_printf(words, "%.*s; the agent goes on without\n", STR_ARG(buf_str(&line)));
}

static int listen_socket(struct serve *s, struct buf *words)
{
	_buf_ struct buf line = {.max = LINE_WORDS_MAX};
	const char *path = s->o.socket ? s->o.socket : SERVE_SOCKET;
	struct web_listener l = {.place = WEB_LOCAL};
	int r;

	if (s->o.no_socket)
		return 0;
	r = listen_unix(path, &s->file, &l.fd, &line);
	if (r == 0) {
		(void)snprintf(s->spots[WEB_LOCAL].name, sizeof(s->spots[WEB_LOCAL].name), "%s",
			       path);
		return web_listen(s->web, &l);
	}
	if (s->o.socket || r == -ENOMEM)
		return buf_append_str(words, buf_str(&line)) < 0 ? -ENOMEM : r;
	return buf_printf(words, "%.*s; commands have no agent to ask here\n",
			  STR_ARG(buf_str(&line)));
}

static int make_secret(struct serve *s, struct buf *words)
{
	const struct secret_opts o = {.file = s->o.token_file, .told = on_secret_told, .ctx = s};

	return s->o.token_file ? secret_new(&o, &s->secret, words) : 0;
}

int serve_listen(struct serve *s, struct buf *words)
{
	int r = make_secret(s, words);

	if (r == 0)
		r = listen_place(s, &s->o.probe_at, WEB_PROBE, true, words);
	if (r == 0)
		r = listen_place(s, &s->o.data_at, WEB_DATA, s->o.data_at.cert_file && s->secret,
				 words);
	if (r == 0)
		r = listen_place(s, &s->o.resync_at, WEB_RESYNC, true, words);
	return r < 0 ? r : listen_socket(s, words);
}

void serve_listen_done(struct serve *s)
{
	for (int i = 0; i < _WEB_PLACE_MAX; i++)
		web_tls_free(&s->spots[i].tls);
	secret_free(&s->secret);
}

uint16_t serve_port(const struct serve *s, enum web_place place)
{
	return s->spots[place].port;
}

int serve_describe(const struct serve *s, struct buf *out)
{
	static const struct {
		enum web_place place;
		const char *what;
	} all[] = {{WEB_PROBE, "probes"},
		   {WEB_DATA, "data"},
		   {WEB_LOCAL, "commands"},
		   {WEB_RESYNC, "resync"}};
	const char *between = "";
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++) {
		const struct spot *p = &s->spots[all[i].place];

		if (!p->name[0])
			continue;
		r = buf_printf(out, "%s%s at %s%s", between, all[i].what, p->name,
			       p->tls ? " (TLS)" : "");
		between = ", ";
	}
	return r < 0 || *between ? r : buf_append_str(out, STR("nowhere"));
}

int serve_page_url(const struct serve *s, struct buf *out)
{
	const struct spot *p = &s->spots[WEB_DATA];

	return p->name[0] ? buf_printf(out, "http%s://%s/", p->tls ? "s" : "", p->name) : 0;
}

/* ---- who may ask ----------------------------------------------------------------------------- */

bool serve_may_ask(struct serve *s, struct web_client *c, const struct web_request *r, bool open)
{
	const struct spot *p = &s->spots[r->place];
	const char *words = NULL;
	int status = 0;

	/* A socket's file and a probe's answers need no guard: no page reaches the one, and the
	 * others say nothing that is its business to change. */
	if (r->place == WEB_DATA || r->place == WEB_RESYNC)
		status = guard_browser(r, p->here, &words);
	if (!status && !open && r->place == WEB_DATA && s->secret &&
	    !secret_fits(s->secret, clock_mono(), r->authorization)) {
		status = 401;
		words = "a bearer token is needed: see --listen-token-file";
	}
	if (status) {
		s->denied++;
		serve_error(c, status, str_of(words));
	}
	return !status;
}
