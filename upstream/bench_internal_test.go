package upstream

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/http1"
	"samsara.internal/gateway/internal/lease"
	"samsara.internal/gateway/internal/testproto"
	"samsara.internal/gateway/internal/transcode"
)

// canned is a transport that answers every request alike, at once.
type canned string

func (c canned) RoundTripThrough(http1.Gate, *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: int64(len(c)), Body: io.NopCloser(strings.NewReader(string(c)))}, nil
}

func (canned) CloseIdleConnections() {}

// BenchmarkRead has no network: what reads cost beside it.
func BenchmarkRead(b *testing.B) {
	md := testproto.Message(b, `
		syntax = "proto3";
		message Thing { optional string name = 1; }`, "Thing")
	decoder, err := new(transcode.Compiler).Decoder(md)
	if err != nil {
		b.Fatal(err)
	}
	client, err := New(Config{
		BaseURL: &url.URL{Scheme: "http", Host: "localhost"}, Token: StaticToken("secret"), CacheBytes: 1 << 20,
		CacheTTL: func(string) time.Duration { return time.Hour },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	client.attempt.transport = canned(`{"name":"n"}`)
	operation := func(pages bool) *Operation {
		op, err := client.Operation(OperationSpec{Pages: pages, Endpoint: &endpoint.Endpoint{
			FullMethod: "/samsara_gateway.fleet.v1.FleetService/GetVehicle", HTTPMethod: http.MethodGet, HasResponse: true, Response: decoder,
			Operation: &apiv1.Operation{Path: "/fleet/vehicles/{id}", Repeatable: true},
		}})
		if err != nil {
			b.Fatal(err)
		}
		return op
	}
	req := Request{Path: "/fleet/vehicles/281474977075805", Query: "limit=100&after=0f7a"}
	for _, bench := range []struct {
		name           string
		pages, noStore bool
	}{
		{"that cannot be shared", false, true},
		{"that nobody shares", true, false},
		{"from the cache", false, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			op, req := operation(bench.pages), req
			req.NoStore = bench.noStore
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Do(b.Context(), op, req)
				if err != nil {
					b.Fatal(err)
				}
				resp.Release()
			}
		})
	}
}

// BenchmarkFlight is what a read that nobody shares costs more than one that cannot be shared.
func BenchmarkFlight(b *testing.B) {
	var (
		all  share
		mine flight
		resp Response
	)
	memory := lease.NewPool(1 << 20).Holder(nil)
	key := readKey{tokens: "secret", path: "/fleet/vehicles/281474977075805", query: "limit=100&after=0f7a"}
	b.ReportAllocs()
	for b.Loop() {
		all.join(key, &mine)
		all.land(key, &mine, memory, &resp, nil)
	}
}
