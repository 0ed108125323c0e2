package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"

	"samsara.internal/gateway/upstream"
)

func TestRequest_arrivesAsGiven(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		base   string
		edit   func(*upstream.Config)
		req    *request
		uri    string
		header http.Header
	}{
		{
			name: "a GET carries the token and accepts JSON",
			req:  get("/things/1"),
			uri:  "/things/1",
			header: http.Header{
				"Authorization": {"Bearer " + testToken},
				"Accept":        {"application/json"},
				"User-Agent":    {"samsara-gateway"},
			},
		},
		{
			name: "version, user agent, compression and attempt number are sent if configured",
			edit: func(cfg *upstream.Config) {
				cfg.APIVersion, cfg.UserAgent, cfg.AttemptHeader = "2025-10-23", "gateway/1", "x-attempt"
				cfg.Transport.Gzip = true
			},
			req: get("/things/1"),
			uri: "/things/1",
			header: http.Header{
				"Authorization":     {"Bearer " + testToken},
				"Accept":            {"application/json"},
				"Accept-Encoding":   {"gzip"},
				"User-Agent":        {"gateway/1"},
				"X-Samsara-Version": {"2025-10-23"},
				"X-Attempt":         {"1"},
			},
		},
		{
			name: "a body is declared as JSON",
			req:  post(`{"a":1}`),
			uri:  "/things",
			header: http.Header{
				"Authorization":  {"Bearer " + testToken},
				"Accept":         {"application/json"},
				"User-Agent":     {"samsara-gateway"},
				"Content-Type":   {"application/json"},
				"Content-Length": {"7"},
			},
		},
		{
			name: "a caller's headers are added and never replace the client's",
			req: func() *request {
				req := get("/things/1")
				req.Header = []upstream.Header{
					{Name: "samsara-sandbox-fault", Value: "status=503"},
					{Name: "authorization", Value: "Bearer other"},
					{Name: "Accept", Value: "text/html"},
					{Name: "connection", Value: "close"},
					{Name: "Idempotency-Key", Value: "1"},
					{Name: "X-Samsara-Version", Value: "1999-01-01"},
				}
				return req
			}(),
			uri: "/things/1",
			header: http.Header{
				"Authorization":         {"Bearer " + testToken},
				"Accept":                {"application/json"},
				"User-Agent":            {"samsara-gateway"},
				"Samsara-Sandbox-Fault": {"status=503"},
			},
		},
		{
			name: "path and query stay escaped as they are",
			req: func() *request {
				req := get("/things/a%2Fb%20c:d@e%25")
				req.Query = "ids=1,2&q=%2B+x&after="
				return req
			}(),
			uri: "/things/a%2Fb%20c:d@e%25?ids=1,2&q=%2B+x&after=",
		},
		{
			name: "the base URL's path comes first",
			base: "http://" + testHost + "/a%2Fb/c/",
			req:  get("/things/1"),
			uri:  "/a%2Fb/c/things/1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, answer(200, `{}`))
				client := f.client(func(cfg *upstream.Config) {
					if tt.base != "" {
						cfg.BaseURL = mustURL(t, tt.base)
					}
					if tt.edit != nil {
						tt.edit(cfg)
					}
				})
				if _, err := client.Do(t.Context(), tt.req); err != nil {
					t.Fatal(err)
				}
				got := f.requests()[0]
				if got.Method != tt.req.kind.Method || got.URI != tt.uri || got.Host != testHost || got.Body != string(tt.req.Body) {
					t.Errorf("got %s %s of %s with %q, want %s %s of %s with %q",
						got.Method, got.URI, got.Host, got.Body, tt.req.kind.Method, tt.uri, testHost, tt.req.Body)
				}
				if diff := cmp.Diff(tt.header, got.Header); tt.header != nil && diff != "" {
					t.Errorf("header (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func mustURL(tb testing.TB, text string) *url.URL {
	tb.Helper()
	u, err := url.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return u
}

func TestRequest_invalid(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(*request)
		want string
	}{
		"a method the API does not have": {func(r *request) { r.kind.Method = "TRACE" }, "method must be GET, POST, PUT, PATCH or DELETE"},
		"a path without a slash":         {func(r *request) { r.Path = "@evil.test/" }, "path must be"},
		"an empty path":                  {func(r *request) { r.Path = "" }, "path must be"},
		"a path with two slashes":        {func(r *request) { r.Path = "//evil.test/" }, "path must be"},
		"a path with a query":            {func(r *request) { r.Path = "/x?y=1" }, "path must be"},
		"a path with a fragment":         {func(r *request) { r.Path = "/x#y" }, "path must be"},
		"a path with a space":            {func(r *request) { r.Path = "/x y" }, "path must be"},
		"a path with a bad escape":       {func(r *request) { r.Path = "/x%zz" }, "path must be"},
		"a path with a line break":       {func(r *request) { r.Path = "/x\r\nHost: y" }, "path must be"},
		"a query with a space":           {func(r *request) { r.Query = "a=b c" }, "query must be"},
		"a query with a fragment":        {func(r *request) { r.Query = "a=b#c" }, "query must be"},
		"a query that is not ASCII":      {func(r *request) { r.Query = "a=ä" }, "query must be"},
		"a header with a line break": {func(r *request) {
			r.Header = []upstream.Header{{Name: "X-A", Value: "1\r\nX-B: 2"}}
		}, "header must have"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			req := get("/things/1")
			tt.edit(req)
			resp, err := f.client().Do(t.Context(), req)
			failed := failure(t, resp, err)
			wantVerdict(t, failed, codes.Internal, "GATEWAY_INTERNAL", 0)
			if !strings.Contains(failed.Message, tt.want) {
				t.Errorf("Message = %q, want %q in it", failed.Message, tt.want)
			}
		})
	}
}

func TestResponse_withoutDecoder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		step http.HandlerFunc
		want *upstream.Response
	}{
		"body, header and request id": {
			answer(201, `{"a":[1]}`, "Request-Id", "r-1", "X-Thing", "1", "Date", "now"),
			&upstream.Response{
				Status: 201, Body: []byte(`{"a":[1]}`), RequestID: "r-1", Attempts: 1,
				Header: []upstream.Header{
					{Name: "Content-Length", Value: "9"},
					{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
					{Name: "Date", Value: "now"},
					{Name: "Request-Id", Value: "r-1"},
					{Name: "X-Thing", Value: "1"},
				},
			},
		},
		"no body": {
			answer(204, "", "X-Request-Id", "r-2", "Date", "now"),
			&upstream.Response{
				Status: 204, RequestID: "r-2", Attempts: 1,
				Header: []upstream.Header{{Name: "Date", Value: "now"}, {Name: "X-Request-Id", Value: "r-2"}},
			},
		},
		"a header that echoes the token": {
			answer(204, "", "X-Echo", "Bearer "+testToken, "Date", "now"),
			&upstream.Response{
				Status: 204, Attempts: 1,
				Header: []upstream.Header{{Name: "Date", Value: "now"}, {Name: "X-Echo", Value: "Bearer [token]"}},
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got, err := newFake(t, tt.step).client().Do(t.Context(), get("/things/1"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(upstream.Response{}, "Drift", "Lease"), cmpopts.IgnoreUnexported(upstream.Response{})); diff != "" {
					t.Errorf("response (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestConfig_everyProblem(t *testing.T) {
	t.Parallel()
	_, err := upstream.New(upstream.Config{
		BaseURL:          mustURL(t, "ftp://user:secret@host?x=1"),
		APIVersion:       "a\nb",
		UserAgent:        "a\nb",
		AttemptHeader:    "a b",
		Retry:            upstream.RetryPolicy{MaxAttempts: -1, BaseDelay: -1, MaxDelay: -2, Budget: -1},
		Breaker:          upstream.BreakerPolicy{MinAttempts: -1, FailureRatio: -1, OpenFor: -1},
		AttemptTimeout:   -1,
		MaxResponseBytes: 1 << 40,
		CacheBytes:       -1,
		Transport:        upstream.TransportConfig{MaxIdleConns: -1},
	})
	if err == nil {
		t.Fatal("New = nil error")
	}
	want := []string{
		`upstream: BaseURL: must be http or https, a host and an optional path, is "ftp://user:xxxxx@host?x=1"`,
		`Token: must be set`,
		`APIVersion: must fit a header, is "a\nb"`,
		`UserAgent: must fit a header, is "a\nb"`,
		`AttemptHeader: must be the name of a header, is "a b"`,
		`Retry.MaxAttempts: must be at least 1, is -1`,
		`Retry.BaseDelay: must be positive, is -1ns`,
		`Retry.MaxDelay: must be at least Retry.BaseDelay (-1ns), is -2ns`,
		`Retry.Budget: must be between 1 and 2147483647, is -1`,
		`Breaker.MinAttempts: must be at least 1, is -1`,
		`Breaker.FailureRatio: must be above 0, is -1`,
		`Breaker.OpenFor: must be positive, is -1ns`,
		`AttemptTimeout: must be positive, is -1ns`,
		`MaxResponseBytes: must be between 1 and 2147483647, is 1099511627776`,
		`CacheBytes: must not be negative, is -1`,
		`Transport.MaxIdleConns: must be positive, is -1`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestConfig_baseURLMissing(t *testing.T) {
	t.Parallel()
	_, err := upstream.New(upstream.Config{Token: upstream.StaticToken(testToken)})
	if err == nil || err.Error() != "upstream: BaseURL: must be set" {
		t.Errorf("New = %v", err)
	}
}

// recorder is an Observer.
type recorder struct {
	mu       sync.Mutex
	attempts []upstream.Attempt
}

func (r *recorder) ObserveAttempt(_ context.Context, a upstream.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
}

func TestObserver_everyAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(w http.ResponseWriter, r *http.Request) {
			<-time.After(time.Second)
			answer(200, `{}`)(w, r)
		}
		f := newFake(t, answer(503, "", "Connection", "close"), raw(""), raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), slow)
		var seen recorder
		client := f.client(func(cfg *upstream.Config) { cfg.Observer = &seen })
		if _, err := client.Do(t.Context(), get("/things/1")); err != nil {
			t.Fatal(err)
		}
		want := []upstream.Attempt{
			{Method: "GET", Template: "/things/{id}", Operation: "/things/{id}", Status: 503, Reason: "SERVICE_UNAVAILABLE"},
			{Method: "GET", Template: "/things/{id}", Operation: "/things/{id}", Reason: "UPSTREAM_RESET"},
			{Method: "GET", Template: "/things/{id}", Operation: "/things/{id}", Status: 200, Reason: "UPSTREAM_TRUNCATED"},
			{Method: "GET", Template: "/things/{id}", Operation: "/things/{id}", Status: 200, Duration: time.Second},
		}
		if diff := cmp.Diff(want, seen.attempts); diff != "" {
			t.Errorf("attempts (-want +got):\n%s", diff)
		}
	})
}

// retries is a RetryObserver.
type retries struct{ seen []upstream.Retry }

func (r *retries) ObserveRetry(_ context.Context, seen upstream.Retry) { r.seen = append(r.seen, seen) }

func TestRetryObserver_whatFollowsAFailure(t *testing.T) {
	t.Parallel()
	gone := answer(503, "")
	for name, test := range map[string]struct {
		req     *request
		answers []http.HandlerFunc
		want    []upstream.Retry
	}{
		"it is repeated":               {get("/things/1"), []http.HandlerFunc{gone, answer(200, `{}`)}, []upstream.Retry{{Status: 503}}},
		"until there are enough":       {get("/things/1"), []http.HandlerFunc{gone, gone}, []upstream.Retry{{Status: 503}, {Status: 503, Refused: "attempts"}}},
		"a write is not":               {post(`{}`), []http.HandlerFunc{answer(504, "")}, []upstream.Retry{{Status: 504, Refused: "not_repeatable"}}},
		"what would not pass is none":  {get("/things/1"), []http.HandlerFunc{answer(404, "")}, nil},
		"nor is what succeeds at once": {get("/things/1"), []http.HandlerFunc{answer(200, `{}`)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told retries
				client := newFake(t, test.answers...).client(func(cfg *upstream.Config) {
					cfg.Retry.MaxAttempts, cfg.RetryObserver = 2, &told
				})
				_, _ = client.Do(t.Context(), test.req) // The answer is no part of this.
				if diff := cmp.Diff(test.want, told.seen); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestNotRepeatedReasons_areDocumented compares them with the page about errors.
func TestNotRepeatedReasons_areDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range upstream.NotRepeatedReasons() {
		if !strings.Contains(string(text), "`"+reason+"`") {
			t.Errorf("docs/errors.md does not have %s", reason)
		}
	}
}

func TestLogger_noPersonalData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(404, `{"message":"no `+testToken+`","requestId":"r-9"}`))
		var log bytes.Buffer
		client := f.client(func(cfg *upstream.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		req := get("/things/private-id")
		req.Query = "name=private-name"
		if _, err := client.Do(t.Context(), req); err == nil {
			t.Error("Do succeeded")
		}
		got := log.String()
		for _, want := range []string{
			"level=DEBUG", "method=GET", "path=/things/{id}", "attempt=1", "status=404", "reason=NOT_FOUND",
			`message="no [token]"`, "request_id=r-9",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("log lacks %q: %s", want, got)
			}
		}
		if strings.Contains(got, "private") || strings.Contains(got, testToken) {
			t.Errorf("log tells too much: %s", got)
		}
	})
}

func TestError_withoutToken(t *testing.T) {
	t.Parallel()
	escaped := url.QueryEscape(testToken)
	tests := map[string]http.HandlerFunc{
		"JSON object":           answer(400, `{"message":"bad `+testToken+`","requestId":"`+testToken+`"}`),
		"JSON escapes":          answer(400, `{"message":"bad `+strings.ReplaceAll(testToken, "S", `\u0053`)+`"}`),
		"JSON string":           answer(400, `"bad `+testToken+`"`),
		"text":                  answer(500, "bad "+testToken),
		"escaped text":          answer(500, "bad "+escaped),
		"HTML":                  answer(502, "<title>"+strings.ReplaceAll(testToken, "_", "&#95;")+"</title>"),
		"across the bound":      answer(400, strings.Repeat("x", upstream.MaxMessageBytes-4)+testToken),
		"request id":            answer(400, "", "Request-Id", testToken),
		"redirect":              answer(302, testToken, "Location", "https://evil.test/"+testToken),
		"malformed header":      raw("HTTP/1.1 200 OK\r\n" + testToken + "\r\n\r\n"),
		"malformed status line": raw("HTTP/" + testToken + "\r\n\r\n"),
	}
	for name, step := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				resp, err := newFake(t, step).client(once).Do(t.Context(), get("/things/1"))
				failed := failure(t, resp, err)
				text := fmt.Sprintf("%v %+v %v %v", err, *failed, failed.Err, failed.GRPCStatus().Proto())
				for _, secret := range []string{testToken, escaped, testToken[:12]} {
					if strings.Contains(text, secret) {
						t.Errorf("%q is in %s", secret, text)
					}
				}
			})
		})
	}
}
