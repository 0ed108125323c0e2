#!/usr/bin/env bash
# Generates all of proto/ for the languages in LANGS (separated by commas; empty: all), with Debian's protoc and
# with the current one that the jars of make sdk are made by, and with gRPC's plugins for those languages that have
# one here. Then it compiles the code, or checks its syntax. For Go, Rust and TypeScript that is the code in gen/
# and in the packages of make sdk: there plugins alone make it.
#
#	LANGS=cpp,php tools/languages.sh
#
# It prints a line for each language and protoc. What fails is printed with its language, protoc and file.
set -euo pipefail
cd "$(dirname "$0")/.."

languages=(cpp csharp go java kotlin objc php python ruby rust typescript)
IFS=', ' read -ra chosen <<<"${LANGS:-${languages[*]}}"
for language in "${chosen[@]}"; do
	[[ " ${languages[*]} " == *" $language "* ]] || { echo "LANGS: $language: must be of ${languages[*]}" >&2; exit 1; }
done

maven=bin/packages/maven
rust=bin/languages/rust # kept, so that dependencies compile once
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mapfile -t protos < <(find proto -name '*.proto' -printf '%P\n' | sort)
failures=()

# try SUBJECT COMMAND... prints what the command printed, behind the subject, only if it failed, and notes that.
# As the command stands in a condition, an error within a function does not end it.
try() {
	local subject=$1
	shift
	"$@" >"$out/log" 2>&1 && return 0
	sed "s|^|$subject: |" "$out/log" >&2
	failures+=("$subject")
	return 1
}

# protoc WHICH ARGUMENT... runs Debian's or Maven's.
protoc() {
	case $1 in
	debian) command protoc "${@:2}" ;;
	maven) $maven/protoc-linux-x86_64.exe -I $maven/include "${@:2}" ;;
	esac
}

# options LANGUAGE FOLDER prints those of protoc, one a line.
options() {
	echo "--$1_out=$2"
	case $1 in
	cpp | php | ruby) printf '%s\n' "--plugin=protoc-gen-grpc=$(type -P "grpc_$1_plugin")" "--grpc_out=$2" ;;
	csharp) echo --csharp_opt=base_namespace= ;; # folders as the namespaces are
	java) printf '%s\n' "--plugin=protoc-gen-grpc-java=$maven/protoc-gen-grpc-java-linux-x86_64.exe" "--grpc-java_out=$2" ;;
	python) printf '%s\n' "--pyi_out=$2" "--plugin=protoc-gen-grpc=$(type -P grpc_python_plugin)" "--grpc_out=$2" ;;
	esac
}

# each FOLDER PATTERN COMMAND... runs it once for each file, as many at a time as there are cores, the largest
# file first. xargs would stop at the exit code 255, which php has.
each() {
	find "$1" -name "$2" -printf '%s %p\0' | sort -znr | cut -zd ' ' -f 2- | xargs -0rn 1 -P "$(nproc)" sh -c '"$@" || exit 1' each "${@:3}"
}

# twice FOLDER fails if two classes of Objective-C have the same name: protoc accepts that, but a linker does not.
twice() {
	grep -rhoE '@interface \w+ :' "$1" | sort | uniq -d >"$out/twice"
	sed 's/$/ is there twice/' "$out/twice"
	[[ ! -s $out/twice ]]
}

# examine LANGUAGE WHICH FOLDER compiles what is there, or checks its syntax, and sets how.
examine() {
	case $1 in
	cpp)
		# What the current protoc makes needs the current libprotobuf, which Debian does not have.
		[[ $2 == debian ]] || return 0
		how=', compiled'
		each "$3" '*.cc' c++ -std=c++17 -O0 -w "-I$3" -c -o /dev/null
		;;
	csharp)
		how=', parsed by mcs'
		find "$3" -name '*.cs' | sort >"$out/sources"
		mcs --parse "@$out/sources"
		;;
	objc)
		how=', no class twice'
		twice "$3"
		;;
	php)
		how=', parsed by php'
		each "$3" '*.php' php -n -d display_errors=stderr -d log_errors=0 -l >/dev/null
		;;
	python)
		how=', compiled to bytes'
		python3 -m compileall -q -j 0 "$3"
		;;
	ruby)
		how=', parsed by ruby'
		each "$3" '*.rb' ruby --disable=gems -c >/dev/null
		;;
	esac
}

# generate LANGUAGE WHICH
generate() {
	local folder=$out/$1-$2 began=$SECONDS how= subject count asked
	subject="$1, protoc $(protoc "$2" --version | cut -d ' ' -f 2)"
	mkdir "$folder"
	mapfile -t asked < <(options "$1" "$folder")
	try "$subject" protoc "$2" -I proto "${asked[@]}" "${protos[@]}" || return 0
	count=$(find "$folder" -type f | wc -l) # before Python's are compiled beside them
	try "$subject" examine "$1" "$2" "$folder" || return 0
	echo "$subject: $count files$how, $((SECONDS - began)) s"
	rm -rf "$folder"
}

# compile SUBJECT FOLDER PATTERN COMMAND... runs the command, which compiles the files there.
compile() {
	local began=$SECONDS
	try "$1" "${@:4}" || return 0
	echo "$1: $(find "$2" -name "$3" | wc -l) files, compiled, $((SECONDS - began)) s"
}

# crate compiles that of make sdk with all areas.
crate() {
	rm -rf $rust/crate && mkdir -p $rust/crate && tar -xzf dist/rust/samsara-gateway-*.crate -C $rust/crate --strip-components=1 &&
		CARGO_TARGET_DIR=$rust/target cargo build --quiet --features full --manifest-path $rust/crate/Cargo.toml
}

# modules compiles a program that imports every module of the npm package as a client does, with all declarations,
# and runs it. TypeScript is of package.json: the one that protoc-gen-es brings along is too old for the declarations.
modules() {
	local tools=$PWD/bin/packages/npm/node_modules package=$out/typescript/node_modules/samsara-gateway
	mkdir -p "$package" && tar -xzf dist/npm/*samsara-gateway-*.tgz -C "$package" --strip-components=1 || return
	ln -s "$tools/@bufbuild" "$package/../@bufbuild"
	echo '{"type": "module"}' >"$out/typescript/package.json"
	(cd "$package" && find google samsara_gateway -name '*.js') | sed 's|^samsara_gateway/||; s|\.js$||' | sort |
		awk '{ printf "import * as m%d from \"samsara-gateway/%s\";\nconsole.log(Object.keys(m%d).length);\n", NR, $0, NR }' >"$out/typescript/all.ts"
	(cd "$out/typescript" && node "$tools/typescript/bin/tsc" --strict --target es2022 --module nodenext all.ts && node all.js)
}

# jars are compiled by make sdk. There is one for each area.
jars() {
	local have want
	have=$(find dist/maven -name '*.jar' | wc -l) want=$(find proto/samsara_gateway -mindepth 1 -maxdepth 1 -type d | wc -l)
	((have == want)) || { echo "dist/maven has $have jars for $want areas"; return 1; }
}

for language in "${chosen[@]}"; do
	case $language in
	go) compile 'go, protoc-gen-go' gen '*.go' go -C gen build ./... ;;
	rust) compile 'rust, tonic-prost-build' $rust/crate '*.rs' crate ;;
	typescript) compile 'typescript, protoc-gen-es' "$out/typescript/node_modules/samsara-gateway" '*.js' modules ;;
	*)
		generate "$language" debian
		generate "$language" maven
		;;
	esac
	[[ $language != java ]] || compile 'java, jars of make sdk' dist/maven '*.jar' jars
done
((!${#failures[@]})) || { printf '%s failed\n' "${failures[@]}" >&2; exit 1; }
echo '0 failures'
