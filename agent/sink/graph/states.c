#include "sink/graph/states.h"

#include "base/json_out.h"
#include "base/mem.h"

#include <errno.h>

#define MAX_STATE 65536 /* bytes; a longer one is cut off at a condition or container */

struct state {
	struct json_out *j;
	struct str latest;
};

/* All times of the API are UTC with a Z: they sort as texts. */
static void passed_at(struct state *s, const struct tree *time)
{
	struct str t = tree_text(time);

	if (str_cmp(t, s->latest) > 0)
		s->latest = t;
}

static void conditions(struct state *s, const struct tree *status)
{
	const struct tree *list = tree_get(status, "conditions");

	if (!list || !list->n || list->type != TREE_ARRAY)
		return;
	json_open(s->j, "conditions", '[');
	tree_each(c, list)
	{
		struct str type = tree_text(tree_get(c, "type"));

		if (!type.n)
			continue;
		json_open(s->j, NULL, '{');
		json_text(s->j, "type", type);
		json_text(s->j, "status", tree_text(tree_get(c, "status")));
		json_some(s->j, "reason", tree_text(tree_get(c, "reason")));
		json_close(s->j, '{');
		passed_at(s, tree_get(c, "lastTransitionTime"));
	}
	json_close(s->j, '[');
}

static void container(struct state *s, const struct tree *c)
{
	const struct tree *which = tree_get(c, "state") ? tree_get(c, "state")->first : NULL;
	int64_t restarts = tree_int(tree_get(c, "restartCount"), 0);

	json_open(s->j, NULL, '{');
	json_text(s->j, "name", tree_text(tree_get(c, "name")));
	json_text(s->j, "state", which ? which->key : STR("unknown"));
	json_some(s->j, "reason", tree_text(tree_get(which, "reason")));
	if (tree_get(which, "exitCode"))
		json_some(s->j, "exit_code", tree_text(tree_get(which, "exitCode")));
	json_u64(s->j, "restarts", restarts > 0 ? (uint64_t)restarts : 0);
	json_bool(s->j, "ready", tree_is_true(tree_get(c, "ready")));
	if (tree_get(c, "started"))
		json_bool(s->j, "started", tree_is_true(tree_get(c, "started")));
	json_close(s->j, '{');
	passed_at(s, tree_get(which, "startedAt"));
	passed_at(s, tree_get(which, "finishedAt"));
}

static void containers(struct state *s, const struct tree *status)
{
	static const char *const lists[] = {"initContainerStatuses", "containerStatuses",
					    "ephemeralContainerStatuses"};

	json_open(s->j, "containers", '[');
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		tree_each(c, tree_get(status, lists[i])) container(s, c);
	json_close(s->j, '[');
}

static void numbers(struct state *s, const struct tree *status)
{
	static const char *const names[] = {
		"replicas",	   "readyReplicas",	  "availableReplicas",
		"updatedReplicas", "unavailableReplicas", "desiredNumberScheduled",
		"numberReady",	   "numberAvailable",	  "currentReplicas"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int64_t v = tree_int(tree_get(status, names[i]), -1);

		if (v >= 0)
			json_u64(s->j, names[i], (uint64_t)v);
	}
}

static void job_phase(struct state *s, const struct tree *status)
{
	bool active = tree_int(tree_get(status, "active"), 0) > 0;
	const char *phase = "Pending";

	if (tree_int(tree_get(status, "succeeded"), 0) > 0)
		phase = "Succeeded";
	else if (tree_int(tree_get(status, "failed"), 0) > 0 && !active)
		phase = "Failed";
	else if (active)
		phase = "Active";
	json_text(s->j, "phase", str_of(phase));
}

static void fill(struct state *s, const struct tree *object)
{
	const struct tree *status = tree_get(object, "status");
	struct str kind = tree_text(tree_get(object, "kind"));

	if (tree_at(object, "metadata.deletionTimestamp"))
		json_bool(s->j, "terminating", true);
	json_some(s->j, "phase", tree_text(tree_get(status, "phase")));
	json_some(s->j, "reason", tree_text(tree_get(status, "reason")));
	if (str_eq(kind, STR("Job")))
		job_phase(s, status);
	numbers(s, status);
	conditions(s, status);
	if (str_eq(kind, STR("Pod")) && status && status->n)
		containers(s, status);
}

/* FNV-1a */
uint64_t graph_state_hash(struct str json)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < json.n; i++)
		h = (h ^ (unsigned char)json.p[i]) * 0x100000001b3ULL;
	return h;
}

int graph_state_of(const struct tree *object, struct arena *a, nsec_t wall, struct graph_state *ret)
{
	_buf_ struct buf b;
	struct json_out j = {.out = &b};
	struct state s = {.j = &j};
	char text[TIME_TEXT_MAX];
	int r;

	buf_init(&b, MAX_STATE);
	*ret = (struct graph_state){0};
	json_open(&j, NULL, '{');
	fill(&s, object);
	json_close(&j, '{');
	if (j.r < 0)
		return j.r == -ENOMEM ? j.r : 0; /* a state of that size is none to compare */
	if (b.n == 2)
		return 0;
	if (!s.latest.n)
		s.latest = tree_text_at(object, "metadata.deletionTimestamp");
	if (!s.latest.n)
		s.latest = tree_text_at(object, "metadata.creationTimestamp");
	if (!s.latest.n)
		s.latest = str_of(time_text(wall, text));
	r = arena_dup(a, buf_str(&b), &ret->json);
	return r < 0 ? r : arena_dup(a, s.latest, &ret->since);
}
