#!/usr/bin/env bash
# Builds the example below WORK with the packages of DIST, and runs it; with MAIN that file in its place, which has the
# name of its class.
#
#	examples/java/run.sh DIST WORK [MAIN]
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
main=$(realpath "${3:-$here/src/main/java/example/Example.java}")
versions=("$dist"/maven/internal/samsara/gateway/samsara-gateway-bom/*)
package=$(sed -nE 's/^package (.*);.*/\1/p' "$main")

# Maven does not look twice for a version that it has, so what it has of the packages goes.
rm -rf "$work/java" "$work/m2/internal/samsara"
folder=$work/java/src/main/java/${package//.//}
mkdir -p "$folder"
cp "$here/pom.xml" "$work/java/"
cp "$main" "$folder/"
cd "$work/java"
mvn --quiet --batch-mode -Dmaven.repo.local="$work/m2" \
	-Dsamsara-gateway.repository="file://$dist/maven" -Dsamsara-gateway.version="$(basename "${versions[0]}")" \
	compile dependency:build-classpath -Dmdep.includeScope=runtime -Dmdep.outputFile=target/classpath >&2
echo >&2 # Maven leaves a line of escape sequences that has not ended.
exec java -cp "target/classes:$(<target/classpath)" "${package:+$package.}$(basename "$main" .java)"
