/* What the host tells about its distribution. */
#include "sink/reducer/hostinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void reads_os_release(void **state)
{
	const struct str file = STR("# comment\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"
				    "ID=debian\nX='y z'\nEMPTY=\nBAD=\"\nLAST=1");

	(void)state;
	assert_true(str_eq(hostinfo_release(file, STR("VERSION_ID")), STR("12")));
	assert_true(str_eq(hostinfo_release(file, STR("ID")), STR("debian")));
	assert_true(str_eq(hostinfo_release(file, STR("X")), STR("y z")));
	assert_true(str_eq(hostinfo_release(file, STR("BAD")), STR("\"")));
	assert_true(str_eq(hostinfo_release(file, STR("LAST")), STR("1")));
	assert_true(str_empty(hostinfo_release(file, STR("EMPTY"))));
	assert_true(str_empty(hostinfo_release(file, STR("NONE"))));
}

static void knows_flavors(void **state)
{
	(void)state;
	assert_int_equal(hostinfo_flavor(STR("debian"), STR("")), 1);
	assert_int_equal(hostinfo_flavor(STR("ubuntu"), STR("debian")), 2);
	assert_int_equal(hostinfo_flavor(STR("rhel"), STR("fedora")), 3);
	assert_int_equal(hostinfo_flavor(STR("centos"), STR("rhel fedora")), 4);
	assert_int_equal(hostinfo_flavor(STR("amzn"), STR("fedora")), 5);
	assert_int_equal(hostinfo_flavor(STR("cos"), STR("")), 6);
	assert_int_equal(hostinfo_flavor(STR("rocky"), STR("rhel centos fedora")), 3);
	assert_int_equal(hostinfo_flavor(STR("linuxmint"), STR("ubuntu debian")), 2);
	assert_int_equal(hostinfo_flavor(STR("alpine"), STR("")), 0);
}

static void asks_the_system(void **state)
{
	struct hostinfo_os text;
	struct session_os os;

	(void)state;
	hostinfo_os(&text, &os);
	assert_false(str_empty(os.kernel));
	assert_int_equal(os.page_size, (uint64_t)sysconf(_SC_PAGESIZE));
	assert_int_equal(os.clock_ticks, (uint64_t)sysconf(_SC_CLK_TCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_os_release),
		cmocka_unit_test(knows_flavors),
		cmocka_unit_test(asks_the_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
