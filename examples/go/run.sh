#!/usr/bin/env bash
# Runs the example in an empty project, the folder WORK, with the module that make sdk has built into DIST.
#
#	examples/go/run.sh DIST WORK
set -euo pipefail
dist=$(realpath "$1") work=$(realpath -m "$2")
cd "$(dirname "$0")"
mkdir -p "$work"
cp main.go go.mod go.sum "$work/"
cd "$work"

module=samsara.internal/gateway/gen
# Our module is in no registry, and it may be built again with the same version: it has a cache of its own. The
# other modules are taken from what the machine has, then from its proxy.
export GOPROXY="file://$dist/go,file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GONOSUMDB="$module,$(go env GONOSUMDB)" GONOPROXY=none
export GOFLAGS="$(go env GOFLAGS) -mod=mod -modcacherw" GOMODCACHE=$work/modules
go mod edit -require="$module@$(<"$dist/go/$module/@v/list")"
go build -o example .
exec ./example
