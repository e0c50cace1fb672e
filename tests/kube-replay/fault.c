#include "fault.h"

#include "read.h"

#include <errno.h>

const char *const verb_name[_VERB_MAX] = {
	[VERB_LIST] = "list",
	[VERB_WATCH] = "watch",
	[VERB_GET] = "get",
	[VERB_DISCOVERY] = "discovery",
	[VERB_WRITE] = "write",
	[VERB_WRITTEN] = "written",
	[VERB_TOKEN_REVIEW] = "tokenreview",
	[VERB_ACCESS_REVIEW] = "accessreview",
	[VERB_OTHER] = "other",
};

struct fault_info {
	const char *name;
	const char *arg; /* for the help text; NULL: takes none */
	long num;	 /* default of the argument */
	const char *help;
};

static const struct fault_info info[_FAULT_MAX] = {
	[FAULT_RESET_CONNECT] = {"reset-connect", NULL, 0, "reset every new connection"},
	[FAULT_SILENT_CONNECT] = {"silent-connect", NULL, 0,
				  "accept connections and never read from them"},
	[FAULT_401] = {"401", NULL, 0, "401 Status"},
	[FAULT_403] = {"403", "RESOURCE", 0,
		       "403 Status; with @for=2 as after an API server start"},
	[FAULT_404] = {"404", NULL, 0, "404 Status"},
	[FAULT_410] = {"410", NULL, 0,
		       "410 as HTTP status; on a page with a fresh continue token in it"},
	[FAULT_429] = {"429", "SECONDS", 2, "429 in plain text with Retry-After"},
	[FAULT_500] = {"500", NULL, 0, "500 Status"},
	[FAULT_504] = {"504", NULL, 0, "504, a Status without kind, called text/plain"},
	[FAULT_REDIRECT] = {"redirect", "URL", 0, "302 to URL (default: the same path)"},
	[FAULT_HTML] = {"html", "STATUS", 200, "an HTML page with that status"},
	[FAULT_EMPTY] = {"empty", NULL, 0, "200 with an empty body"},
	[FAULT_SILENT] = {"silent", NULL, 0, "read the request and never answer"},
	[FAULT_GARBAGE] = {"garbage", "BYTES", 4096, "200 with random bytes"},
	[FAULT_LONG_LINE] = {"long-line", "MB", 1024,
			     "one name of that many megabytes, made as it is sent"},
	[FAULT_DELAY] = {"delay", "RESOURCE:SECONDS", 10, "answer that much later"},
	[FAULT_NO_PROTOBUF] = {"no-protobuf", NULL, 0,
			       "knows JSON only: 406 when nothing else is accepted"},
	[FAULT_JSON_STATUS] = {"json-status", NULL, 0,
			       "errors in JSON although protobuf was asked"},
	[FAULT_CONTENT_TYPE] = {"content-type", "TYPE", 0,
				"right body, other Content-Type (none: no such header)"},
	[FAULT_NO_STREAMING_LIST] = {"no-streaming-list", NULL, 0, "422 for sendInitialEvents"},
	[FAULT_IGNORE_STREAMING_LIST] = {"ignore-streaming-list", NULL, 0,
					 "sendInitialEvents is ignored, no end marker comes"},
	[FAULT_NO_BOOKMARKS] = {"no-bookmarks", NULL, 0, "no bookmarks but the end marker"},
	[FAULT_NO_END_MARKER] = {"no-end-marker", NULL, 0,
				 "initial events without the bookmark that ends them"},
	[FAULT_410_EVENT] =
		{"410-event", NULL, 0,
		 "a watch is answered with the ERROR event of code 410 (also: 410-watch)"},
	[FAULT_ERROR_EVENT] = {"error-event", "CODE", 500, "the same with another code"},
	[FAULT_END_EVENTS] = {"end-events", "N", 10,
			      "clean end of a watch after N events, the rest missing"},
	[FAULT_END_AFTER] = {"end-after", "SECONDS", 1, "clean end of a watch after that time"},
	[FAULT_DUPLICATE] = {"duplicate-events", NULL, 0, "each event twice"},
	[FAULT_CUT] = {"cut", "BYTES", 2048, "connection closed after that many body bytes"},
	[FAULT_CUT_CHUNK] = {"cut-chunk", "BYTES", 2048, "the same at the next end of a chunk"},
	[FAULT_RESET] = {"reset", "BYTES", 2048, "connection reset after that many body bytes"},
	[FAULT_STALL] = {"stall", "BYTES", 2048, "nothing more after that many body bytes"},
	[FAULT_SLOW] = {"slow", "BYTES", 20000, "at most that many bytes a second"},
	[FAULT_TRUNCATE] = {"truncate", "BYTES", 2048,
			    "the body ends there, the HTTP message ends cleanly"},
	[FAULT_OVERSIZED] = {"oversized", "MB", 50, "an object with an annotation of that size"},
	[FAULT_DEPTH] = {"depth", "N", 100000, "an object nested N deep"},
	[FAULT_BAD_UTF8] = {"bad-utf8", NULL, 0, "an object with invalid UTF-8 in its texts"},
	[FAULT_NUL] = {"nul", NULL, 0, "an object with NUL bytes in its texts"},
	[FAULT_MANY_OWNERS] = {"many-owners", "N", 10000, "an object with N owner references"},
	[FAULT_OWNER_CYCLE] = {"owner-cycle", NULL, 0,
			       "two ReplicaSets that own each other, and a pod of theirs"},
	[FAULT_NEGATIVE_LENGTH] = {"negative-length", NULL, 0,
				   "a length of -1 in protobuf (JSON: broken brackets)"},
	[FAULT_HUGE_LENGTH] = {"huge-length", NULL, 0,
			       "a length of 2 GiB - 1 in protobuf (JSON: broken brackets)"},
	[FAULT_WRONG_MAGIC] = {"wrong-magic", NULL, 0,
			       "protobuf without its magic bytes (JSON: broken brackets)"},
};

const char *fault_name(enum fault_id id)
{
	return info[id].name;
}

void faults_help(FILE *out)
{
	for (enum fault_id i = 0; i < _FAULT_MAX; i++) {
		char head[64];

		snprintf(head, sizeof(head), "%s%s%s", info[i].name, info[i].arg ? "=" : "",
			 info[i].arg ? info[i].arg : "");
		fprintf(out, "  %-26s %s", head, info[i].help);
		if (info[i].num)
			fprintf(out, " [%ld]", info[i].num);
		fputc('\n', out);
	}
}

static bool is_kind(struct str s)
{
	for (enum kind k = 0; k < kind_end; k++)
		if (str_eq(s, str_of(kind_info[k].plural)))
			return true;
	return false;
}

/* The kind may come later, so any name will do where nothing but a resource or a number can
 * stand. */
static bool is_resource(const struct fault *f, struct str s, bool before_colon)
{
	if (is_kind(s))
		return true;
	if (!s.n || s.p[0] < 'a' || s.p[0] > 'z' || f->id == FAULT_REDIRECT ||
	    f->id == FAULT_CONTENT_TYPE)
		return false;
	return before_colon || info[f->id].num || !info[f->id].arg ||
	       strcmp(info[f->id].arg, "RESOURCE") == 0;
}

static enum verb verb_of(struct str s)
{
	enum verb v = 0;

	while (v < _VERB_MAX && !str_eq(s, str_of(verb_name[v])))
		v++;
	return v;
}

static enum fault_id id_of(struct str s)
{
	enum fault_id i = 0;

	if (str_eq(s, STR("410-watch")))
		return FAULT_410_EVENT;
	while (i < _FAULT_MAX && !str_eq(s, str_of(info[i].name)))
		i++;
	return i;
}

/* NAME, or NAME-VERB. */
static int parse_name(struct fault *f, struct str name)
{
	const char *dash;

	f->id = id_of(name);
	if (f->id != _FAULT_MAX)
		return 0;
	dash = memrchr(name.p, '-', name.n);
	if (!dash)
		return -EINVAL;
	f->verb = verb_of(str_from(name, (size_t)(dash - name.p) + 1));
	f->id = id_of(str_make(name.p, (size_t)(dash - name.p)));
	return f->id != _FAULT_MAX && f->verb != _VERB_MAX ? 0 : -EINVAL;
}

static int parse_arg(struct fault *f, struct str arg)
{
	struct str rest = arg, head;
	double num;
	char *end;

	bool colon = str_split(&rest, ':', &head);

	if (is_resource(f, head, colon)) {
		f->resource = str_dup(head);
		arg = rest;
	}
	f->num = info[f->id].num;
	if (!arg.n)
		return 0;
	f->arg = str_dup(arg);
	if (!info[f->id].num)
		return 0;
	num = strtod(f->arg, &end);
	f->num = (long)num;
	return *end || num < 0 ? -EINVAL : 0;
}

static int parse_filter(struct fault *f, struct str text)
{
	struct str value = text, key;
	_free_ char *z = NULL;
	char *end;
	double num;

	if (!str_split(&value, '=', &key) || !(z = str_dup(value)))
		return -EINVAL;
	if (str_eq(key, STR("resource"))) {
		free(f->resource);
		f->resource = TAKE_PTR(z);
		return value.n ? 0 : -EINVAL;
	}
	if (str_eq(key, STR("verb"))) {
		f->verb = verb_of(value);
		return f->verb == _VERB_MAX ? -EINVAL : 0;
	}
	num = strtod(z, &end);
	if (!*z || *end || num < 0)
		return -EINVAL;
	if (str_eq(key, STR("nth")))
		f->nth = (unsigned long)num;
	else if (str_eq(key, STR("every")))
		f->every = (unsigned long)num;
	else if (str_eq(key, STR("times")))
		f->times = (unsigned long)num;
	else if (str_eq(key, STR("p")))
		f->p = num;
	else if (str_eq(key, STR("after")))
		f->after_s = num;
	else if (str_eq(key, STR("for")))
		f->for_s = num;
	else
		return -EINVAL;
	return 0;
}

static int parse_one(struct fault *f, struct str text)
{
	struct str rest = text, spec, name;
	int r;

	str_split(&rest, '@', &spec);
	str_split(&spec, '=', &name);
	r = parse_name(f, name);
	if (r == 0)
		r = parse_arg(f, spec);
	while (r == 0 && rest.n) {
		struct str part;

		str_split(&rest, '@', &part);
		r = parse_filter(f, part);
	}
	return r;
}

int faults_add(struct faults *f, struct str text, nsec_t now)
{
	while (text.n) {
		struct fault one = {.verb = _VERB_MAX, .p = 1, .since = now};
		struct str part;

		str_split(&text, ',', &part);
		if (parse_one(&one, part) < 0) {
			fprintf(stderr,
				"kube-replay: fault '%.*s' is not understood (see --help)\n",
				STR_ARG(part));
			free(one.arg);
			free(one.resource);
			return -EINVAL;
		}
		one.text = str_dup(part);
		f->v = must_realloc(f->v, f->n + 1, sizeof(*f->v));
		f->v[f->n++] = one;
	}
	return 0;
}

void faults_clear(struct faults *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].text);
		free(f->v[i].arg);
		free(f->v[i].resource);
	}
	free(f->v);
	f->v = NULL;
	f->n = 0;
}

static double seconds(nsec_t from, nsec_t to)
{
	return (double)(to - from) / (double)NSEC_PER_SEC;
}

static bool strikes(struct faults *fs, struct fault *f, nsec_t now)
{
	if (seconds(f->since, now) < f->after_s)
		return false;
	if (f->for_s > 0 && f->first && seconds(f->first, now) >= f->for_s)
		return false;
	f->matches++;
	if (f->nth && f->matches != f->nth)
		return false;
	if (f->every && f->matches % f->every)
		return false;
	if (f->times && f->plays >= f->times)
		return false;
	return f->p >= 1 || (double)rng_below(&fs->rng, 1000000) < f->p * 1000000;
}

static bool concerns(const struct fault *f, enum verb verb, enum kind kind)
{
	char full[320];

	if (f->verb != _VERB_MAX || verb == VERB_DISCOVERY)
		if (f->verb != verb)
			return false;
	if (!f->resource)
		return true;
	if (kind == _KIND_MAX)
		return false;
	kind_full_name(kind, full, sizeof(full));
	return strcmp(f->resource, kind_info[kind].plural) == 0 || strcmp(f->resource, full) == 0;
}

const struct fault *faults_hit(struct faults *fs, enum fault_id id, enum verb verb, enum kind kind,
			       nsec_t now)
{
	for (size_t i = 0; i < fs->n; i++) {
		struct fault *f = &fs->v[i];

		if (f->id != id || !concerns(f, verb, kind) || !strikes(fs, f, now))
			continue;
		if (!f->plays++)
			f->first = now;
		printf("fault %s: %s %s (%lu)\n", f->text,
		       verb == _VERB_MAX ? "connection" : verb_name[verb],
		       kind == _KIND_MAX ? "-" : kind_info[kind].plural, f->plays);
		return f;
	}
	return NULL;
}
