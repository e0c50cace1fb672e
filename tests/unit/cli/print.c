/*
 * What commands print with: rows that fit, texts that move no cursor, figures, and the
 * page of metrics read back, and what kindred top makes of two of them.
 */
#include "base/mem.h"
#include "cli/ask_dial.h"
#include "cli/prom_read.h"
#include "cli/sheet.h"
#include "cli/status_advice.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "cli/top_view.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <string.h>

static const struct sheet_column columns[] = {
	{.title = "NAME", .min = 6},
	{.title = "N", .right = true},
	{.title = "HOW", .wide = true},
	{.title = "REST", .min = 4},
};

static void fill(struct sheet *s, const char *name, const char *n, const char *how,
		 const char *rest)
{
	assert_int_equal(sheet_put(s, str_of(name), TINT_PLAIN), 0);
	assert_int_equal(sheet_printf(s, TINT_BAD, "%s", n), 0);
	assert_int_equal(sheet_put(s, str_of(how), TINT_PLAIN), 0);
	assert_int_equal(sheet_put(s, str_of(rest), TINT_PLAIN), 0);
}

static void expect(const struct sheet *s, struct sheet_look look, const char *want)
{
	_buf_ struct buf out = {.max = 65536};

	assert_int_equal(sheet_print(s, &look, SIZE_MAX, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal(buf_str(&out).p, want);
}

static void rows(void **state)
{
	_sheet_ struct sheet *s = NULL;

	(void)state;
	assert_int_equal(sheet_new(columns, ARRAY_SIZE(columns), &s), 0);
	fill(s, "zebra-crossing", "7", "seen", "");
	fill(s, "apple", "12345", "told", "a long rest of it");
	sheet_sort(s);
	expect(s, (struct sheet_look){0},
	       "NAME                N  REST\n"
	       "apple           12345  a long rest of it\n"
	       "zebra-crossing      7\n");
	expect(s, (struct sheet_look){.wide = true},
	       "NAME                N  HOW   REST\n"
	       "apple           12345  told  a long rest of it\n"
	       "zebra-crossing      7  seen\n");
	expect(s, (struct sheet_look){.width = 26},
	       "NAME          N  REST\n"
	       "apple     12345  a long r…\n"
	       "zebra-c…      7\n");
	expect(s, (struct sheet_look){.width = 1}, /* no further than they may */
	       "NAME        N  REST\n"
	       "apple   12345  a l…\n"
	       "zebra…      7\n");
	assert_int_equal(sheet_rows(s), 2);
}

static void names_of_attackers(void **state)
{
	_sheet_ struct sheet *s = NULL;
	char name[254];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(sheet_new(columns, ARRAY_SIZE(columns), &s), 0);
	fill(s, name, "1", "", "\033[31m\x9b\n\xff");
	expect(s, (struct sheet_look){.width = 30},
	       "NAME               N  REST\n"
	       "xxxxxxxxxxxxxxxx…  1  ?[31m???\n");
}

static void colours(void **state)
{
	_sheet_ struct sheet *s = NULL;

	(void)state;
	assert_int_equal(sheet_new(columns, 2, &s), 0);
	assert_int_equal(sheet_put(s, STR("a"), TINT_GOOD), 0);
	assert_int_equal(sheet_put(s, STR("22"), TINT_BAD), 0);
	expect(s, (struct sheet_look){.colours = true},
	       "\033[1mNAME\033[0m   \033[1mN\033[0m\n"
	       "\033[32ma\033[0m     \033[31m22\033[0m\n");
}

static void figures(void **state)
{
	static const struct {
		uint64_t n;
		const char *bytes, *span;
	} all[] = {{0, "0B", "0 s"},
		   {59, "59B", "59 s"},
		   {60, "60B", "1 min"},
		   {1024, "1.0K", "17 min"},
		   {11520, "11K", "3 h 12 min"},
		   {356400, "348K", "4 d 3 h"}};
	char text[TEXT_FIGURE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		assert_string_equal(text_bytes(all[i].n, text), all[i].bytes);
		assert_string_equal(text_span(all[i].n, text), all[i].span);
	}
}

#define PAGE                                             \
	"# HELP a_total words\n# TYPE a_total counter\n" \
	"a_total{x=\"1\",y=\"b}\\\"c\\\\\"} 2\na_total{x=\"2\"} 0.5\nab 7\nbad line\n\nc 1e3 \n"

static void metrics_are_read(void **state)
{
	struct str page = STR(PAGE);
	struct prom_sample s;
	char text[16];

	(void)state;
	assert_true(prom_read(&page, &s));
	assert_true(str_eq(s.name, STR("a_total")));
	assert_true(s.value == 2);
	prom_sample_text(s.labels, "y", text, sizeof(text));
	assert_string_equal(text, "b}\"c\\");
	prom_sample_text(s.labels, "y", text, 3);
	assert_string_equal(text, "b}");
	assert_null(prom_sample_label(s.labels, "z").p);
	assert_true(str_eq(prom_sample_label(s.labels, "x"), STR("1")));
	assert_true(prom_sum(STR(PAGE), "a_total", "") == 2.5);
	assert_true(prom_sum(STR(PAGE), "a_total", "x=\"2\"") == 0.5);
	assert_true(prom_sum(STR(PAGE), "ab", "") == 7);
	assert_true(prom_sum(STR(PAGE), "c", "") == 1000);
	assert_true(prom_sum(STR(PAGE), "none", "") == 0);
}

static int count(void *ctx, const char *what, const char *advice)
{
	assert_true(strlen(what) > 10 && strlen(advice) > 10);
	++*(int *)ctx;
	return 0;
}

static void advice(void **state)
{
	int n = 0;

	(void)state;
	assert_non_null(strstr(status_advice(STR("watch /api/v1/pods"), STR("forbidden: 403")),
			       "--check-access"));
	assert_non_null(
		strstr(status_advice(STR("watch /api/v1/pods"), STR("timed out")), "--api-server"));
	assert_non_null(status_advice(STR("something new"), STR("")));
	assert_int_equal(status_remarks(STR("kindred_flows_unaccounted 0\n"
					    "kindred_config_last_reload_success 1\n"),
					count, &n),
			 0);
	assert_int_equal(n, 0);
	assert_int_equal(status_remarks(STR("kindred_flows_unaccounted 0\n"
					    "kindred_flows_dropped_total{cause=\"x\"} 3\n"
					    "kindred_config_last_reload_success 0\n"),
					count, &n),
			 0);
	assert_int_equal(n, 2);
}

static void servers(void **state)
{
	static const struct {
		const char *url, *host, *port, *prefix;
		bool tls;
	} good[] = {
		{"http://127.0.0.1:9901", "127.0.0.1", "9901", "", false},
		{"https://[fd00::1]:9901/", "fd00::1", "9901", "", true},
		{"https://agent/a/b/", "agent", "443", "/a/b", true},
		{"http://[::1]", "::1", "80", "", false},
	};
	static const char *const bad[] = {
		"",	     "127.0.0.1:1",	"http://",     "ftp://a",
		"http://:1", "http://u:p@host", "http://[::1", "http://[::1]x"};
	_buf_ struct buf error = {.max = 4096};
	struct ask_server s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(ask_server_parse(good[i].url, &s, &error), 0);
		assert_string_equal(s.host, good[i].host);
		assert_string_equal(s.port, good[i].port);
		assert_true(str_eq(s.prefix, str_of(good[i].prefix)));
		assert_true(s.tls == good[i].tls);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ask_server_parse(bad[i], &s, &error), -EINVAL);
}

#define PAIR(w)                                                                               \
	"src_namespace=\"n\",src_workload=\"" w                                               \
	"\",src_kind=\"D\",dst_namespace=\"\",dst_workload=\"unknown\",dst_kind=\"address\"," \
	"proto=\"tcp\""
#define SENT(w, n)  "kindred_flow_bytes_total{" PAIR(w) ",direction=\"sent\"} " n "\n"
#define CONNS(w, n) "kindred_flow_connections_total{" PAIR(w) "} " n "\n"

static void read_sample(struct top_sample *s, const char *page, nsec_t at)
{
	*s = (struct top_sample){.page = {.max = 65536}, .at = at};
	assert_int_equal(buf_append_str(&s->page, str_of(page)), 0);
	assert_int_equal(top_sample_read(s, 100 * NSEC_PER_SEC), 0);
}

static void between_two_pages(void **state)
{
	struct top_sample before, now;
	struct top_row *rows = NULL;

	(void)state;
	read_sample(&before, SENT("a", "1000") CONNS("a", "9") SENT("b", "500"), 0);
	read_sample(
		&now,
		SENT("c", "7") SENT("a", "1500") SENT("b", "20") CONNS(
			"a", "9") "process_start_time_seconds 40\nkindred_flow_series_max 2000\n",
		NSEC_PER_SEC);
	assert_true(now.flows && !before.flows);
	assert_true(now.age == 60);
	assert_int_equal(now.n, 3);
	assert_int_equal(top_differences(&before, &now, &rows), 0);
	top_sort_rows(rows, 3, TOP_BY_TRAFFIC);
	assert_true(top_row_has(&rows[0], "N/A -> unknown (addr"));
	assert_true(rows[0].v[TOP_SENT] == 500 && rows[0].v[TOP_CONNECTIONS] == 0);
	assert_true(rows[1].v[TOP_SENT] == 20); /* it began anew */
	assert_true(rows[2].v[TOP_SENT] == 7);	/* it is new */
	free(rows);
	top_sample_done(&before);
	top_sample_done(&now);
}

static void keys_of_top(void **state)
{
	struct top_sample now;
	struct top_view v = {.where = "here", .now = &now};
	const struct sheet_look look = {.width = 60};

	(void)state;
	read_sample(&now, SENT("a", "1") SENT("b", "2") SENT("c", "3"), 0);
	for (const char *k = "/c\x7f"
			     "B\n";
	     *k; k++)
		top_view_key(&v, *k, 24);
	assert_string_equal(v.filter, "B");
	for (int i = 0; i < 3; i++) { /* no further down than there are rows */
		_buf_ struct buf out = {.max = 65536};
		size_t lines = 1;

		top_view_key(&v, i ? 'j' : KEY_ESCAPE, 6);
		assert_int_equal(top_view_screen(&v, &look, 6, &out), 0);
		for (size_t at = 0; at < out.n; at++)
			lines += buf_str(&out).p[at] == '\n';
		assert_int_equal(lines, 6);
	}
	assert_int_equal(v.skip, 1);
	top_view_key(&v, KEY_END, 24);
	assert_true(v.quit);
	top_sample_done(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(names_of_attackers),
		cmocka_unit_test(colours),
		cmocka_unit_test(figures),
		cmocka_unit_test(metrics_are_read),
		cmocka_unit_test(advice),
		cmocka_unit_test(servers),
		cmocka_unit_test(between_two_pages),
		cmocka_unit_test(keys_of_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
