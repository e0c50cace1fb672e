#include "cli/agent_files.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

int agent_files_get(struct agent_files *f, const char *file, struct worker **ret)
{
	const struct worker_opts o = {.base = f->base,
				      .file = file,
				      .patient = true,
				      .may_write = f->may_write,
				      .ctx = f->ctx};
	_buf_ struct buf error = {.max = 1024};
	int r;

	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(worker_file(f->workers[i]), file) == 0) {
			*ret = f->workers[i];
			return 0;
		}
	if (f->n == AGENT_FILES_MAX)
		return log_err(-EMSGSIZE, "%s: there are too many SQLite files", file);
	r = worker_new(&o, &f->workers[f->n], &error);
	if (r < 0) {
		log_error("%.*s", STR_ARG(buf_str(&error)));
		return r;
	}
	if (error.n)
		log_warn("%.*s; it is tried again", STR_ARG(buf_str(&error)));
	*ret = f->workers[f->n++];
	return 0;
}

void agent_files_abandon(struct agent_files *f)
{
	for (unsigned i = 0; i < f->n; i++)
		worker_abandon(f->workers[i]);
}

void agent_files_done(struct agent_files *f)
{
	while (f->n)
		worker_free(&f->workers[--f->n]);
}
