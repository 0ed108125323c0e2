#!/usr/bin/env bash
# Builds the packages that clients install, into dist/: those in LANGS, of the areas in AREAS (both separated
# by commas; empty: all). It writes to no registry. The packages are made from what bin/gateway protos writes,
# and have the version in proto/SURFACE.json. Made twice they are the same bytes.
#
#	LANGS=image,python,npm AREAS=tags,vehicles NPM_SCOPE=@acme tools/packages/build.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

languages=(image go python npm maven rust)
IFS=', ' read -ra chosen <<<"${LANGS:-${languages[*]}}"
for language in "${chosen[@]}"; do
	[[ " ${languages[*]} " == *" $language "* ]] || { echo "LANGS: $language: must be of ${languages[*]}" >&2; exit 1; }
done
IFS=', ' read -ra areas <<<"${AREAS:-}"
for area in "${areas[@]}"; do
	[[ $area =~ ^[a-z0-9_]+$ && -d proto/samsara_gateway/$area ]] || { echo "AREAS: $area: must be a folder of proto/samsara_gateway" >&2; exit 1; }
done
# named VARIABLE PATTERN EXAMPLE checks a name that packages get. If it is empty, they have ours.
named() {
	[[ -z ${!1:-} || ${!1} =~ $2 ]] || { echo "$1: ${!1}: must be such as $3" >&2; exit 1; }
}
named GO_MODULE '^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)*$' go.acme.dev/samsara
named NPM_SCOPE '^@[a-z0-9~-][a-z0-9._~-]*$' @acme
named MAVEN_GROUP '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' dev.acme.samsara

version=$(sed -nE 's/^  "surface_version": "(.*)",$/\1/p' proto/SURFACE.json)
[[ -n $version ]] || { echo 'proto/SURFACE.json has no surface_version' >&2; exit 1; }
# The bytes depend on no time, order of a locale or mode of a user.
export SOURCE_DATE_EPOCH=315532800 LC_ALL=C # 1980, the first time that an archive can have
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin/gateway protos --areas "$(IFS=, && echo "${areas[*]}")" "$work/protos" >/dev/null
mkdir "$work/dist"
for language in "${chosen[@]}"; do
	mkdir "$work/$language" "$work/dist/$language"
	if [[ $language == image ]]; then
		cp "$work/protos/image.binpb" "$work/dist/image/samsara-gateway-$version.binpb"
	else
		"tools/packages/$language/build.sh" "$work/protos" "$work/$language" "$work/dist/$language" "$version"
	fi
	# What fails leaves the package that was there.
	rm -rf "dist/$language"
	mkdir -p dist
	cp -R "$work/dist/$language" dist/
	(cd dist && find "$language" -type f -printf '%p %s bytes\n' | sort)
done
