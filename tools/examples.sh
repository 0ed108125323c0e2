#!/usr/bin/env bash
# Runs the examples of the languages in LANGS (separated by commas; empty: all), compares what each prints with
# examples/expected.txt, and says how long it took. It builds nothing itself: bin/gateway and the packages in
# dist/ are there, as make examples builds them. Each example's run.sh installs and compiles what it needs, in
# bin/examples, where it finds what it has kept.
#
#	LANGS=go,typescript tools/examples.sh
#
# Each language has gateways of its own, on free ports: one before its embedded sandbox, one with TLS, one before a
# sandbox that runs alone, and two replicas. The third is killed when the example says that it follows the feed, and
# stopped when it says so again. The replicas are restarted in turn when it says that it calls them. Their name,
# gateways, is in a hosts file that only this script and what it starts see: it runs in a mount namespace of its own.
# Standard output of an example is compared, and standard error is printed if something failed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} != --unshared ]]; then
	unshare=(unshare --mount)
	((EUID == 0)) || unshare+=(--map-root-user)
	"${unshare[@]}" true || { echo 'the examples need a mount namespace of their own' >&2; exit 1; }
	exec "${unshare[@]}" "$PWD/tools/examples.sh" --unshared
fi

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
out=$work/out err=$work/err
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
	pid=() address=()
}
trap 'stop; rm -rf "$work"' EXIT

# serve NAME starts a gateway without any variable of ours, and waits until it serves: at address[NAME], or at a free
# port, which address[NAME] then is.
serve() {
	local name=$1 log=$work/$1.log field=grpc at
	local command=(bin/gateway --admin-listen= --listen "${address[$name]:-127.0.0.1:0}")
	case $name in
	# Without quota: after the 429 that the examples ask for, it would let no call to the operation through.
	plain) command+=(--sandbox --quota=false) ;;
	tls) command+=(--sandbox --tls-cert-file "$work/server.pem" --tls-key-file "$work/server.key") ;;
	# Six pages take six seconds, so that the gateway goes between them.
	samsara)
		field=sandbox
		command=(bin/gateway sandbox --listen 127.0.0.1:0 --fault 'latency=1s; match=/assets/location-and-speed/stream')
		;;
	feed) command=(SAMSARA_API_TOKEN=sandbox "${command[@]}" --upstream-url "${address[samsara]}") ;;
	replica*) command+=(--sandbox --quota=false --drain-delay 1s) ;;
	esac
	: >"$log"
	env -i "${command[@]}" --log-format json </dev/null >>"$log" 2>&1 &
	pid[$name]=$!
	for _ in {1..300}; do
		at=$(sed -nE 's/.*"msg":"serving".*"'$field'":"([^"]+)".*/\1/p' "$log")
		[[ -z $at ]] || { address[$name]=$at; return 0; }
		kill -0 "${pid[$name]}" 2>/dev/null || break
		sleep 0.1
	done
	echo "the gateway $name does not serve:" >&2
	cat "$log" >&2
	return 1
}

# restart NAME SIGNAL ends a gateway by the signal, and starts it again at its address.
restart() {
	local name=$1 signal=$2 code=0
	{
		kill -s "$signal" "${pid[$name]}"
		timeout 60 tail -f -s 0.1 --pid="${pid[$name]}" /dev/null || kill -9 "${pid[$name]}"
		wait "${pid[$name]}" || code=$?
	} 2>/dev/null # Bash tells there what was killed.
	if [[ $signal == TERM && $code != 0 ]]; then
		echo "the gateway $name ended with exit code $code by SIGTERM:" >&2
		cat "$work/$name.log" >&2
		return 1
	fi
	serve "$name"
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
	serve plain && serve tls && serve samsara && serve feed && serve replica1 || return 1
	address[replica2]=127.0.0.2:${address[replica1]##*:}
	serve replica2
}

# reach LINE TIMES waits until the example has printed the line to standard error so many times. It fails if the
# example ends before.
reach() {
	until (($(grep -cxF "$1" "$err") >= $2)); do
		kill -0 "${pid[example]}" 2>/dev/null || return 1
		sleep 0.1
	done
}

# disturb does to the gateways what the example is to bear.
disturb() {
	local signal
	reach 'follow begins' 1 && restart feed KILL &&
		reach 'follow begins' 2 && restart feed TERM &&
		reach 'restarts begin' 1 || return 1
	for signal in TERM KILL; do
		restart replica1 $signal && restart replica2 $signal || return 1
	done
}

# try LANGUAGE runs its example.
try() {
	local language=$1 began=$SECONDS failed= expected=examples/$1/expected.txt calls
	[[ -e $expected ]] || expected=examples/expected.txt
	prepare || return 1
	: >"$err"
	rm -f "$work/in"
	mkfifo "$work/in"
	sleep infinity >"$work/in" & # It holds open what the example has as standard input.
	pid[input]=$!
	env -u SAMSARA_API_TOKEN GATEWAY="${address[plain]}" GATEWAY_TLS="localhost:${address[tls]##*:}" GATEWAY_CA="$work/ca.pem" \
		GATEWAY_FEED="${address[feed]}" GATEWAY_REPLICAS="gateways:${address[replica1]##*:}" timeout --kill-after=10s $limit \
		"examples/$language/run.sh" "$PWD/dist" "$PWD/bin/examples" <"$work/in" >"$out" 2>>"$err" &
	pid[example]=$!
	disturb || failed='its gateways were not restarted'
	kill "${pid[input]}"
	wait "${pid[example]}" || failed="exit code $?"
	unset 'pid[example]'
	stop
	diff -u "$expected" "$out" >&2 || failed=${failed:-'other lines than expected'}
	calls=$(sed -nE 's/^restarts: ([0-9]+) calls$/\1/p' "$err")
	[[ -n $calls ]] || failed=${failed:-'it does not say how many calls it made'}
	[[ -z $failed ]] || tail -n 50 "$err" >&2
	echo "$language: ${failed:-as expected}, ${calls:-no} calls during the restarts, $((SECONDS - began)) s"
	[[ -z $failed ]]
}

certify 2>"$work/certify.log" || { cat "$work/certify.log" >&2; exit 1; }
{ cat /etc/hosts && printf '%s gateways\n' 127.0.0.1 127.0.0.2; } >"$work/hosts"
mount --bind "$work/hosts" /etc/hosts
mkdir -p bin/examples
failures=()
for language in "${chosen[@]}"; do
	try "$language" || { stop; failures+=("$language"); }
done
((!${#failures[@]})) || { echo "examples that failed: ${failures[*]}" >&2; exit 1; }
