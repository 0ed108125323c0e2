#!/usr/bin/env bash
# Builds the wheel samsara-gateway: the packages samsara_gateway.AREA.v1 with messages, stubs and their types.
#
#	tools/packages/python/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
python=$PWD/bin/packages/python/bin

cd "$protos"
# google/rpc is in googleapis-common-protos, where grpc_status has it from too.
mapfile -t files < <(find samsara_gateway -name '*.proto' | sort)
PATH=$python:$PATH "$python/python" -m grpc_tools.protoc -I . --python_out="$work" --pyi_out="$work" \
	--grpc_python_out="$work" --mypy_grpc_out=quiet:"$work" "${files[@]}"
cd "$work"
# Files without a service need no stubs.
mapfile -t empty < <(find samsara_gateway -name '*_pb2_grpc.py' -exec grep -LE '^class ' '{}' +)
for stubs in "${empty[@]}"; do
	rm -f "$stubs" "${stubs}i"
done
find samsara_gateway -type d -exec touch '{}/__init__.py' ';'
touch samsara_gateway/py.typed
# At least what the code was made by, or it refuses to be imported.
protobuf=$(sed -nE 's/^# Protobuf Python Version: //p' samsara_gateway/api/v1/errors_pb2.py)
grpc=$(sed -nE "s/^GRPC_GENERATED_VERSION = '(.*)'/\1/p" samsara_gateway/api/v1/passthrough_pb2_grpc.py)
cat >pyproject.toml <<T
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "samsara-gateway"
version = "$version"
description = "Client of samsara-gateway: the Samsara REST API as typed gRPC"
requires-python = ">=3.10"
dependencies = [
	"googleapis-common-protos",
	"grpcio>=$grpc",
	"grpcio-status>=$grpc",
	"protobuf>=$protobuf",
]

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["samsara_gateway"]
T
"$python/python" -m hatchling build --target wheel --directory "$out" >/dev/null
