#!/usr/bin/env bash
# Builds the crate samsara-gateway, of tonic and prost: each area is a module, such as samsara_gateway::tags::v1,
# and a feature of the same name. The details of errors are not in it: tonic-types has them.
#
#	tools/packages/rust/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
generate=tools/packages/rust/generate
export CARGO_TARGET_DIR=$PWD/bin/packages/rust

# locked CRATE prints its version in the generator's lock file: the code needs at least what it was made by.
locked() { awk -v name="$1" -F '"' '$1 == "name = " { found = $2 == name } found && $1 == "version = " { print $2; exit }' "$generate/Cargo.lock"; }

mkdir "$work/src"
cargo run --quiet --locked --release --manifest-path "$generate/Cargo.toml" -- "$protos/image.binpb" "$work/src"
# samsara_gateway.tags.v1.rs becomes the module tags::v1. The paths in the code go no higher than samsara_gateway,
# which is the crate.
for file in "$work"/src/samsara_gateway.*.rs; do
	IFS=. read -r _ area edition _ <<<"${file##*/}"
	mkdir -p "$work/src/$area"
	mv "$file" "$work/src/$area/$edition.rs"
done

cat >"$work/src/lib.rs" <<'R'
//! Client of samsara-gateway: the Samsara REST API as typed gRPC.
//!
//! Each area of the API is a module, and a feature of the same name, such as `tags`. The feature `full` has all
//! of them.
//!
//! ```ignore
//! use samsara_gateway::tags::v1::{GetTagRequest, tags_service_client::TagsServiceClient};
//!
//! let mut client = TagsServiceClient::connect("http://samsara-gateway:50051").await?;
//! let tag = client.get_tag(GetTagRequest { id: Some("3914".into()) }).await?;
//! ```
//!
//! The details of errors are read with `StatusExt` of the crate tonic-types. [`api::v1`] has the reasons and keys
//! in them.

#![allow(clippy::all, rustdoc::all)]
R
areas=()
for folder in "$work"/src/*/; do
	area=$(basename "$folder")
	printf '\n'
	if [[ $area != api && $area != types ]]; then # which the areas need
		areas+=("$area")
		printf '#[cfg(feature = "%s")]\n' "$area"
	fi
	printf 'pub mod %s {\n' "$area"
	for file in "$folder"*.rs; do
		printf '    pub mod %s;\n' "$(basename "$file" .rs)"
	done
	printf '}\n'
done >>"$work/src/lib.rs"

full=$(printf ', "%s"' "${areas[@]}")
{
	cat <<C
[package]
name = "samsara-gateway"
version = "$version"
edition = "2024"
description = "Client of samsara-gateway: the Samsara REST API as typed gRPC"
include = ["/src"]

[lib]
doctest = false

[features]
full = [${full:2}]
C
	printf '%s = []\n' "${areas[@]}"
	cat <<C

[dependencies]
prost = "$(locked prost)"
prost-types = "$(locked prost-types)"
# transport is channel and server. Without server tonic gives errors of HTTP/2 no code: a stream that the gateway
# refused to begin is then UNKNOWN instead of UNAVAILABLE.
tonic = { version = "$(locked tonic-prost-build)", default-features = false, features = ["codegen", "transport"] }
tonic-prost = "$(locked tonic-prost-build)"
C
} >"$work/Cargo.toml"
# Whoever installs it compiles it: make examples does.
cargo package --quiet --no-verify --exclude-lockfile --manifest-path "$work/Cargo.toml"
cp "$CARGO_TARGET_DIR/package/samsara-gateway-$version.crate" "$out/"
