package identity_test

import (
	"fmt"

	"samsara.internal/gateway/internal/identity"
)

// An Identity may be the key of a map.
func ExampleIdentity() {
	dispatch := identity.Identity{Caller: "dispatch"}
	reports := identity.Identity{Caller: "reports", Batch: true}
	calls := make(map[identity.Identity]int)
	for _, from := range []identity.Identity{dispatch, reports, dispatch} {
		calls[from]++
	}
	fmt.Println(calls[dispatch], calls[reports], calls[identity.Identity{}])
	// Output: 2 1 0
}
