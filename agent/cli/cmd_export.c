/*
 * kindred export: one snapshot of the resources that the running agent holds, redacted,
 * to standard output. Objects are printed as they come; none is held longer.
 */
#include "cli/cmd_export.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "tree/yaml.h"

#include <stdio.h>
#include <string.h>

#define BODY_MAX   (32UL << 20) /* bytes of one object and what comes with it */
#define TARGET_MAX 2048

enum output { OUTPUT_JSON, OUTPUT_YAML };
static const char *const outputs[] = {"json", "yaml", NULL};

struct export_config {
	const char *kind, *ns;
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct export_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Export",
	 .flag = "--kind", .type = OPTION_STRING, .arg = "NAME", .def = "*", .def_words = "all",
	 FIELD(kind), .help = "Plural name of a kind, with its group or without: deployments, "
			      "certificates.cert-manager.io."},
	{.flag = "--namespace", .letter = "-n", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(ns),
	 .help = "Objects of this namespace alone."},
	{.flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = outputs, .arg = "json|yaml", .def = "json",
	 FIELD(output), .help = "One List, or YAML documents; both hold all there is of each object."},
	ASK_OPTIONS(struct export_config, where),
};
/* clang-format on */

const struct option_table cmd_export_options = {
	.command = "kindred export",
	.about = "Prints the resources that the agent of this cluster holds, as they are now: "
		 "redacted, without managed fields.",
	.after = "Exit code 1: there are none to be had, or the answer broke off; 3: no agent "
		 "answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

struct printer {
	const struct export_config *c;
	struct arena arena;
	struct buf yaml;
	unsigned long n;
};

static int print_yaml(struct printer *p, struct str object)
{
	struct tree *t;
	int r;

	arena_reset(&p->arena);
	buf_reset(&p->yaml);
	r = tree_parse(&p->arena, object, &t);
	if (r == 0)
		r = tree_write_yaml(&p->yaml, t);
	if (r == 0)
		printf("---\n%.*s", STR_ARG(buf_str(&p->yaml)));
	return r;
}

static int print_object(struct printer *p, struct str object)
{
	if (p->c->output == OUTPUT_YAML)
		return print_yaml(p, object);
	printf("%s\n%.*s", p->n++ ? "," : "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[",
	       STR_ARG(object));
	return 0;
}

/* The whole lines of what has come. */
static int print_lines(struct printer *p, struct buf *body)
{
	struct str rest = buf_str(body), line;
	int r = 0;

	while (r == 0 && rest.n && memchr(rest.p, '\n', rest.n)) {
		(void)str_split(&rest, '\n', &line);
		r = line.n ? print_object(p, line) : 0;
	}
	buf_consume(body, body->n - rest.n);
	return r;
}

static int print_all(struct printer *p, struct ask *a)
{
	_buf_ struct buf body = {.max = BODY_MAX};
	int r;

	do {
		int e;

		r = ask_read(a, &body);
		e = r < 0 ? r : print_lines(p, &body);
		if (e < 0)
			return e;
	} while (r > 0);
	if (p->c->output == OUTPUT_JSON)
		printf("%s\n]}\n",
		       p->n ? "" : "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[");
	return 0;
}

static int ask_export(const struct export_config *c)
{
	_buf_ struct buf target = {.max = TARGET_MAX};
	_ask_ struct ask a = {.fd = -1};
	struct printer p = {.c = c, .yaml = {.max = BODY_MAX}};
	int code, r = buf_printf(&target, "/api/v1/resources/%s", c->kind);

	r = r ?: ask_param(&target, "namespace", c->ns);
	if (r < 0)
		return ask_cannot("kindred export", r);
	code = ask_good("kindred export", &c->where, buf_str(&target), false, &a);
	if (code != EXIT_OK)
		return code;
	arena_init(&p.arena, 4 * BODY_MAX);
	r = print_all(&p, &a);
	arena_done(&p.arena);
	buf_done(&p.yaml);
	if (r < 0)
		fprintf(stderr, "kindred export: the answer broke off: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_export(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct export_config c = {0};
	int r = options_read(&cmd_export_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	if (strpbrk(c.kind, "/?# ")) {
		fprintf(stderr, "kindred export: --kind takes the plural name of a kind\n");
		return EXIT_USAGE;
	}
	return ask_export(&c);
}
