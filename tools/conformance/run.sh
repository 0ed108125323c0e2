#!/usr/bin/env bash
# Runs the cases of connectrpc.com/conformance that config.yaml selects, and prints what fails.
#
#	tools/conformance/run.sh RUNNER SERVER
#
# Exactly the cases in known-failing.txt must fail, each for the reason given there: the runner itself
# neither checks reasons nor fails for cases that it could not run. The server must log nothing except how
# calls ended: a panic, for example, is a failure.
set -euo pipefail
here=$(dirname "$0") runner=$1 server=$2
report=$(mktemp) log=$(mktemp)
trap 'rm -f "$report" "$log"' EXIT

failed=0
fail() { echo "$1" >&2; failed=1; }

"$runner" --mode server --conf "$here/config.yaml" --known-failing "@$here/known-failing.txt" -- "$server" >"$report" 2>"$log" || failed=1

patterns=() reasons=()
while read -r line; do
	case $line in
	'# only: '*) reason=${line#'# only: '} ;;
	'' | '#'*) ;;
	*) patterns+=("$line") reasons+=("$reason") ;;
	esac
done <"$here/known-failing.txt"

# expected CASE TEXT succeeds if the case is known to fail with TEXT. Both lists are of patterns.
expected() {
	local i
	for i in "${!patterns[@]}"; do
		# shellcheck disable=SC2053
		[[ $1 == ${patterns[i]} && $2 == ${reasons[i]} ]] && return
	done
	return 1
}

# A case that failed as expected is a line with its name, and indented lines with what was wrong.
name='' text=''
check() {
	[[ -z $name ]] || expected "$name" "$text" || fail "FAILED: $name is known to fail, but not like this:"$'\n\t'"$text"
	name='' text=''
}
while IFS= read -r line; do
	case $line in
	'INFO: '*' failed (as expected):') check; name=${line#INFO: } name=${name% failed (as expected):} ;;
	$'\t'*) if [[ -n $name ]]; then text+=${text:+$'\n\t'}${line#$'\t'}; else echo "$line"; fi ;;
	*'could not be run'*) check; fail "$line" ;;
	*) check; [[ -z $line ]] || echo "$line" ;;
	esac
done <"$report"
check

if grep -vE 'msg="call (finished|refused)"' "$log" >&2; then
	fail 'FAILED: the server logged more than how calls ended, see above'
fi
exit "$failed"
