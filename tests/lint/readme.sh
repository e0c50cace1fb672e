#!/bin/bash
# The options table of the README is what `kindred help --markdown` prints, between two marks:
#     <!-- options: begin -->
#     <!-- options: end -->
# Usage: readme.sh --check|--write KINDRED README
set -eu
how=$1 kindred=$2 readme=$3
new=$(mktemp)
trap 'rm -f "$new"' EXIT
if ! grep -q '<!-- options: begin -->' "$readme" || ! grep -q '<!-- options: end -->' "$readme"; then
	echo "$readme: has no options table between <!-- options: begin --> and <!-- options: end -->"
	exit 1
fi
"$kindred" help --markdown >"$new.table"
awk -v table="$new.table" '
	/<!-- options: end -->/ { inside = 0 }
	!inside { print }
	/<!-- options: begin -->/ {
		inside = 1
		while ((getline line < table) > 0) print line
	}' "$readme" >"$new"
rm -f "$new.table"
if [ "$how" = --write ]; then
	cat "$new" >"$readme"
else
	diff -u "$readme" "$new" >/dev/null || {
		echo "$readme: the options table differs from the options; run: make readme"
		exit 1
	}
fi
