#!/bin/bash
# The test runner is a test's judge: what it makes of passes, crashes, hangs and skips.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/place"
passed=0 failed=0

# expect EXIT-CODE LAST-LINE SCRIPT...
expect() {
	local code=$1 line=$2 out r i=0 items=()
	shift 2
	for script; do
		i=$((i + 1))
		printf '%s\n' "$script" >"$work/t$i.sh"
		items+=("$work/t$i.sh")
	done
	(cd "$work/place" && O=$work SAN='' RESULTS=$work/results TEST_SECONDS=2 \
		bash "$here/run-tests.sh" "${items[@]}" >"$work/log" 2>&1)
	out=$(bash "$here/total.sh" "$work/results" | tail -n 1)
	bash "$here/total.sh" "$work/results" >/dev/null
	r=$?
	if [ "$r" = "$code" ] && [ "$out" = "$line" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAILED: wanted %s "%s", got %s "%s"\n' "$code" "$line" "$r" "$out"
		cat "$work/log"
	fi
}

cmocka='echo "[  PASSED  ] 2 test(s)."'
expect 0 '2 passed, 0 failed, 0 skipped' "$cmocka"
expect 0 '7 passed, 0 failed, 0 skipped' "$cmocka" 'echo "5 passed, 0 failed"'
expect 0 '1 passed, 0 failed, 0 skipped' 'echo quiet'
expect 1 '2 passed, 1 failed, 0 skipped' "$cmocka; kill -SEGV \$\$"
expect 1 '2 passed, 3 failed, 0 skipped' "$cmocka; echo '[  FAILED  ] 3 test(s), listed below:'; exit 3"
expect 1 '0 passed, 1 failed, 0 skipped' 'exit 1'
expect 1 '2 passed, 1 failed, 0 skipped' "$cmocka" 'sleep 30'
expect 1 '2 passed, 0 failed, 1 skipped' "$cmocka; echo '[  SKIPPED ] 1 test(s), listed below:'"
expect 0 '2 passed, 0 failed, 1 skipped' "$cmocka" 'echo "cannot run here: no root"; exit 77'
expect 1 '2 passed, 0 failed, 1 skipped' "$cmocka" 'exit 77'
expect 0 '2 passed, 0 failed, 1 skipped' "$cmocka" \
	'echo "no tool (cannot run here)"; echo "0 passed, 0 failed, 1 skipped"; exit 77'
expect 1 '2 passed, 3 failed, 1 skipped' "$cmocka" \
	'echo "no tool (cannot run here)"; echo "0 passed, 3 failed, 1 skipped"; exit 77'
expect 1 '2 passed, 1 failed, 0 skipped' 'mkdir build-x; echo 1 passed, 0 failed' \
	': >"$(printf "P\267o\272GV")"; echo 1 passed, 0 failed'
expect 0 '1 passed, 0 failed, 0 skipped' ':'
rm -f "$work/results"
bash "$here/total.sh" "$work/results" >/dev/null && failed=$((failed + 1)) || passed=$((passed + 1))
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
