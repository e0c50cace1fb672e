/*
 * A compiled expression, shared by its compiler (path_parse.c) and its walker
 * (path.c). Everything lives in the path's arena.
 */
#pragma once

#include "tree/path.h"

#define PATH_MAX_DEEP 3	   /* ".." in one expression: each multiplies what is visited */
#define PATH_MAX_WAYS 1024 /* alternatives of all unions, multiplied */
#define PATH_MAX_NEST 8	   /* filters within filters */

enum step_type {
	STEP_NAME,   /* .name, ['name'] */
	STEP_WILD,   /* .*, [*] */
	STEP_DEEP,   /* .., what follows is looked for in the value and everything below */
	STEP_UNION,  /* ['a','b'], [0,2]: each alternative in turn */
	STEP_SLICE,  /* [0], [-1], [0:2], [::2] */
	STEP_FILTER, /* [?(...)] */
};

enum filter_op { FILTER_EXISTS, FILTER_EQ, FILTER_NE, FILTER_LT, FILTER_LE, FILTER_GT, FILTER_GE };

struct operand {
	bool literal, from_root;
	const struct step *steps;
	struct tree value; /* of a literal */
};

struct filter {
	enum filter_op op;
	struct operand left, right;
};

struct step {
	const struct step *next;
	enum step_type type;
	struct str name;
	bool dotted;		  /* a quoted name with dots: a member of that name, else a path */
	const struct step *among; /* STEP_UNION: alternatives, by next */
	int64_t from, to, by;	  /* STEP_SLICE */
	const struct filter *filter;
};

struct path {
	struct arena arena;
	struct str source;
	const struct step *steps;
};

/* Fills p->steps from p->source: as path_new. */
int path_compile(struct path *p, struct buf *ret_error);
