#include "sink/sqlite/asked.h"

#include "base/mem.h"
#include "sink/sqlite/words.h"

#include <ctype.h>
#include <stdio.h>

#define LEAD_MAX 4  /* words that may say which kind is asked for */
#define STEM_MAX 64 /* bytes of a word that count */
#define REST_MAX 64

/* ---- the tables ------------------------------------------------------------------------------ */

#define USES                                                                                  \
	"use read need consume reference refer depend get access load touch write fill want " \
	"require contain take know see break affect dependent consumer "

/* An edge of the graph, the verbs for it with its source as their subject, nouns that speak of it,
 * and prepositions that may ("claims on fast-ssd"). All are known in every form. */
static const struct {
	const char *edge, *verbs, *nouns, *prepositions;
} edges[] = {
	{"USES_SECRET", USES "mount attach pull", "", "with"},
	{"USES_CONFIGMAP", USES "mount attach", "", "with"},
	{"USES_CLAIM", USES "mount attach", "", "with on"},
	{"USES_CLASS", USES "", "class", "with on of"},
	{"RUNS_AS", "run act", "account identity", "as under"},
	{"RUNS_IMAGE", USES "run base pull", "image", "from"},
	{"RUNS_ON", "run schedule place land", "node machine", "on"},
	{"SELECTS",
	 "select cover protect isolate restrict serve front point match balance target apply "
	 "expose guard allow",
	 "", "for behind"},
	{"ROUTES_TO", "route lead expose forward send go reach point serve",
	 "backend host url domain", "for to"},
	{"SCALES", "scale autoscale", "autoscaler autoscaling", "for"},
	{"BOUND_TO", "bind bound back claim", "", "behind"},
	{"GRANTS", "grant give bind bound allow act", "role right permission", ""},
	{"GRANTS_TO", "grant give bind bound allow", "role right permission", ""},
	{"GOVERNED_BY", "govern", "", ""},
	{"CALLS", "call", "", ""},
	{"ATTACHED_TO", "attach", "", ""},
	{"OWNS", "own create control manage make", "owner", ""},
	{"REFERS_TO", USES "come issue target", "issuer", "from"},
};
_Static_assert(ARRAY_SIZE(edges) <= 32, "one bit each");

/* What people call a kind besides its name; kinds with the same words share a line. */
static const struct {
	const char *kinds, *words;
} kinds[] = {
	{"Pod", "pod instance"},
	{"Deployment", "deployment deploy"},
	{"StatefulSet", "sts"},
	{"DaemonSet", "ds agent"},
	{"ReplicaSet", "rs"},
	{"CronJob", "cron"},
	{"Job CronJob", "job task"},
	{"Deployment StatefulSet DaemonSet CronJob Job Rollout ReplicaSet ReplicationController "
	 "Pod",
	 "workload app application program pod container"},
	{"Secret", "credential password token"},
	{"ConfigMap", "config configuration setting cm"},
	{"PersistentVolumeClaim PersistentVolume", "volume disk storage"},
	{"PersistentVolumeClaim", "pvc claim"},
	{"PersistentVolume", "pv"},
	{"ServiceAccount", "sa account identity"},
	{"Service", "svc backend endpoint"},
	{"Ingress HTTPRoute GRPCRoute TLSRoute", "ingress ing host url domain route"},
	{"NetworkPolicy", "netpol policy firewall"},
	{"HorizontalPodAutoscaler", "hpa autoscaler"},
	{"PodDisruptionBudget", "pdb budget"},
	{"StorageClass IngressClass PriorityClass RuntimeClass GatewayClass", "class"},
	{"Role ClusterRole RoleBinding ClusterRoleBinding", "role right permission"},
	{"RoleBinding ClusterRoleBinding", "binding"},
	{"ValidatingWebhookConfiguration MutatingWebhookConfiguration", "webhook"},
	{"Node", "machine host"},
	{"Image", "image"},
	{"StorageClass", ""},
	{"IngressClass", ""},
	{"PriorityClass", ""},
	{"ClusterRole", ""},
	{"Namespace", "project"},
};
_Static_assert(ARRAY_SIZE(kinds) <= 64, "one bit each");

/* ---- words ----------------------------------------------------------------------------------- */

struct stem {
	char p[STEM_MAX];
	size_t n;
};

static bool ends(const struct stem *s, const char *suffix)
{
	return str_ends(str_make(s->p, s->n), str_of(suffix));
}

/* "running" without its end is "runn". */
static void single(struct stem *s)
{
	if (s->n > 2 && s->p[s->n - 1] == s->p[s->n - 2] && !strchr("lsz", s->p[s->n - 1]))
		s->n--;
}

/* What all forms of a word share: "uses", "used", "using"; "policies". Not a word of its own. */
static struct stem stem_of(struct str word)
{
	struct stem s = {.n = MIN(word.n, (size_t)STEM_MAX)};

	for (size_t i = 0; i < s.n; i++)
		s.p[i] = (char)tolower((unsigned char)word.p[i]);
	if (s.n > 4 && ends(&s, "ies")) {
		s.n -= 2;
		s.p[s.n - 1] = 'y';
	} else if (s.n > 3 && (ends(&s, "ses") || ends(&s, "xes") || ends(&s, "ches") ||
			       ends(&s, "shes") || ends(&s, "oes"))) {
		s.n -= 2;
	} else if (s.n > 3 && ends(&s, "s") && !ends(&s, "ss")) {
		s.n--;
	} else if (s.n > 4 && ends(&s, "ing")) {
		s.n -= 3;
		single(&s);
	} else if (s.n > 3 && ends(&s, "ed") && !ends(&s, "eed")) {
		s.n -= 2;
		single(&s);
	}
	if (s.n > 2 && s.p[s.n - 1] == 'e')
		s.n--;
	return s;
}

/* All forms begin alike, which turns most words away. */
static bool same(struct str a, struct str b)
{
	struct stem x, y;

	if (tolower((unsigned char)a.p[0]) != tolower((unsigned char)b.p[0]))
		return false;
	x = stem_of(a);
	y = stem_of(b);
	return str_eq(str_make(x.p, x.n), str_make(y.p, y.n));
}

/* A list of words with blanks between. */
static bool among(const char *list, struct str word)
{
	struct str rest = str_of(list), one;

	while (words_next(&rest, &one))
		if (same(one, word))
			return true;
	return false;
}

bool asked_says(struct str words, struct str one)
{
	struct str word;

	while (words_next(&words, &word))
		if (same(word, one))
			return true;
	return false;
}

/* A name: of several parts, or with digits. */
static bool is_name(struct str w)
{
	for (size_t i = 0; i < w.n; i++)
		if (!isalpha((unsigned char)w.p[i]) && !(w.p[i] & 0x80))
			return true;
	return false;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

/* Words written as one: "config maps" as "configmap". */
static struct stem joined(const struct str *words, size_t n)
{
	struct stem all = {.n = 0};

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < words[i].n && all.n < STEM_MAX; k++)
			all.p[all.n++] = words[i].p[k];
	return stem_of(str_make(all.p, all.n));
}

static bool is_kind(const struct stem *s, struct str kind)
{
	struct stem k;

	if (!s->n || s->p[0] != tolower((unsigned char)kind.p[0]))
		return false;
	k = stem_of(kind);
	return str_eq(str_make(s->p, s->n), str_make(k.p, k.n));
}

static bool is_line_of(const struct stem *s, size_t line)
{
	struct str rest = str_of(kinds[line].kinds), kind;
	bool alone = !strchr(kinds[line].kinds, ' ');

	return alone && words_next(&rest, &kind) && is_kind(s, kind);
}

/* The lines of the table that these words say, as one word: all of them or none. */
static uint64_t kinds_of(const struct str *words, size_t n)
{
	const struct stem s = joined(words, n);
	uint64_t ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (is_line_of(&s, i) || (n == 1 && among(kinds[i].words, words[0])))
			ret |= 1ULL << i;
	return ret;
}

bool asked_kind(uint64_t set, struct str kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct str rest = str_of(kinds[i].kinds), one;

		while ((set & (1ULL << i)) && words_next(&rest, &one))
			if (str_eq(one, kind))
				return true;
	}
	return false;
}

static size_t split(struct str text, struct str *ret, size_t max)
{
	size_t n = 0;

	while (n < max && words_next(&text, &ret[n]))
		n++;
	return n;
}

bool asked_is_called(const char *words, struct str kind)
{
	struct str v[LEAD_MAX];
	size_t n = split(str_of(words), v, LEAD_MAX);

	for (size_t from = 0; from < n; from++) {
		const struct stem s = joined(v + from, n - from);

		if (is_kind(&s, kind))
			return true;
	}
	return false;
}

/* ---- a question ------------------------------------------------------------------------------ */

struct reader {
	struct asked *q;
	struct str lead[LEAD_MAX]; /* words at the beginning, which may say what is asked for */
	size_t n_lead;
	bool leads;		/* still at the beginning */
	bool begun;		/* a word was read */
	bool what;		/* it begins with "what" */
	bool helps;		/* behind "does": the thing is the subject, if no pronoun follows */
	bool passive;		/* behind "by" */
	char plain[ASKED_TEXT]; /* words of the rest that are no names: they may say a kind */
};

static void put(char *out, size_t size, struct str word)
{
	size_t n = strlen(out);

	(void)snprintf(out + n, size - n, "%s%.*s", n ? " " : "", STR_ARG(word));
}

static void put_plain(struct reader *r, struct str word)
{
	put(r->q->rest, ASKED_TEXT, word);
	put(r->plain, ASKED_TEXT, word);
}

static uint32_t edges_of(struct str word, int how)
{
	uint32_t ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		if (among(how == 0   ? edges[i].verbs
			  : how == 1 ? edges[i].nouns
				     : edges[i].prepositions,
			  word))
			ret |= 1U << i;
	return ret;
}

static bool is_one_of(struct str word, const char *list)
{
	struct str rest = str_of(list), one;

	while (words_next(&rest, &one))
		if (str_ieq(one, word))
			return true;
	return false;
}

/* Words that carry the sentence. Whether it was one. */
static bool read_frame(struct reader *r, struct str w)
{
	if (is_one_of(w,
		      "we you i they people anybody anyone anything somebody someone something")) {
		r->helps = false;
		return true;
	}
	if (is_one_of(w, "who whom whose what which where how") && r->passive) {
		r->passive = false; /* "is used by what" */
		return true;
	}
	if (is_one_of(w, "do does did"))
		r->helps = true;
	else if (is_one_of(w, "by"))
		r->passive = r->q->edges;
	else if (!is_one_of(w, "is are was were has have that can will may who whom where how") &&
		 !(is_one_of(w, "the") && !r->begun))
		return false;
	if (r->begun || !is_one_of(w, "is are was were do does did"))
		r->leads = false;
	return true;
}

/* "Which claims" are things, "what claims" asks who does it. */
static bool is_asked_kind(const struct reader *r, struct str w)
{
	return r->leads && !r->what && !r->n_lead && kinds_of(&w, 1);
}

static bool read_edges(struct reader *r, struct str w)
{
	const uint32_t verbs = is_asked_kind(r, w) ? 0 : edges_of(w, 0), nouns = edges_of(w, 1);

	if (!verbs && !nouns)
		return false;
	r->q->edges |= verbs | nouns;
	r->q->verb |= verbs != 0;
	r->q->mounted |= among("mount", w);
	r->q->image |= among("image", w);
	if (!nouns)
		r->leads = false;
	return !(nouns && r->leads); /* a noun may say the kind, too */
}

static void read_word(struct reader *r, struct str w)
{
	if (is_name(w)) {
		r->leads = false;
		put(r->q->rest, ASKED_TEXT, w);
		put(r->q->names, ASKED_TEXT, w);
		return;
	}
	if (read_frame(r, w) || read_edges(r, w))
		return;
	if (words_say_nothing(w) || is_one_of(w, "list everything every under behind")) {
		if (r->n_lead)
			r->leads = false;
		return;
	}
	if (r->leads && r->n_lead < LEAD_MAX)
		r->lead[r->n_lead++] = w;
	else
		put_plain(r, w);
}

/* A preposition says something of a kind alone. */
static void read_preposition(struct reader *r, struct str w)
{
	if (r->n_lead && r->leads)
		r->q->edges |= edges_of(w, 2);
}

/* The last words of the beginning that say a kind; those before them are about the thing. */
static void take_lead(struct reader *r)
{
	struct asked *q = r->q;
	size_t from = 0, n;

	while (from < r->n_lead && !(q->kinds = kinds_of(r->lead + from, r->n_lead - from)))
		from++;
	n = q->kinds ? from : r->n_lead;
	for (size_t i = 0; i < n; i++)
		put_plain(r, r->lead[i]);
	for (size_t i = 0; i < n && !q->kinds; i++)
		put(q->kind, sizeof(q->kind), r->lead[i]);
}

/* What of the rest says kinds, and what names. */
static void part_rest(struct reader *r)
{
	struct asked *q = r->q;
	struct str v[REST_MAX];
	size_t n = split(str_of(r->plain), v, REST_MAX);

	for (size_t i = 0; i < n;) {
		size_t most = MIN(n - i, (size_t)3), m = most;
		uint64_t said = 0;

		while (m && !(said = kinds_of(v + i, m)))
			m--;
		q->told |= said;
		if (!said)
			put(q->names, ASKED_TEXT, v[i]);
		i += said ? m : 1;
	}
}

static struct str bare(struct str w)
{
	while (w.n && ispunct((unsigned char)w.p[0]) && w.p[0] != '/')
		w = str_from(w, 1);
	while (w.n && ispunct((unsigned char)w.p[w.n - 1]))
		w.n--;
	return w;
}

bool asked_read(struct str question, struct asked *ret)
{
	struct reader r = {.q = ret, .leads = true};
	struct str w;
	bool more = true;

	*ret = (struct asked){0};
	while (more) {
		more = str_split(&question, ' ', &w);
		w = bare(w);
		if (!w.n)
			continue;
		read_preposition(&r, w);
		read_word(&r, w);
		r.begun = true;
		r.what |= str_ieq(w, STR("what"));
	}
	ret->out = r.helps || r.passive;
	ret->verb |= r.helps; /* "what identity does it have" */
	take_lead(&r);
	part_rest(&r);
	return ret->edges && ret->names[0];
}

bool asked_edge(const struct asked *q, struct str type)
{
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++)
		if (str_eq(str_of(edges[i].edge), type))
			return q->edges & (1U << i);
	return false;
}
