package peer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"samsara.internal/gateway/bench/internal/fleet"
)

// newUpstream returns the upstream. It answers each body under its cursor, and each page of the feed when
// its time comes.
func newUpstream(bodies []fleet.Body) http.Handler {
	canned := make(map[string][]byte, len(bodies))
	for _, b := range bodies {
		canned[b.Cursor()] = b.JSON()
	}
	mux := http.NewServeMux()
	mux.HandleFunc(string(fleet.Stats), func(w http.ResponseWriter, r *http.Request) {
		body, ok := canned[r.URL.Query().Get("after")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		writeJSON(w, body)
	})
	mux.HandleFunc(string(fleet.Feed), func(w http.ResponseWriter, r *http.Request) {
		tick, err := fleet.ParseTick(r.URL.Query().Get("after"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		tick++
		if waitUntil(r.Context(), tick) == nil {
			writeJSON(w, fleet.FeedPage(tick))
		}
	})
	return mux
}

// waitUntil waits until a page is available or ctx ends.
func waitUntil(ctx context.Context, tick fleet.Tick) error {
	timer := time.NewTimer(time.Until(tick.Time()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func writeJSON(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) //nolint:gosec // JSON, for clients that show nothing; fails only if the client is gone
}

// transport returns net/http's default transport, with room for every connection that the measurements
// keep open.
func transport() *http.Transport {
	return &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true}
}

// fetcher fetches from the upstream into buffers that are used again.
type fetcher struct {
	base      url.URL
	transport *http.Transport
	buffers   sync.Pool
}

func newFetcher(upstream *url.URL) *fetcher {
	return &fetcher{base: url.URL{Scheme: upstream.Scheme, Host: upstream.Host, Path: fleet.Stats.Path()}, transport: transport()}
}

// fetch gets an answer and passes it to use. After that its bytes are used again.
func (f *fetcher) fetch(ctx context.Context, query url.Values, use func(body []byte) error) error {
	target := f.base
	target.RawQuery = query.Encode()
	req := (&http.Request{Method: http.MethodGet, URL: &target, Header: http.Header{"Authorization": {"Bearer token"}}}).WithContext(ctx)
	resp, err := f.transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or failed already
	if resp.StatusCode != http.StatusOK || resp.ContentLength > 2*fleet.MaxBytes {
		return fmt.Errorf("the upstream answered %s with %d bytes", resp.Status, resp.ContentLength)
	}
	buffer, ok := f.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	defer f.buffers.Put(buffer)
	buffer.Reset()
	buffer.Grow(int(max(resp.ContentLength, 0)) + bytes.MinRead)
	if _, err := buffer.ReadFrom(resp.Body); err != nil {
		return err
	}
	return use(buffer.Bytes())
}

// newProxy returns floor B.
func newProxy(from *fetcher) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := from.fetch(r.Context(), r.URL.Query(), func(body []byte) error {
			writeJSON(w, body)
			return nil
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	})
}
