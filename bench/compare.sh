#!/usr/bin/env bash
# Compares the Go benchmarks of the working tree with those of another commit. Both run in turns, so that
# both are affected if the machine is slow for a while. benchstat judges the difference.
#
#	bench/compare.sh BASE COUNT BENCH
#
# BASE is the other commit, COUNT how often each is run (benchstat wants 6 or more), BENCH which
# benchmarks, a regular expression. A benchmark that only one side has is shown for that side.
set -euo pipefail

base=${1:-} count=${2:-6} bench=${3:-.}
source "${BASH_SOURCE%/*}/checkout.sh"
checkout BASE "$base"

# compile SIDE TREE builds the test binaries of every package that has benchmarks.
compile() {
	mkdir "$work/$1.bin"
	(cd "$2" && git grep -lE '^func Benchmark' -- '*_test.go' | xargs -n1 dirname | sort -u) |
		while read -r folder; do
			go -C "$2/$folder" test -c -o "$work/$1.bin/${folder//\//_}" .
			echo "$2/$folder" >"$work/$1.bin/${folder//\//_}.folder"
		done
}
compile old "$work/tree"
compile new "$root"

for ((i = 1; i <= count; i++)); do
	for side in old new; do
		echo "$side, $i of $count" >&2
		for folder in "$work/$side.bin"/*.folder; do
			(cd "$(<"$folder")" && "${folder%.folder}" -test.run '^$' -test.bench "$bench" -test.benchmem) >>"$work/$side.txt"
		done
	done
done
go -C "$root/bench" tool benchstat "old=$work/old.txt" "new=$work/new.txt"
