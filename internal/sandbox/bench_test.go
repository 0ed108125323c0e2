package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"samsara.internal/gateway/internal/sandbox"
)

// It reads pages of a large fleet's feed, far back in its history. A reader of a million records asks for
// two thousand such pages.
func BenchmarkFeeds_page(b *testing.B) {
	for name, target := range map[string]string{
		"locations":  "/assets/location-and-speed/stream?limit=512&startTime=2026-03-01T12:00:00Z",
		"statistics": "/fleet/vehicles/stats/feed?types=gps,engineStates,obdOdometerMeters",
		"list":       "/fleet/vehicles?limit=512",
	} {
		b.Run(name, func(b *testing.B) {
			s, err := sandbox.New(sandbox.Config{
				Endpoints: endpoints(b), Token: token, Seed: 1, Now: (&clock{}).now, Fleet: 1000, PageSize: 512,
			})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("%s = %d %s", target, w.Code, w.Body)
				}
				b.SetBytes(int64(w.Body.Len()))
			}
		})
	}
}
