#!/usr/bin/env bash
# Builds jars for Maven, in the group MAVEN_GROUP: samsara-gateway-AREA for each area, samsara-gateway-api and
# -types, which these need, and samsara-gateway-bom, which has the versions of all. dist/maven is a repository
# of them.
#
#	MAVEN_GROUP=dev.acme.samsara tools/packages/maven/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
group=${MAVEN_GROUP:-internal.samsara.gateway}
[[ $group =~ ^[A-Za-z0-9_.-]+$ ]] || { echo "MAVEN_GROUP: $group: must be such as dev.acme.samsara" >&2; exit 1; }
pom=tools/packages/maven/pom.xml
tools=$PWD/bin/packages/maven

property() { sed -nE "s|.*<$1>(.*)</$1>.*|\1|p" $pom; }
mvn() { command mvn --quiet --batch-mode --file $pom "$@"; }
if [[ ! $tools/installed -nt $pom ]]; then
	rm -rf "$tools"
	for artifact in com.google.protobuf:protoc:"$(property protobuf.version)" io.grpc:protoc-gen-grpc-java:"$(property grpc.version)"; do
		mvn dependency:copy -Dartifact="$artifact:exe:linux-x86_64" -DoutputDirectory="$tools" -Dmdep.stripVersion=true
	done
	chmod +x "$tools"/*.exe
	mvn dependency:build-classpath -Dmdep.outputFile="$tools/classpath"
	touch "$tools/installed"
fi

mkdir "$work/java" "$work/classes"
mapfile -t files < <(cd "$protos" && find samsara_gateway -name '*.proto' | sort)
"$tools/protoc-linux-x86_64.exe" -I "$protos" --java_out="$work/java" --grpc-java_out=@generated=omit:"$work/java" \
	--plugin=protoc-gen-grpc-java="$tools/protoc-gen-grpc-java-linux-x86_64.exe" "${files[@]}"
find "$work/java" -name '*.java' | sort >"$work/sources"
javac -J-Xmx2g -proc:none -nowarn -Xlint:none --release 11 -encoding UTF-8 -classpath "$(<"$tools/classpath")" -d "$work/classes" @"$work/sources"

# pom ARTIFACT PACKAGING [XML] writes the POM of an artifact to its place.
pom() {
	mkdir -p "$out/${group//.//}/$1/$version"
	cat >"$out/${group//.//}/$1/$version/$1-$version.pom" <<X
<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
	<modelVersion>4.0.0</modelVersion>
	<groupId>$group</groupId>
	<artifactId>$1</artifactId>
	<version>$version</version>
	<packaging>$2</packaging>
	<description>Client of samsara-gateway: the Samsara REST API as typed gRPC</description>
$3
</project>
X
}
# dependency GROUP ARTIFACT VERSION prints one as a POM has it.
dependency() { printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"; }

managed=
for folder in "$work"/classes/internal/samsara/gateway/*/; do
	area=$(basename "$folder")
	artifact=samsara-gateway-${area//_/-}
	needs=
	[[ $area == api ]] || needs+=$(dependency "$group" samsara-gateway-api "$version")
	[[ $area == api || $area == types || ! -d $work/classes/internal/samsara/gateway/types ]] ||
		needs+=$(dependency "$group" samsara-gateway-types "$version")
	needs+=$(dependency com.google.protobuf protobuf-java "$(property protobuf.version)")
	needs+=$(dependency io.grpc grpc-protobuf "$(property grpc.version)")
	needs+=$(dependency io.grpc grpc-stub "$(property grpc.version)")
	needs+=$(dependency com.google.api.grpc proto-google-common-protos "$(property common-protos.version)")
	pom "$artifact" jar "	<dependencies>$needs</dependencies>"
	jar --create --no-manifest --date=1980-01-01T00:00:02Z --file "$out/${group//.//}/$artifact/$version/$artifact-$version.jar" \
		-C "$work/classes" "internal/samsara/gateway/$area"
	managed+=$(dependency "$group" "$artifact" "$version")
done
pom samsara-gateway-bom pom "	<dependencyManagement><dependencies>$managed</dependencies></dependencyManagement>"
