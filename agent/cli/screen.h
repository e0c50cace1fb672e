/*
 * A terminal that a command has to itself: the other screen, keys one by one. It is given
 * back at the end, also after SIGINT, SIGTERM and SIGHUP, which only set `screen_stop`.
 */
#pragma once

#include "base/str.h"

#include <signal.h>
#include <stdbool.h>

enum screen_key { /* besides characters, which are themselves */
		  KEY_NONE = 0,
		  KEY_END = -1, /* a signal, or nothing more will come */
		  KEY_RESIZE = -2,
		  KEY_UP = -3,
		  KEY_DOWN = -4,
		  KEY_PAGE_UP = -5,
		  KEY_PAGE_DOWN = -6,
		  KEY_OTHER = -7,
		  KEY_ESCAPE = 27,
};

extern volatile sig_atomic_t screen_stop;

/* Whether standard input and output are a terminal. */
bool screen_possible(void);
/* 0 or -errno. Once, and then screen_end. */
int screen_begin(void);
void screen_end(void);

unsigned screen_rows(void);
/* Shows lines from the top on; what stood there before goes. */
void screen_show(struct str lines);
/* The next key within so many milliseconds, or KEY_NONE. */
int screen_key(int milliseconds);
