package redisstore_test

import (
	"fmt"

	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/quota/redisstore"
)

// A limiter whose Redis does not answer admits this replica's share.
func ExampleNew() {
	store, err := redisstore.New(redisstore.Config{
		URL: "redis://:password@127.0.0.1:1", Organization: "acme", Token: "acme",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := quota.Defaults()
	cfg.Store, cfg.Replicas = store, 3
	limiter, err := quota.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }() // and the store
	state := limiter.Snapshot()
	fmt.Println(state.Store.Configured, state.Store.Up, state.Store.Replicas)
	fmt.Printf("%s: %v, %.0f of them\n", state.Budgets[0].Name, state.Budgets[0].Limit, state.Budgets[0].Effective)
	// Output:
	// true false 3
	// token: 150 in 1s, 48 of them
}
