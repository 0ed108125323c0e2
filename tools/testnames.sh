#!/usr/bin/env bash
# Fails if a test is not named as CONTRIBUTING.md has it, and names each that is not: TestThing_condition,
# of at most 60 characters. Fuzz targets, benchmarks and examples are named as they like.
#
#	tools/testnames.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8

form='^Test[A-Z][A-Za-z0-9]*_[a-z0-9][A-Za-z0-9]*$'
count=0 wrong=0
while IFS=: read -r file line func; do
	name=${func#func }
	count=$((count + 1))
	faults=()
	((${#name} <= 60)) || faults+=("has ${#name} characters, 60 at most")
	[[ $name =~ $form ]] || faults+=('is not of the form TestThing_condition')
	for fault in "${faults[@]}"; do
		echo "$file:$line: $name $fault"
		wrong=$((wrong + 1))
	done
done < <(git grep --untracked -noE '^func Test\w*\b' -- '*_test.go' | grep -v ':func TestMain$')
if ((wrong || !count)); then exit 1; fi
echo "testnames: $count tests are named as they should be"
