package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"samsara.internal/gateway/internal/admin"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
)

// What /readyz and /quota answer after one call.
func ExampleServer() {
	ctx := context.Background()
	limiter, err := quota.New(quota.Defaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = limiter.Close() }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := admin.New(admin.Config{
		Metrics: http.NotFoundHandler(), // that of package telemetry in the gateway
		Quotas:  func() map[string]quota.Snapshot { return map[string]quota.Snapshot{"default": limiter.Snapshot()} },
		Logger:  slog.New(slog.DiscardHandler),
	})
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()

	if listTags, err := limiter.Operation("ListTags", quota.Limit{}); err == nil {
		_, err = listTags.Admit(ctx, identity.Identity{Caller: "dispatch"})
		fmt.Println("admitted:", err == nil)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) []byte {
		resp, err := client.Get("http://" + listener.Addr().String() + path)
		if err != nil {
			fmt.Println(err)
			return nil
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			fmt.Println(err)
		}
		return body
	}
	fmt.Print(string(get("/readyz")))
	var state admin.Quotas
	if err := json.Unmarshal(get(admin.QuotaPath), &state); err != nil {
		fmt.Println(err)
	}
	for _, b := range state.Organizations["default"].Budgets {
		fmt.Println(b.Name, b.Admitted)
	}
	fmt.Println(server.Shutdown(ctx), <-served)
	// Output:
	// admitted: true
	// ready
	// token 1
	// organization 1
	// operation:ListTags 1
	// <nil> <nil>
}
