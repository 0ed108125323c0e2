#!/usr/bin/env bash
# Builds the example below WORK with the packages of DIST, and runs it.
#
#	examples/java/run.sh DIST WORK
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
versions=("$dist"/maven/internal/samsara/gateway/samsara-gateway-bom/*)

# Maven does not look twice for a version that it has, so what it has of the packages goes.
rm -rf "$work/java" "$work/m2/internal/samsara"
mkdir "$work/java"
cp -R "$here/pom.xml" "$here/src" "$work/java/"
cd "$work/java"
mvn --quiet --batch-mode -Dmaven.repo.local="$work/m2" \
	-Dsamsara-gateway.repository="file://$dist/maven" -Dsamsara-gateway.version="$(basename "${versions[0]}")" \
	compile dependency:build-classpath -Dmdep.includeScope=runtime -Dmdep.outputFile=target/classpath >&2
exec java -cp "target/classes:$(<target/classpath)" example.Example
