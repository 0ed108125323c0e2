#!/usr/bin/env bash
# Builds the image of the last commit in two clones and compares every byte. Then starts what is in it in an empty root,
# as user 65532 and read-only, before the sandbox, and asks its health. It needs root for that, or sudo without a password.
#
#	tools/image-test.sh ARCH...
#
# With FRESH=1 the second clone compiles everything anew, which takes minutes.
set -euo pipefail

cd "${BASH_SOURCE%/*}/.."
arch=$(go env GOARCH)
as_root=()
((EUID == 0)) || as_root=(sudo -n)
work=$(mktemp -d)
gateway=
finish() {
	[[ -z $gateway ]] || "${as_root[@]}" kill "$gateway" 2>/dev/null || :
	! mountpoint -q "$work/root" || "${as_root[@]}" umount -l "$work/root"
	rm -rf "$work"
}
trap finish EXIT

for clone in one a/longer/path/two; do
	git clone --quiet --no-hardlinks . "$work/$clone"
	git -C "$work/$clone" checkout --quiet --detach "$(git rev-parse HEAD)"
	[[ $clone == one || -z ${FRESH:-} ]] || export GOCACHE=$work/cache
	# The options of this make must not reach that one.
	env -u MAKEFLAGS -u MAKEOVERRIDES -u MAKELEVEL -u GOFLAGS -u CGO_ENABLED make -C "$work/$clone" image ARCHES="$*"
done
unset GOCACHE
diff -r "$work/one/dist/image" "$work/a/longer/path/two/dist/image"
files=$(cd "$work/one/dist/image" && find . -type f | wc -l)
echo "two clones: $files files alike, of $(du -sk "$work/one/dist/image" | cut -f1) KiB"

go -C tools build -o "$work/image" ./cmd/image
mkdir "$work/root"
"$work/image" unpack -layout "$work/one/dist/image" -arch "$arch" "$work/root"
(cd "$work/root" && find . -type f -printf '%M %s %p\n')
# The root is mounted once more, so that it can be read-only.
"${as_root[@]}" mount --bind "$work/root" "$work/root"
"${as_root[@]}" mount -o remount,bind,ro "$work/root"
# The user must reach the root, and finds nothing but its own.
chmod 711 "$work"
# An array, and not a function: what runs in the background must be the program itself, to be told to stop.
inside=("${as_root[@]}" env SAMSARA_API_TOKEN= chroot --userspec=65532:65532 "$work/root")
# serves WHAT FLAG... starts the gateway in the root, and expects that it serves, and that it stops when it is told to.
serves() {
	local what=$1 port=$((20000 + RANDOM % 10000)) health=
	shift
	"${inside[@]}" /gateway "$@" --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$((port + 1))" 2>"$work/log" &
	gateway=$!
	for _ in {1..100}; do
		if health=$("${inside[@]}" /gateway health --address "127.0.0.1:$port" 2>&1); then break; fi
		kill -0 "$gateway" 2>/dev/null || break
		sleep 0.1
	done
	echo "$what: $health"
	[[ $health == SERVING ]] || { cat "$work/log" >&2; exit 1; }
	"${as_root[@]}" kill "$gateway"
	wait "$gateway" || { echo "the gateway ended with $?" >&2; exit 1; }
	gateway=
}
version=$("${inside[@]}" /gateway version)
head -n 2 <<<"$version"
grep -q "^revision  *$(git rev-parse HEAD)\$" <<<"$version" && ! grep -q '(devel)\|dirty' <<<"$version" ||
	{ echo "it does not say what it is built from" >&2; exit 1; }
serves 'in an empty root, read-only, as user 65532, before the sandbox' --sandbox
# Without authorities it would not be ready. Nobody is called.
inside=("${inside[@]/#SAMSARA_API_TOKEN=/SAMSARA_API_TOKEN=none}")
serves 'with the certificate authorities of the image, before https' --upstream-url https://samsara.test
