#!/usr/bin/env bash
# A call that has no request message, or two, of a method that takes one ends with INTERNAL, and not
# with UNIMPLEMENTED.
#
# Guess: UNIMPLEMENTED. The list of gRPC's status codes (doc/statuscodes.md of grpc/grpc) says so of a
#   "request cardinality violation", and connectrpc.com/conformance v1.0.7 has cases for it.
# What happens: INTERNAL, for unary methods and streams of answers alike. github.com/grpc/grpc-go/issues/7286
#   asked for UNIMPLEMENTED and is closed; issue 8119 there takes INTERNAL for right. Who counts INTERNAL
#   as the server's fault thus counts faults of clients. A handler cannot choose another code, for RecvMsg
#   has sent this one, see grpc-go-recvmsg-sends-status.sh.
# Versions: google.golang.org/grpc v1.85.0, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   grpc-go 1.85.0
#   /s/Unary  0 requests: Internal "cardinality violation: received no request message from non-client-streaming RPC"
#   /s/Unary  1 requests: OK ""
#   /s/Unary  2 requests: Internal "cardinality violation: received multiple request messages for non-client-streaming RPC"
#   /s/Stream 0 requests: Internal "cardinality violation: received no request message from non-client-streaming RPC"
#   /s/Stream 1 requests: OK ""
#   /s/Stream 2 requests: Internal "cardinality violation: received multiple request messages for non-client-streaming RPC"
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// A server with a unary method and a stream of answers, and a client that sends any number of requests.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
}

func main() {
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "s", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			m := new(emptypb.Empty)
			return m, decode(m)
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			m := new(emptypb.Empty)
			if err := s.RecvMsg(m); err != nil {
				return err
			}
			return s.SendMsg(m)
		}}},
	}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { must(server.Serve(listener)) }()
	defer server.Stop()
	client, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer client.Close()

	fmt.Printf("grpc-go %s\n", grpc.Version)
	changed := false
	for _, method := range []string{"/s/Unary", "/s/Stream"} {
		for requests, want := range []codes.Code{codes.Internal, codes.OK, codes.Internal} {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			s, err := client.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
			must(err)
			for range requests {
				must(s.SendMsg(new(emptypb.Empty)))
			}
			must(s.CloseSend())
			got := status.Convert(s.RecvMsg(new(emptypb.Empty)))
			cancel()
			fmt.Printf("%-9s %d requests: %v %q\n", method, requests, got.Code(), got.Message())
			changed = changed || got.Code() != want
		}
	}
	if changed {
		fmt.Println("CHANGED: Internal was expected for 0 and 2 requests, and OK for 1")
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding && go get google.golang.org/grpc@v1.85.0 && go build -o finding .; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
