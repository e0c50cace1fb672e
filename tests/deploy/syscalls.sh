#!/bin/bash
# The system calls that `kindred agent` makes while tests run it, for deploy/seccomp/kindred.json:
# runs the given tests with every agent under strace, and prints the names that the profile lacks.
#
#   O=build tests/deploy/syscalls.sh [TEST...]          # default: tests of whole processes
#   tests/deploy/syscalls.sh --write TEST...            # adds them to the profile
#
# Tests may fail for being slow; what was called counts all the same. Not part of `make test`: strace
# makes an agent many times as slow. test-image.sh holds agents to the profile.
set -u
cd "$(dirname "$0")/../.." || exit 1
write=
[ "${1:-}" != --write ] || { write=yes; shift; }
o=${O:-build}
case $o in /*) ;; *) o=$PWD/$o ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v strace >/dev/null || { echo 'strace is not installed'; exit 1; }
chmod 755 "$work"
mkdir -m 1777 "$work/seen"

# A folder like $o, whose kindred is traced as it runs: -D leaves the process the number it has.
# Tests of whole processes run the programs above themselves.
mkdir -p "$work/o/tests/unit"
cp -r "$o/tests/unit/agent" "$work/o/tests/unit/"
ln -s "$o/kube-replay" "$o/actor" "$work/o/"
cat >"$work/o/kindred" <<END
#!/bin/bash
[ "\${1:-}" = agent ] || exec "$o/kindred" "\$@"
exec strace -D -f -qq -c -o "$work/seen/\$\$" "$o/kindred" "\$@"
END
chmod 755 "$work/o/kindred"

[ $# -gt 0 ] || set -- "$work"/o/tests/unit/agent/* tests/vector/test-vector.sh tests/graph/test-graph.sh tests/flows/test-flows.sh
for t; do
	case $t in *.d | *.o) continue ;; esac
	[ -x "$t" ] || continue
	r=0
	O=$work/o KINDRED=$work/o/kindred KUBE_REPLAY=$o/kube-replay PATIENCE=300 \
		timeout -k 5 "${SECONDS_EACH:-500}" "$t" >"$work/log" 2>&1 </dev/null || r=$?
	echo "$t: exit code $r" >&2
done
sleep 1
cat "$work"/seen/* | awk '$1 ~ /^[0-9.]+$/ && $NF != "total" { print $NF }' | sort -u >"$work/names"
echo "$(wc -l <"$work/names") system calls by $(find "$work/seen" -type f | wc -l) agents" >&2
python3 - "$work/names" deploy/seccomp/kindred.json "$write" <<'END'
import json, sys
names = open(sys.argv[1]).read().split()
with open(sys.argv[2]) as f:
    profile = json.load(f)
have = {n for rule in profile["syscalls"] for n in rule["names"]}
new = [n for n in names if n not in have]
print("\n".join(new) if new else "the profile has them all")
if new and sys.argv[3]:
    profile["syscalls"][0]["names"] = sorted(set(profile["syscalls"][0]["names"]) | set(new))
    sys.path.insert(0, "deploy/helm")
    from options import dump
    with open(sys.argv[2], "w") as f:
        f.write(dump(profile))
        f.write("\n")
END
