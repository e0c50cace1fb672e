#!/bin/bash
# The metrics table of the README is what an agent prints at /metrics, between two marks:
#     <!-- metrics: begin -->
#     <!-- metrics: end -->
# An agent without permission to load eBPF programs prints fewer: then those it prints are compared,
# and nothing is written. Labels are those of the family's samples; of a family that happens to have
# none here, those that stand in the README: it has some, or it would have a sample.
# Usage: metrics.sh --check|--write KINDRED README
set -eu
how=$1 kindred=$2 readme=$3
work=$(mktemp -d)
pids=()
trap '[ ${#pids[@]} = 0 ] || { kill "${pids[@]}"; wait "${pids[@]}"; } 2>/dev/null; rm -rf "$work"' EXIT

# The page at a port into a file, after a moment.
fetch() {
	sleep 0.1
	{ exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3 >"$work/$2"; } 2>/dev/null
}

# One page from an agent that watches the recorded cluster; asked again until it has objects of every kind,
# for 20 s.
page() {
	local port=$((20000 + RANDOM % 10000)) n=0
	"$(dirname "$kindred")/kube-replay" tests/fixtures/recorded --objects tests/fixtures/objects --speed 0 \
		--listen 127.0.0.1:0 --port-file "$work/port" >"$work/replay.log" 2>&1 &
	pids+=($!)
	until [ -s "$work/port" ] || [ $((n += 1)) -gt 100 ]; do sleep 0.1; done
	"$kindred" agent --api-server "http://127.0.0.1:$(cat "$work/port")" --scope cluster --intake-port 9 \
		--api-qps 100 --vector "sqlite:$work/k.db" --graph "jsonl:$work/graph" --otlp http://127.0.0.1:9 --socket "$work/socket" \
		--probe-listen "127.0.0.1:$port" --listen off --serve-peers >"$work/log" 2>&1 &
	pids+=($!)
	while [ $((n += 1)) -le 200 ]; do
		fetch "$port" page && grep -q '^kindred_resource_objects{' "$work/page" && node_page && return 0
	done
	cat "$work/log"
	return 1
}

# What only an agent of a node has: its peers.
node_page() {
	local port=$((20000 + RANDOM % 10000)) n=0
	"$kindred" agent --api-server "http://127.0.0.1:$(cat "$work/port")" --node-name n --intake-port 9 --flows off \
		--peers http://127.0.0.1:9 --socket off --probe-listen "127.0.0.1:$port" --listen off \
		>"$work/log" 2>&1 &
	pids+=($!)
	while [ $((n += 1)) -le 100 ]; do
		fetch "$port" node && grep -q '^kindred_peers_state{' "$work/node" || continue
		grep -E '^(# (HELP|TYPE) )?kindred_peers_' "$work/node" >>"$work/page"
		return 0
	done
	return 1
}

# A row a family. LABELS has "name labels" of what the README says.
rows() {
	tr -d '\r' | awk -v labels="$work/labels" -v bare="$work/bare" '
	BEGIN { while ((getline line < labels) > 0) { at = index(line, " "); was[substr(line, 1, at - 1)] = substr(line, at + 1) } }
	/^# HELP / { name = $3; help = $0; sub(/^# HELP [^ ]+ /, "", help); order[++n] = name; text[name] = help }
	/^# TYPE / { type[$3] = $4 }
	/^[a-z]/ {
		family = $0
		sub(/[{ ].*/, "", family)
		if (!(family in type))
			sub(/_(bucket|sum|count)$/, "", family)
		seen[family] = 1
		rest = $0
		while (match(rest, /[{,][a-z_]+="/)) {
			label = substr(rest, RSTART + 1, RLENGTH - 3)
			rest = substr(rest, RSTART + RLENGTH)
			if (label != "le" && !((family, label) in has)) {
				has[family, label] = 1
				list[family] = list[family] (list[family] == "" ? "" : ", ") "`" label "`"
			}
		}
	}
	END { for (i = 1; i <= n; i++) {
		gsub(/`src_namespace`, `src_workload`, `src_kind`, `dst_namespace`, `dst_workload`, `dst_kind`/, "`src_*`, `dst_*`", list[order[i]])
		if (!(order[i] in seen) && was[order[i]] == "")
			print order[i] >bare
		printf "| `%s` | %s | %s | %s |\n", order[i], type[order[i]],
			order[i] in seen ? list[order[i]] : was[order[i]], text[order[i]]
	} }'
}

grep -q '<!-- metrics: begin -->' "$readme" && grep -q '<!-- metrics: end -->' "$readme" || {
	echo "$readme: has no metrics table between <!-- metrics: begin --> and <!-- metrics: end -->"
	exit 1
}
page || { echo "metrics: the agent does not answer"; exit 1; }
awk '/<!-- metrics: end -->/ { inside = 0 } inside; /<!-- metrics: begin -->/ { inside = 1 }' \
	"$readme" >"$work/old"
sed -n 's/^| `\([a-z_]*\)` | [a-z]* | \(.*`\) | .*/\1 \2/p' "$work/old" >"$work/labels"
{
	echo '| name | type | labels | meaning |'
	echo '|---|---|---|---|'
	rows <"$work/page"
} >"$work/new"
whole=
grep -q '^kindred_flow_tier' "$work/page" && whole=yes
if [ "$how" = --check ]; then
	r=0
	[ ! -s "$work/bare" ] || { sed "s|^|$readme: name the labels by hand of |" "$work/bare"; r=1; }
	# What is printed stands in the README; what stands there is printed, where all is.
	while read -r row; do
		grep -qxF -- "$row" "$work/old" || { echo "$readme: lacks $row"; r=1; }
	done <"$work/new"
	[ -z "$whole" ] || while read -r row; do
		grep -qxF -- "$row" "$work/new" || { echo "$readme: has, but nobody prints: $row"; r=1; }
	done <"$work/old"
	[ "$r" = 0 ] || echo "run, with permission to load eBPF programs: make readme"
	[ -n "$whole" ] || echo "metrics: flows are off here, their series are not compared (cannot run here)"
	exit "$r"
fi
[ -n "$whole" ] || { echo "metrics: flows are off here, the table stays as it is"; exit 0; }
awk -v table="$work/new" '
	/<!-- metrics: end -->/ { inside = 0 }
	!inside { print }
	/<!-- metrics: begin -->/ { inside = 1; while ((getline line < table) > 0) print line }' \
	"$readme" >"$work/readme"
cat "$work/readme" >"$readme"
