#!/usr/bin/env bash
# ghz rounds an int64 that stands as a number in its data, and says nothing.
#
# Guess: `--data '{"value": 9007199254740993}'` sends 9007199254740993. It is valid JSON of protobuf, in which an
#   int64 may be a number, and grpcurl sends it as it is.
# What happens: ghz decodes the data into Go's any first, so each number becomes a float64. 2^53 + 1 arrives as
#   2^53. A load test that asks for ids or times in nanoseconds asks for other ones. Written as a text,
#   `{"value": "9007199254740993"}`, which the JSON of protobuf allows too, it arrives as it is.
# Versions: ghz 0.120.0, grpc-go 1.85.0, Go 1.26.8. Seen 2026-12-01:
#
#   as a number: 9007199254740992
#   as a text: 9007199254740993
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod

cat >number.proto <<'P'
syntax = "proto3";
package fleet;
message Number { int64 value = 1; }
service Numbers { rpc Tell(Number) returns (Number); }
P
cat >main.go <<'G'
// A server that prints the number of each request.
package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	server := grpc.NewServer()
	// A fleet.Number is an Int64Value on the wire.
	tell := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		number := new(wrapperspb.Int64Value)
		if err := decode(number); err != nil {
			return nil, err
		}
		fmt.Println(number.GetValue())
		return number, nil
	}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "fleet.Numbers", Methods: []grpc.MethodDesc{{MethodName: "Tell", Handler: tell}}}, nil)
	if err := os.WriteFile("address.new", []byte(lis.Addr().String()), 0o600); err == nil {
		err = os.Rename("address.new", "address")
	}
	if err == nil {
		err = server.Serve(lis)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(2)
}
G
{
	go mod init server && go get google.golang.org/grpc@v1.85.0 && go mod tidy && go build -o server . &&
		GOBIN=$work go install github.com/bojand/ghz/cmd/ghz@v0.120.0
} >&2 || exit 2

./server >seen &
server=$!
trap 'kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
for _ in {1..100}; do
	[[ ! -e address ]] || break
	sleep 0.1
done
tell() {
	./ghz --insecure --proto number.proto --call fleet.Numbers/Tell -n 1 -c 1 --data "$1" "$(<address)" >/dev/null || exit 2
	tail -n 1 seen
}
number=$(tell '{"value": 9007199254740993}')
text=$(tell '{"value": "9007199254740993"}')
echo "as a number: $number"
echo "as a text: $text"
[[ $number == 9007199254740992 && $text == 9007199254740993 ]]
