#!/usr/bin/env bash
# Builds the Go module GO_MODULE: the code of gen/ under that name, with its dependencies alone, as a module
# proxy has it: GOPROXY=file://$PWD/dist/go serves it. From version 2 on the name ends in it, such as /v2.
#
#	GO_MODULE=go.acme.dev/samsara tools/packages/go/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
ours=$(go -C gen list -m)
name=${GO_MODULE:-$ours}
major=${version%%.*}
((major < 2)) || [[ $name == */v$major ]] || name+=/v$major

options=("module=$name")
while read -r file; do # Each file's package, by its folder.
	package=${file#samsara_gateway/}
	package=${package%/*}
	alias=${package//[\/_]/}
	options+=("M$file=$name/$package;$alias")
done < <(cd "$protos" && find samsara_gateway -name '*.proto' | sort)
joined=$(printf ', "%s"' "${options[@]}")
bin/buf generate "$protos" --exclude-path "$protos/google" --template "{version: v2, plugins: [
	{local: [go, tool, protoc-gen-go], out: '$work', strategy: all, opt: [${joined:2}]},
	{local: [go, tool, protoc-gen-go-grpc], out: '$work', strategy: all, opt: [require_unimplemented_servers=false, ${joined:2}]}]}"
sed "s|^module .*|module $name|" gen/go.mod >"$work/go.mod"
cp gen/go.sum "$work/"
go -C tools run ./cmd/modzip "$name" "v$version" "$work" "$out"
