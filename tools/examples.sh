#!/usr/bin/env bash
# Runs the examples of the languages in LANGS (separated by commas; empty: all), compares what each prints with
# examples/expected.txt, and says how long it took. It builds nothing itself: bin/gateway and the packages in
# dist/ are there, as make examples builds them. Each example's run.sh installs and compiles what it needs, in
# bin/examples, where it finds what it has kept.
#
#	LANGS=go,typescript tools/examples.sh
#
# Each language has gateways of its own, on free ports: one before its embedded sandbox, one with TLS, and one
# before a sandbox that runs alone. The last one is killed when the example says that it follows the feed, and
# started again on the same port. Standard output of an example is compared, and standard error is printed if
# something failed.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=30m # for one example, with all that it compiles
known=()
for run in examples/*/run.sh; do
	known+=("$(basename "$(dirname "$run")")")
done
IFS=', ' read -ra chosen <<<"${LANGS:-${known[*]}}"
for language in "${chosen[@]}"; do
	[[ " ${known[*]} " == *" $language "* ]] || { echo "LANGS: $language: must be of ${known[*]}" >&2; exit 1; }
done

work=$(mktemp -d)
declare -A pid address # of what runs, by its name
stop() {
	# timeout passes the signal on to what the example has started.
	[[ -z ${pid[example]:-} ]] || kill "${pid[example]}" 2>/dev/null || :
	for name in "${!pid[@]}"; do
		[[ $name == example ]] || kill -9 "${pid[$name]}" 2>/dev/null || :
	done
	for name in "${!pid[@]}"; do
		wait "${pid[$name]}" 2>/dev/null || :
	done
	pid=()
}
trap 'stop; rm -rf "$work"' EXIT

# serve NAME FIELD [VARIABLE=VALUE]... COMMAND... starts a gateway without any other variable, and waits until
# it serves. Then address[NAME] is what its log has in FIELD.
serve() {
	local name=$1 field=$2 log=$work/$1.log
	shift 2
	: >"$log"
	env -i "$@" --log-format json </dev/null >>"$log" 2>&1 &
	pid[$name]=$!
	for _ in {1..300}; do
		address[$name]=$(sed -nE 's/.*"msg":"serving".*"'"$field"'":"([^"]+)".*/\1/p' "$log")
		[[ -z ${address[$name]} ]] || return 0
		kill -0 "${pid[$name]}" 2>/dev/null || break
		sleep 0.1
	done
	echo "the gateway $name does not serve:" >&2
	cat "$log" >&2
	return 1
}

# certify makes an authority, ca.pem, and a certificate of it for localhost.
certify() {
	cat >"$work/tls.cnf" <<'C'
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
C
	local request=(openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config "$work/tls.cnf")
	"${request[@]}" -x509 -subj '/CN=authority of the examples' -extensions authority -days 2 \
		-keyout "$work/ca.key" -out "$work/ca.pem"
	"${request[@]}" -subj /CN=localhost -keyout "$work/server.key" -out "$work/server.csr"
	openssl x509 -req -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 1 -days 2 \
		-extfile "$work/tls.cnf" -extensions server -out "$work/server.pem"
}

# prepare starts the gateways.
prepare() {
	local gateway=(bin/gateway --admin-listen=) any=127.0.0.1:0
	# Without quota: after the 429 that the examples ask for, it would let no call to the operation through.
	serve plain grpc "${gateway[@]}" --listen "$any" --sandbox --quota=false &&
		serve tls grpc "${gateway[@]}" --listen "$any" --sandbox --tls-cert-file "$work/server.pem" --tls-key-file "$work/server.key" &&
		# Six pages take six seconds, so that the gateway dies between them.
		serve samsara sandbox bin/gateway sandbox --listen "$any" --fault 'latency=1s; match=/assets/location-and-speed/stream' &&
		feed=(SAMSARA_API_TOKEN=sandbox "${gateway[@]}" --upstream-url "${address[samsara]}") &&
		serve feed grpc "${feed[@]}" --listen "$any"
}

# try LANGUAGE runs its example.
try() {
	local language=$1 began=$SECONDS failed= out=$work/out err=$work/err
	prepare || return 1
	: >"$err"
	env -u SAMSARA_API_TOKEN GATEWAY="${address[plain]}" GATEWAY_TLS="localhost:${address[tls]##*:}" GATEWAY_CA="$work/ca.pem" \
		GATEWAY_FEED="${address[feed]}" timeout --kill-after=10s $limit \
		"examples/$language/run.sh" "$PWD/dist" "$PWD/bin/examples" </dev/null >"$out" 2>>"$err" &
	pid[example]=$!
	# grep ends when the line is there, or when the example has ended: then tail does.
	if grep -qxm1 'follow begins' < <(tail -n +1 -f --pid="${pid[example]}" "$err"); then
		kill -9 "${pid[feed]}"
		wait "${pid[feed]}" 2>/dev/null || :
		serve feed grpc "${feed[@]}" --listen "${address[feed]}" || failed='its gateway did not come back'
	fi
	wait "${pid[example]}" || failed="exit code $?"
	unset 'pid[example]'
	stop
	diff -u examples/expected.txt "$out" >&2 || failed=${failed:-'other lines than expected'}
	[[ -z $failed ]] || tail -n 50 "$err" >&2
	echo "$language: ${failed:-as expected}, $((SECONDS - began)) s"
	[[ -z $failed ]]
}

certify 2>"$work/certify.log" || { cat "$work/certify.log" >&2; exit 1; }
mkdir -p bin/examples
failures=()
for language in "${chosen[@]}"; do
	try "$language" || { stop; failures+=("$language"); }
done
((!${#failures[@]})) || { echo "examples that failed: ${failures[*]}" >&2; exit 1; }
