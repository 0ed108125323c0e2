package upstream_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"samsara.internal/gateway/upstream"
)

func TestPreview_isTheRequestOfTheFirstAttempt(t *testing.T) {
	t.Parallel()
	client, err := upstream.New(upstream.Config{
		BaseURL: &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/below"}, Token: upstream.StaticToken("open"),
		APIVersion: "2025-10-23", AttemptHeader: "X-Attempt",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	op, err := client.Operation(upstream.OperationSpec{Passthrough: true})
	if err != nil {
		t.Fatal(err)
	}
	post := upstream.Request{Method: http.MethodPost, Path: "/tags", Query: "a=b", Body: []byte(`{}`), Header: []upstream.Header{{Name: "x-more", Value: "1"}}}
	p, err := client.Preview(t.Context(), op, post)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(p.Request.Body)
	if got := p.Request.Method + " " + p.Request.URL.String() + " " + string(body); got != "POST http://127.0.0.1:1/below/tags?a=b {}" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	want := http.Header{
		"Accept": {"application/json"}, "Authorization": {"Bearer open"}, "Content-Type": {"application/json"}, "User-Agent": {"samsara-gateway"},
		"X-Attempt": {"1"}, "X-More": {"1"}, "X-Samsara-Version": {"2025-10-23"},
	}
	if diff := cmp.Diff(want, p.Request.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if p.Repeatable || p.Shared || p.Repeats(http.StatusBadGateway) || !p.Repeats(http.StatusServiceUnavailable) || !p.Repeats(0) {
		t.Errorf("a POST: %+v", p)
	}
	if post.RetryAlways = true; !preview(t, client, op, post).Repeats(http.StatusBadGateway) {
		t.Error("a POST that is always repeated is not, after 502")
	}
	read := preview(t, client, op, upstream.Request{Method: http.MethodGet, Path: "/tags"})
	if !read.Repeatable || !read.Shared || read.Repeats(http.StatusNotFound) || read.CacheTTL != 0 || read.Retry.MaxAttempts != 4 {
		t.Errorf("a GET: %+v", read)
	}
	if _, err := client.Preview(t.Context(), op, upstream.Request{Method: http.MethodGet, Path: "tags"}); err == nil {
		t.Error("a path without a slash is previewed")
	}
}

func preview(t *testing.T, client *upstream.Client, op *upstream.Operation, req upstream.Request) upstream.Preview {
	t.Helper()
	p, err := client.Preview(t.Context(), op, req)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
