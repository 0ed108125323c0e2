#!/usr/bin/env bash
# Writes which modules bin/gateway is built from, as CycloneDX, with the hashes that go.sum has. The same binary makes
# the same bytes.
#
#	tools/sbom.sh FILE
set -euo pipefail

out=$1
cd "${BASH_SOURCE%/*}/.."
mkdir -p "$(dirname "$out")"
# All modules are in the cache, except our own, which no proxy should be asked for.
GOPROXY=off NO_COLOR=1 bin/cyclonedx-gomod bin -json -noserial -version "$(bin/gateway version | sed -n 's/^gateway  *//p')" -output "$out" bin/gateway
created=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
sed -i "s/^\(    \"timestamp\": \)\"[^\"]*\"/\1\"$created\"/" "$out"
echo "$out: $(grep -c '"type": "library"' "$out") modules"
