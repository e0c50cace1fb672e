/*
 * Reads the tape: records of TCP in memory that the programs write (bpf/map_tape.h). One reader, in
 * the order in which the records were begun.
 */
#pragma once

#include "flow_abi.h"

#include <stdint.h>

struct tape;

/* Maps `tape` and `tape_at`, borrowed. 0, -ENOMEM or -errno of mapping. */
int tape_new(int map, int at, struct tape **ret);
void tape_free(struct tape **t);

/* How many records were ever begun, and how many were read. */
uint64_t tape_begun(const struct tape *t);
uint64_t tape_read(const struct tape *t);
/* The next record, in its place until tape_next; NULL: there is none, or it is being written. */
const struct abi_tcp *tape_peek(const struct tape *t);
void tape_next(struct tape *t);
/* Lets the programs have the places of what was read: after some records, and in the end. */
void tape_give(struct tape *t);
