#!/usr/bin/env bash
# Installs the npm package of DIST into an empty project below WORK, compiles the example there, and runs it; with MAIN
# that file in its place, which may be JavaScript too. CLIENT=grpc-js runs the client of @grpc/grpc-js.
#
#	[CLIENT=grpc-js] examples/typescript/run.sh DIST WORK [MAIN]
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2") main=${3:-} client=${CLIENT:-example}
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/typescript"
mkdir -p "$work/typescript/dist"
cp -R "$here"/{package.json,tsconfig.json,src} "$work/typescript/"
cp "$dist"/npm/samsara-gateway-*.tgz "$work/typescript/samsara-gateway.tgz"
[[ $main != *.ts ]] || cp "$main" "$work/typescript/src/$client.ts"
[[ $main != *.js ]] || main=$(realpath "$main")
cd "$work/typescript"
{
	npm install --ignore-scripts --no-audit --no-fund --loglevel=error
	npm run --silent generate
	npm run --silent build
	[[ $main != *.js ]] || cp "$main" "dist/$client.js"
} >&2
exec node "dist/$client.js"
