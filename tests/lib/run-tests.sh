#!/bin/bash
# Runs test programs, JOBS at a time, each with a time limit; shows the output of those that fail.
# Those that watch the kernel see every socket of the machine: they run one after the other, beside
# the others, and two runs wait for each other.
#
#   RESULTS=FILE O=DIR tests/lib/run-tests.sh PROGRAM|SCRIPT...
#
# Appends one line per program to RESULTS: passed failed skipped here name.
# The counts come from cmocka's summary or from a last line "N passed, N failed";
# a program that prints neither counts as one. A skipped test is all right only
# when the output says "cannot run here"; `here` is 1 when it does not. Files that
# tests leave where they were started from count as one failed test.
set -u

jobs=${JOBS:-$(($(nproc) + 1))} # tests wait more than they work
seconds=${TEST_SECONDS:-600}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export O SAN KINDRED=$PWD/$O/kindred KUBE_REPLAY=$PWD/$O/kube-replay
case $O in /*) KINDRED=$O/kindred KUBE_REPLAY=$O/kube-replay ;; esac

# Sums of what a log says: "passed failed skipped", or nothing.
counts() {
	awk '
	/^\[  PASSED  \] [0-9]+ test/ { p += $4; seen = 1 }
	/^\[  FAILED  \] [0-9]+ test/ { f += $4; seen = 1 }
	/^\[  SKIPPED \] [0-9]+ test/ { s += $4; seen = 1 }
	/[0-9]+ passed, [0-9]+ failed/ {
		last = $0; sub(/^.*[^0-9]/, "", last)
		n = split($0, w, /[ ,]+/)
		for (i = 2; i <= n; i++) {
			if (w[i] == "passed") lp = w[i - 1]
			if (w[i] == "failed") lf = w[i - 1]
			if (w[i] == "skipped") ls = w[i - 1]
		}
		line = 1
	}
	END {
		if (seen) print p + 0, f + 0, s + 0
		else if (line) print lp + 0, lf + 0, ls + 0
	}' "$1"
}

run_one() {
	local item=$1 log name args=()
	name=${item#"$O"/}
	log=$work/${name//\//_}
	case $name in
	*.sh) args=(bash "$item") ;;
	sim) args=("$item" --seeds "${SIM_SEEDS:-1000}") ;;
	scale) args=("$item" --agents 200) ;;
	fuzz/*) args=("$item" "tests/fuzz/corpus/${name#fuzz/}") ;;
	*) args=("$item") ;;
	esac
	local begin=$SECONDS rc=0 p f s here=0
	timeout -k 5 "$seconds" "${args[@]}" >"$log" 2>&1 </dev/null &
	child=$!
	trap 'kill "$child"; exit 143' INT TERM
	wait "$child" || rc=$?
	read -r p f s <<<"$(counts "$log")"
	p=${p:-} f=${f:-0} s=${s:-0}
	if [ "$rc" = 77 ] && [ "$f" = 0 ]; then
		p=${p:-0} s=$((s > 0 ? s : 1)) rc=0
	fi
	if [ "$rc" != 0 ] && [ "$f" = 0 ]; then
		f=1 # crashed, hung, or failed without saying how often
	fi
	[ -n "$p" ] || p=$((f + s > 0 ? 0 : 1))
	if [ "$s" != 0 ] && ! grep -q 'cannot run here' "$log"; then
		here=1
	fi
	{
		if [ "$f" != 0 ] || [ "$here" != 0 ]; then
			printf -- '--- %s (exit code %s%s)\n' "$name" "$rc" \
				"$([ "$rc" = 124 ] && echo ": no end after $seconds s")"
			# What leaks after a failed test must not hide why it failed.
			[ "$(wc -c <"$log")" -le 20000 ] || grep -a -A 2 '^\[  ERROR  *\]' "$log" | head -n 60
			tail -c 20000 "$log"
			printf -- '---\n'
		elif [ "$s" != 0 ]; then
			grep 'cannot run here' "$log"
		fi
		[ "$f" != 0 ] || grep '^excused: ' "$log"
		printf '  %-6s %-44s %4d passed%s%s %4d s\n' "$([ "$f" = 0 ] && echo ok || echo FAILED)" \
			"$name" "$p" "$([ "$f" = 0 ] || echo ", $f failed")" \
			"$([ "$s" = 0 ] || echo ", $s skipped")" $((SECONDS - begin))
	} >"$log.out"
	(
		flock 9
		cat "$log.out"
		echo "$p $f $s $here $name" >>"$RESULTS"
	) 9>"$work/lock"
	[ "$f" = 0 ] && [ "$here" = 0 ]
}

# A run that is stopped takes its tests with it.
stop() {
	local running
	running=$(jobs -p)
	# shellcheck disable=SC2086
	[ -z "$running" ] || kill $running
	exit 143
}
trap stop INT TERM

watches_kernel() {
	case ${1#"$O"/} in
	tests/flows/*.sh | tests/otlp/*.sh) ;;
	tests/unit/flow/kernel_* | tests/unit/flow/probe | tests/unit/flow/caps) ;;
	tests/unit/flow/conntrack | tests/unit/flow/diag) ;;
	*) return 1 ;;
	esac
}

# What the kernel is, is what they share: its type information is there for every user to lock.
one_by_one() {
	local item bad=0 lock=/sys/kernel/btf/vmlinux
	[ -r "$lock" ] || lock=/
	(
		trap 'kill "$(jobs -p)"; exit 143' INT TERM
		flock 8
		for item; do
			run_one "$item" 8<&- &
			wait $! || bad=1
		done
		exit "$bad"
	) 8<"$lock"
}

# Build folders may come meanwhile.
names() {
	find . -mindepth 1 -maxdepth 1 ! -name 'build*' | LC_ALL=C sort
}

mkdir -p "$(dirname "$RESULTS")"
: >"$RESULTS"
[ $# -gt 0 ] || { echo "no tests" >&2; exit 1; }
names >"$work/names"
bad=0
running=0
kernel=()
others=()
for item; do
	if watches_kernel "$item"; then kernel+=("$item"); else others+=("$item"); fi
done
if [ ${#kernel[@]} != 0 ]; then
	one_by_one "${kernel[@]}" &
	running=1
fi
for item in "${others[@]}"; do
	if [ "$running" -ge "$jobs" ]; then
		wait -n || bad=1
		running=$((running - 1))
	fi
	run_one "$item" &
	running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
	wait -n || bad=1
	running=$((running - 1))
done
if left=$(names | LC_ALL=C comm -13 "$work/names" -) && [ -n "$left" ]; then
	printf 'FAILED: tests have left behind:\n%s\n' "$left" | cat -v
	echo "0 1 0 0 left-behind" >>"$RESULTS"
	bad=1
fi
exit "$bad"
