#!/usr/bin/env bash
# Runs go test -race on all packages, with the flags given. Runs a package once more if the race detector
# itself crashed in it. That of Go 1.26 sometimes does in tests with testing/synctest
# (golang.org/issue/78156): it prints "ThreadSanitizer: CHECK failed", although no test has failed and no race
# is reported. Any other failure counts.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -race "$@" ./... 2>&1 | tee "$log" && exit 0
# The lines of a package are together, and its result is the last of them.
broken=$(awk -F '\t' '
	/^ThreadSanitizer: CHECK failed/ { broken = 1 }
	/^ *--- FAIL|^panic:|^WARNING: DATA RACE|^fatal error:/ { failed = 1 }
	/^FAIL\t/ { if (broken && !failed) print $2; else other = 1 }
	/^(ok  |FAIL|\?   |---)\t/ { broken = failed = 0 }
	END { if (other) exit 1 }' "$log") && [[ -n $broken ]] || exit 1
echo "the race detector crashed; running again:" $broken >&2
go test -race "$@" $broken
