/*
 * kube-replay: recorded exchanges of a real kube-apiserver, served again as an
 * API server, with faults on request. A test tool.
 */
#include "server.h"

#include "read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LISTEN_DEFAULT "127.0.0.1:0"
#define HOST_MAX       256

static void usage(FILE *out)
{
	fputs("kube-replay DIR [OPTIONS]: serve recorded API server exchanges\n"
	      "\n"
	      "  --listen HOST:PORT     port 0 takes a free one [" LISTEN_DEFAULT "]\n"
	      "  --port-file FILE       write the port there when ready\n"
	      "  --objects DIR          serve the objects of its JSON files, too; several times\n"
	      "  --set churn|big        base lists and watches, or one list of 2,307 pods [churn]\n"
	      "  --speed N              recorded time runs N times as fast; 0: at once [1]\n"
	      "  --start first-watch|now|paused   when recorded time starts; paused: only by\n"
	      "                         POST /replay/advance [first-watch]\n"
	      "  --bookmark-every S     seconds between bookmarks after the recorded ones [60]\n"
	      "  --token T              ask for this bearer token\n"
	      "  --seed N               of everything random [1]\n"
	      "  --tls                  TLS with a certificate made at start\n"
	      "  --ca-out FILE          write the CA certificate there\n"
	      "  --client-ca FILE       ask for client certificates of that CA\n"
	      "  --client-out PREFIX    ask for one of the CA made at start and write one to\n"
	      "                         PREFIX.crt and PREFIX.key\n"
	      "  --tls-expired          a server certificate of yesterday\n"
	      "  --tls-wrong-host       a server certificate for another host\n"
	      "  --fault SPEC           see below; may be given several times\n"
	      "\n"
	      "Control: GET /replay/state; POST /replay/fault?add=SPEC|set=SPEC|clear=1,\n"
	      "/replay/token?value=T, /replay/advance?ms=N|end=1, /replay/compact?rv=N|now=1,\n"
	      "/replay/drop?how=close|reset, /replay/reviewer?token=T&user=U&allow=1,\n"
	      "/replay/object with an object or List as body;\n"
	      "DELETE /replay/object?apiVersion=V&kind=K&namespace=NS&name=N.\n"
	      "\n"
	      "Faults: NAME[-list|-watch|-get|-discovery][=ARG][@KEY=VALUE...], joined by commas. "
	      "ARG may "
	      "begin\n"
	      "with RESOURCE or RESOURCE: (pods, widgets.example.com), as in\n"
	      "delay-list=replicasets:60. Keys: resource=, verb=, nth= (only the nth match), "
	      "every=,\n"
	      "times= (at most), p= (probability), after= (seconds since it was set), for= (since "
	      "it\n"
	      "struck first).\n"
	      "Default arguments in brackets.\n",
	      out);
	faults_help(out);
}

enum {
	OPT_LISTEN = 256,
	OPT_PORT_FILE,
	OPT_OBJECTS,
	OPT_SET,
	OPT_SPEED,
	OPT_START,
	OPT_BOOKMARK,
	OPT_TOKEN,
	OPT_SEED,
	OPT_TLS,
	OPT_CA_OUT,
	OPT_CLIENT_CA,
	OPT_CLIENT_OUT,
	OPT_TLS_EXPIRED,
	OPT_TLS_WRONG_HOST,
	OPT_FAULT,
	OPT_HELP
};

static const struct option options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"port-file", required_argument, NULL, OPT_PORT_FILE},
	{"objects", required_argument, NULL, OPT_OBJECTS},
	{"set", required_argument, NULL, OPT_SET},
	{"speed", required_argument, NULL, OPT_SPEED},
	{"start", required_argument, NULL, OPT_START},
	{"bookmark-every", required_argument, NULL, OPT_BOOKMARK},
	{"token", required_argument, NULL, OPT_TOKEN},
	{"seed", required_argument, NULL, OPT_SEED},
	{"tls", no_argument, NULL, OPT_TLS},
	{"ca-out", required_argument, NULL, OPT_CA_OUT},
	{"client-ca", required_argument, NULL, OPT_CLIENT_CA},
	{"client-out", required_argument, NULL, OPT_CLIENT_OUT},
	{"tls-expired", no_argument, NULL, OPT_TLS_EXPIRED},
	{"tls-wrong-host", no_argument, NULL, OPT_TLS_WRONG_HOST},
	{"fault", required_argument, NULL, OPT_FAULT},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static int parse_start(struct server *s, const char *text)
{
	static const char *const names[] = {
		[START_FIRST_WATCH] = "first-watch",
		[START_NOW] = "now",
		[START_PAUSED] = "paused",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		s->o.start = (enum start_mode)i;
		return 0;
	}
	fprintf(stderr, "kube-replay: --start %s: first-watch, now or paused\n", text);
	return -EINVAL;
}

static int parse_number(const char *option, const char *text, double *ret)
{
	char *end;
	double v = strtod(text, &end);

	if (!*text || *end || v < 0) {
		fprintf(stderr, "kube-replay: %s %s: a number, 0 or more\n", option, text);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int parse_option(struct server *s, int opt, const char *arg)
{
	struct options *o = &s->o;

	switch (opt) {
	case OPT_LISTEN:
		o->listen = arg;
		return 0;
	case OPT_PORT_FILE:
		o->port_file = arg;
		return 0;
	case OPT_OBJECTS:
		o->objects = must_realloc(o->objects, o->n_objects + 1, sizeof(*o->objects));
		o->objects[o->n_objects++] = arg;
		return 0;
	case OPT_SET:
		o->set = arg;
		return 0;
	case OPT_SPEED:
		return parse_number("--speed", arg, &o->speed);
	case OPT_START:
		return parse_start(s, arg);
	case OPT_BOOKMARK:
		return parse_number("--bookmark-every", arg, &o->bookmark_s);
	case OPT_TOKEN:
		s->token = str_dup(str_of(arg));
		return 0;
	case OPT_SEED:
		o->seed = strtoull(arg, NULL, 10);
		return 0;
	case OPT_TLS:
		o->tls = true;
		return 0;
	case OPT_CA_OUT:
		o->ca_out = arg;
		return 0;
	case OPT_CLIENT_CA:
		o->client_ca = arg;
		return 0;
	case OPT_CLIENT_OUT:
		o->client_out = arg;
		return 0;
	case OPT_TLS_EXPIRED:
		o->tls = o->tls_expired = true;
		return 0;
	case OPT_TLS_WRONG_HOST:
		o->tls = o->tls_wrong_host = true;
		return 0;
	case OPT_FAULT:
		return faults_add(&s->faults, str_of(arg), clock_mono());
	default:
		usage(stderr);
		return -EINVAL;
	}
}

static int parse_options(struct server *s, int argc, char **argv)
{
	int opt, r;

	s->o = (struct options){
		.listen = LISTEN_DEFAULT, .set = "churn", .speed = 1, .bookmark_s = 60, .seed = 1};
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			usage(stdout);
			exit(0);
		}
		r = parse_option(s, opt, optarg);
		if (r < 0)
			return r;
	}
	if (optind != argc - 1) {
		usage(stderr);
		return -EINVAL;
	}
	s->o.dir = argv[optind];
	rng_seed(&s->faults.rng, s->o.seed);
	return 0;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *arg)
{
	(void)l;
	(void)sa;
	(void)len;
	conn_new(arg, fd);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)sig;
	(void)what;
	event_base_loopbreak(arg);
}

/* HOST:PORT or [HOST]:PORT. */
static int split_listen(const char *listen, char *host, size_t n, char *port, size_t m)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t)(colon - listen) : 0;

	if (!colon || !colon[1])
		return -EINVAL;
	if (len > 1 && listen[0] == '[' && listen[len - 1] == ']') {
		listen++;
		len -= 2;
	}
	snprintf(host, n, "%.*s", (int)len, listen);
	snprintf(port, m, "%s", colon + 1);
	return 0;
}

static int bound_port(struct evconnlistener *l)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);

	getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sa, &len);
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}

static struct evconnlistener *listen_on(struct server *s, const char *host, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
	struct evconnlistener *l;
	int r = getaddrinfo(*host ? host : NULL, port, &hints, &ai);

	if (r != 0) {
		fprintf(stderr, "kube-replay: --listen %s: %s\n", s->o.listen, gai_strerror(r));
		return NULL;
	}
	l = evconnlistener_new_bind(s->base, on_accept, s,
				    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1, ai->ai_addr,
				    (int)ai->ai_addrlen);
	if (!l)
		fprintf(stderr, "kube-replay: listen on %s: %s\n", s->o.listen, strerror(errno));
	freeaddrinfo(ai);
	return l;
}

/* Written beside and renamed, so that a reader never sees half of it. */
static int write_port(const char *path, int port)
{
	char beside[4096];
	FILE *f;

	snprintf(beside, sizeof(beside), "%s.new", path);
	f = fopen(beside, "w");
	if (!f || fprintf(f, "%d\n", port) < 0 || fclose(f) != 0 || rename(beside, path) < 0) {
		fprintf(stderr, "kube-replay: --port-file %s: %s\n", path, strerror(errno));
		return -errno;
	}
	return 0;
}

static void hello(const struct server *s, const char *host, int port)
{
	const struct kind_store *k = s->store.kinds;

	printf("kube-replay: 1.%u, %zu pods, %zu replicasets, %zu jobs, %zu events to come, on "
	       "%s://%s:%d\n",
	       s->store.minor, k[KIND_PODS].n_base, k[KIND_REPLICASETS].n_base, k[KIND_JOBS].n_base,
	       k[KIND_PODS].n_events + k[KIND_REPLICASETS].n_events + k[KIND_JOBS].n_events,
	       s->tls ? "https" : "http", host, port);
	for (enum kind i = 0; i < KIND_RECORDED; i++)
		if (k[i].n_pb_made)
			printf("kube-replay: %zu of %zu %s were recorded in JSON only: their "
			       "protobuf has metadata only\n",
			       k[i].n_pb_made, k[i].n_versions, kind_info[i].plural);
}

static void drop_all(struct server *s)
{
	struct conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	conn_kill(c);
	event_base_loop(s->base, EVLOOP_NONBLOCK);
}

static int serve(struct server *s)
{
	struct event *term, *intr;
	struct evconnlistener *l;
	char host[HOST_MAX], service[32];
	int port;

	if (split_listen(s->o.listen, host, sizeof(host), service, sizeof(service)) < 0) {
		fprintf(stderr, "kube-replay: --listen %s: HOST:PORT is needed\n", s->o.listen);
		return -EINVAL;
	}
	if (s->o.tls) {
		s->tls = tls_new(&s->o, host);
		if (!s->tls)
			return -EINVAL;
	}
	l = listen_on(s, host, service);
	if (!l)
		return -EADDRINUSE;
	port = bound_port(l);
	if (timeline_init(s) < 0 || (s->o.port_file && write_port(s->o.port_file, port) < 0))
		return -EIO;
	term = evsignal_new(s->base, SIGTERM, on_signal, s->base);
	intr = evsignal_new(s->base, SIGINT, on_signal, s->base);
	event_add(term, NULL);
	event_add(intr, NULL);
	hello(s, host, port);
	event_base_dispatch(s->base);
	drop_all(s);
	evconnlistener_free(l);
	event_free(term);
	event_free(intr);
	event_free(s->tick);
	return 0;
}

int main(int argc, char **argv)
{
	static struct server s;
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&s.conns);
	if (parse_options(&s, argc, argv) < 0)
		return 2;
	if (recorded_load(s.o.dir, s.o.set, &s.store) < 0 || kinds_init(&s) < 0 ||
	    objects_load(&s) < 0)
		return 1;
	s.base = event_base_new();
	r = serve(&s);
	hostile_free(&s);
	faults_clear(&s.faults);
	free(s.tries);
	free(s.token);
	recorded_done(&s.store);
	kinds_free(&s);
	free(s.o.objects);
	SSL_CTX_free(s.tls);
	event_base_free(s.base);
	return r < 0 ? 1 : 0;
}
