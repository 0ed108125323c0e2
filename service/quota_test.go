package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/internal/transcode"
	"samsara.internal/gateway/service"
	"samsara.internal/gateway/upstream"
)

func TestMetadataSaysWhoCallsAndHowUrgently(t *testing.T) {
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

func TestMetadataThatIsNotUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	up := answers(`{}`)
	g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up})
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(
		"samsara-retry", "never", "samsara-cache", "no-cache", "samsara-priority", "low", "samsara-caller", strings.Repeat("x", 65)))
	got := g.call(ctx, t, getVehicle, `{"id":"1"}`).wantError(t, codes.InvalidArgument, "INVALID_ARGUMENT")
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

// budgetOf returns the name of the budget that a request takes from beside the shared ones.
func budgetOf(t *testing.T, limiter *quota.Limiter, req upstream.Request) string {
	t.Helper()
	before := limiter.Snapshot()
	if _, err := req.Quota.Admit(t.Context(), identity.Identity{}); err != nil {
		t.Fatal(err)
	}
	for i, b := range limiter.Snapshot().Budgets[2:] {
		if b.Admitted > before.Budgets[i+2].Admitted {
			return b.Name
		}
	}
	return ""
}

func TestEveryCallTakesFromTheBudgetOfItsOperation(t *testing.T) {
	t.Parallel()
	limiter := newLimiter(t)
	up := answers(`{}`)
	g := start(t, service.Config{Endpoints: endpoints(t), Upstream: up, Quota: limiter, Passthrough: true})
	const service = "operation:samsara.vehicles.v1.VehiclesService/"
	want := []string{
		service + "GetVehicle", service + "DeleteVehicle",
		service + "GetVehicle", service + "CreateVehicle", "operation:(passthrough)", "operation:(passthrough)",
	}
	g.call(t.Context(), t, getVehicle, `{"id":"1"}`)
	g.call(t.Context(), t, deleteVehicle, `{"id":"1"}`)
	g.pass(t.Context(), t, `{"method":"GET","path":"/fleet/vehicles/1"}`)
	g.pass(t.Context(), t, `{"method":"POST","path":"/fleet/vehicles","body":"{}"}`)
	g.pass(t.Context(), t, `{"method":"PATCH","path":"/fleet/vehicles"}`)
	g.pass(t.Context(), t, `{"method":"GET","path":"/fleet/vehicles/1/2"}`)
	var got []string
	for _, req := range up.asked() {
		got = append(got, budgetOf(t, limiter, req))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("budgets (-want +got):\n%s", diff)
	}
}

func TestAnswerFromTheCacheSaysSoAndCountsItsDriftOnce(t *testing.T) {
	t.Parallel()
	up := &fakeUpstream{do: func(_ context.Context, req *upstream.Request) (*upstream.Response, error) {
		resp := &upstream.Response{Status: 200, RequestID: "req-1", Cached: true, Age: 12*time.Second + 900*time.Millisecond}
		var err error
		resp.Message, err = req.Decoder.Append(nil, []byte(`{"unknown":1}`), &resp.Drift)
		return resp, err
	}}
	var asked []string
	g := start(t, service.Config{
		Endpoints: endpoints(t), Upstream: up,
		CacheTTL: func(method string) time.Duration {
			asked = append(asked, method)
			return time.Minute
		},
		Drift: func(string, []transcode.Finding) { t.Error("drift was counted again") },
	})
	r := g.call(t.Context(), t, getVehicle, `{"id":"1"}`)
	if got := r.header.Get("samsara-cache"); !cmp.Equal(got, []string{"hit; age=12"}) {
		t.Errorf("samsara-cache is %q, want hit; age=12", got)
	}
	if got := r.trailer.Get("samsara-drift"); !cmp.Equal(got, []string{"GetVehicleResponse.unknown=unknown"}) {
		t.Errorf("samsara-drift is %q", got)
	}
	if got := up.asked()[0].CacheTTL; got != time.Minute {
		t.Errorf("CacheTTL is %v, want 1m", got)
	}
	if want := []string{createVehicle, deleteVehicle, getVehicle}; !cmp.Equal(asked, want) {
		t.Errorf("asked for the TTL of %q, want %q", asked, want)
	}
}
