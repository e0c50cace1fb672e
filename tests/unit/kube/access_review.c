/* Questions about permissions as the API server takes them, and its answers. */
#include "kube/access_review.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/torture.h"

static void expect_body(const struct access_question *q, const char *json)
{
	_buf_ struct buf b = {.max = 4096};

	assert_int_equal(access_review_body(q, &b), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(buf_str(&b).p, json);
}

#define HEAD                                      \
	"{\"apiVersion\":\"authorization.k8s.io/" \
	"v1\",\"kind\":\"SelfSubjectAccessReview\",\"spec\":"

static void bodies(void **state)
{
	(void)state;
	expect_body(&(struct access_question){.verb = STR("list"), .resource = STR("pods")},
		    HEAD "{\"resourceAttributes\":{\"verb\":\"list\",\"resource\":\"pods\"}}}");
	expect_body(&(struct access_question){.verb = STR("update"),
					      .group = STR("coordination.k8s.io"),
					      .resource = STR("leases"),
					      .ns = STR("shop"),
					      .name = STR("k\"x")},
		    HEAD
		    "{\"resourceAttributes\":{\"verb\":\"update\",\"namespace\":\"shop\",\"group\":"
		    "\"coordination.k8s.io\",\"resource\":\"leases\",\"name\":\"k\\\"x\"}}}");
	expect_body(&(struct access_question){.verb = STR("get"), .path = STR("/apis/*")},
		    HEAD "{\"nonResourceAttributes\":{\"path\":\"/apis/*\",\"verb\":\"get\"}}}");
}

/* As kube-apiserver 1.36 answers, managed fields left out. */
#define ANSWER(status)                                                                      \
	"{\"kind\":\"SelfSubjectAccessReview\",\"apiVersion\":\"authorization.k8s.io/v1\"," \
	"\"metadata\":{},\"spec\":{\"resourceAttributes\":{\"verb\":\"list\",\"resource\":" \
	"\"pods\""                                                                          \
	"}},\"status\":" status "}"

static void answers(void **state)
{
	struct access_verdict v = {0};

	(void)state;
	assert_int_equal(
		access_review_answer(STR(ANSWER("{\"allowed\":true,\"reason\":\"RBAC: allowed by "
						"ClusterRoleBinding \\\"x\\\"\"}")),
				     &v),
		0);
	assert_true(v.allowed);
	assert_string_equal(v.reason, "RBAC: allowed by ClusterRoleBinding \"x\"");
	assert_int_equal(access_review_answer(STR(ANSWER("{\"allowed\":false}")), &v), 0);
	assert_false(v.allowed);
	assert_string_equal(v.reason, "");
	assert_int_equal(access_review_answer(
				 STR(ANSWER("{\"allowed\":false,\"denied\":true,\"reason\":\"\","
					    "\"evaluationError\":\"webhook:\\nBearer "
					    "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9\"}")),
				 &v),
			 0);
	assert_string_equal(v.reason, "webhook: Bearer [redacted]");
}

static void what_is_no_answer(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "null",
					  "{\"kind\":\"Status\",\"status\":{\"allowed\":true}}",
					  ANSWER("{}"),
					  ANSWER("null"),
					  ANSWER("{\"allowed\":\"true\"}"),
					  ANSWER("{\"allowed\":1}")};
	struct access_verdict v = {.reason = "as it was"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(access_review_answer(str_of(bad[i]), &v), -EBADMSG);
	assert_false(v.allowed);
	assert_string_equal(v.reason, "as it was");
}

static int body_once(void *ctx)
{
	const struct access_question q = {.verb = STR("list"), .resource = STR("pods")};
	_buf_ struct buf b = {.max = 4096};

	(void)ctx;
	return access_review_body(&q, &b);
}

static void torture(void **state)
{
	(void)state;
	assert_int_equal(torture_run(body_once, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies),
		cmocka_unit_test(answers),
		cmocka_unit_test(what_is_no_answer),
		cmocka_unit_test(torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
