/*
 * Reviews of tokens and of access as JSON: what is asked, and answers that are none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kube/review_object.h"
#include "tests/lib/torture.h"

#include <jansson.h>

#define TOKEN(status)  "{\"kind\":\"TokenReview\",\"status\":" status "}"
#define ACCESS(status) "{\"kind\":\"SubjectAccessReview\",\"status\":" status "}"
#define USER                                                                                  \
	"{\"username\":\"u\",\"uid\":\"1\",\"groups\":[\"a\",\"b\"],\"extra\":{\"k\":[\"v\"," \
	"\"w\"]}}"

static void who_has_a_token(void **state)
{
	static const struct {
		const char *json;
		int r;
		bool user;
	} all[] = {
		{TOKEN("{\"authenticated\":true,\"user\":" USER "}"), 0, true},
		{TOKEN("{\"authenticated\":true,\"user\":{\"username\":\"u\"}}"), 0, true},
		{TOKEN("{\"user\":{}}"), 0, false},
		{TOKEN("{\"error\":\"expired\",\"user\":{}}"), 0, false},
		{TOKEN("{\"authenticated\":false,\"user\":" USER "}"), 0, false},
		{TOKEN("{\"authenticated\":true}"), -EBADMSG, false},
		{TOKEN("{\"authenticated\":true,\"user\":{}}"), -EBADMSG, false},
		{TOKEN("{\"authenticated\":\"true\",\"user\":" USER "}"), -EBADMSG, false},
		{TOKEN("{\"authenticated\":1,\"user\":" USER "}"), -EBADMSG, false},
		{TOKEN("null"), -EBADMSG, false},
		{TOKEN("[]"), -EBADMSG, false},
		{ACCESS("{\"authenticated\":true,\"user\":" USER "}"), -EBADMSG, false},
		{"{\"kind\":\"TokenReview\"}", -EBADMSG, false},
		{"{\"kind\":\"Status\",\"code\":403}", -EBADMSG, false},
		{"", -EBADMSG, false},
		{"<html>", -EBADMSG, false},
		{"{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true", -EBADMSG, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		json_t *user = NULL;
		int r = review_token_take(str_of(all[i].json), &user);

		if (r != all[i].r || !user == all[i].user)
			fail_msg("%d: %s", r, all[i].json);
		json_decref(user);
	}
}

static void who_may(void **state)
{
	static const struct {
		const char *json;
		int r;
		bool allowed;
	} all[] = {
		{ACCESS("{\"allowed\":true}"), 0, true},
		{ACCESS("{\"allowed\":true,\"denied\":true}"), 0, false},
		{ACCESS("{\"allowed\":false}"), 0, false},
		{ACCESS("{\"allowed\":false,\"evaluationError\":\"x\"}"), 0, false},
		{ACCESS("{}"), 0, false},
		{ACCESS("{\"allowed\":\"true\"}"), -EBADMSG, false},
		{ACCESS("{\"allowed\":true,\"denied\":\"no\"}"), -EBADMSG, false},
		{TOKEN("{\"allowed\":true}"), -EBADMSG, false},
		{"{}", -EBADMSG, false},
		{"", -EBADMSG, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		bool allowed = false;
		int r = review_access_take(str_of(all[i].json), &allowed);

		if (r != all[i].r || allowed != all[i].allowed)
			fail_msg("%d: %s", r, all[i].json);
	}
}

/* The whole way: the user of one answer is asked about by the other question. */
static int asked(void *ctx)
{
	_buf_ struct buf token = {.max = 4096}, access = {.max = 4096};
	json_t *user = NULL;
	int r = review_token_put(&token, STR("a\"b"));

	(void)ctx;
	if (r == 0)
		r = review_token_take(STR(TOKEN("{\"authenticated\":true,\"user\":" USER "}")),
				      &user);
	if (r == -EBADMSG) /* jansson does not tell a lack of memory from bad JSON */
		r = -ENOMEM;
	if (r == 0)
		r = review_access_put(&access, user, "/metrics", "get");
	json_decref(user);
	if (r < 0)
		return r;
	assert_true(
		str_eq(buf_str(&token),
		       STR("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\","
			   "\"spec\":{\"token\":\"a\\\"b\"}}")));
	assert_true(str_eq(
		buf_str(&access),
		STR("{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SubjectAccessReview\","
		    "\"spec\":{\"nonResourceAttributes\":{\"path\":\"/metrics\",\"verb\":\"get\"},"
		    "\"user\":\"u\",\"uid\":\"1\",\"groups\":[\"a\",\"b\"],"
		    "\"extra\":{\"k\":[\"v\",\"w\"]}}}")));
	return 0;
}

static void questions(void **state)
{
	(void)state;
	assert_int_equal(torture_run(asked, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_a_token),
		cmocka_unit_test(who_may),
		cmocka_unit_test(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
