package service_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "samsara.internal/gateway/gen/api/v1"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func TestMetadata_callerAndPriority(t *testing.T) {
	t.Parallel()
	type asked struct {
		Caller         string
		Batch, NoStore bool
	}
	for name, test := range map[string]struct {
		metadata metadata.MD
		want     asked
	}{
		"nothing":        {nil, asked{Caller: "bufconn"}},
		"a caller":       {metadata.Pairs("samsara-caller", "billing"), asked{Caller: "billing"}},
		"batch":          {metadata.Pairs("samsara-priority", "batch"), asked{Caller: "bufconn", Batch: true}},
		"interactive":    {metadata.Pairs("samsara-priority", "interactive"), asked{Caller: "bufconn"}},
		"past the cache": {metadata.Pairs("samsara-cache", "no-store"), asked{Caller: "bufconn", NoStore: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := answers(`{}`)
			g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up})
			r := g.call(metadata.NewOutgoingContext(t.Context(), test.metadata), t, getVehicle, `{"id":"1"}`)
			if r.status.Code() != codes.OK {
				t.Fatalf("status is %v, want OK", r.status)
			}
			req := up.asked()[0]
			if diff := cmp.Diff(test.want, asked{req.From.Caller, req.From.Batch, req.NoStore}); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMetadata_refused(t *testing.T) {
	t.Parallel()
	up := answers(`{}`)
	g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up})
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(
		"samsara-retry", "never", "samsara-cache", "no-cache", "samsara-priority", "low", "samsara-caller", strings.Repeat("x", 65)))
	got := g.call(ctx, t, getVehicle, `{"id":"1"}`).wantError(t, codes.InvalidArgument, "REQUEST_INVALID_ARGUMENT")
	want := []string{
		`samsara-retry: is "never", must be "always" or absent`,
		`samsara-cache: is "no-cache", must be "no-store" or absent`,
		`samsara-priority: is "low", must be "batch" or "interactive"`,
		`samsara-caller: is "` + strings.Repeat("x", 64) + `...", must be of 1 to 64 bytes`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
	if n := len(up.asked()); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

func newLimiter(t *testing.T) *quota.Limiter {
	t.Helper()
	limiter, err := quota.New(quota.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := limiter.Close(); err != nil {
			t.Errorf("close limiter: %v", err)
		}
	})
	return limiter
}

func TestQuota_budgetOfEachOperation(t *testing.T) {
	t.Parallel()
	limiter := newLimiter(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) }))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client, err := upstream.New(upstream.Config{BaseURL: base, Token: upstream.StaticToken("token"), Quota: limiter})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	g := start(t, service.Config{Endpoints: endpoints(t), Upstream: client, Passthrough: true})
	admitted := func() map[string]uint64 {
		of := make(map[string]uint64)
		for _, b := range limiter.Snapshot().Budgets[2:] {
			of[b.Name] = b.Admitted
		}
		return of
	}
	const service = "operation:samsara_gateway.vehicles.v1.VehiclesService/"
	for _, test := range []struct {
		method, request, want string
	}{
		{getVehicle, `{"id":"1"}`, service + "GetVehicle"},
		{deleteVehicle, `{"id":"1"}`, service + "DeleteVehicle"},
		{passthrough, `{"method":"GET","path":"/fleet/vehicles/1"}`, service + "GetVehicle"},
		{passthrough, `{"method":"POST","path":"/fleet/vehicles","body":"{}"}`, service + "CreateVehicle"},
		{passthrough, `{"method":"PATCH","path":"/fleet/vehicles"}`, "operation:(passthrough)"},
		{passthrough, `{"method":"GET","path":"/fleet/vehicles/1/2"}`, "operation:(passthrough)"},
	} {
		want := admitted()
		want[test.want]++
		if test.method == passthrough {
			g.pass(t.Context(), t, test.request)
		} else {
			g.call(t.Context(), t, test.method, test.request)
		}
		if diff := cmp.Diff(want, admitted()); diff != "" {
			t.Errorf("admitted after %s %s (-want +got):\n%s", test.method, test.request, diff)
		}
	}
}

func TestNew_unresolvedOperations(t *testing.T) {
	t.Parallel()
	client, err := upstream.New(upstream.Config{
		BaseURL: &url.URL{Scheme: "http", Host: "nowhere.test"}, Token: upstream.StaticToken("token"), Quota: newLimiter(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	served := endpoints(t)
	for _, e := range served[:2] {
		e.Operation = proto.CloneOf(e.Operation)
		e.Operation.RateLimit = &apiv1.RateLimit{Requests: 1_000_000, Window: durationpb.New(time.Second)}
	}
	_, err = service.New(service.Config{Endpoints: served, Upstream: client})
	for _, e := range served[:2] {
		if want := "method " + strings.TrimPrefix(e.FullMethod, "/") + ": "; err == nil || strings.Count(err.Error(), want) != 1 {
			t.Errorf("error is %v, want %q in it once", err, want)
		}
	}
}

func TestCall_answeredFromTheCache(t *testing.T) {
	t.Parallel()
	up := &fakeUpstream{do: func(_ context.Context, req *request) (*upstream.Response, error) {
		resp := &upstream.Response{Status: 200, RequestID: "req-1", Cached: true, Age: 12*time.Second + 900*time.Millisecond}
		var err error
		resp.Message, err = req.Decoder.Append(nil, []byte(`{"unknown":1}`), &resp.Drift)
		return resp, err
	}}
	g := start(t, service.Config{
		Endpoints: endpoints(t), Upstream: up,
		Drift: func(string, []transcode.Finding) { t.Error("drift was counted again") },
	})
	r := g.call(t.Context(), t, getVehicle, `{"id":"1"}`)
	if got := r.header.Get("samsara-cache"); !cmp.Equal(got, []string{"hit; age=12"}) {
		t.Errorf("samsara-cache is %q, want hit; age=12", got)
	}
	if got := r.trailer.Get("samsara-drift"); !cmp.Equal(got, []string{"GetVehicleResponse.unknown=unknown"}) {
		t.Errorf("samsara-drift is %q", got)
	}
}
