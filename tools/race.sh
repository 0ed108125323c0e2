#!/usr/bin/env bash
# Runs go test -race over all packages, with the flags given, and once more those in which the race detector
# itself broke off. Go 1.26's does now and then in tests with testing/synctest (golang.org/issue/78156): it says
# "ThreadSanitizer: CHECK failed", no test has failed and no race is reported. Whatever else fails, fails.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test -race "$@" ./... 2>&1 | tee "$log" && exit 0
# A package's lines stand together, and its verdict is the last.
broken=$(awk -F '\t' '
	/^ThreadSanitizer: CHECK failed/ { broken = 1 }
	/^ *--- FAIL|^panic:|^WARNING: DATA RACE|^fatal error:/ { failed = 1 }
	/^FAIL\t/ { if (broken && !failed) print $2; else other = 1 }
	/^(ok  |FAIL|\?   |---)\t/ { broken = failed = 0 }
	END { if (other) exit 1 }' "$log") && [[ -n $broken ]] || exit 1
echo "the race detector broke off; once more:" $broken >&2
go test -race "$@" $broken
