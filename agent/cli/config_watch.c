#include "cli/config_watch.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/single.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEY "config.yaml"

struct config_watch {
	struct config_watch_opts o;
	struct single *single;
	struct client *client;
	char name[400]; /* "ConfigMap shop/kindred" */
	char *text;	/* as it was last; NULL: there was none */
};

static void on_changed(void *ctx, const struct tree *object, bool first)
{
	struct config_watch *w = ctx;
	const struct tree *value = tree_get(tree_get(object, "data"), KEY);

	(void)first;
	if (!value || value->type != TREE_STRING) {
		log_warn("%s %s, the configuration stays", w->name,
			 object ? "has no key " KEY : "is not there");
		free(w->text);
		w->text = NULL;
		w->o.gone(w->o.ctx);
		return;
	}
	if (w->text && str_eq(str_of(w->text), value->text))
		return; /* a label, or another key */
	free(w->text);
	w->text = str_dup(value->text);
	w->o.changed(w->o.ctx, w->name, value->text);
}

static void on_unauthorized(void *ctx)
{
	client_refused(((struct config_watch *)ctx)->client);
}

int config_watch_new(const struct config_watch_opts *o, struct config_watch **ret)
{
	struct config_watch *w = calloc(1, sizeof(*w));
	struct str name = str_of(o->name), ns;
	char path[400];
	int r;

	if (!w)
		return -ENOMEM;
	w->o = *o;
	(void)str_split(&name, '/', &ns);
	(void)snprintf(path, sizeof(path), "/api/v1/namespaces/%.*s/configmaps", STR_ARG(ns));
	(void)snprintf(w->name, sizeof(w->name), "ConfigMap %s", o->name);
	const struct single_opts s = {.path = str_of(path),
				      .name = name,
				      .watch = *o->watch,
				      .changed = on_changed,
				      .unauthorized = on_unauthorized,
				      .ctx = w};
	r = single_new(&s, &w->single);
	if (r < 0) {
		config_watch_free(&w);
		return r;
	}
	*ret = w;
	return 0;
}

void config_watch_free(struct config_watch **wp)
{
	struct config_watch *w = *wp;

	if (!w)
		return;
	single_free(&w->single);
	free(w->text);
	free(w);
	*wp = NULL;
}

int config_watch_start(struct config_watch *w, struct client *client)
{
	w->client = client;
	return client_add(client, single_reflector(w->single), str_of(w->name));
}

void config_watch_tune(struct config_watch *w, const struct reflector_opts *watch)
{
	if (w)
		single_tune(w->single, watch);
}
