#include "cli/term.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

unsigned term_width(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

bool term_colours(void)
{
	const char *no = getenv("NO_COLOR"), *kind = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && kind && strcmp(kind, "dumb") != 0;
}

const char *tint_on(enum tint t, bool colours)
{
	static const char *const on[_TINT_MAX] = {
		[TINT_PLAIN] = "",	  [TINT_BOLD] = "\033[1m",  [TINT_DIM] = "\033[2m",
		[TINT_GOOD] = "\033[32m", [TINT_WARN] = "\033[33m", [TINT_BAD] = "\033[31m",
	};

	return colours ? on[t] : "";
}

const char *tint_off(enum tint t, bool colours)
{
	return colours && t != TINT_PLAIN ? "\033[0m" : "";
}
