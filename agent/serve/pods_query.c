#include "serve/pods_query.h"

#include "serve/pods_api.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool take(struct pods_query *q, const char *name, const char *value, bool with_kind)
{
	unsigned long long n = 0;
	char *to = strcmp(name, "namespace") == 0	    ? q->ns
		   : strcmp(name, "workload") == 0	    ? q->workload
		   : strcmp(name, "node") == 0		    ? q->node
		   : strcmp(name, "kind") == 0 && with_kind ? q->kind
							    : NULL;

	if (to) {
		(void)snprintf(to, FILTER_TEXT_MAX, "%s", value);
	} else if (strcmp(name, "continue") == 0) {
		(void)snprintf(q->after, sizeof(q->after), "%s", value);
	} else if (strcmp(name, "limit") == 0 && str_to_u64(str_of(value), &n) == 0 && n >= 1 &&
		   n <= PODS_LIMIT_MAX) {
		q->limit = (uint32_t)n;
	} else {
		return false;
	}
	return true;
}

int pods_query_parse(struct str query, bool with_kind, struct pods_query *ret,
		     struct buf *ret_error)
{
	struct pods_query q = {.limit = PODS_LIMIT};
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	int r;

	while ((r = query_next(&query, name, value)) > 0)
		if (!take(&q, name, value, with_kind)) {
			(void)buf_printf(ret_error,
					 "\"%s=%s\" is not understood; there are namespace, "
					 "workload, %snode, limit (1 to %d) and continue",
					 name, value, with_kind ? "kind, " : "", PODS_LIMIT_MAX);
			return -EINVAL;
		}
	if (r < 0) {
		(void)buf_append_str(ret_error, STR("the query is malformed, or too long"));
		return r;
	}
	*ret = q;
	return 0;
}

static bool fits(const char *pattern, struct str s)
{
	return !pattern[0] || glob_match(str_of(pattern), s);
}

bool pods_query_may_fit(const struct pods_query *q, const struct inv_pod_view *p)
{
	return !p->dead && fits(q->ns, p->ns) && fits(q->node, p->node);
}

bool pods_query_fits(const struct pods_query *q, const struct workload *w)
{
	return fits(q->workload, w->name) && fits(q->kind, pods_kind(w));
}

struct str pods_kind(const struct workload *w)
{
	return str_empty(w->kind_text) ? STR("Pod") : w->kind_text;
}
