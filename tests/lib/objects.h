/*
 * Objects by hand for tests: static text in, a struct object that borrows it out.
 */
#pragma once

#include "model/object.h"

#include <stdio.h>
#include <string.h>

#define OBJ_MAX_CONTAINERS 4

struct obj {
	struct object o;
	struct owner_ref owner;
	struct str ips[4];
	struct container containers[OBJ_MAX_CONTAINERS];
};

/* "00000000-0000-4000-8000-<12 digits>"; borrowed from one of 8 static buffers. */
static inline struct str obj_uid(unsigned int n)
{
	static char text[8][37];
	static unsigned int turn;
	char *t = text[turn++ % 8];

	(void)snprintf(t, 37, "00000000-0000-4000-8000-%012u", n);
	return str_of(t);
}

/* The object copies nothing: `b` and all texts must outlive it. */
static inline void obj_init(struct obj *b, const char *ns, const char *name, struct str uid)
{
	*b = (struct obj){0};
	b->o.meta.ns = str_of(ns);
	b->o.meta.name = str_of(name);
	b->o.meta.uid = uid;
	b->o.pod.ips = b->ips;
	b->o.pod.containers = b->containers;
}

static inline void obj_pod(struct obj *b, const char *ns, const char *name, struct str uid,
			   const char *ip)
{
	obj_init(b, ns, name, uid);
	b->o.api_version = STR("v1");
	b->o.kind = STR("Pod");
	b->o.pod.phase = POD_PHASE_RUNNING;
	if (ip && *ip) {
		b->ips[0] = str_of(ip);
		b->o.pod.n_ips = 1;
	}
}

static inline void obj_owned(struct obj *b, const char *api_version, const char *kind,
			     const char *name, struct str uid)
{
	b->owner = (struct owner_ref){.api_version = str_of(api_version),
				      .kind = str_of(kind),
				      .name = str_of(name),
				      .uid = uid,
				      .controller = true};
	b->o.meta.owners = &b->owner;
	b->o.meta.n_owners = 1;
}

static inline void obj_container(struct obj *b, const char *id, const char *name, const char *image)
{
	b->containers[b->o.pod.n_containers++] = (struct container){.id = str_of(id),
								    .name = str_of(name),
								    .image = str_of(image),
								    .state = CONTAINER_RUNNING};
}

static inline void obj_owner(struct obj *b, const char *api_version, const char *kind,
			     const char *ns, const char *name, struct str uid)
{
	obj_init(b, ns, name, uid);
	b->o.api_version = str_of(api_version);
	b->o.kind = str_of(kind);
}
