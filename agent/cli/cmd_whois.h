/*
 * What a thing is, as a running agent knows it.
 */
#pragma once

/* `kindred whois`; argv[0] is the command's name. Returns the exit code. */
int cmd_whois(int argc, char **argv);
