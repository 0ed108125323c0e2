package upstream_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/upstream"
)

// verdictOf is decision 8 of the design, written down a second time.
func verdictOf(httpStatus int) (code codes.Code, reason, domain string, attempts int) {
	switch {
	case httpStatus < 300:
		return codes.OK, "", "", 1
	case httpStatus < 400:
		return codes.Internal, "UPSTREAM_UNEXPECTED_STATUS", "gateway.samsara.internal", 1
	}
	named := map[int]struct {
		code   codes.Code
		reason string
	}{
		400: {codes.InvalidArgument, "BAD_REQUEST"},
		401: {codes.Unauthenticated, "UNAUTHORIZED"},
		403: {codes.PermissionDenied, "FORBIDDEN"},
		404: {codes.NotFound, "NOT_FOUND"},
		405: {codes.Unimplemented, "METHOD_NOT_ALLOWED"},
		408: {codes.Unavailable, "REQUEST_TIMEOUT"},
		409: {codes.Aborted, "CONFLICT"},
		410: {codes.NotFound, "GONE"},
		412: {codes.FailedPrecondition, "PRECONDITION_FAILED"},
		413: {codes.InvalidArgument, "PAYLOAD_TOO_LARGE"},
		422: {codes.InvalidArgument, "UNPROCESSABLE"},
		429: {codes.ResourceExhausted, "RATE_LIMITED"},
		500: {codes.Unavailable, "INTERNAL_SERVER_ERROR"},
		501: {codes.Unavailable, "NOT_IMPLEMENTED"},
		502: {codes.Unavailable, "BAD_GATEWAY"},
		503: {codes.Unavailable, "SERVICE_UNAVAILABLE"},
		504: {codes.Unavailable, "GATEWAY_TIMEOUT"},
	}
	verdict, ok := named[httpStatus]
	if !ok {
		verdict.code, verdict.reason = codes.InvalidArgument, "HTTP_"+strconv.Itoa(httpStatus)
		if httpStatus >= 500 {
			verdict.code = codes.Unavailable
		}
	}
	if verdict.code == codes.Unavailable || httpStatus == 429 {
		return verdict.code, verdict.reason, "samsara.com", 4
	}
	return verdict.code, verdict.reason, "samsara.com", 1
}

func TestVerdict_everyStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			var code int
			if _, err := fmt.Sscanf(r.URL.Path, "/%d", &code); err != nil {
				t.Error(err)
			}
			w.Header().Set("Request-Id", "r-1")
			w.WriteHeader(code)
			if code != 204 && code != 304 {
				_, _ = fmt.Fprintf(w, `{"message":"text %d","requestId":"r-2"}`, code)
			}
		})
		client := f.client(stubborn)
		for httpStatus := 200; httpStatus <= 599; httpStatus++ {
			code, reason, domain, attempts := verdictOf(httpStatus)
			resp, err := client.Do(t.Context(), get(fmt.Sprintf("/%d", httpStatus)))
			if code == codes.OK {
				if err != nil || resp.Status != httpStatus || resp.Attempts != 1 || resp.RequestID != "r-1" {
					t.Errorf("%d: Do = %+v, %v, want success", httpStatus, resp, err)
				}
				continue
			}
			message, requestID := fmt.Sprintf("text %d", httpStatus), "r-2"
			if httpStatus < 400 {
				message = strings.TrimSpace(fmt.Sprintf("the upstream answered %d %s", httpStatus, http.StatusText(httpStatus))) + ": " + message
			}
			if httpStatus == 304 {
				message, requestID = "the upstream answered 304 Not Modified", "r-1"
			}
			metadata := map[string]string{
				"http_status": strconv.Itoa(httpStatus), "method": "GET", "path": "/things/{id}", "attempts": strconv.Itoa(attempts),
			}
			switch {
			case attempts > 1:
				metadata["not_repeated"] = "attempts"
			case httpStatus == http.StatusUnauthorized:
				metadata["not_repeated"] = "token"
			}
			want := status.New(code, message)
			want, withErr := want.WithDetails(
				&errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: metadata},
				&errdetails.RequestInfo{RequestId: requestID},
			)
			if withErr != nil {
				t.Fatal(withErr)
			}
			got, _ := status.FromError(err)
			if diff := cmp.Diff(want.Proto(), got.Proto(), protocmp.Transform()); diff != "" {
				t.Errorf("%d (-want +got):\n%s", httpStatus, diff)
			}
		}
	})
}

func TestVerdict_statusOutsideHTTP(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"101 Switching Protocols", "099 Odd", "600 Odd", "999 Odd"} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, stall("HTTP/1.1 "+line+"\r\nConnection: upgrade\r\nUpgrade: odd\r\nContent-Length: 0\r\n\r\n"))
				start := time.Now()
				resp, err := f.client().Do(t.Context(), get("/x"))
				wantVerdict(t, failure(t, resp, err), codes.Internal, "UPSTREAM_UNEXPECTED_STATUS", 1)
				if got := time.Since(start); got != 0 {
					t.Errorf("Do took %v, want no wait for the end of the connection", got)
				}
			})
		})
	}
}

func TestError_knownWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(429, "", "Retry-After", "0.40235"))
		_, err := f.client(once).Do(t.Context(), get("/x"))
		st, _ := status.FromError(err)
		var got *errdetails.RetryInfo
		for _, detail := range st.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				got = info
			}
		}
		want := &errdetails.RetryInfo{RetryDelay: durationpb.New(402350 * time.Microsecond)}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("RetryInfo (-want +got):\n%s", diff)
		}
	})
}

func TestError_fitsHeadersOfAnyClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, answer(400, strings.Repeat("é", 40_000), "Content-Length", "80000", "Request-Id", strings.Repeat("é", 400)))
		resp, err := f.client().Do(t.Context(), get("/x"))
		failed := failure(t, resp, err)
		if got := len(failed.Message); got != upstream.MaxMessageBytes {
			t.Errorf("Message has %d bytes, want %d", got, upstream.MaxMessageBytes)
		}
		if got := len(failed.RequestID); got != 128 {
			t.Errorf("RequestID has %d bytes, want 128", got)
		}
		// A client counts the message percent-encoded and the details in base64.
		if details := failed.GRPCStatus().Proto(); 3*len(failed.Message)+len(details.String())*4/3 > 8<<10 {
			t.Errorf("status takes %d bytes and more of header", len(details.String()))
		}
	})
}

func TestError_oneLine(t *testing.T) {
	t.Parallel()
	err := &upstream.Error{Method: "GET", Template: "/x/{id}", Reason: apiv1.Reason_REASON_NOT_FOUND, Attempts: 1, Message: "gone"}
	if got, want := err.Error(), "GET /x/{id}: NOT_FOUND (attempts: 1): gone"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
