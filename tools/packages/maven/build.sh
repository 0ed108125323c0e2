#!/usr/bin/env bash
# Builds jars for Maven, in the group MAVEN_GROUP: samsara-gateway-AREA for each area, samsara-gateway-api and
# -types, which these need, and samsara-gateway-bom, which has the versions of all, of gRPC and of protobuf.
# Each jar has its .proto files too, for who generates more from them. dist/maven is a repository of them.
#
#	MAVEN_GROUP=dev.acme.samsara tools/packages/maven/build.sh PROTOS WORK OUT VERSION
set -euo pipefail
export LC_ALL=C # Sorts the same everywhere.
cd "$(dirname "$0")/../../.."
protos=$1 work=$2 out=$3 version=$4
group=${MAVEN_GROUP:-internal.samsara.gateway}
pom=tools/packages/maven/pom.xml
tools=$PWD/bin/packages/maven

property() { sed -nE "s|.*<$1>(.*)</$1>.*|\1|p" $pom; }
protobuf=$(property protobuf.version) grpc=$(property grpc.version)

mkdir "$work/java" "$work/content"
mapfile -t files < <(cd "$protos" && find samsara_gateway -name '*.proto' | sort)
"$tools/protoc-linux-x86_64.exe" -I "$protos" -I "$tools/include" --java_out="$work/java" --grpc-java_out=@generated=omit:"$work/java" \
	--plugin=protoc-gen-grpc-java="$tools/protoc-gen-grpc-java-linux-x86_64.exe" "${files[@]}"
find "$work/java" -name '*.java' | sort >"$work/sources"
javac -J-Xmx2g -proc:none -nowarn -Xlint:none --release 11 -encoding UTF-8 -classpath "$(<"$tools/classpath")" -d "$work/content" @"$work/sources"
cp -R "$protos/samsara_gateway" "$work/content/"

# pom ARTIFACT PACKAGING XML writes the POM of an artifact to its place.
pom() {
	mkdir -p "$out/${group//.//}/$1/$version"
	cat >"$out/${group//.//}/$1/$version/$1-$version.pom" <<P
<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
	<modelVersion>4.0.0</modelVersion>
	<groupId>$group</groupId>
	<artifactId>$1</artifactId>
	<version>$version</version>
	<packaging>$2</packaging>
	<name>$1</name>
	<description>Client of samsara-gateway: the Samsara REST API as typed gRPC</description>
$3
</project>
P
}
# dependency GROUP ARTIFACT VERSION [XML] prints one as a POM has it.
dependency() { printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</dependency>\n' "$1" "$2" "$3" "${4:-}"; }
# artifact AREA prints its name.
artifact() { echo "samsara-gateway-${1//_/-}"; }

managed=
for folder in "$protos"/samsara_gateway/*/; do
	area=$(basename "$folder")
	artifact=$(artifact "$area")
	needs=
	while read -r other; do # The areas that its files import.
		[[ $other == "$area" ]] || needs+=$(dependency "$group" "$(artifact "$other")" "$version")
	done < <(grep -rhoP '^import "samsara_gateway/\K[^/]+' "$folder" | sort -u)
	# google.rpc comes with grpc-protobuf.
	needs+=$(dependency com.google.protobuf protobuf-java "$protobuf")
	needs+=$(dependency io.grpc grpc-protobuf "$grpc")
	needs+=$(dependency io.grpc grpc-stub "$grpc")
	pom "$artifact" jar "	<dependencies>$needs</dependencies>"
	# Each file by its name, or their order is that of the file system.
	(cd "$work/content" && find "internal/samsara/gateway/$area" "samsara_gateway/$area" -type f | sort >"$work/$artifact")
	(cd "$work/content" && jar --create --no-manifest --date=1980-01-01T00:00:02Z \
		--file "$out/${group//.//}/$artifact/$version/$artifact-$version.jar" @"$work/$artifact")
	managed+=$(dependency "$group" "$artifact" "$version")
done
# A project that manages a version itself, or imports another BOM before, still has its own.
imported='<type>pom</type><scope>import</scope>'
managed+=$(dependency com.google.protobuf protobuf-bom "$protobuf" "$imported")
managed+=$(dependency io.grpc grpc-bom "$grpc" "$imported")
pom samsara-gateway-bom pom "	<dependencyManagement><dependencies>$managed</dependencies></dependencyManagement>"

# Maven wants to know that it read what was written.
find "$out" -type f ! -name '*.sha1' | while read -r file; do
	sha1sum "$file" | cut -d ' ' -f 1 >"$file.sha1"
done
