#!/usr/bin/env bash
# A mem.Buffer of an answer is not always freed: grpc-go forgets what it still has queued when the
# connection ends.
#
# Guess: CodecV2 says that gRPC frees the buffers of Marshal "when they are no longer needed". So a
#   server that lends pooled buffers, or counts the bytes that are out, gets each of them back once:
#   written, cancelled, or given up because the connection is gone.
# What happens: a client reads nothing, so that each answer stays in its stream's queue after the
#   first 64 KiB. If it cancels the calls, all buffers come back. If it closes the connection, none
#   ever does, not even when the server stops. The bytes are not lost, for the collector takes them,
#   but a pool is never filled again, and a count of bytes in flight never goes down again.
# Versions: google.golang.org/grpc v1.85.0, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   grpc-go 1.85.0, 50 answers of 1 MiB, every handler has returned
#   client reads every answer:    BufferPool.Put 50 of 50, garbage collector took 50
#   client cancels every call:    BufferPool.Put 50 of 50, garbage collector took 50
#   client closes the connection: BufferPool.Put  0 of 50, garbage collector took 50
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// A server whose codec hands grpc-go pooled buffers, and clients that read the answers, cancel
// them, or close their connection.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

const (
	answers = 50
	size    = 1 << 20
	bound   = 3 * time.Second
)

// pool counts the buffers that come back, and those that the collector takes.
type pool struct{ put, collected atomic.Int64 }

func (p *pool) Get(n int) *[]byte {
	b := make([]byte, n)
	runtime.AddCleanup(&b[0], func(struct{}) { p.collected.Add(1) }, struct{}{})
	return &b
}

func (p *pool) Put(*[]byte) { p.put.Add(1) }

// codec answers a size with that many bytes of its pool. Requests are empty.
type codec struct{ pool *pool }

func (codec) Name() string                         { return "raw" }
func (codec) Unmarshal(mem.BufferSlice, any) error { return nil }
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	n, _ := v.(int)
	if n == 0 {
		return nil, nil
	}
	return mem.BufferSlice{mem.NewBuffer(c.pool.Get(n), c.pool)}, nil
}

// until waits at most bound for ok.
func until(ok func() bool) {
	for end := time.Now().Add(bound); !ok() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
}

type call struct {
	stream grpc.ClientStream
	cancel context.CancelFunc
}

// try returns how many buffers were put back, and how many the collector took after the server
// had stopped.
func try(leave func(*grpc.ClientConn, []call)) (put, collected int64) {
	var p pool
	var returned atomic.Int64
	answer := func(n int) grpc.StreamHandler {
		return func(_ any, s grpc.ServerStream) error {
			defer returned.Add(1)
			return s.SendMsg(n)
		}
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{&p}))
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "s", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{
		{StreamName: "Large", Handler: answer(size), ServerStreams: true},
		{StreamName: "Empty", Handler: answer(0), ServerStreams: true},
	}}, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() { must(server.Serve(listener)) }()

	client, err := grpc.NewClient(listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), // so the rest of an answer stays at the server
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{&p})))
	must(err)
	defer client.Close()
	open := func(method string) call {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		s, err := client.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
		must(err)
		must(s.SendMsg(nil))
		must(s.CloseSend())
		return call{s, cancel}
	}
	var calls []call
	for range answers {
		calls = append(calls, open("/s/Large"))
	}
	until(func() bool { return returned.Load() == answers })
	if returned.Load() != answers {
		must(errors.New("not every handler returned"))
	}
	// grpc works off what it has to do in order: all answers lie in their streams' queues now.
	marker := open("/s/Empty")
	must(marker.stream.RecvMsg(nil))
	marker.cancel()

	leave(client, calls)
	until(func() bool { return p.put.Load() == answers })
	for _, c := range calls {
		c.cancel()
	}
	server.Stop()
	until(func() bool { runtime.GC(); return p.collected.Load() == answers })
	return p.put.Load(), p.collected.Load()
}

func main() {
	fmt.Printf("grpc-go %s, %d answers of 1 MiB, every handler has returned\n", grpc.Version, answers)
	seen := map[string]int64{}
	for _, way := range []struct {
		name  string
		leave func(*grpc.ClientConn, []call)
	}{
		{"reads every answer", func(_ *grpc.ClientConn, calls []call) {
			for _, c := range calls {
				must(c.stream.RecvMsg(nil))
			}
		}},
		{"cancels every call", func(_ *grpc.ClientConn, calls []call) {
			for _, c := range calls {
				c.cancel()
			}
		}},
		{"closes the connection", func(client *grpc.ClientConn, _ []call) { must(client.Close()) }},
	} {
		put, collected := try(way.leave)
		seen[way.name] = put
		fmt.Printf("client %-22s BufferPool.Put %2d of %d, garbage collector took %2d\n", way.name+":", put, answers, collected)
	}
	if seen["reads every answer"] != answers || seen["cancels every call"] != answers || seen["closes the connection"] != 0 {
		fmt.Println("CHANGED: 50, 50 and 0 were expected")
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding && go get google.golang.org/grpc@v1.85.0 && go build -o finding .; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
