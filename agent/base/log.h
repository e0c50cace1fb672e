/*
 * One line a message to standard error, as text or JSON. Only main, kube, flow
 * and sink shells log; every other room returns the code. One thread logs.
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, _LOG_LEVEL_MAX };

/* Process-wide; set once at start. Default: info, text. */
void log_setup(enum log_level level, bool json);
/*
 * Of each place in the program, told by its format, at most so many lines a minute are written; 0,
 * the default: all of them. How many more there were is said with the last of them, before the
 * first line of any place after that minute, or by the next call of this. Debug lines have no
 * bound.
 */
void log_bound(unsigned lines);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends ": strerror" of a negative errno code and returns the code, so that it can end a
 * function. */
int log_code(enum log_level level, int r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                     \
	do {                                               \
		if (log_enabled(LOG_DEBUG))                \
			log_write(LOG_DEBUG, __VA_ARGS__); \
	} while (0)
#define log_err(r, ...) log_code(LOG_ERROR, r, __VA_ARGS__)
