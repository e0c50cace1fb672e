/*
 * What the HTTP library says of itself, for those who must not include its headers.
 */
#pragma once

/* The version of libcurl this process runs with, such as "7.88.1". Static. */
const char *http_library_version(void);
