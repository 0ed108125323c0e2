#!/usr/bin/env bash
# Builds the example in an empty project below WORK, and runs it. DIST has no package for C++: the code is made from
# what gateway protos writes.
#
#	examples/cpp/run.sh DIST WORK
set -euo pipefail
work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/cpp"
mkdir "$work/cpp"
cp "$here"/{CMakeLists.txt,main.cpp} "$work/cpp/"
areas=addresses,contacts,location_and_speed,readings,tags,vehicles
{
	"$here/../../bin/gateway" protos --areas "$areas" "$work/cpp/protos"
	# Without optimization: the generated code is large, and the compiler would take minutes for it.
	cmake -S "$work/cpp" -B "$work/cpp/build" -DCMAKE_CXX_FLAGS=-O0
	cmake --build "$work/cpp/build" --parallel "$(nproc)"
} >&2
exec "$work/cpp/build/example"
