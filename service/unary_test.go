package service_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

// sent is what the service decides of a request.
type sent struct {
	Method, Path, Query, Body, Template string
	Repeatable, RetryAlways, NoBody     bool
	Header                              []upstream.Header
}

func sentOf(requests []request) []sent {
	var out []sent
	for _, r := range requests {
		out = append(out, sent{
			Method: r.Method, Path: r.Path, Query: r.Query, Body: string(r.Body), Template: r.Template,
			Repeatable: r.Repeatable, RetryAlways: r.RetryAlways, NoBody: r.NoBody, Header: r.Header,
		})
	}
	return out
}

func TestCall_requestAndResponse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		method   string
		request  string
		body     string
		wantSent sent
		wantJSON string
	}{
		{
			name:    "parameters go into path and query",
			method:  getVehicle,
			request: `{"id":"a/b","types":["gps","engineStates"]}`,
			body:    `{"data":{"id":"7","name":"Truck","year":2019}}`,
			wantSent: sent{
				Method: "GET", Path: "/fleet/vehicles/a%2Fb", Query: "types=gps,engineStates",
				Template: "/fleet/vehicles/{id}", Repeatable: true,
			},
			wantJSON: `{"data":{"id":"7","name":"Truck","year":"2019"}}`,
		},
		{
			name:    "fields go into the body and a POST is not repeatable",
			method:  createVehicle,
			request: `{"name":"Truck","year":"2019"}`,
			body:    `{"data":{"name":"Truck"}}`,
			wantSent: sent{
				Method: "POST", Path: "/fleet/vehicles", Body: `{"name":"Truck","year":2019}`,
				Template: "/fleet/vehicles",
			},
			wantJSON: `{"data":{"name":"Truck"}}`,
		},
		{
			name:    "a response without fields is said to have no body",
			method:  deleteVehicle,
			request: `{"id":"7"}`,
			body:    `{}`,
			wantSent: sent{
				Method: "DELETE", Path: "/fleet/vehicles/7", Template: "/fleet/vehicles/{id}",
				Repeatable: true, NoBody: true,
			},
			wantJSON: `{}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(test.body)
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up})
			r := g.call(t.Context(), t, test.method, test.request)
			if r.status.Code() != codes.OK {
				t.Fatalf("status is %v, want OK", r.status)
			}
			if diff := cmp.Diff(test.wantJSON, r.json); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]sent{test.wantSent}, sentOf(up.asked()), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("upstream request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCall_attemptsAndRequestID(t *testing.T) {
	t.Parallel()
	ours := cmpopts.IgnoreMapEntries(func(key string, _ []string) bool { return !strings.HasPrefix(key, "samsara-") })
	for _, test := range []struct {
		name        string
		up          *fakeUpstream
		wantHeader  metadata.MD
		wantTrailer metadata.MD
	}{
		{
			name:       "success",
			up:         answers(`{}`),
			wantHeader: metadata.Pairs("samsara-attempts", "1", "samsara-request-id", "req-1"),
		},
		{
			name:        "failure",
			up:          fails(&upstream.Error{Code: codes.NotFound, Attempts: 3, RequestID: "r 2\xff"}),
			wantTrailer: metadata.Pairs("samsara-attempts", "3", "samsara-request-id", "r%202%FF"),
		},
		{
			name:        "failure before any attempt",
			up:          fails(fmt.Errorf("wrapped: %w", &upstream.Error{Code: codes.Unavailable})),
			wantTrailer: metadata.Pairs("samsara-attempts", "0"),
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: test.up})
			r := g.call(t.Context(), t, getVehicle, `{"id":"7"}`)
			if diff := cmp.Diff(test.wantHeader, r.header, ours, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantTrailer, r.trailer, ours, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("trailer (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCall_badRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		method  string
		request string
		retry   []string
		want    []string
	}{
		{
			name: "a required path parameter is missing", method: getVehicle, request: `{}`,
			want: []string{"id: is required"},
		},
		{
			name: "every required member of the body is named", method: createVehicle, request: `{}`,
			want: []string{"name: is required", "year: is required"},
		},
		{
			name: "samsara-retry has a value that is unknown", method: getVehicle, request: `{"id":"7"}`,
			retry: []string{"always", "never"},
			want:  []string{`samsara-retry: is "never", must be "always" or absent`},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up})
			ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"samsara-retry": test.retry})
			r := g.call(ctx, t, test.method, test.request)
			got := r.wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("violations (-want +got):\n%s", diff)
			}
			if want := strings.Join(test.want, "; "); r.status.Message() != want {
				t.Errorf("message is %q, want %q", r.status.Message(), want)
			}
			if n := len(up.asked()); n != 0 {
				t.Errorf("the upstream was asked %d times, want 0", n)
			}
		})
	}
}

func TestCall_metadata(t *testing.T) {
	t.Parallel()
	fault := []upstream.Header{{Name: "Samsara-Sandbox-Fault", Value: "status=503"}}
	for _, test := range []struct {
		name          string
		sandboxFaults bool
		metadata      metadata.MD
		wantRetry     bool
		wantHeader    []upstream.Header
	}{
		{name: "nothing by default"},
		{name: "retry always", metadata: metadata.Pairs("samsara-retry", "always"), wantRetry: true},
		{
			name: "a fault for the sandbox", sandboxFaults: true,
			metadata: metadata.Pairs("samsara-sandbox-fault", "status=503"), wantHeader: fault,
		},
		{name: "no fault for Samsara itself", metadata: metadata.Pairs("samsara-sandbox-fault", "status=503")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up, SandboxFaults: test.sandboxFaults})
			r := g.call(metadata.NewOutgoingContext(t.Context(), test.metadata), t, createVehicle, `{"name":"a","year":"1"}`)
			if r.status.Code() != codes.OK {
				t.Fatalf("status is %v, want OK", r.status)
			}
			got := up.asked()[0]
			if got.RetryAlways != test.wantRetry {
				t.Errorf("RetryAlways is %t, want %t", got.RetryAlways, test.wantRetry)
			}
			if diff := cmp.Diff(test.wantHeader, got.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCall_drift(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body, want string
		told             []string
	}{
		{name: "none", body: `{"data":{"id":"7"}}`},
		{
			name: "a kind, a count and a strange name", body: `{"data":{"year":"2019","a.b, c":1,"é":2,"é":3}}`,
			want: "Vehicle.year=coerced, Vehicle.a%2Eb%2C%20c=unknown, Vehicle.%C3%A9=unknown;n=2",
			told: []string{"Vehicle.year coerced 1", "Vehicle.a.b, c unknown 1", "Vehicle.é unknown 2"},
		},
		{
			name: "an answer without its envelope", body: `{"id":"7"}`,
			want: "GetVehicleResponse.*=wrapped", told: []string{"GetVehicleResponse.* wrapped 1"},
		},
		{
			name: "a member that is called so", body: `{"data":{"id":"7","*":1}}`,
			want: "Vehicle.%2A=unknown", told: []string{"Vehicle.* unknown 1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var told []string
			g := start(t, service.Config{
				Endpoints: endpoints(t), Upstream: answers(test.body),
				Drift: func(method string, findings []transcode.Finding) {
					for _, f := range findings {
						told = append(told, fmt.Sprintf("%s.%s %s %d", f.Message, f.Member, f.Kind, f.Count))
					}
					if method != getVehicle {
						t.Errorf("Config.Drift was told of %s, want %s", method, getVehicle)
					}
				},
			})
			r := g.call(t.Context(), t, getVehicle, `{"id":"7"}`)
			if got := strings.Join(r.trailer.Get("samsara-drift"), "|"); got != test.want {
				t.Errorf("samsara-drift is %q, want %q", got, test.want)
			}
			if diff := cmp.Diff(test.told, told); diff != "" {
				t.Errorf("Config.Drift was told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCall_driftTrailerBounded(t *testing.T) {
	t.Parallel()
	members := func(n, length int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%s%02d":1`, strings.Repeat("ü", length), i)
		}
		return `{"data":{` + b.String()[1:] + `}}`
	}
	for _, test := range []struct {
		name, body  string
		wantEntries int
		wantLast    string
	}{
		{name: "as many as fit are all named", body: members(16, 0), wantEntries: 16, wantLast: "Vehicle.15=unknown"},
		{name: "the last of too many counts the rest", body: members(17, 0), wantEntries: 16, wantLast: "*=more;n=2"},
		{name: "what the decoder dropped is counted", body: members(40, 0), wantEntries: 16, wantLast: "*=more;n=25"},
		{name: "long names are fewer", body: members(16, 20), wantEntries: 8, wantLast: "*=more;n=9"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: answers(test.body)})
			r := g.call(t.Context(), t, getVehicle, `{"id":"7"}`)
			drift := strings.Join(r.trailer.Get("samsara-drift"), "|")
			if len(drift) > 1024 {
				t.Errorf("samsara-drift is %d bytes long, want at most 1024", len(drift))
			}
			entries := strings.Split(drift, ", ")
			if len(entries) != test.wantEntries {
				t.Errorf("samsara-drift has %d entries, want %d: %s", len(entries), test.wantEntries, drift)
			}
			if last := entries[len(entries)-1]; last != test.wantLast {
				t.Errorf("last entry is %q, want %q", last, test.wantLast)
			}
		})
	}
}

func TestCall_errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		err         error
		wantCode    codes.Code
		wantReason  string
		wantMessage string
		wantLog     string
	}{
		{
			name: "an upstream error by its status, without what wraps it",
			err: fmt.Errorf("secret: %w", &upstream.Error{
				Code: codes.Unavailable, Reason: apiv1.Reason_REASON_UPSTREAM_RESET, Domain: upstream.DomainGateway, Message: "reset",
			}),
			wantCode: codes.Unavailable, wantReason: "UPSTREAM_RESET", wantMessage: "reset",
			wantLog: "level=WARN msg=\"call finished\"",
		},
		{
			name: "a cancellation by its code", err: fmt.Errorf("secret: %w", context.Canceled),
			wantCode: codes.Canceled, wantReason: "REQUEST_CANCELLED", wantMessage: "call cancelled",
			wantLog: "level=INFO msg=\"call finished\"",
		},
		{
			name: "a deadline by its code", err: fmt.Errorf("secret: %w", context.DeadlineExceeded),
			wantCode: codes.DeadlineExceeded, wantReason: "REQUEST_DEADLINE_EXCEEDED", wantMessage: "deadline exceeded",
			wantLog: "level=WARN msg=\"call finished\"",
		},
		{
			name: "any other error as internal and logged whole", err: errors.New("secret fault"),
			wantCode: codes.Internal, wantReason: "GATEWAY_INTERNAL", wantMessage: "internal error",
			wantLog: `msg="call failed by a fault of the gateway" method=` + getVehicle + ` error="secret fault"`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: fails(test.err)})
			r := g.call(t.Context(), t, getVehicle, `{"id":"7"}`)
			r.wantError(t, test.wantCode, test.wantReason)
			if r.status.Message() != test.wantMessage {
				t.Errorf("message is %q, want %q", r.status.Message(), test.wantMessage)
			}
			if strings.Contains(fmt.Sprint(r.status.Proto()), "secret") {
				t.Errorf("status gives away what wrapped the error: %v", r.status.Proto())
			}
			if log := g.stopAndReadLog(t); !strings.Contains(log, test.wantLog) {
				t.Errorf("log does not hold %q:\n%s", test.wantLog, log)
			}
		})
	}
}

func TestCall_invalidArgumentBounded(t *testing.T) {
	t.Parallel()
	g := start(t, service.Config{Upstream: answers(`{}`), Passthrough: true})
	request := `{"method":"GET","path":"/a","query":[` + strings.Repeat(`{"value":"x"},`, 999) + `{"value":"x"}]}`
	r := g.pass(t.Context(), t, request)
	violations := r.wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
	if len(violations) == 0 || violations[0] != "query[0].name: is required" {
		t.Errorf("violations are %q, want the first to be query[0].name", violations)
	}
	if n := len(r.status.Message()); n > 1100 {
		t.Errorf("message is %d bytes long, want at most 1100", n)
	}
	want := fmt.Sprintf("; and %d more", 1000-len(violations))
	if !strings.HasSuffix(r.status.Message(), want) {
		t.Errorf("message ends in %q, want %q", r.status.Message()[max(0, len(r.status.Message())-40):], want)
	}
}

func TestCall_unreadableRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		method   string
		request  string
		wantCode codes.Code
	}{
		{name: "larger than the limit", method: getVehicle, request: "\x0a\x80\x08" + strings.Repeat("a", 1024), wantCode: codes.ResourceExhausted},
		{name: "not a message", method: getVehicle, request: "\xff", wantCode: codes.Internal},
		{name: "not a message, to the passthrough", method: passthrough, request: "\xff", wantCode: codes.Internal},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up, Passthrough: true, MaxRequestBytes: 1024})
			var out []byte
			err := g.conn.Invoke(t.Context(), test.method, []byte(test.request), &out, grpc.ForceCodecV2(bytesCodec{}))
			if status.Code(err) != test.wantCode {
				t.Errorf("error is %v, want code %v", err, test.wantCode)
			}
			if n := len(up.asked()); n != 0 {
				t.Errorf("the upstream was asked %d times, want 0", n)
			}
			if log := g.stopAndReadLog(t); !strings.Contains(log, "method="+test.method+" code="+test.wantCode.String()) {
				t.Errorf("the call is not in the log:\n%s", log)
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	up := answers(`{"data":{"id":"7","name":"Truck","year":2019}}`)
	g := start(b, service.Config{Endpoints: endpoints(b), Upstream: upstreamFunc(up.do), Logger: slog.New(slog.DiscardHandler)})
	request := []byte("\x0a\x017")
	b.ReportAllocs()
	for b.Loop() {
		var response []byte
		if err := g.conn.Invoke(b.Context(), getVehicle, request, &response, grpc.ForceCodecV2(bytesCodec{})); err != nil {
			b.Fatal(err)
		}
	}
}
