#!/usr/bin/env bash
# Builds the gateway of another commit as that commit's own `make build` does.
#
#	bench/peer.sh COMMIT BINARY
#
# The commit is checked out into a temporary folder, which is removed afterwards.
set -euo pipefail

commit=${1:-} binary=${2:?}
source "${BASH_SOURCE%/*}/checkout.sh"
checkout COMMIT "$commit"
# What this make was told, and what it tells the go command, is not for that one.
env -u MAKEFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u GOFLAGS -u CGO_ENABLED make -C "$work/tree" build >&2
cp "$work/tree/bin/gateway" "$binary"
