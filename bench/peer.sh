#!/usr/bin/env bash
# Builds the gateway of another commit as that commit's own `make build` does.
#
#	bench/peer.sh COMMIT BINARY
#
# The commit is checked out into a temporary folder, which is removed afterwards.
set -euo pipefail

commit=${1:-} binary=${2:?}
root=$(git rev-parse --show-toplevel)
git -C "$root" rev-parse --verify --quiet --end-of-options "$commit^{commit}" >/dev/null || {
	echo "bench/peer.sh: PEER=$commit: must be a commit" >&2
	exit 1
}
work=$(mktemp -d)
trap 'git -C "$root" worktree remove --force "$work/peer"; rm -rf "$work"' EXIT
git -C "$root" worktree add --quiet --detach "$work/peer" "$commit"
# What this make was told, and what it tells the go command, is not for that one.
env -u MAKEFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u GOFLAGS -u CGO_ENABLED make -C "$work/peer" build >&2
cp "$work/peer/bin/gateway" "$binary"
