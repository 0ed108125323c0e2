#!/usr/bin/env bash
# Builds the example below WORK with the packages of DIST, and runs it; with MAIN that file in its place.
#
#	examples/kotlin/run.sh DIST WORK [MAIN]
set -euo pipefail
dist=$(realpath "$1") work=$(realpath "$2")
here=$(cd "$(dirname "$0")" && pwd)
main=$(realpath "${3:-$here/src/main/kotlin/Main.kt}")
versions=("$dist"/maven/internal/samsara/gateway/samsara-gateway-bom/*)
package=$(sed -n 's/^package //p' "$main")
maven=3.9.16 # Debian 12 has 3.8.7.

mvn=$work/apache-maven-$maven/bin/mvn
if [[ ! -x $mvn ]]; then
	mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy \
		-Dartifact="org.apache.maven:apache-maven:$maven:tar.gz:bin" -DoutputDirectory="$work" >&2
	tar -xzf "$work/apache-maven-$maven-bin.tar.gz" -C "$work"
fi
# Maven does not look twice for a version that it has, so what it has of the packages goes.
rm -rf "$work/kotlin" "$work/m2/internal/samsara"
mkdir -p "$work/kotlin/src/main/kotlin"
cp -R "$here"/{pom.xml,.mvn} "$work/kotlin/"
cp "$main" "$work/kotlin/src/main/kotlin/Main.kt"
cd "$work/kotlin"
"$mvn" --quiet --batch-mode -Dkotlin.compiler.daemon=false -Dmaven.repo.local="$work/m2" \
	-Dsamsara-gateway.repository="file://$dist/maven" -Dsamsara-gateway.version="$(basename "${versions[0]}")" \
	compile dependency:build-classpath -Dmdep.includeScope=runtime -Dmdep.outputFile=target/classpath >&2
echo >&2 # Maven leaves a line of escape sequences that has not ended.
exec java -cp "target/classes:$(<target/classpath)" "${package:+$package.}MainKt"
