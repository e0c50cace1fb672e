/* Connect hooks on pods; see pod_hooks.h. */
#include "flow/pod_hooks.h"

#include "base/log.h"
#include "base/mem.h"
#include "flow/caps.h"
#include "flow_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>

#define TRIES 3 /* for one pod; then it stays without */

struct hook {
	uint64_t cgroup;
	int link4, link6; /* -1: not attached */
	uint32_t round;	  /* in which it was last seen */
	uint32_t tries;
};

struct pod_hooks {
	struct pod_hooks_opts opts;
	char v2[PATH_MAX];
	struct hook *hooks;
	uint32_t n, round;
	uint64_t seen; /* flows_cgroups_changes at the last run */
	bool again;    /* something failed that may work the next time */
	struct pod_hooks_figures figures;
};

int pod_hooks_new(const struct pod_hooks_opts *o, struct pod_hooks **ret)
{
	struct pod_hooks *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->opts = *o;
	h->opts.v2 = NULL;
	h->seen = UINT64_MAX;
	(void)snprintf(h->v2, sizeof(h->v2), "%s", o->v2);
	h->hooks = calloc(o->max, sizeof(*h->hooks));
	if (!h->hooks) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

static void let_go(struct hook *k)
{
	if (k->link4 >= 0)
		(void)close(k->link4);
	if (k->link6 >= 0)
		(void)close(k->link6);
	k->link4 = k->link6 = -1;
}

void pod_hooks_free(struct pod_hooks **h)
{
	if (!*h)
		return;
	for (uint32_t i = 0; i < (*h)->n; i++)
		let_go(&(*h)->hooks[i]);
	free((*h)->hooks);
	free(*h);
	*h = NULL;
}

/* The directory, written from its end: names of the tree up to the mount point. */
static bool path_of(const struct pod_hooks *h, cgroup_ix ix, char out[PATH_MAX])
{
	char tail[PATH_MAX];
	size_t at = sizeof(tail) - 1;
	struct flow_cgroup g;

	tail[at] = '\0';
	while (flows_cgroup_at(h->opts.flows, ix, &g) && g.name.n) {
		if (g.name.n + 1 > at || !g.parent || memchr(g.name.p, '/', g.name.n))
			return false;
		at -= g.name.n;
		memcpy(tail + at, g.name.p, g.name.n);
		tail[--at] = '/';
		ix = g.parent;
	}
	return snprintf(out, PATH_MAX, "%s%s", h->v2, tail + at) < PATH_MAX;
}

static int open_pod(const struct pod_hooks *h, cgroup_ix ix, uint64_t id)
{
	char path[PATH_MAX];
	struct stat st;

	if (!path_of(h, ix, path))
		return -ENAMETOOLONG;
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return st.st_ino == id ? TAKE_FD(fd) : -ESTALE;
}

static int hook(struct pod_hooks *h, cgroup_ix ix, struct hook *k)
{
	_close_ int fd = open_pod(h, ix, k->cgroup);

	if (fd < 0)
		return fd;
	/* Links attach with the multi flag. */
	if (h->opts.need_caps)
		(void)caps_raise(h->opts.need_caps);
	k->link4 = bpf_link_create(h->opts.prog4, fd, BPF_CGROUP_INET4_CONNECT, NULL);
	if (h->opts.prog6 >= 0)
		k->link6 = bpf_link_create(h->opts.prog6, fd, BPF_CGROUP_INET6_CONNECT, NULL);
	if (h->opts.need_caps)
		(void)caps_raise(0);
	return k->link4 < 0 ? k->link4 : 0;
}

static struct hook *find(struct pod_hooks *h, uint64_t cgroup)
{
	for (uint32_t i = 0; i < h->n; i++)
		if (h->hooks[i].cgroup == cgroup)
			return &h->hooks[i];
	return NULL;
}

static void meet(struct pod_hooks *h, cgroup_ix ix, const struct flow_cgroup *g)
{
	struct hook *k = find(h, g->id);
	int r;

	if (!k && h->n == h->opts.max) {
		h->figures.left_out++;
		return;
	}
	if (!k) {
		k = &h->hooks[h->n++];
		*k = (struct hook){.cgroup = g->id, .link4 = -1, .link6 = -1};
	}
	k->round = h->round;
	if (k->link4 >= 0 || k->tries == TRIES)
		return;
	k->tries++;
	r = hook(h, ix, k);
	if (r < 0) {
		h->figures.failed++;
		h->again = true;
		log_debug("flows: pod cgroup %.*s is not hooked: error %d", STR_ARG(g->name), -r);
	} else {
		h->figures.hooked++;
	}
}

/* A pod's own directory, not one below it, in v2. */
static bool is_pod(const struct flows *f, const struct flow_cgroup *g)
{
	struct flow_cgroup up;

	if (g->gone || g->ref.what != CGROUP_POD || g->id & ABI_CGROUP_V1)
		return false;
	return !flows_cgroup_at(f, g->parent, &up) || up.ref.what != CGROUP_POD;
}

void pod_hooks_run(struct pod_hooks *h)
{
	const uint64_t changes = flows_cgroups_changes(h->opts.flows);
	struct flow_cgroup g;

	if (changes == h->seen && !h->again)
		return;
	h->seen = changes;
	h->again = false;
	h->round++;
	h->figures.left_out = 0;
	for (cgroup_ix ix = flows_cgroup_next(h->opts.flows, 0); ix;
	     ix = flows_cgroup_next(h->opts.flows, ix))
		if (flows_cgroup_at(h->opts.flows, ix, &g) && is_pod(h->opts.flows, &g))
			meet(h, ix, &g);
	for (uint32_t i = 0; i < h->n;) {
		if (h->hooks[i].round == h->round) {
			i++;
			continue;
		}
		let_go(&h->hooks[i]);
		h->hooks[i] = h->hooks[--h->n];
	}
	h->figures.now = h->n;
}

struct pod_hooks_figures pod_hooks_figures(const struct pod_hooks *h)
{
	return h->figures;
}
