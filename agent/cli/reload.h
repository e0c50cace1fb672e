/*
 * A configuration that changes while the agent runs. Whoever brings the new text (the
 * file, on SIGHUP or by itself, or the agent's ConfigMap), it goes one way:
 *
 *     text ─ options, flags and environment as at the start ─ checked whole
 *       bad:  said and counted; nothing changes
 *       good: live options go to the running configuration and are applied;
 *             the others that differ are named: they wait for a restart
 *
 * Where the ConfigMap has a text it stands for the file's. Values are never said.
 */
#pragma once

#include "config/agent_options.h"

struct reload;

struct reload_opts {
	struct agent_config *running; /* its live options are changed in place */
	const struct options *start;  /* that it was loaded with; both must outlive it */
	/* Live options of `running` have changed. */
	void (*apply)(void *ctx);
	void *ctx;
};

/* 0 or -ENOMEM. */
int reload_new(const struct reload_opts *o, struct reload **ret);
/* After all who read the running configuration: texts of it are freed. */
void reload_free(struct reload **r);

/* The file may have changed: nothing happens when it has not. */
void reload_look(struct reload *r);
/* Somebody asks for it (`why`: "SIGHUP"): says so also when nothing has changed. */
void reload_now(struct reload *r, const char *why);
/* The ConfigMap (`name`, for people) has this text. */
void reload_map(struct reload *r, const char *name, struct str text);

/* It has none any more: the configuration stays until the file is read. */
void reload_map_gone(struct reload *r);

struct reload_stats {
	uint64_t taken, refused;
	bool good;	  /* the last one was taken, or there was none */
	unsigned waiting; /* options that differ and need a restart */
};
struct reload_stats reload_stats(const struct reload *r);
