// Package peer holds the servers that the gateway is measured beside, and the upstream that all
// of them fetch from.
//
//	upstream   answers canned JSON over HTTP/1.1
//	floor-a    gRPC; answers canned bytes and has no upstream
//	floor-b    HTTP; fetches, and answers what it got
//	floor-c    gRPC; fetches, drops what it got, and answers canned bytes
//	protojson  a gateway as one writes it by hand: generated server, net/http, protojson
//	vanguard   connectrpc.com/vanguard before a reverse proxy
//	stream     gRPC; sends each of its streams a canned message a tick, and has no upstream
//
// All but the upstream, floor B and stream serve fleet.Stats under the name that this build of
// the gateway has for it. What the floors answer is as long as the message is on the wire.
// Nobody of them logs, counts or retries, and all fetch over the same kind of transport.
package peer

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
	"samsara.internal/gateway/bench/internal/surface"
)

// The names that New knows.
const (
	Upstream  = "upstream"
	FloorA    = "floor-a"
	FloorB    = "floor-b"
	FloorC    = "floor-c"
	Protojson = "protojson"
	Vanguard  = "vanguard"
	Stream    = "stream"
)

// Server serves until its listener is closed, which it reports as an error.
type Server interface {
	Serve(l net.Listener) error
}

// Config configures a server.
type Config struct {
	// Upstream is the address to fetch from. The upstream itself, floor A and stream need none.
	Upstream *url.URL
	// Bodies are the answers that can be asked for.
	Bodies []fleet.Body
	// Message is what stream sends.
	Message []byte
}

// New returns the server with a name.
func New(name string, cfg Config) (Server, error) {
	switch name {
	case Upstream:
		return overHTTP(newUpstream(cfg.Bodies)), nil
	case FloorB:
		return overHTTP(newProxy(newFetcher(cfg.Upstream))), nil
	case Stream:
		return newStream(cfg.Message), nil
	}
	stats, err := surface.Local(fleet.Stats)
	if err != nil {
		return nil, err
	}
	switch name {
	case FloorA:
		return newFloor(stats, cfg.Bodies, nil)
	case FloorC:
		return newFloor(stats, cfg.Bodies, newFetcher(cfg.Upstream))
	case Protojson:
		return newHandwritten(stats, newFetcher(cfg.Upstream))
	case Vanguard:
		handler, err := newVanguard(stats, cfg.Upstream)
		if err != nil {
			return nil, err
		}
		return overHTTP(handler), nil
	default:
		return nil, fmt.Errorf("server %q: must be %s", name,
			strings.Join([]string{Upstream, FloorA, FloorB, FloorC, Protojson, Vanguard, Stream}, ", "))
	}
}

// overHTTP serves HTTP/1.1 and cleartext HTTP/2.
func overHTTP(handler http.Handler) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{Handler: handler, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
}
