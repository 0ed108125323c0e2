#!/usr/bin/env bash
# A server of grpc-go may reset a stream at its deadline with CANCEL, instead of saying DEADLINE_EXCEEDED.
#
# Guess: a handler that returns context.DeadlineExceeded at the deadline of its call ends it with the status
#   DEADLINE_EXCEEDED, in the trailer.
# What happens: a timer of the transport fires at the same moment, and resets the stream with RST_STREAM CANCEL if it is
#   first. That is CANCELLED by the mapping of gRPC. Clients in Go and Java look at their own clock then, and report
#   DEADLINE_EXCEEDED. Others, such as connect, report what they were sent if their own timer is late, as it is on a
#   busy machine: a call that nobody cancelled.
# Versions: grpc-go 1.85.0, Go 1.26.8. Seen 2026-12-01, of 200 calls with a deadline of 20 ms, by a client without a timer:
#
#   reset with CANCEL: 27, trailers: 173
#
# Exits 0 if some are reset still, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod

cat >main.go <<'G'
// A server whose handler waits for the end of its context, and a client of plain HTTP/2 that has no timer.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

func main() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	server := grpc.NewServer()
	wait := func(_ any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "a.B", Methods: []grpc.MethodDesc{{MethodName: "C", Handler: wait}}}, nil)
	go func() { _ = server.Serve(lis) }()

	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: &protocols}}
	reset, trailers := 0, 0
	for range 200 {
		request, err := http.NewRequest(http.MethodPost, "http://"+lis.Addr().String()+"/a.B/C", bytes.NewReader(make([]byte, 5)))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		request.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "Grpc-Timeout": {"20m"}}
		response, err := client.Do(request)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		switch {
		case err == nil:
			trailers++
		case strings.Contains(err.Error(), "CANCEL"):
			reset++
		default:
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	fmt.Printf("reset with CANCEL: %d, trailers: %d\n", reset, trailers)
	if reset == 0 {
		os.Exit(1)
	}
}
G
{ go mod init reset && go get google.golang.org/grpc@v1.85.0 && go mod tidy && go build -o reset .; } >&2 || exit 2
./reset
