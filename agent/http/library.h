#pragma once

/* The version of libcurl this process runs with, such as "7.88.1". Static. */
const char *http_library_version(void);
