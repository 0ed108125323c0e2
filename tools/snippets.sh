#!/usr/bin/env bash
# Runs what docs/languages.md shows, as it stands there, for the languages in LANGS (separated by commas; empty:
# all). Nothing on the page goes unchecked: a block of a language that is not known here fails.
#
#	LANGS=go,rust tools/snippets.sh
#
# A block of
#	go, python, ts, js, java, kotlin, rust or cpp is a program, run by examples/LANG/run.sh with the packages in
#	dist/, against a gateway before its sandbox. It prints what the text block below it has.
#	csharp, ruby or php is a program whose syntax is checked.
#	sh has commands. They are run by one bash in an empty folder that has bin, dist, examples and proto. They belong
#	to the language of the next program.
#
# It builds nothing itself: bin/gateway and dist/ are there, as make snippets builds them.
set -euo pipefail
cd "$(dirname "$0")/.."

page=docs/languages.md
limit=20m # for one block, with all that it compiles
known=(cpp csharp go grpc-js java kotlin php python ruby rust typescript)
IFS=', ' read -ra chosen <<<"${LANGS:-${known[*]}}"
for language in "${chosen[@]}"; do
	[[ " ${known[*]} " == *" $language "* ]] || { echo "LANGS: $language: must be of ${known[*]}" >&2; exit 1; }
done

work=$(mktemp -d)
gateway=
trap '[[ -z $gateway ]] || kill "$gateway"; rm -rf "$work"' EXIT

# Each block becomes a folder, in order: its line, its fence's language and its text.
awk -v work="$work" '
	/^```/ && open { open = 0; next }
	/^```/ { n++; open = 1; folder = sprintf("%s/block-%03d", work, n); system("mkdir " folder)
		print NR > (folder "/line"); print substr($0, 4) > (folder "/fence"); printf "" > (folder "/text"); next }
	open { print > (folder "/text") }' "$page"

env -u SAMSARA_API_TOKEN bin/gateway --sandbox --listen 127.0.0.1:0 --admin-listen= --quota=false --log-format json \
	</dev/null >"$work/gateway.log" 2>&1 &
gateway=$!
for _ in {1..300}; do
	address=$(sed -nE 's/.*"msg":"serving".*"grpc":"([^"]+)".*/\1/p' "$work/gateway.log")
	[[ -z $address ]] && kill -0 "$gateway" 2>/dev/null || break
	sleep 0.1
done
[[ -n $address ]] || { echo 'the gateway does not serve:' >&2; cat "$work/gateway.log" >&2; exit 1; }

# What Maven and Go fetch is kept, Maven's where the examples keep it, except our packages: they may be built again
# with the same version.
mkdir -p bin/examples
rm -rf bin/examples/m2/internal/samsara
export MAVEN_OPTS="-Dmaven.repo.local=$PWD/bin/examples/m2 ${MAVEN_OPTS:-}"
GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GOPROXY

# about FENCE prints the name in LANGS of a block's language, and the file that its program is put into.
about() {
	case $1 in
	go) echo go main.go ;;
	python) echo python client.py ;;
	ts) echo typescript client.ts ;;
	js) echo grpc-js client.js ;;
	java) echo java Client.java ;;
	kotlin) echo kotlin Main.kt ;;
	rust) echo rust main.rs ;;
	cpp) echo cpp main.cpp ;;
	csharp) echo csharp Client.cs ;;
	ruby) echo ruby client.rb ;;
	php) echo php client.php ;;
	*) return 1 ;;
	esac
}

# commands BLOCK runs those of an sh block.
commands() {
	local folder=$1/folder name
	mkdir "$folder"
	for name in bin dist examples proto; do
		ln -s "$PWD/$name" "$folder/$name"
	done
	(cd "$folder" && GOMODCACHE=$work/modules GOFLAGS=-modcacherw timeout --kill-after=10s $limit bash -euo pipefail ../text)
}

# program LANGUAGE FILE runs a program, or checks its syntax.
program() {
	case $1 in
	csharp) mcs --parse "$2" ;;
	php) php -n -l "$2" >/dev/null ;;
	ruby) ruby --disable=gems -c "$2" >/dev/null ;;
	grpc-js) CLIENT=grpc-js timeout --kill-after=10s $limit examples/typescript/run.sh "$PWD/dist" "$PWD/bin/examples" "$2" ;;
	*) timeout --kill-after=10s $limit "examples/$1/run.sh" "$PWD/dist" "$PWD/bin/examples" "$2" ;;
	esac
}

failures=0 ran=0
blocks=("$work"/block-*)
for ((i = 0; i < ${#blocks[@]}; i++)); do
	block=${blocks[i]} fence=$(<"${blocks[i]}/fence")
	at=$page:$(<"$block/line") failed= began=$SECONDS language=
	case $fence in
	sh)
		for after in "${blocks[@]:i+1}"; do # whose next program it belongs to
			language=$(about "$(<"$after/fence")") && break
		done
		language=${language%% *}
		[[ " ${chosen[*]} " == *" $language "* ]] || continue
		commands "$block" >"$block/log" 2>&1 </dev/null || failed="exit code $?"
		;;
	text)
		if ((i == 0)) || ! about "$(<"${blocks[i - 1]}/fence")" >/dev/null; then
			failed='no program is above it'
		else
			continue # It was compared after the program.
		fi
		;;
	*)
		if ! about=$(about "$fence"); then
			failed='this script does not know the language'
		else
			read -r language file <<<"$about"
			[[ " ${chosen[*]} " == *" $language "* ]] || continue
			sed "s/127\.0\.0\.1:50051/$address/" "$block/text" >"$block/$file"
			program "$language" "$block/$file" >"$block/out" 2>"$block/log" </dev/null || failed="exit code $?"
			expected=/dev/null
			[[ $(cat "${blocks[i + 1]:-/dev/null}/fence" 2>/dev/null) != text ]] || expected=${blocks[i + 1]}/text
			if ! diff -u --label "$page" --label printed "$expected" "$block/out" >"$block/diff"; then
				failed=${failed:-'it prints something else'}
			fi
		fi
		;;
	esac
	ran=$((ran + 1))
	echo "$at: $fence${language:+, $language}: ${failed:-as it says}, $((SECONDS - began)) s"
	[[ -z $failed ]] || { failures=$((failures + 1)); cat "$block"/{log,diff} 2>/dev/null | tail -n 40 >&2 || :; }
done
((ran > 0)) || { echo "$page has no block for LANGS=$LANGS" >&2; exit 1; }
((failures == 0)) || { echo "blocks that failed: $failures" >&2; exit 1; }
