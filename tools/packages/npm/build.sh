#!/usr/bin/env bash
# Builds the npm package samsara-gateway, in the scope NPM_SCOPE if there is one: ES modules with types, one for
# each area, for connect and protobuf-es, and the .proto files for what loads these, such as @grpc/proto-loader.
#
#	NPM_SCOPE=@acme tools/packages/npm/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
tools=$PWD/bin/packages/npm/node_modules
scope=${NPM_SCOPE:-}

# google/rpc comes along: no package has it for protobuf-es.
bin/buf generate "$protos" --template "{version: v2, plugins: [{
	local: [node, '$tools/.bin/protoc-gen-es'], out: '$work', opt: [target=js+dts, import_extension=js], strategy: all}]}"
mkdir "$work/proto"
(cd "$protos" && find . -name '*.proto' -exec cp --parents {} "$work/proto" ';')
runtime=$(node -p "require('$tools/@bufbuild/protobuf/package.json').version")
cat >"$work/package.json" <<J
{
	"name": "${scope:+$scope/}samsara-gateway",
	"version": "$version",
	"description": "Client of samsara-gateway: the Samsara REST API as typed gRPC",
	"type": "module",
	"sideEffects": false,
	"exports": {
		"./package.json": "./package.json",
		"./google/*": {"types": "./google/*.d.ts", "default": "./google/*.js"},
		"./proto/*": "./proto/*",
		"./*": {"types": "./samsara_gateway/*.d.ts", "default": "./samsara_gateway/*.js"}
	},
	"files": ["google", "proto", "samsara_gateway"],
	"engines": {"node": ">=20"},
	"dependencies": {"@bufbuild/protobuf": "^$runtime"}
}
J
(cd "$out" && npm pack --silent "$work" >/dev/null)
