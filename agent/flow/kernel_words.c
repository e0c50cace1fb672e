/* libbpf's messages; see kernel_words.h. */
#include "flow/kernel_words.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#define WORDS_MAX 160

static char verifier[WORDS_MAX]; /* its last line that says something */

/* The verifier's log ends with statistics; the reason stands before them. */
static bool is_statistics(struct str line)
{
	static const char *const starts[] = {"processed ", "verification time", "stack depth",
					     "peak_states", "max_states_per_insn"};

	for (size_t i = 0; i < ARRAY_SIZE(starts); i++)
		if (str_starts(line, str_of(starts[i])))
			return true;
	return str_empty(line);
}

static void take_log(const char *text)
{
	const char *begin = strstr(text, "-- BEGIN PROG LOAD LOG --");
	const char *end = strstr(text, "-- END PROG LOAD LOG --");
	struct str rest, line, last = {0};

	if (!begin || !end || begin > end)
		return;
	rest = str_make(begin, (size_t)(end - begin));
	(void)str_split(&rest, '\n', &line);
	while (rest.n) {
		(void)str_split(&rest, '\n', &line);
		line = str_trim(line);
		if (!is_statistics(line))
			last = line;
	}
	/* libbpf puts an instruction there that no verifier takes. */
	if (strstr(text, "invalid CO-RE relocation"))
		last = STR("this kernel has nothing by a name that is asked for");
	if (last.n)
		(void)snprintf(verifier, sizeof(verifier), "%.*s", (int)MIN(last.n, 150UL), last.p);
}

/* One log line for each line of the message. */
static void to_log(const char *text)
{
	struct str rest = str_of(text), line;

	while (rest.n) {
		(void)str_split(&rest, '\n', &line);
		if (line.n)
			log_debug("%.*s", STR_ARG(line));
	}
}

__attribute__((format(printf, 2, 0))) static int on_message(enum libbpf_print_level level,
							    const char *fmt, va_list args)
{
	_free_ char *text = NULL;

	if (level == LIBBPF_DEBUG)
		return 0;
	if (vasprintf(&text, fmt, args) < 0) {
		text = NULL;
		return 0;
	}
	take_log(text);
	to_log(text);
	return 0;
}

void kernel_words_begin(void)
{
	verifier[0] = '\0';
	(void)libbpf_set_print(on_message);
}

const char *kernel_words(int r, char *out, size_t size)
{
	char text[64];
	const char *error = strerror_r(-r, text, sizeof(text));

	if (verifier[0])
		(void)snprintf(out, size, "the verifier says: %s", verifier);
	else if (r == -ENOENT)
		(void)snprintf(out, size, "this kernel has no such hook");
	else
		(void)snprintf(out, size, "%s", error);
	return out;
}

const char *kernel_words_conntrack(int r, bool net_admin, char *out, size_t size)
{
	char text[64];
	const char *why = strerror_r(-r, text, sizeof(text));

	if (r == -EPERM)
		why = net_admin ? "CAP_NET_ADMIN must hold in the network namespace"
				: "needs CAP_NET_ADMIN in the host's network namespace";
	else if (r == -EPROTONOSUPPORT || r == -ENOENT)
		why = "this kernel has no conntrack events";
	(void)snprintf(out, size, "%s", why);
	return out;
}
