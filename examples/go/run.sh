#!/usr/bin/env bash
# Builds the example below WORK with the Go module of DIST, vets it, and runs it; with MAIN that file in its place.
#
#	examples/go/run.sh DIST WORK [MAIN]
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/go"
mkdir "$work/go"
cp "$here"/{go.mod,go.sum} "$work/go/"
cp "${3:-$here/main.go}" "$work/go/main.go"
cd "$work/go"
module=samsara.internal/gateway/gen
# Our module is in no registry, and it may be built again with the same version: it has a cache of its own. The
# other modules are taken from what the machine has, then from its proxy.
export GOPROXY="file://$dist/go,file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GONOSUMDB="$module,$(go env GONOSUMDB)" GONOPROXY=none
export GOFLAGS="$(go env GOFLAGS) -mod=mod -modcacherw" GOMODCACHE=$work/go/.modules
go mod edit -require="$module@$(<"$dist/go/$module/@v/list")"
go build -o example .
go vet .
exec ./example
