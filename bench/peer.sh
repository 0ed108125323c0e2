#!/usr/bin/env bash
# Builds the gateway of another commit with that commit's own `make build`.
#
#	bench/peer.sh COMMIT BINARY
#
# The commit is checked out into a temporary folder, which is removed afterwards.
set -euo pipefail

commit=${1:-} binary=${2:?}
source "${BASH_SOURCE%/*}/checkout.sh"
checkout COMMIT "$commit"
# The options of this make, and those that it passes to the go command, must not reach that one.
env -u MAKEFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u GOFLAGS -u CGO_ENABLED make -C "$work/tree" build >&2
cp "$work/tree/bin/gateway" "$binary"
