/*
 * The objects of bpf/: opened, sized, given their knobs, loaded and attached, each
 * by itself. What fails is off, in words; what is loaded stays while this is held.
 */
#pragma once

#include "flow/layout.h"
#include "flow/probe.h"

#include <stdbool.h>
#include <stdint.h>

struct objects;

#define OBJECTS_WHY_MAX 200

struct objects_opts {
	const struct layout *layout;
	enum probe_tier tier;
	uint64_t permitted; /* capabilities, for the words of a refusal */
	bool udp;
	bool note_procs; /* the programs note processes themselves: nobody else can (proc_watch_may)
			  */
	size_t ring_bytes;
	uint32_t max_socks, max_udp;
};

/* Loads what loads. 0: `tcp` is loaded; -EPERM or -ENOTSUP: it is not (`ret` is made nevertheless,
 * with the words); -ENOMEM. */
int objects_new(const struct objects_opts *o, struct objects **ret);
void objects_free(struct objects **o);

/* Attaches those that follow cgroups, before the walk; and all others. */
void objects_attach_cgroups(struct objects *o);
/* 0, or the reason why `tcp` is not attached. */
int objects_attach(struct objects *o);

/* The feature has done all it is for: its programs go, and it still counts as on. */
void objects_retire(struct objects *o, enum probe_feature f);

/* Borrowed; -1: there is none. */
enum objects_map {
	OBJECTS_RING,
	OBJECTS_COUNTS,
	OBJECTS_SOCKS,
	OBJECTS_ENDS,
	OBJECTS_FRESH, /* -1 also where PROBE_REFRESH is off */
	OBJECTS_UDP,
	OBJECTS_PROCS,
	OBJECTS_PLACES, /* -1 where the programs are those for older kernels, as the next */
	OBJECTS_TAPE,
	OBJECTS_TAPE_AT,
	_OBJECTS_MAP_MAX
};
int objects_map(const struct objects *o, enum objects_map m);
/* The connect hooks (IPv4, IPv6), to be attached to cgroups: program descriptors, or -1. */
int objects_asked(const struct objects *o, bool v6);
/* The program that reads sockets when it is run (flow/refresh.h); -1: off. */
int objects_refresh(const struct objects *o);
/* Bytes that the kernel holds for the maps, as far as it tells. */
size_t objects_bytes(const struct objects *o);

/* "" and true, or the reason. Features that are no object of bpf/ are false, "". */
struct probe_status objects_status(const struct objects *o, enum probe_feature f);
