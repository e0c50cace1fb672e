/*
 * kindred whois: asks the agent of this node what a thing is and how that is known.
 */
#include "cli/cmd_whois.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/flow_table.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX   (1UL << 20)
#define TARGET_MAX 8192
#define TEXT_MAX   (2UL << 20)
#define KEY_WIDTH  16

struct whois_config {
	const char *at;
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct whois_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Whois",
	 .flag = "--at", .type = OPTION_STRING, .arg = "TIME", .def_words = "now", FIELD(at),
	 .help = "Who it was then: 2026-11-21T09:30:00Z, or -5m."},
	{.flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = "Lines for people, the same with all about its flows, or one JSON object."},
	ASK_OPTIONS(struct whois_config, where),
};
/* clang-format on */

const struct option_table cmd_whois_options = {
	.command = "kindred whois",
	.args = "ADDRESS|ADDRESS:PORT|PID|CONTAINER|CGROUP|POD",
	.about = "Says what an address, the end of a flow, a process, a container id (or its first "
		 "12 "
		 "digits), a cgroup (id or path) or a pod (NAMESPACE/NAME, name, uid) is, and how "
		 "the agent of this node knows.",
	.after = "pid:7 and cgroup:7 tell apart what a number alone does not; address:, flow:, "
		 "container: and pod: work alike. Exit code 1: not known; 2: the "
		 "question is not understood; 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
	.args_max = 1,
};

/* ---- for people ------------------------------------------------------------------------------ */

static int put_value(const json_t *v, struct buf *out)
{
	const char *key;
	json_t *member;
	int r = 0, n = 0;

	if (json_is_string(v))
		return text_put(out, str_make(json_string_value(v), json_string_length(v)), 0, 0);
	if (json_is_integer(v))
		return buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	if (json_is_boolean(v))
		return buf_append_str(out, json_is_true(v) ? STR("yes") : STR("no"));
	json_object_foreach((json_t *)(uintptr_t)v, key, member)
	{
		r = r ?: buf_printf(out, "%s%s ", n++ ? ", " : "", key);
		r = r ?: put_value(member, out);
	}
	return r;
}

static int put_member(const char *key, const json_t *v, struct buf *out)
{
	int r = text_put(out, str_of(key), 0, KEY_WIDTH);

	r = r ?: put_value(v, out);
	return r ?: buf_append_str(out, STR("\n"));
}

static int put_lines(const json_t *answer, const struct sheet_look *look, struct buf *out)
{
	const char *key;
	json_t *v, *item;
	size_t i;
	int r = 0;

	json_object_foreach((json_t *)(uintptr_t)answer, key, v)
	{
		if (!json_is_array(v))
			r = r ?: put_member(key, v, out);
		else if (strcmp(key, "flows") == 0)
			r = r ?: flow_table_head(look, out);
		json_array_foreach(v, i, item) r = r
							   ?: strcmp(key, "flows") == 0
							      ? flow_table_row(item, look, out)
							      : put_member(key, item, out);
	}
	return r;
}

static int print(const struct whois_config *c, struct str body, bool found)
{
	_buf_ struct buf out = {.max = TEXT_MAX};
	_json_ json_t *answer = json_in_parse(body, 0);
	const struct sheet_look look = sheet_look(c->output == OUTPUT_WIDE);
	int r = answer ? 0 : -EBADMSG;

	if (answer && c->output == OUTPUT_JSON)
		r = buf_printf(&out, "%.*s\n", STR_ARG(body));
	else if (answer)
		r = put_lines(answer, &look, &out);
	if (r == 0)
		(void)fwrite(buf_str(&out).p, 1, out.n,
			     found || c->output == OUTPUT_JSON ? stdout : stderr);
	return r;
}

static int ask_whois(const struct whois_config *c, const char *what)
{
	_buf_ struct buf target = {.max = TARGET_MAX}, body = {.max = BODY_MAX};
	_ask_ struct ask a = {.fd = -1};
	int code, r = buf_append_str(&target, STR("/api/v1/whois"));

	r = r ?: ask_param(&target, "q", what);
	r = r ?: ask_param(&target, "at", c->at);
	if (r < 0)
		return ask_cannot("kindred whois", r);
	code = ask_begin("kindred whois", &c->where, buf_str(&target), false, &a);
	if (code != EXIT_OK)
		return code;
	if (a.status != 200 && a.status != 404 && a.status != 409) {
		ask_complain("kindred whois", &a);
		return a.status == 400 ? EXIT_USAGE : EXIT_FAILED;
	}
	r = ask_all(&a, &body);
	r = r ?: print(c, buf_str(&body), a.status == 200);
	if (r < 0)
		fprintf(stderr, "kindred whois: the answer cannot be read: %s\n", strerror(-r));
	return r < 0 || a.status != 200 ? EXIT_FAILED : EXIT_OK;
}

int cmd_whois(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct whois_config c = {0};
	int r = options_read(&cmd_whois_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	if (!options_args(options).n) {
		fprintf(stderr, "kindred whois: what is asked for is missing; --help tells more\n");
		return EXIT_USAGE;
	}
	return ask_whois(&c, options_args(options).v[0]);
}
