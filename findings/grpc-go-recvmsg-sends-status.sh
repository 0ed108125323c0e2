#!/usr/bin/env bash
# ServerStream.RecvMsg ends the call by itself: a handler cannot choose the status that the client
# sees for a request that could not be received.
#
# Guess: RecvMsg returns an error, and the handler decides what to make of it. What the handler
#   returns is what the client gets, and what interceptors log and count.
# What happens: for every error except io.EOF RecvMsg has already sent the status to the client. The
#   handler's own status, code and details, goes nowhere, and nobody is told: the interceptor sees
#   the handler's InvalidArgument with its detail, the client sees ResourceExhausted without one.
#   The request is well-formed protobuf that is longer than the server's MaxRecvMsgSize.
# Versions: google.golang.org/grpc v1.85.0, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   grpc-go 1.85.0, MaxRecvMsgSize 1024 bytes
#   request of 924 bytes
#     RecvMsg gave:     OK, 0 details, ""
#     interceptor saw:  InvalidArgument, 1 details, "name: must be shorter"
#     client saw:       InvalidArgument, 1 details, "name: must be shorter"
#   request of 1124 bytes
#     RecvMsg gave:     ResourceExhausted, 0 details, "grpc: received message larger than max (1127 vs. 1024)"
#     interceptor saw:  InvalidArgument, 1 details, "name: must be shorter"
#     client saw:       ResourceExhausted, 0 details, "grpc: received message larger than max (1127 vs. 1024)"
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// A handler that turns RecvMsg's error into a status of its own.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const limit = 1 << 10 // MaxRecvMsgSize of the server, in bytes

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
}

func show(err error) string {
	st := status.Convert(err)
	return fmt.Sprintf("%v, %d details, %q", st.Code(), len(st.Details()), st.Message())
}

// refusal is the handler's own status, with a detail.
func refusal() error {
	st, err := status.New(codes.InvalidArgument, "name: must be shorter").WithDetails(
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "name"}}})
	must(err)
	return st.Err()
}

func main() {
	received := make(chan string, 1)
	handler := func(_ any, s grpc.ServerStream) error {
		var m wrapperspb.StringValue
		err := s.RecvMsg(&m)
		received <- show(err)
		if err != nil || len(m.GetValue()) > limit/2 {
			return refusal()
		}
		return s.SendMsg(&emptypb.Empty{})
	}
	intercepted := make(chan string, 1)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(limit), grpc.StreamInterceptor(
		func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			err := next(srv, s)
			intercepted <- show(err)
			return err
		}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "s", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{StreamName: "M", Handler: handler, ServerStreams: true}}}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { must(server.Serve(listener)) }()
	defer server.Stop()
	client, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer client.Close()

	fmt.Printf("grpc-go %s, MaxRecvMsgSize %d bytes\n", grpc.Version, limit)
	try := func(length int) (told, saw string) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		s, err := client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/s/M")
		must(err)
		must(s.SendMsg(wrapperspb.String(strings.Repeat("x", length))))
		must(s.CloseSend())
		saw = show(s.RecvMsg(&emptypb.Empty{}))
		fmt.Printf("request of %d bytes\n  RecvMsg gave:     %s\n", length, <-received)
		told = <-intercepted
		fmt.Printf("  interceptor saw:  %s\n  client saw:       %s\n", told, saw)
		return told, saw
	}
	told, saw := try(limit - 100)
	same := told == saw && told == show(refusal())
	told, saw = try(limit + 100)
	if !same || told != show(refusal()) || !strings.HasPrefix(saw, "ResourceExhausted, 0 details") {
		fmt.Println("CHANGED: the client was expected to see the handler's status for the first request only")
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding && go get google.golang.org/grpc@v1.85.0 && go build -o finding .; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
