package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	contactsv1 "samsara.internal/gateway/gen/contacts/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
)

// answerWith answers with a status and a body.
func answerWith(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cutOffBody answers with half of the body that it announces.
func cutOffBody(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"data":`)
}

// noAnswer reads a request and does not answer it.
func noAnswer(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// inTurn uses one handler after another, and the last one for all further requests.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		handlers[min(int(n.Add(1)), len(handlers))-1](w, r)
	}
}

// TestProcessed_everyErrorOfAWrite has writes fail in every way, and checks what the errors say in
// processed. The error of a read does not say that.
func TestProcessed_everyErrorOfAWrite(t *testing.T) {
	t.Parallel()
	const large = 64 << 10
	writes := map[string]tagCall{
		"POST": createTag,
		"PATCH": func(ctx context.Context, client tagsv1.TagsServiceClient, id string, opts ...grpc.CallOption) error {
			_, err := client.UpdateTag(ctx, &tagsv1.UpdateTagRequest{Id: &id, Name: proto.String("it")}, opts...)
			return err
		},
	}
	status := func(code int) http.HandlerFunc { return said{status: code}.say }
	for name, test := range map[string]struct {
		upstream http.HandlerFunc
		flags    []string
		call     tagCall // instead of the writes
		want     string
		code     codes.Code
		reason   string
	}{
		"200 that is too large": {
			upstream: answerWith(http.StatusOK, `{"data":{"name":"`+strings.Repeat("x", large)+`"}}`), flags: []string{"--max-response-bytes=16KiB"},
			want: "yes", code: codes.ResourceExhausted, reason: "UPSTREAM_BODY_TOO_LARGE",
		},
		"200 that is not JSON":          {upstream: answerWith(http.StatusOK, "<html>"), want: "yes", code: codes.Internal, reason: "UPSTREAM_BODY_INVALID"},
		"201 that is not JSON":          {upstream: answerWith(http.StatusCreated, `{"data"`), want: "yes", code: codes.Internal, reason: "UPSTREAM_BODY_INVALID"},
		"200 with something else":       {upstream: answerWith(http.StatusOK, `{"ok":true}`), want: "yes", code: codes.Internal, reason: "UPSTREAM_BODY_UNKNOWN"},
		"200 with an error in its body": {upstream: answerWith(http.StatusOK, `{"message":"no"}`), want: "yes", code: codes.Internal, reason: "UPSTREAM_ERROR_IN_BODY"},
		"200 that is cut off":           {upstream: cutOffBody, want: "yes", code: codes.Unavailable, reason: "UPSTREAM_TRUNCATED"},
		"200 that stalls": {
			upstream: stalling{status: http.StatusOK, text: `{"data":`}.say, flags: []string{"--upstream-timeout=3s"},
			want: "yes", code: codes.Unavailable, reason: "UPSTREAM_TIMEOUT",
		},
		"200 that stalls until the deadline": {
			upstream: stalling{status: http.StatusOK, text: `{"data":`}.say, flags: []string{"--default-deadline=3s"},
			want: "yes", code: codes.DeadlineExceeded, reason: "REQUEST_DEADLINE_EXCEEDED",
		},

		"400": {upstream: status(400), want: "no", code: codes.InvalidArgument, reason: "BAD_REQUEST"},
		"401": {upstream: status(401), want: "no", code: codes.Unauthenticated, reason: "UNAUTHORIZED"},
		"403": {upstream: status(403), want: "no", code: codes.PermissionDenied, reason: "FORBIDDEN"},
		"404": {upstream: status(404), want: "no", code: codes.NotFound, reason: "NOT_FOUND"},
		"503": {upstream: status(503), flags: []string{"--retry-max-attempts=1"}, want: "no", code: codes.Unavailable, reason: "SERVICE_UNAVAILABLE"},
		"429": {upstream: status(429), flags: []string{"--retry-max-attempts=1"}, want: "no", code: codes.ResourceExhausted, reason: "RATE_LIMITED"},
		"a field that the gateway refuses": {
			upstream: status(200), want: "no", code: codes.InvalidArgument, reason: "REQUEST_INVALID_ARGUMENT",
			call: func(ctx context.Context, client tagsv1.TagsServiceClient, _ string, opts ...grpc.CallOption) error {
				_, err := client.CreateTag(ctx, &tagsv1.CreateTagRequest{}, opts...)
				return err
			},
		},

		"408":     {upstream: status(408), want: "unknown", code: codes.Unavailable, reason: "REQUEST_TIMEOUT"},
		"500":     {upstream: status(500), want: "unknown", code: codes.Unavailable, reason: "INTERNAL_SERVER_ERROR"},
		"502":     {upstream: status(502), want: "unknown", code: codes.Unavailable, reason: "BAD_GATEWAY"},
		"504":     {upstream: status(504), want: "unknown", code: codes.Unavailable, reason: "GATEWAY_TIMEOUT"},
		"a reset": {upstream: said{}.say, want: "unknown", code: codes.Unavailable, reason: "UPSTREAM_RESET"},
		"no answer in an attempt's time": {
			upstream: noAnswer, flags: []string{"--upstream-timeout=3s"},
			want: "unknown", code: codes.Unavailable, reason: "UPSTREAM_TIMEOUT",
		},
		"no answer until the deadline": {
			upstream: noAnswer, flags: []string{"--default-deadline=3s"},
			want: "unknown", code: codes.DeadlineExceeded, reason: "REQUEST_DEADLINE_EXCEEDED",
		},

		// A later attempt does not undo what an earlier one may have done.
		"500, then 404": {
			upstream: inTurn(status(500), status(404)), call: createTagAgain,
			want: "unknown", code: codes.NotFound, reason: "NOT_FOUND",
		},
		"a reset, then 429": {
			upstream: inTurn(said{}.say, status(429)), call: createTagAgain, flags: []string{"--retry-max-attempts=2"},
			want: "unknown", code: codes.ResourceExhausted, reason: "RATE_LIMITED",
		},
		"500, then 200 that is not JSON": {
			upstream: inTurn(status(500), answerWith(http.StatusOK, "<html>")), call: createTagAgain,
			want: "yes", code: codes.Internal, reason: "UPSTREAM_BODY_INVALID",
		},
		"200 that is cut off, then 404": {
			upstream: inTurn(cutOffBody, status(404)), call: createTagAgain,
			want: "yes", code: codes.NotFound, reason: "NOT_FOUND",
		},
		"429, then 400": {
			upstream: inTurn(said{http.StatusTooManyRequests, "0.01"}.say, status(400)), call: createTag,
			want: "no", code: codes.InvalidArgument, reason: "BAD_REQUEST",
		},

		"500 to a read":           {upstream: status(500), call: readTag, code: codes.Unavailable, reason: "INTERNAL_SERVER_ERROR"},
		"404 to a read":           {upstream: status(404), call: readTag, code: codes.NotFound, reason: "NOT_FOUND"},
		"200 to a read, not JSON": {upstream: answerWith(http.StatusOK, "<html>"), call: readTag, code: codes.Internal, reason: "UPSTREAM_BODY_INVALID"},
	} {
		calls := writes
		if test.call != nil {
			calls = map[string]tagCall{"": test.call}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := startTags(t, test.upstream, append([]string{"--quota=false", "--retry-base-delay=1ms"}, test.flags...)...)
			for shape, call := range calls {
				// The call has no deadline of its own, because then the client would answer it.
				got := verdictOf(call(t.Context(), client, "it"))
				if got.code != test.code || got.reason != test.reason || got.processed != test.want {
					t.Errorf("%s: got %v\nwant %v/%s, processed %q", shape, got, test.code, test.reason, test.want)
				}
			}
		})
	}
}

// answerAndEnd answers each request with a text as it is, and then closes the connection. If stalls, it
// waits for the gateway to close it. It returns its address.
func answerAndEnd(t *testing.T, text string, stalls bool) string {
	t.Helper()
	return "127.0.0.1:" + serveConns(t, func(conn net.Conn) {
		defer hangUp(conn)
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, text)
		if stalls {
			_, _ = io.Copy(io.Discard, conn)
		}
	})
}

// TestProcessed_answerCutAnywhere cuts answers everywhere. When the status has arrived, it is known whether
// a write was processed, because the status is what Samsara says.
func TestProcessed_answerCutAnywhere(t *testing.T) {
	t.Parallel()
	const ok, length = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n"
	calls := map[string]answerTo{"POST": createATag, "PUT": replaceATag, "PATCH": updateAVehicle, "DELETE": deleteJob, "GET": getATag}
	for name, test := range map[string]struct {
		answer       string
		stalls       bool
		want, status string // processed, of a write, and http_status
		reason       string
	}{
		"before the answer":             {"", false, "unknown", "", "UPSTREAM_RESET"},
		"before the status":             {"HTTP/1.1 ", false, "unknown", "", "UPSTREAM_RESET"},
		"within the status":             {"HTTP/1.1 200", false, "unknown", "", "UPSTREAM_TRUNCATED"}, // It might be 2000.
		"after the status":              {"HTTP/1.1 200 ", false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"after the status line":         {ok, false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"after another 2XX status line": {"HTTP/1.1 201 Created\r\n", false, "yes", "201", "UPSTREAM_TRUNCATED"},
		"within a field":                {ok + "Content-Le", false, "yes", "200", "UPSTREAM_RESET"},
		"after a field":                 {length, false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"after the header":              {length + "\r\n", false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"within the body":               {length + "\r\n{\"data\"", false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"within the chunks":             {ok + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"after a malformed header":      {ok + "Content Length\r\n\r\n", false, "yes", "200", "UPSTREAM_RESET"},
		"after 100":                     {"HTTP/1.1 100 Continue\r\n\r\n", false, "unknown", "", "UPSTREAM_TRUNCATED"},
		"after 100 and a status line":   {"HTTP/1.1 100 Continue\r\n\r\n" + ok, false, "yes", "200", "UPSTREAM_TRUNCATED"},
		"after a refusal":               {"HTTP/1.1 404 Not Found\r\n", false, "no", "404", "UPSTREAM_TRUNCATED"},
		"after a refusal's header":      {"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n", false, "no", "404", "NOT_FOUND"},
		"after 503":                     {"HTTP/1.1 503 Service Unavailable\r\n", false, "no", "503", "UPSTREAM_TRUNCATED"},
		"after 500":                     {"HTTP/1.1 500 Internal Server Error\r\n", false, "unknown", "500", "UPSTREAM_TRUNCATED"},
		"after a redirect":              {"HTTP/1.1 302 Found\r\n", false, "unknown", "302", "UPSTREAM_TRUNCATED"},
		"after a status of HTTP/2.0":    {"HTTP/2.0 200 OK\r\n\r\n", false, "unknown", "", "UPSTREAM_RESET"},

		"stalls before the status line": {"HTTP/1.1 2", true, "unknown", "", "UPSTREAM_TIMEOUT"},
		"stalls after the status line":  {ok, true, "yes", "200", "UPSTREAM_TIMEOUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := startAgainst(t, answerAndEnd(t, test.answer, test.stalls), "--quota=false", "--retry-base-delay=1ms", "--upstream-timeout=3s")
			conn := connect(t, at.GRPC, insecure.NewCredentials())
			for method, call := range calls {
				want := test.want
				if method == "GET" {
					want = ""
				}
				_, _, err := call(withTimeout(t, time.Minute), conn)
				if v := verdictOf(err); err == nil || v.processed != want || v.status != test.status || v.reason != test.reason {
					t.Errorf("%s: got %v\nwant %s, http_status %q, processed %q", method, v, test.reason, test.status, want)
				}
			}
		})
	}
}

// TestProcessed_passthroughNotRead has calls be refused before their request is read. None of them was
// processed.
func TestProcessed_passthroughNotRead(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	other, at := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		said{status: http.StatusOK}.say(w, r)
	}), "--quota=false", "--passthrough", "--max-concurrent-calls=2")
	var running sync.WaitGroup
	for n := range 2 {
		client := tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials())) // One connection may have half of the calls.
		running.Go(func() {
			if err := readTag(withTimeout(t, time.Minute), client, strconv.Itoa(n)); err != nil {
				t.Errorf("a call within the bound: %v", err)
			}
		})
	}
	eventually(t, "the gateway is full", func() bool { return metric(t, at.Admin, "samsara_gateway_running_calls") == 2 })
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		_, err := apiv1.NewPassthroughServiceClient(other).Call(waiting(t), &apiv1.CallRequest{Method: &method, Path: proto.String("/tags")})
		if v := verdictOf(err); v.reason != "GATEWAY_TOO_MANY_CALLS" || v.processed != "no" {
			t.Errorf("%s: got %v\nwant GATEWAY_TOO_MANY_CALLS, processed no", method, v)
		}
	}
	close(answer)
	running.Wait()
}

// TestProcessed_passthrough makes writes and a read by passthrough.
func TestProcessed_passthrough(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, want string
	}{
		"a POST that may be done":     {http.MethodPost, "/500", "unknown"},
		"a POST that was refused":     {http.MethodPost, "/404", "no"},
		"a DELETE that may be done":   {http.MethodDelete, "/502", "unknown"},
		"a PUT that was refused":      {http.MethodPut, "/400", "no"},
		"a PATCH that is done":        {http.MethodPatch, "/200", "yes"}, // Its answer is cut off.
		"a GET that was not answered": {http.MethodGet, "/500", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/200" {
					cutOffBody(w, r)
					return
				}
				code, _ := strconv.Atoi(r.URL.Path[1:])
				said{status: code}.say(w, r)
			}), "--quota=false", "--retry-base-delay=1ms", "--passthrough")
			_, err := apiv1.NewPassthroughServiceClient(conn).Call(waiting(t), &apiv1.CallRequest{Method: &test.method, Path: &test.path})
			if got := verdictOf(err); err == nil || got.processed != test.want {
				t.Errorf("got %v, want an error, processed %q", got, test.want)
			}
		})
	}
}

// TestProcessed_neverSent has writes fail before anything was sent.
func TestProcessed_neverSent(t *testing.T) {
	t.Parallel()
	t.Run("connection refused", func(t *testing.T) {
		t.Parallel()
		at := startAgainst(t, "127.0.0.1:1", "--quota=false", "--retry-base-delay=1ms")
		got := verdictOf(createTag(waiting(t), tagsv1.NewTagsServiceClient(connect(t, at.GRPC, insecure.NewCredentials())), "it"))
		if got.reason != "UPSTREAM_UNREACHABLE" || got.processed != "no" {
			t.Errorf("got %v\nwant UPSTREAM_UNREACHABLE, processed no", got)
		}
	})
	t.Run("the quota is used up", func(t *testing.T) {
		t.Parallel()
		client, _ := startTags(t, http.HandlerFunc(said{status: http.StatusOK}.say), "--quota-limits=samsara_gateway.tags.*=1/min", "--quota-max-wait=1s")
		if err := createTag(waiting(t), client, "it"); err != nil {
			t.Fatal(err)
		}
		got := verdictOf(createTag(waiting(t), client, "it"))
		if got.reason != "GATEWAY_QUOTA" || got.processed != "no" {
			t.Errorf("got %v\nwant GATEWAY_QUOTA, processed no", got)
		}
	})
	t.Run("the circuit is open", func(t *testing.T) {
		t.Parallel()
		client, _ := startTags(t, http.HandlerFunc(said{status: http.StatusBadGateway}.say), "--quota=false")
		ctx := as(waiting(t), "one")
		openCircuit(ctx, t, client)
		got := verdictOf(createTag(ctx, client, "it"))
		if got.reason != "UPSTREAM_CIRCUIT_OPEN" || got.processed != "no" {
			t.Errorf("got %v\nwant UPSTREAM_CIRCUIT_OPEN, processed no", got)
		}
	})
}

// TestProcessed_noRoomForTheAnswer has a read of one connection hold most of the memory, so that there is
// none for the answer to a write of another.
func TestProcessed_noRoomForTheAnswer(t *testing.T) {
	t.Parallel()
	const room, body = 1300 << 10, 512 << 10
	conn, at := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(body))
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, `{"data":`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"data":{"id":"`+strings.Repeat("x", body-len(`{"data":{"id":""}}`))+`"}}`)
	}), "--quota=false", fmt.Sprintf("--max-in-flight-bytes=%d", room), fmt.Sprintf("--max-response-bytes=%d", body), "--default-deadline=3s")
	ctx, cancel := context.WithCancel(withTimeout(t, patience))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = readTag(ctx, tagsv1.NewTagsServiceClient(conn), "1")
	}()
	eventually(t, "memory is held", func() bool { return inFlight(t, at.Admin) > room/2 })
	_, err := contactsv1.NewContactsServiceClient(connect(t, at.GRPC, insecure.NewCredentials())).
		CreateContact(t.Context(), &contactsv1.CreateContactRequest{})
	cancel()
	<-ended
	if got := verdictOf(err); got.code != codes.ResourceExhausted || got.reason != "GATEWAY_MEMORY" || got.processed != "yes" {
		t.Errorf("got %v\nwant ResourceExhausted/GATEWAY_MEMORY, processed yes", got)
	}
}
