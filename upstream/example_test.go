package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"time"

	"samsara.internal/gateway/upstream"
)

func ExampleClient_Do() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"message":"Vehicle not found.","requestId":"q-1"}`))
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := upstream.New(upstream.Config{BaseURL: base, Token: upstream.StaticToken("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	passthrough, err := client.Operation(upstream.OperationSpec{}) // once, at start-up
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Do(context.Background(), passthrough, upstream.Request{Method: http.MethodGet, Path: "/fleet/vehicles/7"})
	var failed *upstream.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Code, failed.ReasonText(), failed.RequestID)
	}
	fmt.Println(err)
	// Output:
	// NotFound NOT_FOUND q-1
	// GET (passthrough): NOT_FOUND (attempts: 1): Vehicle not found.
}

// A request is sent again after a 503, but not after a 429 that asks for a longer wait than a caller
// without a deadline is kept waiting.
func ExampleClient_Do_retry() {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			_, _ = w.Write([]byte(`{"data":[]}`))
		default:
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := upstream.New(upstream.Config{
		BaseURL: base, Token: upstream.StaticToken("secret"), Retry: upstream.RetryPolicy{BaseDelay: time.Millisecond},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	passthrough, err := client.Operation(upstream.OperationSpec{})
	if err != nil {
		fmt.Println(err)
		return
	}
	get := upstream.Request{Method: http.MethodGet, Path: "/tags"}
	resp, err := client.Do(context.Background(), passthrough, get)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.Status, string(resp.Body), "attempts:", resp.Attempts)
	resp.Release()

	_, err = client.Do(context.Background(), passthrough, get)
	var failed *upstream.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.GRPCStatus().Code(), failed.ReasonText(), failed.RetryAfter, "not repeated:", failed.NotRepeated)
	}
	// Output:
	// 200 {"data":[]} attempts: 2
	// ResourceExhausted RATE_LIMITED 1h0m0s not repeated: deadline
}
