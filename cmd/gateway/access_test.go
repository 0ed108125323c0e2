package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// accessLine is a line of a call, as JSON.
type accessLine struct {
	Level       string `json:"level"`
	Message     string `json:"msg"`
	Method      string `json:"method"`
	Code        string `json:"code"`
	ID          string `json:"x_request_id"`
	TraceID     string `json:"trace_id"`
	RequestID   string `json:"request_id"`
	HTTPStatus  int    `json:"http_status"`
	Attempts    int    `json:"attempts"`
	Bytes       int    `json:"response_bytes"`
	Items       int    `json:"items"`
	Deadline    string `json:"deadline"`
	QuotaWait   string `json:"quota_wait"`
	Upstream    string `json:"upstream"`
	Translation string `json:"translation"`
	FirstPage   string `json:"first_page"`
	Source      string `json:"source"`
	Reason      string `json:"reason"`
	Suppressed  int    `json:"suppressed"`
}

// accessLines returns the lines of calls that a process has written.
func accessLines(t *testing.T, p *process) (lines []accessLine) {
	t.Helper()
	_, text, _ := p.log()
	for line := range strings.Lines(text) {
		var read accessLine
		if err := json.Unmarshal([]byte(line), &read); err == nil && read.Code != "" {
			lines = append(lines, read)
		}
	}
	return lines
}

// TestAccessLog_whatItSays makes calls that end in each way, and reads their lines.
func TestAccessLog_whatItSays(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var ids []string
	tries := 0
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ids = append(ids, r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Request-Id", "samsara-1")
		switch tries++; {
		case r.URL.Path == "/tags/404":
			w.WriteHeader(http.StatusNotFound)
		case r.URL.Path == "/tags/503" && tries < 4:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/tags":
			_, _ = io.WriteString(w, `{"data":[{"id":"1"},{"id":"2"}],"pagination":{"endCursor":"","hasNextPage":false}}`)
		default:
			_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
		}
	}))
	p := start(t, append(flagsAt("http://"+address, tokenFile(t, "token")), "--cache=samsara_gateway.tags.v1.*=1h", "--retry-base-delay=1ms")...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	const trace = "0af7651916cd43dd8448eb211c80319c"
	ctx := metadata.AppendToOutgoingContext(waiting(t), "x-request-id", "mine-1", "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	get := func(ctx context.Context, id string) metadata.MD {
		t.Helper()
		var trailer metadata.MD
		_, _ = client.GetTag(ctx, &tagsv1.GetTagRequest{Id: proto.String(id)}, grpc.Trailer(&trailer)) // The log has what became of it.
		return trailer
	}
	get(ctx, "503")
	get(ctx, "503")
	if got := get(ctx, "404").Get("x-request-id"); len(got) != 1 || got[0] != "mine-1" {
		t.Errorf("the trailer names the call %q, want mine-1", got)
	}
	if got := get(metadata.AppendToOutgoingContext(waiting(t), "x-request-id", strings.Repeat("x", 129)), "404").Get("x-request-id"); len(got) != 1 || len(got[0]) != 32 {
		t.Errorf("the trailer names the call %q, want a name of the gateway's own", got)
	}
	stream, err := client.StreamTags(ctx, &tagsv1.StreamTagsRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	eventually(t, "five calls have a line", func() bool { return len(accessLines(t, p)) == 5 })
	lines := accessLines(t, p)
	for i, line := range lines {
		if line.Deadline == "" || line.Level != "INFO" || line.Message != "call finished" {
			t.Errorf("line %d is %+v", i, line)
		}
	}
	retried, cached, missing, unnamed, pages := lines[0], lines[1], lines[2], lines[3], lines[4]
	if retried.ID != "mine-1" || retried.TraceID != trace || retried.HTTPStatus != 200 || retried.Attempts != 4 || retried.RequestID != "samsara-1" ||
		retried.Bytes == 0 || retried.Upstream == "" || retried.Translation == "" || retried.QuotaWait == "" || retried.Source != "" {
		t.Errorf("a call of four attempts: %+v", retried)
	}
	if cached.Source != "cache" || cached.Attempts != 0 || cached.Upstream != "" {
		t.Errorf("a call from the cache: %+v", cached)
	}
	if missing.Code != "NotFound" || missing.HTTPStatus != 404 || missing.Reason != "NOT_FOUND" || missing.ID != "mine-1" {
		t.Errorf("a call of a tag that there is not: %+v", missing)
	}
	if len(unnamed.ID) != 32 || unnamed.TraceID != "" {
		t.Errorf("a call with a bad name: %+v", unnamed)
	}
	if pages.Items != 2 || pages.FirstPage == "" || pages.Bytes == 0 {
		t.Errorf("a stream: %+v", pages)
	}
	p.stop(t)
	mu.Lock()
	defer mu.Unlock()
	if len(ids) != 7 || ids[0] != "mine-1" || ids[3] != "mine-1" || ids[5] != unnamed.ID || ids[6] != "mine-1" {
		t.Errorf("Samsara's requests are named %q", ids)
	}
}

// TestAccessLog_bounded makes many calls: successes do not crowd out failures, and what is left out is counted.
func TestAccessLog_bounded(t *testing.T) {
	t.Parallel()
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tags/404" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
	}))
	p := start(t, append(flagsAt("http://"+address, tokenFile(t, "token")), "--quota=false", "--access-log-rate=5")...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	begun := time.Now()
	const calls = 200
	for n := range calls {
		if _, err := client.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("1")}); err != nil {
			t.Fatal(err)
		}
		if n == calls-1 {
			_, err := client.GetTag(waiting(t), &tagsv1.GetTagRequest{Id: proto.String("404")})
			if verdictOf(err).code != codes.NotFound {
				t.Fatal(err)
			}
		}
	}
	took := time.Since(begun)
	p.stop(t)
	written, leftOut, failed := 0, 0, 0
	for _, line := range accessLines(t, p) {
		switch line.Code {
		case "OK":
			written++
			leftOut += line.Suppressed
		case "NotFound":
			failed++
		}
	}
	_, text, _ := p.log()
	for line := range strings.Lines(text) {
		var read struct {
			Message    string `json:"msg"`
			About      string `json:"message"`
			Suppressed int    `json:"suppressed"`
		}
		if json.Unmarshal([]byte(line), &read) == nil && read.Message == "repeated lines left out" && read.About == "call finished" {
			leftOut += read.Suppressed
		}
	}
	if written < 5 || written > 10+int(5*took.Seconds()) || written+leftOut != calls || failed != 1 {
		t.Errorf("%d lines, %d left out, of %d calls in %v, and %d of a failure", written, leftOut, calls, took, failed)
	}
}

// TestAccessLog_slow has calls that take too long: they are warnings, also beyond the rate.
func TestAccessLog_slow(t *testing.T) {
	t.Parallel()
	address := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(60 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{"data":[{"id":"1"}],"pagination":{"endCursor":"","hasNextPage":false}}`)
	}))
	p := start(t, append(flagsAt("http://"+address, tokenFile(t, "token")), "--slow-call=50ms", "--access-log-rate=0")...)
	at := p.await(t, "serving")
	client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials()))
	if _, err := client.ListTags(waiting(t), &tagsv1.ListTagsRequest{}); err != nil {
		t.Fatal(err)
	}
	stream, err := client.StreamTags(waiting(t), &tagsv1.StreamTagsRequest{})
	for err == nil {
		_, err = stream.Recv()
	}
	eventually(t, "two calls have a line", func() bool { return len(accessLines(t, p)) == 2 })
	for _, line := range accessLines(t, p) {
		if line.Level != "WARN" || line.Message != "call was slow" || line.Code != "OK" {
			t.Errorf("got %+v", line)
		}
	}
	p.stop(t)
}
