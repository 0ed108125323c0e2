#!/usr/bin/env bash
# The protoc of PyPI's grpcio-tools generates Python, and no other of the languages that protoc knows.
#
# Guess: `python -m grpc_tools.protoc` is a current protoc that needs no package of the system, so it generates
#   Java, C++, C#, Ruby and PHP as Debian's protoc does: it says `libprotoc 35.1`, and reads the same files.
# What happens: of the generators that protoc has by itself only Python's are linked (messages, types, stubs).
#   For every other language it asks for a program protoc-gen-LANGUAGE, which nobody installs because protoc
#   never needs one. Plugins work, such as protoc-gen-es, protoc-gen-go or protoc-gen-grpc-java, but the
#   messages in Java that this one needs are not generated. A job for many languages takes the protoc of
#   Maven Central (com.google.protobuf:protoc, a binary for each system) or of the system.
# Versions: grpcio-tools 1.85.1, Python 3.11.7. Seen 2026-11-30:
#
#   grpcio-tools 1.85.1, libprotoc 35.1
#   python: 1 file
#   pyi: 1 file
#   cpp, csharp, java, kotlin, objc, php, ruby, rust: not generated
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
{
	python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check grpcio-tools==1.85.1 &&
		venv/bin/python -m grpc_tools.protoc --version
} >&2 || exit 2
printf 'syntax = "proto3";\npackage fleet;\nmessage Vehicle { optional string id = 1; }\n' >fleet.proto

echo "grpcio-tools $(venv/bin/pip show grpcio-tools 2>/dev/null | sed -n 's/^Version: //p'), $(venv/bin/python -m grpc_tools.protoc --version)"
changed=0 missing=()
for language in python pyi cpp csharp java kotlin objc php ruby rust; do
	mkdir -p "out/$language"
	if venv/bin/python -m grpc_tools.protoc -I . "--${language}_out=out/$language" fleet.proto 2>"$language.log"; then
		echo "$language: $(find "out/$language" -type f | wc -l) file"
		[[ $language == py* ]] || changed=1
	elif grep -q "protoc-gen-$language" "$language.log"; then
		missing+=("$language")
	else
		cat "$language.log" >&2
		exit 2
	fi
done
(IFS=,; echo "${missing[*]}: not generated") | sed 's/,/, /g'
((${#missing[@]} == 8)) || changed=1
exit "$changed"
