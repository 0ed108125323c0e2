package peer_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/peer"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

var body = fleet.Body{Bytes: 2 << 10, Order: fleet.Declared}

// serve runs a server for the length of the test and returns its address.
func serve(t *testing.T, name string, upstream *url.URL) string {
	t.Helper()
	server, err := peer.New(name, upstream, []fleet.Body{body})
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

// call asks for a body.
func call(t *testing.T, address string, b fleet.Body) (*vehiclestatsv1.GetVehicleStatsResponse, error) {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close() //nolint:errcheck // nothing hangs on it
	return vehiclestatsv1.NewVehicleStatsServiceClient(connection).GetVehicleStats(t.Context(), fleet.Request(b))
}

func TestEveryGRPCServerAnswersTheWholeMessage(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	want, err := fleet.Answer(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{peer.FloorA, peer.FloorC, peer.Protojson, peer.Vanguard} {
		got, err := call(t, serve(t, name, upstream), body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !proto.Equal(got, want) {
			t.Errorf("%s answers something else than protojson reads", name)
		}
	}
}

func TestFloorBAnswersWhatTheUpstreamDoes(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	target := "http://" + serve(t, peer.FloorB, upstream) + fleet.Path + "?after=" + body.Cursor()
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
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || string(got) != string(body.JSON()) {
		t.Errorf("status %d, %d bytes, %v", resp.StatusCode, len(got), err)
	}
}

func TestAnAnswerThatTheUpstreamDoesNotHaveIsAnError(t *testing.T) {
	t.Parallel()
	upstream := &url.URL{Scheme: "http", Host: serve(t, peer.Upstream, &url.URL{})}
	_, err := call(t, serve(t, peer.Protojson, upstream), fleet.Body{Bytes: 7, Order: fleet.Declared})
	if status.Code(err) != codes.Unknown {
		t.Errorf("error %v, want Unknown", err)
	}
}

func TestAServerThatThereIsNotIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := peer.New("envoy", &url.URL{}, nil); err == nil {
		t.Error("no error")
	}
}
