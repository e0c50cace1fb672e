#include "cli/progress.h"

#include "cli/text.h"

#include <stdio.h>
#include <unistd.h>

#define FIRST (1 * NSEC_PER_SEC)
#define EVERY (200 * NSEC_PER_MSEC)

void progress_begin(struct progress *p)
{
	*p = (struct progress){.begun = clock_mono()};
}

void progress_tell(struct progress *p, const char *what, uint64_t bytes)
{
	const nsec_t now = clock_mono();
	char span[TEXT_FIGURE_MAX], size[TEXT_FIGURE_MAX];

	if (now - p->begun < FIRST || now - p->told < EVERY || !isatty(STDERR_FILENO))
		return;
	p->told = now;
	p->shown = true;
	fprintf(stderr, "\r%s, %s%s%s%s\033[K", what,
		text_span((now - p->begun) / NSEC_PER_SEC, span), bytes ? ", " : "",
		bytes ? text_bytes(bytes, size) : "", bytes ? " so far" : "");
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
