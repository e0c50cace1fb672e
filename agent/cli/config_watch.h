/*
 * The agent's own ConfigMap (--watch-config), watched by itself: the text of its key
 * config.yaml is handed over when it is another one.
 */
#pragma once

#include "config/agent_options.h"
#include "kube/client.h"

struct config_watch;

struct config_watch_opts {
	const char *name; /* NAMESPACE/NAME; borrowed, as all here */
	const struct reflector_opts *watch;
	/* `name`: what to call it, such as "ConfigMap shop/kindred". */
	void (*changed)(void *ctx, const char *name, struct str text);
	void (*gone)(void *ctx); /* there is none any more, or it has no such key; that is logged */
	void *ctx;
};

/* 0, -EINVAL or -ENOMEM. */
int config_watch_new(const struct config_watch_opts *o, struct config_watch **ret);
/* After the client. NULL-safe. */
void config_watch_free(struct config_watch **w);
int config_watch_start(struct config_watch *w, struct client *client);
/* As reflector_tune. NULL-safe. */
void config_watch_tune(struct config_watch *w, const struct reflector_opts *watch);
