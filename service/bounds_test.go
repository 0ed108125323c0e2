package service_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/service"
)

// TestMetadata_tooMuch sends metadata around the bound, with a call and with a stream.
func TestMetadata_tooMuch(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Endpoints: endpoints(t), Upstream: answers(`{"data":{"id":"1"}}`)})
	call := func(bytes int) error {
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", bytes))
		return g.conn.Invoke(ctx, createVehicle, &emptypb.Empty{}, &emptypb.Empty{})
	}
	if err := call(60 << 10); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "name: is required") {
		t.Errorf("with 60 KiB: got %v, want the request to be looked at", err)
	}
	err := call(65 << 10)
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "metadata: has ") || !strings.Contains(err.Error(), "must have at most 65536") {
		t.Errorf("with 65 KiB: got %v, want the metadata refused", err)
	}
	var field string
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			field = bad.GetFieldViolations()[0].GetField()
		}
	}
	if field != "metadata" {
		t.Errorf("the field is %q, want metadata", field)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-large", strings.Repeat("x", 65<<10))
	watch, err := healthv1.NewHealthClient(g.conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a stream: got %v, want InvalidArgument", err)
	}
	if !strings.Contains(g.log.String(), "call refused") {
		t.Error("what was refused is not logged")
	}
}

// TestConnections_bounded opens one connection too many, and another one when one has gone.
func TestConnections_bounded(t *testing.T) {
	t.Parallel()
	server, err := service.New(service.Config{Upstream: answers(`{}`), MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(lis) }()
	defer func() {
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel()
		_ = server.Stop(ctx) // Connections are open.
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	// served reports whether the server greets a new connection, with its SETTINGS.
	dial := func() (conn net.Conn, greeted bool) {
		t.Helper()
		conn, err := net.Dial("tcp", lis.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
			return conn, false
		}
		_, err = io.ReadFull(conn, make([]byte, 9))
		return conn, err == nil
	}
	first, ok := dial()
	_, alsoOK := dial()
	if !ok || !alsoOK {
		t.Fatal("the connections that may be open are refused")
	}
	if _, ok := dial(); ok {
		t.Error("a third connection stays open")
	}
	if open, limit, refused := server.Connections(); open != 2 || limit != 2 || refused != 1 {
		t.Errorf("%d of %d connections are open, %d were refused, want 2 of 2 and 1", open, limit, refused)
	}
	_ = first.Close()
	for range 1000 {
		if _, ok = dial(); ok {
			return
		}
	}
	t.Error("no connection is taken, although one has gone")
}

// TestConnectionAge_streamsEnd has streams over a connection that becomes too old.
func TestConnectionAge_streamsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 3, 2)
		g := start(t, service.Config{Endpoints: load(t, testproto.Readings), Upstream: up, MaxConnectionAge: time.Hour})
		begun := time.Now()
		r := g.open(t.Context(), t, followReadings, `{}`)
		watch, err := healthv1.NewHealthClient(g.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
		for err == nil {
			_, err = watch.Recv()
		}
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "as old as it may become") {
			t.Errorf("the health watch ends with %v", err)
		}
		_, end := r.rest()
		if age := time.Since(begun); age < 66*time.Minute || age > 73*time.Minute {
			t.Errorf("the stream ends after %v, want 66 to 72 minutes", age)
		}
		if end.Code() != codes.Unavailable || end.reason() != "GATEWAY_DRAINING" || end.cursor() != "3" {
			t.Errorf("the stream ends with %v and cursor %q, want GATEWAY_DRAINING and 3", end.Err(), end.cursor())
		}
		up.grow(2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g.open(ctx, t, followReadings, `{"options":{"fromCursor":"`+end.cursor()+`"}}`).records(3, 2)
	})
}

// TestConnectionAge_clientThatDoesNotRead has a client that reads nothing of a stream until its connection is older
// than a connection may become. The stream's end is still behind what was sent before.
func TestConnectionAge_clientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := newFakeFeed(t, 20, 1)
		up.text = strings.Repeat("x", 16<<10)
		g := start(t, service.Config{
			Endpoints: load(t, testproto.Readings), Upstream: up, MaxConnectionAge: time.Hour, DefaultDeadline: 5 * time.Minute,
		}, grpc.WithInitialWindowSize(64<<10))
		r := g.open(t.Context(), t, followReadings, `{}`)
		time.Sleep(88 * time.Minute) //nolint:forbidigo // virtual
		if err := r.stream.Context().Err(); err != nil {
			t.Fatalf("the stream has ended after 88 minutes: %v", err)
		}
		time.Sleep(15 * time.Minute) //nolint:forbidigo // virtual
		_, end := r.rest()
		if end.Code() != codes.Unavailable || end.reason() != "" || end.cursor() != "" {
			t.Errorf("the stream ends with %v, reason %q and cursor %q, want a lost connection", end.Err(), end.reason(), end.cursor())
		}
	})
}
