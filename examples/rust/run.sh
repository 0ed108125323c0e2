#!/usr/bin/env bash
# Unpacks the crate of DIST into a project below WORK, builds the example there, and runs it; with MAIN that file in its
# place. What cargo has built of the crate is kept there.
#
#	examples/rust/run.sh DIST WORK [MAIN]
set -euo pipefail
work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
crates=("$1"/rust/samsara-gateway-*.crate)

rm -rf "$work"/rust/{Cargo.*,src}
mkdir -p "$work/rust"
cp -R "$here"/{Cargo.*,src} "$work/rust/"
[[ -z ${3:-} ]] || cp "$3" "$work/rust/src/main.rs"
# By its path: by its name a registry could answer instead. Cargo looks at the times of files, so they are those of now.
if ! cmp -s "${crates[0]}" "$work/rust/samsara-gateway.crate"; then
	rm -rf "$work/rust/samsara-gateway"
	mkdir "$work/rust/samsara-gateway"
	tar -xmzf "${crates[0]}" -C "$work/rust/samsara-gateway" --strip-components=1
	cp "${crates[0]}" "$work/rust/samsara-gateway.crate"
fi
cd "$work/rust"
CARGO_TARGET_DIR=$PWD/target cargo build --quiet >&2
exec target/debug/example
