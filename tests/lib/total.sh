#!/bin/bash
# Adds up what run-tests.sh wrote and prints the one last line. Fails when a test failed, when one
# that can run here was skipped, or when a run left no results.
set -u
r=0
for f; do
	[ -s "$f" ] || { echo "no results in $f"; r=1; }
done
cat "$@" 2>/dev/null | awk '
	{ p += $1; f += $2; s += $3 }
	$4 { print "skipped although it can run here: " $5; bad = 1 }
	END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || bad || p == 0 }' || r=1
exit "$r"
