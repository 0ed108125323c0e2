#!/usr/bin/env bash
# Prints what the gateway is built from, as flags of the linker: its version, which is the tag of the commit or else the
# pseudo-version that Go would give it, and the commit. What is not committed makes the version end in +dirty. Go's own
# -buildvcs knows no worktrees, and not the same tags in a shallow clone.
#
#	tools/version.sh
set -euo pipefail

cd "${BASH_SOURCE%/*}/.."
revision=$(git rev-parse --verify --quiet HEAD 2>/dev/null) || exit 0 # no repository: the version is unknown
version=$(git describe --tags --exact-match --match 'v*' 2>/dev/null) ||
	version=v0.0.0-$(TZ=UTC git log -1 --abbrev=12 --date=format-local:%Y%m%d%H%M%S --format=%cd-%h)
[[ -z $(git status --porcelain) ]] || version+=+dirty
echo "-X main.version=$version -X main.revision=$revision"
