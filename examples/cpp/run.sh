#!/usr/bin/env bash
# Builds the example in a project below WORK, and runs it; with MAIN that file in its place. DIST has no package for C++:
# the code is made from what gateway protos writes, and what is built of it is kept there.
#
#	examples/cpp/run.sh DIST WORK [MAIN]
set -euo pipefail
work=$(realpath "$2")/cpp
here=$(cd "$(dirname "$0")" && pwd)
areas=addresses,contacts,location_and_speed,readings,tags,vehicles

mkdir -p "$work"
rm -rf "$work/protos.new"
{
	"$here/../../bin/gateway" protos --areas "$areas" "$work/protos.new"
	if ! diff -r "$work/protos.new" "$work/protos" >/dev/null 2>&1; then
		rm -rf "$work/protos" "$work/build"
		mv "$work/protos.new" "$work/protos"
	fi
	cp "$here/CMakeLists.txt" "$work/"
	cp "${3:-$here/main.cpp}" "$work/main.cpp"
	# Without optimization: the generated code is large, and the compiler would take minutes for it.
	cmake -S "$work" -B "$work/build" -DCMAKE_CXX_FLAGS=-O0
	cmake --build "$work/build" --parallel "$(nproc)"
} >&2
exec "$work/build/example"
