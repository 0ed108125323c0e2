#!/usr/bin/env bash
# Installs what the jars are made with into bin/packages/maven, in the versions of pom.xml: protoc, the files that it
# includes, gRPC's plugin, and what javac needs.
set -euo pipefail
cd "$(dirname "$0")/../../.."
pom=tools/packages/maven/pom.xml
tools=$PWD/bin/packages/maven

property() { sed -nE "s|.*<$1>(.*)</$1>.*|\1|p" $pom; }
mvn() { command mvn --quiet --batch-mode --file $pom "$@"; }
rm -rf "$tools"
mkdir -p "$tools/include"
for artifact in "com.google.protobuf:protoc:$(property protobuf.version)" "io.grpc:protoc-gen-grpc-java:$(property protoc-gen-grpc-java.version)"; do
	mvn dependency:copy -Dartifact="$artifact:exe:linux-x86_64" -DoutputDirectory="$tools" -Dmdep.stripVersion=true
done
chmod +x "$tools"/*.exe
mvn dependency:build-classpath -Dmdep.outputFile="$tools/classpath"
# The program comes alone. What a protoc brings along, such as google/protobuf/struct.proto, is in the library too.
library=$(tr : '\n' <"$tools/classpath" | grep '/protobuf-java-[^/]*$')
(cd "$tools/include" && jar --extract --file "$library" google/protobuf)
touch "$tools/installed"
