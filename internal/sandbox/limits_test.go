package sandbox_test

import (
	"testing"
	"time"

	"samsara.internal/gateway/internal/sandbox"
)

func limited(c *sandbox.Config) { c.RateLimits = true }

func TestRateLimits_ofOperation(t *testing.T) {
	t.Parallel()
	a := serve(t, limited)
	calls := func(n int) (admitted int, retryAfter string) {
		t.Helper()
		for range n {
			switch got := a.call(t, "GET /gateways", ""); got.status {
			case 200:
				admitted++
			case 429:
				retryAfter = got.header.Get("Retry-After")
			default:
				t.Fatalf("got %d %s", got.status, got.text)
			}
		}
		return admitted, retryAfter
	}
	want := func(step string, n, admitted int, retryAfter string) {
		t.Helper()
		if got, after := calls(n); got != admitted || after != retryAfter {
			t.Errorf("%s: %d of %d calls were admitted, Retry-After %q; want %d, %q", step, got, n, after, admitted, retryAfter)
		}
	}
	want("at first", 3, 3, "")
	a.clock.advance(900 * time.Millisecond)
	want("before the first are a second old", 4, 2, "0.1")
	a.clock.advance(100 * time.Millisecond)
	want("when they are", 5, 3, "0.9")
	a.clock.advance(900 * time.Millisecond)
	want("when those after them are", 5, 2, "0.1")
	if got := a.call(t, "GET /me", ""); got.status != 200 {
		t.Errorf("another operation got %d, want 200", got.status)
	}
}

func TestRateLimits_ofToken(t *testing.T) {
	t.Parallel()
	a := serve(t, limited)
	admitted := 0
	for i := range 160 {
		line := "GET /me"
		if i%2 == 1 {
			line = "GET /no/such/path"
		}
		if got := a.call(t, line, ""); got.status != 429 {
			admitted++
		}
	}
	if admitted != 150 {
		t.Errorf("%d of 160 calls were admitted at one time, want 150", admitted)
	}
}

func TestRateLimits_offByDefault(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for range 20 {
		if got := a.call(t, "GET /gateways", ""); got.status != 200 {
			t.Fatalf("got %d, want 200", got.status)
		}
	}
}

// limit is a number of requests in any window.
type limit struct {
	requests int
	window   time.Duration
}

// corrected has, by limit, the operations for which the document states no rate limit, or a higher one; and
// the one for which an older copy of Samsara's chart states a lower one.
func corrected() map[limit][]string {
	return map[limit][]string{
		{100, time.Minute}: {
			"POST /addresses", "PATCH /addresses/1", "DELETE /addresses/1", "POST /fleet/documents/pdfs", "POST /fleet/drivers",
			"PATCH /fleet/drivers/1", "POST /fleet/dvirs", "PATCH /fleet/dvirs/1", "PATCH /fleet/vehicles/1", "POST /tags",
			"PATCH /tags/1", "PUT /tags/1", "DELETE /tags/1", "POST /v1/fleet/messages",
		},
		{5, time.Second}: {
			"GET /addresses", "GET /fleet/drivers", "GET /fleet/drivers/tachograph-activity/history", "GET /fleet/equipment",
			"GET /fleet/equipment/1", "GET /fleet/equipment/locations", "GET /fleet/equipment/locations/feed",
			"GET /fleet/equipment/locations/history", "GET /tags", "GET /tags/1",
			"GET /fleet/drivers/tachograph-files/history", "GET /fleet/vehicles/tachograph-files/history",
		},
		{10, time.Second}: {"GET /fleet/equipment/stats/feed", "GET /fleet/equipment/stats/history", "GET /assets/location-and-speed/stream"},
		{25, time.Second}: {
			"GET /addresses/1", "GET /fleet/documents/pdfs/1", "GET /fleet/drivers/1", "GET /fleet/hos/clocks", "GET /fleet/vehicles/1",
			"GET /fleet/vehicles/locations", "GET /v1/fleet/assets/1/locations", "GET /v1/fleet/assets/1/reefer", "GET /fleet/equipment/stats",
		},
		{50, time.Second}: {
			"GET /fleet/dvirs/history", "GET /fleet/vehicles/locations/feed", "GET /fleet/vehicles/locations/history",
			"GET /fleet/vehicles/stats", "GET /fleet/vehicles/stats/feed", "GET /fleet/vehicles/stats/history", "GET /v1/fleet/trips",
		},
	}
}

func TestRateLimits_corrected(t *testing.T) {
	t.Parallel()
	a := serve(t, limited)
	for of, operations := range corrected() {
		for _, line := range operations {
			admitted := 0
			for range of.requests + 1 {
				if a.call(t, line, "").status != 429 {
					admitted++
				}
				a.clock.advance(10 * time.Millisecond) // So that the limit of the token is not met.
			}
			if admitted != of.requests {
				t.Errorf("%s: %d of %d calls were admitted, want %d in %v", line, admitted, of.requests+1, of.requests, of.window)
			}
			a.clock.advance(of.window - 10*time.Millisecond*time.Duration(of.requests+1))
			if got := a.call(t, line, ""); got.status == 429 {
				t.Errorf("%s: a window after the first call got 429, Retry-After %s", line, got.header.Get("Retry-After"))
			}
			a.clock.advance(time.Second)
		}
	}
}
