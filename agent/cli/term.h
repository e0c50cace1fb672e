/*
 * What is known of the terminal that standard output goes to.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>

/* How a piece of text looks, where there are colours. */
enum tint { TINT_PLAIN, TINT_BOLD, TINT_DIM, TINT_GOOD, TINT_WARN, TINT_BAD, _TINT_MAX };

/* Columns of the terminal on standard output; 0: it is none, and nothing is to be cut. */
unsigned term_width(void);
/* Whether standard output is a terminal that shows colours, and nobody objects: NO_COLOR that is
 * not empty and TERM=dumb do. */
bool term_colours(void);

/* The sequences around such a text; empty without `colours`. Static texts. */
const char *tint_on(enum tint t, bool colours);
const char *tint_off(enum tint t, bool colours);
