/* kindred sinks: what each sink of the running agent has done and has to do. */
#pragma once

/* The exit code. */
int cmd_sinks(int argc, char **argv);
