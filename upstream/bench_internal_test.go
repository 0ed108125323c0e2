package upstream

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

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
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	client.transport = canned(`{"name":"n"}`)
	req := func(edit func(*Request)) *Request {
		r := &Request{
			Method: http.MethodGet, Path: "/fleet/vehicles/281474977075805", Query: "limit=100&after=0f7a",
			Template: "/fleet/vehicles/{id}", Repeatable: true, Decoder: decoder,
		}
		edit(r)
		return r
	}
	for _, bench := range []struct {
		name string
		req  *Request
	}{
		{"that cannot be shared", req(func(r *Request) { r.NoStore = true })},
		{"that nobody shares", req(func(*Request) {})},
		{"from the cache", req(func(r *Request) { r.CacheTTL = time.Hour })},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Do(b.Context(), bench.req)
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
		all  flights
		mine flight
		resp Response
	)
	memory := lease.NewPool(1 << 20).Holder(nil)
	key := readKey{authorized: new(authorized), path: "/fleet/vehicles/281474977075805", query: "limit=100&after=0f7a"}
	b.ReportAllocs()
	for b.Loop() {
		all.join(key, &mine)
		all.land(key, &mine, memory, &resp, nil)
	}
}
