package peer_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
	"samsara.internal/gateway/bench/internal/surface"
)

// message is what the stream sends: field 1, with one byte.
const message = "\x0a\x01x"

var body = fleet.Body{Bytes: 2 << 10, Order: fleet.Declared}

// serve runs a server for the length of the test and returns its address.
func serve(t *testing.T, name string, upstream *url.URL) string {
	t.Helper()
	server, err := peer.New(name, peer.Config{Upstream: upstream, Bodies: []fleet.Body{body}, Message: []byte(message)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Errorf("%s ended without an error", name)
		}
	})
	return l.Addr().String()
}

func stats(t *testing.T) surface.Method {
	t.Helper()
	m, err := surface.Local(fleet.Stats)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // The test does not depend on it.
	return connection
}

// call makes a call for a body.
func call(t *testing.T, address string, b fleet.Body) (proto.Message, error) {
	t.Helper()
	m := stats(t)
	req, resp := m.Input.New().Interface(), m.Output.New().Interface()
	if err := protojson.Unmarshal(fleet.Request(b, 0), req); err != nil {
		t.Fatal(err)
	}
	return resp, dial(t, address).Invoke(t.Context(), m.Name, req, resp)
}

func TestServer_wholeMessage(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	want, err := stats(t).Answer(body.JSON())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{peer.FloorA, peer.FloorC, peer.Protojson, peer.Vanguard} {
		got, err := call(t, serve(t, name, upstream), body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !proto.Equal(got, want) {
			t.Errorf("%s answers another message than protojson reads", name)
		}
	}
}

// get returns the status and the whole body of an answer.
func get(t *testing.T, target string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(got)
}

func TestFloorB_answersAsTheUpstream(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	target := "http://" + serve(t, peer.FloorB, upstream) + fleet.Stats.Path() + "?after=" + body.Cursor()
	if code, got := get(t, target); code != http.StatusOK || got != string(body.JSON()) {
		t.Errorf("status %d, %d bytes", code, len(got))
	}
}

func TestProtojson_unknownAnswer(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	_, err := call(t, serve(t, peer.Protojson, upstream), fleet.Body{Bytes: 7, Order: fleet.Declared})
	if status.Code(err) != codes.Unknown {
		t.Errorf("error %v, want Unknown", err)
	}
}

func TestNew_unknownServer(t *testing.T) {
	t.Parallel()
	if _, err := peer.New("envoy", peer.Config{Upstream: &url.URL{}}); err == nil {
		t.Error("no error, want one")
	}
}

func TestUpstream_feedPageAtItsTick(t *testing.T) {
	t.Parallel()
	next := fleet.TickAt(time.Now()) + 1
	target := "http://" + serve(t, peer.Upstream, &url.URL{}) + fleet.Feed.Path() + "?after=" + (next - 1).Cursor()
	code, got := get(t, target)
	if early := time.Until(next.Time()); code != http.StatusOK || got != string(fleet.FeedPage(next)) || early > 0 {
		t.Errorf("status %d, %d bytes, %s early", code, len(got), early)
	}
}

func TestStream_messageEachTick(t *testing.T) {
	t.Parallel()
	connection := dial(t, serve(t, peer.Stream, nil))
	stream, err := connection.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, peer.StreamMethod)
	if err != nil {
		t.Fatal(err)
	}
	next := fleet.TickAt(time.Now()) + 1
	if err := stream.SendMsg(wrapperspb.String((next - 1).Cursor())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var got emptypb.Empty // It keeps unknown fields.
		err := stream.RecvMsg(&got)
		if early := time.Until(next.Time()); err != nil || early > 0 {
			t.Fatalf("%s early, %v", early, err)
		}
		if unknown := got.ProtoReflect().GetUnknown(); string(unknown) != message {
			t.Errorf("message %q, want %q", unknown, message)
		}
		next++
	}
}
