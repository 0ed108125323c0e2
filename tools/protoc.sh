#!/usr/bin/env bash
# Generates all files of proto/ with protoc for each language that protoc supports without a plugin, and
# prints how many files each language got. Fails if protoc fails for one, or if two Objective-C classes have
# the same name: protoc accepts that, but a linker does not.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mapfile -t files < <(find proto -name '*.proto' -printf '%P\n' | sort)
protoc --version
failed=()
for language in cpp java kotlin python csharp objc php ruby; do
	mkdir "$out/$language"
	options=()
	[[ $language != csharp ]] || options=(--csharp_opt=base_namespace=) # folders as the namespaces are
	if protoc -I proto "--${language}_out=$out/$language" "${options[@]}" "${files[@]}"; then
		echo "$language: $(find "$out/$language" -type f | wc -l) files"
	else
		failed+=("$language")
	fi
done
twice=$(grep -rhoE '@interface \w+ :' "$out/objc" | sort | uniq -d)
[[ -z $twice ]] || failed+=("objc: two classes are named $twice")
((!${#failed[@]})) || { printf 'protoc fails for %s\n' "${failed[@]}" >&2; exit 1; }
