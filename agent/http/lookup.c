#include "http/lookup.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdio.h>

/* A question outlives the lookup that wanted it: the resolver calls back after a cancel, too. */
struct question {
	struct lookup *l; /* for `questions` alone when it is no longer wanted */
	struct evdns_getaddrinfo_request *req;
	bool wanted;
};

struct lookup {
	struct lookup_opts o;
	char *host, *resolv_conf;
	struct evdns_base *dns;
	struct event *timer;	   /* the limit; or the end is due at once */
	struct question *question; /* under way */
	unsigned int questions;	   /* not yet called back */
	struct lookup_addr addrs[LOOKUP_MAX_ADDRS];
	unsigned int n_addrs;
	bool running;
	const char *text; /* why there is none */
};

static void evdns_log(int is_warning, const char *text)
{
	(void)is_warning;
	log_debug("resolver: %s", text);
}

static void after(struct lookup *l, nsec_t delay)
{
	const struct timeval tv = clock_timeval(delay);

	(void)evtimer_add(l->timer, &tv);
}

static void add_addrs(struct lookup *l, const struct addrinfo *list)
{
	for (const struct addrinfo *i = list; i && l->n_addrs < LOOKUP_MAX_ADDRS; i = i->ai_next) {
		struct lookup_addr *a = &l->addrs[l->n_addrs];

		if (i->ai_addrlen > sizeof(a->sa))
			continue;
		memcpy(&a->sa, i->ai_addr, i->ai_addrlen);
		a->len = i->ai_addrlen;
		l->n_addrs++;
	}
}

static void on_answer(int r, struct evutil_addrinfo *list, void *ctx)
{
	struct question *q = ctx;
	struct lookup *l = q->l;

	l->questions--;
	if (q->wanted) {
		l->question = NULL;
		add_addrs(l, list);
		l->text = r ? evutil_gai_strerror(r) : "it has no address";
		after(l, 0);
	}
	if (list)
		evutil_freeaddrinfo(list);
	free(q);
}

/* Pods see another resolv.conf after a restart of their DNS service, so it is read every time. */
static int resolver_new(struct lookup *l)
{
	if (l->questions) /* the old one is still needed */
		return 0;
	if (l->dns)
		evdns_base_free(l->dns, 0);
	l->dns = evdns_base_new(l->o.base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!l->dns)
		return -ENOMEM;
	/* Reads the hosts file, too. Without a resolv.conf that alone must do. */
	if (evdns_base_resolv_conf_parse(l->dns, DNS_OPTIONS_ALL, l->resolv_conf))
		(void)evdns_base_load_hosts(l->dns, "/etc/hosts");
	return 0;
}

static void ask(struct lookup *l)
{
	const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct question *q = calloc(1, sizeof(*q));
	struct evdns_getaddrinfo_request *req;
	char port[8];

	if (!q || resolver_new(l) < 0) {
		free(q);
		l->text = "out of memory";
		after(l, 0);
		return;
	}
	(void)snprintf(port, sizeof(port), "%u", l->o.port);
	*q = (struct question){.l = l, .wanted = true};
	l->question = q;
	l->questions++;
	after(l, l->o.timeout);
	req = evdns_getaddrinfo(l->dns, l->host, port, &hints, on_answer, q);
	if (req) /* else `q` is gone already: the answer was at hand */
		q->req = req;
}

/* An address needs no resolver; nothing here blocks. */
static bool take_literal(struct lookup *l)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list = NULL;
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", l->o.port);
	if (getaddrinfo(l->host, port, &hints, &list))
		return false;
	add_addrs(l, list);
	freeaddrinfo(list);
	return true;
}

static void drop_question(struct lookup *l)
{
	if (!l->question)
		return;
	l->question->wanted = false;
	evdns_getaddrinfo_cancel(l->question->req);
	l->question = NULL;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct lookup *l = ctx;

	(void)fd;
	(void)what;
	if (l->question) {
		drop_question(l);
		l->text = "no answer";
	}
	l->running = false;
	l->o.done(l->o.ctx, l->addrs, l->n_addrs, l->n_addrs ? "" : l->text);
}

int lookup_new(const struct lookup_opts *o, struct lookup **ret)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->o = *o;
	evdns_set_log_fn(evdns_log);
	l->host = str_dup(str_of(o->host));
	l->resolv_conf = str_dup(str_of(o->resolv_conf ? o->resolv_conf : "/etc/resolv.conf"));
	l->timer = evtimer_new(o->base, on_timer, l);
	if (!l->host || !l->resolv_conf || !l->timer) {
		lookup_free(&l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

void lookup_free(struct lookup **lp)
{
	struct lookup *l = *lp;

	if (!l)
		return;
	if (l->dns)
		evdns_base_free(l->dns, 0);
	if (l->timer)
		event_free(l->timer);
	free(l->host);
	free(l->resolv_conf);
	free(l);
	*lp = NULL;
}

void lookup_tune(struct lookup *l, nsec_t timeout)
{
	l->o.timeout = timeout;
}

void lookup_start(struct lookup *l)
{
	assert(!l->running);
	l->running = true;
	l->n_addrs = 0;
	l->text = "";
	if (take_literal(l))
		after(l, 0);
	else
		ask(l);
}

void lookup_cancel(struct lookup *l)
{
	drop_question(l);
	(void)evtimer_del(l->timer);
	l->running = false;
}

bool lookup_busy(const struct lookup *l)
{
	return l->questions > 0;
}

const char *lookup_print(const struct lookup_addr *a, bool host_only, char out[LOOKUP_TEXT_MAX])
{
	char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
	const bool v6 = a->sa.ss_family == AF_INET6;

	(void)getnameinfo((const struct sockaddr *)&a->sa, a->len, host, sizeof(host), port,
			  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	(void)snprintf(out, LOOKUP_TEXT_MAX, "%s%.45s%s%s%.5s", v6 ? "[" : "", host, v6 ? "]" : "",
		       host_only ? "" : ":", host_only ? "" : port);
	return out;
}
