#!/bin/bash
# Each folder bad/RULE* is a small tree that breaks RULE, and nothing else; rules.sh has to say so.
# good/ breaks none.
set -u
here=$(dirname "$0")
passed=0 failed=0

verdict() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED %s\n%s\n' "$2" "$3"
	fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tree in "$here"/bad/*; do
	rule=$(basename "$tree")
	rule=${rule%%-*}
	# Copied, because rules.sh leaves this folder out.
	rm -rf "$work/tree"
	cp -r "$tree" "$work/tree"
	out=$(bash "$here/rules.sh" "$work/tree")
	r=$?
	ok=1
	if [ "$rule" = good ]; then
		[ "$r" = 0 ] && [ -z "$out" ] && ok=0
	else
		[ "$r" = 1 ] && [ "$(grep -c ": $rule: " <<<"$out")" = "$(wc -l <<<"$out")" ] && ok=0
	fi
	verdict "$ok" "$tree" "$out"
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 10 ]
