#!/usr/bin/env bash
# Checks that the machine has what the tests need. Installs what is missing if it can, as root or by sudo
# without a password. Otherwise lists what is missing, and fails.
#
#	tools/deps.sh NEED...
#
# A NEED is git, curl, cc (a C compiler that finds the headers, for the race detector), redis-server, promtool, prometheus, node,
# npm, python3 (with venv), protoc (with the well-known types), grpc-plugins (of protoc), openssl, cargo, javac, mvn,
# cmake, c++, grpc++ (with its plugin of protoc), mcs (a compiler of C#), php, ruby or
# systemd-analyze.
set -euo pipefail

# has NEED reports whether it is installed.
has() {
	case $1 in
	cc) "$(go env CC)" -x c -o /dev/null - <<<$'#include <stdlib.h>\nint main(void) { return 0; }' 2>/dev/null ;;
	grpc++) pkg-config --exists grpc++ 2>/dev/null && command -v grpc_cpp_plugin >/dev/null ;;
	grpc-plugins) command -v grpc_ruby_plugin >/dev/null ;;
	protoc) protoc --descriptor_set_out=/dev/null google/protobuf/descriptor.proto google/protobuf/struct.proto 2>/dev/null ;;
	python3) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# names NEED prints its name, packages NEED the Debian packages that have it.
names() { [[ $1 == cc ]] && echo "a C compiler with headers ($(go env CC))" || echo "$1"; }
packages() {
	case $1 in
	c++) echo g++ ;;
	cc) echo gcc libc6-dev ;;
	grpc++) echo pkg-config libgrpc++-dev protobuf-compiler-grpc ;;
	grpc-plugins) echo protobuf-compiler-grpc ;;
	javac) echo default-jdk-headless ;;
	mcs) echo mono-mcs ;;
	mvn) echo maven ;;
	node) echo nodejs ;;
	php) echo php-cli ;;
	promtool) echo prometheus ;;
	protoc) echo protobuf-compiler libprotobuf-dev ;;
	python3) echo python3 python3-venv ;;
	systemd-analyze) echo systemd ;;
	*) echo "$1" ;;
	esac
}

missing=() wanted=()
for need in "$@"; do
	if ! has "$need"; then
		missing+=("$(names "$need")")
		wanted+=($(packages "$need"))
	fi
done
((${#missing[@]})) || exit 0
list=$(printf ', %s' "${missing[@]}")
list=${list:2}

as_root=()
((EUID == 0)) || as_root=(sudo -n)
if ! command -v apt-get >/dev/null || ! "${as_root[@]}" true 2>/dev/null; then
	echo "the tests need what this machine does not have: $list" >&2
	echo "on Debian: apt-get install ${wanted[*]}" >&2
	exit 1
fi
echo "installing what is missing: $list" >&2
# A server that the package starts is not wanted: the tests start their own.
had_redis=$(command -v redis-server || :) had_prometheus=$(command -v prometheus || :)
"${as_root[@]}" apt-get update
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${wanted[@]}"
if [[ -z $had_redis ]] && command -v redis-server >/dev/null; then
	"${as_root[@]}" service redis-server stop >/dev/null 2>&1 || :
	"${as_root[@]}" update-rc.d redis-server disable >/dev/null 2>&1 || :
fi
if [[ -z $had_prometheus ]] && command -v prometheus >/dev/null; then
	"${as_root[@]}" service prometheus stop >/dev/null 2>&1 || :
	"${as_root[@]}" update-rc.d prometheus disable >/dev/null 2>&1 || :
fi
for need in "$@"; do
	has "$need" || { echo "$(names "$need") is still missing after apt-get install ${wanted[*]}" >&2; exit 1; }
done
