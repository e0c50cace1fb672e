/*
 * Words: what FTS5 is asked for a question, and which words of a document are added.
 */
#include "sink/sqlite/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

static void ask(const char *question, int want, const char *match)
{
	_buf_ struct buf out = {.max = WORDS_MATCH_MAX};
	int r = words_match(str_of(question), &out);

	assert_int_equal(r, want);
	if (r == 0 && !str_eq(buf_str(&out), str_of(match))) {
		print_error("%.*s\n", STR_ARG(buf_str(&out)));
		fail_msg("is not %s", match);
	}
}

static void questions_become_expressions(void **state)
{
	(void)state;
	ask("Who mounts the payments-db?", 0,
	    "\"mounts\" OR \"payments\" OR \"db\" OR \"payments db\"");
	ask("ConfigMap", 0, "\"configmap\" OR \"config\" OR \"map\"");
	ask("a A the", 0, "\"a\" OR \"the\"");
	ask("db db DB d", 0, "\"db\" OR \"d\"");
	ask("10.0.0.1", 0, "\"10\" OR \"0\" OR \"1\" OR \"10 0 0 1\"");
	ask("na\xc3\xafve", 0, "\"na\xc3\xafve\"");
	ask("", -ENOENT, NULL);
	ask("?! --", -ENOENT, NULL);
}

static void nothing_but_words_is_quoted(void **state)
{
	struct rng g;

	(void)state;
	rng_seed(&g, rng_entropy());
	for (int i = 0; i < 2000; i++) {
		_buf_ struct buf out = {.max = WORDS_MATCH_MAX};
		char text[64];
		struct str all;
		size_t n = rng_below(&g, sizeof(text)), quotes = 0;

		for (size_t k = 0; k < n; k++)
			text[k] = (char)rng_next(&g);
		if (words_match(str_make(text, n), &out) < 0)
			continue;
		all = buf_str(&out);
		for (size_t k = 0; k < all.n; k++) {
			quotes += all.p[k] == '"';
			assert_true(all.p[k]); /* FTS5 takes a string that ends with a NUL */
			if (quotes & 1)
				assert_null(memchr("*^()+-:,{}", all.p[k], 10));
		}
		assert_int_equal(quotes & 1, 0);
	}
}

static void bounds_hold(void **state)
{
	_buf_ struct buf out = {.max = WORDS_MATCH_MAX};
	static char many[64 * 1024];
	struct str all, word;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i + 8 < sizeof(many); i += 4)
		many[i] = (char)('a' + i / 4 % 26), many[i + 1] = (char)('a' + i / 104 % 26),
		many[i + 2] = 'q', many[i + 3] = ' ';
	assert_int_equal(words_match(str_of(many), &out), 0);
	all = buf_str(&out);
	while (words_next(&all, &word))
		n += !str_eq(word, STR("OR"));
	assert_int_equal(n, WORDS_TERMS);
	memset(many, 'x', sizeof(many) - 1);
	buf_reset(&out);
	assert_int_equal(words_match(str_of(many), &out), -EMSGSIZE);
}

static void add(const char *kind, const char *text, const char *want)
{
	_buf_ struct buf out = {.max = WORDS_MAX};

	words_of_document(str_of(kind), str_of(text), &out);
	assert_int_equal(out.n, strlen(want));
	assert_memory_equal(buf_str(&out).p ? buf_str(&out).p : "", want, out.n);
}

static void parts_of_camels_are_added(void **state)
{
	_buf_ struct buf out = {.max = 12};

	(void)state;
	add("PersistentVolumeClaim", "claims a volume", "Persistent Volume Claim");
	add("HTTPRoute", "parentRefs httpGet", "HTTP Route parent Refs Get");
	add("Pod", "plain words, A B", "");
	add("Node", "CPU kubeAPIServer", "kube API Server");
	words_of_document(STR("ConfigMap"), STR("externalTrafficPolicy fooBar"), &out);
	assert_true(str_eq(buf_str(&out),
			   STR("Config Map"))); /* a word that does not fit is left out whole */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_become_expressions),
		cmocka_unit_test(nothing_but_words_is_quoted),
		cmocka_unit_test(bounds_hold),
		cmocka_unit_test(parts_of_camels_are_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
