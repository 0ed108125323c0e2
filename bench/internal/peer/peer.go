// Package peer holds the servers that the gateway is measured beside, and the upstream that all
// of them fetch from.
//
//	upstream   answers canned JSON over HTTP/1.1
//	floor-a    gRPC; answers canned bytes and has no upstream
//	floor-b    HTTP; fetches, and answers what it got
//	floor-c    gRPC; fetches, drops what it got, and answers canned bytes
//	protojson  a gateway as one writes it by hand: generated server, net/http, protojson
//	vanguard   connectrpc.com/vanguard before a reverse proxy
//
// All but the upstream and floor B serve GetVehicleStats. What the floors answer is as long as
// the message is on the wire. Nobody of them logs, counts or retries, and all fetch over the
// same kind of transport.
package peer

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"samsara.internal/gateway/bench/internal/fleet"
	vehiclestatsv1 "samsara.internal/gateway/gen/samsara/vehicle_stats/v1"
)

// The names that New knows.
const (
	Upstream  = "upstream"
	FloorA    = "floor-a"
	FloorB    = "floor-b"
	FloorC    = "floor-c"
	Protojson = "protojson"
	Vanguard  = "vanguard"
)

// Server serves until its listener is closed, which it reports as an error.
type Server interface {
	Serve(l net.Listener) error
}

// New returns the server of that name, which fetches from upstream and answers for bodies
// alone. The upstream itself and floor A need no upstream.
func New(name string, upstream *url.URL, bodies []fleet.Body) (Server, error) {
	switch name {
	case Upstream:
		return overHTTP(newUpstream(bodies)), nil
	case FloorB:
		return overHTTP(newProxy(newFetcher(upstream))), nil
	case FloorA:
		return newFloor(bodies, nil)
	case FloorC:
		return newFloor(bodies, newFetcher(upstream))
	case Protojson:
		server := grpc.NewServer()
		vehiclestatsv1.RegisterVehicleStatsServiceServer(server, &handwritten{from: newFetcher(upstream)})
		return server, nil
	case Vanguard:
		handler, err := newVanguard(upstream)
		if err != nil {
			return nil, err
		}
		return overHTTP(handler), nil
	default:
		return nil, fmt.Errorf("server %q: must be %s, %s, %s, %s, %s or %s", name, Upstream, FloorA, FloorB, FloorC, Protojson, Vanguard)
	}
}

// overHTTP serves HTTP/1.1 and cleartext HTTP/2.
func overHTTP(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
}

// wire returns a body's message on the wire.
func wire(b fleet.Body) ([]byte, error) {
	message, err := fleet.Answer(b)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(message)
}
