package lease

import "testing"

// TestUnconnected_heldForNobodyInParticular has a holder without a connection share its bytes with one that has one.
func TestUnconnected_heldForNobodyInParticular(t *testing.T) {
	t.Parallel()
	p := NewPool(64 * mib)
	shared, client := p.Holder(nil), p.Holder(new(socket))
	check := func(when string, used, unconnected int64) {
		t.Helper()
		if p.Used() != used || p.Unconnected() != unconnected {
			t.Errorf("%s: %d used, %d of them unconnected, want %d and %d", when, p.Used(), p.Unconnected(), used, unconnected)
		}
	}
	own := client.Add(mib)
	check("a client's", mib, 0)
	page := shared.Add(2 * mib)
	check("a page beside it", 3*mib, 2*mib)
	page.Count(4 * mib)
	check("the page has grown", 5*mib, 4*mib)
	other := page.Share(client)
	check("the client has the page too", 5*mib, 4*mib)
	page.Release()
	check("the client alone has the page", 5*mib, 0)
	other.Release()
	own.Release()
	check("all are released", 0, 0)
}
