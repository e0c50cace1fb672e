/* kindred search: documents of the cluster by words, from the running agent or a store's file. */
#pragma once

/* The exit code. */
int cmd_search(int argc, char **argv);
