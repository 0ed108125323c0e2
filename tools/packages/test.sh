#!/usr/bin/env bash
# Tests the packages of make sdk, those in LANGS (separated by commas; empty: all):
#
# - What build.sh cannot make is refused, with one line that says why, before anything is built.
# - Built twice, with another umask, time zone and locale, they are the same bytes: of all areas, and of one.
# - A build that fails leaves what is in dist/.
# - The Python wheel and Samsara's own package go together in one interpreter, see python/beside.py.
#
# Then it prints, as a table in Markdown, how large the packages are, and what a client pays that uses them: the time
# until it has imported what it needs, or the size of its program. It leaves the packages of all areas in dist/.
#
#	LANGS=go,python tools/packages/test.sh
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/../.."

packages=(image go python npm maven rust)
IFS=', ' read -ra chosen <<<"${LANGS:-${packages[*]}}"
work=$(mktemp -d)
keep=$PWD/bin/packages/test # what is compiled once, and what is downloaded
mkdir -p "$keep"
pids=()
trap '((!${#pids[@]})) || kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT

fail() {
	echo "$1" >&2
	exit 1
}

# refused MESSAGE VARIABLE=VALUE... fails unless build.sh says that and nothing else.
refused() {
	local said code=0
	said=$(env LANGS= AREAS= GO_MODULE= NPM_SCOPE= MAVEN_GROUP= "${@:2}" tools/packages/build.sh 2>&1) || code=$?
	[[ $code == 1 && $said == "$1" ]] || fail "${*:2}: exit code $code and $said, want 1 and $1"
	echo "refused: $said"
}
refused 'LANGS: cobol: must be of image go python npm maven rust' LANGS=go,cobol
refused 'AREAS: teapots: must be a folder of proto/samsara_gateway' AREAS=tags,teapots
refused 'AREAS: ../samsara_gateway/tags: must be a folder of proto/samsara_gateway' AREAS=../samsara_gateway/tags
refused 'GO_MODULE: samsara: must be such as go.acme.dev/samsara' GO_MODULE=samsara
refused "GO_MODULE: go.acme.dev/sam sara: must be such as go.acme.dev/samsara" GO_MODULE='go.acme.dev/sam sara'
refused 'NPM_SCOPE: acme: must be such as @acme' NPM_SCOPE=acme
refused 'NPM_SCOPE: @Acme: must be such as @acme' NPM_SCOPE=@Acme
refused 'MAVEN_GROUP: dev..acme: must be such as dev.acme.samsara' MAVEN_GROUP=dev..acme

# build SUMS VARIABLE=VALUE... builds, and writes the sums of the packages.
build() {
	env LANGS="${chosen[*]}" AREAS= GO_MODULE= NPM_SCOPE= MAVEN_GROUP= "${@:2}" tools/packages/build.sh >"$work/built" 2>&1 || fail "make sdk ${*:2} failed: $(<"$work/built")"
	(cd dist && find "${chosen[@]}" -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) >"$1"
}
# twice AREAS
twice() {
	local began=$SECONDS once
	build "$work/once" AREAS="$1" TZ=UTC LANG=C.UTF-8
	once=$((SECONDS - began))
	(umask 077 && build "$work/again" AREAS="$1" TZ=Pacific/Chatham LANG=tr_TR.UTF-8)
	diff "$work/once" "$work/again" >&2 || fail "AREAS=$1: these are not the same bytes the second time"
	echo "the same bytes twice: $(wc -l <"$work/once") files, ${1:-all areas}, $once s and $((SECONDS - began - once)) s"
}
twice tags
mkdir "$work/tags"
cp -R "${chosen[@]/#/dist/}" "$work/tags/"
twice ''
if [[ " ${chosen[*]} " == *' go '* ]]; then
	# No module of version 1 has a name that ends in /v9.
	! env LANGS=go AREAS=tags GO_MODULE=go.acme.dev/samsara/v9 tools/packages/build.sh >/dev/null 2>&1 || fail 'GO_MODULE=go.acme.dev/samsara/v9: was built'
	(cd dist && grep ' go/' "$work/once" | sha256sum --quiet --check) || fail 'make sdk that failed has changed what was in dist/'
fi

# The names of what was built.
declare -A what=([image]='image' [go]='Go module' [python]='Python wheel' [npm]='npm package' [maven]='jars' [rust]='crate')
# kilobytes FILE... adds sizes. packed FOLDER PACKAGE does of what a client downloads.
kilobytes() { du -cb "$@" | awk 'END { printf "%d kB\n", $1 / 1000 + 0.5 }'; }
packed() {
	local files
	mapfile -t files < <(find "$1/$2" -name '*.zip' -o -name '*.whl' -o -name '*.tgz' -o -name '*.jar' -o -name '*.crate' -o -name '*.binpb')
	kilobytes "${files[@]}"
}
rows=()
# row PACKAGE PAID ALL ONE NONE: what a client pays with all areas, with one, with none.
row() { rows+=("| ${what[$1]} | $(packed dist "$1") | $(packed "$work/tags" "$1") | $2 | $3 | $4 | $5 |"); }
# median COMMAND... prints how long a process takes: of five, after one that fills caches.
median() {
	local began
	"$@" >/dev/null
	for _ in {1..5}; do
		began=${EPOCHREALTIME/[.,]/}
		"$@" >/dev/null
		echo $(((${EPOCHREALTIME/[.,]/} - began) / 1000))
	done | sort -n | sed -n '3s/$/ ms/p'
}

# C++ has no package: its code is made from the same files as the image, of the areas that are wanted.
image_client() {
	local folder=$work/cpp objects
	mkdir "$folder"
	bin/gateway protos --areas tags "$folder/protos" >/dev/null
	mkdir "$folder/made"
	(cd "$folder/protos" && find samsara_gateway -name '*.proto' -exec protoc -I . --cpp_out=../made --grpc_out=../made \
		--plugin=protoc-gen-grpc="$(type -P grpc_cpp_plugin)" '{}' +)
	cat >"$folder/made/main.cc" <<'C'
#include <grpcpp/grpcpp.h>
#include <iostream>
#include "samsara_gateway/tags/v1/tags.grpc.pb.h"

namespace tags = samsara_gateway::tags::v1;

int main() {
  auto stub = tags::TagsService::NewStub(grpc::CreateChannel("127.0.0.1:50051", grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  tags::ListTagsResponse reply;
  std::cout << stub->ListTags(&context, {}, &reply).error_message() << reply.data_size() << "\n";
}
C
	find "$folder/made" -name '*.cc' -print0 | xargs -0rn 1 -P "$(nproc)" sh -c 'c++ -std=c++17 -O2 -w -I"$0" -c -o "$1.o" "$1"' "$folder/made"
	mapfile -t objects < <(find "$folder/made" -name '*.o')
	c++ -s -o "$folder/client" "${objects[@]}" -Wl,--as-needed $(pkg-config --libs grpc++ protobuf)
	row image 'C++: its program, without gRPC and protobuf' '' "$(kilobytes "$folder/client")" ''
}

go_client() {
	local sizes
	sizes=$(go_programs)
	mapfile -t sizes <<<"$sizes"
	row go 'its program' "${sizes[@]}"
}

# go_programs prints the sizes of one with all areas, one with tags, and one with none.
go_programs() {
	local module=samsara.internal/gateway/gen folder=$work/go areas
	mkdir "$folder"
	cp examples/go/go.mod examples/go/go.sum "$folder/"
	cd "$folder"
	# As in examples/go/run.sh.
	export GOPROXY="file://$OLDPWD/dist/go,file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
	export GONOSUMDB="$module,$(go env GONOSUMDB)" GONOPROXY=none
	export GOFLAGS="$(go env GOFLAGS) -mod=mod -modcacherw" GOMODCACHE=$folder/modules
	go mod edit -require="$module@$(<"$OLDPWD/dist/go/$module/@v/list")"
	go mod download $module
	areas=$(cd "$(go list -m -f '{{.Dir}}' $module)" && find . -name '*.pb.go' -printf '%h\n' | sort -u | sed "s|^\.|	_ \"$module|; s|$|\"|")
	for imported in "$areas" '' none; do
		{
			printf 'package main\n\nimport (\n\t"context"\n\t"fmt"\n\n\t"google.golang.org/grpc"\n\t"google.golang.org/grpc/credentials/insecure"\n'
			printf '\t"google.golang.org/protobuf/types/known/emptypb"\n'
			[[ $imported == none ]] || printf '\ttagsv1 "%s/tags/v1"\n%s\n' $module "$imported"
			printf ')\n\nfunc main() {\n\tconn, err := grpc.NewClient("127.0.0.1:50051", grpc.WithTransportCredentials(insecure.NewCredentials()))\n'
			printf '\tfmt.Println(err, conn.Invoke(context.Background(), "/none/None", new(emptypb.Empty), new(emptypb.Empty)))\n'
			[[ $imported == none ]] || printf '\tfmt.Println(tagsv1.NewTagsServiceClient(conn).ListTags(context.Background(), new(tagsv1.ListTagsRequest)))\n'
			printf '}\n'
		} >main.go
		go build -ldflags='-s -w' -o client .
		kilobytes client
	done
}

python_client() {
	local python=$keep/python/bin/python modules
	rm -rf "$keep/python"
	python3 -m venv "$keep/python"
	$python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/sdk/requirements.txt
	$python -m pip install --quiet --disable-pip-version-check -r examples/python/requirements.txt dist/python/samsara_gateway-*.whl
	beside
	modules=$(cd "$keep"/python/lib/python*/site-packages && find samsara_gateway -name '*_pb2*.py' | sed 's|\.py$||; s|/|.|g' | sort | paste -sd ,)
	row python 'its imports' "$(median $python -c "import grpc, $modules")" \
		"$(median $python -c 'import grpc, samsara_gateway.tags.v1.tags_pb2_grpc')" "$(median $python -c 'import grpc')"
}

# serving LOG FIELD waits until a gateway serves, and prints what its log says in FIELD.
serving() {
	for _ in {1..300}; do
		sed -nE 's/.*"msg":"serving".*"'"$2"'":"([^"]+)".*/\1/p' "$1" | grep . && return
		sleep 0.1
	done
	fail "no gateway serves: $(<"$1")"
}

# beside calls one sandbox through both packages.
beside() {
	local samsara gateway
	env -u SAMSARA_API_TOKEN bin/gateway sandbox --listen 127.0.0.1:0 --log-format json >"$work/samsara.log" 2>&1 &
	pids+=($!)
	samsara=$(serving "$work/samsara.log" sandbox)
	SAMSARA_API_TOKEN=sandbox bin/gateway --listen 127.0.0.1:0 --admin-listen= --upstream-url "$samsara" --log-format json >"$work/gateway.log" 2>&1 &
	pids+=($!)
	gateway=$(serving "$work/gateway.log" grpc)
	"$keep/python/bin/python" tools/packages/python/beside.py "$gateway" "$samsara"
	kill "${pids[@]}"
	pids=()
}

npm_client() {
	local folder=$work/npm package=$work/npm/node_modules/samsara-gateway tools=$PWD/bin/packages/npm/node_modules
	mkdir -p "$package"
	tar -xzf dist/npm/samsara-gateway-*.tgz -C "$package" --strip-components=1
	ln -s "$tools/@bufbuild" "$folder/node_modules/@bufbuild"
	(cd "$package" && find google samsara_gateway -name '*.js') | sed 's|^samsara_gateway/||; s|\.js$||; s|.*|import "samsara-gateway/&";|' | sort >"$folder/all.mjs"
	echo 'import "samsara-gateway/tags/v1/tags_pb";' >"$folder/tags.mjs"
	echo 'import "@bufbuild/protobuf/codegenv2";' >"$folder/none.mjs"
	row npm 'its imports' "$(median node "$folder/all.mjs")" "$(median node "$folder/tags.mjs")" "$(median node "$folder/none.mjs")"
}

maven_client() {
	local folder=$work/maven classpath services
	mkdir "$folder"
	cat >"$folder/Start.java" <<'J'
import io.grpc.*;

/** Makes a stub of each service whose classes are named. */
class Start {
	public static void main(String[] names) throws Exception {
		Channel channel = new Channel() {
			public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
				throw new UnsupportedOperationException();
			}

			public String authority() {
				return "none";
			}
		};
		for (String name : names) {
			Class<?> service = Class.forName(name);
			service.getMethod("newBlockingStub", Channel.class).invoke(null, channel);
			((ServiceDescriptor) service.getMethod("getServiceDescriptor").invoke(null)).getMethods();
		}
	}
}
J
	classpath=$(find "$PWD/dist/maven" -name '*.jar' | paste -sd :):$(<bin/packages/maven/classpath)
	javac -proc:none -classpath "$classpath" -d "$folder" "$folder/Start.java"
	services=$(grep -r '^service ' proto --include='*.proto' |
		sed -E 's|^proto/samsara_gateway/([^/]+)/([^/]+)/[^:]*:service (\w+).*|internal.samsara.gateway.\1.\2.\3Grpc|')
	classpath=$folder:$classpath
	row maven 'its start, with stubs' "$(median java -cp "$classpath" Start $services)" \
		"$(median java -cp "$classpath" Start internal.samsara.gateway.tags.v1.TagsServiceGrpc)" "$(median java -cp "$classpath" Start)"
}

rust_client() {
	local folder=$keep/rust size=()
	rm -rf "$folder/client" "$folder/crate"
	mkdir -p "$folder/client/src" "$folder/crate"
	tar -xzf dist/rust/samsara-gateway-*.crate -C "$folder/crate" --strip-components=1
	cat >"$folder/client/src/main.rs" <<'R'
use samsara_gateway::tags::v1::{ListTagsRequest, tags_service_client::TagsServiceClient};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tags = TagsServiceClient::connect("http://127.0.0.1:50051").await?;
    println!("{}", tags.list_tags(ListTagsRequest::default()).await?.into_inner().data.len());
    Ok(())
}
R
	for feature in full tags; do
		cat >"$folder/client/Cargo.toml" <<C
[package]
name = "client"
version = "0.0.0"
edition = "2024"

[dependencies]
samsara-gateway = { path = "../crate", features = ["$feature"] }
tokio = { version = "1", features = ["macros", "rt"] }

[profile.release]
strip = true
C
		CARGO_TARGET_DIR=$folder/target cargo build --quiet --release --manifest-path "$folder/client/Cargo.toml"
		size+=("$(kilobytes "$folder/target/release/client")")
	done
	row rust 'its program' "${size[0]}" "${size[1]}" ''
}

for package in "${chosen[@]}"; do
	"${package}_client"
done
cat <<T

| Package | All areas | \`tags\` | A client pays with | All areas | \`tags\` | No package |
| --- | ---: | ---: | --- | ---: | ---: | ---: |
T
printf '%s\n' "${rows[@]}"
