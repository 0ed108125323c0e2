package explain_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen"
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/explain"
	"samsara.internal/gateway/internal/quota"
	"samsara.internal/gateway/upstream"
)

func load(t *testing.T) []*endpoint.Endpoint {
	t.Helper()
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		t.Fatal(err)
	}
	return endpoints
}

// newExplainer returns one of a gateway with such arguments, before an upstream at base.
func newExplainer(t *testing.T, base string, args ...string) *explain.Explainer {
	t.Helper()
	endpoints := load(t)
	cfg, err := config.LoadExplain(args, nil, config.API{Methods: []string{"samsara_gateway.tags.v1.TagsService/GetTag"}, Reads: []string{"samsara_gateway.tags.v1.TagsService/GetTag"}})
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	var limiter *quota.Limiter
	if cfg.Quota {
		limits := quota.Defaults()
		limits.Overrides = cfg.QuotaLimits
		if limiter, err = quota.New(limits); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := limiter.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	client, err := upstream.New(upstream.Config{
		Quota:   limiter,
		BaseURL: at, Token: upstream.StaticToken(explain.Token), CacheTTL: cfg.CacheTTL, CacheBytes: 1 << 20,
		Retry: upstream.RetryPolicy{MaxAttempts: 2, BaseDelay: time.Microsecond, MaxDelay: time.Microsecond, Budget: 1e6},
		// No circuit opens.
		Breaker: upstream.BreakerPolicy{FailureRatio: 2},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &explain.Explainer{Methods: catalog.New(endpoints), Client: client, Quota: limiter, Config: &cfg}
}

// TestExplain_repeatsAsTheClientDoes has calls of each kind end with every HTTP status, and compares what
// the client makes of it with what was explained: code, reason and whether it was repeated.
func TestExplain_repeatsAsTheClientDoes(t *testing.T) {
	t.Parallel()
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) }))
	defer server.Close()
	// Without the quota, which pauses after 429.
	x := newExplainer(t, server.URL, "--quota=false")
	endpoints := load(t)
	for name, request := range map[string]string{"GetTag": `{"id": "1"}`, "CreateTag": `{"name": "a"}`, "UpdateTag": `{"id": "1"}`, "DeleteTag": `{"id": "1"}`} {
		i := slices.IndexFunc(endpoints, func(e *endpoint.Endpoint) bool { return string(e.Method.Name()) == name })
		e := endpoints[i]
		plan, err := x.Explain(t.Context(), name, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		op, err := x.Client.Operation(upstream.OperationSpec{Endpoint: e})
		if err != nil {
			t.Fatal(err)
		}
		for s := 400; s < 600; s++ {
			status.Store(int64(s))
			_, err := x.Client.Do(t.Context(), op, upstream.Call{Path: "/tags", Body: []byte("{}")})
			var failed *upstream.Error
			if !errors.As(err, &failed) {
				t.Fatalf("%d: %v", s, err)
			}
			repeated := failed.Attempts > 1
			if holds(t, plan.Retries.Statuses, s) != repeated {
				t.Errorf("%s, %d: %d attempts; repeated after %v", name, s, failed.Attempts, plan.Retries.Statuses)
			}
			want := explain.Reason{Code: code.Code(failed.Code).String(), Reason: upstream.ReasonText(failed.Reason), Domain: failed.Domain, Repeated: repeated}
			if !slices.Contains(plan.Reasons, want) {
				t.Errorf("%s, %d: ends with %+v, which is not explained", name, s, want)
			}
			_, err = x.Client.Do(t.Context(), op, upstream.Call{Path: "/tags", Body: []byte("{}"), RetryAlways: true})
			if !errors.As(err, &failed) || holds(t, plan.Retries.StatusesAlways, s) != (failed.Attempts > 1) {
				t.Errorf("%s, %d, always: %v; repeated after %v", name, s, err, plan.Retries.StatusesAlways)
			}
		}
	}
}

// holds reports whether a list such as 408, 500-599 has a status.
func holds(t *testing.T, list []string, status int) bool {
	t.Helper()
	return slices.ContainsFunc(list, func(text string) bool {
		var from, to int
		if n, _ := fmt.Sscanf(text, "%d-%d", &from, &to); n == 1 {
			to = from
		} else if n == 0 {
			t.Fatalf("%q", text)
		}
		return from <= status && status <= to
	})
}

func TestExplain_budgetsAndCacheSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1", "--quota-limits", "samsara_gateway.tags.*=1/min", "--cache=samsara_gateway.tags.*=30s")
	for name, test := range map[string]struct {
		want  explain.Budget
		cache float64
	}{
		"GetTag": {explain.Budget{
			Name: "operation:samsara_gateway.tags.v1.TagsService/GetTag", Limit: "1/min", Effective: 1 / 1.04,
			From: "--quota-limits samsara_gateway.tags.*=1/min (the command line)",
		}, 30},
		"ListDrivers": {explain.Budget{
			Name: "operation:samsara_gateway.drivers.v1.DriversService/ListDrivers", Limit: "5/s", Effective: 5 / 1.04,
			From: "Samsara's API document as corrected",
		}, 0},
		"GetAttribute": {explain.Budget{
			Name: "operation:samsara_gateway.attributes.v1.AttributesService/GetAttribute", Limit: "none", From: "Samsara's API document as corrected, which states none",
		}, 0},
	} {
		request := `{"id": "1"}`
		if name == "ListDrivers" {
			request = ""
		}
		if name == "GetAttribute" {
			request = `{"id": "1", "entity_type": "asset"}`
		}
		plan, err := x.Explain(t.Context(), name, []byte(request))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, plan.Quota.Budgets[len(plan.Quota.Budgets)-1], cmp.Comparer(func(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(plan.Quota.Budgets) != 3 || plan.Reads.CacheSeconds != test.cache {
			t.Errorf("%s: %+v, %+v", name, plan.Quota.Budgets, plan.Reads)
		}
	}
}

func TestExplain_refusesRequests(t *testing.T) {
	t.Parallel()
	x := newExplainer(t, "http://127.0.0.1:1")
	for _, test := range []struct{ method, request, want string }{
		{"GetTag", ``, "samsara_gateway.tags.v1.TagsService/GetTag: INVALID_ARGUMENT: the gateway refuses the request\n  id: is required"},
		{"GetTag", `{"id": ".."}`, "samsara_gateway.tags.v1.TagsService/GetTag: INVALID_ARGUMENT: the gateway refuses the request\n  id: is \"..\", must be neither empty nor a path segment of dots"},
		{"FollowVehicleStats", `{"request": {"after": "x"}, "options": {"pollInterval": "1s"}}`, "samsara_gateway.vehicle_stats.v1.VehicleStatsService/FollowVehicleStats: INVALID_ARGUMENT: the gateway refuses the request\n" +
			"  options.poll_interval: is 1s, must be at least 5s\n  request.after: must not be set: a followed feed begins at options.from_cursor\n  request.types: is required"},
		{"GetTag", `{"id": 1`, "samsara_gateway.tags.v1.TagsService/GetTag: the request is not the JSON of a samsara_gateway.tags.v1.GetTagRequest: (line 1:8): invalid value for string field id: 1"},
		{"GetTag", `{"ids": "1"}`, "samsara_gateway.tags.v1.TagsService/GetTag: the request is not the JSON of a samsara_gateway.tags.v1.GetTagRequest: (line 1:2): unknown field \"ids\""},
		{"NoSuch", ``, `"NoSuch" is no method`},
	} {
		_, err := x.Explain(t.Context(), test.method, []byte(test.request))
		if err == nil {
			t.Errorf("%s %s: is explained", test.method, test.request)
			continue
		}
		if diff := cmp.Diff(test.want, strings.ReplaceAll(err.Error(), "\u00a0", " ")); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.request, diff)
		}
	}
}
