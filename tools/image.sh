#!/usr/bin/env bash
# Builds the gateway's OCI image without a daemon. The same commit and the same Go make the same bytes, wherever they
# are built.
#
#	tools/image.sh OUT ARCH...
#
# OUT is the folder of the image, such as dist/image. make has built bin/gateway, which says its version.
set -euo pipefail

out=$1
shift
cd "${BASH_SOURCE%/*}/.."
said=$(bin/gateway version)
value() { sed -n "s/^$1  *//p" <<<"$said"; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
binaries=()
for arch in "$@"; do
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -buildvcs=false -ldflags "-s -w -buildid= $(tools/version.sh)" -o "$work/$arch" ./cmd/gateway
	binaries+=(-arch "$arch=$work/$arch")
done
go -C tools build -o "$work/image" ./cmd/image
mkdir -p "$(dirname "$out")"
"$work/image" build -out "$out" "${binaries[@]}" -version "$(value gateway)" -revision "$(value revision)" \
	-document "$(value 'API document')" -surface "$(value surface)" -created "$(git log -1 --format=%ct)"
