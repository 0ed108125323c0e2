package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

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
