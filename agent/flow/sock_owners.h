/* Sockets by their inode number, and whose they are; used while the start looks around. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SOCK_OWNERS_MAX 262144 /* over it: no record, the socket's process is not known */

struct sock_owner {
	uint32_t inode;
	uint32_t pid;	  /* of its first holder; 0: not known */
	uint64_t cgroup;  /* of its holders; 0: not known, or they differ */
	uint32_t holders; /* processes that have it open */
	uint32_t space;	  /* the last table that showed it, 1..n */
	uint32_t spaces;  /* changes of that */
	bool seen_here;	  /* in this network namespace */
};

struct sock_owners;

/* 0 or -ENOMEM. */
int sock_owners_new(struct sock_owners **ret);
void sock_owners_free(struct sock_owners **s);
/* NULL: not known, or inode 0. */
const struct sock_owner *sock_owners_get(const struct sock_owners *s, uint32_t inode);
/* The record, made when there is none: NULL when memory or the bound is short, or inode 0. */
struct sock_owner *sock_owners_put(struct sock_owners *s, uint32_t inode);
