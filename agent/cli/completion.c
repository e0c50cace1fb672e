#include "cli/completion.h"

#include "base/mem.h"
#include "cli/cmd_help.h"
#include "config/option.h"

#include <errno.h>
#include <string.h>

enum kind { KIND_FLAG, KIND_FILE, KIND_WORDS, KIND_OTHER };

/* What stands behind an option. */
static enum kind kind_of(const struct option_desc *d)
{
	static const char *const files[] = {"FILE", "PATH", "DIR", "FOLDER"};

	if (d->type == OPTION_BOOL)
		return KIND_FLAG;
	if (d->choices)
		return KIND_WORDS;
	for (size_t i = 0; d->arg && i < ARRAY_SIZE(files); i++)
		if (strcmp(d->arg, files[i]) == 0)
			return KIND_FILE;
	return KIND_OTHER;
}

static int put_choices(struct buf *out, const struct option_desc *d)
{
	int r = 0;

	for (size_t i = 0; d->choices[i] && r == 0; i++)
		r = buf_printf(out, "%s%s", i ? " " : "", d->choices[i]);
	return r;
}

/* The words that a command takes, as "bash|zsh" in its usage line: with blanks between. */
static int put_words(struct buf *out, const struct option_table *t)
{
	const char *args = t->args ?: "";
	int r = 0;

	if (strspn(args, "abcdefghijklmnopqrstuvwxyz|") != strlen(args))
		return 0;
	for (; *args && r == 0; args++)
		r = buf_append(out, *args == '|' ? " " : args, 1);
	return r;
}

static bool takes_file(const struct option_table *t)
{
	return t->args && strstr(t->args, "FILE");
}

static int put_names(struct buf *out, const struct command *commands, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = buf_printf(out, "%s%s", i ? " " : "", commands[i].name);
	return r;
}

/* ---- bash ------------------------------------------------------------------------------------ */

/* The names of the options of one kind as a pattern of `case`. *ret: how many there were. */
static int bash_pattern(struct buf *out, const struct option_table *t, enum kind kind, size_t *ret)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++) {
		const struct option_desc *d = &t->v[i];

		if (kind_of(d) == kind)
			r = buf_printf(out, "%s%s%s%s", n++ ? "|" : "", d->letter ?: "",
				       d->letter ? "|" : "", d->flag);
	}
	*ret = n;
	return r;
}

static int bash_case(struct buf *out, const struct option_table *t, enum kind kind,
		     const char *what)
{
	_buf_ struct buf pattern = {.max = 65536};
	size_t n;
	int r = bash_pattern(&pattern, t, kind, &n);

	return r < 0 || !n ? r
			   : buf_printf(out, "\t\t%.*s) %s; return ;;\n",
					STR_ARG(buf_str(&pattern)), what);
}

static int bash_values(struct buf *out, const struct option_table *t)
{
	int r = buf_append_str(out, STR("\t\tcase $prev in\n"));

	for (size_t i = 0; i < t->n && r == 0; i++) {
		const struct option_desc *d = &t->v[i];

		if (kind_of(d) != KIND_WORDS)
			continue;
		r = buf_printf(out, "\t\t%s%s%s) _kindred_words '", d->letter ?: "",
			       d->letter ? "|" : "", d->flag);
		r = r ?: put_choices(out, d);
		r = r ?: buf_append_str(out, STR("'; return ;;\n"));
	}
	r = r ?: bash_case(out, t, KIND_FILE, "_kindred_files");
	r = r ?: bash_case(out, t, KIND_OTHER, "COMPREPLY=()");
	return r ?: buf_append_str(out, STR("\t\tesac\n"));
}

static int bash_command(struct buf *out, const struct command *c)
{
	const struct option_table *t = c->options;
	int r = buf_printf(out, "\t%s)\n", c->name);

	if (t->n)
		r = r ?: bash_values(out, t);
	r = r ?: buf_append_str(out, STR("\t\toptions='"));
	for (size_t i = 0; i < t->n && r == 0; i++)
		r = buf_printf(out, "%s ", t->v[i].flag);
	r = r ?: buf_printf(out, "--help' args='");
	r = r ?: put_words(out, t);
	return r ?: buf_printf(out, "' file=%s ;;\n", takes_file(t) ? "yes" : "");
}

int completion_bash(const struct command *commands, size_t n, struct buf *out)
{
	static const char head[] =
		"# bash completion for kindred; made by `kindred completion bash`.\n"
		"_kindred() {\n"
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} "
		"options= args= file=\n"
		"\t_kindred_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
		"\t_kindred_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < "
		"<(compgen -f -- \"$cur\"); }\n"
		"\tCOMPREPLY=()\n"
		"\tif [ \"$cur\" = = ]; then cur=\n"
		"\telif [ \"$prev\" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}\n"
		"\tfi\n";
	static const char tail[] = "\tesac\n"
				   "\tcase $cur in\n"
				   "\t-*) _kindred_words \"$options\" ;;\n"
				   "\t*) [ -z \"$file\" ] || _kindred_files; [ -z \"$args\" ] || "
				   "_kindred_words \"$args\" ;;\n"
				   "\tesac\n"
				   "}\n"
				   "complete -F _kindred kindred\n";
	_buf_ struct buf names = {.max = 4096};
	int r = put_names(&names, commands, n);

	r = r ?: buf_append_str(out, str_of(head));
	r = r
		    ?: buf_printf(out,
				  "\tif [ \"$COMP_CWORD\" = 1 ]; then _kindred_words '%.*s'; "
				  "return; fi\n"
				  "\tcase ${COMP_WORDS[1]} in\n",
				  STR_ARG(buf_str(&names)));
	for (size_t i = 0; i < n && r == 0; i++)
		r = bash_command(out, &commands[i]);
	r = r
		    ?: buf_printf(out,
				  "\tesac\n\tcase ${COMP_WORDS[1]} in\n\thelp) args='%.*s' ;;\n",
				  STR_ARG(buf_str(&names)));
	return r ?: buf_append_str(out, str_of(tail));
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* In single quotes, and nothing in it ends an explanation: the first sentence of a help. */
static int zsh_text(struct buf *out, const char *help)
{
	const char *end = strstr(help, ". ");
	size_t n = end ? (size_t)(end - help) : strlen(help);
	int r = 0;

	n -= n && help[n - 1] == '.';
	for (size_t i = 0; i < n && r == 0; i++) {
		if (help[i] == '\'')
			r = buf_append_str(out, STR("'\\''"));
		else if (strchr("[]:\\", help[i]))
			r = buf_printf(out, "\\%c", help[i]);
		else
			r = buf_append(out, &help[i], 1);
	}
	return r;
}

/* ":message:action" */
static int zsh_value(struct buf *out, const struct option_desc *d)
{
	int r;

	switch (kind_of(d)) {
	case KIND_FLAG:
		return 0;
	case KIND_FILE:
		return buf_append_str(out, STR(":file:_files"));
	case KIND_WORDS:
		r = buf_append_str(out, STR(":word:("));
		r = r ?: put_choices(out, d);
		return r ?: buf_append_str(out, STR(")"));
	case KIND_OTHER:
		r = buf_append_str(out, STR(":"));
		r = r ?: zsh_text(out, d->arg ?: "value");
		return r ?: buf_append_str(out, STR(": "));
	}
	return -EINVAL;
}

static int zsh_name(struct buf *out, const struct option_desc *d, const char *name)
{
	const char *letter = d->letter ?: "";
	int r = d->type == OPTION_LIST ? buf_printf(out, " \\\n\t\t\t'*%s", name)
		: d->letter ? buf_printf(out, " \\\n\t\t\t'(%s %s)%s", letter, d->flag, name)
			    : buf_printf(out, " \\\n\t\t\t'%s", name);

	r = r ?: buf_append_str(out, STR("["));
	r = r ?: zsh_text(out, d->help);
	r = r ?: buf_append_str(out, STR("]"));
	r = r ?: zsh_value(out, d);
	return r ?: buf_append_str(out, STR("'"));
}

static int zsh_command(struct buf *out, const struct command *c)
{
	const struct option_table *t = c->options;
	_buf_ struct buf words = {.max = 4096};
	int r = buf_printf(out, "\t%s)\n\t\t_arguments '(- *)'{-h,--help}'[print help]'", c->name);

	for (size_t i = 0; i < t->n && r == 0; i++) {
		if (t->v[i].letter)
			r = zsh_name(out, &t->v[i], t->v[i].letter);
		r = r ?: zsh_name(out, &t->v[i], t->v[i].flag);
	}
	r = r ?: put_words(&words, t);
	if (r == 0 && takes_file(t))
		r = buf_append_str(out, STR(" '*:file:_files'"));
	else if (r == 0 && words.n)
		r = buf_printf(out, " '1:word:(%.*s)'", STR_ARG(buf_str(&words)));
	else if (r == 0 && strcmp(c->name, "help") == 0)
		r = buf_append_str(out, STR(" '1:command:(${commands%%:*})'"));
	return r ?: buf_append_str(out, STR(" ;;\n"));
}

int completion_zsh(const struct command *commands, size_t n, struct buf *out)
{
	int r = buf_append_str(out, STR("#compdef kindred\n"
					"# zsh completion for kindred; made by `kindred completion "
					"zsh`.\n"
					"_kindred() {\n"
					"\tlocal -a commands\n"
					"\tcommands=("));

	for (size_t i = 0; i < n && r == 0; i++) {
		r = buf_printf(out, "\n\t\t'%s:", commands[i].name);
		r = r ?: zsh_text(out, commands[i].help);
		r = r ?: buf_append_str(out, STR("'"));
	}
	r = r
		    ?: buf_append_str(out, STR(")\n"
					       "\tif (( CURRENT == 2 )); then\n"
					       "\t\t_describe command commands\n"
					       "\t\treturn\n"
					       "\tfi\n"
					       "\tshift words\n"
					       "\t(( CURRENT-- ))\n"
					       "\tcase $words[1] in\n"));
	for (size_t i = 0; i < n && r == 0; i++)
		r = zsh_command(out, &commands[i]);
	return r
		       ?: buf_append_str(out, STR("\tesac\n"
						  "}\n"
						  "if [ \"$funcstack[1]\" = _kindred ]; then\n"
						  "\t_kindred \"$@\"\n"
						  "else\n"
						  "\tcompdef _kindred kindred\n"
						  "fi\n"));
}
