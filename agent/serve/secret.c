/* A token in a file; see secret.h. */
#include "serve/secret.h"

#include "base/mem.h"
#include "http/token.h"
#include "http/watched_file.h"
#include "serve/guard.h"

#include <errno.h>
#include <stdlib.h>

#define WORDS_MAX 1024

struct secret {
	struct secret_opts o;
	struct watched_file file;
	char *token; /* trimmed */
	nsec_t looked;
	bool bad;
};

static int read_file(struct secret *s, struct buf *error)
{
	struct str text;
	const char *wrong;
	char *copy;
	int r = watched_file_read(&s->file, "token file", error);

	if (r < 0)
		return r;
	text = str_trim(watched_file_str(&s->file));
	wrong = token_wrong(text);
	if (wrong) {
		(void)buf_printf(error, "token file %s: %s", s->file.path, wrong);
		return -EINVAL;
	}
	copy = str_dup(text);
	if (!copy)
		return -ENOMEM;
	if (s->token)
		explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	s->token = copy;
	return 0;
}

int secret_new(const struct secret_opts *o, struct secret **ret, struct buf *ret_error)
{
	struct secret *s = calloc(1, sizeof(*s));
	int r = s ? watched_file_init(&s->file, o->file) : -ENOMEM;

	if (r == 0)
		r = read_file(s, ret_error);
	if (r < 0) {
		secret_free(&s);
		return r;
	}
	s->o = *o;
	*ret = s;
	return 0;
}

void secret_free(struct secret **sp)
{
	struct secret *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	if (s->token)
		explicit_bzero(s->token, strlen(s->token));
	free(s->token);
	watched_file_done(&s->file);
	free(s);
}

static void look(struct secret *s, nsec_t now)
{
	_buf_ struct buf words = {.max = WORDS_MAX};
	bool bad;

	if (s->looked && now - s->looked < SECRET_LOOK)
		return;
	s->looked = now;
	if (!watched_file_changed(&s->file))
		return;
	bad = read_file(s, &words) < 0;
	(void)buf_append(&words, "", 1);
	if (s->o.told && (bad || s->bad))
		s->o.told(s->o.ctx, bad ? words.p : "");
	s->bad = bad;
}

bool secret_fits(struct secret *s, nsec_t now, struct str authorization)
{
	struct str token;

	look(s, now);
	return guard_bearer(authorization, &token) && guard_same(token, str_of(s->token));
}
