package http1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"samsara.internal/gateway/internal/http1"
)

func ExampleTransport() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
	}))
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		fmt.Println(err)
		return
	}
	transport := http1.New(http1.Config{
		Server: base, DialContext: (&net.Dialer{}).DialContext, HandshakeTimeout: 10 * time.Second,
		MaxIdleConns: 10, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
	})
	defer transport.CloseIdleConnections()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/tags", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body) // To its end, so that the connection is used again.
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 OK GET /tags <nil>
}

// A request that was not sent may be sent again, whatever its method.
func ExampleNotSentError() {
	transport := http1.New(http1.Config{
		Server: &url.URL{Scheme: "http", Host: "nowhere.test"},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("no route to host")
		},
	})
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://nowhere.test/tags", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	var notSent *http1.NotSentError
	fmt.Println(errors.As(err, &notSent), err)
	// Output: true no route to host
}
