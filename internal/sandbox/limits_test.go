package sandbox_test

import (
	"testing"
	"time"

	"samsara.internal/gateway/internal/sandbox"
)

func limited(c *sandbox.Config) { c.RateLimits = true }

func TestRateLimitOfAnOperationIsForAnyIntervalOfItsWindow(t *testing.T) {
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

func TestRateLimitOfTheTokenIsForAllRequests(t *testing.T) {
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

func TestRateLimitsAreOffUnlessAskedFor(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	for range 20 {
		if got := a.call(t, "GET /gateways", ""); got.status != 200 {
			t.Fatalf("got %d, want 200", got.status)
		}
	}
}
