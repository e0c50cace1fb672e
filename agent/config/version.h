/*
 * What this build calls itself. The Makefile passes both in.
 */
#pragma once

/* "0.1.0" */
extern const char kindred_version[];
/* The commit it was built from, or "unknown". */
extern const char kindred_commit[];
