package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	assetsv1 "samsara.internal/gateway/gen/assets/v1"
	tagsv1 "samsara.internal/gateway/gen/tags/v1"
	"samsara.internal/gateway/internal/testenv"
)

// verdict is the content of an error: what a program reads, and its text.
type verdict struct {
	code                                     codes.Code
	reason, text, requestID                  string
	status, attempts, notRepeated, processed string // in the metadata of ErrorInfo; empty if missing
	earlier                                  string // earlier_status
	wait                                     time.Duration
	waitKnown                                bool
}

func verdictOf(err error) verdict {
	s := status.Convert(err)
	v := verdict{code: s.Code(), text: s.Message()}
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			v.reason = detail.GetReason()
			in := detail.GetMetadata()
			v.status, v.attempts, v.notRepeated, v.processed = in["http_status"], in["attempts"], in["not_repeated"], in["processed"]
			v.earlier = in["earlier_status"]
		case *errdetails.RequestInfo:
			v.requestID = detail.GetRequestId()
		case *errdetails.RetryInfo:
			v.wait, v.waitKnown = detail.GetRetryDelay().AsDuration(), true
		}
	}
	return v
}

func (v verdict) String() string {
	wait := "none"
	if v.waitKnown {
		wait = v.wait.String()
	}
	return fmt.Sprintf("%v/%s %q, http_status %q, request id %q, attempts %q, not_repeated %q, processed %q, earlier_status %q, RetryInfo %s",
		v.code, v.reason, v.text, v.status, v.requestID, v.attempts, v.notRepeated, v.processed, v.earlier, wait)
}

// said is the answer of an upstream.
type said struct {
	status     int // 0: reset the connection
	retryAfter string
}

// say reads the body of a request and answers it.
func (s said) say(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if s.status == 0 {
		resetConn(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if s.retryAfter != "" {
		w.Header().Set("Retry-After", s.retryAfter)
	}
	w.WriteHeader(s.status)
	if s.status == http.StatusOK {
		_, _ = io.WriteString(w, `{"data":{"id":"1","name":"one"}}`)
		return
	}
	_, _ = fmt.Fprintf(w, `{"message":"said %d","requestId":"id-%d"}`, s.status, s.status)
}

// resetConn resets the connection of a request instead of answering it.
func resetConn(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // The gateway has gone.
	}
	if socket, ok := conn.(*net.TCPConn); ok {
		_ = socket.SetLinger(0)
	}
	hangUp(conn)
}

// verdict returns the verdict that a caller must get for the answer.
func (s said) verdict() verdict {
	want := verdict{text: fmt.Sprintf("said %d", s.status), requestID: fmt.Sprintf("id-%d", s.status), status: strconv.Itoa(s.status)}
	switch s.status {
	case http.StatusTooManyRequests:
		want.code, want.reason = codes.ResourceExhausted, "RATE_LIMITED"
	case http.StatusServiceUnavailable:
		want.code, want.reason = codes.Unavailable, "SERVICE_UNAVAILABLE"
	case http.StatusInternalServerError:
		want.code, want.reason = codes.Unavailable, "INTERNAL_SERVER_ERROR"
	default:
		want = verdict{code: codes.Unavailable, reason: "UPSTREAM_RESET", text: "the connection to the upstream broke"}
	}
	return want
}

// checkVerdict checks that an error is a verdict, and why there was no further attempt.
func checkVerdict(t *testing.T, err error, want verdict, notRepeated string) verdict {
	t.Helper()
	got := verdictOf(err)
	if got.code != want.code || got.reason != want.reason || !strings.HasPrefix(got.text, want.text) ||
		got.status != want.status || got.requestID != want.requestID || got.notRepeated != notRepeated {
		t.Errorf("got  %v\nwant %v/%s %q, http_status %q, request id %q, not_repeated %q",
			got, want.code, want.reason, want.text, want.status, want.requestID, notRepeated)
	}
	return got
}

// checkWait checks the wait in RetryInfo.
func checkWait(t *testing.T, got verdict, above, most time.Duration) {
	t.Helper()
	if !got.waitKnown || got.wait <= above || got.wait > most {
		t.Errorf("RetryInfo is %v (present: %t), want more than %v and at most %v", got.wait, got.waitKnown, above, most)
	}
}

// tagCall is a call about the tag with an id or a name. It shares its request with no other call.
type tagCall func(ctx context.Context, client tagsv1.TagsServiceClient, id string, opts ...grpc.CallOption) error

func readTag(ctx context.Context, client tagsv1.TagsServiceClient, id string, opts ...grpc.CallOption) error {
	ctx = metadata.AppendToOutgoingContext(ctx, "samsara-cache", "no-store")
	_, err := client.GetTag(ctx, &tagsv1.GetTagRequest{Id: &id}, opts...)
	return err
}

// createTag is a write that may be processed only once, so it is repeated only if Samsara refused it.
func createTag(ctx context.Context, client tagsv1.TagsServiceClient, name string, opts ...grpc.CallOption) error {
	_, err := client.CreateTag(ctx, &tagsv1.CreateTagRequest{Name: &name}, opts...)
	return err
}

// deleteTag returns nothing, though the document declares a body for its 204.
func deleteTag(ctx context.Context, client tagsv1.TagsServiceClient, id string, opts ...grpc.CallOption) error {
	_, err := client.DeleteTag(ctx, &tagsv1.DeleteTagRequest{Id: &id}, opts...)
	return err
}

// createTagAgain is createTag with the permission to repeat it.
func createTagAgain(ctx context.Context, client tagsv1.TagsServiceClient, name string, opts ...grpc.CallOption) error {
	return createTag(metadata.AppendToOutgoingContext(ctx, "samsara-retry", "always"), client, name, opts...)
}

// as returns a context for calls in the name of a caller.
func as(ctx context.Context, caller string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "samsara-caller", caller)
}

// withTimeout returns a context that ends after d.
func withTimeout(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// deleteAsset is a call without an answer, whatever the upstream sends with its success.
func deleteAsset(ctx context.Context, conn *grpc.ClientConn, id string) error {
	_, err := assetsv1.NewAssetsServiceClient(conn).DeleteAsset(ctx, &assetsv1.DeleteAssetRequest{Id: &id})
	return err
}

// startTags runs a gateway before an upstream, and returns a client and the addresses of the gateway.
func startTags(t *testing.T, upstream http.Handler, args ...string) (tagsv1.TagsServiceClient, logLine) {
	t.Helper()
	conn, at := connectBefore(t, upstream, args...)
	return tagsv1.NewTagsServiceClient(conn), at
}

// nameIn returns the tag that a request is about: the end of its path, a parameter, or the name in its
// body.
func nameIn(r *http.Request) string {
	if id, ok := strings.CutPrefix(r.URL.Path, "/tags/"); ok {
		return id
	}
	if id := r.URL.Query().Get("id"); id != "" {
		return id
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(body), `"name":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// verdicts returns answers after which another attempt makes sense.
func verdicts() map[string]said {
	return map[string]said{
		"429 with Retry-After": {http.StatusTooManyRequests, "0.1"},
		"429":                  {status: http.StatusTooManyRequests},
		"503":                  {status: http.StatusServiceUnavailable},
		"500":                  {status: http.StatusInternalServerError},
		"a reset":              {},
	}
}

// TestVerdict_quotaRefusesTheRetry has a quota of one attempt a minute.
func TestVerdict_quotaRefusesTheRetry(t *testing.T) {
	t.Parallel()
	for name, first := range verdicts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := startTags(t, http.HandlerFunc(first.say),
				"--retry-base-delay=1ms", "--quota-limits=samsara_gateway.tags.*=1/min", "--quota-max-wait=1s")
			for _, call := range []tagCall{readTag, createTagAgain} {
				err := call(withTimeout(t, 5*time.Minute), client, "it")
				checkWait(t, checkVerdict(t, err, first.verdict(), "quota"), 30*time.Second, 2*time.Minute)
			}
		})
	}
}

// TestVerdict_deadlineRefusesTheRetry has callers whose deadline comes before the end of the wait. A wait
// is random and may be short enough, but then the next one is not.
func TestVerdict_deadlineRefusesTheRetry(t *testing.T) {
	t.Parallel()
	const deadline = 5 * time.Second
	for name, first := range map[string]said{
		"429 with Retry-After": {http.StatusTooManyRequests, "60"},
		"503 with Retry-After": {http.StatusServiceUnavailable, "60"},
		"503":                  {status: http.StatusServiceUnavailable},
		"500":                  {status: http.StatusInternalServerError},
		"a reset":              {},
	} {
		for with, flag := range map[string]string{"with a quota": "--quota-max-wait=5m", "without a quota": "--quota=false"} {
			t.Run(name+" "+with, func(t *testing.T) {
				t.Parallel()
				client, _ := startTags(t, http.HandlerFunc(first.say), flag, "--retry-base-delay=1m", "--retry-max-delay=5m", "--retry-max-attempts=10")
				for _, call := range []tagCall{readTag, createTagAgain} {
					got := checkVerdict(t, call(withTimeout(t, deadline), client, "it"), first.verdict(), "deadline")
					if first.retryAfter != "" {
						checkWait(t, got, 50*time.Second, 2*time.Minute)
					} else {
						checkWait(t, got, 0, 5*time.Minute)
					}
				}
			})
		}
	}
}

// heldAnswer holds the first answer to "it" until tell is closed.
type heldAnswer struct {
	came, tell chan struct{}
	held       atomic.Bool
}

func newHeldAnswer() *heldAnswer {
	return &heldAnswer{came: make(chan struct{}), tell: make(chan struct{})}
}

// hold blocks the first request for "it".
func (h *heldAnswer) hold(r *http.Request) {
	if !h.held.CompareAndSwap(false, true) {
		return
	}
	close(h.came)
	select {
	case <-h.tell:
	case <-r.Context().Done():
	}
}

// openCircuit makes calls of a caller that fail, until the circuit refuses them.
func openCircuit(ctx context.Context, t *testing.T, client tagsv1.TagsServiceClient) {
	t.Helper()
	eventually(t, "the circuit is open", func() bool {
		v := verdictOf(createTag(ctx, client, "bad"))
		return v.reason == "UPSTREAM_CIRCUIT_OPEN" && v.attempts == "0"
	})
}

// TestVerdict_circuitRefusesTheRetry opens the circuit while a call is answered, or waits for its retry.
func TestVerdict_circuitRefusesTheRetry(t *testing.T) {
	t.Parallel()
	all := verdicts()
	all["503 with Retry-After, while it waits"] = said{http.StatusServiceUnavailable, "3"}
	for name, first := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			held := newHeldAnswer()
			waits := strings.HasSuffix(name, "while it waits")
			if waits {
				close(held.tell) // The answer is not held.
			}
			client, _ := startTags(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if nameIn(r) != "it" {
					said{status: http.StatusBadGateway}.say(w, r) // It is not repeated.
					return
				}
				held.hold(r)
				first.say(w, r)
			}), "--quota=false", "--retry-base-delay=1ms")
			ctx := as(waiting(t), "one")
			outcome := make(chan error, 1)
			go func() { outcome <- createTagAgain(ctx, client, "it") }()
			select {
			case <-held.came:
			case <-ctx.Done():
				t.Fatal("the request did not come")
			}
			openCircuit(ctx, t, client)
			if !waits {
				close(held.tell)
			}
			got := checkVerdict(t, <-outcome, first.verdict(), "circuit")
			checkWait(t, got, 0, 5*time.Second)
			if got.attempts != "1" {
				t.Errorf("attempts is %q, want 1", got.attempts)
			}
		})
	}
}

// TestVerdict_retryBudgetRefusesTheRetry uses up the retry budget of a caller. 429 opens no circuit.
func TestVerdict_retryBudgetRefusesTheRetry(t *testing.T) {
	t.Parallel()
	for name, first := range verdicts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := startTags(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if nameIn(r) != "it" {
					said{http.StatusTooManyRequests, "0.01"}.say(w, r)
					return
				}
				first.say(w, r)
			}), "--quota=false", "--retry-base-delay=1ms")
			ctx := as(waiting(t), "one")
			calls := 0
			eventually(t, "no retries are left", func() bool {
				calls++
				return verdictOf(createTagAgain(ctx, client, "greedy")).attempts == "1"
			})
			if calls == 9 { // The tenth call would add a retry to the budget.
				_ = createTagAgain(ctx, client, "greedy")
				_ = createTagAgain(ctx, client, "greedy")
			}
			got := checkVerdict(t, createTagAgain(ctx, client, "it"), first.verdict(), "retry_budget")
			if first.retryAfter != "" {
				checkWait(t, got, 90*time.Millisecond, time.Minute)
			}
		})
	}
}

// TestVerdict_noFurtherAttempt makes calls that are not repeated because of their kind or the number of
// attempts.
func TestVerdict_noFurtherAttempt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call        tagCall
		first       said
		flag        string
		notRepeated string
		attempts    string
	}{
		"one attempt, a read":         {readTag, said{status: http.StatusServiceUnavailable}, "--retry-max-attempts=1", "attempts", "1"},
		"one attempt, a 429":          {readTag, said{http.StatusTooManyRequests, "0.1"}, "--retry-max-attempts=1", "attempts", "1"},
		"three attempts, a read":      {readTag, said{status: http.StatusInternalServerError}, "--retry-max-attempts=3", "attempts", "3"},
		"three attempts, a write":     {createTag, said{status: http.StatusServiceUnavailable}, "--retry-max-attempts=3", "attempts", "3"},
		"a write that may be done":    {createTag, said{status: http.StatusInternalServerError}, "--retry-max-attempts=4", "not_repeatable", "1"},
		"a write that was reset":      {createTag, said{}, "--retry-max-attempts=4", "not_repeatable", "1"},
		"a write, and one attempt":    {createTagAgain, said{status: http.StatusInternalServerError}, "--retry-max-attempts=1", "attempts", "1"},
		"a write in three attempts":   {createTagAgain, said{}, "--retry-max-attempts=3", "attempts", "3"},
		"a 429 to a write, one only":  {createTag, said{http.StatusTooManyRequests, "0.1"}, "--retry-max-attempts=1", "attempts", "1"},
		"a read that was reset twice": {readTag, said{}, "--retry-max-attempts=2", "attempts", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := startTags(t, http.HandlerFunc(test.first.say), "--quota=false", "--retry-base-delay=1ms", test.flag)
			got := checkVerdict(t, test.call(waiting(t), client, "it"), test.first.verdict(), test.notRepeated)
			if got.attempts != test.attempts {
				t.Errorf("attempts is %q, want %s", got.attempts, test.attempts)
			}
		})
	}
}

// TestVerdict_noUselessSleep has a quota that admits a retry only after the deadline of the caller. The
// gateway does not wait for the backoff first. Each call is of another operation.
func TestVerdict_noUselessSleep(t *testing.T) {
	t.Parallel()
	const deadline, soon = 25 * time.Second, 5 * time.Second
	for name, first := range map[string]said{
		"429": {status: http.StatusTooManyRequests},
		"503": {status: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := startTags(t, http.HandlerFunc(first.say),
				"--retry-base-delay=24s", "--retry-max-delay=24s", "--quota-limits=samsara_gateway.tags.*=1/min", "--quota-max-wait=5m")
			for shape, call := range map[string]func(ctx context.Context) error{
				"GetTag":    func(ctx context.Context) error { return readTag(ctx, client, "it") },
				"CreateTag": func(ctx context.Context) error { return createTagAgain(ctx, client, "it") },
				"DeleteTag": func(ctx context.Context) error {
					_, err := client.DeleteTag(ctx, &tagsv1.DeleteTagRequest{Id: proto.String("it")})
					return err
				},
				"ReplaceTag": func(ctx context.Context) error {
					_, err := client.ReplaceTag(ctx, &tagsv1.ReplaceTagRequest{Id: proto.String("it"), Name: proto.String("it")})
					return err
				},
			} {
				t.Run(shape, func(t *testing.T) {
					t.Parallel()
					ctx := withTimeout(t, deadline)
					began := time.Now()
					err := call(ctx)
					took := time.Since(began)
					got := verdictOf(err)
					checkVerdict(t, err, first.verdict(), got.notRepeated)
					if got.notRepeated != "quota" && got.notRepeated != "deadline" {
						t.Errorf("not_repeated is %q, want quota or deadline", got.notRepeated)
					}
					checkWait(t, got, deadline, 2*time.Minute)
					if took > soon {
						t.Errorf("it took %v, want at most %v: the wait was useless", took.Round(time.Millisecond), soon)
					}
				})
			}
		})
	}
}

// TestTime_verdictOfA429WithoutRetryAfter has callers whose deadline comes before the end of the pause that
// such a 429 causes.
func TestTime_verdictOfA429WithoutRetryAfter(t *testing.T) {
	t.Parallel()
	testenv.Alone(t)
	const deadline, calls = 600 * time.Millisecond, 5
	first := said{status: http.StatusTooManyRequests}
	client, _ := startTags(t, http.HandlerFunc(first.say))
	if err := readTag(waiting(t), client, "connects"); status.Code(err) != codes.ResourceExhausted {
		t.Fatal(err)
	}
	for n := range calls {
		letPass(t, 1500*time.Millisecond) // until the pause is over
		began := time.Now()
		got := checkVerdict(t, readTag(withTimeout(t, deadline), client, strconv.Itoa(n)), first.verdict(), "deadline")
		took := time.Since(began)
		checkWait(t, got, deadline/2, 30*time.Second)
		t.Logf("it took %v", took.Round(time.Millisecond))
	}
}

// TestVerdict_pausedBySamsara has one caller be answered 429. Later calls of another caller do not wait so
// long. The quota refuses them, with the verdict of Samsara.
func TestVerdict_pausedBySamsara(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		call tagCall
		flag string
		has  time.Duration // how long the second caller has until its deadline
	}{
		"a read, longer than its deadline":   {readTag, "--quota-max-wait=5m", 10 * time.Second},
		"a read, longer than anybody waits":  {readTag, "--quota-max-wait=1s", 5 * time.Minute},
		"a write, longer than its deadline":  {createTag, "--quota-max-wait=5m", 10 * time.Second},
		"a write, longer than anybody waits": {createTag, "--quota-max-wait=1s", 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			client, _ := startTags(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				said{http.StatusTooManyRequests, "40"}.say(w, r)
			}), test.flag)
			err := test.call(as(withTimeout(t, 10*time.Second), "one"), client, "1")
			first := checkVerdict(t, err, said{status: http.StatusTooManyRequests}.verdict(), verdictOf(err).notRepeated)
			if first.notRepeated != "quota" && first.notRepeated != "deadline" {
				t.Errorf("not_repeated is %q, want quota or deadline", first.notRepeated)
			}
			checkWait(t, first, 30*time.Second, 2*time.Minute)

			got := verdictOf(test.call(as(withTimeout(t, test.has), "another"), client, "2"))
			if got.code != codes.ResourceExhausted || got.reason != "RATE_LIMITED" || got.status != "429" || got.attempts != "0" {
				t.Errorf("got %v, want ResourceExhausted/RATE_LIMITED, http_status 429 and attempts 0", got)
			}
			checkWait(t, got, 20*time.Second, 2*time.Minute)
			if strings.HasPrefix(name, "a write") && got.processed != "no" {
				t.Errorf("processed is %q, want no", got.processed)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("there were %d upstream requests, want 1", n)
			}
		})
	}
}

// stalling answers with a header and the beginning of a body that does not end.
type stalling struct {
	status int
	header http.Header
	// text is the beginning of the body. The header announces more, or no length if chunked.
	text             string
	chunked, trickle bool
}

// say answers, and returns when the gateway has closed the connection.
func (s stalling) say(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	for name, values := range s.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json")
	if !s.chunked {
		w.Header().Set("Content-Length", "1000")
	}
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, s.text)
	out := http.NewResponseController(w)
	_ = out.Flush()
	if !s.trickle {
		<-r.Context().Done()
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if _, err := io.WriteString(w, " "); errors.Join(err, out.Flush()) != nil {
				return
			}
		}
	}
}

// TestVerdict_uselessBodyStalls has bodies that decide nothing and do not end.
func TestVerdict_uselessBodyStalls(t *testing.T) {
	t.Parallel()
	// It should take 1.5 s, except on a busy machine.
	const deadline, most = patience, 10 * 1500 * time.Millisecond
	named := http.Header{"Request-Id": {"id-head"}}
	const half = `{"message":"half a mes`
	for name, test := range map[string]struct {
		call   tagCall // nil for deleteAsset
		answer stalling
		code   codes.Code
		reason string
	}{
		"404":                    {readTag, stalling{status: http.StatusNotFound, header: named, text: half}, codes.NotFound, "NOT_FOUND"},
		"403":                    {readTag, stalling{status: http.StatusForbidden, header: named}, codes.PermissionDenied, "FORBIDDEN"},
		"404 in chunks":          {readTag, stalling{status: http.StatusNotFound, header: named, chunked: true, text: half}, codes.NotFound, "NOT_FOUND"},
		"404 that trickles":      {readTag, stalling{status: http.StatusNotFound, header: named, chunked: true, trickle: true}, codes.NotFound, "NOT_FOUND"},
		"400 to a write":         {createTag, stalling{status: http.StatusBadRequest, header: named, text: half}, codes.InvalidArgument, "BAD_REQUEST"},
		"500 to a write":         {createTag, stalling{status: http.StatusInternalServerError, header: named, text: half}, codes.Unavailable, "INTERNAL_SERVER_ERROR"},
		"200 to DELETE":          {nil, stalling{status: http.StatusOK, text: `{"data":`}, codes.OK, ""},
		"200 to DELETE, a text":  {deleteTag, stalling{status: http.StatusOK, text: `"half a te`}, codes.OK, ""},
		"200 to DELETE, nothing": {nil, stalling{status: http.StatusOK}, codes.OK, ""},
		"200 to DELETE, chunks":  {nil, stalling{status: http.StatusOK, chunked: true, trickle: true}, codes.OK, ""},
		"302 to another": {
			readTag, stalling{status: http.StatusFound, header: http.Header{"Location": {"/tags/elsewhere"}}, text: half}, codes.OK, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan string, 1)
			from := make(chan string, 1)
			conn, _ := connectBefore(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if nameIn(r) == "it" {
					test.answer.say(w, r)
					closed <- r.RemoteAddr
					return
				}
				if nameIn(r) == "after" {
					from <- r.RemoteAddr
				}
				said{status: http.StatusOK}.say(w, r)
			}), "--quota=false", "--retry-max-attempts=1")
			client := tagsv1.NewTagsServiceClient(conn)
			ctx := withTimeout(t, deadline)
			began := time.Now()
			var err error
			if test.call == nil {
				err = deleteAsset(ctx, conn, "it")
			} else {
				err = test.call(ctx, client, "it")
			}
			got := verdictOf(err)
			took := time.Since(began)
			if got.code != test.code || got.reason != test.reason {
				t.Errorf("got %v after %v, want %v %s", got, took.Round(time.Millisecond), test.code, test.reason)
			}
			if test.code != codes.OK && (got.status != strconv.Itoa(test.answer.status) || got.requestID != "id-head") {
				t.Errorf("got %v, want the http_status and the request id of the header", got)
			}
			if took > most {
				t.Errorf("it took %v, want about 1.5s", took.Round(time.Millisecond))
			}
			t.Logf("it took %v", took.Round(time.Millisecond))
			var stalled string
			select {
			case stalled = <-closed:
			case <-time.After(patience):
				t.Fatal("the connection is still open")
			}
			if err := readTag(waiting(t), client, "after"); err != nil {
				t.Fatal(err)
			}
			if next := <-from; next == stalled {
				t.Error("the connection whose body stalled was used again")
			}
		})
	}
}
