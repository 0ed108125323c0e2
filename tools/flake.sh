#!/usr/bin/env bash
# Runs make targets again and again beside two busy loops, and prints how many of the runs failed.
#
#	tools/flake.sh RUNS TARGET...
#
# The output of failed runs stays in bin/flake. No test result comes from the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=$1
shift
loops=()
trap 'kill "${loops[@]}" 2>/dev/null || :' EXIT
for _ in 1 2; do
	while :; do :; done &
	loops+=($!)
done
mkdir -p bin/flake
failed=0
for ((i = 1; i <= runs; i++)); do
	started=$SECONDS log=bin/flake/$i.log
	if make "$@" TESTFLAGS=-count=1 >"$log" 2>&1; then
		echo "run $i of $runs: passed in $((SECONDS - started)) s"
		rm "$log"
	else
		failed=$((failed + 1))
		echo "run $i of $runs: failed after $((SECONDS - started)) s, see $log"
		grep -E '^ *--- FAIL|^panic:|^FAIL' "$log" || :
	fi
done
echo "$failed of $runs runs of make $* failed beside two busy loops"
((failed == 0))
