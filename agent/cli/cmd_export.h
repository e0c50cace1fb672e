/* kindred export: one snapshot of the resources that the running agent holds. */
#pragma once

/* The exit code. */
int cmd_export(int argc, char **argv);
