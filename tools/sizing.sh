#!/usr/bin/env bash
# Measures what a gateway of a memory limit takes, in cgroups of version 1 or 2, before a sandbox outside of them, and
# prints the rows of the table in docs/deployment.md. It needs root. Memory is the cgroup's, pages of files included.
#
#	tools/sizing.sh MIB...
set -euo pipefail

cd "${BASH_SOURCE%/*}/.."
root=/sys/fs/cgroup
work=$(mktemp -d)
processes=() groups=()
finish() {
	for pid in "${processes[@]}"; do kill "$pid" 2>/dev/null || :; done
	wait 2>/dev/null || :
	for group in "${groups[@]}"; do rmdir "$group" || :; done
	rm -rf "$work"
}
trap finish EXIT

# made MIB makes a cgroup of that much memory. memory and cpu are its folders.
made() {
	local name=samsara-sizing-$1-$$
	if [[ -e $root/cgroup.controllers ]]; then
		echo "+memory +cpu" >"$root/cgroup.subtree_control"
		memory=$root/$name cpu=$root/$name
		mkdir "$memory"
		echo $(($1 << 20)) >"$memory/memory.max"
		[[ ! -e $memory/memory.swap.max ]] || echo 0 >"$memory/memory.swap.max"
		groups+=("$memory")
	else
		memory=$root/memory/$name cpu=$root/cpuacct/$name
		mkdir "$memory" "$cpu"
		echo $(($1 << 20)) >"$memory/memory.limit_in_bytes"
		groups+=("$memory" "$cpu")
	fi
}
used() { if [[ -e $cpu/cpu.stat && ! -e $cpu/cpuacct.usage ]]; then awk '$1 == "usage_usec" {print $2}' "$cpu/cpu.stat"; else echo $(($(<"$cpu/cpuacct.usage") / 1000)); fi; }
mib() { echo $((($1 + (1 << 19)) >> 20)); }
now() { mib "$(cat "$memory"/memory.current "$memory"/memory.usage_in_bytes 2>/dev/null)"; }
peak() { mib "$(cat "$memory"/memory.peak "$memory"/memory.max_usage_in_bytes 2>/dev/null)"; }

serving() { for _ in {1..300}; do grep -q 'msg=serving' "$1" && return; sleep 0.1; done; cat "$1" >&2; return 1; }
bin/gateway sandbox --token=open --listen=127.0.0.1:7871 2>"$work/sandbox" &
processes+=($!)
serving "$work/sandbox"
echo open >"$work/token"
# By reflection ghz would have the gateway send its descriptors, which costs as much as thousands of calls.
bin/gateway protos "$work/protos" >/dev/null
image=$(find "$work/protos" -name '*.binpb' | head -n 1)

# calls N WORKERS LIMIT makes calls, and prints the CPU time of the gateway for each in µs, and how many failed.
calls() {
	local before after failed
	before=$(used)
	failed=$(bin/ghz --insecure --protoset "$image" --call samsara_gateway.vehicles.v1.VehiclesService.ListVehicles --total "$1" --concurrency "$2" \
		--connections 10 --metadata '{"samsara-cache": "no-store"}' --data "{\"limit\": $3}" --timeout 60s --format csv 127.0.0.1:50871 |
		awk -F, 'NF > 1 && $2 != "OK" && $2 != "status" {n++} END {print n + 0}')
	after=$(used)
	echo "$(((after - before) / $1)) $failed"
}

echo '| Memory limit | Calls at a time | Answers in flight | At rest | 2.7 KB, 50 at a time: CPU, peak | 32 KB, 50 at a time: CPU, peak | 2.7 KB, 1,000 at a time: peak | Failed |'
echo '| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |'
for limit in "$@"; do
	made "$limit"
	: >"$work/gateway"
	bash -c 'for group; do [[ $group == -- ]] && break; echo $$ >"$group/cgroup.procs"; shift; done; shift; exec "$@"' sh "$memory" "$cpu" -- \
		bin/gateway --upstream-url=http://127.0.0.1:7871 --api-token-file="$work/token" --quota=false --listen=127.0.0.1:50871 --admin-listen= 2>"$work/gateway" &
	gateway=$!
	processes+=("$gateway")
	serving "$work/gateway"
	setting() { grep -oE "settings\.$1=\S+" "$work/gateway" | cut -d= -f2 | head -n 1; }
	rest=$(now)
	read -r small failed1 < <(calls 10000 50 1)
	peak1=$(peak)
	read -r large failed2 < <(calls 3000 50 512)
	peak2=$(peak)
	read -r _ failed3 < <(calls 10000 1000 1)
	echo "| $limit MiB | $(setting max-concurrent-calls) | $(setting max-in-flight-bytes) | $rest MiB | $small µs, $peak1 MiB | $large µs, $peak2 MiB | $(peak) MiB | $((failed1 + failed2 + failed3)) of 23000 |"
	kill "$gateway"
	wait "$gateway"
done
