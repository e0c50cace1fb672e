/*
 * `kindred version`: what this build is, and the libraries it really runs with
 * (not the ones it was compiled with).
 */
#include "cli/cmd_version.h"

#include <stdio.h>

#include <event2/event.h>
#include <jansson.h>
#include <lz4.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <yaml.h>

#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "config/version.h"
#include "http/library.h"

const struct option_table cmd_version_options = {
	.command = "kindred version",
	.about = "Prints the version, the commit it was built from, and the libraries that it runs "
		 "with.",
};

int cmd_version(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	int none, r = options_read(&cmd_version_options, &none, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	printf("kindred %s (commit %s)\n", kindred_version, kindred_commit);
	printf("curl %s\n", http_library_version());
	printf("libevent %s\n", event_get_version());
	printf("lz4 %s\n", LZ4_versionString());
	printf("openssl %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
	printf("jansson %s\n", jansson_version_str());
	printf("sqlite %s\n", sqlite3_libversion());
	printf("libyaml %s\n", yaml_get_version_string());
	return EXIT_OK;
}
