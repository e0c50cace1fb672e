/* The meaning of kubeconfig files; see kubeconfig.h. */
#include "kube/cred/kubeconfig_parts.h"

#include "base/mem.h"
#include "http/watched_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES_TOLD 20 /* contexts listed in an error */

struct source {
	struct watched_file file;
	struct yaml_tree tree;
	struct yaml_map top;
};

struct merged {
	struct source v[KUBECONFIG_MAX_FILES];
	size_t n;
	struct buf *error;
};

static void text_wipe(char **p)
{
	if (*p)
		explicit_bzero(*p, strlen(*p));
	free(*p);
	*p = NULL;
}

static void merged_done(struct merged *m)
{
	for (size_t i = 0; i < m->n; i++) {
		yaml_tree_done(&m->v[i].tree);
		watched_file_done(&m->v[i].file);
	}
}

/* --- files --------------------------------------------------------------- */

static int check_head(const struct yaml_map *top)
{
	_free_ char *kind = NULL;
	_free_ char *version = NULL;
	int r = yaml_map_text(top, "kind", &kind);

	if (r < 0)
		return r;
	if (kind && strcmp(kind, "Config") != 0)
		return yaml_fail(top, NULL, "kind", "expected Config, not \"%.60s\"", kind);
	r = yaml_map_text(top, "apiVersion", &version);
	if (r < 0)
		return r;
	if (version && strcmp(version, "v1") != 0)
		return yaml_fail(top, NULL, "apiVersion", "expected v1, not \"%.60s\"", version);
	return 0;
}

static int source_parse(struct source *s, struct buf *error)
{
	static const struct yaml_limits limits = {.depth = KUBECONFIG_MAX_DEPTH,
						  .aliases = KUBECONFIG_MAX_ALIASES};
	int r = yaml_tree_load(&s->tree, s->file.path, watched_file_str(&s->file), &limits, error);

	if (r < 0)
		return r;
	r = yaml_tree_top(&s->tree, error, &s->top);
	return r < 0 ? r : check_head(&s->top);
}

/* One more file; with `optional` one that is not there is passed over. */
static int merged_add(struct merged *m, struct str path, bool optional)
{
	_free_ char *z = str_dup(path);
	_buf_ struct buf why;
	struct source *s;
	int r;

	buf_init(&why, 4096);
	if (!z)
		return -ENOMEM;
	if (m->n == KUBECONFIG_MAX_FILES) {
		(void)buf_printf(m->error, "kubeconfig: more than %d files are listed",
				 KUBECONFIG_MAX_FILES);
		return -EINVAL;
	}
	s = &m->v[m->n];
	r = watched_file_init(&s->file, z);
	if (r < 0)
		return r;
	m->n++;
	r = watched_file_read(&s->file, "kubeconfig", &why);
	if (r == -ENOENT && optional) {
		watched_file_done(&s->file);
		m->n--;
		return 0;
	}
	if (r < 0) {
		(void)buf_append_str(m->error, buf_str(&why));
		return r;
	}
	return source_parse(s, m->error);
}

static int merged_load(struct merged *m, const char *paths)
{
	struct str rest = str_of(paths), one;
	bool several = strchr(paths, ':') != NULL;

	while (rest.n) {
		(void)str_split(&rest, ':', &one);
		int r = one.n ? merged_add(m, one, several) : 0;

		if (r < 0)
			return r;
	}
	if (m->n)
		return 0;
	(void)buf_printf(m->error, "kubeconfig %s: none of these files exists", paths);
	return -ENOENT;
}

int kubeconfig_resolve(const char *path, char **file)
{
	const char *slash = strrchr(path, '/');
	char *full;

	if (!*file || **file == '/' || !slash)
		return 0;
	if (asprintf(&full, "%.*s/%s", (int)(slash - path), path, *file) < 0)
		return -ENOMEM;
	free(*file);
	*file = full;
	return 0;
}

/* --- named entries ------------------------------------------------------- */

struct entry_kind {
	const char *list, *one; /* "clusters", "cluster" */
};
static const struct entry_kind contexts = {"contexts", "context"};
static const struct entry_kind clusters = {"clusters", "cluster"};
static const struct entry_kind users = {"users", "user"};

/* The entry's inner mapping when its name is `name`; ret->node stays NULL when it is not. */
static int entry_match(const struct yaml_map *top, yaml_node_t *item, const struct entry_kind *kind,
		       const char *name, bool *ret_match, struct yaml_map *ret)
{
	_free_ char *is = NULL;
	struct yaml_map entry;
	int r = yaml_node_map(top, item, kind->list, &entry);

	if (r < 0)
		return r;
	r = yaml_map_text(&entry, "name", &is);
	if (r < 0)
		return r;
	if (!is)
		return yaml_fail(top, item, kind->list, "an entry has no name");
	*ret_match = strcmp(is, name) == 0;
	if (!*ret_match)
		return 0;
	entry.kind = kind->one;
	entry.name = name;
	return yaml_map_map(&entry, kind->one, ret);
}

static int find_in(struct source *s, const struct entry_kind *kind, const char *name,
		   bool *ret_found, struct yaml_map *ret)
{
	yaml_node_t *seq;
	int r = yaml_map_seq(&s->top, kind->list, &seq);

	*ret_found = false;
	for (size_t i = 0; r == 0 && i < yaml_seq_len(seq); i++) {
		yaml_node_t *item = yaml_seq_at(&s->top, seq, i);
		struct yaml_map m;
		bool match;

		r = entry_match(&s->top, item, kind, name, &match, &m);
		if (r < 0 || !match)
			continue;
		if (*ret_found)
			return yaml_fail(&s->top, item, kind->list, "\"%s\" is given twice", name);
		*ret_found = true;
		*ret = m;
	}
	return r;
}

/* The first file that has it decides. ret_source is NULL when none has. */
static int find(struct merged *m, const struct entry_kind *kind, const char *name,
		struct source **ret_source, struct yaml_map *ret)
{
	*ret_source = NULL;
	for (size_t i = 0; i < m->n; i++) {
		bool found;
		int r = find_in(&m->v[i], kind, name, &found, ret);

		if (r < 0)
			return r;
		if (found) {
			*ret_source = &m->v[i];
			return 0;
		}
	}
	return 0;
}

/* --- context ------------------------------------------------------------- */

static int current_context(struct merged *m, const char *wanted, char **ret)
{
	if (wanted && *wanted) {
		*ret = str_dup(str_of(wanted));
		return *ret ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < m->n; i++) {
		int r = yaml_map_text(&m->v[i].top, "current-context", ret);

		if (r < 0 || *ret)
			return r;
	}
	return 0;
}

/* " There are: a, b." for an error. */
static void tell_names(struct merged *m, const struct entry_kind *kind)
{
	unsigned told = 0;

	for (size_t i = 0; i < m->n; i++) {
		yaml_node_t *seq;

		if (yaml_map_seq(&m->v[i].top, kind->list, &seq) < 0)
			return;
		for (size_t j = 0; j < yaml_seq_len(seq) && told < MAX_NAMES_TOLD; j++) {
			yaml_node_t *item = yaml_seq_at(&m->v[i].top, seq, j);
			_free_ char *name = NULL;
			struct yaml_map e;

			if (yaml_node_map(&m->v[i].top, item, kind->list, &e) < 0 ||
			    yaml_map_text(&e, "name", &name) < 0)
				return;
			if (name)
				(void)buf_printf(m->error, "%s%s",
						 told++ ? ", " : "; there are: ", name);
		}
	}
}

static int not_there(struct merged *m, const char *paths, const struct entry_kind *kind,
		     const char *name)
{
	(void)buf_printf(m->error, "kubeconfig %s: %s \"%s\" is not defined", paths, kind->one,
			 name);
	tell_names(m, kind);
	return -EINVAL;
}

static int context_read(struct merged *m, const char *paths, struct kubeconfig *k)
{
	struct source *s;
	struct yaml_map c;
	int r = find(m, &contexts, k->context, &s, &c);

	if (r < 0)
		return r;
	if (!s)
		return not_there(m, paths, &contexts, k->context);
	r = yaml_map_text(&c, "cluster", &k->cluster);
	if (r < 0)
		return r;
	if (!k->cluster)
		return yaml_fail(&c, NULL, "cluster", "is missing; expected a cluster's name");
	return yaml_map_text(&c, "user", &k->user);
}

static int resolve_all(struct merged *m, const char *paths, struct kubeconfig *k)
{
	struct source *s;
	struct yaml_map e;
	int r = context_read(m, paths, k);

	if (r < 0)
		return r;
	r = find(m, &clusters, k->cluster, &s, &e);
	if (r < 0)
		return r;
	if (!s)
		return not_there(m, paths, &clusters, k->cluster);
	r = cluster_read(s->file.path, &e, k);
	if (r < 0 || !k->user)
		return r;
	r = find(m, &users, k->user, &s, &e);
	if (r < 0)
		return r;
	return s ? user_read(s->file.path, &e, k) : not_there(m, paths, &users, k->user);
}

int kubeconfig_load(const char *paths, const char *context, struct kubeconfig **ret,
		    struct buf *ret_error)
{
	__attribute__((cleanup(merged_done))) struct merged m = {.error = ret_error};
	__attribute__((cleanup(kubeconfig_free))) struct kubeconfig *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	r = merged_load(&m, paths);
	if (r < 0)
		return r;
	r = current_context(&m, context, &k->context);
	if (r < 0)
		return r;
	if (!k->context) {
		(void)buf_printf(ret_error,
				 "kubeconfig %s: no current-context; choose one with --context",
				 paths);
		tell_names(&m, &contexts);
		return -EINVAL;
	}
	r = resolve_all(&m, paths, k);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(k);
	return 0;
}

static void pem_done(struct kubeconfig_pem *p)
{
	if (p->data)
		explicit_bzero(p->data, p->n);
	free(p->data);
	free(p->file);
}

void kubeconfig_free(struct kubeconfig **kp)
{
	struct kubeconfig *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	free(k->context);
	free(k->cluster);
	free(k->user);
	free(k->server);
	free(k->server_name);
	free(k->proxy);
	pem_done(&k->ca);
	pem_done(&k->cert);
	pem_done(&k->key);
	text_wipe(&k->token);
	free(k->token_file);
	exec_config_done(&k->exec);
	free(k);
}
