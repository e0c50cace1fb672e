/*
 * kindred flows: asks the agent of this node for its flows, and prints them as a table
 * or as the JSON lines they come as.
 */
#include "cli/cmd_flows.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/flow_table.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/sheet.h"
#include "serve/whois.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX   (1UL << 20) /* of lines that are not yet printed */
#define TARGET_MAX 8192
#define LAST_NS	   (300 * NSEC_PER_SEC)

static const char *const verdicts[] = {"failed", "retrans", NULL};

struct flows_config {
	const char *from, *to, *pod, *last, *since, *until;
	struct ask_where where;
	uint16_t port;
	int verdict, output;
	bool follow;
};

static bool is_duration(struct str s)
{
	uint64_t ns;

	return option_parse_duration(s, &ns) == 0;
}

static bool is_time(struct str s)
{
	nsec_t t;

	return whois_time(s, clock_wall(), &t) == 0;
}
#define TIME_WORDS "a time such as 2026-11-21T09:30:00Z, or -5m"

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct flows_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Which flows",
	 .flag = "--from", .type = OPTION_STRING, .arg = "NS/WORKLOAD", FIELD(from),
	 .help = "The client's end: namespace and workload, a workload of any namespace, or an "
		 "address. * stands for anything: shop/*, */web. \"unknown\" has no name."},
	{.flag = "--to", .type = OPTION_STRING, .arg = "NS/WORKLOAD", FIELD(to),
	 .help = "The server's end, in the same way."},
	{.flag = "--pod", .type = OPTION_STRING, .arg = "NS/POD", FIELD(pod),
	 .help = "A pod at either end; * stands for anything."},
	{.flag = "--port", .type = OPTION_INT, .arg = "PORT", .min = 1, .max = 65535, FIELD(port),
	 .help = "The server's port."},
	{.flag = "--verdict", .type = OPTION_ENUM, .choices = verdicts, .arg = "failed|retrans",
	 FIELD(verdict),
	 .help = "failed: connections that never came up. retrans: something was sent again."},
	{.flag = "--last", .type = OPTION_STRING, .arg = "TIME", .ok = is_duration,
	 .expect = "a duration such as 5m or 30s", .def_words = "5m; with --follow none", FIELD(last),
	 .help = "Besides open flows those that ended in this time, 5m or 30s, as far as the agent remembers."},
	{.flag = "--since", .type = OPTION_STRING, .arg = "TIME", .ok = is_time, .expect = TIME_WORDS,
	 .def_words = "--last", FIELD(since), .help = "The same as --last, by its beginning: 2026-11-21T09:30:00Z, or -10m."},
	{.flag = "--until", .type = OPTION_STRING, .arg = "TIME", .ok = is_time, .expect = TIME_WORDS,
	 .def_words = "now", FIELD(until), .help = "Only flows that had begun by then, a time like that of --since."},
	{.flag = "--follow", .letter = "-f", .type = OPTION_BOOL, FIELD(follow),
	 .help = "Go on with what comes, until interrupted."},
	{.group = "How",
	 .flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = "A table that fits the terminal, the same with both ends' pods and addresses, or "
			  "one JSON object a line (include/flow.schema.json)."},
	ASK_OPTIONS(struct flows_config, where),
};
/* clang-format on */

const struct option_table cmd_flows_options = {
	.command = "kindred flows",
	.about = "Shows the TCP and UDP flows that the agent of this node sees, with the workloads "
		 "at both ends. SENT and RECEIVED are the client's.",
	.after = "Exit code 1: the agent has no flows, or it ended the answer; 2: the question is "
		 "not "
		 "understood; 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

/* The agent takes whole units only: milliseconds. */
static int add_last(struct buf *target, const struct flows_config *c)
{
	uint64_t ns = c->follow ? 0 : LAST_NS;
	const nsec_t now = clock_wall();
	nsec_t since;
	char text[32];

	if (c->last && option_parse_duration(str_of(c->last), &ns) < 0)
		return -EINVAL;
	if (c->since && whois_time(str_of(c->since), now, &since) == 0)
		ns = now > since ? now - since : 0;
	(void)snprintf(text, sizeof(text), "%llums", (unsigned long long)(ns / NSEC_PER_MSEC));
	return ask_param(target, "last", text);
}

static int make_target(const struct flows_config *c, struct buf *target)
{
	char port[8] = "";
	int r = buf_append_str(target, STR("/api/v1/flows"));

	if (c->port)
		(void)snprintf(port, sizeof(port), "%u", c->port);
	r = r ?: ask_param(target, "from", c->from);
	r = r ?: ask_param(target, "to", c->to);
	r = r ?: ask_param(target, "pod", c->pod);
	r = r ?: ask_param(target, "port", port[0] ? port : NULL);
	r = r ?: ask_param(target, "verdict", c->verdict >= 0 ? verdicts[c->verdict] : NULL);
	r = r ?: ask_param(target, "until", c->until);
	r = r ?: ask_param(target, "once", c->output == OUTPUT_JSON ? NULL : "1");
	r = r ?: ask_param(target, "follow", c->follow ? "1" : NULL);
	return r ?: add_last(target, c);
}

/* ---- output ---------------------------------------------------------------------------------- */

struct printer {
	bool json;
	struct sheet_look look;
};

static int put_text(struct str s)
{
	return !s.n || fwrite(s.p, 1, s.n, stdout) == s.n ? 0 : -EIO;
}

/* "Lines are missing here" belongs beside the table, not in it. */
static void put_lost(const json_t *o)
{
	const char *reason = json_string_value(json_object_get(o, "reason"));

	fprintf(stderr, "kindred flows: %" PRIu64 " lines are missing here: %s\n",
		(uint64_t)json_integer_value(json_object_get(o, "count")),
		reason ? reason : "no reason given");
}

static int print_row(const json_t *o, const struct printer *p)
{
	_buf_ struct buf row = {.max = 16384};
	int r = o ? flow_table_row(o, &p->look, &row) : 0;

	if (r == -EBADMSG) {
		put_lost(o);
		r = 0;
	}
	return r < 0 ? r : put_text(buf_str(&row));
}

static int print_line(struct str line, const struct printer *p)
{
	_json_ json_t *o = NULL;

	if (p->json)
		return put_text(str_make(line.p, line.n + 1));
	o = json_in_parse(line, 0);
	return print_row(o, p);
}

static int print_lines(const struct printer *p, struct buf *body)
{
	struct str rest = buf_str(body), line;
	size_t before = rest.n;
	int r = 0;

	while (r == 0 && memchr(rest.p ? rest.p : "", '\n', rest.n)) {
		(void)str_split(&rest, '\n', &line);
		r = print_line(line, p);
	}
	buf_consume(body, before - rest.n);
	return r == 0 && fflush(stdout) != 0 ? -EIO : r;
}

static int print_all(const struct printer *p, struct ask *a)
{
	_buf_ struct buf body = {.max = BODY_MAX}, head = {.max = 4096};
	int r = p->json ? 0 : flow_table_head(&p->look, &head);

	if (r == 0)
		r = put_text(buf_str(&head));
	for (int more = 1; r == 0 && more > 0;) {
		more = ask_read(a, &body);
		r = print_lines(p, &body);
		if (r == 0 && more < 0)
			r = more;
	}
	return r;
}

static int answer(const struct flows_config *c, struct ask *a)
{
	const struct printer p = {.json = c->output == OUTPUT_JSON,
				  .look = sheet_look(c->output == OUTPUT_WIDE)};
	int r = print_all(&p, a);

	if (r < 0)
		fprintf(stderr, "kindred flows: the answer ends here: %s\n", strerror(-r));
	else if (c->follow) /* it has no end but the agent's, or ours for being slow */
		fprintf(stderr, "kindred flows: the agent ended the answer\n");
	return r < 0 || c->follow ? EXIT_FAILED : EXIT_OK;
}

int cmd_flows(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_buf_ struct buf target = {.max = TARGET_MAX};
	_ask_ struct ask a = {.fd = -1};
	struct flows_config c = {0};
	int r = options_read(&cmd_flows_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	r = make_target(&c, &target);
	if (r < 0)
		return ask_cannot("kindred flows", r);
	r = ask_good("kindred flows", &c.where, buf_str(&target), c.follow, &a);
	return r == EXIT_OK ? answer(&c, &a) : r;
}
