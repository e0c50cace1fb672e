#!/bin/bash
# `make lint`, all but the headers. Runs every check, then fails if one did.
set -u
bad=0
check() {
	local name=$1
	shift
	if "$@"; then
		echo "lint: $name: ok"
	else
		echo "lint: $name: FAILED"
		bad=1
	fi
}

format() {
	clang-format --dry-run -Werror "${files[@]}"
}

# clang-tidy reads .clang-tidy; two at a time.
tidy() {
	local c=()
	for f in "${files[@]}"; do
		case $f in agent/*.c | proto/*.c) c+=("$f") ;; esac
	done
	# shellcheck disable=SC2086
	printf '%s\n' "${c[@]}" | xargs -P "$(nproc)" -n 4 sh -c \
		'clang-tidy --quiet --warnings-as-errors="*" "$@" -- -std=gnu11 -Wno-unknown-warning-option '"$CPPFLAGS"' \
		-DKINDRED_VERSION="\"\"" -DKINDRED_COMMIT="\"\"" 2>/dev/null' tidy
}

scripts() {
	find .ci deploy tests -type f \( -name '*.sh' -o -name run \) -not -path '*/apiserver/*' -print0 |
		xargs -0 shellcheck -S warning
}

# In an archive the first of two functions of one name wins, whoever is meant, and nobody says so.
twice() {
	local names
	names=$(nm --defined-only "$(dirname "$KINDRED")/libkindred.a" 2>/dev/null |
		awk '$2 ~ /^[TDRB]$/ { print $3 }' | sort | uniq -d)
	[ -z "$names" ] || printf '%s is defined twice\n' $names
	[ -z "$names" ]
}

files=("$@")
check "names" twice
check rooms bash tests/lint/rules.sh .
version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
case $version in
14) check format format ;;
"") echo "lint: format: skipped, clang-format is not installed" ;;
*) echo "lint: format: skipped, clang-format $version formats differently from 14" ;;
esac
if command -v clang-tidy >/dev/null; then
	check clang-tidy tidy
else
	echo "lint: clang-tidy: skipped, not installed"
fi
if command -v shellcheck >/dev/null; then
	check shellcheck scripts
else
	echo "lint: shellcheck: skipped, not installed"
fi
if [ -f README.md ]; then
	check "README's options" bash tests/lint/readme.sh --check "$KINDRED" README.md
	check "README's metrics" bash tests/lint/metrics.sh --check "$KINDRED" README.md
fi
if command -v python3 >/dev/null; then
	check "the chart's options" python3 deploy/helm/options.py --check "$KINDRED"
else
	echo "lint: the chart's options: skipped, python3 is not installed"
fi
exit "$bad"
