/*
 * What the reducer reads out of a cgroup's name (its util/cgroup_parser.cc): a pod's
 * uid, a container's id, a service. Pure text.
 *
 *     kubepods-<qos>-pod<uid>.slice[:<runtime>:<64 hex>]   kubepods-pod<uid>.slice
 *     pod<uid>, with '-', '_' or neither                   cri-<runtime>-<64 hex>.scope
 *     <64 hex>                                             <x>.service
 */
#pragma once

#include "base/str.h"

struct cgroup_text { /* borrowed from the name; each may be empty */
	struct str uid, container, service;
};
void cgroup_text_parse(struct str name, struct cgroup_text *ret);
