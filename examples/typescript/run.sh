#!/usr/bin/env bash
# Installs the npm package of DIST into an empty project below WORK, compiles the example there, and runs it.
#
#	examples/typescript/run.sh DIST WORK
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/typescript"
mkdir "$work/typescript"
cp -R "$here"/{package.json,tsconfig.json,src} "$work/typescript/"
cp "$dist"/npm/samsara-gateway-*.tgz "$work/typescript/samsara-gateway.tgz"
cd "$work/typescript"
{
	npm install --ignore-scripts --no-audit --no-fund --loglevel=error
	npm run --silent build
} >&2
exec node dist/example.js
