#!/usr/bin/env bash
# Builds the crate samsara-gateway, of tonic and prost: a module for each area, as samsara_gateway::tags::v1,
# and google::rpc for the details of errors.
#
#	tools/packages/rust/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
generate=tools/packages/rust/generate
export CARGO_TARGET_DIR=$PWD/bin/packages/rust

locked() { awk -v name="$1" -F '"' '$1 == "name = " { found = $2 == name } found && $1 == "version = " { print $2; exit }' "$generate/Cargo.lock"; }
mkdir "$work/src"
cargo run --quiet --locked --release --manifest-path "$generate/Cargo.toml" -- "$protos/image.binpb" "$work/src"
cat >"$work/src/lib.rs" <<'R'
//! Client of samsara-gateway: the Samsara REST API as typed gRPC. Each area is a module, such as
//! `tags::v1`. `google::rpc` has the details of errors.

#![allow(clippy::all, rustdoc::all)]

mod generated {
    include!("generated.rs");
}

pub use generated::google;
pub use generated::samsara_gateway::*;
R
cat >"$work/Cargo.toml" <<C
[package]
name = "samsara-gateway"
version = "$version"
edition = "2024"
description = "Client of samsara-gateway: the Samsara REST API as typed gRPC"

[lib]
doctest = false

[dependencies]
prost = "$(locked prost)"
prost-types = "$(locked prost-types)"
tonic = { version = "$(locked tonic-prost-build)", default-features = false, features = ["codegen", "transport"] }
tonic-prost = "$(locked tonic-prost-build)"
C
# Whoever installs it compiles it: make test-sdk does.
cargo package --quiet --no-verify --allow-dirty --exclude-lockfile --manifest-path "$work/Cargo.toml" 2>/dev/null
cp "$CARGO_TARGET_DIR/package/samsara-gateway-$version.crate" "$out/"
