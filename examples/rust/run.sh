#!/usr/bin/env bash
# Unpacks the crate of DIST into an empty project below WORK, builds the example there, and runs it.
#
#	examples/rust/run.sh DIST WORK
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)

rm -rf "$work/rust"
mkdir -p "$work/rust/samsara-gateway"
cp -R "$here"/Cargo.* "$here/src" "$work/rust/"
cd "$work/rust"
# By its path: by its name a registry could answer instead.
tar -xzf "$dist"/rust/samsara-gateway-*.crate -C samsara-gateway --strip-components=1
export CARGO_TARGET_DIR=$work/rust/target
cargo build --quiet >&2
exec target/debug/example
